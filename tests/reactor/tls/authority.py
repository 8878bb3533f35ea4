"""A certificate authority for tests: makes whatever certificate a test wants, good or bad."""

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


class Authority:
    """Signs certificates; `certificate` is what others trust."""

    def __init__(self, name: str = "Test Authority", parent: "Authority | None" = None) -> None:
        self.parent = parent
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.certificate = self._sign(
            parent or self, self.name, self.key, [(x509.BasicConstraints(ca=True, path_length=None), True)]
        )

    def _sign(
        self,
        signer: "Authority",
        subject: x509.Name,
        key: Any,
        extensions: list[Any],
        start: int = -1,
        end: int = 30,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(signer.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + start * DAY)
            .not_valid_after(now + end * DAY)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
        builder = builder.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.key.public_key()), False
        )
        return builder.sign(signer.key, hashes.SHA256())

    def issue(
        self,
        *names: str,
        subject: str | None = None,
        start: int = -1,
        end: int = 30,
        purpose: Any = None,
        self_signed: bool = False,
    ) -> tuple[x509.Certificate, Any]:
        """Return a certificate for names and addresses, valid from day `start` to day `end`, and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name(
            [x509.NameAttribute(NameOID.COMMON_NAME, subject or (names[0] if names else "nobody"))]
        )
        extensions: list[Any] = []
        if names:
            found: list[x509.GeneralName] = []
            for text in names:
                try:
                    found.append(x509.IPAddress(ip_address(text)))
                except ValueError:
                    found.append(x509.DNSName(text))
            extensions.append((x509.SubjectAlternativeName(found), False))
        if purpose is not None:
            extensions.append((x509.ExtendedKeyUsage([purpose]), False))
        signer: Any = self
        if self_signed:
            signer = Authority.__new__(Authority)
            signer.key, signer.name = key, name
        return self._sign(signer, name, key, extensions, start, end), key

    @property
    def pem(self) -> bytes:
        """The authority's certificate, for files."""
        return pem(self.certificate)


CLIENT_ONLY = ExtendedKeyUsageOID.CLIENT_AUTH


def pem(certificate: x509.Certificate) -> bytes:
    """Return a certificate as files have it."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: Any) -> bytes:
    """Return a private key as files have it."""
    data: bytes = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return data


def write_pair(folder: Path, name: str, pair: tuple[x509.Certificate, Any]) -> tuple[Path, Path]:
    """Write a certificate and its key; return both paths."""
    paths = folder / f"{name}.pem", folder / f"{name}.key"
    paths[0].write_bytes(pem(pair[0]))
    paths[1].write_bytes(key_pem(pair[1]))
    return paths
