"""The example of docs/core/databases.md runs and prints what it should."""

import re

import pytest

from tests.docs.pages import ROOT


def test_the_example_prints_what_it_should(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "core" / "databases.md").read_text()
    (block,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    exec(compile(block, "databases.md", "exec"), {"__name__": "example"})
    rows, error = capsys.readouterr().out.splitlines()
    assert rows == "[('ann', 7), ('bob', 3)]"
    assert re.fullmatch(
        r"'UPDATE account SET .*': IntegrityError: CHECK constraint failed: balance >= 0", error
    )
