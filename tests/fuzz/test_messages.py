"""Every declared record: what it encodes it decodes, what is cut is refused, rubbish raises nothing else."""

from struct import pack
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sshkit_keys.errors import SSHKitError
from sshkit_keys.wire import WireReader

from sshkit.ssh.channels import session, x11
from sshkit.ssh.errors import LocalProtocolError
from sshkit.ssh.messages import authentication, connection, transport
from sshkit.ssh.messages.record import Message, Record
from sshkit.ssh.transport.packet_writer import PacketWriter
from sshkit.testing import MemoryClock

NAME = st.text(
    st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=","), min_size=1, max_size=20
)
#: By the method of WireReader that reads the field; what is left over reads itself.
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    WireReader.byte: st.integers(0, 255),
    WireReader.boolean: st.booleans(),
    WireReader.uint32: st.integers(0, 0xFFFFFFFF),
    WireReader.string: st.binary(max_size=50),
    WireReader.text: st.text(max_size=30),
    WireReader.mpint: st.integers(-(1 << 2100), 1 << 2100),
    WireReader.name_list: st.lists(NAME, max_size=6).map(tuple),
}
REST = st.binary(max_size=50)


def declared(module: ModuleType) -> list[type[Record]]:
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, Record) and value.__module__ == module.__name__
    ]


MODULES = (transport, authentication, connection, session, x11)
RECORDS = [kind for module in MODULES for kind in declared(module)]
EVERY_RECORD = pytest.mark.parametrize("kind", RECORDS, ids=[kind.__name__ for kind in RECORDS])


def record_of(kind: type[Record]) -> st.SearchStrategy[Any]:
    values = [VALUES.get(field[1], REST) for field in kind.fields]
    return st.tuples(*values).map(lambda given: kind(*given))


def values_of(record: Record) -> list[Any]:
    return [getattr(record, field[0]) for field in record.fields]


def test_all_modules_are_covered() -> None:
    assert len(RECORDS) == 58


@EVERY_RECORD
@settings(max_examples=40)
@given(data=st.data())
def test_what_is_encoded_is_decoded_again(kind: type[Record], data: st.DataObject) -> None:
    record = data.draw(record_of(kind))
    encoded = record.encode()
    assert values_of(kind.decode(encoded)) == values_of(record)
    assert values_of(kind.decode(memoryview(encoded))) == values_of(record)
    assert kind.decode(encoded).encode() == encoded
    if isinstance(record, Message):
        assert encoded[0] == record.number


@EVERY_RECORD
@settings(max_examples=15)
@given(data=st.data())
def test_each_proper_prefix_is_refused_or_means_itself(kind: type[Record], data: st.DataObject) -> None:
    encoded = data.draw(record_of(kind)).encode()
    # The number of a message was looked at before: a payload has one byte at least.
    for end in range(issubclass(kind, Message), len(encoded)):
        try:
            decoded = kind.decode(encoded[:end])
        except SSHKitError:
            continue
        assert decoded.encode() == encoded[:end]


@EVERY_RECORD
@settings(max_examples=60)
@given(data=st.binary(max_size=200))
def test_rubbish_raises_nothing_but_our_own_errors(kind: type[Record], data: bytes) -> None:
    if issubclass(kind, Message):
        data = bytes((kind.number,)) + data
    try:
        decoded = kind.decode(data)
    except SSHKitError:
        return
    again = decoded.encode()
    assert values_of(kind.decode(again)) == values_of(decoded)


@EVERY_RECORD
def test_what_is_left_over_is_refused_unless_the_record_takes_the_rest(kind: type[Record]) -> None:
    defaults: dict[Any, Any] = {WireReader.text: "", WireReader.string: b"", WireReader.name_list: ()}
    takes_rest = any(field[1] not in VALUES for field in kind.fields)
    values = [defaults.get(field[1], 0) if field[1] in VALUES else b"" for field in kind.fields]
    encoded = kind(*values).encode()
    if takes_rest:
        assert kind.decode(encoded + b"x").encode() == encoded + b"x"
    else:
        with pytest.raises(SSHKitError, match="left over"):
            kind.decode(encoded + b"x")


@EVERY_RECORD
def test_r43_no_record_shows_its_values(kind: type[Record]) -> None:
    assert repr(kind.__new__(kind)) == f"<{kind.__name__}>"


def test_a_record_made_with_the_wrong_fields_is_our_own_mistake() -> None:
    for call in (
        lambda: connection.ChannelEof(),  # type: ignore[call-arg]
        lambda: connection.ChannelEof(1, 2),  # type: ignore[call-arg]
        lambda: connection.ChannelEof(1, recipient=1),  # type: ignore[misc]
        lambda: connection.ChannelEof(other=1),  # type: ignore[call-arg]
    ):
        with pytest.raises(LocalProtocolError, match="recipient"):
            call()


@settings(max_examples=200)
@given(recipient=st.integers(0, 0xFFFFFFFF), data=st.binary(min_size=1, max_size=20_000))
def test_data_packed_by_hand_equals_the_declared_form(recipient: int, data: bytes) -> None:
    written: list[bytes] = []

    class Transport:
        def write(self, data: memoryview) -> None:
            written.append(bytes(data))

    writer = PacketWriter(MemoryClock().call_soon)
    writer.transport = Transport()  # type: ignore[assignment]
    for send, expected in (
        (writer.channel_data, connection.ChannelData(recipient, data)),
        (writer.channel_extended_data, connection.ChannelExtendedData(recipient, 1, data)),
    ):
        send(recipient, data)
        writer.send_now(expected.encode())
        writer.flush()
        sent = written.pop()
        half = len(sent) // 2
        assert sent[:half] == sent[half:]
        padding = sent[4]
        assert sent[5 : half - padding] == expected.encode()
        assert sent[:4] == pack(">I", half - 4)
