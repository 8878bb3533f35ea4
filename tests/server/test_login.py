"""Logging in with the system's ssh: who is let in, what is told, what is logged, and the limits."""

import os
import re
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.servers import TIMEOUT, USER, OwnServer, Place, read_to_end

pytestmark = pytest.mark.peer("ssh")
Start = Callable[..., OwnServer]


def test_the_log_names_source_user_method_and_key(start: Start, place: Place) -> None:
    server = start()
    assert server.ssh("true").returncode == 0
    fingerprint = re.escape(place.key.public.fingerprint())
    server.wait_for(rf"^127\.0\.0\.1: '{USER}' logged in by publickey ssh-ed25519 {fingerprint}$")
    server.wait_for(rf"'{USER}' starts command 'true'")


def test_the_log_names_the_reason_of_a_refusal(start: Start, place: Place) -> None:
    server = start()
    result = server.ssh("true", identity="other")
    assert result.returncode == 255
    assert b"Permission denied (publickey)" in result.stderr
    fingerprint = re.escape(place.other_key.public.fingerprint())
    server.wait_for(
        rf"login of '{USER}' by publickey failed: ssh-ed25519 {fingerprint}: "
        rf"the key is not in {place.authorized}"
    )


def test_a_line_with_an_option_that_is_not_known_is_logged_with_its_place(start: Start, place: Place) -> None:
    place.authorize("# first", place.line("nosuch"))
    server = start()
    assert server.ssh("true").returncode == 255
    server.wait_for(rf"{place.authorized}:2: ")


def test_strict_modes_are_the_default(start: Start, place: Place) -> None:
    place.authorized.chmod(0o666)
    server = start("StrictModes yes")
    assert server.ssh("true").returncode == 255
    server.wait_for("lets the group or others write")


def test_options_of_a_key_are_obeyed(start: Start, place: Place) -> None:
    server = start("Subsystem known /bin/known")
    place.authorize(place.line('command="echo only $SSH_ORIGINAL_COMMAND",no-pty'))
    assert server.ssh("anything else").stdout == b"only anything else\n"
    assert server.ssh("known", options=("-s",)).stdout == b"only /bin/known\n"
    assert b"PTY allocation request failed" in server.ssh("x", options=("-tt",)).stderr
    place.authorize(place.line("restrict,pty"))
    assert b"pts" in server.ssh("tty", options=("-tt",)).stdout
    place.authorize(place.line('from="192.0.2.1"'))
    assert server.ssh("true").returncode == 255
    server.wait_for("from= does not list 127.0.0.1")


def test_only_listed_users_are_let_in(start: Start) -> None:
    assert start("AllowUsers nobody-else").ssh("true").returncode == 255
    assert start(f"DenyUsers {USER}@127.*").ssh("true").returncode == 255
    assert start(f"AllowUsers x {USER}@127.0.0.0/8").ssh("true").returncode == 0


def test_r9_an_unknown_user_gets_the_same_answers(start: Start) -> None:
    server = start()
    known = server.ssh("true", identity="other")
    unknown = server.ssh("true", user="nobody-of-this-name", identity="other")
    assert known.stderr.replace(USER.encode(), b"*") == unknown.stderr.replace(b"nobody-of-this-name", b"*")
    server.wait_for("login of 'nobody-of-this-name' by publickey failed: .*there is no such user")


@pytest.mark.parametrize("name", ["with/slash", "-leading", "x" * 256, "tab\there", "esc\x1b[31m"])
def test_r11_an_impossible_user_name_is_refused_and_logged_harmlessly(start: Start, name: str) -> None:
    server = start()
    # ssh refuses some of these names itself when they stand before the host.
    line = server.ssh_command("true", user="x")
    line[line.index("x@127.0.0.1")] = "127.0.0.1"
    config = server.place.folder / "client_config"
    config.write_text(f'User "{name}"\n')
    line[line.index("none")] = str(config)
    result = subprocess.run(line, capture_output=True, timeout=TIMEOUT, check=False)
    assert result.returncode == 255
    if b"invalid characters" not in result.stderr:  # newer clients do not even send such a name
        server.wait_for("failed: user name ")
    assert "\x1b" not in server.log


def test_the_banner_is_shown_before_the_login(start: Start, place: Place) -> None:
    banner = place.folder / "banner"
    banner.write_text("Welcome, stranger.\n")
    result = start(f"Banner {banner}").ssh("true", options=("-o", "LogLevel=INFO"))
    assert b"Welcome, stranger.\n" in result.stderr


def test_r8_failed_tries_are_limited(start: Start, place: Place) -> None:
    for number in range(3):
        place.make_key(f"wrong{number}")
    server = start("MaxAuthTries 2")
    others = [option for number in range(3) for option in ("-i", str(place.folder / f"wrong{number}"))]
    result = server.ssh("true", identity="other", options=others)
    assert result.returncode == 255
    assert b"too many authentication failures" in result.stderr
    server.wait_for("ended: too many authentication failures")
    assert server.stop() == 0  # now everything is in the log: who writes it is several processes
    assert server.log.count("failed: ssh-ed25519") == 2


def test_sessions_of_a_connection_are_limited(start: Start, place: Place) -> None:
    server = start("MaxSessions 2")
    control = str(place.folder / "control")
    options = ("-M", "-S", control, "-o", "ControlPersist=no")
    command = server.ssh_command("echo up; exec cat", options=options)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as master:
        assert master.stdout is not None
        assert master.stdout.readline() == b"up\n"
        shared = ("-S", control, "-o", "ControlMaster=no")
        held = server.ssh_command("echo up; exec cat", options=shared)
        with subprocess.Popen(held, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as second:
            assert second.stdout is not None
            assert second.stdout.readline() == b"up\n"
            line = server.ssh_command("echo third", options=("-S", control, "-o", "ControlMaster=no"))
            line[line.index("-p") + 1] = "1"  # a connection of its own would fail
            third = subprocess.run(line, capture_output=True, timeout=TIMEOUT, check=False)
            assert third.returncode == 255
            second.communicate(b"", TIMEOUT)
        fourth = subprocess.run(line, capture_output=True, timeout=TIMEOUT, check=False)
        assert (fourth.returncode, fourth.stdout) == (0, b"third\n"), (fourth, server.log)
        master.communicate(b"", TIMEOUT)


def test_no_session_at_all_can_be_configured(start: Start) -> None:
    assert start("MaxSessions 0").ssh("true").returncode == 255


def test_r42_a_login_that_takes_too_long_ends(start: Start) -> None:
    server = start("LoginGraceTime 1")
    with server.connect() as raw:
        assert read_to_end(raw).startswith(b"SSH-2.0-sshkit")
    server.wait_for("127.0.0.1: ended: no login within 1 seconds")


def test_r42_the_grace_time_does_not_end_what_is_logged_in(start: Start) -> None:
    server = start("LoginGraceTime 1")
    command = server.ssh_command("echo up; cat")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        with server.connect() as raw:  # takes the whole grace time
            read_to_end(raw)
        assert process.communicate(b"still here", TIMEOUT)[0] == b"still here"


def test_r42_connections_that_are_not_logged_in_are_limited(start: Start) -> None:
    server = start("MaxStartups 2")
    held = [server.connect() for _ in range(2)]
    for sock in held:
        assert sock.recv(8) == b"SSH-2.0-"
    assert server.greeting_of_one_more() == b""
    server.wait_for("drop connection #2 from .* past MaxStartups")
    held.pop().close()
    server.wait_for("127.0.0.1: ended: ")
    assert server.ssh("true").returncode == 0
    held.pop().close()


def test_r42_connections_of_one_source_are_limited(start: Start) -> None:
    server = start("PerSourceMaxStartups 1", "PerSourceNetBlockSize 24")
    with server.connect() as held:
        assert held.recv(8) == b"SSH-2.0-"
        assert server.greeting_of_one_more() == b""
        server.wait_for("refused: 1 connections of 127.0.0.1 are not logged in")
    server.wait_for("127.0.0.1: ended: ")
    assert server.ssh("true").returncode == 0


def test_a_client_that_does_not_answer_is_given_up(start: Start) -> None:
    server = start("ClientAliveInterval 1", "ClientAliveCountMax 1")
    command = server.ssh_command("echo up; exec sleep 1000")
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGSTOP)
        server.wait_for("ended: the peer answered nothing for 2 seconds")
        process.kill()


def test_a_silent_client_that_answers_stays(start: Start) -> None:
    server = start("ClientAliveInterval 1", "ClientAliveCountMax 1", "LoginGraceTime 3")
    command = server.ssh_command("echo up; cat")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        with server.connect() as raw:  # takes three seconds
            read_to_end(raw)
        assert process.communicate(b"here", TIMEOUT)[0] == b"here"


def test_algorithms_are_those_of_the_configuration(start: Start) -> None:
    server = start(
        "Ciphers aes256-ctr",
        "MACs hmac-sha2-512-etm@openssh.com",
        "KexAlgorithms ecdh-sha2-nistp384",
        "HostKeyAlgorithms ssh-ed25519",
        "PubkeyAcceptedAlgorithms -rsa*",
        "RekeyLimit 1M",
        "VersionAddendum of-the-house",
    )
    result = server.ssh("head -c 4000000 /dev/zero", options=("-v", "-o", "LogLevel=DEBUG1"))
    assert result.returncode == 0
    assert len(result.stdout) == 4_000_000
    for text in (
        b"kex: algorithm: ecdh-sha2-nistp384",
        b"server->client cipher: aes256-ctr MAC: hmac-sha2-512-etm@openssh.com",
        b"remote software version sshkit_0.1 of-the-house",
    ):
        assert text in result.stderr
    assert result.stderr.count(b"SSH2_MSG_NEWKEYS received") >= 3


def test_a_chain_of_methods_wants_each(start: Start) -> None:
    server = start("AuthenticationMethods publickey")
    assert server.ssh("true").returncode == 0


def test_r41_a_fault_of_one_connection_ends_only_that_one(start: Start) -> None:
    server = start()
    command = server.ssh_command("echo up; cat")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        for garbage in (
            b"\0" * 70000,
            b"SSH-1.5-old\r\n",
            b"SSH-2.0-x\r\n" + os.urandom(40000),
            b"GET / HTTP/1.1\r\n\r\n",
        ):
            with server.connect() as raw:
                try:
                    raw.sendall(garbage)
                except ConnectionError:
                    pass
                read_to_end(raw)
        assert process.communicate(b"fine", TIMEOUT)[0] == b"fine"
    assert server.log.count("ended:") >= 4
    assert "internal error" not in server.log


def limit_descriptors(number: int, limit: int) -> None:
    """Set how many descriptors another process may have."""
    hard = resource.prlimit(number, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(number, resource.RLIMIT_NOFILE, (limit, hard))


def descriptors_of(number: int) -> int:
    return len(os.listdir(f"/proc/{number}/fd"))


def test_r41_accepting_goes_on_after_the_descriptors_were_used_up(start: Start) -> None:
    server = start("MaxStartups 1000")
    number = server.process.pid
    limit_descriptors(number, descriptors_of(number))
    held = [server.connect() for _ in range(3)]
    server.wait_for("accepting at 127.0.0.1:.* pauses")
    for sock in held:
        sock.close()
    limit_descriptors(number, 1024)
    assert "Traceback" not in server.log
    assert server.ssh("echo back").stdout == b"back\n"


def test_r41_a_worker_goes_on_after_its_descriptors_were_used_up(start: Start) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = max(int(number) for number in os.listdir("/proc/self/fd")) + 40
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, limits[1]))
    try:
        server = start("MaxStartups 1000")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    workers = server.processes()
    held = [server.connect() for _ in range(most + 10)]
    server.wait_for("no descriptor is left for another connection")
    for sock in held:
        sock.close()
    assert server.ssh("echo back").stdout == b"back\n"
    assert set(workers) <= set(server.processes())
    assert "Traceback" not in server.log


def test_r41_a_command_that_finds_no_descriptor_is_refused_and_the_connection_stays(
    start: Start, place: Place
) -> None:
    server = start()
    master = ("-M", "-S", str(place.folder / "master"))
    command = server.ssh_command("echo up; cat", options=master)
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        (child,) = server.children()
        session = int(Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[1])
        limit_descriptors(session, descriptors_of(session) + 3)
        result = server.ssh("true", options=("-S", str(place.folder / "master")))
        assert result.returncode != 0
        server.wait_for("command 'true' of .* refused: cannot start bash?")
        assert process.communicate(b"fine", TIMEOUT)[0] == b"fine"


AUDITED = """
import sys

def hook(event, arguments):
    if event == "import" and arguments[0] not in sys.modules:
        sys.stderr.write(f"LOADED {arguments[0]}\\n")

sys.addaudithook(hook)
from sshkit_cli.server import main
sys.exit(main())
"""


def test_r41_nothing_is_loaded_any_more_once_the_server_listens(
    start: Start, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tests.servers as servers

    monkeypatch.setattr(servers, "command_line", lambda *words: [sys.executable, "-c", AUDITED, *words])
    server = start("KexAlgorithms +*nistp*")
    for setting in (
        "KexAlgorithms=curve25519-sha256",
        "KexAlgorithms=ecdh-sha2-nistp256",
        "KexAlgorithms=diffie-hellman-group14-sha256",
        "Ciphers=aes128-gcm@openssh.com",
        "Ciphers=aes128-ctr",
        "Ciphers=chacha20-poly1305@openssh.com",
    ):
        assert server.ssh("true", options=("-o", setting)).returncode == 0
    server.ssh("kill $$", options=("-tt",))
    for host in ("127.0.0.1", "localhost"):
        server.ssh(options=("-W", f"{host}:{server.port}"))
    server.ssh(options=("-W", "127.0.0.1:1"))
    for listen in ("0", str(place.folder / "socket")):
        server.ssh("true", options=("-R", f"{listen}:127.0.0.1:1"))
    server.ssh("true", identity="other", user="nobody-of-this-name")
    lines = server.log.splitlines()
    start_line = next(number for number, line in enumerate(lines) if "connect with" in line)
    assert [line for line in lines[start_line:] if line.startswith("LOADED")] == []


def test_r8_requests_of_every_kind_are_limited(start: Start, place: Place) -> None:
    options = []
    for number in range(66):
        place.make_key(f"many{number}")
        options += ["-i", str(place.folder / f"many{number}")]
    server = start("MaxAuthTries 1000")
    assert server.ssh("true", identity="other", options=options).returncode == 255
    server.wait_for("ended: more than 64 authentication requests")


def test_a_server_offers_no_curve_of_nist_unless_it_is_told(start: Start) -> None:
    setting = ("-o", "KexAlgorithms=ecdh-sha2-nistp256")
    refused = start().ssh("true", options=("-o", "LogLevel=INFO", *setting))
    assert refused.returncode == 255
    assert b"no matching key exchange method" in refused.stderr
    assert start("KexAlgorithms +*nistp*").ssh("true", options=setting).returncode == 0
