"""The root of every error that sshkit raises on purpose, and the errors of keys and trust files.

Level 0: everything else derives its errors from here.  Text that came from a file or a peer is escaped
before it enters a message (`sshkit_keys.text`); secrets never enter one (rule R43).
"""

from .text import printable


class SSHKitError(Exception):
    """Root of everything sshkit raises on purpose."""


class WireError(SSHKitError, ValueError):
    """Bytes that are not the SSH data type they should be (RFC 4251 section 5)."""


class KeyFileError(SSHKitError):
    """A key that cannot be used; `place` says which ("path", "path:line", or "" for bytes of a peer)."""

    def __init__(self, cause: str, place: str = "") -> None:
        super().__init__(f"{printable(place, 4096)}: {cause}" if place else cause)
        self.cause = cause
        self.place = place


class KeyFormatError(KeyFileError):
    """The key is damaged, or is not a key at all."""


class PassphraseRequired(KeyFileError):
    """The key is encrypted and no passphrase was given."""


class WrongPassphrase(KeyFileError):
    """The passphrase does not open the key (or its encrypted part is damaged: nobody can tell)."""


class UnsupportedKey(KeyFileError):
    """The key is sound as far as can be seen, but of a type, format or size that is not used here."""


class KeyPermissionsError(KeyFileError):
    """Others may read or change what only its owner should; the message shows the mode."""


class SignatureError(SSHKitError):
    """A signature that does not verify, or that may not be used with this key."""


class CertificateError(KeyFileError):
    """A sound certificate that does not hold here: expired, for somebody else, with unknown limits."""


class RevokedKeyError(KeyFileError):
    """The key or certificate, or the authority behind it, is revoked; the message names by what."""


class TimeFormatError(KeyFileError):
    """A point or span of time that is not written as ssh-keygen(1) wants it."""


class TrustFileError(KeyFileError):
    """A trust file (known_hosts, authorized_keys) that cannot be read or may not be written so."""
