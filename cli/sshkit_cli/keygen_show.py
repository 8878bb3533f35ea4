"""sshkit-keygen shows keys: the public line (-y), fingerprints (-l), words (-B), records of the DNS (-r)."""

import os
from collections.abc import Iterable

from sshkit_keys.errors import KeyFormatError
from sshkit_keys.key import PublicKey
from sshkit_keys.key_files import find_public_keys, load_private_key, load_public_key, parse_public_file
from sshkit_keys.text import printable

from sshkit_cli.keygen import Options, UsageError
from sshkit_cli.keygen_files import is_private, key_path, passphrase_of, public_half, read_file

_HOST_KEYS = "/etc/ssh/ssh_host_{}_key.pub"
_HOST_KEY_TYPES = ("rsa", "ecdsa", "ed25519", "ed448", "mldsa44_ed25519")


def show_public(options: Options) -> int:
    """Print the public half of a private key; a public key of any format is printed as it is."""
    path = key_path(options)
    data, place = read_file(path)
    if not is_private(data):
        key = parse_public_file(data, place)
    elif path == "-":
        from sshkit_keys.key_files import parse_private_key

        key = parse_private_key(data, passphrase_of(place, options), place).public
    else:
        key = load_private_key(path, passphrase_of(path, options)).public
    print(key.to_line())
    return 0


def show_fingerprints(options: Options) -> int:
    """Print the fingerprint of every key in a file, of whatever kind."""
    for key in _keys_of(key_path(options)):
        print(fingerprint_line(key, options.hash_name))
        if options.verbosity:
            from sshkit_keys.fingerprints import randomart

            print(randomart(key.blob, f"{key.label} {key.bits}", options.hash_name))
    return 0


def show_words(options: Options) -> int:
    """Print the bubble-babble form of every key in a file."""
    from sshkit_keys.fingerprints import bubble_babble

    for key in _keys_of(key_path(options)):
        comment = printable(key.comment) or "no comment"
        print(f"{key.bits} {bubble_babble(key.blob)} {comment} ({key.label})")
    return 0


def show_records(options: Options) -> int:
    """Print the SSHFP records of a key, or of this machine's host keys."""
    from sshkit_keys.sshfp import sshfp_records

    host = options.values["-r"]
    if not host or not host.isprintable() or " " in host:
        raise UsageError("option -r needs a host name")
    hashes = tuple(_record_hash(text) for text in options.settings) or ("sha1", "sha256")
    keys: Iterable[PublicKey]
    if "-f" in options.values:
        keys = _keys_of(options.values["-f"])
    else:
        paths = [_HOST_KEYS.format(kind) for kind in _HOST_KEY_TYPES]
        keys = [load_public_key(path) for path in paths if os.path.exists(path)]
    count = 0
    for key in keys:
        for record in sshfp_records(key, hashes):
            print(f"{host} {record.to_text('-g' in options.values)}")
            count += 1
    if not count:
        raise KeyFormatError("no host key found", _HOST_KEYS.format("*"))
    return 0


def fingerprint_line(key: PublicKey, hash_name: str, comment: str | None = None) -> str:
    """Return the line of ssh-keygen -l."""
    shown = printable(key.comment if comment is None else comment) or "no comment"
    return f"{key.bits} {key.fingerprint(hash_name)} {shown} ({key.label})"


def _keys_of(path: str) -> Iterable[PublicKey]:
    data, place = read_file(path)
    if is_private(data):
        return [public_half(data, place)]
    keys = list(find_public_keys(data, place))
    # Not lines: one key of another format, or an error that says what is wrong.
    return keys or [parse_public_file(data, place)]


def _record_hash(setting: str) -> str:
    name, _, value = setting.partition("=")
    if name != "hashalg" or value not in ("sha1", "sha256"):
        raise UsageError(f"option -O {printable(setting)}: hashalg=sha1 and hashalg=sha256 are known")
    return value
