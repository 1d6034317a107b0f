"""serve --user: the process is an ordinary user without capabilities, and serves."""

import os
import pwd

from ports import free_port
from steps import expect
from usbguest import Guest

USER = "nobody"


def run(bench):
    if os.geteuid() != 0:
        print("skipped user: only root can become another user")
        return
    port = free_port()
    with bench.binary.serve(bench.log, "--user", USER, f"virtual=keyboard,listen=127.0.0.1:{port}") as server:
        user = pwd.getpwnam(USER)
        status = server.status()
        expect("users", [str(user.pw_uid)] * 4, status["Uid"].split())
        expect("groups", [str(user.pw_gid)] * 4, status["Gid"].split())
        for capabilities in ("CapPrm", "CapEff"):
            expect(capabilities, 0, int(status[capabilities], 16))
        expect("no new privileges", "1", status["NoNewPrivs"])
        with Guest(port):
            pass
