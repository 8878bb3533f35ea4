"""What the keys of the line editor do: moving, killing, changing, history.

Called by `sshkit.terminal.line_editor` through `BINDINGS`: one table from the name of a key to a function.
The names and meanings are those of emacs.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

from .widths import combines

if TYPE_CHECKING:
    from .line_editor import LineEditor


def after(text: str, index: int) -> int:
    """Return where the character at `index` ends, with all that combines with it."""
    index = min(index + 1, len(text))
    while index < len(text) and combines(text[index]):
        index += 1
    return index


def before(text: str, index: int) -> int:
    """Return where the character that ends at `index` begins."""
    index = max(index - 1, 0)
    while index > 0 and combines(text[index]):
        index -= 1
    return index


def _is_word(character: str) -> bool:
    return character.isalnum() or character == "_" or combines(character)


def word_after(text: str, index: int) -> int:
    """Return the end of the word at or behind `index`."""
    while index < len(text) and not _is_word(text[index]):
        index += 1
    while index < len(text) and _is_word(text[index]):
        index += 1
    return index


def word_before(text: str, index: int) -> int:
    """Return the beginning of the word at or before `index`."""
    while index > 0 and not _is_word(text[index - 1]):
        index -= 1
    while index > 0 and _is_word(text[index - 1]):
        index -= 1
    return index


def _to_start(editor: "LineEditor") -> None:
    editor.cursor = 0


def _to_end(editor: "LineEditor") -> None:
    editor.cursor = len(editor.text)


def _left(editor: "LineEditor") -> None:
    editor.cursor = before(editor.text, editor.cursor)


def _right(editor: "LineEditor") -> None:
    editor.cursor = after(editor.text, editor.cursor)


def _word_left(editor: "LineEditor") -> None:
    editor.cursor = word_before(editor.text, editor.cursor)


def _word_right(editor: "LineEditor") -> None:
    editor.cursor = word_after(editor.text, editor.cursor)


def _delete_left(editor: "LineEditor") -> None:
    editor.replace(before(editor.text, editor.cursor), editor.cursor, "")


def _delete_right(editor: "LineEditor") -> None:
    editor.replace(editor.cursor, after(editor.text, editor.cursor), "")


def _kill_to_end(editor: "LineEditor") -> None:
    editor.kill(editor.cursor, len(editor.text), forward=True)


def _kill_to_start(editor: "LineEditor") -> None:
    editor.kill(0, editor.cursor, forward=False)


def _kill_word_right(editor: "LineEditor") -> None:
    editor.kill(editor.cursor, word_after(editor.text, editor.cursor), forward=True)


def _kill_word_left(editor: "LineEditor") -> None:
    editor.kill(word_before(editor.text, editor.cursor), editor.cursor, forward=False)


def _kill_blank_word_left(editor: "LineEditor") -> None:
    head = editor.text[: editor.cursor].rstrip()
    editor.kill(max(head.rfind(" ") + 1, 0), editor.cursor, forward=False)


def _transpose(editor: "LineEditor") -> None:
    text = editor.text
    end = after(text, editor.cursor) if editor.cursor < len(text) else editor.cursor
    middle = before(text, end)
    start = before(text, middle)
    if start == middle:
        editor.bell()
    else:
        editor.replace(start, end, text[middle:end] + text[start:middle])


def _transpose_words(editor: "LineEditor") -> None:
    text = editor.text
    end = word_after(text, editor.cursor)
    second = word_before(text, end)
    start = word_before(text, second)
    first_end = word_after(text, start)
    if first_end > second:
        editor.bell()
    else:
        editor.replace(start, end, text[second:end] + text[first_end:second] + text[start:first_end])


def _change_word(change: Callable[[str], str]) -> "Callable[[LineEditor], None]":
    def act(editor: "LineEditor") -> None:
        end = word_after(editor.text, editor.cursor)
        editor.replace(editor.cursor, end, change(editor.text[editor.cursor : end]))

    return act


def _capitalize(text: str) -> str:
    index = word_before(text, word_after(text, 0))
    return text[:index] + text[index:].capitalize()


Action = Callable[["LineEditor"], None]


def bindings(own: dict[str, Action]) -> dict[str, Action]:
    """Return the table of keys, with the actions that the editor itself brings."""
    return {
        "ctrl-a": _to_start,
        "home": _to_start,
        "ctrl-e": _to_end,
        "end": _to_end,
        "ctrl-b": _left,
        "left": _left,
        "ctrl-f": _right,
        "right": _right,
        "alt-b": _word_left,
        "ctrl-left": _word_left,
        "alt-left": _word_left,
        "alt-f": _word_right,
        "ctrl-right": _word_right,
        "alt-right": _word_right,
        "backspace": _delete_left,
        "ctrl-h": _delete_left,
        "delete": _delete_right,
        "ctrl-k": _kill_to_end,
        "ctrl-u": _kill_to_start,
        "alt-d": _kill_word_right,
        "ctrl-delete": _kill_word_right,
        "alt-backspace": _kill_word_left,
        "ctrl-w": _kill_blank_word_left,
        "ctrl-t": _transpose,
        "alt-t": _transpose_words,
        "alt-u": _change_word(str.upper),
        "alt-l": _change_word(str.lower),
        "alt-c": _change_word(_capitalize),
        **own,
    }
