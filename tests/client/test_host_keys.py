"""Which server is taken for the right one, and what a wrong one learns (R12, R38)."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import PublicKey, TrustFileError

import sshkit
from sshkit.client.host_keys import HostKeyVerifier
from sshkit.interfaces import TerminalSize
from tests.client.world import ECDSA_KEY, HOST_KEY, OTHER_KEY, USER_KEY, World, known_line


def attempt(world: World, files: Any, *, host_keys: Any = None, users: Any = None, **options: Any) -> Any:
    """Serve with the host key and log in once; return the error, or the result of a command."""

    async def main() -> Any:
        served = {} if users is None else {"users": users}
        async with world.serve(host_keys=host_keys or [HOST_KEY], **served):
            try:
                async with world.connect(known_hosts=files, **options) as connection:
                    return (await connection.run("hi")).stdout
            except sshkit.SSHKitError as error:
                await world.settled()  # what was said last arrives
                return error

    outcome = world.run(main())
    world.is_clean()
    return outcome


class Nosy(sshkit.Users):
    """Takes any password, and writes down all it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.got: list[str] = []

    def check_key(self, user: str, key: PublicKey) -> bool:
        self.got.append("key")
        return True

    def check_password(self, user: str, password: str) -> bool:
        self.got.append(password)
        return True


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


def test_a_known_host_is_trusted(world: World, file: Path) -> None:
    file.write_text(known_line("host", HOST_KEY))
    assert attempt(world, file) == b"out hi\n"


def test_several_files_are_looked_at(world: World, file: Path, tmp_path: Path) -> None:
    file.write_text(known_line("host", HOST_KEY))
    assert attempt(world, [tmp_path / "missing", str(file)]) == b"out hi\n"


def test_a_host_at_another_port_is_known_by_host_and_port(world: World, file: Path) -> None:
    file.write_text(known_line("[host]:2222", HOST_KEY))

    async def main() -> bytes:
        async with (
            world.serve(address="host:2222"),
            world.connect("me@host:2222", known_hosts=file) as connection,
        ):
            return (await connection.run("hi")).stdout

    assert world.run(main()) == b"out hi\n"


def test_r38_an_unknown_host_is_refused_unless_told_otherwise(world: World, file: Path) -> None:
    file.write_text(known_line("elsewhere", HOST_KEY))
    error = attempt(world, file)
    assert isinstance(error, sshkit.HostKeyUnknown)
    assert str(error) == (
        f"host: unknown host key ssh-ed25519 {HOST_KEY.public.fingerprint()}; "
        f"none of these files knows the host: {file}"
    )
    assert file.read_text() == known_line("elsewhere", HOST_KEY)


@pytest.mark.parametrize("policy", ["strict", "ask", "accept-new"])
def test_r38_a_changed_key_is_refused_whatever_the_policy(world: World, file: Path, policy: Any) -> None:
    file.write_text("# a comment\n" + known_line("host", OTHER_KEY))
    error = attempt(world, file, host_key_policy=policy, ask_host_key=lambda key, text: True)
    assert isinstance(error, sshkit.HostKeyChanged)
    assert error.places == (f"{file}:2",)
    assert error.name == "host"
    assert error.shown == f"ssh-ed25519 {HOST_KEY.public.fingerprint()}"
    assert str(error).startswith("host: HOST KEY CHANGED: it shows ssh-ed25519 SHA256:")
    assert f"is known by another key in {file}:2" in str(error)
    assert known_line("host", HOST_KEY) not in file.read_text()


@pytest.mark.parametrize("policy", ["strict", "ask", "accept-new"])
def test_r38_an_unknown_key_of_a_host_known_by_another_type_is_a_changed_one(
    world: World, file: Path, policy: Any
) -> None:
    file.write_text(known_line("host", ECDSA_KEY))
    error = attempt(world, file, host_key_policy=policy, ask_host_key=lambda key, text: True)
    assert isinstance(error, sshkit.HostKeyChanged)


@pytest.mark.parametrize("policy", ["strict", "ask", "accept-new", "off"])
def test_r38_a_revoked_key_is_refused_whatever_the_policy(world: World, file: Path, policy: Any) -> None:
    file.write_text(known_line("host", HOST_KEY) + known_line("*", HOST_KEY, "@revoked"))
    error = attempt(world, file, host_key_policy=policy, ask_host_key=lambda key, text: True)
    assert isinstance(error, sshkit.HostKeyRevoked)
    assert str(error) == (f"host: its key ssh-ed25519 {HOST_KEY.public.fingerprint()} is revoked in {file}:2")


def test_the_known_type_is_asked_for_first(world: World, file: Path) -> None:
    file.write_text(known_line("host", ECDSA_KEY))
    assert attempt(world, file, host_keys=[HOST_KEY, ECDSA_KEY]) == b"out hi\n"


def test_r38_accept_new_writes_one_line_that_is_read_the_next_time(world: World, file: Path) -> None:
    assert attempt(world, file, host_key_policy="accept-new") == b"out hi\n"
    assert file.read_text() == known_line("host", HOST_KEY)
    assert world.said == [f"added host (ssh-ed25519) to {file}"]
    assert attempt(world, file) == b"out hi\n"
    assert attempt(world, file, host_key_policy="accept-new") == b"out hi\n"
    assert file.read_text() == known_line("host", HOST_KEY)


def test_a_line_that_cannot_be_written_costs_a_warning_only(world: World, tmp_path: Path) -> None:
    file = tmp_path / "folder" / "is-a-file" / "known_hosts"
    file.parent.parent.mkdir()
    file.parent.write_text("")
    error = attempt(world, file, host_key_policy="accept-new")
    assert isinstance(error, TrustFileError)  # it cannot be read either
    world.said.clear()
    os.symlink(tmp_path / "nowhere" / "file", tmp_path / "link")
    assert attempt(world, tmp_path / "link", host_key_policy="accept-new") == b"out hi\n"
    assert len(world.said) == 1
    assert world.said[0].startswith(f"{tmp_path}/link: the key of host could not be added: ")


def test_r38_files_that_cannot_be_read_are_a_refusal(world: World, tmp_path: Path) -> None:
    error = attempt(world, tmp_path, host_key_policy="off")  # a folder
    assert isinstance(error, TrustFileError)
    assert not world.network.pairs, "a connection was made before the files were read"


def test_accept_new_without_files_writes_nothing(world: World) -> None:
    assert attempt(world, [], host_key_policy="accept-new") == b"out hi\n"
    assert world.said == []


def yes(key: PublicKey, text: str) -> bool:
    return True


def later(answer: bool) -> Callable[[PublicKey, str], "sshkit.Deferred[bool]"]:
    async def think() -> bool:
        return answer

    return lambda key, text: sshkit.ensure_deferred(think())


@pytest.mark.parametrize("ask", [yes, later(True)], ids=["value", "deferred"])
def test_r38_a_key_that_the_user_accepts_is_written_down(world: World, file: Path, ask: Any) -> None:
    assert attempt(world, file, host_key_policy="ask", ask_host_key=ask) == b"out hi\n"
    assert file.read_text() == known_line("host", HOST_KEY)


@pytest.mark.parametrize("ask", [lambda key, text: False, later(False)], ids=["value", "deferred"])
def test_r38_a_key_that_the_user_does_not_accept_is_refused(world: World, file: Path, ask: Any) -> None:
    error = attempt(world, file, host_key_policy="ask", ask_host_key=ask)
    assert isinstance(error, sshkit.HostKeyUnknown)
    assert str(error) == f"host: host key ssh-ed25519 {HOST_KEY.public.fingerprint()} was not accepted"
    assert not file.exists()


def test_r38_nobody_to_ask_is_a_refusal(world: World, file: Path) -> None:
    assert isinstance(attempt(world, file, host_key_policy="ask"), sshkit.HostKeyUnknown)


@pytest.mark.parametrize("late", [False, True])
def test_r38_an_error_while_asking_is_a_refusal(world: World, file: Path, late: bool) -> None:
    def broken(key: PublicKey, text: str) -> Any:
        if late:
            failed: sshkit.Deferred[bool] = sshkit.Deferred()
            failed.errback(ZeroDivisionError("late"))
            return failed
        raise ZeroDivisionError("now")

    async def main() -> None:
        users = Nosy()
        async with world.serve(users=users):
            with pytest.raises(ZeroDivisionError):
                await world.connect(
                    known_hosts=file, host_key_policy="ask", ask_host_key=broken, password="secret"
                )
        assert users.got == []

    world.run(main())
    assert not file.exists()


def test_the_user_is_asked_about_the_key_and_the_host(world: World, file: Path) -> None:
    asked: list[Any] = []

    def ask(key: PublicKey, text: str) -> bool:
        asked.append((key, text))
        return True

    attempt(world, file, host_key_policy="ask", ask_host_key=ask)
    shown = f"ssh-ed25519 {HOST_KEY.public.fingerprint()}"
    assert asked == [(HOST_KEY.public, f"The authenticity of host host cannot be established: {shown}")]


def test_off_lets_unknown_hosts_pass_and_writes_nothing(world: World, file: Path) -> None:
    assert attempt(world, file, host_key_policy="off") == b"out hi\n"
    assert not file.exists()


def test_r12_a_changed_host_gets_no_password_even_when_it_may_pass(world: World, file: Path) -> None:
    file.write_text(known_line("host", OTHER_KEY))
    users = Nosy()
    outcome = attempt(world, file, users=users, host_key_policy="off", password="secret", identities=[])
    assert isinstance(outcome, sshkit.AuthenticationFailed)
    assert users.got == []
    assert world.said == [f"host: its key changed to ssh-ed25519 {HOST_KEY.public.fingerprint()} ({file}:1)"]


def test_off_lets_a_changed_key_pass_for_a_login_by_key(world: World, file: Path) -> None:
    file.write_text(known_line("host", OTHER_KEY))
    assert attempt(world, file, host_key_policy="off") == b"out hi\n"
    assert len(world.said) == 1


@pytest.mark.parametrize("policy", ["strict", "ask", "accept-new"])
@pytest.mark.parametrize(
    "line",
    [known_line("host", OTHER_KEY), known_line("*", HOST_KEY, "@revoked")],
    ids=["changed", "revoked"],
)
def test_r12_a_server_that_is_refused_gets_neither_password_nor_key(
    world: World, file: Path, policy: Any, line: str
) -> None:
    file.write_text(line)
    users = Nosy()
    outcome = attempt(world, file, users=users, host_key_policy=policy, password="secret")
    assert isinstance(outcome, sshkit.HostKeyNotVerified)
    assert users.got == []
    assert any("the host key could not be verified" in line for line in world.log)
    assert str(file) not in "".join(world.log), "the server learns of our files"


def test_r12_no_password_leaves_before_the_question_about_the_key_is_answered(
    world: World, file: Path
) -> None:
    answer: sshkit.Deferred[bool] = sshkit.Deferred()
    users = Nosy()

    async def main() -> None:
        async with world.serve(users=users):
            opening = world.connect(
                known_hosts=file,
                host_key_policy="ask",
                ask_host_key=lambda key, text: answer,
                password="secret",
                identities=[],
            )
            await world.settled()
            assert users.got == []
            assert not opening.called
            sent = world.pair.client.total
            await world.settled()
            assert world.pair.client.total == sent
            answer.callback(True)
            async with opening as connection:
                assert connection.host_key == HOST_KEY.public
        assert users.got == ["secret"]

    world.run(main())


def test_an_answer_that_comes_after_the_connection_ended_changes_nothing(world: World, file: Path) -> None:
    answer: sshkit.Deferred[bool] = sshkit.Deferred()

    async def main() -> None:
        async with world.serve():
            opening = world.connect(
                known_hosts=file, host_key_policy="ask", ask_host_key=lambda key, text: answer
            )
            await world.settled()
            opening.cancel()
            answer.callback(True)
            with pytest.raises(sshkit.CancelledError):
                await opening

    world.run(main())
    world.is_clean()


@pytest.mark.parametrize(
    "trusted",
    [
        HOST_KEY.public,
        HOST_KEY.public.fingerprint(),
        HOST_KEY.public.fingerprint("md5"),
    ],
    ids=["key", "sha256", "md5"],
)
def test_host_keys_name_what_is_trusted(world: World, trusted: Any) -> None:
    async def main() -> bytes:
        async with world.serve(), world.connect(host_keys=[OTHER_KEY.public, trusted]) as connection:
            return (await connection.run("hi")).stdout

    assert world.run(main()) == b"out hi\n"


@pytest.mark.parametrize(
    "trusted",
    [OTHER_KEY.public, OTHER_KEY.public.fingerprint(), "", "SHA256:"],
    ids=["key", "fingerprint", "empty", "prefix"],
)
@pytest.mark.parametrize("policy", ["strict", "off", "accept-new"])
def test_r38_host_keys_trust_nothing_else(world: World, trusted: Any, policy: Any) -> None:
    async def main() -> None:
        users = Nosy()
        async with world.serve(users=users):
            with pytest.raises(sshkit.HostKeyChanged, match="which is none of the trusted keys"):
                await world.connect(host_keys=[trusted], host_key_policy=policy, password="secret")
            with pytest.raises(sshkit.HostKeyChanged):
                await world.connect(host_keys=[], host_key_policy=policy, password="secret")
        assert users.got == []

    world.run(main())


def test_host_keys_say_which_type_is_asked_for(world: World) -> None:
    async def main() -> None:
        async with (
            world.serve(host_keys=[HOST_KEY, ECDSA_KEY]),
            world.connect(host_keys=[ECDSA_KEY.public]) as connection,
        ):
            assert connection.host_key == ECDSA_KEY.public
            assert connection.negotiated.host_key == "ecdsa-sha2-nistp256"

    world.run(main())


def test_the_default_files_are_the_users_and_the_systems(
    world: World, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "known_hosts2").write_text(known_line("host", HOST_KEY))
    assert attempt(world, None) == b"out hi\n"
    verifier = HostKeyVerifier("host", 22)
    assert [*verifier.files, *verifier.global_files] == [
        f"{tmp_path}/.ssh/known_hosts",
        f"{tmp_path}/.ssh/known_hosts2",
        "/etc/ssh/ssh_known_hosts",
        "/etc/ssh/ssh_known_hosts2",
    ]


def test_an_address_that_is_known_vouches_for_the_host(world: World, file: Path) -> None:
    file.write_text(known_line("host", HOST_KEY))

    async def main() -> None:
        async with world.serve():
            connection = await world.connect(known_hosts=file)
            assert connection.verifier.peer_address == "host"  # what the network in memory has for one
            assert connection.verifier.address == "host"
            await connection.close()

    world.run(main())


def test_the_size_of_a_terminal_has_defaults() -> None:
    assert TerminalSize() == (80, 24, 0, 0)


def test_damaged_lines_are_warned_of(world: World, file: Path) -> None:
    file.write_text("@unknown host x y\n" + known_line("host", HOST_KEY))
    assert attempt(world, file) == b"out hi\n"
    assert len(world.said) == 1
    assert world.said[0].startswith(f"{file}:1: unknown marker")


def test_without_a_listener_for_warnings_they_are_dropped(world: World, file: Path) -> None:
    file.write_text("@unknown host x y\n")

    async def main() -> None:
        async with world.serve(authorized_keys=[USER_KEY.public]):
            await (await world.connect(known_hosts=file, host_key_policy="accept-new", warn=None)).close()

    world.run(main())
    assert world.said == []
