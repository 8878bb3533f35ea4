"""Fuzz one parser: ``python -m tests.fuzz.run private_key --seconds 120``.

Takes atheris, which finds its way by coverage (``pip install atheris``).  What it has found new and short
stays in a folder of its own (--found), so that the next run goes on from there.  A fault ends the run with
a traceback and a file that holds the bytes.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.fuzz.targets import CORPUS, TARGETS, feed, load_target


def main() -> None:
    parser = argparse.ArgumentParser(prog="tests.fuzz.run", description="Fuzz one parser.")
    parser.add_argument("name", choices=TARGETS)
    parser.add_argument("--seconds", type=int, default=120)
    parser.add_argument("--found", type=Path, help="folder for what is new; a temporary one without")
    options = parser.parse_args()
    import atheris  # type: ignore[import-not-found]

    with atheris.instrument_imports(include=["sshkit_keys"]):
        parse = load_target(options.name)

    def once(data: bytes) -> None:
        feed(parse, data)

    found = options.found or Path(tempfile.mkdtemp(prefix=f"fuzz-{options.name}-"))
    found.mkdir(exist_ok=True)
    limits = [f"-max_total_time={options.seconds}", "-timeout=10", "-max_len=8192", "-verbosity=0"]
    folders = [str(found), str(CORPUS / options.name)]
    atheris.Setup([sys.argv[0], *limits, f"-artifact_prefix={found}/crash-", *folders], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
