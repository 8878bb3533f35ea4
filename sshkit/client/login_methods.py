"""What each method of a login needs, from the configuration or from what a program says.

Called by `configured` and by `connect`, once the connection object is there.
"""

from typing import TYPE_CHECKING, Any

from sshkit.ssh.authentication.login_options import LoginOptions

if TYPE_CHECKING:
    from sshkit.client.configured import Asking
    from sshkit.client.connection import ClientConnection
    from sshkit.client.gssapi import GSSAPI
    from sshkit.client.host_based import HostBased
    from sshkit.client.target import Target
    from sshkit.interfaces import Reactor


def options_of(
    target: "Target", connection: "ClientConnection", reactor: "Reactor", asking: "Asking"
) -> LoginOptions:
    """Return what the configuration says of the methods."""
    settings = target.options
    found = LoginOptions(
        host_bound=settings.public_key_authentication.value in ("yes", "host-bound"),
        required_rsa_size=settings.required_rsa_size.value,
        interactive_devices=settings.interactive_devices.value,
        change_password=None if settings.batch_mode.value else asking.change_password,
    )
    if settings.hostbased_authentication.value:

        def host_keys() -> Any:
            from sshkit.client.host_based import system_host_keys

            user = target.tokens.facts.user
            return system_host_keys(connection, reactor, user, keysign=settings.enable_keysign.value)

        found.host_based = host_keys
    if settings.gssapi_authentication.value:

        def tickets() -> Any:
            from sshkit.client.gssapi import GSSAPI

            wishes = GSSAPI(
                server=settings.gssapi_server_identity.value,
                client=settings.gssapi_client_identity.value,
                delegate=settings.gssapi_delegate_credentials.value,
                trust_dns=settings.gssapi_trust_dns.value,
            )
            return _initiator(wishes, connection, reactor)

        found.gssapi = tickets
    return found


def add_methods(
    connection: "ClientConnection",
    reactor: "Reactor",
    host_based: "HostBased | None",
    gssapi: "GSSAPI | None",
) -> None:
    """Give a connection what a program says of the methods; they are tried before all others."""
    options = connection.login_options
    first: tuple[str, ...] = ()
    if gssapi is not None:
        options.gssapi = lambda: _initiator(gssapi, connection, reactor)
        first = ("gssapi-with-mic",)
    if host_based is not None:
        options.host_based = lambda: host_based
        first = (*first, "hostbased")
    connection.methods = (*first, *(name for name in connection.methods if name not in first))


def _initiator(wishes: "GSSAPI", connection: "ClientConnection", reactor: "Reactor") -> Any:
    from sshkit.client.gssapi import find_initiator

    address = connection.verifier.peer_address
    return find_initiator(wishes, connection.host, address, reactor.defer_to_thread)
