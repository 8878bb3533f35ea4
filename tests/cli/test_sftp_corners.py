"""sshkit-sftp and sshkit-scp where servers lie or fall silent, disks fail, names are typed: what they say."""

import errno
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from sshkit_cli import scp_far, sftp_interactive
from sshkit_cli.log import Log
from sshkit_cli.sftp_commands import Settings, Shell
from sshkit_cli.sftp_connect import CommandLog
from sshkit_cli.sftp_interactive import Names
from sshkit_cli.sftp_meter import Meter
from sshkit_cli.sftp_run import Lines, until_lost
from sshkit_cli.sftp_transfers import Copier, CopyFailed, How, TreeProgress

import sshkit
from sshkit.reactor.engines.native import NativeReactor
from sshkit.sftp import messages as m
from sshkit.sftp import status
from sshkit.sftp.attributes import Attributes
from sshkit.sftp.client import SFTPClient
from sshkit.sftp.errors import SFTPConnectionLost
from tests.cli.copying import SERVER, make_tree, run_scp, run_sftp, typed
from tests.cli.user import PtyUser
from tests.sftp.client.world import FakeServer, Memory

Work = Callable[[Copier, SFTPClient], Awaitable[Any]]


def copy(tmp_path: Path, server: FakeServer, work: Work) -> list[str]:
    """Do some copying with a server; return what the user was told."""
    said: list[str] = []
    memory = Memory(server, timeout=5.0)

    async def main(client: SFTPClient) -> None:
        log = Log(path=str(tmp_path / "log"))
        meter = Meter(memory.network, log, enabled=False)
        await work(Copier(client, log, meter, said.append), client)

    memory.run(main)
    return said


def failing(tmp_path: Path, server: FakeServer, work: Work) -> list[str]:
    """Do some copying that fails; return what the user was told."""

    async def fails(copier: Copier, client: SFTPClient) -> None:
        with pytest.raises(CopyFailed):
            await work(copier, client)

    return copy(tmp_path, server, fails)


def answering(**answers: Callable[[int], "bytes | list[bytes]"]) -> FakeServer:
    """Return a server with a file /f of 300,000 bytes that answers requests of some kinds in its own way."""
    kinds = {getattr(m, name): answer for name, answer in answers.items()}
    server = FakeServer(
        lambda kind, number, payload: kinds[kind](number) if kind in kinds else None, extensions={}
    )
    server.files[b"/f"] = bytearray(300_000)
    server.folders.add(b"/t")
    server.files[b"/t/f"] = bytearray(10)
    return server


def silent(number: int) -> list[bytes]:
    return []


def get(local: Path, **how: Any) -> Work:
    async def work(copier: Copier, client: SFTPClient) -> None:
        await copier.get_file("/f", await client.stat("/f"), str(local), How(**how))

    return work


def put(local: Path, **how: Any) -> Work:
    async def work(copier: Copier, client: SFTPClient) -> None:
        await copier.put_file(str(local), "/g", How(**how))

    return work


def test_what_is_no_file_is_not_fetched(tmp_path: Path) -> None:
    server = answering(STAT=lambda number: m.pack_attrs(number, Attributes(permissions=0o010644)))
    assert failing(tmp_path, server, get(tmp_path / "g")) == ["download /f: not a regular file"]


def test_a_folder_in_the_place_of_a_file_is_told(tmp_path: Path) -> None:
    said = failing(tmp_path, answering(), get(tmp_path))
    assert said == [f'open local "{tmp_path}": Is a directory']


def test_r37_a_server_that_ends_a_file_early_is_told(tmp_path: Path) -> None:
    server = answering(READ=lambda number: m.pack_status(number, status.EOF))
    said = failing(tmp_path, server, get(tmp_path / "g"))
    assert len(said) == 1
    assert said[0].startswith('read remote "/f" : ')
    assert not (tmp_path / "g").exists()


def test_r37_a_server_that_falls_silent_is_told_for_all_kinds_of_copies(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a").write_bytes(bytes(300_000))
    local = tmp_path / "here" / "a"
    assert "no answer within 5 seconds" in failing(tmp_path, answering(READ=silent), get(tmp_path / "g"))[0]
    assert "no answer within 5 seconds" in failing(tmp_path, answering(WRITE=silent), put(local))[0]

    async def get_tree(copier: Copier, client: SFTPClient) -> None:
        await copier.get_tree("/t", str(tmp_path / "tree"), How())

    async def put_tree(copier: Copier, client: SFTPClient) -> None:
        await copier.put_tree(str(tmp_path / "here"), "/new", How())

    assert "no answer within 5 seconds" in failing(tmp_path, answering(OPENDIR=silent), get_tree)[0]
    (tmp_path / "tree").rmdir()
    (tmp_path / "tree").mkdir()
    assert "no answer within 5 seconds" in failing(tmp_path, answering(OPENDIR=silent), get_tree)[0]
    assert "no answer within 5 seconds" in failing(tmp_path, answering(MKDIR=silent), put_tree)[0]


def test_a_download_goes_on_where_it_was_left_and_where_nothing_is_begins(tmp_path: Path) -> None:
    server = answering()
    server.files[b"/f"] = bytearray(b"0123456789")
    assert copy(tmp_path, server, get(tmp_path / "g", resume=True)) == []
    (tmp_path / "h").write_bytes(b"0123")
    assert copy(tmp_path, server, get(tmp_path / "h", resume=True)) == []
    assert {(tmp_path / name).read_bytes() for name in "gh"} == {b"0123456789"}
    said = copy(tmp_path, server, get(tmp_path / "h", resume=True))
    assert said == [f'File "{tmp_path}/h" was not modified']


def test_an_upload_goes_on_where_it_was_left_and_not_where_all_is_there(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    server = answering()
    server.files[b"/g"] = bytearray(b"0123")
    assert copy(tmp_path, server, put(tmp_path / "f", resume=True)) == []
    assert server.files[b"/g"] == b"0123456789"
    said = failing(tmp_path, server, put(tmp_path / "f", resume=True))
    assert said == [f'resume "{tmp_path}/f": destination file same size or larger']


def test_a_local_file_that_has_gone_or_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = failing(tmp_path, answering(), put(tmp_path / "none"))
    assert said == [f"stat {tmp_path}/none: No such file or directory"]
    (tmp_path / "f").write_bytes(b"x")
    real = os.open

    def refuse(path: Any, *arguments: Any, **options: Any) -> int:
        if os.fspath(path) in (os.fsencode(tmp_path / "f"), b"f"):
            raise PermissionError(errno.EACCES, "Permission denied", os.fsdecode(path))
        return real(path, *arguments, **options)

    monkeypatch.setattr(os, "open", refuse)
    said = failing(tmp_path, answering(), put(tmp_path / "f"))
    assert said == [f'open local "{tmp_path}/f": Permission denied']


def test_the_progress_of_a_tree_names_the_folder_in_work() -> None:
    told: list[str] = []
    progress = TreeProgress("", 0.0, told.append)
    progress.path = "/t/below"
    assert (progress.path, told) == ("/t/below", ["", "/t/below"])


def test_what_waits_for_a_lost_session_fails_at_once(tmp_path: Path) -> None:
    async def main(client: SFTPClient) -> None:
        waiting: sshkit.Deferred[None] = sshkit.Deferred()
        waited = sshkit.ensure_deferred(until_lost(waiting, client))
        waited.cancel()
        with pytest.raises(sshkit.CancelledError):
            await waited
        client.session.end(SFTPConnectionLost("cut"))
        with pytest.raises(SFTPConnectionLost, match="cut"):
            await until_lost(sshkit.Deferred(), client)

    Memory().run(main)


# Lines that are typed without a line editor.


def test_a_user_whose_output_goes_elsewhere_has_a_prompt_in_it(
    user: PtyUser, tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    typed()  # skips where there is no sftp-server
    user.type("pwd\nls -1 a.txt\n\x04")
    done = run_sftp("-D", SERVER, stdin=user.slave)
    here = tmp_path / "here"
    assert done.out.decode() == f"sftp> Remote working directory: {here}\nsftp> a.txt\nsftp> \n"
    assert done.status == 0


def test_input_that_would_block_after_all_is_waited_for() -> None:
    reads, writes = os.pipe()
    os.set_blocking(reads, False)
    reactor = NativeReactor()
    try:
        lines = Lines(reactor, reads)
        waiting = lines.next()
        lines._read()  # woken for nothing
        assert not waiting.called
        writer = threading.Timer(0.0, os.write, (writes, b"part"))
        writer.start()
        writer.join()
        reactor.call_later(0.01, lambda: os.write(writes, b" and the rest\n"))
        assert reactor.run_until(waiting) == "part and the rest"
    finally:
        os.close(reads)
        os.close(writes)
        reactor.close()


# Completion.


class Typist:
    """Completes with a server in memory."""

    def __init__(self, server: FakeServer) -> None:
        self.memory = Memory(server)
        self.reactor = self

    def blocking_call_from_thread(self, call: Callable[[], Any], timeout: float) -> Any:
        return self.memory.network.run(call())

    def complete(self, text: str) -> list[str]:
        client = self.memory.connect()
        self.memory.network.run(client.ready)

        class Here:
            folder = "/"

        shell = cast("Shell", Here())
        shell.client = client
        names = Names(cast("Any", self), shell)
        found = [each.text for each in names.get_completions(Document(text), CompleteEvent())]
        self.memory.network.settle()
        client.session.end(SFTPConnectionLost("done"))
        self.memory.network.settle()
        return found


@pytest.fixture
def typist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Typist:
    (tmp_path / "local file").touch()
    monkeypatch.chdir(tmp_path)
    server = FakeServer()
    server.files[b"/remote file"] = bytearray()
    server.files[b"/.hidden"] = bytearray()
    server.folders.add(b"/folder")
    return Typist(server)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("pw", ["pwd "]),
        ("get ", ["folder/", "remote\\ file "]),
        ("get re", ["remote\\ file "]),
        ("get 're", ["'remote file' "]),
        ("get .", [".hidden "]),
        ("get remote\\ file lo", ["local\\ file "]),
        ("put lo", ["local\\ file "]),
        ("put 'local file' fo", ["folder/"]),
        ("put -p lo", ["local\\ file "]),
        ("get -", []),
        ("nonsense x", []),
        ("pwd x", []),
        ("get none/", []),
        ("lcd none/", []),
        ("x" * 9000, []),
    ],
)
def test_a_word_becomes_what_the_other_side_or_this_one_has(
    typist: Typist, text: str, found: list[str]
) -> None:
    assert typist.complete(text) == found


def test_a_link_that_leads_nowhere_is_completed_as_a_file(typist: Typist) -> None:
    server = typist.memory.server
    server.files[b"/link"] = bytearray()
    real = server.attributes

    def attributes(path: bytes) -> Attributes:
        found = real(path)
        if path == b"/link":
            found.permissions = 0o120777
        return found

    server.attributes = attributes  # type: ignore[method-assign]
    assert typist.complete("get li") == ["link "]
    server.twist = lambda kind, number, payload: (
        m.pack_status(number, status.PERMISSION_DENIED) if kind == m.STAT else None
    )
    assert typist.complete("get li") == ["link "]


def test_a_folder_with_very_many_names_is_completed_in_part(
    typist: Typist, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sftp_interactive, "MAX_NAMES", 2)
    for number in range(5):
        typist.memory.server.files[f"/n{number}".encode()] = bytearray()
    assert typist.complete("get n") == ["n0 ", "n1 "]


# The far side of scp.


class SlowPipe:
    """A transport whose reader takes its time."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.closed = False

    def close(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        self.left -= 1
        return max(self.left, 0)


@pytest.mark.parametrize(("left", "seconds"), [(0, 0.0), (5, 0.2), (1_000_000, 10.0)])
def test_the_far_side_of_scp_waits_for_its_reader_but_not_for_ever(left: int, seconds: float) -> None:
    network = Memory().network
    pipe = SlowPipe(left)
    before = network.seconds()
    network.run(scp_far.flushed(pipe, network))
    assert pipe.closed
    assert network.seconds() - before == pytest.approx(seconds)


# The command as a whole.


def test_a_signal_ends_the_command_by_that_signal_and_nothing_is_left(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_tree(tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGHUP)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # nohup(1)
    try:
        done = typed(f"!kill -HUP {os.getpid()}", "pwd", f"!kill -TERM {os.getpid()}; sleep 1", "pwd")
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGTERM, before[0])
        signal.signal(signal.SIGHUP, before[1])
    assert killed == [(os.getpid(), signal.SIGTERM)]
    assert done.status == 255
    assert done.out.decode().count("Remote working directory") == 1


def test_a_quiet_copy_says_nothing_even_of_its_failure(home: Path) -> None:
    done = run_scp("-q", "-o", "LogLevel=QUIET", "-P", "1", "127.0.0.1:x", "/nonexistent/y")
    assert (done.out, done.err) == (b"", "")
    assert done.status != 0


def test_a_folder_that_was_removed_under_us_has_no_name(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    done = typed("!rmdir $PWD", "lpwd")
    assert "Couldn't get local cwd: No such file or directory\n" in done.err


def shell_says(monkeypatch: pytest.MonkeyPatch, server: FakeServer, *lines: str) -> str:
    """Do lines with a server; return what the user was told."""
    memory = Memory(server)

    async def main(client: SFTPClient) -> None:
        log = CommandLog("sshkit-sftp")
        monkeypatch.setattr(log, "_write", said.append)
        command: Any = type("Command", (), {"log": log, "reactor": memory.network})()
        meter = Meter(memory.network, log, enabled=False)
        shell = Shell(command, client, Settings(False, False, False, False, False), meter, "/")
        for line in lines:
            await shell.do(line)

    said: list[str] = []
    memory.run(main)
    return "".join(said)


def test_a_server_that_tells_neither_modes_nor_owners_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    server = FakeServer()
    server.files[b"/f"] = bytearray(b"x")
    server.attributes = lambda path: Attributes(1)  # type: ignore[method-assign]
    said = shell_says(monkeypatch, server, "cd /f", "chown 7 /f", "'open")
    assert "Can't change directory: Can't check target\n" in said
    assert 'Can\'t get current ownership of remote file "/f"\n' in said
    assert "nterminated" in said or "quote" in said
