"""A file for the parsers that take a path, one for each process."""

import atexit
import os
import tempfile
from pathlib import Path

_FOLDER: list[Path] = []


def path() -> str:
    """Return the file's name."""
    if not _FOLDER:
        folder = tempfile.TemporaryDirectory(
            prefix="fuzz-", dir="/dev/shm" if os.path.isdir("/dev/shm") else None
        )
        atexit.register(folder.cleanup)
        _FOLDER.append(Path(folder.name))
    return str(_FOLDER[0] / "file")


def written(data: bytes) -> str:
    """Write the file anew; return its name."""
    name = path()
    descriptor = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, data)
    finally:
        os.close(descriptor)
    return name


def include_only_the_file(pattern: str, **options: object) -> list[str]:
    """Stand in for glob: no input may read a file of this machine."""
    return [path()] if pattern.endswith("/file") else []
