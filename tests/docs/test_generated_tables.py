"""Tables that come from the code are as `docs/generate.py` writes them."""

import importlib.util
import re
from pathlib import Path

import pytest

from sshkit.config.without_effect import GONE
from tests.docs.pages import ROOT, section

PAGES = sorted((ROOT / "docs").glob("**/*.md"))


def _generator() -> object:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATOR = _generator()


@pytest.mark.parametrize("page", [page for page in PAGES if "<!-- table:" in page.read_text()], ids=str)
def test_a_page_is_what_the_code_says(page: Path) -> None:
    text = page.read_text()
    assert GENERATOR.generated(text) == text  # type: ignore[attr-defined]


def test_every_table_is_on_a_page() -> None:
    on_pages = {name for page in PAGES for name in re.findall(r"<!-- table: ([\w-]+) -->", page.read_text())}
    assert on_pages == set(GENERATOR.TABLES)  # type: ignore[attr-defined]


def test_the_keywords_that_are_gone_are_those_of_the_code() -> None:
    text = section("docs/ssh_config.md", "Keywords that are gone from OpenSSH too")
    assert {word.lower() for word in re.findall(r"`(\w+)`", text)} == set(GONE)
