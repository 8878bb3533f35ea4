"""What a session over SSH gets: expressions, scripts, consoles, names, access, other people's sessions."""

import asyncio
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import generate_private_key

import sshkit
from sshkit import manhole
from sshkit.manhole import EXPRESSIONS, FULL, Audit, commands_only
from sshkit.ssh.errors import LocalProtocolError
from tests.manhole.rooms import FINGERPRINT, App, Visitor, login, opened, terminal, until
from tests.server.test_serve import HOST_KEY, KEY

#: Joins standard input and output with a UNIX socket, as `nc -U` does.
BRIDGE = Path(__file__).with_name("unix_bridge.py")


def test_a_command_is_an_expression_whose_value_is_printed() -> None:
    async def test(door: Any, connection: Visitor) -> None:
        result = await connection.run("len(app.users)")
        assert (result.stdout, result.stderr, result.exit_status) == ("2\n", "", 0)
        assert (await connection.run("None")).stdout == ""
        assert (await connection.run("print('said'); 5")).stdout == "said\n5\n"

    assert opened({"app": App()}, test) == []


def test_the_status_says_whether_it_raised_and_the_traceback_is_on_standard_error() -> None:
    async def test(door: Any, connection: Visitor) -> None:
        result = await connection.run("1/0")
        assert (result.stdout, result.exit_status) == ("", 1)
        assert result.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"
        assert "sshkit" not in result.stderr
        assert (await connection.run("exit(7)")).exit_status == 7
        assert (await connection.run("exit()")).exit_status == 0
        said = await connection.run("import sys; sys.exit('bad luck')")
        assert (said.exit_status, said.stderr) == (1, "bad luck\n")
        interrupted = await connection.run("raise KeyboardInterrupt")
        assert (interrupted.exit_status, interrupted.stderr) == (130, "KeyboardInterrupt\n")
        assert (await connection.run("1 +")).stderr.splitlines()[-1].startswith("SyntaxError")
        assert (await connection.run("6*7")).stdout == "42\n"

    assert opened({}, test) == []


def test_standard_input_is_a_script() -> None:
    async def test(door: Any, connection: Visitor) -> None:
        script = "def twice(x):\n    return 2 * x\n\nprint(twice(21))\ntwice(3)\n"
        result = await connection.run(input=script)
        assert (result.stdout, result.exit_status) == ("42\n", 0)
        assert (await connection.run(input="x = 1\nx.y\n")).exit_status == 1
        binary = await connection.run(input=b"print(1) # \xff\n")
        assert (binary.exit_status, binary.stderr) == (2, "the script is not UTF-8 at byte 11\n")

    assert opened({}, test) == []


def test_a_script_that_is_too_long_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sshkit.manhole.scripts.MAX_SCRIPT", 100)

    async def test(door: Any, connection: Visitor) -> None:
        result = await connection.run(input="x = 1\n" * 50)
        assert (result.exit_status, result.stderr) == (2, "a script is 100 bytes at most\n")

    assert opened({}, test) == []


def test_await_works_at_the_top_and_a_signal_ends_only_what_is_awaited() -> None:
    async def test(door: Any, connection: Visitor) -> None:
        assert (await connection.run("import asyncio; await asyncio.sleep(0, 9)")).stdout == "9\n"
        process = await connection.start("print('begun'); await asyncio.sleep(1000)")
        await until(process.stdout, "begun")
        process.send_signal("INT")
        await process.wait()
        assert process.exit_status == 130

    assert opened({"asyncio": asyncio}, test) == []


def test_a_client_that_goes_in_the_middle_leaves_nothing_behind() -> None:
    async def test(door: Any, connection: Visitor) -> None:
        async with login(door.port) as other:
            process = await other.start("print('begun')\nawait asyncio.sleep(1000)")
            await until(process.stdout, "begun")
            assert door.sessions.open == 1
        while door.sessions.open:
            await asyncio.sleep(0)

    assert opened({"asyncio": asyncio}, test) == []


@pytest.mark.parametrize(
    ("names", "expected"),
    [("session", ["1", "1", "1"]), ("user", ["1", "2", "1"]), ("shared", ["1", "2", "3"])],
)
def test_whose_names_are_assigned_is_a_setting(names: str, expected: list[str]) -> None:
    count = "counter = globals().get('counter', 0) + 1\nprint(counter)"

    async def test(door: Any, connection: Visitor) -> None:
        seen = [(await connection.run(count)).stdout.strip(), (await connection.run(count)).stdout.strip()]
        async with login(door.port, "bob") as other:
            seen.append((await other.run(count)).stdout.strip())
        assert seen == expected

    program: dict[str, Any] = {}
    assert opened(program, test, names=names) == []
    assert ("counter" in program) is (names == "shared")


def test_what_a_key_may_do_is_a_setting() -> None:
    async def test(door: Any, connection: Visitor) -> None:
        assert (await connection.run("app.users")).stdout == "['ann', 'bob']\n"
        refused = await connection.run("app.users.clear()")
        assert refused.exit_status == 1
        assert "NotAllowed" in refused.stderr

    app = App()
    assert opened({"app": app}, test, access={FINGERPRINT: EXPRESSIONS}) == []
    assert app.users == ["ann", "bob"]


def test_a_key_that_may_run_named_commands_runs_no_python() -> None:
    async def test(door: Any, connection: Visitor) -> None:
        assert (await connection.run("%who")).exit_status == 0
        assert "NotAllowed" in (await connection.run("%threads")).stderr
        assert "NotAllowed" in (await connection.run("1")).stderr

    assert opened({}, test, access=lambda person: commands_only("who")) == []


def test_a_key_without_access_gets_one_line() -> None:
    async def test(door: Any, connection: Visitor) -> None:
        result = await connection.run("1")
        assert (result.exit_status, result.stderr) == (1, "this key may do nothing here\n")

    assert opened({}, test, access={"SHA256:other": FULL}) == []


def test_the_audit_says_who_entered_what(tmp_path: Path) -> None:
    async def test(door: Any, connection: Visitor) -> None:
        await connection.run("6 * 7\nprint('\x1b[2J')")

    path = tmp_path / "audit"
    assert opened({}, test, audit=path) == []
    text = path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert f"ann {FINGERPRINT} from 127.0.0.1" in text
    assert "6 * 7" in text
    assert "\x1b" not in text
    assert "session begins: 6 * 7" in text
    assert "session ends" in text.splitlines()[-1]
    lines: list[str] = []
    assert opened({}, test, audit=Audit(lines.append)) == []
    assert "session begins" in lines[-4]


def test_more_sessions_than_the_limit_are_refused() -> None:
    async def test(door: Any, connection: Visitor) -> None:
        process = await connection.start("print('begun'); await asyncio.sleep(1000)")
        await until(process.stdout, "begun")
        refused = await connection.run("1")
        assert refused.stderr == "1 sessions are open: no more are taken\n"
        process.send_signal("TERM")
        await process.wait()
        assert (await connection.run("1")).stdout == "1\n"

    assert opened({"asyncio": asyncio}, test, max_sessions=1) == []


def test_another_subsystem_is_refused_with_the_name_of_ours() -> None:
    async def test(door: Any, connection: Visitor) -> None:
        process = await connection.subsystem("sftp")
        assert (await process.stderr.read()) == b"the only subsystem here is manhole\n"

    assert opened({}, test) == []


def test_a_console_answers_and_its_end_is_the_status() -> None:
    async def test(door: Any, connection: Visitor) -> None:
        console = await connection.start(**terminal())
        assert "%help" in await until(console.stdout, "In [1]")
        console.stdin.write("6 * 7\r")
        await until(console.stdout, "42")
        console.stdin.write("exit(5)\r")
        await console.stdout.read()
        await console.wait()
        assert console.exit_status == 5

    assert opened({}, test) == []


def test_a_menu_shows_a_restricted_key_nothing_but_its_commands() -> None:
    async def test(door: Any, connection: Visitor) -> None:
        console = await connection.start(**terminal())
        await until(console.stdout, "In [1]")
        console.stdin.write("sec\t")
        console.stdin.write("\x03%t\t")
        seen = await until(console.stdout, "%threads")
        assert "secret_name" not in seen
        assert "%time" not in seen
        console.stdin.write("\x03open('/et\t\x03")
        console.stdin.write("\x04")
        seen = (await console.stdout.read()).decode()
        assert "/etc" not in seen

    program = {"secret_name": 1}
    assert opened(program, test, access=commands_only("threads", "tasks")) == []


def test_consoles_are_recorded_and_their_history_is_kept(tmp_path: Path) -> None:
    async def test(door: Any, connection: Visitor) -> None:
        console = await connection.start(**terminal())
        await until(console.stdout, "In [1]")
        console.stdin.write("'recorded'\r")
        await until(console.stdout, "In [2]")
        console.stdin.write("\x04")
        await console.wait()

    history = tmp_path / "history"
    recordings = tmp_path / "recordings"
    history.mkdir()
    recordings.mkdir()
    assert opened({}, test, history=history, recordings=recordings) == []
    (cast,) = recordings.iterdir()
    assert "recorded" in cast.read_text()
    (kept,) = history.iterdir()
    assert kept.name == "ann.history"
    assert "recorded" in kept.read_text()


def test_consoles_are_listed_watched_and_joined() -> None:
    async def test(door: Any, connection: Visitor) -> None:
        assert (await connection.run("%sessions")).stdout == ""
        console = await connection.start(**terminal())
        await until(console.stdout, "In [1]")
        listed = (await connection.run("%sessions")).stdout
        assert listed.split()[0] == "1"
        assert FINGERPRINT in listed
        assert listed.endswith("0 watching\n")
        assert "needs a terminal" in (await connection.run("%watch")).stderr
        watching = await connection.start("%watch", **terminal())
        await until(watching.stdout, "In [1]")
        watching.stdin.write("never = 'typed'\r")
        joined = await connection.start("%join 1", **terminal())
        await until(joined.stdout, "In [1]")
        joined.stdin.write("'by' + ' the other'\r")
        for each in (console, watching, joined):
            await until(each.stdout, "by the other")
        joined.stdin.write("\x1d")
        await joined.wait()
        assert joined.exit_status == 0
        console.stdin.write("'nev' in dir() or 'never' in globals()\r")
        await until(console.stdout, "False")
        watching.stdin.write("q")
        await watching.wait()
        nobody = await connection.start("%watch 9", **terminal())
        assert b"no session 9 runs" in await nobody.stdout.read() + await nobody.stderr.read()
        console.stdin.write("\x04")
        await console.wait()
        none = await connection.start("%join", **terminal())
        assert b"of none" in await none.stdout.read() + await none.stderr.read()

    assert opened({}, test) == []


def test_who_may_not_do_everything_watches_nobody() -> None:
    async def test(door: Any, connection: Visitor) -> None:
        assert "who may do everything" in (await connection.run("%sessions")).stderr

    assert opened({}, test, access=EXPRESSIONS) == []


def test_a_unix_socket_is_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "manhole"

    async def main() -> None:
        async with manhole.serve({}, path=path, authorized_keys=KEY.public, host_key=HOST_KEY) as door:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert (door.address, door.port) == (str(path), 0)
            proxy = f"{sys.executable} {BRIDGE} {path}"
            async with sshkit.connect(
                "ann@manhole", identities=[KEY], host_keys=[HOST_KEY.public], proxy_command=proxy
            ) as connection:
                assert (await connection.run("1 + 1")).stdout == b"2\n"

    sshkit.run(main())
    assert not path.exists()


def test_without_keys_the_programs_own_user_is_let_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)

    async def main() -> list[str]:
        async with manhole.serve({}) as door:
            (host_key,) = door.host_keys
            async with sshkit.connect(
                f"ann@127.0.0.1:{door.port}", identities=[KEY], host_keys=[host_key]
            ) as connection:
                return [(await connection.run("'in'")).stdout.decode(), repr(door)[:8]]

    with pytest.raises(LocalProtocolError, match="nobody could log in"):
        sshkit.run(main())
    (tmp_path / ".ssh").mkdir(mode=0o700)
    (tmp_path / ".ssh" / "id_ed25519.pub").write_text(KEY.public.to_line() + "\n")
    assert sshkit.run(main()) == ["'in'\n", "<Manhole"]
    assert (tmp_path / ".config" / "sshkit" / "ssh_host_ed25519_key").exists()


def test_a_stranger_is_not_let_in() -> None:
    async def test(door: Any, connection: Visitor) -> None:
        with pytest.raises(sshkit.AuthenticationFailed):
            await sshkit.connect(
                f"ann@127.0.0.1:{door.port}",
                identities=[generate_private_key("ed25519")],
                host_keys=[HOST_KEY.public],
            )

    assert opened({}, test) == []


def test_a_setting_that_there_is_not_is_told_with_those_that_there_are() -> None:
    with pytest.raises(TypeError, match=r"no setting 'thredaed'.*threaded"):
        manhole.serve({}, thredaed=True, authorized_keys=[KEY.public], host_key=HOST_KEY)
    with pytest.raises(LocalProtocolError, match="session, user or shared"):
        manhole.serve({}, names="both", authorized_keys=[KEY.public], host_key=HOST_KEY)
    with pytest.raises(LocalProtocolError, match="either users or authorized_keys"):
        manhole.serve({}, users=sshkit.Users(), authorized_keys=[KEY.public], host_key=HOST_KEY)


def test_a_port_that_is_taken_fails_with_its_name_and_a_wrong_access_with_its_type() -> None:
    async def test(door: Any, connection: Visitor) -> None:
        assert repr(door) == f"<Manhole at ('127.0.0.1', {door.port}), 0 sessions>"
        with pytest.raises(sshkit.ListenError, match=str(door.port)):
            await manhole.serve({}, port=door.port, authorized_keys=[KEY.public], host_key=HOST_KEY)
        opening = manhole.serve({}, authorized_keys=[KEY.public], host_key=HOST_KEY)
        if not opening.called:
            opening.cancel()
        wrong = await connection.run("1")
        assert wrong.exit_status == 1

    logged = opened({}, test, access=lambda person: "full")
    assert "an Access is needed, not str" in logged[0]


def test_a_value_that_cannot_be_shown_is_an_error_of_its_own() -> None:
    async def test(door: Any, connection: Visitor) -> None:
        shown = await connection.run("class A:\n    def __repr__(self): raise KeyboardInterrupt\nA()")
        assert shown.exit_status == 1
        assert "cannot be shown" in shown.stderr

    assert opened({}, test) == []


def test_a_flood_of_output_waits_for_the_client() -> None:
    async def test(door: Any, connection: Visitor) -> None:
        result = await connection.run("for number in range(20000): print('x' * 99)")
        assert len(result.stdout) == 2_000_000

    assert opened({}, test, threaded=True) == []


def test_importing_it_loads_nothing_of_a_console() -> None:
    code = (
        "import sys, sshkit.manhole; sshkit.manhole.serve; sshkit.manhole.start;"
        "print([n for n in ('prompt_toolkit', 'asyncio', 'inspect', 'rich') if n in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"
