"""sshkit-keygen converts keys: -e prints a public key for other programs, -i reads theirs.

What a file holds is told from its bytes, so -m says only what to write; with -i it is not needed at all.
"""

import os
import sys

from sshkit_keys.errors import UnsupportedKey
from sshkit_keys.formats import find_format
from sshkit_keys.key import PublicKey
from sshkit_keys.key_files import parse_private_key, parse_public_file
from sshkit_keys.text import printable

from sshkit_cli.keygen import Options
from sshkit_cli.keygen_files import (
    AskedPassphrase,
    is_private,
    key_path,
    passphrase_of,
    public_half,
    read_file,
    user_at_host,
)


def export_key(options: Options) -> int:
    """Print the public key of a file in the format that -m names, or RFC 4716's."""
    name = options.values.get("-m", "RFC4716")
    write = find_format(name).write_public
    if write is None:
        raise UnsupportedKey(f"public keys are not written in the format {printable(name)}")
    data, place = read_file(key_path(options))
    key = public_half(data, place) if is_private(data) else parse_public_file(data, place)
    _print(_export(key, name.upper()) or write(key))
    return 0


def _export(key: PublicKey, name: str) -> bytes | None:
    """Return the forms in which ssh-keygen differs from the plain ones of the table."""
    if name == "RFC4716":
        comment = f"{key.bits}-bit {key.label}, converted by {user_at_host()} from OpenSSH"
        return key.to_rfc4716(comment)
    if name == "PEM" and key.key_type.startswith("ecdsa-"):
        return key.to_spki_pem()
    return None


def import_key(options: Options) -> int:
    """Print the key of a file of any format as OpenSSH has it: a private key, or a public line.

    A private key that was encrypted stays so, under the same passphrase or -N's.
    """
    if "-m" in options.values:
        find_format(options.values["-m"])
    path = key_path(options)
    data, place = read_file(path)
    if not is_private(data):
        _print(f"{parse_public_file(data, place).to_line()}\n".encode())
        return 0
    passphrase = passphrase_of(place, options)
    key = parse_private_key(data, passphrase, place)
    secret = passphrase.answer if isinstance(passphrase, AskedPassphrase) else passphrase
    if "-N" in options.values:
        secret = os.fsencode(options.values["-N"])
    _print(key.to_openssh(secret or None, options.number("-a", 24), random_bytes=os.urandom))
    return 0


def _print(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
