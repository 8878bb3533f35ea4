"""From a destination and configuration files to everything that a connection needs.

Called by `configured`, and by the commands with the lines of their command lines.  Places (file:line) go
along, so that whoever asks can be told why a value is what it is.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from sshkit_keys.text import printable

from sshkit.client.destination import InvalidDestination, check_host, check_user, parse_destination
from sshkit.client.processor import has_fast_aes
from sshkit.config.algorithm_names import usable_list
from sshkit.config.client_options import ClientOptions, command_line
from sshkit.config.parser import ConfigError, Line, Setting
from sshkit.config.ssh_config import ConfigFile, expand_hostname, load_client_options
from sshkit.config.tokens import Facts, Tokens
from sshkit.ssh.algorithms import DEFAULT, Algorithms
from sshkit.ssh.errors import LocalProtocolError
from sshkit.ssh.transport.layer import IDENTIFICATION
from sshkit.ssh.transport.rekeying import RekeyLimits

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
    where = parse_destination(destination)
    if facts is None:
        facts = local_facts()
    lines = list(lines)
    if where.user is not None:
        lines.append(command_line("User", f'"{where.user}"'))
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
    user = options.user.value or facts.user
    try:
        check_user(user, user)
    except InvalidDestination as error:
        raise ConfigError(str(error), options.user.place) from None
    port = options.port.value
    alias = options.host_key_alias.value or ""
    jump = ",".join(options.proxy_jump.value)
    tokens = Tokens(facts, where.host, hostname, port, user, alias, jump)
    return Target(where.host, hostname, port, user, options, tokens, files)


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


def algorithms_of(options: ClientOptions, debug: Callable[[str], object]) -> Algorithms:
    """Return the algorithms to offer; ConfigError names the line with a wrong name."""
    edited = DEFAULT.for_processor(fast_aes=has_fast_aes())
    edited = _edit(edited, "KexAlgorithms", "key_exchanges", options.key_exchanges, debug)
    edited = _edit(edited, "HostKeyAlgorithms", "host_keys", options.host_key_algorithms, debug)
    edited = _edit(edited, "Ciphers", "ciphers", options.ciphers, debug)
    edited = _edit(edited, "MACs", "macs", options.macs, debug)
    return _edit(edited, "PubkeyAcceptedAlgorithms", "user_keys", options.user_key_algorithms, debug)


def _edit(
    current: Algorithms,
    keyword: str,
    category: str,
    setting: Setting[str | None],
    debug: Callable[[str], object],
) -> Algorithms:
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
    """Return the names of a category of Algorithms."""
    entries = getattr(DEFAULT, category)
    return tuple(entry if isinstance(entry, str) else entry.name for entry in entries)


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
    setting = options.identity_agent
    text = setting.value
    if text.lower() == "none" or options.public_key_authentication.value == "no":
        return ""
    environment = target.tokens.facts.environment
    if text == "SSH_AUTH_SOCK":
        return environment.get(text, "")
    if text.startswith("$") and not text.startswith("${"):
        return environment.get(text[1:], "")
    return target.tokens.expand_path(text, setting.place)


def known_hosts_of(target: Target, setting: Setting[tuple[str, ...]]) -> list[str]:
    """Return the files of a known-hosts setting."""
    return [target.tokens.expand_path(path, setting.place) for path in setting.value]
