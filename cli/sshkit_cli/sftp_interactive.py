"""The prompt of sshkit-sftp at a terminal: history, and completion of commands and names, there and here.

Called by `sftp_run`.  The prompt runs in a thread, since it brings a loop of its own; it asks the reactor
for remote names.  While a command runs, the terminal is as it was, and ^C is a signal.
"""

import os
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from prompt_toolkit.history import FileHistory, History, InMemoryHistory
from prompt_toolkit.input import create_input
from prompt_toolkit.output import create_output
from sshkit_keys.errors import SSHKitError

from sshkit.deferred import Deferred, ensure_deferred
from sshkit.sftp.errors import SFTPError

from .sftp_commands import VERBS, Quit, Shell
from .sftp_remote import absolute, append, shown
from .sftp_run import until_lost
from .sftp_words import escape, plain, split

if TYPE_CHECKING:
    from .sftp_connect import Command

MAX_NAMES = 1000  #: names that one completion shows
PATIENCE = 15.0  #: seconds that a completion waits for the server


class Names(Completer):
    """Completes the word before the cursor."""

    def __init__(self, command: "Command", shell: Shell) -> None:
        self._command = command
        self._shell = shell

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Go through what the word may become."""
        text = document.text_before_cursor
        try:
            found = split(text, unfinished=True)
        except SSHKitError:
            return
        words = list(found.words)
        at_word = found.open or not text[-1:].isspace()
        word = words.pop() if words and at_word else ""
        if not words:
            for verb in sorted(VERBS):
                if verb.startswith(word.lower()) and verb != "?":
                    yield Completion(verb + " ", -len(word), display=verb)
            return
        kind = VERBS[words[0].lower()].names if words[0].lower() in VERBS else ""
        if word.startswith("-") or not kind:
            return
        if words[0].lower() in TURNED and len([part for part in words[1:] if part[:1] != "-"]) > 0:
            kind = "local" if kind == "remote" else "remote"
        quote = found.quote if found.open else ""
        yield from self._names(plain(word), kind, quote, _typed(text, found.open, quote))

    def _names(self, word: str, kind: str, quote: str, typed: int) -> Iterator[Completion]:
        folder, slash, begin = word.rpartition("/")
        where = folder + slash
        try:
            names = self._remote(where) if kind == "remote" else _local(where)
        except (SSHKitError, OSError):
            return
        count = 0
        for name, is_folder in names:
            if name.startswith(begin) and (begin or not name.startswith(".")):
                count += 1
                if count > MAX_NAMES:
                    return
                end = "/" if is_folder else f"{quote} "
                yield Completion(
                    quote + escape(where + name, quote) + end, -typed, display=shown(name) + end.strip("'\" ")
                )

    def _remote(self, folder: str) -> list[tuple[str, bool]]:
        """Ask the server, from the prompt's thread."""
        path = absolute(folder, self._shell.folder)
        client = self._shell.client

        async def listing() -> list[tuple[str, bool]]:
            found: list[tuple[str, bool]] = []
            async for entry in client.scandir(os.fsencode(path)):
                is_folder = entry.is_dir
                if entry.is_link and len(found) < MAX_NAMES:
                    try:
                        is_folder = await client.is_dir(os.fsencode(append(path, entry.name)))
                    except SFTPError:
                        is_folder = False
                found.append((entry.name, is_folder))
            return sorted(found)

        answer: list[tuple[str, bool]] = self._command.reactor.blocking_call_from_thread(
            lambda: ensure_deferred(listing()), timeout=PATIENCE
        )
        return answer


#: Commands whose second name is of the other machine.
TURNED = {"get", "reget", "mget", "put", "reput", "mput"}


def _local(folder: str) -> list[tuple[str, bool]]:
    with os.scandir(os.path.expanduser(folder) or ".") as entries:
        return sorted((entry.name, entry.is_dir()) for entry in entries)


def _typed(text: str, is_open: bool, quote: str) -> int:
    """Return how many characters in front of the cursor the word has as it was typed."""
    position = len(text)
    if is_open:
        return position - text.rindex(quote)
    while position and not (text[position - 1].isspace() and (position < 2 or text[position - 2] != "\\")):
        position -= 1
    return len(text) - position


def history() -> History:
    """Return the history of earlier sessions, where there is a place to keep it."""
    folder = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
    path = os.path.join(folder, "sshkit", "sftp_history")
    try:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600))
    except OSError:
        return InMemoryHistory()
    return FileHistory(path)


async def interact(command: "Command", shell: Shell, do: Callable[[str], Awaitable[bool]]) -> None:
    """Ask for commands and do them until the user has had enough."""
    session: PromptSession[str] = PromptSession(
        history=history(),
        completer=Names(command, shell),
        complete_while_typing=False,
        # The descriptors themselves, whatever stands in front of them.
        input=create_input(os.fdopen(0, closefd=False)),
        output=create_output(os.fdopen(1, "w", closefd=False)),
    )

    def ask() -> str | None:
        try:
            return session.prompt("sftp> ", handle_sigint=False)
        except KeyboardInterrupt:
            return ""
        except EOFError:
            return None

    def give_up(_: Any) -> None:
        loop = session.app.loop
        if loop is not None and session.app.is_running:
            loop.call_soon_threadsafe(lambda: session.app.exit(exception=EOFError()))

    while True:
        waiting: Deferred[Any] = Deferred(give_up)

        def asked(outcome: Any, waiting: Deferred[Any] = waiting) -> None:
            if not waiting.called:  # nobody waits any more where the session was lost
                waiting.callback(outcome)

        command.reactor.defer_to_thread(ask).add_both(asked)
        line = await until_lost(waiting, shell.client)
        if line is None:
            return
        try:
            await do(line)
        except Quit:
            return
