"""Certificates and keys from wherever a program has them: files, bytes, objects; and files that change.

Called by the options when they make their context.
"""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from time import monotonic
from typing import Any, NamedTuple, cast

from cryptography import x509
from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from ...text import shown, shown_error
from .errors import TLSConfigurationError

#: A certificate, or the path or PEM bytes of one; a file may hold its chain behind it.
CertificateLike = x509.Certificate | str | bytes | os.PathLike[str]

#: A private key of cryptography's, or the path or PEM bytes of one without a passphrase.
KeyLike = Any

#: Seconds between two looks at the files of a ReloadingCertificate.
LOOK_INTERVAL = 1.0


class Pair(NamedTuple):
    """What a side shows: its certificate, the rest of the chain, the key."""

    certificate: x509.Certificate
    key: Any
    chain: tuple[x509.Certificate, ...] = ()


def load_certificates(source: CertificateLike) -> list[x509.Certificate]:
    """Return the certificates of a file, of PEM bytes, or the one given."""
    if isinstance(source, x509.Certificate):
        return [source]
    data, place = _bytes_of(source)
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise TLSConfigurationError(
            f"{place} holds no certificate in PEM form: {shown_error(error)}"
        ) from None


def load_key(source: KeyLike) -> Any:
    """Return the private key of a file or of PEM bytes, or the one given."""
    if not isinstance(source, str | bytes | os.PathLike):
        return source
    data, place = _bytes_of(source)
    try:
        return serialization.load_pem_private_key(data, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise TLSConfigurationError(f"{place} holds no usable private key: {shown_error(error)}") from None
    except InternalError:  # cryptography's answer to an Ed25519 or Ed448 key of another length
        raise TLSConfigurationError(f"{place} holds no usable private key: it is damaged") from None


def load_pair(certificate: CertificateLike, key: KeyLike, chain: Iterable[CertificateLike] = ()) -> Pair:
    """Load a certificate, its key and its chain; raise TLSConfigurationError where they do not fit."""
    first, *rest = load_certificates(certificate)
    for source in chain:
        rest += load_certificates(source)
    private = load_key(key)
    if not hasattr(private, "public_key"):
        raise TLSConfigurationError(f"a private key is needed, not {type(private).__name__}")
    if _public_bytes(private.public_key()) != _public_bytes(first.public_key()):
        raise TLSConfigurationError(f"{_place(key)} does not belong to {_place(certificate)}")
    return Pair(first, private, tuple(rest))


def _public_bytes(key: Any) -> bytes:
    return cast(
        "bytes",
        key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo),
    )


def _place(source: Any) -> str:
    return shown(os.fspath(source)) if isinstance(source, str | os.PathLike) else "what was given"


def _bytes_of(source: str | bytes | os.PathLike[str]) -> tuple[bytes, str]:
    if isinstance(source, bytes):
        return source, "what was given"
    try:
        return Path(source).read_bytes(), shown(os.fspath(source))
    except OSError as error:
        raise TLSConfigurationError(f"{shown(os.fspath(source))}: {shown_error(error)}") from None


class ReloadingCertificate:
    """A certificate and key in files that somebody renews while the program runs.

    Goes where a certificate goes in the options.  Connections made from a second after the change show the
    new pair.  While the files do not load, or do not fit each other, the old pair stays and that is logged,
    once for each state of the files.
    """

    __slots__ = ("_certificate_path", "_key_path", "_looked", "_now", "_pair", "_stamp")

    def __init__(
        self,
        certificate_path: str | os.PathLike[str],
        key_path: str | os.PathLike[str],
        *,
        now: Callable[[], float] = monotonic,
    ) -> None:
        """Load the files; raises TLSConfigurationError if they are not good now."""
        self._certificate_path = certificate_path
        self._key_path = key_path
        self._now = now
        self._looked = now()
        self._stamp = self._look()
        self._pair = load_pair(certificate_path, key_path)

    def current(self) -> Pair:
        """Return the pair to show now; the same object until the files have changed."""
        now = self._now()
        if now - self._looked >= LOOK_INTERVAL:
            self._looked = now
            stamp = self._look()
            if stamp != self._stamp:
                self._stamp = stamp
                try:
                    self._pair = load_pair(self._certificate_path, self._key_path)
                except TLSConfigurationError as error:
                    import logging

                    logging.getLogger("sshkit.reactor").warning(
                        "the certificate shown stays the old one: %s", error
                    )
        return self._pair

    def _look(self) -> tuple[object, ...]:
        stamp: list[object] = []
        for path in (self._certificate_path, self._key_path):
            try:
                status = os.stat(path)
            except OSError as error:
                stamp.append(error.errno)
            else:
                stamp += (status.st_mtime_ns, status.st_size, status.st_ino)
        return tuple(stamp)
