"""Child processes, on pipes and on terminals."""

import os
import signal
import termios
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from zope.interface.verify import verifyObject

from sshkit.deferred import gather
from sshkit.interfaces import ExitStatus, IProcessTransport, TerminalSize
from sshkit.reactor import new_reactor, reaper

from .helpers import ProcessRecorder, later

Run = Callable[[Any], Any]


def shell(reactor: Any, script: str, **options: Any) -> ProcessRecorder:
    protocol = ProcessRecorder()
    reactor.spawn_process(protocol, ["sh", "-c", script], **options)
    return protocol


async def finished(protocol: ProcessRecorder) -> ExitStatus:
    await gather(protocol.closed[1], protocol.closed[2])
    return await protocol.exited


async def on_terminal(reactor: Any, script: str, **options: Any) -> tuple[str, ExitStatus]:
    protocol = shell(reactor, script, pty=TerminalSize(), **options)
    await protocol.closed[1]
    return protocol.output[1].decode().replace("\r\n", "\n"), await protocol.exited


def test_input_output_and_errors_are_three_streams(run: Run) -> None:
    async def main(reactor: Any) -> None:
        protocol = shell(reactor, "cat; echo problem >&2; exit 3")
        transport = protocol.transport
        assert verifyObject(IProcessTransport, transport)
        assert transport.terminal_name is None
        assert transport.exit_status is None
        assert "running" in repr(transport)
        transport.write(b"some ")
        transport.write(b"")
        transport.write(memoryview(b"input"))
        transport.write_eof()
        transport.write(b"too late")
        assert await finished(protocol) == ExitStatus(code=3)
        assert transport.exit_status == ExitStatus(code=3)
        assert protocol.output == {1: b"some input", 2: b"problem\n"}
        assert protocol.events[0] == "started"
        assert sorted(protocol.events[1:]) == ["closed 1", "closed 2", "exited"]
        transport.send_signal(signal.SIGKILL)  # nobody is there any more
        transport.resize(TerminalSize())

    run(main)


def test_a_writer_is_paused_and_resumed_and_nothing_is_lost(run: Run) -> None:
    async def main(reactor: Any) -> None:
        protocol = shell(reactor, "read line; cat")
        transport = protocol.transport
        data = os.urandom(1 << 16) * 16
        transport.write(b"go\n")
        transport.write(data)
        transport.write(b"end")
        assert protocol.events == ["started", "pause"]
        assert transport.get_write_buffer_size() > 0
        transport.write_eof()
        assert await finished(protocol) == ExitStatus(code=0)
        assert "resume" in protocol.events
        assert protocol.output[1] == data + b"end"

    run(main)


def test_the_marks_of_standard_input_can_be_moved(run: Run) -> None:
    async def main(reactor: Any) -> None:
        protocol = shell(reactor, "sleep 100")
        protocol.transport.set_write_buffer_limits(high=1 << 24)
        protocol.transport.write(bytes(1 << 20))
        assert "pause" not in protocol.events
        protocol.transport.set_write_buffer_limits(high=10, low=5)
        assert "pause" in protocol.events
        protocol.transport.send_signal(signal.SIGKILL)
        assert await finished(protocol) == ExitStatus(signal=9)

    run(main)


def test_a_child_that_stops_reading_drops_input_and_resumes_the_writer(run: Run) -> None:
    async def main(reactor: Any) -> None:
        protocol = shell(reactor, "exec <&-; echo closed; sleep 100")
        await protocol.output_with(b"closed")
        protocol.transport.write(b"x")
        protocol.transport.write(b"y")
        assert protocol.transport.get_write_buffer_size() == 0
        protocol.transport.send_signal(signal.SIGTERM)
        assert await finished(protocol) == ExitStatus(signal=15)
        protocol = shell(reactor, "read line; exec <&-; sleep 100")
        protocol.transport.write(b"\n" + bytes(1 << 20))
        assert "pause" in protocol.events
        await protocol.resumed
        protocol.transport.send_signal(signal.SIGTERM)
        await finished(protocol)

    run(main)


def test_a_paused_output_waits_and_the_other_goes_on(run: Run) -> None:
    async def main(reactor: Any) -> None:
        protocol = shell(reactor, "echo out; echo err >&2")
        protocol.transport.pause_reading(1)
        protocol.transport.pause_reading(7)
        await gather(protocol.closed[2], protocol.exited)
        assert protocol.output == {1: b"", 2: b"err\n"}
        protocol.transport.resume_reading(1)
        protocol.transport.resume_reading(1)
        protocol.transport.resume_reading(7)
        await protocol.closed[1]
        assert protocol.output[1] == b"out\n"

    run(main)


def test_a_lot_of_output_arrives_whole(run: Run) -> None:
    async def main(reactor: Any) -> None:
        protocol = shell(reactor, "head -c 5000000 /dev/zero")
        assert await finished(protocol) == ExitStatus(code=0)
        assert len(protocol.output[1]) == 5_000_000

    run(main)


def test_output_may_still_come_after_the_exit(run: Run) -> None:
    async def main(reactor: Any) -> None:
        protocol = shell(reactor, "exec 3<&0; (read line <&3; echo late) & exit 0")
        await protocol.exited
        assert protocol.output[1] == b""
        protocol.transport.write(b"\n")
        await finished(protocol)
        assert protocol.output[1] == b"late\n"

    run(main)


def test_the_program_the_directory_and_the_environment_are_what_was_asked(run: Run, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        protocol = ProcessRecorder()
        reactor.spawn_process(
            protocol,
            ["-odd name", "-c", 'echo "$0" "$NAME" "$HOME"; pwd'],
            executable="/bin/sh",
            env={"NAME": "value"},
            cwd=str(tmp_path),
        )
        await finished(protocol)
        assert protocol.output[1].decode() == f"-odd name value \n{tmp_path}\n"

    run(main)


def test_arguments_may_be_bytes(run: Run, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        protocol = ProcessRecorder()
        reactor.spawn_process(
            protocol,
            [b"/bin/sh", b"-c", b'printf %s "$X"'],
            env={b"X": b"\xff"},
            cwd=bytes(tmp_path),
        )
        await finished(protocol)
        assert protocol.output[1] == b"\xff"

    run(main)


def test_r31_a_child_has_no_descriptor_of_ours(run: Run) -> None:
    async def main(reactor: Any) -> None:
        leak = os.open("/dev/null", os.O_RDONLY)
        os.set_inheritable(leak, True)
        listener = await reactor.listen_tcp("127.0.0.1", 0, object)
        protocol = shell(reactor, "ls /proc/self/fd")
        text, _ = await on_terminal(reactor, "ls /proc/self/fd")
        await finished(protocol)
        assert protocol.output[1].split() == [b"0", b"1", b"2", b"3"]  # 3 is the directory that ls reads
        assert text.split() == ["0", "1", "2", "3"]
        listener.close()
        os.close(leak)

    run(main)


def test_a_child_has_the_default_signals_whatever_we_ignore(run: Run) -> None:
    async def main(reactor: Any) -> None:
        before = signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR2])
        try:
            protocol = shell(reactor, "grep -E 'Sig(Ign|Blk)' /proc/self/status")
        finally:
            signal.signal(signal.SIGUSR1, before)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGUSR2])
        await finished(protocol)
        internal = 1 << 31 | 1 << 32  # of the C library, which leaves these two ignored
        assert [int(word, 16) & ~internal for word in protocol.output[1].split()[1::2]] == [0, 0]

    run(main)


def test_a_signal_reaches_the_whole_group(run: Run) -> None:
    async def main(reactor: Any) -> None:
        protocol = shell(reactor, "sleep 100 & echo started; wait")
        await protocol.output_with(b"started")
        protocol.transport.send_signal(signal.SIGTERM)
        assert await finished(protocol) == ExitStatus(signal=15)

    run(main)


def test_without_a_session_of_its_own_a_child_is_in_our_group(run: Run) -> None:
    async def main(reactor: Any) -> None:
        protocol = shell(reactor, "ps -o pgid= -p $$; exec sleep 100", new_session=False)
        await protocol.output_with(b"\n")
        assert int(protocol.output[1]) == os.getpgrp()
        protocol.transport.send_signal(signal.SIGKILL)
        assert await finished(protocol) == ExitStatus(signal=9)

    run(main)


def test_close_drops_all_streams_and_the_exit_still_comes(run: Run) -> None:
    async def main(reactor: Any) -> None:
        protocol = shell(reactor, "cat")
        protocol.transport.close()
        protocol.transport.close()
        protocol.transport.write(b"x")
        protocol.transport.resume_reading(1)
        assert await protocol.exited == ExitStatus(code=0)
        assert protocol.events == ["started", "exited"]

    run(main)


def test_a_vanished_process_is_no_error_for_send_signal(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(reactor: Any) -> None:
        def gone(pid: int, number: int) -> None:
            raise ProcessLookupError

        protocol = shell(reactor, "cat")
        with monkeypatch.context() as patch:
            patch.setattr(os, "killpg", gone)
            protocol.transport.send_signal(signal.SIGTERM)
        protocol.transport.write_eof()
        assert await finished(protocol) == ExitStatus(code=0)

    run(main)


def test_a_protocol_that_fails_at_the_start_closes_everything(run: Run) -> None:
    class Failing(ProcessRecorder):
        def process_started(self, transport: Any) -> None:
            super().process_started(transport)
            raise RuntimeError("bug")

    async def main(reactor: Any) -> None:
        protocol = Failing()
        with pytest.raises(RuntimeError, match="bug"):
            reactor.spawn_process(protocol, ["cat"])
        assert await protocol.exited == ExitStatus(code=0)

    run(main)


@pytest.mark.parametrize("method", ["output_received", "output_closed", "process_exited", "pause_writing"])
def test_r41_a_protocol_that_fails_is_reported_and_harms_nobody(
    run: Run, method: str, reports: list[str]
) -> None:
    def fail(self: Any, *args: Any) -> None:
        raise RuntimeError("bug")

    faulty = type("Faulty", (ProcessRecorder,), {method: fail})

    async def main(reactor: Any) -> None:
        protocol = faulty()
        reactor.spawn_process(protocol, ["sh", "-c", "echo x; cat >/dev/null"])
        protocol.transport.write(bytes(1 << 20))
        protocol.transport.write_eof()
        while protocol.transport.exit_status is None or not list(reports):
            await later(reactor)
        assert next(iter(reports)).endswith("failed: bug")

    run(main)


# -- terminals -------------------------------------------------------------------------------------


def test_a_child_leads_its_session_on_a_controlling_terminal(run: Run, tmp_path: Path) -> None:
    async def main(reactor: Any) -> None:
        script = "tty; tty <&1; tty <&2; pwd; ps -o pid=,sess=,tpgid= -p $$; : </dev/tty && echo controlled"
        protocol = shell(reactor, script, pty=TerminalSize(), cwd=str(tmp_path))
        name = protocol.transport.terminal_name
        assert name.startswith("/dev/")
        await protocol.closed[1]
        lines = protocol.output[1].decode().split("\r\n")
        assert lines[:4] == [name, name, name, str(tmp_path)]
        assert {int(number) for number in lines[4].split()} == {protocol.transport.pid}
        assert lines[5] == "controlled"
        assert await protocol.exited == ExitStatus(code=0)

    run(main)


def test_the_terminal_has_the_size_asked_for_and_changes_it_with_a_signal(run: Run) -> None:
    async def main(reactor: Any) -> None:
        script = "trap 'stty size; exit 0' WINCH; stty size; echo ready; while :; do read line; done"
        protocol = shell(reactor, script, pty=TerminalSize(100, 30, 800, 600))
        await protocol.output_with(b"ready")
        assert protocol.output[1].startswith(b"30 100\r\n")
        protocol.transport.resize(TerminalSize(70_000, -1))
        protocol.transport.write(b"\n")
        await protocol.closed[1]
        assert b"0 65535" in protocol.output[1]
        protocol.transport.resize(TerminalSize())
        protocol.transport.close()
        protocol.transport.resize(TerminalSize())
        protocol.transport.write_eof()
        await protocol.exited

    run(main)


def test_modes_can_be_set_before_the_program_starts(run: Run) -> None:
    def quiet(fd: int) -> None:
        modes = termios.tcgetattr(fd)
        modes[3] &= ~termios.ECHO
        termios.tcsetattr(fd, termios.TCSANOW, modes)

    async def main(reactor: Any) -> None:
        protocol = shell(reactor, "read line; echo got $line", pty=TerminalSize(), prepare_terminal=quiet)
        protocol.transport.write(b"secret\n")
        await protocol.closed[1]
        assert protocol.output[1] == b"got secret\r\n"
        await protocol.exited

    run(main)


def test_the_end_of_input_is_typed_on_a_terminal(run: Run) -> None:
    async def main(reactor: Any) -> None:
        protocol = shell(reactor, "cat; echo over", pty=TerminalSize())
        protocol.transport.write_eof()
        await protocol.closed[1]
        assert b"over" in protocol.output[1]
        assert await protocol.exited == ExitStatus(code=0)

    run(main)


def test_r31_the_programs_of_a_terminal_get_sighup_when_it_closes(run: Run) -> None:
    async def main(reactor: Any) -> None:
        protocol = shell(reactor, "echo ready; exec cat", pty=TerminalSize())
        await protocol.output_with(b"ready")
        protocol.transport.close()
        assert await protocol.exited == ExitStatus(signal=signal.SIGHUP)
        assert "closed 1" not in protocol.events

    run(main)


# -- reaping ---------------------------------------------------------------------------------------


def test_r31_a_child_is_reaped_and_reported_once(run: Run) -> None:
    async def main(reactor: Any) -> None:
        protocols = [shell(reactor, f"exit {code}") for code in range(20)]
        for code, protocol in enumerate(protocols):
            assert await finished(protocol) == ExitStatus(code=code)
            with pytest.raises(ChildProcessError):
                os.waitpid(protocol.transport.pid, os.WNOHANG)
        assert all(protocol.events.count("exited") == 1 for protocol in protocols)

    run(main)


def test_a_core_dump_is_told() -> None:
    status = reaper.reap
    assert status(2**22 + 1, 0) == ExitStatus()  # nobody's child: an empty status

    def dumped(pid: int, flags: int) -> tuple[int, int]:
        return pid, signal.SIGSEGV | 0x80

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "waitpid", dumped)
        assert status(1, 0) == ExitStatus(signal=signal.SIGSEGV, core_dumped=True)


@pytest.mark.parametrize("fault", [AttributeError, OSError])
def test_without_pidfds_a_thread_waits(run: Run, monkeypatch: pytest.MonkeyPatch, fault: Any) -> None:
    def none(pid: int) -> int:
        raise fault

    monkeypatch.setattr(os, "pidfd_open", none)

    async def main(reactor: Any) -> None:
        assert await finished(shell(reactor, "exit 5")) == ExitStatus(code=5)

    run(main)


def test_a_child_that_ended_just_not_yet_is_asked_again(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [None]
    original = reaper.reap

    def reap(pid: int, flags: int) -> ExitStatus | None:
        return answers.pop() if answers else original(pid, flags)

    monkeypatch.setattr(reaper, "reap", reap)

    async def main(reactor: Any) -> None:
        assert await finished(shell(reactor, "exit 5")) == ExitStatus(code=5)

    run(main)


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("pty", [None, TerminalSize()])
def test_r31_closing_the_reactor_leaves_no_zombie(ended: bool, pty: Any) -> None:
    reactor = new_reactor("native")
    protocols: list[ProcessRecorder] = []

    async def main() -> None:
        script = "trap '' HUP; echo ready; " + ("exit 4" if ended else "exec sleep 1000")
        protocol = shell(reactor, script, pty=pty)
        protocols.append(protocol)
        if ended:  # before the loop turns once more and sees it
            os.waitid(os.P_PID, protocol.transport.pid, os.WEXITED | os.WNOWAIT)
        else:
            await protocol.output_with(b"ready")
        protocol.transport.pause_reading(1)

    reactor.run_until(main())
    reactor.close()
    assert protocols[0].exited.result() == (ExitStatus(code=4) if ended else ExitStatus())
    assert protocols[0].events.count("exited") == 1
    pid = protocols[0].transport.pid
    if not ended:
        os.kill(pid, signal.SIGKILL)
    while Path(f"/proc/{pid}").exists():
        pass


def test_a_late_exit_for_a_closed_reactor_is_reaped_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    reactor = new_reactor("native")

    def none(pid: int) -> int:
        raise OSError

    monkeypatch.setattr(os, "pidfd_open", none)
    pids: list[int] = []

    async def main() -> None:
        pids.append(shell(reactor, "cat").transport.pid)

    reactor.run_until(main())
    reactor.close()
    while Path(f"/proc/{pids[0]}").exists():
        pass
