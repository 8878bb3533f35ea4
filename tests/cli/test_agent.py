"""sshkit-agent starts, serves and ends as ssh-agent does."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sshkit_cli import agent, agent_place, agent_run, agent_secrets
from sshkit_cli.agent import Options, UsageError, parse, seconds_of, shell_lines
from sshkit_cli.agent_confirm import Confirmer
from sshkit_keys import generate_private_key, write_private_key, write_public_key

import sshkit
from sshkit.ssh.agent.policy import AgentRequest, Client
from sshkit.ssh.agent.signed_data import SignedData
from tests.cli.user import PATIENCE, PtyUser, descriptors

PROGRAM = (sys.executable, "-m", "sshkit_cli.agent")


def run(*argv: str, status: int = 0, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command beside this process."""
    done = subprocess.run(
        [*PROGRAM, *argv],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
        env={**os.environ, **environment},
    )
    assert done.returncode == status, done
    return done


@pytest.fixture
def short_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home directory with a path that leaves room for a socket's name."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        monkeypatch.setenv("HOME", folder)
        yield Path(folder)


@pytest.fixture
def key(home: Path) -> Path:
    """A key pair in the home directory."""
    path = home / "id"
    pair = generate_private_key("ed25519", comment="mine")
    write_private_key(path, pair.to_openssh(random_bytes=os.urandom))
    write_public_key(f"{path}.pub", pair.public)
    return path


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("10m", 600), ("1h30m", 5400), ("2D1w", 777600), ("1h5", 3605)]
)
def test_times_are_read(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "x", "1x", "m", "-5", "1.5", "99999999999", "1" * 40, "\u0663"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        seconds_of(text)


def test_options_are_read() -> None:
    options = parse(
        [
            *("-s", "-D", "-a", "/run/x", "-E", "MD5", "-t", "1h", "-P", "/opt/*,/usr/*", "-T", "-U"),
            *("-O", "allow-remote-pkcs11", "-O", "websafe-allow=ssh:*,https://x"),
            *("--upstream", "/a", "--upstream", "/b", "--audit", "/log", "--policy", "m:f"),
        ]
    )
    assert options == Options(
        foreground=True,
        address="/run/x",
        in_temporary=True,
        keep_stale=True,
        hash_name="md5",
        lifetime=3600,
        websafe=("ssh:*", "https://x"),
        remote_tokens=True,
        providers=("/opt/*", "/usr/*"),
        upstreams=("/a", "/b"),
        audit="/log",
        policy="m:f",
    )
    assert parse(["-O", "no-restrict-websafe"]).websafe is None
    assert parse(["-d"]).debug
    assert parse(["ls", "-l"]).command == ("ls", "-l")
    assert parse(["-u", "-u"]).clean_all
    assert parse(["-V"]).action == "version"


@pytest.mark.parametrize(
    "argv",
    [
        ["-x"],
        ["-c", "-s"],
        ["-E", "sha1"],
        ["-t", "never"],
        ["-O", "what"],
        ["-D", "command"],
        ["-k", "command"],
        ["-c", "command"],
    ],
)
def test_a_command_line_that_makes_no_sense_shows_the_usage(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert agent.main(argv) == 1
    assert "usage: sshkit-agent" in capsys.readouterr().err


def test_the_shell_tells_which_lines_it_gets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    assert shell_lines(parse([]), "/run/a", 7) == (
        "setenv SSH_AUTH_SOCK /run/a;\nsetenv SSH_AGENT_PID 7;\necho Agent pid 7;\n"
    )
    assert shell_lines(parse(["-s"]), "/run/a", 7) == (
        "SSH_AUTH_SOCK=/run/a; export SSH_AUTH_SOCK;\n"
        "SSH_AGENT_PID=7; export SSH_AGENT_PID;\necho Agent pid 7;\n"
    )
    me = os.getpid()
    assert shell_lines(parse(["-c"]), "/run/a", None).endswith(f"echo Agent pid {me};\n")


def test_r39_a_path_with_shell_characters_is_quoted() -> None:
    text = shell_lines(Options(), "/tmp/a b'$(id)", None)
    done = subprocess.run(
        ["sh", "-c", text + 'printf %s "$SSH_AUTH_SOCK"'], capture_output=True, text=True, check=True
    )
    assert done.stdout.endswith("/tmp/a b'$(id)")


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert agent.main(["-V"]) == 0
    assert capsys.readouterr().err == f"sshkit-agent {sshkit.__version__}\n"


def test_an_agent_in_the_background_is_reached_and_killed(key: Path, short_home: Path) -> None:
    out = run("-s").stdout
    match = re.fullmatch(
        r"SSH_AUTH_SOCK=(\S+); export SSH_AUTH_SOCK;\n"
        r"SSH_AGENT_PID=(\d+); export SSH_AGENT_PID;\necho Agent pid \2;\n",
        out,
    )
    assert match
    path, pid = match.groups()
    assert path.startswith(f"{short_home}/.ssh/agent/s.")
    assert os.stat(f"{short_home}/.ssh/agent").st_mode & 0o777 == 0o700
    environment = {**os.environ, "SSH_AUTH_SOCK": path}
    subprocess.run(["ssh-add", "-q", str(key)], env=environment, check=True, timeout=PATIENCE)
    assert run("-k", SSH_AGENT_PID=pid, SHELL="/bin/sh").stdout == (
        f"unset SSH_AUTH_SOCK;\nunset SSH_AGENT_PID;\necho Agent pid {pid} killed;\n"
    )
    with contextlib.suppress(ChildProcessError, ProcessLookupError):
        fd = os.pidfd_open(int(pid))
        assert select.select([fd], [], [], PATIENCE)[0]
        os.close(fd)
    assert not os.path.exists(path)


@pytest.mark.parametrize("value", [None, "", "x", "1", "12345678901"])
def test_only_a_good_number_is_killed(
    value: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("SSH_AGENT_PID", raising=False)
    if value is not None:
        monkeypatch.setenv("SSH_AGENT_PID", value)
    assert agent.main(["-k"]) == 1
    assert "SSH_AGENT_PID" in capsys.readouterr().err


def test_killing_what_is_not_there_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(pid: int, number: int) -> None:
        raise ProcessLookupError(3, "No such process")

    monkeypatch.setattr(os, "kill", gone)
    monkeypatch.setenv("SSH_AGENT_PID", "4711")
    assert agent.main(["-k"]) == 1
    assert capsys.readouterr().err == "sshkit-agent: No such process\n"
    monkeypatch.setattr(os, "kill", lambda pid, number: None)
    assert agent.main(["-c", "-k"]) == 0
    assert "unsetenv SSH_AUTH_SOCK;" in capsys.readouterr().out


def test_an_agent_for_a_command_ends_with_it(home: Path, key: Path) -> None:
    script = f'ssh-add -q {key}; ssh-add -l; echo "$SSH_AUTH_SOCK $SSH_AGENT_PID"; exit 7'
    out = run("-T", "sh", "-c", script, status=7, TMPDIR=str(home)).stdout
    listed, places = out.splitlines()
    assert listed.endswith("mine (ED25519)")
    path, pid = places.split()
    assert path.startswith(f"{home}/ssh-")
    with contextlib.suppress(ProcessLookupError):
        fd = os.pidfd_open(int(pid))
        assert select.select([fd], [], [], PATIENCE)[0]
        os.close(fd)
    assert not os.path.exists(os.path.dirname(path))


def test_an_agent_that_cannot_listen_says_so(home: Path) -> None:
    (home / "taken").write_text("")
    done = run("-a", str(home / "taken"), status=1)
    assert "cannot listen at" in done.stderr
    assert done.stdout == ""
    assert "No such file" in run("--audit", str(home / "no" / "log"), status=1).stderr
    assert run("no-such-command-here", status=1).stderr.startswith("sshkit-agent: ")


@pytest.mark.parametrize("name", ["module", "os:", "no_such_module:f", "os:no_such_function", "os:environ"])
def test_a_policy_that_is_none_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert agent.main(["--policy", name]) == 1
    assert "--policy" in capsys.readouterr().err


def test_a_policy_is_a_function_of_a_module() -> None:
    assert agent_run.load_policy("os.path:basename").__name__ == "basename"


# In this process.


class Front:
    """An agent in the foreground of this process; `play` is what goes on beside it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
        self.done: list[str] = []
        self.path = str(home / "socket")
        self.home = home
        monkeypatch.setattr(agent_secrets, "protect_memory", self.protect)
        self.out = self.err = ""

    def protect(self) -> list[str]:
        """Stand in for what would change the test's own process."""
        self.done.append("protected")
        return ["x"]

    def run(
        self, *argv: str, play: Callable[[], Any], end: int = signal.SIGTERM, foreground: str = "-D"
    ) -> int:
        failures: list[BaseException] = []
        reading, writing = os.pipe()

        def script() -> None:
            try:
                assert select.select([reading], [], [], PATIENCE)[0]
                self.out = os.read(reading, 65536).decode()
                play()
            except BaseException as error:
                failures.append(error)
            finally:
                os.kill(os.getpid(), end)

        player = threading.Thread(target=script)
        errors = self.home / "stderr"
        with (
            errors.open("wb") as stderr,
            open(os.devnull, "rb") as null,
            descriptors(null.fileno(), writing, stderr.fileno()),
        ):
            player.start()
            status = agent.main(["-a", self.path, foreground, *argv])
            player.join(PATIENCE)
        self.err = errors.read_text()
        os.close(reading)
        os.close(writing)
        if failures:
            raise failures[0]
        return status

    def program(self, *argv: str, status: int = 0) -> str:
        done = subprocess.run(
            argv,
            env={**os.environ, "SSH_AUTH_SOCK": self.path},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == status, done
        return done.stdout


@pytest.fixture
def front(monkeypatch: pytest.MonkeyPatch, home: Path) -> Front:
    """An agent in this process."""
    return Front(monkeypatch, home)


def test_an_agent_in_the_foreground_keeps_an_audit(front: Front, key: Path, home: Path) -> None:
    log = home / "audit"

    def play() -> None:
        front.program("ssh-add", "-q", str(key))
        front.program("ssh-add", "-T", f"{key}.pub")

    assert front.run("--audit", str(log), "-t", "1h", play=play) == 2
    assert front.out.startswith(f"SSH_AUTH_SOCK={front.path}; export SSH_AUTH_SOCK;")
    assert front.done == ["protected"]
    assert log.stat().st_mode & 0o777 == 0o600
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [entry["action"] for entry in entries] == ["add", "sign"]
    assert all("time" in entry and "uid" in entry for entry in entries)
    assert not os.path.exists(front.path)


def test_a_debugging_agent_tells_what_it_does(front: Front, key: Path) -> None:
    front.run(play=lambda: front.program("ssh-add", "-q", str(key)), foreground="-d", end=signal.SIGINT)
    assert "memory: x" in front.err
    assert '"action": "add"' in front.err


def test_a_signal_makes_the_agent_forget_its_keys(front: Front, key: Path) -> None:
    def play() -> None:
        front.program("ssh-add", "-q", str(key))
        os.kill(os.getpid(), signal.SIGUSR1)
        end = threading.Event()
        for _ in range(200):
            done = subprocess.run(
                ["ssh-add", "-l"],
                env={**os.environ, "SSH_AUTH_SOCK": front.path},
                capture_output=True,
                check=False,
                timeout=PATIENCE,
            )
            if done.returncode == 1:
                return
            end.wait(0.01)
        raise AssertionError("the keys are still there")

    front.run(play=play, end=signal.SIGHUP)


def test_a_policy_of_the_users_holds(
    front: Front, key: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / "my_policy_of_agents.py").write_text("def ask(request):\n    return request.action != 'sign'\n")
    monkeypatch.syspath_prepend(str(home))

    def play() -> None:
        front.program("ssh-add", "-q", str(key))
        front.program("ssh-add", "-T", f"{key}.pub", status=1)

    front.run("--policy", "my_policy_of_agents:ask", play=play)


def test_a_key_is_confirmed_through_askpass(
    front: Front, key: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    question, answer = home / "question", home / "askpass"
    answer.write_text(f'#!/bin/sh\necho "$SSH_ASKPASS_PROMPT $1" > {question}; exec cat {home}/answer\n')
    answer.chmod(0o700)
    monkeypatch.setenv("SSH_ASKPASS", str(answer))
    monkeypatch.setenv("SSH_ASKPASS_REQUIRE", "force")

    def play() -> None:
        front.program("ssh-add", "-q", "-c", str(key))
        for text, status in (("", 0), ("yes\n", 0), ("no\n", 1), (None, 1)):
            if text is None:
                (home / "answer").unlink()
            else:
                (home / "answer").write_text(text)
            front.program("ssh-add", "-T", f"{key}.pub", status=status)

    front.run("-E", "md5", play=play)
    shown = question.read_text()
    assert shown.startswith("confirm Allow use of key mine?\nKey fingerprint MD5:")


def test_a_key_is_not_used_where_nobody_can_be_asked(front: Front, key: Path) -> None:
    def play() -> None:
        front.program("ssh-add", "-q", "-c", str(key))
        front.program("ssh-add", "-T", f"{key}.pub", status=1)

    front.run(play=play)
    assert "nobody can be asked" in front.err


def test_a_key_is_confirmed_on_the_terminal(
    front: Front, key: Path, user: PtyUser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def terminal() -> int:
        return os.open(user.name, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC | os.O_NONBLOCK)

    monkeypatch.setattr("sshkit_cli.agent_confirm.open_terminal", terminal)

    def sign(answer: str, status: int) -> None:
        signing = subprocess.Popen(
            ["ssh-add", "-T", f"{key}.pub"],
            env={**os.environ, "SSH_AUTH_SOCK": front.path},
            stderr=subprocess.DEVNULL,
        )
        user.expect("(yes/no) ")
        user.type(answer)
        assert signing.wait(PATIENCE) == status

    def play() -> None:
        front.program("ssh-add", "-q", "-c", str(key))
        sign("yes\n", 0)
        sign("no\n", 1)

    front.run(play=play)
    assert b"Allow use of key mine?" in user.everything


def test_a_question_tells_what_will_be_signed() -> None:
    confirmer = Confirmer(None, {}, print)  # type: ignore[arg-type]
    request = AgentRequest("sign", Client(), (), True)
    request.key = generate_private_key("ed25519").public
    request.comment = "key\x1b"
    request.host = "alpha"
    request.data = SignedData("login", user="ann")
    text = confirmer._question(request)
    assert "log in as ann at alpha" in text
    assert "forwarded connection" in text
    assert "\x1b" not in text
    request.data = SignedData("sshsig", namespace="git")
    assert "for the namespace git" in confirmer._question(request)


# The two processes of an agent in the background, one at a time.


class Fork:
    """Is the parent of a child that told `told`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, told: bytes) -> None:
        self.commands: list[Any] = []
        self.ends: tuple[int, int] = (-1, -1)
        self.told = told
        real = os.pipe

        def pipe() -> tuple[int, int]:
            self.ends = real()
            return self.ends

        monkeypatch.setattr(os, "pipe", pipe)
        monkeypatch.setattr(os, "fork", self.fork)
        monkeypatch.setattr(os, "waitpid", lambda pid, options: (pid, 0))
        monkeypatch.setattr(os, "execvpe", lambda *arguments: self.commands.append(arguments))

    def fork(self) -> int:
        os.write(self.ends[1], self.told)
        return 4711


def test_the_parent_prints_how_to_reach_the_agent(
    short_home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Fork(monkeypatch, b"\0")
    assert agent.main(["-s"]) == 0
    assert "SSH_AGENT_PID=4711;" in capfd.readouterr().out


def test_the_parent_becomes_the_command(short_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork = Fork(monkeypatch, b"\0")
    agent.main(["-U", "ls", "-l"])
    ((program, words, environment),) = fork.commands
    assert (program, words) == ("ls", ("ls", "-l"))
    assert environment["SSH_AGENT_PID"] == "4711"
    assert environment["SSH_AUTH_SOCK"].startswith(str(short_home))


@pytest.mark.parametrize("told", [b"", b"sshkit-agent: why\n"])
def test_the_parent_tells_why_there_is_no_agent(
    told: bytes, short_home: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    Fork(monkeypatch, told)
    assert agent.main([]) == 1
    assert (told.decode() or "died before it listened") in capfd.readouterr().err


class Exited(BaseException):
    """os._exit was called."""


@pytest.mark.parametrize("error", [None, sshkit.ListenError("no place")])
def test_the_child_tells_the_parent_how_it_went(
    error: Exception | None, monkeypatch: pytest.MonkeyPatch, home: Path
) -> None:
    did: list[str] = []
    statuses: list[int] = []

    def leave(status: int) -> None:
        statuses.append(status)
        raise Exited

    reading, writing = os.pipe()
    monkeypatch.setattr(os, "pipe", lambda: (os.dup(reading), writing))
    monkeypatch.setattr(os, "fork", lambda: 0)
    monkeypatch.setattr(os, "setsid", lambda: did.append("setsid"))
    monkeypatch.setattr(os, "chdir", did.append)
    monkeypatch.setattr(os, "_exit", leave)

    def serve(service: agent_run.Service, ready: Callable[[], object]) -> int:
        assert service.parent == os.getpid()
        if error is not None:
            raise error
        ready()
        return 0

    monkeypatch.setattr(agent_run.Service, "run", serve)
    with monkeypatch.context() as patch:
        patch.setattr(os, "dup2", lambda fd, other, inheritable: did.append(f"fd {other}"))
        with pytest.raises(Exited):
            agent_run.start(Options(address=str(home / "s"), command=("ls",)))
    assert did == ["setsid", "/", "fd 0", "fd 1", "fd 2"]
    assert statuses == [0 if error is None else 1]
    if error is not None:
        os.close(writing)
    assert os.read(reading, 100) == (b"\0" if error is None else b"sshkit-agent: no place\n")
    os.close(reading)


@pytest.mark.parametrize("told_by_kernel", [True, False])
@pytest.mark.parametrize("already_gone", [True, False])
def test_an_agent_ends_when_its_command_does(
    told_by_kernel: bool, already_gone: bool, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent_secrets, "protect_memory", list)
    monkeypatch.setattr(agent_run, "PARENT_INTERVAL", 0.01)
    command = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    parents = [1 if already_gone else command.pid]
    monkeypatch.setattr(os, "getppid", lambda: parents[0])
    if not told_by_kernel:
        monkeypatch.delattr(os, "pidfd_open")
    service = agent_run.Service(Options(), agent_place.Place(str(home / "s")), None, -1)
    service.parent = command.pid

    def ready() -> None:
        assert command.stdin is not None
        command.stdin.close()
        if not told_by_kernel:
            threading.Timer(0.03, lambda: parents.__setitem__(0, 1)).start()

    assert service.run(ready) == 0
    command.wait(PATIENCE)
    assert not (home / "s").exists()


def test_what_nobody_takes_is_not_written(home: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    agent_run._write(writing, "text")
    os.close(writing)


def test_an_interrupted_start_and_an_error_without_a_file_have_their_status(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupted(options: Options) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(agent_run, "start", interrupted)
    assert agent.main([]) == 2
    monkeypatch.setattr(agent, "main", lambda: 5)
    with pytest.raises(SystemExit) as ended:
        agent.run()
    assert ended.value.code == 5


# Places.


def test_sockets_of_dead_agents_are_cleaned_away(short_home: Path) -> None:
    home = short_home
    place = agent_place.choose(str(home), in_temporary=False)
    other = Path(place.path.rpartition(".")[0] + ".ffffffffff")
    alive = agent_place.choose(str(home), in_temporary=False)
    folder = Path(place.path).parent
    (folder / "s.file.agent.x").write_text("")
    (folder / "s.file.agent.").with_name(f"s.file.agent.{place.path.rpartition('.')[2]}").write_text("")
    (folder / "unrelated").write_text("")
    for path in (place.path, str(other)):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(alive.path)
        listening.listen()
        assert agent.main(["-u"]) == 0
        assert not os.path.exists(place.path)
        assert other.exists()
        assert agent.main(["-u", "-u"]) == 0
        assert not other.exists()
        assert os.path.exists(alive.path)
    assert sorted(path.name for path in folder.iterdir() if not path.is_socket()) == sorted(
        ["s.file.agent.x", f"s.file.agent.{place.path.rpartition('.')[2]}", "unrelated"]
    )
    assert agent_place.clean(str(home / "nothing")) == 0


def test_a_place_is_found_where_the_home_directory_cannot_be_used(
    short_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = short_home
    monkeypatch.setenv("TMPDIR", str(home))
    (home / "file").write_text("")
    (home / ("x" * 100)).mkdir()
    (home / "loose").mkdir(mode=0o755)
    (home / "broken").mkdir()
    (home / "broken" / ".ssh").write_text("")
    for name in ("file", "x" * 100, "broken"):
        place = agent_place.choose(str(home / name), in_temporary=False)
        assert place.own_folder == os.path.dirname(place.path)
        assert os.stat(place.own_folder).st_mode & 0o777 == 0o700
        place.remove_folder()
        place.remove_folder()
        assert not os.path.exists(place.own_folder)
    (home / "loose" / ".ssh" / "agent").mkdir(parents=True, mode=0o755)
    place = agent_place.choose(str(home / "loose"), in_temporary=False)
    assert place.own_folder == ""
    assert os.stat(os.path.dirname(place.path)).st_mode & 0o777 == 0o700


# Memory.


def test_r43_memory_is_kept_from_dumps_tracing_and_swap() -> None:
    code = (
        "import resource\n"
        "from sshkit_cli.agent_secrets import protect_memory\n"
        "done = protect_memory()\n"
        "from ctypes import CDLL\n"
        "assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)\n"
        "assert CDLL(None).prctl(3, 0, 0, 0, 0) == 0\n"
        "print(done)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert "'no core dumps', 'no tracing'" in done.stdout


class FakeLibrary:
    """A C library that does what it is told to."""

    def __init__(self, answer: int) -> None:
        self.answer = answer
        self.calls: list[str] = []

    def prctl(self, *arguments: int) -> int:
        self.calls.append("prctl")
        return self.answer

    def mlockall(self, flags: int) -> int:
        self.calls.append("mlockall")
        return self.answer


def test_what_the_system_does_not_permit_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise ValueError

    monkeypatch.setattr("resource.setrlimit", refuse)
    for answer, done in ((0, ["no tracing", "no swap"]), (-1, [])):
        library = FakeLibrary(answer)
        monkeypatch.setattr(agent_secrets, "_c_library", lambda library=library: library)
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        assert agent_secrets.protect_memory() == done
        assert library.calls == ["prctl", "mlockall"]
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        monkeypatch.setattr("resource.getrlimit", lambda what: (65536, 65536))
        assert "no swap" not in agent_secrets.protect_memory()
    monkeypatch.setattr(agent_secrets, "_c_library", lambda: None)
    assert agent_secrets.protect_memory() == []


def test_a_system_without_the_calls_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert agent_secrets._c_library() is not None
    monkeypatch.setattr("ctypes.CDLL", lambda *arguments, **options: object())
    assert agent_secrets._c_library() is None

    def broken(*arguments: object, **options: object) -> None:
        raise OSError

    monkeypatch.setattr("ctypes.CDLL", broken)
    assert agent_secrets._c_library() is None
