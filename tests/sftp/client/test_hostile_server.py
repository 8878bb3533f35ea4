"""A server that lies, or falls silent: the client says so, ends the session, and waits for nobody."""

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest

import sshkit
from sshkit.sftp import messages as m
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.errors import (
    SFTPConnectionLost,
    SFTPError,
    SFTPInvalidName,
    SFTPNoSuchFile,
    SFTPProtocolError,
)
from sshkit.sftp.packets import MAX_ANSWER
from tests.sftp.client.world import FakeServer, Memory, Twist, contents, names_below

Lie = Callable[[int], "bytes | list[bytes]"]


def liar(kind: int, lie: Lie) -> FakeServer:
    """Return a server that answers requests of one kind with a lie."""

    def twist(asked: int, number: int, payload: bytes) -> "bytes | list[bytes] | None":
        return lie(number) if asked == kind else None

    server = FakeServer(twist)
    server.files[b"/f"] = bytearray(contents(1000))
    return server


def broken(server: FakeServer, main: Callable[[SFTPClient], object]) -> BaseException:
    """Return what a call fails with; the session must have ended by it, and the next call too."""

    async def body(client: SFTPClient) -> BaseException:
        with pytest.raises((sshkit.SSHKitError, TimeoutError)) as caught:
            await main(client)  # type: ignore[misc]
        assert client.is_closed
        with pytest.raises(sshkit.SSHKitError):
            await client.stat("/f")
        return caught.value

    return Memory(server).run(body)


LIES: dict[str, tuple[int, Lie]] = {
    "another id": (m.STAT, lambda number: m.pack_attrs(number + 1, Attributes())),
    "an answer of another kind": (m.STAT, lambda number: m.pack_string(m.HANDLE, number, b"x")),
    "OK where attributes are due": (m.STAT, lambda number: m.pack_status(number, 0)),
    "no id at all": (m.STAT, lambda number: b"\0\0\0\2\x65\0"),
    "a short STATUS": (m.STAT, lambda number: m.frame(b"\x65" + number.to_bytes(4, "big") + b"\0")),
    "attributes with leftovers": (
        m.STAT,
        lambda number: m.frame(m.pack_attrs(number, Attributes())[4:] + b"x"),
    ),
    "a second VERSION": (m.STAT, lambda number: m.frame(m.Version(3, b"").encode())),
    "two answers": (m.STAT, lambda number: [m.pack_attrs(number, Attributes())] * 2),
    "a length of zero": (m.STAT, lambda number: bytes(4)),
    "a length too large": (m.STAT, lambda number: (MAX_ANSWER + 1).to_bytes(4, "big")),
}


@pytest.mark.parametrize("name", LIES)
def test_r37_an_answer_that_fits_nothing_ends_the_session(name: str) -> None:
    kind, lie = LIES[name]

    async def ask(client: SFTPClient) -> None:
        await client.stat("/f")
        await client.stat("/f")

    assert isinstance(broken(liar(kind, lie), ask), SFTPProtocolError)


READ_LIES: dict[str, Lie] = {
    "more than was asked for": lambda number: m.pack_string(m.DATA, number, bytes(200_000)),
    "nothing": lambda number: m.pack_string(m.DATA, number, b""),
    "OK": lambda number: m.pack_status(number, 0),
    "another kind": lambda number: m.pack_attrs(number, Attributes()),
    "a length that is not the packet's": lambda number: m.frame(
        m.Data(number, bytes(100)).encode()[:-50] + bytes(20)
    ),
}


@pytest.mark.parametrize("name", READ_LIES)
@pytest.mark.parametrize("chop", [None, 1000])
def test_r37_data_that_fits_no_read_ends_the_session(name: str, chop: int | None, tmp_path: Path) -> None:
    async def get(client: SFTPClient) -> None:
        await client.get("/f", tmp_path / "f")

    server = liar(m.READ, READ_LIES[name])
    server.extensions = {}
    memory = Memory(server)

    async def body(client: SFTPClient) -> None:
        assert memory.pair is not None
        if chop:
            memory.pair.chop = lambda: chop
        with pytest.raises(SFTPProtocolError):
            await client.get("/f", tmp_path / "f")
        assert client.is_closed

    memory.run(body)
    assert names_below(tmp_path) == []

    async def read(client: SFTPClient) -> None:
        async with client.open("/f") as file:
            await file.read(100)

    assert isinstance(broken(liar(m.READ, READ_LIES[name]), read), SFTPProtocolError)


@pytest.mark.parametrize("kind", [m.OPEN, m.OPENDIR])
def test_r37_a_handle_too_long_ends_the_session(kind: int) -> None:
    async def ask(client: SFTPClient) -> None:
        if kind == m.OPEN:
            await client.open("/f")
        else:
            await client.listdir("/")

    lie = liar(kind, lambda number: m.pack_string(m.HANDLE, number, bytes(257)))
    assert isinstance(broken(lie, ask), SFTPProtocolError)


@pytest.mark.parametrize("name", [b"a/b", b"", b"..\0", b"/", b"a\0"])
def test_r35_a_listed_name_that_is_no_component_is_refused(name: bytes, tmp_path: Path) -> None:
    server = FakeServer()
    server.folders.add(b"/d")

    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        if kind == m.READDIR:
            return m.pack_names(number, [(name, b"", Attributes(1, 0, 0, 0o100644, 1, 1))])
        return None

    server.twist = twist

    async def body(client: SFTPClient) -> None:
        with pytest.raises(SFTPInvalidName):
            await client.listdir("/d")
        with pytest.raises(SFTPError):
            await client.get("/d", tmp_path / "here" / "d", recursive=True)

    Memory(server).run(body)
    assert names_below(tmp_path) in (["here", "here/d"], [])


def test_r35_dot_and_dot_dot_are_left_out() -> None:
    server = FakeServer()
    once = [True]

    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        if kind == m.READDIR and once:
            once.clear()
            return m.pack_names(number, [(n, b"", Attributes()) for n in (b".", b"..", b"a")])
        return m.pack_status(number, 1) if kind == m.READDIR else None

    server.twist = twist
    assert Memory(server).run(lambda client: client.listdir("/")) == ["a"]


def test_r37_a_batch_without_names_ends_the_session() -> None:
    lie = liar(m.READDIR, lambda number: m.pack_names(number, []))
    assert isinstance(broken(lie, lambda client: client.listdir("/")), SFTPProtocolError)


@pytest.mark.parametrize("lie", [0, 105])
def test_r37_readdir_answered_with_something_else_ends_the_session(lie: int) -> None:
    server = liar(
        m.READDIR,
        lambda number: m.pack_status(number, 0) if not lie else m.pack_attrs(number, Attributes()),
    )
    assert isinstance(broken(server, lambda client: client.listdir("/")), SFTPProtocolError)


def test_r35_an_endless_directory_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sshkit.sftp.client_listing.MAX_NAMES", 1000)
    names = [(f"n{i}".encode(), b"", Attributes()) for i in range(100)]
    server = liar(m.READDIR, lambda number: m.pack_names(number, names))

    async def body(client: SFTPClient) -> None:
        with pytest.raises(SFTPError, match="more than 1000 names"):
            await client.listdir("/")
        assert await client.exists("/f")

    Memory(server).run(body)
    assert len([kind for kind in server.requests if kind == m.READDIR]) < 20


def test_r37_a_directory_that_is_not_read_is_not_asked_for_more() -> None:
    names = [(b"n", b"", Attributes())]
    server = liar(m.READDIR, lambda number: m.pack_names(number, names))

    async def body(client: SFTPClient) -> None:
        entries = client.scandir("/")
        assert (await entries.__anext__()).name == "n"
        for _ in range(50):
            await client.stat("/f")
        await entries.aclose()  # type: ignore[attr-defined]

    Memory(server).run(body)
    assert server.requests.count(m.READDIR) < 15


@pytest.mark.parametrize("kind", [m.INIT, m.STAT, m.OPEN, m.READ, m.WRITE, m.READDIR, m.CLOSE])
def test_r37_a_silent_server_fails_every_call_by_the_deadline(kind: int, tmp_path: Path) -> None:
    server = liar(kind, lambda number: [])
    local = tmp_path / "local"
    local.write_bytes(contents(5000))
    memory = Memory(server, timeout=5.0)

    async def ask(client: SFTPClient) -> None:
        async with client.ready:
            if kind == m.STAT:
                await client.stat("/f")
            elif kind == m.READDIR:
                await client.listdir("/")
            elif kind == m.CLOSE:
                await (await client.open("/f")).close()
            elif kind == m.WRITE:
                await client.put(local, "/new")
            else:
                await client.get("/f", tmp_path / "f")

    async def main() -> None:
        client = memory.connect()
        with pytest.raises((TimeoutError, SFTPConnectionLost)):
            await ask(client)

    memory.network.run(main())
    assert 5.0 <= memory.network.seconds() < 12.0
    assert names_below(tmp_path) == ["local"]


def test_r37_one_answer_that_never_comes_fails_though_others_do() -> None:
    server = liar(m.LSTAT, lambda number: [])
    memory = Memory(server, timeout=5.0)

    async def body(client: SFTPClient) -> None:
        waiting = client.lstat("/f")
        waiting.add_errback(lambda failure: failure)
        clock = memory.network
        while not waiting.called and clock.seconds() < 200:
            await client.stat("/f")
            tick: sshkit.Deferred[None] = sshkit.Deferred()
            clock.call_later(1.0, tick.callback, None)
            await tick
        with pytest.raises(TimeoutError):
            await waiting
        assert not client.is_closed

    memory.run(body)
    assert 40.0 < memory.network.seconds() < 70.0


def test_a_late_answer_to_a_request_given_up_is_harmless() -> None:
    held: list[bytes] = []

    def twist(kind: int, number: int, payload: bytes) -> "bytes | list[bytes] | None":
        if kind == m.LSTAT:
            held.append(m.pack_attrs(number, Attributes(7)))
            return []
        return None

    server = FakeServer(twist)
    server.files[b"/f"] = bytearray(b"x")
    memory = Memory(server, timeout=5.0)

    async def body(client: SFTPClient) -> None:
        with pytest.raises(TimeoutError):
            await client.lstat("/f")
        cancelled = client.lstat("/f")
        cancelled.cancel()
        cancelled.add_errback(lambda _: None)
        for packet in held:
            server.transport.write(packet)
        assert (await client.stat("/f")).size == 1

    memory.run(body)


def test_a_handle_that_comes_after_a_cancel_is_closed() -> None:
    server = FakeServer()
    server.files[b"/f"] = bytearray(b"x")

    async def body(client: SFTPClient) -> None:
        opening = client.open("/f")
        opening.cancel()
        opening.add_errback(lambda _: None)
        await client.stat("/f")
        await client.stat("/f")
        assert server.handles == {}

    Memory(server).run(body)


@pytest.mark.parametrize(
    "twist",
    [
        lambda kind, number, payload: m.pack_status(number, 4),
        lambda kind, number, payload: m.frame(m.Version(2, b"").encode()),
        lambda kind, number, payload: m.frame(m.Version(3, b"\0\0\0\5").encode()),
    ],
)
def test_r37_a_first_packet_that_is_no_version_3_is_refused(twist: Twist) -> None:
    memory = Memory(FakeServer(twist))

    async def main() -> None:
        with pytest.raises(SFTPProtocolError):
            await memory.connect().ready

    memory.network.run(main())


def test_limits_that_the_server_does_not_tell_after_all_are_done_without() -> None:
    server = FakeServer()
    server.extended = lambda number, record: m.pack_status(number, 8)  # type: ignore[method-assign]
    assert Memory(server).run(lambda client: client.exists("/")) is True


def test_r36_a_servers_last_words_are_escaped_in_the_error() -> None:
    memory = Memory()

    async def main() -> None:
        client = memory.connect()
        client.session.extended_data_received(1, memoryview(b"go \x1b[31maway\n"))
        assert memory.pair is not None
        memory.pair.cut()
        with pytest.raises(SFTPConnectionLost, match=r"go \\x1b\[31maway"):
            await client.ready

    memory.network.run(main())


SIZE = 300_000


def cut_get(folder: Path, data: bytes, after: int, resume: bool) -> bool:
    """Fetch /f over a connection that breaks when `after` bytes have come; tell whether all did."""
    server = FakeServer(extensions={})
    server.files[b"/f"] = bytearray(data)
    memory = Memory(server)

    async def main() -> bool:
        client = memory.connect()
        await client.ready
        pair = memory.pair
        assert pair is not None
        left = [after]

        def chop() -> int:
            size = min(left[0], 7000)
            left[0] -= size
            if not left[0]:
                memory.network.call_soon(pair.cut)
            return size

        pair.chop = chop
        try:
            await client.get("/f", folder / "f", resume=resume)
        except SFTPConnectionLost:
            return False
        return True

    return memory.network.run(main())


@pytest.mark.parametrize("seed", range(30))
def test_r37_a_cut_download_is_never_taken_for_whole_and_resumes_equal(seed: int, tmp_path: Path) -> None:
    chance = random.Random(seed)
    data = contents(SIZE)
    whole = False
    cuts = 0
    while not whole:
        whole = cut_get(tmp_path, data, chance.randrange(1, SIZE // 4), True)
        cuts += not whole
        assert (tmp_path / "f").exists() == whole
        if cuts > 10:
            whole = cut_get(tmp_path, data, 10 * SIZE, True)
            break
    assert whole
    assert (tmp_path / "f").read_bytes() == data
    assert names_below(tmp_path) == ["f"]


def test_r37_a_cut_download_without_resume_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"the old one")
    assert not cut_get(tmp_path, contents(SIZE), 50_000, False)
    assert (tmp_path / "f").read_bytes() == b"the old one"
    assert names_below(tmp_path) == ["f"]


def test_r37_a_file_that_ends_before_its_size_is_cut_short(tmp_path: Path) -> None:
    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        if kind == m.READ and int.from_bytes(payload[-12:-4], "big") > 0:
            return m.pack_status(number, 1)
        return None

    server = FakeServer(twist, {})
    server.files[b"/f"] = bytearray(contents(100_000))

    async def body(client: SFTPClient) -> None:
        with pytest.raises(SFTPError, match="cut short"):
            await client.get("/f", tmp_path / "f")

    Memory(server).run(body)
    assert names_below(tmp_path) == []


def test_r37_an_end_before_data_that_has_come_is_asked_again_and_then_refused(tmp_path: Path) -> None:
    ends = [0]

    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        if kind == m.READ and int.from_bytes(payload[-12:-4], "big") == 0:
            ends[0] += 1
            return m.pack_status(number, 1) if ends[0] > 1 else []  # type: ignore[return-value]
        return None

    server = FakeServer(twist, {})
    server.files[b"/f"] = bytearray(contents(100_000))
    held: list[bytes] = []

    def late(kind: int, number: int, payload: bytes) -> "bytes | list[bytes] | None":
        if kind == m.READ and int.from_bytes(payload[-12:-4], "big") == 0:
            ends[0] += 1
            packet = m.pack_status(number, 1)
            if ends[0] == 1:
                held.append(packet)
                return []
            return packet
        if kind == m.READ and held:
            return [server.answer(kind, number, payload), held.pop()]
        return None

    server.twist = late

    async def body(client: SFTPClient) -> None:
        with pytest.raises(SFTPError, match="and does not"):
            await client.get("/f", tmp_path / "f")

    Memory(server).run(body)
    assert ends[0] == 4
    assert names_below(tmp_path) == []


def test_r35_set_uid_bits_are_not_taken_over(tmp_path: Path) -> None:
    server = FakeServer()
    server.files[b"/f"] = bytearray(b"data")
    server.attributes = lambda path: Attributes(4, 0, 0, 0o106755, 5, 6)  # type: ignore[method-assign]

    async def body(client: SFTPClient) -> None:
        await client.get("/f", tmp_path / "f", preserve=True)

    Memory(server).run(body)
    assert os.stat(tmp_path / "f").st_mode & 0o7777 == 0o755
    assert os.stat(tmp_path / "f").st_mtime == 6


def test_an_open_file_that_is_gone_is_the_builtin_error() -> None:
    async def body(client: SFTPClient) -> None:
        with pytest.raises(FileNotFoundError):
            await client.open("/none")
        with pytest.raises(SFTPNoSuchFile):
            await client.read_bytes("/none")

    Memory().run(body)
