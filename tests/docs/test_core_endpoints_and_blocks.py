"""The examples of docs/core/endpoints.md and docs/core/blocks.md run and print what they should."""

import re

import pytest

from sshkit.reactor.endpoints.table import CLIENT_KINDS, SERVER_KINDS
from tests.docs.pages import ROOT

PAGES = ROOT / "docs" / "core"


@pytest.mark.parametrize(
    ("page", "printed"),
    [
        ("endpoints.md", "b'HELLO'\nb'AGAIN'\n"),
        ("services.md", "one starts\ntwo starts\nthree starts\nthree stops\ntwo stops\none stops\n"),
        ("blocks.md", "beat\nbeat\nLATER\nmissed 0\n"),
    ],
)
def test_the_example_prints_what_it_should(
    page: str, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (text,) = re.findall(r"^```python\n(.*?)^```$", (PAGES / page).read_text(), re.MULTILINE | re.DOTALL)
    exec(compile(text, page, "exec"), {"__name__": "example"})
    assert capsys.readouterr().out == printed


def test_every_kind_of_endpoint_is_on_the_page() -> None:
    text = (PAGES / "endpoints.md").read_text()
    for kind in {*CLIENT_KINDS, *SERVER_KINDS}:
        assert f"`{kind}:" in text
