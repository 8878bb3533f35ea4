"""A connection as configuration files want it: made, and opened by the way that they name.

Called by every command that logs in, by `connect` with ``config=``, and by itself for the hosts of ProxyJump.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from sshkit_keys.text import printable

from sshkit.client.connect import open_connection
from sshkit.client.connection import ClientConnection
from sshkit.client.credentials import FileCredentials
from sshkit.client.host_keys import HostKeyVerifier
from sshkit.client.login_methods import options_of
from sshkit.client.target import (
    Target,
    agent_of,
    algorithms_of,
    certificates_of,
    identities_of,
    methods_of,
    rekey_limits_of,
)
from sshkit.config.parser import ConfigError
from sshkit.deferred import Deferred
from sshkit.ssh.transport.identification import IDENTIFICATION

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.client.proxy import Way
    from sshkit.interfaces import Reactor
    from sshkit.opening import Opening
    from sshkit.ssh.algorithms import Algorithms
    from sshkit.ssh.authentication.client import Credentials

#: Seconds that a connection may take where ConnectTimeout says nothing: the kernel gives up earlier.
CONNECT_PATIENCE = 600.0
#: Seconds for the whole login, with all questions to the user; servers are less patient.
LOGIN_PATIENCE = 3600.0
FAMILIES = {"any": 0, "inet": 2, "inet6": 10}


class Asking(Protocol):
    """Who answers for the user, and hears what he may want to know."""

    verifier: HostKeyVerifier | None

    def for_target(self, target: Target) -> "Asking":
        """Return who is asked about another host on the way there."""
        ...

    def host_key(self, key: "PublicKey", text: str) -> "bool | Deferred[bool]":
        """Tell whether an unknown key is the host's."""
        ...

    def password(self) -> "str | Deferred[str | None] | None":
        """Return the password; None: no more."""
        ...

    def passphrase(self, path: str) -> "str | Deferred[str | None] | None":
        """Return the passphrase of a key file."""
        ...

    def answers(
        self, title: str, instruction: str, prompts: Sequence[tuple[str, bool]]
    ) -> "list[str] | Deferred[list[str] | None] | None":
        """Answer a server's questions."""
        ...

    def change_password(self, prompt: str) -> Any:
        """Return the old and the new password, now or later; None: it is not changed."""
        ...

    def confirm(self, text: str) -> Any:
        """Tell, now or later, whether the user agrees."""
        ...

    def banner(self, text: str) -> None:
        """Show what the server says before the login."""
        ...

    def warn(self, text: str) -> None:
        """Tell what is wrong and not the end."""
        ...

    def debug(self, text: str) -> None:
        """Tell what one wants to know who looks for a mistake."""
        ...


def make_connection(
    target: Target,
    reactor: "Reactor",
    asking: Asking,
    *,
    credentials: "Credentials | None" = None,
    methods: tuple[str, ...] | None = None,
    algorithms: "Algorithms | None" = None,
    trusted: "Sequence[PublicKey | str] | None" = None,
    login_timeout: float = LOGIN_PATIENCE,
) -> ClientConnection:
    """Return a connection that asks what a user is to be asked; what is given replaces the configuration's.

    With `trusted`, one of those keys or fingerprints is the server's, whatever files say.
    """
    options = target.options
    verifier = make_verifier(target, asking, trusted, reactor)
    asking.verifier = verifier
    if algorithms is None:
        algorithms = algorithms_of(options, asking.debug)
    if options.compression.value:
        algorithms = algorithms.with_compression()
    verifier.ca_signatures = algorithms.ca_signatures
    if trusted is not None or options.host_key_algorithms.is_default:
        algorithms = algorithms.with_host_keys(verifier.order(algorithms.host_keys))
    connection = ClientConnection(
        target.hostname,
        target.user,
        reactor,
        random_bytes=os.urandom,
        verifier=verifier,
        credentials=file_credentials(target, asking, reactor) if credentials is None else credentials,
        algorithms=algorithms,
        rekey_limits=rekey_limits_of(options),
        login_timeout=login_timeout,
        keepalive=float(options.server_alive_interval.value),
        keepalive_count=options.server_alive_count.value,
        methods=methods_of(options) if methods is None else methods,
    )
    connection.channel_timeouts = options.channel_timeouts.value
    addendum = options.version_addendum.value
    if addendum is not None:
        connection.layer.our_identification = _identification(target, addendum)
    connection.login_options = options_of(target, connection, reactor, asking)
    updating = options.update_host_keys.value
    if updating is None:  # only where the files are the user's own, and nothing else vouches
        usual = options.user_known_hosts.is_default and options.verify_host_key_dns.value == "no"
        updating = "yes" if usual else "no"
    if updating != "no" and trusted is None:
        from sshkit.client.host_key_updates import HostKeyUpdates

        confirm = asking.confirm if updating == "ask" and not options.batch_mode.value else None
        if confirm is not None or updating == "yes":
            connection.host_key_updates = HostKeyUpdates(connection, confirm=confirm, say=asking.debug)
    return connection


def make_verifier(
    target: Target,
    asking: Asking,
    trusted: "Sequence[PublicKey | str] | None" = None,
    reactor: "Reactor | None" = None,
) -> HostKeyVerifier:
    """Return who judges the server's key; without a reactor neither a command nor the DNS is asked."""
    options = target.options
    alias = options.host_key_alias.value
    checking = options.strict_host_key_checking.value
    if checking == "ask" and options.batch_mode.value:
        checking = "strict"
    verifier = HostKeyVerifier(
        alias or target.hostname,
        22 if alias else target.port,
        files=options.user_known_hosts.value,
        global_files=options.global_known_hosts.value,
        policy=checking,
        trusted=trusted,
        ask=asking.host_key,
        warn=asking.warn,
        hash_names=options.hash_known_hosts.value,
    )
    verifier.learns = True  # "StrictHostKeyChecking no" adds what it does not know, as ssh does
    direct = not (options.proxy_command.value or options.proxy_jump.value)
    verifier.add_address = options.check_host_ip.value and direct and not alias
    if not verifier.add_address:
        verifier.address = verifier.host  # the numeric address is not looked for
    verifier.trust_loopback = options.no_host_authentication_for_localhost.value and direct and not alias
    verifier.required_rsa_size = options.required_rsa_size.value
    revoked = options.revoked_host_keys
    if revoked.value is not None:
        verifier.revoked = target.tokens.expand_path(revoked.value, revoked.place)
    if reactor is not None:
        _let_others_vouch(verifier, target, reactor)
    return verifier


def _let_others_vouch(verifier: HostKeyVerifier, target: Target, reactor: "Reactor") -> None:
    """Ask a command and the DNS about keys, where the configuration says so."""
    options = target.options
    command = options.known_hosts_command
    if command.value is not None:
        from sshkit.client.known_hosts_command import KnownHostsCommand

        verifier.command = KnownHostsCommand(
            command.value, command.place, target.tokens, reactor.defer_to_thread
        )
        verifier.command.arguments("ORDER", verifier.name)  # a mistake shows before anything is sent
    if options.verify_host_key_dns.value != "no":

        def ask(key: "PublicKey", host: str) -> "Deferred[Any]":
            from sshkit.client.host_key_dns import published

            return reactor.defer_to_thread(published, key, target.hostname)

        verifier.dns = ask
        verifier.dns_decides = options.verify_host_key_dns.value == "yes"


def file_credentials(target: Target, asking: Asking, reactor: "Reactor | None" = None) -> FileCredentials:
    """Return what the configuration lets a user prove himself with."""
    options = target.options
    batch = options.batch_mode.value
    return FileCredentials(
        identities_of(target),
        password=None if batch else asking.password,
        passphrase=None if batch else asking.passphrase,
        answers=None if batch else asking.answers,
        interactive_tries=options.password_prompts.value,
        passphrase_tries=max(1, options.password_prompts.value),
        banner=asking.banner,
        warn=asking.warn,
        certificates=certificates_of(target),
        token_thread=None if reactor is None else reactor.defer_to_thread,
        notify=asking.banner,
    )


def open_target(
    connection: ClientConnection,
    target: Target,
    reactor: "Reactor",
    asking: Asking,
    depth: int = 0,
    *,
    way: "Way | None" = None,
    agent: Any = None,
) -> "Opening[ClientConnection]":
    """Connect, with the agent's keys among the credentials where there is an agent; fires when logged in.

    `depth` counts the hosts that are on a way to others because of this one; `way` and `agent` replace those
    of the configuration.
    """
    options = target.options
    if agent is None:
        agent = agent_of(target)
    offering: Deferred[Any] | None = None
    credentials = connection.credentials
    if agent and isinstance(credentials, FileCredentials):
        from sshkit.client.agent_identities import offer_agent_keys

        offering = offer_agent_keys(
            connection,
            credentials,
            agent,
            reactor,
            only_named=options.identities_only.value,
            warn=asking.debug,
        )
    offering = _ordered(connection, target, offering)
    if way is None and (options.proxy_command.value is not None or options.proxy_jump.value):
        from sshkit.client.proxy import way_of

        way = way_of(connection, target, reactor, asking, depth)
    if way is None:
        asking.debug(f"connecting to {target.place}")
    opening = open_connection(
        connection,
        target.hostname,
        target.port,
        float(options.connect_timeout.value) or CONNECT_PATIENCE,
        reactor,
        local_address=_local_address(target),
        family=FAMILIES[options.address_family.value],
        after=offering,
        way=way,
        attempts=options.connection_attempts.value,
    )
    if agent and options.add_keys_to_agent.value.when != "no":
        from sshkit.client.agent_adding import add_used_keys

        adding = options.add_keys_to_agent.value

        def add(connection: ClientConnection) -> "Deferred[ClientConnection]":
            added = add_used_keys(connection, agent, adding, reactor, asking.confirm, asking.debug)
            return added.add_callback(lambda _: connection)

        opening.add_callback(add)
    return opening


def _ordered(
    connection: ClientConnection, target: Target, after: "Deferred[Any] | None"
) -> "Deferred[Any] | None":
    """Ask KnownHostsCommand which keys the host has before the algorithms are proposed."""
    verifier = connection.verifier
    if verifier.command is None or not target.options.host_key_algorithms.is_default:
        return after

    def order(_: object) -> None:
        layer = connection.layer
        layer.algorithms = layer.algorithms.with_host_keys(verifier.order(layer.algorithms.host_keys))

    if after is None:
        return verifier.prepare().add_callback(order)
    return after.add_callback(lambda _: verifier.prepare()).add_callback(order)


def tune_socket(connection: ClientConnection, target: Target, interactive: bool) -> None:
    """Obey TCPKeepAlive and IPQoS; `interactive`: somebody sits at a terminal and waits."""
    import socket

    options = target.options
    transport = connection.layer.transport
    sock = None if transport is None else transport.get_extra_info("socket")
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    try:
        if options.tcp_keepalive.value:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        service_class = options.ip_qos.value[0 if interactive else 1]
        if service_class is not None:
            if sock.family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, service_class)
            else:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, service_class)
    except OSError:  # it has gone already, or the system has no such thing: nothing depends on it
        pass


def _local_address(target: Target) -> tuple[str, int] | None:
    """Return the address to connect from (BindAddress, BindInterface)."""
    options = target.options
    if options.bind_address.value is not None:
        return options.bind_address.value, 0
    interface = options.bind_interface.value
    if interface is None:
        return None
    from sshkit.client.local_addresses import local_addresses

    family = FAMILIES[options.address_family.value]
    for entry in local_addresses():
        usable = entry.interface == interface and family in (0, entry.family)
        if usable and not entry.address.startswith("fe80:"):
            return entry.address, 0
    raise ConfigError(
        f"BindInterface: {printable(interface)} is no interface with an address to connect from",
        options.bind_interface.place,
    )


def _identification(target: Target, addendum: str) -> bytes:
    """Return our identification with VersionAddendum's text."""
    text = f" {addendum}"
    if not text.isascii() or not text.isprintable() or len(IDENTIFICATION) + len(text) > 253:
        raise ConfigError(
            "VersionAddendum: only printable ASCII, and 253 bytes with our own name",
            target.options.version_addendum.place,
        )
    return IDENTIFICATION + text.encode("ascii")
