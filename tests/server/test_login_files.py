"""Files of keys and principals that are named by a pattern."""

from pathlib import Path

from sshkit.server import login_files
from sshkit.server.login_files import login_files as find


def test_a_pattern_names_the_files_that_match_by_name(tmp_path: Path) -> None:
    for name in ("keys_b", "keys_a", "other", ".keys_c"):
        (tmp_path / name).touch()
    assert list(find([f"{tmp_path}/keys_*", f"{tmp_path}/other"])) == [
        f"{tmp_path}/keys_a",
        f"{tmp_path}/keys_b",
        f"{tmp_path}/other",
    ]
    assert list(find([f"{tmp_path}/keys_?"])) == [f"{tmp_path}/keys_a", f"{tmp_path}/keys_b"]
    assert list(find([f"{tmp_path}/*"])) == [f"{tmp_path}/{name}" for name in ("keys_a", "keys_b", "other")]


def test_a_pattern_that_matches_nothing_stands_for_itself(tmp_path: Path) -> None:
    assert list(find([f"{tmp_path}/no_*"])) == [f"{tmp_path}/no_*"]
    assert list(find([])) == []


def test_a_path_without_wildcards_is_not_looked_for(tmp_path: Path) -> None:
    assert list(find([f"{tmp_path}/absent"])) == [f"{tmp_path}/absent"]


def test_a_pattern_stands_for_no_more_files_than_a_login_may_open(tmp_path: Path) -> None:
    for number in range(login_files.MAX_MATCHES + 2):
        (tmp_path / f"{number:04}").touch()
    assert len(list(find([f"{tmp_path}/*"]))) == login_files.MAX_MATCHES
