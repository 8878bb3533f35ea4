"""Talks to a FIDO security key that is plugged in, through the optional package python-fido2.

Called by `security_keys` to sign and by generate_private_key to make a key; nothing else needs a device.
"""

from typing import Any, Literal

from .errors import UnsupportedKey
from .security_keys import (
    ECDSA,
    ED25519,
    TOUCH_REQUIRED,
    VERIFICATION_REQUIRED,
    SecurityKeyPrivateKey,
    SKECDSAPrivateKey,
    SKECDSAPublicKey,
    SKEd25519PrivateKey,
    SKEd25519PublicKey,
)
from .text import printable
from .wire import WireReader, byte, mpint, string, uint32

#: COSE algorithm numbers (RFC 9053 section 2): ES256 and EdDSA.
_COSE = {"ecdsa-sk": -7, "ed25519-sk": -8}
#: COSE key parameters (RFC 9053 section 7.1): x and y.
_X, _Y = -2, -3


def _device() -> Any:
    """Return the first device's CTAP2 session."""
    from importlib import import_module

    try:
        ctap2: Any = import_module("fido2.ctap2")
        hid: Any = import_module("fido2.hid")
    except ImportError:
        raise UnsupportedKey(
            "a security key takes the package fido2 (the extra sshkit[fido2]), or an agent that signs"
        ) from None
    for found in hid.CtapHidDevice.list_devices():
        return ctap2.Ctap2(found)
    raise UnsupportedKey("no security key is plugged in; an agent that has one can sign")


def sign_with_device(key: SecurityKeyPrivateKey, data: bytes) -> bytes:
    """Return the signature blob; waits for a touch if the key's flags ask for one."""
    import hashlib

    device = _device()
    options = {"up": bool(key.flags & TOUCH_REQUIRED)}
    if key.flags & VERIFICATION_REQUIRED:
        options["uv"] = True
    try:
        answer = device.get_assertion(
            key.application,
            hashlib.sha256(data).digest(),
            [{"type": "public-key", "id": key.key_handle}],
            options=options,
        )
    except Exception as error:  # whatever the device or the library says, the key cannot be used now
        raise UnsupportedKey(f"the security key did not sign: {printable(str(error))}") from None
    inner = answer.signature
    if key.key_type == ECDSA:
        from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

        r, s = decode_dss_signature(inner)
        inner = mpint(r) + mpint(s)
    flags, counter = int(answer.auth_data.flags), int(answer.auth_data.counter)
    return string(key.key_type) + string(inner) + byte(flags) + uint32(counter)


def enroll(
    kind: Literal["ed25519-sk", "ecdsa-sk"],
    comment: str = "",
    *,
    application: str = "ssh:",
    user: str = "openssh",
    touch_required: bool = True,
    verification_required: bool = False,
) -> SecurityKeyPrivateKey:
    """Have the device make a new key, which waits for a touch."""
    device = _device()
    options = {"uv": True} if verification_required else None
    try:
        answer = device.make_credential(
            bytes(32),  # the hash of what attestation would sign; nobody asks for that here
            {"id": application, "name": application},
            {"id": user.encode(), "name": user},
            [{"type": "public-key", "alg": _COSE[kind]}],
            options=options,
        )
        credential = answer.auth_data.credential_data
        numbers = credential.public_key
        handle = bytes(credential.credential_id)
        x, y = bytes(numbers[_X]), bytes(numbers.get(_Y, b""))
    except Exception as error:  # as above
        raise UnsupportedKey(f"the security key made no key: {printable(str(error))}") from None
    flags = TOUCH_REQUIRED if touch_required else 0
    flags |= VERIFICATION_REQUIRED if verification_required else 0
    if kind == "ed25519-sk":
        blob = string(ED25519) + string(x) + string(application)
        public = SKEd25519PublicKey.read(ED25519, _after_name(blob), blob, comment)
        return SKEd25519PrivateKey(public, handle, flags)
    blob = string(ECDSA) + string("nistp256") + string(b"\x04" + x + y) + string(application)
    point = SKECDSAPublicKey.read(ECDSA, _after_name(blob), blob, comment)
    return SKECDSAPrivateKey(point, handle, flags)


def _after_name(blob: bytes) -> WireReader:
    reader = WireReader(blob)
    reader.view("key type")
    return reader
