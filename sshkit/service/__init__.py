"""Long-running programs: services, their life as a process, logging, plug-ins.

`sshkit.service` loads nothing until a name is asked for.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .base import ContextService, MultiService, Service
    from .errors import (
        NotAlone,
        OptionError,
        PidFileError,
        ServiceError,
        ServiceStartError,
        ServiceStopError,
    )
    from .logs import JSONFormatter, TextFormatter, log_context
    from .options import ProgramOptions, add_program_options, program_options
    from .pid_file import PidFile
    from .plugins import Plugin, PluginError, load_plugins
    from .running import run_service

__all__ = [
    "ContextService",
    "JSONFormatter",
    "MultiService",
    "NotAlone",
    "OptionError",
    "PidFile",
    "PidFileError",
    "Plugin",
    "PluginError",
    "ProgramOptions",
    "Service",
    "ServiceError",
    "ServiceStartError",
    "ServiceStopError",
    "TextFormatter",
    "add_program_options",
    "load_plugins",
    "log_context",
    "program_options",
    "run_service",
]

_HOMES = {
    "base": ("ContextService", "MultiService", "Service"),
    "errors": (
        "NotAlone",
        "OptionError",
        "PidFileError",
        "ServiceError",
        "ServiceStartError",
        "ServiceStopError",
    ),
    "logs": ("JSONFormatter", "TextFormatter", "log_context"),
    "options": ("ProgramOptions", "add_program_options", "program_options"),
    "pid_file": ("PidFile",),
    "plugins": ("Plugin", "PluginError", "load_plugins"),
    "running": ("run_service",),
}


def __getattr__(name: str) -> Any:
    from importlib import import_module

    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
