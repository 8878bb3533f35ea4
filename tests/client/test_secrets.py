"""Nothing secret is in any text that a program might log (R43)."""

import gc
import io
import logging
import traceback
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import generate_private_key

import sshkit
from sshkit.client.credentials import FileCredentials
from sshkit.client.host_keys import HostKeyVerifier
from tests.client.world import HOST_KEY, USER_KEY, World, key_file

PASSWORD, PASSPHRASE, ANSWER = "s3cret-password", "s3cret-passphrase", "s3cret-answer"
SECRET = "s3cret"


def test_r43_no_object_of_a_connection_shows_a_secret(world: World, tmp_path: Path) -> None:
    locked = key_file(tmp_path, "locked", USER_KEY, PASSPHRASE.encode())

    async def main() -> None:
        users = sshkit.Users({"me": PASSWORD}, {"me": [USER_KEY.public]}, chain=("publickey", "password"))
        async with (
            world.serve(users=users) as server,
            world.connect(
                identities=[locked], passphrase=PASSPHRASE, password=PASSWORD, answers=lambda *_: [ANSWER]
            ) as connection,
        ):
            await connection.run("x")
            process = await connection.start("cat")
            texts = [
                repr(thing) for thing in gc.get_objects() if str(type(thing).__module__).startswith("sshkit")
            ]
            assert len(texts) > 100
            texts += [repr(thing) for thing in (server, users, server.connections, process, connection)]
            for text in texts:
                assert SECRET not in text
            process.close()

    world.run(main())
    assert not [line for line in world.log + world.said if SECRET in line]


def test_r43_a_private_key_does_not_show_itself() -> None:
    for kind in ("ed25519", "ecdsa", "rsa"):
        key = generate_private_key(kind, 2048 if kind == "rsa" else None)
        for text in (repr(key), str(key), f"{key}"):
            assert len(text) < 200
            assert "PRIVATE KEY" not in text


def test_r43_what_holds_secrets_does_not_show_them() -> None:
    credentials = FileCredentials([], password=PASSWORD, passphrase=PASSPHRASE)
    for thing in (credentials, HostKeyVerifier("host", 22, trusted=[HOST_KEY.public])):
        assert SECRET not in repr(thing)


@pytest.mark.parametrize("refused", [False, True])
def test_r43_neither_log_nor_traceback_of_a_login_holds_a_secret(world: World, refused: bool) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    logging.getLogger().addHandler(handler)
    level = logging.getLogger().level
    logging.getLogger().setLevel(logging.DEBUG)
    shown: list[str] = []

    async def main() -> Any:
        async with world.serve(users=sshkit.Users({"me": "other" if refused else PASSWORD}), log=None):
            try:
                async with world.connect(identities=[], password=PASSWORD) as connection:
                    await connection.run("exit 3", check=True)
            except sshkit.SSHKitError as error:
                shown.append("".join(traceback.format_exception(error)))

    try:
        world.run(main())
    finally:
        logging.getLogger().removeHandler(handler)
        logging.getLogger().setLevel(level)
    assert shown
    assert SECRET not in shown[0] + stream.getvalue()
