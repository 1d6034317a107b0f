"""Two disks behind a real kernel's usbfs: read whole, written, and one of them unplugged and plugged in again.

    machine A (usb-host)                                              machine B (usb-guest)
    f_mass_storage ─▶ dummy_hcd ─▶ usbfs ─▶ :4000 ◀─ hostfwd ─ usb-redir ─▶ qemu-xhci ─▶ usb-storage
    QEMU usb-uas ─▶ qemu-xhci   ─▶ usbfs ─▶ :4001 ◀─ hostfwd ─ usb-redir ─▶ qemu-xhci ─▶ uas
                                     one server

The first is of high speed and has a bulk endpoint each way; the second is of super speed and has bulk streams: uas
does without them at no speed above high.
"""

import hashlib
import os

import gadgets
import sysfs
from ports import free_ports
from steps import expect, wait_until

MEBIBYTE = 1 << 20
MEBIBYTES = 8
# Parts of a disk, as first MiB and number of them: the one that is written, and what lies around it.
WHOLE, WRITTEN, AROUND = (0, MEBIBYTES), (2, 4), [(0, 2), (6, 2)]
CONTROLLERS = ["qemu-xhci,id=xhci,addr=4"]


class GadgetDisk:
    """A gadget of A; its content is a file in A."""
    serial, device_id, driver = "E2EDISK1", gadgets.DEVICE_ID, "usb-storage"

    def plug(self, host):
        self._host = host
        host.run(f"dd if=/dev/urandom of=/tmp/disk bs=1M count={MEBIBYTES} 2>/dev/null")
        self.gadget = gadgets.Gadget(host, 0, gadgets.disk("/tmp/disk"), self.serial)
        self.gadget.bind()

    def sha256(self, part):
        return sha256(self._host, "/tmp/disk", part)


class StreamsDisk:
    """A disk of A's QEMU, there from the start; its content is a file of the build machine."""
    serial, device_id, driver = "E2EDISK2", "46f4:0003", "uas"

    def __init__(self, path):
        self._path = path
        path.write_bytes(os.urandom(MEBIBYTES * MEBIBYTE))
        self.arguments = [
            "-device", "qemu-xhci,id=disk", "-drive", f"if=none,id=disk,format=raw,file={path}",
            "-device", f"usb-uas,id=uas,bus=disk.0,serial={self.serial}", "-device", "scsi-hd,bus=uas.0,drive=disk"]

    def sha256(self, part):
        first, count = part
        return hashlib.sha256(self._path.read_bytes()[first * MEBIBYTE:][:count * MEBIBYTE]).hexdigest()


def run(lab):
    ports = free_ports(2)
    of_gadget, with_streams = GadgetDisk(), StreamsDisk(lab.directory / "disk")
    disks = [of_gadget, with_streams]
    host = lab.usb_host(*ports, modules=["xhci-pci", "uas"], arguments=with_streams.arguments)

    with lab.step("A's own drivers have the disks"):
        host.booted().run("udevd --daemon")
        of_gadget.plug(host)
        for disk in disks:
            wait_block(host, disk)
            expect("driver in A", disk.driver, sysfs.driver(host, disk.serial))

    with lab.step("the server listens"):
        server = lab.serve_in(host, [f"id={disk.device_id},serial={disk.serial}" for disk in disks])

    guest = lab.usb_guest(
        CONTROLLERS, [("xhci.0", f"host=127.0.0.1,port={port}") for port in ports], modules=["uas"])

    with lab.step("the disks appear in B"):
        guest.booted()
        for disk in disks:
            wait_block(guest, disk)
            expect("driver in B", disk.driver, sysfs.driver(guest, disk.serial))
            expect("driver in A", "usbfs", sysfs.driver(host, disk.serial))

    for disk in disks:
        with lab.step(f"{disk.driver}: {MEBIBYTES} MiB read in B are those of A"):
            same(guest, disk)
        with lab.step(f"{disk.driver}: {WRITTEN[1]} MiB written in B and synced reach A, nothing around changes"):
            write(guest, disk)
        with lab.step(f"{disk.driver}: the whole disk, read anew in B, is A's"):
            same(guest, disk)

    with lab.step("unplugged while it is read, plugged in again, and read whole"):
        guest.run(f"echo 3 >/proc/sys/vm/drop_caches; cat {wait_block(guest, of_gadget)} >/dev/null 2>&1 &")
        of_gadget.gadget.unbind()
        wait_until(lambda: not sysfs.block(guest, of_gadget.serial), 60, "the disk is gone in B")
        of_gadget.gadget.bind()
        same(guest, of_gadget)

    with lab.step("after SIGTERM the server ends with status 0, and A's drivers have the disks again"):
        expect("status", 0, server.stop())
        for disk in disks:
            sysfs.wait_driver(host, disk.serial, disk.driver)


def wait_block(machine, disk):
    return wait_until(
        lambda: sysfs.block(machine, disk.serial), 60, f"the disk {disk.serial} is there in {machine.name}")


def same(guest, disk):
    """Whether B reads what A has. Caches are dropped, or B would compare what it wrote with what it remembers."""
    guest.run("echo 3 >/proc/sys/vm/drop_caches")
    expect("sha256", disk.sha256(WHOLE), sha256(guest, wait_block(guest, disk), WHOLE))


def write(guest, disk):
    around = [disk.sha256(part) for part in AROUND]
    first, count = WRITTEN
    guest.run(f"dd if=/dev/urandom of=/tmp/data bs=1M count={count} 2>/dev/null")
    guest.run(f"dd if=/tmp/data of={wait_block(guest, disk)} bs=1M seek={first} 2>/dev/null && sync", timeout=120)
    expect("sha256 of the written part", sha256(guest, "/tmp/data", (0, count)), disk.sha256(WRITTEN))
    expect("sha256 of what lies around it", around, [disk.sha256(part) for part in AROUND])


def sha256(machine, path, part):
    first, count = part
    said = machine.run(f"dd if={path} bs=1M skip={first} count={count} 2>/dev/null | sha256sum", timeout=120)
    return said.split()[0]
