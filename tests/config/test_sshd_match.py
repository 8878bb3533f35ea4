"""Match blocks of sshd_config: criteria, and how their values join the global ones."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sshkit.config.parser import Place
from sshkit.config.sshd_config import ConfigErrors, ServerOptions, read_server_config
from sshkit.config.sshd_match import MatchFacts
from sshkit.config.sshd_options import MAX_KEPT


def read(folder: Path, text: str) -> ServerOptions:
    path = folder / "config"
    path.write_text(text)
    options = read_server_config(str(path))
    options.check()
    return options


FACTS = MatchFacts(
    "ann", "Box.Example", "192.0.2.7", "198.51.100.1", 22, "vrf1", ("staff", "wheel"), version="s_1"
)


@pytest.mark.parametrize(
    ("criteria", "holds"),
    [
        ("all", True),
        ("ALL # with a comment", True),
        ("user ann", True),
        ("User=ann", True),
        ('"user" "bob,a*"', True),
        ("user *,!ann", False),
        ("user Ann", False),
        ("group wheel", True),
        ("group admin", False),
        ("group !staff,*", True),  # another group of hers matches, as in sshd
        ("host box.*", True),
        ("host BOX.example", True),
        ("host other", False),
        ("address 192.0.2.0/24", True),
        ("address 192.0.2.*", True),
        ("address 192.0.2.0/24,!192.0.2.7", False),
        ("localaddress 198.51.100.1", True),
        ("localaddress 198.51.100.2", False),
        ("localport 22", True),
        ("localport 23", False),
        ("rdomain vrf*", True),
        ("rdomain other", False),
        ("version s_*", True),
        ("version t_*", False),
        ("invalid-user", False),
        ("user ann address 192.0.2.7 localport 22", True),
        ("user ann address 192.0.2.8 localport 22", False),
    ],
)
def test_a_block_holds_where_all_its_criteria_hold(tmp_path: Path, criteria: str, holds: bool) -> None:
    options = read(tmp_path, f"Match {criteria}\nBanner /x\n")
    assert (options.for_connection(FACTS).banner.value == "/x") is holds


@pytest.mark.parametrize("kind", ["user", "host", "address", "localaddress", "rdomain", "group", "version"])
def test_nothing_holds_of_what_is_not_known(tmp_path: Path, kind: str) -> None:
    options = read(tmp_path, f"Match {kind} *\nBanner /x\n")
    held = options.for_connection(MatchFacts()).banner.value
    assert held == ("/x" if kind == "version" else None)
    assert read(tmp_path, "Match localport 1\nBanner /x\n").for_connection(MatchFacts()).banner.value is None


def test_an_unknown_user_can_have_his_block(tmp_path: Path) -> None:
    options = read(tmp_path, "Match Invalid-User\nRefuseConnection yes\n")
    assert options.for_connection(FACTS._replace(invalid_user=True)).refuse_connection.value is True


@pytest.mark.parametrize(
    ("criteria", "cause"),
    [
        ("", "missing argument for Match"),
        ("user", "'user' without an argument"),
        ("user=", "'user' without an argument"),
        ("user ''", "'user' without an argument"),
        ("all user ann", '"all" stands alone'),
        ("user ann all", '"all" stands alone'),
        ("all=x", '"all" stands alone'),
        ("invalid-user=yes", "'invalid-user' has no argument"),
        ("command x", "unknown criterion 'command'; known: all, invalid-user, user"),
        ("bad\x1b x", r"unknown criterion 'bad\\x1b'"),
        ("!user ann", "unknown criterion '!user'"),
        ("address 10.0.0.0/33", r"'10.0.0.0/33': the length is not from 0 to 32"),
        ("address 10.0.0.1/8", "bits behind the network's length are not zero"),
        ("localaddress 10.0.0.0/x", "the length is not from 0 to 32"),
        ("localport 22,23", "'22,23' is not a port"),
        ("localport 65536", "'65536' is not a port"),
        ("localport 99999999999999999999", "is not a port"),
        (f"localport {'0' * 5000}", "is not a port"),
    ],
)
def test_a_mistake_in_a_match_line_is_named_when_the_file_is_read(
    tmp_path: Path, criteria: str, cause: str
) -> None:
    with pytest.raises(ConfigErrors) as caught:
        read(tmp_path, f"\nMatch {criteria}\nBanner /x\n")
    assert re.search(rf"config:2: .*{cause}", str(caught.value))


def test_values_of_the_first_block_that_matches_count_over_the_global_ones(tmp_path: Path) -> None:
    options = read(
        tmp_path,
        "Banner /g\nMaxSessions 1\nMaxAuthTries 2\nMatch user bob\nBanner /b\nMatch user ann\nBanner /1\n"
        "Banner /1b\nMatch all\nBanner /2\nMaxSessions 5\n",
    )
    ann = options.for_connection(FACTS)
    assert (ann.banner.value, ann.max_sessions.value, ann.max_auth_tries.value) == ("/1", 5, 2)
    assert ann.banner.place == Place(str(tmp_path / "config"), 7)
    assert options.banner.value == "/g"
    assert ann.for_connection(FACTS) is ann


def test_a_block_can_take_away_what_the_global_part_says(tmp_path: Path) -> None:
    options = read(
        tmp_path,
        "ForceCommand x\nChrootDirectory /y\nPermitOpen none\nMatch all\nForceCommand none\n"
        "ChrootDirectory none\nPermitOpen any\n",
    )
    found = options.for_connection(MatchFacts())
    values = (found.force_command.value, found.chroot_directory.value, found.permit_open.value)
    assert values == (None, None, None)


def test_lists_of_blocks_add_up_in_place_of_the_global_list(tmp_path: Path) -> None:
    options = read(
        tmp_path,
        "AllowUsers g\nSubsystem a /a\nSetEnv G=1\nMatch user ann\nAllowUsers x\nSubsystem sftp /b\n"
        "SetEnv A=1\nSetEnv B=1\nMatch all\nAllowUsers y\nAllowUsers z\nSetEnv C=1\n",
    )
    ann, bob = (options.for_connection(MatchFacts(user)) for user in ("ann", "bob"))
    assert ann.allow_users.value == ("x", "y", "z")
    assert bob.allow_users.value == ("y", "z")
    assert ann.subsystems.value == (("sftp", "/b"),)
    assert bob.subsystems.value == (("a", "/a"),)
    assert ann.set_env.value == (("A", "1"),)
    assert bob.set_env.value == (("C", "1"),)


def test_connections_with_the_same_blocks_share_their_settings(tmp_path: Path) -> None:
    options = read(tmp_path, "Match user a*\nBanner /a\n")
    assert options.for_connection(MatchFacts("ann")) is options.for_connection(MatchFacts("abe"))
    assert options.for_connection(MatchFacts("bob")) is options


def test_r18_no_more_outcomes_are_kept_than_a_bound(tmp_path: Path) -> None:
    text = "".join(f"Match user *{number:02}*\nAcceptEnv X{number}\n" for number in range(30))
    options = read(tmp_path, text)
    names = [f"{one:02}.{two:02}" for one in range(30) for two in range(30)]
    for name in names:
        wanted = {f"X{int(part)}" for part in name.split(".")}
        assert wanted <= set(options.for_connection(MatchFacts(name)).accept_env.value)
    assert len(options._outcomes) == MAX_KEPT


def test_groups_are_asked_for_once_and_only_where_a_block_needs_them(tmp_path: Path) -> None:
    asked: list[int] = []

    def groups() -> Sequence[str]:
        asked.append(1)
        return ("staff",)

    facts = MatchFacts("ann", groups=groups)
    read(tmp_path, "Match user bob group staff\nBanner /x\n").for_connection(facts)
    assert not asked
    options = read(tmp_path, "Match group a\nBanner /a\nMatch group staff\nBanner /b\n")
    assert options.for_connection(facts).banner.value == "/b"
    assert len(asked) == 1


#: OpenSSH's own test of lists of addresses (regress/addrmatch.sh).
LISTS = """
PasswordAuthentication no
Match Address 192.168.0.0/16,!192.168.30.0/24,10.0.0.0/8,host.example.com
  PasswordAuthentication yes
Match Address 1.1.1.1,::1,!::3,2000::/16
  PasswordAuthentication yes
"""


@pytest.mark.parametrize(
    ("address", "host", "expected"),
    [
        ("192.168.0.1", "somehost", True),
        ("192.168.30.1", "somehost", False),
        ("19.0.0.1", "somehost", False),
        ("10.255.255.254", "somehost", True),
        ("192.168.30.1", "192.168.0.1", False),
        ("1.1.1.1", "somehost.example.com", True),
        ("::1", "somehost.example.com", True),
        ("::2", "somehost.example.com", False),
        ("::3", "somehost", False),
        ("::4", "somehost", False),
        ("2000::1", "somehost", True),
        ("2001::1", "somehost", False),
        ("::ffff:10.1.2.3", "somehost", True),
        ("0:0::0:1%lo", "somehost", True),
        ("host.example.com", "somehost", True),
        ("UNKNOWN", "somehost", False),
    ],
)
def test_an_address_is_found_in_a_list(tmp_path: Path, address: str, host: str, expected: bool) -> None:
    found = read(tmp_path, LISTS).for_connection(MatchFacts("user", host, address))
    assert found.password_authentication.value is expected


#: OpenSSH's own test of single criteria (regress/cfgmatch.sh): criterion, name for -C, value.
SINGLE = [
    ("user", "user", "u1"),
    ("host", "host", "h1"),
    ("address", "address", "1.2.3.4"),
    ("localaddress", "local_address", "5.6.7.8"),
    ("rdomain", "rdomain", "rdom1"),
]


@pytest.mark.parametrize("wanted", range(len(SINGLE)))
def test_each_criterion_is_about_its_own_fact(tmp_path: Path, wanted: int) -> None:
    text = "".join(f"Match {criterion} {value}\n  Banner /{value}\n" for criterion, _, value in SINGLE)
    options = read(tmp_path, f"Banner /nomatch\n{text}")
    others: dict[str, Any] = {name: f"1{value}" for _, name, value in SINGLE}
    assert options.for_connection(MatchFacts()._replace(**others)).banner.value == "/nomatch"
    _, name, value = SINGLE[wanted]
    facts = MatchFacts()._replace(**{**others, name: value})
    assert options.for_connection(facts).banner.value == f"/{value}"
