"""authorized_keys: lines, options, and who could have written them."""

import os
import stat
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sshkit_keys import (
    KeyFormatError,
    KeyPermissionsError,
    PrivateKey,
    PublicKey,
    TrustFileError,
    check_strict_modes,
    load_authorized_keys,
    parse_authorized_keys,
)
from sshkit_keys.authorized_keys import MAX_OPTIONS, parse_options
from sshkit_keys.trust_files import MAX_LINE_BYTES
from sshkit_keys.wire import string

NOTHING: frozenset[str] = frozenset()


@pytest.fixture
def a(keys: dict[str, PrivateKey]) -> PublicKey:
    return keys["ed25519"].public


@pytest.fixture
def b(keys: dict[str, PrivateKey]) -> PublicKey:
    return keys["rsa"].public


def test_a_line_without_options_has_nothing_to_enforce(a: PublicKey, b: PublicKey) -> None:
    found = parse_authorized_keys(f"# mine\n\n{a.to_line()}\n{b.to_line()}\r\n".encode(), "ak")
    assert [entry.place for entry in found.entries] == ["ak:3", "ak:4"]
    assert [entry.key for entry in found.entries] == [a, b]
    assert [entry.comment for entry in found.entries] == [a.comment, b.comment]
    assert all(entry.unenforced(NOTHING) == () for entry in found.entries)
    assert found.find(b) == (found.entries[1],)
    assert found.warnings == []


def test_every_option_that_is_not_enforced_is_named(a: PublicKey) -> None:
    text = f'no-pty,command="true",Restrict {a.to_line()}'
    (entry,) = parse_authorized_keys(text.encode(), "ak").entries
    assert entry.options == {"no-pty": (), "command": ("true",), "restrict": ()}
    assert list(entry.options) == ["no-pty", "command", "restrict"]
    assert entry.unenforced(NOTHING) == ("no-pty", "command", "restrict")
    assert entry.unenforced(frozenset({"command", "restrict"})) == ("no-pty",)
    assert entry.unenforced(frozenset({"command", "restrict", "no-pty"})) == ()
    assert entry.key == a


@pytest.mark.parametrize(
    ("text", "options"),
    [
        ('command="a b" k', {"command": ("a b",)}),
        (r'command="say \"hi\", twice" k', {"command": ('say "hi", twice',)}),
        (r'command="\n\\x" k', {"command": (r"\n\\x",)}),
        ('environment="A=1",environment="B=2"\tk', {"environment": ("A=1", "B=2")}),
        ('from="*.x,!y.x",no-pty k', {"from": ("*.x,!y.x",), "no-pty": ()}),
        ('command="" k', {"command": ("",)}),
    ],
)
def test_options_are_read_with_quotes_and_escapes(text: str, options: dict[str, tuple[str, ...]]) -> None:
    assert parse_options(text) == (options, "k")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("junk", "no key after the options"),
        ("no-pty", "no key after the options"),
        ("no-pty,", "neither a key nor an option at column 8"),
        ("no-pty,,restrict k", "neither a key nor an option at column 8"),
        ("command=true k", "the value of option command is not in quotes"),
        ('command="true k', "the value of option command has no closing quote"),
        (r'command="true\" k', "the value of option command has no closing quote"),
        ('command="a"b k', "column 12 is no option"),
        ('="a" k', "neither a key nor an option at column 1"),
        ("é k", "neither a key nor an option at column 1"),
        ("no_pty k", "column 3 is no option"),
    ],
)
def test_damaged_options_are_refused_with_their_place(text: str, cause: str) -> None:
    with pytest.raises(TrustFileError) as caught:
        parse_options(text, "ak:7")
    assert str(caught.value) == f"ak:7: {cause}"


@pytest.mark.parametrize(
    "damaged",
    [
        "junk",
        "no-pty",
        "no-pty ssh-ed25519",
        "ssh-ed25519 AAAA",
        "ssh-ed25519 !!!!",
        "ssh-rsa AAAAC3NzaC1lZDI1NTE5",
        "ssh-dss AAAAB3NzaC1kc3MAAAABAQ==",
        "no-pty ssh-dss AAAAB3NzaC1kc3MAAAABAQ==",
    ],
)
def test_a_damaged_line_is_a_warning_with_its_place_and_the_rest_counts(a: PublicKey, damaged: str) -> None:
    found = parse_authorized_keys(f"{damaged}\n{a.to_line()}".encode(), "ak")
    assert [entry.place for entry in found.entries] == ["ak:2"]
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("ak:1: ")


def test_an_unsupported_key_type_is_named_in_the_warning() -> None:
    for name in ("ssh-dss", "ssh-xmss@openssh.com"):
        found = parse_authorized_keys(f"{name} {b64encode(string(name)).decode()}".encode(), "ak")
        assert found.warnings == [f"ak:1: key type '{name}' is not supported"]


def test_a_key_that_turns_out_damaged_names_its_place() -> None:
    (entry,) = parse_authorized_keys(b"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5", "ak").entries
    with pytest.raises(KeyFormatError, match=r"^ak:1: the public key is damaged"):
        _ = entry.key


def test_only_the_lines_of_a_wanted_key_are_kept(tmp_path: Path, a: PublicKey, b: PublicKey) -> None:
    path = tmp_path / "ak"
    path.write_text(f"{a.to_line()}\n{b.to_line()}\nno-pty {a.to_line()}\n")
    assert [entry.line for entry in load_authorized_keys(path, a).entries] == [1, 3]
    assert len(load_authorized_keys(path).entries) == 3


def test_a_missing_file_and_one_that_is_no_file_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_authorized_keys(tmp_path / "none")
    with pytest.raises(TrustFileError, match=f"^{tmp_path}: not a plain file"):
        load_authorized_keys(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(TrustFileError, match="pipe: not a plain file"):
        load_authorized_keys(tmp_path / "pipe")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with an authorized_keys file, as strict as can be."""
    folder = tmp_path / "home"
    (folder / ".ssh").mkdir(parents=True)
    for part in (folder, folder / ".ssh"):
        part.chmod(0o755)
    (folder / ".ssh" / "ak").write_text("")
    (folder / ".ssh" / "ak").chmod(0o644)
    return folder


def test_a_file_that_only_its_owner_can_write_is_fine(home: Path) -> None:
    assert load_authorized_keys(home / ".ssh" / "ak", None, os.getuid(), str(home)).entries == []
    check_strict_modes(home / ".ssh" / "ak", os.getuid(), str(home))


@pytest.mark.parametrize("part", ["", ".ssh", ".ssh/ak"])
@pytest.mark.parametrize("bit", [stat.S_IWGRP, stat.S_IWOTH])
def test_what_others_can_write_is_refused_and_named(home: Path, part: str, bit: int) -> None:
    path = home / part
    path.chmod(stat.S_IMODE(path.stat().st_mode) | bit)
    mode = stat.S_IMODE(path.stat().st_mode)
    with pytest.raises(KeyPermissionsError) as caught:
        load_authorized_keys(home / ".ssh" / "ak", None, os.getuid(), str(home))
    assert str(caught.value) == f"{path}: mode {mode:04o} lets the group or others write"


def test_what_is_above_the_home_folder_does_not_matter(home: Path) -> None:
    home.parent.chmod(0o777)
    check_strict_modes(home / ".ssh" / "ak", os.getuid(), str(home))


def test_a_file_outside_of_the_home_folder_is_checked_up_to_the_root(home: Path) -> None:
    home.parent.chmod(0o777)
    with pytest.raises(KeyPermissionsError) as caught:
        check_strict_modes(home / ".ssh" / "ak", os.getuid(), "/nonexistent")
    assert str(caught.value).startswith(f"{home.parent}: mode 0777")


def test_the_root_ends_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr("sshkit_keys.strict_modes._check", lambda path, status, uid: seen.append(path))
    check_strict_modes("/dev/null", 0, "/nonexistent")
    assert seen == ["/dev/null", "/dev", "/"]


def test_a_file_of_somebody_else_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = home / ".ssh" / "ak"
    real = os.fstat

    def of_somebody_else(descriptor: int) -> os.stat_result:
        fields = list(real(descriptor))
        fields[stat.ST_UID] = 4242
        return os.stat_result(fields)

    descriptor = os.open(path, os.O_RDONLY)
    monkeypatch.setattr(os, "fstat", of_somebody_else)
    try:
        with pytest.raises(KeyPermissionsError, match="ak: belongs to user number 4242, not to 1"):
            check_strict_modes(path, 1, str(home), descriptor)
    finally:
        monkeypatch.undo()
        os.close(descriptor)


def test_a_link_is_followed_before_the_folders_are_checked(home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "ak").write_text("")
    outside.chmod(0o777)
    (home / ".ssh" / "link").symlink_to(outside / "ak")
    with pytest.raises(KeyPermissionsError, match=f"^{outside}: mode 0777"):
        check_strict_modes(home / ".ssh" / "link", os.getuid(), str(home))


@given(st.binary(max_size=200) | st.text(' \t"\\=,abc-é', max_size=60).map(str.encode))
def test_arbitrary_bytes_in_a_file_are_never_fatal(data: bytes) -> None:
    parse_authorized_keys(data, "ak")


def test_r18_a_line_with_endless_options_is_refused(a: PublicKey) -> None:
    line = "no-pty," * MAX_OPTIONS + f"no-pty {a.to_line()}"
    found = parse_authorized_keys(line.encode(), "ak")
    assert found.entries == []
    assert found.warnings == [f"ak:1: more than {MAX_OPTIONS} options"]


def test_r18_lines_too_short_for_a_key_cost_nothing_once_there_were_warnings_enough(a: PublicKey) -> None:
    found = parse_authorized_keys(b"junk\n" * 200 + a.to_line().encode(), "ak")
    assert [entry.place for entry in found.entries] == ["ak:201"]
    assert len(found.warnings) == 101


@pytest.mark.parametrize("contents", [b"\n", b"#x\n", b"x" * MAX_LINE_BYTES])
def test_r18_a_file_without_end_is_refused(contents: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sshkit_keys.trust_files.MAX_FILE_BYTES", 4 * MAX_LINE_BYTES)
    with pytest.raises(TrustFileError, match="ak: the file is larger than 262144 bytes"):
        parse_authorized_keys(contents * (5 * MAX_LINE_BYTES // len(contents)), "ak")


def test_r18_a_line_that_is_too_long_is_passed_over(a: PublicKey) -> None:
    found = parse_authorized_keys(b"x" * (2 * MAX_LINE_BYTES) + b"\n\0\n" + a.to_line().encode(), "ak")
    assert [entry.place for entry in found.entries] == ["ak:3"]
    assert found.warnings == [
        f"ak:1: the line is longer than {MAX_LINE_BYTES} bytes; ignored",
        "ak:2: the line holds a NUL character; ignored",
    ]
