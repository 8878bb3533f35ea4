"""sshkit-keyscan: the command line, what is asked of whom, and what is printed."""

import contextlib
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sshkit_cli import keyscan, keyscan_run
from sshkit_cli.keyscan import Options, UsageError, main, parse
from sshkit_keys import KnownHosts, SSHKitError, generate_private_key

from sshkit import blocking
from tests.cli.user import PATIENCE, descriptors

ED25519 = generate_private_key("ed25519", comment="host")
RSA = generate_private_key("rsa", 2048, "host")
HOST = "127.0.0.1"


async def nobody(session: Any) -> int:
    """Nobody gets so far."""
    raise AssertionError(session)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server with two host keys."""
    with blocking.serve(f"{HOST}:0", nobody, host_keys=[ED25519, RSA], passwords={}) as server:
        yield server.address[1]


class Outcome:
    """What a run left."""

    def __init__(self, status: int, out: str, err: str) -> None:
        self.status = status
        self.out = out
        self.err = err
        self.lines = out.splitlines()
        assert "Traceback" not in err


def scan(*argv: str, capfd: pytest.CaptureFixture[str]) -> Outcome:
    capfd.readouterr()
    status = main(list(argv))
    return Outcome(status, *capfd.readouterr())


def line(name: str, port: int, key: Any) -> str:
    return f"[{name}]:{port} {' '.join(key.public.to_line().split(' ')[:2])}"


@contextlib.contextmanager
def talking(data: bytes, stay: bool = False) -> Iterator[int]:
    """Run a server that says one thing to everybody; with `stay` it then waits, else it hangs up."""
    listener = socket.create_server((HOST, 0))
    open_ones: list[socket.socket] = []

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                connection.sendall(data)
            if stay:
                open_ones.append(connection)
            else:
                connection.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(PATIENCE)
        for connection in open_ones:
            connection.close()


# The command line.


def test_options_are_read() -> None:
    options = parse(
        [
            *(
                "-6",
                "-D",
                "-H",
                "-q",
                "-v",
                "-f",
                "a",
                "-f",
                "-",
                "-p",
                "2222",
                "-T",
                "1m30",
                "-O",
                "hashalg=SHA1",
            ),
            *("-t", "ed25519,rsa,rsa", "-4", "host", "other"),
        ]
    )
    assert options == Options(
        hosts=("host", "other"),
        files=("a", "-"),
        key_types=("rsa", "ed25519"),
        port=2222,
        timeout=90.0,
        family=int(socket.AF_INET),
        records=True,
        hashes=("sha1",),
        hashed=True,
        quiet=True,
        verbose=True,
    )
    assert parse(["-6", "x"]).family == socket.AF_INET6


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["-q"],
        ["-x", "h"],
        ["-p"],
        *(["-p", port, "h"] for port in ("", "0", "65536", "99999999999", "x", "-1", "\u0663")),
        *(
            ["-T", time, "h"]
            for time in ("", "0", "x", "1x", "m", "-5", "1.5", "9" * 40, "2d", "\u0663", "1mm")
        ),
    ],
)
def test_a_wrong_command_line_is_usage_and_status_1(
    argv: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UsageError):
        parse(argv)
    outcome = scan(*argv, capfd=capfd)
    assert (outcome.status, outcome.out) == (1, "")
    assert "usage: sshkit-keyscan [-46cDHqv]" in outcome.err


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["-c", "h"], "option -c: certificates of hosts are not asked for yet; leave it out for plain keys"),
        (["-t", "foo\x1b", "h"], "unknown key type 'foo\\x1b'; known: rsa, ecdsa, ed25519"),
        (["-t", ",", "h"], "unknown key type ''"),
        (["-t", "dsa", "h"], "no DSA key is asked for"),
        (["-O", "foo", "h"], "unknown option 'foo'"),
        (["-O", "hashalg=md5", "h"], "unknown hash 'md5'; sha1 and sha256 are known"),
        (["-f", "/nosuch\x1b"], "/nosuch\\x1b: No such file or directory"),
    ],
)
def test_what_is_not_there_is_an_error_and_status_255(
    argv: list[str], text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = scan(*argv, capfd=capfd)
    assert (outcome.status, outcome.out) == (255, "")
    assert outcome.err.startswith(f"sshkit-keyscan: {text}")
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize(("text", "seconds"), [("5", 5), ("1s", 1), ("2M", 120), ("1h", 3600), ("1d", 86400)])
def test_times_are_read(text: str, seconds: int) -> None:
    assert parse(["-T", text, "h"]).timeout == seconds


# Whom to ask, and what is printed.


def test_keys_are_printed_in_ssh_keyscans_order_and_the_comment_goes_to_standard_error(
    port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = scan("-p", str(port), HOST, capfd=capfd)
    assert outcome.status == 0
    assert outcome.lines == [line(HOST, port, RSA), line(HOST, port, ED25519)]
    assert outcome.err.startswith(f"# {HOST}:{port} SSH-2.0-sshkit")
    assert outcome.err.count("\n") == 1
    again = scan("-q", "-t", "ed25519,rsa", "-p", str(port), HOST, capfd=capfd)
    assert (again.lines, again.err) == (outcome.lines, "")


def test_a_port_may_be_named_with_the_host(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    expected = [line(HOST, port, ED25519)]
    for where in (f"{HOST}:{port}", f"[{HOST}]:{port}", f"{HOST}:{port},{HOST}"):
        outcome = scan("-q", "-t", "ed25519", where, capfd=capfd)
        assert set(outcome.lines) == set(expected)


def test_aliases_are_printed_in_place_of_addresses(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    outcome = scan("-q", "-t", "ed25519", "-p", str(port), f"{HOST},second a.example,b", capfd=capfd)
    assert outcome.lines == [line("a.example", port, ED25519), line("b", port, ED25519)]
    outcome = scan("-q", "-t", "ed25519", "-p", str(port), f"{HOST},second", capfd=capfd)
    assert outcome.lines == [line(HOST, port, ED25519), line("second", port, ED25519)]


def test_hosts_are_read_from_files_and_standard_input(
    port: int, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    listed = tmp_path / "hosts"
    listed.write_bytes(b"# nothing\n\n   \n" + f"{HOST} one # and a comment\n".encode() + b"\xff\xfe name\n")
    with tempfile_of(f"{HOST} two\n".encode()) as given, descriptors(given, 1, 2):
        files = ("-f", str(listed), "-f", "-")
        outcome = scan("-q", "-t", "ed25519", "-p", str(port), *files, f"{HOST} three", capfd=capfd)
    assert sorted(outcome.lines) == sorted(line(name, port, ED25519) for name in ("one", "two", "three"))
    assert "udcff" in outcome.err
    assert outcome.err.endswith("': not a host name or address\n")
    assert outcome.status == 0


@contextlib.contextmanager
def tempfile_of(data: bytes) -> Iterator[int]:
    import tempfile

    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        yield file.fileno()


def test_a_line_without_an_end_is_an_error(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    listed = tmp_path / "hosts"
    listed.write_text("x" * 70_000)
    outcome = scan("-f", str(listed), capfd=capfd)
    assert outcome.status == 255
    assert outcome.err == "sshkit-keyscan: a line of 70000 characters, 65536 allowed\n"


def test_every_address_of_a_network_is_asked_and_those_of_nobody_are_not_told(
    port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = scan("-q", "-t", "ed25519", "-p", str(port), "127.0.0.5/29", capfd=capfd)
    assert outcome.lines == [line(HOST, port, ED25519)]
    assert outcome.err == ""
    outcome = scan("-v", "-q", "-t", "ed25519,ed448", "-p", str(port), "127.0.0.0/30 name", capfd=capfd)
    assert outcome.lines == [line("name", port, ED25519)]
    assert f"debug1: cannot connect to 127.0.0.2 port {port}" in outcome.err
    assert f"debug1: {HOST} port {port}: no ed448 key\n" in outcome.err


@pytest.mark.parametrize(
    ("host", "text"),
    [
        ("127.0.0.1/33", "'127.0.0.1/33' is no network"),
        ("name/8", "'name/8' is no network"),
        ("10.0.0.0/8", "'10.0.0.0/8' has 16777216 addresses, 1048576 are allowed"),
        ("fe80::/64", "'fe80::/64' has 18446744073709551616 addresses, 1048576 are allowed"),
        ("user@host", "'user@host': a host has keys, not its user"),
        ("a b c", "'a b c': a list of addresses and a list of names, and nothing more"),
        ("a:1,b:2", "'a:1,b:2': all addresses of one host have the same port"),
        (",", "',': no address"),
        ("a;b", "'a;b': not a host name or address"),
        ("-oProxyCommand=x", "'-oProxyCommand=x': not a host name or address"),
    ],
)
def test_a_host_that_can_be_none_is_told_and_the_others_are_asked(
    port: int, host: str, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = scan("-q", "-t", "ed25519", "-p", str(port), "--", host, "  ", HOST, capfd=capfd)
    assert outcome.err == f"sshkit-keyscan: {text}\n"
    assert outcome.lines == [line(HOST, port, ED25519)]
    assert outcome.status == 0


def test_a_name_that_known_hosts_cannot_hold_is_not_printed(
    port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    for flag in ("-D", "-H"):
        outcome = scan("-q", flag, "-t", "ed25519", "-p", str(port), f"{HOST} *.bad", capfd=capfd)
        assert (outcome.status, outcome.out) == (1, "")
        assert "'*.bad' holds a character that known_hosts cannot" in outcome.err


def test_hashed_names_are_found_again(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    outcome = scan("-q", "-H", "-p", str(port), f"{HOST} name", capfd=capfd)
    assert len(outcome.lines) == 2
    assert all(text.startswith("|1|") for text in outcome.lines)
    known = KnownHosts()
    known.parse(outcome.out.encode(), "out")
    assert set(known.lookup("name", port).key_types) == {"ssh-rsa", "ssh-ed25519"}


def test_records_for_the_dns(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    outcome = scan("-D", "-p", str(port), f"{HOST} name", capfd=capfd)
    assert [text.rpartition(" ")[0] for text in outcome.lines] == [
        "name IN SSHFP 1 1",
        "name IN SSHFP 1 2",
        "name IN SSHFP 4 1",
        "name IN SSHFP 4 2",
    ]
    assert outcome.err.startswith(f"; {HOST}:{port} SSH-2.0-")
    outcome = scan("-D", "-O", "hashalg=sha256", "-t", "rsa", "-p", str(port), HOST, capfd=capfd)
    assert [text.rpartition(" ")[0] for text in outcome.lines] == [f"{HOST} IN SSHFP 1 2"]


def test_a_key_without_a_record_is_told(
    port: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sshkit_keys.sshfp.ALGORITHMS", {"ssh-rsa": 1})
    outcome = scan("-q", "-D", "-p", str(port), HOST, capfd=capfd)
    assert len(outcome.lines) == 2
    assert outcome.err == (
        f"sshkit-keyscan: {HOST} port {port}: no SSHFP record can be made for a key of type ssh-ed25519\n"
    )
    monkeypatch.setattr("sshkit_keys.sshfp.ALGORITHMS", {})
    assert scan("-q", "-D", "-p", str(port), HOST, capfd=capfd).out == ""


def test_no_key_of_the_types_asked_for_is_status_1_and_said(
    port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = scan("-q", "-t", "ecdsa,ed448", "-p", str(port), HOST, capfd=capfd)
    assert (outcome.status, outcome.out) == (1, "")
    assert outcome.err == f"sshkit-keyscan: {HOST} port {port}: it has no key of these types: ecdsa, ed448\n"


def test_one_host_that_fails_is_said_once_and_does_not_spoil_the_others(
    port: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server((HOST, 0)) as listener:
        closed = listener.getsockname()[1]
    outcome = scan("-q", "-p", str(port), f"{HOST}:{closed}", HOST, capfd=capfd)
    assert outcome.status == 0
    assert outcome.err.count("\n") == 1
    assert "Connection refused" in outcome.err
    assert scan("-p", str(closed), HOST, capfd=capfd).status == 1


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "the peer closed the connection before it identified itself"),
        (b"\x1b[31m\r\n" * 3, "closed the connection"),
        (b"SSH-1.5-\x1b[31m\r\n", "the peer speaks SSH-1.5-\\x1b[31m, not SSH 2.0"),
        (b"x" * 20_000, "no line end in the first 8192 bytes"),
        (b"SSH-2.0-good\r\n", "closed the connection during the key exchange"),
        (b"SSH-2.0-good\r\n\xff\xff\xff\xff\xff\xff\xff\xff", "length"),
    ],
)
def test_r36_a_server_that_says_nonsense_gets_one_harmless_line(
    port: int, data: bytes, text: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with talking(data) as bad:
        outcome = scan("-q", "-t", "ed25519", f"{HOST}:{bad}", f"{HOST}:{port}", capfd=capfd)
    assert outcome.lines == [line(HOST, port, ED25519)]
    assert outcome.err.count("\n") == 1
    assert outcome.err.rstrip("\n").isprintable()
    if "length" not in text:
        assert text in outcome.err or "reset" in outcome.err


def test_r36_the_comment_about_a_server_holds_nothing_raw(capfd: pytest.CaptureFixture[str]) -> None:
    with talking(b"SSH-2.0-\x1b]0;title\x07\xe2\x80\xae\r\n") as bad:
        outcome = scan("-t", "ed25519", f"{HOST}:{bad}", capfd=capfd)
    assert outcome.status == 1
    assert outcome.err.startswith(f"# {HOST}:{bad} SSH-2.0-\\x1b]0;title\\x07\\u202e\n")


def test_a_silent_server_costs_its_own_time_only(port: int, capfd: pytest.CaptureFixture[str]) -> None:
    with talking(b"", stay=True) as silent:
        options = Options(
            (f"{HOST}:{silent}", f"{HOST}:{port}"), key_types=("ed25519",), timeout=0.2, quiet=True
        )
        assert keyscan_run.run(options) == 0
    out, err = capfd.readouterr()
    assert out.splitlines() == [line(HOST, port, ED25519)]
    assert err == f"sshkit-keyscan: {HOST} port {silent}: it did not say who it is within 0.2 seconds\n"


# The process.


LOADED = """\
import sys
from sshkit_cli.keyscan import main
status = main(sys.argv[1:])
print(sorted({"asyncio", "dataclasses", "inspect", "logging"} & sys.modules.keys()))
sys.exit(status)
"""


def test_nothing_heavy_is_loaded(port: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED, "-q", "-t", "ed25519", "-p", str(port), HOST],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert sorted(done.stdout.splitlines()) == sorted([line(HOST, port, ED25519), "[]"])
    assert (done.returncode, done.stderr) == (0, "")


def test_it_runs_as_a_module(port: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sshkit_cli.keyscan", "-p", str(port), "-q", HOST],
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 2)


def test_an_interrupt_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(options: Options) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(keyscan_run, "run", interrupted)
    assert main(["host"]) == 130


def test_an_error_of_the_system_without_a_file_is_told(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(options: Options) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(keyscan_run, "run", broken)
    assert scan("host", capfd=capfd).err == "sshkit-keyscan: Input/output error\n"


def test_a_fault_of_our_own_code_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    reactor = keyscan_run.ScanReactor()
    reactor.call_soon(lambda: 1 // 0)
    reactor.run_until(ending(reactor))
    reactor.close()
    assert capfd.readouterr().err.startswith("sshkit-keyscan: internal error: ")


def ending(reactor: Any) -> Any:
    from sshkit.deferred import Deferred

    done: Deferred[None] = Deferred()
    reactor.call_later(0, done.callback, None)
    return done


@pytest.mark.parametrize(
    ("soft", "hard", "wanted"),
    [
        (256, 4096, (1024, 4096)),
        (256, 512, (512, 512)),
        (2048, 4096, None),
        (256, resource.RLIM_INFINITY, (1024, resource.RLIM_INFINITY)),
    ],
)
def test_the_limit_on_open_files_is_raised_as_far_as_needed(
    soft: int, hard: int, wanted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    became: list[Any] = []
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, limits: became.append(limits))
    keyscan_run._allow_descriptors()
    assert became == ([wanted] if wanted else [])


def test_a_limit_that_cannot_be_raised_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(kind: int, limits: Any) -> None:
        raise ValueError("no")

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (16, 4096))
    monkeypatch.setattr(resource, "setrlimit", refused)
    keyscan_run._allow_descriptors()


def test_usage_errors_are_errors_of_the_project() -> None:
    assert issubclass(keyscan.UsageError, SSHKitError)
