"""The pages for users, and the pieces of them that tests look at."""

import re
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("**/*.md")])


class Block(NamedTuple):
    """One block of Python in a page."""

    page: str  #: relative to the repository
    number: int  #: counted from 1 in its page
    text: str

    @property
    def name(self) -> str:
        """What tests call it."""
        return f"{self.page}:{self.number}"


def python_blocks() -> list[Block]:
    """Return every block of Python of every page."""
    blocks = []
    for path in PAGES:
        if path.parent.name == "core" or path.name == "from-twisted.md":
            continue  # each of those has a test of its own
        found = re.findall(r"^```python\n(.*?)^```$", path.read_text(), re.MULTILINE | re.DOTALL)
        page = str(path.relative_to(ROOT))
        blocks += [Block(page, number, text) for number, text in enumerate(found, 1)]
    return blocks


def section(page: str, heading: str) -> str:
    """Return what lies between a heading and the next one."""
    text = (ROOT / page).read_text()
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"{page} has no heading {heading!r}"
    return found[1]
