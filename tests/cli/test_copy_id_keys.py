"""Which keys sshkit-copy-id takes: of files and of an agent."""

import os
from pathlib import Path
from typing import Any

import pytest
from sshkit_cli import copy_id_keys
from sshkit_cli.copy_id_keys import KeyLine, newest_file, public_file, read_file
from sshkit_keys import KeyFileError, PrivateKey, SSHKitError, generate_private_key, sign_certificate
from sshkit_keys.wire import string

import sshkit

UNKNOWN = string("ssh-new@example.com") + string(b"key")


def certify(key: PrivateKey) -> Any:
    authority = generate_private_key("ed25519")
    options: Any = {"role": "user", "key_id": "x", "principals": ["me"], "random_bytes": os.urandom}
    return sign_certificate(authority, key.public, **options)


def test_the_newest_key_that_is_no_certificate_is_taken(home: Path) -> None:
    assert newest_file() is None
    folder = home / ".ssh"
    folder.mkdir()
    assert newest_file() is None
    for age, name in enumerate(["id_new-cert.pub", "id_new.pub", "id_old.pub", "id_private", "other.pub"]):
        (folder / name).write_text("x")
        os.utime(folder / name, (1000 - age, 1000 - age))
    assert newest_file() == str(folder / "id_new.pub")


def test_a_name_means_its_public_file() -> None:
    assert (public_file("a"), public_file("a.pub")) == ("a.pub", "a.pub")


def test_every_key_of_a_file_is_read_once_and_comments_are_made_harmless(tmp_path: Path) -> None:
    first, second = (generate_private_key("ed25519", None, "c\x1b\u202e") for _ in range(2))
    lines = [
        "# a comment",
        "",
        f"  {' '.join(first.public.to_line().split(' ')[:2])} with  'quotes' and \x1b\x07\r",
        first.public.to_line(),
        " ".join(second.public.to_line().split(" ")[:2]),
    ]
    path = tmp_path / "keys.pub"
    path.write_text("\n".join(lines))
    keys = read_file(str(path))
    assert [key.public for key in keys] == [first.public, second.public]
    assert keys[0].comment == "with  'quotes' and \\x1b\\x07"
    assert str(keys[1]) == keys[1].name
    assert all(str(key).isprintable() for key in keys)


def test_a_key_of_an_unknown_type_is_sent_as_it_is(tmp_path: Path) -> None:
    from binascii import b2a_base64

    text = b2a_base64(UNKNOWN, newline=False).decode()
    path = tmp_path / "new.pub"
    path.write_text(f"ssh-new@example.com {text} mine\n")
    assert read_file(str(path)) == [KeyLine(f"ssh-new@example.com {text}", "mine", None)]


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("word", "not a public key line"),
        ("ssh-ed25519 !!!!", "the key is not base64"),
        ("ssh-ed25519 AAAA", "the public key is damaged"),
        (
            "ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIA==",
            "the key is of type 'ssh-ed25519' but is declared as 'ssh-rsa'",
        ),
        ("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAAQ==", "the public key is damaged"),
        ("x\x1by AAAAA3gbeQ==", "is no name of a key type"),
    ],
)
def test_a_line_that_is_no_key_is_an_error_with_its_place(tmp_path: Path, line: str, cause: str) -> None:
    path = tmp_path / "bad.pub"
    path.write_text(f"\n{line}\n")
    with pytest.raises(KeyFileError) as refused:
        read_file(str(path))
    assert str(refused.value).startswith(f"{path}:2: ")
    assert cause in str(refused.value)
    assert str(refused.value).isprintable()


def test_a_certificate_is_not_installed(tmp_path: Path) -> None:
    key = generate_private_key("ed25519")
    certificate = certify(key)
    path = tmp_path / "id-cert.pub"
    path.write_text(certificate.to_line() + "\n")
    with pytest.raises(KeyFileError, match="it is a certificate: install its key"):
        read_file(str(path))


def test_a_file_of_too_many_keys_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(copy_id_keys, "MAX_KEYS", 1)
    path = tmp_path / "many.pub"
    path.write_text("".join(f"{generate_private_key('ed25519').public.to_line()}\n" for _ in range(2)))
    with pytest.raises(KeyFileError, match="more than 1 keys"):
        read_file(str(path))


def test_a_folder_is_no_key_file(tmp_path: Path) -> None:
    (tmp_path / "id.pub").mkdir()
    with pytest.raises(SSHKitError, match="ID file"):
        read_file(str(tmp_path / "id.pub"))


def test_certificates_and_unknown_keys_of_an_agent(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = generate_private_key("ed25519")
    certificate = certify(key)

    class Held:
        def __init__(self, key_type: str, blob: bytes) -> None:
            self.key_type, self.blob, self.comment = key_type, blob, "c\x1b"

    class Agent:
        async def __aenter__(self) -> "Agent":
            return self

        async def __aexit__(self, *exception: object) -> None:
            pass

        async def list_keys(self) -> list[Held]:
            return [
                Held(certificate.key_type, certificate.blob),
                Held("ssh-new@example.com", UNKNOWN),
                Held(key.public.key_type, key.public.blob),
                Held(key.public.key_type, key.public.blob),
            ]

    monkeypatch.setenv("SSH_AUTH_SOCK", "/x")
    monkeypatch.setattr(copy_id_keys, "connect_agent", lambda **_: Agent())
    keys, problems = sshkit.run(copy_id_keys.agent_keys(None))  # type: ignore[arg-type]
    assert [line.public for line in keys] == [None, key.public]
    (problem,) = problems
    assert problem.startswith("the agent's key c\\x1b: it is a certificate: install its key")
