"""Questions to the user: on the terminal, or through the program that SSH_ASKPASS names (ssh(1)).

Called for passwords, passphrases, the questions of a server, and host keys.  Questions are asked beside
the running connection: a server that gives up meanwhile is heard at once, and so are signals.
"""

import os
import termios
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from sshkit_keys.errors import SSHKitError

from sshkit.deferred import Deferred, succeed

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor

#: Longer than any password; a terminal's own line ends at 4096.
MAX_ANSWER = 65536
_DEFAULT_ASKPASS = ("/usr/bin/ssh-askpass", "/usr/lib/ssh/ssh-askpass", "/usr/libexec/ssh-askpass")
_LOCAL = 3


class NobodyToAsk(SSHKitError):
    """There is no terminal, and no program to ask instead."""


class Prompter:
    """Asks one question after the other.  Answers are None where the user gave none."""

    __slots__ = ("_environment", "_open_terminal", "_question", "_reactor", "_say")

    def __init__(
        self,
        reactor: "Reactor",
        say: Callable[[str], object],
        environment: Mapping[str, str],
        open_terminal: Callable[[], int] | None = None,
    ) -> None:
        self._reactor = reactor
        self._say = say
        self._environment = environment
        self._open_terminal = open_terminal or _controlling_terminal
        self._question: TerminalQuestion | None = None

    def ask(self, prompt: str, *, echo: bool = False, confirm: bool = False) -> Deferred[str | None]:
        """Ask; raises NobodyToAsk.  `confirm` lets a program show a question for yes and no."""
        allowed, preferred, forced = askpass_rules(self._environment)
        if forced or preferred:
            return self._ask_program(prompt, confirm)
        try:
            fd = self._open_terminal()
        except OSError as error:
            if allowed and self._program() is not None:
                return self._ask_program(prompt, confirm)
            why = f"there is no terminal to ask on ({error.strerror}), and no SSH_ASKPASS"
            raise NobodyToAsk(why) from None
        question = self._question = TerminalQuestion(self._reactor, fd, prompt, echo)
        return question.answer

    def restore(self) -> None:
        """Put the terminal back if a question is open; nobody will answer it any more."""
        if self._question is not None:
            self._question.close()

    def _program(self) -> str | None:
        named = self._environment.get("SSH_ASKPASS")
        if named:
            return named
        return next((path for path in _DEFAULT_ASKPASS if os.access(path, os.X_OK)), None)

    def _ask_program(self, prompt: str, confirm: bool) -> Deferred[str | None]:
        from .askpass import ask_program

        program = self._program()
        if program is None:
            self._say("SSH_ASKPASS names no program")
            return succeed(None)
        environment = self._environment
        if confirm:
            environment = {**environment, "SSH_ASKPASS_PROMPT": "confirm"}
        asked = ask_program(self._reactor, program, prompt, environment, self._say)
        # Such a program may say yes by its status alone (ssh-add(1)).
        return asked.add_callback(lambda line: line or "yes" if confirm and line is not None else line)


def askpass_rules(environment: Mapping[str, str]) -> tuple[bool, bool, bool]:
    """Return whether SSH_ASKPASS may be used, is preferred to the terminal, and is forced (ssh(1))."""
    display = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    allowed = bool(display)
    require = environment.get("SSH_ASKPASS_REQUIRE", "").lower()
    if require == "force":
        return True, True, True
    if require == "prefer":
        return allowed, allowed, False
    if require == "never":
        return False, False, False
    return allowed, False, False


def _controlling_terminal() -> int:
    return os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK)


class TerminalQuestion:
    """One question on the terminal.  `answer` fires with the line; None at the end of input."""

    __slots__ = ("_echo", "_fd", "_line", "_reactor", "_saved", "answer")

    def __init__(self, reactor: "Reactor", fd: int, prompt: str, echo: bool) -> None:
        self._reactor = reactor
        self._fd = fd
        self._echo = echo
        self._line = bytearray()
        self._saved: list[Any] | None = None
        self.answer: Deferred[str | None] = Deferred(lambda _: self.close())
        try:
            self._hide()
            os.write(fd, prompt.encode("utf-8", "backslashreplace"))
            reactor.add_reader(fd, self._readable)
        except OSError as error:
            self.close()
            self.answer.errback(NobodyToAsk(f"the terminal cannot be used: {error.strerror}"))

    def _hide(self) -> None:
        """Switch the echo off; what was typed before the question is not its answer."""
        try:
            saved = termios.tcgetattr(self._fd)
            hidden = termios.tcgetattr(self._fd)
            hidden[_LOCAL] |= termios.ICANON | termios.ISIG
            if self._echo:
                hidden[_LOCAL] |= termios.ECHO
            else:
                hidden[_LOCAL] &= ~(termios.ECHO | termios.ECHONL)
            termios.tcsetattr(self._fd, termios.TCSAFLUSH, hidden)
        except termios.error as error:
            raise OSError(*error.args) from None
        self._saved = saved

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, 4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._line += data
        if data and not data.endswith((b"\n", b"\r")) and len(self._line) < MAX_ANSWER:
            return
        line: str | None = None  # the end of input after nothing is no answer; an empty line is one
        if self._line:
            line = bytes(self._line).rstrip(b"\r\n").decode("utf-8", "surrogateescape")
        self._line = bytearray()
        if not self._echo:
            try:
                os.write(self._fd, b"\n")
            except OSError:
                pass
        self.close()
        self.answer.callback(line)

    def close(self) -> None:
        """Put the terminal back; without an answer there will be none."""
        fd, self._fd = self._fd, -1
        if fd < 0:
            return
        self._reactor.remove_reader(fd)
        if self._saved is not None:
            try:
                termios.tcsetattr(fd, termios.TCSADRAIN, self._saved)
            except termios.error:  # the terminal has gone
                pass
        os.close(fd)
