"""Hosts that vouch for their users with their own keys (hostbased, RFC 4252 section 9), on the client.

`HostBased` is what a program gives to `connect`; `system_host_keys` what the command uses: this machine's
keys where they can be read (by root), else OpenSSH's helper ssh-keysign, which may.
"""

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from sshkit_keys.errors import KeyFileError, SSHKitError
from sshkit_keys.text import printable

from sshkit.deferred import Deferred
from sshkit.ssh.authentication.client import Identity

if TYPE_CHECKING:
    from sshkit_keys import CertificateSigner, PrivateKey
    from sshkit_keys.certificates import Certificate

    from sshkit.client.connection import ClientConnection
    from sshkit.interfaces import Reactor

FOLDER = "/etc/ssh"
#: The host's keys, best first, as sshd makes them.
NAMES = ("ssh_host_ed25519_key", "ssh_host_ecdsa_key", "ssh_host_rsa_key")


class HostBased:
    """A host that vouches: its keys (private or certified ones, or files), its name, and the user's there.

    `host` is the name under which the server knows the host's key; None: this machine's whole name.  `user`
    is None for the user who runs this process.
    """

    __slots__ = ("host", "identities", "user")

    def __init__(
        self,
        keys: "Sequence[CertificateSigner | str | os.PathLike[str]]",
        *,
        host: str | None = None,
        user: str | None = None,
    ) -> None:
        """Raises KeyFileError or OSError for a file that cannot be read."""
        self.host = with_dot(host or full_name())
        self.user = user or local_user()
        self.identities: list[Identity] = []
        for key in keys:
            if isinstance(key, (str, os.PathLike)):
                self.identities += _from_file(os.path.expanduser(os.fspath(key)))
            else:
                signer = cast("PrivateKey", key)
                self.identities.append(Identity(signer.public, "the host's key", signer))


class SystemHostKeys:
    """This machine's keys and name, as one connection sees it."""

    __slots__ = ("host", "identities", "user")

    def __init__(self, host: str, user: str, identities: list[Identity]) -> None:
        self.host = with_dot(host)
        self.user = user
        self.identities = identities


def system_host_keys(
    connection: "ClientConnection",
    reactor: "Reactor",
    user: str,
    *,
    keysign: bool,
    folder: str = FOLDER,
) -> "Deferred[SystemHostKeys]":
    """Fires with this machine's host keys; with `keysign`, also with those that only the helper may use."""
    from sshkit.client.keysign import Keysign, find_keysign

    helper = find_keysign() if keysign else None
    signer = None if helper is None else Keysign(connection, reactor, helper)
    identities: list[Identity] = []
    for name in NAMES:
        path = os.path.join(folder, name)
        try:
            identities += _from_file(path)
        except (OSError, KeyFileError):
            if signer is not None:
                identities += signer.identities(f"{path}.pub", f"{path}-cert.pub")
    sock = (
        None if connection.layer.transport is None else connection.layer.transport.get_extra_info("sockname")
    )
    address = sock[:2] if isinstance(sock, tuple) else None

    def named(host: str) -> SystemHostKeys:
        return SystemHostKeys(host, user, identities)

    found: Deferred[Any] = reactor.defer_to_thread(local_name, address)
    return found.add_callback(named)


def local_name(address: tuple[Any, ...] | None) -> str:
    """Return the name that belongs to our own address of a connection; asks the resolver, and waits."""
    import socket

    if address is not None:
        try:
            return socket.getnameinfo(cast("tuple[str, int]", address), socket.NI_NAMEREQD)[0]
        except OSError:
            pass
    return full_name()


def full_name() -> str:
    """Return this machine's name."""
    return os.uname().nodename


def with_dot(host: str) -> str:
    """Return a host's name with the dot at its end that says that it is whole."""
    return host if host.endswith(".") else f"{host}."


def local_user() -> str:
    """Return the name of the user who runs this process."""
    from pwd import getpwuid

    try:
        return getpwuid(os.getuid()).pw_name
    except KeyError:
        raise SSHKitError(f"user number {os.getuid()} has no name, and hostbased needs one") from None


def _from_file(path: str) -> list[Identity]:
    """Return a key, and before it the certificate beside it."""
    from sshkit_keys import CertifiedKey, load_private_key, load_public_key

    key = load_private_key(path)
    found = [Identity(key.public, path, key)]
    place = f"{path}-cert.pub"
    if os.path.exists(place):
        certificate = load_public_key(place)
        if certificate.key_type.endswith("-cert-v01@openssh.com"):
            vouched = CertifiedKey(key, cast("Certificate", certificate))
            found.insert(0, Identity(certificate, printable(place, 4096), cast("PrivateKey", vouched)))
    return found
