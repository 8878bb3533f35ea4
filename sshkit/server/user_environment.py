"""Variables that a user sets for his own sessions: ~/.ssh/environment and environment= of a key's line.

Called for each session's process, with the user's rights.  PermitUserEnvironment says which names may be set
(sshd_config(5)); names are letters, digits and underscores, and there is an end to lines and bytes (R29).
"""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from sshkit_keys.errors import KeyFileError
from sshkit_keys.host_patterns import matches_glob
from sshkit_keys.text import printable, quoted

if TYPE_CHECKING:
    from sshkit.server.accounts import Account

FILE = ".ssh/environment"
MAX_BYTES = 64 * 1024
MAX_LINES = 1000
MAX_WARNINGS = 20
#: What makes programs load other code: allowed by a pattern that names it, never by "yes" or "*" alone.
LOADER_PATTERNS = ("LD_*", "DYLD_*", "_RLD*", "LIBPATH", "SHLIB_PATH", "GCONV_PATH", "GLIBC_TUNABLES")
EVERY_NAME = "*"  #: PermitUserEnvironment yes


def may_be_set(name: str, permitted: str | None) -> bool:
    """Say whether PermitUserEnvironment (None: no; "*": yes; patterns with commas) permits a name."""
    if permitted is None or not is_name(name):
        return False
    loader = any(matches_glob(pattern, name) for pattern in LOADER_PATTERNS)
    found = False
    for pattern in permitted.split(","):
        if pattern.startswith("!"):
            if matches_glob(pattern[1:], name):
                return False
        elif matches_glob(pattern, name) and not (loader and not pattern.strip(EVERY_NAME)):
            found = True
    return found


def is_name(name: str) -> bool:
    """Say whether a variable can be called that."""
    return name.isascii() and name.replace("_", "a").isalnum()


def user_environment(
    account: "Account", permitted: str | None, of_key: Iterable[tuple[str, str]] = ()
) -> tuple[dict[str, str], list[str]]:
    """Return the variables, those of the file over those of the key's line, and warnings that name lines."""
    if permitted is None:
        return {}, []
    variables = {name: value for name, value in of_key if may_be_set(name, permitted)}
    path = f"{account.home}/{FILE}"
    found, warnings = read_variables(path)
    variables.update((name, value) for name, value in found.items() if may_be_set(name, permitted))
    return variables, warnings


def read_variables(path: str) -> tuple[Mapping[str, str], list[str]]:
    """Return the variables of a file of lines NAME=value, and warnings; a file that is missing has none."""
    from sshkit_keys.authorized_keys import open_users_file

    variables: dict[str, str] = {}
    warnings: list[str] = []
    shown = printable(path)
    try:
        with open_users_file(path, None, None) as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        return {}, [f"{shown}: {error.strerror}"]
    except KeyFileError as error:
        return {}, [str(error)]
    lines = data.split(b"\n")
    if len(data) > MAX_BYTES or len(lines) > MAX_LINES + 1:
        return {}, [f"{shown}: more than {MAX_BYTES} bytes or {MAX_LINES} lines"]
    for number, line in enumerate(lines, 1):
        text = line.decode("utf-8", "surrogateescape").strip(" \t\r")
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if equals and is_name(name) and "\0" not in value:
            variables[name] = value
        elif len(warnings) < MAX_WARNINGS:
            warnings.append(f"{shown}:{number}: {quoted(text, 40)} is not NAME=value")
    return variables, warnings
