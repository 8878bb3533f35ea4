"""Shells that are recorded, and can be watched while they run and played back after.

    python examples/recorded_shell.py 127.0.0.1:2222 HOST_KEY AUTHORIZED_KEYS FOLDER

``ssh -p 2222 me@127.0.0.1`` is a shell of whoever runs this.  ``ssh -t ... list`` shows who is there,
``watch 3`` looks over the shoulder of session 3 (q leaves), ``play NAME`` shows a recording from FOLDER.
"""

import os
import sys
from typing import Any

import sshkit
from sshkit.server.handled_process import run_process
from sshkit.server.middleware import recording, recover, terminal_required
from sshkit.server.recordings import LiveSessions, play


def make_handler(folder: str) -> Any:
    """Return the handler; recordings go to `folder`."""
    live = LiveSessions()
    router = sshkit.Router()

    @router.route(recover(), terminal_required(), recording(folder, required=True), live.offer(), shell=True)
    async def shell(session: sshkit.Session) -> int | None:
        return await run_process(session, [os.environ.get("SHELL", "/bin/sh")], cwd=os.path.expanduser("~"))

    @router.route(command="list")
    async def listing(session: sshkit.Session) -> None:
        for one in live:
            session.stdout.write(f"{one.number} {one.session.user} watched by {one.watchers}\r\n")
        for name in sorted(os.listdir(folder)):
            session.stdout.write(f"{name}\r\n")

    @router.route(recover("no such session"), command="watch")
    async def watch(session: sshkit.Session) -> int:
        return await live.watch(session, int((session.command or "").split()[1]))

    @router.route(recover("no such recording"), command="play")
    async def replay(session: sshkit.Session) -> int:
        name = os.path.basename((session.command or "").split()[1])
        return await play(session, os.path.join(folder, name), idle_limit=2)

    return router


async def main(address: str, host_key: str, authorized_keys: str, folder: str) -> None:
    """Serve for ever."""
    os.makedirs(folder, mode=0o700, exist_ok=True)
    async with sshkit.serve(
        address, make_handler(folder), host_keys=[host_key], authorized_keys=[authorized_keys]
    ) as server:
        await server.wait_closed()


if __name__ == "__main__":
    sshkit.run(main(*sys.argv[1:]))
