"""``ssh:USER@HOST[:PORT]:COMMAND`` and ``ssh:USER@HOST[:PORT]:->HOST:PORT``: a channel as a connection.

Any stream protocol talks with a command on another host, or with a port that this host can reach, as if it
were a socket.  Named in the table of sshkit.reactor.endpoints; each connection logs in of its own, and ends
its login with the channel, unless a `ClientConnection` was given.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from sshkit_keys.text import printable

from sshkit.client.connect import connect
from sshkit.client.connection import ClientConnection
from sshkit.client.destination import InvalidDestination, parse_destination
from sshkit.client.starting import start_session
from sshkit.client.tunnel import ChannelTransport
from sshkit.deferred import Deferred, Failure, succeed
from sshkit.interfaces.reactor import CONNECT_TIMEOUT
from sshkit.reactor.endpoints.arguments import MAX_PORT, Arguments
from sshkit.reactor.endpoints.base import ClientPlace

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor
    from sshkit.ssh.connection.channel import Channel

_P = TypeVar("_P")

ARROW = "->"
MAX_LOGGED = 2000  #: bytes of one logged piece of a command's standard error


class StreamChannel(ChannelTransport):
    """The transport of a protocol that takes bytes or lends a buffer; introduced by `begin`."""

    __slots__ = ("_ended_by", "_over", "_reading")

    def __init__(self, protocol: Any, info: dict[str, Any], over: Callable[[], object]) -> None:
        super().__init__(protocol, info)
        self._over = over  # called when the channel has ended
        self._reading = False
        self._ended_by: BaseException | None = None

    def begin(self) -> None:
        """The command runs, or the port is connected."""
        self._reading = True
        self._protocol.connection_made(self)

    def channel_opened(self, channel: "Channel", body: bytes) -> None:
        self._channel = channel

    def data_received(self, data: memoryview) -> None:
        if hasattr(self._protocol, "get_buffer"):
            super().data_received(data)
        else:
            self._protocol.data_received(bytes(data))

    def extended_data_received(self, kind: int, data: memoryview) -> None:
        import logging

        text = printable(bytes(data[:MAX_LOGGED]).rstrip(), MAX_LOGGED)
        logging.getLogger("sshkit.endpoints").warning("%s says: %s", self._info["peername"], text)

    def eof_received(self) -> None:
        if self._reading:
            super().eof_received()

    def pause_writing(self) -> None:
        if self._reading:
            super().pause_writing()

    def resume_writing(self) -> None:
        if self._reading:
            super().resume_writing()

    def channel_closed(self, error: BaseException | None) -> None:
        self._ended = True
        try:
            if self._reading:
                self._protocol.connection_lost(error)
        finally:
            self._over()


class SSHClientEndpoint(ClientPlace):
    """A command on a host, or with `to` an address that the host can reach.

    `destination` is what `sshkit.connect` takes, with its `options`, or an open connection.
    """

    __slots__ = ("_options", "command", "destination", "to")

    def __init__(
        self,
        destination: str | ClientConnection,
        command: str | None = None,
        *,
        to: tuple[str, int] | None = None,
        timeout: float = CONNECT_TIMEOUT,
        reactor: "Reactor | None" = None,
        **options: Any,
    ) -> None:
        super().__init__(reactor, timeout)
        if (command is None) == (to is None):
            raise InvalidDestination("either a command or an address behind the host, one of both")
        if isinstance(destination, str):
            parse_destination(destination)
        self.destination = destination
        self.command = command
        self.to = to
        self._options = options

    @property
    def shown(self) -> str:
        """The text that means it."""
        host = self.destination if isinstance(self.destination, str) else repr(self.destination)
        what = self.command if self.to is None else f"{ARROW}{self.to[0]}:{self.to[1]}"
        return f"ssh:{printable(host)}:{printable(what or '')}"

    def _connect(self, factory: Callable[[], _P], timeout: float) -> Deferred[_P]:
        reactor = self.reactor
        destination = self.destination
        logging_in: Deferred[ClientConnection]
        if isinstance(destination, str):
            logging_in = connect(
                destination, timeout=timeout, login_timeout=timeout, reactor=reactor, **self._options
            )
        else:
            logging_in = succeed(destination)

        def logged_in(connection: ClientConnection) -> Deferred[_P]:
            def leave(outcome: Any = None) -> Any:
                if connection is not destination:
                    connection.layer.disconnect()
                return outcome

            def started(_: object) -> _P:
                stream.begin()
                return protocol

            try:
                protocol = factory()
            except BaseException:
                leave()
                raise
            stream = StreamChannel(protocol, {"peername": self.shown, "connection": connection}, leave)
            opening: Deferred[Any]
            if self.to is not None:
                opening = connection.open_direct(self.to, stream)
            else:
                opening = start_session(connection, self.command, stream)  # type: ignore[arg-type]
            return opening.add_callback(started).add_errback(failed, stream, leave)

        def failed(failure: Failure, stream: StreamChannel, leave: Callable[[], object]) -> Failure:
            stream.abort()
            leave()
            return failure

        return logging_in.add_callback(logged_in).add_timeout(timeout, reactor, what=self.shown)


def client(arguments: Arguments, reactor: "Reactor | None") -> SSHClientEndpoint:
    """Read ``ssh:[USER@]HOST[:PORT][:identity=FILE][:known_hosts=FILE][:jump=HOST][:config=yes]:WHAT``.

    WHAT is the rest as it stands: a command, or ``->HOST:PORT``.
    """
    begin = len(arguments.kind) + 1
    destination = arguments.take("user@host")
    options: dict[str, Any] = {}
    while (piece := arguments.peek()) is not None:
        if piece.name == "" and piece.value.isdecimal() and "port" not in options:
            options["port"] = arguments.take_port()
        elif piece.name in ("identity", "known_hosts", "jump", "config", "timeout"):
            arguments.skip()
            if piece.name in options:
                raise arguments.fault(f"ssh: {piece.name} a second time", piece.position)
            options[piece.name] = piece.value
        else:
            break
    timeout = CONNECT_TIMEOUT
    if "timeout" in options:
        timeout = float(arguments.number(options.pop("timeout"), begin, 1, 86400, "seconds"))
    if "identity" in options:
        options["identities"] = [options.pop("identity")]
    if "config" in options:
        words = {"yes": True, "no": False}
        options["config"] = words.get(options["config"], options["config"])  # or a file
    what, position = arguments.rest("a command, or ->host:port")
    to: tuple[str, int] | None = None
    if what.startswith(ARROW):
        host, colon, port = what[len(ARROW) :].rpartition(":")
        if not colon or not host:
            raise arguments.fault("ssh: needs ->host:port here", position)
        number = arguments.number(port, position + what.rindex(":") + 1, 1, MAX_PORT, "a port")
        to = (host.removeprefix("[").removesuffix("]"), number)
    try:
        return SSHClientEndpoint(
            destination, None if to else what, to=to, timeout=timeout, reactor=reactor, **options
        )
    except InvalidDestination as error:
        raise arguments.fault(f"ssh: {error}", begin) from None
