"""No input of 1 MiB, however bad, takes much memory or many steps (rules R18 and R22).

Time is measured by ``python -m tests.fuzz.worst_case``; calls stand for it here, the same on every machine.
"""

import sys
import tracemalloc

import pytest

from tests.fuzz.targets import feed, load_target, seeds
from tests.fuzz.worst_inputs import SIZE, blob_inputs, key_inputs, text_inputs

MAX_BYTES = 64 << 20
#: Four a byte; half a million lines of one letter each are the worst that is honest work.
MAX_CALLS = 4 * SIZE


def counted(name: str, data: bytes) -> tuple[int, int]:
    """Return the calls and the bytes that one input takes."""
    parse = load_target(name)
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        if event in ("call", "c_call"):
            calls += 1

    sys.setprofile(count)
    try:
        feed(parse, data)
    finally:
        sys.setprofile(None)
    tracemalloc.start()
    try:
        feed(parse, data)
        return calls, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


#: Parsers of single keys.
KEYS = ("private_key", "public_file", "public_blob", "certificate", "signature")
#: Parsers of files of many lines, whose work grows with the lines alone: a part of the input shows it.
LINES = ("known_hosts", "authorized_keys", "authorized_principals", "allowed_signers")


@pytest.mark.parametrize("name", KEYS)
def test_r18_no_input_of_a_mebibyte_takes_much(name: str) -> None:
    parse = load_target(name)
    for seed in seeds(name):
        feed(parse, seed)
    over = []
    for title, data in (*text_inputs(), *key_inputs(), *blob_inputs()):
        calls, peak = counted(name, data)
        if calls > MAX_CALLS or peak > MAX_BYTES:
            over.append(f"{title}: {calls} calls, {peak >> 20} MiB")
    assert over == []


@pytest.mark.parametrize("name", LINES)
def test_r18_no_file_of_lines_takes_more_than_its_lines(name: str) -> None:
    parse = load_target(name)
    for seed in seeds(name):
        feed(parse, seed)
    part = SIZE // 32
    over = []
    for title, data in text_inputs():
        calls, peak = counted(name, data[:part])
        # The first lines are warned of, which is the dearest; two bytes are the shortest line that is read.
        if calls > 200_000 + 8 * part or peak > MAX_BYTES // 8:
            over.append(f"{title}: {calls} calls, {peak >> 20} MiB")
    assert over == []
