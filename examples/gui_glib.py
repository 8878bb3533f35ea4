"""A program on GLib's main loop that prints what a remote command prints.  Needs PyGObject.

python examples/gui_glib.py user@host "journalctl -f"

A GTK program does the same with its Gtk.Application in place of the main loop: `glib.attach(app)`, then
`app.run()`.
"""

import sys
from collections.abc import Callable
from typing import Any

from gi.repository import GLib

import sshkit
from sshkit.reactor.engines import glib

#: Seconds between two words that all is well.
REPORT_EVERY = 10


async def show_output(add: Callable[[str], object], where: str, command: str, **options: Any) -> None:
    """Run the command on the host; each line goes to `add`, and how it ended."""
    try:
        async with sshkit.connect(where, **options) as connection, await connection.start(command) as process:
            async for line in process.stdout:
                add(line.decode(errors="replace").rstrip("\n"))
            result = await process.wait()
        add(f"{command}: ended with {result.exit_status}")
    except sshkit.SSHKitError as error:
        add(f"{command}: {error}")


def main(where: str, command: str, **options: Any) -> None:
    """Print until the command ends; GLib's own timer lives beside it."""
    loop = GLib.MainLoop()

    async def program() -> None:
        try:
            await show_output(print, where, command, **options)
        finally:
            loop.quit()

    def still_here() -> bool:
        print(f"({command} is watched)", file=sys.stderr)
        return True

    timer = GLib.timeout_add_seconds(REPORT_EVERY, still_here)
    with glib.attach() as reactor:
        reactor.start(program())
        loop.run()
    GLib.source_remove(timer)


if __name__ == "__main__":
    main(*sys.argv[1:])
