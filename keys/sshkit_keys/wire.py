"""The SSH data types, read and written (RFC 4251 section 5).

Called by every room that meets a key blob, a signature or a message.  A reader never allocates by a
number it was sent: each length is compared with what has arrived, and with a cap, before it is used.
Hot packets (channel data, SFTP read and write) are packed by hand in their own rooms instead.
"""

from collections.abc import Iterable
from struct import Struct
from typing import NoReturn

from .errors import WireError

_UINT32 = Struct(">I")
_UINT64 = Struct(">Q")

#: Longest number that is read or written: RSA keys and Diffie-Hellman groups end here (rule R22).
MAX_MPINT_BITS = 16384
#: The same in bytes, with the zero byte that keeps a positive number positive.
MAX_MPINT_BYTES = MAX_MPINT_BITS // 8 + 1
#: A proposal of OpenSSH holds about 20 names in 700 bytes; these leave room and still bound the work.
MAX_NAME_LIST_NAMES = 1024
MAX_NAME_LIST_BYTES = 65536

__all__ = [
    "MAX_MPINT_BITS",
    "MAX_NAME_LIST_BYTES",
    "MAX_NAME_LIST_NAMES",
    "WireReader",
    "boolean",
    "byte",
    "mpint",
    "name_list",
    "string",
    "uint32",
    "uint64",
]


class WireReader:
    """Reads data types one after the other from `data`, which is not copied.

    Every method takes the field's name for its error text.  A WireError leaves the position where it
    was.  Views that `view` and `rest` hand out live no longer than the buffer behind `data`.
    """

    __slots__ = ("data", "end", "position")

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self.data = memoryview(data)
        self.position = 0
        self.end = len(self.data)

    def __repr__(self) -> str:
        # Private keys pass through readers: show where it stands, never what it holds (rule R43).
        return f"<WireReader at {self.position} of {self.end}>"

    def _short(self, field: str, wanted: int, available: int) -> NoReturn:
        raise WireError(f"{field}: {wanted} bytes wanted, {available} available at offset {self.position}")

    def byte(self, field: str = "byte") -> int:
        """Read one byte as a number."""
        position = self.position
        if position >= self.end:
            self._short(field, 1, 0)
        self.position = position + 1
        return self.data[position]

    def boolean(self, field: str = "boolean") -> bool:
        """Read a truth value; every value but 0 is true."""
        return self.byte(field) != 0

    def uint32(self, field: str = "uint32") -> int:
        """Read a number of 4 bytes."""
        position = self.position
        if self.end - position < 4:
            self._short(field, 4, self.end - position)
        self.position = position + 4
        value: int = _UINT32.unpack_from(self.data, position)[0]
        return value

    def uint64(self, field: str = "uint64") -> int:
        """Read a number of 8 bytes."""
        position = self.position
        if self.end - position < 8:
            self._short(field, 8, self.end - position)
        self.position = position + 8
        value: int = _UINT64.unpack_from(self.data, position)[0]
        return value

    def view(self, field: str = "string") -> memoryview:
        """Read a string without copying it."""
        position = self.position
        if self.end - position < 4:
            self._short(f"length of {field}", 4, self.end - position)
        start = position + 4
        length: int = _UINT32.unpack_from(self.data, position)[0]
        if length > self.end - start:
            self._short(field, length, self.end - start)
        self.position = start + length
        return self.data[start : start + length]

    def string(self, field: str = "string") -> bytes:
        """Read a string as bytes of its own."""
        return bytes(self.view(field))

    def text(self, field: str = "text") -> str:
        """Read a string that must be UTF-8.  It may hold control characters: escape before showing it."""
        position = self.position
        try:
            return str(self.view(field), "utf-8")
        except UnicodeDecodeError as error:
            self.position = position
            raise WireError(f"{field}: not UTF-8 at its byte {error.start}") from None

    def mpint(self, field: str = "mpint") -> int:
        """Read a signed number of at most 16384 bits in its one shortest form."""
        position = self.position
        view = self.view(field)
        size = len(view)
        fault = None
        if size > MAX_MPINT_BYTES:
            fault = f"{size} bytes, at most {MAX_MPINT_BYTES} allowed"
        elif (size == 1 and view[0] == 0) or (size > 1 and view[0] in (0, 255) and (view[0] ^ view[1]) < 128):
            # Zero is the empty string, and no first byte may only repeat the sign.
            fault = "not in its shortest form"
        else:
            value = int.from_bytes(view, "big", signed=True)
            if value.bit_length() <= MAX_MPINT_BITS:
                return value
            fault = f"{value.bit_length()} bits, at most {MAX_MPINT_BITS} allowed"
        self.position = position
        raise WireError(f"{field}: {fault}")

    def name_list(self, field: str = "name-list") -> tuple[str, ...]:
        """Read names separated by commas: printable ASCII, none empty, at most 1024 of them."""
        position = self.position
        view = self.view(field)
        fault = None
        if len(view) == 0:
            return ()
        if len(view) > MAX_NAME_LIST_BYTES:
            fault = f"{len(view)} bytes, at most {MAX_NAME_LIST_BYTES} allowed"
        else:
            raw = bytes(view)
            if raw.count(b",") >= MAX_NAME_LIST_NAMES:
                fault = f"{raw.count(b',') + 1} names, at most {MAX_NAME_LIST_NAMES} allowed"
            elif min(raw) <= 32 or max(raw) >= 127:
                fault = "holds a character that is not printable ASCII"
            else:
                names = tuple(raw.decode("ascii").split(","))
                if all(names):
                    return names
                fault = "holds an empty name"
        self.position = position
        raise WireError(f"{field}: {fault}")

    def rest(self) -> bytes:
        """Read everything that is left."""
        position, self.position = self.position, self.end
        return bytes(self.data[position:])

    def finish(self, what: str = "message") -> None:
        """Raise WireError if anything is left over: trailing bytes are damage or a trick."""
        if self.position != self.end:
            raise WireError(f"{what}: {self.end - self.position} bytes left over at offset {self.position}")


def byte(value: int) -> bytes:
    """Encode a number from 0 to 255 as one byte."""
    return bytes((value,))


def boolean(value: bool) -> bytes:
    """Encode a truth value."""
    return b"\x01" if value else b"\x00"


def uint32(value: int) -> bytes:
    """Encode a number as 4 bytes."""
    return _UINT32.pack(value)


def uint64(value: int) -> bytes:
    """Encode a number as 8 bytes."""
    return _UINT64.pack(value)


def string(value: bytes | bytearray | memoryview | str) -> bytes:
    """Encode bytes, or text as UTF-8, with their length in front."""
    raw = value.encode("utf-8") if isinstance(value, str) else bytes(value)
    return _UINT32.pack(len(raw)) + raw


def mpint(value: int) -> bytes:
    """Encode a signed number in its shortest form; zero is the empty string."""
    if value == 0:
        return b"\x00\x00\x00\x00"
    if value.bit_length() > MAX_MPINT_BITS:
        raise WireError(f"mpint: {value.bit_length()} bits, at most {MAX_MPINT_BITS} allowed")
    # One bit more than the number for its sign; for -128 and its like the plain bits suffice.
    bits = value.bit_length() if value > 0 else (value + 1).bit_length()
    raw = value.to_bytes(bits // 8 + 1, "big", signed=True)
    return _UINT32.pack(len(raw)) + raw


def name_list(names: Iterable[str]) -> bytes:
    """Encode names with commas between; they are our own tables' names, so only their shape is checked."""
    names = tuple(names)
    for name in names:
        if not name or "," in name or not name.isascii() or not name.isprintable() or " " in name:
            raise WireError(f"name-list: {name!r} cannot be a name")
    return string(",".join(names).encode("ascii"))
