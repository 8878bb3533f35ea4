"""The real cookie of a display, found or made by xauth(1).

Used by `x11`.  A trusted session's programs get what the user's own have.  For an untrusted one xauth has the
X server make a cookie of its own, with which programs cannot look at others (its SECURITY extension), and
which ends by itself.
"""

import os
from typing import TYPE_CHECKING

from sshkit.deferred import Deferred, Failure
from sshkit.forwarding.errors import NoDisplay
from sshkit.forwarding.programs import Finished, run_program
from sshkit.ssh.channels.x11 import COOKIE_PROTOCOL, COOKIE_SIZE, is_cookie

if TYPE_CHECKING:
    from sshkit.interfaces import Reactor

SLACK = 60  #: seconds that the X server's cookie lasts longer than we let connections come
MAX_TIMEOUT = 0xFFFFFFFF  #: seconds; what xauth takes


def known_cookie(reactor: "Reactor", xauth: str, name: str) -> Deferred[bytes | None]:
    """Return the cookie that the user has for a display, or None."""
    return run_program(reactor, (xauth, "list", name)).add_callback(_read)


def untrusted_cookie(reactor: "Reactor", xauth: str, name: str, timeout: float) -> Deferred[bytes]:
    """Have the X server make a cookie; fails with NoDisplay.  `timeout` is in seconds, 0 is for ever."""
    from tempfile import mkdtemp

    folder = mkdtemp(prefix="sshkit-x11-")  # with the permissions 0700
    path = os.path.join(folder, "xauthority")
    argv = [xauth, "-f", path, "generate", name, COOKIE_PROTOCOL, "untrusted"]
    if timeout:
        argv += ["timeout", str(min(int(timeout) + SLACK, MAX_TIMEOUT))]

    def generated(_: Finished) -> Deferred[Finished]:
        return run_program(reactor, (xauth, "-f", path, "list", name))

    def listed(finished: Finished) -> bytes:
        cookie = _read(finished)
        if cookie is None:
            raise NoDisplay("xauth made no cookie for untrusted programs; the X server may not know how")
        return cookie

    def clean_up(outcome: "bytes | Failure") -> "bytes | Failure":
        from shutil import rmtree

        rmtree(folder, ignore_errors=True)
        return outcome

    try:
        running = run_program(reactor, argv)
    except BaseException as error:
        clean_up(b"")
        raise NoDisplay(f"no cookie for untrusted programs: {error}") from error
    return running.add_callback(generated).add_callback(listed).add_both(clean_up)


def _read(finished: Finished) -> bytes | None:
    """Return the first cookie of `xauth list`: name, protocol, hexadecimal."""
    for line in finished.output.decode("ascii", "replace").splitlines():
        words = line.split()
        if len(words) >= 3 and words[1] == COOKIE_PROTOCOL and is_cookie(words[2]):
            cookie = bytes.fromhex(words[2])
            if len(cookie) == COOKIE_SIZE:
                return cookie
    return None
