"""Questions to a name server and the answers' records, as bytes (RFC 1035 section 4, RFC 6891 for EDNS).

Called by `host_key_dns`.  An answer is hostile until proven otherwise: every length and pointer is checked,
and names that point in circles end.
"""

from collections.abc import Iterator
from struct import unpack_from
from typing import Final, NamedTuple

from sshkit_keys.errors import SSHKitError
from sshkit_keys.text import printable

CNAME, OPT, SSHFP = 5, 41, 44
_IN = 1
_RESPONSE, _TRUNCATED, _RECURSE, _AUTHENTIC = 0x8000, 0x0200, 0x0100, 0x0020
_DNSSEC_OK = 0x8000
MAX_NAME: Final = 255
_MAX_LABEL = 63
_MAX_POINTERS = 64  #: more than any name needs
#: What an answer may have over UDP: the size that gets through everywhere without fragments.
UDP_SIZE = 1232
_REASONS = {1: "format error", 2: "server failure", 3: "no such name", 4: "not implemented", 5: "refused"}
NO_SUCH_NAME = 3


class DNSError(SSHKitError):
    """A name server did not answer, or not to the question."""


class Answer(NamedTuple):
    """What a server said to one question."""

    records: tuple[bytes, ...]  #: the data of the records of the type that was asked for
    authentic: bool  #: the server says that it has validated them (DNSSEC)
    truncated: bool = False  #: ask again over TCP


def encode_name(name: str) -> bytes:
    """Return a host's name as labels; DNSError for one that cannot be a name."""
    labels: list[bytes] = []
    for label in name.rstrip(".").split("."):
        try:
            text = label.encode("ascii") if label.isascii() else label.encode("idna")
        except UnicodeError:
            text = b""
        if not 0 < len(text) <= _MAX_LABEL:
            raise DNSError(f"{printable(name)} is no name of the DNS")
        labels.append(bytes((len(text),)) + text)
    encoded = b"".join(labels) + b"\0"
    if len(encoded) > MAX_NAME:
        raise DNSError(f"{printable(name)} is too long for the DNS")
    return encoded


def encode_question(number: int, name: str, kind: int) -> bytes:
    """Return a question that asks for recursion, for validation, and for room in the answer."""
    flags = _RECURSE | _AUTHENTIC
    header = b"".join(value.to_bytes(2, "big") for value in (number, flags, 1, 0, 0, 1))
    question = encode_name(name) + kind.to_bytes(2, "big") + _IN.to_bytes(2, "big")
    edns = b"\0" + b"".join(value.to_bytes(2, "big") for value in (OPT, UDP_SIZE, 0, _DNSSEC_OK, 0))
    return header + question + edns


def parse_answer(data: bytes, number: int, name: str, kind: int) -> Answer:
    """Return the records of an answer; DNSError where it is damaged, or not to this question."""
    try:
        return _parse(data, number, name, kind)
    except (IndexError, ValueError) as error:
        raise DNSError(f"the name server's answer is damaged: {error}") from None


def _parse(data: bytes, number: int, name: str, kind: int) -> Answer:
    if len(data) < 12:
        raise ValueError("no whole header")
    found, flags, questions, answers, _, _ = unpack_from(">6H", data)
    if found != number or not flags & _RESPONSE or questions != 1:
        raise DNSError("an answer to another question")
    asked, position = _name(data, 12)
    wanted = _folded(encode_name(name))
    if asked != wanted or data[position : position + 4] != kind.to_bytes(2, "big") + b"\0\1":
        raise DNSError("an answer to another question")
    code = flags & 15
    authentic = bool(flags & _AUTHENTIC)
    if flags & _TRUNCATED:
        return Answer((), False, True)
    if code == NO_SUCH_NAME:
        return Answer((), authentic)
    if code:
        raise DNSError(f"the name server's answer: {_REASONS.get(code, f'error {code}')}")
    aliases: dict[bytes, bytes] = {}
    records: list[tuple[bytes, bytes]] = []
    for owner, of_kind, start, end in _records(data, position + 4, answers):
        if of_kind == CNAME:
            aliases[owner] = _name(data, start)[0]
        elif of_kind == kind:
            records.append((owner, data[start:end]))
    for _ in range(len(aliases)):  # each alias is followed once at most
        wanted = aliases.get(wanted, wanted)
    return Answer(tuple(record for owner, record in records if owner == wanted), authentic)


def _records(data: bytes, position: int, count: int) -> Iterator[tuple[bytes, int, int, int]]:
    """Yield owner, type, and where the data lie of each record of the answer section."""
    for _ in range(count):
        owner, position = _name(data, position)
        if position + 10 > len(data):
            raise ValueError("a record is cut off")
        kind, group, _, size = unpack_from(">HHIH", data, position)
        position += 10
        if position + size > len(data):
            raise ValueError("a record is cut off")
        if group == _IN:
            yield owner, kind, position, position + size
        position += size


def _name(data: bytes, position: int) -> tuple[bytes, int]:
    """Return a name in small letters, as labels, and where it ends."""
    labels: list[bytes] = []
    after = -1  # where the name ends where it stands; -1: no pointer was met
    length = pointers = 0
    while size := data[position]:
        if size & 0xC0 == 0xC0:
            pointers += 1
            if pointers > _MAX_POINTERS:
                raise ValueError("a name points in circles")
            after = position + 2 if after < 0 else after
            position = (size & 0x3F) << 8 | data[position + 1]
            continue
        if size & 0xC0:
            raise ValueError("a label of unknown form")
        label = data[position : position + 1 + size]
        length += len(label)
        if len(label) != size + 1 or length >= MAX_NAME:
            raise ValueError("a name is too long")
        labels.append(label)
        position += size + 1
    return _folded(b"".join(labels) + b"\0"), position + 1 if after < 0 else after


def _folded(name: bytes) -> bytes:
    return name.lower()
