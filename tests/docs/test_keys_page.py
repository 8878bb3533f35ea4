"""docs/keys.md says of every option of authorized_keys where it is enforced, and of every type what it is."""

import re

from sshkit_keys import KEY_TYPES
from sshkit_keys.authorized_options import OPTIONS

from sshkit.server.key_limits import ENFORCED
from tests.docs.pages import ROOT, section

PAGE = "docs/keys.md"


def test_the_table_of_options_is_that_of_the_code() -> None:
    rows = re.findall(
        r"^\| `([\w-]+)` \| (.*) \| `(.*)` \|$",
        section(PAGE, "Who may log in: authorized_keys"),
        re.MULTILINE,
    )
    assert [name for name, _, _ in rows] == sorted(OPTIONS)
    for name, place, test in rows:
        assert place.startswith("sshkit-server") is (name in ENFORCED), name
        assert (ROOT / test).exists()


def test_every_key_type_is_named() -> None:
    text = section(PAGE, "Make, load and write keys")
    for name in KEY_TYPES:
        assert f"`{name}`" in text or f"`{name.removeprefix('ecdsa-sha2')}`" in text, name
