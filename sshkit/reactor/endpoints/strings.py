"""From text to endpoint: looks the kind up in the table and lets its file read the rest.

Called by programs, and by the kinds that wrap another endpoint, with where that one's text begins.
"""

from typing import TYPE_CHECKING, Any

from ..text import shown
from .arguments import Arguments
from .table import CLIENT_GROUP, CLIENT_KINDS, SERVER_GROUP, SERVER_KINDS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sshkit.interfaces import Reactor

    from .base import ClientPlace, ServerPlace


def client_from_string(text: str, reactor: "Reactor | None" = None, *, start: int = 0) -> "ClientPlace":
    """Return the client endpoint that `text` describes, as in ``tcp:host:port`` or ``unix:/path``.

    `reactor` None means the one that runs when `connect` is called.  Raises EndpointError, which says where
    in the text it went wrong.  Nothing is connected or looked up yet.
    """
    place: ClientPlace = _endpoint(text, reactor, CLIENT_KINDS, CLIENT_GROUP, "connect to", start)
    return place


def server_from_string(text: str, reactor: "Reactor | None" = None, *, start: int = 0) -> "ServerPlace":
    """Return the server endpoint that `text` describes, as in ``tcp:8000:interface=127.0.0.1``."""
    place: ServerPlace = _endpoint(text, reactor, SERVER_KINDS, SERVER_GROUP, "listen at", start)
    return place


def _endpoint(
    text: str, reactor: "Reactor | None", kinds: "Mapping[str, str]", group: str, what: str, start: int
) -> Any:
    arguments = Arguments(text, start)
    home = kinds.get(arguments.kind)
    maker = _load(home) if home is not None else _plugin(group, arguments.kind)
    if maker is None:
        known = ", ".join(f"{kind}:" for kind in kinds)
        raise arguments.fault(
            f"no kind {shown(arguments.kind)!r} of place to {what}; there are {known}", start
        )
    endpoint = maker(arguments, reactor)
    arguments.finish()
    return endpoint


def _load(home: str) -> Any:
    from importlib import import_module

    module, _, name = home.partition(":")
    return getattr(import_module(module), name)


def _plugin(group: str, kind: str) -> Any:
    """Return the maker that another package offers under this name, None without one."""
    from importlib.metadata import entry_points

    for entry in entry_points(group=group, name=kind):
        return entry.load()
    return None
