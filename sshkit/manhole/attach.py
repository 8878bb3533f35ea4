"""Opening a manhole in a program that runs already: ``python -m sshkit.manhole PID``.

CPython 3.14 lets one process have another run a script (`sys.remote_exec`, PEP 768), where the system lets
the one trace the other.  The script opens a manhole with a key made for this one call, and says where; older
interpreters, and those that were told not to, are a clear no.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

from sshkit_keys.errors import SSHKitError

DEADLINE = 15.0  #: seconds for the program to come by a place where it runs the script
LOOK = 0.05
KEY_NAME, ANSWER_NAME, SCRIPT_NAME = "key", "answer.json", "open.py"

#: Run by the other program, in its main thread, at the next safe place.  It must not raise, nor wait long.
SCRIPT = """\
def _open(paths, folder, keys, title):
    import json, os, sys
    answer = {{}}
    try:
        for path in paths:
            if path not in sys.path:
                sys.path.append(path)
        import sshkit.manhole
        names = sys.modules["__main__"].__dict__
        opened = sshkit.manhole.start(names, names="shared", authorized_keys=keys, title=title)
        names.setdefault("__manholes__", []).append(opened)
        answer = {{"port": opened.port, "host_keys": [key.to_line() for key in opened.host_keys]}}
    except BaseException as error:
        answer = {{"error": type(error).__name__ + ": " + str(error)}}
    with open(os.path.join(folder, "answer.tmp"), "w") as file:
        json.dump(answer, file)
    os.replace(os.path.join(folder, "answer.tmp"), os.path.join(folder, {answer!r}))
_open({paths!r}, {folder!r}, {keys!r}, {title!r})
del _open
"""


class AttachError(SSHKitError):
    """No manhole can be opened in that process; says why."""


class Attached(NamedTuple):
    """A manhole in another process."""

    port: int
    key: str  #: the file of the private key that is let in
    known_hosts: str  #: the file that has its host key


def attach(pid: int, folder: str, *, wait: "Callable[[float], object] | None" = None) -> Attached:
    """Open a manhole in process `pid`; `folder` (the caller's, 0700) holds what is made for it.

    Raises AttachError, at the latest after DEADLINE seconds.
    """
    from time import sleep

    run = remote_exec()
    check_process(pid)
    script = prepare(pid, folder)
    try:
        run(pid, script)
    except PermissionError:
        raise AttachError(
            f"process {pid}: not permitted; be its user, and see kernel.yama.ptrace_scope and"
            " PYTHON_DISABLE_REMOTE_DEBUG"
        ) from None
    except (OSError, RuntimeError, ValueError) as error:
        raise AttachError(f"process {pid}: {error}") from None
    return wait_for_answer(pid, folder, wait or sleep)


def remote_exec() -> "Callable[[int, str], Any]":
    """Return the interpreter's function for it; AttachError where it has none."""
    run: Callable[[int, str], Any] | None = getattr(sys, "remote_exec", None)
    if run is None:
        version = ".".join(str(part) for part in sys.version_info[:3])
        raise AttachError(
            f"this is Python {version}: a running program can be entered from Python 3.14 on, with the same"
            " version on both sides. Call sshkit.manhole.start() in the program itself"
        )
    return run


def check_process(pid: int) -> None:
    """Refuse a process that is not there; whether it is Python's shows when it is asked."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        raise AttachError(f"process {pid}: there is none") from None
    except PermissionError:
        raise AttachError(f"process {pid}: it is another user's") from None
    except OverflowError:
        raise AttachError(f"{pid} is no number of a process") from None


def prepare(pid: int, folder: str) -> str:
    """Make the key and the script; returns the script's path."""
    from sshkit_keys import generate_private_key, write_private_key

    key = generate_private_key("ed25519", comment=f"manhole {pid}")
    write_private_key(os.path.join(folder, KEY_NAME), key.to_openssh(random_bytes=os.urandom))
    path = os.path.join(folder, SCRIPT_NAME)
    script = SCRIPT.format(
        paths=[os.path.abspath(each) for each in sys.path if each],
        folder=folder,
        keys=[key.public.to_line()],
        title=f"process {pid}",
        answer=ANSWER_NAME,
    )
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(script)
    return path


def wait_for_answer(pid: int, folder: str, wait: "Callable[[float], object]") -> Attached:
    """Wait until the script has run over there."""
    path = os.path.join(folder, ANSWER_NAME)
    for _ in range(round(DEADLINE / LOOK)):
        if os.path.exists(path):
            break
        check_process(pid)
        wait(LOOK)
    else:
        raise AttachError(
            f"process {pid}: it has not come by in {DEADLINE:g} s; it waits in C code, or is no Python"
        )
    with open(path) as file:
        answer = json.load(file)
    if "error" in answer:
        raise AttachError(f"process {pid}: {answer['error']}")
    known_hosts = os.path.join(folder, "known_hosts")
    with open(known_hosts, "w") as file:
        file.writelines(f"[127.0.0.1]:{answer['port']} {line}\n" for line in answer["host_keys"])
    return Attached(answer["port"], os.path.join(folder, KEY_NAME), known_hosts)
