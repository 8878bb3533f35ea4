"""Host keys in the DNS: SSHFP records (RFC 4255; VerifyHostKeyDNS of ssh_config(5)).

Called by `host_keys` for a key that no file knows.  The servers of resolv.conf are asked in a thread, over
UDP, and over TCP where the answer does not fit.  That an answer was validated is believed only of a server
on this machine, or with ``options trust-ad``: anybody on the way could say so.
"""

import os
from collections.abc import Sequence
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from sshkit_keys.sshfp import ALGORITHMS, SSHFPRecord
from sshkit_keys.text import printable

from sshkit.client.dns_message import SSHFP, Answer, DNSError, encode_question, parse_answer

if TYPE_CHECKING:
    import socket

    from sshkit_keys import PublicKey

RESOLV_CONF = "/etc/resolv.conf"
MAX_SERVERS = 3  #: as in the system's resolver
PORT = 53
_MAX_FILE = 1 << 16


class NameServers(NamedTuple):
    """Who is asked, and how patiently."""

    addresses: tuple[tuple[str, int], ...] = (("127.0.0.1", PORT),)
    timeout: float = 5.0  #: seconds for one answer
    attempts: int = 2
    trust_ad: bool = False

    def believes(self, address: str) -> bool:
        """Say whether this server's word counts that an answer was validated."""
        return self.trust_ad or ip_address(address.partition("%")[0]).is_loopback


class Published(NamedTuple):
    """What the DNS says of a key."""

    found: bool  #: there is a record for keys of this type
    matches: bool
    secure: bool  #: the answer was validated

    def __str__(self) -> str:
        if not self.found:
            return "no host key fingerprint of this type in the DNS"
        word = "matching" if self.matches else "NOT matching"
        return f"{word} host key fingerprint in the DNS ({'validated' if self.secure else 'not validated'})"


def read_name_servers(path: str = RESOLV_CONF) -> NameServers:
    """Read resolv.conf(5); a server on this machine where it names none, as the system does."""
    try:
        with open(path, "rb") as file:
            text = file.read(_MAX_FILE).decode("utf-8", "replace")
    except OSError:
        return NameServers()
    addresses: list[tuple[str, int]] = []
    timeout, attempts, trust = 5, 2, False
    for line in text.splitlines():
        words = line.split()
        if len(words) < 2 or words[0].startswith(("#", ";")):
            continue
        if words[0] == "nameserver" and _is_address(words[1]) and len(addresses) < MAX_SERVERS:
            addresses.append((words[1], PORT))
        elif words[0] == "options":
            trust = trust or "trust-ad" in words[1:]
            timeout = _number(words, "timeout:", timeout, 30)
            attempts = _number(words, "attempts:", attempts, 5)
    return NameServers(tuple(addresses) or NameServers().addresses, float(timeout), attempts, trust)


def published(key: "PublicKey", name: str, servers: NameServers | None = None) -> Published:
    """Return what the DNS says of `key` for a host; blocks.  Raises DNSError."""
    if _is_address(name):
        raise DNSError(f"{printable(name)} is an address; records are of names")
    answer = look_up(name, SSHFP, read_name_servers() if servers is None else servers)
    algorithm = ALGORITHMS.get(key.key_type)
    records = [SSHFPRecord(data[0], data[1], data[2:]) for data in answer.records if len(data) > 2]
    found = [record for record in records if record.algorithm == algorithm and record.hash_type == 2]
    return Published(bool(found), any(record.matches(key) for record in found), answer.authentic)


def look_up(name: str, kind: int, servers: NameServers) -> Answer:
    """Ask the servers in turn; DNSError, with each one's fault, where none answers."""
    faults: list[str] = []
    for _ in range(servers.attempts):
        for address in servers.addresses:
            try:
                answer = _ask(address, name, kind, servers.timeout)
            except OSError as error:
                faults.append(f"{address[0]}: {error.strerror or 'no answer in time'}")
            except DNSError as error:
                faults.append(f"{address[0]}: {error}")
            else:
                return answer._replace(authentic=answer.authentic and servers.believes(address[0]))
    raise DNSError(f"{printable(name)}: {'; '.join(dict.fromkeys(faults))}")


def _ask(address: tuple[str, int], name: str, kind: int, timeout: float) -> Answer:
    number = int.from_bytes(os.urandom(2), "big")
    question = encode_question(number, name, kind)
    answer = _over_udp(address, question, number, name, kind, timeout)
    if not answer.truncated:
        return answer
    answer = parse_answer(_over_tcp(address, question, timeout), number, name, kind)
    if answer.truncated:
        raise DNSError("an answer that is too long for TCP")
    return answer


def _over_udp(
    address: tuple[str, int], question: bytes, number: int, name: str, kind: int, timeout: float
) -> Answer:
    """Wait for the answer; what anybody else throws in between is passed over."""
    from time import monotonic

    with _socket(address, stream=False) as sock:
        sock.connect(address)  # only this server's datagrams come in
        sock.send(question)
        end = monotonic() + timeout
        while (left := end - monotonic()) > 0:
            sock.settimeout(left)
            data = sock.recv(65535)
            if data[:2] == question[:2]:
                return parse_answer(data, number, name, kind)
    raise TimeoutError


def _over_tcp(address: tuple[str, int], question: bytes, timeout: float) -> bytes:
    from time import monotonic

    end = monotonic() + timeout
    with _socket(address, stream=True) as sock:
        sock.settimeout(timeout)
        sock.connect(address)
        sock.sendall(len(question).to_bytes(2, "big") + question)
        data = bytearray()
        while len(data) < 2 or len(data) < 2 + int.from_bytes(data[:2], "big"):
            left = end - monotonic()
            if left <= 0:
                raise TimeoutError
            sock.settimeout(left)
            piece = sock.recv(65535)
            if not piece:
                raise DNSError("the answer is cut off")
            data += piece
        return bytes(data[2 : 2 + int.from_bytes(data[:2], "big")])


def _socket(address: tuple[str, int], *, stream: bool) -> "socket.socket":
    import socket

    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    return socket.socket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)


def _is_address(text: str) -> bool:
    try:
        ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


def _number(words: Sequence[str], option: str, default: int, most: int) -> int:
    for word in words[1:]:
        if word.startswith(option) and word[len(option) :].isdigit():
            return min(max(int(word[len(option) :]), 1), most)
    return default
