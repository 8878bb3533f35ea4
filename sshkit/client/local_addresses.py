"""Addresses of this machine's network interfaces, by the C library's getifaddrs(3).

Called for BindInterface and ``Match localnetwork`` of ssh_config; the standard library knows names of
interfaces only.
"""

import socket
import sys
from typing import Any, NamedTuple


class LocalAddress(NamedTuple):
    """One address of one interface."""

    interface: str
    family: int
    address: str


def local_addresses() -> list[LocalAddress]:
    """Return all IPv4 and IPv6 addresses, in the kernel's order.  Raises OSError."""
    import ctypes

    class Entry(ctypes.Structure):
        pass

    Entry._fields_ = [
        ("next", ctypes.POINTER(Entry)),
        ("name", ctypes.c_char_p),
        ("flags", ctypes.c_uint),
        ("address", ctypes.c_void_p),
    ]
    library = ctypes.CDLL(None, use_errno=True)
    library.freeifaddrs.argtypes = [ctypes.POINTER(Entry)]
    first = ctypes.POINTER(Entry)()
    if library.getifaddrs(ctypes.byref(first)):
        number = ctypes.get_errno()
        raise OSError(number, f"cannot list the network interfaces: error {number}")
    try:
        found: list[LocalAddress] = []
        entry: Any = first
        while entry:
            content = entry.contents
            if content.address:
                name = content.name.decode("ascii", "replace")
                address = _address(content.address)
                if address is not None:
                    found.append(LocalAddress(name, *address))
            entry = content.next
        return found
    finally:
        library.freeifaddrs(first)


def _address(place: int) -> tuple[int, str] | None:
    """Return family and address of the C structure at `place`; None for one that is no IP address."""
    import ctypes

    if sys.platform == "linux":
        family = ctypes.c_ushort.from_address(place).value
    else:  # the BSDs have a byte of length in front of a byte of family
        family = ctypes.c_ubyte.from_address(place + 1).value
    if family == socket.AF_INET:
        return family, socket.inet_ntop(family, ctypes.string_at(place + 4, 4))
    if family == socket.AF_INET6:
        return family, socket.inet_ntop(family, ctypes.string_at(place + 8, 16))
    return None
