"""What each keyword of sshd_config(5) means here: obeyed, known without effect, or refused.

Called by `sshd_config`.  Every keyword of OpenSSH 10 is in one of these tables.  Refused is what would be
dangerous to lose silently: a limit, a check, a block of exceptions.  Without effect is what only allows
more than this server can do, or changes nothing that anybody could rely on.
"""

from collections.abc import Callable
from typing import Any

from sshkit_keys.authorized_options import Permit, parse_permit_listen, parse_permit_open
from sshkit_keys.errors import TrustFileError
from sshkit_keys.text import quoted

from .parser import Line
from .values import choice, flag, log_level, number, rekey_limit, time

ROOT_LOGINS = {
    "yes": "yes",
    "no": "no",
    "prohibit-password": "prohibit-password",
    "without-password": "prohibit-password",
    "forced-commands-only": "forced-commands-only",
}
FACILITIES = {
    name: name for name in ("daemon", "user", "auth", "authpriv", *(f"local{number}" for number in range(8)))
}
FAMILIES = {"any": "any", "inet": "inet", "inet6": "inet6"}
FORWARDING = {name: name for name in ("yes", "no", "local", "remote")} | {"all": "yes"}
TUNNELS = {name: name for name in ("yes", "no", "point-to-point", "ethernet")}
GATEWAY_PORTS = {name: name for name in ("no", "yes", "clientspecified")}
METHODS = ("publickey", "password", "keyboard-interactive")


def words(line: Line) -> tuple[str, ...]:
    """Return all arguments."""
    return tuple(line.some())


def path(line: Line) -> str | None:
    """Return the path, or None for "none"."""
    word = line.one()
    return None if word.lower() == "none" else word


def text(line: Line) -> str | None:
    """Return the rest of the line as it was written, or None for "none"."""
    if not line.rest.strip():
        line.fail(f"missing argument for {line.spelled}")
    return None if line.rest.strip().lower() == "none" else line.rest.strip()


def port(line: Line) -> tuple[int, ...]:
    """Return the port; 0 is any free one."""
    return (number(line, 0, 65535),)


def one_word(line: Line) -> tuple[str, ...]:
    """Return the only argument, to be added to those of other lines."""
    return (line.one(),)


def listen_address(line: Line) -> tuple[tuple[str, int | None], ...]:
    """Return host and port of ``host``, ``host:port``, ``[host]:port`` or a bare IPv6 address."""
    word = line.one()
    host, colon, port_text = word, "", ""
    if word.startswith("["):
        host, bracket, rest = word[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            line.fail(
                f"{line.spelled}: {quoted(word)} is not an address; write host, host:port or [host]:port"
            )
        colon, port_text = rest[:1], rest[1:]
    elif word.count(":") == 1:
        host, colon, port_text = word.partition(":")
    if colon:
        if not (port_text.isascii() and port_text.isdecimal()) or int(port_text) > 65535:
            line.fail(f"{line.spelled}: {quoted(port_text)} is not a port")
        return ((host, int(port_text)),)
    return ((host, None),)


def max_startups(line: Line) -> tuple[int, int, int]:
    """Return ``start:rate:full``, or a plain number from which all are refused."""
    word = line.one()
    numbers = [int(part) if part.isascii() and part.isdecimal() else -1 for part in word.split(":")]
    if len(numbers) == 1:
        numbers = [numbers[0], 30, numbers[0]]
    if len(numbers) != 3 or min(numbers[0], numbers[2]) < 1 or numbers[0] > numbers[2]:
        line.fail(f"{line.spelled}: {quoted(word)} is not start:rate:full with start at most full")
    if not 1 <= numbers[1] <= 100:
        line.fail(f"{line.spelled}: the rate in {quoted(word)} is not from 1 to 100")
    return numbers[0], numbers[1], numbers[2]


def per_source(line: Line) -> int | None:
    """Return the number, or None for "none"."""
    return None if line.one().lower() == "none" else number(line)


def subsystem(line: Line) -> tuple[tuple[str, str], ...]:
    """Return the name and the command."""
    from shlex import quote

    parts = line.some()
    if len(parts) < 2:
        line.fail(f"{line.spelled} {quoted(parts[0])}: no command")
    command = parts[1] if len(parts) == 2 else " ".join(quote(part) for part in parts[1:])
    return ((parts[0], command),)


def variables(line: Line) -> tuple[tuple[str, str], ...]:
    """Return the variables of ``NAME=value ...``."""
    found = []
    for word in line.some():
        name, equals, value = word.partition("=")
        if not equals or not name:
            line.fail(f"{line.spelled}: {quoted(word)} is not NAME=value")
        found.append((name, value))
    return tuple(found)


def permits(line: Line, parse: Callable[[str], Permit]) -> tuple[Permit, ...] | None:
    """Return the permitted addresses: None for "any", none for "none"."""
    texts = line.some()
    if len(texts) == 1 and texts[0].lower() in ("any", "none"):
        return None if texts[0].lower() == "any" else ()
    try:
        return tuple(parse(text) for text in texts)
    except TrustFileError as error:
        line.fail(f"{line.spelled}: {error}")


def octal(line: Line) -> int:
    """Return the only argument as permissions in octal."""
    word = line.one()
    if not word or len(word) > 4 or not all(char in "01234567" for char in word) or int(word, 8) > 0o777:
        line.fail(f"{line.spelled}: {quoted(word)} is not a mask in octal, such as 0177")
    return int(word, 8)


def environment_names(line: Line) -> tuple[str, ...]:
    """Return patterns of names of variables."""
    names = words(line)
    for name in names:
        if "=" in name:
            line.fail(f"{line.spelled}: {quoted(name)} is not the name of a variable")
    return names


def user_patterns(line: Line) -> tuple[str, ...]:
    """Return patterns of users, USER or USER@HOST.

    Names of hosts are not looked up: an address pattern is all that a host part can be.
    """
    for pattern in words(line):
        if pattern.startswith("!"):
            line.fail(f"{line.spelled}: {quoted(pattern)}: exceptions with ! are not possible here")
        _, at, host = pattern.rpartition("@")
        if at and not all(char in "0123456789abcdefABCDEF:.*?/" for char in host):
            line.fail(f"{line.spelled}: {quoted(host)}: names of hosts are not looked up; write addresses")
    return words(line)


def authentication_methods(line: Line) -> tuple[str, ...]:
    """Return the methods that are needed one after the other; empty for "any"."""
    lists = line.some()
    if lists == ["any"]:
        return ()
    if len(lists) > 1:
        line.fail(f"{line.spelled}: more than one list is not supported yet")
    chain = tuple(lists[0].split(","))
    for method in chain:
        if method not in METHODS:
            line.fail(f"{line.spelled}: {quoted(method)} is none of {', '.join(METHODS)}")
        if chain.count(method) > 1:
            line.fail(f"{line.spelled}: {method} twice is not supported")
    return chain


def version_addendum(line: Line) -> str:
    """Return what follows our version in the identification."""
    value = text(line) or ""
    if not (value.isascii() and value.isprintable()) or len(value) > 200:
        line.fail(f"{line.spelled}: only printable ASCII, 200 characters at most")
    return value


def net_blocks(line: Line) -> tuple[int, int]:
    """Return how many bits of IPv4 and IPv6 addresses tell sources apart."""
    parts = line.one().split(":")
    bits = [int(part) if part.isascii() and part.isdecimal() else -1 for part in parts]
    if len(bits) > 2 or not 0 <= bits[0] <= 32 or not 0 <= bits[-1] <= 128:
        line.fail(f"{line.spelled}: {quoted(line.one())} is not bits4[:bits6]")
    return bits[0], bits[1] if len(bits) == 2 else 128


Parse = Callable[[Line], Any]

#: Keyword -> attribute of ServerOptions, and what reads its value.
OBEYED: dict[str, tuple[str, Parse]] = {
    "acceptenv": ("accept_env", environment_names),
    "addressfamily": ("address_family", lambda line: choice(line, FAMILIES)),
    "allowstreamlocalforwarding": (
        "allow_stream_local_forwarding",
        lambda line: choice(line, FORWARDING),
    ),
    "allowtcpforwarding": ("allow_tcp_forwarding", lambda line: choice(line, FORWARDING)),
    "allowagentforwarding": ("allow_agent_forwarding", flag),
    "allowgroups": ("allow_groups", words),
    "allowusers": ("allow_users", user_patterns),
    "authenticationmethods": ("authentication_methods", authentication_methods),
    "authorizedkeysfile": ("authorized_keys_files", words),
    "authorizedprincipalsfile": ("authorized_principals_file", path),
    "banner": ("banner", path),
    "ciphers": ("ciphers", Line.one),
    "clientalivecountmax": ("client_alive_count_max", number),
    "clientaliveinterval": ("client_alive_interval", time),
    "denygroups": ("deny_groups", words),
    "denyusers": ("deny_users", user_patterns),
    "disableforwarding": ("disable_forwarding", flag),
    "forcecommand": ("force_command", text),
    "gatewayports": ("gateway_ports", lambda line: choice(line, GATEWAY_PORTS)),
    "hostcertificate": ("host_certificates", one_word),
    "hostkey": ("host_keys", one_word),
    "hostkeyalgorithms": ("host_key_algorithms", Line.one),
    "kbdinteractiveauthentication": ("interactive_authentication", flag),
    "kexalgorithms": ("kex_algorithms", Line.one),
    "listenaddress": ("listen_addresses", listen_address),
    "logingracetime": ("login_grace_time", time),
    "loglevel": ("log_level", log_level),
    "macs": ("macs", Line.one),
    "maxauthtries": ("max_auth_tries", lambda line: number(line, 1)),
    "maxsessions": ("max_sessions", number),
    "maxstartups": ("max_startups", max_startups),
    "passwordauthentication": ("password_authentication", flag),
    "permitlisten": ("permit_listen", lambda line: permits(line, parse_permit_listen)),
    "permitopen": ("permit_open", lambda line: permits(line, parse_permit_open)),
    "permitrootlogin": ("permit_root_login", lambda line: choice(line, ROOT_LOGINS)),
    "permittty": ("permit_tty", flag),
    "permittunnel": ("permit_tunnel", lambda line: choice(line, TUNNELS)),
    "persourcemaxstartups": ("per_source_max_startups", per_source),
    "persourcenetblocksize": ("per_source_net_block_size", net_blocks),
    "pidfile": ("pid_file", path),
    "port": ("ports", port),
    "pubkeyacceptedalgorithms": ("pubkey_accepted_algorithms", Line.one),
    "pubkeyauthentication": ("pubkey_authentication", flag),
    "rekeylimit": ("rekey_limit", rekey_limit),
    "requiredrsasize": ("required_rsa_size", lambda line: number(line, 0, 16384)),
    "revokedkeys": ("revoked_keys", path),
    "setenv": ("set_env", variables),
    "streamlocalbindmask": ("stream_local_bind_mask", octal),
    "streamlocalbindunlink": ("stream_local_bind_unlink", flag),
    "strictmodes": ("strict_modes", flag),
    "subsystem": ("subsystems", subsystem),
    "syslogfacility": ("syslog_facility", lambda line: choice(line, FACILITIES)),
    "trustedusercakeys": ("trusted_user_ca_keys", path),
    "versionaddendum": ("version_addendum", version_addendum),
    "x11displayoffset": ("x11_display_offset", lambda line: number(line, 0, 59535)),
    "x11forwarding": ("x11_forwarding", flag),
    "x11uselocalhost": ("x11_use_localhost", flag),
    "xauthlocation": ("xauth_location", Line.one),
}

#: Attributes to which each further line adds; of all others the first line counts.
COLLECTED = frozenset(
    (
        "accept_env",
        "allow_groups",
        "allow_users",
        "deny_groups",
        "deny_users",
        "host_certificates",
        "host_keys",
        "listen_addresses",
        "ports",
        "subsystems",
    )
)

#: Old names.
ALIASES = {
    "challengeresponseauthentication": "kbdinteractiveauthentication",
    "dsaauthentication": "pubkeyauthentication",
    "hostbasedacceptedkeytypes": "hostbasedacceptedalgorithms",
    "hostdsakey": "hostkey",
    "keepalive": "tcpkeepalive",
    "pubkeyacceptedkeytypes": "pubkeyacceptedalgorithms",
    "skeyauthentication": "kbdinteractiveauthentication",
}

#: Keyword -> the only values that can be obeyed (the first is the one to write), and why.
LIMITED: dict[str, tuple[tuple[str, ...], str]] = {
    "authorizedkeyscommand": (("none",), "commands that find keys are not supported yet"),
    "authorizedprincipalscommand": (("none",), "commands that find principals are not supported yet"),
    "channeltimeout": (("none",), "channels are not timed yet"),
    "chrootdirectory": (("none",), "the root directory cannot be changed yet"),
    "persourcepenalties": (("no",), "penalties are not supported yet"),
    "rdomain": (("none",), "routing domains are not supported"),
    "refuseconnection": (("no",), "this would refuse everybody"),
    "unusedconnectiontimeout": (("none", "0"), "unused connections are not timed yet"),
    "usedns": (("no",), "names of hosts are not looked up"),
    "usepam": (("no",), "PAM is not supported"),
}

#: Keywords that cannot be obeyed at all, and why.
REFUSED = {
    "hostkeyagent": "host keys in an agent are not supported yet",
    "match": "Match blocks are not supported yet",
}

#: Known and without effect: nothing is lost that protects anybody.
NO_EFFECT = frozenset(
    (
        "authorizedkeyscommanduser",
        "authorizedprincipalscommanduser",
        "casignaturealgorithms",
        "compression",
        "exposeauthinfo",
        "fingerprinthash",
        "gssapiauthentication",
        "gssapicleanupcredentials",
        "gssapidelegatecredentials",
        "gssapienablek5users",
        "gssapikexalgorithms",
        "gssapikeyexchange",
        "gssapistorecredentialsonrekey",
        "gssapistrictacceptorcheck",
        "hostbasedacceptedalgorithms",
        "hostbasedauthentication",
        "hostbasedusesnamefrompacketonly",
        "ignorerhosts",
        "ignoreuserknownhosts",
        "ipqos",
        "kerberosauthentication",
        "kerberosgetafstoken",
        "kerberosorlocalpasswd",
        "kerberosticketcleanup",
        "logverbose",
        "modulifile",
        "pamservicename",
        "permitemptypasswords",
        "permituserenvironment",
        "permituserrc",
        "persourcepenaltyexemptlist",
        "printlastlog",
        "printmotd",
        "pubkeyauthoptions",
        "securitykeyprovider",
        "sshdauthpath",
        "sshdsessionpath",
        "tcpkeepalive",
        # Gone from OpenSSH; old files still have them.
        "checkmail",
        "keyregenerationinterval",
        "protocol",
        "rhostsauthentication",
        "rhostsrsaauthentication",
        "rsaauthentication",
        "serverkeybits",
        "uselogin",
        "useprivilegeseparation",
    )
)
