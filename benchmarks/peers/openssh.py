"""OpenSSH's sshd and ssh, driven as people drive them: a process for each connection."""

import contextlib
import os
import resource
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import which

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin"


#: What sftp is told to do; it has no stat that shows nothing, and `ls -f` sorts nothing.
SFTP_BATCHES = {
    "get": "get {files}/far/bulk {files}/near/got\n",
    "put": "put {files}/near/bulk {files}/far/put\n",
    "get-small": "get -r {files}/far/small {files}/near/got-small\n",
    "put-small": "put -r {files}/near/small {files}/far/put-small\n",
    "list": "ls -1f {files}/far/many\n",
}


def is_present() -> bool:
    """Both programs are installed."""
    return which("sshd", path=PATH) is not None and which("ssh") is not None


def server_argv(folder: Path, port: int) -> list[str]:
    """Return the command line of an sshd for the throw-away keys."""
    Path("/run/sshd").mkdir(exist_ok=True)
    config = folder / "sshd_config"
    config.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
        "StrictModes no\nUsePAM no\nPidFile none\nMaxStartups 500\nMaxSessions 500\nLogLevel ERROR\n"
        "Subsystem sftp internal-sftp\n"
        "SetEnv SHLVL=5\n"  # or bash reads ~/.bashrc for every command, which is not OpenSSH's cost
    )
    sshd = which("sshd", path=PATH)
    assert sshd is not None
    return [sshd, "-D", "-e", "-f", str(config)]


def client(folder: Path, port: int, user: str, cipher: str, mac: str, program: str = "ssh") -> list[str]:
    """Return the beginning of a client's command line; `program` may be sshkit-client."""
    return [
        program,
        *("-F", "none", "-p", str(port), "-i", f"{folder}/user", "-c", cipher, "-m", mac),
        *("-o", f"UserKnownHostsFile={folder}/known_hosts", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"),
        *("-o", "IdentitiesOnly=yes", f"{user}@127.0.0.1"),
    ]


def run_case(argv: list[str], case: str, amount: int, wide: int, files: str = "") -> dict[str, float]:
    """Do one case; return processor seconds of all the client's processes, and the seconds that passed."""
    with contextlib.ExitStack() as stack:
        if case == "exec":
            argv = stack.enter_context(_shared(argv))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.perf_counter()
        if case == "down":
            subprocess.run([*argv, f"head -c {amount} /dev/zero"], stdout=subprocess.DEVNULL, check=True)
        elif case in SFTP_BATCHES:
            _sftp(argv, SFTP_BATCHES[case].format(files=files))
        elif case == "up":
            with _zeros(amount) as source:
                subprocess.run([*argv, "cat > /dev/null"], stdin=source, check=True)
        else:
            with ThreadPoolExecutor(wide) as pool:
                done = pool.map(lambda _: _true(argv), range(amount))
                assert not any(done)
        wall = time.perf_counter() - began
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"cpu": cpu, "wall": wall}


def _sftp(argv: list[str], batch: str) -> None:
    """Run the system's sftp with the options of a command line of ssh."""
    options = ["-P" if word == "-p" else word for word in argv[1:-1]]
    mac = options.index("-m")  # which sftp has not
    options[mac : mac + 2] = ["-o", f"MACs={options[mac + 1]}"]
    command = ["sftp", *options, "-q", "-b", "-", argv[-1]]
    subprocess.run(command, input=batch.encode(), stdout=subprocess.DEVNULL, check=True)


def _true(argv: list[str]) -> int:
    return subprocess.run([*argv, "true"], stdin=subprocess.DEVNULL, check=False).returncode


@contextlib.contextmanager
def _shared(argv: list[str]) -> Iterator[list[str]]:
    """Open a master connection; the clients of the block ride it."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/s"
        master = subprocess.Popen([*argv[:-1], "-N", "-M", "-S", path, argv[-1]], stdin=subprocess.DEVNULL)
        while not os.path.exists(path):
            time.sleep(0.02)
        yield [*argv[:-1], "-S", path, argv[-1]]
        master.terminate()
        master.wait()


@contextlib.contextmanager
def _zeros(amount: int) -> Iterator[int]:
    """Give a descriptor of a file of zeros, which costs nothing to read."""
    with tempfile.TemporaryFile() as file:
        file.truncate(amount)
        yield file.fileno()
