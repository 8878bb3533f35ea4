"""Links between the pages lead somewhere."""

import re

import pytest

from tests.docs.pages import PAGES, ROOT


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_of_a_page_leads_to_a_file_or_a_heading(page: object) -> None:
    path = next(other for other in PAGES if other == page)
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        file = path if not name else path.parent / name
        assert file.exists(), f"{path.name} links to {target}, which is not there"
        if anchor:
            assert anchor in anchors(file.read_text()), f"{path.name} links to {target}: no such heading"


def test_the_index_has_every_page_for_users() -> None:
    index = (ROOT / "docs" / "index.md").read_text()
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"({page.name})" in index, f"{page.name} is not in the index"


def test_the_index_of_the_core_has_every_page_of_it() -> None:
    folder = ROOT / "docs" / "core"
    index = (folder / "index.md").read_text()
    for page in folder.glob("*.md"):
        assert page.name == "index.md" or f"| [{page.name}]({page.name}) |" in index
