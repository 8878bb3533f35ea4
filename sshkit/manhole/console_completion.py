"""The menu of completions: `sshkit.manhole.completion`, asked in a thread, shown with kinds and details.

Called by console_application.  Names and details come from the program's objects: control characters in
them are shown escaped.
"""

import re
from collections.abc import AsyncGenerator, Iterable
from typing import TYPE_CHECKING, Any

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document
from sshkit_keys.text import printable

from sshkit.manhole.console_worker import Worker

if TYPE_CHECKING:
    from sshkit.manhole.access import Access
    from sshkit.manhole.completion import Candidate

#: The beginning of a command's name; behind it come names of the program.
COMMAND = re.compile(r"%\w*")
MAX_CANDIDATES = 1000  #: in one menu
MAX_SHOWN = 60  #: characters of a name in the menu
MAX_DETAIL = 60


def may_complete(access: "Access | None", source: str) -> bool:
    """Say whether a key gets a menu: one that may not do everything sees names of commands only.

    Else a menu would show it the program's names, modules and files.
    """
    return access is None or access.kind == "full" or COMMAND.fullmatch(source) is not None


def may_run(access: "Access", text: str) -> bool:
    """Say whether a candidate is a command that this key may run."""
    from sshkit.manhole.magic import MAGICS, allows

    magic = MAGICS.get(text.strip("% "))
    return magic is not None and allows(access, magic)


class NamespaceCompleter(Completer):
    """Completes what is typed by what is there."""

    def __init__(self, namespace: dict[str, Any], access: "Access | None" = None) -> None:
        self._namespace = namespace
        self._access = access
        self._worker = Worker()

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Return nothing: a menu never waits here."""
        return ()

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """Yield what fits, if it is found in time."""
        source, cursor = document.text, document.cursor_position
        if not may_complete(self._access, source):
            return
        namespace = dict(self._namespace)  # it may change while the thread looks

        def find() -> "list[Candidate]":
            from sshkit.manhole.completion import complete

            return complete(source, cursor, namespace)

        allowed = None if self._access is None or self._access.kind == "full" else self._access
        for candidate in (await self._worker.ask(find) or ())[:MAX_CANDIDATES]:
            if allowed is not None and not may_run(allowed, candidate.text):
                continue
            if 0 <= candidate.start <= cursor and candidate.text.isprintable():
                kind, detail = candidate.kind, candidate.detail
                yield Completion(
                    candidate.text,
                    candidate.start - cursor,
                    display=printable(candidate.shown, MAX_SHOWN),
                    display_meta=printable(kind if detail == kind else f"{kind} {detail}", MAX_DETAIL),
                )
