"""sshkit-server with UsePAM: Debian's modules open and close each user's session, as root, around it."""

import os
import pwd
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import load_public_key

import sshkit
from sshkit.deferred import Deferred
from tests.cli.server_root.accounts import NAMES, RootServer, Start, Watch, ids_of, started
from tests.server.pam_world import PASSWORD, ROOT_WITH_PAM, PamWorld, make_world
from tests.servers import TIMEOUT

pytestmark = [ROOT_WITH_PAM, pytest.mark.peer("ssh"), pytest.mark.peer("useradd")]
NAME = NAMES[0]


@pytest.fixture
def pam(tmp_path: Path) -> Iterator[PamWorld]:
    yield from make_world(tmp_path)


class Notes:
    """A module that writes down what it is called for; the end of a session can be waited for."""

    def __init__(self, folder: Path) -> None:
        self._begun, ended = folder / "begun", folder / "ended"
        os.mkfifo(ended)
        self._fd = os.open(ended, os.O_RDWR | os.O_NONBLOCK)  # so that nobody waits for who reads
        script = folder / "script"
        script.write_text(
            '#!/bin/sh\nline="$PAM_TYPE $(id -u) $PAM_USER $PAM_RHOST"\n'
            f"case $PAM_TYPE in close_session) to={ended};; *) to={self._begun};; esac\n"
            'echo "$line" >>$to\n'
        )
        script.chmod(0o755)
        self.line = f"session required pam_exec.so quiet {script}"

    @property
    def begun(self) -> list[str]:
        return self._begun.read_text().splitlines()

    def wait_for_the_end(self) -> str:
        """Return what the module wrote at the end of the session."""
        assert select.select([self._fd], [], [], TIMEOUT)[0], "the session is not closed"
        return os.read(self._fd, 1000).decode()

    def close(self) -> None:
        os.close(self._fd)


@pytest.fixture
def notes(pam: PamWorld) -> Iterator[Notes]:
    notes = Notes(pam.folder)
    yield notes
    notes.close()


def use(service: str) -> tuple[str, ...]:
    return ("UsePAM yes", f"PAMServiceName {service}")


def test_modules_open_and_close_the_session_as_root_and_it_is_the_users(
    start: Start, pam: PamWorld, notes: Notes
) -> None:
    (pam.folder / "environment").write_text("COLOUR=green\n")
    (pam.folder / "hello").write_text("Welcome from the modules\n")
    env = f"readenv=1 envfile={pam.folder}/environment conffile=/dev/null user_readenv=0"
    service = pam.service(
        "auth required pam_permit.so",
        "account required pam_permit.so",
        f"session required pam_env.so {env}",
        f"session optional pam_echo.so file={pam.folder}/hello",
        notes.line,
    )
    server = start(*use(service))
    entry = pwd.getpwnam(NAME)
    result = server.as_user(NAME, "echo $COLOUR; id -un; grep Uid /proc/$PPID/status")
    lines = result.stdout.decode().splitlines()
    assert lines[:2] == ["green", NAME], result.stderr
    assert set(lines[2].split()[1:]) == {str(entry.pw_uid)}
    assert notes.wait_for_the_end() == f"close_session 0 {NAME} 127.0.0.1\n"
    assert notes.begun == [f"open_session 0 {NAME} 127.0.0.1"]
    shown = server.as_user(NAME, input=b"exit 0\n", options=("-tt",))
    assert b"Welcome from the modules" in shown.stdout
    notes.wait_for_the_end()


def test_what_stays_root_behind_a_session_closes_it_when_the_session_is_killed(
    start: Start, pam: PamWorld, notes: Notes
) -> None:
    server = start(
        *use(pam.service("account required pam_permit.so", "auth required pam_permit.so", notes.line))
    )
    client = started(server, NAME, "echo $PPID; exec cat")
    assert client.stdout is not None
    session = int(client.stdout.readline())
    (keeper,) = [pid for pid in server.processes() if session in children(pid)]
    assert ids_of(keeper)[0] == {0}
    os.kill(session, signal.SIGKILL)
    assert client.communicate(b"", TIMEOUT)[0] == b""
    assert client.returncode == 255
    assert notes.wait_for_the_end().startswith("close_session 0 ")
    server.wait_for("the session's process [0-9]+ ended with 137")


def children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def test_a_session_that_the_modules_refuse_does_not_begin(start: Start, pam: PamWorld) -> None:
    service = pam.service(
        "auth required pam_permit.so", "account required pam_permit.so", "session required pam_deny.so"
    )
    server = start(*use(service))
    result = server.as_user(NAME, "echo in")
    assert (result.returncode, result.stdout) == (255, b"")
    server.wait_for(f"no session for '{NAME}': ")


def test_an_account_that_the_modules_refuse_is_not_let_in_by_its_key(start: Start, pam: PamWorld) -> None:
    service = pam.service("auth required pam_permit.so", "account required pam_deny.so")
    server = start(*use(service))
    result = server.as_user(NAME, "echo in")
    assert (result.returncode, result.stdout) == (255, b"")
    assert b"Permission denied" in result.stderr


@pytest.mark.parametrize("keyword", ["PasswordAuthentication", "KbdInteractiveAuthentication"])
def test_passwords_are_the_modules_and_the_worker_never_judges_them(
    start: Start, pam: PamWorld, keyword: str
) -> None:
    subprocess.run(["chpasswd"], input=f"{NAME}:{PASSWORD}\n".encode(), check=True)
    server = start(*use(pam.unix()), f"{keyword} yes")

    async def said(password: str) -> bytes:
        async with connect(server, password) as connection:
            output: bytes = (await connection.run("id -un")).stdout
            return output

    assert sshkit.run(said(PASSWORD)) == f"{NAME}\n".encode()
    with pytest.raises(sshkit.AuthenticationFailed):
        sshkit.run(said("wrong"))


def test_a_dialogue_ends_with_its_client(start: Start, pam: PamWorld) -> None:
    """Else strangers could have as many of root's processes as they like, two minutes each."""
    server = start(*use(pam.unix()), "KbdInteractiveAuthentication yes")
    asked: Deferred[None] = Deferred()

    def answer(*_: object) -> Deferred[list[str]]:
        asked.callback(None)
        return Deferred()

    async def main() -> Watch:
        opening = connect(server, "", answers=answer)
        opening.add_errback(lambda failure: None)
        before = set(server.processes())
        await asked
        watch = Watch(set(server.processes()) - before)
        opening.cancel()
        return watch

    watch = sshkit.run(main())
    assert watch.pids
    watch.wait()


def connect(server: RootServer, password: str, **more: Any) -> "sshkit.Opening[sshkit.ClientConnection]":
    return sshkit.connect(
        f"{NAME}@127.0.0.1",
        port=server.port,
        identities=[],
        agent="",
        host_keys=[load_public_key(server.place.folder / "host.pub")],
        **(more or {"password": password, "answers": lambda *_: [password]}),
    )
