"""The command line and the own files of sshkit-server."""

import os
import stat
from pathlib import Path

import pytest
from sshkit_cli.server_files import config_path, make_own_key, own_folder
from sshkit_cli.server_options import parse
from sshkit_keys import KeyPermissionsError, load_private_key, write_private_key

from sshkit.config.sshd_config import read_server_config


def test_options_become_lines_of_configuration_in_their_order() -> None:
    options = parse(["-p", "2022", "-o", "Banner=none", "-h", "/a b", "-p", "2023", "-g", "30", "-6"])
    assert options.overrides == (
        "AddressFamily inet6",
        'Port "2022"',
        "Banner=none",
        'HostKey "/a b"',
        'Port "2023"',
        'LoginGraceTime "30"',
    )


@pytest.mark.parametrize("path", ["/plain", "/with space", '/with"quote', "/back\\slash", "/#hash", "/it's"])
def test_a_path_arrives_as_it_was_given(path: str) -> None:
    options = read_server_config(None, parse(["-h", path]).overrides)
    options.check()
    assert options.host_keys.value == (path,)


def test_quiet_wins_over_debug_and_debug_has_levels() -> None:
    assert parse(["-q", "-d"]).overrides == ("LogLevel QUIET",)
    assert parse(["-d"]).overrides == ("LogLevel DEBUG1",)
    assert parse(["-ddddd", "-4"]).overrides == ("LogLevel DEBUG3", "AddressFamily inet")


def test_flags_are_read() -> None:
    options = parse(["-DeiqtTGV", "-E", "log", "-f", "file", "-u", "0"])
    assert options._replace(overrides=()) == (
        "file",
        (),
        "log",
        0,
        True,
        True,
        True,
        True,
        True,
        True,
        True,
        True,
    )


def test_the_folder_is_where_the_user_keeps_configurations(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", "/elsewhere")
    assert own_folder() == "/elsewhere/sshkit"
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert own_folder() == f"{tmp_path}/.config/sshkit"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert own_folder() == f"{tmp_path}/.config/sshkit"
    assert config_path() is None


def test_the_own_key_is_made_once_and_private(tmp_path: Path) -> None:
    folder = str(tmp_path / "a" / "sshkit")
    path = make_own_key(folder)
    assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    key = load_private_key(path)
    assert make_own_key(folder) == path
    assert load_private_key(path).public == key.public
    assert Path(f"{path}.pub").read_text().startswith("ssh-ed25519 ")


def test_no_key_is_made_where_others_may_write(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(KeyPermissionsError, match="others may write here"):
        make_own_key(str(folder))
    assert os.listdir(folder) == []


def test_two_servers_that_start_at_once_use_one_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sshkit_keys

    def other_was_quicker(path: str, data: bytes, overwrite: bool = False) -> None:
        write_private_key(path, data)
        raise FileExistsError

    monkeypatch.setattr(sshkit_keys, "write_private_key", other_was_quicker)
    path = make_own_key(str(tmp_path / "x"))
    assert load_private_key(path)
    assert not os.path.exists(f"{path}.pub")
