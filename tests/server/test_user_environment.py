"""Variables that users set for their own sessions."""

import os
from pathlib import Path

import pytest

from sshkit.server.accounts import Account
from sshkit.server.user_environment import (
    MAX_BYTES,
    MAX_LINES,
    MAX_WARNINGS,
    may_be_set,
    read_variables,
    user_environment,
)


@pytest.fixture
def account(tmp_path: Path) -> Account:
    (tmp_path / ".ssh").mkdir()
    return Account("ann", os.getuid(), os.getgid(), str(tmp_path), "/bin/sh")


def write(account: Account, data: str | bytes) -> str:
    path = Path(account.home, ".ssh/environment")
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return str(path)


def test_without_permission_nothing_is_even_read(account: Account) -> None:
    write(account, "A=1\nbad\n")
    assert user_environment(account, None, (("B", "2"),)) == ({}, [])


def test_the_file_overrules_the_line_of_the_key(account: Account) -> None:
    write(account, "# mine\n\n  A=from file\nC=a=b\t\n")
    found = user_environment(account, "*", (("A", "from key"), ("B", "2")))
    assert found == ({"A": "from file", "B": "2", "C": "a=b"}, [])


@pytest.mark.parametrize(
    ("patterns", "names"),
    [
        ("*", "A LANG EDITOR"),
        ("LANG,E*", "LANG EDITOR"),
        ("*,!E*", "A LANG"),
        ("!E*,*", "A LANG"),
        ("!E*", ""),
        ("?", "A"),
        ("lang", ""),
    ],
)
def test_names_have_to_match_the_patterns(patterns: str, names: str) -> None:
    assert [name for name in ("A", "LANG", "EDITOR") if may_be_set(name, patterns)] == names.split()


@pytest.mark.parametrize("name", ["LD_PRELOAD", "LD_LIBRARY_PATH", "DYLD_INSERT_LIBRARIES", "GLIBC_TUNABLES"])
def test_r29_what_makes_programs_load_code_needs_a_pattern_that_names_it(name: str) -> None:
    assert not may_be_set(name, "*")
    assert not may_be_set(name, "**,A")
    assert may_be_set(name, name)
    assert may_be_set(name, f"{name[:3]}*")
    assert not may_be_set(name, f"*,{name},!{name[:2]}*")


@pytest.mark.parametrize("name", ["", "A B", "A-B", "A\x1b", "Ä", "A;B"])
def test_r29_a_name_is_letters_digits_and_underscores(name: str, account: Account) -> None:
    assert not may_be_set(name, "*")
    path = write(account, f"{name}=1\nOK_2=1\n")
    variables, warnings = user_environment(account, "*")
    assert variables == {"OK_2": "1"}
    assert len(warnings) == 1
    assert warnings[0].startswith(f"{path}:1: ")
    assert warnings[0].isprintable()


def test_r29_a_file_has_an_end(account: Account) -> None:
    for data in ("A=" + "x" * MAX_BYTES, "\n" * (MAX_LINES + 1)):
        path = write(account, data)
        assert user_environment(account, "*") == ({}, [f"{path}: more than 65536 bytes or 1000 lines"])
    path = write(account, "bad\n" * 999 + "A=1")
    variables, warnings = read_variables(path)
    assert (variables, len(warnings)) == ({"A": "1"}, MAX_WARNINGS)
    assert read_variables(write(account, b"A=\xff\0\nB=\xff"))[0] == {"B": "\udcff"}


def test_what_is_no_plain_file_is_not_waited_for(account: Account) -> None:
    path = Path(account.home, ".ssh/environment")
    assert user_environment(account, "*") == ({}, [])
    os.mkfifo(path)
    assert user_environment(account, "*") == ({}, [f"{path}: not a plain file"])
    path.unlink()
    path.symlink_to(path)
    variables, warnings = user_environment(account, "*")
    assert (variables, len(warnings)) == ({}, 1)
    assert "symbolic links" in warnings[0]
