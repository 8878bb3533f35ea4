"""A chat in a terminal: everybody who connects has a prompt of his own.  Needs prompt_toolkit.

python examples/terminal_program.py 127.0.0.1:2222 HOST_KEY AUTHORIZED_KEYS
ssh -t -p 2222 ann@127.0.0.1
"""

import sys
from typing import Any

import sshkit
from sshkit.server.middleware import chain, deadline, terminal_required
from sshkit.server.terminal_programs import prompt_toolkit_session


def make_handler() -> Any:
    """Return the handler of a chat."""
    members: set[Any] = set()

    async def chat(session: sshkit.Session) -> None:
        from prompt_toolkit import PromptSession
        from prompt_toolkit.application import in_terminal

        async with prompt_toolkit_session(session):
            prompts: PromptSession[str] = PromptSession(f"{session.user}> ", erase_when_done=True)
            waiting: list[str] = []

            async def show() -> None:
                async with in_terminal():
                    while waiting:
                        session.stdout.write(waiting.pop(0))

            def hear(line: str) -> None:
                waiting.append(line)
                prompts.app.create_background_task(show())

            members.add(hear)
            try:
                while True:
                    text = await prompts.prompt_async()
                    for member in tuple(members):
                        member(f"{session.user}: {text}\r\n")
            except (EOFError, KeyboardInterrupt):
                session.stdout.write("bye\r\n")
            finally:
                members.discard(hear)

    return chain(chat, terminal_required(), deadline(idle=3600))


async def main(address: str, host_key: str, authorized_keys: str) -> None:
    """Serve for ever."""
    async with sshkit.serve(
        address, make_handler(), host_keys=[host_key], authorized_keys=[authorized_keys]
    ) as server:
        await server.wait_closed()


if __name__ == "__main__":
    sshkit.run(main(*sys.argv[1:]))
