"""A keyboard of machine A, and the port of the build machine that leads to its export, where a guest finds it."""

import gadgets
import keyboard
import sysfs
from keyboardguest import KeyboardGuest
from steps import expect

KEYS = keyboard.sample_keys(20)


class Seat:
    def __init__(self, host, number, port, product=gadgets.PRODUCT):
        self.port, self._host, self._number = port, host, number
        self.serial = f"E2E000{number + 1}"
        self.device_id = f"{gadgets.VENDOR:04x}:{product:04x}"
        self.gadget = gadgets.Gadget(
            host, number, gadgets.boot_keyboard(), self.serial, (gadgets.VENDOR, product))
        self.gadget.bind()

    @property
    def selector(self):
        """What its export begins with."""
        return f"id={self.device_id},serial={self.serial}"

    def guest(self):
        guest = KeyboardGuest(self.port)
        expect("driver in A", "usbfs", self.driver())
        return guest

    def type(self, keys):
        gadgets.type_keys(self._host, keys, self._number)

    def typing(self):
        return gadgets.typing(self._host, self._number)

    def driver(self):
        return sysfs.driver(self._host, self.serial)

    def wait_back(self):
        sysfs.wait_driver(self._host, self.serial, "usbhid")

    def works(self, guest):
        self.type(KEYS)
        guest.take_keys(KEYS)

    def serves(self):
        """The next guest has the keyboard, and gets every key."""
        with self.guest() as guest:
            self.works(guest)
        self.wait_back()
