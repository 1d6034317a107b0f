"""Three virtual keyboards of one server process type into one guest, each fed and connected in its own way.

    build machine                                      machine B (QEMU guest)
    usbredir-evloop serve
      keyboard "tcp"  ◀── FIFO         ◀── TCP ──────  qemu-xhci port 1   ─▶ evdev
      keyboard "unix" ◀── stdin        ◀── unix ─────  qemu-xhci port 2   ─▶ evdev
      keyboard "both" ◀── unix socket  ◀── TCP ──────  qemu-xhci port 3   ─▶ evdev

There is no usb-uhci here, though it suits the keyboard's speed: when QEMU's emulation of it falls behind, it stops the
endpoint and drops the reports that usb-redir holds, whatever server they come from.
"""

import os
import socket

import keyboard
from evdev import Keyboard, Watcher
from ports import free_ports
from server import CAPS_LOCK_LOGGED
from steps import expect, expect_same

TEXT = keyboard.sample_text(400)

CONTROLLERS = ["qemu-xhci,id=xhci,addr=4"]
PLACES = {"tcp": "usb-0000:00:04.0-1/", "unix": "usb-0000:00:04.0-2/", "both": "usb-0000:00:04.0-3/"}


def run(lab):
    tcp_port, both_port = free_ports(2)
    fifo, text_socket, listener = (str(lab.directory / name) for name in ("fifo", "text", "listener"))
    os.mkfifo(fifo)
    # For reading too: so neither side waits for the other to open it, and the server never sees an end.
    fifo_writer = os.open(fifo, os.O_RDWR)
    stdin_reader, stdin_writer = os.pipe()

    machine = lab.usb_guest(CONTROLLERS, [
        ("xhci.0,port=1", f"host=127.0.0.1,port={tcp_port}"),
        ("xhci.0,port=2", f"path={listener}"),
        ("xhci.0,port=3", f"host=127.0.0.1,port={both_port}")])

    with lab.step("the server listens"):
        server = lab.serve([
            f"virtual=keyboard,input={fifo},listen=127.0.0.1:{tcp_port}",
            f"virtual=keyboard,input=-,listen=unix:{listener}",
            f"virtual=keyboard,input=unix:{text_socket},listen=127.0.0.1:{both_port}"], stdin_reader)
        server.wait_listening(ports={tcp_port, both_port}, paths={listener, text_socket})

    text_client = socket.socket(socket.AF_UNIX)
    text_client.connect(text_socket)
    writers = {"tcp": fifo_writer, "unix": stdin_writer, "both": text_client.fileno()}

    with lab.step("three keyboards appear in B"):
        watcher = Watcher(machine.booted())
        keyboards = {name: Keyboard(watcher, place) for name, place in PLACES.items()}
        for plugged in keyboards.values():
            plugged.wait_plugged()

    for name, typed in keyboards.items():
        with lab.step(f"{name}: {len(TEXT)} characters arrive exactly"):
            os.write(writers[name], TEXT.encode())
            arrives(name, typed, TEXT)

    with lab.step("three texts at the same time arrive exactly, each at its own keyboard"):
        texts = {name: f"{name}: {TEXT[:100]}" for name in keyboards}
        for name, text in texts.items():
            os.write(writers[name], text.encode())
        for name, text in texts.items():
            arrives(name, keyboards[name], text)

    for name, lit in keyboards.items():
        with lab.step(f"{name}: the server is told of the caps-lock LED"):
            before = len(server.log())
            lit.set_led(keyboard.CAPS_LOCK_LED, True)
            server.wait_log(CAPS_LOCK_LOGGED, since=before)

    with lab.step("the server ends with status 0 after SIGTERM"):
        expect("status", 0, server.stop())


def arrives(name, plugged, text):
    events = plugged.take_keys(lambda events: keyboard.text_of(events) == text)
    expect_same(f"text of {name}", text, keyboard.text_of(events))
