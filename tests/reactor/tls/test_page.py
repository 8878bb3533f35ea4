"""The example of the page on TLS runs."""

import re
from pathlib import Path

import pytest

from sshkit.reactor import tls

from .authority import write_pair
from .joined import AUTHORITY

PAGE = Path(__file__).resolve().parents[3] / "docs" / "core" / "tls.md"


def test_the_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (source,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    (tmp_path / "authority.pem").write_bytes(AUTHORITY.pem)
    write_pair(tmp_path, "server", AUTHORITY.issue("localhost"))
    monkeypatch.chdir(tmp_path)
    exec(compile(source, "tls.md", "exec"), {"__name__": "example"})
    assert capsys.readouterr().out == "b'hello' echo\n"


def test_every_error_is_on_the_page() -> None:
    text = PAGE.read_text()
    errors = [name for name in tls.__all__ if isinstance(getattr(tls, name), type)]
    assert [name for name in errors if f"`{name}" not in text and name != "TLSHandshakeError"] == []
