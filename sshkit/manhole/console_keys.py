"""What keys do in a console beyond emacs' and vi's own, which prompt_toolkit has.

Called by console_application.  There is deliberately no key that starts an editor or a shell of the
server's, and none that suspends.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from prompt_toolkit.application.current import get_app
from prompt_toolkit.enums import DEFAULT_BUFFER, EditingMode
from prompt_toolkit.filters import Condition
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.key_binding.defaults import load_key_bindings

from sshkit.manhole.console_indent import INDENT, backspaces, is_blank_before, is_ready, next_indentation

if TYPE_CHECKING:
    from prompt_toolkit.key_binding import KeyBindingsBase

    from sshkit.manhole.console_application import Editor


@lru_cache(1)
def shared_bindings() -> "KeyBindingsBase":
    """Return prompt_toolkit's bindings, made once: they keep nothing of a session.

    Each application makes its own otherwise, with filters that prompt_toolkit's caches never forget.
    """
    return load_key_bindings()


def console_bindings(editor: "Editor") -> KeyBindings:
    """Return the bindings of one console."""
    bindings = KeyBindings()

    # Filters of a session are the left operand of `&`, or not combined at all: the left one keeps both.
    def editing() -> bool:
        return get_app().current_buffer.name == DEFAULT_BUFFER

    def on_code() -> bool:
        return editing() and editor.code

    def empty() -> bool:
        return editing() and not editor.buffer.text

    def in_indent() -> bool:
        return on_code() and is_blank_before(editor.buffer.document.current_line_before_cursor)

    def documented() -> bool:
        return bool(editor.hints.documentation)

    def add(*keys: str, when: Callable[[], bool] = editing, eager: bool = False) -> Callable[[Any], Any]:
        return bindings.add(*keys, filter=Condition(when), eager=eager)

    @add("enter")
    def _enter(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.complete_state is not None and buffer.complete_state.current_completion is not None:
            buffer.complete_state = None  # what is chosen in the menu is taken; nothing runs yet
            return
        buffer.complete_state = None
        if not editor.code or is_ready(buffer.text, buffer.cursor_position, editor.state):
            editor.accept()
        else:
            _new_line(event)

    @add("escape", "enter", when=on_code)
    def _new_line(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        indent = next_indentation(buffer.document.current_line_before_cursor)
        buffer.insert_text("\n" + indent)

    @add("tab", when=on_code)
    def _tab(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        before = buffer.document.current_line_before_cursor
        if buffer.complete_state is not None:
            buffer.complete_next()
        elif is_blank_before(before):
            buffer.insert_text(" " * (INDENT - len(before) % INDENT))
        else:
            buffer.start_completion(insert_common_part=True)

    @add("s-tab", when=on_code)
    def _back_tab(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        before = buffer.document.current_line_before_cursor
        if buffer.complete_state is not None:
            buffer.complete_previous()
        elif before and is_blank_before(before):
            buffer.delete_before_cursor(backspaces(before))

    @add("backspace", when=lambda: in_indent() and bool(editor.buffer.document.current_line_before_cursor))
    def _backspace(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.selection_state is not None:
            buffer.cut_selection()
        else:
            buffer.delete_before_cursor(backspaces(buffer.document.current_line_before_cursor))

    @add("c-c")
    @add("<sigint>")
    def _interrupt(event: KeyPressEvent) -> None:
        event.app.exit(exception=KeyboardInterrupt(), style="class:aborting")

    @add("c-d", when=empty)
    def _end(event: KeyPressEvent) -> None:
        event.app.exit(exception=EOFError(), style="class:exiting")

    @add("c-z")
    def _suspend(event: KeyPressEvent) -> None:
        """Nothing is suspended, and no ^Z is typed."""

    @add("f1", when=on_code)
    @add("c-@", "c-@", when=on_code)
    def _document(event: KeyPressEvent) -> None:
        editor.hints.toggle_documentation()

    @add("escape", when=documented)
    def _close_documentation(event: KeyPressEvent) -> None:
        editor.hints.documentation = ""

    @add("f4")
    def _other_mode(event: KeyPressEvent) -> None:
        app = event.app
        app.editing_mode = EditingMode.EMACS if app.editing_mode == EditingMode.VI else EditingMode.VI

    return bindings
