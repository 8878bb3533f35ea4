"""The answers to -Q: every word that OpenSSH 10.0 knows, from our own tables."""

import pytest
from sshkit_cli.options import UsageError
from sshkit_cli.query import WORDS, answer

from sshkit.ssh.algorithms import USER_KEYS, known_names
from tests.interop.peers import BACKPORTS

#: All of `ssh -Q help` of OpenSSH 10.0 but kex-gss, which Debian adds, and those that help does not tell.
OPENSSH = (
    *("cipher", "cipher-auth", "compression", "kex", "key", "key-cert", "key-plain", "key-sig"),
    *("mac", "protocol-version", "sig", "key-ca-sign", "help"),
)
KEYWORDS = (
    *("Ciphers", "MACs", "KexAlgorithms", "HostKeyAlgorithms", "PubkeyAcceptedAlgorithms"),
    *("HostbasedAcceptedAlgorithms", "CASignatureAlgorithms"),
)


@pytest.mark.parametrize("word", [*OPENSSH, *KEYWORDS, *(word.lower() for word in KEYWORDS)])
def test_every_word_of_openssh_has_an_answer(word: str) -> None:
    assert answer(word)


def test_the_answers_are_the_tables() -> None:
    assert answer("kex").split() == list(known_names("key_exchanges"))
    assert answer("KexAlgorithms") == answer("kex")
    assert answer("cipher-auth").split() == [
        "aes128-gcm@openssh.com",
        "aes256-gcm@openssh.com",
        "chacha20-poly1305@openssh.com",
    ]
    assert answer("compression").split() == ["zlib@openssh.com", "none", "zlib"]
    assert answer("protocol-version") == "2"
    assert answer("key-sig").split() == list(USER_KEYS)
    plain, certificates = set(answer("key-plain").split()), set(answer("key-cert").split())
    assert plain | certificates == set(answer("key").split())
    assert not plain & certificates
    assert {"ssh-rsa", "ssh-ed25519"} <= plain
    assert "ssh-rsa-cert-v01@openssh.com" in certificates
    assert answer("help").split() == list(WORDS)


def test_an_unknown_word_is_a_mistake() -> None:
    with pytest.raises(UsageError, match="unknown query 'colours'"):
        answer("colours")


@pytest.mark.peer("ssh")
@pytest.mark.parametrize("word", ["cipher", "cipher-auth", "kex", "mac", "compression"])
def test_what_openssh_has_and_we_have_not_is_known(word: str) -> None:
    import subprocess

    from sshkit.config.algorithm_names import OTHERS

    program = BACKPORTS / "usr" / "bin" / "ssh"
    command = [str(program) if program.exists() else "ssh", "-Q", word]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.split()
    left_out = {name for names in OTHERS.values() for name in names}
    assert set(theirs) <= set(answer(word).split()) | left_out
