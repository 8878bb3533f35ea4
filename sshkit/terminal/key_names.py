"""Which key a terminal's sequence stands for: tables of xterm, the VT220, rxvt, the Linux console, kitty.

Called by `sshkit.terminal.keystrokes`.  Sources: xterm's ctlseqs ("PC-Style Function Keys", "VT220-Style",
"modifyOtherKeys"), rxvt's rxvtRef, console_codes(4), and the keyboard protocol of kitty ("CSI u").
"""

#: Bit of a modifier parameter less one -> its name, in the order in which names are put together.
MODIFIERS = ((4, "ctrl"), (2, "alt"), (1, "shift"), (8, "super"), (16, "hyper"), (32, "meta"))
SHIFT, ALT, CONTROL = 1, 2, 4
#: Caps lock and num lock are told too; they change nothing here.
MODIFIER_BITS = 63

#: Final of CSI (and of SS3) without a number.
BY_FINAL = {
    "A": "up",
    "B": "down",
    "C": "right",
    "D": "left",
    "E": "begin",
    "F": "end",
    "H": "home",
    "P": "f1",
    "Q": "f2",
    "R": "f3",
    "S": "f4",
}
#: rxvt's arrows with shift (CSI) and with control (SS3).
RXVT_ARROWS = {"a": "up", "b": "down", "c": "right", "d": "left"}
#: rxvt says modifiers by the final.
RXVT_FINALS = {"^": CONTROL, "$": SHIFT, "@": CONTROL | SHIFT}
#: Number of CSI ... ~.
BY_NUMBER = {
    1: "home",
    2: "insert",
    3: "delete",
    4: "end",
    5: "page-up",
    6: "page-down",
    7: "home",
    8: "end",
    **{11 + index: f"f{index + 1}" for index in range(5)},
    **{17 + index: f"f{index + 6}" for index in range(5)},
    23: "f11",
    24: "f12",
    25: "f13",
    26: "f14",
    28: "f15",
    29: "f16",
    31: "f17",
    32: "f18",
    33: "f19",
    34: "f20",
}
#: CSI [ and a letter: the Linux console's first five.
LINUX = {"A": "f1", "B": "f2", "C": "f3", "D": "f4", "E": "f5"}
#: The application keypad (SS3); what stands for a character types it.
KEYPAD = {
    "j": "*",
    "k": "+",
    "l": ",",
    "m": "-",
    "n": ".",
    "o": "/",
    **{chr(ord("p") + digit): str(digit) for digit in range(10)},
    "X": "=",
}
#: Control characters with names of their own; the others are ctrl- and a character.
CONTROLS = {
    0x00: "ctrl-space",
    0x09: "tab",
    0x0D: "enter",
    0x1B: "escape",
    0x7F: "backspace",
}
#: Codes of CSI u that are no characters: kitty's keypad and functional keys.
FUNCTIONAL = {
    **{57399 + digit: str(digit) for digit in range(10)},
    57409: ".",
    57410: "/",
    57411: "*",
    57412: "-",
    57413: "+",
    57414: "enter",
    57415: "=",
    57416: ",",
    57417: "left",
    57418: "right",
    57419: "up",
    57420: "down",
    57421: "page-up",
    57422: "page-down",
    57423: "home",
    57424: "end",
    57425: "insert",
    57426: "delete",
    57427: "begin",
    **{57376 + index: f"f{index + 13}" for index in range(23)},
}
#: Functional codes lie here; one that is in no table (a media key, a bare modifier) does nothing.
FUNCTIONAL_RANGE = range(57344, 63744)


def control_name(code: int) -> str:
    """Return the name of a control character of C0, or of DEL."""
    return CONTROLS.get(code) or f"ctrl-{chr(code | 0x60 if code < 0x1B else code | 0x40)}"


def with_modifiers(name: str, modifiers: int) -> str:
    """Return the name with its modifiers in front: "ctrl-alt-left"."""
    if not modifiers & MODIFIER_BITS:
        return name
    return "-".join([*(word for bit, word in MODIFIERS if modifiers & bit), name])
