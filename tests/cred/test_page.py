"""The example of docs/core/cred.md runs and prints what it should."""

import re

import pytest

from sshkit.cred import password_hashes
from tests.docs.pages import ROOT


def test_the_example_prints_what_it_should(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(password_hashes, "SCRYPT_COST", 4)
    text = (ROOT / "docs" / "core" / "cred.md").read_text()
    (block,) = re.findall(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    exec(compile(block, "cred.md", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out == "ann\nguest\nthe login was refused\n"
