"""sshkit-client runs commands on a real sshd."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from sshkit_cli.client import main

from tests.cli.user import PATIENCE, run_here
from tests.peers import RealSshd

pytestmark = pytest.mark.peer("sshd")
HOST = "127.0.0.1"
Arguments = tuple[str, ...]


def beside(*argv: str, **options: object) -> "subprocess.Popen[bytes]":
    """Start the command in a process of its own."""
    program = Path(sys.executable).with_name("sshkit-client")
    return subprocess.Popen([str(program), *argv], **options)  # type: ignore[call-overload, no-any-return]


def test_output_errors_and_status_of_a_command_come_through(to_sshd: Arguments) -> None:
    outcome = run_here(*to_sshd, HOST, "echo out; echo err >&2; exit 7")
    assert outcome == (7, b"out\n", "err\n")


def test_input_goes_to_the_command_and_its_end_too(to_sshd: Arguments) -> None:
    data = os.urandom(3_000_000)
    assert run_here(*to_sshd, HOST, "cat", stdin=data) == (0, data, "")


def test_input_comes_from_a_pipe_as_well(to_sshd: Arguments) -> None:
    data = os.urandom(2_000_000)
    read_end, write_end = os.pipe()

    def feed() -> None:
        with os.fdopen(write_end, "wb") as file:
            file.write(data)

    feeder = threading.Thread(target=feed)
    feeder.start()
    with os.fdopen(read_end, "rb") as file:
        assert run_here(*to_sshd, HOST, "cat", stdin=file.fileno()) == (0, data, "")
    feeder.join()


def test_without_a_command_the_shell_reads_its_commands(to_sshd: Arguments) -> None:
    outcome = run_here(*to_sshd, "-T", HOST, stdin=b"echo from the shell; exit 3\n")
    assert (outcome.status, outcome.err) == (3, "")
    assert outcome.out.endswith(b"from the shell\n")
    outcome = run_here(*to_sshd, HOST, stdin=b"exit 4\n")
    assert outcome.status == 4
    assert outcome.err == "Pseudo-terminal will not be allocated because stdin is not a terminal.\n"


def test_n_gives_the_command_no_input(to_sshd: Arguments) -> None:
    assert run_here(*to_sshd, "-n", HOST, "cat; echo end", stdin=b"not read") == (0, b"end\n", "")


def test_r30_a_command_that_a_signal_ended_is_255(to_sshd: Arguments) -> None:
    outcome = run_here(*to_sshd, HOST, "kill -9 $$")
    assert outcome == (255, b"", "The command was ended by signal KILL.\n")
    assert run_here(*to_sshd, "-q", HOST, "kill -9 $$") == (255, b"", "")


def test_r30_a_connection_that_breaks_is_255(to_sshd: Arguments) -> None:
    outcome = run_here(*to_sshd, HOST, "kill $PPID")
    assert outcome.status == 255
    assert "sshkit-client: 127.0.0.1 port" in outcome.err


def test_a_subsystem_is_started_by_name(to_sshd: Arguments) -> None:
    assert run_here(*to_sshd, "-s", HOST, "echo", stdin=b"back") == (0, b"back", "")
    refused = run_here(*to_sshd, HOST, "-s", "none-such")
    assert refused.status == 255
    assert "the server refused the subsystem request 'none-such'" in refused.err
    assert "no subsystem was named" in run_here(*to_sshd, HOST, "-s").err


def test_variables_are_sent_and_set(to_sshd: Arguments, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_SSHKIT", "sent")
    more = ("-o", "SendEnv=LC_SSH*", "-o", "SetEnv=LC_OTHER=set")
    outcome = run_here(*to_sshd, *more, HOST, "echo $LC_SSHKIT $LC_OTHER")
    assert outcome.out == b"sent set\n"


def test_a_configuration_file_leads_to_the_host(sshd: RealSshd, home: Path) -> None:
    folder = home / ".ssh"
    folder.mkdir(0o700)
    (folder / "config").write_text(
        f"Host box\n Hostname 127.0.0.1\n Port {sshd.port}\n IdentityFile {sshd.folder}/%r/../user_key\n"
        f" IdentityFile {sshd.user_key_path}\n UserKnownHostsFile {sshd.known_hosts}\n"
        " RemoteCommand echo %n %h\n"
    )
    (folder / "config").chmod(0o600)
    outcome = run_here("box")
    assert (outcome.status, outcome.out) == (0, b"box 127.0.0.1\n")
    assert "does not exist" in outcome.err
    clash = run_here("box", "true")
    assert clash.status == 255
    assert f"{folder}/config:7: there is a RemoteCommand" in clash.err


def test_the_key_question_knows_three_answers_in_batch_mode_none(sshd: RealSshd, to_sshd: Arguments) -> None:
    unknown = ("-o", f"UserKnownHostsFile={sshd.folder}/none")
    outcome = run_here(*("-o", "BatchMode=yes"), *unknown, *to_sshd, HOST, "true")
    assert outcome.status == 255
    fingerprint = sshd.host_key.public.fingerprint()
    assert (
        f"port {sshd.port}: [127.0.0.1]:{sshd.port}: unknown host key ssh-ed25519 {fingerprint}"
        in outcome.err
    )


def test_r38_without_a_terminal_an_unknown_host_is_an_error_that_says_so(
    sshd: RealSshd, to_sshd: Arguments, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> int:
        raise OSError(6, "No such device or address")

    monkeypatch.setattr("sshkit_cli.prompts._controlling_terminal", none)
    monkeypatch.setattr("sshkit_cli.prompts._DEFAULT_ASKPASS", ())
    outcome = run_here("-o", f"UserKnownHostsFile={sshd.folder}/none", *to_sshd, HOST, "true")
    assert outcome.status == 255
    assert "StrictHostKeyChecking=ask: there is no terminal to ask on" in outcome.err


def test_accept_new_writes_the_key_down(sshd: RealSshd, to_sshd: Arguments, tmp_path: Path) -> None:
    path = tmp_path / "new" / "known"
    accept = ("-o", "StrictHostKeyChecking=accept-new", "-o", f"UserKnownHostsFile={path}")
    assert run_here(*accept, *to_sshd, HOST, "true").status == 0
    assert path.read_text() == sshd.known_line(sshd.host_key)
    hashed = tmp_path / "hashed"
    more = ("-o", f"UserKnownHostsFile={hashed}", "-o", "HashKnownHosts=yes")
    assert run_here(*more, *accept, *to_sshd, HOST, "true").status == 0
    assert hashed.read_text().startswith("|1|")


def test_r38_a_changed_host_key_is_told_at_length_and_ends_with_255(
    sshd: RealSshd, to_sshd: Arguments, tmp_path: Path
) -> None:
    path = tmp_path / "known"
    path.write_text("# first\n" + sshd.known_line(sshd.user_key))
    changed = ("-o", f"UserKnownHostsFile={path}")
    outcome = run_here(*changed, *to_sshd, HOST, "true")
    assert outcome.status == 255
    assert "HOST KEY CHANGED" in outcome.err
    assert f"{path}:2" in outcome.err
    assert sshd.host_key.public.fingerprint() in outcome.err
    assert f"ssh-keygen -f '{path}' -R '[127.0.0.1]:{sshd.port}'" in outcome.err
    assert run_here("-o", "StrictHostKeyChecking=accept-new", *changed, *to_sshd, HOST, "true").status == 255


def test_r12_a_host_whose_key_changed_gets_no_password_even_where_checking_is_off(
    sshd: RealSshd, to_sshd: Arguments, tmp_path: Path
) -> None:
    path = tmp_path / "known"
    path.write_text(sshd.known_line(sshd.user_key))
    off = ("-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={path}")
    assert run_here(*off, *to_sshd, HOST, "echo in").out == b"in\n"
    outcome = run_here(*off, "-o", "PubkeyAuthentication=no", *to_sshd, HOST, "true")
    assert outcome.status == 255
    assert "its key changed" in outcome.err
    assert "password:" not in outcome.err


def test_a_host_key_alias_names_the_host_in_known_hosts(
    sshd: RealSshd, to_sshd: Arguments, tmp_path: Path
) -> None:
    path = tmp_path / "known"
    path.write_text("other " + sshd.known_line(sshd.host_key).split(" ", 1)[1])
    alias = ("-o", "HostKeyAlias=other", "-o", f"UserKnownHostsFile={path}")
    assert run_here(*alias, *to_sshd, HOST, "echo in").out == b"in\n"


def test_a_failed_login_tells_what_was_tried_and_why_it_failed(sshd: RealSshd, to_sshd: Arguments) -> None:
    if not (sshd.folder / "stranger").exists():
        sshd.make_key("stranger")
    stranger = str(sshd.folder / "stranger")
    argv = [word.replace(str(sshd.user_key_path), stranger) for word in to_sshd]
    outcome = run_here(*argv, "-o", "BatchMode=yes", HOST, "true")
    assert outcome.status == 255
    first, second = outcome.err.splitlines()[:2]
    assert first.startswith(f"sshkit-client: 127.0.0.1 port {sshd.port}: ")
    assert "permission denied (publickey, password, keyboard-interactive)" in first
    assert "SHA256:" in second
    assert f"{stranger}): the server refused" in second


def test_v_tells_who_set_what_and_what_was_agreed_on(sshd: RealSshd, to_sshd: Arguments) -> None:
    err = run_here(
        "-v", "-o", "LogVerbose=x", "-o", "Ciphers=aes128-ctr,3des-cbc", *to_sshd, HOST, "true"
    ).err
    for text in (
        f"debug1: config: port {sshd.port} (command line)",
        "debug1: command line: LogVerbose has no effect: ",
        "debug1: server: SSH-2.0-OpenSSH",
        "aes128-ctr",
        f"debug1: host key: ssh-ed25519 {sshd.host_key.public.fingerprint()}",
        f"{sshd.user_key_path}): accepted",
    ):
        assert text in err


def test_e_writes_the_log_into_a_file(to_sshd: Arguments, tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert run_here("-v", "-E", str(path), *to_sshd, HOST, "echo err >&2").err == "err\n"
    assert "debug1: server:" in path.read_text()
    outcome = run_here("-E", str(tmp_path / "none" / "log"), HOST)
    assert outcome == (255, b"", f"sshkit-client: {tmp_path}/none/log: No such file or directory\n")


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["-o", "Foo=1"], "sshkit-client: command line: unknown keyword 'Foo'\n"),
        (["-o", "Ciphers=rot13"], "sshkit-client: command line: Ciphers: unknown algorithm 'rot13'"),
        (["-o", "Ciphers=-*"], "sshkit-client: command line: Ciphers: no cipher algorithm left"),
        (["-o", "Hostname=a;b"], "sshkit-client: command line: 'a;b': not a host name"),
        (["-l", "a;b"], "sshkit-client: command line: 'a;b': user name"),
        (["-F", "/none/such"], "sshkit-client: /none/such: the file does not exist\n"),
        (["-L", "h:2"], "sshkit-client: command line: LocalForward: 'h:2' is not a forward; write "),
        (["-W", "h:1"], "sshkit-client: -W goes without a command\nusage: "),
        (["-o", "ProxyCommand=x %z"], "sshkit-client: command line: unknown token %z\n"),
        (["-Q", "colours"], "sshkit-client: unknown query 'colours'"),
    ],
)
def test_a_mistake_is_one_line_and_255(home: Path, argv: list[str], text: str) -> None:
    outcome = run_here("-F", "none", *argv, HOST, "true")
    assert (outcome.status, outcome.out) == (255, b"")
    assert outcome.err.startswith(text)


def test_r39_a_destination_that_could_be_an_option_or_a_command_is_refused(home: Path) -> None:
    for destination in ("a;b", "h$(x)", "u;v@h", "ssh://h:99999", "\x1b[2J"):
        outcome = run_here("-F", "none", destination, "true")
        assert outcome.status == 255
        assert "\x1b" not in outcome.err


def test_nothing_that_listens_is_a_plain_error(home: Path) -> None:
    with socket.socket() as sock:
        sock.bind((HOST, 0))
        port = sock.getsockname()[1]
        outcome = run_here("-F", "none", "-p", str(port), HOST, "true")
    assert outcome.status == 255
    assert outcome.err.startswith(f"sshkit-client: cannot connect to 127.0.0.1 port {port}: ")
    assert outcome.err.count("\n") == 1


def peer_that_says(data: bytes) -> tuple[socket.socket, int]:
    """Return a listener that says `data` to the first who comes, and its port."""
    listener = socket.create_server((HOST, 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            connection, _ = listener.accept()
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass
            connection.close()

    threading.Thread(target=serve, daemon=True).start()
    return listener, listener.getsockname()[1]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 400 \x1b[31mBad\r\n\r\n",
        b"SSH-1.5-old\r\n",
        b"SSH-2.0-x\r\n",
        b"SSH-2.0-x\r\n\x00\x00\x00\x0c\x0a" + bytes(11),
        b"SSH-2.0-x\r\n" + b"\xff" * 100,
        b"\x00" * 70000,
    ],
)
def test_r30_whatever_a_peer_says_ends_in_one_line_and_no_traceback(home: Path, data: bytes) -> None:
    listener, port = peer_that_says(data)
    outcome = run_here("-F", "none", "-p", str(port), HOST, "true")
    listener.close()
    assert outcome.status == 255
    assert outcome.err.startswith(f"sshkit-client: 127.0.0.1 port {port}: ")
    assert outcome.err.count("\n") == 1
    assert outcome.err.rstrip("\n").isprintable()


def test_connect_timeout_covers_the_servers_first_line(home: Path) -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = str(listener.getsockname()[1])
        outcome = run_here("-F", "none", "-p", port, "-o", "ConnectTimeout=1", HOST, "true")
    assert outcome.status == 255
    assert "no answer within 1 seconds (ConnectTimeout)" in outcome.err


def test_a_connection_that_is_ready_in_time_is_not_cut(to_sshd: Arguments) -> None:
    more = ("-o", "ConnectTimeout=1", "-o", "ServerAliveInterval=5", "-o", "BindAddress=127.0.0.2", "-4")
    outcome = run_here(*to_sshd, *more, HOST, "sleep 1.2; echo ${SSH_CONNECTION%% *}")
    assert outcome.out == b"127.0.0.2\n"


def test_keys_are_exchanged_anew_in_the_middle(to_sshd: Arguments) -> None:
    data = os.urandom(3_000_000)
    outcome = run_here(*to_sshd, "-o", "RekeyLimit=1M 1h", HOST, "cat", stdin=data)
    assert (outcome.status, outcome.out) == (0, data)


@pytest.mark.parametrize("cipher", ["aes256-gcm@openssh.com", "chacha20-poly1305@openssh.com", "aes192-ctr"])
def test_a_cipher_of_the_command_line_is_used(to_sshd: Arguments, cipher: str) -> None:
    outcome = run_here(*to_sshd, "-v", "-c", cipher, "-m", "hmac-sha2-512", HOST, "echo in")
    assert outcome.out == b"in\n"
    assert cipher in outcome.err


def test_a_reader_that_goes_away_ends_the_command_cleanly(to_sshd: Arguments) -> None:
    process = beside(
        *to_sshd, HOST, "yes", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    assert process.stdout.readline() == b"y\n"
    process.stdout.close()
    assert process.wait(PATIENCE) == 255
    assert process.stderr.read() == b"The command was ended by signal PIPE.\n"
    process.stderr.close()


@pytest.mark.parametrize("closed", [0, 1, 2])
def test_a_closed_standard_descriptor_is_like_dev_null(to_sshd: Arguments, closed: int) -> None:
    command = " ".join(f"'{word}'" for word in to_sshd)
    program = Path(sys.executable).with_name("sshkit-client")
    redirect = "<&-" if closed == 0 else f"{closed}>&-"
    done = subprocess.run(
        ["sh", "-c", f"{program} {command} 127.0.0.1 'cat; echo out; echo err >&2' {redirect}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0
    assert done.stdout == (b"" if closed == 1 else b"out\n")
    assert done.stderr == (b"" if closed == 2 else b"err\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_a_session_ends_with_255(to_sshd: Arguments, number: signal.Signals) -> None:
    process = beside(
        *to_sshd, HOST, "echo up; exec sleep 30", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process.stdout as output:
        assert output.readline() == b"up\n"
        process.send_signal(number)
        assert process.wait(PATIENCE) == 255


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_before_the_session_kills_as_if_nobody_had_caught_it(
    home: Path, number: signal.Signals
) -> None:
    with socket.create_server((HOST, 0)) as listener:
        port = str(listener.getsockname()[1])
        process = beside("-F", "none", "-p", port, HOST, "true", stderr=subprocess.PIPE)
        connection, _ = listener.accept()
        with connection:
            assert connection.recv(100).startswith(b"SSH-2.0-")
            process.send_signal(number)
            assert process.wait(PATIENCE) == -number
    assert process.stderr is not None
    assert process.stderr.read() == b""
    process.stderr.close()


def test_n_without_a_session_stays_until_the_connection_ends(to_sshd: Arguments) -> None:
    process = beside("-v", "-N", *to_sshd, HOST, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    with process.stderr as errors:
        lines = iter(errors.readline, b"")
        assert any(b"Authenticated to" in line for line in lines)
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == -signal.SIGTERM


def test_n_ends_with_255_when_the_server_goes(tmp_path: Path, home: Path) -> None:
    with RealSshd(tmp_path) as server:
        argv = ("-v", "-N", "-F", "none", "-p", str(server.port), "-i", str(server.user_key_path))
        known = ("-o", f"UserKnownHostsFile={server.known_hosts}")
        process = beside(*argv, *known, HOST, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert process.stderr is not None
        with process.stderr as errors:
            assert any(b"Authenticated to" in line for line in iter(errors.readline, b""))
            children = Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
            for child in children:
                os.kill(int(child), signal.SIGKILL)
            assert process.wait(PATIENCE) == 255
            assert f"127.0.0.1 port {server.port}".encode() in errors.read()


def test_the_effective_settings_and_the_algorithms_can_be_shown(home: Path) -> None:
    more = run_here("-F", "none", "-G", "-e", "^]", "-o", "RekeyLimit=1G 1h", "-e", "none", "box").out
    assert {"escapechar ^]", "rekeylimit 1073741824 3600"} <= set(more.decode().splitlines())
    outcome = run_here("-F", "none", "-G", "-p", "7", "-l", "me", "-i", "k", "box")
    lines = outcome.out.decode().splitlines()
    assert lines[:3] == ["host box", "user me", "hostname box"]
    assert {
        "port 7",
        "identityfile k",
        "batchmode no",
        "rekeylimit 0 0",
        "escapechar ~",
        "loglevel INFO",
    } <= set(lines)
    assert b"aes128-gcm@openssh.com\n" in run_here("-Q", "cipher").out
    assert b"cipher\n" in run_here("-Q", "help").out
    version = run_here("-V")
    assert (version.status, version.out) == (0, b"")
    assert version.err.startswith("sshkit-client ")
    assert run_here("-4V").err == version.err


def test_a_fault_of_ours_is_one_line_too(to_sshd: Arguments, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a\x1bb")

    monkeypatch.setattr("sshkit_cli.session.ClientSession.channel_opened", fail)
    outcome = run_here(*to_sshd, HOST, "true")
    assert outcome.status == 255
    assert "Traceback" not in outcome.err
    monkeypatch.setattr("sshkit_cli.client_run.Run.run", fail)
    outcome = run_here(*to_sshd, HOST, "true")
    assert outcome == (255, b"", "sshkit-client: internal error: RuntimeError: a\\x1bb\n")
    with pytest.raises(RuntimeError):
        run_here("-v", *to_sshd, HOST, "true")


def test_control_c_while_loading_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: object) -> Callable[[], None]:
        raise KeyboardInterrupt

    monkeypatch.setattr("sshkit_cli.options.parse", interrupt)
    assert main(["h"]) == 130
