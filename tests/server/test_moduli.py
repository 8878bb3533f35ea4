"""The server's own groups: what is read, what is told, and what serves where there are none."""

from pathlib import Path

import pytest

import sshkit
from sshkit.server import moduli
from sshkit.server.moduli import MAX_WARNINGS, load_moduli, with_moduli
from sshkit.ssh.algorithms import DEFAULT
from sshkit.ssh.key_exchange.group_exchange import FIXED, GroupExchange
from tests.client.world import HOST_KEY, USER_KEY, World, echo
from tests.server.real_ssh import real_ssh, write_key

GEX = "diffie-hellman-group-exchange-sha256"
WITH_GEX = DEFAULT.edited(key_exchanges=GEX)
PRIME = FIXED[0].prime


def line(prime: int = PRIME, size: int | None = None, tests: int = 6, kind: int = 2) -> str:
    size = prime.bit_length() - 1 if size is None else size
    return f"20260101000000 {kind} {tests} 100 {size} 2 {prime:X}\n"


def load(path: Path, text: str | bytes) -> tuple[int, list[str]]:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    told: list[str] = []
    return len(load_moduli(str(path), told.append)), told


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "moduli"


def test_groups_that_are_fit_are_read_and_the_unfit_are_passed_over(path: Path) -> None:
    untested, small = line(tests=0), line(prime=(1 << 1023) + 1)
    found, told = load(path, f"# Time Type Tests\n\n{line()}{untested}{small}{line(kind=4)}")
    assert (found, told) == (1, [])


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("1 2 3\n", "3 fields, 7 wanted"),
        (line().replace(" 2 6 ", " x 6 "), "a field is no number"),
        (line().rstrip()[:-4] + "zzzz\n", "a field is no number"),
        (line(size=4095), f"a size of 4095 is told, and the prime has {PRIME.bit_length()} bits"),
        ("\x1b[2J \xff\n", "2 fields, 7 wanted"),
    ],
)
def test_a_damaged_line_is_told_with_its_place(path: Path, text: str, cause: str) -> None:
    found, told = load(path, line() + text)
    assert found == 1
    assert told == [f"{path}:2: {cause}"]


def test_many_damaged_lines_are_counted(path: Path) -> None:
    found, told = load(path, "damaged\n" * 100)
    assert found == 0
    assert len(told) == MAX_WARNINGS + 2
    assert told[-2:] == [
        f"{path}: 90 more lines are damaged",
        f"{path}: no group is fit for use: the fixed groups are used",
    ]


def test_a_file_that_is_missing_is_none_and_one_that_cannot_be_read_is_told(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    assert load_moduli(str(path), told.append) == ()
    assert told == []
    assert load_moduli(str(path.parent), told.append) == ()
    assert told == [f"{path.parent}: Is a directory: the fixed groups are used"]
    monkeypatch.setattr(moduli, "MAX_FILE", 100)
    assert load(path, "x" * 101) == (0, [f"{path}: more than 100 bytes: the fixed groups are used"])


def test_r18_more_groups_than_are_kept_are_told(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sshkit.ssh.key_exchange.moduli.MAX_GROUPS", 2)
    monkeypatch.setattr(moduli, "MAX_GROUPS", 2)
    assert load(path, line() * 3) == (2, [f"{path}: only the first 2 groups are used"])


def test_the_file_is_read_only_where_a_group_exchange_is_offered(path: Path) -> None:
    told: list[str] = []
    path.write_text("damaged\n")
    without = DEFAULT.edited(key_exchanges="curve25519-sha256")
    assert with_moduli(without, str(path), told.append) is without
    assert with_moduli(WITH_GEX, None, told.append) is WITH_GEX
    assert told == []
    assert with_moduli(WITH_GEX, str(path), told.append) is WITH_GEX
    assert len(told) == 2
    path.write_text(line())
    (method,) = with_moduli(WITH_GEX, str(path), told.append).key_exchanges
    assert issubclass(method, GroupExchange)
    assert [group.prime for group in method.groups] == [PRIME]


def test_clients_get_a_group_of_the_file(path: Path) -> None:
    path.write_text(line())
    world = World()
    settings = sshkit.Settings(algorithms=with_moduli(WITH_GEX, str(path), print))

    async def main() -> bytes:
        async with (
            world.serve(settings=settings),
            world.connect(algorithms=WITH_GEX) as connection,
        ):
            return (await connection.run("x")).stdout

    assert world.run(main()) == b"out x\n"


@pytest.mark.peer("ssh")
def test_openssh_takes_a_group_of_the_systems_own_file(tmp_path: Path) -> None:
    write_key(tmp_path / "id", USER_KEY)
    told: list[str] = []
    settings = sshkit.Settings(algorithms=with_moduli(WITH_GEX, "/etc/ssh/moduli", told.append))

    async def main() -> None:
        async with sshkit.serve(
            "127.0.0.1:0", echo, host_keys=[HOST_KEY], authorized_keys=[USER_KEY.public], settings=settings
        ) as server:
            known = f"[127.0.0.1]:{server.address[1]} {HOST_KEY.public.to_line()}\n"
            (tmp_path / "known_hosts").write_text(known)
            done = await real_ssh(tmp_path, server, f"KexAlgorithms={GEX}", command="x")
            assert done.stdout == b"out x\n", done.stderr

    sshkit.run(main(), engine="native")
    assert told == []
