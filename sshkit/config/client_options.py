"""The settings of one client connection: each with its type, its default and the place that set it.

`ssh_config` fills it; the command reads it.  To add a keyword: an attribute here and a line in KEYWORDS.
"""

from collections.abc import Callable
from typing import Any, Final, Literal

from sshkit_keys.text import quoted

from .parser import COMMAND_LINE, Line, Place, Setting
from .values import FLAGS, RekeyLimit, choice, flag, log_level, number, rekey_limit, time

Checking = Literal["strict", "ask", "accept-new", "off"]
Terminal = Literal["no", "yes", "force", "auto"]

TILDE: Final = ord("~")
_METHODS = ("publickey", "keyboard-interactive", "password", "none", "hostbased", "gssapi-with-mic")


class ClientOptions:
    """What ssh_config files and the command line say about one host.

    Each attribute but the lists is a `Setting`: `.value`, and `.place` for who wants to know why.
    """

    __slots__ = (
        "address_family",
        "batch_mode",
        "bind_address",
        "certificate_files",
        "ciphers",
        "clear_all_forwardings",
        "compression",
        "connect_timeout",
        "escape_char",
        "fingerprint_hash",
        "global_known_hosts",
        "hash_known_hosts",
        "host_key_algorithms",
        "host_key_alias",
        "hostname",
        "identities_only",
        "identity_agent",
        "identity_files",
        "ignore_unknown",
        "interactive_authentication",
        "key_exchanges",
        "log_level",
        "macs",
        "notes",
        "password_authentication",
        "password_prompts",
        "port",
        "preferred_authentications",
        "public_key_authentication",
        "rekey_limit",
        "remote_command",
        "request_tty",
        "send_env",
        "server_alive_count",
        "server_alive_interval",
        "session_type",
        "set_env",
        "stdin_null",
        "strict_host_key_checking",
        "tcp_keepalive",
        "user",
        "user_key_algorithms",
        "user_known_hosts",
        "visual_host_key",
    )

    def __init__(self) -> None:
        self.address_family: Setting[str] = Setting("any")
        self.batch_mode = Setting(False)
        self.bind_address: Setting[str | None] = Setting(None)
        self.ciphers: Setting[str | None] = Setting(None)
        self.clear_all_forwardings = Setting(False)
        self.compression = Setting(False)
        self.connect_timeout = Setting(0)  #: seconds; 0: the system's own patience
        self.escape_char: Setting[int | None] = Setting(TILDE)
        self.fingerprint_hash = Setting("sha256")
        self.global_known_hosts: Setting[tuple[str, ...]] = Setting(
            ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")
        )
        self.hash_known_hosts = Setting(False)
        self.host_key_algorithms: Setting[str | None] = Setting(None)
        self.host_key_alias: Setting[str | None] = Setting(None)
        self.hostname: Setting[str | None] = Setting(None)
        self.identities_only = Setting(False)
        self.identity_agent: Setting[str] = Setting("SSH_AUTH_SOCK")
        self.ignore_unknown = Setting("")
        self.interactive_authentication = Setting(True)
        self.key_exchanges: Setting[str | None] = Setting(None)
        self.log_level = Setting(3)
        self.macs: Setting[str | None] = Setting(None)
        self.password_authentication = Setting(True)
        self.password_prompts = Setting(3)
        self.port = Setting(22)
        self.preferred_authentications: Setting[tuple[str, ...] | None] = Setting(None)
        self.public_key_authentication = Setting(True)
        self.rekey_limit = Setting(RekeyLimit())
        self.remote_command: Setting[str | None] = Setting(None)
        self.request_tty: Setting[Terminal] = Setting("auto")
        self.server_alive_count = Setting(3)
        self.server_alive_interval = Setting(0)
        self.session_type = Setting("default")
        self.set_env: Setting[tuple[str, ...]] = Setting(())
        self.stdin_null = Setting(False)
        self.strict_host_key_checking: Setting[Checking] = Setting("ask")
        self.tcp_keepalive = Setting(True)
        self.user: Setting[str | None] = Setting(None)
        self.user_key_algorithms: Setting[str | None] = Setting(None)
        self.user_known_hosts: Setting[tuple[str, ...]] = Setting(
            ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
        )
        self.visual_host_key = Setting(False)
        self.identity_files: list[Setting[str]] = []  #: as written; "none" alone: no keys at all
        self.certificate_files: list[Setting[str]] = []  #: as written
        self.send_env: list[Setting[str]] = []  #: patterns of names
        self.notes: list[tuple[str, str]] = []  #: what was not obeyed: (not_yet.NOTE or SAY, text)

    def obey(self, line: Line, active: bool) -> bool:
        """Take a line's value, unless one is there already; False for a keyword that has no attribute.

        The value of a line that is not `active` is only checked.
        """
        if line.keyword in LISTS:
            LISTS[line.keyword](self, line, active)
            return True
        entry = KEYWORDS.get(ALIASES.get(line.keyword, line.keyword))
        if entry is None:
            return False
        name, read = entry
        value = read(line)
        if active and getattr(self, name).is_default:
            setattr(self, name, Setting(value, line.place))
        return True

    def items(self) -> list[tuple[str, Any, Place]]:
        """Return (keyword, value, place) of everything, for people; lists have an entry for each element."""
        result = [(word, setting.value, setting.place) for word, setting in self._settings()]
        result += [("identityfile", setting.value, setting.place) for setting in self.identity_files]
        result += [("certificatefile", setting.value, setting.place) for setting in self.certificate_files]
        result += [("sendenv", setting.value, setting.place) for setting in self.send_env]
        return result

    def _settings(self) -> list[tuple[str, Setting[Any]]]:
        return [(word, getattr(self, name)) for word, (name, _) in KEYWORDS.items()]


def _text(line: Line) -> str:
    return line.one()


def _rest(line: Line) -> str | None:
    """Return a command: everything up to the end of the line, quotes and all."""
    text = line.rest.strip()
    if not text:
        line.fail(f"missing argument for {line.spelled}")
    return None if text.lower() == "none" else text


def _paths(line: Line) -> tuple[str, ...]:
    words = line.some()
    if "none" in (word.lower() for word in words):
        if len(words) > 1:
            line.fail(f'{line.spelled}: "none" stands alone')
        return ()
    return tuple(words)


def _port(line: Line) -> int:
    return number(line, 1, 65535)


def _host_key_checking(line: Line) -> Checking:
    choices: dict[str, Checking] = {
        "yes": "strict",
        "no": "off",
        "ask": "ask",
        "accept-new": "accept-new",
        "off": "off",
        "true": "strict",
        "false": "off",
    }
    return choice(line, choices)


def _request_tty(line: Line) -> Terminal:
    choices: dict[str, Terminal] = {"no": "no", "yes": "yes", "force": "force", "auto": "auto"}
    return choice(line, {**choices, "true": "yes", "false": "no"})


def _address_family(line: Line) -> str:
    return choice(line, {"any": "any", "inet": "inet", "inet6": "inet6"})


def _session_type(line: Line) -> str:
    return choice(line, {"none": "none", "subsystem": "subsystem", "default": "default"})


def _fingerprint_hash(line: Line) -> str:
    return choice(line, {"sha256": "sha256", "md5": "md5"})


def _public_key(line: Line) -> bool:
    return choice(line, {**FLAGS, "unbound": True, "host-bound": True})


def _methods(line: Line) -> tuple[str, ...]:
    names = tuple(name for name in line.one().split(",") if name)
    for name in names:
        if name not in _METHODS:
            line.fail(f"{line.spelled}: unknown method {quoted(name)}; known: {', '.join(_METHODS)}")
    return names


def _escape_char(line: Line) -> int | None:
    """Return a character's number: one character, ``^`` and a letter, or ``none``."""
    word = line.one()
    if word.lower() == "none":
        return None
    if len(word) == 2 and word[0] == "^" and 64 <= ord(word[1].upper()) < 128:
        return ord(word[1].upper()) & 31
    if len(word) != 1 or ord(word) > 127:
        line.fail(f'{line.spelled}: {quoted(word)} is not a character, "^" with a letter, or "none"')
    return ord(word)


def _set_env(line: Line) -> tuple[str, ...]:
    names: dict[str, str] = {}
    for word in line.some():
        name, equals, _ = word.partition("=")
        if not equals or not name or "\0" in word:
            line.fail(f"{line.spelled}: {quoted(word)} is not NAME=VALUE")
        names.setdefault(name, word)
    return tuple(names.values())


def _send_env(options: ClientOptions, line: Line, active: bool) -> None:
    """Add patterns of names; one with ``-`` in front takes away what it matches."""
    from .patterns import matches_glob

    for word in line.some():
        if "=" in word or not word.removeprefix("-"):
            line.fail(f"{line.spelled}: {quoted(word)} is not a name of a variable")
        if not active:
            continue
        if word.startswith("-"):
            options.send_env = [kept for kept in options.send_env if not matches_glob(word[1:], kept.value)]
        else:
            options.send_env.append(Setting(word, line.place))


def _identity_file(options: ClientOptions, line: Line, active: bool) -> None:
    _add_path(options.identity_files, line, active)


def _certificate_file(options: ClientOptions, line: Line, active: bool) -> None:
    _add_path(options.certificate_files, line, active)


def _add_path(paths: list[Setting[str]], line: Line, active: bool) -> None:
    path = line.one()
    if active and all(path != known.value for known in paths):
        paths.append(Setting(path, line.place))


#: Keyword in lower case -> attribute, and what reads its value.  The first value of a keyword wins.
KEYWORDS: dict[str, tuple[str, Callable[[Line], Any]]] = {
    "addressfamily": ("address_family", _address_family),
    "batchmode": ("batch_mode", flag),
    "bindaddress": ("bind_address", _text),
    "ciphers": ("ciphers", _text),
    "clearallforwardings": ("clear_all_forwardings", flag),
    "compression": ("compression", flag),
    "connecttimeout": ("connect_timeout", time),
    "escapechar": ("escape_char", _escape_char),
    "fingerprinthash": ("fingerprint_hash", _fingerprint_hash),
    "globalknownhostsfile": ("global_known_hosts", _paths),
    "hashknownhosts": ("hash_known_hosts", flag),
    "hostkeyalgorithms": ("host_key_algorithms", _text),
    "hostkeyalias": ("host_key_alias", _text),
    "hostname": ("hostname", _text),
    "identitiesonly": ("identities_only", flag),
    "identityagent": ("identity_agent", _text),
    "ignoreunknown": ("ignore_unknown", _text),
    "kbdinteractiveauthentication": ("interactive_authentication", flag),
    "kexalgorithms": ("key_exchanges", _text),
    "loglevel": ("log_level", log_level),
    "macs": ("macs", _text),
    "numberofpasswordprompts": ("password_prompts", number),
    "passwordauthentication": ("password_authentication", flag),
    "port": ("port", _port),
    "preferredauthentications": ("preferred_authentications", _methods),
    "pubkeyacceptedalgorithms": ("user_key_algorithms", _text),
    "pubkeyauthentication": ("public_key_authentication", _public_key),
    "rekeylimit": ("rekey_limit", rekey_limit),
    "remotecommand": ("remote_command", _rest),
    "requesttty": ("request_tty", _request_tty),
    "serveralivecountmax": ("server_alive_count", number),
    "serveraliveinterval": ("server_alive_interval", time),
    "sessiontype": ("session_type", _session_type),
    "setenv": ("set_env", _set_env),
    "stdinnull": ("stdin_null", flag),
    "stricthostkeychecking": ("strict_host_key_checking", _host_key_checking),
    "tcpkeepalive": ("tcp_keepalive", flag),
    "user": ("user", _text),
    "userknownhostsfile": ("user_known_hosts", _paths),
    "visualhostkey": ("visual_host_key", flag),
}

#: Keywords that add to a list.
LISTS: dict[str, Callable[[ClientOptions, Line, bool], None]] = {
    "certificatefile": _certificate_file,
    "identityfile": _identity_file,
    "sendenv": _send_env,
}

#: Names that OpenSSH has from earlier times.
ALIASES = {
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "dsaauthentication": "pubkeyauthentication",
    "keepalive": "tcpkeepalive",
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "skeyauthentication": "kbdinteractiveauthentication",
    "tisauthentication": "kbdinteractiveauthentication",
}


def command_line(keyword: str, rest: str) -> Line:
    """Return a line as if it stood in a file that comes first: how -p, -l and their like are obeyed."""
    return Line(keyword, rest, COMMAND_LINE)
