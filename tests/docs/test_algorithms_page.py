"""docs/algorithms.md has every algorithm, in the order of the code, and says which are offered."""

import re

import pytest

from sshkit.ssh.algorithms import DEFAULT, known_names
from tests.docs.pages import section

PAGE = "docs/algorithms.md"


@pytest.mark.parametrize(
    ("title", "category"),
    [
        ("Key exchange", "key_exchanges"),
        ("Ciphers", "ciphers"),
        ("MACs", "macs"),
        ("Compression", "compressions"),
    ],
)
def test_the_table_is_that_of_the_code(title: str, category: str) -> None:
    rows = re.findall(r"^\| `([^`]+)` \| (yes|by name) \|", section(PAGE, title), re.MULTILINE)
    offered = {entry.name for entry in getattr(DEFAULT, category)}
    assert rows == [(name, "yes" if name in offered else "by name") for name in known_names(category)]


def test_every_signature_is_named() -> None:
    text = section(PAGE, "Signatures")
    for name in (*DEFAULT.host_keys, *DEFAULT.ca_signatures):
        assert f"`{name}`" in text
