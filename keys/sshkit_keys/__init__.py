"""Keys, signatures and trust files of SSH.  Needs no reactor.

Names are loaded on use (PEP 562): importing the package costs nothing.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .allowed_signers import (
        AllowedSigners,
        load_allowed_signers,
        parse_allowed_signers,
    )
    from .authorized_keys import (
        AuthorizedEntry,
        AuthorizedKeys,
        load_authorized_keys,
        parse_authorized_keys,
    )
    from .authorized_principals import (
        AuthorizedPrincipals,
        load_authorized_principals,
        parse_authorized_principals,
    )
    from .certificate_options import (
        DEFAULT_USER_EXTENSIONS,
        check_source_address,
    )
    from .certificate_signing import (
        CertificateSigner,
        CertifiedKey,
        sign_certificate,
    )
    from .certificate_text import (
        format_certificate,
    )
    from .certificate_times import (
        FOREVER,
        format_time,
        format_validity,
        parse_duration,
        parse_time,
        parse_validity,
    )
    from .certificates import (
        CERTIFICATE_TYPES,
        Certificate,
        parse_certificate,
        parse_key_or_certificate,
        parse_key_or_certificate_line,
    )
    from .errors import (
        CertificateError,
        KeyFileError,
        KeyFormatError,
        KeyPermissionsError,
        PassphraseRequired,
        RevokedKeyError,
        SignatureError,
        SSHKitError,
        TimeFormatError,
        TrustFileError,
        UnsupportedKey,
        WireError,
        WrongPassphrase,
    )
    from .fingerprints import (
        bubble_babble,
        fingerprint,
        randomart,
    )
    from .key import (
        PrivateKey,
        PublicKey,
    )
    from .key_files import (
        find_public_keys,
        load_private_key,
        load_public_key,
        parse_private_key,
        parse_public_file,
        parse_public_half,
        write_private_key,
        write_public_key,
    )
    from .key_types import (
        KEY_TYPES,
        generate_private_key,
        parse_public_key,
        parse_public_line,
    )
    from .known_hosts import (
        HostEntry,
        HostKeyMatch,
        HostKeyStatus,
        HostKeyVerdict,
        KnownHosts,
        add_host_key,
        format_host_line,
    )
    from .known_hosts_edit import (
        hash_hosts,
        remove_host,
        update_host_keys,
    )
    from .revocation import (
        RevocationList,
    )
    from .security_keys import (
        SecurityKeySignature,
        verify_security_key,
    )
    from .signatures import (
        Signature,
        hash_message,
        parse_signature,
        sign_message,
    )
    from .sshfp import (
        SSHFPRecord,
        parse_sshfp,
        sshfp_records,
    )
    from .strict_modes import (
        check_strict_modes,
    )
else:  # hidden from type checkers, whom it would make accept every misspelt name

    def __getattr__(name: str) -> object:
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module

        value: object = getattr(import_module(f"{__name__}.{home}"), name)
        globals()[name] = value
        return value


_HOMES = {
    "allowed_signers": (
        "AllowedSigners",
        "load_allowed_signers",
        "parse_allowed_signers",
    ),
    "authorized_keys": (
        "AuthorizedEntry",
        "AuthorizedKeys",
        "load_authorized_keys",
        "parse_authorized_keys",
    ),
    "authorized_principals": (
        "AuthorizedPrincipals",
        "load_authorized_principals",
        "parse_authorized_principals",
    ),
    "certificate_options": (
        "DEFAULT_USER_EXTENSIONS",
        "check_source_address",
    ),
    "certificate_signing": (
        "CertificateSigner",
        "CertifiedKey",
        "sign_certificate",
    ),
    "certificate_text": ("format_certificate",),
    "certificate_times": (
        "FOREVER",
        "format_time",
        "format_validity",
        "parse_duration",
        "parse_time",
        "parse_validity",
    ),
    "certificates": (
        "CERTIFICATE_TYPES",
        "Certificate",
        "parse_certificate",
        "parse_key_or_certificate",
        "parse_key_or_certificate_line",
    ),
    "errors": (
        "CertificateError",
        "KeyFileError",
        "KeyFormatError",
        "KeyPermissionsError",
        "PassphraseRequired",
        "RevokedKeyError",
        "SSHKitError",
        "SignatureError",
        "TimeFormatError",
        "TrustFileError",
        "UnsupportedKey",
        "WireError",
        "WrongPassphrase",
    ),
    "fingerprints": (
        "bubble_babble",
        "fingerprint",
        "randomart",
    ),
    "key": (
        "PrivateKey",
        "PublicKey",
    ),
    "key_files": (
        "find_public_keys",
        "load_private_key",
        "load_public_key",
        "parse_private_key",
        "parse_public_file",
        "parse_public_half",
        "write_private_key",
        "write_public_key",
    ),
    "key_types": (
        "KEY_TYPES",
        "generate_private_key",
        "parse_public_key",
        "parse_public_line",
    ),
    "known_hosts": (
        "HostEntry",
        "HostKeyMatch",
        "HostKeyStatus",
        "HostKeyVerdict",
        "KnownHosts",
        "add_host_key",
        "format_host_line",
    ),
    "known_hosts_edit": (
        "hash_hosts",
        "remove_host",
        "update_host_keys",
    ),
    "revocation": ("RevocationList",),
    "security_keys": (
        "SecurityKeySignature",
        "verify_security_key",
    ),
    "signatures": (
        "Signature",
        "hash_message",
        "parse_signature",
        "sign_message",
    ),
    "sshfp": (
        "SSHFPRecord",
        "parse_sshfp",
        "sshfp_records",
    ),
    "strict_modes": ("check_strict_modes",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "CERTIFICATE_TYPES",
    "DEFAULT_USER_EXTENSIONS",
    "FOREVER",
    "KEY_TYPES",
    "AllowedSigners",
    "AuthorizedEntry",
    "AuthorizedKeys",
    "AuthorizedPrincipals",
    "Certificate",
    "CertificateError",
    "CertificateSigner",
    "CertifiedKey",
    "HostEntry",
    "HostKeyMatch",
    "HostKeyStatus",
    "HostKeyVerdict",
    "KeyFileError",
    "KeyFormatError",
    "KeyPermissionsError",
    "KnownHosts",
    "PassphraseRequired",
    "PrivateKey",
    "PublicKey",
    "RevocationList",
    "RevokedKeyError",
    "SSHFPRecord",
    "SSHKitError",
    "SecurityKeySignature",
    "Signature",
    "SignatureError",
    "TimeFormatError",
    "TrustFileError",
    "UnsupportedKey",
    "WireError",
    "WrongPassphrase",
    "add_host_key",
    "bubble_babble",
    "check_source_address",
    "check_strict_modes",
    "find_public_keys",
    "fingerprint",
    "format_certificate",
    "format_host_line",
    "format_time",
    "format_validity",
    "generate_private_key",
    "hash_hosts",
    "hash_message",
    "load_allowed_signers",
    "load_authorized_keys",
    "load_authorized_principals",
    "load_private_key",
    "load_public_key",
    "parse_allowed_signers",
    "parse_authorized_keys",
    "parse_authorized_principals",
    "parse_certificate",
    "parse_duration",
    "parse_key_or_certificate",
    "parse_key_or_certificate_line",
    "parse_private_key",
    "parse_public_file",
    "parse_public_half",
    "parse_public_key",
    "parse_public_line",
    "parse_signature",
    "parse_sshfp",
    "parse_time",
    "parse_validity",
    "randomart",
    "remove_host",
    "sign_certificate",
    "sign_message",
    "sshfp_records",
    "update_host_keys",
    "verify_security_key",
    "write_private_key",
    "write_public_key",
]


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))
