"""`sshkit.connect(..., config=...)`: what a program says, over what the configuration files say.

Called by `connect`.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit.client.configured import CONNECT_PATIENCE, make_connection, open_target
from sshkit.client.connection import ClientConnection
from sshkit.client.credentials import FileCredentials
from sshkit.client.proxy import ThroughHost
from sshkit.client.target import (
    Target,
    certificates_of,
    config_files,
    identities_of,
    load_target,
    local_facts,
    user_line,
)
from sshkit.config.client_options import command_line
from sshkit.config.parser import Setting
from sshkit.deferred import succeed

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.client.host_keys import HostKeyVerifier
    from sshkit.deferred import Deferred
    from sshkit.interfaces import Reactor
    from sshkit.opening import Opening
    from sshkit.ssh.algorithms import Algorithms

_CHECKING = {"strict": "yes", "off": "no"}


class Wishes(NamedTuple):
    """What the call of `connect` said."""

    port: int | None
    user: str | None
    identities: Any
    agent: Any
    known_hosts: Sequence[str] | None
    host_keys: "Sequence[PublicKey | str] | None"
    host_key_policy: str | None
    algorithms: "Algorithms | None"
    timeout: float
    login_timeout: float
    keepalive: float
    keepalive_count: int
    jump: "str | ClientConnection | None"
    proxy_command: str | None
    config_file: str | None
    password: Any
    passphrase: Any
    answers: Any
    ask_host_key: Any
    banner: Callable[[str], object] | None
    warn: Callable[[str], object] | None
    change_password: Any = None
    confirm: Any = None
    host_based: Any = None
    gssapi: Any = None
    revoked_host_keys: str | None = None
    update_host_keys: str | None = None


class ProgramAsking:
    """Answers by the callbacks of a program."""

    def __init__(self, wishes: Wishes) -> None:
        self._wishes = wishes
        self.verifier: HostKeyVerifier | None = None
        self._password_used = False

    def for_target(self, target: Target) -> "ProgramAsking":
        """Return who is asked about a host on the way, which gets no password of the host behind it."""
        return ProgramAsking(self._wishes._replace(password=None, answers=None, change_password=None))

    def host_key(self, key: "PublicKey", text: str) -> "bool | Deferred[bool]":
        ask = self._wishes.ask_host_key
        return False if ask is None else ask(key, text)

    def password(self) -> Any:
        password = self._wishes.password
        if callable(password):
            return password()
        if self._password_used:
            return None
        self._password_used = True
        return password

    def passphrase(self, path: str) -> Any:
        passphrase = self._wishes.passphrase
        return passphrase(path) if callable(passphrase) else passphrase

    def answers(self, title: str, instruction: str, prompts: Sequence[tuple[str, bool]]) -> Any:
        answers = self._wishes.answers
        return None if answers is None else answers(title, instruction, prompts)

    def change_password(self, prompt: str) -> Any:
        change = self._wishes.change_password
        return None if change is None else change(prompt)

    def confirm(self, text: str) -> Any:
        confirm = self._wishes.confirm
        return False if confirm is None else confirm(text)

    def banner(self, text: str) -> None:
        if self._wishes.banner is not None:
            self._wishes.banner(text)

    def warn(self, text: str) -> None:
        if self._wishes.warn is not None:
            self._wishes.warn(text)

    def debug(self, text: str) -> None:
        """Say nothing: a program looks at `connection.trail`."""


def connect_configured(destination: str, wishes: Wishes, reactor: "Reactor") -> "Opening[ClientConnection]":
    """Connect as the files say, where the program says nothing else."""
    target = _target(destination, wishes)
    options = target.options
    asking = ProgramAsking(wishes)
    credentials = FileCredentials(
        identities_of(target) if wishes.identities is None else wishes.identities,
        password=wishes.password,
        passphrase=wishes.passphrase,
        answers=wishes.answers,
        banner=wishes.banner,
        warn=wishes.warn,
        in_thread=reactor.defer_to_thread,
        certificates=certificates_of(target),
        notify=wishes.warn,
    )
    if options.connect_timeout.is_default:
        options.connect_timeout = Setting(min(int(wishes.timeout) or 1, int(CONNECT_PATIENCE)))
    if options.server_alive_interval.is_default:
        options.server_alive_interval = Setting(int(wishes.keepalive))
        options.server_alive_count = Setting(wishes.keepalive_count)
    connection = make_connection(
        target,
        reactor,
        asking,
        credentials=credentials,
        algorithms=wishes.algorithms,
        trusted=wishes.host_keys,
        login_timeout=wishes.login_timeout,
    )
    if wishes.host_based is not None or wishes.gssapi is not None:
        from sshkit.client.login_methods import add_methods

        add_methods(connection, reactor, wishes.host_based, wishes.gssapi)
    way = None
    if isinstance(wishes.jump, ClientConnection):
        outer = wishes.jump
        way = ThroughHost(connection, lambda: succeed(outer), target.hostname, target.port, keep=True)
    return open_target(connection, target, reactor, asking, way=way, agent=wishes.agent)


def _target(destination: str, wishes: Wishes) -> Target:
    """Return the target, with what the program said as lines that come before the files."""
    said: list[tuple[str, str]] = []
    lines = [] if wishes.user is None else [user_line(wishes.user)]
    if wishes.port is not None:
        said.append(("Port", str(wishes.port)))
    if wishes.host_key_policy is not None:
        policy = wishes.host_key_policy
        said.append(("StrictHostKeyChecking", _CHECKING.get(policy, policy)))
    if isinstance(wishes.jump, str):
        said.append(("ProxyJump", wishes.jump))
    if wishes.proxy_command is not None:
        said.append(("ProxyCommand", wishes.proxy_command))
    facts = local_facts()
    files = config_files(facts, wishes.config_file)
    lines += [command_line(*pair) for pair in said]
    target = load_target(destination, lines, files, facts)
    if wishes.revoked_host_keys is not None:
        target.options.revoked_host_keys = Setting(wishes.revoked_host_keys)
    if wishes.update_host_keys is not None:
        target.options.update_host_keys = Setting(wishes.update_host_keys)
    if wishes.known_hosts is not None:
        target.options.user_known_hosts = Setting(tuple(wishes.known_hosts))
        target.options.global_known_hosts = Setting(())
    return target
