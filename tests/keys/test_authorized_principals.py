"""authorized_principals: one principal a line, compared whole."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sshkit_keys import KeyPermissionsError, TrustFileError
from sshkit_keys.authorized_principals import (
    MAX_ENTRIES,
    load_authorized_principals,
    parse_authorized_principals,
)


def test_r07_principals_are_compared_whole() -> None:
    found = parse_authorized_principals(b"# comment\n\nalice\nbob,carol\n*\n", "ap")
    assert [entry.principal for entry in found.entries] == ["alice", "bob,carol", "*"]
    assert [entry.place for entry in found.entries] == ["ap:3", "ap:4", "ap:5"]
    entry = found.find(["dave", "alice"])
    assert entry is found.entries[0]
    assert repr(entry) == "<PrincipalEntry ap:3 alice>"
    for other in ("ALICE", "alic", "alice ", "bob", ""):
        assert found.find([other]) is None
    assert found.find([]) is None


def test_options_stand_before_the_principal() -> None:
    text = 'no-pty,command="a b" alice\nrestrict,from="10.0.0.0/8"\tbob\n'
    alice, bob = parse_authorized_principals(text.encode(), "ap").entries
    assert (alice.principal, alice.options) == ("alice", {"no-pty": (), "command": ("a b",)})
    assert (bob.principal, bob.options) == ("bob", {"restrict": (), "from": ("10.0.0.0/8",)})
    assert alice.unenforced(frozenset({"command"})) == ("no-pty",)
    assert alice.unenforced(frozenset({"command", "no-pty"})) == ()


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("alice bob", "unknown option 'alice'"),
        ("no-pty alice bob", "a line holds options and one principal, nothing else"),
        ('command="x alice', "the value of option command has no closing quote"),
        ("no-pty=x alice", "the value of option no-pty is not in quotes"),
        ("no-such-option alice", "unknown option 'no-such-option'"),
    ],
)
def test_a_damaged_line_is_a_warning_and_lets_nobody_in(text: str, cause: str) -> None:
    found = parse_authorized_principals(text.encode() + b"\ncarol\n", "ap")
    assert [entry.principal for entry in found.entries] == ["carol"]
    assert found.warnings == [f"ap:1: {cause}"]


def test_files_are_checked_as_those_of_keys(tmp_path: Path) -> None:
    path = tmp_path / "principals"
    path.write_text("alice\n")
    path.chmod(0o622)
    with pytest.raises(KeyPermissionsError, match="mode 0622"):
        load_authorized_principals(path, os.geteuid(), str(tmp_path))
    assert load_authorized_principals(path).find(["alice"])
    path.chmod(0o600)
    assert load_authorized_principals(path, os.geteuid(), str(tmp_path)).find(["alice"])
    with pytest.raises(TrustFileError, match="not a plain file"):
        load_authorized_principals(tmp_path)
    with pytest.raises(FileNotFoundError):
        load_authorized_principals(tmp_path / "none")


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_entries_or_warnings(data: bytes) -> None:
    found = parse_authorized_principals(data, "ap")
    assert all(entry.principal for entry in found.entries)


@pytest.mark.parametrize("line", [b"alice\n", b"a b\n"])
def test_r18_a_file_of_another_kind_is_refused(line: bytes) -> None:
    assert parse_authorized_principals(line * MAX_ENTRIES, "ap")
    with pytest.raises(TrustFileError, match=f"ap: more than {MAX_ENTRIES} lines"):
        parse_authorized_principals(line * (MAX_ENTRIES + 1), "ap")
