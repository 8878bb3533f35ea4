"""What a key may do in a manhole: everything, look without touching, or a few named commands.

Made by whoever serves a manhole, one `Access` a key; asked by the interpreter before anything runs.
`EXPRESSIONS` is held by `sshkit.manhole.expressions`, which evaluates without running the program's code.
"""

from typing import Final

from sshkit_keys.errors import SSHKitError

KINDS: Final = ("full", "expressions", "commands")


class NotAllowed(SSHKitError):
    """This key may not run that; nothing was run."""


class Access:
    """What a key may do; immutable."""

    __slots__ = ("commands", "kind")

    kind: str  #: "full", "expressions" or "commands"
    commands: frozenset[str]  #: names of the magic commands, without the percent sign, for "commands"

    def __init__(self, kind: str, commands: frozenset[str] = frozenset()) -> None:
        if kind not in KINDS:
            raise ValueError(f"the kind of access is one of {', '.join(KINDS)}, not {kind!r}")
        object.__setattr__(self, "kind", kind)
        object.__setattr__(self, "commands", commands)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"an Access cannot be changed ({name})")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"an Access cannot be changed ({name})")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Access) and (self.kind, self.commands) == (other.kind, other.commands)

    def __hash__(self) -> int:
        return hash((self.kind, self.commands))

    def __repr__(self) -> str:
        names = f": {', '.join(sorted(self.commands))}" if self.commands else ""
        return f"<Access {self.kind}{names}>"

    def allowed(self) -> str:
        """Say in a few words what is allowed, for messages and banners."""
        if self.kind == "full":
            return "everything"
        if self.kind == "expressions":
            return "reading: expressions that change nothing and run no code of the program"
        names = ", ".join(f"%{name}" for name in sorted(self.commands))
        return f"the commands {names}" if names else "nothing"


FULL: Final = Access("full")
EXPRESSIONS: Final = Access("expressions")


def commands_only(*names: str) -> Access:
    """Allow the named magic commands and nothing else; a leading percent sign may be given or not."""
    return Access("commands", frozenset(name.removeprefix("%") for name in names))
