"""A serial port behind a real kernel's usbfs: a MiB each way, both ways at once, and again after a re-plug.

    machine A (usb-host)                                            machine B (usb-guest)
    /dev/ttyGS0
      f_acm gadget ─▶ dummy_hcd ─▶ usbfs ─▶ usbredir-evloop :4000
                                                  ▲
                                                  └─ hostfwd ── TCP ── QEMU usb-redir ─▶ qemu-xhci ─▶ /dev/ttyACM0
"""

import gadgets
import sysfs
from ports import free_port
from steps import expect, wait_until

SERIAL = "E2EPORT1"
BYTES = 1 << 20
CONTROLLERS = ["qemu-xhci,id=xhci,addr=4"]


class Port:
    """One end of the line. Bytes go through it as they are: no echo, no line editing, no flow control characters."""

    def __init__(self, machine, node):
        self.name = machine.name
        self._machine = machine
        self._node = node

    def appear(self):
        wait_until(lambda: self._machine.holds(f"[ -c {self._node} ]"), 60, f"{self._node} is there in {self.name}")
        self._machine.run(f"stty -F {self._node} raw -echo")

    def disappear(self):
        wait_until(
            lambda: not self._machine.holds(f"[ -e {self._node} ]"), 60, f"{self._node} is gone in {self.name}")

    def listen(self):
        self._machine.run(f"rm -f /run/received; (head -c {BYTES} <{self._node} | sha256sum >/run/received) &")

    def send(self):
        """Starts to send new random bytes; their checksum."""
        self._machine.run(f"head -c {BYTES} /dev/urandom >/tmp/sent; cat /tmp/sent >{self._node} &")
        return self._machine.run("sha256sum </tmp/sent")

    def received(self):
        """The checksum of what came, when so much has come as was sent."""
        return wait_until(lambda: self._machine.run("cat /run/received"), 120, f"{BYTES} bytes arrive in {self.name}")


def run(lab):
    forwarded = free_port()
    host = lab.usb_host(forwarded, modules=["cdc-acm", "usb_f_acm"])

    with lab.step("A's own driver has the port"):
        host.booted().run("udevd --daemon")
        gadget = gadgets.Gadget(host, 0, gadgets.serial_port(), SERIAL)
        gadget.bind()
        sysfs.wait_driver(host, SERIAL, "cdc_acm")

    with lab.step("the server listens"):
        server = lab.serve_in(host, [f"id={gadgets.DEVICE_ID},serial={SERIAL}"])

    guest = lab.usb_guest(CONTROLLERS, [("xhci.0", f"host=127.0.0.1,port={forwarded}")], modules=["cdc-acm"])
    inside, outside = Port(host, "/dev/ttyGS0"), Port(guest, "/dev/ttyACM0")

    with lab.step("the port appears in B"):
        guest.booted()
        inside.appear()
        outside.appear()
        expect("driver in A", "usbfs", sysfs.driver(host, SERIAL))

    with lab.step(f"{BYTES} bytes from A to B"):
        travel((inside, outside))
    with lab.step(f"{BYTES} bytes from B to A"):
        travel((outside, inside))
    with lab.step("both ways at once"):
        travel((inside, outside), (outside, inside))

    with lab.step("unplugged and plugged in again: both ways at once"):
        gadget.unbind()
        outside.disappear()
        gadget.bind()
        outside.appear()
        travel((inside, outside), (outside, inside))

    with lab.step("after SIGTERM the server ends with status 0, and A's driver has the port again"):
        expect("status", 0, server.stop())
        sysfs.wait_driver(host, SERIAL, "cdc_acm")


def travel(*ways):
    for _, receiver in ways:
        receiver.listen()
    sums = [sender.send() for sender, _ in ways]
    for (sender, receiver), sent in zip(ways, sums):
        expect(f"sha256 from {sender.name} to {receiver.name}", sent, receiver.received())
