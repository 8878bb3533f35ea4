"""Whatever bytes come, each parser of keys and trust files raises SSHKitError or nothing."""

import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import CORPUS, TARGETS, feed, load_target, seeds

#: Lines that end where they like: of these, the beginning is whole too.
LINES = {"known_hosts", "authorized_keys", "authorized_principals", "allowed_signers", "find_keys"}
#: The last bytes of a record are part of its number; a binary list may end after any of its sections.
MAY_LOSE_THEIR_END = LINES | {"sshfp", "revocation"}


@pytest.mark.parametrize("name", TARGETS)
def test_every_seed_is_read(name: str) -> None:
    parse = load_target(name)
    assert seeds(name)
    for path in sorted((CORPUS / name).iterdir()):
        assert feed(parse, path.read_bytes()), path


def test_every_seed_belongs_to_a_target() -> None:
    assert sorted(path.name for path in CORPUS.iterdir()) == sorted(TARGETS)


@pytest.mark.parametrize("name", TARGETS)
def test_arbitrary_bytes_raise_nothing_else(name: str) -> None:
    parse = load_target(name)

    @settings(max_examples=60)
    @given(st.binary(max_size=300) | st.text(max_size=200).map(lambda text: text.encode("utf-8", "replace")))
    def check(data: bytes) -> None:
        feed(parse, data)

    check()


@pytest.mark.parametrize("name", TARGETS)
def test_damaged_seeds_raise_nothing_else(name: str) -> None:
    parse = load_target(name)
    known = seeds(name)
    place = st.floats(0, 1, exclude_max=True)
    change = st.tuples(
        st.sampled_from(["cut", "insert", "replace", "flip", "repeat"]), place, st.binary(max_size=6)
    )

    @settings(max_examples=120)
    @given(st.sampled_from(known), st.lists(change, min_size=1, max_size=4))
    def check(data: bytes, changes: list[tuple[str, float, bytes]]) -> None:
        for how, where, piece in changes:
            data = changed(data, how, int(where * len(data)), piece)
        feed(parse, data)

    check()


def changed(data: bytes, how: str, at: int, piece: bytes) -> bytes:
    """Return the data with one change."""
    if how == "cut":
        return data[:at] + data[at + len(piece) + 1 :]
    if how == "insert":
        return data[:at] + piece + data[at:]
    if how == "replace":
        return data[:at] + piece + data[at + len(piece) :]
    if how == "repeat":
        return data[:at] + data[at : at + 40] + data[at:]
    octet = data[at] ^ (piece[0] if piece else 1) if data else 0
    return data[:at] + bytes((octet,)) + data[at + 1 :]


@pytest.mark.parametrize("name", [name for name in TARGETS if name not in MAY_LOSE_THEIR_END])
def test_no_beginning_of_a_key_passes_for_the_whole(name: str) -> None:
    parse = load_target(name)
    for path in sorted((CORPUS / name).iterdir()):
        if path.name in ("line", "lines", "plain") or "line-" in path.name:
            continue
        data = path.read_bytes().rstrip(b"\n")
        if path.name == "certificate" or name == "certificate":
            data = b" ".join(data.split(b" ")[:2])  # without its comment
        step = max(1, len(data) // 60)
        for size in range(0, len(data), step):
            assert not feed(parse, data[:size]), (path.name, size)


def test_the_fuzzer_names_its_targets() -> None:
    command = [sys.executable, "-m", "tests.fuzz.run", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=True)
    assert all(name in done.stdout for name in TARGETS)
