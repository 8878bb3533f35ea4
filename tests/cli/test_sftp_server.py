"""The command sshkit-sftp-server: its options, its log, and how it ends."""

import os
import subprocess
from pathlib import Path

import pytest
from sshkit_cli import sftp_server

from sshkit.sftp.server_options import LEVELS, UsageError, expanded, parse
from tests.servers import TIMEOUT
from tests.sftp.server.peers import own_command

INIT = b"\0\0\0\5\1\0\0\0\3"


def test_options_are_those_of_sftp_server() -> None:
    options = parse(
        ["-eR", "-d/tmp", "-l", "verbose", "-f", "local3", "-P", "read,write", "-p", "open", "-u", "077"]
    )
    assert options.log_to_stderr
    assert options.read_only
    assert options.start == "/tmp"
    assert options.level == LEVELS["VERBOSE"]
    assert options.facility == "LOCAL3"
    assert options.denied == ("read", "write")
    assert options.allowed == ("open",)
    assert options.umask == 0o077
    plain = parse(["--"])
    assert (plain.level, plain.facility, plain.allowed, plain.umask) == (2, "AUTH", None, None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-x"], "unknown option -x"),
        (["-\x1b"], "unknown option -\\\\x1b"),
        (["host", "sftp", "-R"], "option '-R' behind 'host'"),
        (["-d"], "option -d needs a value"),
        (["-l", "LOUD"], "Invalid log level 'LOUD'"),
        (["-f", "MAIL"], "Invalid log facility 'MAIL'"),
        (["-u", "8"], "Invalid umask '8'"),
        (["-u", "7777"], "Invalid umask '7777'"),
        (["-u", "-1"], "Invalid umask '-1'"),
        (["-Q", "ciphers"], "Invalid query type 'ciphers'"),
    ],
)
def test_wrong_options_are_told(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError, match=message):
        parse(arguments)
    assert sftp_server.main(arguments) == 1
    assert "usage: sshkit-sftp-server" in capsys.readouterr().err


def test_words_behind_the_options_are_ignored_as_scp_gives_the_host() -> None:
    assert parse(["-R", "host", "sftp"]).read_only
    assert not parse(["--", "-R"]).read_only
    assert not parse(["-"]).read_only


def test_tokens_of_the_start_are_replaced() -> None:
    values = {"d": "/home/me", "u": "me"}
    for text, wanted in (("%d/x", "/home/me/x"), ("/a%%b%u", "/a%bme"), ("plain", "plain"), ("%%%%", "%%")):
        assert expanded(text, values) == wanted
    for text in ("%x", "a%"):
        with pytest.raises(UsageError):
            expanded(text, values)


def test_help_and_the_list_of_requests(capsys: pytest.CaptureFixture[str]) -> None:
    assert sftp_server.main(["-h"]) == 1
    assert "-Q protocol_feature" in capsys.readouterr().err
    assert sftp_server.main(["-Q", "requests"]) == 0
    names = capsys.readouterr().out.split()
    assert names[:3] == ["open", "close", "read"]
    assert names[-4:] == ["users-groups-by-id", "check-file", "check-file-handle", "check-file-name"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["-P", "nothing"], "no request is called 'nothing'"), (["-d", "%x"], "unknown token")],
)
def test_what_cannot_be_started_is_told(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sftp_server.main(["-e", *arguments]) == 255
    assert message in capsys.readouterr().err


def started(
    folder: Path, *arguments: str, input: bytes = INIT, **options: object
) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(
        [str(own_command(folder)), *arguments],
        input=input,
        capture_output=True,
        timeout=TIMEOUT,
        **options,  # type: ignore[call-overload]
    )


def request(kind: int, body: bytes) -> bytes:
    return (len(body) + 5).to_bytes(4, "big") + bytes([kind]) + bytes(4) + body


def text(value: bytes) -> bytes:
    return len(value).to_bytes(4, "big") + value


def test_a_session_ends_with_its_input(tmp_path: Path) -> None:
    done = started(tmp_path)
    assert done.returncode == 0
    assert done.stdout[4:9] == b"\2\0\0\0\3"
    assert done.stderr == b""


def test_the_log_is_worded_as_openssh_words_it(tmp_path: Path) -> None:
    opening = request(3, text(b"new\n\xff") + (0x1A).to_bytes(4, "big") + bytes(4))
    env = {**os.environ, "SSH_CONNECTION": "192.0.2.7 1 192.0.2.1 22"}
    done = started(tmp_path, "-e", "-l", "INFO", "-d", str(tmp_path), input=INIT + opening, env=env)
    lines = done.stderr.decode().splitlines()
    user = os.environ.get("USER") or "root"
    assert lines[0].startswith("session opened for local user ")
    assert lines[0].endswith(" from [192.0.2.7]")
    assert lines[1] == 'open "new\\n\\udcff" flags WRITE,CREATE,TRUNCATE mode 0666'
    assert lines[2] == 'forced close "new\\n\\udcff" bytes read 0 written 0'
    assert lines[3].startswith("session closed for local user ")
    assert user
    assert os.path.exists(os.fsencode(tmp_path) + b"/new\n\xff")


def test_the_umask_is_obeyed(tmp_path: Path) -> None:
    making = request(14, text(b"made") + bytes(4))
    assert started(tmp_path, "-u", "027", "-d", str(tmp_path), input=INIT + making).returncode == 0
    assert (tmp_path / "made").stat().st_mode & 0o777 == 0o750


def test_a_start_that_is_not_there_is_logged_and_the_session_goes_on(tmp_path: Path) -> None:
    done = started(tmp_path, "-e", "-d", "/no/such/place")
    assert done.returncode == 0
    assert done.stderr == b'chdir to "/no/such/place" failed: No such file or directory\n'


def test_a_client_that_breaks_the_protocol_is_told_of_in_the_log(tmp_path: Path) -> None:
    done = started(tmp_path, "-e", input=b"\xff\xff\xff\xff")
    assert done.returncode == 255
    assert done.stderr == b"a packet of 4294967295 bytes; 1 to 263168 are allowed\n"
    quiet = started(tmp_path, "-e", "-l", "QUIET", input=b"\xff\xff\xff\xff")
    assert (quiet.returncode, quiet.stderr) == (255, b"")


def test_the_log_goes_to_the_systems_where_nothing_else_was_said(tmp_path: Path) -> None:
    done = started(tmp_path, "-l", "VERBOSE", "-f", "LOCAL1")
    assert (done.returncode, done.stderr) == (0, b"")


def test_users_without_a_name_are_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 987654)
    assert sftp_server._user() == "987654"
    assert sftp_server._home() == "/"


def test_a_mistake_of_ours_is_logged(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from sshkit.sftp import server_pipes
    from sshkit.sftp.server import SFTPServer

    def broken(server: SFTPServer, *descriptors: int) -> None:
        assert server._on_error is not None
        server._on_error(KeyError("x"))

    monkeypatch.setattr(server_pipes, "serve_pipes", broken)
    monkeypatch.setattr(os, "set_blocking", lambda *args: None)
    assert sftp_server.main(["-e"]) == 0
    assert "internal error: KeyError: 'x'" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyboardInterrupt(), ""),
        (OSError(5, "broken", "/x"), "/x: broken"),
        (OSError(5, "broken"), ": broken"),
    ],
)
def test_what_ends_it_gives_255(
    error: BaseException, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(options: object) -> int:
        raise error

    monkeypatch.setattr(sftp_server, "_serve", fail)
    assert sftp_server.main([]) == 255
    assert message in capsys.readouterr().err


def test_it_runs_as_a_script(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["sshkit-sftp-server", "-Q", "requests"])
    with pytest.raises(SystemExit) as caught:
        sftp_server.run()
    assert caught.value.code == 0
