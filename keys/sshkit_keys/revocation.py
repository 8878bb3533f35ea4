"""Which keys and certificates are revoked: key revocation lists (PROTOCOL.krl in OpenSSH's sources).

Called by the server (RevokedKeys), the client (RevokedHostKeys), SSHSIG and sshkit-keygen.  A list names keys
by themselves or by a hash, and certificates by serial or key id of one authority or of any.
"""

import os
from collections.abc import Iterator

from .certificates import SUFFIX, Certificate, parse_certificate
from .errors import KeyFormatError, RevokedKeyError, UnsupportedKey, WireError
from .file_access import read_descriptor
from .fingerprints import fingerprint
from .key import PublicKey
from .key_types import decode_blob
from .revocation_format import MAGIC, read_binary, write_binary
from .revocation_serials import SerialSet
from .text import printable, quoted
from .wire import WireReader

#: A list of a million keys by their hash has 36 MB.
MAX_FILE_BYTES = 64 << 20
_SHA256_BYTES = 32


class RevokedCertificates:
    """What is revoked of one authority."""

    __slots__ = ("key_ids", "serials")

    def __init__(self) -> None:
        self.serials = SerialSet()
        self.key_ids: set[bytes] = set()


class RevocationList:
    """What is revoked.  Begins empty; `load` and `parse` read one, `check` asks it."""

    __slots__ = ("authorities", "comment", "generated", "keys", "place", "sha1", "sha256", "version")

    def __init__(self, place: str = "") -> None:
        self.place = place  #: named in errors
        self.version = 0
        self.generated = 0  #: seconds since 1970
        self.comment = ""
        self.keys: set[bytes] = set()  #: blobs of plain keys
        self.sha1: set[bytes] = set()
        self.sha256: set[bytes] = set()
        #: Blob of an authority's key, or b"" for any authority -> what is revoked of its certificates.
        self.authorities: dict[bytes, RevokedCertificates] = {}

    @classmethod
    def parse(cls, data: bytes, place: str = "") -> "RevocationList":
        """Read a list in its binary form, or lines with one public key each, as RevokedKeys takes both.

        Raises KeyFormatError for a damaged one, UnsupportedKey for one that says more than is understood:
        the caller then has to take every key for revoked.
        """
        self = cls(place)
        if len(data) > MAX_FILE_BYTES:
            raise KeyFormatError(f"the revocation list is larger than {MAX_FILE_BYTES} bytes", place)
        if data.startswith(MAGIC):
            read_binary(self, data, place)
        else:
            _read_lines(self, data, place)
        return self

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "RevocationList":
        """Read a file; as `parse`.  One that is missing or may not be read raises the system's OSError."""
        place = os.fspath(path)
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = read_descriptor(descriptor, MAX_FILE_BYTES, place)
        finally:
            os.close(descriptor)
        return cls.parse(data, place)

    def check(self, key: PublicKey) -> None:
        """Raise RevokedKeyError, which names what revokes it, if `key` or anything behind it is revoked.

        Of a certificate, that is its key, itself by serial or key id, and its authority (rule R7).
        """
        if not isinstance(key, Certificate):
            self._check_key(key, "key")
            return
        self._check_key(key.key, "certified key")
        for blob, whose in ((key.authority.blob, "its authority"), (b"", "any authority")):
            revoked = self.authorities.get(blob)
            if revoked is None:
                continue
            if key.key_id.encode() in revoked.key_ids:
                raise self._error(key, "certificate", f"by the key id {quoted(key.key_id)} of {whose}")
            if key.serial in revoked.serials:
                raise self._error(key, "certificate", f"by the serial {key.serial} of {whose}")
        self._check_key(key.authority, "certificate's authority")

    def _check_key(self, key: PublicKey, what: str) -> None:
        import hashlib

        blob = key.blob
        if blob in self.keys:
            raise self._error(key, what, "by name")
        if self.sha256 and hashlib.sha256(blob).digest() in self.sha256:
            raise self._error(key, what, "by its SHA-256 hash")
        if self.sha1 and hashlib.sha1(blob, usedforsecurity=False).digest() in self.sha1:
            raise self._error(key, what, "by its SHA-1 hash")

    def _error(self, key: PublicKey, what: str, how: str) -> RevokedKeyError:
        return RevokedKeyError(f"the {what} {key.key_type} {key.fingerprint()} is revoked {how}", self.place)

    def authority(self, blob: bytes) -> RevokedCertificates:
        """Return what is revoked of the authority with this key blob (b"": of any); it may be added to."""
        found = self.authorities.get(blob)
        if found is None:
            found = self.authorities[blob] = RevokedCertificates()
        return found

    def revoke_key(self, key: PublicKey, explicit: bool = False) -> None:
        """Revoke a key by itself; a certificate by its serial, or by its key id if it has none.

        With `explicit`, the key inside of a certificate is revoked, which ends all of its certificates.
        """
        if not isinstance(key, Certificate):
            self.keys.add(key.blob)
        elif explicit:
            self.keys.add(key.key.blob)
        elif key.serial:
            self.revoke_serials(key.authority, key.serial)
        else:
            self.revoke_key_id(key.authority, key.key_id)

    def revoke_hash(self, key: PublicKey, hash_name: str = "sha256") -> None:
        """Revoke a key by its hash ("sha256" or "sha1"), which does not tell the key."""
        import hashlib

        blob = key.key.blob if isinstance(key, Certificate) else key.blob
        if hash_name == "sha256":
            self.sha256.add(hashlib.sha256(blob).digest())
        elif hash_name == "sha1":
            self.sha1.add(hashlib.sha1(blob, usedforsecurity=False).digest())
        else:
            raise UnsupportedKey(f"unknown hash {quoted(hash_name)}; sha256 and sha1 are known")

    def revoke_fingerprint(self, text: str, place: str = "") -> None:
        """Revoke the key with the fingerprint "SHA256:..." in base64, or in hex as `lines` shows it."""
        import binascii

        name, _, encoded = text.partition(":")
        try:
            if len(encoded) == 2 * _SHA256_BYTES:
                digest = bytes.fromhex(encoded)
            else:
                digest = binascii.a2b_base64(encoded.rstrip("=") + "=", strict_mode=True)
            if name.upper() != "SHA256" or len(digest) != _SHA256_BYTES:
                raise ValueError
        except ValueError:  # binascii.Error is one
            raise KeyFormatError(f"{quoted(text)} is no fingerprint SHA256:...", place) from None
        self.sha256.add(digest)

    def revoke_serials(self, authority: PublicKey | None, low: int, high: int | None = None) -> None:
        """Revoke the certificates from `low` to `high` of an authority, or of any authority (None)."""
        self.authority(_blob(authority)).serials.add(low, low if high is None else high)

    def revoke_key_id(self, authority: PublicKey | None, key_id: str) -> None:
        """Revoke all certificates with this key id of an authority, or of any authority (None)."""
        self.authority(_blob(authority)).key_ids.add(key_id.encode("utf-8", "surrogateescape"))

    def update(
        self,
        data: bytes,
        authority: PublicKey | None = None,
        *,
        any_authority: bool = False,
        place: str = "",
    ) -> None:
        """Revoke what the lines of a specification say, or the keys and certificates it holds.

        ``serial:`` and ``id:`` lines are about `authority`, or with `any_authority` about every one; without
        either they are errors.  Raises KeyFormatError or UnsupportedKey with the line's place.
        """
        from .revocation_spec import read_spec

        read_spec(self, data, authority, any_authority, place)

    def merge(self, other: "RevocationList") -> None:
        """Revoke all that another list revokes."""
        self.keys |= other.keys
        self.sha1 |= other.sha1
        self.sha256 |= other.sha256
        for blob, revoked in other.authorities.items():
            mine = self.authority(blob)
            mine.serials.update(revoked.serials)
            mine.key_ids |= revoked.key_ids

    def to_bytes(self, version: int | None = None, comment: str | None = None, *, generated: int) -> bytes:
        """Return the list in its binary form, as ssh-keygen would write it; `generated` is the time now."""
        return write_binary(
            self,
            self.version if version is None else version,
            self.comment if comment is None else comment,
            generated,
        )

    def lines(self) -> Iterator[str]:
        """Yield the lines of ``ssh-keygen -Q -l``, most of which `update` would read again."""
        from datetime import datetime

        from .certificate_times import LAST_SHOWN

        moment = datetime.fromtimestamp(min(self.generated, LAST_SHOWN))
        yield f"# KRL version {self.version}"
        yield f"# Generated at {moment.strftime('%Y%m%dT%H%M%S')}"
        if self.comment:
            yield f"# Comment: {printable(self.comment, 4096)}"
        yield ""
        for blob in sorted(self.keys):
            yield f"hash: {fingerprint(blob)} # {_type_name(blob)}"
        for digest in sorted(self.sha256):
            yield f"hash: SHA256:{digest.hex()}"  # not base64, as ssh-keygen shows it
        for digest in sorted(self.sha1):
            yield f"# hash SHA1:{digest.hex()}"
        for blob, revoked in self.authorities.items():
            yield ""
            yield f"# CA key {_type_name(blob)} {fingerprint(blob)}" if blob else "# Wildcard CA"
            for low, high in revoked.serials.ranges():
                yield f"serial: {low}" if low == high else f"serial: {low}-{high}"
            for key_id in sorted(revoked.key_ids):
                yield f"id: {printable(key_id, 4096)}"


def _blob(authority: PublicKey | None) -> bytes:
    return b"" if authority is None else authority.blob


def _type_name(blob: bytes) -> str:
    try:
        return printable(WireReader(blob).view("key type"), 64)
    except WireError:
        return "(damaged)"


def _read_lines(target: RevocationList, data: bytes, place: str) -> None:
    """Read a list of public keys; a type that is not supported is revoked all the same, by its blob."""
    for number, raw in enumerate(data.split(b"\n"), 1):
        words = raw.decode("utf-8", "replace").split(None, 2)
        if not words or words[0].startswith("#"):
            continue
        here = f"{place}:{number}"
        if len(words) < 2:
            raise KeyFormatError("not a public key line", here)
        blob = decode_blob(words[0], words[1], here)
        if words[0].endswith(SUFFIX):
            blob = parse_certificate(blob, place=here, allow_sha1=True).key.blob
        target.keys.add(blob)
