"""docs/algorithms.md has every algorithm, in the order of the code, and says which are offered."""

import re

import pytest

from sshkit.ssh.algorithms import DEFAULT, SERVER_DEFAULT, known_names
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
    rows = re.findall(r"^\| `([^`]+)` \| (yes|by clients|by name) \|", section(PAGE, title), re.MULTILINE)
    by_clients = {entry.name for entry in getattr(DEFAULT, category)}
    by_both = by_clients & {entry.name for entry in getattr(SERVER_DEFAULT, category)}

    def offered(name: str) -> str:
        return "yes" if name in by_both else "by clients" if name in by_clients else "by name"

    assert rows == [(name, offered(name)) for name in known_names(category)]


def test_every_signature_is_named() -> None:
    text = section(PAGE, "Signatures")
    for name in (*DEFAULT.host_keys, *DEFAULT.ca_signatures):
        assert f"`{name}`" in text
