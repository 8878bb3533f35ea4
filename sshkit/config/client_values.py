"""Readers of values of ssh_config that are more than a word, a number or a flag.

Called by `client_keywords`, which says which keyword has which.  Each takes the line, for the error's place.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

from sshkit_keys.text import quoted

from .forwards import Endpoint
from .parser import Line
from .service_classes import SERVICE_CLASSES
from .values import FLAGS, choice, number, seconds_of

Checking = Literal["strict", "ask", "accept-new", "off"]
Terminal = Literal["no", "yes", "force", "auto"]
PublicKeys = Literal["no", "yes", "unbound", "host-bound"]

_METHODS = ("publickey", "keyboard-interactive", "password", "none", "hostbased", "gssapi-with-mic")
FACILITIES = ("daemon", "user", "auth", "authpriv", *(f"local{number}" for number in range(8)))
#: Milliseconds between two packets of somebody's typing where nothing else is said (OpenSSH's too).
KEYSTROKE_INTERVAL = 20


class AgentAdding(NamedTuple):
    """What becomes of a key that was read from a file (AddKeysToAgent)."""

    when: str = "no"  #: "no", "yes" or "ask"
    confirm: bool = False
    lifetime: int | None = None  #: seconds

    def __str__(self) -> str:
        words = ["confirm"] if self.confirm else []
        if self.lifetime is not None:
            words.append(str(self.lifetime))
        return " ".join(words) or self.when


# Words.


def text(line: Line) -> str:
    return line.one()


def optional(line: Line) -> str | None:
    word = line.one()
    return None if word.lower() == "none" else word


def words(line: Line) -> tuple[str, ...]:
    words = line.some()
    if "none" in (word.lower() for word in words):
        if len(words) > 1:
            line.fail(f'{line.spelled}: "none" stands alone')
        return ()
    return tuple(words)


def rest_of_line(line: Line) -> str | None:
    """Return a command: everything up to the end of the line, quotes and all."""
    text = line.rest.strip()
    if not text:
        line.fail(f"missing argument for {line.spelled}")
    return None if text.lower() == "none" else text


def one_of(*choices: str) -> Callable[[Line], str]:
    """Return what reads one of `choices`, with true and false for yes and no."""
    table = {name: name for name in choices}
    for spelled, name in (("true", "yes"), ("false", "no")):
        if name in table:
            table[spelled] = name

    def read(line: Line) -> str:
        return choice(line, table)

    return read


def port(line: Line) -> int:
    return number(line, 1, 65535)


def attempts(line: Line) -> int:
    return number(line, 1)


def mask(line: Line) -> int:
    word = line.one()
    if not word or len(word) > 4 or word.strip("01234567"):
        line.fail(f"{line.spelled}: {quoted(word)} is not an octal number up to 0777")
    return int(word, 8) & 0o777


# Login and trust.


def host_key_checking(line: Line) -> Checking:
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


def public_keys(line: Line) -> PublicKeys:
    choices: dict[str, PublicKeys] = {
        "yes": "yes",
        "no": "no",
        "unbound": "unbound",
        "host-bound": "host-bound",
        "true": "yes",
        "false": "no",
    }
    return choice(line, choices)


def methods(line: Line) -> tuple[str, ...]:
    names = tuple(name for name in line.one().split(",") if name)
    for name in names:
        if name not in _METHODS:
            line.fail(f"{line.spelled}: unknown method {quoted(name)}; known: {', '.join(_METHODS)}")
    return names


def agent_adding(line: Line) -> AgentAdding:
    """Return ``yes|no|ask|confirm [TIME]|TIME``."""
    words = line.some()
    first = words[0].lower()
    if first == "confirm" and len(words) == 2:
        return AgentAdding("yes", True, seconds_of(words[1], line))
    if len(words) > 1:
        line.fail(f"more than one argument for {line.spelled}")
    if first in FLAGS:
        return AgentAdding("yes" if FLAGS[first] else "no")
    if first == "ask":
        return AgentAdding("ask")
    if first == "confirm":
        return AgentAdding("yes", True)
    return AgentAdding("yes", False, seconds_of(words[0], line))


def forward_agent(line: Line) -> str | None:
    word = line.one()
    known = FLAGS.get(word.lower())
    return word if known is None else "yes" if known else None


def permitted_cnames(line: Line) -> tuple[tuple[str, str], ...]:
    rules: list[tuple[str, str]] = []
    for word in words(line):
        source, colon, target = word.partition(":")
        if not colon or not source or not target or ":" in target:
            line.fail(f"{line.spelled}: {quoted(word)} is not NAMES:NAMES")
        rules.append((source.lower(), target.lower()))
    return tuple(rules)


def domains(line: Line) -> tuple[str, ...]:
    domains = words(line)
    for domain in domains:
        if not domain.strip(".") or any(char in domain for char in "*?!/:@ "):
            line.fail(f"{line.spelled}: {quoted(domain)} is not a domain")
    return tuple(domain.strip(".").lower() for domain in domains)


def canonicalize(line: Line) -> str:
    return choice(line, {"yes": "yes", "no": "no", "true": "yes", "false": "no", "always": "always"})


def weak_crypto(line: Line) -> bool:
    """Return whether to warn; names of single warnings may stand in place of yes."""
    return choice(line, {**FLAGS, "no-pq-kex": True})


# The session.


def escape_char(line: Line) -> int | None:
    """Return a character's number: one character, ``^`` and a letter, or ``none``."""
    word = line.one()
    if word.lower() == "none":
        return None
    if len(word) == 2 and word[0] == "^" and 64 <= ord(word[1].upper()) < 128:
        return ord(word[1].upper()) & 31
    if len(word) != 1 or ord(word) > 127:
        line.fail(f'{line.spelled}: {quoted(word)} is not a character, "^" with a letter, or "none"')
    return ord(word)


def keystrokes(line: Line) -> int:
    """Return milliseconds: ``yes``, ``no`` or ``interval:N``."""
    word = line.one()
    known = FLAGS.get(word.lower())
    if known is not None:
        return KEYSTROKE_INTERVAL if known else 0
    name, _, interval = word.partition(":")
    if name.lower() != "interval" or not interval.isdecimal() or not 1 <= int(interval) <= 1000:
        line.fail(f"{line.spelled}: {quoted(word)} is not yes, no, or interval:MILLISECONDS (1 to 1000)")
    return int(interval)


def channel_timeouts(line: Line) -> tuple[tuple[str, int], ...]:
    limits: list[tuple[str, int]] = []
    for word in words(line):
        kind, equals, text = word.partition("=")
        if not equals or not kind:
            line.fail(f"{line.spelled}: {quoted(word)} is not KIND=TIME")
        limits.append((kind, seconds_of(text, line)))
    return tuple(limits)


def set_env(line: Line) -> tuple[str, ...]:
    names: dict[str, str] = {}
    for word in line.some():
        name, equals, _ = word.partition("=")
        if not equals or not name or "\0" in word:
            line.fail(f"{line.spelled}: {quoted(word)} is not NAME=VALUE")
        names.setdefault(name, word)
    return tuple(names.values())


# The way there.


def ip_qos(line: Line) -> tuple[int | None, int | None]:
    """Return the classes for sessions and for the rest; one word is both."""
    classes: list[int | None] = []
    for word in line.some():
        if word.lower() in SERVICE_CLASSES:
            classes.append(SERVICE_CLASSES[word.lower()])
        else:
            try:
                classes.append(int(word, 0))
            except ValueError:
                classes.append(-1)
            if not 0 <= (classes[-1] or 0) <= 255:
                line.fail(f"{line.spelled}: {quoted(word)} is no class of service, such as ef, af21 or none")
    if len(classes) > 2:
        line.fail(f"more than two arguments for {line.spelled}")
    return classes[0], classes[-1]


def persist(line: Line) -> int | None:
    word = line.one()
    known = FLAGS.get(word.lower())
    if known is not None:
        return 0 if known else None
    return seconds_of(word, line)


def proxy_jump(line: Line) -> tuple[str, ...]:
    text = rest_of_line(line)
    if text is None:
        return ()
    hops = tuple(hop.strip() for hop in text.strip('"').split(","))
    for hop in hops:
        if not hop or any(char in hop for char in " \t'\"`$"):
            line.fail(f"{line.spelled}: {quoted(hop)} is not [user@]host[:port]")
    return hops


def tunnel_device(line: Line) -> tuple[int | None, int | None]:
    """Return the numbers of the devices here and there; None: any."""
    word = line.one()
    numbers: list[int | None] = []
    for part in word.lower().split(":"):
        if part != "any" and (not part.isdecimal() or int(part) > 0x7FFFFFFB):
            line.fail(f"{line.spelled}: {quoted(word)} is not LOCAL[:REMOTE], with numbers or any")
        numbers.append(None if part == "any" else int(part))
    if len(numbers) > 2:
        line.fail(f"{line.spelled}: {quoted(word)} is not LOCAL[:REMOTE], with numbers or any")
    return numbers[0], numbers[1] if len(numbers) > 1 else None


def permit_remote_open(line: Line) -> tuple[Endpoint, ...] | None:
    """Return where connections of a remote dynamic forward may go; port 0 is any; None: anywhere."""
    words = line.some()
    if len(words) == 1 and words[0].lower() in ("any", "none"):
        return None if words[0].lower() == "any" else ()
    places: list[Endpoint] = []
    for word in words:
        host, colon, port = word.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        wild = port == "*"
        if not colon or not host or not (wild or (port.isdecimal() and 1 <= int(port) <= 65535)):
            line.fail(f"{line.spelled}: {quoted(word)} is not host:port")
        places.append(Endpoint(host, 0 if wild else int(port)))
    return tuple(places)
