"""Real commands and shells, driven by the system's ssh."""

import errno
import fcntl
import hashlib
import os
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Callable
from pathlib import Path

import pytest

import sshkit
from tests.servers import TIMEOUT, USER, OwnServer, Place

pytestmark = pytest.mark.peer("ssh")
Start = Callable[..., OwnServer]


def set_size(fd: int, rows: int, columns: int) -> None:
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


#: Makes its standard input its controlling terminal, as a login does.
TAKE_TERMINAL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execvp(*SELF)"


class OnTerminal:
    """ssh on a local terminal of its own."""

    def __init__(
        self,
        server: OwnServer,
        *command: str,
        prepare: Callable[[int], object] = lambda fd: None,
        env: dict[str, str] | None = None,
    ) -> None:
        line = server.ssh_command(*command, options=("-tt",))
        script = TAKE_TERMINAL.replace("*SELF", "sys.argv[1], sys.argv[1:]")
        self.fd, slave = os.openpty()
        prepare(slave)
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, *line],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env={**os.environ, **(env or {})},
        )
        os.close(slave)
        self.seen = b""

    def expect(self, pattern: bytes) -> re.Match[bytes]:
        """Read until the pattern was seen; what comes later is kept."""
        while True:
            match = re.search(pattern, self.seen)
            if match:
                self.seen = self.seen[match.end() :]
                return match
            try:
                data = os.read(self.fd, 65536)
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                data = b""
            assert data, f"{pattern!r} not in {self.seen!r}"
            self.seen += data

    def end(self) -> int:
        """Wait for ssh and return its exit status."""
        try:
            while os.read(self.fd, 65536):
                pass
        except OSError:
            pass
        os.close(self.fd)
        return self.process.wait(TIMEOUT)


def test_a_command_has_its_exit_status_and_both_outputs(start: Start) -> None:
    result = start().ssh("echo out; echo err >&2; exit 7")
    assert (result.returncode, result.stdout, result.stderr) == (7, b"out\n", b"err\n")


def test_data_passes_whole_in_both_directions_at_once(start: Start, tmp_path: Path) -> None:
    data = os.urandom(1 << 20) * 24
    result = start().ssh("tee /dev/stderr", input=data)
    wanted = hashlib.sha256(data).digest()
    assert hashlib.sha256(result.stdout).digest() == wanted
    assert hashlib.sha256(result.stderr).digest() == wanted


def test_the_end_of_input_reaches_the_command(start: Start) -> None:
    assert start().ssh("wc -c", input=b"x" * 100_000).stdout.strip() == b"100000"


def test_a_command_that_gives_its_output_up_goes_on_and_has_its_status(start: Start, tmp_path: Path) -> None:
    server = start()
    os.mkfifo(tmp_path / "go")
    command = server.ssh_command(f"exec > /dev/null 2>&1; read word < {tmp_path}/go; exit $word")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        (tmp_path / "go").write_text("3\n")
        assert process.communicate(None, TIMEOUT)[0] == b""
        assert process.returncode == 3


def test_what_a_command_wrote_last_is_not_lost(start: Start) -> None:
    server = start()
    for _ in range(5):
        assert len(server.ssh("head -c 3000000 /dev/zero").stdout) == 3_000_000


def test_a_command_that_reads_nothing_ends_although_much_is_sent(start: Start) -> None:
    assert start().ssh("exit 4", input=bytes(8 << 20)).returncode == 4


def test_a_command_that_closes_its_input_goes_on(start: Start) -> None:
    result = start().ssh("exec <&-; head -c 1000000 /dev/zero | wc -c", input=bytes(4 << 20))
    assert result.stdout.strip() == b"1000000"


def test_a_signal_that_ends_a_command_is_told(start: Start) -> None:
    server = start()
    result = server.ssh("kill -TERM $$", options=("-v", "-o", "LogLevel=DEBUG1"))
    assert result.returncode == 255
    assert b"rtype exit-signal" in result.stderr


def test_a_client_that_stops_to_read_stops_the_command(start: Start) -> None:
    server = start("ClientAliveInterval 0")
    command = server.ssh_command("cat /dev/zero")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        assert len(process.stdout.read(1 << 20)) == 1 << 20
        process.send_signal(signal.SIGSTOP)
        assert server.ssh("echo still served").stdout == b"still served\n"
        assert memory(server) < 120 << 20
        process.kill()
    server.wait_for("ended: .*")
    assert not wait_for_children(server)


def memory(server: OwnServer) -> int:
    pages = Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGESIZE")


def wait_for_children(server: OwnServer) -> list[int]:
    """Return the children that are left once each of them had its end reported."""
    for child in server.children():
        try:
            fd = os.pidfd_open(child)
        except ProcessLookupError:
            continue
        import select

        select.select([fd], [], [], TIMEOUT)
        os.close(fd)
    # The server reaps in a turn of its loop; an answer to another client comes after that turn.
    server.ssh("true")
    return server.children()


def test_r31_a_killed_client_leaves_no_process(start: Start) -> None:
    server = start()
    command = server.ssh_command("echo $$; exec sleep 1000")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert child in server.children()
        process.kill()
    server.wait_for("ended: ")
    assert not wait_for_children(server)
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)


def test_r31_a_program_on_a_terminal_gets_sighup_when_the_client_goes(start: Start, tmp_path: Path) -> None:
    server = start()
    told = tmp_path / "told"
    terminal = OnTerminal(
        server, f"trap 'echo hup > {told}; exit' HUP; echo ready; while :; do sleep 0.01; done"
    )
    terminal.expect(b"ready")
    terminal.process.kill()
    assert terminal.end() == -signal.SIGKILL
    server.wait_for("ended: ")
    assert not wait_for_children(server)
    assert told.read_text() == "hup\n"


def test_r31_a_command_has_no_descriptor_but_the_first_three(start: Start) -> None:
    server = start()
    held = server.connect()
    # ls itself opens the folder, as one more descriptor.
    assert server.ssh("exec ls /proc/self/fd").stdout.split() == [b"0", b"1", b"2", b"3"]
    held.close()


def test_a_background_process_on_the_pipes_holds_the_channel_until_it_ends(start: Start) -> None:
    # The background waits for the shell, so what it writes is written after the exit status is known.
    result = start().ssh("{ tail --pid=$$ -f /dev/null; echo late; } & echo early; exit 6", input=b"")
    assert result.stdout.split() == [b"early", b"late"]
    assert result.returncode == 6


def test_a_background_process_on_a_terminal_does_not_hold_the_channel(start: Start) -> None:
    server = start()
    terminal = OnTerminal(server, "trap '' HUP; sleep 20 & echo number $!; exit 5")
    number = int(terminal.expect(rb"number (\d+)")[1])
    assert terminal.end() == 5
    os.kill(number, signal.SIGKILL)


def test_a_terminal_has_the_size_type_modes_and_name_that_it_should(start: Start) -> None:
    def prepare(fd: int) -> None:
        set_size(fd, 33, 77)
        modes = termios.tcgetattr(fd)
        modes[3] &= ~termios.ECHOK
        modes[6][termios.VINTR] = b"\x05"
        termios.tcsetattr(fd, termios.TCSANOW, modes)

    command = "stty size; stty -a; echo term=$TERM tty=$SSH_TTY,$(tty); exit 9"
    terminal = OnTerminal(start(), command, prepare=prepare, env={"TERM": "vt220"})
    terminal.expect(rb"33 77\r\n")
    text = terminal.expect(rb"(?s).*term=vt220 tty=(/dev/\S+),(\S+)\r\n")
    assert text[1] == text[2]
    assert b"intr = ^E" in text[0]
    assert b"-echok" in text[0]
    assert terminal.end() == 9


def test_a_new_window_size_reaches_the_program(start: Start) -> None:
    server = start()
    terminal = OnTerminal(
        server, "trap 'stty size; exit 8' WINCH; stty size; echo ready; while :; do sleep 0.01; done"
    )
    terminal.expect(b"ready")
    set_size(terminal.fd, 41, 99)
    terminal.expect(rb"41 99")
    assert terminal.end() == 8


def test_keys_typed_on_a_terminal_reach_the_shell(start: Start) -> None:
    server = start()
    terminal = OnTerminal(server)
    os.write(terminal.fd, b"PS1=pro''mpt; echo login-$((20+3))-$0; cat\n")
    terminal.expect(rb"login-23--\w+")
    os.write(terminal.fd, b"typed\n")
    terminal.expect(rb"typed\r\ntyped")
    os.write(terminal.fd, b"\x03")  # the terminal's interrupt ends cat only
    terminal.expect(rb"prompt")
    os.write(terminal.fd, b"exit 11\n")
    assert terminal.end() == 11


def test_the_end_of_input_is_typed_on_a_terminal(start: Start) -> None:
    result = start().ssh("cat; echo done; exit 2", input=b"line\n", options=("-tt",))
    assert b"done" in result.stdout
    assert result.returncode == 2


def test_a_shell_without_terminal_is_a_login_shell(start: Start) -> None:
    result = start().ssh(input=b'case "$0" in -*) echo login;; esac; pwd; exit 3\n')
    assert result.stdout.splitlines()[0] == b"login"
    assert result.stdout.splitlines()[1].decode() == os.path.realpath(os.path.expanduser(f"~{USER}"))
    assert result.returncode == 3


def variables(output: bytes) -> dict[str, str]:
    return dict(line.split("=", 1) for line in output.decode().split("\0") if line)


def test_the_environment_is_that_of_a_login(start: Start, place: Place) -> None:
    server = start(f"ForceCommand {place.folder / 'show'}")
    show = place.folder / "show"
    show.write_text("#!/bin/sh\nexec env -0\n")
    show.chmod(0o755)
    found = variables(server.ssh("the command").stdout)
    assert found["USER"] == found["LOGNAME"] == USER
    assert found["HOME"] == os.path.expanduser(f"~{USER}")
    assert found["MAIL"] == f"/var/mail/{USER}"
    assert os.path.basename(found["SHELL"])
    assert "/usr/bin" in found["PATH"].split(":")
    assert re.fullmatch(rf"127\.0\.0\.1 \d+ 127\.0\.0\.1 {server.port}", found["SSH_CONNECTION"])
    assert re.fullmatch(rf"127\.0\.0\.1 \d+ {server.port}", found["SSH_CLIENT"])
    assert found["SSH_ORIGINAL_COMMAND"] == "the command"
    assert "SSH_TTY" not in found
    assert "TERM" not in found


def test_r29_only_variables_on_the_list_are_taken(start: Start) -> None:
    server = start("AcceptEnv GOOD_* ONE", "SetEnv FIXED=server OTHER=2")
    sent = {"GOOD_A": "1", "ONE": "2", "BAD": "3", "LD_PRELOAD": "", "FIXED": "client"}
    names = [option for name in sent for option in ("-o", f"SendEnv={name}")]
    found = variables(server.ssh("env -0", options=names, env=sent).stdout)
    assert (found["GOOD_A"], found["ONE"], found["FIXED"], found["OTHER"]) == ("1", "2", "server", "2")
    assert "BAD" not in found


def test_r29_a_variable_cannot_replace_one_of_the_login(start: Start) -> None:
    server = start("AcceptEnv *")
    options = ("-o", "SendEnv=MAIL", "-o", "SendEnv=SSH_CLIENT", "-o", "SendEnv=LOGNAME")
    fakes = {"MAIL": "/fake", "SSH_CLIENT": "fake", "LOGNAME": "fake"}
    found = variables(server.ssh("env -0", options=options, env=fakes).stdout)
    assert found["MAIL"] == f"/var/mail/{USER}"
    assert found["LOGNAME"] == USER
    assert found["SSH_CLIENT"] != "fake"


def test_a_forced_command_runs_instead_of_whatever_was_asked_for(start: Start, place: Place) -> None:
    server = start('ForceCommand echo "forced: $SSH_ORIGINAL_COMMAND"', "Subsystem known /bin/known -x 'a b'")
    assert server.ssh("rm -rf things").stdout == b"forced: rm -rf things\n"
    assert server.ssh().stdout == b"forced: \n"
    assert server.ssh("known", options=("-s",)).stdout == b'forced: /bin/known -x "a b"\n'


def test_a_subsystem_is_the_command_of_the_table(start: Start) -> None:
    server = start("Subsystem greet /bin/echo hello there")
    assert server.ssh("greet", options=("-s",)).stdout == b"hello there\n"
    unknown = server.ssh("nosuch", options=("-s",))
    assert unknown.returncode == 255
    server.wait_for(f"subsystem 'nosuch' of '{USER}' refused: no such subsystem")


@pytest.mark.peer("sftp")
def test_the_systems_sftp_server_works_as_a_subsystem(start: Start, place: Place) -> None:
    helper = "/usr/lib/openssh/sftp-server"
    if not os.path.exists(helper):
        pytest.skip("no sftp-server is installed")
    server = start(f"Subsystem sftp {helper} -l ERROR")
    (place.folder / "source").write_bytes(os.urandom(1 << 20))
    line = server.ssh_command()
    settings = line[1 : line.index("-p")]
    batch = f"get {place.folder / 'source'} {place.folder / 'copy'}\n".encode()
    subprocess.run(
        ["sftp", *settings, "-P", str(server.port), "-b", "-", f"{USER}@127.0.0.1"],
        input=batch,
        capture_output=True,
        timeout=TIMEOUT,
        check=True,
    )
    assert (place.folder / "copy").read_bytes() == (place.folder / "source").read_bytes()


def test_without_permission_there_is_no_terminal(start: Start) -> None:
    result = start("PermitTTY no").ssh("tty", options=("-tt",))
    assert b"PTY allocation request failed" in result.stderr
    assert result.returncode == 255


def test_a_signal_of_the_client_reaches_the_command(start: Start, place: Place) -> None:
    server = start()

    async def main() -> tuple[bytes, int | None]:
        async with sshkit.connect(
            f"{USER}@127.0.0.1",
            port=server.port,
            identities=[place.key],
            known_hosts=place.folder / "none",
            host_key_policy="accept-new",
        ) as connection:
            process = await connection.start(
                "trap 'echo got it; exit 7' USR1; echo up; while :; do read x; done"
            )
            assert await process.stdout.read_line() == b"up\n"
            process.send_signal("USR1")
            return await process.stdout.read(), (await process.wait()).exit_status

    assert sshkit.run(main()) == (b"got it\n", 7)


def test_the_time_zone_is_the_servers(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert start().ssh("echo $TZ").stdout == b"Asia/Tokyo\n"
