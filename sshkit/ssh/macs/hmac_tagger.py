"""HMAC (RFC 2104) as ciphers ask for it: one keyed state, copied for each packet."""

from struct import Struct

from sshkit.ssh.macs.mac import MAC, Tagger

SEQUENCE = Struct(">I")


class HMACTagger:
    """Computes the tags of one direction."""

    __slots__ = ("_state",)

    def __init__(self, hash_name: str, key: bytes) -> None:
        from cryptography.hazmat.primitives import hashes, hmac

        self._state = hmac.HMAC(key, getattr(hashes, hash_name)())

    def __call__(self, sequence: int, packet: memoryview) -> bytes:
        state = self._state.copy()
        state.update(SEQUENCE.pack(sequence))
        state.update(packet)
        return state.finalize()


def hmac_line(name: str, hash_name: str, size: int, *, etm: bool) -> MAC:
    """Return a line of the table; `hash_name` is a class of the library's, key and tag have `size` bytes."""

    def start(key: bytes) -> Tagger:
        return HMACTagger(hash_name, key)

    return MAC(name, size, size, etm, start)
