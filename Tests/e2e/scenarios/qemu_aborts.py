"""The mistakes of a usb-host that end QEMU: each made on purpose ends it, and the server makes none where it could.

The mistakes, by a test server:
    HoldingDevice ◀─ QEMU usb-redir ─▶ qemu-xhci of B; what is left of B is an assertion in its log
The same situations, with the server between the device and the guest:
    HoldingDevice ◀─ usb-redir ─▶ qemu-xhci of A ─▶ usbfs ─▶ :4000 ◀─ hostfwd ─ usb-redir ─▶ qemu-xhci of B
A's kernel gives the transfers of a device that went back in another order than they were asked for.
"""

import re
import time

import holdingdevice
import sysfs
from holdingdevice import HoldingDevice, UNKNOWN
from ports import free_port
from steps import expect, wait_until

SERIAL = "E2EHOLD1"
CONTROLLERS = ["qemu-xhci,id=xhci,addr=4"]

# Assertions of QEMU.
OUT_OF_ORDER = r"usb_packet_complete_one: Assertion"
UNREAD = r"usbredir_chardev_read: Assertion"
# What QEMU says of a packet that its parser does not take.
REFUSED = r"usbredirparser: (?:error|warning)"

LENGTHS = [512, 1024, 1536, 2048, 2560]
# The server refuses what is longer than this, and has to keep that in its place.
MAX_TRANSFER = 4096


def run(lab):
    def other_server(name):
        device = HoldingDevice(lab.directory / name, SERIAL)
        return device, lab.usb_guest(CONTROLLERS, [("xhci.0", f"path={lab.directory / name}")])

    (parsed, parsing), (ordered, ordering), (leaving, left) = map(other_server, ("parsed", "ordered", "leaving"))

    with lab.step("a packet that QEMU's parser refuses, alone in its read: QEMU goes on"):
        # Else an answer to the kernel's questions shares the read.
        sysfs.wait_configured(parsing.booted(), SERIAL)
        parsed.send_unknown()
        wait_until(lambda: refusals(parsing), 60, "QEMU's log has the refusal")
        parsed.disconnect()
        parsed.wait_acknowledged(1)

    with lab.step("with more bytes behind it in the same read: QEMU aborts"):
        parsed.send_unknown(more=UNKNOWN)
        # It trips over them at the read after that, whenever it reads.
        def has_read():
            parsed.disconnect()
            return parsing.has_ended
        wait_until(has_read, 60, "QEMU reads on", interval=0.5)
        parsing.wait_aborted(UNREAD)

    with lab.step("two answers of an endpoint out of order: QEMU aborts"):
        submit(ordering, holdingdevice.OUT, LENGTHS)
        ordered.wait_held(LENGTHS)
        ordered.answer_reversed()
        ordering.wait_aborted(OUT_OF_ORDER)

    with lab.step("an unplugged device's answers in the kernel's order, and before the device has gone: QEMU aborts"):
        submit(left, holdingdevice.OUT, LENGTHS)
        leaving.wait_held(LENGTHS)
        leaving.unplug_answering_first()
        left.wait_aborted(OUT_OF_ORDER)

    forwarded = free_port()
    device = HoldingDevice(lab.directory / "device", SERIAL)
    host = lab.usb_host(forwarded, modules=["xhci-pci"], arguments=device.arguments)
    with lab.step("the server has the device"):
        host.booted().run("udevd --daemon")
        wait_until(lambda: sysfs.node(host, SERIAL), 60, "the device is there in A")
        server = lab.serve_in(host, [f"id={holdingdevice.DEVICE_ID},max-transfer={MAX_TRANSFER}"])
    guest = lab.usb_guest(CONTROLLERS, [("xhci.0", f"host=127.0.0.1,port={forwarded}")])
    guest.booted()

    for endpoint in (holdingdevice.OUT, holdingdevice.IN):
        with lab.step(f"the server refuses a request of endpoint {endpoint:02x} in its turn, not before"):
            submit(guest, endpoint, [512, 2 * MAX_TRANSFER, 1024])
            device.wait_held([512, 1024])
            # The refusal had time to overtake.
            time.sleep(1)
            expect("answers while the device holds the first", "", guest.run("cat /run/bulk.log"))
            device.answer()
            # What the guest's kernel does with the third after an error is its own business.
            wait_until(lambda: outcomes(guest)[:2] == [("0", "ok"), ("1", "failed")], 60, "the first, then the refusal")
            finish(guest, device)

    for endpoint in (holdingdevice.OUT, holdingdevice.IN):
        with lab.step(f"the server's device goes with requests of endpoint {endpoint:02x} in flight"):
            submit(guest, endpoint, LENGTHS)
            device.wait_held(LENGTHS)
            device.unplug()
            wait_until(lambda: not sysfs.node(guest, SERIAL), 60, "the device is gone in B")
            finish(guest, device)
        with lab.step("and comes back"):
            device.plug()
            submit(guest, endpoint, [512])
            device.wait_held([512])
            device.answer()
            wait_until(lambda: outcomes(guest) == [("0", "ok")], 60, "a request is answered")

    with lab.step("QEMU has refused no packet of the server, and lives"):
        expect("refusals", [], refusals(guest))
        guest.run("true")
        expect("status", 0, server.stop())


def submit(machine, endpoint, lengths):
    """Requests of the guest, all at once; how they end stands in /run/bulk.log."""
    machine.booted()
    node = wait_until(lambda: sysfs.node(machine, SERIAL), 60, f"the device is there in {machine.name}")
    words = " ".join(map(str, lengths))
    machine.run(f"bulk {node} {endpoint:02x} {words} >/run/bulk.log 2>&1 &")


def finish(machine, device):
    """Answers whatever the guest asks again for, until its program has ended."""
    def ended():
        device.answer()
        return not machine.holds("pidof bulk >/dev/null")
    wait_until(ended, 60, "the guest has all its answers")


def outcomes(machine):
    lines = re.findall(r"(?m)^(\d+) (.*) \d+$", machine.run("cat /run/bulk.log"))
    return [(index, "ok" if status == "ok" else "failed") for index, status in lines]


def refusals(machine):
    return re.findall(f"(?m)^.*{REFUSED}.*$", machine.log.read_text(errors="replace"))
