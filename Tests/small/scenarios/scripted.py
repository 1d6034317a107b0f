"""A scripted device and a guest that goes through the protocol: every form of the hello, thousands of reports in order, a
stall, wrong packets, and lengths and ids that fill their fields.
"""

import struct

from ports import free_port
from steps import expect
from usbguest import (ALL, BULK_LENGTH32, BULK_PACKET, BULK_STREAMS, CONTROL_PACKET, DEVICE_CONNECT, ENDPOINT_INFO,
                      GET_CONFIGURATION, IDS64, INTERRUPT_PACKET, INTERRUPT_RECEIVING_STATUS, MAX_PACKET_SIZE, STALL,
                      BUFFERED_BULK_PACKET, BULK_RECEIVING_STATUS,
                      START_BULK_RECEIVING, START_INTERRUPT_RECEIVING, STOP_INTERRUPT_RECEIVING, SUCCESS, INVAL, Guest)

REPORTS = 3000
IN, OUT, BULK_IN, BULK_OUT = 0x81, 0x01, 0x82, 0x02
# A tenth of the budget of one hello, so that it is not the guest's own mistakes that end the connection.
BAD_PACKETS_BEARABLE = 100


def run(bench):
    port = free_port()
    script = bench.directory / "script"
    reports = [struct.pack("<I", number) for number in range(REPORTS)]
    script.write_text("".join(f"report 81 {report.hex()}\n" for report in reports) + "stall 81\nreport 81 aa\n")
    with bench.binary.serve(bench.log, f"virtual=scripted,script={script},listen=127.0.0.1:{port}"):
        with Guest(port) as guest:
            receive_in_order(guest, reports)
        for capabilities in (None, 0, IDS64, MAX_PACKET_SIZE, BULK_STREAMS, BULK_LENGTH32, ALL & ~BULK_STREAMS, ALL):
            with Guest(port, capabilities) as guest:
                announcement(guest)
                bulk_out(guest)
        with Guest(port) as guest:
            wrong_packets(guest)
        with Guest(port) as guest:
            too_many_wrong_packets(guest)
        untrustworthy_lengths(port)
        # After all that the next guest is served as the first was.
        with Guest(port) as guest:
            bulk_out(guest)


def receive_in_order(guest, reports):
    """B4: start, every report once and in order, a stall that is recovered (from id 0), stop."""
    guest.send(START_INTERRUPT_RECEIVING, 0, bytes([IN]))
    expect("started", bytes([SUCCESS, IN]), guest.answer(INTERRUPT_RECEIVING_STATUS, 0))
    for number, report in enumerate(reports):
        expect("report", struct.pack("<BBH", IN, SUCCESS, 4) + report, guest.answer(INTERRUPT_PACKET, number))
    expect("report behind the stall", struct.pack("<BBH", IN, SUCCESS, 1) + b"\xaa",
           guest.answer(INTERRUPT_PACKET, 0))
    guest.send(STOP_INTERRUPT_RECEIVING, 0, bytes([IN]))
    expect("stopped", bytes([SUCCESS, IN]), guest.answer(INTERRUPT_RECEIVING_STATUS, 0))


def announcement(guest):
    """B1.4: sizes follow what is in force."""
    size = 96
    if guest.capabilities & MAX_PACKET_SIZE:
        size = 288 if guest.capabilities & BULK_STREAMS else 160
    endpoints = guest.announcement[ENDPOINT_INFO]
    expect("size of ep_info", size, len(endpoints))
    expect("types of endpoints", [0, 3, 2], list(endpoints[:3]))
    expect("size of device_connect", 10 if guest.capabilities & 2 else 8, len(guest.announcement[DEVICE_CONNECT]))


def bulk_out(guest):
    id = 0xFFFF_FFFE_8000_0001 if guest.capabilities & IDS64 else 0x8000_0001
    expect("bulk OUT", (SUCCESS, 1000, b""), guest.bulk(id, BULK_OUT, data=bytes(1000)))


def wrong_packets(guest):
    """B1.7, B4.1, B4.6: each costs itself; what has a legal answer gets one."""
    for endpoint in (0x8F, BULK_IN):
        guest.send(START_INTERRUPT_RECEIVING, 0, bytes([endpoint]))
        expect("ended", struct.pack("<BBH", endpoint, STALL, 0), guest.answer(INTERRUPT_PACKET, 0))
        expect("ended", bytes([STALL, endpoint]), guest.answer(INTERRUPT_RECEIVING_STATUS, 0))
    guest.send(START_BULK_RECEIVING, 0, struct.pack("<IIBB", 0, 0xFFFF_FFFF, BULK_IN, 16))
    expect("ended", struct.pack("<IIBB", 0, 0, BULK_IN, SUCCESS), guest.answer(BUFFERED_BULK_PACKET, 0))
    expect("ended", struct.pack("<IBB", 0, BULK_IN, STALL), guest.answer(BULK_RECEIVING_STATUS, 0))
    # No legal answer: an OUT endpoint, unknown types, lengths that are wrong.
    guest.send(START_INTERRUPT_RECEIVING, 0, bytes([OUT]))
    guest.send(99, 0, bytes(7))
    guest.send(0xFFFF_FFFF, 0, bytes(70000))
    guest.send(GET_CONFIGURATION, 0, bytes(5))
    # A bulk header whose length is beyond every limit; then data that its header does not announce.
    for length in (0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF):
        guest.send(BULK_PACKET, length, guest.bulk_header(BULK_IN, length))
        expect("bulk IN", INVAL, guest.bulk_answer(length)[0])
    guest.send(BULK_PACKET, 5, guest.bulk_header(BULK_OUT, 0xFFFF_FFFF) + bytes(100))
    expect("bulk OUT", INVAL, guest.bulk_answer(5)[0])
    expect("string", (SUCCESS, b"\x04\x03\x09\x04"), guest.control(6, 0x80, 6, 0x0300, 0, 255))


def too_many_wrong_packets(guest):
    for number in range(BAD_PACKETS_BEARABLE + 1):
        guest.send(99, number)
    expect("connection", None, guest.packet())


def untrustworthy_lengths(port):
    """B1.7: a packet longer than 128 MiB + 1 KiB is none, whatever its length is as a signed number."""
    for length in ((128 << 20) + 1025, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_FFFF):
        with Guest(port) as guest:
            guest.send(CONTROL_PACKET, 1, bytes(10), length=length)
            expect("connection", None, guest.packet())
