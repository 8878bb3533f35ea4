"""A person's history on disk: of his alone, bounded, whole, shared by his sessions."""

import os
from pathlib import Path

import pytest

from sshkit.manhole import console_history
from sshkit.manhole.console_history import HistoryRefused, PersonalHistory


def test_inputs_of_many_lines_keep_their_shape(tmp_path: Path) -> None:
    path = tmp_path / "history"
    first, second = PersonalHistory(path), PersonalHistory(path)
    first.append_string("if x:\n    'ü\x1b'")
    second.append_string("two")
    assert list(PersonalHistory(path).load_history_strings()) == ["two", "if x:\n    'ü\x1b'"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_secrets_repetitions_and_books_are_not_kept(tmp_path: Path) -> None:
    history = PersonalHistory(tmp_path / "history")
    for text in ("a", "a", " secret", "", "x" * (console_history.MAX_ENTRY + 1), "b", "a"):
        history.append_string(text)
    assert list(history.load_history_strings()) == ["a", "b", "a"]
    memory = PersonalHistory()
    memory.append_string("a")
    assert memory.get_strings() == ["a"]
    assert list(memory.load_history_strings()) == []


def test_the_file_is_cut_when_it_has_grown_too_long(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console_history, "MAX_ENTRIES", 10)
    path = tmp_path / "history"
    history = PersonalHistory(path)
    for number in range(21):
        history.append_string(str(number))
    assert path.read_text().split() == [f'"{number}"' for number in range(16, 21)]
    assert len(history.get_strings()) == 10


def test_lines_that_are_no_entries_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_bytes(b'"one"\n\xff\x00\n[1]\n"unfinished\n' + b"[" * 100_000 + b'\n"two"\n')
    path.chmod(0o644)
    assert list(PersonalHistory(path).load_history_strings()) == ["two", "one"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_is_no_plain_file_of_this_users_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe", ".", "missing/history"):
        with pytest.raises(HistoryRefused):
            PersonalHistory(tmp_path / name)
    (tmp_path / "other").touch()
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(HistoryRefused, match="plain file"):
        PersonalHistory(tmp_path / "other")


def test_a_full_disk_does_not_end_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    history = PersonalHistory(tmp_path / "history")

    def full(fd: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    history.append_string("kept in memory")
    assert history.get_strings() == ["kept in memory"]
