"""Real clients that move files: one way to call each, against any server on a loopback port."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tests.interop.peers import BACKPORTS
from tests.servers import ROOT, TIMEOUT, USER

NEW = BACKPORTS / "usr" / "bin"
SFTP_SERVER = Path("/usr/lib/openssh/sftp-server")


def own_command(folder: Path) -> Path:
    """Return a script that runs sshkit-sftp-server, under coverage where the tests are."""
    start = [sys.executable, "-m", "sshkit_cli.sftp_server"]
    if os.environ.get("COVERAGE_RUN"):
        coverage = ["-m", "coverage", "run", f"--rcfile={ROOT / 'pyproject.toml'}", "-p"]
        start[1:1] = coverage
    path = folder / "own-sftp-server"
    data = os.environ.get("COVERAGE_FILE", str(ROOT / ".coverage"))
    path.write_text(f'#!/bin/sh\nCOVERAGE_FILE={data} exec {" ".join(start)} "$@"\n')
    path.chmod(0o755)
    return path


def run(*argv: str, input: str = "", cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end."""
    return subprocess.run(
        argv, input=input, capture_output=True, text=True, errors="surrogateescape", timeout=TIMEOUT, cwd=cwd
    )


def checked(*argv: str, input: str = "") -> str:
    """Run a command that must work; return what it wrote."""
    done = run(*argv, input=input)
    assert done.returncode == 0, (argv, done.stdout, done.stderr)
    return done.stdout


class Target(NamedTuple):
    """A server, and how to log in to it."""

    port: int
    key: Path
    known_hosts: Path
    fingerprint: str

    def settings(self) -> list[str]:
        """Return options of OpenSSH's clients."""
        return [
            *("-F", "none", "-i", str(self.key), "-o", f"UserKnownHostsFile={self.known_hosts}"),
            *("-o", "StrictHostKeyChecking=yes", "-o", "IdentitiesOnly=yes", "-o", "BatchMode=yes"),
            *("-o", "IdentityAgent=none", "-o", "LogLevel=ERROR"),
        ]


#: Puts the first file under the name of the second at the server, and gets that as the third.
RoundTrip = Callable[[Target, Path, Path, Path], object]


def _sftp(program: str) -> RoundTrip:
    def trip(target: Target, source: Path, remote: Path, back: Path) -> object:
        batch = f'put "{source}" "{remote}"\nls -l "{remote}"\nget "{remote}" "{back}"\n'
        extra = ("-S", str(NEW / "ssh")) if program.startswith("/") else ()
        line = [program, *extra, *target.settings(), "-P", str(target.port), "-b", "-", f"{USER}@127.0.0.1"]
        return checked(*line, input=batch)

    return trip


def _scp(program: str) -> RoundTrip:
    def trip(target: Target, source: Path, remote: Path, back: Path) -> object:
        extra = ("-S", str(NEW / "ssh")) if program.startswith("/") else ()
        start = [program, *extra, "-s", *target.settings(), "-P", str(target.port), "-p"]
        checked(*start, str(source), f"{USER}@127.0.0.1:{remote}")
        return checked(*start, f"{USER}@127.0.0.1:{remote}", str(back))

    return trip


def _putty_key(target: Target) -> str:
    path = f"{target.key}.ppk"
    if not os.path.exists(path):
        checked("puttygen", str(target.key), "-O", "private", "-o", path)
    return path


def _psftp(target: Target, source: Path, remote: Path, back: Path) -> object:
    batch = f'put "{source}" "{remote}"\nls "{remote.parent}"\nget "{remote}" "{back}"\n'
    script = target.key.parent / "psftp.batch"
    script.write_text(batch)
    options = ["-batch", "-P", str(target.port), "-i", _putty_key(target), "-hostkey", target.fingerprint]
    return checked("psftp", *options, "-b", str(script), f"{USER}@127.0.0.1")


def _pscp(target: Target, source: Path, remote: Path, back: Path) -> object:
    options = [
        "-sftp",
        "-batch",
        "-P",
        str(target.port),
        "-i",
        _putty_key(target),
        "-hostkey",
        target.fingerprint,
    ]
    checked("pscp", *options, str(source), f"{USER}@127.0.0.1:{remote}")
    return checked("pscp", *options, f"{USER}@127.0.0.1:{remote}", str(back))


def _curl(target: Target, source: Path, remote: Path, back: Path) -> object:
    public = f"{target.key}.pub"
    url = f"sftp://{USER}@127.0.0.1:{target.port}{remote}"
    options = ["-sS", "-k", "--key", str(target.key), "--pubkey", public]
    checked("curl", *options, "-T", str(source), url)
    return checked("curl", *options, "-o", str(back), url)


def _asyncssh(target: Target, source: Path, remote: Path, back: Path) -> object:
    import asyncio

    import asyncssh

    async def trip() -> None:
        options = {"username": USER, "client_keys": [str(target.key)], "known_hosts": None, "config": None}
        async with (
            asyncssh.connect("127.0.0.1", target.port, **options) as connection,
            connection.start_sftp_client() as sftp,
        ):
            await sftp.put(str(source), str(remote), preserve=True)
            found = await sftp.stat(str(remote))
            assert found.size == source.stat().st_size
            assert remote.name.encode() in await sftp.listdir(os.fsencode(remote.parent))
            facts = await sftp.statvfs(str(remote))
            assert facts.namemax == 255
            await sftp.posix_rename(str(remote), f"{remote}.renamed")
            await sftp.copy(f"{remote}.renamed", str(remote), remote_only=True)
            await sftp.get(str(remote), str(back))

    return asyncio.run(asyncio.wait_for(trip(), TIMEOUT))


def _paramiko(target: Target, source: Path, remote: Path, back: Path) -> object:
    import hashlib

    import paramiko

    client = paramiko.SSHClient()
    client.set_missing_host_key_policy(paramiko.AutoAddPolicy())
    options = {"key_filename": str(target.key), "look_for_keys": False, "allow_agent": False}
    client.connect("127.0.0.1", target.port, USER, **options)
    try:
        sftp = client.open_sftp()
        sftp.put(str(source), str(remote))
        assert remote.name in sftp.listdir(str(remote.parent))
        with sftp.open(str(remote)) as file:
            assert file.check("sha1") == hashlib.sha1(source.read_bytes()).digest()
            assert file.check("md5", 10, 20) == hashlib.md5(source.read_bytes()[10:30]).digest()
        sftp.symlink(str(remote), f"{remote}.link")
        assert sftp.readlink(f"{remote}.link") == str(remote)
        assert sftp.normalize(f"{remote}.link") == str(remote)
        sftp.get(f"{remote}.link", str(back))
    finally:
        client.close()
    return None


#: name -> (the command it needs, how to call it)
CLIENTS: dict[str, tuple[str, RoundTrip]] = {
    "sftp 9.2": ("sftp", _sftp("sftp")),
    "sftp 10.0": ("sftp", _sftp(str(NEW / "sftp"))),
    "scp 9.2": ("scp", _scp("scp")),
    "scp 10.0": ("scp", _scp(str(NEW / "scp"))),
    "psftp": ("psftp", _psftp),
    "pscp": ("pscp", _pscp),
    "curl": ("curl", _curl),
    "asyncssh": ("ssh", _asyncssh),
    "paramiko": ("ssh", _paramiko),
}
