"""Match blocks of sshd_config: their criteria, read once, and what they say of a connection (sshd_config(5)).

Called by `sshd_config`, which reads blocks, and by `ServerOptions.for_connection`.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from sshkit_keys.text import quoted

from .parser import Line, Setting
from .patterns import match_list
from .sshd_addresses import Address, AddressList, InvalidAddress, parse_address, small_number

ALL: Final = "all"
INVALID_USER: Final = "invalid-user"
#: Criteria with an argument.
CRITERIA = ("user", "group", "host", "address", "localaddress", "localport", "rdomain", "version")


class MatchFacts(NamedTuple):
    """What is true of one connection.  None: not known, so that no criterion about it holds."""

    user: str | None = None
    host: str | None = None  #: the client's name, or its address where names are not looked up
    address: str | None = None
    local_address: str | None = None
    local_port: int | None = None
    rdomain: str | None = None
    #: Names of the user's groups, or what returns them: called once, and only if a Match Group is reached.
    groups: Sequence[str] | Callable[[], Sequence[str]] = ()
    invalid_user: bool = False  #: there is no such user
    version: str = ""  #: of this program, such as "sshkit_1.0"


#: A criterion with its argument: patterns, a list of addresses or a port.
Criterion = tuple[str, str | AddressList | int]


class Block:
    """The lines of one block, or of one file that is included in it."""

    __slots__ = ("_names", "criteria", "settings")

    def __init__(self, criteria: tuple[Criterion, ...]) -> None:
        self.criteria = criteria  #: all of them must hold, those of an enclosing block too
        self.settings: list[tuple[str, Setting[Any], bool]] = []  #: (attribute, value, whether it adds)
        self._names: set[str] = set()

    def store(self, name: str, setting: Setting[Any], adds: bool) -> None:
        """Keep a value, unless the block has one that counts."""
        if adds or name not in self._names:
            self._names.add(name)
            self.settings.append((name, setting, adds))


class Evaluation:
    """The facts of one connection, with addresses parsed and groups asked for when they are needed."""

    __slots__ = ("_addresses", "_groups", "facts")

    def __init__(self, facts: MatchFacts) -> None:
        self.facts = facts
        self._groups: Sequence[str] | None = None
        self._addresses: dict[str, Address | None] = {}

    def matches(self, block: Block) -> bool:
        """Say whether all criteria of a block hold."""
        return all(self._holds(kind, wanted) for kind, wanted in block.criteria)

    def _holds(self, kind: str, wanted: Any) -> bool:
        facts = self.facts
        if kind == ALL:
            return True
        if kind == INVALID_USER:
            return bool(facts.invalid_user)
        if kind == "group":
            return any(match_list(group, wanted) for group in self._user_groups())
        if kind == "localport":
            return bool(facts.local_port == wanted)
        if kind == "address":
            return self._within(facts.address, wanted)
        if kind == "localaddress":
            return self._within(facts.local_address, wanted)
        if kind == "version":
            return bool(match_list(facts.version, wanted))
        name = {"user": facts.user, "host": facts.host, "rdomain": facts.rdomain}[kind]
        return name is not None and bool(match_list(name, wanted, fold=kind == "host"))

    def _user_groups(self) -> Sequence[str]:
        if self._groups is None:
            groups = self.facts.groups
            self._groups = groups() if callable(groups) else groups
        return self._groups

    def _within(self, text: str | None, wanted: AddressList) -> bool:
        if text is None:
            return False
        if text not in self._addresses:
            self._addresses[text] = parse_address(text)
        return wanted.matches(text, self._addresses[text])


def parse_criteria(line: Line) -> tuple[Criterion, ...]:
    """Return the criteria of a Match line; ConfigError for one that does not exist or makes no sense."""
    words = line.some()
    criteria: list[Criterion] = []
    index = 0
    while index < len(words):
        spelled, equals, argument = words[index].partition("=")
        kind = spelled.lower()
        index += 1
        if kind == ALL:
            if len(words) > 1 or equals:
                line.fail('Match: "all" stands alone')
            criteria.append((ALL, ""))
            continue
        if kind == INVALID_USER:
            if equals:
                line.fail(f"Match: {quoted(spelled)} has no argument")
            criteria.append((INVALID_USER, ""))
            continue
        if kind not in CRITERIA:
            known = ", ".join((ALL, INVALID_USER, *CRITERIA))
            line.fail(f"Match: unknown criterion {quoted(spelled)}; known: {known}")
        if not equals and index < len(words):
            argument = words[index]
            index += 1
        if not argument:
            line.fail(f"Match: {quoted(spelled)} without an argument")
        criteria.append((kind, _argument(kind, argument, line)))
    return tuple(criteria)


def _argument(kind: str, text: str, line: Line) -> str | AddressList | int:
    if kind in ("address", "localaddress"):
        try:
            return AddressList(text)
        except InvalidAddress as error:
            line.fail(f"Match {kind}: {error}")
    if kind == "localport":
        if not 0 <= small_number(text) <= 65535:
            line.fail(f"Match {kind}: {quoted(text)} is not a port")
        return int(text)
    return text
