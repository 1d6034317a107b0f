"""A virtual disk read whole, written and read back, as usb-storage does it: command, data, status (BOT, SCSI)."""

import hashlib
import os
import struct

from ports import free_port
from steps import expect
from usbguest import ENDPOINT_INFO, SUCCESS, Guest

BLOCK, BLOCKS = 512, 24 << 10
# What the kernel asks for at once, and more than that.
SIZES = (120 << 10, 1 << 20, 8 << 20)
READ_CAPACITY, READ, WRITE, SYNCHRONIZE = 0x25, 0x28, 0x2A, 0x35


# Beyond 4 GiB: the image takes no room where nothing is written.
LARGE = 5 << 30


def run(bench):
    small_image(bench)
    large_image(bench)


def small_image(bench):
    port = free_port()
    image = bench.directory / "image"
    content = os.urandom(BLOCK * BLOCKS)
    image.write_bytes(content)
    with bench.binary.serve(bench.log, f"virtual=disk,image={image},listen=127.0.0.1:{port}"):
        with Guest(port) as guest:
            disk = Disk(guest)
            # The highest block's number, and the size of a block.
            expect("capacity", struct.pack(">II", BLOCKS - 1, BLOCK), disk.command(READ_CAPACITY, reads=8))
            for size in SIZES:
                expect("sha256", digest(content), digest(disk.read_all(size)))
            written = os.urandom(3 << 20)
            disk.write(BLOCKS - len(written) // BLOCK, written)
            disk.command(SYNCHRONIZE)
            content = content[:-len(written)] + written
            expect("sha256", digest(content), digest(disk.read_all(1 << 20)))
    expect("sha256 of the image", digest(content), digest(image.read_bytes()))


def large_image(bench):
    port = free_port()
    image = bench.directory / "large"
    with open(image, "wb") as file:
        file.truncate(LARGE)
    first = LARGE // BLOCK - 8
    written = os.urandom(8 * BLOCK)
    with bench.binary.serve(bench.log, f"virtual=disk,image={image},listen=127.0.0.1:{port}"):
        with Guest(port) as guest:
            disk = Disk(guest)
            expect("capacity", struct.pack(">II", LARGE // BLOCK - 1, BLOCK), disk.command(READ_CAPACITY, reads=8))
            disk.write(first, written)
            expect("what was written at the end", True, disk.command(READ, first, 8, reads=8 * BLOCK) == written)
            # Where it would be if an offset had 32 bits.
            wrapped = first - (1 << 32) // BLOCK
            expect("4 GiB before", True, disk.command(READ, wrapped, 8, reads=8 * BLOCK) == bytes(8 * BLOCK))
    with open(image, "rb") as file:
        file.seek(-len(written), os.SEEK_END)
        expect("the image's end", True, file.read() == written)


class Disk:
    def __init__(self, guest):
        types = guest.announcement[ENDPOINT_INFO][:32]
        self._guest, self._tag = guest, 0
        self._out, self._in = types.index(2), types.index(2, 16) - 16 | 0x80

    def read_all(self, size):
        return b"".join(
            self.command(READ, first, count, reads=count * BLOCK)
            for first in range(0, BLOCKS, size // BLOCK) for count in [min(size // BLOCK, BLOCKS - first)])

    def write(self, first, data):
        for offset in range(0, len(data), 1 << 20):
            piece = data[offset:offset + (1 << 20)]
            self.command(WRITE, first + offset // BLOCK, len(piece) // BLOCK, writes=piece)

    def command(self, operation, first=0, count=0, reads=0, writes=b""):
        """One command of ten bytes; the data that it brought."""
        self._tag += 1
        block = struct.pack(">BBIBHB", operation, 0, first, 0, count, 0)
        self._send(struct.pack("<4sIIBBB", b"USBC", self._tag, reads or len(writes), 0x80 if reads else 0, 0, 10)
                   + block.ljust(16, b"\0"))
        if writes:
            self._send(writes)
        data = self._take(reads) if reads else b""
        expect("status", struct.pack("<4sIIB", b"USBS", self._tag, 0, 0), self._take(13))
        return data

    def _send(self, data):
        expect("bulk OUT", (SUCCESS, len(data), b""), self._guest.bulk(self._tag, self._out, data=data))

    def _take(self, count):
        status, length, data = self._guest.bulk(self._tag, self._in, count)
        expect("bulk IN", (SUCCESS, count), (status, length))
        return data


def digest(data):
    return hashlib.sha256(data).hexdigest()
