"""Plug-ins: what other distributions offer by entry points.

A plug-in that cannot be loaded is told with the distribution that it is of, and keeps nobody else out.
Nothing is loaded but the group that the program names.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from sshkit_keys.errors import SSHKitError

from sshkit.reactor.text import shown, shown_error

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint


class Plugin(NamedTuple):
    """A plug-in that is loaded."""

    name: str
    distribution: str  #: name and version of who offers it
    value: Any  #: the object that the entry point names


class PluginError(SSHKitError):
    """A plug-in cannot be loaded; the message names it, its distribution and the cause."""


def load_plugins(group: str, *, on_error: Callable[[PluginError], object] | None = None) -> list[Plugin]:
    """Load the entry points of `group`, sorted by their names.

    `on_error` is called with the error of each that fails; without it the error is logged as a warning.
    """
    from importlib.metadata import entry_points

    found = []
    for point in sorted(entry_points(group=group), key=lambda point: (point.name, _distribution(point))):
        distribution = _distribution(point)
        try:
            found.append(Plugin(point.name, distribution, point.load()))
        except (Exception, SystemExit) as cause:  # a module that exits when imported is broken too
            error = PluginError(
                f"plug-in '{shown(point.name)}' ({shown(point.value)}) of {distribution}, group "
                f"'{shown(group)}': {type(cause).__name__}: {shown_error(cause)}"
            )
            error.__cause__ = cause
            (on_error or _log)(error)
    return found


def _distribution(point: "EntryPoint") -> str:
    if point.dist is None:
        return "an unknown distribution"
    return shown(f"{point.dist.name} {point.dist.version}")


def _log(error: PluginError) -> None:
    import logging

    logging.getLogger("sshkit.service").warning("%s", error, exc_info=error.__cause__)
