"""The client's side of user authentication (RFC 4252): methods in order, each thing once, and a trail.

The trail says for every key and method what was tried, from where, and why it did not work; it is what
a failed login shows (`AuthenticationFailed.trail`).
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.deferred import CancelledError, Deferred, Failure
from sshkit.ssh.authentication.answers import awaited
from sshkit.ssh.authentication.login_options import PLAIN, LoginOptions
from sshkit.ssh.authentication.methods import CLIENT_METHODS
from sshkit.ssh.authentication.methods.method import ClientMethod
from sshkit.ssh.authentication.verdicts import (
    ACCEPTED,
    PARTIAL,
    REFUSED,
    SERVICE,
    SKIPPED,
    Attempt,
)
from sshkit.ssh.errors import AuthenticationFailed, RemoteProtocolError
from sshkit.ssh.messages import authentication as messages
from sshkit.ssh.messages import transport as transport_messages
from sshkit.ssh.transport.layer import COMMON, UNKNOWN, TransportLayer
from sshkit.ssh.transport.phases import table, through

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

USERAUTH = "ssh-userauth"
MAX_REQUESTS = 64  #: requests of one login (R12)
MAX_BANNERS = 16
MAX_BANNER = 256 * 1024  #: characters shown of one: as many as a packet holds
T = TypeVar("T")


class Signer(Protocol):
    """A private key, or one that an agent holds."""

    @property
    def public(self) -> "PublicKey | None":
        """Its public half, or a certificate of it."""
        ...

    def sign(self, algorithm: str, data: bytes) -> "bytes | Deferred[bytes]":
        """Return the signature blob, now or later."""
        ...


class Identity:
    """A key or certificate that may be offered.

    `load` gives what signs when the server wants it, perhaps after a question for a passphrase; None where
    it cannot be had.  `private` is it, where it is at hand.
    """

    __slots__ = ("load", "private", "public", "source")

    def __init__(
        self,
        public: "PublicKey",
        source: str,
        private: "Signer | None" = None,
        load: "Callable[[], Signer | Deferred[Any] | None] | None" = None,
    ) -> None:
        self.public = public
        self.source = source
        self.private = private
        self.load = load if load is not None else lambda: private


class Credentials(Protocol):
    """What the user can prove himself with.  Answers may be awaitable; None means there is none."""

    @property
    def identities(self) -> Sequence[Identity]:
        """The keys to offer, in order."""
        ...

    @property
    def interactive_tries(self) -> int:
        """How often a keyboard-interactive dialogue may be started."""
        ...

    def password(self) -> "str | Awaitable[str | None] | None":
        """Return a password; asked again after each refusal until it gives None."""
        ...

    def answers(
        self, title: str, instruction: str, prompts: Sequence[tuple[str, bool]]
    ) -> "list[str] | Awaitable[list[str] | None] | None":
        """Return an answer to each prompt (text, whether it may be shown)."""
        ...

    def show_banner(self, text: str) -> None:
        """Show the server's text; control characters are escaped already."""
        ...


class ClientAuthentication:
    """One login.  `done` fires with the layer, or fails with AuthenticationFailed."""

    __slots__ = (
        "_banners",
        "_current",
        "_methods",
        "_offered",
        "_requests",
        "_waiting",
        "credentials",
        "done",
        "keys_used",
        "layer",
        "options",
        "trail",
        "user",
    )

    def __init__(
        self,
        layer: TransportLayer,
        user: str,
        credentials: Credentials,
        methods: Sequence[str] = ("publickey", "keyboard-interactive", "password", "none"),
        options: LoginOptions = PLAIN,
    ) -> None:
        self.layer = layer
        self.user = user
        self.credentials = credentials
        self.options = options
        self.keys_used: list[tuple[Identity, Signer]] = []  #: whose signatures the server accepted
        self.done: Deferred[TransportLayer] = Deferred()
        self.trail: list[Attempt] = []
        by_name = {method.name: method for method in CLIENT_METHODS}
        self._methods: list[ClientMethod] = [by_name[name](self) for name in methods if name in by_name]
        self._offered: tuple[str, ...] | None = None  # None: the server has not said yet
        self._current: ClientMethod | None = None
        self._waiting = False  # an answer of ours is awaited; the server has nothing to say meanwhile
        self._requests = 0
        self._banners = 0

    def start(self) -> None:
        """Ask for the service and try the first thing, in one write.

        That waits for this turn's end: which signatures the server takes, and whether it has them bound to
        itself, is in the packet after its NEWKEYS.
        """
        self.layer.set_phase(NOTHING_ASKED, self)
        if not self.credentials.identities:
            # Nothing to offer without a question to the user: first see which methods there are.
            self._methods.sort(key=lambda method: method.name != "none")
        self.layer.clock.call_soon(self._begin)

    # What the methods call.

    def request(self, method: str, body: bytes) -> None:
        """Send one request."""
        self._requests += 1
        if self._requests > MAX_REQUESTS:
            self._fail(f"more than {MAX_REQUESTS} requests")
            return
        self.layer.send(messages.UserauthRequest(self.user, SERVICE, method, body).encode())

    def ask(
        self, question: Callable[[], Any], then: Callable[[Any], None], otherwise: Callable[[], None]
    ) -> None:
        """Call `then` with the answer, or `otherwise` where it is None.

        It may be a value, a Deferred or a coroutine.  An error of the question is noted and counts as None;
        one of the code behind it ends the connection.
        """
        method = self._current

        def note(outcome: str) -> None:
            self.note(method.name if method else "", method.detail() if method else "", outcome)

        try:
            answer = awaited(question())
        except SSHKitError as error:
            note(str(error))
            answer = None
        self._waiting = True

        def answered(result: Any) -> None:
            if self.layer.lost is None:
                self._waiting = False
                if result is None:
                    otherwise()
                else:
                    then(result)

        def failed(failure: Failure) -> None:
            if not isinstance(failure.exception, (SSHKitError, CancelledError)):
                failure.raise_exception()
            note(str(failure.exception) or "given up")

        if isinstance(answer, Deferred):
            answer.add_errback(failed).add_callback(answered).add_errback(self._broken)
        else:
            answered(answer)

    def note(
        self,
        method: str,
        detail: str,
        outcome: str,
        verdict: str = SKIPPED,
        tried: ClientMethod | None = None,
    ) -> None:
        """Add a line to the trail; `tried` is the method whose key it is about."""
        current = tried or self._current
        key = current.key() if current is not None and current.name == method else ("", "")
        self.trail.append(Attempt(method, detail, outcome, verdict, *key, self._offered or ()))

    def next_try(self, method: str, detail: str, outcome: str) -> None:
        """Note why this did not work and go on."""
        self.note(method, detail, outcome)
        self._next()

    def gave_up(self, method: str, outcome: str = "") -> None:
        """Go on without a method that cannot work, and note why, if there is anything to say."""
        self._methods = [other for other in self._methods if other.name != method]
        if outcome:
            self.note(method, "", outcome)
        self._next()

    # Handlers.

    def service_accepted(self, payload: memoryview) -> None:
        """Take SERVICE_ACCEPT; the first request is on its way already."""
        if transport_messages.ServiceAccept.decode(payload).name != USERAUTH:
            raise RemoteProtocolError("a service was accepted that was not requested")
        self.layer.set_phase(ANSWERS, self)

    def failure_received(self, payload: memoryview) -> None:
        """Note why the request failed, and go on with what the server still takes (RFC 4252 section 5.1)."""
        message = messages.UserauthFailure.decode(payload)
        current, self._current = self._current, None
        if current is None or self._waiting:
            raise RemoteProtocolError("USERAUTH_FAILURE without a request")
        self._offered = tuple(printable(name) for name in message.methods)
        if message.partial_success:
            self.note(current.name, current.detail(), "accepted, more is needed", PARTIAL, current)
            current.accepted()
            for method in self._methods:
                method.restart()
        elif current.name != "none":
            self.note(current.name, current.detail(), "the server refused", REFUSED, current)
        self._next()

    def success_received(self, payload: memoryview) -> None:
        """We are in: whoever waits for `done` enters the next phase."""
        messages.UserauthSuccess.decode(payload)
        if self._current is None or self._waiting:
            raise RemoteProtocolError("USERAUTH_SUCCESS without a request")
        self._offered = None
        self.note(self._current.name, self._current.detail(), "accepted", ACCEPTED)
        self._current.accepted()
        self._current = None
        self._methods = []  # they point back here
        self.done.callback(self.layer)

    def banner_received(self, payload: memoryview) -> None:
        """Show a text of the server, made harmless (R36)."""
        text = printable(messages.UserauthBanner.decode(payload).text, MAX_BANNER, keep="\n\t").replace(
            "\\r\n", "\n"
        )
        self._banners += 1
        if self._banners > MAX_BANNERS:
            raise RemoteProtocolError(f"more than {MAX_BANNERS} banners")
        self.credentials.show_banner(text)

    def method_message_received(self, payload: memoryview) -> None:
        """Give a message from 60 on to the method whose request is in work."""
        if self._current is None or self._waiting:
            raise RemoteProtocolError(f"message {payload[0]} without a request")
        if payload[0] not in self._current.numbers:
            raise RemoteProtocolError(f"message {payload[0]} is none of the method {self._current.name}")
        self._current.message_received(payload)

    def ext_info_received(self, payload: memoryview) -> None:
        """Take extensions right before SUCCESS (RFC 8308 section 2.4); nothing else may follow.

        Once more before that, where we told the server so (`ext-info-in-auth@openssh.com`, R3).
        """
        self.layer.take_extensions(payload)
        if self.layer.takes_late_extensions:
            self.layer.takes_late_extensions = False
            for method in self._methods:
                method.extensions_came()
            return
        self.layer.set_phase(ONLY_SUCCESS, self)

    # Inside.

    def _begin(self) -> None:
        """Try the first thing, called by the clock: nobody else takes an exception."""
        if self.layer.lost is not None:
            return
        try:
            self.layer.send(transport_messages.ServiceRequest(USERAUTH).encode())
            self.layer.set_phase(AWAIT_SERVICE, self)
            self._next()
        except Exception as error:
            self.layer.failed(error)

    def _broken(self, failure: Failure) -> None:
        self.layer.failed(failure.exception)

    def _next(self) -> None:
        """Try the next thing of the first method that has one."""
        if self.layer.lost is not None:
            return
        for method in self._methods:
            if self._offered is not None and method.name not in self._offered and method.name != "none":
                continue
            self._current = method
            if method.try_next():
                return
        self._current = None
        self._fail("")

    def _fail(self, why: str) -> None:
        self._methods = []
        self._current = None
        offered = ", ".join(self._offered or ()) or "none"
        lines = "".join(f"\n  {attempt}" for attempt in self.trail) or "\n  nothing could be tried"
        error = AuthenticationFailed(
            f"{printable(self.user)}: permission denied ({offered}){f': {why}' if why else ''}{lines}",
            tuple(self.trail),
        )
        self.done.errback(error)


#: Extensions may come, and nothing else that would be an answer.
NOTHING_ASKED = table(
    "before the service was asked for",
    COMMON,
    through("layer", {transport_messages.EXT_INFO: TransportLayer.ext_info_received}),
    unknown=UNKNOWN,
)
AWAIT_SERVICE = table(
    "before the service was accepted",
    COMMON,
    through("layer", {transport_messages.EXT_INFO: TransportLayer.ext_info_received}),
    {transport_messages.SERVICE_ACCEPT: ClientAuthentication.service_accepted},
    unknown=UNKNOWN,
)
ANSWERS = table(
    "during authentication",
    COMMON,
    {
        messages.USERAUTH_FAILURE: ClientAuthentication.failure_received,
        messages.USERAUTH_SUCCESS: ClientAuthentication.success_received,
        messages.USERAUTH_BANNER: ClientAuthentication.banner_received,
        messages.USERAUTH_PK_OK: ClientAuthentication.method_message_received,
        messages.GSSAPI_TOKEN: ClientAuthentication.method_message_received,
        messages.GSSAPI_ERROR: ClientAuthentication.method_message_received,
        messages.GSSAPI_ERRTOK: ClientAuthentication.method_message_received,
        transport_messages.EXT_INFO: ClientAuthentication.ext_info_received,
    },
    unknown=UNKNOWN,
)
ONLY_SUCCESS = table(
    "between EXT_INFO and USERAUTH_SUCCESS",
    COMMON,
    {messages.USERAUTH_SUCCESS: ClientAuthentication.success_received},
    unknown=UNKNOWN,
)
