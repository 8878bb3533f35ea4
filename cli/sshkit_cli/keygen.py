"""sshkit-keygen: makes keys, shows their fingerprints, changes their passphrases.

Options, prompts and exit statuses are ssh-keygen's (ssh-keygen(1)): 255 for an error, 1 for wrong usage
and for a file that was not to be overwritten.  Errors are one line: "sshkit-keygen: FILE: cause".
"""

import getopt
import os
import sys
from collections.abc import Callable
from typing import Literal, NamedTuple

from sshkit_keys.errors import (
    KeyFileError,
    KeyFormatError,
    PassphraseRequired,
    SSHKitError,
    UnsupportedKey,
)
from sshkit_keys.fingerprints import FINGERPRINT_HASHES, randomart
from sshkit_keys.key import PrivateKey, PublicKey
from sshkit_keys.key_files import (
    find_public_keys,
    load_private_key,
    load_public_key,
    parse_public_half,
    write_private_key,
    write_public_key,
)
from sshkit_keys.key_types import generate_private_key
from sshkit_keys.text import printable, quoted
from sshkit_keys.trust_files import MAX_FILE_BYTES

USAGE = """\
usage: sshkit-keygen [-q] [-a rounds] [-b bits] [-C comment] [-f output_keyfile] [-m format]
                     [-N new_passphrase] [-t ecdsa | ed25519 | rsa] [-Z cipher]
       sshkit-keygen -p [-q] [-a rounds] [-f keyfile] [-m format] [-N new_passphrase]
                     [-P old_passphrase] [-Z cipher]
       sshkit-keygen -y [-f input_keyfile] [-P passphrase]
       sshkit-keygen -l [-v] [-E fingerprint_hash] [-f input_keyfile]"""

Kind = Literal["ed25519", "ecdsa", "rsa"]
KINDS: dict[str, Kind] = {"ed25519": "ed25519", "ecdsa": "ecdsa", "rsa": "rsa"}
FORMATS = ("RFC4716", "PKCS8")

_FAILED = 255
_REFUSED = 1


class UsageError(SSHKitError):
    """The command line makes no sense; usage follows the message."""


class Options(NamedTuple):
    """The command line."""

    action: str  #: "", "-l", "-p" or "-y"; "" makes a key
    values: dict[str, str]  #: option with its value, the last one counts

    def number(self, option: str, default: int) -> int:
        """Return the value of an option that takes a number above 0."""
        text = self.values.get(option)
        if text is None:
            return default
        if not text.isascii() or not text.isdecimal() or not 0 < len(text) < 10 or int(text) == 0:
            raise UsageError(f"option {option} needs a number, not {quoted(text)}")
        return int(text)


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    try:
        options = parse(sys.argv[1:] if argv is None else argv)
        return ACTIONS[options.action](options)
    except UsageError as error:
        print(f"sshkit-keygen: {error}", USAGE, sep="\n", file=sys.stderr)
        return _REFUSED
    except SSHKitError as error:
        print(f"sshkit-keygen: {error}", file=sys.stderr)
    except OSError as error:
        place = printable(os.fsdecode(error.filename)) if error.filename else "terminal"
        print(f"sshkit-keygen: {place}: {error.strerror}", file=sys.stderr)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return _REFUSED
    return _FAILED


def parse(argv: list[str]) -> Options:
    """Read the command line."""
    try:
        pairs, rest = getopt.getopt(argv, "a:b:C:E:f:lm:N:P:pqt:vyZ:")
    except getopt.GetoptError as error:
        raise UsageError(printable(str(error))) from None
    if rest:
        raise UsageError("too many arguments")
    actions = {name for name, _ in pairs if name in ACTIONS}
    if len(actions) > 1:
        raise UsageError(f"only one of {', '.join(sorted(actions))} at a time")
    values = dict(pairs)
    if values.get("-E", "sha256").lower() not in FINGERPRINT_HASHES:
        raise UsageError(f"unknown fingerprint hash {quoted(values['-E'])}; sha256 and md5 are known")
    if values.get("-m", "RFC4716").upper() not in FORMATS:
        raise UsageError(f"unknown key format {quoted(values['-m'])}; RFC4716 and PKCS8 are known")
    return Options(actions.pop() if actions else "", values)


def make_key(options: Options) -> int:
    """Make a key pair and write its two files."""
    values = options.values
    name = values.get("-t", "ed25519").lower()
    kind = KINDS.get(name)
    if kind is None:
        raise UnsupportedKey(f"unknown key type {printable(name)}; ed25519, ecdsa and rsa are known")
    bits = options.number("-b", 0) or None
    quiet = "-q" in values
    if not quiet:
        print(f"Generating public/private {kind} key pair.", flush=True)
    path = values.get("-f") or _ask_path("Enter file in which to save the key", kind)
    exists = os.path.lexists(path)
    if exists and not _may_overwrite(path):
        return _REFUSED
    if "-f" not in values:
        _make_folder(os.path.dirname(path), quiet)
    passphrase = _new_passphrase(values)
    key = generate_private_key(
        kind, None if kind == "ed25519" else bits, values.get("-C", _default_comment())
    )
    write_private_key(path, _serialise(key, passphrase, options), overwrite=exists)
    write_public_key(f"{path}.pub", key.public, overwrite=True)
    if not quiet:
        print(f"Your identification has been saved in {printable(path)}")
        print(f"Your public key has been saved in {printable(path)}.pub")
        print("The key fingerprint is:")
        print(f"{key.public.fingerprint()} {printable(key.comment)}")
        print("The key's randomart image is:")
        print(_picture(key.public, "sha256"))
    return 0


def show_public(options: Options) -> int:
    """Print the public half of a private key."""
    path = options.values.get("-f") or _ask_path("Enter file in which the key is")
    print(_load(path, options.values).public.to_line())
    return 0


def change_passphrase(options: Options) -> int:
    """Write a private key again, under another passphrase."""
    values = options.values
    path = values.get("-f") or _ask_path("Enter file in which the key is")
    key = _load(path, values)
    if key.comment and "-q" not in values:
        print(f"Key has comment '{printable(key.comment)}'", flush=True)
    write_private_key(path, _serialise(key, _new_passphrase(values), options), overwrite=True)
    if "-q" not in values:
        print("Your identification has been saved with the new passphrase.")
    return 0


def show_fingerprints(options: Options) -> int:
    """Print the fingerprint of every key in a file, of whatever kind."""
    path = options.values.get("-f") or _ask_path("Enter file in which the key is")
    hash_name = options.values.get("-E", "sha256").lower()
    if path == "-":
        data = sys.stdin.buffer.read(MAX_FILE_BYTES)
        path = "(stdin)"
    else:
        with open(path, "rb") as stream:
            data = stream.read(MAX_FILE_BYTES)
    keys = [_public_half(data, path)] if b" PRIVATE KEY-----" in data else find_public_keys(data, path)
    count = 0
    for count, key in enumerate(keys, 1):  # noqa: B007 - the last number is wanted
        comment = printable(key.comment) or "no comment"
        print(f"{key.bits} {key.fingerprint(hash_name)} {comment} ({key.label})")
        if "-v" in options.values:
            print(_picture(key, hash_name))
    if not count:
        raise KeyFormatError("not a public key file", path)
    return 0


ACTIONS: dict[str, Callable[[Options], int]] = {
    "": make_key,
    "-l": show_fingerprints,
    "-p": change_passphrase,
    "-y": show_public,
}


def _public_half(data: bytes, path: str) -> PublicKey:
    """Return a private key's public half; what an encrypted file does not tell stands in its .pub file."""
    beside = f"{path}.pub"
    try:
        key = parse_public_half(data, path)
    except PassphraseRequired:
        if not os.path.exists(beside):
            raise
        return load_public_key(beside)
    if not key.comment and os.path.exists(beside):
        try:
            public = load_public_key(beside)
        except KeyFileError:
            return key
        return public if public == key else key
    return key


def _load(path: str, values: dict[str, str]) -> PrivateKey:
    """Read a private key, asking for its passphrase if it has one and -P did not tell it."""
    if "-P" in values:
        return load_private_key(path, os.fsencode(values["-P"]))
    return load_private_key(path, lambda: _ask_secret(f'Enter passphrase for "{printable(path)}": '))


def _serialise(key: PrivateKey, passphrase: bytes, options: Options) -> bytes:
    if options.values.get("-m", "").upper() == "PKCS8":
        return key.to_pkcs8(passphrase or None)
    return key.to_openssh(
        passphrase or None,
        options.number("-a", 24),
        options.values.get("-Z", "aes256-ctr"),
        random_bytes=os.urandom,
    )


def _picture(key: PublicKey, hash_name: str) -> str:
    return randomart(key.blob, f"{key.label} {key.bits}", hash_name)


def _default_comment() -> str:
    """Return "user@host"."""
    from pwd import getpwuid

    try:
        user = getpwuid(os.getuid()).pw_name
    except KeyError:
        user = str(os.getuid())
    return f"{user}@{os.uname().nodename}"


def _read_line(prompt: str) -> str | None:
    """Ask on standard output and return the line, or None at the end of the input."""
    print(prompt, end="", flush=True)
    line = sys.stdin.readline()
    return line.rstrip("\n") if line else None


def _ask_path(prompt: str, kind: str = "ed25519") -> str:
    default = os.path.join(os.path.expanduser("~"), ".ssh", f"id_{kind}")
    answer = _read_line(f"{prompt} ({printable(default)}): ")
    if answer is None:
        raise KeyFileError("no file was named")
    return answer or default


def _may_overwrite(path: str) -> bool:
    print(f"{printable(path)} already exists.")
    answer = _read_line("Overwrite (y/n)? ")
    return answer is not None and answer.strip().lower() in ("y", "yes")


def _make_folder(folder: str, quiet: bool) -> None:
    if folder and not os.path.isdir(folder):
        os.mkdir(folder, 0o700)
        if not quiet:
            print(f"Created directory '{printable(folder)}'.")


def _new_passphrase(values: dict[str, str]) -> bytes:
    """Return -N's passphrase, or ask for one twice."""
    if "-N" in values:
        return os.fsencode(values["-N"])
    while True:
        first = _ask_secret("Enter passphrase (empty for no passphrase): ")
        if first == _ask_secret("Enter same passphrase again: "):
            return first
        print("Passphrases do not match.  Try again.", file=sys.stderr)


def _ask_secret(prompt: str) -> bytes:
    """Ask on the terminal without echo; without one, read a line of standard input."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        print(prompt, end="", file=sys.stderr, flush=True)
        return os.fsencode(sys.stdin.readline().rstrip("\n"))
    from getpass import getpass

    return os.fsencode(getpass(prompt))


if __name__ == "__main__":
    sys.exit(main())
