"""Files that have their say in a login."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sshkit.server import rc_runner
from sshkit.server.accounts import Account
from sshkit.server.login_records import LastLogin
from sshkit.server.login_setup import (
    LoginDefaults,
    Rc,
    find_rc,
    greeting,
    login_defaults,
    nologin_text,
    system_environment,
    with_rc,
)


@pytest.fixture
def account(tmp_path: Path) -> Account:
    home = tmp_path / "home"
    (home / ".ssh").mkdir(parents=True)
    return Account("ann", os.getuid() or 1000, os.getgid(), str(home), "/bin/sh")


def test_a_login_shows_the_modules_words_the_last_login_and_the_message_of_the_day(
    account: Account, tmp_path: Path
) -> None:
    first, second = tmp_path / "dynamic", tmp_path / "motd"
    first.write_bytes(b"one\ntwo\r\n")
    second.write_bytes(b"\nthree")
    motd = (str(first), str(second), str(tmp_path / "missing"), str(tmp_path))
    last = LastLogin(0, "", "192.0.2.7")
    shown = greeting(account, last_login=last, shown="PAM\nsays", motd=motd)
    assert shown == b"PAM\r\nsays\r\n" + str(last).encode() + b"\r\none\r\ntwo\r\n\r\nthree\r\n"
    assert greeting(account, print_motd=False, motd=motd) == b""
    assert greeting(account, motd=motd[:1]) == b"one\r\ntwo\r\n"
    Path(account.home, ".hushlogin").touch()
    assert greeting(account, last_login=last, shown="PAM", motd=motd) == b""


def test_r36_the_text_of_nologin_has_an_end_and_no_control_characters(tmp_path: Path) -> None:
    path = tmp_path / "nologin"
    assert nologin_text(str(path)) == ""
    path.write_bytes(b"Down for repair\nuntil \x1b[2Jnoon\n")
    assert nologin_text(str(path)) == "Down for repair\nuntil \\x1b[2Jnoon\n"
    path.write_bytes(b"x" * 100_000)
    assert len(nologin_text(str(path))) == 16 * 1024


def test_the_users_rc_comes_before_the_systems(account: Account, tmp_path: Path) -> None:
    system = tmp_path / "sshrc"
    assert find_rc(account, system_rc=str(system)) is None
    system.touch()
    assert find_rc(account, system_rc=str(system)) == Rc(("/bin/sh", str(system)))
    Path(account.home, ".ssh/rc").touch()
    mine = Rc(("/bin/sh", "-c", "/bin/sh .ssh/rc"), "MIT-MAGIC-COOKIE-1 00ff\n")
    assert find_rc(account, x11=("MIT-MAGIC-COOKIE-1", "00ff"), system_rc=str(system)) == mine
    theirs = Rc(("/bin/sh", str(system)))
    assert find_rc(account, system_rc=str(system), permit_user_rc=False) == theirs
    assert find_rc(account, system_rc=str(system), is_subsystem=True) == theirs


def run(rc: Rc, argv: tuple[str, ...], account: Account, executable: str = "/bin/sh") -> tuple[str, str, int]:
    program, words, environment = with_rc(rc, executable, argv, {"PATH": os.environ["PATH"], "A": "b"})
    done = subprocess.run(
        words,
        executable=program,
        env=environment,
        cwd=account.home,
        capture_output=True,
        text=True,
        check=False,
        input="in\n",
    )
    return done.stdout, done.stderr, done.returncode


def test_the_rc_runs_before_the_command_with_the_cookie_and_without_its_input(account: Account) -> None:
    Path(account.home, ".ssh/rc").write_text(
        'read proto cookie; echo "rc $proto $cookie"; cat; env | grep -c RC_INPUT\n'
    )
    rc = find_rc(account, x11=("MIT", "00ff"), system_rc="/no")
    assert rc is not None
    command = 'read line; echo "$0 $line $A"; env | grep RC_INPUT; trap; kill -PIPE $$'
    out, err, status = run(rc, ("-sh", "-c", command), account)
    assert out == "rc MIT 00ff\n0\n-sh in b\n"
    assert err == ""
    assert status == -13  # SIGPIPE is not ignored


def test_an_rc_that_fails_or_reads_nothing_keeps_nobody_out(account: Account) -> None:
    out, err, status = run(
        Rc(("/bin/sh", "-c", "exec <&-; exit 3"), "x\n"), ("sh", "-c", "echo fine"), account
    )
    assert (out, err, status) == ("fine\n", "", 0)
    out, err, status = run(Rc(("/no/such/shell", "-c", "x"), "x\n"), ("sh", "-c", "echo fine"), account)
    assert (out, status) == ("fine\n", 0)
    assert err == "Could not run x: No such file or directory\n"
    out, err, status = run(Rc(("/bin/true",)), ("sh",), account, executable="/no/such")
    assert (out, err, status) == ("", "/no/such: No such file or directory\n", 127)


def test_r29_the_cookie_is_in_no_argument(account: Account) -> None:
    program, words, environment = with_rc(Rc(("/bin/true",), "MIT 00ff\n"), "/bin/sh", ("-sh",), {"A": "b"})
    assert program == sys.executable
    assert not any("00ff" in word for word in words)
    assert environment == {"A": "b", rc_runner.INPUT: "MIT 00ff\n"}


def test_the_runner_restores_what_python_changed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The same in this process, which becomes nothing else."""
    from signal import SIG_IGN, SIGPIPE, SIGXFSZ, signal

    before = [(number, signal(number, SIG_IGN)) for number in (SIGPIPE, SIGXFSZ)]
    became: list[tuple[str, list[str]]] = []

    def become(path: str, argv: list[str], environment: object) -> None:
        became.append((path, argv))
        raise FileNotFoundError(2, "No such file or directory")

    def broken(fd: int, data: bytes) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(os, "execve", become)
    monkeypatch.setenv(rc_runner.INPUT, "hello")
    try:
        assert rc_runner.run(["1", "/bin/cat", "/bin/x", "x", "y"]) == 127
        assert rc_runner.run(["2", "/bin/no", "z", "/bin/x", "x"]) == 127
        monkeypatch.setenv(rc_runner.INPUT, "hello")
        monkeypatch.setattr(os, "write", broken)
        assert rc_runner.run(["1", "/bin/true", "/bin/x", "x"]) == 127
    finally:
        for number, handler in before:
            signal(number, handler)
    assert became[:2] == [("/bin/x", ["x", "y"]), ("/bin/x", ["x"])]
    captured = capfd.readouterr()
    assert captured.out == "hello"
    assert "Could not run z" in captured.err


def test_etc_environment_has_quotes_or_not(tmp_path: Path) -> None:
    path = tmp_path / "environment"
    assert system_environment(str(path)) == {}
    path.write_text('PATH="/usr/bin:/bin"\nA=\'b c\'\nB="\nC=\nbad line\n')
    assert system_environment(str(path)) == {"PATH": "/usr/bin:/bin", "A": "b c", "B": '"', "C": ""}


def test_login_defs_give_mask_and_paths(tmp_path: Path, account: Account) -> None:
    path = tmp_path / "login.defs"
    assert login_defaults(str(path)) == LoginDefaults(0o022)
    path.write_text("# UMASK 000\nUMASK\t\t027\nENV_SUPATH\tPATH=/sbin:/bin\nENV_PATH PATH=/bin\nX\n")
    found = login_defaults(str(path))
    assert found == LoginDefaults(0o027, "/bin", "/sbin:/bin")
    assert found.path_for(account) == "/bin"
    assert found.path_for(account._replace(uid=0)) == "/sbin:/bin"
    for text in ("9", "abc", "", "7777777", "-1"):
        path.write_text(f"UMASK {text}\nENV_PATH PATH=\n")
        assert login_defaults(str(path)) == LoginDefaults(0o022)
    path.write_text("UMASK 1077\n")
    assert login_defaults(str(path)).umask == 0o077
