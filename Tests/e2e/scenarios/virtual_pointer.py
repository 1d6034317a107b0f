"""Scripts move a tablet and a mouse of one server in a guest, and a program there talks to an echo device.

    build machine                                    machine B (QEMU guest)
    usbredir-evloop serve
      tablet ◀── unix socket       ◀── TCP ────────  qemu-xhci port 1   ─▶ evdev
      mouse  ◀── FIFO              ◀── TCP ────────  qemu-xhci port 2   ─▶ evdev
      echo                         ◀── unix ───────  qemu-xhci port 3   ◀▶ hidraw
      echo, answers first          ◀── TCP ────────  qemu-xhci port 4   ◀▶ hidraw
"""

import os
import random
import socket

from evdev import Pointer, Watcher
from ports import free_ports
from steps import expect, expect_same, wait_until

CONTROLLERS = ["qemu-xhci,id=xhci,addr=4"]
TABLET, MOUSE = "usb-0000:00:04.0-1/", "usb-0000:00:04.0-2/"

# linux/input-event-codes.h
X, Y, WHEEL = 0, 1, 8
BUTTONS = {"left": 0x110, "right": 0x111, "middle": 0x112}

ECHOES = {"echo": "usb-0000:00:04.0-3/", "echo, answers first": "usb-0000:00:04.0-4/"}
REPORTS = 100


def run(lab):
    ports = free_ports(3)
    fifo, events_socket, listener = (str(lab.directory / name) for name in ("fifo", "events", "listener"))
    os.mkfifo(fifo)
    # For reading too: so neither side waits for the other to open it.
    fifo_writer = os.open(fifo, os.O_RDWR)

    machine = lab.usb_guest(CONTROLLERS, [
        ("xhci.0,port=1", f"host=127.0.0.1,port={ports[0]}"),
        ("xhci.0,port=2", f"host=127.0.0.1,port={ports[1]}"),
        ("xhci.0,port=3", f"path={listener}"),
        ("xhci.0,port=4", f"host=127.0.0.1,port={ports[2]}")])

    with lab.step("the server listens"):
        server = lab.serve([
            f"virtual=tablet,input=unix:{events_socket},listen=127.0.0.1:{ports[0]}",
            f"virtual=mouse,events=press;release,input={fifo},listen=127.0.0.1:{ports[1]}",
            f"virtual=echo,listen=unix:{listener}",
            f"virtual=echo,answer-first,listen=127.0.0.1:{ports[2]}"])
        server.wait_listening(ports=set(ports), paths={listener, events_socket})

    writer = socket.socket(socket.AF_UNIX)
    writer.connect(events_socket)

    with lab.step("tablet and mouse appear in B, and the mouse does what it was told first"):
        watcher = Watcher(machine.booted())
        tablet, mouse = Pointer(watcher, TABLET), Pointer(watcher, MOUSE)
        expect("VID:PID", "1209:0004", tablet.wait_plugged())
        expect("VID:PID", "1209:0005", mouse.wait_plugged())
        arrives(mouse, press("left") + release("left"))

    tablet_script, tablet_events = tablet_sample()
    with lab.step(f"tablet: {len(tablet_events)} events of a script arrive exactly"):
        writer.sendall(tablet_script.encode())
        arrives(tablet, tablet_events)

    mouse_script, mouse_events = mouse_sample()
    with lab.step(f"mouse: {len(mouse_events)} events of a script arrive exactly"):
        os.write(fifo_writer, mouse_script.encode())
        arrives(mouse, mouse_events)

    with lab.step("a bad line costs itself"):
        before = len(server.log())
        os.write(fifo_writer, b"press everything\nclick right\n")
        server.wait_log("mouse input, line .*'everything' is no button", since=before)
        arrives(mouse, press("right") + release("right"))

    with lab.step("both at the same time, exactly, each at its own device"):
        writer.sendall(b"move 0 0\n" + tablet_script.encode())
        os.write(fifo_writer, mouse_script.encode())
        arrives(tablet, [("abs", X, 0), ("abs", Y, 0)] + tablet_events)
        arrives(mouse, mouse_events)

    for name, place in ECHOES.items():
        with lab.step(f"{name}: the device appears in B"):
            wait_until(lambda: machine.holds(f"hidraw find {place} >/dev/null"), 60, place)
        for flight in (1, 20):
            with lab.step(f"{name}: {REPORTS} reports come back, {flight} at a time"):
                expect("the program in B", f"echoed {REPORTS}", machine.run(f"hidraw echo {place} {REPORTS} {flight}"))

    with lab.step("the server ends with status 0 after SIGTERM"):
        expect("status", 0, server.stop())


def press(button):
    return [("key", BUTTONS[button], 1)]


def release(button):
    return [("key", BUTTONS[button], 0)]


def tablet_sample():
    """A script and the events it makes, from the upper left corner on: the kernel tells of an axis when it changes."""
    script = "move 25% 75%\nclick left\nmove 32767 1 # a corner\npress middle\nmove 50% 0.5%\nrelease middle\nwheel -3\n"
    events = [("abs", X, 8192), ("abs", Y, 24575)] + press("left") + release("left")
    events += [("abs", X, 32767), ("abs", Y, 1)] + press("middle") + [("abs", X, 16384), ("abs", Y, 164)]
    events += release("middle") + [("rel", WHEEL, -3)]
    draw, place = random.Random(3), (16384, 164)
    for _ in range(150):
        to = (draw.randrange(32768), draw.choice([place[1], draw.randrange(32768)]))
        script += f"move {to[0]} {to[1]}\n"
        events += [("abs", axis, to[axis]) for axis in (X, Y) if to[axis] != place[axis]]
        place = to
    return script + "double right\n", events + (press("right") + release("right")) * 2


def mouse_sample():
    """The same for a mouse: a long way comes in parts, and an axis that does not move is not told of."""
    script = "press left\nmove 300 -100\nrelease left\nwheel 200\nmove -5 0\nmove 0 1\n"
    events = press("left") + moved(300, -100) + release("left") + [("rel", WHEEL, 100)] * 2
    events += moved(-5, 0) + moved(0, 1)
    draw = random.Random(4)
    for _ in range(100):
        x, y = draw.randint(-400, 400), draw.randint(-40, 40)
        script += f"move {x} {y}\n"
        events += moved(x, y)
    return script + "double middle\n", events + (press("middle") + release("middle")) * 2


def moved(x, y):
    events = []
    for parts in range(-(-max(abs(x), abs(y)) // 127), 0, -1):
        part = int(x / parts), int(y / parts)
        events += [("rel", axis, part[axis]) for axis in (X, Y) if part[axis]]
        x, y = x - part[0], y - part[1]
    return events


def arrives(pointer, expected):
    taken = pointer.take_events(lambda events: len(events) >= len(expected))
    expect_same("events", expected, taken)
