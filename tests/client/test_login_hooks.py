"""Hooks of a login answer with values, coroutines or Deferreds; keys on tokens sign beside the loop."""

import threading
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import generate_private_key
from sshkit_keys.wire import string, uint32

import sshkit
from sshkit.deferred import succeed
from tests.client.world import OTHER_KEY, USER_KEY, World, key_file

KINDS = ["value", "coroutine", "deferred"]


def answering(kind: str, value: Any) -> Any:
    """Return a hook that answers in one of the three ways."""

    async def coroutine(*_: Any) -> Any:
        return value

    return {"value": lambda *_: value, "coroutine": coroutine, "deferred": lambda *_: succeed(value)}[kind]


def login(world: World, users: Any, **options: Any) -> list[str]:
    async def main() -> list[str]:
        async with world.serve(users=users), world.connect(**options) as connection:
            return [f"{attempt.method} {attempt.verdict}" for attempt in connection.trail]

    return world.run(main())


class OnlyPasswords(sshkit.Users):
    def methods(self) -> tuple[str, ...]:
        return ("password",)


class OnlyDialogue(sshkit.Users):
    def methods(self) -> tuple[str, ...]:
        return ("keyboard-interactive",)


@pytest.mark.parametrize("kind", KINDS)
def test_passwords_and_answers(world: World, kind: str) -> None:
    users = OnlyPasswords({"me": "word"})
    assert login(world, users, identities=[], password=answering(kind, "word"))[-1] == "password accepted"
    dialogue = OnlyDialogue({"me": "word"})
    for hooks in ({"answers": answering(kind, ["word"])}, {"password": answering(kind, "word")}):
        assert login(world, dialogue, identities=[], **hooks)[-1] == "keyboard-interactive accepted"


@pytest.mark.parametrize("kind", KINDS)
def test_passphrases(world: World, tmp_path: Path, kind: str) -> None:
    path = key_file(tmp_path, "key", USER_KEY, b"sesame")
    users = sshkit.EveryUser([USER_KEY.public])
    trail = login(world, users, identities=[path], passphrase=answering(kind, "sesame"))
    assert trail == ["publickey accepted"]


class Expired(OnlyPasswords):
    def check_password(self, user: str, password: str) -> Any:
        return sshkit.PasswordExpired("change it") if super().check_password(user, password) else False

    async def change_password(self, user: str, old: str, new: str) -> Any:
        return old == "word" and new == "new"


@pytest.mark.parametrize("config", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_new_passwords(world: World, tmp_path: Path, kind: str, config: bool) -> None:
    (tmp_path / "config").write_text("")
    place: Any = tmp_path / "config" if config else False
    options: Any = {"identities": [], "password": "word", "config": place}
    for answer in ("new", ("word", "new")):
        change = answering(kind, answer)
        trail = login(world, Expired({"me": "word"}), change_password=change, **options)
        assert trail == ["password refused", "password accepted"]
    with pytest.raises(sshkit.AuthenticationFailed, match="the server wants a new password: change it"):
        login(world, Expired({"me": "word"}), **options)


def test_r09_a_password_that_has_run_out_is_no_password_elsewhere(world: World) -> None:
    class Both(Expired):
        def methods(self) -> tuple[str, ...]:
            return ("keyboard-interactive",)

    with pytest.raises(sshkit.AuthenticationFailed):
        login(world, Both({"me": "word"}), identities=[], password="word")

    class Fixed(OnlyPasswords):
        def check_password(self, user: str, password: str) -> Any:
            return sshkit.PasswordExpired("x")

    with pytest.raises(sshkit.AuthenticationFailed):
        login(world, Fixed(), identities=[], password="word", change_password=lambda prompt: "new")


class Token:
    """A security key in software, in place of the device that python-fido2 finds."""

    def __init__(self) -> None:
        self.secret = OTHER_KEY
        self.threads: list[str] = []

    def key(self) -> Any:
        """Return the private key that lies on the token."""
        from sshkit_keys.security_keys import SKEd25519PrivateKey, SKEd25519PublicKey
        from sshkit_keys.wire import WireReader

        name = "sk-ssh-ed25519@openssh.com"
        blob = string(name) + self.secret.public.blob[len(string("ssh-ed25519")) :] + string("ssh:")
        reader = WireReader(blob)
        reader.view("key type")
        return SKEd25519PrivateKey(SKEd25519PublicKey.read(name, reader, blob, "token"), b"handle", 1)

    def sign(self, key: Any, data: bytes) -> bytes:
        from hashlib import sha256

        self.threads.append(threading.current_thread().name)
        flags, counter = b"\1", uint32(7)
        signed = sha256(b"ssh:").digest() + flags + counter + sha256(data).digest()
        inner = self.secret.sign("ssh-ed25519", signed)[len(string("ssh-ed25519")) + 4 :]
        return string(key.public.key_type) + string(inner) + flags + counter


@pytest.fixture
def token(monkeypatch: pytest.MonkeyPatch) -> Token:
    token = Token()
    monkeypatch.setattr("sshkit_keys.security_key_devices.sign_with_device", token.sign)
    return token


@pytest.mark.parametrize("kind", ["file", "locked", "object"])
def test_a_key_on_a_token_signs_in_a_thread_and_tells_that_a_touch_is_awaited(
    tmp_path: Path, token: Token, kind: str
) -> None:
    key = token.key()
    said: list[str] = []
    identity: Any = key
    if kind != "object":
        identity = key_file(tmp_path, "id_sk", key, b"sesame" if kind == "locked" else None)
    host_key = generate_private_key("ed25519")

    async def main() -> list[str]:
        async with (
            sshkit.serve(
                "127.0.0.1:0",
                lambda session: None,
                host_keys=[host_key],
                users=sshkit.EveryUser([key.public]),
                log=lambda *_: None,
            ) as server,
            sshkit.connect(
                f"me@127.0.0.1:{server.address[1]}",
                identities=[identity],
                passphrase="sesame",
                host_keys=[host_key.public],
                warn=said.append,
            ) as connection,
        ):
            return [f"{attempt.method} {attempt.verdict}" for attempt in connection.trail]

    assert sshkit.run(main()) == ["publickey accepted"]
    assert said == [f"Confirm user presence for key ED25519-SK {key.public.fingerprint()}\n"]
    assert token.threads != [threading.main_thread().name]
