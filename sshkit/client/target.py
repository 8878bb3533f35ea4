"""From a destination and configuration files to everything that a connection needs.

Called by `configured`, and by the commands with the lines of their command lines.  Places (file:line) go
along, so that whoever asks can be told why a value is what it is.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from sshkit_keys.text import printable

from sshkit.client.destination import InvalidDestination, check_host, check_user, parse_destination
from sshkit.client.processor import has_fast_aes
from sshkit.config.algorithm_names import usable_list
from sshkit.config.client_options import ClientOptions, command_line
from sshkit.config.forwards import Endpoint
from sshkit.config.parser import ConfigError, Line, Place, Setting
from sshkit.config.ssh_config import ConfigFile, expand_hostname, load_client_options
from sshkit.config.tokens import Facts, Tokens, expand_environment
from sshkit.ssh.errors import LocalProtocolError
from sshkit.ssh.transport.identification import IDENTIFICATION
from sshkit.ssh.transport.rekeying import RekeyLimits

if TYPE_CHECKING:
    from sshkit.ssh.algorithms import Algorithms

E = TypeVar("E", Endpoint, Endpoint | None)

SYSTEM_FOLDER = "/etc/ssh"
SYSTEM_FILE = "/etc/ssh/ssh_config"
#: The order in which ssh tries methods; "none" costs one request and tells what the server offers.
METHODS = ("gssapi-with-mic", "hostbased", "publickey", "keyboard-interactive", "password")
#: Seconds that a command of ``Match exec`` may take.
EXEC_TIMEOUT = 60.0


class Target(NamedTuple):
    """Who is to be connected to, and with which settings."""

    original: str  #: the host as the user named it
    hostname: str  #: what is connected to
    port: int
    user: str
    options: ClientOptions
    tokens: Tokens
    files: Sequence[ConfigFile] = ()  #: what was read

    @property
    def place(self) -> str:
        """Host and port as errors name them."""
        return f"{printable(self.hostname)} port {self.port}"


def load_target(
    destination: str,
    lines: Iterable[Line] = (),
    files: Sequence[ConfigFile] | None = None,
    facts: Facts | None = None,
) -> Target:
    """Return what `lines`, which come first, and `files` (None: the user's and the system's) say.

    Raises ConfigError, which names file and line, or InvalidDestination.
    """
    where = parse_destination(destination, any_user=True)
    if facts is None:
        facts = local_facts()
    lines = list(lines)
    if where.user is not None:
        lines.append(user_line(where.user))
    if where.port is not None:
        lines.append(command_line("Port", str(where.port)))
    if files is None:
        files = config_files(facts)
    options = load_client_options(where.host, facts, lines, files)
    hostname = expand_hostname(options, where.host)
    try:
        check_host(hostname, hostname)
    except InvalidDestination as error:
        raise ConfigError(str(error), options.hostname.place) from None
    user = _user(options, facts, where.host, hostname)
    try:
        check_user(user, user)
    except InvalidDestination as error:
        raise ConfigError(str(error), options.user.place) from None
    port = options.port.value
    alias = options.host_key_alias.value or ""
    jump = ",".join(options.proxy_jump.value)
    tokens = Tokens(facts, where.host, hostname, port, user, alias, jump)
    _expand(options, tokens)
    return Target(where.host, hostname, port, user, options, tokens, files)


def user_line(user: str) -> Line:
    """Return the line that a user in front of a destination stands for."""
    if any(char in user for char in "\n\0"):
        raise InvalidDestination(f"{printable(user)!r}: user name: holds a control character")
    escaped = user.replace("\\", "\\\\").replace('"', '\\"')
    return command_line("User", f'"{escaped}"')


def _user(options: ClientOptions, facts: Facts, original: str, hostname: str) -> str:
    """Return the name to log in as, its tokens replaced; %r would be itself."""
    setting = options.user
    if setting.value is None:
        return facts.user
    if "%" not in setting.value and "$" not in setting.value:
        return setting.value
    tokens = Tokens(facts, original, hostname, options.port.value, "", options.host_key_alias.value or "")
    text = expand_environment(setting.value, facts.environment, setting.place)
    return tokens.expand(text, setting.place, "%dhijkLlnpu")


def _expand(options: ClientOptions, tokens: Tokens) -> None:
    """Replace the tokens of what is a path or a text to send; commands have theirs replaced when they run."""
    for name in ("control_path", "revoked_host_keys"):
        setting: Setting[str | None] = getattr(options, name)
        if setting.value is not None:
            setattr(options, name, Setting(tokens.expand_path(setting.value, setting.place), setting.place))
    agent, forwarded = options.identity_agent, options.forward_agent
    if agent.value not in ("none", "SSH_AUTH_SOCK") and not _is_variable(agent.value):
        options.identity_agent = Setting(tokens.expand_path(agent.value, agent.place), agent.place)
    if forwarded.value is not None and forwarded.value != "yes" and not _is_variable(forwarded.value):
        path = tokens.expand_path(forwarded.value, forwarded.place)
        options.forward_agent = Setting(path, forwarded.place)
    for files in ("user_known_hosts", "global_known_hosts"):
        paths: Setting[tuple[str, ...]] = getattr(options, files)
        found = tuple(tokens.expand_path(path, paths.place) for path in paths.value)
        setattr(options, files, Setting(found, paths.place))
    options.set_env = Setting(
        tuple(_expanded_variable(word, tokens, options.set_env.place) for word in options.set_env.value),
        options.set_env.place,
    )
    remote = options.remote_command
    if remote.value is not None:
        options.remote_command = Setting(tokens.expand(remote.value, remote.place), remote.place)
    options.forwards = [
        Setting(
            forward.value._replace(
                listen=_expanded_endpoint(forward.value.listen, tokens, forward.place),
                target=_expanded_endpoint(forward.value.target, tokens, forward.place),
            ),
            forward.place,
        )
        for forward in options.forwards
    ]


def _is_variable(text: str) -> bool:
    """Tell whether a socket is named by a variable of the environment: ``$NAME``."""
    return text.startswith("$") and not text.startswith("${")


def _expanded_variable(word: str, tokens: Tokens, place: Place) -> str:
    name, _, value = word.partition("=")
    value = expand_environment(value, tokens.facts.environment, place)
    return f"{name}={tokens.expand(value, place)}"


def _expanded_endpoint(endpoint: E, tokens: Tokens, place: Place) -> E:
    if endpoint is None or endpoint.path is None:
        return endpoint
    return endpoint._replace(path=tokens.expand_path(endpoint.path, place))


def local_facts(command: str = "") -> Facts:
    """Return what is true of this user and machine; `command` is what is to be run there."""
    from pwd import getpwuid

    uid = os.getuid()
    try:
        entry = getpwuid(uid)
        user, home = entry.pw_name, entry.pw_dir
    except KeyError:  # a container often has no name for its number
        user, home = os.environ.get("USER", str(uid)), "/"
    return Facts(
        os.environ.get("HOME") or home,
        user,
        uid,
        os.uname().nodename,
        os.environ,
        command,
        IDENTIFICATION.decode("ascii").removeprefix("SSH-2.0-"),
        _run_command,
        _addresses,
        _canonical,
    )


def _run_command(command: str) -> bool:
    """Tell whether a command of ``Match exec`` ends with status 0, in the user's own shell."""
    import subprocess

    shell = os.environ.get("SHELL") or "/bin/sh"
    try:
        done = subprocess.run(
            [shell, "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=EXEC_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"Match exec: {printable(command, 200)}: {error}") from None
    return done.returncode == 0


def _addresses() -> list[str]:
    from sshkit.client.local_addresses import local_addresses

    return [entry.address for entry in local_addresses()]


def _canonical(host: str, options: ClientOptions) -> str | None:
    from sshkit.client.canonical import canonical_name

    return canonical_name(host, options)


def config_files(facts: Facts, config_file: str | None = None) -> list[ConfigFile]:
    """Return the files to read: `config_file` alone ("none": none), or the user's and the system's."""
    folder = os.path.join(facts.home, ".ssh")
    if config_file is not None:
        if config_file.lower() == "none":
            return []
        return [ConfigFile(config_file, folder, required=True)]
    return [
        ConfigFile(os.path.join(folder, "config"), folder, guarded=True),
        ConfigFile(SYSTEM_FILE, SYSTEM_FOLDER),
    ]


def algorithms_of(options: ClientOptions, debug: Callable[[str], object]) -> "Algorithms":
    """Return the algorithms to offer; ConfigError names the line with a wrong name."""
    # Loaded here: a command that rides another program's connection has no use for them.
    from sshkit.ssh.algorithms import DEFAULT

    edited = DEFAULT.for_processor(fast_aes=has_fast_aes())
    edited = _edit(edited, "KexAlgorithms", "key_exchanges", options.key_exchanges, debug)
    edited = _edit(edited, "HostKeyAlgorithms", "host_keys", options.host_key_algorithms, debug)
    edited = _edit(edited, "Ciphers", "ciphers", options.ciphers, debug)
    edited = _edit(edited, "MACs", "macs", options.macs, debug)
    edited = _edit(edited, "PubkeyAcceptedAlgorithms", "user_keys", options.user_key_algorithms, debug)
    edited = _edit(
        edited, "HostbasedAcceptedAlgorithms", "hostbased_keys", options.hostbased_algorithms, debug
    )
    return _edit(edited, "CASignatureAlgorithms", "ca_signatures", options.ca_algorithms, debug)


def _edit(
    current: "Algorithms",
    keyword: str,
    category: str,
    setting: Setting[str | None],
    debug: Callable[[str], object],
) -> "Algorithms":
    if setting.value is None:
        return current
    text, left_out = usable_list(keyword, setting, algorithm_names(category))
    if left_out:
        debug(f"{setting.place}: {keyword}: not supported here, left out: {', '.join(left_out)}")
    try:
        return current.edited(**{category: text})
    except LocalProtocolError as error:
        raise ConfigError(f"{keyword}: {error}", setting.place) from None


def algorithm_names(category: str) -> tuple[str, ...]:
    """Return the names of a category of Algorithms that a pattern may mean, host certificates among them."""
    from sshkit.ssh.algorithms import TABLES

    return tuple(entry if isinstance(entry, str) else entry.name for entry in TABLES[category][0])


def rekey_limits_of(options: ClientOptions) -> RekeyLimits:
    """Return when new keys are due."""
    wanted, default = options.rekey_limit.value, RekeyLimits()
    return RekeyLimits(
        default.bytes if wanted.bytes is None else wanted.bytes,
        default.seconds if wanted.seconds is None else wanted.seconds,
    )


def methods_of(options: ClientOptions) -> tuple[str, ...]:
    """Return the methods to try, in order."""
    allowed = {
        "gssapi-with-mic": options.gssapi_authentication.value,
        "hostbased": options.hostbased_authentication.value,
        "publickey": options.public_key_authentication.value != "no",
        "keyboard-interactive": options.interactive_authentication.value and not options.batch_mode.value,
        "password": options.password_authentication.value and not options.batch_mode.value,
    }
    order = options.preferred_authentications.value or METHODS
    return (*(name for name in order if allowed.get(name)), "none")


def identities_of(target: Target) -> list[str] | None:
    """Return the key files to offer; None for the default ones."""
    settings = target.options.identity_files
    if target.options.public_key_authentication.value == "no":
        return []
    if not settings:
        return None
    return [
        target.tokens.expand_path(setting.value, setting.place)
        for setting in settings
        if setting.value.lower() != "none"
    ]


def certificates_of(target: Target) -> list[str]:
    """Return the certificate files to offer with their keys."""
    return [
        target.tokens.expand_path(setting.value, setting.place)
        for setting in target.options.certificate_files
        if setting.value.lower() != "none"
    ]


def agent_of(target: Target) -> str:
    """Return the socket of the agent to ask, or "" for none (ssh_config(5), IdentityAgent)."""
    options = target.options
    text = options.identity_agent.value
    if text.lower() == "none" or options.public_key_authentication.value == "no":
        return ""
    return socket_of(text, target)


def socket_of(text: str, target: Target) -> str:
    """Return a socket that is named by its path or by a variable; "" if the variable is not set."""
    environment = target.tokens.facts.environment
    if text == "SSH_AUTH_SOCK":
        return environment.get(text, "")
    return environment.get(text[1:], "") if _is_variable(text) else text
