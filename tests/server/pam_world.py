"""Services of PAM and accounts of the system that a test makes, and that go with it.  Root only."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

FOLDER = Path("/etc/pam.d")
ROOT_WITH_PAM = pytest.mark.skipif(
    os.geteuid() != 0 or not FOLDER.is_dir(), reason="PAM services and accounts are made by root"
)
PASSWORD = "correct horse"


class PamWorld:
    """What was made."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.user = f"sshkitpam{os.getpid()}"
        self._services: list[Path] = []
        self._made = False

    def service(self, *lines: str) -> str:
        """Write a service file; returns the service's name."""
        path = FOLDER / f"sshkit-test-{os.getpid()}-{len(self._services)}"
        path.write_text("".join(f"{line}\n" for line in lines))
        self._services.append(path)
        return path.name

    def unix(self, *more: str) -> str:
        """Return a service with passwords of the system."""
        lines = [
            f"{kind} required pam_unix.so nodelay" for kind in ("auth", "account", "password", "session")
        ]
        return self.service(*more, *lines)

    def account(self) -> str:
        """Return the name of an account that has the password."""
        if not self._made:
            command = ["useradd", "-M", "-N", "-d", str(self.folder), "-s", "/bin/sh", self.user]
            subprocess.run(command, check=True, capture_output=True)
            self._made = True
        subprocess.run(["chpasswd"], input=f"{self.user}:{PASSWORD}\n".encode(), check=True)
        subprocess.run(["chage", "-d", "-1", self.user], check=True)
        return self.user

    def expire_password(self) -> None:
        """Demand a new password."""
        subprocess.run(["chage", "-d", "0", self.user], check=True)

    def remove(self) -> None:
        """Take all away."""
        for path in self._services:
            path.unlink()
        if self._made:
            subprocess.run(["userdel", self.user], check=True, capture_output=True)


def make_world(folder: Path) -> Iterator[PamWorld]:
    """Be the body of a fixture."""
    world = PamWorld(folder)
    yield world
    world.remove()
