"""Key files: finds out the format, reads and writes.

Called by the client for identities, by the server for host keys, and by sshkit-keygen.  A file that is
missing or may not be read raises the system's OSError, which names it.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator
from itertools import pairwise

from .der import find_label
from .errors import KeyFileError, KeyFormatError, KeyPermissionsError, PassphraseRequired, UnsupportedKey
from .file_access import read_descriptor, write_new_file
from .key import PrivateKey, PublicKey
from .key_types import KEY_TYPES, decode_blob, parse_public_key, parse_public_line
from .openssh_format import LABEL, open_envelope, parse_openssh_private
from .pem import Armour, find_private, find_public
from .text import printable
from .trust_files import MAX_LINE_BYTES

#: The largest key, encrypted and armoured, has 20 KiB; OpenSSH ends at 1 MiB too.
MAX_KEY_FILE_BYTES = 1 << 20

#: How PuTTY's files begin.
PUTTY_MAGIC = b"PuTTY-User-Key-File-"
_RFC4716 = b"---- BEGIN SSH2 PUBLIC KEY ----"
#: How the names of certificates' types end (PROTOCOL.certkeys).
CERTIFICATE_SUFFIX = "-cert-v01@openssh.com"
#: Words are what spaces and tabs part.
_WORD = re.compile("[^ \\t]+")
#: The shortest line with a key is one of a tiny RSA key; shorter ones need no look.
_SHORTEST_LINE = 32

#: What opens an encrypted key.  The function is called only if there is something to open.
Passphrase = bytes | Callable[[], bytes] | None


def parse_private_key(data: bytes, passphrase: Passphrase = None, source: str = "private key") -> PrivateKey:
    """Read a private key of any supported format, which the bytes tell; `source` is named in errors.

    Raises PassphraseRequired, WrongPassphrase, UnsupportedKey or KeyFormatError.
    """
    if data.startswith(PUTTY_MAGIC):
        from .putty import parse_putty_private, read_putty

        file = read_putty(data, source)
        return parse_putty_private(file, _ask(passphrase, file.is_encrypted, source), source)
    if _is_json(data):
        from .jwk import parse_jwk_private, read_jwk

        return parse_jwk_private(read_jwk(data, source))
    block = _private_block(data, source)
    if block.label == LABEL:
        envelope = open_envelope(block.body, source)
        return parse_openssh_private(envelope, _ask(passphrase, envelope.cipher is not None, source), source)
    from .pkcs8 import is_encrypted, parse_pem_private

    return parse_pem_private(block, _ask(passphrase, is_encrypted(block), source), source)


def _private_block(data: bytes, source: str) -> Armour:
    """Return the armoured private key, or one in DER as if it had been armoured."""
    label = find_label(data)
    if label is None:
        return find_private(data, source)
    if not label.endswith("PRIVATE KEY"):
        raise KeyFormatError("a public key, where a private key is needed", source)
    return Armour(label, {}, data)


def _is_json(data: bytes) -> bool:
    return data[:64].lstrip().startswith((b"{", b"["))


def _ask(passphrase: Passphrase, encrypted: bool, source: str) -> bytes | None:
    """Return the passphrase if one is needed and there is one."""
    if not encrypted or passphrase is None:
        return None
    if isinstance(passphrase, bytes):
        return passphrase
    answer = passphrase()
    if not answer:
        raise PassphraseRequired("the key is encrypted; no passphrase was given", source)
    return answer


def parse_public_half(data: bytes, source: str = "private key") -> PublicKey:
    """Return the public key of a private key file without opening the private part.

    The comment is known only if the key is not encrypted, or is PuTTY's.  Raises PassphraseRequired for the
    encrypted formats that hold nothing in clear.
    """
    if data.startswith(PUTTY_MAGIC):
        from .putty import read_putty

        return read_putty(data, source).public
    if _is_json(data):
        return parse_private_key(data, None, source).public
    block = _private_block(data, source)
    if block.label == LABEL:
        envelope = open_envelope(block.body, source)
        if envelope.cipher is not None:
            return envelope.public
        return parse_openssh_private(envelope, None, source).public
    from .pkcs8 import parse_pem_private

    return parse_pem_private(block, None, source).public


def parse_public_file(data: bytes, source: str = "public key") -> PublicKey:
    """Read a public key of any supported format, or the public half of a private one.

    Of a file of lines it is the first key, as in a .pub file; comments and empty lines before it are skipped.
    """
    if data.startswith(PUTTY_MAGIC):
        return parse_public_half(data, source)
    if _is_json(data):
        from .jwk import parse_jwk_public, read_jwk

        return parse_jwk_public(read_jwk(data, source))
    if _RFC4716 in data:
        from .rfc4716 import parse_rfc4716

        return parse_rfc4716(data, source)
    label = find_label(data)
    if label is None and b"-----BEGIN " in data:
        if b" PRIVATE KEY-----" in data:
            return parse_public_half(data, source)
        block = find_public(data, source)
        if block is not None:
            from .spki import LABELS, parse_public_der

            if block.label not in LABELS:
                raise UnsupportedKey(f"{printable(block.label, 64)} is not supported", source)
            return parse_public_der(block.body, source)
    if label is not None:
        from .spki import parse_public_der

        if label.endswith("PRIVATE KEY"):
            return parse_public_half(data, source)
        return parse_public_der(data, source)
    return _first_line(data, source)


def _first_line(data: bytes, source: str) -> PublicKey:
    for number, line in enumerate(data.splitlines(), 1):
        if line.isspace() or not line or line.startswith(b"#"):
            continue
        place = f"{source}:{number}"
        if len(line) > MAX_LINE_BYTES:
            raise KeyFormatError(f"the line is longer than {MAX_LINE_BYTES} bytes", place)
        text = line.decode("utf-8", "replace").strip()
        if not text.startswith("#"):
            if CERTIFICATE_SUFFIX in text:
                from .certificates import parse_key_or_certificate_line

                return parse_key_or_certificate_line(text, place)
            return parse_public_line(text, place)
    raise KeyFormatError("no key in this file", source)


def load_private_key(
    path: str | os.PathLike[str], passphrase: Passphrase = None, check_permissions: bool = True
) -> PrivateKey:
    """Read a private key file.

    With `check_permissions`, a file of ours that group or others may touch raises KeyPermissionsError,
    as in OpenSSH.  Other errors as parse_private_key.
    """
    place = os.fspath(path)
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if check_permissions:
            status = os.fstat(descriptor)
            mode = stat.S_IMODE(status.st_mode)
            if status.st_uid == os.geteuid() and mode & 0o077:
                raise KeyPermissionsError(
                    f"permissions {mode:04o} are too open: only its owner may read a private key", place
                )
        data = read_descriptor(descriptor, MAX_KEY_FILE_BYTES, place)
    finally:
        os.close(descriptor)
    return parse_private_key(data, passphrase, place)


def load_public_key(path: str | os.PathLike[str]) -> PublicKey:
    """Read a public key from its file, or from a private key file if that tells without a passphrase.

    Errors as parse_public_file.
    """
    place = os.fspath(path)
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = read_descriptor(descriptor, MAX_KEY_FILE_BYTES, place)
    finally:
        os.close(descriptor)
    return parse_public_file(data, place)


def find_public_keys(data: bytes, source: str = "file") -> Iterator[PublicKey]:
    """Yield the public keys of a .pub, authorized_keys or known_hosts file, which are told by trying.

    Lines without a key of a supported type are skipped; options, names and markers before it too.
    """
    for number, line in enumerate(data.splitlines(), 1):
        if not _SHORTEST_LINE <= len(line) <= MAX_LINE_BYTES:
            continue
        text = line.decode("utf-8", "replace").strip()
        if not text.startswith("#"):
            key = _find_key(text, f"{source}:{number}")
            if key is not None:
                yield key


def _find_key(text: str, place: str) -> PublicKey | None:
    """Return the first key in a line; each of its words is looked at once."""
    words = list(_WORD.finditer(text))
    quotes = 0
    for word, following in pairwise(words):
        # In options, a space between quotes does not end the word.
        if quotes % 2 == 0 and (word[0] in KEY_TYPES or word[0].endswith(CERTIFICATE_SUFFIX)):
            try:
                blob = decode_blob(word[0], following[0], place)
                comment = text[following.end() :].strip()
                if word[0] in KEY_TYPES:
                    return parse_public_key(blob, comment, place)
                from .certificates import parse_key_or_certificate

                return parse_key_or_certificate(blob, comment, place)
            except KeyFileError:
                pass
        quotes += word[0].replace('\\"', "").count('"')
    return None


def write_private_key(path: str | os.PathLike[str], data: bytes, overwrite: bool = False) -> None:
    """Write a private key file that nobody else can read, not even while it is written (rule R22).

    The file appears whole or not at all.  Raises FileExistsError if it exists, unless `overwrite`.
    """
    write_new_file(os.fspath(path), data, 0o600, overwrite)


def write_public_key(path: str | os.PathLike[str], key: PublicKey, overwrite: bool = False) -> None:
    """Write a .pub file; as write_private_key, but readable for everybody."""
    write_new_file(os.fspath(path), f"{key.to_line()}\n".encode(), 0o644, overwrite)
