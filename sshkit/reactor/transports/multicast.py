"""Groups of UDP sockets: joining, leaving, and how datagrams to a group are sent.

Called by `UdpTransport`.  Sources: RFC 3678 for the calls, ip(7) and ipv6(7) for Linux's numbers.  A socket
receives only what is sent to groups that it has joined itself, not what another socket at its port asked for.
"""

import socket
import sys
from struct import pack
from typing import Any, NoReturn

from ..errors import MulticastError
from ..text import shown, shown_error

_LINUX = sys.platform == "linux"

#: Linux's numbers, which Python's socket module does not know.
_MCAST_JOIN_SOURCE_GROUP = 46
_MCAST_LEAVE_SOURCE_GROUP = 47
_IP_MULTICAST_ALL = 49
_IPV6_MULTICAST_ALL = 29
_SIOCGIFADDR = 0x8915

#: Bytes of struct sockaddr_storage, and of an interface's name in struct ifreq.
_STORAGE = 128
_NAME_SIZE = 16


def change_membership(
    sock: socket.socket, group: str, interface: str | int | None, source: str | None, *, join: bool
) -> None:
    """Join or leave `group`; raises MulticastError, which names the group, the interface and the cause."""
    family = sock.family
    what = f"{'join' if join else 'leave'} the group {shown(group)}"
    if source is not None:
        what += f" of {shown(source)}"
    address = packed_group(family, group, what)
    index = interface_index(family, interface, what)
    level = socket.IPPROTO_IPV6 if family == socket.AF_INET6 else socket.IPPROTO_IP
    value: bytes
    if source is not None:
        if not _LINUX:
            raise MulticastError(f"cannot {what}: groups of one source are supported on Linux only")
        option = _MCAST_JOIN_SOURCE_GROUP if join else _MCAST_LEAVE_SOURCE_GROUP
        sender = packed_address(family, source, what)
        value = pack("@I4x", index) + _storage(family, address) + _storage(family, sender)
    elif family == socket.AF_INET6:
        option = socket.IPV6_JOIN_GROUP if join else socket.IPV6_LEAVE_GROUP
        value = address + pack("@I", index)
    else:
        option = socket.IP_ADD_MEMBERSHIP if join else socket.IP_DROP_MEMBERSHIP
        value = address + pack("@4si", bytes(4), index)
    try:
        if join:
            _only_own_groups(sock, level)
        sock.setsockopt(level, option, value)
    except OSError as error:
        place = "" if interface is None else f" on {shown(str(interface))}"
        raise MulticastError(f"cannot {what}{place}: {shown_error(error)}") from error


def _only_own_groups(sock: socket.socket, level: int) -> None:
    if _LINUX:
        sock.setsockopt(level, _IPV6_MULTICAST_ALL if level == socket.IPPROTO_IPV6 else _IP_MULTICAST_ALL, 0)


def set_sending(
    sock: socket.socket, hops: int | None, loopback: bool | None, interface: str | int | None
) -> None:
    """Set what is not None; raises MulticastError."""
    six = sock.family == socket.AF_INET6
    level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP
    try:
        if hops is not None:
            if not 0 <= hops <= 255:
                raise MulticastError(f"cannot send to groups over {hops} hops: 0 to 255 are possible")
            sock.setsockopt(level, socket.IPV6_MULTICAST_HOPS if six else socket.IP_MULTICAST_TTL, hops)
        if loopback is not None:
            sock.setsockopt(
                level, socket.IPV6_MULTICAST_LOOP if six else socket.IP_MULTICAST_LOOP, int(loopback)
            )
        if interface is not None:
            index = interface_index(sock.family, interface, "send to groups")
            if six:
                sock.setsockopt(level, socket.IPV6_MULTICAST_IF, index)
            else:
                sock.setsockopt(level, socket.IP_MULTICAST_IF, pack("@4s4si", bytes(4), bytes(4), index))
    except OSError as error:
        if isinstance(error, MulticastError):
            raise
        raise MulticastError(f"cannot send to groups so: {shown_error(error)}") from error


def packed_address(family: int, text: str, what: str) -> bytes:
    """Return the bytes of a numeric address."""
    try:
        return socket.inet_pton(family, text)
    except (OSError, ValueError):
        kind = "IPv6" if family == socket.AF_INET6 else "IPv4"
        raise MulticastError(f"cannot {what}: {shown(text)} is not an {kind} address") from None


def packed_group(family: int, text: str, what: str) -> bytes:
    """Return the bytes of a group's address."""
    address = packed_address(family, text, what)
    if not (address[0] == 0xFF if family == socket.AF_INET6 else 224 <= address[0] <= 239):
        raise MulticastError(f"cannot {what}: it is not the address of a group")
    return address


def _storage(family: int, address: bytes) -> bytes:
    """Return a struct sockaddr_storage."""
    if family == socket.AF_INET6:
        return pack("@HHI16sI", family, 0, 0, address, 0).ljust(_STORAGE, b"\0")
    return pack("@HH4s", family, 0, address).ljust(_STORAGE, b"\0")


def interface_index(family: int, interface: str | int | None, what: str) -> int:
    """Return the number of an interface given by number, name or one of its addresses; 0: any."""
    if interface is None:
        return 0
    try:
        if isinstance(interface, int):
            socket.if_indextoname(interface)
            return interface
        try:
            address = socket.inet_pton(family, interface.partition("%")[0])
        except (OSError, ValueError):
            return socket.if_nametoindex(interface)
        found = _index_of_ipv6(address) if family == socket.AF_INET6 else _index_of_ipv4(address)
    except (OSError, OverflowError, ValueError):
        _no_interface(interface, what)
    if found is None:
        _no_interface(interface, what)
    return found


def _no_interface(interface: Any, what: str) -> NoReturn:
    raise MulticastError(f"cannot {what}: there is no interface {shown(str(interface))}") from None


def _index_of_ipv4(address: bytes) -> int | None:
    from fcntl import ioctl

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for index, name in socket.if_nameindex():
            request = pack(f"{_NAME_SIZE}s24x", name.encode())
            try:
                answer = ioctl(sock.fileno(), _SIOCGIFADDR, request)
            except OSError:  # it has none
                continue
            if answer[_NAME_SIZE + 4 : _NAME_SIZE + 8] == address:
                return index
    return None


def _index_of_ipv6(address: bytes) -> int | None:
    """Look an address up in Linux's table: address, index and more, in hexadecimal."""
    with open("/proc/net/if_inet6", encoding="ascii") as table:
        for line in table:
            fields = line.split()
            if fields[0] == address.hex():
                return int(fields[1], 16)
    return None
