"""ExposeAuthInfo: the text and the file that a session may read."""

import os
import pwd
import stat
import subprocess
from pathlib import Path

import pytest
from sshkit_keys import PublicKey, generate_private_key, sign_certificate

from sshkit.server.auth_info import VARIABLE, auth_line, remove_auth_info, write_auth_info
from tests.peers import RealSshd

KEY = generate_private_key("ed25519")


def test_each_method_is_a_line_as_sshd_writes_it() -> None:
    kind, text = KEY.public.to_line().split()[:2]
    assert auth_line("publickey", key=KEY.public) == f"publickey {kind} {text}\n"
    assert auth_line("password") == "password\n"
    assert auth_line("keyboard-interactive", submethod="pam") == "keyboard-interactive/pam\n"
    detail = 'client user "joe", client host "host"'
    assert auth_line("hostbased", key=KEY.public, detail=detail) == f"hostbased {kind} {text} {detail}\n"


def test_a_certificate_is_told_whole() -> None:
    certificate = sign_certificate(
        KEY, KEY.public, key_id="id", principals=["ann"], role="user", random_bytes=os.urandom
    )
    line = auth_line("publickey", key=certificate)
    assert line.split()[1] == "ssh-ed25519-cert-v01@openssh.com"
    assert line.split()[2] == certificate.to_line().split()[1]


def test_r36_a_name_with_line_ends_makes_no_second_line() -> None:
    line = auth_line("gssapi-with-mic", detail="joe@REALM\npublickey ssh-ed25519 AAAA\x1b[2J" + "x" * 5000)
    assert line.count("\n") == 1
    assert line.startswith("gssapi-with-mic joe@REALM publickey")
    assert "\x1b" not in line
    assert len(line) < 1100


def test_the_file_is_the_users_alone_and_goes_at_the_end(tmp_path: Path) -> None:
    mask = os.umask(0)
    try:
        path = write_auth_info("password\n", os.urandom, str(tmp_path))
    finally:
        os.umask(mask)
    assert Path(path).read_text() == "password\n"
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    remove_auth_info(path)
    assert not os.path.exists(path)
    remove_auth_info(path)


def test_a_file_or_a_link_that_lies_there_already_is_not_written_to(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / f"sshauth.{'00' * 8}").symlink_to(victim)
    (tmp_path / f"sshauth.{'01' * 8}").write_text("another's")
    draws = iter(range(3))
    path = write_auth_info("password\n", lambda size: bytes([next(draws)]) * size, str(tmp_path))
    assert path.endswith("02" * 8)
    assert victim.read_text() == "precious"
    with pytest.raises(FileExistsError, match="no free name"):
        write_auth_info("x", bytes, str(tmp_path))


def test_a_disk_that_is_full_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space left"):
        write_auth_info("x", os.urandom, str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.peer("sshd")
@pytest.mark.peer("ssh")
@pytest.mark.parametrize("certified", [False, True], ids=["key", "certificate"])
def test_the_real_sshd_writes_the_same(tmp_path: Path, certified: bool) -> None:
    with RealSshd(tmp_path, "ExposeAuthInfo yes", "PermitRootLogin yes") as sshd:
        key: PublicKey = sshd.user_key.public
        if certified:
            sshd.authorized.write_text(f"cert-authority {KEY.public.to_line()}\n")
            me = pwd.getpwuid(os.geteuid()).pw_name
            key = sign_certificate(
                KEY, key, key_id="id", principals=[me], role="user", random_bytes=os.urandom
            )
            (tmp_path / "user_key-cert.pub").write_text(key.to_line() + "\n")
        options = ("-F", "none", "-i", str(sshd.user_key_path), "-p", str(sshd.port))
        settings = (f"UserKnownHostsFile={sshd.known_hosts}", "IdentityAgent=none", "BatchMode=yes")
        line = ["ssh", *options, *(word for one in settings for word in ("-o", one))]
        command = f'cat ${VARIABLE}; stat -c "%a %n" ${VARIABLE}'
        done = subprocess.run(
            [*line, "127.0.0.1", command], capture_output=True, timeout=30, check=False, text=True
        )
    text, _, rest = done.stdout.rpartition("600 ")
    assert text == auth_line("publickey", key=key), done.stderr
    assert os.path.basename(rest).startswith("sshauth.")
