"""What a program writes to a terminal, taken apart: an incremental parser for ANSI and DEC sequences.

Called by `sshkit.terminal.screen` and by whoever looks at a session's output.  The states are those of the
parser that Paul Williams drew after DEC's terminals (vt100.net, "A parser for DEC's ANSI-compatible video
terminals"), with ECMA-48's sub-parameters (":"), xterm's BEL at the end of an OSC string, and the difference
that a string counts only once its terminator has come: whatever else ends it, drops it.

Bytes and text may be chopped anywhere.  However hostile the stream, what is kept of an unfinished sequence is
bounded; what is longer is read to its end and dropped.
"""

import re
from codecs import IncrementalDecoder, getincrementaldecoder
from functools import lru_cache
from typing import Any, Protocol

#: Longest text of an OSC, DCS, APC, PM or SOS string that reaches the handler; titles and links are short.
MAX_STRING = 16384
#: Longest text of a sequence's parameters; nobody writes more than a few colours in one.
MAX_PARAMETERS_TEXT = 256
#: Parameters past this number are dropped, as on real terminals.
MAX_PARAMETERS = 32
#: Largest number in a parameter; greater ones count as this one.
MAX_NUMBER = 65535
#: Intermediates past this number make the sequence unknown; no defined sequence has more than two.
MAX_INTERMEDIATES = 4
#: A parameter (or sub-parameter) that was left out.
ABSENT = -1

#: One item a parameter, each with its sub-parameters: "38:5:1;4" is ((38, 5, 1), (4,)).
Parameters = tuple[tuple[int, ...], ...]


class Handler(Protocol):
    """Who receives what the parser found, in the order of the stream."""

    def print(self, text: str) -> None:
        """Show a run of text without any control character."""
        ...

    def control(self, code: int) -> None:
        """Do what a single control asks for: C0 (0 to 31) or C1 (128 to 159)."""
        ...

    def escape(self, intermediates: str, final: str) -> None:
        """Do what ESC and two or more characters ask for."""
        ...

    def csi(self, prefix: str, parameters: Parameters, intermediates: str, final: str) -> None:
        """Do what a control sequence asks for; `prefix` is "", "?", ">", "<" or "="."""
        ...

    def string(self, kind: str, text: str) -> None:
        """Take a string: `kind` is "OSC", "APC", "PM" or "SOS"."""
        ...

    def device(self, prefix: str, parameters: Parameters, intermediates: str, final: str, text: str) -> None:
        """Take a device control string (DCS)."""
        ...


def number(parameters: Parameters, index: int, default: int) -> int:
    """Return a parameter, or `default` where it was left out."""
    if index < len(parameters):
        value = parameters[index][0]
        if value != ABSENT:
            return value
    return default


@lru_cache(1024)
def parse_parameters(text: str) -> Parameters:
    """Return the parameters that `text` spells: digits, ";" and ":" only."""
    if not text:
        return ()
    return tuple(
        tuple(min(int(part), MAX_NUMBER) if part else ABSENT for part in parameter.split(":"))
        for parameter in text.split(";", MAX_PARAMETERS)[:MAX_PARAMETERS]
    )


# States; names as in Williams' drawing.  A string's end is seen in two steps: ESC, then a backslash.
(
    GROUND,
    ESCAPE,
    ESCAPE_INTERMEDIATE,
    CSI_ENTRY,
    CSI_PARAMETERS,
    CSI_INTERMEDIATE,
    CSI_IGNORE,
    DCS_ENTRY,
    DCS_PARAMETERS,
    DCS_INTERMEDIATE,
    DCS_IGNORE,
    DCS_STRING,
    OSC_STRING,
    OTHER_STRING,
    STRING_ESCAPE,
) = range(15)
_STAY = -1
#: The column of every character from U+00A0 on, and the width of a row of the table.
_OTHERS = 0xA0
_COLUMNS = _OTHERS + 1

_Row = tuple[int, int, str, int]
#: For every state: first and last code, what is done, the next state.  Later rows go over earlier ones, and
#: all go over these, which hold anywhere.
_ANYWHERE: tuple[_Row, ...] = (
    (0x18, 0x18, "execute", GROUND),
    (0x1A, 0x1A, "execute", GROUND),
    (0x1B, 0x1B, "clear", ESCAPE),
    (0x80, 0x9F, "execute", GROUND),
    (0x90, 0x90, "clear", DCS_ENTRY),
    (0x98, 0x98, "begin_sos", OTHER_STRING),
    (0x9B, 0x9B, "clear", CSI_ENTRY),
    (0x9C, 0x9C, "ignore", GROUND),
    (0x9D, 0x9D, "begin_osc", OSC_STRING),
    (0x9E, 0x9E, "begin_pm", OTHER_STRING),
    (0x9F, 0x9F, "begin_apc", OTHER_STRING),
)
_CONTROLS: tuple[_Row, ...] = ((0x00, 0x17, "execute", _STAY), (0x1C, 0x1F, "execute", _STAY))
_STRING_ENDS: tuple[_Row, ...] = (
    (0x20, 0x7E, "put", _STAY),
    (_OTHERS, _OTHERS, "put", _STAY),
    (0x18, 0x18, "ignore", GROUND),
    (0x1A, 0x1A, "ignore", GROUND),
    (0x1B, 0x1B, "clear", STRING_ESCAPE),
    (0x80, 0x9F, "execute", GROUND),
    (0x90, 0x90, "clear", DCS_ENTRY),
    (0x98, 0x98, "begin_sos", OTHER_STRING),
    (0x9B, 0x9B, "clear", CSI_ENTRY),
    (0x9C, 0x9C, "finish", GROUND),
    (0x9D, 0x9D, "begin_osc", OSC_STRING),
    (0x9E, 0x9E, "begin_pm", OTHER_STRING),
    (0x9F, 0x9F, "begin_apc", OTHER_STRING),
)
_AFTER_ESCAPE: tuple[_Row, ...] = (
    *_CONTROLS,
    (0x20, 0x2F, "collect", ESCAPE_INTERMEDIATE),
    (0x30, 0x7E, "escape", GROUND),
    (ord("P"), ord("P"), "clear", DCS_ENTRY),
    (ord("X"), ord("X"), "begin_sos", OTHER_STRING),
    (ord("["), ord("["), "clear", CSI_ENTRY),
    (ord("]"), ord("]"), "begin_osc", OSC_STRING),
    (ord("^"), ord("^"), "begin_pm", OTHER_STRING),
    (ord("_"), ord("_"), "begin_apc", OTHER_STRING),
)
TABLE: dict[int, tuple[_Row, ...]] = {
    GROUND: (*_CONTROLS, (0x20, 0x7E, "print", _STAY), (_OTHERS, _OTHERS, "print", _STAY)),
    ESCAPE: _AFTER_ESCAPE,
    ESCAPE_INTERMEDIATE: (*_CONTROLS, (0x20, 0x2F, "collect", _STAY), (0x30, 0x7E, "escape", GROUND)),
    CSI_ENTRY: (
        *_CONTROLS,
        (0x20, 0x2F, "collect", CSI_INTERMEDIATE),
        (0x30, 0x3B, "parameter", CSI_PARAMETERS),
        (0x3C, 0x3F, "prefix", CSI_PARAMETERS),
        (0x40, 0x7E, "csi", GROUND),
    ),
    CSI_PARAMETERS: (
        *_CONTROLS,
        (0x20, 0x2F, "collect", CSI_INTERMEDIATE),
        (0x30, 0x3B, "parameter", _STAY),
        (0x3C, 0x3F, "ignore", CSI_IGNORE),
        (0x40, 0x7E, "csi", GROUND),
    ),
    CSI_INTERMEDIATE: (
        *_CONTROLS,
        (0x20, 0x2F, "collect", _STAY),
        (0x30, 0x3F, "ignore", CSI_IGNORE),
        (0x40, 0x7E, "csi", GROUND),
    ),
    CSI_IGNORE: (*_CONTROLS, (0x40, 0x7E, "drop", GROUND)),
    DCS_ENTRY: (
        (0x20, 0x2F, "collect", DCS_INTERMEDIATE),
        (0x30, 0x3B, "parameter", DCS_PARAMETERS),
        (0x3C, 0x3F, "prefix", DCS_PARAMETERS),
        (0x40, 0x7E, "begin_dcs", DCS_STRING),
    ),
    DCS_PARAMETERS: (
        (0x20, 0x2F, "collect", DCS_INTERMEDIATE),
        (0x30, 0x3B, "parameter", _STAY),
        (0x3C, 0x3F, "ignore", DCS_IGNORE),
        (0x40, 0x7E, "begin_dcs", DCS_STRING),
    ),
    DCS_INTERMEDIATE: (
        (0x20, 0x2F, "collect", _STAY),
        (0x30, 0x3F, "ignore", DCS_IGNORE),
        (0x40, 0x7E, "begin_dcs", DCS_STRING),
    ),
    DCS_IGNORE: ((0x9C, 0x9C, "drop", GROUND),),
    DCS_STRING: ((0x00, 0x1F, "put", _STAY), *_STRING_ENDS),
    OSC_STRING: (*_STRING_ENDS, (0x07, 0x07, "finish", GROUND)),
    OTHER_STRING: _STRING_ENDS,
    STRING_ESCAPE: (*_AFTER_ESCAPE, (ord("\\"), ord("\\"), "finish", GROUND)),
}


def _compile() -> list[list[tuple[str, int]]]:
    compiled = []
    for state in range(len(TABLE)):
        row = [("ignore", state)] * _COLUMNS
        for first, last, action, following in (*_ANYWHERE, *TABLE[state]):
            for code in range(first, last + 1):
                row[code] = (action, state if following == _STAY else following)
        compiled.append(row)
    return compiled


_COMPILED = _compile()
_STRINGS = frozenset((DCS_STRING, OSC_STRING, OTHER_STRING))
_PLAIN_RUN = re.compile("[^\x00-\x1f\x7f-\x9f]+")
#: The usual control sequence, whole: one match instead of a step a character.
_WHOLE_CSI = re.compile(
    r"(?:\x1b\[|\x9b)([<-?]?)"
    rf"([0-9:;]{{0,{MAX_PARAMETERS_TEXT}}})([ -/]{{0,{MAX_INTERMEDIATES}}})([@-~])"
)


class AnsiParser:
    """Takes a terminal's output apart and calls a handler; never raises for what the stream holds.

    The handler may not call `feed` of the same parser.  An exception of the handler's leaves `feed` with the
    rest of that piece lost.
    """

    __slots__ = (
        "_actions",
        "_decoder",
        "_device",
        "_handler",
        "_intermediates",
        "_kind",
        "_length",
        "_overlong",
        "_parameters",
        "_prefix",
        "_state",
        "_string",
        "_string_overlong",
        "dropped",
    )

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._decoder: IncrementalDecoder | None = None
        self._state = GROUND
        #: Sequences that were longer than our limits, or malformed, and so did nothing.
        self.dropped = 0
        self._prefix = ""
        self._parameters: list[str] = []
        self._intermediates = ""
        self._kind = ""
        self._device: tuple[str, Parameters, str, str] = ("", (), "", "")
        self._string: list[str] = []
        self._length = 0
        self._overlong = False  # a control sequence
        self._string_overlong = False
        self._actions: dict[str, Any] = {
            "print": handler.print,
            "execute": self._execute,
            "ignore": self._ignore,
            "clear": self._clear,
            "collect": self._collect,
            "prefix": self._take_prefix,
            "parameter": self._take_parameter,
            "escape": self._dispatch_escape,
            "csi": self._dispatch_csi,
            "drop": self._drop,
            "begin_osc": self._begin_osc,
            "begin_apc": self._begin_apc,
            "begin_pm": self._begin_pm,
            "begin_sos": self._begin_sos,
            "begin_dcs": self._begin_dcs,
            "put": self._put,
            "finish": self._finish,
        }

    @property
    def in_ground(self) -> bool:
        """Tell whether no sequence is unfinished."""
        return self._state == GROUND

    def feed(self, data: bytes | bytearray | memoryview | str) -> None:
        """Take the next piece of the stream: text, or bytes of UTF-8 (what is not UTF-8 becomes U+FFFD)."""
        text = data if isinstance(data, str) else self._decode(data)
        position, end = 0, len(text)
        handler, actions = self._handler, self._actions
        while position < end:
            state = self._state
            if state == GROUND:
                if run := _PLAIN_RUN.match(text, position):
                    handler.print(run.group())
                    position = run.end()
                    continue
                if found := _WHOLE_CSI.match(text, position):
                    prefix, parameters, intermediates, final = found.groups()
                    position = found.end()
                    handler.csi(prefix, parse_parameters(parameters), intermediates, final)
                    continue
            elif state in _STRINGS and (run := _PLAIN_RUN.match(text, position)):
                self._put(run.group())
                position = run.end()
                continue
            character = text[position]
            position += 1
            action, self._state = _COMPILED[state][min(ord(character), _OTHERS)]
            actions[action](character)

    def _decode(self, data: bytes | bytearray | memoryview) -> str:
        if self._decoder is None:
            self._decoder = getincrementaldecoder("utf-8")("replace")
        return self._decoder.decode(bytes(data))

    def _ignore(self, _: str) -> None:
        pass

    def _execute(self, character: str) -> None:
        self._handler.control(ord(character))

    def _clear(self, _: str) -> None:
        self._prefix = self._intermediates = ""
        self._parameters = []
        self._overlong = False

    def _collect(self, character: str) -> None:
        if len(self._intermediates) == MAX_INTERMEDIATES:
            self._overlong = True
        else:
            self._intermediates += character

    def _take_prefix(self, character: str) -> None:
        self._prefix = character

    def _take_parameter(self, character: str) -> None:
        if len(self._parameters) == MAX_PARAMETERS_TEXT:
            self._overlong = True
        else:
            self._parameters.append(character)

    def _drop(self, _: str) -> None:
        self.dropped += 1

    def _dispatch_escape(self, final: str) -> None:
        if self._overlong:
            self.dropped += 1
        else:
            self._handler.escape(self._intermediates, final)

    def _dispatch_csi(self, final: str) -> None:
        if self._overlong:
            self.dropped += 1
        else:
            parameters = parse_parameters("".join(self._parameters))
            self._handler.csi(self._prefix, parameters, self._intermediates, final)

    def _begin(self, kind: str) -> None:
        self._kind = kind
        self._string = []
        self._length = 0
        self._string_overlong = False

    def _begin_osc(self, _: str) -> None:
        self._begin("OSC")

    def _begin_apc(self, _: str) -> None:
        self._begin("APC")

    def _begin_pm(self, _: str) -> None:
        self._begin("PM")

    def _begin_sos(self, _: str) -> None:
        self._begin("SOS")

    def _begin_dcs(self, final: str) -> None:
        self._begin("DCS")
        self._string_overlong = self._overlong
        parameters = parse_parameters("".join(self._parameters))
        self._device = (self._prefix, parameters, self._intermediates, final)

    def _put(self, text: str) -> None:
        self._length += len(text)
        if self._string_overlong or self._length > MAX_STRING:
            self._string_overlong = True
            self._string.clear()
        else:
            self._string.append(text)

    def _finish(self, _: str) -> None:
        text = "".join(self._string)
        self._string = []
        if self._string_overlong:
            self.dropped += 1
        elif self._kind == "DCS":
            self._handler.device(*self._device, text)
        else:
            self._handler.string(self._kind, text)
