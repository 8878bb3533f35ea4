"""openat2(2): the kernel resolves a path within a directory as if that were the root (Linux 5.6).

Called by `resolve`.  Python has no call for it, so it is made through ctypes, loaded on first use.
"""

import errno
import os
from collections.abc import Callable
from struct import Struct
from sys import platform

_NUMBER = 437  # the same on every architecture
_NO_MAGIC_LINKS, _IN_ROOT = 0x02, 0x10
_HOW = Struct("=QQQ")  # struct open_how: flags, mode, resolve

#: openat2(directory, path, flags) -> descriptor
OpenIn = Callable[[int, bytes, int], int]


def load() -> OpenIn | None:
    """Return the call, or None where the system has none."""
    if not platform.startswith("linux"):
        return None
    try:
        import ctypes

        call = ctypes.CDLL(None, use_errno=True).syscall
    except (ImportError, OSError, AttributeError):
        return None
    get_errno = ctypes.get_errno
    call.argtypes = (ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
    call.restype = ctypes.c_long

    def open_in_root(directory: int, path: bytes, flags: int) -> int:
        how = _HOW.pack(flags | os.O_CLOEXEC, 0, _IN_ROOT | _NO_MAGIC_LINKS)
        descriptor: int = call(_NUMBER, directory, path, how, _HOW.size)
        if descriptor < 0:
            number = get_errno()
            raise OSError(number, os.strerror(number))
        return descriptor

    try:
        os.close(open_in_root(-100, b".", os.O_PATH | os.O_DIRECTORY))  # -100: AT_FDCWD
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.E2BIG):
            return None
    return open_in_root
