"""Real peers, both ways: ssh rides our master, our client rides that of ssh; sftp, scp, git, rsync too."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import sshkit
from tests.peers import RealSshd
from tests.sharing.world import PATIENCE

OURS = str(Path(sys.executable).with_name("sshkit-client"))
BACKPORT = Path(__file__).parents[2] / ".peers" / "openssh-backports" / "usr" / "bin" / "ssh"
SYSTEM = shutil.which("ssh") or "ssh"
OPENSSH = [SYSTEM, *([str(BACKPORT)] if BACKPORT.exists() else [])]
UNKNOWN = "the master does not know this request"
PAIRS = [*[(OURS, ssh) for ssh in OPENSSH], *[(ssh, OURS) for ssh in OPENSSH]]

pytestmark = [pytest.mark.peer("sshd"), pytest.mark.peer("ssh")]


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealSshd]:
    with RealSshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def run(*words: str, stdin: bytes = b"", **environment: str) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        words,
        input=stdin,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
        env={**os.environ, **environment},
    )


@contextlib.contextmanager
def a_master(program: str, sshd: RealSshd, control: Path) -> Iterator[None]:
    words = [
        *(program, "-F", "none", "-p", str(sshd.port), "-i", str(sshd.user_key_path), "-N", "-M"),
        *("-o", f"UserKnownHostsFile={sshd.known_hosts}", "-S", str(control), "127.0.0.1"),
    ]
    with subprocess.Popen(words, stdin=subprocess.DEVNULL) as master:
        try:
            end = time.monotonic() + PATIENCE
            while not control.exists():
                assert master.poll() is None
                assert time.monotonic() < end
            yield
        finally:
            master.terminate()
            master.wait(PATIENCE)


@pytest.mark.parametrize(("master", "rider"), PAIRS)
def test_everything_rides(sshd: RealSshd, tmp_path: Path, master: str, rider: str) -> None:
    control = tmp_path / "control"
    riding = (rider, "-F", "none", "-S", str(control))
    # A port where nobody is: whoever does not ride fails.
    nowhere = ("-p", "1", "127.0.0.1")
    with a_master(master, sshd, control):
        done = run(*riding, *nowhere, "cat; echo err >&2; exit 9", stdin=b"data")
        assert (done.returncode, done.stdout, done.stderr) == (9, b"data", b"err\n")
        done = run(*riding, "-O", "proxy", *nowhere, "cat; exit 9", stdin=b"data")
        assert (done.returncode, done.stdout) == (9, b"data")
        assert b"Master running (pid=" in run(*riding, "-O", "check", *nowhere).stderr
        done = run(*riding, "-W", f"127.0.0.1:{sshd.port}", *nowhere, stdin=b"hello\r\n")
        assert done.stdout.startswith(b"SSH-2.0-")
        done = run(*riding, "-O", "forward", "-R", f"0:127.0.0.1:{sshd.port}", *nowhere)
        assert int(done.stdout) > 0
        assert run(*riding, "-O", "cancel", "-R", f"0:127.0.0.1:{sshd.port}", *nowhere).returncode == 0
        data = os.urandom(3_000_000)
        assert run(*riding, *nowhere, "cat", stdin=data).stdout == data
        assert run(*riding, *nowhere, "kill -9 $$").returncode == 255
        assert run(*riding, "-s", *nowhere, "nonsense").returncode == 255
        assert run(*riding, "-tt", *nowhere, "test -t 0 && exit 3").returncode == 3
        _programs(rider, control, tmp_path)
        assert run(*riding, "-O", "exit", *nowhere).returncode == 0
        end = time.monotonic() + PATIENCE
        while control.exists():
            assert time.monotonic() < end


def _programs(rider: str, control: Path, folder: Path) -> None:
    """Move a file with each program that starts an ssh of its own."""
    data = os.urandom(1_000_000)
    (folder / "data").write_bytes(data)
    options = ("-F", "none", "-o", f"ControlPath={control}", "-P", "1", "-S", rider)
    if shutil.which("sftp"):
        batch = f"get {folder}/data {folder}/sftp\n".encode()
        done = run("sftp", "-b", "-", *options, "127.0.0.1", stdin=batch)
        assert (folder / "sftp").read_bytes() == data, done.stderr
    if shutil.which("scp"):
        for index, mode in enumerate(("-s", "-O")):
            done = run("scp", mode, *options, f"127.0.0.1:{folder}/data", f"{folder}/scp{index}")
            assert (folder / f"scp{index}").read_bytes() == data, done.stderr
    command = f"{rider} -F none -S {control} -p 1"
    if shutil.which("rsync"):
        done = run("rsync", "-e", command, f"127.0.0.1:{folder}/data", f"{folder}/rsync")
        assert (folder / "rsync").read_bytes() == data, done.stderr
    if shutil.which("git"):
        (folder / "origin").mkdir(exist_ok=True)
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "safe.directory=*")
        run("git", "init", "-q", f"{folder}/origin")
        run("git", *who, "-C", f"{folder}/origin", "commit", "-q", "--allow-empty", "-m", "first")
        done = run(
            "git", "clone", "-q", f"127.0.0.1:{folder}/origin", f"{folder}/clone", GIT_SSH_COMMAND=command
        )
        assert (folder / "clone" / ".git").is_dir(), done.stderr


@pytest.mark.parametrize(("master", "rider"), PAIRS)
def test_every_word_of_o_is_obeyed_or_refused_in_words(
    sshd: RealSshd, tmp_path: Path, master: str, rider: str
) -> None:
    control, local = tmp_path / "control", tmp_path / "local"

    def ask(*words: str) -> tuple[int, bytes, bytes]:
        done = run(rider, "-F", "none", "-S", str(control), "-O", *words, "nowhere.invalid")
        return done.returncode, done.stdout, done.stderr

    with a_master(master, sshd, control):
        assert ask("check")[0] == 0
        forward = ("-L", f"{local}:127.0.0.1:{sshd.port}")
        assert ask("forward", *forward) == (0, b"", b"")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(local))
            assert sock.recv(8) == b"SSH-2.0-"
        assert ask("forward", *forward) == (0, b"", b"")  # it is there already
        assert ask("cancel", *forward) == (0, b"", b"")
        status, out, error = ask("cancel", *forward)
        assert (status, out) == (0, b"")  # as ssh has it
        assert b"port not forwarded" in error
        port = ask("forward", "-R", f"0:127.0.0.1:{sshd.port}")[1]
        assert int(port) > 0
        if rider == OURS:  # OpenSSH has these words from 10.1 on
            for word in ("conninfo", "channels"):
                assert ask(word) == (255, b"", f"sshkit-client: -O {word}: {UNKNOWN}\n".encode())
        assert ask("nonsense")[0] == 255
        assert ask("check")[0] == 0  # nothing of this has harmed the master
        assert ask("stop")[0] == 0
        assert ask("check")[0] == 255


@pytest.mark.parametrize("master", OPENSSH)
def test_the_library_rides_openssh(sshd: RealSshd, tmp_path: Path, master: str) -> None:
    control = tmp_path / "control"

    async def main() -> None:
        async with sshkit.connect("127.0.0.1", control_path=control) as connection:
            data = os.urandom(3_000_000)
            assert (await connection.run("cat", input=data)).stdout == data
            result = await connection.run("echo err >&2; exit 3")
            assert (result.stderr, result.exit_status) == (b"err\n", 3)
            async with connection.sftp() as sftp:
                await sftp.write_bytes(str(tmp_path / "sftp"), data)
            assert (tmp_path / "sftp").read_bytes() == data
            stream = await connection.open_connection(("127.0.0.1", sshd.port))
            assert (await stream.reader.read_line()).startswith(b"SSH-2.0-")
            stream.close()
            async with connection.forward_remote("127.0.0.1:0", "127.0.0.1:1") as _:
                pass

    with a_master(master, sshd, control):
        with pytest.raises(sshkit.ForwardRefused):
            sshkit.run(main())
        assert run(SYSTEM, "-F", "none", "-S", str(control), "-O", "check", "x").returncode == 0


@pytest.mark.parametrize("rider", OPENSSH)
def test_openssh_rides_the_library(sshd: RealSshd, tmp_path: Path, rider: str) -> None:
    control = tmp_path / "control"

    async def main() -> None:
        async with (
            sshkit.connect(
                f"127.0.0.1:{sshd.port}",
                identities=[sshd.user_key_path],
                known_hosts=sshd.known_hosts,
                agent="",
            ) as connection,
            sshkit.share(connection, control),
        ):
            riding = (rider, "-F", "none", "-S", str(control), "-p", "1", "127.0.0.1")
            reactor = sshkit.current_reactor()
            for command in ("exit 3", "exec kill -9 $$"):
                done = await reactor.defer_to_thread(run, *riding, command)
                assert done.returncode == (3 if command == "exit 3" else 255)
            done = await reactor.defer_to_thread(run, *riding, "cat", stdin=b"data")
            assert done.stdout == b"data"
            await reactor.defer_to_thread(_programs, rider, control, tmp_path)
            assert (await connection.run("exit 4")).exit_status == 4

    sshkit.run(main())
