"""The source and sink: control, bulk of up to 8 MiB a transfer, interrupt and isochronous streams, and refusals."""

import struct

from ports import free_port
from steps import expect
from usbguest import (ALT_SETTING_STATUS, ENDPOINT_INFO, INTERFACE_INFO, INTERRUPT_PACKET,
                      INTERRUPT_RECEIVING_STATUS, INVAL, ISO_PACKET, ISO_STREAM_STATUS, SET_ALT_SETTING,
                      START_INTERRUPT_RECEIVING, START_ISO_STREAM, STOP_ISO_STREAM, SUCCESS, Guest)

PATTERN = bytes(number % 63 for number in range(1024))
LARGEST = 8 << 20


def run(bench):
    port = free_port()
    with bench.binary.serve(bench.log, f"virtual=source-sink,listen=127.0.0.1:{port}"):
        with Guest(port) as guest:
            control(guest)
            bulk(guest)
            streams(guest)


def control(guest):
    """Vendor requests of gadget zero: keep these bytes, give them back."""
    data = bytes(range(256)) * 16
    expect("kept", SUCCESS, guest.control(1, 0x40, 0x5B, data=data)[0])
    expect("given back", (SUCCESS, data), guest.control(2, 0xC0, 0x5C, length=len(data)))


def bulk(guest):
    for length in (0, 1, 511, 512, 65536, 65537, 1 << 20, LARGEST):
        packets, rest = divmod(length, 512)
        expect("bulk IN", (SUCCESS, length, PATTERN[:512] * packets + PATTERN[:rest]), guest.bulk(length, 0x81, length))
        expect("bulk OUT", (SUCCESS, length, b""), guest.bulk(length, 0x01, data=bytes(length)))
    expect("bulk IN beyond the limit", INVAL, guest.bulk(1, 0x81, LARGEST + 1)[0])
    expect("bulk OUT beyond the limit", INVAL, guest.bulk(2, 0x01, data=bytes(LARGEST + 1))[0])
    # Answers leave in the order of the requests, refusals included.
    for id in range(40):
        guest.send_bulk(id, 0x81, 65536 if id % 4 else 0xFFFF_FFFF)
    for id in range(40):
        expect("status", SUCCESS if id % 4 else INVAL, guest.bulk_answer(id)[0])


def streams(guest):
    guest.send(SET_ALT_SETTING, 0, bytes([0, 1]))
    guest.answer(ENDPOINT_INFO, 0)
    guest.answer(INTERFACE_INFO, 0)
    expect("setting", bytes([SUCCESS, 0, 1]), guest.answer(ALT_SETTING_STATUS, 0))
    guest.send(START_INTERRUPT_RECEIVING, 0, b"\x83")
    expect("started", bytes([SUCCESS, 0x83]), guest.answer(INTERRUPT_RECEIVING_STATUS, 0))
    for number in range(200):
        expect("report", struct.pack("<BBH", 0x83, SUCCESS, 64) + PATTERN[:64], guest.answer(INTERRUPT_PACKET, number))
    # From here on reports come in between, so only what is isochronous is looked at.
    guest.send(START_ISO_STREAM, 0, bytes([0x82, 8, 4]))
    guest.send(START_ISO_STREAM, 0, bytes([0x02, 8, 4]))
    expected = {ISO_STREAM_STATUS: [bytes([SUCCESS, 0x82]), bytes([SUCCESS, 0x02])]}
    packet = struct.pack("<BBH", 0x82, SUCCESS, 1024) + PATTERN
    last = -1
    while last < 500:
        got = guest.packet()
        if got.kind == ISO_STREAM_STATUS:
            expect("status", expected[ISO_STREAM_STATUS].pop(0), got.body)
        elif got.kind == ISO_PACKET:
            # Packets may be dropped on a machine that is busy, but neither repeated nor swapped.
            expect("order", True, got.id > last)
            expect("isochronous packet", packet, got.body)
            last = got.id
            guest.send(ISO_PACKET, got.id, struct.pack("<BBH", 0x02, 0, 1000) + bytes(1000))
    for endpoint in (0x82, 0x02):
        guest.send(STOP_ISO_STREAM, 0, bytes([endpoint]))
        while (got := guest.packet()).kind != ISO_STREAM_STATUS:
            pass
        expect("stopped", bytes([SUCCESS, endpoint]), got.body)
