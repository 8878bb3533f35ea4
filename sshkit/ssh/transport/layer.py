"""One connection's transport layer: identification, keys, disconnect (RFC 4253).

It is the protocol object that a reactor's transport (or asyncio's) talks to.  Whoever makes it is its
owner and is told when keys are in force, when a host key needs a verdict, and when the connection ends.
The key exchange itself is in `exchange`; services (authentication, connection) enter with `set_phase`.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from sshkit_keys.errors import WireError
from sshkit_keys.text import printable
from sshkit_keys.wire import WireReader

from sshkit.deferred import Deferred, Failure, fail
from sshkit.deferred.failure import report
from sshkit.ssh.algorithms import DEFAULT, Algorithms
from sshkit.ssh.ciphers.clear import ClearOpener
from sshkit.ssh.errors import (
    ClosedByApplication,
    ConnectionLost,
    DisconnectedByPeer,
    LocalProtocolError,
    RemoteProtocolError,
    ServiceNotAvailable,
    VersionNotSupported,
    farewell,
)
from sshkit.ssh.messages import transport as messages
from sshkit.ssh.transport.exchange import EXTENSIONS_IN_LOGIN, PINGS, Exchange, ext_info
from sshkit.ssh.transport.identification import (
    IDENTIFICATION,
    MAX_BEFORE_LINES,
    LineOpener,
    parse_identification,
)
from sshkit.ssh.transport.packet_reader import LIMIT, Handlers, PacketReader
from sshkit.ssh.transport.packet_writer import PacketWriter
from sshkit.ssh.transport.phases import AFTER_LOGIN, allows, table, through
from sshkit.ssh.transport.quirks import Quirk, quirks_of
from sshkit.ssh.transport.rekeying import MAX_BYTES, MIN_BYTES, TIMEOUT, RekeyLimits

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.interfaces import Clock, DelayedCall, Transport
    from sshkit.ssh.transport.exchange import HostSigner
    from sshkit.ssh.transport.negotiation import Negotiated

MAX_UNSENT = 1024 * 1024  #: bytes of answers a peer may leave unread before we stop reading from it
LINGER = 5.0  #: seconds for the last words to leave before the transport is aborted
MAX_EXTENSIONS = 64  #: entries of one EXT_INFO
#: Extensions that somebody here asks about; the names of others are not kept.
KNOWN_EXTENSIONS = frozenset({PINGS, EXTENSIONS_IN_LOGIN, "publickey-hostbound@openssh.com"})
MAX_PINGS = 1024  #: of ours that wait for an answer
#: What OpenSSH says to those who do not speak SSH 2.0.
NO_IDENTIFICATION = b"Invalid SSH identification string.\r\n"
OTHER_VERSION = b"Protocol major versions differ.\r\n"
MAX_WORDS = 400  #: characters of a DISCONNECT


class TransportOwner(Protocol):
    """Who made the layer and decides for it."""

    def verify_host_key(self, key: "PublicKey") -> "Deferred[None] | None":
        """Raise, or fail the Deferred, unless `key` is the server's; its signature is valid (client only)."""
        ...

    def transport_ready(self) -> None:
        """The first keys are in force."""
        ...

    def transport_lost(self, error: BaseException) -> None:
        """The connection has ended; called once.  ClosedByApplication if this side wanted it."""
        ...


class TransportLayer(PacketReader):
    """The transport layer of one side of one connection.

    `host_keys` maps signature algorithms to the server's keys; empty makes a client.
    """

    __slots__ = (
        "_fresh_sequence",
        "_linger",
        "_pings",
        "_rekey_timer",
        "_throttled",
        "algorithms",
        "announced_keys",
        "clock",
        "exchange",
        "host_key",
        "host_key_signature",
        "host_keys",
        "lost",
        "negotiated",
        "our_extensions",
        "our_identification",
        "owner",
        "peer_extensions",
        "peer_identification",
        "peer_signatures",
        "phase",
        "random_bytes",
        "rekey_limits",
        "session_id",
        "strict",
        "takes_late_extensions",
        "trace",
        "transport",
    )

    def __init__(
        self,
        owner: TransportOwner,
        clock: "Clock",
        random_bytes: Callable[[int], bytes],
        *,
        algorithms: Algorithms = DEFAULT,
        host_keys: "Mapping[str, HostSigner] | None" = None,
        rekey_limits: RekeyLimits = RekeyLimits(),  # noqa: B008 - immutable
        identification: bytes = IDENTIFICATION,
    ) -> None:
        super().__init__(LineOpener(), LINES, self, PacketWriter(clock.call_soon))
        self.writer.layer = self
        if host_keys is None:
            self.packet_limit = LIMIT  # a client has one server, and chose it
        self.trace: Callable[[str], object] | None = None  #: hears of the steps of a key exchange
        self.owner = owner
        self.clock = clock
        self.random_bytes = random_bytes
        self.algorithms = algorithms
        #: Server: algorithms of keys that it speaks of before it knows who wants in; None: all that it takes.
        self.announced_keys: Sequence[str] | None = None
        self.host_keys = host_keys
        self.rekey_limits = rekey_limits
        self.our_identification = identification
        self.peer_identification = b""
        self.transport: Transport | None = None
        self.exchange: Exchange | None = None
        self.negotiated: Negotiated | None = None
        self.session_id = b""
        self.strict = False
        self.host_key: PublicKey | None = None  #: the server's, once it was verified (client only)
        self.host_key_signature = b""  #: of the first exchange: what binds an agent to it
        self.peer_signatures: tuple[str, ...] | None = None  #: server-sig-algs of RFC 8308 section 3.1
        self.our_extensions: tuple[tuple[str, str], ...] = ()  #: what our EXT_INFO says beside our own lines
        self.peer_extensions: tuple[str, ...] = ()  #: those of the peer that are known here
        self.takes_late_extensions = False  #: the peer may send EXT_INFO once more during the login
        self.lost: BaseException | None = None  #: why the connection ended
        self.phase: tuple[Handlers, Any] = (READY, self)
        self._rekey_timer: DelayedCall | None = None
        self._fresh_sequence = -1  # the packet after which EXT_INFO may come
        self._throttled = False
        self._linger: DelayedCall | None = None
        self._pings: deque[Deferred[bytes]] | None = None  # those of ours that are not answered yet

    @property
    def is_client(self) -> bool:
        """This side opened the connection."""
        return self.host_keys is None

    @property
    def is_logged_in(self) -> bool:
        """The phase after the login was entered; on a server, perhaps just before SUCCESS leaves."""
        return allows(self.phase[0], AFTER_LOGIN)

    @property
    def quirks(self) -> Quirk:
        """What this peer gets wrong."""
        return quirks_of(self.peer_identification)

    # The seam: what a reactor's transport calls.

    def connection_made(self, transport: "Transport") -> None:
        """Say who we are and propose algorithms, in one write."""
        if self.lost is not None:  # given up while it was connecting
            transport.abort()
            return
        self.transport = transport
        self.writer.transport = transport
        self.writer.copies = not getattr(transport, "copies_on_write", False)
        self.writer.corked = True
        self.writer.send_raw(self.our_identification + b"\r\n")
        self._start_exchange()
        self.writer.corked = False
        self.writer.flush()

    def eof_received(self) -> bool:
        """Take the peer's end of stream for the end of the connection."""
        self._finish(ConnectionLost(f"the peer closed the connection{self._where()}"))
        return False

    def connection_lost(self, error: Exception | None) -> None:
        """Tell everybody, once."""
        self.transport = None  # it has ended: nothing is left to close
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        text = f"the connection was lost{self._where()}"
        self._finish(ConnectionLost(f"{text}: {error}" if error else text))

    def pause_writing(self) -> None:
        """Let channels rest: the transport has enough."""
        self.writer.pause()

    def resume_writing(self) -> None:
        """Let channels send, and read on if we had stopped."""
        if self.lost is not None:
            return
        self.writer.unpause()
        if self._throttled:
            self._throttled = False
            if self.transport is not None and not self.suspended:
                self.transport.resume_reading()
        try:
            self._tell_ready()
        except Exception as error:
            self.failed(error)

    # What the owner and the services call.

    def set_phase(self, handlers: Handlers, target: Any) -> None:
        """Enter a phase: from now on `handlers` say what is legal, and are called with `target`."""
        self.phase = (handlers, target)
        if self.exchange is None or not self.exchange.peer_proposed:
            self.handlers, self.target = handlers, target

    def send(self, payload: bytes) -> None:
        """Send one message; it waits while a key exchange is under way."""
        self.writer.send(payload)

    def disconnect(self, error: BaseException | None = None) -> None:
        """End the connection, telling the peer why; `error` goes to whoever waits for anything."""
        error = error or ClosedByApplication("the connection was closed")
        # A client that does not speak SSH gets no packet: it was told in words.
        told = isinstance(error, VersionNotSupported) and not self.is_client
        if self.lost is None and self.transport is not None and not told:
            code, words = farewell(error)
            description = printable(words, MAX_WORDS).encode("ascii", "backslashreplace")
            self.writer.send_now(messages.Disconnect(code, description, b"").encode())
            self.writer.flush()
        self._finish(error)

    def abort(self, error: BaseException) -> None:
        """End the connection at once, without a word."""
        transport = self.transport
        self._finish(error)
        if transport is not None:
            transport.abort()

    def rekey(self) -> None:
        """Start a key exchange unless one is under way."""
        if self.lost is None and self.exchange is None and self.session_id:
            self._start_exchange()

    def ping(self, data: bytes = b"") -> Deferred[bytes]:
        """Ask the peer for `data` back, where it said that it knows `ping@openssh.com`; after the login only.

        LocalProtocolError where it did not.  Chaff needs no answer: send `messages.Ping` itself.
        """
        if self.lost is not None:
            return fail(self.lost)
        if PINGS not in self.peer_extensions or not self.is_logged_in:
            raise LocalProtocolError("the peer has not said that it answers pings, or nobody is logged in")
        if self._pings is None:
            self._pings = deque()
        if len(self._pings) >= MAX_PINGS:
            raise LocalProtocolError(f"{MAX_PINGS} pings wait for an answer")
        answer: Deferred[bytes] = Deferred()
        self._pings.append(answer)
        self.send(messages.Ping(data).encode())
        return answer

    def send_extensions(self, user_keys: "Sequence[str] | None" = None) -> None:
        """Server: send EXT_INFO once more during the login, where the client takes it then.

        `user_keys` are the algorithms of who wants to log in; None: those of everybody.
        """
        if EXTENSIONS_IN_LOGIN in self.peer_extensions and not self.is_logged_in:
            self.send(ext_info(self, user_keys))

    def suspend(self) -> None:
        """Handle no packet and read nothing until `resume`."""
        super().suspend()
        if self.transport is not None:
            self.transport.pause_reading()

    def resume(self) -> None:
        """Go on; the end of the connection is not taken back."""
        if self.lost is None:
            if self.transport is not None and not self._throttled:
                self.transport.resume_reading()
            super().resume()

    def rest(self) -> None:
        """Let go of what an idle connection can make again; any packet wakes it."""
        for half in (self.opener, self.writer.sealer):
            rest = getattr(half, "rest", None)
            if rest is not None:
                rest()

    # What the reader calls.

    def rekey_due(self) -> None:
        """Start a key exchange: enough was sent or received with these keys.  A login is never that long."""
        if self.is_logged_in:
            self.rekey()

    def throttle(self) -> None:
        """Read no more while the peer leaves so much of what we send unread."""
        transport = self.transport
        if transport is not None and not self._throttled and transport.get_write_buffer_size() > MAX_UNSENT:
            self._throttled = True
            transport.pause_reading()

    def failed(self, error: BaseException) -> None:
        """End the connection for what a handler raised."""
        if isinstance(error, WireError):
            wrapped = RemoteProtocolError(f"a damaged message: {error}")
            wrapped.__cause__ = error
            error = wrapped
        self.disconnect(error)

    # Handlers of the messages of this layer.

    def line_received(self, payload: memoryview) -> None:
        """Take the identification, or on a client one of the lines that may come before it (R19)."""
        line = bytes(payload)
        if not line.startswith(b"SSH-") and self.is_client:
            opener = self.opener
            if isinstance(opener, LineOpener) and opener.lines >= MAX_BEFORE_LINES:
                raise RemoteProtocolError(f"{MAX_BEFORE_LINES} lines and no identification")
            return
        try:
            self.peer_identification = parse_identification(line)
        except VersionNotSupported:
            if not self.is_client:  # whoever speaks something else may at least read this
                self.writer.send_raw(OTHER_VERSION if line.startswith(b"SSH-") else NO_IDENTIFICATION)
                self.writer.flush()
            raise
        self.opener = ClearOpener()
        self.handlers = FIRST_PROPOSAL

    def disconnect_received(self, payload: memoryview) -> None:
        """End: the peer has told why (RFC 4253 section 11.1)."""
        message = messages.Disconnect.decode(payload)
        self._finish(DisconnectedByPeer(message.code, printable(message.description)))

    def ignore_received(self, payload: memoryview) -> None:
        """Do nothing (RFC 4253 section 11.2)."""

    def unimplemented_received(self, payload: memoryview) -> None:
        """Check the form and do nothing: whatever waits for an answer has a deadline of its own."""
        messages.Unimplemented.decode(payload)

    def debug_received(self, payload: memoryview) -> None:
        """Check the form and do nothing (RFC 4253 section 11.3)."""
        messages.Debug.decode(payload)

    def unknown_received(self, payload: memoryview) -> None:
        """Say that this number means nothing here (RFC 4253 section 11.4)."""
        sequence = (self.opener.sequence - 1) & 0xFFFFFFFF
        self.send(messages.Unimplemented(sequence=sequence).encode())

    def ext_info_received(self, payload: memoryview) -> None:
        """Take the peer's extensions, right after its first NEWKEYS (RFC 8308 section 2.4, R3)."""
        if self.opener.sequence != self._fresh_sequence:
            raise RemoteProtocolError("EXT_INFO is allowed right after NEWKEYS only")
        self.take_extensions(payload)

    def take_extensions(self, payload: memoryview) -> None:
        """Read an EXT_INFO whose place was checked."""
        message = messages.ExtInfo.decode(payload)
        if message.count > MAX_EXTENSIONS:
            raise RemoteProtocolError(f"{message.count} extensions, {MAX_EXTENSIONS} allowed")
        known: list[str] = []
        reader = WireReader(message.body)
        for _ in range(message.count):
            name, value = reader.string("extension name"), reader.string("extension value")
            if name == b"server-sig-algs" and self.is_client:
                self.peer_signatures = tuple(value.decode("ascii", "replace").split(","))
            elif name.decode("ascii", "replace") in KNOWN_EXTENSIONS:
                known.append(name.decode("ascii"))
        reader.finish("EXT_INFO")
        self.peer_extensions = tuple(dict.fromkeys((*self.peer_extensions, *known)))

    def ping_received(self, payload: memoryview) -> None:
        """Send the data back."""
        self.send(messages.Pong(messages.Ping.decode(payload).data).encode())

    def pong_received(self, payload: memoryview) -> None:
        """Tell who waits for it; an answer that nobody waits for is dropped (R26)."""
        data = messages.Pong.decode(payload).data
        if self._pings:
            self._pings.popleft().callback(data)

    def service_requested(self, payload: memoryview) -> None:
        """Refuse: a server's owner enters a phase of its own with `set_phase`."""
        raise ServiceNotAvailable("no service is offered")

    def proposal_received(self, payload: memoryview) -> None:
        """Take the peer's KEXINIT, the answer to ours or the start of a run."""
        first = not self.session_id
        if self.exchange is None:
            self._start_exchange()
        assert self.exchange is not None
        self.handlers, self.target = self.exchange.proposal_received(self, bytes(payload), first), self

    def group_requested(self, payload: memoryview) -> None:
        """Server: take the client's wish for a group."""
        assert self.exchange is not None
        self.handlers = self.exchange.group_requested(self, payload)

    def group_received(self, payload: memoryview) -> None:
        """Client: take the server's group."""
        assert self.exchange is not None
        self.handlers = self.exchange.group_received(self, payload)

    def exchange_init_received(self, payload: memoryview) -> None:
        """Server: take the client's public value."""
        assert self.exchange is not None
        self.exchange.init_received(self, payload)

    def exchange_reply_received(self, payload: memoryview) -> None:
        """Client: take the server's public value, host key and signature."""
        assert self.exchange is not None
        self.exchange.reply_received(self, payload)

    def new_keys_received(self, payload: memoryview) -> None:
        """Open with the new keys from the next packet on, and go back to the phase that was."""
        exchange = self.exchange
        assert exchange is not None
        first = not exchange.is_rekey
        self.opener = exchange.make_opener(self, 0 if self.strict else self.opener.sequence)
        self._fresh_sequence = self.opener.sequence + 1 if first else -1
        exchange.timer.cancel()
        self.exchange = None
        self._arm_rekey()
        self.handlers, self.target = self.phase
        self.writer.unblock()
        if first:
            self.owner.transport_ready()
        else:
            self._tell_ready()

    # Inside.

    def _start_exchange(self) -> None:
        self.exchange = Exchange(self, self.clock.call_later(TIMEOUT, self._exchange_timed_out))

    def _exchange_timed_out(self) -> None:
        self.abort(RemoteProtocolError(f"no new keys within {TIMEOUT:.0f} seconds"))

    def _arm_rekey(self) -> None:
        limits = self.rekey_limits
        volume = max(min(limits.bytes or MAX_BYTES, MAX_BYTES), MIN_BYTES)
        negotiated = self.negotiated
        assert negotiated is not None
        self.rekey_in_at = self.bytes_received + min(volume, negotiated.cipher_in.max_bytes)
        self.writer.rekey_at = self.writer.bytes_sent + min(volume, negotiated.cipher_out.max_bytes)
        if self._rekey_timer is not None:
            self._rekey_timer.cancel()
            self._rekey_timer = None
        if limits.seconds:
            self._rekey_timer = self.clock.call_later(limits.seconds, self.rekey)

    def _tell_ready(self) -> None:
        """Let the service send what it held back."""
        if self.writer.ready:
            writable = getattr(self.phase[1], "writable", None)
            if writable is not None:
                writable()

    def _where(self) -> str:
        if not self.peer_identification:
            return " before it identified itself"
        if not self.session_id:
            return " during the key exchange"
        return ""

    def _finish(self, error: BaseException) -> None:
        """Let everything go, and tell the owner; nothing that it raises gets in anybody's way (R41)."""
        if self.lost is not None:
            return
        self.lost = error
        transport, self.transport = self.transport, None
        self.release()
        self.writer.release()
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            exchange.abandon()
        if self._rekey_timer is not None:
            self._rekey_timer.cancel()
            self._rekey_timer = None
        if transport is not None:
            transport.close()
            self._linger = self.clock.call_later(LINGER, transport.abort)
        pings, self._pings = self._pings, None
        for answer in pings or ():
            answer.errback(error)
        # No circle of references stays: keys and whatever hangs on the services go with the last user.
        self.target = None
        self.phase = (READY, None)
        try:
            self.owner.transport_lost(error)
        except Exception as raised:
            report(Failure(raised), "")


ANY_TIME = {
    messages.DISCONNECT: TransportLayer.disconnect_received,
    messages.IGNORE: TransportLayer.ignore_received,
    messages.UNIMPLEMENTED: TransportLayer.unimplemented_received,
    messages.DEBUG: TransportLayer.debug_received,
}
#: What every phase with keys in force allows, for a target that keeps the layer in `.layer`.
COMMON = through("layer", ANY_TIME | {messages.KEXINIT: TransportLayer.proposal_received})
#: What the phases after the login allow as well: the numbers are among those that R2 keeps for them.
PING_HANDLERS = through(
    "layer",
    {messages.PING: TransportLayer.ping_received, messages.PONG: TransportLayer.pong_received},
)
UNKNOWN = through("layer", {0: TransportLayer.unknown_received})[0]

LINES: Handlers = (TransportLayer.line_received,) * 256
FIRST_PROPOSAL = table(
    "before the first KEXINIT", ANY_TIME, {messages.KEXINIT: TransportLayer.proposal_received}
)
#: Keys are in force and no service has been entered.
READY = table(
    "before a service is requested",
    ANY_TIME,
    {
        messages.KEXINIT: TransportLayer.proposal_received,
        messages.EXT_INFO: TransportLayer.ext_info_received,
        messages.SERVICE_REQUEST: TransportLayer.service_requested,
    },
    unknown=TransportLayer.unknown_received,
)


def _exchange_tables(extra: Mapping[int, Any], phase: str) -> dict[bool, Handlers]:
    """Return the tables for a strict and for a lenient key exchange, by strictness (R3, R13)."""
    strict = {messages.DISCONNECT: TransportLayer.disconnect_received}
    return {True: table(phase, strict, extra), False: table(phase, ANY_TIME, extra)}


EXCHANGE_SERVER = _exchange_tables(
    {messages.KEX_INIT: TransportLayer.exchange_init_received}, "while the client's KEX_INIT is awaited"
)
EXCHANGE_CLIENT = _exchange_tables(
    {messages.KEX_REPLY: TransportLayer.exchange_reply_received}, "while the server's KEX_REPLY is awaited"
)
NEW_KEYS = _exchange_tables({messages.NEWKEYS: TransportLayer.new_keys_received}, "while NEWKEYS is awaited")
#: The same for a group exchange, which has a round more: the group, then the values.
GROUP_SERVER = _exchange_tables(
    {messages.KEX_GROUP_REQUEST: TransportLayer.group_requested},
    "while the client's KEX_GROUP_REQUEST is awaited",
)
GROUP_CLIENT = _exchange_tables(
    {messages.KEX_GROUP: TransportLayer.group_received}, "while the server's KEX_GROUP is awaited"
)
GROUP_INIT = _exchange_tables(
    {messages.KEX_GROUP_INIT: TransportLayer.exchange_init_received},
    "while the client's KEX_GROUP_INIT is awaited",
)
GROUP_REPLY = _exchange_tables(
    {messages.KEX_GROUP_REPLY: TransportLayer.exchange_reply_received},
    "while the server's KEX_GROUP_REPLY is awaited",
)
