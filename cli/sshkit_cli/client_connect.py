"""A connection as the configuration wants it: made, and opened with an agent's keys.

Called by every command that logs in: sshkit-client, sshkit-sftp, sshkit-scp and sshkit-copy-id.
"""

import os
from typing import TYPE_CHECKING, Any

from sshkit.client.connect import open_connection
from sshkit.client.connection import ClientConnection
from sshkit.client.credentials import FileCredentials
from sshkit.client.host_keys import HostKeyVerifier
from sshkit.deferred import Deferred

from .client_setup import (
    Target,
    agent_of,
    algorithms_of,
    certificates_of,
    identities_of,
    known_hosts_of,
    methods_of,
    rekey_limits_of,
)

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.interfaces import Reactor
    from sshkit.opening import Opening
    from sshkit.ssh.algorithms import Algorithms
    from sshkit.ssh.authentication.client import Credentials

    from .log import Log
    from .questions import Questions

#: Seconds that a connection may take where ConnectTimeout says nothing: the kernel gives up earlier.
CONNECT_PATIENCE = 600.0
#: Seconds for the whole login, with all questions to the user; servers are less patient.
LOGIN_PATIENCE = 3600.0
FAMILIES = {"any": 0, "inet": 2, "inet6": 10}


def make_connection(
    target: Target,
    reactor: "Reactor",
    log: "Log",
    asking: "Questions",
    *,
    credentials: "Credentials | None" = None,
    methods: tuple[str, ...] | None = None,
    algorithms: "Algorithms | None" = None,
    host_key: "PublicKey | None" = None,
) -> ClientConnection:
    """Return a connection that asks what a user is to be asked; what is given replaces the configuration's.

    With `host_key`, that one is the server's, whatever files say.
    """
    options = target.options
    alias = options.host_key_alias.value
    checking = options.strict_host_key_checking.value
    if checking == "ask" and options.batch_mode.value:
        checking = "strict"
    verifier = HostKeyVerifier(
        alias or target.hostname,
        22 if alias else target.port,
        files=known_hosts_of(target, options.user_known_hosts),
        global_files=known_hosts_of(target, options.global_known_hosts),
        policy=checking,
        trusted=None if host_key is None else [host_key],
        ask=asking.host_key,
        warn=lambda text: log.info(f"Warning: {text}"),
        hash_names=options.hash_known_hosts.value,
    )
    verifier.address = verifier.host  # CheckHostIP is off, as in OpenSSH
    asking.verifier = verifier
    if algorithms is None:
        algorithms = algorithms_of(options, log)
    if host_key is not None or options.host_key_algorithms.is_default:
        algorithms = algorithms.with_host_keys(verifier.order(algorithms.host_keys))
    return ClientConnection(
        target.hostname,
        target.user,
        reactor,
        random_bytes=os.urandom,
        verifier=verifier,
        credentials=file_credentials(target, log, asking) if credentials is None else credentials,
        algorithms=algorithms,
        rekey_limits=rekey_limits_of(options),
        login_timeout=LOGIN_PATIENCE,
        keepalive=float(options.server_alive_interval.value),
        keepalive_count=options.server_alive_count.value,
        methods=methods_of(options) if methods is None else methods,
    )


def file_credentials(target: Target, log: "Log", asking: "Questions") -> FileCredentials:
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
        banner=lambda text: log.info(text.rstrip("\n")),
        warn=lambda text: log.info(f"Warning: {text}"),
        certificates=certificates_of(target),
    )


def open_target(
    connection: ClientConnection, target: Target, reactor: "Reactor", log: "Log"
) -> "Opening[ClientConnection]":
    """Connect, with the agent's keys among the credentials where there is an agent; fires when logged in."""
    options = target.options
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
            warn=log.debug,
        )
    bind = options.bind_address.value
    log.debug(f"connecting to {target.place}")
    return open_connection(
        connection,
        target.hostname,
        target.port,
        float(options.connect_timeout.value) or CONNECT_PATIENCE,
        reactor,
        local_address=None if bind is None else (bind, 0),
        family=FAMILIES[options.address_family.value],
        after=offering,
    )
