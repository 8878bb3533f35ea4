"""Lines of a configuration file: a keyword and its arguments, each with file and line (ssh_config(5)).

Called by `ssh_config` and `sshd_config`, which know what the keywords mean.  The form is OpenSSH's:
``Keyword value``, ``Keyword=value``, quotes, a backslash before a quote or a space, comments from ``#`` on.
"""

from collections.abc import Iterable, Iterator
from typing import Generic, NamedTuple, NoReturn, TypeVar

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

#: Larger than any configuration that a person or a tool writes; a device that never ends is refused.
MAX_FILE_BYTES = 8 << 20
#: Files within files, OpenSSH's own limit.
MAX_INCLUDE_DEPTH = 16

T = TypeVar("T")


class Place(NamedTuple):
    """Where a value was written; line 0: not in a file ("command line", "default")."""

    path: str
    line: int = 0

    def __str__(self) -> str:
        path = printable(self.path, 4096)
        return f"{path}:{self.line}" if self.line else path


DEFAULT = Place("default")
COMMAND_LINE = Place("command line")


class ConfigError(SSHKitError):
    """A configuration that cannot be obeyed: "FILE:LINE: cause"."""

    def __init__(self, cause: str, place: Place | None = None) -> None:
        super().__init__(f"{place}: {cause}" if place is not None else cause)
        self.cause = cause
        self.place = place


class Setting(Generic[T]):
    """A value and the place where it was set."""

    __slots__ = ("place", "value")

    def __init__(self, value: T, place: Place = DEFAULT) -> None:
        self.value = value
        self.place = place

    @property
    def is_default(self) -> bool:
        """Nobody has set it."""
        return self.place is DEFAULT

    def __repr__(self) -> str:
        return f"<Setting {self.value!r} of {self.place}>"


class Line:
    """One line that says something.  `keyword` is in lower case, `spelled` as it was written."""

    __slots__ = ("keyword", "place", "rest", "spelled")

    def __init__(self, spelled: str, rest: str, place: Place) -> None:
        self.spelled = spelled
        self.keyword = spelled.lower()
        self.rest = rest  #: everything after the keyword, as it was written
        self.place = place

    def __repr__(self) -> str:
        return f"<Line {self.place} {self.spelled}>"

    @property
    def arguments(self) -> list[str]:
        """The arguments, without quotes and comment; ConfigError where a quote is not closed."""
        return split_arguments(self.rest, self.place)

    def one(self) -> str:
        """Return the only argument; ConfigError where there is none or more."""
        arguments = self.arguments
        if len(arguments) > 1:
            self.fail(f"more than one argument for {printable(self.spelled)}")
        if not arguments or not arguments[0]:
            self.fail(f"missing argument for {printable(self.spelled)}")
        return arguments[0]

    def some(self) -> list[str]:
        """Return the arguments, of which there must be one at least."""
        arguments = self.arguments
        if not arguments:
            self.fail(f"missing argument for {printable(self.spelled)}")
        return arguments

    def fail(self, cause: str) -> NoReturn:
        """Raise ConfigError with this line's place."""
        raise ConfigError(cause, self.place)


def parse_line(text: str, place: Place) -> Line | None:
    """Return a line's keyword and rest; None for an empty line or a comment."""
    text = text.strip(" \t\r\n\f\v")
    if not text or text.startswith("#"):
        return None
    if "\0" in text:
        raise ConfigError("the line holds a NUL character", place)
    end = 0
    quote = text[0] == '"'
    if quote:
        end = text.find('"', 1)
        if end < 0:
            raise ConfigError("a quote that is not closed", place)
        keyword, rest = text[1:end], text[end + 1 :]
    else:
        while end < len(text) and text[end] not in " \t=":
            end += 1
        keyword, rest = text[:end], text[end:]
    rest = rest.lstrip(" \t")
    if rest.startswith("="):
        rest = rest[1:].lstrip(" \t")
    if not keyword:
        raise ConfigError("no keyword", place)
    return Line(keyword, rest, place)


def parse_lines(lines: Iterable[str], path: str) -> Iterator[Line]:
    """Yield what a file's lines say."""
    for number, text in enumerate(lines, 1):
        line = parse_line(text, Place(path, number))
        if line is not None:
            yield line


def read_lines(path: str) -> list[Line]:
    """Return the lines of a file.  Raises OSError, or ConfigError for a damaged line."""
    with open(path, "rb") as file:
        data = file.read(MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"the file is larger than {MAX_FILE_BYTES} bytes", Place(path))
    # Names of files need not be UTF-8: surrogates carry their bytes through.
    return list(parse_lines(data.decode("utf-8", "surrogateescape").split("\n"), path))


def split_arguments(text: str, place: Place) -> list[str]:
    """Return the words of `text`: quoted parts joined, escapes resolved, a comment left out."""
    words: list[str] = []
    index, size = 0, len(text)
    while True:
        while index < size and text[index] in " \t":
            index += 1
        if index >= size or text[index] == "#":
            return words
        word: list[str] = []
        quote = ""
        while index < size and (quote or text[index] not in " \t"):
            char = text[index]
            follower = text[index + 1 : index + 2]
            if char == "\\" and follower and (follower in "'\"\\" or (not quote and follower == " ")):
                word.append(follower)
                index += 1
            elif quote:
                if char == quote:
                    quote = ""
                else:
                    word.append(char)
            elif char in "'\"":
                quote = char
            else:
                word.append(char)
            index += 1
        if quote:
            raise ConfigError("a quote that is not closed", place)
        words.append("".join(word))
