"""The side that takes files: what it writes, and what it refuses."""

import os
from pathlib import Path
from typing import Any

import pytest

from sshkit.scp import sink as sink_module
from sshkit.scp.messages import MAX_LINE, SCPConnectionLost, SCPProtocolError
from sshkit.scp.peer import MAX_DEPTH
from sshkit.scp.sink import Sink
from sshkit.testing.clock import MemoryClock
from tests.scp.world import Seen, Stream, outcome


def make(target: Path, **options: Any) -> tuple[Sink, Stream, Seen]:
    seen = Seen()
    sink = Sink(os.fsencode(target), MemoryClock(), observer=seen, **options)
    return sink, Stream(sink), seen


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_a_file_is_written_and_answered(tmp_path: Path) -> None:
    sink, stream, seen = make(tmp_path)
    assert stream.written == b"\0"
    assert stream.say(b"C0640 5 name\n") == b"\0"
    assert stream.say(b"hel") == b""
    assert stream.say(b"lo\0") == b"\0"
    sink.eof_received()
    assert outcome(sink) == 0
    assert (tmp_path / "name").read_bytes() == b"hello"
    assert (tmp_path / "name").stat().st_mode & 0o777 == 0o640
    assert seen.files == [(b"name", 5)]
    assert (seen.bytes, seen.ended) == (5, 1)


def test_everything_may_come_byte_by_byte_or_at_once(tmp_path: Path) -> None:
    said = b"T9 0 8 0\nD0755 0 d\nC0600 2 a\nxy\0C0600 0 b\n\0E\nC0600 1 c\nz\0"
    for step in (1, 3, len(said)):
        target = tmp_path / str(step)
        target.mkdir()
        sink, stream, _ = make(target, recursive=True, preserve=True)
        answers = b"".join(stream.say(said[start : start + step]) for start in range(0, len(said), step))
        sink.eof_received()
        assert outcome(sink) == 0
        assert answers == b"\0" * 9
        assert (target / "d" / "a").read_bytes() == b"xy"
        assert (target / "d" / "b").read_bytes() == b""
        assert (target / "c").read_bytes() == b"z"
        assert (target / "d").stat().st_mtime == 9


def test_a_target_that_is_no_folder_is_the_file_itself(tmp_path: Path) -> None:
    sink, stream, _ = make(tmp_path / "here")
    stream.say(b"C0644 1 other\nx\0")
    sink.connection_lost(None)
    assert outcome(sink) == 0
    assert (tmp_path / "here").read_bytes() == b"x"


def test_a_folder_becomes_the_target_that_is_not_there(tmp_path: Path) -> None:
    sink, stream, _ = make(tmp_path / "here", recursive=True)
    assert stream.say(b"D0755 0 other\nC0644 1 f\nx\0E\n") == b"\0\0\0\0"
    sink.eof_received()
    assert outcome(sink) == 0
    assert (tmp_path / "here" / "f").read_bytes() == b"x"


def test_a_target_that_must_be_a_folder_and_is_none_ends_the_copy(tmp_path: Path) -> None:
    sink, stream, seen = make(tmp_path / "no", must_be_folder=True)
    assert stream.written == b"\2scp: " + os.fsencode(tmp_path / "no") + b": No such file or directory\n"
    assert outcome(sink) == 1
    assert not seen.texts[0][1]


def test_r35_a_file_that_was_not_asked_for_is_refused(tmp_path: Path) -> None:
    sink, stream, _ = make(tmp_path, wanted=lambda name: name == b"mine")
    assert stream.say(b"C0644 1 mine\nx\0") == b"\0\0"
    assert stream.say(b"C0644 1 .bashrc\n").startswith(b"\2scp: protocol error: ")
    assert isinstance(outcome(sink), SCPProtocolError)
    assert os.listdir(tmp_path) == ["mine"]


def test_r35_a_folder_that_was_not_asked_for_is_refused_but_names_in_it_are_free(tmp_path: Path) -> None:
    sink, stream, _ = make(tmp_path, recursive=True, wanted=lambda name: name == b"mine")
    assert stream.say(b"D0755 0 mine\nC0644 1 any\nx\0E\n") == b"\0\0\0\0"
    stream.say(b"D0755 0 .ssh\n")
    assert isinstance(outcome(sink), SCPProtocolError)


def test_r35_nothing_is_written_through_a_link_in_the_target(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("precious")
    (tmp_path / "folder").mkdir()
    target = tmp_path / "target"
    target.mkdir()
    (target / "file").symlink_to(outside)
    (target / "sub").symlink_to(tmp_path / "folder")
    sink, stream, seen = make(target, recursive=True)
    assert stream.say(b"C0644 1 file\n").startswith(b"\1scp: ")
    assert stream.say(b"D0755 0 sub\n").startswith(b"\1scp: ")
    sink.eof_received()
    assert outcome(sink) == 2
    assert outside.read_text() == "precious"
    assert len(seen.texts) == 2


def test_the_target_that_the_user_named_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    sink, stream, _ = make(tmp_path / "link")
    stream.say(b"C0644 1 f\nx\0")
    sink.eof_received()
    assert outcome(sink) == 0
    assert (tmp_path / "real" / "f").exists()


def test_r35_set_uid_bits_are_dropped(tmp_path: Path) -> None:
    sink, stream, _ = make(tmp_path, recursive=True, preserve=True)
    stream.say(b"C6755 1 f\nx\0D7755 0 d\nE\n")
    sink.eof_received()
    assert (tmp_path / "f").stat().st_mode & 0o7777 == 0o755
    assert (tmp_path / "d").stat().st_mode & 0o7777 == 0o755


def test_r35_a_folder_without_r_is_refused(tmp_path: Path) -> None:
    sink, stream, _ = make(tmp_path)
    assert b"received a directory without -r" in stream.say(b"D0755 0 d\n")
    assert isinstance(outcome(sink), SCPProtocolError)
    assert os.listdir(tmp_path) == []


def test_r35_folders_end_somewhere(tmp_path: Path) -> None:
    before = descriptors()
    sink, stream, _ = make(tmp_path, recursive=True)
    stream.say(b"D0755 0 d\n" * (MAX_DEPTH + 1))
    assert "below each other" in str(outcome(sink))
    assert descriptors() == before


def test_r37_a_file_that_is_cut_is_told_and_as_short_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"o" * 100)
    before = descriptors()
    sink, stream, _ = make(tmp_path)
    stream.say(b"C0644 50 f\n" + b"n" * 20)
    sink.eof_received()
    error = outcome(sink)
    assert isinstance(error, SCPConnectionLost)
    assert "after 20 of 50 bytes" in str(error)
    assert (tmp_path / "f").read_bytes() == b"n" * 20
    assert descriptors() == before


def test_r37_a_device_that_is_cut_is_told_too(tmp_path: Path) -> None:
    sink, stream, _ = make(Path("/dev/null"))
    stream.say(b"C0644 50 f\nx")
    sink.connection_lost(ConnectionResetError("reset"))
    error = outcome(sink)
    assert isinstance(error, SCPConnectionLost)
    assert isinstance(error.__cause__, ConnectionResetError)


def test_the_end_within_a_folder_or_a_line_is_a_lost_connection(tmp_path: Path) -> None:
    for said in (b"D0755 0 d\n", b"C0644 1"):
        sink, stream, _ = make(tmp_path, recursive=True)
        stream.say(said)
        sink.eof_received()
        assert "lost connection" in str(outcome(sink))


def test_a_full_disk_is_told_to_the_source_and_the_next_file_arrives(tmp_path: Path) -> None:
    sink, stream, seen = make(Path("/dev/full"))
    assert stream.say(b"C0644 5 f\n") == b"\0"
    assert stream.say(b"12") == b""
    assert stream.say(b"345\0") == b"\1scp: /dev/full: No space left on device\n"
    sink.eof_received()
    assert outcome(sink) == 1
    assert seen.texts == [("/dev/full: No space left on device", False)]


def test_a_write_that_takes_a_part_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(sink_module.os, "write", lambda fd, data: real(fd, data[:2]))
    sink, stream, _ = make(tmp_path)
    stream.say(b"C0644 5 f\nhello\0")
    assert (tmp_path / "f").read_bytes() == b"hello"
    sink.eof_received()


def test_an_error_of_close_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.close

    def close(fd: int) -> None:
        real(fd)
        raise OSError(122, "Disk quota exceeded")

    sink, stream, _ = make(tmp_path)
    stream.say(b"C0644 1 f\nx")
    with monkeypatch.context() as patch:
        patch.setattr(sink_module.os, "close", close)
        answer = stream.say(b"\0")
    assert answer.startswith(b"\1scp: ")
    assert answer.endswith(b"Disk quota exceeded\n")
    sink.stop()


def test_an_error_of_the_times_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def utime(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(sink_module.os, "utime", utime)
    sink, stream, _ = make(tmp_path, recursive=True)
    assert b"Operation not permitted" in stream.say(b"T1 0 1 0\nC0644 1 f\nx\0")
    assert b"Operation not permitted" in stream.say(b"T1 0 1 0\nD0755 0 d\nE\n")
    sink.eof_received()
    assert outcome(sink) == 2


def test_what_the_source_says_of_a_file_is_shown(tmp_path: Path) -> None:
    sink, stream, seen = make(tmp_path)
    assert stream.say(b"\1scp: a: No such file or directory\n") == b""
    assert stream.say(b"C0644 2 f\nxy\1scp: f: Input/output error\n") == b"\0\0"
    sink.eof_received()
    assert outcome(sink) == 2
    assert seen.texts == [
        ("scp: a: No such file or directory", True),
        ("scp: f: Input/output error", True),
    ]


def test_a_verdict_may_come_in_pieces(tmp_path: Path) -> None:
    sink, stream, seen = make(tmp_path)
    stream.say(b"C0644 0 f\n\1scp:")
    stream.say(b" bad\n")
    assert seen.texts == [("scp: bad", True)]
    sink.stop()


@pytest.mark.parametrize("said", [b"\2scp: over\n", b"C0644 0 f\n\2scp: over\n"])
def test_nothing_is_awaited_after_a_fatal_complaint(tmp_path: Path, said: bytes) -> None:
    sink, stream, _ = make(tmp_path)
    stream.say(said)
    assert outcome(sink) == 1
    assert stream.say(b"C0644 1 g\n") == b""


@pytest.mark.parametrize(
    "said",
    [
        b"\n",
        b"Welcome to this host!\n",
        b"E\n",
        b"C0644 0 f\nhello\n",
        b"C0644 0 f\nE\n",
        b"x" * (MAX_LINE + 1),
    ],
)
def test_r37_what_is_no_protocol_ends_the_copy(tmp_path: Path, said: bytes) -> None:
    before = descriptors()
    sink, stream, _ = make(tmp_path)
    stream.say(said)
    assert isinstance(outcome(sink), SCPProtocolError)
    assert descriptors() == before


def test_a_place_where_nothing_can_be_made_is_told(tmp_path: Path) -> None:
    sink, stream, _ = make(tmp_path / "no" / "such", recursive=True)
    assert b"No such file or directory" in stream.say(b"C0644 1 f\n")
    assert b"No such file or directory" in stream.say(b"D0755 0 d\n")
    sink.eof_received()
    assert outcome(sink) == 2


def test_a_folder_that_is_there_keeps_its_mode_unless_it_is_preserved(tmp_path: Path) -> None:
    for preserve, mode in ((False, 0o700), (True, 0o755)):
        folder = tmp_path / "d"
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
        sink, stream, _ = make(tmp_path, recursive=True, preserve=preserve)
        assert stream.say(b"D0755 0 d\nE\n") == b"\0\0"
        sink.eof_received()
        assert folder.stat().st_mode & 0o777 == mode


def test_a_longer_file_is_cut_to_its_new_size(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"long and old")
    sink, stream, _ = make(tmp_path)
    stream.say(b"C0644 3 f\nnew\0")
    assert (tmp_path / "f").read_bytes() == b"new"
    sink.eof_received()


def test_an_observer_slows_the_sink_down(tmp_path: Path) -> None:
    clock = MemoryClock()
    seen = Seen(pause=2.0)
    sink = Sink(os.fsencode(tmp_path), clock, observer=seen)
    stream = Stream(sink)
    stream.say(b"C0644 4 f\nxy")
    assert stream.paused
    clock.advance(2.0)
    assert not stream.paused
    stream.say(b"z")
    sink.connection_lost(None)
    stream.paused = True
    clock.advance(5.0)
    assert stream.paused  # it is over: nobody cares
    with pytest.raises(SCPConnectionLost, match="after 3 of 4 bytes"):
        sink.finished.result()


def test_a_sink_needs_no_observer_and_can_be_given_up(tmp_path: Path) -> None:
    before = descriptors()
    sink = Sink(os.fsencode(tmp_path), MemoryClock())
    stream = Stream(sink)
    stream.say(b"\1scp: no\nC0644 4 f\nxy\1")
    stream.say(b"C0644 4 f\nxy")
    sink.finished.cancel()
    assert sink.over
    sink.finished.add_errback(lambda failure: failure.trap(SCPProtocolError))
    assert descriptors() == before


def test_a_fault_of_ours_ends_the_copy(tmp_path: Path) -> None:
    sink, stream, seen = make(tmp_path)
    seen.moved = lambda count: 1 / 0  # type: ignore[method-assign]
    stream.say(b"C0644 4 f\nxy")
    assert isinstance(outcome(sink), ZeroDivisionError)
