"""Measure the worst inputs: ``python -m tests.fuzz.worst_case [NAME ...]``.

Each parser gets each input in a process of its own; printed are, for every parser, the input that took most
processor time and the one that took most memory.  Over a second or 64 MiB is a failure.
"""
# ruff: noqa: T201 -- it is a command.

import os
import resource
import struct
import sys
import time

from tests.fuzz.targets import KEY_FILES, feed, load_target, seeds
from tests.fuzz.worst_inputs import worst_inputs

MAX_SECONDS = 1.0
MAX_MIB = 64.0


def measure(name: str, data: bytes) -> tuple[float, float]:
    """Return seconds of processor time and MiB of memory that one input takes."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        parse = load_target(name)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.process_time()
        feed(parse, data)
        taken = time.process_time() - start
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        os.write(writer, struct.pack("dd", taken, (after - before) / 1024))
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        answer = stream.read()
    os.waitpid(child, 0)
    if len(answer) != 16:
        return float("inf"), float("inf")
    seconds, mib = struct.unpack("dd", answer)
    return seconds, mib


def main() -> int:
    failures: list[str] = []
    print(f"{'parser':22} {'inputs':>6} {'seconds':>8}  input")
    for name in sys.argv[1:] or KEY_FILES:
        parse = load_target(name)
        for seed in seeds(name):  # everything is imported before anything is measured
            feed(parse, seed)
        measured: list[tuple[float, float, str]] = []
        for title, data in worst_inputs(name):
            seconds, mib = measure(name, data)
            measured.append((seconds, mib, title))
            if seconds > MAX_SECONDS or mib > MAX_MIB:
                failures.append(f"{name}: {title}: {seconds:.2f} s, {mib:.0f} MiB")
        slow = max(measured)
        large = max(measured, key=lambda row: row[1])
        print(f"{name:22} {len(measured):>6} {slow[0]:>8.3f}  {slow[2]}")
        print(f"{'':22} {'':6} {large[1]:>4.0f} MiB  {large[2]}", flush=True)
    print("\n".join(failures) or f"none takes more than {MAX_SECONDS:.0f} s or {MAX_MIB:.0f} MiB")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
