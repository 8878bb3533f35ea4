"""The client's side of the agent protocol, over any byte transport (RFC 9987).

Made by `sshkit.agent.connect_agent`, by forwarding, and by the agent's own server for the agents behind it.
Requests leave at once and are answered in order; each has a deadline on the clock that is handed in.
"""

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from sshkit_keys.errors import KeyFileError, SSHKitError, WireError
from sshkit_keys.wire import WireReader

from sshkit.deferred import Deferred, fail
from sshkit.ssh.agent import messages
from sshkit.ssh.agent.constraints import Constraints
from sshkit.ssh.agent.destinations import Destination
from sshkit.ssh.agent.errors import AgentError, AgentLost, AgentRefused, AgentTimeout
from sshkit.ssh.agent.framing import Frames
from sshkit.ssh.agent.key_blobs import parse_blob, plain_algorithm, plain_key, type_of
from sshkit.ssh.agent.private_keys import encode_key

if TYPE_CHECKING:
    from sshkit_keys import PrivateKey, PublicKey

    from sshkit.interfaces import Clock, DelayedCall, Transport

T = TypeVar("T")
TIMEOUT = 30.0  #: seconds for what the agent answers by itself
SIGN_TIMEOUT = 300.0  #: seconds for a signature: a person may have to confirm, or touch a token
MAX_WAITING = 1024  #: requests that were sent and not answered

_FLAGS = {"rsa-sha2-256": messages.RSA_SHA2_256, "rsa-sha2-512": messages.RSA_SHA2_512}


class AgentKey:
    """A key that an agent holds.

    `public` is a key or a certificate, None where the type is unknown here: such a key is listed, and can be
    removed, but signs nothing.
    """

    __slots__ = ("_client", "blob", "comment", "key_type", "public")

    def __init__(self, client: "AgentClient", blob: bytes, comment: str) -> None:
        self._client = client
        self.blob = blob
        self.comment = comment
        self.key_type = type_of(blob)
        self.public: PublicKey | None = None
        try:
            self.public = parse_blob(blob, comment)
        except KeyFileError:
            pass

    @property
    def signature_algorithms(self) -> tuple[str, ...]:
        """The algorithms that the key may sign with, best first."""
        return self.public.signature_algorithms if self.public is not None else ()

    def sign(self, algorithm: str, data: bytes) -> Deferred[bytes]:
        """Have the agent sign; fires with the signature blob, as PrivateKey.sign returns it."""
        if self.public is None:
            return fail(AgentError(f"a key of a type that is not known here signs nothing: {self!r}"))
        return self._client.sign(self.public, data, algorithm)

    def __repr__(self) -> str:
        from sshkit_keys.fingerprints import fingerprint
        from sshkit_keys.text import printable

        return f"<AgentKey {printable(self.key_type, 64)} {fingerprint(self.blob)}>"


class Waiting:
    """One request that was sent."""

    __slots__ = ("deadline", "deferred", "read")

    def __init__(
        self,
        deferred: "Deferred[Any]",
        read: Callable[[bytes], Any],
        clock: "Clock",
        seconds: float,
        what: str,
    ) -> None:
        self.deferred: Deferred[Any] | None = deferred
        self.read = read
        error = AgentTimeout(f"{what} did not end within {seconds:g} s")
        self.deadline: DelayedCall = clock.call_later(seconds, self.settle, error)

    def give_up(self) -> None:
        """Want no answer any more; it is still to come, and is dropped then."""
        self.deferred = None
        self.deadline.cancel()

    def settle(self, outcome: Any) -> None:
        """Fire, unless whoever asked has given up."""
        deferred = self.deferred
        self.give_up()
        if deferred is None:
            return
        if isinstance(outcome, Exception):
            deferred.errback(outcome)
        else:
            deferred.callback(outcome)


class AgentClient:
    """One connection to an agent.  `name` says which in errors: the socket's path."""

    __slots__ = (
        "_clock",
        "_closed",
        "_frames",
        "_lost",
        "_sign_timeout",
        "_timeout",
        "_transport",
        "_waiting",
        "name",
    )

    def __init__(
        self,
        clock: "Clock",
        name: str = "the agent",
        *,
        timeout: float = TIMEOUT,
        sign_timeout: float = SIGN_TIMEOUT,
    ) -> None:
        self.name = name
        self._clock = clock
        self._timeout = timeout
        self._sign_timeout = sign_timeout
        self._frames = Frames()
        self._waiting: deque[Waiting] = deque()
        self._transport: Transport | None = None
        self._lost: AgentLost | None = None
        self._closed: list[Deferred[None]] = []

    # What programs call.

    @property
    def lost(self) -> bool:
        """Whether the connection has ended."""
        return self._lost is not None

    def list_keys(self) -> Deferred[list[AgentKey]]:
        """Return the keys; an agent that is locked has none."""
        return self._ask(messages.RequestIdentities().encode(), self._read_keys, "listing its keys")

    def sign(self, key: "PublicKey", data: bytes, algorithm: str = "") -> Deferred[bytes]:
        """Return the signature blob, verified; `algorithm` is the key's best one unless given."""
        algorithm = algorithm or key.signature_algorithms[0]
        if algorithm not in key.signature_algorithms:
            return fail(AgentError(f"{algorithm!r} is no signature algorithm of a {key.key_type} key"))
        label = plain_algorithm(algorithm)

        def check(signature: bytes) -> bytes:
            plain_key(key).verify(label, data, signature)
            return signature

        return self.request_signature(key.blob, data, _FLAGS.get(label, 0)).add_callback(check)

    def request_signature(self, key: bytes, data: bytes, flags: int) -> Deferred[bytes]:
        """Return the signature blob as it came; for whoever passes requests on."""

        def read(payload: bytes) -> bytes:
            return messages.SignResponse.decode(_expect(payload, messages.SIGN_RESPONSE)).signature

        request = messages.SignRequest(key, data, flags)
        return self._ask(request.encode(), read, "signing", self._sign_timeout)

    def add(
        self,
        key: "PrivateKey",
        *,
        comment: str | None = None,
        lifetime: int = 0,
        confirm: bool = False,
        destinations: Sequence[Destination] = (),
        certificate: "PublicKey | None" = None,
        provider: str = "",
    ) -> Deferred[None]:
        """Give the agent a private key, or one with its certificate.

        `lifetime` is in seconds (0: for ever); with `confirm` the agent asks before each use; `destinations`
        say where the key may be used; `provider` is the library for a security key.
        """
        limits = Constraints(
            lifetime=lifetime, confirm=confirm, destinations=tuple(destinations), provider=provider
        ).encode()
        body = encode_key(key, key.comment if comment is None else comment, certificate) + limits
        kind = messages.AddIdentityConstrained if limits else messages.AddIdentity
        return self._do(kind(body).encode(), "adding a key")

    def remove(self, key: "PublicKey | AgentKey") -> Deferred[None]:
        """Have one key forgotten."""
        return self._do(messages.RemoveIdentity(key.blob).encode(), "removing a key")

    def remove_all(self) -> Deferred[None]:
        """Have all keys forgotten."""
        return self._do(messages.RemoveAllIdentities().encode(), "removing all keys")

    def lock(self, passphrase: bytes) -> Deferred[None]:
        """Have the agent refuse everything until it is unlocked."""
        return self._do(messages.Lock(passphrase).encode(), "locking")

    def unlock(self, passphrase: bytes) -> Deferred[None]:
        """Undo `lock`; an agent answers a wrong passphrase late."""
        return self._do(messages.Unlock(passphrase).encode(), "unlocking")

    def add_smartcard(
        self,
        provider: str,
        pin: str = "",
        *,
        lifetime: int = 0,
        confirm: bool = False,
        destinations: Sequence[Destination] = (),
        certificates: Sequence["PublicKey"] = (),
        certificates_only: bool = False,
    ) -> Deferred[None]:
        """Have the agent take the keys of a token; `provider` is the library that it shall load."""
        limits = Constraints(
            lifetime=lifetime,
            confirm=confirm,
            destinations=tuple(destinations),
            certificates=tuple(certificates),
            certificates_only=certificates_only,
        ).encode()
        names = provider.encode("utf-8", "surrogateescape"), pin.encode("utf-8", "surrogateescape")
        payload = (
            messages.AddSmartcardKeyConstrained(*names, limits).encode()
            if limits
            else messages.AddSmartcardKey(*names).encode()
        )
        return self._do(payload, "adding a token", self._sign_timeout)

    def remove_smartcard(self, provider: str, pin: str = "") -> Deferred[None]:
        """Have the keys of a token forgotten."""
        names = provider.encode("utf-8", "surrogateescape"), pin.encode("utf-8", "surrogateescape")
        return self._do(messages.RemoveSmartcardKey(*names).encode(), "removing a token")

    def extensions(self) -> Deferred[list[str]]:
        """Return the names of the extensions that the agent knows; AgentRefused if it cannot tell."""

        def read(payload: bytes) -> list[str]:
            if payload[:1] == messages.ExtensionResponse.head:
                answer = messages.ExtensionResponse.decode(payload)
                if answer.kind != messages.QUERY:
                    raise WireError("an answer to another extension")
                reader = WireReader(answer.body)
            else:  # the form of the drafts before the RFC
                reader = WireReader(_expect(payload, messages.SUCCESS)[1:])
            names = []
            while reader.position < reader.end:
                names.append(reader.text("extension"))
            return names

        return self._ask(messages.Extension(messages.QUERY, b"").encode(), read, "telling its extensions")

    def bind_session(
        self, host_key: bytes, session_id: bytes, signature: bytes, forwarding: bool
    ) -> Deferred[None]:
        """Tie this connection to an SSH session, so that keys which are limited to destinations work.

        `host_key` is the server's blob, `signature` its signature of the session id, from the key exchange.
        """
        body = messages.SessionBind(host_key, session_id, signature, forwarding).encode()
        return self._do(messages.Extension(messages.SESSION_BIND, body).encode(), "binding a session")

    def extension(self, kind: str, body: bytes) -> Deferred[bytes]:
        """Send another extension; fires with the contents of the answer."""

        def read(payload: bytes) -> bytes:
            if payload[:1] == messages.ExtensionResponse.head:
                return messages.ExtensionResponse.decode(payload).body
            return _expect(payload, messages.SUCCESS)[1:]

        return self._ask(messages.Extension(kind, body).encode(), read, "an extension")

    def close(self) -> Deferred[None]:
        """Close the connection; requests that wait fail with AgentLost."""
        closed: Deferred[None] = Deferred()
        if self._lost is not None or self._transport is None:
            closed.callback(None)
            return closed
        self._closed.append(closed)
        self._transport.close()
        return closed

    # What the transport calls.

    def connection_made(self, transport: "Transport") -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._frames.feed(data)
        try:
            while (payload := self._frames.next()) is not None:
                if not self._waiting:
                    raise WireError("an answer to nothing")
                self._answered(self._waiting.popleft(), payload)
        except WireError as error:
            self._end(f"broke the protocol: {error}")
            assert self._transport is not None  # which has given us the data
            self._transport.abort()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: BaseException | None) -> None:
        self._end("closed the connection" if exc is None else f"was lost: {exc}")
        closed, self._closed = self._closed, []
        for waiter in closed:
            waiter.callback(None)

    def pause_writing(self) -> None:
        """Requests are small and bounded in number."""

    def resume_writing(self) -> None:
        """Nothing was held back."""

    # Inside.

    def _answered(self, waiting: Waiting, payload: bytes) -> None:
        outcome: Any
        try:
            if payload[0] in (messages.FAILURE, messages.EXTENSION_FAILURE):
                raise AgentRefused(f"{self.name} refused the request")
            outcome = waiting.read(payload)
        except WireError as error:
            waiting.settle(AgentLost(f"{self.name} broke the protocol: {error}"))
            raise
        except SSHKitError as error:
            outcome = error
        waiting.settle(outcome)

    def _read_keys(self, payload: bytes) -> list[AgentKey]:
        answer = messages.IdentitiesAnswer.decode(_expect(payload, messages.IDENTITIES_ANSWER))
        if answer.count > messages.MAX_KEYS:
            raise WireError(f"{answer.count} keys, at most {messages.MAX_KEYS} allowed")
        reader = WireReader(answer.body)
        keys = []
        for _ in range(answer.count):
            blob = reader.string("key")
            comment = reader.string("comment").decode("utf-8", "replace")
            keys.append(AgentKey(self, blob, comment))
        reader.finish("list of keys")
        return keys

    def _do(self, payload: bytes, what: str, timeout: float | None = None) -> Deferred[None]:
        def read(answer: bytes) -> None:
            messages.Success.decode(_expect(answer, messages.SUCCESS))

        return self._ask(payload, read, what, timeout)

    def _ask(
        self, payload: bytes, read: Callable[[bytes], T], what: str, timeout: float | None = None
    ) -> Deferred[T]:
        if self._lost is not None:
            return fail(AgentLost(str(self._lost)))
        if self._transport is None:
            return fail(AgentError(f"{self.name} is not connected yet"))
        if len(self._waiting) >= MAX_WAITING:
            return fail(AgentError(f"{MAX_WAITING} requests wait for {self.name} already"))
        if len(payload) > messages.MAX_MESSAGE:
            return fail(AgentError(f"a request of {len(payload)} bytes is too large for any agent"))
        seconds = self._timeout if timeout is None else timeout

        deferred: Deferred[T] = Deferred(lambda _: waiting.give_up())
        waiting = Waiting(deferred, read, self._clock, seconds, f"{self.name}: {what}")
        self._waiting.append(waiting)
        self._transport.write(messages.frame(payload))
        return deferred

    def _end(self, why: str) -> None:
        if self._lost is None:
            self._lost = AgentLost(f"{self.name} {why}")
        self._frames.clear()
        while self._waiting:
            self._waiting.popleft().settle(AgentLost(str(self._lost)))


def _expect(payload: bytes, number: int) -> bytes:
    if payload[0] != number:
        raise WireError(f"answer {payload[0]} where {number} was expected")
    return payload


__all__ = ["AgentClient", "AgentKey"]
