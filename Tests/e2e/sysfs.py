"""USB devices as a machine's kernel sees them, found by serial number: a bus number is another one each time."""

from steps import wait_until


def node(machine, serial):
    """The usbfs node of the device, empty if it is not there."""
    return _of(machine, serial, "printf '/dev/bus/usb/%03d/%03d' $(cat $d/busnum) $(cat $d/devnum)")


def place(machine, serial):
    """Where it is plugged in: bus and ports, such as 1-1."""
    return _of(machine, serial, "printf $d")


def driver(machine, serial):
    """Name of the driver that has its first interface, "none" if none has it, empty if it is not there."""
    return _of(machine, serial, "basename $(readlink $d:1.0/driver || echo none)")


def block(machine, serial):
    """The block device of a disk, empty if there is none (yet): sysfs has it a moment before /dev."""
    return _of(
        machine, serial,
        "for b in $d:1.0/host*/target*/*/block/*; do [ -e \"$b\" ] && [ -b \"/dev/${b##*/}\" ] && "
        "[ $(cat \"$b/size\") -gt 0 ] && printf \"/dev/${b##*/}\"; done")


def wait_configured(machine, serial):
    """Waits until the kernel is done with asking: it makes an interface when all requests of enumeration are answered."""
    wait_until(lambda: _of(machine, serial, "[ -d $d:1.0 ] && printf yes"), 60, f"{machine.name} has configured {serial}")


def wait_driver(machine, serial, name):
    wait_until(lambda: driver(machine, serial) == name, 60, f"{name} has {serial} in {machine.name}")


def _of(machine, serial, command):
    return machine.run(
        f"cd /sys/bus/usb/devices; for d in *; do [ \"$(cat $d/serial 2>/dev/null)\" = {serial} ] && {command};"
        " done; true")
