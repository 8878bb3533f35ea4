"""How long things take: a sampling profile of all threads.

Called by the table of magic commands, and by programs.
"""

import sys
import threading
from collections import Counter
from time import monotonic
from typing import Final

from .program import place_of

#: Seconds that a profile may take.
LONGEST_PROFILE: Final = 300.0

#: Seconds between two samples.
INTERVAL: Final = 0.005

#: Functions that the answer lists.
MOST_FUNCTIONS: Final = 25


def profile(seconds: float = 1.0, *, interval: float = INTERVAL, stop: threading.Event | None = None) -> str:
    """Look where all threads but this one stand, for some seconds; say where they stood most.

    Blocks the calling thread.  `stop` ends it early.  A sample costs the program a fraction of a millisecond.
    """
    if not 0 < seconds <= LONGEST_PROFILE:
        raise ValueError(f"a profile takes more than 0 and at most {LONGEST_PROFILE:g} seconds")
    stop = stop or threading.Event()
    here = threading.get_ident()
    own: Counter[str] = Counter()
    whole: Counter[str] = Counter()
    samples = 0
    end = monotonic() + seconds
    while not stop.wait(interval) and monotonic() < end:
        samples += 1
        for ident, frame in sys._current_frames().items():
            if ident == here:
                continue
            own[place_of(frame)] += 1
            seen = set()
            above = frame
            while above is not None:
                seen.add(f"{above.f_code.co_qualname} ({above.f_code.co_filename})")
                above = above.f_back  # type: ignore[assignment]
            whole.update(seen)
    lines = [f"{samples} samples", "at the top of a stack:"]
    lines += [f"{count:8} {place}" for place, count in own.most_common(MOST_FUNCTIONS)]
    lines.append("anywhere in a stack:")
    lines += [f"{count:8} {name}" for name, count in whole.most_common(MOST_FUNCTIONS)]
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """Return a time as a person reads it."""
    if seconds >= 1:
        return f"{seconds:.2f} s"
    if seconds >= 1e-3:
        return f"{seconds * 1e3:.2f} ms"
    return f"{seconds * 1e6:.1f} us"
