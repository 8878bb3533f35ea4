"""From a command line and configuration files to everything a connection needs.

Called by `client_run`.  Places (file:line) go along, so that -v can tell why a value is what it is.
"""

import os
from typing import TYPE_CHECKING, NamedTuple

from sshkit_keys.text import printable

from sshkit.client.destination import InvalidDestination, check_host, check_user, parse_destination
from sshkit.config.algorithm_names import usable_list
from sshkit.config.client_options import ClientOptions, command_line
from sshkit.config.parser import COMMAND_LINE, ConfigError, Line, Setting, parse_line
from sshkit.config.ssh_config import ConfigFile, expand_hostname, load_client_options
from sshkit.config.tokens import Facts, Tokens
from sshkit.config.values import LOG_LEVELS, RekeyLimit
from sshkit.config.without_effect import SAY
from sshkit.ssh.algorithms import DEFAULT, Algorithms
from sshkit.ssh.errors import LocalProtocolError
from sshkit.ssh.transport.rekeying import RekeyLimits

from .escapes import shown

if TYPE_CHECKING:
    from .log import Log
    from .options import CommandLine

SYSTEM_FOLDER = "/etc/ssh"
SYSTEM_FILE = "/etc/ssh/ssh_config"
#: The order in which ssh tries methods; "none" costs one request and tells what the server offers.
METHODS = ("publickey", "keyboard-interactive", "password")


class Target(NamedTuple):
    """Who is to be connected to, and with which settings."""

    original: str  #: the host as the user named it
    hostname: str  #: what is connected to
    port: int
    user: str
    options: ClientOptions
    tokens: Tokens

    @property
    def place(self) -> str:
        """Host and port as errors name them."""
        return f"{printable(self.hostname)} port {self.port}"


def load_target(typed: "CommandLine") -> Target:
    """Read the command line and the files; ConfigError or InvalidDestination where they make no sense."""
    where = parse_destination(typed.destination)
    facts = _facts()
    lines: list[Line] = []
    for keyword, rest in typed.settings:
        line = command_line(keyword, rest) if keyword else parse_line(rest, COMMAND_LINE)
        if line is not None:
            lines.append(line)
    if where.user is not None:
        lines.append(command_line("User", f'"{where.user}"'))
    if where.port is not None:
        lines.append(command_line("Port", str(where.port)))
    options = load_client_options(where.host, facts, lines, _files(typed.config_file, facts))
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
    _refuse_unwired(options)
    tokens = Tokens(facts, where.host, hostname, options.port.value, user, options.host_key_alias.value or "")
    return Target(where.host, hostname, options.port.value, user, options, tokens)


#: What is read but does nothing yet, and would change where and how one connects.
UNWIRED = (
    "bind_interface",
    "canonicalize_hostname",
    "fork_after_authentication",
    "known_hosts_command",
    "permit_local_command",
    "proxy_command",
    "proxy_jump",
    "revoked_host_keys",
    "tunnel",
)


def _refuse_unwired(options: ClientOptions) -> None:
    neutral = ClientOptions()
    for name in UNWIRED:
        setting = getattr(options, name)
        if setting.value != getattr(neutral, name).value:
            raise ConfigError(f"{name} is not supported yet", setting.place)
    if options.control_master.value in ("yes", "ask"):
        raise ConfigError("ControlMaster is not supported yet", options.control_master.place)
    if options.forwards and not options.clear_all_forwardings.value:
        raise ConfigError("forwards are not supported yet", options.forwards[0].place)


def _facts() -> Facts:
    from pwd import getpwuid

    uid = os.getuid()
    try:
        entry = getpwuid(uid)
        user, home = entry.pw_name, entry.pw_dir
    except KeyError:  # a container often has no name for its number
        user, home = os.environ.get("USER", str(uid)), "/"
    return Facts(os.environ.get("HOME") or home, user, uid, os.uname().nodename, os.environ)


def _files(config_file: str | None, facts: Facts) -> list[ConfigFile]:
    """Return the files to read: that of -F alone, or the user's and the system's."""
    folder = os.path.join(facts.home, ".ssh")
    if config_file is not None:
        if config_file.lower() == "none":
            return []
        return [ConfigFile(config_file, folder, required=True)]
    return [
        ConfigFile(os.path.join(folder, "config"), folder, guarded=True),
        ConfigFile(SYSTEM_FILE, SYSTEM_FOLDER),
    ]


def tell_settings(target: Target, log: "Log") -> None:
    """Say what was not obeyed, and under -v who set what."""
    for kind, text in target.options.notes:
        if kind == SAY:
            log.info(f"Warning: {text}")
        else:
            log.debug(text)
    for keyword, value, place in target.options.items():
        if place.line or place is COMMAND_LINE:
            log.debug(f"config: {keyword} {shown_value(value, keyword)} ({place})")


def shown_value(value: object, keyword: str = "") -> str:
    """Return a setting's value as a configuration file would have it."""
    if value is None:
        return "none"
    if keyword == "escapechar" and isinstance(value, int):
        return shown(value)
    if keyword == "loglevel":
        return next(name for name, level in LOG_LEVELS.items() if level == value).upper()
    if isinstance(value, RekeyLimit):
        size = "default" if value.bytes is None else str(value.bytes)
        return size if value.seconds is None else f"{size} {value.seconds}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, tuple):
        return " ".join(shown_value(part) for part in value) or "none"
    return printable(str(value))


def algorithms_of(options: ClientOptions, log: "Log") -> Algorithms:
    """Return the algorithms to offer; ConfigError names the line with a wrong name."""
    edited = DEFAULT
    edited = _edit(edited, "KexAlgorithms", "key_exchanges", options.key_exchanges, log)
    edited = _edit(edited, "HostKeyAlgorithms", "host_keys", options.host_key_algorithms, log)
    edited = _edit(edited, "Ciphers", "ciphers", options.ciphers, log)
    edited = _edit(edited, "MACs", "macs", options.macs, log)
    return _edit(edited, "PubkeyAcceptedAlgorithms", "user_keys", options.user_key_algorithms, log)


def _edit(
    current: Algorithms, keyword: str, category: str, setting: Setting[str | None], log: "Log"
) -> Algorithms:
    if setting.value is None:
        return current
    text, left_out = usable_list(keyword, setting, algorithm_names(category))
    if left_out:
        log.debug(f"{setting.place}: {keyword}: not supported here, left out: {', '.join(left_out)}")
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


def command_of(target: Target, typed: "CommandLine") -> str | None:
    """Return the command to run, of the command line or RemoteCommand; None for the login shell."""
    remote = target.options.remote_command
    if remote.value is None:
        return typed.command
    if typed.command is not None:
        raise ConfigError("there is a RemoteCommand and a command on the command line", remote.place)
    return target.tokens.expand(remote.value, remote.place)


def environment_of(target: Target, environment: "os._Environ[str]") -> dict[str, str]:
    """Return the variables to send: those that SendEnv names, then SetEnv's."""
    from sshkit.config.patterns import matches_glob

    patterns = [setting.value for setting in target.options.send_env]
    sent = {
        name: value
        for name, value in environment.items()
        if any(matches_glob(pattern, name) for pattern in patterns)
    }
    for word in target.options.set_env.value:
        name, _, value = word.partition("=")
        sent[name] = value
    return sent


def dump(target: Target) -> str:
    """Return the effective settings, one a line (-G)."""
    rows = [("host", target.original), ("user", target.user), ("hostname", target.hostname)]
    rows += [
        (keyword, shown_value(value, keyword))
        for keyword, value, _ in target.options.items()
        if value is not None and keyword not in ("user", "hostname")
    ]
    return "".join(f"{keyword} {printable(value, 4096)}\n" for keyword, value in rows)
