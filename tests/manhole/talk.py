"""A session of the manhole for tests: what it was told, and what it showed."""

from collections.abc import Callable, Coroutine
from typing import Any

import sshkit
from sshkit.manhole.interpreter import Interpreter, Outcome


class Talk:
    """One interpreter whose output is kept."""

    def __init__(self, namespace: dict[str, Any] | None = None, **options: Any) -> None:
        self.shown = ""
        self.session = Interpreter({} if namespace is None else namespace, write=self._write, **options)
        self.outcome = Outcome(False, False, None)

    def _write(self, text: str) -> None:
        self.shown += text

    async def say(self, source: str) -> str:
        """Run an input; return what was shown meanwhile."""
        before = len(self.shown)
        self.outcome = await self.session.run(source)
        return self.shown[before:]


def run(test: Callable[[Talk], Coroutine[Any, Any, None]], **options: Any) -> Talk:
    """Run a test with a session on our reactor without asyncio."""
    engine = options.pop("engine", "native")

    async def main() -> Talk:
        talk = Talk(**options)
        try:
            await test(talk)
        finally:
            talk.session.close()
        return talk

    return sshkit.run(main(), engine)


def answers(*inputs: str, **options: Any) -> list[str]:
    """Run inputs in one session and return what each showed."""
    found: list[str] = []

    async def test(talk: Talk) -> None:
        for source in inputs:
            found.append(await talk.say(source))

    run(test, **options)
    return found
