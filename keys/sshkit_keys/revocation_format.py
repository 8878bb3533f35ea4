"""Key revocation lists in their binary form (PROTOCOL.krl in OpenSSH's sources).

Called by `revocation`.  A list that is not understood whole is refused: what it cannot tell might be that
this very key is revoked.
"""

from typing import TYPE_CHECKING

from .errors import KeyFormatError, UnsupportedKey, WireError
from .revocation_serials import BITMAP, LIST, RANGE, encode_sections
from .text import quoted
from .wire import WireReader, byte, string, uint32, uint64

if TYPE_CHECKING:
    from .revocation import RevocationList

MAGIC = b"SSHKRL\n\0"
_FORMAT_VERSION = 1

_CERTIFICATES, _KEYS, _SHA1, _SIGNATURE, _SHA256, _EXTENSION = 1, 2, 3, 4, 5, 255
_KEY_ID, _CERTIFICATE_EXTENSION = 0x23, 0x39
DIGEST_BYTES = {_SHA1: 20, _SHA256: 32}


def read_binary(target: "RevocationList", data: bytes, place: str) -> None:
    """Add to `target` what a list says; its version, time and comment become the target's."""
    reader = WireReader(data)
    reader.position = len(MAGIC)
    try:
        version = reader.uint32("format version")
        if version != _FORMAT_VERSION:
            raise UnsupportedKey(f"a revocation list of format {version}; only {_FORMAT_VERSION} is known")
        target.version = reader.uint64("list version")
        target.generated = reader.uint64("time of making")
        reader.uint64("flags")
        reader.view("reserved")
        target.comment = reader.string("comment").decode("utf-8", "replace")
        while reader.position < reader.end:
            kind = reader.byte("section type")
            _read_section(target, kind, WireReader(reader.view("section")))
    except WireError as error:
        raise KeyFormatError(f"the revocation list is damaged: {error}", place) from None
    except (KeyFormatError, UnsupportedKey) as error:
        raise type(error)(error.cause, place) from None


def _read_section(target: "RevocationList", kind: int, section: WireReader) -> None:
    if kind == _CERTIFICATES:
        _read_certificates(target, section)
    elif kind == _KEYS:
        while section.position < section.end:
            target.keys.add(section.string("revoked key"))
    elif kind in DIGEST_BYTES:
        digests = target.sha1 if kind == _SHA1 else target.sha256
        while section.position < section.end:
            digest = section.string("revoked hash")
            if len(digest) != DIGEST_BYTES[kind]:
                raise KeyFormatError(f"a hash of {len(digest)} bytes, expected {DIGEST_BYTES[kind]}")
            digests.add(digest)
    elif kind == _EXTENSION:
        _skip_extension(section)
    elif kind == _SIGNATURE:
        # No OpenSSH ever signed one, and later ones cannot check it.
        raise UnsupportedKey("a signed revocation list; nothing makes or checks these signatures")
    else:
        raise UnsupportedKey(f"a revocation list with a section of type {kind}, which is not known")


def _read_certificates(target: "RevocationList", section: WireReader) -> None:
    authority = section.string("authority's key")
    section.view("reserved")
    while section.position < section.end:
        kind = section.byte("certificate section type")
        part = WireReader(section.view("certificate section"))
        if kind == _CERTIFICATE_EXTENSION:
            _skip_extension(part)
            continue
        revoked = target.authority(authority)
        if kind == LIST:
            while part.position < part.end:
                serial = part.uint64("serial")
                revoked.serials.add(serial, serial)
        elif kind == RANGE:
            revoked.serials.add(part.uint64("first serial"), part.uint64("last serial"))
        elif kind == BITMAP:
            revoked.serials.add_bitmap(part.uint64("bitmap's offset"), part.mpint("bitmap"))
        elif kind == _KEY_ID:
            while part.position < part.end:
                revoked.key_ids.add(part.string("key id"))
        else:
            raise UnsupportedKey(f"a revocation list with a certificate section of type {kind}")
        part.finish("certificate section")


def _skip_extension(section: WireReader) -> None:
    """Pass over an extension of the format, unless it must be understood."""
    name = section.text("extension's name")
    critical = section.boolean("extension is critical")
    section.view("extension's contents")
    section.finish("extension")
    if critical:
        raise UnsupportedKey(f"a revocation list with the critical extension {quoted(name, 64)}")


def write_binary(source: "RevocationList", version: int, comment: str, generated: int) -> bytes:
    """Return the whole file; sections and their entries are in ssh-keygen's order."""
    parts = [
        MAGIC,
        uint32(_FORMAT_VERSION),
        uint64(version),
        uint64(generated),
        uint64(0),
        string(b""),
        string(comment),
    ]
    for authority, revoked in source.authorities.items():
        section = [string(authority), string(b"")]
        for kind, contents in encode_sections(revoked.serials):
            section += [byte(kind), string(contents)]
        if revoked.key_ids:
            section += [byte(_KEY_ID), string(b"".join(map(string, sorted(revoked.key_ids))))]
        parts += [byte(_CERTIFICATES), string(b"".join(section))]
    for kind, entries in ((_KEYS, source.keys), (_SHA1, source.sha1), (_SHA256, source.sha256)):
        if entries:
            parts += [byte(kind), string(b"".join(map(string, sorted(entries))))]
    return b"".join(parts)
