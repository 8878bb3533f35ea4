"""`help()` of a session: plain text, whole, never a pager on the program's terminal.

Called by the session's `help`, and nothing else: unlike `%doc` it runs what `pydoc` runs.
"""

from typing import Any, Final

#: Characters of one answer.
LONGEST_HELP: Final = 200_000

ABOUT: Final = (
    "help(thing) prints what Python knows about it; %help lists the commands of this shell; "
    "%doc thing and %source thing look without running code."
)


def help_text(*request: Any) -> str:
    """Return the documentation of a thing, or of the module, topic or name that a string says."""
    if not request:
        return ABOUT
    import pydoc

    thing = request[0]
    try:
        plain: Any = vars(pydoc)["plaintext"]
        text: str = pydoc.render_doc(thing, "Help on %s", renderer=plain)
    except ImportError as error:
        return str(error)
    return text[:LONGEST_HELP]
