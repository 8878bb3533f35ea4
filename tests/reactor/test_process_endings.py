"""How processes end: in time or not, with their group, each reaped once and none hit that is another's."""

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sshkit.deferred import gather
from sshkit.interfaces import ExitStatus, TerminalSize
from sshkit.reactor import (
    ConnectError,
    ListenError,
    ProcessError,
    ProcessTimeout,
    SpawnError,
    new_reactor,
    processes,
    reaper,
    run_process,
    running_programs,
)

from .helpers import Recorder, later
from .process_helpers import Child, children_here, descriptors_here, gone, lives, start, state
from .test_forking import in_child

Run = Callable[[Any], Any]

DONE = ExitStatus(code=0)

#: Tells its number when SIGTERM does nothing to it any more.
DEAF = "sh -c \"trap '' TERM; echo \\$\\$ on; while :; do sleep 0.01; done\""
DEAF_CHILD_WITHOUT_OUTPUT = (
    "sh -c \"trap '' TERM; echo \\$\\$ on; exec >/dev/null 2>&1 </dev/null; while :; do sleep 0.01; done\""
)


class Late(running_programs.Run):
    """A program whose time is up when it says that it is on."""

    __slots__ = ()

    def output_received(self, descriptor: int, data: bytes) -> None:
        super().output_received(descriptor, data)
        if b"on" in data:
            self._time_is_up()


# -- the end that we make --------------------------------------------------------------------------


def test_a_process_whose_time_is_up_gets_sigterm(run: Run) -> None:
    async def main(reactor: Any) -> None:
        child = start(reactor, "exec sleep 1000", timeout=0.05)
        assert await child.ended == ExitStatus(signal=signal.SIGTERM)
        assert child.transport.timed_out
        assert child.transport.signals_sent == (signal.SIGTERM,)
        in_time = start(reactor, "true", timeout=1000)
        assert await in_time.ended == DONE
        assert not in_time.transport.timed_out
        assert in_time.transport.signals_sent == ()

    run(main)


def test_who_ignores_sigterm_gets_sigkill(run: Run) -> None:
    async def main(reactor: Any) -> None:
        child = start(reactor, "trap '' TERM; echo on; while :; do sleep 0.01; done")
        await child.wrote(b"on")
        child.transport.terminate(0.05)
        child.transport.terminate(1000)  # it is under way
        assert await child.ended == ExitStatus(signal=signal.SIGKILL)
        assert child.transport.signals_sent == (signal.SIGTERM, signal.SIGKILL)
        child.transport.terminate()  # nobody is there
        assert len(child.transport.signals_sent) == 2

    run(main)


def test_who_is_stopped_ends_on_sigterm_all_the_same(run: Run) -> None:
    async def main(reactor: Any) -> None:
        child = start(reactor, "echo on; exec sleep 1000")
        await child.wrote(b"on")
        child.transport.send_signal(signal.SIGSTOP)
        while state(child.transport.pid) != "T":
            await later(reactor, 0.005)
        assert child.events == []  # stopped is not ended
        child.transport.send_signal(signal.SIGCONT)
        child.transport.send_signal(signal.SIGSTOP)
        child.transport.terminate(1000)
        assert await child.ended == ExitStatus(signal=signal.SIGTERM)

    run(main)


def test_children_that_outlive_the_program_are_killed_with_their_group(run: Run, tmp_path: Path) -> None:
    """The program ends on SIGTERM; its child ignores it and has closed all that it had of us."""

    async def main(reactor: Any) -> None:
        script = f"trap 'exit 3' TERM; ({DEAF_CHILD_WITHOUT_OUTPUT}) & while :; do sleep 0.01; done"
        child = start(reactor, script)
        await child.wrote(b"on")
        other = int(child.output[1].split()[0])
        child.transport.terminate(1000)
        assert await child.ended == ExitStatus(code=3)
        await gone(reactor, other)
        assert child.transport.signals_sent == (signal.SIGTERM,)
        with pytest.raises(ChildProcessError):
            os.waitpid(child.transport.pid, os.WNOHANG)

    run(main)


def test_what_holds_the_output_open_is_killed_after_the_program(run: Run) -> None:
    async def main(reactor: Any) -> None:
        script = f"trap 'exit 3' TERM; ({DEAF}) & while :; do sleep 0.01; done"
        child = start(reactor, script)
        await child.wrote(b"on")
        child.transport.terminate(0.1)
        assert await child.exited == ExitStatus(code=3)
        assert await child.ended == ExitStatus(code=3)
        assert child.transport.signals_sent == (signal.SIGTERM, signal.SIGKILL)

    run(main)


def test_a_daemon_of_a_program_that_ended_by_itself_lives_on(run: Run) -> None:
    async def main(reactor: Any) -> None:
        done = await run_process(
            ["sh", "-c", "sleep 1000 >/dev/null 2>&1 </dev/null & echo $!"], timeout=1000
        )
        other = int(done.stdout)
        assert lives(other)
        os.kill(other, signal.SIGKILL)

    run(main)


def test_a_time_out_says_what_was_sent(run: Run) -> None:
    async def main(reactor: Any) -> None:
        with pytest.raises(ProcessTimeout, match=r"^sleep took longer than 0.05 seconds: SIGTERM sent$"):
            await run_process(["sleep", "1000"], timeout=0.05)
        # The second program has ended; what it left behind is in its group, and is ended in its place.
        for script in (DEAF, f"({DEAF}) & exit 0"):
            argv = ["sh", "-c", script]
            late = Late(reactor, argv, b"", 1000, False, 1000, 0.05)
            reactor.spawn_process(late, argv)
            with pytest.raises(
                ProcessTimeout, match=r"^sh took longer than 1000 seconds: SIGTERM and SIGKILL sent$"
            ):
                await late.result

    run(main)


def test_a_process_that_even_sigkill_does_not_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running_programs, "GIVE_UP_AFTER", 0.01)
    monkeypatch.setattr(reaper.ChildWatch, "signal", lambda *args: True)
    reactor = new_reactor("native")
    pids = []

    async def main() -> None:
        original = processes.ProcessTransport.start

        def note(self: Any, *args: Any) -> None:
            pids.append(self.pid)
            original(self, *args)

        monkeypatch.setattr(processes.ProcessTransport, "start", note)
        with pytest.raises(ProcessError, match=r"SIGTERM and SIGKILL sent; yet it does not end$"):
            await run_process(["sleep", "1000"], timeout=0.01, kill_after=0.01)

    reactor.run_until(main())
    os.kill(pids[0], signal.SIGKILL)
    os.waitid(os.P_PID, pids[0], os.WEXITED | os.WNOWAIT)
    reactor.close()


def test_a_reactor_that_closes_kills_what_was_to_end(tmp_path: Path) -> None:
    reactor = new_reactor("native")

    async def main() -> tuple[Child, Child]:
        one = start(reactor, f"exec {DEAF}", timeout=1000)
        two = start(reactor, f"({DEAF}) & exit 0", timeout=1000)
        await gather(one.wrote(b"on"), two.wrote(b"on"), two.exited)
        one.transport.terminate(1000)
        two.transport.terminate(1000)
        return one, two

    children = reactor.run_until(main())
    pids = [int(child.output[1].split()[0]) for child in children]
    assert all(map(lives, pids))
    reactor.close()
    for pid in pids:
        while lives(pid):
            os.sched_yield()
    statuses = [child.transport.exit_status for child in children]
    assert statuses[0] in (ExitStatus(), ExitStatus(signal=signal.SIGKILL))  # not waited for, or quick
    assert statuses[1] == DONE


def test_run_process_takes_descriptors_that_need_nobody(run: Run, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        with open(tmp_path / "file", "w+b") as file:
            done = await run_process(["sh", "-c", "cat; echo out; echo err >&2; echo file >&5"],
                                     descriptors={0: "null", 2: "stdout", 5: file})  # fmt: skip
            assert (done.stdout, done.stderr) == (b"out\nerr\n", b"")
            file.seek(0)
            assert file.read() == b"file\n"
        done = await run_process(["sh", "-c", "echo x; exit 4"], descriptors={1: None, 2: "null"})
        assert done.exit_status.code == 4
        for plan in ({3: "input"}, {5: "output"}):
            with pytest.raises(
                SpawnError, match=r"run_process has nobody for '(in|out)put' as the program's descriptor"
            ):
                run_process(["true"], descriptors=plan)  # type: ignore[arg-type]
        with pytest.raises(SpawnError, match="has input for a program whose descriptor 0 is 'null'"):
            run_process(["true"], input=b"x", descriptors={0: "null"})

    run(main)


# -- reaping ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("pidfds", ["pidfds", "threads", "threads-without-waitid"])
def test_a_hundred_children_that_end_at_once_are_each_reaped_once(
    run: Run, pidfds: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if pidfds != "pidfds":
        monkeypatch.delattr(os, "pidfd_open")
    if pidfds == "threads-without-waitid":
        monkeypatch.delattr(os, "waitid")

    async def main(reactor: Any) -> None:
        reads, writes = os.pipe()
        plan: Any = {0: reads, 1: None, 2: None}
        children = [start(reactor, f"read line; exit {number}", 0, descriptors=plan) for number in range(100)]
        os.close(reads)
        os.close(writes)  # all of them see the end of input now
        statuses = await gather(*(child.ended for child in children))
        assert [status.code for status in statuses] == list(range(100))
        assert all(child.events == ["exited"] for child in children)
        assert not children_here() & {child.transport.pid for child in children}

    run(main)


def test_a_child_that_ended_before_it_is_watched_is_told(run: Run) -> None:
    async def main(reactor: Any) -> None:
        pid = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 9"], {})
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        told: list[ExitStatus] = []
        watch = reaper.watch_exit(reactor, pid, told.append)
        while not told:
            await later(reactor)
        assert told == [ExitStatus(code=9)]
        assert not watch.signal(signal.SIGTERM, False)
        watch.ended()
        watch.let_go()
        assert told == [ExitStatus(code=9)]

    run(main)


@pytest.mark.parametrize("pidfds", [True, False])
def test_a_number_is_kept_while_the_group_is_held(
    run: Run, pidfds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not pidfds:
        monkeypatch.delattr(os, "pidfd_open")

    async def main(reactor: Any) -> None:
        before = descriptors_here()
        pid = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {}, setpgroup=0)
        told: list[ExitStatus] = []
        watch = reaper.watch_exit(reactor, pid, told.append)
        watch.hold()
        assert watch.signal(signal.SIGTERM, True)
        while not told:
            await later(reactor, 0.001)
        assert state(pid) == "Z"
        assert watch.signal(signal.SIGTERM, True)
        watch.let_go()
        assert not watch.signal(signal.SIGTERM, True)
        with pytest.raises(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        assert descriptors_here() == before

    run(main)


def test_no_signal_goes_to_a_number_that_somebody_else_has_reaped(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main(reactor: Any) -> None:
        child = start(reactor, "exit 0", 0, descriptors={0: None, 1: None, 2: None})
        os.waitpid(child.transport.pid, 0)
        sent: list[Any] = []
        with monkeypatch.context() as patch:
            patch.setattr(os, "killpg", lambda *args: sent.append(args))
            child.transport.send_signal(signal.SIGTERM)
        assert sent == []
        assert await child.ended == ExitStatus()

    run(main)


def test_a_program_that_ignores_sigchld_is_told_so() -> None:
    def work() -> bool:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        reactor = new_reactor("native")

        async def main() -> bool:
            with pytest.raises(
                ProcessError, match=r"true has ended in an unknown way: we ignore SIGCHLD, or "
            ):
                await run_process(["true"], check=True)
            return (await run_process(["echo", "x"])).stdout == b"x\n"

        good: bool = reactor.run_until(main())
        return good

    assert in_child(work) == 0


def test_a_forked_child_neither_waits_for_nor_hurts_the_children_of_its_parent(run: Run) -> None:
    async def main(reactor: Any) -> None:
        child = start(reactor, "echo on; cat")
        await child.wrote(b"on")

        def work() -> bool:
            for fd, pollable in tuple(reactor.pollables.items()):
                reactor.forget(fd, pollable)
                if isinstance(pollable, reaper.ChildWatch):
                    pollable.reactor_closed(OSError())
            return bool(child.transport.exit_status == ExitStatus())

        assert in_child(work) == 0
        child.transport.write_eof()
        assert await child.ended == DONE

    run(main)


def test_a_thread_that_outlives_the_reactor_reaps_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "pidfd_open")
    reactor = new_reactor("native")
    pid = os.posix_spawn("/bin/sleep", ["sleep", "1000"], {})
    watch = reaper.watch_exit(reactor, pid, lambda _: None)
    reactor.close()
    os.kill(watch.pid, signal.SIGKILL)
    while Path(f"/proc/{watch.pid}").exists():
        os.sched_yield()


def test_a_child_that_cannot_be_watched_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*args: Any) -> None:
        raise RuntimeError("can't start new thread")

    reactor = new_reactor("native")
    monkeypatch.setattr(processes, "watch_exit", none)
    before = descriptors_here()
    children = children_here()
    with pytest.raises(SpawnError, match="cannot wait for a program that was started: can't start"):
        start(reactor, "exec sleep 1000")
    assert descriptors_here() == before
    assert children_here() <= children
    reactor.close()


# -- terminals -------------------------------------------------------------------------------------


def test_control_c_reaches_the_foreground_job_and_not_the_shell(run: Run) -> None:
    async def main(reactor: Any) -> None:
        script = (
            "set -m; sh -c 'trap \"echo caught; exit 5\" INT; echo job; while :; do sleep 0.01; done'; "
            "echo status $?"
        )
        child = start(reactor, script, 1, pty=TerminalSize())
        await child.wrote(b"job")
        child.transport.write(b"\x03")
        assert await child.ended == DONE
        assert b"caught" in child.output[1]
        assert b"status 5" in child.output[1]

    run(main)


def test_control_z_stops_the_job_and_the_shell_goes_on(run: Run) -> None:
    async def main(reactor: Any) -> None:
        script = (
            "set -m; sh -c 'echo job; kill -STOP $$; echo goes on'; echo stopped; fg >/dev/null; echo over"
        )
        child = start(reactor, script, 1, pty=TerminalSize())
        assert await child.ended == DONE
        lines = bytes(child.output[1]).decode().replace("\r", "").split("\n")
        words = [line for line in lines if line in ("job", "stopped", "goes on", "over")]
        assert words == ["job", "stopped", "goes on", "over"]
        assert child.events.count("exited") == 1

    run(main)


# -- names of sockets ------------------------------------------------------------------------------


def test_r29_a_nul_inside_the_path_of_a_socket_is_refused_and_not_cut_at(run: Run, tmp_path: Path) -> None:
    path = str(tmp_path / "socket")

    async def main(reactor: Any) -> None:
        listener = await reactor.listen_unix(path, Recorder)
        for bad in (path + "\0x", os.fsencode(path) + b"\0x"):
            with pytest.raises(ConnectError, match=r"cannot connect to .*socket\\x00x: a NUL in a path"):
                await reactor.connect_unix(bad, Recorder)
            with pytest.raises(ListenError, match=r"socket\\x00x: a NUL in a path"):
                await reactor.listen_unix(bad, Recorder)
        with pytest.raises(ConnectError, match="needs a path"):
            await reactor.connect_unix("", Recorder)
        listener.close()

    run(main)
