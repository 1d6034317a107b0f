"""A virtual keyboard types into probes, of the same binary and of this machine's own; then the other way round."""

import json

from ports import free_port
from steps import expect

TEXT = "Wake up, board! ~{}|/? 0123456789"


def run(bench):
    for server, probe in ((bench.binary, bench.binary), (bench.binary, bench.native), (bench.native, bench.binary)):
        port = free_port()
        text = TEXT.replace(",", "\\,")
        with server.serve(bench.log, f"virtual=keyboard,text={text},listen=127.0.0.1:{port}"):
            # Each character is a key that is pressed and released.
            lines = probe.run("probe", "--json", "--count", str(2 * len(TEXT)), f"127.0.0.1:{port}").splitlines()
        events = [json.loads(line) for line in lines]
        typed = "".join(event["text"] for event in events if event["event"] == "report")
        expect("typed", TEXT, typed)
        expect("product", ["Virtual Keyboard"], [event["product"] for event in events if event["event"] == "device"])
