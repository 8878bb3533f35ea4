"""Fuzz one target in this process: ``python -m tests.fuzz.once NAME SECONDS FOUND``; run.py starts it.

With atheris, which finds its way by coverage, and else with changes at random.  A fault ends it with a
traceback, and leaves a file crash-... with the bytes in the folder FOUND.
"""
# ruff: noqa: T201 -- it is a command.

import hashlib
import importlib.util
import sys
import time
from pathlib import Path

from tests.fuzz.mutations import LONGEST, Mutations
from tests.fuzz.targets import CORPUS, feed, load_target, seeds

#: One input may take so many seconds, and the process so many MiB.
MAX_SECONDS = 10
MAX_MIB = 1024


def with_coverage(name: str, seconds: int, found: Path) -> None:
    """Let atheris go on from the seeds and from what was found before."""
    import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

    with atheris.instrument_imports(include=["sshkit_keys", "sshkit"]):
        parse = load_target(name)

    def once(data: bytes) -> None:
        feed(parse, data)

    limits = [f"-max_total_time={seconds}", f"-timeout={MAX_SECONDS}", f"-rss_limit_mb={MAX_MIB}"]
    limits += [
        f"-max_len={LONGEST}",
        "-verbosity=0",
        "-print_final_stats=1",
        f"-artifact_prefix={found}/",
    ]
    atheris.Setup([sys.argv[0], *limits, str(found), str(CORPUS / name)], once)
    atheris.Fuzz()


def at_random(name: str, seconds: int, found: Path) -> None:
    """Change seeds at random."""
    parse = load_target(name)
    mutations = Mutations(seeds(name), time.time_ns())
    runs, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutations.next()
        began = time.monotonic()
        try:
            feed(parse, data)
            assert time.monotonic() - began < MAX_SECONDS, "an input that takes long"
        except BaseException:
            (found / f"crash-{hashlib.sha256(data).hexdigest()[:16]}").write_bytes(data)
            raise
        runs += 1
    print(f"stat::number_of_executed_units: {runs}", file=sys.stderr)


def main() -> None:
    name, seconds, found = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    has_atheris = importlib.util.find_spec("atheris") is not None
    (with_coverage if has_atheris else at_random)(name, seconds, found)


if __name__ == "__main__":
    main()
