"""The configuration of a server: sshd_config(5) read into typed settings, each with its file and line.

Called by the command sshkit-server.  The first value of a keyword counts; all mistakes are found at once.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

from sshkit_keys.authorized_options import Permit
from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable, quoted

from .parser import COMMAND_LINE, MAX_INCLUDE_DEPTH, ConfigError, Line, Place, Setting, parse_line, read_lines
from .sshd_keywords import ALIASES, COLLECTED, LIMITED, NO_EFFECT, OBEYED, REFUSED
from .values import LOG_LEVELS, RekeyLimit

#: Where relative names of an Include are looked for, as with sshd.
SYSTEM_FOLDER = "/etc/ssh"
DEFAULT_PORT = 22


class ConfigErrors(SSHKitError):
    """Everything that is wrong with a configuration, a line each."""

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        super().__init__("\n".join(str(error) for error in errors))
        self.errors = tuple(errors)


class ListenPlace(NamedTuple):
    """Where to listen; host "" is every address."""

    host: str
    port: int
    place: Place


class ServerOptions:
    """The settings.  An attribute that no line set has its default and the place "default"."""

    accept_env: Setting[tuple[str, ...]]
    address_family: Setting[str]
    allow_agent_forwarding: Setting[bool]
    allow_groups: Setting[tuple[str, ...]]
    allow_stream_local_forwarding: Setting[str]
    allow_tcp_forwarding: Setting[str]
    allow_users: Setting[tuple[str, ...]]
    authentication_methods: Setting[tuple[str, ...]]
    authorized_keys_files: Setting[tuple[str, ...]]
    authorized_principals_file: Setting[str | None]
    banner: Setting[str | None]
    ciphers: Setting[str | None]
    client_alive_count_max: Setting[int]
    client_alive_interval: Setting[int]
    deny_groups: Setting[tuple[str, ...]]
    deny_users: Setting[tuple[str, ...]]
    disable_forwarding: Setting[bool]
    force_command: Setting[str | None]
    gateway_ports: Setting[Literal["no", "yes", "clientspecified"]]
    host_certificates: Setting[tuple[str, ...]]
    host_key_algorithms: Setting[str | None]
    host_keys: Setting[tuple[str, ...]]
    interactive_authentication: Setting[bool]
    kex_algorithms: Setting[str | None]
    listen_addresses: Setting[tuple[tuple[str, int | None], ...]]
    log_level: Setting[int]
    login_grace_time: Setting[int]
    macs: Setting[str | None]
    max_auth_tries: Setting[int]
    max_sessions: Setting[int]
    max_startups: Setting[tuple[int, int, int]]
    password_authentication: Setting[bool]
    per_source_max_startups: Setting[int | None]
    per_source_net_block_size: Setting[tuple[int, int]]
    permit_listen: Setting[tuple[Permit, ...] | None]
    permit_open: Setting[tuple[Permit, ...] | None]
    permit_root_login: Setting[str]
    permit_tty: Setting[bool]
    permit_tunnel: Setting[Literal["no", "yes", "point-to-point", "ethernet"]]
    pid_file: Setting[str | None]
    ports: Setting[tuple[int, ...]]
    pubkey_accepted_algorithms: Setting[str | None]
    pubkey_authentication: Setting[bool]
    rekey_limit: Setting[RekeyLimit]
    required_rsa_size: Setting[int]
    revoked_keys: Setting[str | None]
    set_env: Setting[tuple[tuple[str, str], ...]]
    stream_local_bind_mask: Setting[int]
    stream_local_bind_unlink: Setting[bool]
    strict_modes: Setting[bool]
    subsystems: Setting[tuple[tuple[str, str], ...]]
    syslog_facility: Setting[str]
    trusted_user_ca_keys: Setting[str | None]
    version_addendum: Setting[str]
    x11_display_offset: Setting[int]
    x11_forwarding: Setting[bool]
    x11_use_localhost: Setting[bool]
    xauth_location: Setting[str]

    def __init__(self) -> None:
        self.notes: list[str] = []  #: lines that were read and have no effect
        self.errors: list[ConfigError] = []
        for name, value in DEFAULTS.items():
            setattr(self, name, Setting(value))
        self._set: set[str] = set()
        self._ports_closed = False

    def take(self, line: Line) -> None:
        """Obey one line, or note what is wrong with it."""
        try:
            self._take(line)
        except ConfigError as error:
            self.errors.append(error)

    def close_ports(self) -> None:
        """Let further lines add no port: those of the command line replace those of files."""
        self._ports_closed = "ports" in self._set

    def check(self) -> None:
        """Raise ConfigErrors if any line was wrong."""
        if self.errors:
            raise ConfigErrors(self.errors)

    def listen_places(self) -> list[ListenPlace]:
        """Return every place to listen at: addresses without a port have all of `ports`."""
        ports = self.ports.value
        addresses = self.listen_addresses
        places = []
        for host, port in addresses.value or (("*", None),):
            host = "" if host == "*" else host
            for number in ports if port is None else (port,):
                place = ListenPlace(host, number, addresses.place)
                if place not in places:
                    places.append(place)
        return places

    def _take(self, line: Line) -> None:
        keyword = ALIASES.get(line.keyword, line.keyword)
        known = OBEYED.get(keyword)
        if known is not None:
            name, parse = known
            self._store(name, Setting(parse(line), line.place))
        elif keyword in LIMITED:
            allowed, why = LIMITED[keyword]
            words = [word.lower() for word in line.some()]
            if len(words) != 1 or words[0] not in allowed:
                line.fail(f"{line.spelled}: only {quoted(allowed[0])} is possible: {why}")
        elif keyword in REFUSED:
            line.fail(f"{printable(line.spelled)}: {REFUSED[keyword]}")
        elif keyword in NO_EFFECT:
            self.notes.append(f"{line.place}: {printable(line.spelled)} has no effect in this server")
        else:
            line.fail(f"unknown keyword {quoted(line.spelled)}")

    def _store(self, name: str, setting: Setting[Any]) -> None:
        if name not in self._set:
            self._set.add(name)
        elif name not in COLLECTED or (name == "ports" and self._ports_closed):
            return
        else:
            old: Setting[Any] = getattr(self, name)
            setting = Setting((*old.value, *setting.value), old.place)
        setattr(self, name, setting)


DEFAULTS: dict[str, Any] = {
    "accept_env": ("LANG", "LC_*"),
    "address_family": "any",
    "allow_agent_forwarding": True,
    "allow_groups": (),
    "allow_stream_local_forwarding": "yes",
    "allow_tcp_forwarding": "yes",
    "allow_users": (),
    "authentication_methods": (),
    "authorized_keys_files": (".ssh/authorized_keys", ".ssh/authorized_keys2"),
    "authorized_principals_file": None,
    "banner": None,
    "ciphers": None,
    "client_alive_count_max": 3,
    "client_alive_interval": 0,
    "deny_groups": (),
    "deny_users": (),
    "disable_forwarding": False,
    "force_command": None,
    "gateway_ports": "no",
    "host_certificates": (),
    "host_key_algorithms": None,
    "host_keys": (),
    "interactive_authentication": False,
    "kex_algorithms": None,
    "listen_addresses": (),
    "log_level": LOG_LEVELS["info"],
    "login_grace_time": 120,
    "macs": None,
    "max_auth_tries": 6,
    "max_sessions": 10,
    "max_startups": (10, 30, 100),
    "password_authentication": False,
    "per_source_max_startups": None,
    "per_source_net_block_size": (32, 128),
    "permit_listen": None,
    "permit_open": None,
    "permit_root_login": "prohibit-password",
    "permit_tty": True,
    "permit_tunnel": "no",
    "pid_file": None,
    "ports": (DEFAULT_PORT,),
    "pubkey_accepted_algorithms": None,
    "pubkey_authentication": True,
    "rekey_limit": RekeyLimit(),
    "required_rsa_size": 2048,
    "revoked_keys": None,
    "set_env": (),
    "stream_local_bind_mask": 0o177,
    "stream_local_bind_unlink": False,
    "strict_modes": True,
    "subsystems": (),
    "syslog_facility": "auth",
    "trusted_user_ca_keys": None,
    "version_addendum": "",
    "x11_display_offset": 10,
    "x11_forwarding": False,
    "x11_use_localhost": True,
    "xauth_location": "/usr/bin/xauth",
}


def read_server_config(path: str | None, overrides: Iterable[str] = ()) -> ServerOptions:
    """Return the settings of a file (None: no file), after the lines that the command line gives.

    What is wrong is in `errors`: call `check` when everything has been read.  Raises OSError for a file
    that cannot be read.
    """
    options = ServerOptions()
    lines = []
    for text in overrides:
        try:
            line = parse_line(text, COMMAND_LINE)
        except ConfigError as error:
            options.errors.append(error)
            continue
        if line is not None:
            lines.append(line)
    _take_lines(lines, options, 0)
    options.close_ports()
    if path is not None:
        _read_file(path, options, 0)
    return options


def _read_file(path: str, options: ServerOptions, depth: int) -> None:
    try:
        lines = read_lines(path)
    except ConfigError as error:
        options.errors.append(error)
        return
    _take_lines(lines, options, depth)


def _take_lines(lines: Iterable[Line], options: ServerOptions, depth: int) -> None:
    for line in lines:
        if line.keyword == "include":
            _include(line, options, depth + 1)
            continue
        options.take(line)
        if line.keyword == "match":
            return  # what follows belongs to the block; it would only make further errors


def _include(line: Line, options: ServerOptions, depth: int) -> None:
    from glob import glob

    try:
        if depth > MAX_INCLUDE_DEPTH:
            line.fail(f"more than {MAX_INCLUDE_DEPTH} files within files")
        patterns = line.some()
    except ConfigError as error:
        options.errors.append(error)
        return
    for pattern in patterns:
        for path in sorted(glob(os.path.join(SYSTEM_FOLDER, pattern))):
            try:
                _read_file(path, options, depth)
            except OSError as error:
                options.errors.append(ConfigError(f"Include {printable(path)}: {error.strerror}", line.place))
