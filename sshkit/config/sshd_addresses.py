"""Lists of addresses and networks: ``192.0.2.0/24,!192.0.2.7,2001:db8::/32,10.*`` (sshd_config(5), Match).

Called by the readers of sshd_config: Match Address, PerSourcePenaltyExemptList, AllowUsers.  A network
whose host bits are not zero is an error, as it is for sshd: whoever wrote it meant something else.
"""

from sshkit_keys.errors import SSHKitError
from sshkit_keys.host_patterns import matches_glob
from sshkit_keys.text import quoted

#: (negated, IP version or 0 for a pattern, network's number, prefix length, pattern)
_Part = tuple[bool, int, int, int, str]
#: An address as (IP version, number, number of bits).
Address = tuple[int, int, int]


class InvalidAddress(SSHKitError):
    """A list of addresses that cannot be understood."""


class AddressList:
    """A list, taken apart once."""

    __slots__ = ("_parts", "text")

    def __init__(self, text: str) -> None:
        """Read the list; raises InvalidAddress."""
        self.text = text
        self._parts: tuple[_Part, ...] = tuple(_parse(word) for word in text.split(","))

    def matches(self, text: str, address: Address | None) -> bool:
        """Say whether an address is in the list; one with ``!`` overrules all others.

        `text` is what patterns are compared with, and `address` what `parse_address` made of it.
        """
        found = False
        for negated, version, network, length, pattern in self._parts:
            if version:
                holds = (
                    address is not None
                    and address[0] == version
                    and address[1] >> (address[2] - length) == network
                )
            else:
                holds = matches_glob(pattern, text.lower())
            if holds and negated:
                return False
            found = found or holds
        return found

    def holds(self, text: str) -> bool:
        """Say whether the address that `text` writes is in the list."""
        return self.matches(text, parse_address(text))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AddressList) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<AddressList {self.text}>"


def parse_address(text: str) -> Address | None:
    """Return version, number and bits of an address; None for what is none, such as a socket's name.

    An IPv4 address within IPv6 counts as IPv4, and a zone (``%eth0``) is left out.
    """
    from ipaddress import IPv6Address, ip_address

    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address.version, int(address), address.max_prefixlen


def small_number(text: str) -> int:
    """Return a number of at most ten digits, -1 for anything else."""
    return int(text) if len(text) <= 10 and text.isascii() and text.isdecimal() else -1


def _parse(word: str) -> _Part:
    negated = word.startswith("!")
    pattern = word[negated:].lower()
    if not pattern:
        raise InvalidAddress(f"an empty entry in a list of addresses: {quoted(word)}")
    base, slash, length_text = pattern.partition("/")
    address = parse_address(base)
    if not slash:
        if address is None:
            return negated, 0, 0, 0, pattern
        return negated, address[0], address[1], address[2], pattern
    if address is None or "%" in base:
        raise InvalidAddress(f"{quoted(word)} is not a network such as 192.0.2.0/24")
    version, number, bits = address
    length = small_number(length_text)
    if ":" in base and version == 4:
        length -= 96  # ::ffff:192.0.2.0/120 is 192.0.2.0/24
    if not 0 <= length <= bits:
        raise InvalidAddress(f"{quoted(word)}: the length is not from 0 to {bits}")
    shift = bits - length
    if number >> shift << shift != number:
        raise InvalidAddress(f"{quoted(word)}: bits behind the network's length are not zero")
    return negated, version, number >> shift, length, pattern
