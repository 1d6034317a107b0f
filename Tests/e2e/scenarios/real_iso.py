"""Iso streams behind a real kernel's usbfs: sound for a card, and numbered packets both ways.

    machine A (usb-host)                                                        machine B (usb-guest)
    card.wav ◀── usb-audio ─▶ qemu-xhci ─▶ usbfs ─▶ :4000 ◀─ hostfwd ─ usb-redir ─▶ qemu-xhci ─▶ /dev/dsp
    IsoDevice ◀─ usb-redir ─▶ qemu-xhci ─▶ usbfs ─▶ :4001 ◀─ hostfwd ─ usb-redir ─▶ qemu-xhci ─▶ usbfs
                                                one server

The card has an endpoint OUT of full speed, 48 frames each millisecond; QEMU has no device with one IN. First the same
is done in A without the server: the yardstick.
"""

import re
import struct

import isodevice
import sysfs
from ports import free_ports
from steps import expect, wait_until

CARD_SERIAL, DEVICE_SERIAL = "E2ECARD1", "E2EISO01"
CONTROLLERS = ["qemu-xhci,id=xhci,addr=4"]

# Two seconds of sound, two of packets.
FRAMES, PACKETS = 96000, 2000
# Iso data may be lost on the way, and a busy machine loses more: in B a tenth more than in A, at the fifth attempt.
TOLERATED, ATTEMPTS = 0.1, 5

WAV_HEADER = 44


class Card:
    """QEMU's usb-audio, and what it was given: QEMU writes it to a file as it came, neither mixed nor scaled."""

    def __init__(self, path):
        self._path = path
        # Its own buffer holds two seconds, so that it loses nothing when QEMU is late to play.
        self.arguments = [
            "-device", "qemu-xhci,id=card", "-audiodev", f"wav,id=wav,path={path},out.mixing-engine=off",
            "-device", f"usb-audio,bus=card.0,audiodev=wav,serial={CARD_SERIAL},buffer=384000"]
        self._taken = 0

    def take(self):
        """Numbers of the frames since the last call, without those that are silent."""
        data = self._path.read_bytes()[WAV_HEADER:]
        frames = [left + (right << 15) for left, right in struct.iter_unpack("<HH", data[:len(data) // 4 * 4])]
        new, self._taken = frames[self._taken:], len(frames)
        return [number for number in new if number != 0]


def run(lab):
    ports = free_ports(2)
    card, device = Card(lab.directory / "card.wav"), isodevice.IsoDevice(lab.directory / "device", DEVICE_SERIAL)
    host = lab.usb_host(
        *ports, modules=["xhci-pci", "snd-usb-audio", "snd-pcm-oss"], arguments=card.arguments + device.arguments)

    # Each checks that nothing came altered, twice or out of order, and says what share of it was lost.
    def sound(machine):
        play(machine)
        return lost(lab, f"sound of {machine.name} at the card", FRAMES, since_last_start(card.take()))

    def packets_in(machine):
        said = machine.run(f"iso in {wait_node(machine)} {PACKETS}", timeout=120)
        lab.report(f"packets of the device in {machine.name}: {said}")
        received, _, wrong, _, _, missing = map(int, re.findall(r"\d+", said))
        expect("wrong packets", 0, wrong)
        # Empty ones stand at the beginning, until QEMU has a supply.
        return missing / PACKETS if received > PACKETS / 2 else 1

    def packets_out(machine):
        expect("outcome", "wrong 0", machine.run(f"iso out {wait_node(machine)} {PACKETS}", timeout=120))
        return lost(lab, f"packets of {machine.name} at the device", PACKETS, device.take_received())

    streams = [sound, packets_in, packets_out]

    with lab.step("the yardstick: the streams in A, without the server"):
        host.booted().run("udevd --daemon")
        yardstick = {stream: stream(host) for stream in streams}

    with lab.step("the server listens"):
        server = lab.serve_in(
            host, [f"id=46f4:0002,serial={CARD_SERIAL}", f"id={isodevice.DEVICE_ID},serial={DEVICE_SERIAL}"])

    guest = lab.usb_guest(
        CONTROLLERS, [("xhci.0", f"host=127.0.0.1,port={port}") for port in ports],
        modules=["snd-usb-audio", "snd-pcm-oss"])

    def arrives(stream):
        shares = []
        while len(shares) < ATTEMPTS:
            shares.append(stream(guest))
            if shares[-1] <= yardstick[stream] + TOLERATED and shares[-1] < 1:
                return
        raise AssertionError(f"shares lost: {shares}; in A: {yardstick[stream]}")

    with lab.step("the card and the device appear in B"):
        guest.booted()
        wait_card(guest)
        wait_node(guest)
    for stream in streams:
        with lab.step(f"{stream.__name__} as in A"):
            arrives(stream)

    with lab.step("sound that is broken off does not harm what is played next"):
        guest.run(f"timeout 1 play {FRAMES}", check=False)
        arrives(sound)

    with lab.step("unplugged in the midst of a stream, plugged in again, streaming again"):
        guest.run(f"iso in {wait_node(guest)} 1000000 >/run/iso.log 2>&1 &")
        device.wait_streaming()
        device.unplug()
        wait_until(lambda: not sysfs.node(guest, DEVICE_SERIAL), 60, "the device is gone in B")
        ended = wait_until(lambda: guest.run("cat /run/iso.log"), 60, "the stream ends in B")
        expect("what the stream ended with", "iso: No such device", ended)
        device.plug()
        arrives(packets_in)

    with lab.step("after SIGTERM the server ends with status 0, and A's driver has the card again"):
        expect("status", 0, server.stop())
        sysfs.wait_driver(host, CARD_SERIAL, "snd-usb-audio")


def play(machine):
    wait_card(machine)
    machine.run(f"play {FRAMES}", timeout=120)


def wait_card(machine):
    wait_until(lambda: machine.holds("[ -c /dev/dsp ]"), 60, f"the card is there in {machine.name}")


def wait_node(machine):
    return wait_until(lambda: sysfs.node(machine, DEVICE_SERIAL), 60, f"the device is there in {machine.name}")


def since_last_start(numbers):
    """Without the rest of a stream that was broken off: the card plays it when it starts again."""
    starts = [i for i, (a, b) in enumerate(zip(numbers, numbers[1:]), start=1) if b <= a and b < FRAMES / 100]
    return numbers[starts[-1]:] if starts else numbers


def lost(lab, what, sent, numbers):
    """Checks numbers that were sent in the order 1…`sent`; the share of them that is missing."""
    gaps = [(a, b) for a, b in zip(numbers, numbers[1:]) if b != a + 1]
    lab.report(f"{what}: {len(numbers)} of {sent}, {len(gaps)} gaps {gaps[:5]}")
    if any(b <= a for a, b in gaps):
        raise AssertionError(f"{what}: out of order: {gaps[:5]}")
    return 1 - len(numbers) / sent
