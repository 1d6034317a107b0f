"""USB devices of machine A, made with configfs. One function describes one gadget; a new one goes beside it."""

import contextlib
from dataclasses import dataclass

import keyboard
from steps import expect, wait_until

VENDOR, PRODUCT = 0x1D6B, 0x0104
DEVICE_ID = f"{VENDOR:04x}:{PRODUCT:04x}"
# The id that the kernel's usbtest driver takes for a source/sink device.
USBTEST_ID = 0x0525, 0xA4A0

# The boot keyboard of the HID specification, appendix B.1: modifiers, a reserved byte, six keys; five LEDs back.
BOOT_KEYBOARD_REPORTS = bytes.fromhex(
    "05010906a101050719e029e71500250175019508810295017508810395057501050819012905910295017503910395067508"
    "1500256505071900296581 00c0")


@dataclass
class Function:
    """One function of a gadget: its configfs name, and its attributes (text, or bytes written in one go)."""
    name: str
    attributes: dict


def boot_keyboard():
    return Function("hid.keyboard", {
        "protocol": "1", "subclass": "1", "report_length": "8", "report_desc": BOOT_KEYBOARD_REPORTS})


def type_keys(machine, keys, number=0):
    """Presses and releases keys of the keyboard that was made as number so and so."""
    usages = " ".join(f"{keyboard.USAGES[key]:x}" for key in keys)
    machine.run(f"echo {usages} | hidg type /dev/hidg{number}", timeout=120)


@contextlib.contextmanager
def typing(machine, number=0):
    """One key again and again, without end. What the driver was given last may still be on its way afterwards."""
    machine.run(f"(yes 4 | hidg type /dev/hidg{number}) >/dev/null 2>&1 &")
    try:
        yield
    finally:
        machine.run("killall hidg")
        wait_until(lambda: not machine.holds("pidof hidg >/dev/null"), 60, "the end of typing")


def disk(path):
    return Function("mass_storage.disk", {"lun.0/file": path})


def source_sink(pattern=1):
    """Bulk; what usbtest writes and expects with the same `pattern`: 1 counts within a packet, 0 is all zeroes."""
    return Function("SourceSink.test", {"pattern": str(pattern)})


def serial_port():
    """A CDC ACM port: /dev/ttyGS0 on the inside, /dev/ttyACM0 where it is plugged in."""
    return Function("acm.port", {})


def interrupt_source_sink():
    """Interrupt endpoints both ways, in the pattern of usbtest; its inside is a program, `InterruptProgram`."""
    return Function("ffs.interrupt", {})


class InterruptProgram:
    """The program in A that is the inside of an `interrupt_source_sink`. Started before the gadget is bound."""

    def __init__(self, machine):
        self._machine = machine
        self._taken = 0
        machine.run("mkdir -p /run/ffs && mount -t functionfs interrupt /run/ffs")
        machine.run("ffs /run/ffs >/run/ffs.log 2>&1 &")
        wait_until(lambda: self._said("ready"), 60, "the gadget's program is ready")

    def wait_packets(self, count):
        """Waits until so many packets have come since the last call. None may have other data than usbtest writes."""
        self._taken += count
        wait_until(
            lambda: self._said("good") + self._said("bad") >= self._taken, 60, f"{count} packets in the gadget")
        expect("packets with other data", 0, self._said("bad"))
        expect("packets in the gadget, in all", self._taken, self._said("good"))

    def _said(self, word):
        return int(self._machine.run(f"grep -cx {word} /run/ffs.log; true"))


class Gadget:
    """A USB device with one function, on the dummy bus `number`. Not plugged in before `bind`."""

    def __init__(self, machine, number, function, serial, device_id=(VENDOR, PRODUCT)):
        self._machine = machine
        self._number = number
        self._path = f"/sys/kernel/config/usb_gadget/g{number}"
        machine.run(" && ".join(self._creation(function, serial, *device_id)))

    def bind(self):
        self._machine.run(f"echo dummy_udc.{self._number} >{self._path}/UDC")

    def unbind(self):
        """Unplugs the device."""
        self._machine.run(f"echo >{self._path}/UDC")

    def _creation(self, function, serial, vendor, product):
        strings, configuration = "strings/0x409", "configs/c.1"
        yield f"mkdir -p {self._path} && cd {self._path}"
        yield f"mkdir -p {strings} {configuration}/{strings} functions/{function.name}"
        yield f"echo {vendor:#06x} >idVendor"
        yield f"echo {product:#06x} >idProduct"
        yield f"echo {serial} >{strings}/serialnumber"
        yield f"echo usbredir-evloop >{strings}/manufacturer"
        yield f"echo {function.name} >{strings}/product"
        for attribute, value in function.attributes.items():
            if isinstance(value, bytes):
                value = "".join(f"\\x{byte:02x}" for byte in value)
            yield f"printf '{value}' >functions/{function.name}/{attribute}"
        yield f"ln -s functions/{function.name} {configuration}"
