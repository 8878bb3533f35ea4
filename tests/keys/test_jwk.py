"""JSON Web Keys: the RFCs' own examples, and what is refused."""

import json
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from sshkit_keys import (
    KeyFormatError,
    PrivateKey,
    SSHKitError,
    UnsupportedKey,
    generate_private_key,
    parse_private_key,
    parse_public_file,
    parse_public_half,
)
from sshkit_keys.jwk import read_jwk

#: RFC 8037 appendix A.1.
ED25519 = {
    "kty": "OKP",
    "crv": "Ed25519",
    "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",
    "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
}
#: RFC 7517 appendix A.2.
P256 = {
    "kty": "EC",
    "crv": "P-256",
    "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
    "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
    "d": "870MB6gfuTJ4HtUnUvYMyJpr5eUZNP4Bk43bVdj3eAE",
    "use": "enc",
    "kid": "1",
}


def b64(value: bytes | int) -> str:
    raw = value.to_bytes((value.bit_length() + 7) // 8, "big") if isinstance(value, int) else value
    return urlsafe_b64encode(raw).decode().rstrip("=")


def jwk_of(key: PrivateKey) -> dict[str, Any]:
    """Return the JSON Web Key of a key of ours."""
    handle = key._handle()
    if key.public.label == "RSA":
        numbers = handle.private_numbers()
        names = {"d": numbers.d, "p": numbers.p, "q": numbers.q}
        names |= {"n": numbers.public_numbers.n, "e": numbers.public_numbers.e}
        return {"kty": "RSA", "kid": "me"} | {name: b64(value) for name, value in names.items()}
    if key.public.label == "ECDSA":
        numbers = handle.private_numbers()
        size = (key.public.bits + 7) // 8
        names = {"x": numbers.public_numbers.x, "y": numbers.public_numbers.y, "d": numbers.private_value}
        texts = {name: b64(value.to_bytes(size, "big")) for name, value in names.items()}
        return {"kty": "EC", "crv": f"P-{key.public.bits}", "kid": "me"} | texts
    curve = "Ed25519" if key.public.label == "ED25519" else "Ed448"
    public = handle.public_key().public_bytes_raw()
    return {"kty": "OKP", "crv": curve, "kid": "me", "x": b64(public), "d": b64(handle.private_bytes_raw())}


def dump(members: object) -> bytes:
    return json.dumps(members).encode()


@pytest.mark.parametrize("members", [ED25519, P256])
def test_the_examples_of_the_rfcs_are_read(members: dict[str, Any]) -> None:
    key = parse_private_key(dump(members))
    assert key.comment == members.get("kid", "")
    public = {name: value for name, value in members.items() if name != "d"}
    assert parse_public_file(dump(public)) == key.public


def test_a_key_of_each_type_is_read(key: PrivateKey) -> None:
    members = jwk_of(key)
    for data in (dump(members), b" \n" + dump({"keys": [members]})):
        read = parse_private_key(data)
        assert read.public == key.public
        assert read.comment == "me"
        assert parse_public_half(data) == parse_public_file(data) == key.public


def test_ed448_is_read() -> None:
    key = generate_private_key("ed448")
    assert parse_private_key(dump(jwk_of(key))).public == key.public


@pytest.mark.parametrize(
    ("data", "error", "cause"),
    [
        (b"{", KeyFormatError, "line 1: not JSON at column 2"),
        (b"{\n 'a'", KeyFormatError, "line 2: not JSON at column 2"),
        (b"{\xff", KeyFormatError, "not JSON: not UTF-8, or a number too long"),
        (b'{"kty":' + b"1" * 5000 + b"}", KeyFormatError, "not JSON: not UTF-8, or a number too long"),
        (b"[" * 60000, KeyFormatError, "the JSON nests too deeply"),
        (b"{" + b" " * 65536, KeyFormatError, "the key has 65537 bytes, at most 65536"),
        (dump({"keys": [ED25519, P256]}), UnsupportedKey, "a set of 2 keys; only one"),
        (dump({"keys": []}), UnsupportedKey, "a set of 0 keys; only one"),
        (dump({"keys": [1]}), KeyFormatError, "JSON, but not a key"),
        (dump({"keys": 1}), KeyFormatError, "JSON, but not a key"),
        (dump([ED25519]), KeyFormatError, "JSON, but not a key"),
        (dump({"kty": 1}), KeyFormatError, "the key's member 'kty' is not there, or is no text"),
        (dump({"kty": "oct", "k": "AAAA"}), UnsupportedKey, "keys of kind 'oct' are not used"),
        (dump({"kty": "OKP", "crv": "X25519"}), UnsupportedKey, "curve 'X25519' is not used"),
        (dump({"kty": "EC", "crv": "secp256k1"}), UnsupportedKey, "curve 'secp256k1' is not used"),
        (dump(P256 | {"x": "AAAA"}), KeyFormatError, "the key's member 'x' has 3 bytes, expected 32"),
        (dump(P256 | {"y": P256["x"]}), KeyFormatError, "the public point does not lie on nistp256"),
        (dump(P256 | {"x": P256["x"] + "="}), KeyFormatError, "the key's member 'x' is not base64url"),
        (dump(P256 | {"x": "A"}), KeyFormatError, "the key's member 'x' is not base64url"),
        (dump({"kty": "RSA", "e": "AQAB"}), KeyFormatError, "the key's member 'n' is not there"),
        (dump({"kty": "RSA", "e": "AAAA", "n": "AQAB"}), KeyFormatError, "the key's member 'e' is zero"),
        (dump({"kty": "RSA", "e": "AQAB", "n": "_" * 4000}), KeyFormatError, "the key's member 'n' is zero"),
        (dump({"kty": "RSA", "e": "AQAB", "n": "_" * 5000}), KeyFormatError, "the key's member 'n' is not"),
        (
            dump({"kty": "RSA", "e": "AQAB", "n": "_" * 2732}),
            KeyFormatError,
            "the (public )?key ",
        ),
    ],
)
def test_what_is_no_key_is_told_from_what_is_unsupported(
    data: bytes, error: type[SSHKitError], cause: str
) -> None:
    with pytest.raises(error, match=f"^id: {cause}"):
        parse_public_file(data, "id")
    with pytest.raises(SSHKitError, match=r"^id: "):
        parse_private_key(data, None, "id")


def test_a_private_key_whose_parts_do_not_belong_together_is_refused(keys: dict[str, PrivateKey]) -> None:
    rsa = jwk_of(keys["rsa"])
    cases: list[tuple[dict[str, Any], type[SSHKitError], str]] = [
        (ED25519 | {"x": P256["x"]}, KeyFormatError, "two halves are different keys"),
        (ED25519 | {"d": "AAAA"}, KeyFormatError, "member 'd' has 3 bytes"),
        (P256 | {"d": "AQ"}, KeyFormatError, "public half does not belong"),
        (P256 | {"d": b64(1 << 9000)}, KeyFormatError, "outside of its range"),
        (rsa | {"p": rsa["q"]}, KeyFormatError, "primes do not belong"),
        (rsa | {"p": b64(1 << 1024)}, KeyFormatError, "primes do not belong"),
        (rsa | {"d": b64((1 << 16391) - 1)}, KeyFormatError, "is damaged"),
        (rsa | {"oth": []}, UnsupportedKey, "without its two primes"),
        ({name: rsa[name] for name in ("kty", "n", "e", "d")}, UnsupportedKey, "without its two primes"),
    ]
    for members, error, cause in cases:
        with pytest.raises(error, match=f"^id: .*{cause}"):
            parse_private_key(dump(members), None, "id")


def test_r43_a_damaged_file_does_not_put_its_secret_into_the_error() -> None:
    data = dump(P256)[:-1]
    with pytest.raises(KeyFormatError) as caught:
        parse_private_key(data, None, "id")
    assert P256["d"] not in repr(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    assert repr(read_jwk(dump(P256))) == "<JWK 'EC'>"
