"""Rights: acting as a user for a moment, becoming one for good, other roots."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sshkit.server import privileges
from sshkit.server.accounts import Account, find_account, own_account
from sshkit.server.privileges import RightsNotGiven, acting_as, become, change_root, confine, hide

root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to give up")


def nobody() -> Account:
    found = find_account("nobody")
    assert found is not None
    return found


def in_child(work: Callable[[], object]) -> str:
    """Run something in a process that ends; return what it raised, or ''."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        text = "?"
        try:
            work()
            text = ""
        except BaseException as error:
            text = f"{type(error).__name__}: {error}"
        finally:
            os.write(writing, text.encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as stream:
        told = stream.read().decode()
    os.waitpid(pid, 0)
    return told


@root_only
def test_acting_as_a_user_has_his_rights_inside_only() -> None:
    account = nobody()
    before = (os.geteuid(), os.getegid(), os.getgroups())
    with acting_as(account):
        assert (os.geteuid(), os.getegid()) == (account.uid, account.gid)
        assert set(os.getgroups()) == set(os.getgrouplist(account.name, account.gid))
        with pytest.raises(PermissionError):
            Path("/etc/shadow").read_bytes()
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before


@root_only
def test_the_rights_come_back_after_an_error() -> None:
    def fail() -> None:
        with acting_as(nobody()):
            raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        fail()
    assert os.geteuid() == 0


def test_acting_as_oneself_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "seteuid", lambda _: pytest.fail("nothing is to change"))
    with acting_as(own_account()):
        pass
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    with acting_as(nobody()):
        pass


@root_only
def test_becoming_a_user_is_for_good() -> None:
    account = nobody()

    def work() -> None:
        become(account)
        assert os.getresuid() == (account.uid,) * 3
        assert os.getresgid() == (account.gid,) * 3
        for regain in (os.setuid, os.seteuid, os.setgid, os.setegid):
            try:
                regain(0)
            except PermissionError:
                continue
            raise AssertionError("root is back")

    assert in_child(work) == ""


@root_only
def test_groups_that_pam_has_given_are_kept() -> None:
    def work() -> None:
        become(nobody(), (12345,))
        assert os.getgroups() == [12345]

    assert in_child(work) == ""


@root_only
def test_who_is_not_root_becomes_nobody_else() -> None:
    def work() -> None:
        become(nobody())
        become(nobody())  # that is who it is
        become(own_account()._replace(name="root", uid=0))

    assert in_child(work) == f"RightsNotGiven: user {nobody().uid} cannot become root"


def test_rights_that_do_not_go_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1234)
    monkeypatch.setattr(os, "getresuid", lambda: (1234,) * 3)
    account = Account("user", 1234, 1234, "/", "/bin/sh")
    monkeypatch.setattr(os, "setuid", lambda _: None)
    with pytest.raises(RightsNotGiven, match="the rights of root did not go"):
        become(account)

    def refused(_: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "setuid", refused)
    become(account)


def test_a_system_that_gives_no_rights_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(os, "initgroups", refused)
    with pytest.raises(RightsNotGiven, match="cannot become nobody: Operation not permitted"):
        become(nobody())


# Another root.


@pytest.fixture
def jail() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/var") as name:
        path = Path(name)
        path.chmod(0o755)
        (path / "inside").mkdir(mode=0o755)
        yield path


@root_only
def test_another_root_hides_all_the_rest(jail: Path) -> None:
    def work() -> None:
        change_root(str(jail))
        assert os.listdir("/") == ["inside"]
        assert os.getcwd() == "/"
        assert not os.path.exists(jail)

    assert in_child(work) == ""


@root_only
@pytest.mark.parametrize("mode", [0o777, 0o775, 0o757])
def test_a_root_that_others_may_write_to_is_refused(jail: Path, mode: int) -> None:
    (jail / "inside").chmod(mode)
    told = in_child(lambda: change_root(f"{jail}/inside"))
    wanted = f"ChrootDirectory {jail}/inside: not root's, or others may write there"
    assert told == f"RightsNotGiven: {wanted}"
    (jail / "inside").chmod(0o755)
    jail.chmod(mode)
    assert f"ChrootDirectory {jail}: not root's" in in_child(lambda: change_root(f"{jail}/inside"))


@root_only
def test_a_root_that_is_not_roots_is_refused(jail: Path) -> None:
    os.chown(jail, nobody().uid, 0)
    assert "not root's" in in_child(lambda: change_root(f"{jail}/inside"))


@root_only
def test_a_root_has_to_be_a_folder_that_is_there(jail: Path) -> None:
    (jail / "file").touch()
    assert in_child(lambda: change_root(f"{jail}/file")).endswith(f"{jail}/file: not a folder")
    assert in_child(lambda: change_root(f"{jail}/x\n")).endswith(f"{jail}/x\\n: No such file or directory")


def test_a_root_has_to_be_an_absolute_path() -> None:
    with pytest.raises(RightsNotGiven, match="ChrootDirectory var: not an absolute path"):
        change_root("var")


@root_only
def test_a_system_that_changes_no_root_is_told(jail: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: str) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "chroot", refused)
    monkeypatch.setattr(os, "chdir", lambda path: None)
    with pytest.raises(RightsNotGiven, match="Operation not permitted"):
        change_root(str(jail))


# What strangers never need.

CONFINED = """
import os, re, resource
from sshkit.server.privileges import confine, hide
confine()
hide()
status = open("/proc/self/status").read()
assert "NoNewPrivs:\\t1" in status
assert resource.getrlimit(resource.RLIMIT_CORE) == (0, 0)
assert os.stat("/proc/self/mem").st_uid == 0
"""


def test_a_confined_process_gains_no_rights_and_leaves_no_core() -> None:
    result = subprocess.run([sys.executable, "-c", CONFINED], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


class Libc:
    """The system's library, in words."""

    def __init__(self) -> None:
        self.calls: list[tuple[object, ...]] = []

    def prctl(self, *values: int) -> None:
        self.calls.append(("prctl", *values))

    def unshare(self, *values: int) -> None:
        self.calls.append(("unshare", *values))


@pytest.fixture
def libc(monkeypatch: pytest.MonkeyPatch) -> Libc:
    import ctypes
    import resource

    libc = Libc()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: libc)
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    return libc


@pytest.mark.parametrize(("uid", "calls"), [(0, ["prctl", "unshare"]), (1234, ["prctl"])])
def test_only_root_leaves_the_network(
    libc: Libc, monkeypatch: pytest.MonkeyPatch, uid: int, calls: list[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    confine()
    assert [call[0] for call in libc.calls] == calls


def test_other_systems_have_none_of_that(libc: Libc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privileges.sys, "platform", "freebsd")  # type: ignore[attr-defined]
    confine()
    hide()
    assert libc.calls == []


def test_a_hidden_process_cannot_be_dumped(libc: Libc) -> None:
    hide()
    assert libc.calls == [("prctl", 4, 0, 0, 0, 0)]
