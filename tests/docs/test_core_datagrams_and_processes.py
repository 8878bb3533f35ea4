"""The examples of docs/core/datagrams.md and docs/core/processes.md run and print what they should."""

import re

import pytest

from tests.docs.pages import ROOT


@pytest.mark.parametrize(
    ("page", "printed"),
    [
        ("datagrams", "answering at 127.0.0.1\n"),
        ("processes", "a\nb\nsh exited with 3: no disk\n4 5\n"),
    ],
)
def test_the_examples_run(page: str, printed: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "core" / f"{page}.md").read_text()
    for block in re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        exec(compile(block, page, "exec"), {"__name__": "example"})
    assert capsys.readouterr().out == printed
