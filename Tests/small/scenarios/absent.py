"""An export whose device is not plugged in: the guest is greeted and waits, guest after guest."""

import json
import struct

from ports import free_port
from steps import expect
from usbguest import CONTROL_PACKET, IOERROR, Guest


def run(bench):
    version = bench.binary.run("--version")
    expect("program", "usbredir-evloop", version.split()[0])
    expect("list", True, isinstance(json.loads(bench.binary.run("list", "--json")), list))
    port = free_port()
    with bench.binary.serve(bench.log, f"dead:beef,listen=127.0.0.1:{port}"):
        for _ in range(3):
            with Guest(port, expects_device=False) as guest:
                expect("version", version.strip(), guest.version)
                guest.send(CONTROL_PACKET, 7, struct.pack("<BBBBHHH", 0x80, 6, 0x80, 0, 0x0100, 0, 18))
                expect("status", IOERROR, guest.answer(CONTROL_PACKET, 7)[3])
