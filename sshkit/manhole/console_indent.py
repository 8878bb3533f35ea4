"""What enter, tab and backspace do to Python source while it is edited: pure functions.

Called by console_keys.  An input is run when the interpreter finds it complete; a block that is still
indented wants one more empty line, as everywhere.
"""

from collections.abc import Callable

INDENT = 4  #: columns of one step
_LEAVES = ("return", "raise", "break", "continue", "pass")


def indentation(line: str) -> str:
    """Return the white space at the beginning of a line."""
    return line[: len(line) - len(line.lstrip(" \t"))]


def next_indentation(line: str) -> str:
    """Return what a line after `line` begins with: deeper after a colon, back after the end of a block."""
    indent = indentation(line)
    code = line.strip()
    if code.partition("#")[0].rstrip().endswith((":", "(", "[", "{")):
        return indent + " " * INDENT
    if code.split(" ", 1)[0] in _LEAVES and len(indent) >= INDENT:
        return indent[:-INDENT]
    return indent


def is_ready(source: str, cursor: int, state: Callable[[str], str]) -> bool:
    """True if enter shall run the source rather than begin a line."""
    if source[cursor:].strip():
        # In the middle of several lines enter is an editing key; in one line it is not.
        return "\n" not in source.strip() and state(source) != "incomplete"
    code = source.rstrip()
    if not code:
        return True
    lines = source.split("\n")
    if state(code if len(lines) == 1 else code + "\n") == "incomplete":
        # An empty line more may be all that is missing: to an interpreter that waits for it.
        return len(lines) > 2 and not lines[-1].strip() and state(code + "\n\n") != "incomplete"
    if len(lines) == 1 or not lines[-1].strip():
        return True
    return not lines[-1].startswith((" ", "\t")) or lines[-1].lstrip()[0] in ")]}"


def backspaces(before: str) -> int:
    """Return how many characters backspace takes where `before` stands before the cursor in its line."""
    if before and not before.strip(" "):
        return (len(before) - 1) % INDENT + 1
    return 1


def is_blank_before(before: str) -> bool:
    """True where tab indents: nothing but white space stands before the cursor in its line."""
    return not before.strip()
