"""Which handler serves a session."""

from typing import Any

import pytest

import sshkit
from sshkit.server.middleware import recover
from tests.server.test_serve import KEY, World


def says(word: str) -> Any:
    async def handler(session: sshkit.Session) -> None:
        session.stdout.write(word)

    return handler


def make_router() -> sshkit.Router:
    router = sshkit.Router()
    router.route(user="git", command=["git-*"])(says("git"))
    router.route(subsystem="stats*")(says("stats"))
    router.route(environment={"LC_MODE": "x?"})(says("mode"))
    router.route(command="plain", terminal=False)(says("plain"))
    router.route(shell=True, terminal=True)(says("shell"))
    return router


@pytest.mark.parametrize(
    ("user", "asked", "word"),
    [
        ("git", {"command": "git-upload-pack 'x'"}, b"git"),
        ("ann", {"command": "git-upload-pack 'x'"}, b""),
        ("git", {"command": "plain"}, b"plain"),
        ("git", {"command": "plain", "terminal": "xterm"}, b""),
        ("git", {"command": ""}, b""),
        ("ann", {"command": None, "terminal": "xterm"}, b"shell"),
        ("ann", {"command": None}, b""),
        ("ann", {"command": "x", "environment": {"LC_MODE": "xy"}}, b"mode"),
        ("ann", {"command": "x", "environment": {"LC_MODE": "z"}}, b""),
    ],
)
def test_a_session_goes_to_the_first_route_that_fits(user: str, asked: dict[str, Any], word: bytes) -> None:
    async def test(world: World) -> None:
        async with world.connect(user) as connection:
            process = await connection.start(**asked)
            result = await process.communicate()
            assert result.stdout == word
            assert result.exit_status == (0 if word else 127)
            assert result.stderr.startswith(b"nothing here serves this: ") or word

    World(make_router(), passwords={"git": "secret", "ann": "secret"}).run(test)


def test_subsystems_and_keys_have_routes() -> None:
    router = make_router()
    router.route(recover(), key=KEY.public.fingerprint())(says("key"))

    async def test(world: World) -> None:
        async with world.connect(identities=[KEY], password=None) as connection:
            for name, word in (("statistics", b""), ("stats2", b"stats")):
                process = await connection.subsystem(name)
                result = await process.communicate()
                assert result.stdout == (word or b"key")
            assert (await connection.run("x")).stdout == b"key"

    World(router, authorized_keys=[KEY.public]).run(test)
    with pytest.raises(ValueError, match="not a fingerprint"):
        router.route(key="aa:bb")


def test_what_no_route_fits_goes_to_the_default() -> None:
    router = make_router()
    router.route(key=KEY.public.fingerprint())(says("key"))
    router.default(says("default"))

    async def test(world: World) -> None:
        async with world.connect() as connection:
            assert (await connection.run("x")).stdout == b"default"

    World(router).run(test)


def test_r36_what_is_not_served_is_named_without_control_characters() -> None:
    async def test(world: World) -> None:
        async with world.connect() as connection:
            result = await connection.run("x\x1b[2J\u202e")
            assert result.stderr == b"nothing here serves this: command 'x\\x1b[2J\\u202e'\n"

    World(sshkit.Router()).run(test)
