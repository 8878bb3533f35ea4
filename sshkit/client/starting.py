"""Opens a session for a command, shell or subsystem: all requests in one write (RFC 4254 section 6).

Called by `ClientConnection.run` and `start`; what a server refuses of the lesser ones, the process is told.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sshkit_keys.text import printable

from sshkit.client.process import ClientProcess, Collector, CommandFailed, Result
from sshkit.deferred import Deferred, Failure
from sshkit.interfaces import TerminalSize
from sshkit.ssh.channels.agent import REQUEST as AGENT_REQUEST
from sshkit.ssh.channels.session import EnvRequest, ExecRequest, PtyRequest, SubsystemRequest
from sshkit.ssh.channels.x11 import REQUEST as X11_REQUEST
from sshkit.ssh.errors import LocalProtocolError

if TYPE_CHECKING:
    from sshkit.client.connection import ClientConnection
    from sshkit.forwarding.agent import ForwardedAgent
    from sshkit.forwarding.x11 import X11Grant, X11Options
    from sshkit.ssh.connection.channel import Channel


def start_session(
    client: "ClientConnection",
    command: str | None,
    protocol: "ClientProcess | Collector",
    *,
    environment: Mapping[str, str] | None = None,
    terminal: str | None = None,
    size: TerminalSize = TerminalSize(),  # noqa: B008 - immutable
    modes: bytes = b"\0",
    subsystem: bool = False,
    input: bytes | str | None = None,
    forward_agent: "ForwardedAgent" = False,
    forward_x11: "bool | X11Options" = False,
) -> Deferred[None]:
    """Open a session and send all its requests in one write; fires when the last was granted."""
    x11: bytes | None = None
    if forward_agent is not False:
        client.allow_agent(forward_agent)
    variables = [(name, _variable(name, value)) for name, value in (environment or {}).items()]

    def opened(channel: "Channel") -> Deferred[None]:
        if x11 is not None:
            channel.request(X11_REQUEST, x11).add_errback(_refused, protocol, "x11")
        if forward_agent is not False:
            channel.request(AGENT_REQUEST).add_errback(_refused, protocol, "agent")
        for name, body in variables:
            channel.request("env", body).add_errback(_refused, protocol, name)
        if terminal is not None:
            body = PtyRequest(terminal, *size, modes).encode()
            channel.request("pty-req", body).add_errback(_refused, protocol, "terminal")
        if subsystem:
            started = channel.request("subsystem", SubsystemRequest(command or "").encode())
        elif command is None:
            started = channel.request("shell")
        else:
            body = command.encode("utf-8", "surrogateescape")
            started = channel.request("exec", ExecRequest(body).encode())
        if isinstance(protocol, Collector):
            if input:
                channel.write(input.encode() if isinstance(input, str) else input)
            channel.write_eof()
        return started

    def failed(failure: Failure) -> Failure:
        if isinstance(protocol, Collector):
            protocol.fail(failure.exception)
        elif protocol._channel is not None:
            protocol.close()
        return failure

    connection = client.core
    if forward_x11 is False:
        opening = connection.open_channel("session", b"", protocol)
    else:

        def granted(grant: "X11Grant") -> "Deferred[Channel]":
            nonlocal x11
            x11 = grant.body
            return connection.open_channel("session", b"", protocol)

        opening = client.allow_x11(forward_x11).add_callback(granted)
    started = opening.add_callback(opened)
    started.add_errback(failed)
    if isinstance(protocol, Collector):
        started.add_errback(lambda _: None)
    return started


def _refused(failure: Failure, protocol: "ClientProcess | Collector", what: str) -> None:
    """Go on without a terminal or a variable that the server refuses; a program can see it."""
    if isinstance(protocol, ClientProcess):
        protocol.refused.append(what)


def _variable(name: str, value: str) -> bytes:
    """Return the body of the request that sets one variable."""
    if not name or "=" in name or "\0" in name or "\0" in value:
        raise LocalProtocolError(f"{printable(name)!r}: not a variable that can be sent")
    encoded = (text.encode("utf-8", "surrogateescape") for text in (name, value))
    return EnvRequest(*encoded).encode()


def checked(result: Result) -> Result:
    """Return the result of a command that ended with status 0; CommandFailed for another."""
    if result.exit_status != 0:
        raise CommandFailed(result)
    return result
