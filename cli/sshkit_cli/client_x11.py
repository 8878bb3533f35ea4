"""ForwardX11: the display that programs at the server may draw on (ssh_config(5)).

Called by `client_run` before the session opens, and by whoever opens one for another command.
"""

import os
from typing import TYPE_CHECKING

from sshkit_keys.errors import SSHKitError

from sshkit.deferred import Deferred, Failure, succeed

if TYPE_CHECKING:
    from sshkit.client.connection import ClientConnection
    from sshkit.client.target import Target
    from sshkit.forwarding.x11 import X11Grant

    from .log import Log


def allow_x11(connection: "ClientConnection", target: "Target", log: "Log") -> "Deferred[X11Grant | None]":
    """Let the server use the display; fires with what the session asks with, or with None."""
    options = target.options
    display = os.environ.get("DISPLAY", "")
    if not display:
        log.debug("X11 forwarding is wanted, but DISPLAY names no display")
        return succeed(None)
    from sshkit.forwarding.x11 import X11Options

    trusted = options.forward_x11_trusted.value
    wanted = X11Options(
        display,
        trusted,
        float(options.forward_x11_timeout.value),
        options.xauth_location.value,
    )

    def granted(grant: "X11Grant") -> "X11Grant":
        forwarding = connection.x11_forwarding
        assert forwarding is not None
        forwarding.note = lambda text: log.info(f"X11: {text}")
        if grant.is_open_display:
            log.info(
                "Warning: xauth knows no cookie for the display; X11 forwarding goes on with a false one."
            )
        return grant

    def failed(failure: Failure) -> None:
        failure.trap(SSHKitError, OSError)
        error = failure.exception
        kind = "" if trusted else "untrusted "
        log.info(f"Warning: {kind}X11 forwarding is not set up: {error}")

    return connection.allow_x11(wanted).add_callbacks(granted, failed)
