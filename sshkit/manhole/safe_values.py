"""Which values the expressions of read-only keys may compute with, and how large they may become.

Used by `expressions` and `safe_calls`.  A plain value is made of exactly builtin types all through, so that
comparing, hashing and printing it runs no code of the program.
"""

import datetime
from typing import Any, Final

from .access import NotAllowed

#: Items or characters of what an expression makes, or walks.
LONGEST: Final = 100_000

#: Bits of a number that an expression makes.
MOST_BITS: Final = 10_000

#: Values that are looked at to find out whether a container is plain.
MOST_LOOKED_AT: Final = 100_000

#: Points and spans of time.
TIMES: Final[tuple[type, ...]] = (datetime.datetime, datetime.date, datetime.time, datetime.timedelta)
SCALARS: Final[frozenset[type]] = frozenset(
    {
        *(int, float, complex, bool, str, bytes, type(None), type(Ellipsis)),
        *(range, *TIMES),
    }
)
VIEWS: Final[tuple[type, ...]] = (type({}.keys()), type({}.values()), type({}.items()))
_SEQUENCES: Final = frozenset({list, tuple, set, frozenset, *VIEWS})
#: Containers of exactly a builtin type: they can be walked without running code.
ITERABLE: Final = frozenset({dict, str, bytes, bytearray, range, *_SEQUENCES})


def plain(value: Any) -> bool:
    """True if `value` is made of builtin types all through, as far as the bound lets one look."""
    waiting = [value]
    looked = 0
    while waiting:
        looked += 1
        if looked > MOST_LOOKED_AT:
            return False
        one = waiting.pop()
        kind = type(one)
        if kind in SCALARS:
            zone = one.tzinfo if kind in (datetime.datetime, datetime.time) else None
            # A time zone may be a class of the program; the one of the standard library is not.
            if zone is not None and type(zone) is not datetime.timezone:
                return False
        elif kind is dict:
            if len(one) > MOST_LOOKED_AT:
                return False
            waiting += one.keys()
            waiting += one.values()
        elif kind in _SEQUENCES:
            if len(one) > MOST_LOOKED_AT:
                return False
            waiting += one
        else:
            return False
    return True


def require_plain(value: Any, what: str) -> None:
    """Refuse what is not plain."""
    if not plain(value):
        raise NotAllowed(f"{what} is allowed for values of builtin types only: others run code of their own")


def plain_key(mapping: dict[Any, Any], key: Any) -> None:
    """Refuse a look-up that would run code: that of the key, or of keys that are there."""
    require_plain(key, "a subscript")
    if len(mapping) > LONGEST * 10:
        raise NotAllowed(
            f"a look-up among {len(mapping)} keys is not allowed: not all of them can be checked"
        )
    scalars = SCALARS
    for there in tuple(mapping):
        if type(there) not in scalars and not plain(there):
            raise NotAllowed("a look-up in a dict with keys of other than builtin types is not allowed")


def check_size(size: int) -> None:
    """Refuse what gets too long."""
    if size > LONGEST:
        raise NotAllowed(f"a value of more than {LONGEST} items or characters is not allowed")


def check_number(sign: str, left: Any, right: Any) -> None:
    """Refuse an operation whose result has too many bits."""
    if type(left) in (float, complex) or type(right) in (float, complex):
        return
    bits_left, bits_right = int(left).bit_length(), int(right).bit_length()
    if sign == "**":
        bits = bits_left * max(int(right), 1) if bits_right <= 32 else MOST_BITS + 1
        if abs(int(left)) <= 1:
            bits = 1
        if int(right) < 0 and bits_right > 32:
            bits = 1
    elif sign == "<<":
        bits = bits_left + int(right) if bits_right <= 32 else MOST_BITS + 1
    elif sign == "*":
        bits = bits_left + bits_right
    else:
        bits = max(bits_left, bits_right)
    if bits > MOST_BITS:
        raise NotAllowed(f"a number of more than {MOST_BITS} bits is not allowed")
