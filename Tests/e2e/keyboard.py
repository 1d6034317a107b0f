"""A US keyboard from three sides: text, HID usages, and the key codes that Linux' evdev reports."""

import random
import string

SHIFTS = (42, 54)
CAPS_LOCK_LED = 1

# evdev codes count along the rows of the keyboard: code of the first key, then the row plain and shifted.
ROWS = [
    (2, "1234567890-=", "!@#$%^&*()_+"),
    (15, "\tqwertyuiop[]\n", "\tQWERTYUIOP{}\n"),
    (30, "asdfghjkl;'`", "ASDFGHJKL:\"~"),
    (43, "\\zxcvbnm,./", "|ZXCVBNM<>?"),
    (57, " ", " "),
]
PLAIN = {first + i: key for first, plain, _ in ROWS for i, key in enumerate(plain)}
SHIFTED = {first + i: key for first, _, shifted in ROWS for i, key in enumerate(shifted)}

# HID usages of the keys a…z, 1…0 in the order of the HID usage tables.
USAGES = {key: 4 + i for i, key in enumerate(string.ascii_lowercase + "1234567890")}
CODES = {key: code for code, key in PLAIN.items()}


def text_of(events):
    """What was typed, from key events; a release without its press shows up as such."""
    text, down = [], set()
    for code, value in events:
        if value == 0:
            if code not in down:
                text.append(f"<release of {code}>")
            down.discard(code)
            continue
        down.add(code)
        if code not in SHIFTS:
            layout = SHIFTED if down.intersection(SHIFTS) else PLAIN
            text.append(layout.get(code, f"<key {code}>"))
    return "".join(text) + "".join(f"<{code} still pressed>" for code in sorted(down))


def events_of(keys):
    """What evdev reports when each key is pressed and released, as (code, value)."""
    return [(CODES[key], value) for key in keys for value in (1, 0)]


def sample_text(length):
    """Every character of the layout, the same key twice with and without shift, and a mix; the same each time."""
    everything = "".join(PLAIN.values()) + "".join(sorted(set(SHIFTED.values()) - {"\t", "\n", " "}))
    mixed = random.Random(1).choices(everything, k=length - len(everything) - 16)
    return everything + "aabbAABB11!!aAaA" + "".join(mixed)


def sample_keys(count):
    """Keys of the letters and digits, some of them twice in a row; the same each time."""
    return random.Random(2).choices(list(USAGES), k=count)
