"""Key exchange methods: vectors, agreement of both roles, and values that must be refused (R14)."""

import os
from types import SimpleNamespace
from typing import Any

import pytest
from asyncssh.kex import Kex
from asyncssh.packet import MPInt

from sshkit.ssh.algorithms import DEFAULT
from sshkit.ssh.ciphers.aes_gcm import AES256_GCM
from sshkit.ssh.ciphers.chacha20_poly1305 import CHACHA20_POLY1305
from sshkit.ssh.errors import KeyExchangeFailed
from sshkit.ssh.key_exchange import BY_NAME, KEY_EXCHANGES
from sshkit.ssh.key_exchange.curve448 import Curve448
from sshkit.ssh.key_exchange.curve25519 import Curve25519
from sshkit.ssh.key_exchange.diffie_hellman import (
    GROUP14,
    GROUP15,
    GROUP16,
    GROUP17,
    GROUP18,
    DiffieHellman14,
    DiffieHellman15,
    DiffieHellman16,
    DiffieHellman17,
    DiffieHellman18,
)
from sshkit.ssh.key_exchange.hybrid import Hybrid
from sshkit.ssh.key_exchange.method import Method
from sshkit.ssh.key_exchange.mlkem768x25519 import MLKEM768X25519
from sshkit.ssh.macs.hmac_sha2 import HMAC_SHA2_512
from sshkit.ssh.macs.umac import UMAC_64
from sshkit.ssh.transport.key_schedule import derive_keys

#: Those whose groups are chosen have a test of their own.
METHODS = [method for method in (*KEY_EXCHANGES, *BY_NAME) if not method.chooses_group]
EVERY_METHOD = pytest.mark.parametrize("method", METHODS, ids=[m.name for m in METHODS])
HYBRIDS = [method for method in METHODS if issubclass(method, Hybrid)]


@EVERY_METHOD
def test_both_roles_agree(method: type[Method]) -> None:
    client, server = method(os.urandom), method(os.urandom)
    public = client.client_public()
    answer, secret = server.server_respond(public)
    assert client.client_secret(answer) == secret
    assert method.encode_public(public)
    assert method.encode_secret(secret)


def test_x25519_is_that_of_rfc_7748_section_6_1() -> None:
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    bob = Curve25519(os.urandom)
    bob._private = X25519PrivateKey.from_private_bytes(
        bytes.fromhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    )
    alice_public = bytes.fromhex("8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a")
    public, secret = bob.server_respond(alice_public)
    assert public.hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    assert secret.hex() == "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"


def pi_times(bits: int) -> int:
    """Return the integer part of pi times 2 to the power of `bits`, by Machin's formula."""
    one = 1 << (bits + 64)

    def arctan_of_inverse(x: int) -> int:
        term = total = one // x
        divisor, sign = 1, 1
        while term:
            term //= x * x
            divisor += 2
            sign = -sign
            total += sign * (term // divisor)
        return total

    return 4 * (4 * arctan_of_inverse(5) - arctan_of_inverse(239)) >> 64


def test_the_groups_are_those_of_rfc_3526() -> None:
    assert 2**2048 - 2**1984 - 1 + 2**64 * (pi_times(1918) + 124476) == GROUP14
    assert 2**3072 - 2**3008 - 1 + 2**64 * (pi_times(2942) + 1690314) == GROUP15
    assert 2**4096 - 2**4032 - 1 + 2**64 * (pi_times(3966) + 240904) == GROUP16
    assert 2**6144 - 2**6080 - 1 + 2**64 * (pi_times(6014) + 929484) == GROUP17
    assert 2**8192 - 2**8128 - 1 + 2**64 * (pi_times(8062) + 4743158) == GROUP18


@pytest.mark.parametrize(
    "method", [DiffieHellman14, DiffieHellman15, DiffieHellman16, DiffieHellman17, DiffieHellman18]
)
def test_r14_numbers_outside_of_the_group_are_refused(method: type[DiffieHellman14]) -> None:
    assert method.prime.bit_length() >= 2048
    one = method(os.urandom)
    for value in (-5, 0, 1, method.prime - 1, method.prime, method.prime + 2):
        with pytest.raises(KeyExchangeFailed):
            one.server_respond(value)
        with pytest.raises(KeyExchangeFailed):
            one.client_secret(value)
    for value in (2, method.prime - 2):
        assert one.client_secret(value)


def test_r14_points_of_small_order_and_wrong_length_are_refused() -> None:
    order_8 = bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800")
    for name in ("curve25519-sha256", "curve25519-sha256@libssh.org"):
        method = next(m for m in KEY_EXCHANGES if m.name == name)(os.urandom)
        for value in (b"", bytes(31), bytes(33), bytes(32), b"\1" + bytes(31), order_8):
            with pytest.raises(KeyExchangeFailed):
                method.server_respond(value)
            with pytest.raises(KeyExchangeFailed):
                method.client_secret(value)


@pytest.mark.parametrize("name", ["ecdh-sha2-nistp256", "ecdh-sha2-nistp384", "ecdh-sha2-nistp521"])
def test_r14_points_that_are_not_on_the_curve_are_refused(name: str) -> None:
    method = next(m for m in KEY_EXCHANGES if m.name == name)(os.urandom)
    point = bytearray(method.client_public())
    off = bytes(point[:-1]) + bytes((point[-1] ^ 1,))
    for value in (
        b"",
        b"\0",
        b"\4",
        bytes(len(point)),
        off,
        bytes(point) + b"\0",
        bytes(point[:-1]),
        b"\2" + b"\xff" * 32,
    ):
        with pytest.raises(KeyExchangeFailed):
            method.server_respond(value)


@pytest.mark.parametrize("kind", HYBRIDS, ids=[method.name for method in HYBRIDS])
def test_r14_values_of_the_hybrids_are_checked_part_by_part(kind: type[Hybrid]) -> None:
    client, server = kind(os.urandom), kind(os.urandom)
    public = client.client_public()
    answer, secret = server.server_respond(public)
    size, ciphertext = kind.public_size, kind.ciphertext_size
    bad_point = bytes(len(public) - size)
    for value in (b"", public[:size], public[:-1], public + b"\0", public[:size] + bad_point):
        with pytest.raises(KeyExchangeFailed):
            server.server_respond(value)
    for value in (b"", answer[:ciphertext], answer[:-1], answer + b"\0", answer[:ciphertext] + bad_point):
        with pytest.raises(KeyExchangeFailed):
            client.client_secret(value)
    if kind.name.startswith("mlkem"):  # FIPS 203 section 7.2; of sntrup761 any bytes are a value
        with pytest.raises(KeyExchangeFailed):
            server.server_respond(b"\xff" * size + public[size:])
    implicit = client.client_secret(b"\0" * ciphertext + answer[ciphertext:])  # a wrong secret, no error
    assert implicit != secret


def test_r14_a_value_of_curve448_of_small_order_or_wrong_length_is_refused() -> None:
    for value in (b"", bytes(55), bytes(57), bytes(56), b"\1" + bytes(55)):
        with pytest.raises(KeyExchangeFailed):
            Curve448(os.urandom).client_secret(value)


def test_a_hybrid_declares_what_it_must() -> None:
    class Bare(Hybrid):
        __slots__ = ()
        classic = Curve25519

    hybrid = Bare(os.urandom)
    for call in (hybrid.make_pair, lambda: hybrid.decapsulate(b""), lambda: hybrid.encapsulate(b"")):
        with pytest.raises(NotImplementedError):
            call()


def test_a_method_declares_what_it_must() -> None:
    method = Method(os.urandom)
    for call in (
        method.client_public,
        lambda: method.client_secret(b""),
        lambda: method.server_respond(b""),
    ):
        with pytest.raises(NotImplementedError):
            call()


@pytest.mark.parametrize("to_server", [True, False])
@pytest.mark.parametrize("hash_name", ["sha256", "sha512"])
def test_keys_are_derived_as_another_implementation_derives_them(hash_name: str, to_server: bool) -> None:
    import hashlib

    secret, exchange, session = os.urandom(40), os.urandom(32), os.urandom(32)
    other = Kex(b"x", SimpleNamespace(logger=None), getattr(hashlib, hash_name))  # type: ignore[arg-type]
    number = int.from_bytes(secret, "big")
    letters = b"ACE" if to_server else b"BDF"
    for cipher, mac in ((AES256_GCM, HMAC_SHA2_512), (CHACHA20_POLY1305, None), (AES256_GCM, UMAC_64)):
        keys = derive_keys(hash_name, MPInt(number), exchange, session, cipher, mac, to_server=to_server)

        def derived(letter: int, size: int) -> bytes:
            return other.compute_key(MPInt(number), exchange, bytes((letter,)), session, size)

        assert keys.iv == derived(letters[0], cipher.iv_size)
        assert keys.key == derived(letters[1], cipher.key_size)
        assert keys.mac_key == derived(letters[2], mac.key_size if mac else 0)


def test_r16_the_table_holds_no_weak_method() -> None:
    for method in DEFAULT.key_exchanges:
        assert "sha1" not in method.name
        assert method.hash_name in ("sha256", "sha384", "sha512")


def test_r43_a_method_does_not_show_its_secrets() -> None:
    exponents: list[Any] = [DiffieHellman14(os.urandom), Curve25519(os.urandom), MLKEM768X25519(os.urandom)]
    for method in exponents:
        assert repr(method).startswith("<sshkit.ssh.key_exchange.")
