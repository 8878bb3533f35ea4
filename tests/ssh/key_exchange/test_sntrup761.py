"""sntrup761: the published known answer, and what hostile values get."""

import hashlib
import os

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from sshkit.ssh.key_exchange import sntrup761

#: The first answer of the NIST submission's known answer test, as PQClean publishes its hash.
KNOWN_ANSWER = "afc42c3a5b10f4ef69654250097ebda9b9564570f4086744b24a6daf2bd1f89a"


class Generator:
    """The random generator of NIST's known answer tests: AES-256 in counter mode (SP 800-90A)."""

    def __init__(self, seed: bytes) -> None:
        self.key, self.counter = bytes(32), 0
        self._update(seed)

    def _blocks(self, count: int) -> bytes:
        cipher = Cipher(algorithms.AES(self.key), modes.ECB()).encryptor()
        counters = [(self.counter + step + 1) % (1 << 128) for step in range(count)]
        self.counter = counters[-1]
        return cipher.update(b"".join(number.to_bytes(16, "big") for number in counters))

    def _update(self, seed: bytes) -> None:
        mixed = bytes(a ^ b for a, b in zip(self._blocks(3), seed, strict=True))
        self.key, self.counter = mixed[:32], int.from_bytes(mixed[32:], "big")

    def __call__(self, size: int) -> bytes:
        output = self._blocks((size + 15) // 16)[:size]
        self._update(bytes(48))
        return output


def test_the_answer_is_the_published_one() -> None:
    seed = Generator(bytes(range(48)))(48)
    random_bytes = Generator(seed)
    key = sntrup761.generate(random_bytes)
    secret, ciphertext = sntrup761.encapsulate(key.public, random_bytes)
    parts = [sntrup761._pack_small(key.f), sntrup761._pack_small(key.g_inverse), key.public, key.rho]
    private = b"".join([*parts, sntrup761._hash(4, key.public)])
    fields = {"seed": seed, "pk": key.public, "sk": private, "ct": ciphertext, "ss": secret}
    text = "count = 0\n" + "".join(f"{name} = {value.hex().upper()}\n" for name, value in fields.items())
    assert hashlib.sha256(text.encode()).hexdigest() == KNOWN_ANSWER
    assert sntrup761.decapsulate(key, ciphertext) == secret


def test_both_sides_agree_and_sizes_are_constant() -> None:
    for _ in range(5):
        key = sntrup761.generate(os.urandom)
        secret, ciphertext = sntrup761.encapsulate(key.public, os.urandom)
        assert (len(key.public), len(ciphertext), len(secret)) == (1158, 1039, 32)
        assert sntrup761.decapsulate(key, ciphertext) == secret


def test_r14_a_ciphertext_that_is_not_honest_gives_a_secret_that_nobody_knows() -> None:
    key = sntrup761.generate(os.urandom)
    secret, ciphertext = sntrup761.encapsulate(key.public, os.urandom)
    changed = [ciphertext[:-1] + bytes((ciphertext[-1] ^ 1,)), bytes((ciphertext[0] ^ 1,)) + ciphertext[1:]]
    answers = {sntrup761.decapsulate(key, bad) for bad in (*changed, bytes(1039), b"\xff" * 1039)}
    assert len(answers) == 4
    assert secret not in answers


def test_r14_any_bytes_of_the_right_length_are_a_public_value_and_give_nobody_an_exception() -> None:
    for public in (bytes(1158), b"\xff" * 1158, os.urandom(1158)):
        secret, ciphertext = sntrup761.encapsulate(public, os.urandom)
        assert (len(secret), len(ciphertext)) == (32, 1039)


def test_a_polynomial_without_an_inverse_is_not_taken() -> None:
    draws: list[int] = []

    def random_bytes(size: int) -> bytes:
        draws.append(size)
        # The first small polynomial is all zero: no inverse.
        return (1 << 29).to_bytes(4, "little") * 761 if len(draws) == 1 else os.urandom(size)

    key = sntrup761.generate(random_bytes)
    assert draws == [3044, 3044, 3044, 191]
    secret, ciphertext = sntrup761.encapsulate(key.public, os.urandom)
    assert sntrup761.decapsulate(key, ciphertext) == secret


def test_numbers_survive_their_encoding_at_every_modulus() -> None:
    for modulus in (sntrup761.Q, sntrup761.ROUNDED):
        values = [int.from_bytes(os.urandom(4), "big") % modulus for _ in range(761)]
        assert sntrup761._decode(sntrup761._encode(values, modulus), modulus) == values


def test_r43_a_private_key_does_not_show_itself() -> None:
    assert repr(sntrup761.generate(os.urandom)) == "<sntrup761.PrivateKey>"
