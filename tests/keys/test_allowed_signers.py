"""allowed_signers: who may sign, for what, when."""

import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sshkit_keys import PrivateKey, SignatureError, generate_private_key
from sshkit_keys.allowed_signers import (
    AllowedSigners,
    load_allowed_signers,
    matches_list,
    parse_allowed_signers,
)
from sshkit_keys.certificate_signing import sign_certificate
from sshkit_keys.certificate_times import parse_time
from sshkit_keys.certificates import Certificate
from sshkit_keys.signatures import Signature, hash_message, sign_message

MESSAGE = b"text\n"
DIGEST = hash_message(MESSAGE)
NOW = parse_time("20300601")


@pytest.fixture
def key(keys: dict[str, PrivateKey]) -> PrivateKey:
    return keys["ed25519"]


@pytest.fixture
def other(keys: dict[str, PrivateKey]) -> PrivateKey:
    return keys["ecdsa256"]


@pytest.fixture(scope="module")
def authority() -> PrivateKey:
    return generate_private_key("ed25519", comment="authority")


def line(key: PrivateKey) -> str:
    return " ".join(key.public.to_line().split()[:2])


def signers(*lines: str) -> AllowedSigners:
    found = parse_allowed_signers("\n".join(lines).encode(), "as")
    assert found.warnings == []
    return found


def certify(
    authority: PrivateKey,
    key: PrivateKey,
    principals: tuple[str, ...] = ("alice@x",),
    critical_options: dict[str, str] | None = None,
) -> Certificate:
    return sign_certificate(
        authority,
        key.public,
        role="user",
        key_id="id",
        principals=principals,
        valid_after=NOW - 100,
        valid_before=NOW + 100,
        critical_options=critical_options or {},
        random_bytes=os.urandom,
    )


def refusal(found: AllowedSigners, signature: Signature, principal: str = "alice", when: int = NOW) -> str:
    with pytest.raises(SignatureError) as caught:
        found.check(signature, DIGEST, principal, signature.namespace, when)
    return str(caught.value)


def test_a_key_signs_for_its_principals_and_no_others(key: PrivateKey, other: PrivateKey) -> None:
    found = signers("# who", f"alice,*@x,!eve@x {line(key)} at home", f'"b b" {line(other)}')
    signature = sign_message(key, MESSAGE, "file")
    for principal in ("alice", "bob@x"):
        found.check(signature, DIGEST, principal, "file", NOW)
    for principal in ("ALICE", "eve@x", "b b", "bob", ""):
        assert "no line allows" in refusal(found, signature, principal)
    found.check(sign_message(other, MESSAGE, "file"), DIGEST, "b b", "file", NOW)
    assert found.find_principals(signature, NOW) == ("alice", "*@x", "!eve@x")
    assert found.match_principals("bob@x") == ("alice,*@x,!eve@x",)
    assert found.match_principals("carol") == ()


def test_a_forged_signature_is_refused_before_anything_else(key: PrivateKey) -> None:
    signature = sign_message(key, b"other", "file")
    assert "does not verify" in refusal(signers(f"* {line(key)}"), signature)


def test_namespaces_limit_a_key(key: PrivateKey) -> None:
    found = signers(f'alice namespaces="git,mail-*,!mail-x" {line(key)}')
    for namespace in ("git", "mail-y"):
        found.check(sign_message(key, MESSAGE, namespace), DIGEST, "alice", namespace, NOW)
    for namespace in ("file", "mail-x", "Git"):
        assert "as:1: the key is not for the namespace" in refusal(
            found, sign_message(key, MESSAGE, namespace)
        )


def test_times_limit_a_key_and_its_principals(key: PrivateKey) -> None:
    found = signers(f'alice valid-after="20300101",valid-before="20301231" {line(key)}')
    signature = sign_message(key, MESSAGE, "file")
    found.check(signature, DIGEST, "alice", "file", NOW)
    assert "valid until 2030-12-31T00:00:00" in refusal(found, signature, when=parse_time("20310101"))
    assert "valid from 2030-01-01T00:00:00" in refusal(found, signature, when=parse_time("20291231"))
    assert found.find_principals(signature, NOW) == ("alice",)
    assert found.find_principals(signature, parse_time("20310101")) == ()


def test_a_later_line_may_allow_what_an_earlier_one_does_not(key: PrivateKey) -> None:
    found = signers(f'alice namespaces="git" {line(key)}', f"alice {line(key)}")
    found.check(sign_message(key, MESSAGE, "file"), DIGEST, "alice", "file", NOW)


def test_an_authority_vouches_for_certificates_not_for_itself(key: PrivateKey, authority: PrivateKey) -> None:
    found = signers(f"*@x cert-authority {line(authority)}")
    certificate = certify(authority, key, ("alice@x", "bob@y"), {"force-command": "true"})
    signature = sign_message(key, MESSAGE, "file", certificate=certificate)
    found.check(signature, DIGEST, "alice@x", "file", NOW)
    assert found.find_principals(signature, NOW) == ("alice@x",)
    assert found.find_principals(signature, NOW + 200) == ()
    assert "no line allows" in refusal(found, signature, "bob@y")
    assert "does not list 'carol@x'" in refusal(found, signature, "carol@x")
    assert "expired" in refusal(found, signature, "alice@x", NOW + 100)
    assert "no line allows" in refusal(found, sign_message(authority, MESSAGE, "file"), "alice@x")
    assert "no line allows" in refusal(found, sign_message(key, MESSAGE, "file"), "alice@x")
    # And a line without cert-authority vouches for its key alone.
    plain = signers(f"*@x {line(authority)}")
    assert "no line allows" in refusal(plain, signature, "alice@x")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("alice", "neither a key nor an option at column 1"),
        ("alice ssh-ed25519", "no key in this line"),
        ('"alice KEY', "the principals have no closing quote"),
        (", KEY", "no principals in this line"),
        ("alice no-such KEY", "unknown option 'no-such'"),
        ('alice namespaces="a",namespaces="b" KEY', "the option namespaces takes one value, not 2"),
        ("alice namespaces KEY", "the option namespaces takes one value, not 0"),
        ('alice cert-authority="x" KEY', "the option cert-authority takes no value, not 1"),
        ('alice valid-after="soon" KEY', "'soon' is no time"),
        ("alice ssh-rsa AAAA", "is damaged"),
    ],
)
def test_a_damaged_line_is_a_warning_and_allows_nobody(key: PrivateKey, text: str, cause: str) -> None:
    found = parse_allowed_signers(f"{text.replace('KEY', line(key))}\nbob {line(key)}".encode(), "as")
    assert [entry.place for entry in found.entries] == ["as:2"]
    assert len(found.warnings) == 1
    assert found.warnings[0].startswith("as:1: ")
    assert cause in found.warnings[0]


def test_lists_match_as_openssh_says() -> None:
    assert matches_list("a", "b,a")
    assert not matches_list("a", "!a,*")
    assert not matches_list("a", "*,!a")
    assert not matches_list("a", "!b")
    assert not matches_list("a", "")


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_entries_or_warnings(data: bytes) -> None:
    parse_allowed_signers(data, "as")


@pytest.mark.peer("ssh-keygen")
def test_the_real_tool_agrees(key: PrivateKey, authority: PrivateKey, tmp_path: Path) -> None:
    path, signature = tmp_path / "allowed", tmp_path / "sig"
    path.write_text(
        f'# c\nalice,*@x namespaces="file,git",valid-after="20200101" {line(key)}\n'
        f'"*@y" cert-authority {line(authority)}\n'
    )
    found = load_allowed_signers(path)
    certificate = certify(authority, key, ("bob@y",))
    made = {
        "key": sign_message(key, MESSAGE, "file"),
        "certificate": sign_message(key, MESSAGE, "file", certificate=certificate),
        "namespace": sign_message(key, MESSAGE, "mail"),
    }
    for name, principal, when in (
        ("key", "alice", "20300601"),
        ("key", "bob@x", "20300601"),
        ("key", "bob@y", "20300601"),
        ("key", "alice", "20190601"),
        ("namespace", "alice", "20300601"),
        ("certificate", "bob@y", "20300601"),
        ("certificate", "carol@y", "20300601"),
        ("certificate", "bob@y", "20310601"),
    ):
        signature.write_bytes(made[name].to_armour())
        common: list[str | Path] = ["-f", path, "-s", signature, "-O", f"verify-time={when}"]
        namespace = made[name].namespace
        theirs = subprocess.run(
            ["ssh-keygen", "-Y", "verify", "-n", namespace, "-I", principal, *common],
            input=MESSAGE,
            capture_output=True,
            check=False,
        )
        try:
            found.check(made[name], DIGEST, principal, namespace, parse_time(when))
            ours = True
        except SignatureError:
            ours = False
        assert ours is (theirs.returncode == 0), (name, principal, when)
        listed = subprocess.run(
            ["ssh-keygen", "-Y", "find-principals", *common], capture_output=True, text=True, check=False
        )
        assert tuple(listed.stdout.split()) == found.find_principals(made[name], parse_time(when))


def test_r18_lines_too_short_for_a_key_cost_nothing_once_there_were_warnings_enough(key: PrivateKey) -> None:
    found = parse_allowed_signers(b"junk\n" * 200 + f"alice {line(key)}".encode(), "as")
    assert [entry.place for entry in found.entries] == ["as:201"]
    assert len(found.warnings) == 101
