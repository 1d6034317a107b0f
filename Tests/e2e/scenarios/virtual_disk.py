"""Virtual disks: a guest makes file systems on image files and fills them; then the same images read-only, and a CD.

    build machine                                        machine B (QEMU guest)
    usbredir-evloop serve
      disk "xhci"  ─▶ file   ◀── TCP ──  qemu-xhci port 1 ─▶ usb-storage ─▶ /dev/sdX, vfat
      disk "ehci"  ─▶ file   ◀── TCP ──  usb-ehci         ─▶ usb-storage ─▶ /dev/sdY, ext2
      disk "cd"    ─▶ file   ◀── TCP ──  qemu-xhci port 2 ─▶ usb-storage ─▶ /dev/sr0, iso9660
      disk "huge"  ─▶ file   ◀── TCP ──  qemu-xhci port 3 ─▶ usb-storage ─▶ /dev/sdZ, a hole of 6 GiB

The first server is ended when everything is written. The second serves the two disks with `ro`; QEMU connects again by
itself.
"""

import hashlib
import os

import iso
from ports import free_port, free_ports
from steps import expect, wait_until

MEBIBYTES = {"xhci": 24, "ehci": 24, "huge": 6144}
CONTROLLERS = ["qemu-xhci,id=xhci,addr=4", "usb-ehci,id=ehci,addr=5"]
# crc32c is what ext4, which has ext2 as well, asks the kernel for by name.
MODULES = ["ehci-pci", "vfat", "nls_cp437", "nls_ascii", "crc32c_generic", "ext4", "sr_mod", "isofs"]
MAKE = {"xhci": "mkdosfs", "ehci": "mke2fs -F"}
MOUNT = {"xhci": "-t vfat", "ehci": "-t ext2"}
# Where in /sys/block a disk's link leads: through the PCI address of its controller.
PLACE = {"xhci": "0000:00:04.0", "ehci": "0000:00:05.0", "huge": "0000:00:04.0"}


def run(lab):
    names = ("xhci", "ehci", "cd", "huge")
    ports = dict(zip(names, free_ports(len(names))))
    images = {name: lab.directory / f"{name}.img" for name in ports}
    for name, size in MEBIBYTES.items():
        with open(images[name], "wb") as file:
            file.truncate(size << 20)
    content = os.urandom(5_000_000)
    images["cd"].write_bytes(iso.image({"README.TXT": b"hello\n", "DATA.BIN": content}))

    guest = lab.usb_guest(CONTROLLERS, [
        ("xhci.0,port=1", f"host=127.0.0.1,port={ports['xhci']}"),
        ("ehci.0", f"host=127.0.0.1,port={ports['ehci']}"),
        ("xhci.0,port=2", f"host=127.0.0.1,port={ports['cd']}"),
        ("xhci.0,port=3", f"host=127.0.0.1,port={ports['huge']}")], MODULES)

    with lab.step("the server listens"):
        server = lab.serve(exports(ports, images, ""))
        server.wait_listening(set(ports.values()), set())

    with lab.step("three disks and a CD appear in B"):
        guest.booted()
        disks = {name: wait_for_disk(guest, name) for name in MAKE}
        huge = wait_for_disk(guest, "huge")
        wait_until(lambda: guest.holds("[ -b /dev/sr0 ]"), 60, "the CD is there in B")

    with lab.step("the CD is mounted, read whole, and refuses to be written"):
        guest.run("mkdir -p /cd && mount -o ro -t iso9660 /dev/sr0 /cd")
        expect("README.TXT", "hello", guest.run("cat /cd/readme.txt"))
        expect("sha256", hashlib.sha256(content).hexdigest(), sha256(guest, "/cd/data.bin"))
        guest.run("umount /cd")
        expect("sha256", digest(images["cd"]), sha256(guest, "/dev/sr0"))
        expect("written", False, guest.holds("dd if=/dev/zero of=/dev/sr0 bs=2048 count=1 2>/dev/null"))

    with lab.step("beyond 4 GiB a block is where it belongs"):
        guest.run("dd if=/dev/urandom of=/tmp/data bs=1M count=1 2>/dev/null")
        guest.run(f"dd if=/tmp/data of={huge} bs=1M seek=5120 conv=fsync 2>/dev/null")
        with open(images["huge"], "rb") as file:
            file.seek(5120 << 20)
            expect("sha256", sha256(guest, "/tmp/data"), hashlib.sha256(file.read(1 << 20)).hexdigest())
        guest.run("echo 3 >/proc/sys/vm/drop_caches")
        guest.run(f"dd if={huge} bs=1M skip=5120 count=1 2>/dev/null | cmp - /tmp/data")

    sums = {}
    for name, disk in disks.items():
        with lab.step(f"{name}: a file system is made, filled, and read back when it is mounted again"):
            guest.run(f"{MAKE[name]} {disk} >/dev/null && mkdir -p /{name}", timeout=120)
            guest.run(f"mount {MOUNT[name]} {disk} /{name}")
            guest.run(f"dd if=/dev/urandom of=/tmp/data bs=1M count=6 2>/dev/null && cp /tmp/data /{name}/data")
            guest.run(f"mkdir /{name}/d && for n in $(seq 100); do echo $n >/{name}/d/$n; done")
            sums[name] = sha256(guest, "/tmp/data")
            remount(guest, name, disk)
            expect("sha256", sums[name], sha256(guest, f"/{name}/data"))
            expect("files", "5050", guest.run(f"cat /{name}/d/* | awk '{{ n += $1 }} END {{ print n }}'"))
            guest.run(f"umount /{name}")

    with lab.step("the images have what B has, and are told apart by their serial numbers"):
        for name, disk in disks.items():
            guest.run("echo 3 >/proc/sys/vm/drop_caches")
            expect(f"sha256 of {name}", sha256(guest, disk), digest(images[name]))
        serials = guest.run("cat /sys/bus/usb/devices/*/serial | grep -c '^[0-9A-F]\\{16\\}$'")
        expect("serial numbers", str(len(images)), serials)

    with lab.step("an image is served once"):
        second = lab.serve([f"virtual=disk,image={images['xhci']},listen=127.0.0.1:{free_port()}"])
        wait_until(lambda: "another export or program has it" in second.log(), 60, "a second server is refused")

    with lab.step("after SIGTERM the server ends with status 0, and the disks are gone in B"):
        expect("status", 0, server.stop())
        wait_until(lambda: not guest.holds("ls /sys/block | grep -q ^s"), 60, "no disk is left in B")
        before = {name: digest(images[name]) for name in MAKE}

    with lab.step("served read-only, they come back"):
        server = lab.serve(exports(ports, images, ",ro"))
        server.wait_listening(set(ports.values()), set())
        disks = {name: wait_for_disk(guest, name) for name in MAKE}

    for name, disk in disks.items():
        with lab.step(f"{name}: read-only: nothing is written, everything is read"):
            expect("ro", "1", guest.run(f"read ro </sys/block/{disk.removeprefix('/dev/')}/ro; echo $ro"))
            expect("written", False, guest.holds(f"dd if=/dev/zero of={disk} bs=4k count=1 conv=fsync 2>/dev/null"))
            guest.run(f"mount -o ro {MOUNT[name]} {disk} /{name}")
            expect("sha256", sums[name], sha256(guest, f"/{name}/data"))
            guest.run(f"umount /{name}")

    with lab.step("the server ends with status 0, and the images are as they were"):
        expect("status", 0, server.stop())
        expect("sha256", before, {name: digest(images[name]) for name in MAKE})


def exports(ports, images, flags):
    return [f"virtual=disk,image={images[name]},{'cdrom' if name == 'cd' else 'name=' + name + flags},"
            f"listen=127.0.0.1:{port}" for name, port in ports.items()]


def wait_for_disk(guest, name):
    """The disk's node, as soon as it is there and has its size."""
    # Quoted: a pattern that matches nothing yet must not match a moment later.
    find = (f"for b in /sys/block/sd*; do [ -e \"$b\" ] && readlink \"$b\" | grep -q {PLACE[name]} && "
            f"[ $(cat \"$b/size\") = {MEBIBYTES[name] << 11} ] && [ -b \"/dev/${{b##*/}}\" ] && echo \"${{b##*/}}\"; done")
    found = wait_until(lambda: guest.run(find, check=False).strip(), 60, f"the disk {name} is there in B")
    return f"/dev/{found}"


def remount(guest, name, disk):
    guest.run(f"umount /{name} && echo 3 >/proc/sys/vm/drop_caches", timeout=120)
    guest.run(f"mount {MOUNT[name]} {disk} /{name}")


def sha256(machine, path):
    return machine.run(f"sha256sum <{path}", timeout=120).split()[0]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()
