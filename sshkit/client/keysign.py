"""OpenSSH's helper ssh-keysign, which signs for the host that a user is on it (ssh-keysign(8)).

Called by `host_based` where the host's keys cannot be read.  The helper is started for each signature; it
gets the number of the connection's descriptor, which it inherits and takes its own address from, and what is
to be signed, and checks that this is a request of the very user who called it.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sshkit_keys.errors import KeyFileError, SSHKitError, WireError
from sshkit_keys.text import printable
from sshkit_keys.wire import WireReader, byte, string, uint32

from sshkit.deferred import Deferred
from sshkit.ssh.authentication.client import Identity

if TYPE_CHECKING:
    from sshkit_keys import PublicKey

    from sshkit.client.connection import ClientConnection
    from sshkit.interfaces import Reactor

PLACES = (
    "/usr/lib/openssh/ssh-keysign",
    "/usr/libexec/openssh/ssh-keysign",
    "/usr/libexec/ssh-keysign",
    "/usr/lib/ssh/ssh-keysign",
    "/usr/local/libexec/ssh-keysign",
)
VERSION = 2  #: of the form of both messages
TIMEOUT = 30.0
MAX_ANSWER = 1 << 16


class KeysignFailed(SSHKitError):
    """The helper did not sign; it says why on the standard error output."""


def find_keysign(places: Sequence[str] = PLACES) -> str | None:
    """Return where the helper is, or None."""
    return next((path for path in places if os.access(path, os.X_OK)), None)


class Keysign:
    """The helper, for one connection."""

    __slots__ = ("_connection", "_program", "_reactor")

    def __init__(self, connection: "ClientConnection", reactor: "Reactor", program: str) -> None:
        self._connection = connection
        self._reactor = reactor
        self._program = program

    def identities(self, *paths: str) -> list[Identity]:
        """Return the public keys and certificates of files that exist; the helper signs for them."""
        from sshkit_keys import load_public_key

        found: list[Identity] = []
        for path in paths:
            try:
                public = load_public_key(path)
            except (OSError, KeyFileError):
                continue
            found.append(Identity(public, f"{path} (ssh-keysign)", KeysignKey(self, public)))
        return found[::-1]  # certificates first

    def sign(self, data: bytes) -> "Deferred[bytes]":
        """Fires with the signature blob."""
        transport = self._connection.layer.transport
        sock: Any = None if transport is None else transport.get_extra_info("socket")
        if sock is None:
            raise KeysignFailed("ssh-keysign needs a connection over TCP, to see this host's address")
        descriptor = os.dup(sock.fileno())  # the connection may end meanwhile
        return self._reactor.defer_to_thread(call_keysign, self._program, descriptor, data)


class KeysignKey:
    """A host key that the helper signs with."""

    __slots__ = ("_keysign", "public")

    def __init__(self, keysign: Keysign, public: "PublicKey") -> None:
        self._keysign = keysign
        self.public = public

    def sign(self, algorithm: str, data: bytes) -> "Deferred[bytes]":
        """Fires with the signature blob; the algorithm is named in `data`."""
        return self._keysign.sign(data)


def call_keysign(program: str, descriptor: int, data: bytes) -> bytes:
    """Run the helper and return the signature; closes `descriptor`.  Raises KeysignFailed."""
    import subprocess

    body = byte(VERSION) + uint32(descriptor) + string(data)
    shown = printable(program, 4096)
    try:
        done = subprocess.run(
            [program],
            input=uint32(len(body)) + body,
            stdout=subprocess.PIPE,
            pass_fds=(descriptor,),
            timeout=TIMEOUT,
            check=False,
        )
    except OSError as error:
        raise KeysignFailed(f"{shown}: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise KeysignFailed(f"{shown}: no signature within {TIMEOUT:g} s") from None
    finally:
        os.close(descriptor)
    try:
        outer = WireReader(done.stdout[:MAX_ANSWER])
        reader = WireReader(outer.string("answer"))
        version = reader.byte("version")
        signature = reader.string("signature")
        reader.finish("answer of ssh-keysign")
    except WireError:
        raise KeysignFailed(f"{shown} did not sign (status {done.returncode})") from None
    if version != VERSION:
        raise KeysignFailed(f"{shown} answers in version {version}, {VERSION} was asked")
    return signature
