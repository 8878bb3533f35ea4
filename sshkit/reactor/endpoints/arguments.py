r"""The text of an endpoint taken apart: ``kind:argument:argument:name=value``.

A colon ends an argument; ``\:``, ``\=`` and ``\\`` stand for themselves, and an argument that begins with
``[`` runs to its ``]``, so that ``tcp:[::1]:22`` needs no backslash.  Called by `strings`; each kind takes
what it knows out of its `Arguments`, and `finish` refuses the rest.
"""

from typing import NamedTuple

from ..text import shown
from .errors import EndpointError

#: Characters of a text that a program could mean; what is longer is no endpoint.
MAX_TEXT = 8192

MAX_PORT = 65535

_YES = {"1": True, "yes": True, "true": True, "0": False, "no": False, "false": False}


class Piece(NamedTuple):
    """One argument, its name ("" without one), and where it began."""

    name: str
    value: str
    position: int


class Arguments:
    """What follows the kind, to be taken one by one."""

    __slots__ = ("_at", "_named", "kind", "text")

    def __init__(self, text: str, start: int = 0) -> None:
        """Read the kind, which begins at `start`."""
        if len(text) > MAX_TEXT:
            raise EndpointError(f"an endpoint of {len(text)} characters, {MAX_TEXT} allowed")
        if "\0" in text:
            raise EndpointError("a NUL", text, text.index("\0"))
        self.text = text
        end = text.find(":", start)
        self.kind = text[start : end if end >= 0 else None]
        if not self.kind:
            raise EndpointError("no kind of endpoint, as in tcp:host:port", text, start)
        self._at = len(text) + 1 if end < 0 else end + 1
        self._named: dict[str, Piece] | None = None

    # -- in order ---------------------------------------------------------------------------------

    def peek(self) -> Piece | None:
        """Return the next argument and leave it there; None at the end."""
        return self._read()[0]

    def skip(self) -> None:
        """Leave the argument that `peek` returned behind."""
        self._at = self._read()[1]

    def _read(self) -> tuple[Piece | None, int]:
        text, at = self.text, self._at
        if at > len(text):
            return None, at
        begin = at
        name, value = "", ""
        if text.startswith("[", at):
            end = text.find("]", at)
            if end < 0:
                raise EndpointError("a '[' without its ']'", text, at)
            value, at = text[at + 1 : end], end + 1
            if at < len(text) and text[at] != ":":
                raise EndpointError("a ':' must follow ']'", text, at)
        while at < len(text) and text[at] != ":":
            char = text[at]
            if char == "\\":
                at += 1
                if at == len(text):
                    raise EndpointError("nothing after the last backslash", text, at - 1)
                char = text[at]
                if char not in ":=\\":
                    char = "\\" + char
            elif char == "=" and not name and value.isidentifier():
                name, value, char = value, "", ""
                end = text.find("]", at) if text.startswith("[", at + 1) else -1
                if end > 0:
                    value, at = text[at + 1 : end + 1], end
            value += char
            at += 1
        return Piece(name, value, begin), at + 1

    def take(self, what: str) -> str:
        """Return the next argument without a name; it is an error if there is none."""
        piece, after = self._read()
        if piece is None or piece.name or not piece.value:
            raise self.fault(f"{self.kind}: needs {what} here", None if piece is None else piece.position)
        self._at = after
        return piece.value

    def take_optional(self) -> str | None:
        """Return the next argument if it has no name."""
        piece, after = self._read()
        if piece is None or piece.name:
            return None
        self._at = after
        return piece.value

    def take_port(self) -> int:
        """Return a port number."""
        position = self._at
        return self.number(self.take("a port"), position, 0, MAX_PORT, "a port")

    def take_number(self, what: str, highest: int) -> int:
        """Return a number."""
        position = self._at
        return self.number(self.take(what), position, 0, highest, what)

    def rest(self, what: str) -> tuple[str, int]:
        """Return all that is left, as it stands, and where it begins."""
        begin = self._at
        left = self.text[begin:]
        if not left:
            raise self.fault(f"{self.kind}: needs {what} here", begin)
        self._at = len(self.text) + 1
        return left, begin

    # -- by name ----------------------------------------------------------------------------------

    def named(self, name: str) -> Piece | None:
        """Return the argument `name`, which is taken; None if it was not given.

        The first call reads all that is left: arguments without a name are not expected any more.
        """
        return self._names().pop(name, None)

    def _names(self) -> dict[str, Piece]:
        if self._named is None:
            self._named = {}
            while True:
                piece, after = self._read()
                if piece is None:
                    break
                if not piece.name:
                    raise self.fault(f"{self.kind}: what is {shown(piece.value)!r}?", piece.position)
                if piece.name in self._named:
                    raise self.fault(f"{self.kind}: {piece.name} a second time", piece.position)
                self._named[piece.name] = piece
                self._at = after
        return self._named

    def text_of(self, name: str, default: str | None = None) -> str | None:
        """Return a text by name."""
        piece = self.named(name)
        return default if piece is None else piece.value

    def integer_of(
        self, name: str, default: int | None, lowest: int, highest: int, base: int = 10
    ) -> int | None:
        """Return a number by name."""
        piece = self.named(name)
        if piece is None:
            return default
        return self.number(piece.value, piece.position, lowest, highest, name, base)

    def seconds_of(self, name: str, default: float) -> float:
        """Return seconds by name: more than none, at most a day."""
        piece = self.named(name)
        if piece is None:
            return default
        try:
            seconds = float(piece.value)
        except ValueError:
            seconds = -1.0
        if not 0 < seconds <= 86400:
            raise self.fault(f"{name}={shown(piece.value)}: not seconds between 0 and 86400", piece.position)
        return seconds

    def flag_of(self, name: str, default: bool = False) -> bool:
        """Return yes or no by name."""
        piece = self.named(name)
        if piece is None:
            return default
        if piece.value not in _YES:
            raise self.fault(f"{name}={shown(piece.value)}: neither yes nor no", piece.position)
        return _YES[piece.value]

    def number(self, value: str, position: int, lowest: int, highest: int, what: str, base: int = 10) -> int:
        """Return `value` as a number; an error names the range."""
        try:
            number = int(value, base) if value.isascii() and value.isalnum() else -1
        except ValueError:
            number = -1
        if not lowest <= number <= highest:
            raise self.fault(
                f"{shown(value)!r} is not {what} between {lowest:{'o' if base == 8 else 'd'}}"
                f" and {highest:{'o' if base == 8 else 'd'}}",
                position,
            )
        return number

    def finish(self) -> None:
        """Refuse what nobody has taken."""
        for piece in self._names().values():
            raise self.fault(f"{self.kind}: has no argument {shown(piece.name)!r}", piece.position)

    def fault(self, message: str, position: int | None = None) -> EndpointError:
        """Return the error of a place in the text; None: its end."""
        end = len(self.text)
        return EndpointError(message, self.text, end if position is None else min(position, end))
