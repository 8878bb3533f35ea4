"""Logging in: what is tried, in which order, how often, and what a failure tells."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import generate_private_key

import sshkit
from sshkit.client.credentials import FileCredentials
from sshkit.testing import MemoryReactor
from tests.client.world import ECDSA_KEY, OTHER_KEY, USER_KEY, World, key_file

RSA_KEY = generate_private_key("rsa", 2048, "an rsa key")


def login(world: World, users: sshkit.Users | None = None, **options: Any) -> Any:
    """Log in once; return the trail as text, or the error."""

    async def main() -> Any:
        served: Any = {} if users is None else {"users": users}
        settings = options.pop("settings", sshkit.Settings())
        async with world.serve(settings=settings, **served):
            try:
                async with world.connect(**options) as connection:
                    return [str(attempt) for attempt in connection.trail]
            except sshkit.SSHKitError as error:
                return error

    outcome = world.run(main())
    world.is_clean()
    return outcome


def shown(key: Any, source: object) -> str:
    return f"{key.public.key_type} {key.public.fingerprint()} {source}"


def only_key() -> sshkit.Users:
    return sshkit.Users(keys={"me": [USER_KEY.public]})


def test_a_key_at_hand_is_signed_with_at_once(world: World) -> None:
    assert login(world) == [f"publickey ({shown(USER_KEY, 'the user' + chr(39) + 's')}): accepted"]


def test_a_key_without_a_comment_has_a_name_in_the_trail(world: World) -> None:
    key = generate_private_key("ed25519")
    trail = login(world, sshkit.EveryUser([key.public]), identities=[key])
    assert trail == [f"publickey ({shown(key, 'given key')}): accepted"]


@pytest.mark.parametrize("key", [ECDSA_KEY, RSA_KEY], ids=["ecdsa", "rsa"])
def test_keys_of_every_type_work(world: World, key: Any) -> None:
    trail = login(world, sshkit.EveryUser([key.public]), identities=[key])
    assert trail[-1].endswith(": accepted")


def test_the_trail_of_a_failed_login_says_what_was_tried_and_why_it_failed(
    world: World, tmp_path: Path
) -> None:
    wrong = key_file(tmp_path, "wrong", OTHER_KEY)
    locked = key_file(tmp_path, "locked", USER_KEY, b"sesame")
    missing = tmp_path / "missing"
    error = login(
        world,
        sshkit.Users({"me": "right"}, {"me": [USER_KEY.public]}),
        identities=[wrong, locked, missing],
        passphrase="wrong",
        password="wrong as well",
    )
    assert isinstance(error, sshkit.AuthenticationFailed)
    assert str(error).splitlines() == [
        "me: permission denied (publickey, password, keyboard-interactive)",
        f"  publickey ({missing}): the file does not exist",
        f"  publickey ({shown(OTHER_KEY, wrong)}): the server refused",
        f"  publickey ({shown(USER_KEY, locked)}): the private key could not be read",
        "  keyboard-interactive: the server refused",
        "  password: the server refused",
    ]
    trail: Sequence[Any] = error.trail
    assert [f"  {attempt}" for attempt in trail] == str(error).splitlines()[1:]
    assert trail[1][:3] == ("publickey", shown(OTHER_KEY, wrong), "the server refused")
    assert trail[1].verdict == "refused"
    assert trail[1].source == str(wrong)
    assert trail[2].verdict == "skipped"
    assert world.said == [
        f"identity file {missing} does not exist",
        f"{locked}: wrong passphrase, or the key is damaged",
    ]
    assert "sesame" not in str(error) + "".join(world.said)
    assert "wrong as well" not in str(error) + "".join(world.said)


def test_nothing_to_try_is_said(world: World) -> None:
    error = login(world, only_key(), identities=[])
    assert str(error) == "me: permission denied (publickey)\n  nothing could be tried"
    assert error.trail == ()


def test_an_encrypted_key_opens_with_its_passphrase(world: World, tmp_path: Path) -> None:
    path = key_file(tmp_path, "key", USER_KEY, b"sesame")
    trail = login(world, identities=[path], passphrase="sesame")
    assert trail == [f"publickey ({shown(USER_KEY, path)}): accepted"]


def test_the_passphrase_is_asked_for_only_when_the_server_wants_the_key(world: World, tmp_path: Path) -> None:
    asked: list[str] = []

    def ask(path: str) -> str:
        asked.append(path)
        return "sesame"

    refused = key_file(tmp_path, "refused", OTHER_KEY, b"sesame")
    wanted = key_file(tmp_path, "wanted", USER_KEY, b"sesame")
    trail = login(world, identities=[refused, wanted], passphrase=ask)
    assert trail[-1].endswith("accepted")
    assert asked == [str(wanted)]


def test_a_passphrase_may_come_later(world: World, tmp_path: Path) -> None:
    async def think() -> str:
        return "sesame"

    path = key_file(tmp_path, "key", USER_KEY, b"sesame")
    trail = login(world, identities=[path], passphrase=lambda path: sshkit.ensure_deferred(think()))
    assert trail[-1].endswith("accepted")


@pytest.mark.parametrize("answer", [None, ""])
def test_without_a_passphrase_the_next_key_is_tried(world: World, tmp_path: Path, answer: Any) -> None:
    locked = key_file(tmp_path, "locked", USER_KEY, b"sesame")
    trail = login(world, identities=[locked, USER_KEY], passphrase=lambda path: answer)
    assert trail == [
        f"publickey ({shown(USER_KEY, locked)}): the private key could not be read",
        f"publickey ({shown(USER_KEY, 'the user' + chr(39) + 's')}): accepted",
    ]
    assert world.said == []


def test_r12_a_key_is_offered_once_however_often_it_is_named(world: World, tmp_path: Path) -> None:
    path = key_file(tmp_path, "key", OTHER_KEY)
    again = key_file(tmp_path, "again", OTHER_KEY)
    error = login(world, only_key(), identities=[path, path, again])
    assert len(error.trail) == 1


@pytest.mark.parametrize("threads", [False, True])
@pytest.mark.parametrize("later", [False, True])
def test_a_wrong_passphrase_is_asked_for_again_as_often_as_told(
    tmp_path: Path, threads: bool, later: bool
) -> None:
    path = key_file(tmp_path, "key", USER_KEY, b"sesame")
    answers = ["wrong", "wronger", "sesame"]
    said: list[str] = []

    def ask(path: str) -> Any:
        answer = answers.pop(0)
        if not later:
            return answer
        deferred: sshkit.Deferred[str] = sshkit.Deferred()
        deferred.callback(answer)
        return deferred

    def credentials(tries: int) -> FileCredentials:
        in_thread = MemoryReactor().defer_to_thread if threads else None
        return FileCredentials(
            [path], passphrase=ask, passphrase_tries=tries, warn=said.append, in_thread=in_thread
        )

    def load(tries: int) -> Any:
        key = credentials(tries).identities[0].load()
        return key.result() if isinstance(key, sshkit.Deferred) else key

    loaded = load(3)
    assert loaded is not None
    assert loaded.public == USER_KEY.public
    assert (answers, said) == ([], [])
    answers[:] = ["wrong", "wronger", "sesame"]
    assert load(2) is None
    assert answers == ["sesame"]
    assert len(said) == 1
    assert str(path) in said[0]


def test_a_passphrase_is_derived_in_a_thread_of_the_reactor(world: World, tmp_path: Path) -> None:
    path = key_file(tmp_path, "key", USER_KEY, b"sesame")
    threads: list[str] = []

    class Watched(MemoryReactor):
        def defer_to_thread(self, function: Any, *args: Any, **kwargs: Any) -> Any:
            threads.append(function.__name__)
            return super().defer_to_thread(function, *args, **kwargs)

    world.network = Watched()
    assert login(world, identities=[path], passphrase="sesame")[-1].endswith("accepted")
    assert threads == ["load_private_key"]


def test_an_error_of_a_thread_that_is_no_error_of_the_file_is_raised(tmp_path: Path) -> None:
    path = key_file(tmp_path, "key", USER_KEY, b"sesame")

    def broken(function: Any, *args: Any) -> "sshkit.Deferred[Any]":
        failed: sshkit.Deferred[Any] = sshkit.Deferred()
        failed.errback(ZeroDivisionError())
        return failed

    loading = FileCredentials([path], passphrase="sesame", in_thread=broken).identities[0].load()
    assert isinstance(loading, sshkit.Deferred)
    with pytest.raises(ZeroDivisionError):
        loading.result()


def test_a_key_that_went_away_meanwhile_is_warned_of(tmp_path: Path) -> None:
    path = key_file(tmp_path, "key", USER_KEY, b"sesame")
    said: list[str] = []
    identity = FileCredentials([path], passphrase="sesame", warn=said.append).identities[0]
    path.unlink()
    assert identity.load() is None
    assert str(path) in said[0]


def test_the_default_files_are_offered_in_order_and_missing_ones_are_no_matter(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".ssh").mkdir()
    rsa = key_file(tmp_path / ".ssh", "id_rsa", RSA_KEY)
    ecdsa = key_file(tmp_path / ".ssh", "id_ecdsa", ECDSA_KEY)
    error = login(world, only_key(), identities=None)
    assert [attempt.detail for attempt in error.trail] == [shown(ECDSA_KEY, ecdsa), shown(RSA_KEY, rsa)]
    assert world.said == []


def test_files_that_cannot_be_used_are_warned_of_and_passed_over(world: World, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged"
    damaged.write_text("no key\n")
    damaged.chmod(0o600)
    open_to_all = key_file(tmp_path, "open", OTHER_KEY)
    open_to_all.chmod(0o644)
    good = key_file(tmp_path, "good", USER_KEY)
    trail = login(world, identities=[damaged, open_to_all, tmp_path, good])
    assert [line.partition(":")[0] for line in trail[:3]] == [
        f"publickey ({path})" for path in (damaged, open_to_all, tmp_path)
    ]
    assert trail[3] == f"publickey ({shown(USER_KEY, good)}): accepted"
    assert len(world.said) == 3
    assert world.said[0].startswith(f"{damaged}: ")
    assert world.said[1].startswith(f"{open_to_all}: permissions 0644 are too open")
    assert str(tmp_path) in world.said[2]


def test_a_locked_key_in_pem_needs_its_pub_file(world: World, tmp_path: Path) -> None:
    import subprocess

    path = tmp_path / "pem"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ecdsa", "-m", "PKCS8", "-N", "sesame", "-f", str(path)], check=True
    )
    from sshkit_keys import load_private_key

    key = load_private_key(path, b"sesame")
    trail = login(world, sshkit.EveryUser([key.public]), identities=[path], passphrase="sesame")
    assert trail == [f"publickey ({shown(key, path)}): accepted"]
    os.unlink(f"{path}.pub")
    error = login(world, sshkit.EveryUser([key.public]), identities=[path], passphrase="sesame")
    assert isinstance(error, sshkit.AuthenticationFailed)
    assert str(path) in world.said[-1]


def test_a_pub_file_of_another_key_is_noticed(world: World, tmp_path: Path) -> None:
    import subprocess

    path = tmp_path / "pem"
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ecdsa", "-m", "PKCS8", "-N", "sesame", "-f", str(path)], check=True
    )
    (tmp_path / "pem.pub").write_text(USER_KEY.public.to_line())
    error = login(world, identities=[path], passphrase="sesame")
    assert error.trail[0].outcome == "the private key is not that of its .pub file"


def test_a_password_is_tried_once(world: World) -> None:
    got: list[str] = []

    class Users(sshkit.Users):
        def check_password(self, user: str, password: str) -> bool:
            got.append(password)
            return False

    error = login(world, Users(), identities=[], password="wrong")
    assert isinstance(error, sshkit.AuthenticationFailed)
    assert got in (["wrong"], ["wrong", "wrong"])  # by keyboard-interactive, and by password
    assert [str(attempt).partition(":")[0] for attempt in error.trail].count("password") == 1


def test_a_function_for_the_password_is_asked_until_it_gives_none(world: World) -> None:
    answers: list[Any] = ["one", "two", None]
    users = sshkit.Users({"me": "right"}, chain=("password",))
    error = login(world, users, identities=[], password=lambda: answers.pop(0))
    assert answers == []
    assert [attempt.method for attempt in error.trail] == ["password", "password"]


def test_a_password_may_come_later(world: World) -> None:
    async def think() -> str:
        return "right"

    trail = login(
        world,
        sshkit.Users({"me": "right"}),
        identities=[],
        password=lambda: sshkit.ensure_deferred(think()),
    )
    assert trail[-1].endswith("accepted")


def test_no_password_later_is_none_at_all(world: World) -> None:
    async def think() -> None:
        return None

    error = login(
        world,
        sshkit.Users({"me": "right"}),
        identities=[],
        password=lambda: sshkit.ensure_deferred(think()),
    )
    assert isinstance(error, sshkit.AuthenticationFailed)


def test_r12_questions_are_answered_by_the_function_for_them(world: World) -> None:
    asked: list[Any] = []

    def answers(title: str, instruction: str, prompts: Sequence[tuple[str, bool]]) -> list[str]:
        asked.append((title, instruction, list(prompts)))
        return ["right"]

    trail = login(world, sshkit.Users({"me": "right"}), identities=[], answers=answers)
    assert trail == ["keyboard-interactive: accepted"]
    assert asked == [("", "", [("Password: ", False)])]


def test_a_chain_of_methods_is_walked(world: World) -> None:
    users = sshkit.Users({"me": "right"}, {"me": [USER_KEY.public]}, chain=("publickey", "password"))
    trail = login(world, users, password="right")
    assert [line.rpartition(": ")[2] for line in trail] == ["accepted, more is needed", "accepted"]


def test_a_chain_that_is_not_finished_is_a_failure(world: World) -> None:
    users = sshkit.Users({"me": "right"}, {"me": [USER_KEY.public]}, chain=("publickey", "password"))
    error = login(world, users)
    assert isinstance(error, sshkit.AuthenticationFailed)
    assert str(error.trail[0]).endswith(": accepted, more is needed")


def test_r8_too_many_keys_are_cut_off_by_the_server(world: World) -> None:
    keys = [generate_private_key("ed25519") for _ in range(4)]
    error = login(world, only_key(), identities=keys, settings=sshkit.Settings(max_tries=2))
    assert isinstance(error, sshkit.DisconnectedByPeer)
    assert str(error) == "the peer disconnected: too many authentication failures (code 2)"


def test_r36_a_banner_is_shown_with_control_characters_escaped(world: World) -> None:
    banners: list[str] = []
    settings = sshkit.Settings(banner="Wel\x1b[2Jcome\n\tto \u202eyou\r\x07\n")
    login(world, settings=settings, banner=banners.append)
    assert banners == ["Wel\\x1b[2Jcome\n\tto \\u202eyou\\r\\x07\n"]


def test_a_banner_nobody_wants_is_dropped(world: World) -> None:
    assert login(world, settings=sshkit.Settings(banner="hello"))[-1].endswith("accepted")


def test_a_callback_that_breaks_ends_the_login_with_its_own_error(world: World) -> None:
    def broken() -> str:
        raise ZeroDivisionError("in the callback")

    async def main() -> None:
        async with world.serve(users=sshkit.Users({"me": "right"})):
            with pytest.raises(ZeroDivisionError, match="in the callback"):
                await world.connect(identities=[], password=broken)

    world.run(main())
    world.is_clean()


def test_r11_the_server_refuses_a_user_without_saying_whether_he_exists(world: World) -> None:
    users = sshkit.Users({"me": "right"}, {"me": [USER_KEY.public]})
    known = login(world, users, identities=[OTHER_KEY], password="wrong")
    unknown = login(world, users, where="nobody@host", identities=[OTHER_KEY], password="wrong")
    assert str(known).replace("me:", "nobody:", 1) == str(unknown)


@pytest.mark.parametrize(
    "prompts",
    [[], [("Name: ", True)], [("Password: ", False), ("Token: ", False)]],
    ids=["none", "shown", "two"],
)
def test_r12_a_password_answers_one_hidden_question_and_no_other(prompts: Any) -> None:
    assert FileCredentials([], password="secret").answers("", "", prompts) is None


def test_r12_a_password_answers_one_question_once() -> None:
    credentials = FileCredentials([], password="secret")
    assert credentials.answers("", "", [("Password: ", False)]) == ["secret"]
    assert credentials.answers("", "", [("Password: ", False)]) is None


def test_problems_with_files_are_kept_where_nobody_hears_warnings(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    assert FileCredentials([missing]).problems == [(missing, "the file does not exist")]
