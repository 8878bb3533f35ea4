"""What a person's terminal sends, as keys: characters, named keys, pastes, mouse, answers.

Called by `sshkit.terminal.line_editor` and by programs that read keys.  Without a clock: a lone ESC waits
until its caller, who has one, calls `flush` (a twentieth of a second is usual) while `waiting` is true.

What a terminal says by itself (who it is, where its cursor is, colours, titles) becomes a key named "answer"
and never a character, however late it comes, however it is cut, whatever stands in it: a file that asks a
terminal questions cannot type.  ctrl-C, CAN, SUB, and ESC with another key end an answer that never ends.
"""

import re
from codecs import IncrementalDecoder, getincrementaldecoder
from typing import NamedTuple

from .key_names import (
    ALT,
    BY_FINAL,
    BY_NUMBER,
    CONTROL,
    FUNCTIONAL,
    FUNCTIONAL_RANGE,
    KEYPAD,
    LINUX,
    MODIFIER_BITS,
    RXVT_ARROWS,
    RXVT_FINALS,
    SHIFT,
    control_name,
    with_modifiers,
)

#: Longest paste in characters; what is beyond is dropped.
MAX_PASTE = 1 << 20
#: Longest control sequence; a longer one is read to its end and dropped.
MAX_SEQUENCE = 256
#: As much of an answer is given to the caller.
MAX_ANSWER = 4096

_PASTE_BEGIN, _PASTE_END = 200, "\x1b[201~"
_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)M(?P<old_mouse>.{3})"
    r"|(?P<alt>\x1b?)(?:"
    r"\x1b\[\[(?P<linux>[A-E])"
    r"|(?:\x1b\[|\x9b)(?P<rxvt>[0-9]{1,2})\$"
    r"|(?:\x1b\[|\x9b)(?!M)(?P<body>[ -?]*)(?P<final>[@-Z\\-~])"
    r"|(?:\x1bO|\x8f)(?P<modifier>[0-9;]{0,8})(?P<ss3>[A-Za-z])"
    r")"
    r"|(?P<string>\x1b\][0-9lL]|\x1bP[0-9;>$+!|]|\x1b_G|[\x90\x9d\x9f])",
    re.DOTALL,
)
#: What may still become one of the above.
_UNFINISHED = re.compile(
    r"\x1b?(?:(?:\x1b\[|\x9b)(?:\[|M.{0,2}|[ -?]*)|(?:\x1bO|\x8f)[0-9;]{0,8}|\x1b)|\x1b[P\]_]", re.DOTALL
)
#: A control sequence that something impossible interrupts.
_BROKEN = re.compile(r"\x1b?(?:\x1b\[|\x9b)[ -?]+")
_REST_OF_SEQUENCE = re.compile("[ -?]*")
_STRING_END = re.compile("[\x03\x07\x18\x1a\x1b\x9c]")
_NUMBERS = re.compile("[0-9]{1,7}(?:[;:][0-9]{0,7})*")
_RELEASED = "3"  # kind of event in CSI u
_NORMAL, _PASTE, _STRING, _SKIP = range(4)


class Key(NamedTuple):
    """One key press, or something else that came the same way.

    `name` is the character for characters ("a", "é"; "space" for the space), else a word: "enter", "f5",
    "ctrl-a", "alt-f", "ctrl-shift-left"; "paste"; "focus-in", "focus-out"; "mouse-press" and its like;
    "position", "answer", "unknown".
    """

    name: str
    text: str = ""  #: what it types; of a paste, its text; of an answer, what was said
    row: int = 0  #: of the mouse or the cursor, from 1
    column: int = 0


class KeyDecoder:
    """Makes keys of bytes or text, chopped anyhow."""

    __slots__ = ("_decoder", "_kept", "_kept_length", "_pending", "_state", "expected_positions", "mouse")

    def __init__(self, *, mouse: bool = False) -> None:
        self.mouse = mouse  #: off: mouse reports are recognised and dropped
        #: How many questions for the cursor's position are open: so many answers are keys named "position".
        self.expected_positions = 0
        self._decoder: IncrementalDecoder | None = None
        self._state = _NORMAL
        self._pending = ""
        self._kept: list[str] = []
        self._kept_length = 0

    @property
    def waiting(self) -> bool:
        """Tell whether `flush` would make keys of what has come so far."""
        return self._state == _NORMAL and self._pending != "" and len(self._pending.lstrip("\x1b")) <= 1

    def feed(self, data: bytes | bytearray | memoryview | str) -> list[Key]:
        """Take what came from the terminal; return the keys that are complete now."""
        if isinstance(data, str):
            text = data
        else:
            if self._decoder is None:
                self._decoder = getincrementaldecoder("utf-8")("replace")
            text = self._decoder.decode(bytes(data))
        keys: list[Key] = []
        text = self._pending + text
        self._pending = ""
        position = 0
        while position < len(text):
            if self._state == _NORMAL:
                position = self._take_key(text, position, keys)
            elif self._state == _PASTE:
                position = self._take_paste(text, position, keys)
            elif self._state == _STRING:
                position = self._take_string(text, position, keys)
            else:
                position = _REST_OF_SEQUENCE.match(text, position).end()  # type: ignore[union-attr]
                if position < len(text):
                    self._state = _NORMAL
                    position += "@" <= text[position] <= "~"
        return keys

    def flush(self) -> list[Key]:
        """Say that nothing has come for a while: a lone ESC was the key, ESC and a bracket was alt and it."""
        if not self.waiting:
            return []
        pending, self._pending = self._pending, ""
        last = pending.lstrip("\x1b")
        escapes = len(pending) - len(last)
        if not last:
            return [Key("escape")] * escapes
        if not escapes:
            return [Key("unknown", last)]  # the 8-bit CSI or SS3, and no more
        return [*[Key("escape")] * (escapes - 1), Key(_alt(last))]

    def _take_key(self, text: str, position: int, keys: list[Key]) -> int:
        character = text[position]
        if character != "\x1b" and not "\x80" <= character <= "\x9f":
            keys.append(_character(character))
            return position + 1
        if found := _SEQUENCE.match(text, position):
            self._take_sequence(found, keys)
            return found.end()
        if _UNFINISHED.fullmatch(text, position):
            if len(text) - position > MAX_SEQUENCE:
                self._state = _SKIP
                keys.append(Key("unknown"))
            else:
                self._pending = text[position:]
            return len(text)
        if found := _BROKEN.match(text, position):
            # Nothing of a cut answer is typed.
            keys.append(Key("unknown", found.group()[:MAX_SEQUENCE]))
            return found.end()
        if character != "\x1b":
            keys.append(Key("unknown", character))
            return position + 1
        following = text[position + 1]
        if following == "\x1b":
            keys.append(Key("escape"))
            return position + 1
        keys.append(Key(_alt(following)))
        return position + 2

    def _take_sequence(self, found: "re.Match[str]", keys: list[Key]) -> None:
        alt = ALT if found["alt"] else 0
        if found["string"]:
            self._state = _STRING
            self._kept = [found["string"].lstrip("\x1b")]
            self._kept_length = 0
        elif found["old_mouse"]:
            button, column, row = (max(0, ord(character) - 32) for character in found["old_mouse"])
            self._mouse(button, column, row, button & 3 == 3, keys)
        elif found["linux"]:
            keys.append(Key(with_modifiers(LINUX[found["linux"]], alt)))
        elif found["rxvt"]:
            name = BY_NUMBER.get(int(found["rxvt"]))
            keys.append(Key(with_modifiers(name, alt | SHIFT)) if name else Key("unknown", found.group()))
        elif found["ss3"]:
            keys.append(_application_key(found["ss3"], found["modifier"], alt))
        elif found["body"] == f"{_PASTE_BEGIN}" and found["final"] == "~":
            self._state = _PASTE
            self._kept = []
            self._kept_length = 0
        else:
            self._control_sequence(found["body"], found["final"], alt, keys)

    def _control_sequence(self, body: str, final: str, alt: int, keys: list[Key]) -> None:
        said = f"CSI {body}{final}"
        if body[:1] == "<" and final in "Mm":
            numbers = _numbers(body[1:])
            if len(numbers) == 3:
                self._mouse(numbers[0], numbers[1], numbers[2], final == "m", keys)
                return
        if body and not _NUMBERS.fullmatch(body):
            keys.append(Key("answer", said[:MAX_ANSWER]))
            return
        numbers = _numbers(body)
        if final == "R" and len(numbers) == 2 and self.expected_positions:
            self.expected_positions -= 1
            keys.append(Key("position", "", numbers[0], numbers[1]))
        elif final == "u" and numbers:
            keys.append(_described_key(body))
        elif final == "~" and numbers[:1] == [27] and len(numbers) == 3:
            keys.append(_described_key(f"{numbers[2]};{numbers[1]}"))
        elif final in "IO" and not body:
            keys.append(Key("focus-in" if final == "I" else "focus-out"))
        elif final == "M" and len(numbers) == 3:  # urxvt's mouse (mode 1015)
            self._mouse(numbers[0] - 32, numbers[1], numbers[2], numbers[0] & 3 == 3, keys)
        else:
            keys.append(_named_key(body, numbers, final, alt) or Key("answer", said[:MAX_ANSWER]))

    def _mouse(self, button: int, column: int, row: int, released: bool, keys: list[Key]) -> None:
        if not self.mouse:
            return
        if button & 64:
            name = ("wheel-up", "wheel-down", "wheel-left", "wheel-right")[button & 3]
        elif button & 32:
            name = "mouse-move"
        else:
            name = "mouse-release" if released else "mouse-press"
        # Bits 4, 8 and 16 are shift, alt and control.
        modifiers = (button >> 2) & 3 | (CONTROL if button & 16 else 0)
        which = ("left", "middle", "right", "")[button & 3] if not button & 64 else ""
        keys.append(Key(with_modifiers(name, modifiers), which, row, column))

    def _take_paste(self, text: str, position: int, keys: list[Key]) -> int:
        end = text.find(_PASTE_END, position)
        if end < 0:
            # The end mark may be cut: as many characters as may belong to it wait.
            end = len(text)
            for size in range(min(len(_PASTE_END) - 1, end - position), 0, -1):
                if text.endswith(_PASTE_END[:size]):
                    end -= size
                    break
            self._keep(text[position:end], MAX_PASTE)
            self._pending = text[end:]
            return len(text)
        self._keep(text[position:end], MAX_PASTE)
        pasted = "".join(self._kept).replace("\r\n", "\n").replace("\r", "\n")
        keys.append(Key("paste", pasted))
        self._kept = []
        self._state = _NORMAL
        return end + len(_PASTE_END)

    def _take_string(self, text: str, position: int, keys: list[Key]) -> int:
        found = _STRING_END.search(text, position)
        end = found.start() if found else len(text)
        self._keep(text[position:end], MAX_ANSWER)
        if not found:
            return end
        ending = found.group()
        if ending == "\x1b" and end + 1 == len(text):
            self._pending = "\x1b"
            return len(text)
        keys.append(Key("answer", "".join(self._kept)))
        self._kept = []
        self._state = _NORMAL
        if ending == "\x1b":
            return end + 2 if text[end + 1] == "\\" else end
        return end if ending == "\x03" else end + 1

    def _keep(self, text: str, limit: int) -> None:
        room = limit - self._kept_length
        if text and room > 0:
            self._kept.append(text[:room])
            self._kept_length += len(self._kept[-1])


def _character(character: str) -> Key:
    if character == " ":
        return Key("space", " ")
    if character < " " or character == "\x7f":
        return Key(control_name(ord(character)))
    if "\x80" <= character <= "\x9f" or "\ud800" <= character <= "\udfff":
        return Key("unknown", character)
    return Key(character, character)


def _alt(character: str) -> str:
    name = _character(character).name
    # The order of names is fixed: ctrl before alt.
    return f"ctrl-alt-{name[5:]}" if name.startswith("ctrl-") else f"alt-{name}"


def _numbers(body: str) -> list[int]:
    """Return the parameters' numbers, without sub-parameters; [] where there are none or they are none."""
    if not _NUMBERS.fullmatch(body):
        return []
    return [int(part.partition(":")[0] or 0) for part in body.split(";")]


def _modifiers(value: int) -> int:
    return (value - 1) & MODIFIER_BITS if value > 0 else 0


def _application_key(final: str, modifier: str, alt: int) -> Key:
    modifiers = _modifiers((_numbers(modifier) or [0])[-1]) | alt
    if final in KEYPAD:
        text = KEYPAD[final]
        return Key(with_modifiers(text, modifiers), "" if modifiers else text)
    if final in RXVT_ARROWS:
        return Key(with_modifiers(RXVT_ARROWS[final], modifiers | CONTROL))
    name = "enter" if final == "M" else "tab" if final == "I" else BY_FINAL.get(final)
    return Key(with_modifiers(name, modifiers)) if name else Key("unknown", final)


def _named_key(body: str, numbers: list[int], final: str, alt: int) -> Key | None:
    """Return the key of a control sequence; None for what is no key."""
    modifiers = alt
    if len(numbers) == 2:
        event = body.partition(";")[2].partition(":")[2]
        if event == _RELEASED:
            return Key("unknown")
        modifiers |= _modifiers(numbers[1])
    name: str | None = None
    if final in RXVT_FINALS and len(numbers) == 1:
        name = BY_NUMBER.get(numbers[0])
        modifiers |= RXVT_FINALS[final]
    elif final == "~" and 1 <= len(numbers) <= 2:
        name = BY_NUMBER.get(numbers[0])
    elif final in BY_FINAL and (not body or (len(numbers) == 2 and _is_modified(numbers, final))):
        name = BY_FINAL[final]
    elif final == "Z" and not body:
        name = "tab"
        modifiers |= SHIFT
    elif final in RXVT_ARROWS and not body:
        name = RXVT_ARROWS[final]
        modifiers |= SHIFT
    return Key(with_modifiers(name, modifiers)) if name else None


def _is_modified(numbers: list[int], final: str) -> bool:
    """Tell F3 with modifiers from a late answer where the cursor is: they look the same in row 1."""
    return numbers[0] == 1 and 1 <= numbers[1] <= (16 if final == "R" else 256)


def _described_key(body: str) -> Key:
    """Return the key of CSI u, or of CSI 27 ~ in the same words: code:shifted ; modifiers:event ; text."""
    codes, _, rest = body.partition(";")
    modifier, _, said = rest.partition(";")
    value, _, event = modifier.partition(":")
    modifiers = _modifiers(int(value or 1))
    shown, _, others = codes.partition(":")
    code = int(shown)
    if event == _RELEASED or code in FUNCTIONAL_RANGE:
        name = FUNCTIONAL.get(code)
        if event == _RELEASED or not name:
            return Key("unknown")
        return Key(with_modifiers(name, modifiers), "" if modifiers or len(name) > 1 else name)
    key = _coded(code)
    if not key.text or key.name == "unknown":
        return key if key.name == "unknown" else Key(with_modifiers(key.name, modifiers))
    if modifiers & CONTROL:
        if key.text.isupper() and len(key.text.lower()) == 1:
            return Key(with_modifiers(key.text.lower(), modifiers | SHIFT))
        return Key(with_modifiers(key.name, modifiers))
    if modifiers & SHIFT:
        # The shifted character is told, or is the capital, or was sent in the first place.
        shifted = others.partition(":")[0]
        capital = key.text.upper()
        shifted_key = _coded(int(shifted)) if shifted else key if len(capital) > 1 else _character(capital)
        key = shifted_key if shifted_key.text else key
        modifiers &= ~SHIFT
    if modifiers:
        return Key(with_modifiers(key.name, modifiers))
    if said.isdecimal():
        typed = _coded(int(said))
        key = typed if typed.text else key
    return key


def _coded(code: int) -> Key:
    key = _character(chr(code)) if code < 0x110000 else Key("unknown")
    return Key("unknown") if key.name == "unknown" else key
