"""Who may sign: allowed_signers files (ssh-keygen(1), ALLOWED SIGNERS).

Called by sshkit-keygen -Y, and by programs that check signatures of `signatures`.  A line names principals
(patterns), options and a key: "alice@x,*@y namespaces="git",valid-before="20300101" ssh-ed25519 AAAA...".
"""

import os
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import BinaryIO

from .authorized_keys import parse_options, starts_with_key
from .certificate_options import CRITICAL_OPTIONS
from .certificate_times import format_time, parse_time
from .certificates import Certificate
from .errors import CertificateError, KeyFileError, SignatureError, TrustFileError
from .host_patterns import matches_glob
from .key import PublicKey
from .signatures import Signature
from .text import quoted
from .trust_files import TrustEntry, cut_word, numbered_lines, warn, worth_reading

_OPTIONS = {"cert-authority": False, "namespaces": True, "valid-after": True, "valid-before": True}


class AllowedSigner(TrustEntry):
    """One line."""

    __slots__ = ("authority", "namespaces", "principals", "valid_after", "valid_before")

    def __init__(self, path: str, line: int, text: str) -> None:
        place = f"{path}:{line}"
        self.principals, text = _principals(text, place)
        options: Mapping[str, tuple[str, ...]] = {}
        if not starts_with_key(text):
            options, text = parse_options(text, place)
            _check_options(options, place)
        super().__init__(path, line, text)
        #: Whether the key signs the certificates of signers, not messages.
        self.authority = "cert-authority" in options
        #: Patterns of the namespaces it may sign for; "" is any.
        self.namespaces = options.get("namespaces", ("",))[0]
        #: Seconds since 1970; 0 is no limit.
        self.valid_after = _time(options, "valid-after", place)
        self.valid_before = _time(options, "valid-before", place)

    def check_time(self, when: int) -> None:
        """Raise SignatureError if the line does not hold at `when` (seconds since 1970)."""
        if self.valid_after and when < self.valid_after:
            start = format_time(self.valid_after)
            raise SignatureError(f"{self.place}: the key is valid from {start}, not at {format_time(when)}")
        if self.valid_before and when > self.valid_before:
            end = format_time(self.valid_before)
            raise SignatureError(f"{self.place}: the key was valid until {end}, not at {format_time(when)}")

    def holds(self, public: PublicKey) -> bool:
        """Say whether the line is about this key, or about the authority of this certificate."""
        if self.authority:
            return isinstance(public, Certificate) and public.authority.blob == self.blob
        return public.blob == self.blob


class AllowedSigners:
    """The lines of a file, and the warnings about damaged ones."""

    __slots__ = ("entries", "warnings")

    def __init__(self) -> None:
        self.entries: list[AllowedSigner] = []
        self.warnings: list[str] = []

    def check(self, signature: Signature, digest: bytes, principal: str, namespace: str, when: int) -> None:
        """Raise SignatureError unless `principal` may sign in `namespace` at `when` and has signed this.

        `digest` is the message's, by `hash_message` with the signature's own hash; `when` is in seconds
        since 1970.  The error tells what kept each line with that key from holding.
        """
        signature.verify(digest, namespace)
        reasons: list[str] = []
        for entry in self.entries:
            if not matches_list(principal, ",".join(entry.principals)) or not entry.holds(signature.public):
                continue
            try:
                self._check_line(entry, signature.public, principal, namespace, when)
            except (SignatureError, CertificateError) as error:
                reasons.append(str(error))
                continue
            return
        found = "; ".join(reasons) or f"no line allows {quoted(principal)} this key"
        raise SignatureError(f"the signature is sound, but not allowed: {found}")

    @staticmethod
    def _check_line(
        entry: AllowedSigner, public: PublicKey, principal: str, namespace: str, when: int
    ) -> None:
        if entry.namespaces and not matches_list(namespace, entry.namespaces):
            raise SignatureError(f"{entry.place}: the key is not for the namespace {quoted(namespace)}")
        entry.check_time(when)
        if isinstance(public, Certificate):
            _check_certificate(public, principal, when, entry.place)

    def find_principals(self, signature: Signature, when: int) -> tuple[str, ...]:
        """Return the principals whom this signature's key belongs to at `when`, each once.

        For a certificate these are its own principals, as far as the line of its authority allows them.
        """
        return tuple(dict.fromkeys(self._principals_of(signature.public, when)))

    def _principals_of(self, public: PublicKey, when: int) -> Iterator[str]:
        for entry in self.entries:
            if not entry.holds(public):
                continue
            try:
                entry.check_time(when)
            except SignatureError:
                continue
            if not entry.authority:
                yield from entry.principals
                continue
            assert isinstance(public, Certificate)
            for principal in public.principals:
                if matches_list(principal, ",".join(entry.principals)):
                    try:
                        _check_certificate(public, principal, when, entry.place)
                    except CertificateError:
                        continue
                    yield principal

    def match_principals(self, principal: str) -> tuple[str, ...]:
        """Return the principal lists of the lines about a principal, as they stand in the file."""
        lists = (",".join(entry.principals) for entry in self.entries)
        return tuple(names for names in lists if matches_list(principal, names))


def matches_list(text: str, patterns: str) -> bool:
    """Match a list of patterns, `*` and `?` in them; one with `!` in front that matches refuses the text."""
    found = False
    for pattern in patterns.split(","):
        if pattern.startswith("!"):
            if matches_glob(pattern[1:], text):
                return False
        elif matches_glob(pattern, text):
            found = True
    return found


def parse_allowed_signers(data: bytes, path: str) -> AllowedSigners:
    """Read a file's contents."""
    return _read(BytesIO(data), path)


def load_allowed_signers(path: str | os.PathLike[str]) -> AllowedSigners:
    """Read a file; OSError if it is missing or cannot be read."""
    place = os.fspath(path)
    with open(place, "rb") as stream:
        return _read(stream, place)


def _read(stream: BinaryIO, path: str) -> AllowedSigners:
    signers = AllowedSigners()
    for number, text in numbered_lines(stream, path, signers.warnings):
        if not worth_reading(text, signers.warnings):
            continue
        try:
            signers.entries.append(AllowedSigner(path, number, text))
        except KeyFileError as error:
            warn(signers.warnings, error)
    return signers


def _principals(text: str, place: str) -> tuple[tuple[str, ...], str]:
    """Return the principals at the start of a line, which may stand in quotes, and the rest."""
    if text.startswith('"'):
        field, quote, text = text[1:].partition('"')
        if not quote:
            raise TrustFileError("the principals have no closing quote", place)
        text = text.lstrip(" \t")
    else:
        field, text = cut_word(text)
    names = tuple(name for name in field.split(",") if name)
    if not names:
        raise TrustFileError("no principals in this line", place)
    return names, text


def _check_options(options: Mapping[str, tuple[str, ...]], place: str) -> None:
    for name, values in options.items():
        if name not in _OPTIONS:
            raise TrustFileError(f"unknown option {quoted(name, 64)}", place)
        if len(values) != _OPTIONS[name]:
            what = "one value" if _OPTIONS[name] else "no value"
            raise TrustFileError(f"the option {name} takes {what}, not {len(values)}", place)


def _time(options: Mapping[str, tuple[str, ...]], name: str, place: str) -> int:
    return parse_time(options[name][0], place) if name in options else 0


def _check_certificate(certificate: Certificate, principal: str, when: int, place: str) -> None:
    try:
        # What limits a login (a command, an address) says nothing about signing; verify-required was
        # looked at with the signature.
        certificate.check("user", principal, when, enforced_options=frozenset(CRITICAL_OPTIONS))
    except CertificateError as error:
        raise CertificateError(error.cause, place) from None
