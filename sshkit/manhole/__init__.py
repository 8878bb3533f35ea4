"""A Python shell in a running program, reached over SSH: `serve` and what it takes.

``async with sshkit.manhole.serve(globals(), "127.0.0.1", 0) as manhole: print(manhole.port)``.  Nothing but
this table is loaded before it is asked for; prompt_toolkit comes with the first session that has a terminal.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sshkit.manhole.access import EXPRESSIONS, FULL, Access, NotAllowed, commands_only
    from sshkit.manhole.audit import Audit
    from sshkit.manhole.display import Limits
    from sshkit.manhole.doors import BackgroundManhole, Manhole, serve, start
    from sshkit.manhole.interpreter import Interpreter, Outcome
    from sshkit.manhole.over_telnet import serve_telnet
    from sshkit.manhole.settings import ManholeSettings, Person

#: Public name -> the module that has it.
_HOMES = {
    "Access": "access",
    "Audit": "audit",
    "BackgroundManhole": "doors",
    "EXPRESSIONS": "access",
    "FULL": "access",
    "Interpreter": "interpreter",
    "Limits": "display",
    "Manhole": "doors",
    "ManholeSettings": "settings",
    "NotAllowed": "access",
    "Outcome": "interpreter",
    "Person": "settings",
    "commands_only": "access",
    "serve": "doors",
    "serve_telnet": "over_telnet",
    "start": "doors",
}

__all__ = [
    "EXPRESSIONS",
    "FULL",
    "Access",
    "Audit",
    "BackgroundManhole",
    "Interpreter",
    "Limits",
    "Manhole",
    "ManholeSettings",
    "NotAllowed",
    "Outcome",
    "Person",
    "commands_only",
    "serve",
    "serve_telnet",
    "start",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'sshkit.manhole' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(f"sshkit.manhole.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
