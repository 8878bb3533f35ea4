"""What is fuzzed: one small file a target, each with `parse(data)`, named here.

Used by ``python -m tests.fuzz.run``, by ``python -m tests.fuzz.worst_case`` and by the tests.  The seeds of a
target lie in ``tests/fuzz/corpus/NAME``; ``python -m tests.fuzz.make_corpus`` makes those of `KEY_FILES`
anew, ``python -m tests.fuzz.make_peer_corpus`` the others.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from sshkit_keys import SSHKitError

#: Formats of keys and of what is trusted.
KEY_FILES = (
    "private_key",
    "public_file",
    "public_blob",
    "find_keys",
    "certificate",
    "known_hosts",
    "authorized_keys",
    "authorized_principals",
    "allowed_signers",
    "signature",
    "revocation",
    "sshfp",
)
#: Other files.
FILES = ("ssh_config", "sshd_config", "moduli", "recording", "password_file")
#: What peers send: the wire, from the first packet to the last channel, and what other processes say.
PEERS = (
    "packet_clear",
    "packet_chacha",
    "packet_gcm",
    "packet_ctr",
    "packet_cbc",
    "packet_compressed",
    "identification",
    "kexinit",
    "kex_values",
    "kex_client",
    "kex_server",
    "login_server",
    "login_client",
    "channels_server",
    "channels_client",
    "session_server",
    "session_client",
    "sftp_server",
    "sftp_client",
    "agent_server",
    "agent_client",
    "proxy_header",
    "metrics_request",
    "monitor",
)
TARGETS = KEY_FILES + FILES + PEERS
CORPUS = Path(__file__).resolve().parent.parent / "corpus"
#: What opens the encrypted seeds.
PASSPHRASE = b"secret"


def load_target(name: str) -> Callable[[bytes], object]:
    """Return the parser."""
    parse: Callable[[bytes], object] = import_module(f"{__name__}.{name}").parse
    return parse


def seeds(name: str) -> list[bytes]:
    """Return the target's seeds in the order of their names."""
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def feed(parse: Callable[[bytes], object], data: bytes) -> bool:
    """Say whether the parser took the data; it may raise SSHKitError only, with text fit to be shown."""
    try:
        parse(data)
    except SSHKitError as error:
        text = str(error)
    else:
        return True
    assert text.isprintable(), repr(text)
    return False
