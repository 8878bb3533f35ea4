"""Logins that a client's host vouches for (hostbased, RFC 4252 section 9; sshd(8), .shosts and known hosts).

`HostUsers` is for `serve(users=...)`: the host's key has to be known, its name has to lead to the address
that the client comes from, and a line of a hosts.equiv file has to let that host's user in.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from time import time
from typing import TYPE_CHECKING, Any, cast

from sshkit_keys.errors import CertificateError, KeyFileError
from sshkit_keys.text import printable

from sshkit.deferred import maybe_deferred
from sshkit.server.users import Refusal, Users
from sshkit.ssh.algorithms import CERTIFICATE_SUFFIX

if TYPE_CHECKING:
    from sshkit_keys import KnownHosts, PublicKey
    from sshkit_keys.certificates import Certificate

    from sshkit.server.connection import ServerConnection

MAX_FILE = 1 << 20  #: bytes of a file of hosts
#: From a name to the addresses that it has, now or later.
Resolve = Callable[[str], Any]


class HostUsers(Users):
    """Users whose hosts may vouch for them, beside what `Users` has.

    `known_hosts`: files with the keys of the hosts.  `equivalents`: files in the form of hosts.equiv, for
    users of the same name on both sides; `user_equivalents`: by user, files in the form of ~/.shosts, where
    a line may name another user of the host.  `resolve` maps a host's name to addresses; None asks the system
    in a thread.  With `names_are_enough` the address is not looked at.
    """

    def __init__(
        self,
        *arguments: Any,
        known_hosts: Sequence[str | os.PathLike[str]],
        equivalents: Sequence[str | os.PathLike[str]] = (),
        user_equivalents: "dict[str, Sequence[str | os.PathLike[str]]] | None" = None,
        resolve: Resolve | None = None,
        names_are_enough: bool = False,
        **named: Any,
    ) -> None:
        super().__init__(*arguments, **named)
        self.known_hosts = [os.fspath(path) for path in known_hosts]
        self.equivalents = [os.fspath(path) for path in equivalents]
        self.user_equivalents = user_equivalents or {}
        self.resolve = resolve or find_addresses
        self.names_are_enough = names_are_enough

    def for_connection(self, connection: "ServerConnection") -> "HostLogin":
        return HostLogin(self, connection)

    def check_host(self, user: str, key: "PublicKey", host: str, local_user: str) -> Any:
        raise AssertionError("only logins of a connection are checked")

    def judge(self, user: str, key: "PublicKey", host: str, local_user: str) -> "bool | Refusal":
        """Return whether the host's key is known, and a line lets its user in."""
        described = f"{local_user!r} of {printable(host)}"
        fault = self._key_fault(key, host)
        if fault:
            return Refusal(f"{described}: {fault}")
        same = user == local_user
        if same and any(self._lets_in(path, host, local_user, user) for path in self.equivalents):
            return True
        files = [os.fspath(path) for path in self.user_equivalents.get(user, ())]
        if any(self._lets_in(path, host, local_user, user) for path in files):
            return True
        return Refusal(f"{described}: no line lets him in as {printable(user)}")

    def _key_fault(self, key: "PublicKey", host: str) -> str:
        from sshkit_keys import KnownHosts

        return key_fault(KnownHosts.load(self.known_hosts), key, host)

    def _lets_in(self, path: str, host: str, local_user: str, user: str) -> bool:
        try:
            return lets_in(path, (host,), local_user, user)
        except (OSError, KeyFileError):
            return False


def key_fault(known: "KnownHosts", key: "PublicKey", host: str) -> str:
    """Return why a key is not known to be the host's, or nothing; of a certificate its authority may be."""
    from sshkit_keys import HostKeyStatus

    if key.key_type.endswith(CERTIFICATE_SUFFIX):
        certificate = cast("Certificate", key)
        match = known.lookup(host)
        revoked = {entry.blob for entry in match.revoked}
        if revoked & {certificate.key.blob, certificate.authority.blob}:
            return "its certificate's key or authority is revoked"
        if any(entry.blob == certificate.authority.blob for entry in match.authorities):
            try:
                certificate.check("host", host.lower(), int(time()), enforced_options=frozenset())
            except CertificateError as error:
                return str(error)
            return ""
        key = certificate.key
    status = known.check(host, 22, key).status
    return "" if status is HostKeyStatus.TRUSTED else f"its key {key.fingerprint()} is {status.value}"


def lets_in(
    path: str,
    hosts: Sequence[str],
    local_user: str,
    user: str,
    uid: int | None = None,
    home: str | None = None,
) -> bool:
    """Say whether a file in the form of hosts.equiv lets in a host's user; the first line about him counts.

    `hosts`: the host's names and addresses.  With `uid` and `home`, it is looked at who could write the file.
    Raises OSError or KeyFileError.
    """
    names = {host.lower() for host in hosts}
    for name, who, denied in _lines(path, uid, home):
        if name in names and (local_user == user if who is None else who == local_user):
            return not denied
    return False


class HostLogin:
    """One connection's view of the users: the client's address is known."""

    __slots__ = ("_connection", "_users", "chain", "takes_certificates")

    def __init__(self, users: HostUsers, connection: "ServerConnection") -> None:
        self._users = users
        self._connection = connection
        self.chain = users.chain
        self.takes_certificates = users.takes_certificates

    def __getattr__(self, name: str) -> Any:
        return getattr(self._users, name)  # change_password, check_principal, gssapi

    def methods(self) -> tuple[str, ...]:
        return self._users.methods()

    def allows_none(self, user: str) -> Any:
        return self._users.allows_none(user)

    def check_key(self, user: str, key: "PublicKey") -> Any:
        return self._users.check_key(user, key)

    def check_password(self, user: str, password: str) -> Any:
        return self._users.check_password(user, password)

    def check_host(self, user: str, key: "PublicKey", host: str, local_user: str) -> Any:
        """Judge the host, after its name was found to lead to where the client comes from."""
        users, source = self._users, self._connection.source
        verdict = users.judge(user, key, host, local_user)
        if users.names_are_enough or not verdict:
            return verdict

        def compare(addresses: Sequence[str]) -> "bool | Refusal":
            if source in addresses:
                return verdict
            return Refusal(f"{printable(host)} does not lead to {printable(source)}")

        return maybe_deferred(users.resolve, host).add_callback(compare)


def _lines(path: str, uid: int | None, home: str | None) -> Iterator[tuple[str, str | None, bool]]:
    """Yield host, its user (None: the same as here) and whether he is kept out, of each line that is plain.

    A line with a netgroup or a "+" for anybody is passed over: nobody is let in by accident.
    """
    from sshkit_keys.authorized_keys import open_users_file

    with open_users_file(path, uid, home) as file:
        text = file.read(MAX_FILE).decode("utf-8", "replace")
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words or len(words) > 2:
            continue
        denied = any(word.startswith("-") for word in words)
        words = [word.removeprefix("-") for word in words]
        if any(not word or word.startswith(("+", "@")) for word in words):
            continue
        yield words[0].rstrip(".").lower(), words[1] if len(words) == 2 else None, denied


def find_addresses(host: str) -> Any:
    """Ask the system for a host's addresses, in a thread."""
    from sshkit.reactor.current import current

    return current().defer_to_thread(look_up, host)


def look_up(host: str) -> list[str]:
    import socket

    try:
        return [str(entry[4][0]) for entry in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)]
    except OSError:
        return []
