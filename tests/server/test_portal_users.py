"""A portal behind a server: avatars in sessions, and their logout when the connection has ended."""

import os
from typing import Any

import pytest
from sshkit_keys.certificate_signing import sign_certificate

import sshkit
from sshkit.cred import (
    Anybody,
    AvatarMaker,
    ISSHPublicKey,
    IUsernamePassword,
    KeyChecker,
    PasswordChecker,
    Portal,
    RealmRefused,
)
from sshkit.server.connection import ServerConnection
from sshkit.server.login_policy import LoginPolicy
from sshkit.server.portal_users import PortalUsers
from tests.server.test_serve import KEY, OTHER, World


class Home:
    permit_terminal = False

    def __init__(self, name: str) -> None:
        self.name = name


class Homes:
    def __init__(self) -> None:
        self.events: list[str] = []

    async def request_avatar(self, avatar_id: str, mind: Any, *interfaces: Any) -> Any:
        if avatar_id == "eve":
            raise RealmRefused("eve has no home")
        assert isinstance(mind, ServerConnection)
        self.events.append(f"in {avatar_id}")
        return Home, Home(avatar_id), lambda: self.events.append(f"out {avatar_id}")


async def handler(session: sshkit.Session) -> int:
    session.stdout.write(f"{session.avatar and session.avatar.name} {session.terminal}")
    return 0


@pytest.fixture
def seam(monkeypatch: pytest.MonkeyPatch) -> None:
    """Call what ServerConnection is to call, once and where; both may happen twice without harm."""
    public_key, lost = LoginPolicy.public_key, ServerConnection.transport_lost

    def checked(self: Any, user: str, key: Any, signed: bool) -> Any:
        users = self.users
        if not signed or not hasattr(users, "check_signed_key"):
            return public_key(self, user, key, signed)
        users.check_key = users.check_signed_key
        try:
            return public_key(self, user, key, signed)
        finally:
            del users.check_key

    def ended(self: ServerConnection, error: BaseException) -> None:
        lost(self, error)
        getattr(self.users, "connection_ended", lambda: None)()

    monkeypatch.setattr(LoginPolicy, "public_key", checked)
    monkeypatch.setattr(ServerConnection, "transport_lost", ended)


@pytest.mark.usefixtures("seam")
def test_the_avatar_is_in_the_session_and_logged_out_with_the_connection() -> None:
    realm = Homes()
    portal = Portal(
        realm, [PasswordChecker({"ann": "secret", "eve": "secret"}), KeyChecker({"bob": [KEY.public]})]
    )
    users = PortalUsers(portal, Home)
    assert users.methods() == ("publickey", "password", "keyboard-interactive")

    async def test(world: World) -> None:
        async with world.connect() as connection:
            process = await connection.start("x", terminal="xterm")
            assert await process.stdout.read() == b"ann None"  # the avatar permits no terminal
        await world.later()
        assert realm.events == ["in ann", "out ann"]
        async with world.connect("bob", identities=[OTHER, KEY], password=None) as connection:
            assert (await connection.run("x")).stdout == b"bob None"
            assert realm.events[2:] == ["in bob"]  # the question whether the key would do made no avatar
        await world.later()
        assert realm.events[2:] == ["in bob", "out bob"]
        with pytest.raises(sshkit.AuthenticationFailed):
            await world.connect("eve")

    world = World(handler, users=users)
    world.run(test)
    assert realm.events == ["in ann", "out ann", "in bob", "out bob"]
    assert any("eve has no home" in line for line in world.log)


@pytest.mark.usefixtures("seam")
def test_whoever_shows_nothing_may_have_an_avatar() -> None:
    realm = Homes()

    async def test(world: World) -> None:
        async with world.connect(password=None) as connection:
            assert (await connection.run("x")).stdout == b"guest None"

    World(handler, users=PortalUsers(Portal(realm, [Anybody("guest")]))).run(test)
    assert realm.events == ["in guest", "out guest"]


def test_a_session_without_a_portal_has_no_avatar() -> None:
    async def test(world: World) -> None:
        async with world.connect() as connection:
            assert (await connection.run("x")).stdout == b"None None"

    World(handler).run(test)


def test_nobody_logs_in_without_proof_where_the_portal_has_no_checker_for_it() -> None:
    async def test(world: World) -> None:
        with pytest.raises(sshkit.AuthenticationFailed):
            await world.connect(password=None)

    World(handler, users=PortalUsers(Portal(Homes(), [PasswordChecker({})]))).run(test)
    users = PortalUsers(Portal(Homes(), [KeyChecker({})]))
    assert users.methods() == ("publickey",)
    assert not users.portal.takes(IUsernamePassword)
    assert users.portal.takes(ISSHPublicKey)


def test_r5_an_avatar_that_comes_when_the_client_has_gone_is_logged_out() -> None:
    events: list[str] = []
    waiting: Any = sshkit.Deferred()

    class Slow:
        def request_avatar(self, avatar_id: str, mind: Any, *interfaces: Any) -> Any:
            return waiting

    users = PortalUsers(Portal(Slow(), [PasswordChecker({"ann": "x"})]))
    connection: Any = object()
    logins = users.for_connection(connection)
    answer = logins.check_password("ann", "x")
    logins.connection_ended()
    waiting.callback((None, "avatar", lambda: events.append("out")))
    assert not answer.result()
    assert answer.result().reason == "the client has gone"
    assert events == ["out"]


def test_an_avatar_lends_its_limits_and_nothing_else() -> None:
    from sshkit.cred import Login
    from sshkit.server.portal_users import Avatar

    avatar = Avatar(Login(None, Home("ann"), lambda: None))
    assert avatar.permit_terminal is False
    assert getattr(avatar, "permit_agent_forwarding", True)
    assert not hasattr(avatar, "name")


class Room:
    """Has nothing to say about limits."""


def certify(names: list[str], **more: Any) -> Any:
    return sign_certificate(
        OTHER, KEY.public, role="user", key_id="x", principals=names, random_bytes=os.urandom, **more
    )


def test_r7_what_a_certificate_does_not_permit_holds_behind_a_portal() -> None:
    users = PortalUsers(Portal(AvatarMaker(lambda name: Room()), [KeyChecker(authorities=[OTHER.public])]))
    connection: Any = object()
    logins = users.for_connection(connection)
    assert logins.takes_certificates
    narrow = certify(["ann"], extensions={"permit-agent-forwarding": ""})
    assert logins.check_key("ann", narrow).result() is True
    avatar = logins.check_signed_key("ann", narrow).result()
    assert getattr(avatar, "permit_agent_forwarding", "the server's settings decide") is not False
    assert avatar.permit_terminal is avatar.permit_port_forwarding is avatar.permit_x11_forwarding is False
    for wrong, words in (
        (certify(["bob"]), "does not list 'ann'"),
        (certify(["ann"], critical_options={"force-command": "ls"}), "critical option"),
    ):
        for answer in (logins.check_key("ann", wrong), logins.check_signed_key("ann", wrong)):
            assert not answer
            assert words in answer.reason
