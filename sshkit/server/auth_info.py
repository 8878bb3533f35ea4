"""What a session may know about its own login: the file that SSH_USER_AUTH names (ExposeAuthInfo).

The text is made where the login is decided, the file by whoever runs the session, with the user's rights; it
goes when the session ends.
"""

import os
from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

VARIABLE: Final = "SSH_USER_AUTH"
PREFIX: Final = "sshauth."
TRIES: Final = 100
FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
MAX_DETAIL: Final = 1024  #: characters of what a method adds


def auth_line(method: str, *, submethod: str = "", key: "PublicKey | None" = None, detail: str = "") -> str:
    """Return the line of one method that succeeded, as sshd writes it: "publickey ssh-ed25519 AAAA...".

    `key` may be a certificate; `detail` is what else is worth telling (the client's host, a ticket's owner).
    """
    words = [f"{method}/{submethod}" if submethod else method]
    if key is not None:
        words.append(f"{key.key_type} {b64encode(key.blob).decode('ascii')}")
    if detail:
        # One method is one line, whatever a peer's name holds.
        words.append("".join(char if char.isprintable() else " " for char in detail[:MAX_DETAIL]))
    return " ".join(words) + "\n"


def write_auth_info(text: str, random_bytes: Callable[[int], bytes], folder: str = "/tmp") -> str:
    """Write a new file that only the user can read; return its path.  OSError where that cannot be done."""
    for _ in range(TRIES):
        path = os.path.join(folder, f"{PREFIX}{random_bytes(8).hex()}")
        try:
            # Never through a link, never into a file that is there: the folder belongs to everybody.
            descriptor = os.open(
                path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
        except FileExistsError:
            continue
        try:
            os.write(descriptor, text.encode())
        except OSError:
            os.unlink(path)
            raise
        finally:
            os.close(descriptor)
        return path
    raise FileExistsError(f"{folder}: no free name for {VARIABLE} in {TRIES} tries")


def remove_auth_info(path: str) -> None:
    """Remove the file at the end of the session; harmless where it has gone."""
    try:
        os.unlink(path)
    except OSError:
        pass
