"""The forwards of sshkit-client: those of the configuration, and those that are added while it runs.

Called by `client_run` after the login, and by whoever asks a running one for more (``~C``, -O forward).
"""

from typing import TYPE_CHECKING, Any

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

from sshkit.config.forwards import DYNAMIC, LOCAL, Endpoint, Forward
from sshkit.deferred import Deferred, Failure, gather, maybe_deferred
from sshkit.forwarding.errors import ForwardError

if TYPE_CHECKING:
    from sshkit.client.connection import ClientConnection
    from sshkit.client.target import Target
    from sshkit.forwarding.forward import Forward as Running
    from sshkit.forwarding.tun import Mode, Tunnel
    from sshkit.opening import Opening

    from .log import Log


class ForwardFailed(ForwardError):
    """A forward that was asked for is not there, and ExitOnForwardFailure is yes."""


class Forwards:
    """The forwards of one connection, by what was written about each."""

    def __init__(self, connection: "ClientConnection", target: "Target", log: "Log") -> None:
        self._connection = connection
        self._target = target
        self._log = log
        self.running: dict[Forward, Running] = {}

    def start(self) -> Deferred[Any]:
        """Start what the configuration names; fires when each has an answer."""
        options = self._target.options
        if options.clear_all_forwardings.value:
            return gather()
        waits = [self._configured(setting.value) for setting in options.forwards]
        if options.tunnel.value != "no":
            waits.append(self._tunnel(options.tunnel.value, *options.tunnel_device.value))
        return gather(*waits)

    def add(self, wanted: Forward) -> "Deferred[Running]":
        """Start a forward.  Fails with the reason."""

        def started(running: "Running") -> "Running":
            self.running[wanted] = running
            self._log.debug(f"forward {wanted.kind} {wanted}: listening at {_shown(running.address)}")
            running.wait_closed().add_callback(lambda _: self.running.pop(wanted, None))
            return running

        return self._open(wanted).add_callback(started)

    def cancel(self, kind: str, listen: Endpoint) -> Deferred[None] | None:
        """End the forward that listens there; None if there is none."""
        for wanted, running in self.running.items():
            if wanted.kind == kind and wanted.listen == listen:
                return running.close()
        return None

    def stop_listening(self) -> None:
        """Take no new connections; those that are open go on."""
        for running in tuple(self.running.values()):
            running.close()

    def connections(self) -> list[str]:
        """Return a line for each forward that has connections open."""
        return [
            f"{wanted.kind} forward {wanted}: {running.open} open, {running.total} in all"
            for wanted, running in self.running.items()
            if running.open
        ]

    def _open(self, wanted: Forward) -> "Opening[Running]":
        connection, options = self._connection, self._target.options
        listen, target = wanted.listen, wanted.target
        unlink, mask = options.stream_local_bind_unlink.value, options.stream_local_bind_mask.value
        gateway = options.gateway_ports.value
        if wanted.kind == LOCAL:
            assert target is not None
            return connection.forward_local(
                _listening(listen), address_of(target), gateway=gateway, unlink=unlink, mask=mask
            )
        if wanted.kind == DYNAMIC:
            return connection.forward_dynamic(_listening(listen), gateway=gateway, unlink=unlink, mask=mask)
        if target is not None:
            return connection.forward_remote(_listening(listen), address_of(target))
        permit = options.permit_remote_open.value
        places = None if permit is None else [f"{_host(place)}:{place.port or '*'}" for place in permit]
        return connection.forward_remote_dynamic(_listening(listen), places)

    def _tunnel(self, mode: str, local: int | None, remote: int | None) -> Deferred[None]:
        def started(tunnel: "Tunnel") -> None:
            self._log.debug(f"tunnel: {tunnel.name} here")

        def failed(failure: Failure) -> None:
            failure.trap(SSHKitError, OSError)
            error = failure.exception
            self._not_there(f"tunnel: {error}", error)

        kind: Mode = "ethernet" if mode == "ethernet" else "point-to-point"
        opening: Deferred[Tunnel] = maybe_deferred(self._connection.forward_tunnel, local, remote, mode=kind)
        return opening.add_callbacks(started, failed)

    def _not_there(self, text: str, error: BaseException) -> None:
        """Tell that a forward is not there, or end for it (ExitOnForwardFailure)."""
        if self._target.options.exit_on_forward_failure.value:
            raise ForwardFailed(text) from error
        self._log.info(f"Warning: {text}")

    def _configured(self, wanted: Forward) -> Deferred[None]:
        def started(running: "Running") -> None:
            if wanted.kind not in (LOCAL, DYNAMIC) and not wanted.listen.port and wanted.listen.path is None:
                self._log.info(
                    f"Allocated port {running.port} for remote forward to {wanted.target or 'SOCKS'}"
                )

        def failed(failure: Failure) -> None:
            failure.trap(SSHKitError, OSError)
            error = failure.exception
            self._not_there(f"{wanted.kind} forward {printable(str(wanted))}: {error}", error)

        return self.add(wanted).add_callbacks(started, failed)


def address_of(endpoint: Endpoint) -> tuple[str, int] | str:
    """Return what the library connects to."""
    if endpoint.path is not None:
        return f"unix:{endpoint.path}"
    return endpoint.host or "", endpoint.port


def _listening(endpoint: Endpoint) -> tuple[str, int] | str:
    """Return where the library listens; a port alone is the loopback interface, or as GatewayPorts says."""
    return str(endpoint.port) if endpoint.host is None and endpoint.path is None else address_of(endpoint)


def _host(place: Endpoint) -> str:
    host = place.host or ""
    return f"[{host}]" if ":" in host else host


def _shown(address: tuple[str, int] | str) -> str:
    return printable(address if isinstance(address, str) else f"{address[0]} port {address[1]}")
