"""Key files that the real tools made: the seeds of the fuzz targets."""

from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "fuzz" / "corpus"
PRIVATE = sorted(path.name for path in (FOLDER / "private_key").iterdir())
PUBLIC = sorted(path.name for path in (FOLDER / "public_file").iterdir())
#: What opens the encrypted ones.
PASSPHRASE = b"secret"


def private(name: str) -> bytes:
    """Return a private key file."""
    return (FOLDER / "private_key" / name).read_bytes()


def public(name: str) -> bytes:
    """Return a public key file."""
    return (FOLDER / "public_file" / name).read_bytes()
