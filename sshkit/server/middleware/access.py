"""`access`: who may open which session, by rules of which the first that fits decides.

``access(deny(addresses=["203.0.113.0/24"]), allow(users=["ann", "ops-*"], hours=["mon-fri 08:00-18:00"]))``.
What no rule fits is refused.  Called when a program starts; a rule without sense is a ValueError there.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit_keys.host_patterns import matches_glob

from sshkit.deferred import maybe_deferred
from sshkit.server.middleware.chain import Middleware, call, fingerprint_of, refuse

if TYPE_CHECKING:
    from ipaddress import IPv4Network, IPv6Network

    from sshkit.server.handler import Handler, Session

    Network = IPv4Network | IPv6Network

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60  #: minutes
#: The day of the week (Monday is 0) and the minute of the day.
Now = Callable[[], tuple[int, int]]
Groups = Callable[[str], "Iterable[str] | Awaitable[Iterable[str]]"]


class Hours(NamedTuple):
    """A time of the week; an end before its begin is on the next day."""

    days: frozenset[int]
    begin: int
    end: int

    def holds(self, day: int, minute: int) -> bool:
        """Tell whether it is that time."""
        if self.begin <= self.end:
            return day in self.days and self.begin <= minute < self.end
        return (day in self.days and minute >= self.begin) or (
            (day - 1) % 7 in self.days and minute < self.end
        )


class AccessRule(NamedTuple):
    """What all has to be so for the rule to fit; what is empty is not asked."""

    allow: bool
    users: tuple[str, ...] = ()  #: patterns with * and ?
    groups: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()  #: fingerprints, "SHA256:..."
    addresses: "tuple[Network, ...]" = ()
    hours: tuple[Hours, ...] = ()

    def fits(self, session: "Session", groups: Iterable[str], now: Now) -> bool:
        """Tell whether the rule is about this session."""
        if self.users and not any(matches_glob(pattern, session.user) for pattern in self.users):
            return False
        if self.groups and not set(self.groups) & set(groups):
            return False
        if self.keys and fingerprint_of(session) not in self.keys:
            return False
        if self.addresses and not _within(session.connection.source, self.addresses):
            return False
        return not self.hours or any(hours.holds(*now()) for hours in self.hours)


def allow(
    *,
    users: Sequence[str] = (),
    groups: Sequence[str] = (),
    keys: Sequence[str] = (),
    addresses: Sequence[str] = (),
    hours: Sequence[str] = (),
) -> AccessRule:
    """Return a rule that lets in.

    `hours` are like "mon-fri 08:00-18:00", "sat,sun 10:00-12:00" or "22:00-06:00", in local time.
    """
    return _rule(True, users, groups, keys, addresses, hours)


def deny(
    *,
    users: Sequence[str] = (),
    groups: Sequence[str] = (),
    keys: Sequence[str] = (),
    addresses: Sequence[str] = (),
    hours: Sequence[str] = (),
) -> AccessRule:
    """Return a rule that keeps out; as `allow`."""
    return _rule(False, users, groups, keys, addresses, hours)


def access(
    *rules: AccessRule, groups: Groups | None = None, message: str = "access denied", now: Now | None = None
) -> Middleware:
    """Let through what the first fitting rule allows; the client is told `message`, the log the reason.

    `groups(user)` returns the user's groups, at once or later; an exception in it is a refusal.
    """
    if groups is None and any(rule.groups for rule in rules):
        raise ValueError("a rule asks for groups: give access(..., groups=function)")

    def middleware(handler: "Handler") -> "Handler":
        async def checked(session: "Session") -> int | None:
            try:
                found: Any = () if groups is None else await maybe_deferred(groups, session.user)
                member = tuple(found)
            except Exception as error:
                session.connection.log_error("the groups of a user cannot be found", error)
                return refuse(session, message, "its groups are unknown")
            for number, rule in enumerate(rules, 1):
                if rule.fits(session, member, now or local_now):
                    if rule.allow:
                        return await call(handler, session)
                    return refuse(session, message, f"rule {number} of access denies it")
            return refuse(session, message, "no rule of access allows it")

        return checked

    return middleware


def local_now() -> tuple[int, int]:
    """Return day and minute of the local time."""
    from time import localtime

    now = localtime()
    return now.tm_wday, now.tm_hour * 60 + now.tm_min


def _rule(
    allowed: bool,
    users: Sequence[str],
    groups: Sequence[str],
    keys: Sequence[str],
    addresses: Sequence[str],
    hours: Sequence[str],
) -> AccessRule:
    for name, words in {"users": users, "groups": groups, "keys": keys, "addresses": addresses}.items():
        if isinstance(words, str):  # each letter would be a pattern
            raise ValueError(f"{name}={words!r}: give a list")
    for key in keys:
        if not key.startswith("SHA256:"):
            raise ValueError(f"{key!r}: not a fingerprint SHA256:...")
    from ipaddress import ip_network

    networks = tuple(ip_network(address, strict=False) for address in addresses)
    times = tuple(_hours(text) for text in hours)
    return AccessRule(allowed, tuple(users), tuple(groups), tuple(keys), networks, times)


def _within(source: str, networks: "tuple[Network, ...]") -> bool:
    from ipaddress import IPv6Address, ip_address

    try:
        address = ip_address(source.partition("%")[0])
    except ValueError:  # no address: a UNIX socket
        return False
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return any(address in network for network in networks)


def _hours(text: str) -> Hours:
    days, _, span = text.strip().lower().rpartition(" ")
    begin, dash, end = span.partition("-")
    if not dash:
        raise ValueError(f"{text!r}: not like 'mon-fri 08:00-18:00'")
    found: set[int] = set()
    for part in days.split(",") if days else ["mon-sun"]:
        first, _, last = part.strip().partition("-")
        if first not in DAYS or (last or first) not in DAYS:
            raise ValueError(f"{text!r}: days are {' '.join(DAYS)}")
        start, stop = DAYS.index(first), DAYS.index(last or first)
        found.update(day % 7 for day in range(start, stop + 1 if stop >= start else stop + 8))
    return Hours(frozenset(found), _minutes(begin, text), _minutes(end, text))


def _minutes(word: str, text: str) -> int:
    hour, colon, minute = word.partition(":")
    if not (colon and hour.isascii() and hour.isdigit() and minute.isascii() and minute.isdigit()):
        raise ValueError(f"{text!r}: times are like 08:00")
    total = int(hour) * 60 + int(minute)
    if int(minute) > 59 or total > DAY:
        raise ValueError(f"{text!r}: there is no such time of a day")
    return total
