"""Files that have their say in a login: what is shown, what runs before the command, and defaults.

Called in a session's process, with the user's rights (sshd(8), LOGIN PROCESS): the message of the day,
~/.hushlogin, ~/.ssh/rc and /etc/ssh/sshrc, /etc/environment and /etc/login.defs; by the monitor /etc/nologin.
"""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from sshkit_keys.text import printable

from sshkit.server.accounts import MAX_NOLOGIN, NOLOGIN, SHELL
from sshkit.server.user_environment import read_variables

if TYPE_CHECKING:
    from sshkit.server.accounts import Account
    from sshkit.server.login_records import LastLogin

MOTD = ("/run/motd.dynamic", "/etc/motd")
MAX_MOTD = 64 * 1024  #: bytes of it that are shown
HUSH = ".hushlogin"
USER_RC = ".ssh/rc"
SYSTEM_RC = "/etc/ssh/sshrc"
ENVIRONMENT = "/etc/environment"
LOGIN_DEFS = "/etc/login.defs"
MAX_LOGIN_DEFS = 256 * 1024
_DEFAULT_MASK = 0o022


class LoginDefaults(NamedTuple):
    """What /etc/login.defs says; a server with PAM leaves it to the modules."""

    umask: int = _DEFAULT_MASK
    path: str | None = None
    root_path: str | None = None

    def path_for(self, account: "Account") -> str | None:
        """Return the value for PATH, or None if nothing is said."""
        return self.path if account.uid else self.root_path


class Rc(NamedTuple):
    """What runs before a session's command."""

    argv: tuple[str, ...]
    text: str = ""  #: for its standard input: protocol and cookie of X11


def greeting(
    account: "Account",
    *,
    print_motd: bool = True,
    last_login: "LastLogin | None" = None,
    shown: str = "",
    motd: Sequence[str] = MOTD,
) -> bytes:
    """Return what a login shell on a terminal begins with, with the line ends of a terminal.

    `shown` is what PAM's modules said, `last_login` the line of PrintLastLog; ~/.hushlogin keeps all away.
    """
    if is_hushed(account):
        return b""
    parts = [_lines(shown.encode("utf-8", "replace"))] if shown else []
    if last_login is not None:
        parts.append(_lines(str(last_login).encode("utf-8", "replace")))
    if print_motd:
        parts += [_lines(_beginning(path, MAX_MOTD)) for path in motd]
    return b"".join(parts)


def is_hushed(account: "Account") -> bool:
    """Say whether the user wants to see nothing but his shell."""
    return os.path.exists(f"{account.home}/{HUSH}")


def nologin_text(path: str = NOLOGIN) -> str:
    """Return what is shown to those whom /etc/nologin keeps out; "" if there is no such file."""
    text = _beginning(path, MAX_NOLOGIN).decode("utf-8", "replace")
    return printable(text, MAX_NOLOGIN, keep="\n\t")


def find_rc(
    account: "Account",
    *,
    permit_user_rc: bool = True,
    is_subsystem: bool = False,
    x11: tuple[str, str] | None = None,
    system_rc: str = SYSTEM_RC,
) -> Rc | None:
    """Return what to run before the command, or None.

    The user's own rc counts only where PermitUserRC, the key's options and the certificate let it, and
    neither for subsystems nor where the configuration forces a command.  `x11`: the protocol's name and the
    cookie in hex; whoever has an rc adds them to xauth's file himself, as with sshd.
    """
    text = f"{x11[0]} {x11[1]}\n" if x11 is not None else ""
    if permit_user_rc and not is_subsystem and os.path.exists(f"{account.home}/{USER_RC}"):
        shell = account.shell
        return Rc((shell, "-c", f"{SHELL} {USER_RC}"), text)
    if os.path.exists(system_rc):
        return Rc((SHELL, system_rc), text)
    return None


def with_rc(
    rc: Rc, executable: str, argv: Sequence[str], environment: Mapping[str, str]
) -> tuple[str, tuple[str, ...], dict[str, str]]:
    """Return program, arguments and environment that run `rc` first, in the same session and terminal.

    The cookie goes by the environment, which others cannot read, and is taken out of it.
    """
    import sys

    from sshkit.server import rc_runner

    python = sys.executable
    words = (python, "-I", "-S", rc_runner.__file__, str(len(rc.argv)), *rc.argv, executable, *argv)
    return python, words, {**environment, rc_runner.INPUT: rc.text}


def system_environment(path: str = ENVIRONMENT) -> dict[str, str]:
    """Return the variables of /etc/environment; quotes around a value go."""
    variables, _ = read_variables(path)
    return {name: _unquoted(value) for name, value in variables.items()}


def login_defaults(path: str = LOGIN_DEFS) -> LoginDefaults:
    """Read /etc/login.defs; what is missing or cannot be meant has its default."""
    found: dict[str, str] = {}
    for line in _beginning(path, MAX_LOGIN_DEFS).decode("utf-8", "replace").splitlines():
        name, _, value = line.strip().replace("\t", " ").partition(" ")
        found[name] = value.strip()
    mask = found.get("UMASK", "")
    umask = int(mask, 8) if mask and len(mask) < 6 and not mask.strip("01234567") else _DEFAULT_MASK
    return LoginDefaults(umask & 0o777, _path(found.get("ENV_PATH")), _path(found.get("ENV_SUPATH")))


def _path(text: str | None) -> str | None:
    return text.removeprefix("PATH=") or None if text is not None else None


def _unquoted(value: str) -> str:
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "\"'" else value


def _beginning(path: str, limit: int) -> bytes:
    """Return the beginning of a plain file; nothing if it cannot be read."""
    from sshkit_keys.authorized_keys import open_users_file
    from sshkit_keys.errors import KeyFileError

    try:
        with open_users_file(path, None, None) as file:
            return file.read(limit)
    except (OSError, KeyFileError):
        return b""


def _lines(data: bytes) -> bytes:
    """Return lines with the ends that a terminal wants, the last one too."""
    lines = data.replace(b"\r\n", b"\n").split(b"\n")
    if not lines[-1]:
        lines.pop()
    return b"".join(line + b"\r\n" for line in lines)
