"""What Match blocks say about one user, on both sides of a login: in the worker and in his session."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sshkit_keys import generate_private_key

from sshkit.config.sshd_config import read_server_config
from sshkit.server import configured
from sshkit.server.accounts import own_account
from sshkit.server.configured import Planner, UserTerms
from sshkit.ssh.errors import AuthenticationFailed, DisconnectedByPeer
from tests.server.workers.parts import QUIET
from tests.server.workers.world import USER, World


class TermsWorld(World):
    """A server with blocks in its configuration: the lines come last in a file."""

    def make_plan(self, *lines: str) -> Any:
        path = self.folder / "sshd_config"
        general = (
            f"HostKey {self.folder / 'host'}",
            f"AuthorizedKeysFile {self.folder / 'authorized_keys'}",
            "PerSourcePenalties no",
            *QUIET,
        )
        path.write_text("".join(f"{line}\n" for line in (*general, *lines)))
        return Planner(read_server_config(str(path)), own_account()).make()._replace(account=None)


def world(folder: Path, monkeypatch: pytest.MonkeyPatch, *lines: str) -> TermsWorld:
    return TermsWorld(folder, monkeypatch, *lines)


def test_the_session_of_a_user_has_the_terms_of_his_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def test(world: World) -> None:
        async with world.connect() as connection:
            result = await connection.run("own")
            assert result.stdout == b"forced own yes\n"
            process = await connection.start("test -t 0", terminal=True)
            assert b"a tty" not in await process.stdout.read()

    world(
        tmp_path,
        monkeypatch,
        f"Match User {USER}",
        "  ForceCommand test -t 0 && echo a tty; echo forced $SSH_ORIGINAL_COMMAND $MATCHED",
        "  SetEnv MATCHED=yes",
        "  PermitTTY no",
        "Match User another",
        "  ForceCommand echo wrong",
    ).run(test)


def test_the_worker_learns_what_holds_for_a_user_before_his_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "banner").write_text("for you alone\n")
    seen: list[str] = []

    async def test(world: World) -> None:
        async with world.connect(banner=seen.append) as connection:
            assert (await connection.run("echo in")).stdout == b"in\n"
        with pytest.raises(AuthenticationFailed):
            await world.connect("sshkit-nobody", banner=seen.append)

    world(tmp_path, monkeypatch, f"Match User {USER}", f"  Banner {tmp_path / 'banner'}").run(test)
    assert "".join(seen).split("\n") == ["for you alone", ""]


def test_a_chain_of_the_block_goes_on_after_its_first_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = generate_private_key("ed25519")
    server = world(tmp_path, monkeypatch, f"Match User {USER}", "  AuthenticationMethods publickey,publickey")
    with (tmp_path / "authorized_keys").open("a") as file:
        file.write(other.public.to_line() + "\n")

    async def test(world: World) -> None:
        with pytest.raises(AuthenticationFailed):
            await world.connect()
        async with world.connect(identities=[world.key, other]) as connection:
            assert (await connection.run("echo in")).stdout == b"in\n"

    server.run(test)


def test_tries_of_the_block_are_counted_by_the_monitor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = [generate_private_key("ed25519") for _ in range(2)]

    async def test(world: World) -> None:
        with pytest.raises(DisconnectedByPeer, match="too many authentication failures"):
            await world.connect(identities=[*wrong, world.key])
        async with world.connect(identities=[wrong[0], world.key]) as connection:
            assert (await connection.run("echo in")).stdout == b"in\n"

    world(tmp_path, monkeypatch, "MaxAuthTries 6", f"Match User {USER}", "  MaxAuthTries 2").run(test)


# The terms themselves.


def terms(folder: Path, *lines: str) -> tuple[UserTerms, list[str]]:
    told: list[str] = []
    path = folder / "sshd_config"
    path.write_text("".join(f"{line}\n" for line in lines))
    made = UserTerms(read_server_config(str(path)), lambda setting, cause: told.append(cause))
    return made, told


def client(source: str) -> Any:
    places = (source, 5, "192.0.2.2", 22)
    return SimpleNamespace(source=source, addresses=lambda: places, identification=b"SSH-2.0-x")


def test_terms_of_one_outcome_are_made_once(tmp_path: Path) -> None:
    made, _ = terms(tmp_path, "Match Address 192.0.2.0/24", "  MaxAuthTries 3")
    account = own_account()
    near, near_too = (made("x", account, client(f"192.0.2.{number}")) for number in (1, 9))
    far = made("x", account, client("198.51.100.1"))
    assert near is near_too
    assert near.settings is not None
    assert far.settings is not None
    assert (near.settings.max_tries, far.settings.max_tries) == (3, 6)


def test_a_display_is_of_one_account(tmp_path: Path) -> None:
    """What xauth is started with is the user's: nobody has that of another."""
    made, _ = terms(tmp_path, "X11Forwarding yes")
    account = own_account()
    first, second = made("x", account, client("h")), made("y", account._replace(home="/else"), client("h"))
    homes = [
        terms.settings.forwards.x11.environment["HOME"]  # type: ignore[union-attr,index]
        for terms in (first, second)
    ]
    assert homes == [account.home, "/else"]


def test_no_more_than_so_many_terms_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(configured, "MAX_KEPT", 2)
    made, _ = terms(tmp_path, "X11Forwarding yes")
    accounts = [own_account()._replace(home=f"/home/{number}") for number in range(3)]
    first = [made("x", account, client("h")) for account in accounts]
    assert made("x", accounts[2], client("h")) is first[2]
    assert made("x", accounts[0], client("h")) is not first[0]
    assert len(made._kept) == 2
