"""sshkit-keygen makes keys (-t, -A) and changes their passphrase, format (-p) and comment (-c)."""

import os
from typing import cast

from sshkit_keys.errors import KeyFileError, KeyFormatError, UnsupportedKey
from sshkit_keys.formats import find_format
from sshkit_keys.key import PrivateKey, PublicKey
from sshkit_keys.key_files import load_private_key, write_private_key, write_public_key
from sshkit_keys.key_types import Kind, generate_private_key
from sshkit_keys.text import printable

from sshkit_cli.keygen import Options, UsageError
from sshkit_cli.keygen_files import (
    AskedPassphrase,
    ask_path,
    ask_secret,
    key_path,
    load_private,
    may_overwrite,
    passphrase_of,
    read_file,
    read_line,
    user_at_host,
)

#: What -t takes, and the name of the file that is proposed.
KINDS = {
    "ecdsa": "ecdsa",
    "ecdsa-sk": "ecdsa_sk",
    "ed25519": "ed25519",
    "ed25519-sk": "ed25519_sk",
    "ed448": "ed448",
    "mldsa44-ed25519": "mldsa44_ed25519",
    "rsa": "rsa",
}
HOST_KEYS: tuple[Kind, ...] = ("rsa", "ecdsa", "ed25519")
_OPENSSH_BEGINS = b"-----BEGIN OPENSSH PRIVATE KEY-----"


def make_key(options: Options) -> int:
    """Make a key pair and write its two files."""
    values = options.values
    kind = _kind(values.get("-t", "ed25519"))
    bits = options.number("-b", 0) or None
    _check_format(options)
    if not options.quiet:
        print(f"Generating public/private {kind} key pair.", flush=True)
    path = values.get("-f") or ask_path("Enter file in which to save the key", KINDS[kind])
    exists = os.path.lexists(path)
    if exists and not may_overwrite(path):
        return 1
    if "-f" not in values:
        _make_folder(os.path.dirname(path), options.quiet)
    passphrase = _new_passphrase(values)
    key = _generate(kind, bits if kind in ("ecdsa", "rsa") else None, values.get("-C"), options)
    write_private_key(path, _serialise(key, passphrase, options), overwrite=exists)
    write_public_key(f"{path}.pub", key.public, overwrite=True)
    if not options.quiet:
        print(f"Your identification has been saved in {printable(path)}")
        print(f"Your public key has been saved in {printable(path)}.pub")
        print("The key fingerprint is:")
        print(f"{key.public.fingerprint()} {printable(key.comment)}")
        print("The key's randomart image is:")
        print(picture(key.public, "sha256"))
    return 0


def make_host_keys(options: Options) -> int:
    """Make the host keys that are missing, without passphrases; -f's folder stands for the root."""
    folder = os.path.join(options.values.get("-f") or "/", "etc", "ssh")
    made: list[str] = []
    for kind in HOST_KEYS:
        path = os.path.join(folder, f"ssh_host_{kind}_key")
        if os.path.exists(path) and os.path.getsize(path):
            continue
        key = generate_private_key(kind, comment=options.values.get("-C", user_at_host()))
        write_private_key(path, key.to_openssh(random_bytes=os.urandom), overwrite=True)
        write_public_key(f"{path}.pub", key.public, overwrite=True)
        made.append(kind.upper())
    if made and not options.quiet:
        print(f"sshkit-keygen: generating new host keys: {' '.join(made)} ")
    return 0


def change_passphrase(options: Options) -> int:
    """Write a private key again, under another passphrase or in another format."""
    path = key_path(options)
    _check_format(options)
    key = load_private(path, options)
    if key.comment and not options.quiet:
        print(f"Key has comment '{printable(key.comment)}'", flush=True)
    write_private_key(path, _serialise(key, _new_passphrase(options.values), options), overwrite=True)
    if not options.quiet:
        print("Your identification has been saved with the new passphrase.")
    return 0


def change_comment(options: Options) -> int:
    """Write a private key and its .pub file again, with another comment."""
    path = key_path(options)
    if not read_file(path)[0].startswith(_OPENSSH_BEGINS):
        raise KeyFormatError("comments are kept in OpenSSH's format only; convert the key with -p", path)
    passphrase = passphrase_of(path, options)
    key = load_private_key(path, passphrase)
    print(f"Old comment: {printable(key.comment)}" if key.comment else "No existing comment", flush=True)
    comment = options.values.get("-C")
    if comment is None:
        comment = read_line("New comment: ")
        if comment is None:
            return 1
    key.comment = comment
    secret = passphrase.answer if isinstance(passphrase, AskedPassphrase) else passphrase
    write_private_key(path, _serialise(key, secret, options), overwrite=True)
    write_public_key(f"{path}.pub", key.public, overwrite=True)
    print(f"Comment '{printable(comment)}' applied" if comment else "Comment removed")
    return 0


def picture(key: PublicKey, hash_name: str) -> str:
    """Return the key's randomart."""
    from sshkit_keys.fingerprints import randomart

    return randomart(key.blob, f"{key.label} {key.bits}", hash_name)


def _kind(name: str) -> Kind:
    if name.lower() not in KINDS:
        raise UnsupportedKey(f"unknown key type {printable(name)}; {', '.join(KINDS)} are known")
    return cast("Kind", name.lower())


def _generate(kind: Kind, bits: int | None, comment: str | None, options: Options) -> PrivateKey:
    comment = user_at_host() if comment is None else comment
    if kind not in ("ecdsa-sk", "ed25519-sk"):
        if options.settings:
            raise UsageError(f"option -O {printable(options.settings[0])} is for security keys")
        return generate_private_key(kind, bits, comment)
    from sshkit_keys.security_key_devices import enroll

    application, user, touch, verification = "ssh:", "openssh", True, False
    for setting in options.settings:
        name, _, value = setting.partition("=")
        if name == "application" and value.startswith("ssh:"):
            application = value
        elif name == "user" and value:
            user = value
        elif setting == "no-touch-required":
            touch = False
        elif setting == "verify-required":
            verification = True
        else:
            raise UsageError(f"option -O {printable(setting)} is not known for security keys")
    if not options.quiet:
        print("You may need to touch your authenticator to authorize key generation.", flush=True)
    return enroll(
        kind,
        comment,
        application=application,
        user=user,
        touch_required=touch,
        verification_required=verification,
    )


def _check_format(options: Options) -> None:
    """Refuse a format that private keys cannot be written in, before anything is made or asked."""
    name = options.values.get("-m", "RFC4716")
    if name.upper() != "RFC4716" and find_format(name).write_private is None:
        raise UnsupportedKey(f"private keys are not written in the format {printable(name)}")


def _serialise(key: PrivateKey, passphrase: bytes, options: Options) -> bytes:
    name = options.values.get("-m", "OpenSSH").upper()
    if name not in ("OPENSSH", "RFC4716"):  # RFC 4716 has no private keys: ssh-keygen takes it for its own
        write = find_format(name).write_private
        assert write is not None  # _check_format saw that
        return write(key, passphrase or None, os.urandom)
    return key.to_openssh(
        passphrase or None,
        options.number("-a", 24),
        options.values.get("-Z", "aes256-ctr"),
        random_bytes=os.urandom,
    )


def _make_folder(folder: str, quiet: bool) -> None:
    if folder and not os.path.isdir(folder):
        os.mkdir(folder, 0o700)
        if not quiet:
            print(f"Created directory '{printable(folder)}'.")


def _new_passphrase(values: dict[str, str]) -> bytes:
    """Return -N's passphrase, or ask for one twice."""
    if "-N" in values:
        return os.fsencode(values["-N"])
    for _ in range(_PASSPHRASE_TRIES):
        first = ask_secret("Enter passphrase (empty for no passphrase): ")
        if first == ask_secret("Enter same passphrase again: "):
            return first
        print("Passphrases do not match.  Try again.", flush=True)
    raise KeyFileError(f"the passphrases did not match {_PASSPHRASE_TRIES} times")


#: A terminal that always answers differently must not keep the command for ever.
_PASSPHRASE_TRIES = 10
