"""What a child has under which number: pipes both ways, files, nothing; and what it does not have."""

import errno
import os
import resource
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sshkit.deferred import gather
from sshkit.interfaces import ExitStatus, TerminalSize
from sshkit.reactor import ReactorError, SpawnError, new_reactor

from .helpers import Recorder, connected
from .process_helpers import Child, descriptors_here, start

Run = Callable[[Any], Any]

DONE = ExitStatus(code=0)


def refusal(reactor: Any, **options: Any) -> str:
    before = descriptors_here()
    with pytest.raises(SpawnError) as caught:
        start(reactor, "true", **options)
    assert descriptors_here() == before
    return str(caught.value)


def test_more_pipes_run_both_ways_under_their_own_numbers(run: Run) -> None:
    async def main(reactor: Any) -> None:
        plan = {3: "input", 4: "output", 7: "input", 9: "output"}
        child = start(reactor, "cat <&3 >&4; cat <&7 >&9; echo over", 4, descriptors=plan)
        child.transport.write(b"three", 3)
        child.transport.write(b"seven", 7)
        child.transport.write_eof(7)
        child.transport.write_eof(3)
        child.transport.write_eof()
        assert await child.ended == DONE
        assert child.output == {1: b"over\n", 4: b"three", 9: b"seven"}
        assert {"closed 4", "closed 9", "closed 1", "closed 2"} <= set(child.events)

    run(main)


def test_a_child_has_these_descriptors_and_no_other(run: Run) -> None:
    async def main(reactor: Any) -> None:
        leak = os.open("/dev/null", os.O_RDONLY)
        os.set_inheritable(leak, True)
        plan = {0: None, 2: "stdout", 5: "null", 8: "input"}
        child = start(reactor, "ls /proc/$$/fd; echo err >&2; readlink /proc/$$/fd/5", 1, descriptors=plan)
        assert await child.ended == DONE
        os.close(leak)
        words = child.output[1].decode().split()
        assert sorted(words[:-2]) == ["1", "2", "5", "8"]
        assert words[-2:] == ["err", "/dev/null"]

    run(main)


def test_numbers_that_are_swapped_do_not_overwrite_each_other(run: Run, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        files = []
        for name in ("one", "two", "three"):
            (tmp_path / name).write_text(name)
            files.append(os.open(tmp_path / name, os.O_RDONLY))
        one, two, three = files
        # Each number of ours is another one of the child's, in a ring; a copy beside them.
        plan = {one: two, two: three, three: one, three + 1: one}
        script = "; ".join(f"cat /proc/self/fd/{fd}; echo" for fd in files)
        child = start(reactor, script, descriptors=plan)
        assert await child.ended == DONE
        assert child.output[1].split() == [b"two", b"three", b"one"]
        for fd in files:
            os.close(fd)

    run(main)


def test_a_file_and_a_socket_of_ours_stay_open_here(run: Run, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        ours, theirs = socket.socketpair()
        with ours, theirs, open(tmp_path / "out", "w+b") as file:
            child = start(reactor, "echo file; echo socket >&6", 1, descriptors={1: file, 6: theirs})
            assert await child.ended == DONE
            assert ours.recv(100) == b"socket\n"
            file.seek(0)
            assert file.read() == b"file\n"
            theirs.send(b"still open")
            assert ours.recv(100) == b"still open"
            assert child.events.count("closed 2") == 1

    run(main)


def test_a_terminal_may_have_pipes_beside_it(run: Run) -> None:
    async def main(reactor: Any) -> None:
        child = start(
            reactor, "ls /proc/$$/fd; echo more >&5", 2, pty=TerminalSize(), descriptors={5: "output"}
        )
        assert await child.ended == DONE
        assert (
            {b"0", b"1", b"2", b"5"} <= set(bytes(child.output[1]).split()) <= {b"0", b"1", b"2", b"5", b"10"}
        )
        assert child.output[5] == b"more\n"

    run(main)


def test_a_second_input_has_back_pressure_of_its_own(run: Run) -> None:
    async def main(reactor: Any) -> None:
        child = start(reactor, "read line; cat <&3 | wc -c; cat | wc -c", descriptors={3: "input"})
        transport = child.transport
        transport.set_write_buffer_limits(high=1000, low=10, descriptor=3)
        transport.write(bytes(1 << 20), 3)
        assert child.events == ["pause"]
        assert transport.get_write_buffer_size(3) > 0
        assert transport.get_write_buffer_size() == 0
        transport.write(b"\n" + bytes(1 << 20))
        assert child.events == ["pause"]
        transport.write_eof(3)
        transport.write_eof()
        await child.resumed
        assert transport.get_write_buffer_size(3) == 0
        assert child.events.count("pause") == 1
        assert await child.ended == DONE
        assert child.output[1].split() == [b"1048576", b"1048576"]

    run(main)


def test_a_paused_output_holds_the_child_up_and_our_memory_stays_small(run: Run) -> None:
    async def main(reactor: Any) -> None:
        child = start(reactor, "echo begin >&4; head -c 100000000 /dev/zero", 3, descriptors={4: "output"})
        child.transport.pause_reading(1)
        await child.wrote(b"begin", 4)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        counted = 0

        def count(descriptor: int, data: bytes) -> None:
            nonlocal counted
            counted += len(data)
            child.transport.pause_reading(1)
            reactor.call_soon(lambda: child.transport.resume_reading(1))

        assert child.output.get(1, b"") == b""
        child.output_received = count  # type: ignore[method-assign]
        child.transport.resume_reading(1)
        assert await child.ended == DONE
        assert counted == 100_000_000
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # KiB

    run(main)


def test_an_input_that_the_child_closes_is_told_and_no_error(run: Run) -> None:
    async def main(reactor: Any) -> None:
        child = start(reactor, "exec 3<&-; echo closed; cat", descriptors={3: "input"})
        await child.wrote(b"closed")
        child.transport.write(b"x", 3)
        assert await child.refused == 3
        child.transport.write(b"y", 3)
        child.transport.write_eof()
        assert await child.ended == DONE

    class Deaf(Child):
        input_refused = None  # type: ignore[assignment]

    async def nobody_asks(reactor: Any) -> None:
        child = Deaf()
        reactor.spawn_process(child, ["sh", "-c", "exec 3<&-; echo closed; cat"], descriptors={3: "input"})
        await child.wrote(b"closed")
        child.transport.write(b"x", 3)
        child.transport.write_eof()
        assert await child.ended == DONE

    run(main)
    run(nobody_asks)


def test_an_output_can_be_closed_and_the_rest_goes_on(run: Run) -> None:
    async def main(reactor: Any) -> None:
        child = start(
            reactor, "trap '' PIPE; read line; echo x >&4 || echo refused", 2, descriptors={4: "output"}
        )
        child.transport.close_output(4)
        child.transport.close_output(5)
        child.transport.write(b"\n")
        assert await child.ended == DONE
        assert child.output[1] == b"refused\n"
        assert "closed 4" not in child.events

    run(main)


def test_what_is_no_input_cannot_be_written_to(run: Run) -> None:
    async def main(reactor: Any) -> None:
        child = start(reactor, "true", descriptors={0: "null"})
        for call in (child.transport.write_eof, child.transport.get_write_buffer_size):
            with pytest.raises(ReactorError, match="the child's descriptor 0 is no input of this process"):
                call()
        with pytest.raises(ReactorError, match="descriptor 2 is no input"):
            child.transport.write(b"x", 2)
        assert await child.ended == DONE

    run(main)


# -- what is refused -------------------------------------------------------------------------------


def test_r29_bad_plans_are_refused_and_leave_nothing_over(run: Run) -> None:
    async def main(reactor: Any) -> None:
        most = os.sysconf("SC_OPEN_MAX")
        gone = os.dup(0)
        os.close(gone)
        assert refusal(reactor, descriptors={-1: "input"}) == (
            f"cannot start sh: a child has no descriptor -1: they go from 0 to {most - 1}"
        )
        assert "no descriptor 99999999" in refusal(reactor, descriptors={3: "input", 99999999: "null"})
        assert "unknown plan 'pipe' for the child's descriptor 3" in refusal(reactor, descriptors={3: "pipe"})
        assert refusal(reactor, descriptors={4: "output", 5: gone}) == (
            f"cannot start sh: descriptor {gone}, which the child is to have as 5, is not open: "
            "Bad file descriptor"
        )
        assert "is not open" in refusal(reactor, descriptors={5: 1 << 40})
        assert "its 1: it has none" in refusal(reactor, descriptors={1: None, 2: "stdout"})
        assert "its 1: it has none" in refusal(reactor, descriptors={1: "stdout"})
        text = refusal(reactor, pty=TerminalSize(), descriptors={2: "output"})
        assert text == "cannot start sh: its descriptor 2 is the terminal"

    run(main)


def test_descriptors_of_the_reactor_are_not_given_away(run: Run) -> None:
    async def main(reactor: Any) -> None:
        server, client = await connected(reactor, Recorder, Recorder)
        fd = client.transport.get_extra_info("socket").fileno()
        text = refusal(reactor, descriptors={3: fd})
        assert text.startswith(
            f"cannot start sh: descriptor {fd}, which the child is to have as 3, belongs to "
        )
        poller = reactor.poller.fileno()
        if poller >= 0:
            assert "it is what the reactor waits at" in refusal(reactor, descriptors={3: poller})
        # What the program itself watches is its own.
        ours, theirs = socket.socketpair()
        reactor.add_reader(theirs.fileno(), lambda: None)
        child = start(reactor, "echo x >&3", descriptors={3: theirs})
        assert await child.ended == DONE
        assert ours.recv(10) == b"x\n"
        reactor.remove_reader(theirs.fileno())
        ours.close()
        theirs.close()
        client.transport.abort()
        await gather(client.lost, server.lost)

    run(main)


def test_a_lack_of_descriptors_leaves_nothing_over(monkeypatch: pytest.MonkeyPatch) -> None:
    reactor = new_reactor("native")
    pipes = [os.pipe(), os.pipe(), os.pipe(), os.pipe()]
    before = len(descriptors_here()) - 8

    def pipe() -> tuple[int, int]:
        if not pipes:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return pipes.pop()

    monkeypatch.setattr(os, "pipe", pipe)
    with pytest.raises(SpawnError, match="cannot start sh: no pipes: Too many open files"):
        start(reactor, "true", descriptors={3: "input", 4: "output"})
    monkeypatch.undo()
    assert len(descriptors_here()) == before
    reactor.close()
