"""known_hosts: what is trusted, what is not, and what is written."""

import os
import subprocess
import sys
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sshkit_keys import (
    HostKeyStatus,
    KnownHosts,
    PrivateKey,
    PublicKey,
    SSHKitError,
    TrustFileError,
    UnsupportedKey,
    add_host_key,
    format_host_line,
)
from sshkit_keys.host_patterns import hashed_name, host_name, matches_glob
from sshkit_keys.trust_files import MAX_FILE_BYTES, MAX_LINE_BYTES, MAX_WARNINGS
from sshkit_keys.wire import string

TRUSTED, UNKNOWN = HostKeyStatus.TRUSTED, HostKeyStatus.UNKNOWN
CHANGED, REVOKED = HostKeyStatus.CHANGED, HostKeyStatus.REVOKED


@pytest.fixture
def a(keys: dict[str, PrivateKey]) -> PublicKey:
    return keys["ed25519"].public


@pytest.fixture
def b(keys: dict[str, PrivateKey]) -> PublicKey:
    return keys["ecdsa256"].public


def hosts(*lines: str) -> KnownHosts:
    known = KnownHosts()
    known.parse("\n".join(lines).encode(), "kh")
    return known


def line(key: PublicKey) -> str:
    return " ".join(key.to_line().split()[:2])


def test_a_key_on_a_line_of_its_host_is_trusted_with_its_place(a: PublicKey) -> None:
    known = hosts("# comment", "", f"one,Two.example {line(a)} a comment")
    for host in ("one", "two.example", "ONE", "TWO.EXAMPLE"):
        verdict = known.check(host, 22, a)
        assert verdict.status is TRUSTED
        assert verdict.places == ("kh:3",)
    assert known.warnings == []
    assert known.entries[0].comment == "a comment"
    assert repr(known.entries[0]) == "<HostEntry kh:3 ssh-ed25519>"


def test_a_host_that_no_line_names_is_unknown_and_the_keys_other_names_are_told(a: PublicKey) -> None:
    verdict = hosts(f"one {line(a)}", f"@revoked two {line(a)}").check("three", 22, a)
    assert verdict.status is UNKNOWN
    assert verdict.places == ("kh:1",)


def test_r38_a_host_known_under_another_key_has_changed(a: PublicKey, keys: dict[str, PrivateKey]) -> None:
    other = keys["ed25519"].generate().public  # type: ignore[attr-defined]
    verdict = hosts(f"one {line(a)}", f"x {line(other)}", f"o* {line(a)}").check("one", 22, other)
    assert verdict.status is CHANGED
    assert verdict.places == ("kh:1", "kh:3")


def test_r38_a_host_known_under_another_type_of_key_has_changed(a: PublicKey, b: PublicKey) -> None:
    assert hosts(f"one {line(a)}").check("one", 22, b).status is CHANGED


def test_r38_a_host_known_under_an_unsupported_type_of_key_has_changed(a: PublicKey) -> None:
    known = hosts("one ssh-xmss@openssh.com " + b64encode(string("ssh-xmss@openssh.com")).decode())
    assert known.check("one", 22, a).status is CHANGED
    assert known.lookup("one").key_types == ()
    with pytest.raises(UnsupportedKey, match=r"^kh:1: key type 'ssh-xmss@openssh.com'"):
        _ = known.entries[0].key


def test_one_of_several_keys_of_a_host_is_trusted(a: PublicKey, b: PublicKey) -> None:
    known = hosts(f"one {line(a)}", f"one {line(b)}")
    assert known.check("one", 22, a).places == ("kh:1",)
    assert known.check("one", 22, b).places == ("kh:2",)


def test_r38_a_revoked_key_is_refused_even_if_it_is_listed(a: PublicKey, b: PublicKey) -> None:
    known = hosts(f"one {line(a)}", f"@revoked * {line(a)}")
    verdict = known.check("one", 22, a)
    assert verdict.status is REVOKED
    assert verdict.places == ("kh:2",)
    assert known.check("two", 22, a).status is REVOKED
    assert known.check("two", 22, b).status is UNKNOWN


def test_a_certificate_authority_is_no_host_key(a: PublicKey) -> None:
    known = hosts(f"@cert-authority *.example {line(a)}")
    assert known.check("one.example", 22, a).status is UNKNOWN
    assert known.lookup("one.example").authorities == tuple(known.entries)
    assert known.lookup("other").authorities == ()


def test_r38_a_line_with_an_unknown_marker_is_ignored_with_a_warning(a: PublicKey) -> None:
    known = hosts(f"@trust-me one {line(a)}")
    assert known.check("one", 22, a).status is UNKNOWN
    assert known.warnings == ["kh:1: unknown marker '@trust-me'; the line is ignored"]


def test_r38_a_line_whose_key_is_of_another_type_than_declared_is_ignored(a: PublicKey) -> None:
    known = hosts("one ssh-rsa " + line(a).split()[1])
    assert known.check("one", 22, a).status is UNKNOWN
    assert known.warnings == ["kh:1: the key is of type 'ssh-ed25519' but is declared as 'ssh-rsa'"]


@pytest.mark.parametrize(
    "damaged",
    [
        "one",
        "one ssh-ed25519",
        "one ssh-ed25519 !!!!",
        "one 1024 35 1234567890",
        ",one ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
        "one,! ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
        "@revoked",
        "|1|AAAA|AAAA ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
        "|1|!|! ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
        "|2|AAAA|AAAA ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
        "|1|AAAA ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
        "|1|é|é ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
        "one\0 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5",
    ],
)
def test_r38_a_damaged_line_is_a_warning_with_its_place_and_the_rest_counts(
    a: PublicKey, damaged: str
) -> None:
    known = hosts(damaged, f"one {line(a)}")
    assert len(known.warnings) == 1
    assert known.warnings[0].startswith("kh:1: ")
    assert known.check("one", 22, a).places == ("kh:2",)


def test_r38_a_key_that_turns_out_damaged_is_a_warning_once_and_never_trusted(a: PublicKey) -> None:
    known = hosts("one ssh-ed25519 AAAAC3NzaC1lZDI1NTE5")
    assert known.warnings == []
    for _ in range(2):
        assert known.check("one", 22, a).status is UNKNOWN
    assert len(known.warnings) == 1
    assert known.warnings[0].startswith("kh:1: the public key is damaged")


def test_warnings_are_escaped_and_bounded() -> None:
    known = hosts(*["@\x1b[2J x"] * (MAX_WARNINGS + 50))
    assert known.warnings[0] == r"kh:1: unknown marker '@\x1b[2J'; the line is ignored"
    assert len(known.warnings) == MAX_WARNINGS + 1
    assert known.warnings[-1] == "further warnings are left out"


def test_r36_a_type_with_control_characters_is_shown_escaped() -> None:
    blob = string("ssh-ed2550\x04") + string(bytes(32))
    (entry,) = hosts(f"box ssh-ed2550\x04 {b64encode(blob).decode()}").entries
    assert repr(entry) == "<HostEntry kh:1 ssh-ed2550\\x04>"


def test_a_line_that_is_too_long_is_left_out_and_the_next_ones_count(a: PublicKey) -> None:
    known = hosts("x" * (3 * MAX_LINE_BYTES), f"one {line(a)}", "y" * MAX_LINE_BYTES)
    assert [warning.split(":")[1] for warning in known.warnings] == ["1", "3"]
    assert known.check("one", 22, a).places == ("kh:2",)


def test_a_line_of_exactly_the_limit_is_read(a: PublicKey) -> None:
    text = f"one {line(a)} "
    known = hosts(text + "c" * (MAX_LINE_BYTES - 1 - len(text)), f"two {line(a)}")
    assert known.warnings == []
    assert len(known.entries) == 2


@pytest.mark.parametrize("contents", [b"x" * MAX_LINE_BYTES, b"#" + b"x" * 1022 + b"\n"])
def test_r18_a_file_without_end_is_refused(contents: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sshkit_keys.known_hosts.MAX_FILE_BYTES", 4 * MAX_LINE_BYTES)
    with pytest.raises(TrustFileError, match="kh: the file is larger than 262144 bytes"):
        KnownHosts().parse(contents * (5 * MAX_LINE_BYTES // len(contents)), "kh")
    assert MAX_FILE_BYTES == 64 << 20


@pytest.mark.parametrize(
    ("patterns", "host", "port", "matches"),
    [
        ("*", "one", 22, True),
        ("*.example", "one.example", 22, True),
        ("*.example", "example", 22, False),
        ("o?e", "one", 22, True),
        ("o?e", "oe", 22, False),
        ("*,!one", "one", 22, False),
        ("!one,*", "one", 22, False),
        ("*,!one", "two", 22, True),
        ("!one", "two", 22, False),
        ("one", "one", 2222, False),
        ("[one]:2222", "one", 2222, True),
        ("[one]:2222", "one", 22, False),
        ("[*.example]:*", "one.example", 2222, True),
        ("[::1]:2222", "::1", 2222, True),
        ("::1", "::1", 22, True),
        ("10.0.0.*", "10.0.0.7", 22, True),
    ],
)
def test_names_match_as_openssh_matches_them(
    a: PublicKey, patterns: str, host: str, port: int, matches: bool
) -> None:
    assert (hosts(f"{patterns} {line(a)}").check(host, port, a).status is TRUSTED) is matches


@given(st.text("ab*?", max_size=12), st.text("ab", max_size=12))
def test_a_glob_matches_what_the_plain_definition_matches(pattern: str, name: str) -> None:
    def defined(p: str, n: str) -> bool:
        if not p:
            return not n
        if p[0] == "*":
            return defined(p[1:], n) or (bool(n) and defined(p, n[1:]))
        return bool(n) and p[0] in ("?", n[0]) and defined(p[1:], n[1:])

    assert matches_glob(pattern, name) is defined(pattern, name)


def test_r18_a_glob_of_many_stars_ends() -> None:
    assert not matches_glob("*a" * 200 + "b", "a" * 2000)


def test_a_hashed_name_matches_its_host_only(a: PublicKey) -> None:
    name = hashed_name(host_name("one", 2222), os.urandom)
    known = hosts(f"{name} {line(a)}")
    assert known.check("one", 2222, a).status is TRUSTED
    assert known.check("ONE", 2222, a).status is TRUSTED
    assert known.check("one", 22, a).status is UNKNOWN


def test_the_known_types_of_keys_order_the_algorithms(keys: dict[str, PrivateKey]) -> None:
    known = hosts(*(f"one {line(keys[name].public)}" for name in ("rsa", "ed25519", "rsa")))
    match = known.lookup("one")
    assert match.key_types == ("ssh-rsa", "ssh-ed25519")
    assert match.signature_algorithms == ("rsa-sha2-512", "rsa-sha2-256", "ssh-ed25519")
    assert known.lookup("two").signature_algorithms == ()


def test_an_address_lends_no_trust_but_can_take_it(a: PublicKey, b: PublicKey) -> None:
    known = hosts(
        f"one {line(a)}", f"10.0.0.1 {line(a)}", f"10.0.0.2 {line(b)}", f"@revoked 10.0.0.3 {line(a)}"
    )
    assert known.check("one", 22, a, "10.0.0.1").status is TRUSTED
    assert known.check("one", 22, a, "10.0.0.9").status is TRUSTED
    assert known.check("one", 22, a, "one").status is TRUSTED
    assert known.check("two", 22, a, "10.0.0.1").status is UNKNOWN
    verdict = known.check("one", 22, a, "10.0.0.2")
    assert verdict.status is CHANGED
    assert verdict.places == ("kh:3",)
    assert known.check("one", 22, a, "10.0.0.3").status is REVOKED
    assert len(known.lookup("one", 22, "10.0.0.2").entries) == 2


def test_several_files_are_read_in_order_and_missing_ones_are_empty(tmp_path: Path, a: PublicKey) -> None:
    for name in ("first", "second"):
        (tmp_path / name).write_text(f"one {line(a)}\n")
    known = KnownHosts.load([tmp_path / "first", tmp_path / "none", str(tmp_path / "second"), "/dev/null"])
    assert known.check("one", 22, a).places == (f"{tmp_path}/first:1", f"{tmp_path}/second:1")


def test_r38_a_file_that_cannot_be_read_means_refuse(tmp_path: Path) -> None:
    with pytest.raises(TrustFileError, match=f"^{tmp_path}: Is a directory"):
        KnownHosts.load([tmp_path])


def test_what_is_added_is_known_and_the_folder_is_the_owners(
    tmp_path: Path, a: PublicKey, b: PublicKey
) -> None:
    path = tmp_path / "home" / ".ssh" / "known_hosts"
    add_host_key(path, "One", 22, a)
    add_host_key(path, "::1", 2222, b, hashed=True, random_bytes=os.urandom)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.read_text().splitlines()[0] == f"one {line(a)}"
    assert "::1" not in path.read_text()
    known = KnownHosts.load([path])
    assert known.check("one", 22, a).places == (f"{path}:1",)
    assert known.check("::1", 2222, b).places == (f"{path}:2",)


def test_a_last_line_without_its_newline_is_not_lost(
    tmp_path: Path, a: PublicKey, b: PublicKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("kh").write_text(f"one {line(a)}")
    add_host_key("kh", "two", 22, b)
    assert Path("kh").read_text() == f"one {line(a)}\ntwo {line(b)}\n"


def test_two_processes_that_add_at_once_lose_no_line(tmp_path: Path, a: PublicKey) -> None:
    program = (
        "import sys; from sshkit_keys import *\n"
        "key = parse_public_line(sys.argv[2])\n"
        "for n in range(200): add_host_key(sys.argv[1], f'{sys.argv[3]}{n}', 22, key)"
    )
    path = tmp_path / "kh"
    arguments = [os.fspath(path), line(a)]
    running = [subprocess.Popen([sys.executable, "-c", program, *arguments, name]) for name in ("x", "y")]
    assert [process.wait(50) for process in running] == [0, 0]
    known = KnownHosts.load([path])
    assert len(known.entries) == 400
    assert known.warnings == []


@pytest.mark.parametrize(
    "host",
    # A lone surrogate, a line separator and a turn of direction are among them.
    [*"*?!|#@[]\"'\\, \t\n\r\0\x1b\x7f\x85\u2028\u202e\udcff", ""],
)
def test_r38_a_name_that_is_not_one_name_is_not_written(tmp_path: Path, a: PublicKey, host: str) -> None:
    with pytest.raises(TrustFileError, match="host name"):
        add_host_key(tmp_path / "kh", host and f"a{host}b", 22, a)
    with pytest.raises(TrustFileError, match="a host name of 256 characters"):
        add_host_key(tmp_path / "kh", "a" * 256, 22, a)
    assert not (tmp_path / "kh").exists()


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_r38_a_port_that_cannot_be_is_not_written(a: PublicKey, port: int) -> None:
    with pytest.raises(TrustFileError, match="is not from 1 to 65535"):
        format_host_line("one", port, a)


def test_a_hashed_line_needs_randomness(a: PublicKey) -> None:
    with pytest.raises(TrustFileError, match="needs random_bytes"):
        format_host_line("one", 22, a, hashed=True)


def test_a_file_that_cannot_be_written_names_itself(tmp_path: Path, a: PublicKey) -> None:
    with pytest.raises(TrustFileError, match=f"^{tmp_path}: cannot be written: Is a directory"):
        add_host_key(tmp_path, "one", 22, a)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_in_a_file_are_never_fatal(data: bytes) -> None:
    known = KnownHosts()
    known.parse(data, "kh")
    known.lookup("one", 22, "10.0.0.1")


@given(
    st.sampled_from(["", "@revoked ", "@x "]),
    st.text("|1!,*?[]:ab=", max_size=20),
    st.binary(max_size=40),
)
def test_arbitrary_fields_are_never_fatal(marker: str, names: str, blob: bytes) -> None:
    from binascii import b2a_base64

    text = b2a_base64(string("ssh-ed25519") + blob, newline=False).decode()
    known = hosts(f"{marker}{names} ssh-ed25519 {text}")
    try:
        known.lookup("a", 22)
    except SSHKitError:
        pytest.fail("a damaged line was fatal")


@pytest.mark.peer("ssh-keygen")
def test_ssh_keygen_finds_what_is_written_and_its_hashes_are_read(
    tmp_path: Path, key: PrivateKey, ssh_keygen: Callable[..., str]
) -> None:
    path = tmp_path / "kh"
    add_host_key(path, "one.example", 22, key.public)
    add_host_key(path, "two", 2222, key.public, hashed=True, random_bytes=os.urandom)
    for number, name in enumerate(("one.example", "[two]:2222"), 1):
        found = ssh_keygen("-F", name, "-f", "kh")
        assert f"Host {name} found: line {number}" in found
        assert line(key.public) in found
    ssh_keygen("-F", "three", "-f", "kh", status=1)
    ssh_keygen("-H", "-f", "kh")
    assert "one.example" not in path.read_text()
    known = KnownHosts.load([path])
    assert known.check("one.example", 22, key.public).status is TRUSTED
    assert known.check("two", 2222, key.public).status is TRUSTED
    assert known.warnings == []
    ssh_keygen("-R", "one.example", "-f", "kh")
    assert KnownHosts.load([path]).check("one.example", 22, key.public).status is UNKNOWN


def test_r18_large_files_keep_their_line_numbers(a: PublicKey, b: PublicKey) -> None:
    filler = "# a comment\n\njunk\n" * 20_000
    for end in ("", "\n", "\n\n"):
        known = hosts(f"first {line(a)}\n{filler}one,two {line(a)}\n{filler}last {line(b)}{end}")
        assert known.check("first", 22, a).places == ("kh:1",)
        assert known.check("two", 22, a).places == ("kh:60002",)
        assert known.check("last", 22, b).places == ("kh:120003",)
        assert [entry.line for entry in known.entries] == [1, 60002, 120003]
        assert len(known.warnings) == 101
        assert known.warnings[0].startswith("kh:4: ")
