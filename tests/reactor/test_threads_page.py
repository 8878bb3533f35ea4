"""The example of docs/core/threads.md runs and prints what it should."""

import re

import pytest

from tests.docs.pages import ROOT


def test_the_example_prints_what_it_should(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "core" / "threads.md").read_text()
    (block,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    exec(compile(block, "threads.md", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out == "counting 2\n6\n1\n"
