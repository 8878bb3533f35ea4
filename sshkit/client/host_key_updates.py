"""The server's other host keys, learnt before they are needed (UpdateHostKeys of ssh_config(5)).

A server tells all its keys after the login (hostkeys-00@openssh.com) and proves to own those that are new
(hostkeys-prove-00@openssh.com; both in OpenSSH's PROTOCOL, section 2.5).  `ClientConnection` hands the
request over; the user's known_hosts file is then replaced as a whole, without a line of other hosts changed.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sshkit_keys import parse_public_key
from sshkit_keys.errors import KeyFileError, SSHKitError, WireError
from sshkit_keys.text import printable
from sshkit_keys.wire import WireReader, string

from sshkit.deferred import Deferred, Failure, maybe_deferred
from sshkit.ssh.errors import RemoteProtocolError

if TYPE_CHECKING:
    from sshkit_keys import KnownHosts, PublicKey
    from sshkit_keys.known_hosts import HostEntry

    from sshkit.client.connection import ClientConnection

ANNOUNCED = "hostkeys-00@openssh.com"
PROVE = "hostkeys-prove-00@openssh.com"
MAX_KEYS = 64  #: of one server; it has one of each type, or two while they change
#: Asked before a file is changed, with a text for people; answers with a bool, now or later.
Confirm = Callable[[str], Any]


class HostKeyUpdates:
    """What one connection learns of its server's keys.  `done` fires when that is over."""

    __slots__ = ("_confirm", "_connection", "_say", "_seen", "algorithms", "done")

    def __init__(
        self,
        connection: "ClientConnection",
        *,
        confirm: Confirm | None = None,
        say: Callable[[str], object] | None = None,
    ) -> None:
        self._connection = connection
        self._confirm = confirm
        self._say = say or (lambda text: None)
        self._seen = False
        self.algorithms: Sequence[str] = connection.layer.algorithms.host_keys
        self.done: Deferred[None] = Deferred()

    def received(self, body: bytes) -> None:
        """Take the server's list; RemoteProtocolError where it is damaged.  Only the first counts."""
        keys = self._parse(body)
        if self._seen:
            return
        self._seen = True
        verifier = self._connection.verifier
        if not verifier.is_known or verifier.trusted is not None or not verifier.files:
            self._end("the server's own key is in no file of the user's")
            return
        try:
            known = self._load()
        except SSHKitError as error:
            self._end(str(error))
            return
        match = known.lookup(verifier.host, verifier.port)
        shown = self._connection.host_key
        if all(key.blob != shown.blob for key in keys):
            self._end("the server does not list the key that it uses")
            return
        if match.authorities or not match.entries:
            self._end("an authority vouches for the host" if match.authorities else "the host is in no file")
            return
        if any(_is_shared(entry, verifier.name) for entry in match.entries):
            self._end("a line of the host names others too")
            return
        have = {entry.blob for entry in match.entries}
        new = [key for key in keys if key.blob not in have]
        wanted = {key.blob for key in keys}
        gone = [entry for entry in match.entries if entry.blob not in wanted]
        if not new and not gone:
            self._end("the keys are known already")
        elif not new:
            self._ask(keys, new, gone)
        else:
            self._prove(keys, new, gone)

    def _parse(self, body: bytes) -> "list[PublicKey]":
        """Return the keys of types that we would take; certificates and unknown ones are passed over."""
        keys: list[PublicKey] = []
        reader = WireReader(body)
        count = 0
        while reader.position < reader.end:
            blob = reader.string("host key")
            count += 1
            if count > MAX_KEYS:
                raise RemoteProtocolError(f"more than {MAX_KEYS} host keys")
            try:
                key = parse_public_key(blob)
                key.check_usable()
            except KeyFileError:
                continue
            if key in keys:  # a server whose configuration names it twice
                continue
            if any(name in self.algorithms for name in key.signature_algorithms):
                keys.append(key)
        return keys

    def _load(self) -> "KnownHosts":
        from sshkit_keys import KnownHosts

        return KnownHosts.load(self._connection.verifier.files[:1])

    def _prove(self, keys: "list[PublicKey]", new: "list[PublicKey]", gone: "Sequence[HostEntry]") -> None:
        """Have the server sign with each new key for this very connection."""
        layer = self._connection.layer

        def proved(body: bytes) -> None:
            reader = WireReader(body)
            for key in new:
                signature = reader.string("proof")
                data = string(PROVE) + string(layer.session_id) + string(key.blob)
                _verify(key, data, signature)
            reader.finish("proofs of host keys")
            self._ask(keys, new, gone)

        request = b"".join(string(key.blob) for key in new)
        asked = self._connection._require().global_request(PROVE, request)
        asked.add_callback(proved).add_errback(self._failed)

    def _ask(self, keys: "list[PublicKey]", new: "list[PublicKey]", gone: "Sequence[HostEntry]") -> None:
        lines = ["The server has updated its host keys."]
        lines += [f"Learned new hostkey: {key.label} {key.fingerprint()}" for key in new]
        lines += [f"Deprecating obsolete hostkey: {_label(entry)}" for entry in gone]
        text = "\n".join(lines)
        if self._confirm is None:
            self._write(True, keys, text)
            return
        answer = maybe_deferred(self._confirm, f"{text}\nAccept updated hostkeys? (yes/no): ")
        answer.add_callback(self._write, keys, "").add_errback(self._failed)

    def _write(self, yes: bool, keys: "Sequence[PublicKey]", text: str) -> None:
        if not yes:
            self._end("not accepted")
            return
        from sshkit_keys import update_host_keys

        verifier = self._connection.verifier
        place = printable(verifier.files[0], 4096)
        try:
            changed = update_host_keys(
                verifier.files[0],
                verifier.host,
                verifier.port,
                keys,
                hashed=verifier.hash_names,
                random_bytes=verifier.random_bytes,
            )
        except (OSError, SSHKitError) as error:
            self._end(f"{place}: {error}")
            return
        self._end(f"{place}: {len(changed.added)} host keys added, {len(changed.removed)} removed")

    def _failed(self, failure: Failure) -> None:
        """End without a change; what the server got wrong ends nothing else."""
        error = failure.exception
        if not isinstance(error, SSHKitError):
            failure.raise_exception()
        self._end(f"the server's new keys are not proved: {error}")

    def _end(self, text: str) -> None:
        self._say(f"UpdateHostKeys: {text}")
        if not self.done.called:
            self.done.callback(None)


def _verify(key: "PublicKey", data: bytes, signature: bytes) -> None:
    """Raise SSHKitError unless the key signed with one of its algorithms."""
    try:
        algorithm = WireReader(signature).text("signature algorithm")
    except WireError as error:
        raise RemoteProtocolError(f"a damaged proof: {error}") from None
    key.verify(algorithm, data, signature)


def _is_shared(entry: "HostEntry", name: str) -> bool:
    """Say whether a line is about more than one host, so that it is not this host's to change."""
    return not entry.patterns.digest and entry.patterns.text.lower() != name.lower()


def _label(entry: "HostEntry") -> str:
    try:
        key = entry.key
    except KeyFileError:
        return f"{printable(entry.key_type, 64)} ({printable(entry.place, 4096)})"
    return f"{key.label} {key.fingerprint()} ({printable(entry.place, 4096)})"
