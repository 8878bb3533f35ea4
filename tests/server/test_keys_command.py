"""Programs that say which keys and principals let in; OpenSSH's scripts keys-command and principals-command
try the same."""

import os
import shutil
import stat
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sshkit_keys import Certificate, PrivateKey, generate_private_key, sign_certificate

from sshkit.reactor.engines.native import NativeReactor
from sshkit.server import keys_command
from sshkit.server.accounts import Account, find_account
from sshkit.server.in_child import ChildFailed
from sshkit.server.keys_command import (
    KEYS,
    PRINCIPALS,
    Endpoints,
    KeysCommandError,
    arguments,
    check_program,
    find_keys,
    find_principals,
    output_of,
    split_command,
)

ROOT_ONLY = pytest.mark.skipif(os.geteuid() != 0, reason="only root's programs are run, as another user")
KEY: PrivateKey = generate_private_key("ed25519", comment="test")
OTHER: PrivateKey = generate_private_key("ed25519")
AUTHORITY: PrivateKey = generate_private_key("ecdsa")
ANN = Account("ann", 1234, 1234, "/home/ann", "/bin/sh")
ENDPOINTS = Endpoints("192.0.2.7", 40000, "192.0.2.1", 22, "blue")


def certify(key_id: str = "id") -> Certificate:
    return sign_certificate(
        AUTHORITY,
        KEY.public,
        role="user",
        key_id=key_id,
        serial=7,
        principals=["ann"],
        random_bytes=os.urandom,
    )


def encoded(key: Any) -> str:
    return b64encode(key.blob).decode()


class Programs:
    """A folder of root's, with programs, and somebody to run them as."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.seen = folder / "seen"
        self.seen.mkdir()
        os.chmod(self.seen, 0o777)
        os.chmod(folder, 0o755)
        runner = find_account("nobody")
        assert runner is not None
        self.runner = runner

    def write(self, *lines: str, mode: int = 0o755) -> str:
        path = self.folder / "program"
        path.write_text("\n".join(("#!/bin/sh", *lines, "")))
        path.chmod(mode)
        return str(path)

    def keys(self, command: str, key: Any = KEY.public, **more: Any) -> Any:
        reactor: Any = NativeReactor()
        try:
            return reactor.run_until(find_keys(reactor, command, self.runner, ANN, key, ENDPOINTS, **more))
        finally:
            reactor.close()

    def principals(self, command: str) -> Any:
        reactor: Any = NativeReactor()
        try:
            return reactor.run_until(
                find_principals(reactor, command, self.runner, ANN, certify(), ENDPOINTS)
            )
        finally:
            reactor.close()

    def fault(self, command: str, **more: Any) -> str:
        with pytest.raises(ChildFailed) as caught:
            self.keys(command, **more)
        return str(caught.value).replace(str(self.folder), "FOLDER")


@pytest.fixture
def programs() -> Iterator[Programs]:
    folder = tempfile.mkdtemp(
        prefix="sshkit-test-", dir="/usr/local/lib"
    )  # every folder above is root's alone
    yield Programs(Path(folder))
    shutil.rmtree(folder)


@ROOT_ONLY
def test_the_lines_of_the_program_are_lines_of_authorized_keys(programs: Programs) -> None:
    path = programs.write(
        "echo '# keys of' $1", f"echo '{OTHER.public.to_line()}'", f"echo 'no-pty {KEY.public.to_line()}'"
    )
    found = programs.keys(path)
    assert [entry.place for entry in found.entries] == [f"AuthorizedKeysCommand {path}:3"]
    assert "no-pty" in found.entries[0].options
    assert programs.keys(path, generate_private_key("ed25519").public).entries == []


@ROOT_ONLY
def test_for_a_certificate_the_lines_of_its_authority_count(programs: Programs) -> None:
    path = programs.write(
        f"echo 'cert-authority {AUTHORITY.public.to_line()}'", f"echo '{KEY.public.to_line()}'"
    )
    found = programs.keys(path, certify())
    assert [entry.blob for entry in found.entries] == [AUTHORITY.public.blob]


@ROOT_ONLY
def test_principals_are_read_as_from_their_file(programs: Programs) -> None:
    path = programs.write("echo $1; echo 'no-pty ann'")
    found = programs.principals(f"{path} %i")
    assert [(entry.principal, entry.place) for entry in found.entries] == [
        ("id", f"AuthorizedPrincipalsCommand {path}:1"),
        ("ann", f"AuthorizedPrincipalsCommand {path}:2"),
    ]


@ROOT_ONLY
def test_the_program_has_the_other_users_rights_and_nothing_of_ours(
    programs: Programs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "x")
    monkeypatch.setenv("LANG", "C.UTF-8")
    path = programs.write(
        f"id -u >{programs.seen}/id; pwd >>{programs.seen}/id; env >{programs.seen}/env",
        "cat",
        "ls /proc/self/fd >&2",
    )
    assert programs.keys(path).entries == []
    assert (programs.seen / "id").read_text() == f"{programs.runner.uid}\n/\n"
    variables = dict(line.split("=", 1) for line in (programs.seen / "env").read_text().splitlines())
    assert variables["USER"] == variables["LOGNAME"] == "nobody"
    assert variables["PATH"] == keys_command.SAFE_PATH
    assert variables["LANG"] == "C.UTF-8"
    assert "SECRET" not in variables


@ROOT_ONLY
def test_r39_a_program_that_others_may_write_is_not_run(programs: Programs) -> None:
    path = programs.write("echo", mode=0o777)
    assert (
        programs.fault(path)
        == f"{KEYS} FOLDER/program: FOLDER/program: mode 0777 lets the group or others write"
    )
    path = programs.write("echo")
    os.chown(path, 1234, 0)
    assert "belongs to user number 1234, not to 0" in programs.fault(path)
    os.chown(path, 0, 0)
    os.chmod(programs.folder, 0o775)
    assert "FOLDER: mode 0775" in programs.fault(path)
    os.chmod(programs.folder, stat.S_IRWXU | 0o055)
    assert "not a plain file" in programs.fault(f"{programs.folder}")
    assert "not a plain file" in programs.fault(f"{programs.folder}/missing")
    assert "not a plain file" in programs.fault("/dev/null")
    os.chmod(path, 0o644)
    assert programs.fault(path) == "FOLDER/program: Permission denied"


@ROOT_ONLY
def test_a_program_that_does_not_end_well_says_nothing(programs: Programs) -> None:
    line = f"echo '{KEY.public.to_line()}'"
    assert (
        programs.fault(programs.write(line, "exit 3"))
        == "AuthorizedKeysCommand FOLDER/program ended with status 3"
    )
    assert "ended with signal 9" in programs.fault(programs.write(line, "kill -9 $$"))
    text = programs.fault(programs.write(line, "exec sleep 100"), timeout=0.5)
    assert "not done after 0.5 seconds" in text


@ROOT_ONLY
def test_r24_a_program_that_says_too_much_is_killed(programs: Programs) -> None:
    assert "more than 1048576 bytes" in programs.fault(programs.write("exec cat /dev/zero"))


@ROOT_ONLY
def test_what_the_program_says_may_be_anything(programs: Programs) -> None:
    found = programs.keys(
        programs.write("head -c 100000 /dev/urandom", f"echo; echo '{KEY.public.to_line()}'")
    )
    assert len(found.entries) == 1
    assert found.warnings


def test_the_tokens_of_keys() -> None:
    key = KEY.public
    command = "/bin/x %% %C %D %f %h %k %t %U %u a%ub%%%u '%u and %u'"
    assert arguments(KEYS, command, ANN, key, ENDPOINTS) == [
        "/bin/x",
        "%",
        "192.0.2.7 40000 192.0.2.1 22",
        "blue",
        key.fingerprint(),
        "/home/ann",
        encoded(key),
        "ssh-ed25519",
        "1234",
        "ann",
        "aannb%ann",
        "ann and ann",
    ]
    assert arguments(KEYS, "/bin/x", ANN, key, ENDPOINTS) == ["/bin/x", "ann"]


def test_the_tokens_of_certificates() -> None:
    certificate = certify("ann smith/laptop")
    found = arguments(PRINCIPALS, "/bin/x %F %f %i %K %k %s %T %t", ANN, certificate, ENDPOINTS)
    assert found[1:] == [
        AUTHORITY.public.fingerprint(),
        certificate.fingerprint(),
        "ann smith/laptop",
        encoded(AUTHORITY.public),
        encoded(certificate),
        "7",
        AUTHORITY.public.key_type,
        "ssh-ed25519-cert-v01@openssh.com",
    ]
    assert arguments(PRINCIPALS, "/bin/x", ANN, certificate, ENDPOINTS) == ["/bin/x"]
    assert arguments(KEYS, "/bin/x %t", ANN, certificate, ENDPOINTS)[1] == certificate.key_type


@pytest.mark.parametrize("bad", ["a;b", "$(id)", "-rf", "a\nb", "`id`", "a|b", "a\\b", "*", "a'b", 'a"b'])
def test_r11_a_value_with_meta_characters_is_refused_not_quoted(bad: str) -> None:
    for command, account, key_id in (
        ("/bin/x %u", ANN._replace(name=bad), "id"),
        ("/bin/x a%h", ANN._replace(home=bad), "id"),
        ("/bin/x %i", ANN, bad),
    ):
        with pytest.raises(KeysCommandError, match="which is not safe to hand on"):
            arguments(PRINCIPALS, command, account, certify(key_id), ENDPOINTS)
    with pytest.raises(KeysCommandError, match="not safe"):
        arguments(KEYS, "/bin/x", ANN._replace(name=bad), KEY.public, ENDPOINTS)


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        ("", "'' is not an absolute path"),
        ("x", "'x' is not an absolute path"),
        ("/x 'a", "No closing quotation"),
        ("/x %", "% is no token"),
        ("/x a%zb", "%z is no token"),
        ("/x %i", "%i is no token"),
        ("/x %\x1b", "%\\x1b is no token"),
        ("/x" + " a" * 256, "more than 256 arguments"),
    ],
)
def test_a_command_that_cannot_be_meant_is_refused_when_it_is_read(command: str, fault: str) -> None:
    with pytest.raises(KeysCommandError) as caught:
        split_command(KEYS, command)
    assert str(caught.value) == f"{KEYS}: {fault}"


def test_words_are_split_with_quotes() -> None:
    assert split_command(PRINCIPALS, "/x \"a b\" 'c d' e\\ f %i") == ["/x", "a b", "c d", "e f", "%i"]


# The same without a fork.


def test_the_childs_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(ChildFailed, match="not a plain file"):
        check_program("name", str(tmp_path))
    program = tmp_path / "program"
    program.write_text("")
    with pytest.raises(ChildFailed, match=r"lets the group or others write|belongs to user"):
        check_program("name", str(program))
    monkeypatch.setattr(keys_command, "check_program", lambda name, path: None)
    monkeypatch.setattr(keys_command, "MAX_OUTPUT", 10)
    monkeypatch.delenv("LANG", raising=False)
    assert output_of("name", ["/bin/echo", "hello"], ANN) == b"hello\n"
    assert output_of("name", ["/usr/bin/printenv", "USER"], ANN) == b"ann\n"
    for argv, fault in (
        (["/bin/cat", "/dev/zero"], "more than 10 bytes"),
        (["/bin/false"], "ended with status 1"),
        (["/bin/sh", "-c", "kill -9 $$"], "ended with signal 9"),
    ):
        with pytest.raises(ChildFailed, match=fault):
            output_of("name", argv, ANN)
