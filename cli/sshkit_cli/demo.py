"""``make demo``: a server, a client and the system's ssh, on a loopback port with throw-away keys.

Everything lives in a temporary folder and is gone at the end; no terminal is needed.  The account of what
happened is on standard output, and the exit status is 1 if anything went otherwise.
"""

import contextlib
import filecmp
import hashlib
import os
import pty
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from sshkit_keys import load_public_key

BIN = Path(sys.executable).parent
SIZE = 64 * 1024 * 1024  #: bytes piped through
SMALL_FILES, SMALL_BYTES = 500, 4096  #: of the directory that is moved
TIMEOUT = 60.0  #: seconds for each step
START_TIMEOUT = 15.0


class DemoFailed(Exception):
    """A step did not do what it should."""


class Demo:
    """The folder, the keys and the server of one run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.known_hosts = folder / "known_hosts"

    def key(self, name: str) -> str:
        """Make a throw-away key with sshkit-keygen; return its path."""
        path = str(self.folder / name)
        self._call([str(BIN / "sshkit-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", path])
        return path

    @contextlib.contextmanager
    def server(self) -> Iterator[None]:
        """Run sshkit-server until the block ends."""
        config = self.folder / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.key('host_key')}\n"
            f"AuthorizedKeysFile {self.key('user_key')}.pub\nStrictModes no\n"
            "Subsystem sftp internal-sftp\n"
        )
        log = self.folder / "server.log"
        argv = [str(BIN / "sshkit-server"), "-D", "-f", str(config), "-E", str(log)]
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            self._wait_for_server(process, log)
            yield
        finally:
            process.terminate()
            process.wait(START_TIMEOUT)

    def client(self, program: str, port: int = 0) -> list[str]:
        """Return the beginning of a command line of sshkit-client or of the system's ssh."""
        return [
            program,
            *("-F", "none", "-p", str(port or self.port), "-i", str(self.folder / "user_key")),
            *("-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={self.known_hosts}"),
            *("-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
        ]

    def run(self, program: str, *arguments: str, data: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
        """Run one client with `data` on its standard input."""
        argv = [*self.client(program), *arguments]
        return subprocess.run(argv, input=data, capture_output=True, timeout=TIMEOUT, check=False)

    def _call(self, argv: list[str]) -> None:
        done = subprocess.run(argv, capture_output=True, timeout=TIMEOUT, check=False)
        if done.returncode:
            raise DemoFailed(f"{Path(argv[0]).name}: {done.stderr.decode(errors='replace').strip()}")

    def _wait_for_server(self, process: "subprocess.Popen[bytes]", log: Path) -> None:
        end = time.monotonic() + START_TIMEOUT
        while time.monotonic() < end and process.poll() is None:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return
            time.sleep(0.05)
        text = log.read_text() if log.exists() else ""
        raise DemoFailed(f"sshkit-server did not start: {text[-1000:]}")


def drive(demo: Demo, program: str, name: str) -> None:
    """Let one client run a command, hold a terminal session and pipe 64 MiB through."""
    done = demo.run(program, "127.0.0.1", "echo hello from $USER; echo a warning >&2; exit 7")
    _expect(name, "a command", done.returncode == 7 and b"hello" in done.stdout, done)
    _tell(f"a command    : {done.stdout.decode().strip()!r}, exit status {done.returncode}")

    output, status = _on_terminal([*demo.client(program), "-tt", "127.0.0.1", "stty size; tty; exit 5"])
    if status != 5 or "/dev/" not in output:
        raise DemoFailed(f"{name}: the terminal session ended with {status}: {output!r}")
    _tell(f"a terminal   : {' on '.join(output.split(chr(10))[:2])}, exit status {status}")

    data = os.urandom(1 << 20) * (SIZE >> 20)
    wanted = hashlib.sha256(data).hexdigest()
    began = time.monotonic()
    done = demo.run(program, "127.0.0.1", "cat", data=data)
    seconds = time.monotonic() - began
    _expect(name, "64 MiB", done.returncode == 0 and hashlib.sha256(done.stdout).hexdigest() == wanted, done)
    rate = 2 * SIZE / seconds / (1 << 20)
    _tell(f"64 MiB there : and back in {seconds:.2f} s, {rate:.0f} MiB/s, sha256 {wanted[:16]}... equal")


def move_directory(demo: Demo, program: str, name: str) -> None:
    """Let a copier take a directory up and down, and compare."""
    source, far, back = (demo.folder / folder / "tree" for folder in ("here", "far", "back"))
    for folder in (source, far.parent, back.parent):
        folder.mkdir(parents=True)
    for number in range(SMALL_FILES):
        (source / f"file-{number:03}").write_bytes(os.urandom(SMALL_BYTES))
    (source / "large").write_bytes(os.urandom(1 << 20) * (SIZE >> 21))
    total = SMALL_FILES * SMALL_BYTES + (SIZE >> 21 << 20)
    options = ["-P" if word == "-p" else word for word in demo.client(program)[1:]]
    for way, pair in (
        ("up", [str(source), f"127.0.0.1:{far}"]),
        ("down", [f"127.0.0.1:{far}", str(back)]),
    ):
        began = time.monotonic()
        done = subprocess.run(
            [program, "-r", "-q", *options, *pair], capture_output=True, timeout=TIMEOUT, check=False
        )
        seconds = time.monotonic() - began
        _expect(name, f"a directory {way}", done.returncode == 0, done)
        rate = total / seconds / (1 << 20)
        _tell(f"a directory  : {SMALL_FILES + 1} files {way} in {seconds:.2f} s, {rate:.0f} MiB/s")
    names = sorted(os.listdir(source))
    if names != sorted(os.listdir(back)) or any(filecmp.cmpfiles(source, back, names, shallow=False)[1:]):
        raise DemoFailed(f"{name}: the directory that came back is another one")
    for folder in (source, far, back):
        shutil.rmtree(folder.parent)


def main() -> int:
    """Run the demo; return its exit status."""
    try:
        with tempfile.TemporaryDirectory(prefix="sshkit-demo-") as name:
            demo = Demo(Path(name))
            with demo.server():
                _show(demo)
                look_inside(demo)
    except (DemoFailed, subprocess.TimeoutExpired, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    print("everything worked; nothing is left behind")
    return 0


def look_inside(demo: Demo) -> None:
    """Open a manhole in this very process: at its prompt on a terminal, else with one expression."""
    from sshkit import manhole

    names = {"demo": demo, "os": os}
    key, host_key = demo.folder / "user_key", demo.folder / "host_key"
    with manhole.start(names, authorized_keys=[f"{key}.pub"], host_key=host_key, title="the demo") as door:
        print(f"a manhole in the demo's own process, at 127.0.0.1 port {door.port}")
        argv = [*demo.client(str(BIN / "sshkit-client"), door.port), "127.0.0.1"]
        expression = "demo.port, os.getpid()"
        done = subprocess.run(
            [*argv, expression], stdin=subprocess.DEVNULL, capture_output=True, timeout=TIMEOUT, check=False
        )
        said = done.stdout.decode().strip()
        _expect("manhole", expression, said == repr((demo.port, os.getpid())), done)
        _tell(f"an expression: {expression} -> {said}")
        if sys.stdin.isatty() and sys.stdout.isatty():
            _tell("here is its prompt; ctrl-D ends it and the demo")
            sys.stdout.flush()
            subprocess.call(argv)


def _show(demo: Demo) -> None:
    host_key = load_public_key(f"{demo.folder}/host_key.pub")
    user_key = load_public_key(f"{demo.folder}/user_key.pub")
    print(f"sshkit-server listens on 127.0.0.1 port {demo.port}")
    _tell(f"host key     : {host_key.key_type} {host_key.fingerprint()}")
    _tell(f"user key     : {user_key.key_type} {user_key.fingerprint()}")

    ours = str(BIN / "sshkit-client")
    print("sshkit-client")
    drive(demo, ours, "sshkit-client")
    for line in demo.run(ours, "-v", "127.0.0.1", "true").stderr.decode(errors="replace").splitlines():
        if "algorithms:" in line:
            _tell(f"negotiated   : {line.partition('algorithms:')[2].strip()}")

    print("sshkit-scp")
    move_directory(demo, str(BIN / "sshkit-scp"), "sshkit-scp")

    system = shutil.which("ssh")
    if system is None:
        print("the system has no ssh to compare with")
        return
    version = subprocess.run([system, "-V"], capture_output=True, text=True, timeout=TIMEOUT, check=False)
    print(f"the system's ssh ({version.stderr.partition(',')[0]})")
    drive(demo, system, "ssh")
    copier = shutil.which("scp")
    if copier is not None:
        move_directory(demo, copier, "scp")
    kinds = {"kex: algorithm:": "", "kex: host key algorithm:": "", "kex: server->client cipher:": ""}
    for line in demo.run(system, "-v", "127.0.0.1", "true").stderr.decode(errors="replace").splitlines():
        for kind in kinds:
            if kind in line:
                kinds[kind] = line.partition(kind)[2].split()[0]
    _tell(f"negotiated   : {', '.join(kinds.values())}")


def _on_terminal(argv: list[str]) -> tuple[str, int]:
    """Run `argv` on a terminal of its own; return what it wrote there and its exit status."""
    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL)
    finally:
        os.close(theirs)
    output = b""
    try:
        while True:
            try:
                data = os.read(ours, 65536)
            except OSError:  # EIO: nobody has the other end any more
                break
            if not data:
                break
            output += data
    finally:
        os.close(ours)
    return output.decode(errors="replace").replace("\r\n", "\n").strip(), process.wait(TIMEOUT)


def _expect(name: str, what: str, good: bool, done: "subprocess.CompletedProcess[bytes]") -> None:
    if not good:
        said = done.stderr.decode(errors="replace").strip()
        raise DemoFailed(f"{name}: {what} ended with status {done.returncode}: {said}")


def _tell(text: str) -> None:
    print(f"  {text}", flush=True)


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


if __name__ == "__main__":
    sys.exit(main())
