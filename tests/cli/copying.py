"""sshkit-sftp and sshkit-scp run within the test's process, and OpenSSH's beside them."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from sshkit_cli import scp, sftp

from tests.cli.user import Outcome, descriptors
from tests.interop.peers import BACKPORTS
from tests.sftp.client.world import SERVERS

SERVER = SERVERS["9.2"]
TIMEOUT = 50.0


def run_command(main: Callable[[list[str]], int], *argv: str, stdin: bytes | int = b"") -> Outcome:
    """Run a command here; its exit status, output and errors."""
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        if isinstance(stdin, bytes):
            given.write(stdin)
            given.seek(0)
            stdin = given.fileno()
        with descriptors(stdin, out.fileno(), err.fileno()):
            status = main(list(argv))
        for file in (out, err):
            file.seek(0)
        return Outcome(status, out.read(), err.read().decode("utf-8", "surrogateescape"))


def run_sftp(*argv: str, stdin: bytes | int = b"") -> Outcome:
    """Run sshkit-sftp."""
    return run_command(sftp.main, *argv, stdin=stdin)


def run_scp(*argv: str, stdin: bytes | int = b"") -> Outcome:
    """Run sshkit-scp."""
    return run_command(scp.main, *argv, stdin=stdin)


def batch(*lines: str, options: tuple[str, ...] = ()) -> Outcome:
    """Do lines with sshkit-sftp on OpenSSH's own server."""
    need_server()
    return run_sftp("-D", SERVER, *options, "-b", "-", stdin="".join(f"{line}\n" for line in lines).encode())


def typed(*lines: str, options: tuple[str, ...] = ()) -> Outcome:
    """Do lines as if they were typed, without a terminal."""
    need_server()
    return run_sftp("-D", SERVER, *options, stdin="".join(f"{line}\n" for line in lines).encode())


def need_server() -> None:
    """Skip where OpenSSH's sftp-server is absent; in CI that is a failure."""
    if shutil.which(SERVER) is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)("sftp-server is not installed")


def real_program(name: str, version: str) -> str:
    """Return the path of OpenSSH's own program of a version."""
    path = f"/usr/bin/{name}" if version == "9.2" else str(BACKPORTS / "usr" / "bin" / name)
    if shutil.which(path) is None:
        (pytest.fail if os.environ.get("CI") == "true" and version == "9.2" else pytest.skip)(
            f"{name} {version} is not installed"
        )
    return path


def run_real(program: str, *argv: str, stdin: bytes = b"", cwd: Path | None = None) -> Outcome:
    """Run a program; its exit status, output and errors, which name it as ours do."""
    done = subprocess.run(
        [program, *argv], input=stdin, capture_output=True, timeout=TIMEOUT, check=False, cwd=cwd
    )
    errors = done.stderr.decode().replace("\r", "")
    errors = re.sub(
        rf"(?m)^({re.escape(program)}|{Path(program).name}): ", f"sshkit-{Path(program).name}: ", errors
    )
    return Outcome(done.returncode, done.stdout, errors)


def tree(folder: Path) -> dict[str, tuple[int, str, bytes]]:
    """Return what is in a folder: mode, where links lead, contents."""
    found: dict[str, tuple[int, str, bytes]] = {}
    for path in sorted(folder.rglob("*")):
        link = os.readlink(path) if path.is_symlink() else ""
        data = path.read_bytes() if path.is_file() and not link else b""
        found[str(path.relative_to(folder))] = (path.lstat().st_mode, link, data)
    return found


def make_tree(folder: Path) -> Path:
    """Make files of several kinds."""
    (folder / "dir" / "sub").mkdir(parents=True)
    (folder / "a.txt").write_bytes(b"hello\n")
    (folder / "a.txt").chmod(0o640)
    (folder / "b c").write_bytes(b"spaces\n")
    (folder / "empty").touch()
    (folder / ".hidden").write_bytes(b"hidden\n")
    (folder / "link").symlink_to("a.txt")
    (folder / "dir" / "one").write_bytes(b"1" * 5000)
    (folder / "dir" / "sub" / "two").write_bytes(bytes(range(256)) * 1000)
    for path in (folder / "a.txt", folder / "dir" / "one"):
        os.utime(path, (1_600_000_000, 1_650_000_000))
    return folder
