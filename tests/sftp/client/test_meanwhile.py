"""What happens meanwhile: others who do the same, calls given up in the turn of their answer, slow disks."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

import sshkit
from sshkit.deferred import gather
from sshkit.sftp import messages as m
from sshkit.sftp import status, transfer_put
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.errors import SFTPConnectionLost, SFTPError, SFTPPermissionDenied, SFTPProtocolError
from sshkit.sftp.progress import Progress, TreeError
from tests.sftp.client.world import FakeServer, Memory, contents, names_below


@pytest.mark.parametrize("exist_ok", [True, False])
def test_a_directory_that_somebody_else_makes_meanwhile_is_as_good_as_ours(exist_ok: bool) -> None:
    server = FakeServer()
    asked: list[bytes] = []

    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        if kind != m.MKDIR:
            return None
        path = m.MkDir.decode(payload).path
        asked.append(path)
        if path == b"/a":
            server.folders.add(b"/a/b")  # by somebody else, as soon as there is a place for it
            return None
        return m.pack_status(number, status.FAILURE if path in server.folders else status.NO_SUCH_FILE)

    server.twist = twist

    async def main(client: SFTPClient) -> None:
        if exist_ok:
            await client.makedirs("/a/b", exist_ok=True)
        else:
            with pytest.raises(SFTPError):
                await client.makedirs("/a/b")

    Memory(server).run(main)
    assert asked == [b"/a/b", b"/a", b"/a/b"]


@pytest.mark.parametrize("mode", ["rb", "ab"])
def test_a_file_that_is_opened_in_the_turn_in_which_its_task_is_cancelled_is_closed(mode: str) -> None:
    server = FakeServer()
    server.files[b"/f"] = bytearray(b"x")
    memory = Memory(server)

    async def main() -> None:
        client = memory.connect()
        memory.network.settle()

        async def open_one() -> None:
            await client.open("/f", mode)

        task = asyncio.ensure_future(open_one())
        await asyncio.sleep(0)
        memory.network.settle()  # it is open, and the task will be told in the next turn of asyncio's loop
        assert server.handles
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        memory.network.settle()
        assert server.handles == {}
        assert server.requests.count(m.CLOSE) == 1

    asyncio.run(main())


def test_many_large_downloads_at_a_time_all_come_to_their_end(tmp_path: Path) -> None:
    server = FakeServer()
    data = contents(1_500_000)
    server.files[b"/f"] = bytearray(data)

    async def main(client: SFTPClient) -> None:
        await gather(*(client.get("/f", tmp_path / str(number)) for number in range(40)))

    Memory(server).run(main)
    assert {path.read_bytes() == data for path in tmp_path.iterdir()} == {True}
    assert len(names_below(tmp_path)) == 40


def test_a_server_that_gives_little_is_asked_for_the_rest_though_the_share_of_each_is_small(
    tmp_path: Path,
) -> None:
    server = FakeServer(extensions={})
    server.most = 20_000
    data = contents(700_000)
    server.files[b"/f"] = bytearray(data)

    async def main(client: SFTPClient) -> None:
        await gather(*(client.get("/f", tmp_path / str(number)) for number in range(150)))

    Memory(server).run(main)
    assert {path.read_bytes() == data for path in tmp_path.iterdir()} == {True}


def test_of_many_reads_that_are_refused_the_first_one_is_told(tmp_path: Path) -> None:
    server = FakeServer(extensions={})
    server.files[b"/f"] = bytearray(contents(300_000))
    codes = [status.PERMISSION_DENIED]

    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        return m.pack_status(number, codes.pop() if codes else status.FAILURE) if kind == m.READ else None

    server.twist = twist

    async def main(client: SFTPClient) -> None:
        with pytest.raises(SFTPPermissionDenied):
            await client.get("/f", tmp_path / "f")
        assert (await client.stat("/f")).size == 300_000  # the session goes on

    Memory(server).run(main)
    assert names_below(tmp_path) == []


def test_a_download_whose_callback_ends_the_session_fails_and_leaves_nothing(tmp_path: Path) -> None:
    server = FakeServer()
    server.files[b"/f"] = bytearray(contents(20_000_000))

    async def main(client: SFTPClient) -> None:
        def stop(progress: Progress) -> None:
            client.session.end(SFTPConnectionLost("enough"))

        with pytest.raises(SFTPConnectionLost, match="enough"):
            await client.get("/f", tmp_path / "f", progress=stop)

    Memory(server).run(main)
    assert names_below(tmp_path) == []


def test_r37_a_write_answered_with_data_ends_the_session(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")

    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        return m.pack_string(m.DATA, number, b"x") if kind == m.WRITE else None

    async def main(client: SFTPClient) -> None:
        with pytest.raises(SFTPProtocolError, match="to WRITE"):
            await client.put(tmp_path / "f", "/g")
        assert client.is_closed

    Memory(FakeServer(twist)).run(main)


def test_a_slow_disk_is_not_taken_for_a_silent_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = contents(600_000)
    (tmp_path / "f").write_bytes(data)
    memory = Memory(timeout=10.0)
    monkeypatch.setattr(transfer_put, "NOWAIT", 0)
    monkeypatch.setattr(transfer_put, "SLOW", -1.0)

    async def main(client: SFTPClient) -> None:
        def slowly(function: Any, *arguments: Any) -> "sshkit.Deferred[Any]":
            done: sshkit.Deferred[Any] = sshkit.Deferred()
            memory.network.call_later(60.0, lambda: done.callback(function(*arguments)))
            return done

        client.session.defer_to_thread = slowly
        await client.put(tmp_path / "f", "/g")

    memory.run(main)
    assert memory.server.files[b"/g"] == data
    assert memory.network.seconds() > 100.0


def test_requests_made_in_the_turn_in_which_the_connection_is_lost_fail() -> None:
    memory = Memory()

    async def main(client: SFTPClient) -> None:
        asked = [client.stat("/"), client.stat("/")]  # the second leaves with the turn
        client.session.connection_lost(OSError("cut"))
        for each in asked:
            with pytest.raises(SFTPConnectionLost, match="cut"):
                await each

    memory.run(main)


def test_a_connection_lost_before_the_limits_came_is_told() -> None:
    server = FakeServer()
    memory = Memory(server)

    def twist(kind: int, number: int, payload: bytes) -> "bytes | list[bytes] | None":
        if kind == m.EXTENDED:
            server.transport.close()
            return []
        return None

    server.twist = twist

    async def body() -> None:
        client = memory.connect()
        with pytest.raises(SFTPConnectionLost):
            await client.ready

    memory.network.run(body())


def test_a_read_that_was_given_up_is_answered_without_harm() -> None:
    held: list[bytes] = []

    def twist(kind: int, number: int, payload: bytes) -> "bytes | list[bytes] | None":
        if kind == m.READ:
            held.append(m.pack_string(m.DATA, number, b"abc"))
            return []
        return None

    server = FakeServer(twist)
    server.files[b"/f"] = bytearray(b"abc")

    async def main(client: SFTPClient) -> None:
        async with client.open("/f") as file:
            reading = file.pread(3, 0)
            reading.cancel()
            reading.add_errback(lambda _: None)
            await client.stat("/f")
            for packet in held:
                server.transport.write(packet)
            await client.stat("/f")
            server.twist = None
            assert await file.read() == b"abc"

    Memory(server).run(main)


def test_a_read_that_was_given_up_hears_nothing_of_the_end_of_the_session() -> None:
    def twist(kind: int, number: int, payload: bytes) -> "bytes | list[bytes] | None":
        return [] if kind == m.READ else None

    server = FakeServer(twist)
    server.files[b"/f"] = bytearray(b"abc")

    async def main(client: SFTPClient) -> None:
        file = await client.open("/f")
        reading = file.pread(3, 0)
        reading.cancel()
        with pytest.raises(sshkit.CancelledError):
            await reading
        client.session.end(SFTPConnectionLost("over"))
        with pytest.raises(SFTPConnectionLost):
            await file.read()
        await file.close()

    Memory(server).run(main)


def test_a_read_whose_position_moves_meanwhile_returns_nothing_of_the_old_place() -> None:
    server = FakeServer()
    server.files[b"/f"] = bytearray(b"0123456789")

    async def main(client: SFTPClient) -> None:
        async with client.open("/f") as file:
            reading = file.read(4)
            await file.seek(6)
            assert await reading in (b"", b"6789")
            await file.seek(6)
            assert await file.read(4) == b"6789"

    Memory(server).run(main)


class NoTimes(FakeServer):
    """A server whose files have neither times nor modes."""

    def attributes(self, path: bytes) -> Any:
        found = super().attributes(path)
        found.atime = found.mtime = None
        if path in self.folders:
            return found
        found.permissions = 0o100640
        return found


def test_a_server_that_tells_no_times_gives_what_it_has(tmp_path: Path) -> None:
    server = NoTimes()
    server.folders.add(b"/t")
    server.files[b"/t/small"] = bytearray(b"x")
    server.files[b"/t/large"] = bytearray(contents(400_000))

    async def main(client: SFTPClient) -> None:
        await client.get("/t", tmp_path / "t", recursive=True, preserve=True)
        await client.get("/t/large", tmp_path / "large", preserve=True)

    Memory(server).run(main)
    assert names_below(tmp_path) == ["large", "t", "t/large", "t/small"]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "t").iterdir()} == {0o640}


def test_a_file_that_grows_while_it_is_sent_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "f").write_bytes(b"12345")
    real = os.read

    def shorter(descriptor: int, size: int) -> bytes:
        return real(descriptor, size)[:-1]

    async def main(client: SFTPClient) -> None:
        monkeypatch.setattr(os, "read", shorter)
        try:
            with pytest.raises(TreeError, match="changed while it was read"):
                await client.put(tmp_path / "t", "/t", recursive=True)
        finally:
            monkeypatch.undo()

    memory = Memory()
    memory.run(main)
    assert b"/t/f" not in memory.server.files


def test_a_tree_that_is_given_up_begins_none_of_the_files_that_wait(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    for number in range(8):
        (tmp_path / "t" / str(number)).write_bytes(b"x")

    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        return m.pack_status(number, status.PERMISSION_DENIED) if kind == m.OPEN else None

    server = FakeServer(twist)

    async def main(client: SFTPClient) -> None:
        with pytest.raises(SFTPPermissionDenied):
            await client.put(tmp_path / "t", "/t", recursive=True, parallel=2, errors="raise")

    Memory(server).run(main)
    assert server.requests.count(m.OPEN) < 8


def test_a_download_that_is_alone_with_its_one_read_fails_when_its_callback_ends_the_session(
    tmp_path: Path,
) -> None:
    server = FakeServer(extensions={})
    server.files[b"/f"] = bytearray(contents(100_000))

    async def main(client: SFTPClient) -> None:
        client.session.transfers = 1000  # so many share what may be in flight: one READ each

        def stop(progress: Progress) -> None:
            client.session.end(SFTPConnectionLost("enough"))

        with pytest.raises(SFTPConnectionLost, match="enough"):
            await client.get("/f", tmp_path / "f", progress=stop)

    Memory(server).run(main)
    assert names_below(tmp_path) == []


def test_r37_a_file_that_ends_and_then_goes_on_is_no_whole_file(tmp_path: Path) -> None:
    server = FakeServer(extensions={})
    server.files[b"/f"] = bytearray(contents(200_000))
    reads = [0]

    def twist(kind: int, number: int, payload: bytes) -> bytes | None:
        if kind == m.READ:
            reads[0] += 1
            if reads[0] == 3:  # an end in the middle, and data behind it
                return m.pack_status(number, status.EOF)
        return None

    server.twist = twist

    async def main(client: SFTPClient) -> None:
        with pytest.raises(SFTPError, match="and does not"):
            await client.get("/f", tmp_path / "f")

    Memory(server).run(main)
    assert names_below(tmp_path) == []


async def fail_in_the_block(client: SFTPClient) -> None:
    async with client.open("/f") as file:
        await file.close()
        raise ZeroDivisionError


def test_a_file_closed_before_an_error_leaves_the_error_as_it_is() -> None:
    server = FakeServer()
    server.files[b"/f"] = bytearray(b"x")

    async def main(client: SFTPClient) -> None:
        with pytest.raises(ZeroDivisionError):
            await fail_in_the_block(client)

    Memory(server).run(main)
    assert server.requests.count(m.CLOSE) == 1


@pytest.mark.parametrize("before", range(7))
def test_a_listener_that_gives_up_does_not_disturb_the_transfer(tmp_path: Path, before: int) -> None:
    server = FakeServer()
    server.files[b"/f"] = bytearray(b"x")

    async def main(client: SFTPClient) -> None:
        transfer = client.get("/f", tmp_path / "f")
        for _ in range(before):
            await client.stat("/f")

        async def listen() -> None:
            async for _ in transfer.events():
                pass

        listening = sshkit.ensure_deferred(listen())
        listening.cancel()
        listening.add_errback(lambda _: None)
        await transfer

    Memory(server).run(main)
    assert names_below(tmp_path) == ["f"]


def test_a_client_that_is_given_up_before_it_has_a_channel_says_so() -> None:
    client = SFTPClient.over(
        Memory().network, defer_to_thread=Memory().network.defer_to_thread, random_bytes=bytes
    )
    client.ready.cancel()
    assert client.is_closed
    client.ready.add_errback(lambda _: None)
