"""Private keys on their way into an agent (RFC 9987 section 5.2; PROTOCOL.certkeys for certificates).

Called by the client to send and by the server to take.  A plain key is its type and its private fields; one
with a certificate is the certificate and only those private fields that the certificate does not tell.
"""

from typing import NamedTuple

from sshkit_keys.errors import UnsupportedKey
from sshkit_keys.key import PrivateKey, PublicKey, contradiction
from sshkit_keys.key_types import KEY_TYPES
from sshkit_keys.text import quoted
from sshkit_keys.wire import WireReader, string

from sshkit.ssh.agent.key_blobs import CERTIFICATE_SUFFIX, parse_blob, plain_key


class AddedKey(NamedTuple):
    """What an add request brings."""

    private: PrivateKey
    public: PublicKey  #: the certificate, where there is one
    comment: str


def encode_key(private: PrivateKey, comment: str, certificate: PublicKey | None = None) -> bytes:
    """Return key and comment as an add request holds them.  Secret."""
    fields = private._private_fields()
    if certificate is None:
        return string(private.public.key_type) + fields + string(comment)
    if plain_key(certificate) != private.public:
        raise contradiction("the certificate is of another key")
    told = _told_by_certificate(private.public)
    return string(certificate.key_type) + string(certificate.blob) + fields[len(told) :] + string(comment)


def read_key(reader: WireReader) -> AddedKey:
    """Read key and comment; what follows are constraints.

    Raises UnsupportedKey, KeyFormatError or WireError.
    """
    name = reader.text("key type")
    if not name.endswith(CERTIFICATE_SUFFIX):
        private = _read_private(name, reader)
        return AddedKey(private, private.public, _comment(reader))
    certificate = parse_blob(reader.string("certificate"))
    if certificate.key_type != name:
        raise contradiction("the certificate is of another type")
    public = plain_key(certificate)
    told = _told_by_certificate(public)
    whole = WireReader(told + bytes(reader.data[reader.position :]))
    private = _read_private(public.key_type, whole)
    reader.position += whole.position - len(told)
    if private.public != public:
        raise contradiction("the certificate is of another key")
    return AddedKey(private, certificate, _comment(reader))


def _read_private(name: str, reader: WireReader) -> PrivateKey:
    kind = KEY_TYPES.get(name)
    if kind is None:
        raise UnsupportedKey(f"key type {quoted(name, 64)} is not supported")
    private = kind.private.read(name, reader)
    private.public.check_usable()
    return private


def _comment(reader: WireReader) -> str:
    return reader.string("comment").decode("utf-8", "replace")


def _told_by_certificate(public: PublicKey) -> bytes:
    """Return the first private fields of a plain key, which its certificate tells already."""
    reader = WireReader(public.blob)
    reader.view("key type")
    if public.key_type == "ssh-rsa":
        exponent, modulus = reader.string("exponent"), reader.string("modulus")
        return string(modulus) + string(exponent)
    if "ecdsa-sha2-" in public.key_type:
        return string(reader.string("curve")) + string(reader.string("point"))
    return b""


__all__ = ["AddedKey", "encode_key", "read_key"]
