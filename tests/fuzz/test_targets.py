"""Whatever bytes come, each target of the fuzzer raises SSHKitError or nothing; and the fuzzer itself."""

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sshkit.deferred import fail
from tests.fuzz import once, run
from tests.fuzz.mutations import LONGEST, Mutations
from tests.fuzz.targets import CORPUS, KEY_FILES, TARGETS, channels, feed, load_target, seeds
from tests.fuzz.targets.keyless import calm
from tests.fuzz.targets.pieces import MOST, joined, pieces

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


@pytest.mark.parametrize("name", [name for name in KEY_FILES if name not in MAY_LOSE_THEIR_END])
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


def test_changes_at_random_never_end_and_never_grow_too_long() -> None:
    mutations = Mutations(seeds("ssh_config"), 1)
    made = [mutations.next() for _ in range(3000)]
    assert max(map(len, made)) <= LONGEST
    assert len(set(made)) > 2000
    assert Mutations([]).next() is not None


def test_an_input_is_taken_apart_into_what_it_was_made_of() -> None:
    parts = (b"", b"one", b"x" * 300)
    assert tuple(pieces(joined(*parts))) == parts
    assert list(pieces(b"\0\5cut")) == [b"cut"]
    assert len(list(pieces(bytes(1000)))) == MOST


def test_without_atheris_the_same_targets_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    once.at_random("proxy_header", 1, tmp_path)
    runs = run.UNITS.findall(capsys.readouterr().err)
    assert int(runs[0]) > 100
    assert list(tmp_path.iterdir()) == []


def test_a_fault_leaves_its_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(data: bytes) -> None:
        raise ValueError("not one of ours")

    monkeypatch.setattr(once, "load_target", lambda name: broken)
    with pytest.raises(ValueError, match="not one of ours"):
        once.at_random("proxy_header", 5, tmp_path)
    (left,) = tmp_path.iterdir()
    assert left.name.startswith("crash-")


def test_a_fault_that_ends_a_connection_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(program: object, kind: str, body: bytes) -> bytes:
        raise ValueError("not one of ours")

    monkeypatch.setattr(channels.Program, "global_requested", broken)
    parse = load_target("channels_server")
    with pytest.raises(ValueError, match="not one of ours"):
        feed(parse, (CORPUS / "channels_server" / "global").read_bytes())


def test_a_fault_that_nobody_waits_for_is_seen() -> None:
    def lose() -> None:
        with calm():
            fail(ValueError("not one of ours"))

    with pytest.raises(ValueError, match="not one of ours"):
        lose()
