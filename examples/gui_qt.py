"""A window of Qt that shows what a remote command prints, line by line.  Needs PySide6-Essentials.

python examples/gui_qt.py user@host "journalctl -f"
"""

import sys
from typing import Any

from PySide6.QtWidgets import QApplication, QPlainTextEdit

import sshkit
from sshkit.reactor.engines import qt


class Window(QPlainTextEdit):
    """The lines, and in the title how it goes."""

    def __init__(self, command: str) -> None:
        super().__init__()
        self.setReadOnly(True)
        self.setWindowTitle(command)
        self.resize(800, 500)

    async def show_output(self, where: str, command: str, **options: Any) -> None:
        """Run the command on the host; errors are shown as well."""
        try:
            async with (
                sshkit.connect(where, **options) as connection,
                await connection.start(command) as process,
            ):
                async for line in process.stdout:
                    self.appendPlainText(line.decode(errors="replace").rstrip("\n"))
                result = await process.wait()
            self.setWindowTitle(f"{command}: ended with {result.exit_status}")
        except sshkit.SSHKitError as error:
            self.setWindowTitle(f"{command}: {error}")


def main(where: str, command: str, **options: Any) -> None:
    """Show the window until it is closed; that ends the command and the connection as well."""
    app = QApplication(sys.argv[:1])
    window = Window(command)
    window.show()
    with qt.attach(app) as reactor:
        reactor.start(window.show_output(where, command, **options))
        app.exec()


if __name__ == "__main__":
    main(*sys.argv[1:])
