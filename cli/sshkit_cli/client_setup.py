"""From a command line to a target, and what of its settings is told to the user.

Called by the commands that log in; the settings themselves are `sshkit.client.target`'s business.
"""

import os
from typing import TYPE_CHECKING

from sshkit_keys.text import printable

from sshkit.client.destination import parse_destination
from sshkit.client.target import Target, algorithms_of, config_files, local_facts, user_line
from sshkit.client.target import load_target as load
from sshkit.config.client_options import command_line
from sshkit.config.forwards import Endpoint, InvalidForward, parse_host_port
from sshkit.config.parser import COMMAND_LINE, DEFAULT, ConfigError, Line, parse_line
from sshkit.config.shown import shown_value
from sshkit.config.without_effect import SAY

if TYPE_CHECKING:
    from .log import Log
    from .options import CommandLine


def load_target(typed: "CommandLine") -> Target:
    """Read the command line and the files; ConfigError or InvalidDestination where they make no sense."""
    lines: list[Line] = []
    where = parse_destination(typed.destination, any_user=True)
    for index, (keyword, rest) in enumerate((*typed.settings, ("", "#"))):
        if index == typed.before:  # the destination stands among the options, and the first value counts
            if where.user is not None:
                lines.append(user_line(where.user))
            if where.port is not None:
                lines.append(command_line("Port", str(where.port)))
        line = command_line(keyword, rest) if keyword else parse_line(rest, COMMAND_LINE)
        if line is not None:
            lines.append(line)
    facts = local_facts(typed.command or "")
    return load(typed.destination, lines, config_files(facts, typed.config_file), facts)


def tell_settings(target: Target, log: "Log") -> None:
    """Say what was not obeyed, and under -v who set what."""
    for kind, text in target.options.notes:
        if kind == SAY:
            log.info(f"Warning: {text}")
        else:
            log.debug(text)
    for keyword, value, place in target.options.items():
        if place.line or place is COMMAND_LINE:
            log.debug(f"config: {keyword} {shown_value(keyword, value)} ({place})")


def command_of(target: Target, typed: "CommandLine") -> str | None:
    """Return the command to run, of the command line or RemoteCommand; None for the login shell."""
    remote = target.options.remote_command
    if remote.value is None:
        return typed.command
    if typed.command is not None:
        raise ConfigError("there is a RemoteCommand and a command on the command line", remote.place)
    return remote.value


def wants_terminal(target: Target, command: str | None, log: "Log") -> bool:
    """Decide on a terminal as ssh does: for a shell, or where one is asked for, and if there is one here."""
    options = target.options
    wanted = options.request_tty.value
    terminal = wanted in ("yes", "force") or (wanted == "auto" and command is None)
    if not terminal or options.session_type.value == "none":
        return False
    if wanted != "force" and (options.stdin_null.value or not os.isatty(0)):
        log.info("Pseudo-terminal will not be allocated because stdin is not a terminal.")
        return False
    return True


def direct_of(text: str) -> Endpoint:
    """Return where -W goes."""
    try:
        return parse_host_port(text)
    except InvalidForward as error:
        raise ConfigError(f"-W: {error}", COMMAND_LINE) from None


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


#: Keywords whose value is a list of algorithms that may only say what changes, and where the whole list is.
_ALGORITHMS = {
    "casignaturealgorithms": "ca_signatures",
    "ciphers": "ciphers",
    "hostbasedacceptedalgorithms": "hostbased_keys",
    "hostkeyalgorithms": "host_keys",
    "kexalgorithms": "key_exchanges",
    "macs": "macs",
    "pubkeyacceptedalgorithms": "user_keys",
}
#: What is none unless somebody says otherwise, and then is not shown.
_SILENT = frozenset(("identityagent", "preferredauthentications", "proxyjump", "setenv"))


def dump(target: Target, places: bool = False) -> str:
    """Return the effective settings, one a line (-G); with `places`, who set each."""
    from sshkit.client.credentials import DEFAULT_IDENTITIES

    options = target.options
    algorithms = algorithms_of(options, lambda _: None)
    rows = [
        ("host", target.original, COMMAND_LINE),
        ("user", target.user, options.user.place),
        ("hostname", target.hostname, options.hostname.place),
    ]
    for keyword, value, place in options.items():
        if keyword in ("user", "hostname"):
            continue
        if keyword in _ALGORITHMS:
            entries = getattr(algorithms, _ALGORITHMS[keyword])
            text = ",".join(entry if isinstance(entry, str) else entry.name for entry in entries)
        else:
            text = shown_value(keyword, value)
        if text and not (place is DEFAULT and ((value is None and text == "none") or keyword in _SILENT)):
            rows.append((keyword, text, place))
    if not options.identity_files:
        rows += [("identityfile", path, DEFAULT) for path in DEFAULT_IDENTITIES]
    if not places:
        return "".join(f"{keyword} {printable(value, 1 << 16)}\n" for keyword, value, _ in rows)
    lines = [f"{keyword} {printable(value, 1 << 16)}" for keyword, value, _ in rows]
    return "".join(f"{line:<32}# {place}\n" for line, (_, _, place) in zip(lines, rows, strict=True))
