"""Which public keys sshkit-copy-id installs: those of a file, of the agent, or of the newest key file.

Called by `copy_id_run`.  Every key is read and written anew, so that no line is sent that is not one line
with one key.
"""

import os
from typing import TYPE_CHECKING, Final, NamedTuple

from sshkit_keys.errors import KeyFileError, SSHKitError
from sshkit_keys.file_access import read_descriptor
from sshkit_keys.key_types import decode_blob, parse_public_key
from sshkit_keys.text import printable, quoted

from sshkit.agent.connect import connect_agent
from sshkit.ssh.agent.errors import AgentError

if TYPE_CHECKING:
    from sshkit_keys.key import PublicKey

    from sshkit.interfaces import Reactor

MAX_FILE: Final = 1 << 20
MAX_KEYS: Final = 256  #: of one file
CERTIFICATE_SUFFIX: Final = "-cert-v01@openssh.com"


class KeyLine(NamedTuple):
    """A key to be installed."""

    name: str  #: type and base64, without the comment
    comment: str
    public: "PublicKey | None"  #: None for a type that is unknown here: it is sent, and cannot be tried

    def __str__(self) -> str:
        return f"{self.name} {self.comment}" if self.comment else self.name


def make_line(key_type: str, blob: bytes, comment: str, place: str) -> KeyLine:
    """Return the line of a key; KeyFileError for a certificate or for damaged bytes."""
    from binascii import b2a_base64

    if key_type.endswith(CERTIFICATE_SUFFIX):
        raise KeyFileError("it is a certificate: install its key, or trust its authority", place)
    if not key_type.isascii() or not all(char.isalnum() or char in "@.-" for char in key_type):
        raise KeyFileError(f"{quoted(key_type, 64)} is no name of a key type", place)
    text = b2a_base64(blob, newline=False).decode("ascii")
    public = None
    try:
        public = parse_public_key(blob, comment, place)
    except KeyFileError:
        if decode_blob(key_type, text, place) and _is_known(key_type):
            raise
    return KeyLine(f"{key_type} {text}", printable(comment.strip(), 1024), public)


def _is_known(key_type: str) -> bool:
    from sshkit_keys.key_types import KEY_TYPES

    return key_type in KEY_TYPES


def public_file(identity: str) -> str:
    """Return the name of the public key file that -i means."""
    return identity if identity.endswith(".pub") else f"{identity}.pub"


def newest_file() -> str | None:
    """Return the newest ~/.ssh/id*.pub that is no certificate."""
    folder = os.path.join(os.path.expanduser("~"), ".ssh")
    found = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name.startswith("id") and name.endswith(".pub") and not name.endswith("-cert.pub"):
                    found.append((entry.stat().st_mtime_ns, entry.path))
    except OSError:  # there is no folder, or nothing can be read there
        pass
    return max(found)[1] if found else None


def read_file(path: str) -> list[KeyLine]:
    """Return the keys of a .pub file, each once."""
    shown = printable(path, 4096)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise SSHKitError(f"failed to open ID file '{shown}': {error.strerror}") from None
    try:
        data = read_descriptor(descriptor, MAX_FILE, path)
    except OSError as error:
        raise SSHKitError(f"failed to read ID file '{shown}': {error.strerror}") from None
    finally:
        os.close(descriptor)
    keys: dict[str, KeyLine] = {}
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), 1):
        words = line.strip().split(None, 2)
        if not words or words[0].startswith("#"):
            continue
        place = f"{path}:{number}"
        if len(words) < 2:
            raise KeyFileError("not a public key line", place)
        blob = decode_blob(words[0], words[1], place)
        key = make_line(words[0], blob, words[2] if len(words) > 2 else "", place)
        keys.setdefault(key.name, key)
        if len(keys) > MAX_KEYS:
            raise KeyFileError(f"more than {MAX_KEYS} keys", path)
    return list(keys.values())


async def agent_keys(reactor: "Reactor") -> tuple[list[KeyLine], list[str]]:
    """Return the keys of the agent, and what is to be said of others; both empty where there is no agent."""
    if not os.environ.get("SSH_AUTH_SOCK"):
        return [], []
    keys: dict[str, KeyLine] = {}
    problems: list[str] = []
    try:
        async with connect_agent(reactor=reactor) as agent:
            for held in await agent.list_keys():
                place = f"the agent's key {printable(held.comment) or held.key_type}"
                try:
                    key = make_line(held.key_type, held.blob, held.comment, place)
                except KeyFileError as error:
                    problems.append(str(error))
                else:
                    keys.setdefault(key.name, key)
    except AgentError as error:
        return [], [str(error)]
    return list(keys.values()), problems
