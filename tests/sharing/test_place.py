"""The control socket in the file system."""

import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest

from sshkit.client.sharing import place
from sshkit.client.sharing.errors import ForeignSocket, NoMaster, SharingError


def stale(path: Path) -> None:
    """Leave a socket behind which nobody listens."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(str(path))
    sock.close()


def test_the_socket_is_its_users_own_and_appears_under_its_name_only(tmp_path: Path) -> None:
    path = tmp_path / "control"
    before = os.umask(0)
    try:
        control = place.listen_control(str(path))
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["control"]
    sock = place.connect_control(str(path))
    assert place.is_ours(sock)
    sock.close()
    control.close()
    control.remove()  # twice is as good as once
    assert os.listdir(tmp_path) == []


def test_a_name_that_is_taken_stays_anothers(tmp_path: Path) -> None:
    path = str(tmp_path / "control")
    control = place.listen_control(path)
    with pytest.raises(SharingError, match="exists already"):
        place.listen_control(path)
    assert os.listdir(tmp_path) == ["control"]
    os.unlink(path)
    (tmp_path / "control").write_text("somebody's file")
    control.close()
    assert (tmp_path / "control").read_text() == "somebody's file"
    with pytest.raises(SharingError, match="exists already"):
        place.listen_control(path)
    os.unlink(path)
    control.remove()


def test_a_socket_that_has_gone_is_no_fault(tmp_path: Path) -> None:
    control = place.listen_control(str(tmp_path / "control"))
    os.unlink(tmp_path / "control")
    control.close()


def test_a_stale_socket_gives_way(tmp_path: Path) -> None:
    path = tmp_path / "control"
    stale(path)
    with pytest.raises(NoMaster) as refused:
        place.connect_control(str(path))
    assert refused.value.stale
    assert not refused.value.missing
    place.listen_control(str(path)).close()
    assert not place.remove_stale(str(path))
    path.write_text("")
    assert not place.remove_stale(str(path))
    assert path.exists()


def test_a_socket_that_listens_is_not_stale(tmp_path: Path) -> None:
    control = place.listen_control(str(tmp_path / "control"))
    assert not place.remove_stale(str(tmp_path / "control"))
    assert (tmp_path / "control").exists()
    control.close()


def test_where_nobody_is_it_is_said_who_is_missing(tmp_path: Path) -> None:
    with pytest.raises(NoMaster, match="No such file") as missing:
        place.connect_control(str(tmp_path / "control"))
    assert missing.value.missing
    (tmp_path / "file").write_text("")
    with pytest.raises(SharingError, match="not a socket"):
        place.connect_control(str(tmp_path / "file"))
    with pytest.raises(NoMaster, match="Not a directory"):
        place.connect_control(str(tmp_path / "file" / "control"))


def test_a_path_that_is_too_long_is_named_with_a_way_out(tmp_path: Path) -> None:
    for function in (place.connect_control, place.listen_control):
        with pytest.raises(SharingError, match="%C"):
            function(str(tmp_path / ("x" * 200)))


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(SharingError, match="No such file"):
        place.listen_control(str(tmp_path / "no" / "control"))


class Another:
    """Credentials of another user."""

    size = 12

    @staticmethod
    def unpack(data: bytes) -> tuple[int, int, int]:
        return 1, 54321, 54321


def test_another_users_master_is_not_talked_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "control")
    control = place.listen_control(path)
    monkeypatch.setattr(place, "_CREDENTIALS", Another)
    with pytest.raises(ForeignSocket, match="another user's process"):
        place.connect_control(path)
    real = os.stat

    def anothers(target: Any, **options: Any) -> Any:
        found = real(target, **options)
        return os.stat_result((*found[:4], 54321, *found[5:]))

    monkeypatch.setattr(os, "stat", anothers)
    with pytest.raises(ForeignSocket, match="belongs to user 54321"):
        place.connect_control(path)
    monkeypatch.undo()
    control.close()


def test_where_the_system_does_not_tell_the_mode_has_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, theirs = socket.socketpair()
    monkeypatch.delattr(socket, "SO_PEERCRED")
    assert place.is_ours(ours)
    ours.close()
    theirs.close()
