"""Where the scripts and programs of each OpenSSH lie; for `fetch` and `run`."""

import shutil
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / ".peers/openssh-source"
#: Small programs that the scripts need, from Debian's package openssh-tests.
HELPERS = ROOT / ".peers/openssh-tests"
BACKPORTS = ROOT / ".peers/openssh-backports"
#: Where an ordinary user's PATH does not look.
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Release(NamedTuple):
    """One OpenSSH: its scripts, and where its programs are installed."""

    version: str
    suite: str  #: of Debian
    prefix: Path  #: "/" for the system's own

    @property
    def scripts(self) -> Path:
        """The folder that the scripts lie in."""
        return SOURCES / self.version

    def program(self, name: str) -> Path:
        """Return where a program of it is."""
        folder = {"sshd": "usr/sbin"}.get(name, "usr/bin")
        if name in ("sftp-server", "sshd-session", "sshd-auth", "ssh-keysign", "ssh-pkcs11-helper"):
            folder = "usr/lib/openssh"
        return self.prefix / folder / name

    @property
    def missing(self) -> str:
        """Why it cannot be used here; empty where it can."""
        if not self.scripts.is_dir():
            return f"no scripts of OpenSSH {self.version}: python -m tests.regress.fetch"
        for name in ("ssh", "sshd", "sftp", "scp", "sftp-server"):
            if shutil.which(self.program(name)) is None:
                return f"no {self.program(name)}: bash .ci/peers"
        return ""


RELEASES = (
    Release("9.2p1", "bookworm", Path("/")),
    Release("10.0p1", "bookworm-backports", BACKPORTS),
)
