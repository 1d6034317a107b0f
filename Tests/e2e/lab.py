"""The laboratory of one scenario run: its directory, its machines and servers, and the end of all of them.

The usb-host side is either the server running here, or a machine "A" with gadgets and the server in it. The
usb-guest side is a machine "B" whose QEMU has usb-redir devices.
"""

import functools
import pathlib
import shutil
import tempfile

import architecture
import image
from kernel import Kernel
from server import LocalServer, MachineServer
from vm import MEMORY, VM

# What a usb-guest's kernel needs for the controllers that usb-redir is plugged into, for keyboards, pointers and
# disks. A scenario names what it needs beside that: a module costs time at every boot.
GUEST_MODULES = ["xhci-pci", "ehci-pci", "usbhid", "hid-generic", "evdev", "usb-storage", "sd_mod"]

# One bus per gadget, and the drivers of a real usb-host first: the server has to take a device from them.
HOST_MODULES = [
    "e1000", "usbhid", "hid-generic", "usb-storage", "sd_mod", "dummy_hcd num=4", "usb_f_hid", "usb_f_mass_storage"]

# Machine A's cable goes to a hub, and another from there to the rest of the world. Without the first A's kernel knows
# that it is cut off, without the second it hears nothing more.
NEAR_CABLE, FAR_CABLE = "near", "far"

SERVER_IN_MACHINE = "bin/usbredir-evloop"


class Lab:
    def __init__(self, binary, steps):
        self.binary = binary
        self.step = steps.step
        self._tell = steps.tell
        self._kernel = functools.cache(Kernel)
        # Machine A is what the binary was built for; B has the build machine's processor.
        self._of_host = architecture.of_program(binary)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="e2e-"))
        self._machines = []
        self._servers = []
        self._local = []

    def usb_host(self, *ports, modules=(), arguments=(), memory=MEMORY, udev=True, programs=()):
        """Machine A, already booting; the `ports` of the build machine lead to the ports 4000, 4001… in it. `memory`:
        MiB. Without the udev daemon Debian's libusb never hears that a device came or went. `programs`: {path: program}
        beside the server."""
        programs = {SERVER_IN_MACHINE: self.binary, **dict(programs)}
        if udev:
            programs["bin/udevd"] = self._of_host.udevd()
        forwards = [f",hostfwd=tcp:127.0.0.1:{port}-10.0.2.15:{4000 + i}" for i, port in enumerate(ports)]
        return self._start("A", self._of_host, [*HOST_MODULES, *modules], programs, [
            "-netdev", f"user,id={FAR_CABLE},restrict=on{''.join(forwards)}",
            "-netdev", f"hubport,hubid=0,id=port0,netdev={FAR_CABLE}", "-netdev", f"hubport,hubid=0,id={NEAR_CABLE}",
            "-device", f"e1000,netdev={NEAR_CABLE},romfile=",
            *arguments], memory)

    def usb_guest(self, controllers, redirections, modules=()):
        """Machine B, already booting: USB controllers, and the connections that usb-redir devices are fed from."""
        arguments = [word for controller in controllers for word in ("-device", controller)]
        for number, (bus, chardev) in enumerate(redirections):
            arguments += ["-chardev", f"socket,id=c{number},reconnect=1,{chardev}",
                          "-device", f"usb-redir,chardev=c{number},bus={bus},debug=2"]
        return self._start("B", architecture.NATIVE, [*GUEST_MODULES, *modules], {}, arguments)

    def serve(self, exports, stdin=None):
        """The server on the build machine."""
        server = LocalServer(self.binary, exports, self.directory / f"server{len(self._servers)}", stdin)
        self._servers.append(server)
        self._local.append(server)
        return server

    def serve_in(self, host, devices, program=f"/{SERVER_IN_MACHINE}", options=()):
        """The server in machine A, listening: the `devices` that it exports are to be had at the ports 4000, 4001…
        `program`: a command that becomes the server when `serve` and so on are added.
        """
        exports = {4000 + i: f"{device},listen=0.0.0.0:{4000 + i}" for i, device in enumerate(devices)}
        server = MachineServer(host, program, [*options, *exports.values()])
        self._servers.append(server)
        for port in exports:
            server.wait_listening(port)
        return server

    def report(self, text):
        """What a scenario measured: shown with --verbose, and kept with --keep, in the file report.txt."""
        with open(self.directory / "report.txt", "a") as report:
            report.write(text + "\n")
        self._tell(text)

    def logs(self):
        """The end of what each part had to say, for the report of a failure, as (name, lines)."""
        for server in self._servers:
            try:
                yield "server", last_lines(server.log())
            except (AssertionError, OSError) as error:
                yield "server", [f"its log cannot be read: {error}"]
        for log in sorted(self.directory.glob("*/*.log")):
            yield str(log.relative_to(self.directory)), last_lines(log.read_text(errors="replace"))

    def close(self, keep):
        for end in self._local + self._machines:
            end.kill()
        if not keep:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self, name, of, modules, programs, arguments, memory=MEMORY):
        kernel = self._kernel(of)
        machine = image.machine(of, kernel, modules, programs)
        directory = self.directory / f"{name}{len(self._machines)}"
        started = VM(name, directory, of, kernel, machine, arguments, memory)
        self._machines.append(started)
        return started


def last_lines(text):
    return text.splitlines()[-25:]
