"""Whether a server's key is the one it should be (RFC 4253 section 8, R38).

`HostKeyVerifier` looks in known_hosts files and in what a command writes, asks the DNS, or compares with keys
and fingerprints that the program names.  What to do with an unknown key is the policy's; a changed or revoked
key is always refused.
"""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from sshkit_keys.errors import CertificateError, KeyFileError, RevokedKeyError, SSHKitError
from sshkit_keys.text import printable

from sshkit.deferred import Deferred, Failure
from sshkit.ssh.algorithms import CERTIFICATE_SUFFIX, HOST_CERTIFICATES, USER_SIGNATURES
from sshkit.ssh.authentication.answers import awaited
from sshkit.ssh.errors import HostKeyNotVerified

if TYPE_CHECKING:
    from sshkit_keys import KnownHosts, PublicKey
    from sshkit_keys.certificates import Certificate

    from sshkit.client.host_key_dns import Published
    from sshkit.client.known_hosts_command import KnownHostsCommand

Policy = Literal["strict", "ask", "accept-new", "off"]
#: Answers with a bool, now or later.
Ask = Callable[["PublicKey", str], Any]
#: Asks the DNS about a key for a name.
AskDNS = Callable[["PublicKey", str], "Deferred[Published]"]

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
    """The key is marked @revoked, or in the list of revoked ones, or that list cannot be read."""


class HostKeyVerifier:
    """Judges the keys of one host.

    `trusted` (public keys, or fingerprints as text) replaces the files.  `ask` is called for an unknown key
    under the policy "ask" with the key and a text for people.  What is set after the making: `revoked` is a
    file of revoked keys; `ca_signatures` and `required_rsa_size` limit what is accepted; `command` and `dns`
    know more keys; with `trust_loopback` a server on this machine is not checked at all.
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
        self.learns = False  #: unknown keys are written down under the policy "off" as well
        self.files = [os.path.expanduser(os.fspath(path)) for path in files]
        self.global_files = [os.path.expanduser(os.fspath(path)) for path in global_files]
        self.policy = policy
        self.trusted = trusted
        self.ask = ask
        self.warn = warn
        self.hash_names = hash_names
        self.random_bytes = random_bytes
        self.revoked: str | None = None
        self.ca_signatures: Sequence[str] = USER_SIGNATURES
        self.required_rsa_size = 0
        self.command: KnownHostsCommand | None = None
        self.dns: AskDNS | None = None
        self.dns_decides = False  #: a validated record is enough; else it is only told
        self.published: Published | None = None  #: what the DNS said
        self.trust_loopback = False
        self.add_address = False  #: write the numeric address down beside a name that is known
        self.is_known = False  #: the key is in a file, or somebody said yes to it: it may vouch for others
        self._known: KnownHosts | None = None
        self._order_lines = b""

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
            authorities = match.authorities
            if self._order_lines:
                from sshkit_keys import KnownHosts

                more = KnownHosts()
                more.parse(self._order_lines, "KnownHostsCommand")
                further = more.lookup(self.host, self.port)
                known = (*known, *further.signature_algorithms)
                authorities = (*authorities, *further.authorities)
            if authorities:
                plain = set(algorithms)
                vouched = tuple(name for name in HOST_CERTIFICATES if _plain(name) in plain)
                algorithms = (*vouched, *algorithms)
                known = (*vouched, *known)
        first = tuple(name for name in algorithms if name in known)
        return (*first, *(name for name in algorithms if name not in first))

    def prepare(self) -> "Deferred[None]":
        """Ask `command` which keys the host may have, before `order` is called."""
        assert self.command is not None

        def keep(lines: bytes) -> None:
            self._order_lines = lines

        return self.command.lines("ORDER", self.name).add_callback(keep)

    @property
    def name(self) -> str:
        """The host as known_hosts has it."""
        return f"[{self.host}]:{self.port}" if self.port != 22 else self.host

    def verify(self, key: "PublicKey") -> "Deferred[None] | None":
        """Raise HostKeyNotVerified, or return; a Deferred where somebody has to be asked."""
        self._check_limits(key)
        if self.trust_loopback and self.trusted is None and _is_loopback(self.peer_address or ""):
            self.reason = "a server on this machine, and not checked (NoHostAuthenticationForLocalhost)"
            return None
        if self.command is None or self.trusted is not None:
            return self._judge(key)

        def judge(_: None) -> Any:
            return self._judge(key)

        judged: Deferred[None] = self._ask_command(key).add_callback(judge)
        return judged

    def _check_limits(self, key: "PublicKey") -> None:
        """Refuse a key that is too short, and one that is revoked whoever vouches for it."""
        described = f"{key.key_type} {key.fingerprint()}"
        if "rsa" in key.key_type and key.bits < self.required_rsa_size:
            raise HostKeyNotVerified(
                f"{self.name}: its key {described} has {key.bits} bits, "
                f"RequiredRSASize is {self.required_rsa_size}"
            )
        if self.revoked is None:
            return
        from sshkit_keys.revocation import RevocationList

        try:
            RevocationList.load(self.revoked).check(key)
        except RevokedKeyError as error:
            raise HostKeyRevoked(f"{self.name}: {error}") from None
        except (KeyFileError, OSError) as error:
            cause = error.strerror if isinstance(error, OSError) else error
            place = printable(self.revoked, 4096)
            raise HostKeyRevoked(
                f"{self.name}: the list of revoked keys cannot be read, so none is accepted: {place}: {cause}"
            ) from None

    def _ask_command(self, key: "PublicKey") -> "Deferred[Any]":
        """Add what the command writes about the host to what the files say."""
        command = self.command
        assert command is not None
        plain = cast("Certificate", key).key if key.key_type.endswith(CERTIFICATE_SUFFIX) else key

        def add(lines: bytes) -> None:
            self.known.parse(lines, command.name)

        asked = command.lines("HOSTNAME", self.name, plain).add_callback(add)
        address = self.address
        if address is None or address == self.host:
            return asked
        other = f"[{address}]:{self.port}" if self.port != 22 else address
        return asked.add_callback(lambda _: command.lines("ADDRESS", other, plain)).add_callback(add)

    def _judge(self, key: "PublicKey") -> "Deferred[None] | None":
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
        name = self.name
        described = f"{key.key_type} {key.fingerprint()}"
        if verdict.status is HostKeyStatus.TRUSTED:
            self.reason = f"known by {', '.join(verdict.places)}"
            self.is_known = True
            self._add_address(key)
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
        if self.dns is None:
            return self._unknown(key, name, described)
        asked: Deferred[Any] = self.dns(key, self.host).add_errback(self._not_published)
        return asked.add_callback(self._published, key, name, described)

    def _not_published(self, failure: Failure) -> None:
        if not isinstance(failure.exception, SSHKitError):
            failure.raise_exception()
        self._say(f"VerifyHostKeyDNS: {failure.exception}")

    def _published(self, found: "Published | None", key: "PublicKey", name: str, described: str) -> Any:
        """Judge an unknown key by what the DNS says of it."""
        self.published = found
        if found is not None and found.found and not found.matches:
            if found.secure:
                raise HostKeyChanged(
                    f"{name}: HOST KEY CHANGED: it shows {described}, but its validated record in the DNS is "
                    "of another key",
                    (),
                    name,
                    described,
                )
            self._say(f"{name}: its key {described} is not that of its record in the DNS")
        elif found is not None and found.matches and found.secure and self.dns_decides:
            self.reason = "its fingerprint is in the DNS, validated"
            return None
        return self._unknown(key, name, described)

    def _is_vouched_for(self, certificate: "Certificate") -> bool:
        """Say whether an authority of the files vouches for the host by this certificate (rule R7)."""
        from time import time

        if self.trusted is not None:
            return False
        match = self.known.lookup(self.host, self.port)
        name = self.name
        for entry in match.revoked:
            if entry.blob in (certificate.key.blob, certificate.authority.blob):
                raise HostKeyRevoked(
                    f"{name}: its certificate's key or authority is revoked in {entry.place}"
                )
        vouching = [entry for entry in match.authorities if entry.blob == certificate.authority.blob]
        if not vouching:
            return False
        try:
            certificate.check(
                "host",
                self.host.lower(),
                int(time()),
                enforced_options=frozenset(),
                authority_algorithms=self.ca_signatures,
            )
        except CertificateError as error:
            self._say(f"{name}: {error}")
            return False
        self.reason = f"certified by the authority in {vouching[0].place}"
        return True

    def _unknown(self, key: "PublicKey", name: str, described: str) -> "Deferred[None] | None":
        if self.policy == "off" and not self.learns:
            self.reason = "unknown, and not checked"
            return None
        if self.policy in ("accept-new", "off"):
            self.reason = "unknown until now, and accepted as new"
            self.is_known = self.policy == "accept-new"
            self._add(key, name)
            return None
        if self.policy == "ask" and self.ask is not None:
            note = "" if self.published is None else f"; {self.published}"
            answer = awaited(
                self.ask(key, f"The authenticity of host {name} cannot be established: {described}{note}")
            )
            if isinstance(answer, Deferred):
                return answer.add_callback(self._answered, key, name, described)
            self._answered(answer, key, name, described)
            return None
        places = [*self.files, *self.global_files]
        if self.command is not None:
            places.append(self.command.name)
        note = "" if self.published is None else f"; {self.published}"
        raise HostKeyUnknown(
            f"{name}: unknown host key {described}; "
            f"none of these files knows the host: {', '.join(places)}{note}"
        )

    def _answered(self, yes: bool, key: "PublicKey", name: str, described: str) -> None:
        if not yes:
            raise HostKeyUnknown(f"{name}: host key {described} was not accepted")
        self.reason = "unknown until now, and accepted by whoever was asked"
        self.is_known = True
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
        self._add_address(key)

    def _add_address(self, key: "PublicKey") -> None:
        """Write the numeric address down too, unless a file knows it (CheckHostIP)."""
        from sshkit_keys import add_host_key

        address = self.address
        if not self.add_address or address in (None, self.host) or not self.files:
            return
        if self.known.lookup(address, self.port).entries:
            return
        try:
            add_host_key(
                self.files[0],
                address,
                self.port,
                key,
                hashed=self.hash_names,
                random_bytes=self.random_bytes,
            )
        except (OSError, SSHKitError) as error:
            self._say(f"{self.files[0]}: the address {address} could not be added: {error}")
            return
        self._say(f"added the address {address} ({key.key_type}) to {self.files[0]}")

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


def _is_loopback(address: str) -> bool:
    from ipaddress import ip_address

    try:
        return ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _plain(name: str) -> str:
    """Return the algorithm that a certificate's key signs with."""
    return name.removesuffix(CERTIFICATE_SUFFIX)
