"""Whether this processor computes AES fast, read once: it decides which strong cipher comes first.

Called by `connect` (and by whoever makes the `Algorithms` of a server); `Algorithms.for_processor` takes it.
With instructions for AES, AES-GCM is two to three times as fast as ChaCha20-Poly1305; without, it is slower.
"""

import os
from functools import lru_cache

CPU_INFO = "/proc/cpuinfo"
#: The first processor's lines lie in so many bytes, whatever the machine has.
ENOUGH = 8192
#: Other systems than Linux run on processors that have AES: Apple's, and Intel's and AMD's since 2010.
UNKNOWN = True


@lru_cache(1)
def has_fast_aes(path: str = CPU_INFO) -> bool:
    """Return whether the processor has instructions for AES; where that cannot be found out, True."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return UNKNOWN
    try:
        text = os.read(descriptor, ENOUGH).decode("ascii", "replace")
    finally:
        os.close(descriptor)
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() in ("flags", "features"):  # of x86, of ARM
            return "aes" in value.split()
    return UNKNOWN
