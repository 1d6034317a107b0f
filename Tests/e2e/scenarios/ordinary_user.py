"""The server as an ordinary user whom the packaged udev rule lets use some keyboards, and not another one.

    machine A (usb-host)                                                               this process
    f_hid gadgets ─▶ dummy_hcd ─▶ usbfs, nodes root:usbredir by udev ─▶ server :4000… ◀─ usb-guests

Started by that user, and by root with --user. A keyboard for each line of the rule, and one that none is for.
"""

import re
import shlex

import sysfs
from cache import ROOT
from keyboardguest import KeyboardGuest
from lab import SERVER_IN_MACHINE
from ports import free_ports
from seat import Seat
from steps import expect, wait_until

USER, UID = "usbredir", 990
RULES = ROOT / "packaging" / "70-usbredir-evloop.rules"
RULES_IN_A = "/etc/udev/rules.d/70-usbredir-evloop.rules"

# The products of the keyboards: what the lines of the rule name by id, by serial number, by port, and another.
PRODUCTS = [0x0104, 0x0105, 0x0106, 0x0107]

# How the server becomes that user, as (what, program, options). busybox' su goes on as the program that it starts.
STARTS = [
    ("by an ordinary user", f"su -s /{SERVER_IN_MACHINE} {USER}", ()),
    ("by root with --user", f"/{SERVER_IN_MACHINE}", ("--user", USER)),
]


def run(lab):
    ports = free_ports(len(PRODUCTS))
    host = lab.usb_host(*ports)

    with lab.step("A's own driver has the keyboards, and udev the rule"):
        make_user(host.booted())
        host.run("ln -s udevd /bin/udevadm && udevd --daemon")
        seats = [Seat(host, number, port, product) for number, (port, product) in enumerate(zip(ports, PRODUCTS))]
        for seat in seats:
            seat.wait_back()
        add_rules(host, RULES_IN_A, packaged_rules(host, seats))
    *covered, other = seats

    for what, program, options in STARTS:
        with lab.step(f"started {what}, it has that user's rights and no more"):
            server = lab.serve_in(host, [seat.selector for seat in seats], program, options)
            expect_ordinary(server)

        for seat in covered:
            with lab.step(f"started {what}: {seat.device_id} is taken from its driver, serves and goes back"):
                seat.serves()

        with lab.step(f"started {what}: unplugged and plugged in it has another node, and is announced again"):
            replug(host, covered[0])

        with lab.step(f"started {what}: a keyboard without a rule is refused, in one line"):
            with KeyboardGuest(other.port, is_plugged=False) as guest:
                wait_until(lambda: denials(server), 60, "a line of the log about it")
                expect("driver in A", "usbhid", other.driver())
                [(line, file, rule)] = denials(server)
                lab.report(line)
                if program == STARTS[-1][1]:
                    follow(host, other, guest, file, rule)
            other.wait_back()

        with lab.step(f"started {what}: after SIGTERM it ends with status 0, and A's driver has the keyboard again"):
            with covered[0].guest() as guest:
                covered[0].works(guest)
                expect("status", 0, server.stop())
                guest.wait_closed()
            for seat in seats:
                seat.wait_back()
            expect("lines about the keyboard without a rule", 1, len(denials(server)))


def make_user(host):
    """The group of the packaged rule, and another one that the server's advice is about."""
    host.run(
        f"echo 'root:x:0:0::/:/bin/sh' >/etc/passwd && echo '{USER}:x:{UID}:{UID}::/:/bin/sh' >>/etc/passwd"
        f" && printf '%s\\n' root:x:0: plugdev:x:46:{USER} {USER}:x:{UID}: >/etc/group")


def packaged_rules(host, seats):
    """The lines of the package's file, all in force, with this laboratory's keyboards in place of its examples."""
    by_id, by_serial, by_port, _ = seats
    text = RULES.read_text()
    for seat, vendor, product in ((by_id, "046d", "c31c"), (by_serial, "0403", "6001")):
        for example, own in zip((vendor, product), seat.device_id.split(":")):
            text = replaced(text, f'"{example}"', f'"{own}"')
    text = replaced(text, '"A10"', f'"{by_serial.serial}"')
    text = replaced(text, '"1-1.2*"', f'"{sysfs.place(host, by_port.serial)}*"')
    rules = re.sub(r"^#(?=SUBSYSTEM)", "", text, flags=re.MULTILINE)
    expect("rules in the package", 3, len(re.findall(r"^SUBSYSTEM", rules, flags=re.MULTILINE)))
    return rules


def replaced(text, example, own):
    expect(f"how often {RULES.name} has {example}", 1, text.count(example))
    return text.replace(example, own)


def add_rules(host, file, rules):
    """As the file's first lines say."""
    lines = " ".join(shlex.quote(line) for line in rules.splitlines())
    host.run(f"mkdir -p /etc/udev/rules.d && printf '%s\\n' {lines} >{file}")
    host.run("udevadm control --reload && udevadm trigger --subsystem-match=usb --action=add && udevadm settle")


def expect_ordinary(server):
    status = dict(re.findall(r"(\w+):\t(.*)", server.proc("status")))
    expect("users", [str(UID)] * 4, status["Uid"].split())
    expect("groups", [str(UID)] * 4, status["Gid"].split())
    for capabilities in ("CapInh", "CapPrm", "CapEff"):
        expect(capabilities, 0, int(status[capabilities], 16))
    expect("NoNewPrivs", "1", status["NoNewPrivs"])


def replug(host, seat):
    node = sysfs.node(host, seat.serial)
    with seat.guest() as guest:
        seat.works(guest)
        seat.gadget.unbind()
        guest.wait_unplugged()
        seat.gadget.bind()
        guest.wait_plugged()
        seat.works(guest)
        expect("the node is the same", False, sysfs.node(host, seat.serial) == node)
    seat.wait_back()


def denials(server):
    """Lines of its log that say that it may not open a device, as (line, file, rule): what would help."""
    lines = [line for line in server.log().splitlines() if "permission denied" in line]
    return [(line, *advice(line)) for line in lines]


def advice(line):
    found = re.search(r"owned by root:root, mode 0600; .* add to (\S+): (SUBSYSTEM.*\"0660\")", line)
    if not found:
        raise AssertionError(f"no advice in `{line}`")
    return found.groups()


def follow(host, seat, guest, file, rule):
    """With the rule of the advice the same guest gets the keyboard, while it waits."""
    add_rules(host, file, rule)
    guest.wait_plugged()
    seat.works(guest)
