"""As whom a program runs: users, groups, umask; what is refused, by what name.  These tests run as root."""

import errno
import os
import pwd
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sshkit.interfaces import ExitStatus, TerminalSize
from sshkit.reactor import SpawnError, accounts, launching, new_reactor, run_process, spawning
from sshkit.reactor.accounts import Identity

from .process_helpers import Child, children_here, descriptors_here, start
from .test_forking import in_child

Run = Callable[[Any], Any]

NOBODY = pwd.getpwnam("nobody")
DONE = ExitStatus(code=0)


def refusal(reactor: Any, argv: Any = ("true",), **options: Any) -> str:
    before = descriptors_here()
    children = children_here()
    with pytest.raises(SpawnError) as caught:
        reactor.spawn_process(Child(), argv, **options)
    assert descriptors_here() == before
    assert children_here() <= children
    return str(caught.value)


def test_a_program_runs_as_the_user_with_the_groups_of_its_account(run: Run) -> None:
    async def main(reactor: Any) -> None:
        done = await run_process(["sh", "-c", "id -u; id -g; id -G"], user="nobody")
        groups = sorted(os.getgrouplist("nobody", NOBODY.pw_gid))
        assert done.stderr == b""
        uid, gid, have = done.stdout.decode().splitlines()
        assert (int(uid), int(gid)) == (NOBODY.pw_uid, NOBODY.pw_gid)
        assert sorted(map(int, have.split())) == groups
        options: dict[str, Any] = {"user": 12345, "group": 54321, "extra_groups": [7, "root"], "umask": 0o27}
        done = await run_process(["sh", "-c", "id -u; id -g; id -G; umask"], **options)
        assert done.stdout.decode().split() == ["12345", "54321", "54321", "0", "7", "0027"]
        # A number without an account has no groups but the one that is said; ours are gone.
        done = await run_process(["id", "-G"], user=12345, group="nogroup")
        assert done.stdout.split() == [str(NOBODY.pw_gid).encode()]
        done = await run_process(["sh", "-c", "id -u; id -g"], group=54321)
        assert done.stdout.split() == [b"0", b"54321"]

    run(main)


def test_an_unprivileged_program_cannot_become_root_again(run: Run) -> None:
    async def main(reactor: Any) -> None:
        done = await run_process(["grep", "-E", "^(Uid|Gid|CapEff)", "/proc/self/status"], user="nobody")
        lines = [line.split()[1:] for line in done.stdout.decode().splitlines()]
        assert lines == [[str(NOBODY.pw_uid)] * 4, [str(NOBODY.pw_gid)] * 4, ["0000000000000000"]]

    run(main)


def test_all_else_is_as_for_any_child(run: Run, tmp_path: Path) -> None:
    """Descriptors, signals, environment, session and arguments: the launcher leaves nothing of itself."""
    internal = 1 << 31 | 1 << 32

    async def main(reactor: Any) -> None:
        script = (
            'ls /proc/$$/fd; echo "$0" "$X"; env | cut -d= -f1 | sort; cat <&3 >&5; '
            "ps -o sess=,pgid= -p $$; grep -E 'Sig(Ign|Blk)' /proc/self/status >&2"
        )
        child = Child(3)
        reactor.spawn_process(
            child,
            ["-odd\udcff", "-c", script],
            executable="/bin/sh",
            env={"X": "a=b\udcfe", "PATH": os.environ["PATH"]},
            umask=0o77,
            user="nobody",
            descriptors={3: "input", 5: "output"},
        )
        child.transport.write(b"through", 3)
        child.transport.write_eof(3)
        assert await child.ended == DONE
        assert child.output[5] == b"through"
        words = bytes(child.output[1]).split()
        assert words[:7] == [b"0", b"1", b"2", b"3", b"5", b"-odd\xff", b"a=b\xfe"]
        assert words[7:-2] == [b"PATH", b"PWD", b"X"]
        assert {int(word) for word in words[-2:]} == {child.transport.pid}
        masks = [int(word, 16) & ~internal for word in bytes(child.output[2]).split()[1::2]]
        assert masks == [0, 0]

    run(main)


def test_a_terminal_belongs_to_the_user(run: Run) -> None:
    async def main(reactor: Any) -> None:
        child = start(reactor, 'stat -c %U "$(tty)"; : </dev/tty && echo controlled', 1, pty=TerminalSize(),
                      user="nobody")  # fmt: skip
        assert await child.ended == DONE
        assert bytes(child.output[1]).split() == [b"nobody", b"controlled"]

    run(main)


def test_what_the_user_may_not_is_named_with_path_and_cause(run: Run, tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    secret = closed / "program"
    secret.write_text("#!/bin/sh\n")
    secret.chmod(0o755)
    broken = tmp_path / "broken"
    broken.write_text("#!/no/such\n")
    broken.chmod(0o755)

    async def main(reactor: Any) -> None:
        uid = NOBODY.pw_uid
        assert refusal(reactor, user="nobody", cwd=str(closed)) == (
            f"cannot start true in the directory {closed} as user {uid}: Permission denied"
        )
        assert refusal(reactor, user="nobody", cwd="/no/such") == (
            f"cannot start true in the directory /no/such as user {uid}: No such file or directory"
        )
        assert refusal(reactor, [str(secret)], user="nobody") == (
            f"cannot start {secret} as user {uid}: Permission denied"
        )
        assert refusal(reactor, ["program"], user="nobody", env={"PATH": f"/no/such:{closed}"}) == (
            f"cannot start program as user {uid}: Permission denied"
        )
        assert refusal(reactor, ["no-such"], user="nobody", env={"PATH": "/usr/bin:/bin"}) == (
            f"cannot start no-such as user {uid}: No such file or directory"
        )
        assert "its interpreter" in refusal(reactor, [str(broken)], umask=0)
        assert refusal(reactor, ["a\0b"], user="nobody") == "cannot start a\\x00b: a NUL in a\\x00b"

    run(main)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"user": "no-\x1bsuch"}, r"unknown user no-\x1bsuch"),
        ({"user": "nul\0"}, r"unknown user nul\x00"),
        ({"group": "no-such"}, "unknown group no-such"),
        ({"extra_groups": ["root", "no-such"]}, "unknown group no-such"),
        ({"user": 12345}, "the user 12345 has no account here that tells its group: say group= as well"),
        ({"user": -1}, "-1 is no number of a user: they go from 0 to 4294967294"),
        ({"group": 2**32 - 1}, "4294967295 is no number of a group: they go from 0 to 4294967294"),
        ({"umask": 0o1000}, "0o1000 is no umask: they go from 0 to 0o777"),
        ({"umask": -1}, "-0o1 is no umask: they go from 0 to 0o777"),
    ],
)
def test_r29_unknown_names_and_impossible_numbers_are_refused(options: Any, message: str) -> None:
    reactor = new_reactor("native")
    assert refusal(reactor, **options) == message
    reactor.close()


def test_only_root_starts_programs_as_somebody_else() -> None:
    def work() -> bool:
        os.setgroups([NOBODY.pw_gid])
        os.setgid(NOBODY.pw_gid)
        os.setuid(NOBODY.pw_uid)
        texts = []
        for user, group, groups in (("root", None, None), (None, "root", None), (None, None, ["root"])):
            with pytest.raises(SpawnError) as caught:
                accounts.identity(user, group, groups, None)
            texts.append(str(caught.value))
        assert texts == [
            "cannot start a program as user root: only root may do so",
            "cannot start a program as group root: only root may do so",
            "cannot start a program with other extra groups: only root may do so",
        ]
        # Who one is already, one may be.
        assert accounts.identity("nobody", None, ["nogroup"], None) is None
        assert accounts.identity(NOBODY.pw_uid, None, None, 0o22) == Identity(None, None, None, 0o22)
        return True

    assert in_child(work) == 0


# -- the launcher ----------------------------------------------------------------------------------


def test_without_a_python_nobody_else_can_run_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    reactor = new_reactor("native")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "")
        assert "as another user: there is no Python to do so" in refusal(reactor, user="nobody")
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/no/python")
        assert refusal(reactor, user="nobody") == "cannot start true: No such file or directory"
    reactor.close()


@pytest.mark.parametrize(
    ("launcher", "message"),
    [
        ("raise SystemExit", "its launcher ended before its time"),
        ("import time; time.sleep(1000)", "its launcher took longer than 0.2 seconds"),
        (
            "import os, sys; os.write(int(sys.argv[2]), b'1 change its user')",
            "cannot change its user: Operation",
        ),
    ],
)
def test_a_launcher_that_fails_is_an_error_here(
    monkeypatch: pytest.MonkeyPatch, launcher: str, message: str
) -> None:
    reactor = new_reactor("native")
    monkeypatch.setattr(launching, "LAUNCHER", launcher)
    if "longer" in message:
        monkeypatch.setattr(launching, "LAUNCH_TIMEOUT", 0.2)
    text = refusal(reactor, user="nobody")
    assert text.startswith(f"cannot start true as user {NOBODY.pw_uid}: {message}")
    reactor.close()


def test_without_files_in_memory_the_job_is_in_a_nameless_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    reactor = new_reactor("native")

    async def main() -> bytes:
        return (await run_process(["id", "-u"], user="nobody")).stdout

    assert reactor.run_until(main()) == b"%d\n" % NOBODY.pw_uid
    reactor.close()


def test_a_large_environment_and_many_arguments_reach_the_program() -> None:
    reactor = new_reactor("native")
    arguments = ["x" * 1000] * 200

    async def main() -> Any:
        env = {"PATH": os.environ["PATH"], **{f"V{number}": "y" * 1000 for number in range(200)}}
        return await run_process(["sh", "-c", 'echo $# "${V199}"', *arguments], env=env, umask=0o22)

    done = reactor.run_until(main())
    assert done.stdout.split() == [b"199", b"y" * 1000]
    reactor.close()


# -- programs, folders, groups ---------------------------------------------------------------------


def test_a_program_in_a_folder_is_seen_from_the_directory_it_will_have(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir(exist_ok=True)
    program = folder / "program"
    program.write_text("#!/bin/sh\npwd\n")
    program.chmod(0o755)
    broken = folder / "broken"
    broken.write_text("#!/no/such\n")
    broken.chmod(0o755)

    async def main(reactor: Any) -> None:
        for options in ({}, {"umask": 0o22}):
            for argv, env in (
                (["./program"], None),
                (["program"], {"PATH": "."}),
                (["program"], {"PATH": ""}),
                (["program"], {"PATH": str(folder)}),
            ):
                done = await run_process(argv, cwd=str(folder), env=env, **options)  # type: ignore[arg-type]
                assert done.stdout.decode() == f"{folder}\n"
            text = refusal(reactor, ["./no"], cwd=str(folder), **options)
            assert text == "cannot start ./no: No such file or directory"
            text = refusal(reactor, ["program"], cwd=str(folder), env={"PATH": "/bin"}, **options)
            assert text == "cannot start program: No such file or directory"
        assert "its interpreter" in refusal(reactor, ["./broken"], cwd=str(folder))
        assert refusal(reactor, [str(folder)]) == f"cannot start {folder}: it is a directory"
        assert refusal(reactor, [""]) == "cannot start a program without a name"
        assert (await run_process(["true"], env={})).exit_status == DONE  # without PATH: the usual folders

    run(main)


def test_groups_of_processes_are_led_joined_and_refused(run: Run) -> None:
    async def main(reactor: Any) -> None:
        leader = start(reactor, "echo on; exec cat", new_session=False, process_group=0)
        await leader.wrote(b"on")
        pid = leader.transport.pid
        assert (os.getpgid(pid), os.getsid(pid)) == (pid, os.getsid(0))
        member = start(reactor, "echo on; exec cat", new_session=False, process_group=pid)
        await member.wrote(b"on")
        assert os.getpgid(member.transport.pid) == pid
        member.transport.send_signal(signal.SIGTERM)  # to itself, not to the group of the other one
        assert await member.ended == ExitStatus(signal=signal.SIGTERM)
        leader.transport.write_eof()
        assert await leader.ended == DONE
        text = refusal(reactor, new_session=False, process_group=2**22 + 1)
        assert text.startswith("cannot start true: it cannot join the process group 4194305: ")
        assert "it leads a session of its own" in refusal(reactor, process_group=0)
        assert "there is none with this number" in refusal(reactor, new_session=False, process_group=-1)

    run(main)


def test_a_lack_of_processes_is_said_and_leaves_nothing_over(monkeypatch: pytest.MonkeyPatch) -> None:
    def lack(*args: Any) -> int:
        raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    reactor = new_reactor("native")
    monkeypatch.setattr(spawning, "_start", lack)
    for options in ({}, {"umask": 0}, {"pty": TerminalSize()}):
        assert refusal(reactor, **options) == "cannot start true: too many processes or threads run already"
    reactor.close()


@pytest.mark.parametrize("options", [{}, {"umask": 0o22}, {"descriptors": {3: "output"}}])
def test_at_the_limits_of_the_system_a_child_says_so_and_loses_nothing(options: Any) -> None:
    """With real limits, in a child of this test: descriptors, and processes of an unprivileged user."""

    def descriptors() -> bool:
        import resource

        reactor = new_reactor("native")
        resource.setrlimit(resource.RLIMIT_NOFILE, (len(descriptors_here()) + 3, 4096))
        taken = []
        try:
            while True:
                taken.append(os.dup(0))
        except OSError:
            pass
        os.close(taken.pop())
        os.close(taken.pop())
        with pytest.raises(SpawnError, match="Too many open files"):
            reactor.spawn_process(Child(), ["/bin/true"], **options)
        taken.append(os.dup(0))  # both are free again
        taken.append(os.dup(0))
        return True

    def processes() -> bool:
        import resource

        reactor = new_reactor("native")
        os.setgid(54321)
        os.setuid(54321)  # whose only process this is
        resource.setrlimit(resource.RLIMIT_NPROC, (1, 1))
        before = descriptors_here()
        with pytest.raises(SpawnError, match="cannot start /bin/true: too many processes or"):
            reactor.spawn_process(Child(), ["/bin/true"], **options)
        return descriptors_here() == before

    assert in_child(descriptors) == 0
    assert in_child(processes) == 0


def test_the_same_is_refused_in_a_program_that_is_not_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without leaving root, so that it is seen from inside."""
    monkeypatch.setattr(os, "geteuid", lambda: NOBODY.pw_uid)
    monkeypatch.setattr(os, "getegid", lambda: NOBODY.pw_gid)
    monkeypatch.setattr(os, "getgroups", lambda: [NOBODY.pw_gid])
    reactor = new_reactor("native")
    assert refusal(reactor, user="root") == "cannot start a program as user root: only root may do so"
    assert refusal(reactor, group="root") == "cannot start a program as group root: only root may do so"
    text = refusal(reactor, extra_groups=[0])
    assert text == "cannot start a program with other extra groups: only root may do so"
    assert accounts.identity("nobody", None, ["nogroup"], None) is None
    reactor.close()
