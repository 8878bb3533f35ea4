"""A client in versions 3 to 6: how it agrees with servers, and what it makes of odd ones."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from stat import S_ISDIR
from typing import Any

import pytest
from sshkit_keys.errors import WireError
from sshkit_keys.wire import string, uint32

from sshkit.sftp import errors
from sshkit.sftp import messages as m
from sshkit.sftp import status as codes
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.attributes_v4 import DIRECTORY, V6, FullAttributes
from sshkit.sftp.backends.local import LocalBackend
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.dialect_v3 import V3
from sshkit.sftp.dialect_v4 import DIALECTS, open_flags
from sshkit.sftp.versions import agreed, checked, to_select
from tests.sftp.client.world import FakeServer, Memory, Twist
from tests.sftp.versions.ends import below, run


def speak(server: FakeServer, versions: tuple[int, ...], main: Callable[[SFTPClient], Awaitable[Any]]) -> Any:
    return Memory(server, versions=versions).run(main)


async def version(client: SFTPClient) -> int:
    return client.version


def fake(version: int, twist: Twist | None = None, **extensions: bytes) -> FakeServer:
    server = FakeServer(twist, {name.replace("_", "-"): value for name, value in extensions.items()})
    server.version = version
    return server


@pytest.mark.parametrize("versions", [(), (2,), (3, 7), (0,)])
def test_versions_that_there_are_not_are_refused(versions: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="SFTP has 3, 4, 5, 6"):
        Memory(versions=versions).connect()


def test_versions_are_agreed_on() -> None:
    assert checked([6, 3, 3]) == (3, 6)
    assert [agreed((3, 5), told) for told in range(8)] == [0, 0, 0, 3, 0, 5, 5, 5]
    assert to_select((3, 5), {"versions": b"3,4,6"}) == 3
    assert to_select((3, 5), {"versions": b"53,4,6"}) == 0
    assert to_select((3, 5), {}) == 0


def test_a_server_that_says_more_than_it_was_asked_for_is_believed_to_speak_that() -> None:
    assert speak(fake(6), (3,), version) == 3
    assert speak(fake(6), (3, 4), version) == 4


def test_another_version_of_the_servers_list_is_picked(tmp_path: Path) -> None:
    async def main(client: SFTPClient) -> int:
        await client.write_bytes("f", b"1")
        assert (await client.stat("f")).size == 1
        return client.version

    assert run(main, below(tmp_path), (3, 6), 5) == 3
    assert run(main, below(tmp_path), (4, 6), 5) == 4


def test_a_server_without_a_version_of_ours_is_not_spoken_to() -> None:
    with pytest.raises(errors.SFTPProtocolError, match="speaks version 5 only"):
        speak(fake(5), (3, 6), version)
    with pytest.raises(errors.SFTPProtocolError, match="speaks version 4 only"):
        speak(fake(4, versions=b"4,5"), (6,), version)
    for versions in ((3,), (3, 6)):
        with pytest.raises(errors.SFTPProtocolError, match="speaks version 2 only"):
            speak(fake(2), versions, version)


def test_a_server_that_takes_its_list_back_is_left() -> None:
    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        if kind == m.EXTENDED:
            assert payload[5:] == string("version-select") + string("3")
            return m.pack_status(number, codes.FAILURE, b"never mind")
        return None

    with pytest.raises(errors.SFTPFailure, match="never mind"):
        speak(fake(4, twist, versions=b"3,4"), (3, 6), version)


def test_how_much_one_read_gives_is_what_the_server_supports() -> None:
    async def limit(client: SFTPClient) -> int:
        return client.limits.read

    masks = uint32(0) * 4
    assert speak(fake(5, supported=masks + uint32(99_000) + string("x")), (5,), limit) == 99_000
    assert speak(fake(6, supported2=masks + uint32(98_000) + b"\0\1\0\1"), (6,), limit) == 98_000
    assert speak(fake(6, supported=masks + uint32(99_000)), (6,), limit) == 0
    assert speak(fake(5, supported=masks), (5,), limit) == 0
    assert speak(fake(4, supported=masks + uint32(99_000)), (4,), limit) == 0


MORE = b"and more"


def generous(kind: int, number: int, payload: bytes) -> bytes | None:
    """Answer as a server of version 6 may: there is more behind what is known."""

    def packet(answer: int, body: bytes) -> bytes:
        return m.frame(bytes([answer]) + uint32(number) + body + MORE)

    facts = V6.encode(FullAttributes(300_000, permissions=0o100644))
    if kind in (m.STAT, m.LSTAT, m.FSTAT):
        return packet(m.ATTRS, facts)
    if kind == m.OPEN:
        return packet(m.HANDLE, string("handle"))
    if kind == m.READ:
        offset, size = int.from_bytes(payload[15:23], "big"), int.from_bytes(payload[23:27], "big")
        data = bytes(300_000)[offset : offset + size]
        if not data:
            return packet(m.STATUS, uint32(codes.EOF) + string("end") + string("en"))
        return packet(m.DATA, string(data))
    if kind == m.REALPATH:
        assert payload.endswith(b"\1")
        return packet(m.NAME, uint32(1) + string("/real") + facts)
    return None if kind == m.INIT else packet(m.STATUS, uint32(codes.OK) + string("fine") + string("en"))


def test_more_behind_what_is_known_does_no_harm_in_version_6(tmp_path: Path) -> None:
    async def main(client: SFTPClient) -> None:
        assert (await client.stat("f")).size == 300_000
        assert await client.realpath("f") == "/real"
        assert await client.read_bytes("f") == bytes(300_000)
        await client.get("f", tmp_path / "f")
        assert (tmp_path / "f").read_bytes() == bytes(300_000)
        await client.remove("f")
        await client.symlink("a", "b")
        await client.link("a", "b")

    speak(fake(6, generous), (6,), main)


@pytest.mark.parametrize("number", [4, 5])
def test_more_behind_what_is_known_ends_the_session_in_earlier_versions(number: int) -> None:
    async def main(client: SFTPClient) -> None:
        await client.remove("f")

    with pytest.raises(errors.SFTPProtocolError, match="broke the protocol"):
        speak(fake(number, generous), (number,), main)


@pytest.mark.parametrize("body", [b"", b"\0\0\0\0", b"\0\0\0\0\0\0\0\5a", b"\0\0\0\0\0\0\0\1a\0\0\0\5b"])
def test_r37_a_status_that_is_cut_short_is_no_answer_of_version_6(body: bytes) -> None:
    async def main(client: SFTPClient) -> None:
        await client.remove("f")

    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        return None if kind == m.INIT else m.frame(bytes([m.STATUS]) + uint32(number) + body)

    if len(body) == 4:
        assert speak(fake(6, twist), (6,), main) is None  # the code alone will do, as in old servers
    else:
        with pytest.raises(errors.SFTPProtocolError, match="broke the protocol"):
            speak(fake(6, twist), (6,), main)


NAMES = bytes([m.NAME]) + uint32(1)
FACTS = bytes(4) + b"\1"


@pytest.mark.parametrize(
    ("payload", "why"),
    [
        (NAMES, "NAME of 5 bytes"),
        (NAMES + uint32(2) + string("a") + FACTS, "2 names in a packet of 19 bytes"),
        (NAMES + uint32(2) + string("abcdefghi") + FACTS, "NAME ends early, in its entry 1"),
        (NAMES + uint32(1) + uint32(99) + b"abcdef", "NAME ends early, in its entry 0"),
        (NAMES + uint32(1) + string("a") + FACTS + b"x", "1 bytes left over"),
        (NAMES + uint32(1) + string("abcde"), "attributes end early"),
    ],
)
def test_r37_names_must_fit_their_packet(payload: bytes, why: str) -> None:
    with pytest.raises(WireError, match=why):
        DIALECTS[4].unpack_names(memoryview(payload))
    if why.endswith("left over"):
        assert len(DIALECTS[6].unpack_names(memoryview(payload))) == 1


def test_r37_attributes_must_fill_their_packet() -> None:
    payload = bytes([m.ATTRS]) + uint32(1) + FACTS
    assert DIALECTS[5].unpack_attrs(memoryview(payload)) == FullAttributes(kind=1)
    with pytest.raises(WireError, match="ATTRS: 1 bytes left over"):
        DIALECTS[5].unpack_attrs(memoryview(payload + b"x"))


def test_open_says_in_version_5_what_the_flags_of_version_3_say() -> None:
    read, write = 0x81, 0x102
    assert open_flags(m.READ_FLAG) == (read, 2)
    assert open_flags(m.WRITE_FLAG | m.CREATE | m.TRUNCATE) == (write, 1)
    assert open_flags(m.WRITE_FLAG | m.CREATE | m.EXCLUSIVE) == (write, 0)
    assert open_flags(m.READ_FLAG | m.WRITE_FLAG | m.CREATE) == (read | write, 3)
    assert open_flags(m.WRITE_FLAG | m.TRUNCATE) == (write, 4)
    assert open_flags(m.WRITE_FLAG | m.CREATE | m.APPEND) == (write | 4, 3 | 8)


def test_version_3_says_what_it_cannot() -> None:
    with pytest.raises(errors.SFTPOpUnsupported, match="by number only"):
        V3.attributes(FullAttributes(owner="joe"))
    with pytest.raises(errors.SFTPOpUnsupported, match="by number only"):
        V3.attributes(FullAttributes(group="all"))
    known = FullAttributes(owner="joe", group="all", uid=1, gid=2)
    assert V3.attributes(known) == Attributes(uid=1, gid=2).encode()
    with pytest.raises(errors.SFTPOpUnsupported, match="version 3 of SFTP has no request"):
        V3.link(b"a", b"b")
    assert bytes(V3.known_part(m.DATA, memoryview(b"abc"))) == b"abc"

    async def main(client: SFTPClient) -> None:
        with pytest.raises(errors.SFTPOpUnsupported):
            await client.chown("f", "joe", 5)
        with pytest.raises(ValueError, match="times or ns"):
            await client.utime("f")
        with pytest.raises(ValueError, match="times or ns"):
            await client.utime("f", (1, 2), ns=(1, 2))

    speak(fake(3), (3,), main)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (codes.NO_MEDIA, errors.SFTPFailure),
        (codes.UNKNOWN_PRINCIPAL, errors.SFTPUnknownOwner),
        (codes.OWNER_INVALID, errors.SFTPUnknownOwner),
        (codes.GROUP_INVALID, errors.SFTPUnknownOwner),
        (codes.LOCK_CONFLICT, errors.SFTPLocked),
        (codes.BYTE_RANGE_LOCK_CONFLICT, BlockingIOError),
        (codes.BYTE_RANGE_LOCK_REFUSED, errors.SFTPLocked),
        (codes.DELETE_PENDING, errors.SFTPFailure),
    ],
)
def test_every_code_has_an_error_and_words(code: int, kind: type[BaseException]) -> None:
    error = errors.error_for(code)
    assert isinstance(error, kind)
    assert (error.status, str(error)) == (code, codes.WORDS[code])


@pytest.mark.parametrize("version", [3, 4, 5, 6])
def test_no_code_is_sent_that_the_version_does_not_have(version: int) -> None:
    highest = {3: 8, 4: 13, 5: 17, 6: 31}[version]
    told = {code: errors.status_for(errors.error_for(code), version)[0] for code in codes.WORDS if code}
    assert all(told[code] == code for code in told if code <= highest)
    assert max(told.values()) <= highest
    for number in range(200):
        assert errors.status_for(OSError(number, "words"), version)[0] <= highest
    assert set(codes.WORDS) == set(range(32))


class NoModes(LocalBackend):
    """Tells what kind a directory is, and no more."""

    def stat(self, path: bytes) -> Any:
        found: Any = super().stat(path)
        return FullAttributes(kind=DIRECTORY) if S_ISDIR(found.st_mode) else found


def test_a_directory_without_a_mode_arrives_with_one_of_ours(tmp_path: Path) -> None:
    (tmp_path / "t" / "below").mkdir(parents=True)
    (tmp_path / "t" / "f").write_bytes(b"1")

    async def main(client: SFTPClient) -> None:
        await client.get(tmp_path / "t", tmp_path / "here", recursive=True, preserve=True)

    run(main, NoModes("/", start=str(tmp_path)), (6,))
    assert (tmp_path / "here" / "f").read_bytes() == b"1"
    assert (tmp_path / "here").stat().st_mode & 0o700 == 0o700
