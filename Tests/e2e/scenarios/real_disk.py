"""A disk behind a real kernel's usbfs: read whole, written, unplugged and plugged in again.

    machine A (usb-host)                                              machine B (usb-guest)
    f_mass_storage gadget ─▶ dummy_hcd ─▶ usbfs ─▶ usbredir-evloop :4000
      /tmp/disk                                        ▲
                                                       └─ hostfwd ── TCP ── QEMU usb-redir ─▶ qemu-xhci ─▶ /dev/sda
"""

import gadgets
import sysfs
from lab import free_port
from steps import expect, wait_until

SERIAL = "E2EDISK1"
DISK = "/tmp/disk"
MEBIBYTES = 8
# The part of it that is written, and the parts around that one, for dd with blocks of a MiB.
WRITTEN, OUTSIDE = "skip=2 count=4", ["skip=0 count=2", "skip=6 count=2"]
CONTROLLERS = ["qemu-xhci,id=xhci,addr=4"]


def run(lab):
    forwarded = free_port()
    host = lab.usb_host(forwarded)

    with lab.step("A's own driver has the disk"):
        host.booted().run("udevd --daemon")
        host.run(f"dd if=/dev/urandom of={DISK} bs=1M count={MEBIBYTES} 2>/dev/null")
        gadget = gadgets.Gadget(host, 1, gadgets.disk(DISK), SERIAL)
        gadget.bind()
        sysfs.wait_driver(host, SERIAL, "usb-storage")

    with lab.step("the server listens"):
        server = lab.serve_in(host, [f"id={gadgets.DEVICE_ID},serial={SERIAL},listen=0.0.0.0:4000"])
        server.wait_listening(4000)

    guest = lab.usb_guest(CONTROLLERS, [("xhci.0", f"host=127.0.0.1,port={forwarded}")])

    with lab.step("the disk appears in B"):
        guest.booted()
        wait_for_disk(guest)
        expect("driver in A", "usbfs", sysfs.driver(host, SERIAL))

    with lab.step(f"{MEBIBYTES} MiB read in B are those of A"):
        expect("sha256", sha256(host, DISK), sha256(guest, "/dev/sda"))

    with lab.step("4 MiB written in B and synced reach A, and nothing beside them changes"):
        guest.run("dd if=/dev/urandom of=/tmp/data bs=1M count=4 2>/dev/null")
        rest = [sha256(host, DISK, part) for part in OUTSIDE]
        guest.run("dd if=/tmp/data of=/dev/sda bs=1M seek=2 2>/dev/null && sync", timeout=120)
        written = sha256(guest, "/tmp/data")
        expect("sha256 of the written part in A", written, sha256(host, DISK, WRITTEN))
        expect("sha256 of the rest in A", rest, [sha256(host, DISK, part) for part in OUTSIDE])

    with lab.step("the whole disk, read anew in B, is A's"):
        # Dropped, or B would compare what it wrote with what it remembers of it.
        guest.run("echo 3 >/proc/sys/vm/drop_caches")
        expect("sha256 of the written part in B", written, sha256(guest, "/dev/sda", WRITTEN))
        expect("sha256", sha256(host, DISK), sha256(guest, "/dev/sda"))

    with lab.step("unplugged while it is read, plugged in again, and read whole"):
        guest.run("echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/sda of=/dev/null bs=4k >/dev/null 2>&1 &")
        gadget.unbind()
        wait_until(lambda: guest.holds("[ ! -b /dev/sda ]"), 60, "the disk is gone in B")
        gadget.bind()
        wait_for_disk(guest)
        expect("sha256", sha256(host, DISK), sha256(guest, "/dev/sda"))

    with lab.step("after SIGTERM the server ends with status 0, and A's driver has the disk again"):
        expect("status", 0, server.stop())
        sysfs.wait_driver(host, SERIAL, "usb-storage")


def wait_for_disk(machine):
    wait_until(lambda: machine.holds("[ -b /dev/sda ]"), 60, "the disk is there in B")


def sha256(machine, path, part=""):
    return machine.run(f"dd if={path} bs=1M {part} 2>/dev/null | sha256sum", timeout=120)
