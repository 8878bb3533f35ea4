"""Key files: finds out the format, reads and writes.

Called by the client for identities, by the server for host keys, and by sshkit-keygen.  A file that is
missing or may not be read raises the system's OSError, which names it.
"""

import os
import stat
from collections.abc import Callable, Iterator

from .errors import KeyFileError, KeyFormatError, KeyPermissionsError, PassphraseRequired
from .file_access import read_descriptor, write_new_file
from .key import PrivateKey, PublicKey
from .key_types import KEY_TYPES, parse_public_line
from .openssh_format import LABEL, open_envelope, parse_openssh_private
from .pem import find_private
from .pkcs8 import is_encrypted, parse_pem_private
from .trust_files import MAX_LINE_BYTES, cut_word

#: The largest key, encrypted and armoured, has 20 KiB; OpenSSH ends at 1 MiB too.
MAX_KEY_FILE_BYTES = 1 << 20

#: What opens an encrypted key.  The function is called only if there is something to open.
Passphrase = bytes | Callable[[], bytes] | None


def parse_private_key(data: bytes, passphrase: Passphrase = None, source: str = "private key") -> PrivateKey:
    """Read a private key of any supported format; `source` is named in errors.

    Raises PassphraseRequired, WrongPassphrase, UnsupportedKey or KeyFormatError.
    """
    block = find_private(data, source)
    if block.label == LABEL:
        envelope = open_envelope(block.body, source)
        return parse_openssh_private(envelope, _ask(passphrase, envelope.cipher is not None, source), source)
    return parse_pem_private(block, _ask(passphrase, is_encrypted(block), source), source)


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

    The comment is known only if the key is not encrypted.  Raises PassphraseRequired for the encrypted
    formats that hold nothing in clear.
    """
    block = find_private(data, source)
    if block.label == LABEL:
        envelope = open_envelope(block.body, source)
        if envelope.cipher is not None:
            return envelope.public
        return parse_openssh_private(envelope, None, source).public
    return parse_pem_private(block, None, source).public


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
    """Read a public key from its .pub file, or from a private key file if that tells without a passphrase.

    The comments and empty lines before the first key of a .pub file are skipped.
    """
    place = os.fspath(path)
    descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC)
    try:
        data = read_descriptor(descriptor, MAX_KEY_FILE_BYTES, place)
    finally:
        os.close(descriptor)
    if b" PRIVATE KEY-----" in data:
        return parse_public_half(data, place)
    for number, line in enumerate(data.splitlines(), 1):
        text = line.decode("utf-8", "replace").strip()
        if text and not text.startswith("#"):
            return parse_public_line(text, f"{place}:{number}")
    raise KeyFormatError("no key in this file", place)


def find_public_keys(data: bytes, source: str = "file") -> Iterator[PublicKey]:
    """Yield the public keys of a .pub, authorized_keys or known_hosts file, which are told by trying.

    Lines without a key of a supported type are skipped; options, names and markers before it too.
    """
    for number, line in enumerate(data.splitlines(), 1):
        text = line.decode("utf-8", "replace").strip()
        if text.startswith("#") or len(text) > MAX_LINE_BYTES:
            continue
        while text:
            key_type, rest = cut_word(text)
            if key_type in KEY_TYPES:
                try:
                    yield parse_public_line(text, f"{source}:{number}")
                    break
                except KeyFileError:
                    pass
            # In options, a space between quotes does not end the word.
            while key_type.replace('\\"', "").count('"') % 2 and rest:
                more, rest = cut_word(rest)
                key_type += more
            text = rest


def write_private_key(path: str | os.PathLike[str], data: bytes, overwrite: bool = False) -> None:
    """Write a private key file that nobody else can read, not even while it is written (rule R22).

    The file appears whole or not at all.  Raises FileExistsError if it exists, unless `overwrite`.
    """
    write_new_file(os.fspath(path), data, 0o600, overwrite)


def write_public_key(path: str | os.PathLike[str], key: PublicKey, overwrite: bool = False) -> None:
    """Write a .pub file; as write_private_key, but readable for everybody."""
    write_new_file(os.fspath(path), f"{key.to_line()}\n".encode(), 0o644, overwrite)
