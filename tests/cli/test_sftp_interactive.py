"""sshkit-sftp before a terminal: typing, completion, history, the progress line, ^C."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sshkit_cli import sftp

from tests.cli.copying import SERVER, make_tree, need_server
from tests.cli.user import PATIENCE, PtyUser, descriptors


@pytest.fixture
def here(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with files, where both sides are."""
    need_server()
    folder = make_tree(tmp_path / "here")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("SHELL", "/bin/sh")
    monkeypatch.setenv("PROMPT_TOOLKIT_NO_CPR", "1")
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return folder


def at_terminal(user: PtyUser, script: Callable[[PtyUser], None], *argv: str) -> int:
    """Run sshkit-sftp on the user's terminal while `script` plays him; its exit status."""
    user.resize(100, 40)
    failures: list[BaseException] = []

    def play() -> None:
        try:
            script(user)
        except BaseException as error:
            failures.append(error)
            user.close()

    player = threading.Thread(target=play)
    with descriptors(user.slave, user.slave, user.slave):
        player.start()
        try:
            status = sftp.main(["-D", SERVER, *argv])
        finally:
            player.join(2 * PATIENCE)
    if failures:
        raise failures[0]
    return status


def shows(user: PtyUser, text: str) -> None:
    """Wait until the line shows `text`, however it was drawn."""
    while text.encode() not in re.sub(rb"\x1b\[[?0-9;]*[A-Za-z]", b"", user.everything):
        user.expect("\x1b[?25h")


def test_a_user_types_completes_and_leaves(user: PtyUser, here: Path, home: Path) -> None:
    def script(user: PtyUser) -> None:
        user.expect("sftp>")
        user.type("pw\t")
        shows(user, "sftp>pwd")
        user.type("\r")
        user.expect(f"Remote working directory: {here}")
        user.expect("sftp>")
        user.type("get di\t")
        shows(user, "get dir/")
        user.type("on\t")
        shows(user, "get dir/one")
        user.type("one-copy\r")
        user.expect("Fetching")
        user.expect("100%")
        user.expect("sftp>")
        user.type("put b\t")
        shows(user, "put b\\ c")
        user.type("dir/\r")
        user.expect("Uploading b c")
        user.expect("sftp>")
        user.type("nonsense\r")
        user.expect("Invalid command.")
        user.expect("sftp>")
        user.type("\x03")
        user.expect("sftp>")
        user.type("!echo shell spoke\r")
        user.expect("2004lshell spoke")
        user.expect("sftp>")
        user.type("\x04")

    assert at_terminal(user, script) == 0
    assert (here / "one-copy").read_bytes() == (here / "dir" / "one").read_bytes()
    assert (here / "dir" / "b c").read_bytes() == b"spaces\n"
    kept = home / ".local" / "state" / "sshkit" / "sftp_history"
    assert "+nonsense" in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_quit_leaves_and_without_a_home_nothing_is_remembered(
    user: PtyUser, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null/nowhere")

    def script(user: PtyUser) -> None:
        user.expect("sftp>")
        user.type("quit\r")

    assert at_terminal(user, script) == 0


def test_a_lost_server_ends_the_prompt(user: PtyUser, here: Path) -> None:
    pid = here / "pid"
    program = here / "server"
    program.write_text(f"#!/bin/sh\necho $$ > {pid}\nexec {SERVER}\n")
    program.chmod(0o755)

    def script(user: PtyUser) -> None:
        user.expect("sftp>")
        os.kill(int(pid.read_text()), 9)
        user.expect("sshkit-sftp: ")

    assert at_terminal(user, script, "-D", str(program)) == 255


def test_an_interrupt_ends_the_transfer_and_not_the_session(user: PtyUser, here: Path) -> None:
    with (here / "large").open("wb") as large:
        large.truncate(1 << 30)
    code = (
        "import fcntl, os, sys, termios\n"
        "os.setsid()\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "from sshkit_cli.sftp import main\n"
        "sys.exit(main(sys.argv[1:]))\n"
    )
    user.resize(100, 40)
    process = subprocess.Popen(
        [sys.executable, "-c", code, "-D", SERVER, "-l", "20000"],
        stdin=user.slave,
        stdout=user.slave,
        stderr=user.slave,
    )
    try:
        user.expect("sftp>")
        user.type("get large fetched\r")
        user.expect("Fetching")
        user.expect("ETA")
        user.type("\x03")
        user.expect("Interrupt")
        user.expect("sftp>")
        user.type("ls -1 empty\r")
        user.expect("2004lempty")
        user.expect("sftp>")
        user.type("bye\r")
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()
    assert not (here / "fetched").exists()
    assert not [name for name in os.listdir(here) if name.startswith(".fetched")]
