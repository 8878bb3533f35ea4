"""How a message is declared: fields in wire order, encoded and decoded by one pair of loops.

Every module of this folder declares its messages with `@message(number)`.  A field's type is the
wire type of RFC 4251 section 5; type checkers see the Python type behind it.  The messages of the hot
path are also packed by hand where they are sent; a test holds both forms equal.
"""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Self, TypeVar, dataclass_transform, get_args

from sshkit_keys import wire
from sshkit_keys.wire import WireReader

from sshkit.ssh.errors import LocalProtocolError

Byte = Annotated[int, WireReader.byte, wire.byte]
Boolean = Annotated[bool, WireReader.boolean, wire.boolean]
UInt32 = Annotated[int, WireReader.uint32, wire.uint32]
UInt64 = Annotated[int, WireReader.uint64, wire.uint64]
String = Annotated[bytes, WireReader.string, wire.string]
Text = Annotated[str, WireReader.text, wire.string]
MPInt = Annotated[int, WireReader.mpint, wire.mpint]
NameList = Annotated[tuple[str, ...], WireReader.name_list, wire.name_list]
Rest = Annotated[bytes, lambda reader, name: reader.rest(), bytes]  #: all that is left

Reader = Callable[[WireReader, str], Any]
Writer = Callable[[Any], bytes]


class Record:
    """Fields in wire order: `encode` gives their bytes, `decode` takes exactly the bytes of one record."""

    fields: ClassVar[tuple[tuple[str, Reader, Writer], ...]] = ()
    names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, *values: Any, **named: Any) -> None:
        names = self.names
        given = dict(zip(names, values, strict=False))
        if named:
            given.update(named)
        if len(values) + len(named) != len(names) or (named and given.keys() != set(names)):
            raise LocalProtocolError(f"{type(self).__name__} takes {', '.join(names)}")
        self.__dict__ = given

    def encode(self) -> bytes:
        """Return the fields in order."""
        values = self.__dict__
        return b"".join([write(values[name]) for name, _, write in self.fields])

    @classmethod
    def decode(cls, data: bytes | memoryview) -> Self:
        """Return the record in `data`; WireError where bytes are missing or left over."""
        return cls._read(WireReader(data))

    @classmethod
    def _read(cls, reader: WireReader) -> Self:
        record = cls.__new__(cls)
        values = record.__dict__
        for name, read, _ in cls.fields:
            values[name] = read(reader, name)
        reader.finish(cls.__name__)
        return record

    def __repr__(self) -> str:
        # Fields may hold secrets (a password request), so only the kind of record is shown (R43).
        return f"<{type(self).__name__}>"


class Message(Record):
    """A record with a message number before its fields: the payload of one packet."""

    number: ClassVar[int]
    head: ClassVar[bytes]

    def encode(self) -> bytes:
        """Return the payload: the number, then the fields in order."""
        values = self.__dict__
        return b"".join([self.head, *[write(values[name]) for name, _, write in self.fields]])

    @classmethod
    def decode(cls, data: bytes | memoryview) -> Self:
        """Return the record in a payload, whose number was looked at already."""
        reader = WireReader(data)
        reader.position = 1
        return cls._read(reader)


RecordType = TypeVar("RecordType", bound=Record)
MessageType = TypeVar("MessageType", bound=Message)


@dataclass_transform(kw_only_default=False)
def record(cls: type[RecordType]) -> type[RecordType]:
    """Read the fields of a class from its annotations, in order."""
    fields: list[tuple[str, Reader, Writer]] = []
    for name, kind in cls.__annotations__.items():
        _, read, write = get_args(kind)
        fields.append((name, read, write))
    cls.fields = tuple(fields)
    cls.names = tuple(name for name, _, _ in fields)
    return cls


@dataclass_transform(kw_only_default=False)
def message(number: int) -> Callable[[type[MessageType]], type[MessageType]]:
    """Give a class its message number and read its fields from the annotations, in order."""

    def declare(cls: type[MessageType]) -> type[MessageType]:
        cls.number = number
        cls.head = bytes((number,))
        if "__annotations__" in vars(cls):
            record(cls)
        return cls

    return declare
