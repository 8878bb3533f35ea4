"""Fingerprints, pictures and text that is fit to be shown."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import sshkit_keys
from hypothesis import given
from hypothesis import strategies as st
from sshkit_keys import (
    PrivateKey,
    UnsupportedKey,
    fingerprint,
    parse_public_line,
    randomart,
    write_public_key,
)
from sshkit_keys.text import printable, quoted

LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAICaP0V5IFzrOmCOECi1BQMxoioSG+IPX89vidWGVmuZa"
# What ssh-keygen -lv printed for this key.
PICTURE = """\
+--[ED25519 256]--+
|      ..  .o ..E.|
|       =. . . oo |
|    . = oo o o  .|
|     B o..+ O o .|
|    o + So =.%. .|
|          o.*oX. |
|           o.@.o.|
|            . *.o|
|             o  .|
+----[SHA256]-----+"""


def test_fingerprints_are_those_of_ssh_keygen() -> None:
    key = parse_public_line(LINE)
    assert key.fingerprint() == "SHA256:wbiwWZ6U0Rftm3thZixC0qd3IG0nW0TnL0p/HxozMVQ"
    assert key.fingerprint("md5") == "MD5:54:05:cf:df:4b:52:72:40:f3:58:26:38:43:d7:a6:e6"


def test_the_picture_is_that_of_ssh_keygen() -> None:
    assert randomart(parse_public_line(LINE).blob, "ED25519 256") == PICTURE


@pytest.mark.peer("ssh-keygen")
def test_every_picture_is_that_of_ssh_keygen(
    tmp_path: Path, key: PrivateKey, ssh_keygen: Callable[..., str]
) -> None:
    write_public_key(tmp_path / "id.pub", key.public)
    title = f"{key.public.label} {key.public.bits}"
    for name in ("md5", "sha256"):
        first, picture = ssh_keygen("-lv", "-E", name, "-f", "id.pub").rstrip("\n").split("\n", 1)
        assert first.split()[1] == key.public.fingerprint(name)
        assert picture == randomart(key.public.blob, title, name)


def test_another_hash_is_unsupported() -> None:
    with pytest.raises(UnsupportedKey, match=r"unknown fingerprint hash 'sha\\x001'"):
        fingerprint(b"", "sha\x001")


@given(st.text() | st.binary())
def test_r36_no_text_of_others_keeps_a_character_that_controls(text: str | bytes) -> None:
    shown = printable(text)
    assert shown.isprintable()
    assert quoted(text) == f"'{shown}'"


def test_r36_text_of_others_is_escaped_and_cut() -> None:
    assert printable("a\x1b[2J\n\x85\u202eb") == r"a\x1b[2J\n\x85\u202eb"
    assert printable(b"a\xffb") == r"a\xffb"
    assert printable("é" * 300) == "é" * 200 + "..."
    assert printable(b"a" * 3000, 10) == "a" * 10 + "..."


def test_the_package_names_what_it_offers() -> None:
    assert set(sshkit_keys.__all__) <= set(dir(sshkit_keys))
    for name in sshkit_keys.__all__:
        assert getattr(sshkit_keys, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = sshkit_keys.nonsense  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        ("import sshkit_keys", "sshkit_keys.key cryptography bcrypt hashlib"),
        ("from sshkit_keys import *", "cryptography bcrypt hashlib dataclasses inspect logging asyncio"),
        (
            f"from sshkit_keys import *; parse_public_line({LINE!r})",
            "cryptography bcrypt hashlib",
        ),
    ],
)
def test_what_is_not_used_is_not_loaded(program: str, absent: str) -> None:
    check = f"import sys; {program}; print(*set('{absent}'.split()) & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
