"""Recordings: what is in the file, what a full disk does, damaged files, playing and watching."""

import contextlib
import json
import os
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from random import Random
from typing import Any

import pytest

import sshkit
from sshkit.deferred import fail
from sshkit.server.middleware import chain, elapsed, logging, recording
from sshkit.server.recordings import (
    Event,
    Header,
    LiveSessions,
    NoSuchSession,
    Recording,
    RecordingError,
    RecordingFile,
    open_recording,
    play,
    recorder_of,
)
from sshkit.server.recordings import file as file_module
from sshkit.server.recordings import live as live_module
from sshkit.server.recordings.format import format_event, format_header
from sshkit.server.recordings.live import Screen
from tests.server.test_serve import World


async def talk(session: sshkit.Session) -> int:
    """Echo what is typed, but for a password."""
    out = session.stdout
    out.write("name? ")
    name = await session.stdin.read_until(b"\r")
    out.write(name)
    out.write("\npassword? ")
    await session.stdin.read_until(b"\r")
    recorder = recorder_of(session)
    assert recorder is not None
    recorder.mark("logged in")
    out.write("\r\nwelcome \u20ac\r\n")
    session.stderr.write(b"\xe2\x82")
    session.stderr.write(b"\xac!")
    await session.stdin.read()
    return 4


async def drive(world: World, pause: float = 1.0) -> sshkit.Result:
    """Use `talk`."""
    async with world.connect() as connection:
        process = await connection.start(None, terminal="xterm", size=sshkit.TerminalSize(90, 30))
        await world.later(pause)
        process.stdin.write("ann\r")
        await world.later(pause)
        process.stdin.write("secret\r")
        await world.later(pause)
        process.resize(sshkit.TerminalSize(100, 40))
        result: sshkit.Result = await process.communicate()
        return result


def recorded(folder: Path) -> list[Any]:
    (path,) = folder.iterdir()
    return [json.loads(line) for line in path.read_text().splitlines()]


def codes(lines: list[Any], code: str) -> list[str]:
    return [data for _, found, data in lines[1:] if found == code]


def test_a_session_is_recorded_in_version_2(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        assert (await drive(world)).exit_status == 4

    World(chain(talk, recording(tmp_path, title=lambda session: f"of {session.user}"))).run(test)
    lines = recorded(tmp_path)
    header = lines[0]
    assert {name: header[name] for name in ("version", "width", "height", "title", "env")} == {
        "version": 2,
        "width": 90,
        "height": 30,
        "title": "of ann",
        "env": {"TERM": "xterm"},
    }
    assert "".join(codes(lines, "o")) == "name? ann\r\npassword? \r\nwelcome \u20ac\r\n\u20ac!"
    assert codes(lines, "r") == ["100x40"]
    assert codes(lines, "m") == ["logged in", "exit 4"]
    assert codes(lines, "i") == []
    times = [line[0] for line in lines[1:]]
    assert times == sorted(times)
    assert 3 <= times[-1] < 3.1
    (path,) = tmp_path.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert "-ann-" in path.name


def test_a_session_is_recorded_in_version_3(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await drive(world)

    World(chain(talk, recording(lambda session: tmp_path / "it.cast", version=3))).run(test)
    lines = recorded(tmp_path)
    assert lines[0]["term"] == {"cols": 90, "rows": 30, "type": "xterm"}
    assert lines[-1][1:] == ["x", "4"]
    assert 3 <= sum(line[0] for line in lines[1:]) < 3.1
    with open_recording(tmp_path / "it.cast") as found:
        assert found.header.version == 3
        events = list(found)
    assert 3 <= events[-1].time < 3.1
    assert next(event for event in events if event.code == "r").size == (100, 40)


def test_r43_input_is_recorded_only_where_it_was_echoed(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await drive(world)

    World(chain(talk, recording(tmp_path, input="echoed"))).run(test)
    lines = recorded(tmp_path)
    assert codes(lines, "i") == ["ann\r", "\r"]
    assert "secret" not in json.dumps(lines)


def test_all_input_is_recorded_where_that_was_asked_for(tmp_path: Path) -> None:
    async def test(world: World) -> None:
        await drive(world)

    World(chain(talk, recording(tmp_path, input="all"))).run(test)
    assert codes(recorded(tmp_path), "i") == ["ann\r", "secret\r"]


def test_of_keys_typed_unseen_only_those_that_end_something_are_recorded(
    tmp_path: Path,
) -> None:
    async def silent(session: sshkit.Session) -> None:
        await session.stdin.read()

    async def test(world: World) -> None:
        async with world.connect() as connection:
            process = await connection.start(None, terminal="xterm")
            for typed in ("\x03", "a", "bc", "x" * 2000, "\x04"):
                process.stdin.write(typed)
                await world.later()
            await process.communicate()

    World(chain(silent, recording(tmp_path, input="echoed"))).run(test)
    assert codes(recorded(tmp_path), "i") == ["\x03", "\x04"]


def test_the_end_by_a_signal_and_by_a_client_that_goes_are_recorded(tmp_path: Path) -> None:
    async def killed(session: sshkit.Session) -> None:
        session.exit_by_signal("TERM")

    async def waits(session: sshkit.Session) -> None:
        await sshkit.Deferred()

    async def test(world: World) -> None:
        async with world.connect() as connection:
            await connection.run("x")
            await connection.start("y")
        await world.later()

    def path(session: sshkit.Session) -> Path:
        return tmp_path / str(session.command)

    async def either(session: sshkit.Session) -> None:
        await (killed if session.command == "x" else waits)(session)

    World(chain(either, recording(path))).run(test)
    assert json.loads((tmp_path / "x").read_text().splitlines()[-1])[1:] == ["m", "exit TERM"]
    assert len((tmp_path / "y").read_text().splitlines()) == 1


def test_a_session_that_is_not_to_be_recorded_is_not(tmp_path: Path) -> None:
    async def handler(session: sshkit.Session) -> None:
        assert recorder_of(session) is None

    async def test(world: World) -> None:
        async with world.connect() as connection:
            assert (await connection.run("x")).exit_status == 0

    World(chain(handler, elapsed(), logging(), recording(lambda session: None))).run(test)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("required", [False, True])
def test_r22_no_recording_takes_the_place_of_a_file(tmp_path: Path, required: bool) -> None:
    (tmp_path / "it").write_text("precious")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")

    async def handler(session: sshkit.Session) -> int:
        return 6

    async def test(world: World) -> None:
        async with world.connect() as connection:
            for name in ("it", "link"):
                assert (await connection.run(name)).exit_status == (1 if required else 6)

    world = World(chain(handler, recording(lambda s: tmp_path / str(s.command), required=required)))
    world.run(test)
    assert (tmp_path / "it").read_text() == "precious"
    assert not (tmp_path / "elsewhere").exists()
    assert any("no recording of command 'it'" in line and "File exists" in line for line in world.log)


@pytest.mark.parametrize("required", [False, True])
def test_a_full_disk_ends_the_session_only_where_it_must_be_recorded(
    required: bool,
) -> None:
    async def handler(session: sshkit.Session) -> int:
        session.stdout.write("first\r\n")
        await session.stdin.read()
        session.stdout.write("last\r\n")
        return 6

    async def test(world: World) -> None:
        async with world.connect() as connection:
            process = await connection.start(None)
            result = await process.communicate("input")
            assert result.exit_status == (1 if required else 6)
            assert (b"last" in result.stdout) != required
            assert (b"cannot be recorded any more" in result.stderr) == required

    # Nothing can be made in place of /dev/full: take the flag away that would refuse it.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_module, "FLAGS", os.O_WRONLY)
        world = World(chain(handler, recording(lambda s: "/dev/full", required=required)))
        world.run(test)
    assert [line for line in world.log if line.startswith("error")] == [
        "error: 127.0.0.1: recording ended: /dev/full: No space left on device"
    ]


class Threads:
    """Threads that work when told to."""

    def __init__(self) -> None:
        self.jobs: list[tuple[Any, Any]] = []

    def defer_to_thread(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        waiter: sshkit.Deferred[Any] = sshkit.Deferred()
        self.jobs.append((function, waiter))
        return waiter

    def work(self) -> None:
        function, waiter = self.jobs.pop(0)
        waiter.callback(function())


def make_file(path: Path) -> tuple[Any, Threads, list[Any]]:
    threads: Any = Threads()
    told: list[Any] = []
    return RecordingFile(path, threads, told.append, told.append), threads, told


def test_r24_a_slow_disk_pauses_the_session_and_then_ends_the_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_module, "HIGH_WATER", 10)
    monkeypatch.setattr(file_module, "MOST", 30)
    file, threads, told = make_file(tmp_path / "one")
    file.write("a")
    file.write("b" * 11)
    assert told == [True]
    threads.work()
    assert told == [True, False]
    closed = file.close()
    file.write("lost")
    assert not closed.called
    threads.work()
    assert closed.called
    assert file.close().called
    assert (tmp_path / "one").read_text() == "a" + "b" * 11

    file, threads, told = make_file(tmp_path / "two")
    for _ in range(4):
        file.write("x" * 10)
        file.write("x" * 5)
    assert told[:2] == [True, False]
    assert "characters wait to be written" in str(told[2])
    threads.work()
    assert file.close().called
    assert (tmp_path / "two").read_text() == "x" * 10


def test_a_client_that_goes_while_the_last_is_written_loses_nothing(tmp_path: Path) -> None:
    async def handler(session: sshkit.Session) -> int:
        session.stdout.write("all of it")
        return 0

    async def test(world: World) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(
                type(world.reactor),
                "defer_to_thread",
                lambda self, function, *args: world.later(1).add_callback(lambda _: function(*args)),
            )
            async with world.connect() as connection:
                process = await connection.start("x")
                await process.stdout.read(100)
            await world.later(5)
        assert not [line for line in world.log if line.startswith("error")]

    World(chain(handler, recording(tmp_path))).run(test)
    assert codes(recorded(tmp_path), "o") == ["all of it"]


def test_an_error_that_is_none_of_the_disks_ends_a_recording_too(tmp_path: Path) -> None:
    class Broken:
        def defer_to_thread(self, function: Any) -> Any:
            return fail(RuntimeError("no threads"))

    told: list[Any] = []
    broken: Any = Broken()
    file = RecordingFile(tmp_path / "x", broken, told.append, told.append)
    file.write("x")
    assert [str(error) for error in told] == [f"{tmp_path / 'x'}: RuntimeError"]


def test_a_disk_that_is_too_slow_pauses_the_handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_module, "HIGH_WATER", 1000)
    waited: list[bool] = []

    async def handler(session: sshkit.Session) -> None:
        for _ in range(20):
            session.stdout.write("x" * 600)
            drained = session.stdout.drain()
            waited.append(not drained.called)
            await drained

    async def test(world: World) -> None:
        slow = world.reactor

        def defer(function: Any, *args: Any) -> Any:
            later = world.later(0.2)
            return later.add_callback(lambda _: function(*args))

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(slow), "defer_to_thread", lambda self, function, *args: defer(function, *args))
            async with world.connect() as connection:
                assert len((await connection.run("x")).stdout) == 12000

    World(chain(handler, recording(tmp_path))).run(test)
    assert any(waited)
    assert "".join(codes(recorded(tmp_path), "o")) == "x" * 12000


@pytest.mark.parametrize("wrong", [{"version": 1}, {"input": "some"}])
def test_a_recorder_without_sense_is_refused_when_the_program_starts(wrong: Any) -> None:
    with pytest.raises(ValueError, match="say 2 or 3"):
        recording("x", **wrong)


# Reading.

HEADER = format_header(Header(2, 80, 24))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ":1: empty"),
        ("[]\n", ":1: no header"),
        ("{\n", ":1: not JSON"),
        ('{"version": 1, "width": 80, "height": 24}\n', ":1: version 1; 2 and 3 are known"),
        ('{"version": 2, "width": 0, "height": 24}\n', ":1: the terminal has no size"),
        ('{"version": 2, "width": true, "height": 24}\n', ":1: the terminal has no size"),
        ('{"version": 3, "width": 80, "height": 24}\n', ":1: no 'term'"),
        ('{"version": 2, "width": 80, "height": 24, "env": {"A": 1}}\n', ":1: 'env'"),
        ('{"version": 2, "width": 80, "height": 24, "title": 1}\n', ":1: 'title' is no text"),
        ('{"version": 2, "width": 80, "height": 24, "timestamp": "x"}\n', ":1: timestamp is no number"),
        ('{"version": 2, "width": 80, "height": 24, "idle_time_limit": -1}\n', "idle_time_limit is out"),
        (HEADER + "{}\n", ":2: no event"),
        (HEADER + "[1, 2]\n", ":2: no event"),
        (HEADER + "\n[NaN, 'o', '']\n", ":3: not JSON"),
        (HEADER + '[NaN, "o", ""]\n', ":2: not JSON: NaN is no number"),
        (HEADER + '[1e999, "o", ""]\n', ":2: the time is out of range"),
        (HEADER + '[-1, "o", ""]\n', ":2: the time is out of range"),
        (HEADER + '["1", "o", ""]\n', ":2: the time is no number"),
        (HEADER + '[1, "output", ""]\n', ":2: 'output' is no code"),
        (HEADER + '[1, "o", 5]\n', ":2: the data is no text"),
        (HEADER + '[1, "r", "80"]\n', ":2: '80' is no size"),
        (HEADER + '[1, "r", "80x\u0664"]\n', "is no size"),
        (HEADER + '[1, "r", "80x0"]\n', ":2: the terminal has no size"),
        (HEADER + "[" * 100_000 + "\n", ":2: not JSON"),
        (HEADER + "[" + "1" * 10_000 + ', "o", ""]\n', ":2: not JSON"),
        (HEADER + '[1, "o", "cut of', ":2: not JSON"),
    ],
)
def test_a_damaged_recording_is_refused_with_its_line(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "x").write_text(text)

    def read() -> None:
        with open_recording(tmp_path / "x") as found:
            list(found)

    with pytest.raises(RecordingError) as caught:
        read()
    assert words in str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "x"))


def test_r18_any_bytes_are_read_or_refused() -> None:
    random = Random(5)
    base = format_header(Header(3, 80, 24, 1, "c", "t", "xterm", 1.0, {"A": "b"})).encode()
    base += (format_event(1, "o", "x") + format_event(1, "r", "80x24") + format_event(1, "x", "0")).encode()
    for _ in range(3000):
        data = bytearray(base)
        for _ in range(random.randint(1, 4)):
            place = random.randrange(len(data))
            if random.random() < 0.5:
                data[place] = random.randrange(256)
            else:
                data[place : place + random.randint(0, 9)] = bytes(
                    random.choices(b'[]{}",:019eE-.\nu\\', k=4)
                )
        with contextlib.suppress(RecordingError):
            list(Recording(BytesIO(bytes(data)), "x"))


def test_r18_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sshkit.server.recordings.reader.MAX_LINE", 100)
    (tmp_path / "x").write_text(HEADER + "x" * 101)
    with (
        open_recording(tmp_path / "x") as found,
        pytest.raises(RecordingError, match="a line over 100 bytes"),
    ):
        list(found)


def test_intervals_that_add_up_to_years_are_damage(tmp_path: Path) -> None:
    header = format_header(Header(3, 80, 24))
    (tmp_path / "x").write_text(header + '[300000000, "o", ""]\n' * 2)
    with open_recording(tmp_path / "x") as found, pytest.raises(RecordingError, match=":3: a time of 6e"):
        list(found)


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="No such file"):
        open_recording(tmp_path / "absent")
    with pytest.raises(RecordingError, match="directory"):
        open_recording(tmp_path)
    with pytest.raises(RecordingError, match="Input/output error"):
        open_recording("/proc/self/mem")


def test_what_is_written_can_be_read(tmp_path: Path) -> None:
    for version in (2, 3):
        header = Header(version, 100, 50, 1700000000, "vi", "a title", "xterm", 1.5, {"SHELL": "/bin/sh"})
        text = format_header(header) + "\n"
        text += ("# a comment\n" if version == 3 else "") + format_event(0.5, "o", "\x1b[1m\u20ac")
        text += format_event(0.25, "i", "x")
        (tmp_path / "x").write_text(text)
        with open_recording(tmp_path / "x") as found:
            seen = found.header
            assert seen._replace(environment={}) == header._replace(environment={})
            assert seen.environment["SHELL"] == "/bin/sh"
            # In version 2 time does not go back; in version 3 the second number is an interval.
            assert list(found) == [
                Event(0.5, "o", "\x1b[1m\u20ac"),
                Event(0.5 if version == 2 else 0.75, "i", "x"),
            ]


def test_asciinema_reads_our_recordings(tmp_path: Path) -> None:
    pytest.importorskip("asciinema")

    async def test(world: World) -> None:
        await drive(world, 0.01)

    World(chain(talk, recording(lambda session: tmp_path / "it.cast", input="echoed"))).run(test)
    result = subprocess.run(
        [sys.executable, "-m", "asciinema", "cat", tmp_path / "it.cast"],
        capture_output=True,
        timeout=30,
        check=False,
        env={**os.environ, "HOME": str(tmp_path)},
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.decode() == "name? ann\r\npassword? \r\nwelcome \u20ac\r\n\u20ac!"


# Playing.


def write_cast(path: Path, *events: tuple[float, str, str], **header: Any) -> Path:
    text = format_header(Header(2, 80, 24, **header)) + "".join(format_event(*event) for event in events)
    path.write_text(text)
    return path


def test_a_recording_is_played_at_its_own_speed_or_another(tmp_path: Path) -> None:
    cast = write_cast(tmp_path / "x", (1, "o", "one "), (2, "i", "no"), (11, "o", "two"), idle_limit=5.0)
    took: list[float] = []
    options: list[dict[str, Any]] = [{}, {"speed": 2}, {"idle_limit": 0.5}, {"idle_limit": 100}]

    async def handler(session: sshkit.Session) -> int:
        begin = session.connection.server.clock.seconds()
        status = await play(session, cast, **options[len(took)])
        took.append(session.connection.server.clock.seconds() - begin)
        return status

    async def test(world: World) -> None:
        async with world.connect() as connection:
            for _ in options:
                assert (await connection.run("x")).stdout == b"one two"

    World(handler).run(test)
    assert took == pytest.approx([7, 3.5, 1.5, 11], abs=0.1)


def test_a_key_leaves_a_recording(tmp_path: Path) -> None:
    cast = write_cast(tmp_path / "x", (1, "o", "one "), (1000, "o", "two"))

    async def handler(session: sshkit.Session) -> int:
        return await play(session, cast)

    async def test(world: World) -> None:
        async with world.connect() as connection:
            process = await connection.start("x", terminal="xterm")
            await world.later(2)
            process.stdin.write("z")
            await world.later(2)
            process.stdin.write("q")
            assert (await process.stdout.read()).startswith(b"one \x1b[0m")
            assert world.reactor.seconds() < 100

    World(handler).run(test)


def test_a_damaged_recording_is_played_up_to_the_damage(tmp_path: Path) -> None:
    cast = write_cast(tmp_path / "x", *((0.1 * number, "o", "x") for number in range(100)))
    cast.write_text(cast.read_text() + "[broken")

    async def handler(session: sshkit.Session) -> int:
        with pytest.raises(RecordingError, match=":102: not JSON"):
            await play(session, cast)
        with pytest.raises(ValueError, match="speed is over 0"):
            await play(session, cast, speed=0)
        return 3

    async def test(world: World) -> None:
        async with world.connect() as connection:
            result = await connection.run("x")
            assert (result.exit_status, result.stdout) == (3, b"x" * 64)

    World(handler).run(test)


# Watching.


def live_world(live: LiveSessions) -> World:
    """A server with a chat-like program, and "watch N"."""

    async def shown(session: sshkit.Session) -> int:
        session.stdout.write("begin\r\n")
        while data := await session.stdin.read(100):
            session.stdout.write(data)
        session.stdout.write("end\r\n")
        return 0

    offered: Any = chain(shown, live.offer())

    async def handler(session: sshkit.Session) -> int:
        words = (session.command or "").split()
        if words[:1] == ["watch"]:
            try:
                return await live.watch(session, int(words[1]))
            except NoSuchSession as error:
                session.stderr.write(str(error))
                return 9
        return int(await offered(session))

    return World(handler)


def test_sessions_are_watched_from_their_screen_so_far_to_their_end() -> None:
    live = LiveSessions()

    async def test(world: World) -> None:
        async with world.connect() as connection:
            process = await connection.start(None, terminal="xterm", size=sshkit.TerminalSize(70, 20))
            await world.later()
            (one,) = live
            assert (one.number, one.watchers, len(live)) == (1, 0, 1)
            assert one.size == sshkit.TerminalSize(70, 20)
            assert repr(one) == "<LiveSession 1 'ann': shell>"
            process.stdin.write("typed ")
            await world.later()
            watcher = await connection.start("watch 1", terminal="xterm")
            await world.later()
            assert one.watchers == 1
            watcher.stdin.write("ignored")
            process.stdin.write("more ")
            await world.later()
            process.stdin.write_eof()
            seen = await watcher.communicate()
            assert (
                seen.stdout == b"\x1b[0m\x1b[H\x1b[2Jbegin\r\ntyped more end\r\n\x1b[0m\x1b[?25h\x1b[?1049l"
            )
            assert seen.stderr == b"session 1 of ann has ended\r\n"
            assert b"ignored" not in await process.stdout.read()
        assert len(live) == 0

    live_world(live).run(test)


def test_a_watcher_may_leave_and_one_without_a_terminal_stays() -> None:
    live = LiveSessions()

    async def test(world: World) -> None:
        async with world.connect() as connection:
            process = await connection.start(None, terminal="xterm")
            await world.later()
            leaver = await connection.start("watch 1", terminal="xterm")
            stayer = await connection.start("watch 1")
            stayer.stdin.write_eof()
            await world.later()
            leaver.stdin.write("q")
            assert b"session 1 of ann goes on" in (await leaver.communicate()).stderr
            (one,) = live
            assert one.watchers == 1
            process.stdin.write_eof()
            assert b"end" in (await stayer.communicate()).stdout

    live_world(live).run(test)


def test_only_sessions_that_run_and_have_a_terminal_can_be_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "MAX_WATCHERS", 1)
    live = LiveSessions()

    async def test(world: World) -> None:
        async with world.connect() as connection:
            plain = await connection.start("plain")
            await world.later()
            assert len(live) == 0
            plain.stdin.write_eof()
            result = await connection.run("watch 1")
            assert (result.exit_status, result.stderr) == (9, b"no session 1 runs")
            await connection.start(None, terminal="xterm")
            await world.later()
            await connection.start("watch 1")
            await world.later()
            result = await connection.run("watch 1")
            assert result.stderr == b"session 1 is watched by 1 already"
            (one,) = live
            one.end()
            with pytest.raises(NoSuchSession, match="cannot watch itself"):
                await live.watch(one.session, 1)
            assert (await connection.run("watch 1")).stderr == b"session 1 has ended"

    live_world(live).run(test)


def test_r24_a_slow_watcher_misses_output_and_never_slows_the_session_down() -> None:
    live = LiveSessions()
    total = 3 * 1024 * 1024

    async def noisy(session: sshkit.Session) -> int:
        await session.stdin.read()
        for number in range(total // 4096):
            session.stdout.write((f"{number:05}\n" * 683)[:4096])
            await session.stdout.drain()
        session.stdout.write("the last line")
        await sshkit.Deferred()
        return 0

    offered: Any = chain(noisy, live.offer())

    async def handler(session: sshkit.Session) -> int:
        return int(await (offered(session) if session.command is None else live.watch(session, 1)))

    async def test(world: World) -> None:
        async with world.connect() as connection, world.connect() as other:
            process = await connection.start(None, terminal="xterm")
            await world.later()
            watcher = await other.start("watch 1", terminal="xterm")
            await world.later()
            watcher.channel.pause_reading()
            process.stdin.write_eof()
            assert len(await process.stdout.read_exactly(total + 13)) == total + 13
            (one,) = live
            (view,) = one._watchers
            assert view.skipped > 0
            assert view._session.channel.get_write_buffer_size() < 400 * 1024
            watcher.channel.resume_reading()
            seen = b""
            while not seen.endswith(b"the last line"):
                seen += await watcher.stdout.read(65536)
            assert len(seen) < total

    World(handler).run(test)


def test_the_screen_so_far_is_bounded_and_begins_where_it_was_cleared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(live_module, "MAX_SCREEN", 100)
    clear = b"\x1b[0m\x1b[H\x1b[2J"
    screen = Screen()
    screen.add(b"old\x1b[")
    screen.add(b"2Jnew")
    assert bytes(screen) == clear + b"new"
    screen.add(b"\x1b[?1049hfull")
    assert bytes(screen) == b"\x1b[?1049h" + clear + b"full"
    screen.add(b"\x1b[2Jagain")
    assert bytes(screen) == b"\x1b[?1049h" + clear + b"again"
    screen.add(b"\x1b[?1049lback")
    assert bytes(screen) == clear + b"back"
    screen.add(b"\x1bcreset")
    assert bytes(screen) == clear + b"\x1bcreset"
    screen.add(b"line\n" * 50)
    assert bytes(screen).startswith(clear + b"line\n")
    assert len(bytes(screen)) <= 100 + len(clear)
    screen.add(b"x" * 500)
    assert bytes(screen) == clear + b"x" * 50
