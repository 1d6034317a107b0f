"""A small board: one core and 64 MiB for seventeen devices, and what the server takes of that.

    machine A (usb-host)                                                    machine B (usb-guest)
    f_hid gadget ─▶ dummy_hcd ─▶ usbfs ─▶ :4000 ◀─ hostfwd ─ usb-redir ─▶ qemu-xhci ─▶ evdev
    16 virtual devices                  ─▶ :4001 … :4016
                                         one server

Times and sizes are facts for the report. What has to hold: an idle server falls asleep, with a guest as without one;
its memory stays far below what the board has; the board runs out of memory at no time.
"""

import re

import gadgets
import keyboard
import sysfs
from evdev import Keyboard, Watcher
from lab import SERVER_IN_MACHINE
from ports import free_port
from steps import expect, expect_same

MEBIBYTES = 64
# Data and a guest that came are each looked after once more, some seconds later.
IDLE_SECONDS, FALLING_ASLEEP = 5, 3
# KiB of the server in memory, program and libraries included.
MOST_RESIDENT = 8192
STARTS = 3

SERIAL = "E2E0001"
KEYS = keyboard.sample_keys(100)
DISKS = [f"/tmp/disk{number}" for number in range(4)]
DEVICES = [
    f"id={gadgets.DEVICE_ID},serial={SERIAL}", *["virtual=keyboard,text=hello"] * 4,
    *["virtual=tablet,events=click"] * 2, *["virtual=mouse,events=click"] * 2, *["virtual=echo"] * 2,
    *["virtual=source-sink"] * 2, *(f"virtual=disk,image={path}" for path in DISKS)]

CONTROLLERS = ["qemu-xhci,id=xhci,addr=4"]
PLACE = "usb-0000:00:04.0-1/"


def run(lab):
    forwarded = free_port()
    # Its file system is in memory as well, so without the udev daemon: nothing is unplugged here.
    host = lab.usb_host(forwarded, memory=MEBIBYTES, udev=False)

    with lab.step("A's own driver has the keyboard"):
        host.booted()
        gadgets.Gadget(host, 0, gadgets.boot_keyboard(), SERIAL).bind()
        sysfs.wait_driver(host, SERIAL, "usbhid")
        host.run(f"for disk in {' '.join(DISKS)}; do truncate -s 1M $disk; done")
        lab.report("a board of {} MiB, KiB before the server: {} in all, {} available".format(
            MEBIBYTES, *re.findall(r"Mem(?:Total|Available): *(\d+)", host.run("cat /proc/meminfo"))))

    with lab.step(f"the server listens on {len(DEVICES)} ports"):
        lab.report(f"from its start until then, in seconds: {[start_up(host) for _ in range(STARTS)]}")
        server = lab.serve_in(host, DEVICES)

    def idle(when):
        with lab.step(f"{when}: the server falls asleep, and is small"):
            kibibytes = memory(server)
            lab.report(f"{when}: KiB of memory: {kibibytes}")
            if kibibytes["Rss"] > MOST_RESIDENT:
                raise AssertionError(f"more than {MOST_RESIDENT} KiB of memory: {kibibytes}")
            woken = []
            while 0 not in woken and len(woken) < FALLING_ASLEEP:
                woken.append(wake_ups(host, server))
            lab.report(f"{when}: wake-ups in {IDLE_SECONDS} s, time and again: {woken}")
            expect("wake-ups at last", 0, woken[-1])

    idle("without a guest")
    guest = lab.usb_guest(CONTROLLERS, [("xhci.0", f"host=127.0.0.1,port={forwarded}")])

    with lab.step(f"{len(KEYS)} key presses arrive in B in order"):
        plugged = Keyboard(Watcher(guest.booted()), PLACE)
        plugged.wait_plugged()
        gadgets.type_keys(host, KEYS)
        taken = plugged.take_keys(lambda events: len(events) >= 2 * len(KEYS))
        expect_same("presses and releases", keyboard.events_of(KEYS), taken)

    idle("with a guest")

    with lab.step("after SIGTERM the server ends with status 0, and the board had memory at all times"):
        expect("status", 0, server.stop())
        sysfs.wait_driver(host, SERIAL, "usbhid")
        expect("processes ended for want of memory", "oom_kill 0", host.run("grep oom_kill /proc/vmstat"))


def start_up(host):
    """Seconds from the start of a server until all of its exports listen."""
    exports = " ".join(f"{device},listen=127.0.0.1:{4000 + i}" for i, device in enumerate(DEVICES))
    times = host.run(
        "rm -f /run/ready; mkfifo /run/ready; read -r from _ </proc/uptime;"
        f" /{SERVER_IN_MACHINE} serve -q --ready-fd 3 {exports} 3>/run/ready & read -r _ </run/ready;"
        " read -r to _ </proc/uptime; echo $from $to; kill $!; wait $!")
    start, listening = map(float, times.split())
    return round(listening - start, 2)


def memory(server):
    """KiB of the server's memory, by the kernel's names: all of it, and what is no file, such as heap and stacks."""
    said = dict(re.findall(r"(\w+):\s*(\d+) kB", server.proc("smaps_rollup")))
    return {kind: int(said[kind]) for kind in ("Rss", "Anonymous")}


def wake_ups(host, server):
    """How often a thread of the server is woken in the next seconds: each time ends with its going to sleep."""
    def sleeps():
        return sum(map(int, re.findall(r"\nvoluntary_ctxt_switches:\s*(\d+)", server.thread_statuses())))

    before = sleeps()
    host.run(f"sleep {IDLE_SECONDS}")
    return sleeps() - before
