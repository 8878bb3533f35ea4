"""sshkit-keygen signs files and checks signatures: -Y (ssh-keygen(1), the SSHSIG format).

git calls it so: `git config gpg.ssh.program sshkit-keygen`.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import time
from typing import BinaryIO, Protocol

from sshkit_keys.allowed_signers import AllowedSigners, load_allowed_signers
from sshkit_keys.certificate_times import parse_time
from sshkit_keys.errors import KeyFileError, SignatureError, SSHKitError
from sshkit_keys.file_access import write_new_file
from sshkit_keys.key import PublicKey
from sshkit_keys.key_files import load_public_key
from sshkit_keys.signatures import (
    MAX_SIGNATURE_BYTES,
    Signature,
    describe,
    hash_message,
    parse_signature,
    plain_key,
    to_be_signed,
)
from sshkit_keys.text import printable

from sshkit_cli.keygen import Options, UsageError
from sshkit_cli.keygen_files import is_private, load_private, may_overwrite, public_half, read_file

_PIECE_BYTES = 1 << 18


class Signer(Protocol):
    """A private key, or one that the agent holds."""

    def sign(self, algorithm: str, data: bytes) -> bytes: ...


class Settings:
    """What -O says."""

    def __init__(self, options: Options) -> None:
        self.hash_name = "sha512"
        self.print_key = False
        self.when = int(time())
        for setting in options.settings:
            name, _, value = setting.partition("=")
            if name == "hashalg" and value in ("sha256", "sha512"):
                self.hash_name = value
            elif name == "verify-time":
                self.when = parse_time(value)
            elif setting == "print-pubkey":
                self.print_key = True
            else:
                raise UsageError(f'Invalid option "{printable(setting)}"')


def sign_or_verify(options: Options) -> int:
    """Do what the word after -Y says."""
    word = options.values["-Y"]
    action = ACTIONS.get(word)
    if action is None:
        raise UsageError(f'Unsupported operation for -Y: "{printable(word)}"')
    needed, function = action
    for option, what in needed.items():
        if not options.values.get(option):
            raise UsageError(f"Too few arguments for {word}: missing {what}")
    if options.files and word != "sign":
        raise UsageError(f"Too many arguments for {word}")
    settings = Settings(options)
    return function(options, settings)


def _sign(options: Options, settings: Settings) -> int:
    path = options.values["-f"]
    data, _ = read_file(path)
    public = public_half(data, path) if is_private(data) else load_public_key(path)
    with _signer(options, path, public) as signer:
        if not options.files:
            if not options.quiet:
                print("Signing data on standard input", file=sys.stderr)
            signature = _make(signer, public, sys.stdin.buffer, options, settings)
            sys.stdout.write(signature.to_armour().decode("ascii"))
        for name in options.files:
            if not options.quiet:
                print(f"Signing file {printable(name)}", file=sys.stderr)
            target = f"{name}.sig"
            with open(name, "rb") as stream:
                signature = _make(signer, public, stream, options, settings)
            exists = os.path.lexists(target)
            if exists and not may_overwrite(target):
                return 1
            write_new_file(target, signature.to_armour(), 0o644, overwrite=exists)
            if not options.quiet:
                print(f"Write signature to {printable(target)}", file=sys.stderr)
    return 0


def _make(
    signer: Signer, public: PublicKey, stream: BinaryIO, options: Options, settings: Settings
) -> Signature:
    namespace = options.values["-n"]
    data = to_be_signed(hash_message(_pieces(stream), settings.hash_name), namespace, settings.hash_name)
    blob = signer.sign(plain_key(public).signature_algorithms[0], data)
    return Signature(public, namespace, settings.hash_name, blob)


@contextmanager
def _signer(options: Options, path: str, public: PublicKey) -> Iterator[Signer]:
    """Give what signs for a key file: its private key, or the agent for a public key or with -U.

    For a public key or a certificate without an agent, the private key beside it is read.
    """
    data, _ = read_file(path)
    private = path if is_private(data) else path.removesuffix(".pub").removesuffix("-cert")
    in_agent = "-U" in options.values or (private != path and not os.path.exists(private))
    if not in_agent and not is_private(data) and os.environ.get("SSH_AUTH_SOCK"):
        in_agent = _agent_holds(public)
    if in_agent:
        from sshkit_cli.keygen_agent import agent_key

        with agent_key(public) as key:
            yield key
        return
    if private == path and not is_private(data):
        raise KeyFileError("a public key, and there is no private key beside it", path)
    key_pair = load_private(private, options)
    if key_pair.public != plain_key(public):
        raise KeyFileError(f"is not the public half of {printable(private)}", path)
    yield key_pair


def _agent_holds(public: PublicKey) -> bool:
    from sshkit_cli.keygen_agent import agent_key

    try:
        with agent_key(public):
            return True
    except SSHKitError:
        return False


def _verify(options: Options, settings: Settings) -> int:
    who = options.values["-I"]
    with _told(options):
        signature, digest = _read(options)
        _refuse_revoked(options, signature)
        signers = _signers(options)
        signers.check(signature, digest, who, options.values["-n"], settings.when)
    if not options.quiet:
        print(describe(signature, who))
    _show_key(signature, settings)
    return 0


def _check_novalidate(options: Options, settings: Settings) -> int:
    with _told(options):
        signature, digest = _read(options)
        signature.verify(digest, options.values["-n"])
    if not options.quiet:
        print(describe(signature, "").replace(" for  with ", " with "))
    _show_key(signature, settings)
    return 0


def _find_principals(options: Options, settings: Settings) -> int:
    signature = _load_signature(options.values["-s"])
    found = _signers(options).find_principals(signature, settings.when)
    for principal in found:
        print(printable(principal))
    if not found:
        raise SignatureError("No principal matched.")
    return 0


def _match_principals(options: Options, settings: Settings) -> int:
    found = _signers(options).match_principals(options.values["-I"])
    for principals in found:
        print(printable(principals, 4096))
    if not found:
        raise SignatureError("No principal matched.")
    return 0


#: The word after -Y: the options it needs, what each holds, and the function.
ACTIONS = {
    "sign": ({"-f": "key file", "-n": "namespace"}, _sign),
    "verify": (
        {"-n": "namespace", "-s": "signature file", "-I": "principal identity", "-f": "allowed keys file"},
        _verify,
    ),
    "check-novalidate": ({"-n": "namespace", "-s": "signature file"}, _check_novalidate),
    "find-principals": ({"-s": "signature file", "-f": "allowed keys file"}, _find_principals),
    "match-principals": ({"-f": "allowed keys file", "-I": "principal identity"}, _match_principals),
}


@contextmanager
def _told(options: Options) -> Iterator[None]:
    """Say on standard output that the signature does not hold; the cause follows on standard error."""
    try:
        yield
    except (SSHKitError, OSError):
        if not options.quiet:
            print("Could not verify signature.", flush=True)
        raise


def _read(options: Options) -> tuple[Signature, bytes]:
    """Return the signature, and the hash of the message on standard input."""
    signature = _load_signature(options.values["-s"])
    return signature, hash_message(_pieces(sys.stdin.buffer), signature.hash_name)


def _load_signature(path: str) -> Signature:
    with open(path, "rb") as stream:
        return parse_signature(stream.read(MAX_SIGNATURE_BYTES + 1), path)


def _signers(options: Options) -> AllowedSigners:
    signers = load_allowed_signers(options.values["-f"])
    for warning in signers.warnings:
        print(f"sshkit-keygen: {warning}", file=sys.stderr)
    return signers


def _refuse_revoked(options: Options, signature: Signature) -> None:
    if "-r" in options.values:
        from sshkit_keys.revocation import RevocationList

        RevocationList.load(options.values["-r"]).check(signature.public)


def _show_key(signature: Signature, settings: Settings) -> None:
    if settings.print_key:
        print(signature.public.to_line())


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(_PIECE_BYTES):
        yield piece
