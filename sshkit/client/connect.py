"""`sshkit.connect`: from a destination to a connection that is logged in."""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from sshkit_keys.errors import SSHKitError

from sshkit.client.connection import LOGIN_TIMEOUT, ClientConnection
from sshkit.client.credentials import AskAnswers, AskPassphrase, AskPassword, FileCredentials
from sshkit.client.destination import check_port, check_user, parse_destination
from sshkit.client.host_keys import GLOBAL_FILES, USER_FILES, Ask, HostKeyVerifier, Policy
from sshkit.opening import Opening
from sshkit.ssh.algorithms import DEFAULT, Algorithms
from sshkit.ssh.transport.rekeying import RekeyLimits

if TYPE_CHECKING:
    from sshkit_keys import PrivateKey, PublicKey

    from sshkit.deferred import Deferred, Failure
    from sshkit.interfaces import Reactor
    from sshkit.ssh.agent.client import AgentClient

CONNECT_TIMEOUT = 30.0  #: seconds for name look-up and TCP together
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
    host_key_policy: Policy = "strict",
    ask_host_key: Ask | None = None,
    algorithms: Algorithms = DEFAULT,
    rekey_limits: RekeyLimits = RekeyLimits(),  # noqa: B008 - immutable
    timeout: float = CONNECT_TIMEOUT,
    login_timeout: float = LOGIN_TIMEOUT,
    keepalive: float = KEEPALIVE,
    keepalive_count: int = 3,
    banner: Any = None,
    warn: Any = None,
    reactor: "Reactor | None" = None,
) -> Opening[ClientConnection]:
    """Connect to ``user@host``, ``host:port`` or ``ssh://user@host:port`` and log in.

    Keys: `identities` (files or keys; None: ~/.ssh/id_ed25519, id_ecdsa, id_rsa), each with the certificate
    beside it (KEY-cert.pub), and before them those of `agent` (a socket or a client; None: what SSH_AUTH_SOCK
    names, unless `identities` are given; "" is none).  The server's key must be
    in `known_hosts` (None: the user's and the system's files) or among `host_keys` (keys or "SHA256:..."
    fingerprints); `host_key_policy` says what happens to an unknown one, never to a changed one.

    Times are seconds: `timeout` to be connected, `login_timeout` to be logged in, `keepalive` between
    questions to a silent server (0: none), which is given up after `keepalive_count` of them.

    Raises InvalidDestination at once.  Fails with a ReactorError (no connection, with each address and why),
    HostKeyNotVerified, TrustFileError, AuthenticationFailed (its `trail` says what was tried), or another
    SSHKitError.
    """
    where = parse_destination(destination)
    if user is not None:
        check_user(user, user)
    if port is not None:
        port = check_port(port)
    name = user or where.user or _local_user()
    number = port or where.port or 22
    if reactor is None:
        from sshkit.reactor.current import current

        reactor = cast("Reactor", current())
    files = USER_FILES if known_hosts is None else _paths(known_hosts)
    verifier = HostKeyVerifier(
        where.host,
        number,
        files=files,
        global_files=GLOBAL_FILES if known_hosts is None else (),
        policy=host_key_policy,
        trusted=host_keys,
        ask=ask_host_key,
        warn=warn,
    )
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
    )
    connection = ClientConnection(
        where.host,
        name,
        reactor,
        random_bytes=os.urandom,
        verifier=verifier,
        credentials=credentials,
        algorithms=algorithms.with_host_keys(order),
        rekey_limits=rekey_limits,
        login_timeout=login_timeout,
        keepalive=keepalive,
        keepalive_count=keepalive_count,
    )
    if agent is None:
        agent = os.environ.get("SSH_AUTH_SOCK", "") if identities is None else ""
    if agent == "":
        return open_connection(connection, where.host, number, timeout, reactor)
    from sshkit.client.agent_identities import offer_agent_keys

    offering = offer_agent_keys(connection, credentials, agent, reactor, warn=warn)
    return open_connection(connection, where.host, number, timeout, reactor, after=offering)


def open_connection(
    connection: ClientConnection,
    host: str,
    port: int,
    timeout: float,
    reactor: "Reactor",
    local_address: tuple[str, int] | None = None,
    family: int = 0,
    after: "Deferred[None] | None" = None,
) -> Opening[ClientConnection]:
    """Connect a connection that was made already, when `after` has fired; fires when it is logged in."""
    connection.connecting(timeout)

    def connect(_: object) -> "Deferred[Any]":
        return reactor.connect_tcp(
            host,
            port,
            lambda: connection.layer,
            timeout=timeout,
            local_address=local_address,
            family=family,
        )

    connecting = connect(None) if after is None else after.add_callback(connect)

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

    connection.logged_in.add_both(done)
    connecting.add_callbacks(lambda _: connection.connected(), failed)
    return opening


def _local_user() -> str:
    from getpass import getuser

    return getuser()


def _paths(value: "str | os.PathLike[str] | Sequence[str | os.PathLike[str]]") -> Sequence[Any]:
    return (value,) if isinstance(value, (str, os.PathLike)) else value
