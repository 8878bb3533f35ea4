"""Whether a server's key is the one it should be (RFC 4253 section 8, R38).

`HostKeyVerifier` looks in known_hosts files, or compares with keys and fingerprints that the program
names.  What to do with an unknown key is the policy's; a changed or revoked key is always refused.
"""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, cast

from sshkit_keys.errors import CertificateError, SSHKitError

from sshkit.deferred import Deferred
from sshkit.ssh.algorithms import CERTIFICATE_SUFFIX, HOST_CERTIFICATES
from sshkit.ssh.errors import HostKeyNotVerified

if TYPE_CHECKING:
    from sshkit_keys import KnownHosts, PublicKey
    from sshkit_keys.certificates import Certificate

Policy = Literal["strict", "ask", "accept-new", "off"]
Ask = Callable[["PublicKey", str], "bool | Deferred[bool]"]

USER_FILES = ("~/.ssh/known_hosts", "~/.ssh/known_hosts2")
GLOBAL_FILES = ("/etc/ssh/ssh_known_hosts", "/etc/ssh/ssh_known_hosts2")


class HostKeyChanged(HostKeyNotVerified):
    """The host is known by another key: an attack, or a new installation.

    `places` has file:line of each known key; `name` and `shown` are the host and the key that it shows.
    """

    def __init__(self, message: str, places: Sequence[str] = (), name: str = "", shown: str = "") -> None:
        super().__init__(message)
        self.places = tuple(places)
        self.name = name
        self.shown = shown


class HostKeyUnknown(HostKeyNotVerified):
    """No file knows the host, and the policy does not accept it."""


class HostKeyRevoked(HostKeyNotVerified):
    """The key is marked @revoked."""


class HostKeyVerifier:
    """Judges the keys of one host.

    `trusted` (public keys, or fingerprints as text) replaces the files.  `ask` is called for an unknown key
    under the policy "ask" with the key and a text for people; `added` hears of each line that was written.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        files: Sequence[str | os.PathLike[str]] = USER_FILES,
        global_files: Sequence[str | os.PathLike[str]] = GLOBAL_FILES,
        policy: Policy = "strict",
        trusted: "Sequence[PublicKey | str] | None" = None,
        ask: Ask | None = None,
        warn: Callable[[str], object] | None = None,
        hash_names: bool = False,
        random_bytes: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.host = host
        self.port = port
        self.address: str | None = None  #: the numeric address, where it may vouch too
        self.peer_address: str | None = None  #: the numeric address, to be shown
        self.reason = ""  #: why the key was accepted, for people
        self.key_changed = False  #: a changed key was let pass (policy "off"): no password is safe there
        self.files = [os.path.expanduser(os.fspath(path)) for path in files]
        self.global_files = [os.path.expanduser(os.fspath(path)) for path in global_files]
        self.policy = policy
        self.trusted = trusted
        self.ask = ask
        self.warn = warn
        self.hash_names = hash_names
        self.random_bytes = random_bytes
        self._known: KnownHosts | None = None

    @property
    def known(self) -> "KnownHosts":
        """The files, read once."""
        if self._known is None:
            from sshkit_keys import KnownHosts

            self._known = KnownHosts.load([*self.files, *self.global_files])
            for warning in self._known.warnings:
                self._say(str(warning))
        return self._known

    def order(self, algorithms: Sequence[str]) -> tuple[str, ...]:
        """Return `algorithms` with those first for which a key of the host is known."""
        if self.trusted is not None:
            known: tuple[str, ...] = tuple(
                name for key in self.trusted if not isinstance(key, str) for name in key.signature_algorithms
            )
        else:
            match = self.known.lookup(self.host, self.port, self.address)
            known = match.signature_algorithms
            if match.authorities:
                plain = set(algorithms)
                vouched = tuple(name for name in HOST_CERTIFICATES if _plain(name) in plain)
                algorithms = (*vouched, *algorithms)
                known = (*vouched, *known)
        first = tuple(name for name in algorithms if name in known)
        return (*first, *(name for name in algorithms if name not in first))

    def verify(self, key: "PublicKey") -> "Deferred[None] | None":
        """Raise HostKeyNotVerified, or return; a Deferred where somebody has to be asked."""
        if key.key_type.endswith(CERTIFICATE_SUFFIX):
            certificate = cast("Certificate", key)
            if self._is_vouched_for(certificate):
                return None
            key = certificate.key  # judged as any key
        if self.trusted is not None:
            self._compare(key, self.trusted)
            self.reason = "one of the keys that were given"
            return None
        from sshkit_keys import HostKeyStatus

        verdict = self.known.check(self.host, self.port, key, self.address)
        name = f"[{self.host}]:{self.port}" if self.port != 22 else self.host
        described = f"{key.key_type} {key.fingerprint()}"
        if verdict.status is HostKeyStatus.TRUSTED:
            self.reason = f"known by {', '.join(verdict.places)}"
            return None
        if verdict.status is HostKeyStatus.REVOKED:
            raise HostKeyRevoked(f"{name}: its key {described} is revoked in {', '.join(verdict.places)}")
        if verdict.status is HostKeyStatus.CHANGED:
            if self.policy == "off":
                self.key_changed = True
                self.reason = f"CHANGED, and let pass: known by another key in {', '.join(verdict.places)}"
                self._say(f"{name}: its key changed to {described} ({', '.join(verdict.places)})")
                return None
            raise HostKeyChanged(
                f"{name}: HOST KEY CHANGED: it shows {described}, but is known by another key in "
                f"{', '.join(verdict.places)}; somebody may be listening in, or the host was set up anew",
                verdict.places,
                name,
                described,
            )
        return self._unknown(key, name, described)

    def _is_vouched_for(self, certificate: "Certificate") -> bool:
        """Say whether an authority of the files vouches for the host by this certificate (rule R7)."""
        from time import time

        if self.trusted is not None:
            return False
        match = self.known.lookup(self.host, self.port)
        name = f"[{self.host}]:{self.port}" if self.port != 22 else self.host
        for entry in match.revoked:
            if entry.blob in (certificate.key.blob, certificate.authority.blob):
                raise HostKeyRevoked(
                    f"{name}: its certificate's key or authority is revoked in {entry.place}"
                )
        vouching = [entry for entry in match.authorities if entry.blob == certificate.authority.blob]
        if not vouching:
            return False
        try:
            certificate.check("host", self.host.lower(), int(time()), enforced_options=frozenset())
        except CertificateError as error:
            self._say(f"{name}: {error}")
            return False
        self.reason = f"certified by the authority in {vouching[0].place}"
        return True

    def _unknown(self, key: "PublicKey", name: str, described: str) -> "Deferred[None] | None":
        if self.policy == "off":
            self.reason = "unknown, and not checked"
            return None
        if self.policy == "accept-new":
            self.reason = "unknown until now, and accepted as new"
            self._add(key, name)
            return None
        if self.policy == "ask" and self.ask is not None:
            answer = self.ask(key, f"The authenticity of host {name} cannot be established: {described}")
            if isinstance(answer, Deferred):
                return answer.add_callback(self._answered, key, name, described)
            self._answered(answer, key, name, described)
            return None
        raise HostKeyUnknown(
            f"{name}: unknown host key {described}; "
            f"none of these files knows the host: {', '.join([*self.files, *self.global_files])}"
        )

    def _answered(self, yes: bool, key: "PublicKey", name: str, described: str) -> None:
        if not yes:
            raise HostKeyUnknown(f"{name}: host key {described} was not accepted")
        self.reason = "unknown until now, and accepted by whoever was asked"
        self._add(key, name)

    def _add(self, key: "PublicKey", name: str) -> None:
        """Write the key down; a file that cannot be written costs a warning, not the connection."""
        from sshkit_keys import add_host_key

        if not self.files:
            return
        try:
            add_host_key(
                self.files[0],
                self.host,
                self.port,
                key,
                hashed=self.hash_names,
                random_bytes=self.random_bytes,
            )
        except (OSError, SSHKitError) as error:
            self._say(f"{self.files[0]}: the key of {name} could not be added: {error}")
            return
        self._say(f"added {name} ({key.key_type}) to {self.files[0]}")

    def _compare(self, key: "PublicKey", trusted: "Sequence[PublicKey | str]") -> None:
        for candidate in trusted:
            if isinstance(candidate, str):
                if candidate in (key.fingerprint(), key.fingerprint("md5")):
                    return
            elif candidate == key:
                return
        raise HostKeyChanged(
            f"{self.host}: it shows {key.key_type} {key.fingerprint()}, which is none of the trusted keys"
        )

    def _say(self, text: str) -> None:
        if self.warn is not None:
            self.warn(text)


def _plain(name: str) -> str:
    """Return the algorithm that a certificate's key signs with."""
    return name.removesuffix(CERTIFICATE_SUFFIX)
