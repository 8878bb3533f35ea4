"""`sshkit.connect`: from a destination to a connection that is logged in."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from sshkit_keys.errors import SSHKitError

from sshkit.client.connection import LOGIN_TIMEOUT, ClientConnection
from sshkit.client.credentials import AskAnswers, AskPassphrase, AskPassword, FileCredentials
from sshkit.client.destination import check_port, check_user, parse_destination
from sshkit.client.host_keys import GLOBAL_FILES, USER_FILES, Ask, HostKeyVerifier, Policy
from sshkit.client.processor import has_fast_aes
from sshkit.deferred import Deferred, maybe_deferred
from sshkit.opening import Opening
from sshkit.reactor.errors import ConnectError
from sshkit.ssh.algorithms import DEFAULT, Algorithms
from sshkit.ssh.authentication.login_options import ChangePassword, LoginOptions
from sshkit.ssh.transport.rekeying import RekeyLimits

if TYPE_CHECKING:
    from sshkit_keys import PrivateKey, PublicKey

    from sshkit.client.gssapi import GSSAPI
    from sshkit.client.host_based import HostBased
    from sshkit.client.proxy import Way
    from sshkit.deferred import Failure
    from sshkit.interfaces import Reactor
    from sshkit.ssh.agent.client import AgentClient

CONNECT_TIMEOUT = 30.0  #: seconds for name look-up and TCP together
RETRY_PAUSE = 1.0  #: seconds between two attempts to connect (ConnectionAttempts)
KEEPALIVE = 30.0  #: seconds of silence before the server is asked whether it is there


def connect(
    destination: str,
    *,
    port: int | None = None,
    user: str | None = None,
    password: str | AskPassword | None = None,
    identities: "Sequence[str | os.PathLike[str] | PrivateKey] | None" = None,
    passphrase: str | AskPassphrase | None = None,
    answers: AskAnswers | None = None,
    agent: "str | os.PathLike[str] | AgentClient | None" = None,
    known_hosts: "str | os.PathLike[str] | Sequence[str | os.PathLike[str]] | None" = None,
    host_keys: "Sequence[PublicKey | str] | None" = None,
    host_key_policy: Policy | None = None,
    ask_host_key: Ask | None = None,
    algorithms: Algorithms = DEFAULT,
    rekey_limits: RekeyLimits = RekeyLimits(),  # noqa: B008 - immutable
    timeout: float = CONNECT_TIMEOUT,
    login_timeout: float = LOGIN_TIMEOUT,
    keepalive: float = KEEPALIVE,
    keepalive_count: int = 3,
    banner: Any = None,
    warn: Any = None,
    jump: "str | ClientConnection | None" = None,
    proxy_command: str | None = None,
    config: "bool | str | os.PathLike[str]" = False,
    compression: bool = False,
    control_path: "str | os.PathLike[str] | None" = None,
    change_password: ChangePassword | None = None,
    host_based: "HostBased | None" = None,
    gssapi: "GSSAPI | None" = None,
    revoked_host_keys: "str | os.PathLike[str] | None" = None,
    update_host_keys: bool = False,
    confirm: Callable[[str], Any] | None = None,
    reactor: "Reactor | None" = None,
) -> Opening[ClientConnection]:
    """Connect to ``user@host``, ``host:port`` or ``ssh://user@host:port`` and log in.

    Keys: `identities` (files or keys; None: ~/.ssh/id_ed25519, id_ecdsa, id_rsa), each with the certificate
    beside it (KEY-cert.pub), and before them those of `agent` (a socket or a client; None: what SSH_AUTH_SOCK
    names, unless `identities` are given; "" is none).  The server's key must be
    in `known_hosts` (None: the user's and the system's files) or among `host_keys` (keys or "SHA256:..."
    fingerprints); `host_key_policy` (None: "strict") says what happens to an unknown one, never to a changed
    one.

    More ways to log in: `change_password` is asked, with the server's words, for a new password where the old
    one has run out; `host_based` lets a host vouch for its user; `gssapi` logs in with a Kerberos ticket.
    More about trust: `revoked_host_keys` is a file of keys that are never accepted; with `update_host_keys`
    the server's other keys are written to the first known_hosts file; `confirm` is asked first, and before a
    key is given to an agent (AddKeysToAgent ask).  All hooks may answer with a value, a coroutine or a
    Deferred.

    The way: `jump` is a connection, or hosts as ``user@host:port,...``, which are logged in to with the same
    keys; `proxy_command` is a command whose standard input and output are the connection.

    `control_path`: ride the connection of a program that shares it at this socket (``ssh -M -S path``, or
    `share`), without a login of one's own; nothing else is tried.

    `config`: True obeys ~/.ssh/config and /etc/ssh/ssh_config as ssh does, a path that file alone; what is
    said here comes first (of `keepalive`, `keepalive_count` and `timeout` only where the files say nothing).

    Times are seconds: `timeout` to be connected, `login_timeout` to be logged in, `keepalive` between
    questions to a silent server (0: none), which is given up after `keepalive_count` of them.

    Raises InvalidDestination and ConfigError at once.  Fails with a ReactorError (no connection, with each
    address and why), ProxyFailed, HostKeyNotVerified, TrustFileError, AuthenticationFailed (its `trail` says
    what was tried), or another SSHKitError.
    """
    where = parse_destination(destination)
    if user is not None:
        check_user(user, user)
    if port is not None:
        port = check_port(port)
    if reactor is None:
        from sshkit.reactor.current import current

        reactor = cast("Reactor", current())
    if control_path is not None:
        from sshkit.client.sharing.proxied import ride

        return ride(
            os.fspath(control_path), where.host, user or where.user or _local_user(), reactor, timeout
        )
    if compression:
        algorithms = algorithms.with_compression()
    if config:
        from sshkit.client.connect_configured import Wishes, connect_configured

        wishes = Wishes(
            port=port,
            user=user,
            identities=identities,
            agent=agent,
            known_hosts=None if known_hosts is None else [os.fspath(path) for path in _paths(known_hosts)],
            host_keys=host_keys,
            host_key_policy=host_key_policy,
            algorithms=None if algorithms is DEFAULT else algorithms,
            timeout=timeout,
            login_timeout=login_timeout,
            keepalive=keepalive,
            keepalive_count=keepalive_count,
            jump=jump,
            proxy_command=proxy_command,
            config_file=None if config is True else os.fspath(config),
            password=password,
            passphrase=passphrase,
            answers=answers,
            ask_host_key=ask_host_key,
            banner=banner,
            warn=warn,
            change_password=change_password,
            confirm=confirm,
            host_based=host_based,
            gssapi=gssapi,
            revoked_host_keys=None if revoked_host_keys is None else os.fspath(revoked_host_keys),
            update_host_keys=_updating(update_host_keys, confirm),
        )
        return connect_configured(destination, wishes, reactor)
    name = user or where.user or _local_user()
    number = port or where.port or 22
    files = USER_FILES if known_hosts is None else _paths(known_hosts)
    verifier = HostKeyVerifier(
        where.host,
        number,
        files=files,
        global_files=GLOBAL_FILES if known_hosts is None else (),
        policy=host_key_policy or "strict",
        trusted=host_keys,
        ask=ask_host_key,
        warn=warn,
    )
    verifier.ca_signatures = algorithms.ca_signatures
    verifier.revoked = None if revoked_host_keys is None else os.path.expanduser(revoked_host_keys)
    try:
        order = verifier.order(algorithms.host_keys)
    except SSHKitError as error:  # a known_hosts file that cannot be read
        refused: Opening[ClientConnection] = Opening()
        refused.errback(error)
        return refused
    credentials = FileCredentials(
        identities,
        password=password,
        passphrase=passphrase,
        answers=answers,
        banner=banner,
        warn=warn,
        in_thread=reactor.defer_to_thread,
        notify=warn,
    )
    connection = ClientConnection(
        where.host,
        name,
        reactor,
        random_bytes=os.urandom,
        verifier=verifier,
        credentials=credentials,
        algorithms=algorithms.with_host_keys(order).for_processor(fast_aes=has_fast_aes()),
        rekey_limits=rekey_limits,
        login_timeout=login_timeout,
        keepalive=keepalive,
        keepalive_count=keepalive_count,
        login_options=LoginOptions(change_password=change_password),
    )
    if host_based is not None or gssapi is not None:
        from sshkit.client.login_methods import add_methods

        add_methods(connection, reactor, host_based, gssapi)
    if update_host_keys:
        from sshkit.client.host_key_updates import HostKeyUpdates

        connection.host_key_updates = HostKeyUpdates(connection, confirm=confirm)
    way: Way | None = None
    if jump is not None or proxy_command is not None:
        from sshkit.client.proxy import chosen_way

        def hop(destination: str, before: str | None) -> Opening[ClientConnection]:
            return connect(
                destination,
                identities=identities,
                passphrase=passphrase,
                agent=agent,
                known_hosts=known_hosts,
                host_key_policy=host_key_policy,
                ask_host_key=ask_host_key,
                timeout=timeout,
                login_timeout=login_timeout,
                keepalive=keepalive,
                keepalive_count=keepalive_count,
                banner=banner,
                warn=warn,
                jump=before,
                reactor=reactor,
            )

        way = chosen_way(connection, where.host, number, reactor, jump, proxy_command, hop)
    if agent is None:
        agent = os.environ.get("SSH_AUTH_SOCK", "") if identities is None else ""
    offering: Deferred[None] | None = None
    if agent != "":
        from sshkit.client.agent_identities import offer_agent_keys

        offering = offer_agent_keys(connection, credentials, agent, reactor, warn=warn)
    return open_connection(connection, where.host, number, timeout, reactor, after=offering, way=way)


def open_connection(
    connection: ClientConnection,
    host: str,
    port: int,
    timeout: float,
    reactor: "Reactor",
    local_address: tuple[str, int] | None = None,
    family: int = 0,
    after: "Deferred[None] | None" = None,
    way: "Way | None" = None,
    attempts: int = 1,
) -> Opening[ClientConnection]:
    """Connect a connection that was made already, when `after` has fired; fires when it is logged in.

    `way` connects in place of TCP; TCP is tried `attempts` times, a second apart.
    """
    connection.connecting(timeout * attempts)
    left = attempts

    def connect(_: object = None) -> "Deferred[Any]":
        if way is not None:
            return way.connect()
        connecting: Deferred[Any] = reactor.connect_tcp(
            host,
            port,
            lambda: connection.layer,
            timeout=timeout,
            local_address=local_address,
            family=family,
        )
        return connecting.add_errback(again) if left > 1 else connecting

    def again(failure: "Failure") -> "Failure | Deferred[Any]":
        nonlocal left
        left -= 1
        if not isinstance(failure.exception, ConnectError):
            return failure
        waiting: Deferred[Any] = Deferred(lambda _: timer.cancel())
        timer = reactor.call_later(RETRY_PAUSE, waiting.callback, None)
        return waiting.add_callback(connect)

    connecting = maybe_deferred(connect) if after is None else after.add_callback(connect)

    def give_up(_: object) -> None:
        connecting.cancel()
        connection.logged_in.cancel()

    opening: Opening[ClientConnection] = Opening(give_up)

    def failed(failure: "Failure") -> None:
        connection.layer.abort(failure.exception)

    def done(outcome: Any) -> None:
        if isinstance(outcome, ClientConnection):
            opening.callback(outcome)
        else:
            opening.errback(outcome)

    if way is not None:
        connection.logged_in.add_errback(way.explain)
    connection.logged_in.add_both(done)
    connecting.add_callbacks(lambda _: connection.connected(), failed)
    return opening


def _updating(wish: bool, confirm: object) -> str | None:
    """Return the value of UpdateHostKeys that a program means; None: what the files say."""
    if not wish:
        return None
    return "yes" if confirm is None else "ask"


def _local_user() -> str:
    from getpass import getuser

    return getuser()


def _paths(value: "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]") -> Sequence[Any]:
    return (value,) if isinstance(value, (str, os.PathLike)) else value
