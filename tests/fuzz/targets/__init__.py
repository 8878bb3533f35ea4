"""What is fuzzed: one small file a parser, each with `parse(data)`, named here.

Used by ``python -m tests.fuzz.run``, by ``python -m tests.fuzz.worst_case`` and by the tests.  The seeds of a
target lie in ``tests/fuzz/corpus/NAME``; ``python -m tests.fuzz.make_corpus`` makes them anew.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from sshkit_keys import SSHKitError

TARGETS = (
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
