"""A dialogue with what runs on the other side: send a line, wait for what it answers, each with a deadline.

For devices that speak no exec, installers that ask, and shells: ``connection.dialogue(...)`` opens one on a
terminal, `ClientProcess.dialogue` makes one of a process.  Text is what a person would see: escape sequences
are taken out, a carriage return with its newline is a newline.
"""

import re
from codecs import getincrementaldecoder
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.deferred import Deferred, Failure, ensure_deferred
from sshkit.opening import Opening

if TYPE_CHECKING:
    from sshkit.client.process import ClientProcess
    from sshkit.interfaces import Clock

Pattern = str | re.Pattern[str]

TIMEOUT = 30.0  #: seconds to wait for an answer
QUIET = 0.5  #: seconds of silence after which a device is taken to wait for its user
MAX_WAITING = 1 << 20  #: characters that may come without a match
OVERLAP = 4096  #: characters that are searched again with each piece: as long as a match may be
SHOWN = 200  #: characters of what came that an error shows
READ = 1 << 16
#: Sequences that move the cursor, set colours or the title (ECMA-48), and what a backspace takes back.
ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[PX^_][^\x1b]*\x1b\\|\x1b[ -/]*[0-~]|\x07"
)
UNFINISHED = re.compile(r"\x1b(?:\[[0-?]*[ -/]*|\][^\x07\x1b]*\x1b?|[PX^_][^\x1b]*\x1b?|[ -/]*)?\Z|\r\Z")
#: What pagers of devices say, and the key that goes on.
PAGERS: tuple[tuple[str, str], ...] = (
    (r"(?i)[ \t]*-+ ?\(?more\)?(?: \d+%)? ?-+[ \t]*\Z|<-+ more -+>[ \t]*\Z", " "),
    (r"(?i)press (?:any key|space|<space>)[^\n]*\Z", " "),
)


class DialogueError(SSHKitError):
    """A dialogue did not go as expected; `before` is the text that came and matched nothing."""

    def __init__(self, message: str, before: str) -> None:
        tail = before[-SHOWN:]
        super().__init__(f"{message}; the last that came was {printable(repr(tail), 2 * SHOWN)}")
        self.before = before


class DialogueTimeout(DialogueError, TimeoutError):
    """Nothing that was waited for came in time."""


class DialogueEnded(DialogueError, EOFError):
    """What runs there ended, or the connection did, before what was waited for came."""


class DialogueOverflow(DialogueError):
    """Too much came that matched nothing."""


class Found(NamedTuple):
    """What matched."""

    which: int  #: of the patterns, from 0
    match: "re.Match[str]"
    before: str  #: what came before it


class Dialogue:
    """Text back and forth.  One wait at a time."""

    __slots__ = (
        "_buffer",
        "_clock",
        "_decoder",
        "_newline",
        "_pagers",
        "_raw",
        "_timeout",
        "process",
        "prompt",
    )

    def __init__(
        self,
        process: "ClientProcess",
        clock: "Clock",
        *,
        prompt: Pattern | None = None,
        timeout: float = TIMEOUT,
        newline: str = "\n",
        pagers: Sequence[tuple[str, str]] = PAGERS,
    ) -> None:
        self.process = process
        self.prompt = prompt  #: what says that a command is done; `learn_prompt` finds it
        self._clock = clock
        self._timeout = timeout
        self._newline = newline
        self._pagers = tuple(pagers)
        self._decoder = getincrementaldecoder("utf-8")("backslashreplace")
        self._raw = ""  # the beginning of an escape sequence
        self._buffer = ""

    @property
    def waiting(self) -> str:
        """What came and was not asked for yet."""
        return self._buffer

    def send(self, text: str) -> None:
        """Send text as it is."""
        self.process.stdin.write(text)

    def send_line(self, text: str = "") -> None:
        """Send a line."""
        self.send(text + self._newline)

    def expect(self, *patterns: Pattern, timeout: float | None = None) -> Deferred[Found]:
        """Wait until one of `patterns` (regular expressions) is in what came; the first in the text counts.

        Of two that begin at the same place the one that was named first.  Fails after `timeout` seconds with
        DialogueTimeout; what came stays for the next wait.  What matched, and all before it, is taken away.
        """
        if not patterns:
            raise ValueError("nothing to expect")
        compiled = [re.compile(pattern) for pattern in patterns]
        return self._in_time(self._expect(compiled), timeout, lambda: _named(compiled))

    def command(self, text: str, *, timeout: float | None = None) -> Deferred[str]:
        """Send a line and return what came before the next prompt, without the line's echo.

        Pagers are told to go on.  Without a `prompt` it is learned first.
        """
        return self._in_time(self._command(text), timeout, lambda: f"the prompt after {text!r}")

    def learn_prompt(self, *, timeout: float = TIMEOUT) -> Deferred[str]:
        """Find out what the prompt is: the line that comes after each empty one.  Returns it."""
        return self._in_time(self._learn(), timeout, lambda: "a prompt")

    def close(self) -> Deferred[None]:
        """End what runs there."""
        self.process.close()
        return self.process.wait().add_both(lambda _: None)

    async def __aenter__(self) -> "Dialogue":
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.process.close()

    # Inside.

    def _in_time(self, work: Any, timeout: float | None, what: Callable[[], str]) -> Deferred[Any]:
        seconds = self._timeout if timeout is None else timeout

        def late(_: Failure, after: float) -> Any:
            raise DialogueTimeout(f"{what()} did not come within {after:g} seconds", self._buffer)

        return ensure_deferred(work).add_timeout(seconds, self._clock, late)

    async def _expect(self, patterns: "list[re.Pattern[str]]") -> Found:
        searched = 0
        while True:
            best: Found | None = None
            for index, pattern in enumerate(patterns):
                match = pattern.search(self._buffer, max(searched - OVERLAP, 0))
                if match is not None and (best is None or match.start() < best.match.start()):
                    best = Found(index, match, self._buffer[: match.start()])
            if best is not None:
                self._buffer = self._buffer[best.match.end() :]
                return best
            searched = len(self._buffer)
            if searched > MAX_WAITING:
                raise DialogueOverflow(f"{searched} characters came without {_named(patterns)}", self._buffer)
            if not await self._more():
                raise DialogueEnded(f"it ended before {_named(patterns)} came", self._buffer)

    async def _command(self, text: str) -> str:
        if self.prompt is None:
            await self._learn()
        assert self.prompt is not None
        self._buffer = ""
        self.send_line(text)
        patterns = [re.compile(self.prompt), *(re.compile(pattern) for pattern, _ in self._pagers)]
        parts: list[str] = []
        while True:
            found = await self._expect(patterns)
            parts.append(found.before)
            if not found.which:
                break
            self.send(self._pagers[found.which - 1][1])
        output = "".join(parts)
        first, _, rest = output.partition("\n")
        return rest if first.strip() == text.strip() else output

    async def _learn(self) -> str:
        await self._silence()
        self.send_line()
        await self._silence()
        lines: list[str] = []
        for _ in range(5):
            self._buffer = ""
            self.send_line()
            await self._silence()
            line = self._buffer.rpartition("\n")[2].strip()
            if line and lines[-1:] == [line]:
                self.prompt = re.compile(rf"(?:\A|(?<=\n))[ \t]*{re.escape(line)}[ \t]*\Z")
                self._buffer = ""
                return line
            lines.append(line)
        raise DialogueError("no line comes again and again as a prompt does", "\n".join(lines))

    async def _silence(self) -> None:
        """Wait until nothing more comes for a while."""
        while True:
            more = ensure_deferred(self._more())
            more.add_timeout(QUIET, self._clock, what="silence")
            try:
                if not await more:
                    raise DialogueEnded("it ended", self._buffer)
            except TimeoutError:
                return

    async def _more(self) -> bool:
        """Wait for more text; False at the end."""
        data = await self.process.stdout.read(READ)
        text = self._raw + self._decoder.decode(data, not data)
        self._raw = ""
        if data:
            rest = UNFINISHED.search(text)
            if rest is not None and len(rest[0]) < OVERLAP:
                text, self._raw = text[: rest.start()], rest[0]
        self._buffer += _plain(text)
        return bool(data)


def open_dialogue(
    starting: "Deferred[ClientProcess]", clock: "Clock", options: dict[str, Any]
) -> "Opening[Dialogue]":
    """Return the dialogue with a process that is being started."""
    opening: Opening[Dialogue] = Opening(lambda _: starting.cancel())
    starting.add_callbacks(
        lambda process: opening.callback(Dialogue(process, clock, **options)), opening.errback
    )
    return opening


def _plain(text: str) -> str:
    """Return what a person would see of a piece of text."""
    return ESCAPES.sub("", text).replace("\r\n", "\n").replace("\r", "")


def _named(patterns: "Sequence[re.Pattern[str]]") -> str:
    return " or ".join(printable(repr(pattern.pattern), SHOWN) for pattern in patterns)
