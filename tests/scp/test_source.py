"""The side that sends files; and both sides together."""

import os
from pathlib import Path
from typing import Any

import pytest

from sshkit.scp import source as source_module
from sshkit.scp.messages import SCPConnectionLost, SCPProtocolError
from sshkit.scp.sink import Sink
from sshkit.scp.source import CHUNK, TURN, Source
from sshkit.testing.clock import MemoryClock
from tests.scp.world import Seen, Stream, copy, outcome


def tree(folder: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "empty").touch()
    (folder / "small").write_bytes(b"small")
    (folder / "sub" / "large").write_bytes(os.urandom(3 * CHUNK + 17))
    (folder / "sub" / "deep" / "name with spaces").write_bytes(b"x")
    os.utime(folder / "small", (1_000_000_000, 1_100_000_000))
    os.utime(folder / "sub", (1_000_000_000, 1_100_000_000))
    (folder / "small").chmod(0o604)
    return folder


def make(*paths: Path, **options: Any) -> tuple[Source, Stream, Seen]:
    seen = Seen()
    source = Source([os.fsencode(path) for path in paths], MemoryClock(), observer=seen, **options)
    return source, Stream(source), seen


@pytest.mark.parametrize("chop", [None, 1000])
@pytest.mark.parametrize("preserve", [False, True])
def test_a_tree_arrives_as_it_is(files: Path, tmp_path: Path, preserve: bool, chop: int | None) -> None:
    clock = MemoryClock()
    target = tmp_path / "target"
    target.mkdir()
    seen = Seen()
    source = Source([os.fsencode(files)], clock, recursive=True, preserve=preserve, observer=seen)
    sink = Sink(os.fsencode(target), clock, recursive=True, preserve=preserve)
    copy(source, sink, clock, chop)
    assert (outcome(source), outcome(sink)) == (0, 0)
    assert tree(target / "files") == tree(files)
    assert (target / "files" / "small").stat().st_mode & 0o777 == 0o604
    kept = (target / "files" / "small").stat().st_mtime == 1_100_000_000
    assert kept == preserve
    assert ((target / "files" / "sub").stat().st_mtime == 1_100_000_000) == preserve
    assert seen.ended == len(seen.files) == 4
    assert seen.bytes == 3 * CHUNK + 17 + 6


def test_a_limit_of_the_rate_holds_on_both_sides(files: Path, tmp_path: Path) -> None:
    clock = MemoryClock()
    source = Source([os.fsencode(files / "sub" / "large")], clock, observer=Seen(pause=1.0))
    sink = Sink(os.fsencode(tmp_path / "out"), clock)
    copy(source, sink, clock)
    assert outcome(source) == 0
    assert clock.seconds() >= 3
    assert (tmp_path / "out").stat().st_size == 3 * CHUNK + 17


def test_a_long_file_leaves_turns_to_others(tmp_path: Path) -> None:
    (tmp_path / "long").write_bytes(b"x" * (TURN + CHUNK))
    source, stream, seen = make(tmp_path / "long")
    stream.say(b"\0")
    stream.say(b"\0")
    assert seen.bytes == TURN
    source.resume_writing()  # while it waits for its turn
    assert seen.bytes == TURN
    source.clock.advance(0.1)  # type: ignore[attr-defined]
    assert seen.bytes == TURN + CHUNK
    stream.say(b"\0")
    assert outcome(source) == 0


def test_the_lines_are_those_of_scp(files: Path) -> None:
    source, stream, _ = make(files / "small", preserve=True)
    assert stream.say(b"\0") == b"T1100000000 0 1000000000 0\n"
    assert stream.say(b"\0") == b"C0604 5 small\n"
    assert stream.say(b"\0") == b"small\0"
    assert stream.say(b"\0") == b""
    assert outcome(source) == 0


def test_a_file_may_have_another_name_there(files: Path) -> None:
    source, stream, _ = make(files / "small", name=b"other")
    assert stream.say(b"\0") == b"C0604 5 other\n"
    source.stop()


@pytest.mark.parametrize("preserve", [False, True])
def test_what_the_sink_refuses_is_left_out(files: Path, preserve: bool) -> None:
    source, stream, seen = make(
        files / "small", files / "sub", files / "empty", recursive=True, preserve=preserve
    )
    stream.say(b"\0")
    stream.say(b"\1scp: small: Permission ")
    stream.say(b"denied\n")
    stream.say(b"\1scp: sub: no\n")
    assert stream.say(b"\1no\n") == b""
    assert outcome(source) == 3
    assert [text for text, _ in seen.texts] == ["scp: small: Permission denied", "scp: sub: no", "no"]


def test_a_fatal_complaint_ends_it(files: Path) -> None:
    source, stream, _ = make(files / "small", files / "empty")
    assert stream.say(b"\2scp: target: Not a directory\n") == b""
    assert outcome(source) == 1


def test_what_cannot_be_sent_is_told_to_both(files: Path, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    source, stream, seen = make(tmp_path / "no", tmp_path / "pipe", files)
    said = stream.say(b"\0")
    assert said.count(b"\1scp: ") == 3
    assert outcome(source) == 3
    assert "No such file or directory" in seen.texts[0][0]
    assert "not a regular file" in seen.texts[1][0]
    assert "not a regular file" in seen.texts[2][0]


def test_a_file_that_shrinks_is_told_and_the_stream_stays_in_step(files: Path) -> None:
    source, stream, seen = make(files / "small", files / "empty")
    stream.say(b"\0")
    (files / "small").write_bytes(b"s")
    said = stream.say(b"\0")
    assert said.startswith(b"s\0\0\0\0\1scp: ")
    assert "became shorter" in seen.texts[0][0]
    assert stream.say(b"\0") == b"C0644 0 empty\n"
    source.stop()


def test_a_disk_that_fails_is_told(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def preadv(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(source_module.os, "preadv", preadv)
    source, stream, seen = make(files / "sub" / "large")
    stream.say(b"\0")
    stream.say(b"\0")
    assert "Input/output error" in seen.texts[0][0]
    assert seen.bytes == 3 * CHUNK + 17
    source.stop()


def test_a_folder_that_cannot_be_read_is_told(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def listdir(path: bytes) -> list[bytes]:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(source_module.os, "listdir", listdir)
    source, stream, _ = make(files, recursive=True)
    assert b"Permission denied" in stream.say(b"\0")
    assert outcome(source) == 1


def test_a_link_that_leads_round_in_circles_ends(files: Path, tmp_path: Path) -> None:
    (files / "sub" / "deep" / "up").symlink_to(files)
    clock = MemoryClock()
    source = Source([os.fsencode(files)], clock, recursive=True)
    sink = Sink(os.fsencode(tmp_path / "out"), clock, recursive=True)
    copy(source, sink, clock)
    assert (outcome(source), outcome(sink)) == (1, 1)


def test_folders_that_are_nested_too_deep_are_told(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "MAX_DEPTH", 1)
    source, stream, seen = make(files, recursive=True)
    said = b""
    for _ in range(20):
        if not source.over:
            said += stream.say(b"\0")
    assert outcome(source) == 1
    assert "nested too deep" in seen.texts[0][0]


@pytest.mark.parametrize("said", [b"Welcome!\n", b"\0\0\0"])
def test_r37_what_is_no_answer_ends_the_copy(files: Path, said: bytes) -> None:
    source, stream, _ = make(files / "sub" / "large")
    source.pause_writing()
    stream.say(said)
    assert isinstance(outcome(source), SCPProtocolError)


def test_r37_a_lost_connection_is_an_error(files: Path) -> None:
    source, stream, _ = make(files / "small")
    stream.say(b"\0")
    source.channel_closed(None)
    assert isinstance(outcome(source), SCPConnectionLost)


def test_it_waits_while_the_stream_is_full(files: Path) -> None:
    source, stream, seen = make(files / "sub" / "large")
    stream.say(b"\0")
    source.pause_writing()
    stream.say(b"\0")
    assert seen.bytes == 0
    source.resume_writing()
    assert seen.bytes == 3 * CHUNK + 17
    source.stop()


def test_it_stops_within_a_write(files: Path) -> None:
    source, stream, seen = make(files / "sub" / "large")
    stream.say(b"\0")

    def write(data: object) -> None:
        source.connection_lost(ConnectionResetError("gone"))

    stream.write = write  # type: ignore[method-assign]
    stream.say(b"\0")
    assert isinstance(outcome(source), SCPConnectionLost)
    assert seen.bytes == 0


def test_a_fault_of_the_observer_ends_the_copy(files: Path) -> None:
    source, stream, seen = make(files / "small")
    seen.file_started = lambda name, size: 1 / 0  # type: ignore[assignment,method-assign]
    stream.say(b"\0")
    stream.say(b"\0")
    assert isinstance(outcome(source), ZeroDivisionError)
    source.stop()


def test_the_observer_may_end_it_while_it_speaks(tmp_path: Path) -> None:
    source, stream, seen = make(tmp_path / "no")
    seen.complained = lambda text, remote: source.fail(RuntimeError("enough"))  # type: ignore[method-assign]
    stream.say(b"\0")
    assert isinstance(outcome(source), RuntimeError)


def test_a_channel_may_carry_it(files: Path) -> None:
    source = Source([os.fsencode(files / "small")], MemoryClock())

    class Channel:
        said = b""

        def write(self, data: Any) -> None:
            self.said += bytes(data)

    channel = Channel()
    source.channel_opened(channel, b"")  # type: ignore[arg-type]
    source.begin()
    source.data_received(b"\0")
    assert channel.said == b"C0604 5 small\n"
    source.finished.cancel()
    assert source.over


def test_a_peer_alone_takes_nothing() -> None:
    from sshkit.scp.peer import Observer, Peer

    peer = Peer(MemoryClock(), None)
    peer.begin()
    peer.data_received(b"x")
    assert isinstance(outcome(peer), NotImplementedError)
    assert Observer().moved(3) == 0.0
    Observer().file_started(b"", 0)
    Observer().file_ended()
    Observer().complained("", False)
