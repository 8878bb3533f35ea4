"""A window of Tk that shows what a remote command prints, line by line.  Needs tkinter (python3-tk).

python examples/gui_tk.py user@host "journalctl -f"
"""

import sys
import tkinter
from typing import Any

import sshkit
from sshkit.reactor.engines import tk


class Window:
    """The lines, and in the title how it goes."""

    def __init__(self, root: tkinter.Tk, command: str) -> None:
        self.root = root
        self.text = tkinter.Text(root, state="disabled")
        self.text.pack(expand=True, fill="both")
        root.title(command)

    def add(self, line: str) -> None:
        """Show one more line."""
        self.text["state"] = "normal"
        self.text.insert("end", line)
        self.text["state"] = "disabled"
        self.text.see("end")

    async def show_output(self, where: str, command: str, **options: Any) -> None:
        """Run the command on the host; errors are shown as well."""
        try:
            async with (
                sshkit.connect(where, **options) as connection,
                await connection.start(command) as process,
            ):
                async for line in process.stdout:
                    self.add(line.decode(errors="replace"))
                result = await process.wait()
            self.root.title(f"{command}: ended with {result.exit_status}")
        except sshkit.SSHKitError as error:
            self.root.title(f"{command}: {error}")


def main(where: str, command: str, **options: Any) -> None:
    """Show the window until it is closed; that ends the command and the connection as well."""
    root = tkinter.Tk()
    window = Window(root, command)
    with tk.attach(root) as reactor:
        reactor.start(window.show_output(where, command, **options))
        root.mainloop()


if __name__ == "__main__":
    main(*sys.argv[1:])
