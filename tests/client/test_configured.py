"""connect(config=): what the files say, and what a program says in their place, in memory."""

import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import PublicKey

import sshkit
from sshkit.client.destination import InvalidDestination
from sshkit.config.parser import ConfigError
from tests.client.world import HOST_KEY, USER_KEY, World, echo, key_file, known_line


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    (tmp_path / "known").write_text(known_line("host", HOST_KEY))
    return tmp_path


def config(home: Path, *lines: str) -> str:
    path = home / "config"
    path.write_text(
        "".join(f"{line}\n" for line in (*lines, f"UserKnownHostsFile {home}/known", "IdentityAgent none"))
    )
    path.chmod(0o600)
    return str(path)


def log_in(world: World, path: str, *, serve: dict[str, Any] | None = None, **options: Any) -> list[str]:
    """Log in as the file and the options say; return the trail."""
    reactor: Any = world.network

    async def main() -> list[str]:
        async with (
            world.serve(echo, **(serve or {})),
            sshkit.connect("host", config=path, reactor=reactor, **options) as connection,
        ):
            assert (await connection.run("x")).exit_status == 0
            return [str(attempt) for attempt in connection.trail]

    return world.run(main())


PASSWORD: dict[str, Any] = {"passwords": {"me": "sesame"}}


@pytest.mark.parametrize("password", ["sesame", lambda: "sesame"])
def test_a_password_of_the_program_lets_in(world: World, home: Path, password: Any) -> None:
    trail = log_in(world, config(home, "User me"), serve=PASSWORD, password=password)
    assert trail[-1].endswith(": accepted")


def test_the_user_of_the_program_comes_before_that_of_the_file(world: World, home: Path) -> None:
    path = config(home, "User nobody", "ServerAliveInterval 7", "ConnectTimeout 9")
    assert log_in(world, path, serve=PASSWORD, user="me", password="sesame")


@pytest.mark.parametrize("user", ['a"b', "a b", "a'b", "a\\b", "a\nPort 7", '" -oPort=7 "'])
def test_r39_a_user_that_means_something_elsewhere_is_refused_for_that(
    world: World, home: Path, user: str
) -> None:
    with pytest.raises(InvalidDestination, match="user name: holds "):
        log_in(world, config(home), serve=PASSWORD, user=user, password="sesame")


def test_a_user_with_a_sign_of_comments_in_it_is_one_name(world: World, home: Path) -> None:
    assert log_in(world, config(home), serve={"passwords": {"a#b": "sesame"}}, user="a#b", password="sesame")


def test_a_wrong_password_is_tried_once(world: World, home: Path) -> None:
    with pytest.raises(sshkit.AuthenticationFailed) as caught:
        log_in(world, config(home, "User me"), serve=PASSWORD, password="wrong")
    assert [attempt.method for attempt in caught.value.trail].count("password") == 1


def test_a_key_with_a_passphrase_is_asked_for_by_its_path(world: World, home: Path) -> None:
    path = key_file(home, "id", USER_KEY, b"secret")
    asked: list[str] = []

    def passphrase(name: str) -> str:
        asked.append(name)
        return "secret"

    lines = ("User me", f"IdentityFile {path}", "IdentitiesOnly yes")
    log_in(world, config(home, *lines), passphrase=passphrase)
    assert asked == [str(path)]
    log_in(world, config(home, *lines), passphrase="secret")


def test_an_unknown_host_is_asked_about_and_may_be_refused(world: World, home: Path) -> None:
    path = config(home, "User me", "StrictHostKeyChecking ask")
    (home / "known").write_text("")
    asked: list[str] = []

    def ask(key: PublicKey, text: str) -> bool:
        asked.append(key.fingerprint())
        return False

    for option in ({"ask_host_key": ask}, {}):
        with pytest.raises(sshkit.HostKeyUnknown):
            log_in(world, path, password="sesame", serve=PASSWORD, **option)
    assert asked == [HOST_KEY.public.fingerprint()]


def test_banners_and_warnings_are_the_programs(world: World, home: Path) -> None:
    shown: list[str] = []
    settings = sshkit.Settings(banner="Be good.\n")
    log_in(
        world,
        config(home, "User me"),
        serve={**PASSWORD, "settings": settings},
        password="sesame",
        banner=shown.append,
        warn=shown.append,
    )
    assert shown == ["Be good.\n"]
    log_in(world, config(home, "User me"), serve={**PASSWORD, "settings": settings}, password="sesame")


def test_a_versionaddendum_is_sent_and_one_that_cannot_be_names_its_line(world: World, home: Path) -> None:
    seen: list[bytes] = []

    async def main(addendum: str) -> None:
        path = config(home, "User me", f"VersionAddendum {addendum}")
        reactor: Any = world.network
        async with (
            world.serve(echo, **PASSWORD) as server,
            sshkit.connect("host", config=path, reactor=reactor, password="sesame"),
        ):
            seen.extend(each.layer.peer_identification for each in server.connections)

    world.run(main("from the test"))
    assert seen[0].endswith(b" from the test")
    with pytest.raises(ConfigError, match="VersionAddendum: only printable ASCII"):
        world.run(main("x" * 250))


@pytest.mark.parametrize("answers", [b"", b"\0\0\0\1\5", b"\0\0\0\1\xff", None])
def test_an_agent_that_is_of_no_use_costs_a_warning_only(home: Path, answers: bytes | None) -> None:
    said: list[str] = []
    place = home / "agent"

    def answer(listener: socket.socket) -> None:
        for _ in range(2):
            with listener.accept()[0] as agent:
                agent.recv(5)
                agent.sendall(answers or b"")

    async def main(port: int, warn: Any) -> None:
        options: dict[str, Any] = {"identities": [USER_KEY], "host_keys": [HOST_KEY.public]}
        async with sshkit.connect(
            f"me@127.0.0.1:{port}", agent=str(place), warn=warn, **options
        ) as connection:
            assert connection.agent is None

    async def serve() -> None:
        options: dict[str, Any] = {"host_keys": [HOST_KEY], "authorized_keys": [USER_KEY.public]}
        async with sshkit.serve("127.0.0.1:0", echo, **options) as server:
            await main(server.address[1], said.append)
            await main(server.address[1], None)

    with socket.socket(socket.AF_UNIX) as listener:
        if answers is None:  # nobody is there
            sshkit.run(serve())
        else:
            listener.bind(str(place))
            listener.listen()
            thread = threading.Thread(target=answer, args=(listener,))
            thread.start()
            sshkit.run(serve())
            thread.join()
    assert len(said) == 1


def test_a_host_on_the_way_asks_for_what_is_its_own_and_gets_no_password(world: World, home: Path) -> None:
    path = key_file(home, "id", USER_KEY, b"secret")
    (home / "known").write_text(known_line("host", HOST_KEY) + known_line("[behind]:2200", HOST_KEY))
    file = config(
        home,
        "Host host",
        f" IdentityFile {path}",
        "Host behind",
        " ProxyJump me@host",
        " Port 2200",
        "Host *",
        " User me",
        " IdentitiesOnly yes",
    )
    asked: list[str] = []
    reactor: Any = world.network
    settings = sshkit.Settings(banner="The bastion.\n")

    def passphrase(name: str) -> str:
        asked.append(name)
        return "secret"

    async def log_in(server: dict[str, Any], **options: Any) -> None:
        async with (
            world.serve(echo, forwards=True, settings=settings, **server),
            world.serve(echo, "behind:2200", **PASSWORD),
            sshkit.connect("behind", config=file, reactor=reactor, password="sesame", **options) as behind,
        ):
            assert (await behind.run("x")).exit_status == 0

    world.run(log_in({}, passphrase=passphrase, banner=asked.append))
    assert sorted(asked) == sorted(["The bastion.\n", str(path)])
    world.run(log_in({}, passphrase="secret"))
    with pytest.raises(sshkit.AuthenticationFailed):
        world.run(log_in(PASSWORD, answers=lambda *_: ["sesame"], passphrase="secret"))
    (home / "known").write_text(known_line("[behind]:2200", HOST_KEY))
    with pytest.raises(sshkit.HostKeyUnknown):
        world.run(log_in({}, passphrase="secret", ask_host_key=lambda key, text: False))
