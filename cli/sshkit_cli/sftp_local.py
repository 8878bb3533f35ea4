"""Local names for sshkit-sftp: globs with braces left alone, a backslash before what is no wildcard."""

import os

from sshkit.sftp.glob import translate

from .sftp_words import WILD, plain


def local_glob(pattern: str) -> list[str]:
    """Return the names that fit, sorted; the pattern itself where none does, as the shell does."""
    parts = pattern.split("/")
    found = ["/"] if pattern.startswith("/") else [""]
    for part in parts:
        if not part:
            continue
        if not is_wild(part):
            name = plain(part)
            found = [base + ("" if base in ("", "/") else "/") + name for base in found]
            continue
        expression = translate(os.fsencode(part))
        below: list[str] = []
        for base in found:
            try:
                names = sorted(os.listdir(base or "."))
            except OSError:
                continue
            below += [
                base + ("" if base in ("", "/") else "/") + name
                for name in names
                if expression.match(os.fsencode(name)) and (name[0] != "." or part[0] == ".")
            ]
        found = below
    found = [path for path in found if path and os.path.lexists(path)]
    return found or [plain(pattern)]


def is_wild(part: str) -> bool:
    """Tell whether there is a wildcard that no backslash stands before."""
    position = 0
    while position < len(part):
        if part[position] == "\\":
            position += 1
        elif part[position] in WILD:
            return True
        position += 1
    return False
