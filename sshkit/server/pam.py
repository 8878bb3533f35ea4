"""Logins by PAM: passwords, dialogues of keyboard-interactive, and the account step (sshd_config(5), UsePAM).

The monitor has one `PamLogin` for each client that logs in.  Modules run in a child process that is forked
for one login, speaks with its parent in a few frames, and is killed when the client goes or takes too long.
Who may not log in whatever he answers costs the same work: PAM is asked, with an answer that cannot be right
(R9).
"""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable
from sshkit_keys.wire import WireReader, boolean, byte, string, uint32

from sshkit.deferred import Deferred, succeed
from sshkit.server.in_child import Child, ChildFailed, ChildSocket
from sshkit.server.pam_library import (
    CHANGE_EXPIRED,
    ECHO_OFF,
    ECHO_ON,
    MAX_MESSAGES,
    NEW_AUTHTOK_REQUIRED,
    NO_EMPTY_PASSWORD,
    RHOST,
    TTY,
    Message,
    Pam,
    PamError,
)
from sshkit.server.users import Refusal
from sshkit.ssh.authentication.server import Questions
from sshkit.ssh.authentication.verdicts import PasswordExpired

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor

DEFAULT_SERVICE = "sshd"
TERMINAL = "ssh"  #: PAM_TTY before there is one; modules want some name
MAX_PASSWORD = 1024  #: bytes (R10)
MAX_SHOWN = 16 * 1024  #: bytes of what modules want to be shown
DEFAULT_TIMEOUT = 120.0
#: Refusals come at multiples of this many seconds, so that they tell nothing of the work behind them.
REFUSAL_STEP = 0.25
EXPIRED_PROMPT = "Your password has expired. A new one is needed."
#: What cannot be anybody's password: it has characters that no terminal lets type.
_FAKE = "\b\n\r\x7fINCORRECT"

_PASSED, _REFUSED, _EXPIRED = range(3)
_QUESTIONS: Final = b"Q"
_RESULT: Final = b"R"


class PamFacts(NamedTuple):
    """What PAM is told about a login."""

    user: str
    host: str  #: the client's address
    service: str = DEFAULT_SERVICE  #: PAMServiceName: the file in /etc/pam.d
    permit_empty: bool = False  #: PermitEmptyPasswords


class PamResult(NamedTuple):
    """What came of it."""

    outcome: int
    reason: str = ""  #: of a refusal, for the log
    shown: str = ""  #: what modules said, for the client
    environment: tuple[tuple[str, str], ...] = ()

    def encode(self) -> bytes:
        """Return the frame's body."""
        head = byte(self.outcome) + string(self.reason) + string(self.shown) + uint32(len(self.environment))
        return head + b"".join(_text(name) + _text(value) for name, value in self.environment)

    @classmethod
    def decode(cls, body: bytes) -> "PamResult":
        """Read it."""
        reader = WireReader(body)
        outcome, reason, shown = reader.byte("outcome"), reader.text("reason"), reader.text("shown")
        count = reader.uint32("variables")
        variables = []
        for _ in range(count):
            name, value = reader.string("name"), reader.string("value")
            variables.append(
                (name.decode("utf-8", "surrogateescape"), value.decode("utf-8", "surrogateescape"))
            )
        reader.finish("result")
        return cls(outcome, reason, shown, tuple(variables))


def _text(text: str) -> bytes:
    return string(text.encode("utf-8", "surrogateescape"))


class PamLogin:
    """One client's login as one user; the `refusal` says why nothing that he answers lets him in."""

    __slots__ = (
        "_child",
        "_facts",
        "_reactor",
        "_result",
        "_started",
        "_timeout",
        "_waiting",
        "account_passed",
        "environment",
        "refusal",
        "shown",
    )

    def __init__(
        self,
        reactor: "Reactor",
        facts: PamFacts,
        refusal: str | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        self._reactor = reactor
        self._facts = facts
        self.refusal = refusal
        self._timeout = timeout
        self._child: Child | None = None
        self._waiting: Deferred[Any] | None = None
        self._result: PamResult | None = None
        self._started = 0.0
        self.account_passed = False  #: PAM has let the account in: no `check_account` is needed
        self.shown = ""  #: what modules want the client to be shown once he is in
        self.environment: dict[str, str] = {}  #: what modules of the login want in the session

    def ask(self, answers: Sequence[str] | None) -> "Deferred[Questions | bool | Refusal]":
        """Begin a dialogue (None), or go on with it: fires with questions, True or a Refusal."""
        if answers is None:
            return self._start(
                lambda sock: _serve(sock, self._facts, _Dialogue(sock, self.refusal), self.refusal)
            )
        child = self._child
        if child is None or self._waiting is not None:
            return succeed(Refusal("there is no dialogue to go on with"))
        self._waiting = waiting = Deferred[Any](lambda _: self.close())
        child.send(uint32(len(answers)) + b"".join(string(answer) for answer in answers))
        return waiting

    def check_password(self, password: str) -> "Deferred[bool | PasswordExpired | Refusal]":
        """Check a password and the account: fires with True, PasswordExpired or a Refusal."""
        return self._with_password(password, None)

    def change_password(self, old: str, new: str) -> "Deferred[bool | PasswordExpired | Refusal]":
        """Change an expired password; PasswordExpired says that the new one is not good enough."""
        return self._with_password(old, new)

    def check_account(self) -> "Deferred[bool | PasswordExpired | Refusal]":
        """Take the account step alone, for logins without a password: as `check_password`."""
        return self._start(lambda sock: _serve(sock, self._facts, None, self.refusal))

    def close(self) -> None:
        """End what is under way: the client has gone, or begins anew."""
        child, self._child = self._child, None
        self._waiting = None
        if child is not None:
            child.kill("the client has gone")

    # Inside.

    def _with_password(self, password: str, new: str | None) -> "Deferred[Any]":
        for text in (password, new or ""):
            if len(text.encode("utf-8", "surrogatepass")) > MAX_PASSWORD or "\0" in text:
                return succeed(Refusal("the password is too long or holds a NUL"))
        answers = _Passwords(fake(password) if self.refusal is not None else password, new)
        return self._start(lambda sock: _serve(sock, self._facts, answers, self.refusal))

    def _start(self, work: Callable[[ChildSocket], int]) -> "Deferred[Any]":
        self.close()
        self._result = None
        self._started = monotonic()
        self._waiting = waiting = Deferred[Any](lambda _: self.close())
        child: Child

        def received(frame: bytes) -> None:
            if self._child is child:
                self._received(frame)

        def ended(fault: ChildFailed | None) -> None:
            if self._child is child:
                self._child = None
                self._ended(fault)

        child = self._child = Child(
            self._reactor,
            work,
            received,
            ended,
            timeout=self._timeout,
            name=f"PAM for {printable(self._facts.user)}",
        )
        return waiting

    def _received(self, frame: bytes) -> None:
        try:
            if frame[:1] == _RESULT:
                self._result = PamResult.decode(frame[1:])
                return
            reader = WireReader(frame[1:])
            instruction, count = reader.text("instruction"), reader.uint32("count")
            prompts = [(reader.text("prompt"), reader.boolean("echo")) for _ in range(count)]
            reader.finish("questions")
        except SSHKitError as error:  # a module that writes where it must not
            assert self._child is not None
            self._child.kill(f"PAM: {error}")
            return
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.callback(Questions(prompts, instruction=instruction))

    def _ended(self, fault: ChildFailed | None) -> None:
        waiting, self._waiting = self._waiting, None
        result = self._result or PamResult(_REFUSED, "PAM gave no answer")
        if fault is not None:
            result = PamResult(_REFUSED, str(fault))
        if waiting is None:
            return
        if self.refusal is not None:
            result = PamResult(_REFUSED, self.refusal)
        if result.outcome == _PASSED:
            self.account_passed = True
            self.shown, self.environment = result.shown, dict(result.environment)
            waiting.callback(True)
        elif result.outcome == _EXPIRED:
            waiting.callback(PasswordExpired(result.shown or EXPIRED_PROMPT))
        else:
            taken = monotonic() - self._started
            pause = REFUSAL_STEP - taken % REFUSAL_STEP
            self._reactor.call_later(pause, _fire, waiting, Refusal(result.reason))


def _fire(waiting: "Deferred[Any]", value: object) -> None:
    if not waiting.called:  # cancelled meanwhile
        waiting.callback(value)


def fake(answer: str) -> str:
    """Return what takes the same work as an answer, and is never right."""
    size = max(len(answer), 1)
    return (_FAKE * (size // len(_FAKE) + 1))[:size]


# In the child.


class _Dialogue:
    """Asks the client, round by round."""

    def __init__(self, sock: ChildSocket, refusal: str | None) -> None:
        self._sock = sock
        self._refused = refusal is not None
        self.shown: list[str] = []

    def __call__(self, messages: Sequence[Message]) -> list[str]:
        prompts = []
        for style, text in messages:
            if style in (ECHO_OFF, ECHO_ON):
                prompts.append((text, style == ECHO_ON))
            else:
                self.shown.append(text)
        if not prompts:
            return [""] * len(messages)
        head = _QUESTIONS + string(_joined(self.shown)) + uint32(len(prompts))
        self.shown.clear()
        self._sock.send(head + b"".join(string(text) + boolean(echo) for text, echo in prompts))
        reader = WireReader(self._sock.receive())
        count = reader.uint32("answers")
        if count != len(prompts):
            raise ChildFailed(f"{count} answers to {len(prompts)} questions")
        answers = [reader.text("answer") for _ in range(count)]
        if self._refused:
            answers = [fake(answer) for answer in answers]
        rest = iter(answers)
        return [next(rest) if style in (ECHO_OFF, ECHO_ON) else "" for style, _ in messages]


class _Passwords:
    """Answers every hidden prompt with the password; in a change, with the old or the new one."""

    def __init__(self, password: str, new: str | None) -> None:
        self._password = password
        self.new = new
        self.changing = False
        self.shown: list[str] = []

    def __call__(self, messages: Sequence[Message]) -> list[str]:
        answers = []
        for style, text in messages:
            if style == ECHO_ON:
                raise ChildFailed("PAM asks for more than a password")
            if style == ECHO_OFF:
                answers.append(self._choose(text))
            else:
                self.shown.append(text)
                answers.append("")
        return answers

    def _choose(self, prompt: str) -> str:
        words = prompt.lower()
        old = any(word in words for word in ("current", "old "))
        if not self.changing or self.new is None or old:
            return self._password
        return self.new


def _silent(messages: Sequence[Message]) -> list[str]:
    """Answer no question."""
    if any(style in (ECHO_OFF, ECHO_ON) for style, _ in messages):
        raise ChildFailed("PAM asks although nobody is there to answer")
    return [""] * len(messages)


def _serve(
    sock: ChildSocket, facts: PamFacts, converse: "_Dialogue | _Passwords | None", refusal: str | None
) -> int:
    """Be the child; returns its exit status."""
    sock.send(_RESULT + decide(facts, converse, refusal).encode())
    return 0


def decide(facts: PamFacts, converse: "_Dialogue | _Passwords | None", refusal: str | None) -> PamResult:
    """Have PAM decide; without `converse` about the account alone."""
    shown = converse.shown if converse is not None else []
    try:
        pam = Pam(facts.service, facts.user, converse or _silent)
    except SSHKitError as error:
        return PamResult(_REFUSED, str(error))
    flags = 0 if facts.permit_empty else NO_EMPTY_PASSWORD
    try:
        pam.set_item(RHOST, facts.host)
        pam.set_item(TTY, TERMINAL)
        if converse is not None:
            pam.call("authenticate", flags)
        if refusal is not None:
            return PamResult(_REFUSED, refusal)
        if pam.user() != facts.user:
            return PamResult(_REFUSED, f"PAM makes {printable(pam.user())} of the user")
        try:
            pam.call("acct_mgmt", flags)
        except PamError as error:
            if error.code != NEW_AUTHTOK_REQUIRED:
                raise
            if converse is None or (isinstance(converse, _Passwords) and converse.new is None):
                return PamResult(_EXPIRED, "the password has expired", _joined(shown))
            if isinstance(converse, _Passwords):
                converse.changing = True
                converse.shown.clear()
                try:
                    pam.call("chauthtok", CHANGE_EXPIRED)
                except PamError as fault:
                    return PamResult(_EXPIRED, str(fault), _joined(shown))
            else:
                pam.call("chauthtok", CHANGE_EXPIRED)
        return PamResult(_PASSED, "", _joined(shown), tuple(pam.environment().items()))
    except PamError as error:
        return PamResult(_REFUSED, f"{facts.service}: {error}", _joined(shown))
    finally:
        pam.close()


def _joined(texts: Sequence[str]) -> str:
    """Return what modules said, as lines that are fit to be shown."""
    shown = "\n".join(printable(text.strip("\r\n"), MAX_SHOWN, keep="\n\t") for text in texts[-MAX_MESSAGES:])
    return shown[:MAX_SHOWN]
