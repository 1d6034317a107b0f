"""A keyboard behind a real kernel's usbfs, taken from its driver and given back.

    machine A (usb-host)                                    machine B (usb-guest)
    /dev/hidg0
      f_hid gadget ─▶ dummy_hcd ─▶ usbfs ─▶ server :4000
                                              ▲
                                              ├─ hostfwd ── QEMU usb-redir ─▶ qemu-xhci ─▶ evdev
                                              └─ hostfwd ── a second client: this process
"""

import socket

import gadgets
import keyboard
import sysfs
from evdev import Keyboard, Watcher
from ports import free_port
from steps import expect, expect_same, wait_until

SERIAL = "E2E0001"
KEYS = keyboard.sample_keys(200)
FEW_KEYS = KEYS[:20]

CONTROLLERS = ["qemu-xhci,id=xhci,addr=4"]
PLACE = "usb-0000:00:04.0-1/"


def run(lab):
    forwarded = free_port()
    redirections = [("xhci.0", f"host=127.0.0.1,port={forwarded}")]
    host = lab.usb_host(forwarded)

    with lab.step("A's own driver has the keyboard"):
        host.booted().run("udevd --daemon")
        gadget = gadgets.Gadget(host, 0, gadgets.boot_keyboard(), SERIAL)
        gadget.bind()
        sysfs.wait_driver(host, SERIAL, "usbhid")

    with lab.step("the server listens"):
        server = lab.serve_in(host, [f"id={gadgets.DEVICE_ID},serial={SERIAL}"])

    # Not earlier: slirp would accept B's connection before anybody listens in A.
    guest = lab.usb_guest(CONTROLLERS, redirections)

    def arrive(what, plugged, keys):
        with lab.step(f"{what}: {len(keys)} key presses arrive in order"):
            gadgets.type_keys(host, keys)
            expected = keyboard.events_of(keys)
            taken = plugged.take_keys(lambda events: len(events) >= len(expected))
            expect_same("presses and releases", expected, taken)

    with lab.step("the keyboard appears in B"):
        plugged = Keyboard(Watcher(guest.booted()), PLACE)
        expect("VID:PID", gadgets.DEVICE_ID, plugged.wait_plugged())
        expect("driver in A", "usbfs", sysfs.driver(host, SERIAL))
    arrive("first guest", plugged, KEYS)

    with lab.step("the caps-lock LED set in B reaches the gadget"):
        host.run("hidg leds /dev/hidg0 >/run/leds.log 2>&1 &")
        for lit, bits in ((True, "leds 02"), (False, "leds 00"), (True, "leds 02")):
            plugged.set_led(keyboard.CAPS_LOCK_LED, lit)
            wait_until(lambda: host.run("tail -n 1 /run/leds.log") == bits, 60, f"output report `{bits}`")
        # A reader left behind would keep the gadget's node open across the re-plug.
        host.run("killall hidg")

    with lab.step("unbinding the gadget removes the device in B"):
        connections = server.connections(4000)
        gadget.unbind()
        plugged.wait_unplugged()

    with lab.step("binding it again brings it back over the same connection"):
        gadget.bind()
        plugged.wait_plugged(times=2)
        expect("connections", connections, server.connections(4000))
    arrive("after the re-plug", plugged, FEW_KEYS)

    with lab.step("a second client is refused"):
        refused(forwarded)
        expect("connections", connections, server.connections(4000))
    arrive("after the second client", plugged, FEW_KEYS)

    with lab.step("B is killed, and a new one is served"):
        guest.kill()
        guest = lab.usb_guest(CONTROLLERS, redirections)
        plugged = Keyboard(Watcher(guest.booted()), PLACE)
        plugged.wait_plugged()
    arrive("second guest", plugged, KEYS)

    with lab.step("after SIGTERM the server ends with status 0, and A's driver has the keyboard again"):
        expect("status", 0, server.stop())
        sysfs.wait_driver(host, SERIAL, "usbhid")
        plugged.wait_unplugged()


def refused(port):
    """The connection is closed without a usbredir conversation: not even a hello comes."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        try:
            received = client.recv(1)
        except ConnectionResetError:
            received = b""
        except TimeoutError:
            raise AssertionError("its connection stays open") from None
    expect("bytes for the second client", b"", received)
