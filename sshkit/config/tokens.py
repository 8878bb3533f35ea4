"""``%h``, ``%u``, ``${NAME}`` and ``~`` in values of ssh_config (ssh_config(5), TOKENS).

Called by `ssh_config` for Include and by the command for what it uses.  What a token stands for may come
from a command line or a URL, so a value that means something to a shell or a path is refused (R11, R39).
"""

import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from sshkit_keys.text import printable, quoted

from .parser import ConfigError, Place

if TYPE_CHECKING:
    from .client_options import ClientOptions

_UNSAFE = frozenset("'`\"$\\;&<>|(){}*?!/ ")
#: Tokens of which whoever calls the command is the master: his own directory, name of the machine, number.
_OWN = "dlLi%"


class Facts(NamedTuple):
    """What is true of the user and machine on this side; handed in, so that nothing is looked up here."""

    home: str
    user: str
    uid: int
    host: str  #: the machine's name, perhaps with its domain
    environment: Mapping[str, str]
    command: str = ""  #: what the command line wants to run there
    version: str = ""  #: of this program, as Match version sees it
    run_command: Callable[[str], bool] | None = None  #: for Match exec; None: refused
    local_addresses: Callable[[], Iterable[str]] | None = None  #: of this machine, for Match localnetwork
    #: From a name and the options so far to its canonical form, or None (CanonicalizeHostname).
    canonicalize: "Callable[[str, ClientOptions], str | None] | None" = None


class Tokens:
    """What each letter stands for in one connection."""

    __slots__ = ("_values", "facts")

    def __init__(
        self, facts: Facts, original: str, hostname: str, port: int, user: str, alias: str, jump: str = ""
    ) -> None:
        self.facts = facts
        self._values: dict[str, str] = {
            "%": "%",
            "d": facts.home,
            "h": hostname,
            "i": str(facts.uid),
            "j": jump,
            "k": alias or original,
            "L": facts.host.partition(".")[0],
            "l": facts.host,
            "n": original,
            "p": str(port),
            "r": user,
            "u": facts.user,
        }

    def expand(self, text: str, place: Place, allowed: str = "%CdhijkLlnpru") -> str:
        """Return `text` with its tokens replaced; ConfigError for one that is unknown, or unsafe there."""
        return _replace(text, place, lambda letter: self._value(letter, place, allowed))

    def expand_path(self, text: str, place: Place) -> str:
        """Return a file's name: ``~``, ``${NAME}`` and tokens replaced."""
        text = expand_environment(text, self.facts.environment, place)
        return self.expand(expand_home(text, self.facts.home), place)

    def _value(self, letter: str, place: Place, allowed: str) -> str:
        if letter not in allowed:
            raise ConfigError(f"unknown token %{printable(letter)}", place)
        if letter == "C":
            return self._hash()
        value = self._values[letter]
        if letter not in _OWN and (value.startswith("-") or _UNSAFE.intersection(value)):
            raise ConfigError(f"%{letter} is {quoted(value)}, which is not safe to insert", place)
        return value

    def _hash(self) -> str:
        """Return %C: a name for the connection that is safe in a path."""
        from hashlib import sha1

        text = "".join(self._values[letter] for letter in "lhprj")
        return sha1(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()


def _replace(text: str, place: Place, value: Callable[[str], str]) -> str:
    if "%" not in text:
        return text
    parts: list[str] = []
    position = 0
    while (at := text.find("%", position)) >= 0:
        parts.append(text[position:at])
        letter = text[at + 1 : at + 2]
        if not letter:
            raise ConfigError("a % without a letter at the end; write %% for one", place)
        parts.append(value(letter))
        position = at + 2
    return "".join(parts) + text[position:]


def expand_environment(text: str, environment: Mapping[str, str], place: Place) -> str:
    """Return `text` with each ``${NAME}`` replaced; ConfigError for a variable that is not set."""
    parts: list[str] = []
    position = 0
    while (at := text.find("${", position)) >= 0:
        end = text.find("}", at)
        if end < 0:
            raise ConfigError("'${' without its '}'", place)
        name = text[at + 2 : end]
        if name not in environment:
            raise ConfigError(f"the environment variable {quoted(name)} is not set", place)
        parts += (text[position:at], environment[name])
        position = end + 1
    return "".join(parts) + text[position:]


def expand_home(path: str, home: str) -> str:
    """Return a file's name with ``~`` or ``~user`` in front replaced."""
    if path == "~":
        return f"{home}/"
    if path.startswith("~/"):
        return home + path[1:]
    return os.path.expanduser(path) if path.startswith("~") else path
