"""A file of groups for the key exchange (moduli)."""

from sshkit.server.moduli import load_moduli
from tests.fuzz.targets.disk import written


def parse(data: bytes) -> None:
    warnings: list[str] = []
    groups = load_moduli(written(data), warnings.append)
    assert all(text.isprintable() for text in warnings), warnings
    assert all(group.prime.bit_length() >= 2048 for group in groups)
