"""QEMU's monitor (QMP): what a scenario does to a machine from the outside, such as cutting its network."""

import json
import socket

# Seconds, generous: they only end what would never come.
PATIENCE = 60


class Monitor:
    def __init__(self, path):
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(str(path))
        self._lines = self._socket.makefile("rb")
        self._answer("QMP")
        self.command("qmp_capabilities", {})

    def command(self, name, arguments):
        self._socket.sendall(json.dumps({"execute": name, "arguments": arguments}).encode())
        return self._answer("return")

    def close(self):
        self._lines.close()
        self._socket.close()

    def _answer(self, key):
        """What comes under this key; events come in between."""
        for line in self._lines:
            message = json.loads(line)
            if "error" in message:
                raise AssertionError(f"QEMU's monitor: {message['error']['desc']}")
            if key in message:
                return message[key]
        raise AssertionError("QEMU's monitor closed the connection")
