"""`make demo` from beginning to end."""

import tempfile
from pathlib import Path

import pytest
from sshkit_cli import demo


def test_the_demo_works_and_leaves_nothing_behind(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert demo.main() == 0
    told = capsys.readouterr().out
    assert "exit status 7" in told
    assert "exit status 5" in told
    assert "64 MiB there" in told
    assert "501 files up in" in told
    assert "501 files down in" in told
    assert "negotiated   : mlkem768x25519-sha256, ssh-ed25519, aes128-gcm@openssh.com" in told
    assert "an expression: demo.port, os.getpid() -> (" in told
    assert list(tmp_path.iterdir()) == []


def test_the_demo_without_the_system_s_ssh_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo.shutil, "which", lambda name: None)
    monkeypatch.setattr(demo, "SIZE", 1 << 20)
    assert demo.main() == 0
    assert "the system has no ssh to compare with" in capsys.readouterr().out


def test_a_demo_whose_server_does_not_start_says_why(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_free_port", lambda: 1 << 20)
    assert demo.main() == 1
    assert "sshkit-server did not start" in capsys.readouterr().err


def test_a_demo_whose_client_fails_says_what_it_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo.Demo, "client", lambda self, program, port=0: [program, "-p", "1", "-F", "none"])
    assert demo.main() == 1
    assert "Connection refused" in capsys.readouterr().err
