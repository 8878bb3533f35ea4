"""Reads the binary form of PEM's keys: DER, as far as keys need it (X.690 sections 8 and 10).

Called by `pkcs8`, `pbes` and `key_files`, which learn from here what a DER file holds and what opening it
would cost, before cryptography sees it.  Offsets in errors count from the start of the file or of the base64.
"""

from typing import NoReturn

from .errors import KeyFormatError

INTEGER, BIT_STRING, OCTETS, OBJECT, SEQUENCE = 0x02, 0x03, 0x04, 0x06, 0x30

#: The largest RSA key, private and encrypted, has 10 KiB: more is no key, and costs time.
MAX_KEY_BYTES = 65536

#: What a key is made of, by the tags of its first elements: ends with None if nothing may follow.
_SHAPES: tuple[tuple[tuple[int | None, ...], str], ...] = (
    ((INTEGER, SEQUENCE, OCTETS), "PRIVATE KEY"),
    ((INTEGER, OCTETS), "EC PRIVATE KEY"),
    ((INTEGER,) * 9, "RSA PRIVATE KEY"),
    ((*(INTEGER,) * 6, None), "DSA PRIVATE KEY"),
    ((INTEGER, INTEGER, None), "RSA PUBLIC KEY"),
    ((SEQUENCE, OCTETS, None), "ENCRYPTED PRIVATE KEY"),
    ((SEQUENCE, BIT_STRING, None), "PUBLIC KEY"),
)
_LONGEST_SHAPE = 9


class DERReader:
    """Reads elements one after the other; what is damaged is a KeyFormatError that names the offset."""

    __slots__ = ("data", "end", "place", "position")

    def __init__(self, data: bytes, place: str = "", position: int = 0, end: int | None = None) -> None:
        self.data = data
        self.place = place
        self.position = position
        self.end = len(data) if end is None else end

    def __repr__(self) -> str:
        return f"<DERReader at {self.position} of {self.end}>"

    def fail(self, what: str) -> NoReturn:
        """Raise the error for damage at the present place."""
        raise KeyFormatError(f"the key is damaged at byte {self.position}: {what}", self.place)

    @property
    def next_tag(self) -> int | None:
        """The tag of the next element, or None at the end."""
        return self.data[self.position] if self.position < self.end else None

    def enter(self) -> "DERReader":
        """Return a reader of the next element's contents, and step over it."""
        data, position, end = self.data, self.position, self.end
        if end - position < 2:
            self.fail("an element is cut off")
        length = data[position + 1]
        start = position + 2
        if length > 127:
            size = length - 128
            if not 1 <= size <= 4 or end - start < size:
                self.fail("a length that cannot be")
            length = int.from_bytes(data[start : start + size], "big")
            start += size
        if length > end - start:
            self.fail(f"an element of {length} bytes, {end - start} available")
        self.position = start + length
        return DERReader(data, self.place, start, start + length)

    def expect(self, tag: int, what: str) -> "DERReader":
        """Return a reader of the next element's contents, which must have the tag `tag`."""
        if self.next_tag != tag:
            self.fail(f"{what} is not there")
        return self.enter()

    def contents(self) -> bytes:
        """Return all that is left."""
        return self.data[self.position : self.end]

    def integer(self, what: str) -> int:
        """Read a number that is not negative."""
        inside = self.expect(INTEGER, what)
        raw = inside.contents()
        if not raw or raw[0] > 127:
            inside.fail(f"{what} is not a positive number")
        return int.from_bytes(raw, "big")

    def octets(self, what: str) -> bytes:
        """Read a string of bytes."""
        return self.expect(OCTETS, what).contents()

    def identifier(self, what: str) -> str:
        """Read an object identifier: "1.2.840.113549"."""
        inside = self.expect(OBJECT, what)
        raw = inside.contents()
        if not 1 <= len(raw) <= 32 or raw[-1] > 127:
            inside.fail(f"{what} is no object identifier")
        numbers: list[int] = []
        value = 0
        for octet in raw:
            value = value << 7 | octet & 127
            if octet < 128:
                numbers.append(value)
                value = 0
        first = min(numbers[0] // 40, 2)
        return ".".join(map(str, (first, numbers[0] - 40 * first, *numbers[1:])))


def find_label(data: bytes) -> str | None:
    """Return the label that a DER key would have in PEM, or None for what is no key in DER."""
    reader = DERReader(data)
    if reader.next_tag != SEQUENCE:
        return None
    tags: list[int | None] = []
    try:
        inside = reader.enter()
        if reader.position != len(data):
            return None
        while len(tags) < _LONGEST_SHAPE and inside.next_tag is not None:
            tags.append(inside.next_tag)
            inside.enter()
    except KeyFormatError:
        return None
    tags.append(inside.next_tag)
    for shape, label in _SHAPES:
        if tuple(tags[: len(shape)]) == shape:
            return label
    return None
