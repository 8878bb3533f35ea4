"""known_hosts files changed: what goes, what stays, and what a real ssh-keygen makes of it."""

import os
import subprocess
from pathlib import Path

import pytest
from sshkit_keys import KeyFileError, KnownHosts, PrivateKey, PublicKey, TrustFileError, file_access
from sshkit_keys.known_hosts_edit import hash_hosts, remove_host, update_host_keys


@pytest.fixture
def a(keys: dict[str, PrivateKey]) -> PublicKey:
    return keys["ed25519"].public


@pytest.fixture
def b(keys: dict[str, PrivateKey]) -> PublicKey:
    return keys["ecdsa256"].public


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "known_hosts"


def line(key: PublicKey) -> str:
    return " ".join(key.to_line().split()[:2])


def test_only_the_lines_about_a_host_are_removed(path: Path, a: PublicKey, b: PublicKey) -> None:
    others = f"# mine\ntwo {line(a)}\nnot a line\n@revoked one {line(b)}\n  \n[one]:2222 {line(a)}".encode()
    path.write_bytes(f"ONE,other {line(a)} c\n".encode() + others)
    removed = remove_host(path, "One")
    assert [entry.line for entry in removed] == [1]
    assert path.read_bytes() == others
    assert remove_host(path, "[one]:2222")[0].line == 6
    assert path.with_name("known_hosts.old").read_bytes() == others


def test_hashed_names_are_removed_too(path: Path, a: PublicKey) -> None:
    path.write_text(f"one,two {line(a)}\n")
    assert hash_hosts(path, os.urandom).changed
    assert len(remove_host(path, "two")) == 1
    assert [entry.patterns.matches("one") for entry in KnownHosts.load([path]).entries] == [True]


def test_a_file_without_the_host_is_not_touched(path: Path, a: PublicKey) -> None:
    path.write_text(f"two {line(a)}\n")
    before = path.stat()
    assert remove_host(path, "one") == ()
    assert path.stat().st_ino == before.st_ino
    assert os.listdir(path.parent) == ["known_hosts"]


def test_names_are_hashed_one_a_line_and_patterns_are_told(path: Path, a: PublicKey) -> None:
    pattern = f"*.wild {line(a)}\n@cert-authority one {line(a)}\n"
    path.write_bytes(f"# c\none,two {line(a)} caf\u00e9 ".encode() + b"\xff\n" + pattern.encode() + b"# end")
    result = hash_hosts(path, os.urandom)
    assert result.changed
    assert [entry.line for entry in result.patterns] == [3, 4]
    text = path.read_bytes()
    assert text.startswith(b"# c\n|1|")
    assert text.endswith(pattern.encode() + b"# end")
    assert text.count(b"caf\xc3\xa9 \xff\n") == 2
    assert b"two" not in text
    known = KnownHosts.load([path])
    assert [entry.line for entry in known.find("ONE")] == [2, 5]
    assert known.lookup("one").entries[0].key == known.lookup("two").entries[0].key == a
    assert not hash_hosts(path, os.urandom).changed


@pytest.mark.parametrize("damaged", ["nothing", "one ssh-rsa AAAA", "one\0two x y"])
def test_a_damaged_line_keeps_a_file_from_being_hashed(path: Path, a: PublicKey, damaged: str) -> None:
    text = f"one {line(a)}\n{damaged}\n"
    path.write_text(text)
    with pytest.raises(KeyFileError, match=f"^{path}:2: "):
        hash_hosts(path, os.urandom)
    assert path.read_text() == text


def test_rotation_adds_what_is_missing_and_removes_what_is_gone(
    path: Path, a: PublicKey, b: PublicKey, keys: dict[str, PrivateKey]
) -> None:
    c = keys["rsa"].public
    shared = f"one,two {line(c)}"
    path.write_text(f"{shared}\none {line(a)}\n@revoked one {line(a)}\nthree {line(a)}")
    update = update_host_keys(path, "one", 22, [b])
    assert update.added == (b,)
    assert [entry.line for entry in update.removed] == [2]
    assert path.read_text() == f"{shared}\n@revoked one {line(a)}\nthree {line(a)}\none {line(b)}\n"
    assert update_host_keys(path, "one", 22, [b]) == ((), ())


def test_rotation_writes_hashed_names_and_new_files(path: Path, a: PublicKey, b: PublicKey) -> None:
    assert update_host_keys(path, "one", 2222, [a, b], True, os.urandom).added == (a, b)
    assert "one" not in path.read_text()
    update = update_host_keys(path, "one", 2222, [b])
    assert [entry.blob for entry in update.removed] == [a.blob]
    assert [entry.blob for entry in KnownHosts.load([path]).lookup("one", 2222).entries] == [b.blob]


def test_mode_and_link_stay(path: Path, a: PublicKey) -> None:
    real = path.with_name("real")
    real.write_text(f"one {line(a)}\n")
    real.chmod(0o644)
    path.symlink_to(real)
    remove_host(path, "one")
    assert path.is_symlink()
    assert real.read_text() == ""
    assert real.stat().st_mode & 0o777 == 0o644
    assert real.with_name("real.old").exists()


def test_owner_and_older_backup_are_kept_right(
    path: Path, a: PublicKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text(f"one {line(a)}\ntwo {line(a)}\n")
    path.with_name("known_hosts.old").write_text("older")
    if os.geteuid() == 0:
        os.chown(path, 1234, 1234)
    else:
        monkeypatch.setattr(os, "fchown", lambda *_: None)
    owner = path.stat().st_uid
    remove_host(path, "one")
    assert path.stat().st_uid == owner
    assert path.with_name("known_hosts.old").read_text().startswith("one ")


def test_a_line_that_another_appends_meanwhile_is_not_lost(
    path: Path, a: PublicKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    path.write_text(f"one {line(a)}\n")
    write_all = file_access.write_all

    def interrupted(descriptor: int, data: bytes) -> None:
        write_all(descriptor, data)
        monkeypatch.undo()
        with path.open("a") as file:
            file.write(f"two {line(a)}\n")

    monkeypatch.setattr(file_access, "write_all", interrupted)
    assert len(remove_host(path, "one")) == 1
    assert path.read_text() == f"two {line(a)}\n"


def test_a_file_that_never_keeps_still_is_left(
    path: Path, a: PublicKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"one {line(a)}\n"
    path.write_text(text)
    monkeypatch.setattr(file_access, "_same_contents", lambda *_: False)
    with pytest.raises(TrustFileError, match="others keep writing"):
        remove_host(path, "one")
    assert path.read_text() == text
    assert os.listdir(path.parent) == ["known_hosts"]


def test_a_full_disk_loses_nothing(path: Path, a: PublicKey, monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"one {line(a)}\n"
    path.write_text(text)

    def full(descriptor: int, data: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file_access, "write_all", full)
    with pytest.raises(TrustFileError, match=f"^{path}: cannot be changed: No space left on device"):
        remove_host(path, "one")
    assert path.read_text() == text
    assert os.listdir(path.parent) == ["known_hosts"]


def test_a_missing_file_is_named(path: Path) -> None:
    with pytest.raises(TrustFileError, match=f"^{path}: cannot be changed: No such file"):
        remove_host(path, "one")


@pytest.mark.peer("ssh-keygen")
def test_the_real_tool_finds_what_was_hashed_and_kept(path: Path, a: PublicKey, b: PublicKey) -> None:
    path.write_text(f"one,two {line(a)}\n[three]:2222 {line(b)}\n*.wild {line(b)}\n")
    hash_hosts(path, os.urandom)
    remove_host(path, "two")
    for name, found in (("one", True), ("two", False), ("[three]:2222", True), ("x.wild", True)):
        shown = subprocess.run(["ssh-keygen", "-F", name, "-f", path], capture_output=True, text=True)
        assert (shown.returncode == 0) is found
