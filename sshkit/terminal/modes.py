"""Modes of a terminal on the wire: one opcode and one number each (RFC 4254 section 8).

The client's command encodes its own terminal's modes; the server applies them to the session's terminal.
Opcode 42 is of RFC 8160.  Opcodes that the system does not know are skipped.
"""

import termios

from sshkit_keys.errors import WireError

END = 0  #: TTY_OP_END
INPUT_SPEED, OUTPUT_SPEED = 128, 129
#: From here on nobody knows how long an argument is, so reading stops (RFC 4254 section 8).
FIRST_UNDEFINED = 160
#: On the wire, a character that is switched off (RFC 4254 section 8, VINTR).
DISABLED_ON_WIRE = 255
#: The same in a termios structure: 0 on Linux, 255 on the BSDs and macOS.
_DISABLED = 0 if hasattr(termios, "TCGETS") else 255
_INPUT, _OUTPUT, _CONTROL, _LOCAL, _INPUT_SPEED, _OUTPUT_SPEED, _CHARACTERS = range(7)

#: Opcode -> name of the character's index; not every system has all of them.
CHARACTERS = {
    1: "VINTR",
    2: "VQUIT",
    3: "VERASE",
    4: "VKILL",
    5: "VEOF",
    6: "VEOL",
    7: "VEOL2",
    8: "VSTART",
    9: "VSTOP",
    10: "VSUSP",
    11: "VDSUSP",
    12: "VREPRINT",
    13: "VWERASE",
    14: "VLNEXT",
    15: "VFLUSH",
    16: "VSWTCH",
    17: "VSTATUS",
    18: "VDISCARD",
}

#: Opcode -> (which word of the structure, name of the flag).
FLAGS = {
    30: (_INPUT, "IGNPAR"),
    31: (_INPUT, "PARMRK"),
    32: (_INPUT, "INPCK"),
    33: (_INPUT, "ISTRIP"),
    34: (_INPUT, "INLCR"),
    35: (_INPUT, "IGNCR"),
    36: (_INPUT, "ICRNL"),
    37: (_INPUT, "IUCLC"),
    38: (_INPUT, "IXON"),
    39: (_INPUT, "IXANY"),
    40: (_INPUT, "IXOFF"),
    41: (_INPUT, "IMAXBEL"),
    42: (_INPUT, "IUTF8"),
    50: (_LOCAL, "ISIG"),
    51: (_LOCAL, "ICANON"),
    52: (_LOCAL, "XCASE"),
    53: (_LOCAL, "ECHO"),
    54: (_LOCAL, "ECHOE"),
    55: (_LOCAL, "ECHOK"),
    56: (_LOCAL, "ECHONL"),
    57: (_LOCAL, "NOFLSH"),
    58: (_LOCAL, "TOSTOP"),
    59: (_LOCAL, "IEXTEN"),
    60: (_LOCAL, "ECHOCTL"),
    61: (_LOCAL, "ECHOKE"),
    62: (_LOCAL, "PENDIN"),
    70: (_OUTPUT, "OPOST"),
    71: (_OUTPUT, "OLCUC"),
    72: (_OUTPUT, "ONLCR"),
    73: (_OUTPUT, "OCRNL"),
    74: (_OUTPUT, "ONOCR"),
    75: (_OUTPUT, "ONLRET"),
    90: (_CONTROL, "CS7"),
    91: (_CONTROL, "CS8"),
    92: (_CONTROL, "PARENB"),
    93: (_CONTROL, "PARODD"),
}
#: Flags that Python's termios does not name, with the value that Linux and the BSDs give them.
_UNNAMED = {"IUTF8": 0x4000}


def encode_modes(fd: int) -> bytes:
    """Return the modes of the terminal `fd`; only the end mark where it is none."""
    try:
        attributes = termios.tcgetattr(fd)
    except termios.error:
        return bytes((END,))
    parts = []
    for opcode, index in ((OUTPUT_SPEED, _OUTPUT_SPEED), (INPUT_SPEED, _INPUT_SPEED)):
        parts.append(_mode(opcode, _bauds().get(attributes[index], 0)))
    characters = attributes[_CHARACTERS]
    for opcode, name in CHARACTERS.items():
        position = getattr(termios, name, None)
        if position is not None and position < len(characters):
            raw = characters[position]
            value = raw if isinstance(raw, int) else raw[0]
            parts.append(_mode(opcode, DISABLED_ON_WIRE if value == _DISABLED else value))
    for opcode, (word, name) in FLAGS.items():
        bits = _flag(name)
        if bits:
            parts.append(_mode(opcode, int(attributes[word] & bits == bits)))
    parts.append(bytes((END,)))
    return b"".join(parts)


def decode_modes(encoded: bytes) -> dict[int, int]:
    """Return opcode -> number, the last of each; WireError where a number is cut."""
    modes: dict[int, int] = {}
    position = 0
    # Some clients leave the end mark out; that loses nothing.
    while position < len(encoded):
        opcode = encoded[position]
        if opcode == END or opcode >= FIRST_UNDEFINED:
            break
        argument = encoded[position + 1 : position + 5]
        if len(argument) < 4:
            raise WireError(f"terminal mode {opcode}: 4 bytes wanted, {len(argument)} available")
        modes[opcode] = int.from_bytes(argument, "big")
        position += 5
    return modes


def apply_modes(fd: int, encoded: bytes) -> None:
    """Set the terminal `fd` to what was encoded; WireError for damage, nothing for what is no terminal."""
    modes = decode_modes(encoded)
    try:
        attributes = termios.tcgetattr(fd)
    except termios.error:
        return
    characters = attributes[_CHARACTERS]
    for opcode, number in modes.items():
        if opcode in CHARACTERS:
            position = getattr(termios, CHARACTERS[opcode], None)
            if position is not None and position < len(characters):
                characters[position] = _DISABLED if number == DISABLED_ON_WIRE else number & 0xFF
        elif opcode in FLAGS:
            word, name = FLAGS[opcode]
            bits = _flag(name)
            if name in ("CS7", "CS8"):
                if number:
                    attributes[_CONTROL] = attributes[_CONTROL] & ~termios.CSIZE | bits
            elif number:
                attributes[word] |= bits
            else:
                attributes[word] &= ~bits
        elif opcode in (INPUT_SPEED, OUTPUT_SPEED):
            speed = next((code for code, baud in _bauds().items() if baud == number), None)
            if speed is not None:
                attributes[_INPUT_SPEED if opcode == INPUT_SPEED else _OUTPUT_SPEED] = speed
    for position, value in enumerate(characters):
        if isinstance(value, int):
            characters[position] = bytes((value,))
    if not attributes[_LOCAL] & termios.ICANON:
        # Without lines Python wants these two as numbers.
        for position in (termios.VMIN, termios.VTIME):
            characters[position] = characters[position][0]
    try:
        termios.tcsetattr(fd, termios.TCSANOW, attributes)
    except termios.error:
        return  # a pty that its other side has closed meanwhile


def _mode(opcode: int, number: int) -> bytes:
    return bytes((opcode,)) + (number & 0xFFFFFFFF).to_bytes(4, "big")


def _flag(name: str) -> int:
    value: int = getattr(termios, name, _UNNAMED.get(name, 0))
    return value


_BAUDS: dict[int, int] = {}


def _bauds() -> dict[int, int]:
    """Return the system's codes for speeds, with the speeds."""
    if not _BAUDS:
        for name in dir(termios):
            if name.startswith("B") and name[1:].isdecimal():
                _BAUDS[getattr(termios, name)] = int(name[1:])
    return _BAUDS
