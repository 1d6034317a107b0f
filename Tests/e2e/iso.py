"""A CD image with a handful of files in its root directory. ISO 9660 (ECMA-119) is little more than one descriptor and
one directory; written here, it needs no tool.
"""

import struct

BLOCK = 2048
# 16 blocks of system area, the descriptor, the terminator, the path table, then the root directory.
PATH_TABLE, ROOT, FIRST_FILE = 18, 19, 20


def image(files):
    """The image of {NAME: bytes}; names are upper case, as in DATA.BIN."""
    records, extents, block = [], [], FIRST_FILE
    for name, data in sorted(files.items()):
        records.append(record(f"{name};1".encode(), block, len(data), 0))
        extents.append(padded(data))
        block += len(extents[-1]) // BLOCK
    directory = padded(record(b"\0", ROOT, BLOCK, 2) + record(b"\1", ROOT, BLOCK, 2) + b"".join(records))
    assert len(directory) == BLOCK
    path_table = struct.pack("<BBIH", 1, 0, ROOT, 1) + b"\0\0"
    return (bytes(16 * BLOCK) + descriptor(block, len(path_table)) + padded(b"\xffCD001\x01") + padded(path_table)
            + directory + b"".join(extents))


def descriptor(blocks, path_table_size):
    """The primary volume descriptor, ECMA-119, 8.4."""
    text = b" " * 128
    head = (b"\x01CD001\x01\0" + b" " * 32 + b"E2E".ljust(32) + bytes(8) + both32(blocks) + bytes(32)
            + both16(1) + both16(1) + both16(BLOCK) + both32(path_table_size)
            + struct.pack("<II", PATH_TABLE, 0) + struct.pack(">II", 0, 0) + record(b"\0", ROOT, BLOCK, 2))
    return padded(head + text * 4 + b" " * 37 * 3 + (b"0" * 16 + b"\0") * 4 + b"\x01\0")


def record(name, block, size, flags):
    """A directory record, ECMA-119, 9.1."""
    length = 33 + len(name) + (len(name) + 1) % 2
    fields = (struct.pack("<BB", length, 0) + both32(block) + both32(size) + bytes([100, 1, 1, 0, 0, 0, 0, flags, 0, 0])
              + both16(1) + bytes([len(name)]) + name)
    return fields.ljust(length, b"\0")


def both16(value):
    return struct.pack("<H", value) + struct.pack(">H", value)


def both32(value):
    return struct.pack("<I", value) + struct.pack(">I", value)


def padded(data):
    return data + bytes(-len(data) % BLOCK)
