"""Readers of values of sshd_config that are more than a word, a number or a flag (sshd_config(5)).

Called by `sshd_keywords`, which says which keyword has which.  Each takes the line, for the error's place.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

from sshkit_keys.authorized_options import Permit, parse_permit_listen, parse_permit_open
from sshkit_keys.errors import TrustFileError
from sshkit_keys.text import quoted

from .parser import Line
from .sshd_addresses import AddressList, InvalidAddress, small_number
from .values import FLAGS, LOG_LEVELS, number, seconds_of

#: Methods that AuthenticationMethods may name, as sshd knows them.
METHODS = ("publickey", "password", "keyboard-interactive", "hostbased", "gssapi-with-mic", "none")
#: sshd keeps numbers of sources in a C int.
MAX_NUMBER = 0x7FFFFFFF

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
RHOSTS = {"yes": "yes", "no": "no", "true": "yes", "false": "no", "shosts-only": "shosts-only"}
COMPRESSION = {**FLAGS, "delayed": True}
HASHES = {"sha256": "sha256", "md5": "md5"}
PROXY = {"yes": "yes", "no": "no", "true": "yes", "false": "no", "required": "required"}
LEVELS = {**LOG_LEVELS, "silent": LOG_LEVELS["quiet"]}
LOG_FORMATS = {"text": "text", "json": "json"}


class PenaltyTimes(NamedTuple):
    """PerSourcePenalties: seconds that a source is refused for each fault, and the bounds of them."""

    crash: int = 90
    authfail: int = 5
    invalid_user: int = 5  #: tries for names that do not exist (OpenSSH 10.3)
    noauth: int = 1
    grace_exceeded: int = 10
    refuse_connection: int = 10
    max: int = 600
    min: int = 15
    max_sources4: int = 65536
    max_sources6: int = 65536
    overflow4: str = "permissive"  #: or "deny-all": what happens to others once so many sources are known
    overflow6: str = "permissive"

    def __str__(self) -> str:
        return " ".join(
            f"{word}:{value}"
            for word, value in zip(PENALTIES, self, strict=True)
            if word != "invaliduser" or value != PenaltyTimes().invalid_user  # OpenSSH before 10.3 has it not
        )


#: What sshd_config calls the fields of PenaltyTimes.
PENALTIES = {
    {"invalid_user": "invaliduser", "refuse_connection": "refuseconnection", "overflow4": "overflow"}.get(
        field, field.replace("_", "-")
    ): field
    for field in PenaltyTimes._fields
}
#: Parts of a line of PerSourcePenalties: name of the field (or "enabled") and value.
PenaltyParts = tuple[tuple[str, int | str], ...]


class MetricsAddress(NamedTuple):
    """Where counters can be fetched: a port of an address of this machine, or a socket's path."""

    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        if self.path:
            return self.path
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


# Words.


def words(line: Line) -> tuple[str, ...]:
    """Return all arguments; none of them may be empty."""
    found = tuple(line.some())
    if "" in found:
        line.fail(f"{line.spelled}: an empty argument")
    return found


def paths(line: Line) -> tuple[str, ...]:
    """Return paths, which may be relative to a user's home; none for "none"."""
    found = words(line)
    return () if [path.lower() for path in found] == ["none"] else tuple(_own_home(path) for path in found)


def path(line: Line) -> str | None:
    """Return a path with tokens, which may be relative to a user's home, or None for "none"."""
    word = name(line)
    return None if word is None else _own_home(word)


def name(line: Line) -> str | None:
    """Return the only argument, or None for "none"."""
    word = line.one()
    return None if word.lower() == "none" else word


def file(line: Line) -> str | None:
    """Return the absolute path of a file, or None for "none"."""
    word = path(line)
    return None if word is None else _absolute(word, line)


def one_file(line: Line) -> tuple[str, ...]:
    """Return the absolute path of a file, to be added to those of other lines; none for "none"."""
    path = file(line)
    return () if path is None else (path,)


def agent(line: Line) -> str | None:
    """Return an agent's socket, SSH_AUTH_SOCK, or None for "none"."""
    return line.one() if line.one() == "SSH_AUTH_SOCK" else file(line)


def _own_home(path: str) -> str:
    """Return a path with ``~`` in front replaced: the home of whoever started the server, as with sshd."""
    return os.path.expanduser(path) if path.startswith("~") else path


def _absolute(path: str, line: Line) -> str:
    """Return the path as it will still mean the same when the server has gone to another directory."""
    if os.path.isabs(path):
        return path
    try:
        return os.path.join(os.getcwd(), path)
    except OSError as error:
        line.fail(f"{line.spelled}: {quoted(path)} is relative to a directory that is gone: {error.strerror}")


def text(line: Line) -> str | None:
    """Return the rest of the line as it was written, or None for "none"."""
    if not line.rest.strip():
        line.fail(f"missing argument for {line.spelled}")
    return None if line.rest.strip().lower() == "none" else line.rest.strip()


def command(line: Line) -> str | None:
    """Return a command that starts with an absolute path, or None for "none"."""
    value = text(line)
    if value is not None and not value.startswith("/"):
        line.fail(f"{line.spelled}: {quoted(value)} does not begin with /")
    return value


def names_of_files(line: Line) -> tuple[str, ...]:
    """Return patterns of LogVerbose; none for "none", which stands alone."""
    found = words(line)
    if any(word.lower() == "none" for word in found):
        if len(found) > 1:
            line.fail(f'{line.spelled}: "none" stands alone')
        return ()
    return found


# Where to listen, and for whom.


def port(line: Line) -> tuple[int, ...]:
    """Return the port; 0 is any free one."""
    return (number(line, 0, 65535),)


def listen_address(line: Line) -> tuple[tuple[str, int | None], ...]:
    """Return host and port of ``host``, ``host:port``, ``[host]:port`` or a bare IPv6 address."""
    found = line.some()
    if len(found) == 3 and found[1].lower() == "rdomain":
        line.fail(f"{line.spelled}: a routing domain is not possible here; start the server in it")
    return (address_and_port(line),)


def address_and_port(line: Line) -> tuple[str, int | None]:
    """Return what the only argument names; the port may be missing."""
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
    if not colon:
        return host, None
    if not 0 <= small_number(port_text) <= 65535:
        line.fail(f"{line.spelled}: {quoted(port_text)} is not a port")
    return host, int(port_text)


def metrics_address(line: Line) -> MetricsAddress | None:
    """Return ``host:port``, a path, or None for "none"."""
    word = line.one()
    if word.lower() == "none":
        return None
    if word.startswith("/"):
        return MetricsAddress("", 0, word)
    host, place = address_and_port(line)
    if not host or place is None:
        line.fail(f"{line.spelled}: {quoted(word)} is neither host:port nor a path that begins with /")
    return MetricsAddress(host, place)


def max_startups(line: Line) -> tuple[int, int, int]:
    """Return ``start:rate:full``, or a plain number from which all are refused."""
    word = line.one()
    numbers = [small_number(part) for part in word.split(":")]
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


def net_blocks(line: Line) -> tuple[int, int]:
    """Return how many bits of IPv4 and IPv6 addresses tell sources apart."""
    parts = line.one().split(":")
    bits = [small_number(part) for part in parts]
    if len(bits) > 2 or not 0 <= bits[0] <= 32 or not 0 <= bits[-1] <= 128:
        line.fail(f"{line.spelled}: {quoted(line.one())} is not bits4[:bits6]")
    return bits[0], bits[1] if len(bits) == 2 else 128


def penalties(line: Line) -> PenaltyParts:
    """Return the parts of ``yes``, ``no`` or ``crash:90s authfail:5s ...``."""
    found = line.some()
    parts: list[tuple[str, int | str]] = []
    for word in found:
        known = FLAGS.get(word.lower())
        if known is not None:
            if len(found) > 1:
                line.fail(f"{line.spelled}: {quoted(word)} stands alone")
            return (("enabled", int(known)),)
        spelled, colon, value = word.partition(":")
        name = PENALTIES.get(spelled.lower())
        if not colon or name is None:
            line.fail(f"{line.spelled}: {quoted(word)} is not NAME:VALUE with one of {', '.join(PENALTIES)}")
        parts.append((name, _penalty(name, value, line)))
    return tuple(parts)


def _penalty(name: str, value: str, line: Line) -> int | str:
    if name.startswith("overflow"):
        if value.lower() not in ("permissive", "deny-all"):
            line.fail(f"{line.spelled}: {quoted(value)} is none of permissive, deny-all")
        return value.lower()
    if name.startswith("max_sources"):
        if not 1 <= small_number(value) <= MAX_NUMBER:
            line.fail(f"{line.spelled}: {quoted(value)} is not a number of sources")
        return int(value)
    return seconds_of(value, line)


def penalty_times(parts: PenaltyParts) -> PenaltyTimes | None:
    """Return what lines of PerSourcePenalties say together: of each name the first; None: no penalties."""
    known = dict(reversed(parts))
    if not known.pop("enabled", 1):
        return None
    known.setdefault("overflow6", known.get("overflow4", "permissive"))
    return PenaltyTimes()._replace(**known)  # type: ignore[arg-type]


def addresses(line: Line) -> AddressList | None:
    """Return the addresses of a list with commas; None for "none"."""
    word = line.one()
    if word.lower() == "none":
        return None
    try:
        return AddressList(word)
    except InvalidAddress as error:
        line.fail(f"{line.spelled}: {error}")


# Who may log in, and how.


def user_patterns(line: Line) -> tuple[str, ...]:
    """Return patterns of users, USER or USER@HOST; a host with a / is a network."""
    found = words(line)
    for pattern in found:
        if pattern.startswith("!"):
            line.fail(f"{line.spelled}: {quoted(pattern)}: exceptions with ! are not possible here")
        _, at, host = pattern.rpartition("@")
        if at and "/" in host:
            try:
                AddressList(host)
            except InvalidAddress as error:
                line.fail(f"{line.spelled}: {error}")
    return found


def names_a_host(pattern: str) -> bool:
    """Say whether a pattern of AllowUsers or DenyUsers needs the name of the client's host."""
    _, at, host = pattern.rpartition("@")
    return bool(at) and not all(char in "0123456789abcdefABCDEF:.*?/" for char in host)


def authentication_methods(line: Line) -> tuple[tuple[str, ...], ...]:
    """Return the alternatives, each a chain of methods; empty for "any".

    A method may say by which device, as in ``keyboard-interactive:pam``.
    """
    found = words(line)
    if "any" in found:
        if len(found) > 1:
            line.fail(f'{line.spelled}: "any" stands alone')
        return ()
    chains = tuple(tuple(word.split(",")) for word in found)
    for chain in chains:
        for method in chain:
            if method.partition(":")[0] not in METHODS:
                line.fail(f"{line.spelled}: {quoted(method)} is none of {', '.join(METHODS)}")
    return chains


def key_options(line: Line) -> frozenset[str]:
    """Return the options of PubkeyAuthOptions."""
    found = frozenset(word.lower() for word in line.some()) - {"none"}
    unknown = found - {"touch-required", "verify-required"}
    if unknown:
        line.fail(f"{line.spelled}: {quoted(min(unknown))} is none of none, touch-required, verify-required")
    return found


# Sessions and forwards.


def environment_names(line: Line) -> tuple[str, ...]:
    """Return patterns of names of variables."""
    names = words(line)
    for name in names:
        if "=" in name:
            line.fail(f"{line.spelled}: {quoted(name)} is not the name of a variable")
    return names


def user_environment(line: Line) -> str | None:
    """Return patterns of names with commas between them: "*" for yes, None for no."""
    word = line.one()
    known = FLAGS.get(word.lower())
    return word if known is None else "*" if known else None


def variables(line: Line) -> tuple[tuple[str, str], ...]:
    """Return the variables of ``NAME=value ...``; of a name the first counts."""
    found: dict[str, str] = {}
    for word in line.some():
        name, equals, value = word.partition("=")
        if not equals or not name or "\0" in word:
            line.fail(f"{line.spelled}: {quoted(word)} is not NAME=value")
        found.setdefault(name, value)
    return tuple(found.items())


def subsystem(line: Line) -> tuple[tuple[str, str], ...]:
    """Return the name and the command: as it is if it is one argument, else put together as sshd does."""
    parts = line.some()
    if len(parts) < 2:
        line.fail(f"{line.spelled} {quoted(parts[0])}: no command")
    command = parts[1] if len(parts) == 2 else " ".join(_quoted_word(part) for part in parts[1:])
    return ((parts[0], command),)


def _quoted_word(word: str) -> str:
    """Return a word of a command for a shell, which may still replace variables in it."""
    escaped = "".join(f"\\{char}" if char in "\"'\\" else char for char in word)
    return f'"{escaped}"' if not word or any(char in word for char in " \t\r") else escaped


def permits(line: Line, parse: Callable[[str], Permit]) -> tuple[Permit, ...] | None:
    """Return the permitted addresses: None for "any", none for "none"."""
    texts = line.some()
    if len(texts) == 1 and texts[0].lower() in ("any", "none"):
        return None if texts[0].lower() == "any" else ()
    try:
        return tuple(parse(text) for text in texts)
    except TrustFileError as error:
        line.fail(f"{line.spelled}: {error}")


def permit_open(line: Line) -> tuple[Permit, ...] | None:
    return permits(line, parse_permit_open)


def permit_listen(line: Line) -> tuple[Permit, ...] | None:
    return permits(line, parse_permit_listen)


def octal(line: Line) -> int:
    """Return the only argument as permissions in octal."""
    word = line.one()
    if not word or len(word) > 4 or not all(char in "01234567" for char in word) or int(word, 8) > 0o777:
        line.fail(f"{line.spelled}: {quoted(word)} is not a mask in octal, such as 0177")
    return int(word, 8)


def version_addendum(line: Line) -> str:
    """Return what follows our version in the identification."""
    value = text(line) or ""
    if not (value.isascii() and value.isprintable()) or len(value) > 200:
        line.fail(f"{line.spelled}: only printable ASCII, 200 characters at most")
    return value


# Numbers with bounds.


def auth_tries(line: Line) -> int:
    return number(line, 1)


def display_offset(line: Line) -> int:
    return number(line, 0, 59535)


def rsa_size(line: Line) -> int:
    return number(line, 0, 16384)


def workers(line: Line) -> int:
    return number(line, 0, 1024)
