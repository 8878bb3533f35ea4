"""The group exchange: both roles, files of groups, and requests and groups that are refused (R14)."""

import os

import pytest

from sshkit.ssh.algorithms import DEFAULT
from sshkit.ssh.errors import KeyExchangeFailed, RemoteProtocolError
from sshkit.ssh.key_exchange.diffie_hellman import GROUP14, GROUP15, GROUP16, GROUP18
from sshkit.ssh.key_exchange.group_exchange import FIXED, GroupExchange, GroupExchangeSHA1
from sshkit.ssh.key_exchange.moduli import MAX_GROUPS, Group, is_usable, parse_moduli
from sshkit.ssh.messages import transport as messages
from sshkit.ssh.messages.transport import KexGroup, KexGroupRequest
from tests.ssh.harness import Duo, Scene

NAME = "diffie-hellman-group-exchange-sha256"
ONLY = DEFAULT.edited(key_exchanges=NAME)


def line(prime: int, *, kind: int = 2, tests: int = 6, size: int = 0, generator: str = "2") -> str:
    return f"20260101000000 {kind} {tests} 100 {size or prime.bit_length() - 1} {generator} {prime:X}"


@pytest.mark.parametrize("name", [NAME, "diffie-hellman-group-exchange-sha1"])
def test_both_roles_meet_and_change_keys(name: str) -> None:
    duo = Duo(algorithms=DEFAULT.edited(key_exchanges=name)).login()
    session = duo.client.session_id
    duo.client.rekey()
    duo.settle()
    assert duo.client.negotiated is not None
    assert duo.client.negotiated.key_exchange.name == name
    assert duo.client.session_id == duo.server.session_id == session
    assert duo.client.lost is None


def test_a_server_gives_out_the_groups_of_its_file() -> None:
    duo = Duo(
        algorithms=ONLY, server_algorithms=ONLY.with_groups(parse_moduli(line(GROUP15, generator="5")))
    ).login()
    assert duo.client.lost is None
    server = ONLY.with_groups([Group(GROUP15, 5)]).key_exchanges[0](os.urandom)
    assert isinstance(server, GroupExchange)
    assert server.choose(KexGroupRequest(2048, 2048, 8192)).prime == GROUP15
    assert ONLY.with_groups([]).key_exchanges[0].groups == FIXED  # type: ignore[attr-defined]
    assert DEFAULT.with_groups([]).key_exchanges[0] is DEFAULT.key_exchanges[0]


@pytest.mark.parametrize(
    ("request_", "prime"),
    [
        ((1024, 1024, 8192), GROUP14),
        ((2048, 2048, 8192), GROUP14),
        ((2048, 3072, 8192), GROUP16),
        ((2048, 3072, 3072), GROUP14),
        ((2048, 8192, 8192), GROUP18),
        ((4096, 9000, 16384), GROUP18),
    ],
)
def test_the_smallest_group_that_is_large_enough_is_given(request_: tuple[int, ...], prime: int) -> None:
    assert GroupExchange(os.urandom).choose(KexGroupRequest(*request_)).prime == prime


@pytest.mark.parametrize(
    "request_", [(8192, 4096, 2048), (1024, 1024, 1024), (9000, 9000, 9000), (0, 0, 0), (2049, 3000, 4000)]
)
def test_r14_a_server_refuses_impossible_requests(request_: tuple[int, ...]) -> None:
    with pytest.raises(KeyExchangeFailed, match="no group of"):
        GroupExchange(os.urandom).choose(KexGroupRequest(*request_))


@pytest.mark.parametrize(
    "group",
    [
        (GROUP14 >> 1024 | 1, 2),
        (GROUP14 - 1, 2),
        (GROUP14, 1),
        (GROUP14, GROUP14 - 1),
        (GROUP14, -3),
        (-GROUP14, 2),
        (1 << 16000 | 1, 2),
        (0, 0),
    ],
)
def test_r14_a_client_refuses_groups_that_it_did_not_ask_for(group: tuple[int, int]) -> None:
    assert not is_usable(Group(*group))
    with pytest.raises(KeyExchangeFailed, match="not one to use"):
        GroupExchange(os.urandom).group_received(KexGroup(*group))


def test_r14_a_group_over_what_was_asked_for_is_refused() -> None:
    client = GroupExchange(os.urandom)
    assert client.ask(4096).maximum == 4096
    with pytest.raises(KeyExchangeFailed, match="8192 bits"):
        client.group_received(KexGroup(GROUP18, 2))


def test_r14_numbers_outside_of_the_group_are_refused() -> None:
    client, server = GroupExchange(os.urandom), GroupExchange(os.urandom)
    client.group_received(server.choose(client.ask()))
    for value in (-5, 0, 1, GROUP16 - 1, GROUP16):
        with pytest.raises(KeyExchangeFailed):
            client.client_secret(value)
        with pytest.raises(KeyExchangeFailed):
            server.server_respond(value)
    assert client.group_hash == server.group_hash


def test_lines_of_a_file_that_are_not_fit_are_left_out() -> None:
    text = "\n".join(
        [
            "# comment",
            "",
            line(GROUP14),
            line(GROUP14, kind=4),
            line(GROUP14, tests=2),
            line(GROUP14, tests=7),
            line(GROUP14, size=1023),
            line(GROUP14 >> 1100 | 1),
            line(GROUP14, generator="zz"),
            line(GROUP14, generator="1"),
            "20260101000000 2 6 100 2047 2",
            line(GROUP16, generator="5"),
        ]
    )
    assert parse_moduli(text) == (Group(GROUP14, 2), Group(GROUP16, 5))
    assert len(parse_moduli("\n".join([line(GROUP14)] * (MAX_GROUPS + 5)))) == MAX_GROUPS


@pytest.mark.parametrize("number", [30, 31, 32, 33])
def test_r15_a_server_takes_no_other_message_than_the_request(number: int) -> None:
    scene = Scene(core_is_client=False, algorithms=ONLY)
    scene.propose()
    scene.send(bytes((number,)) + bytes(12))
    assert isinstance(scene.owner.lost, RemoteProtocolError)
    assert f"message {number} is not allowed" in str(scene.owner.lost)


def test_r15_a_client_takes_no_second_group() -> None:
    scene = Scene(core_is_client=True, algorithms=ONLY)
    scene.propose()
    scene.send(KexGroup(GROUP14, 2))
    assert scene.owner.lost is None
    scene.send(KexGroup(GROUP14, 2))
    assert "message 31 is not allowed" in str(scene.owner.lost)


def test_r14_an_impossible_request_ends_the_connection_with_the_right_code() -> None:
    scene = Scene(core_is_client=False, algorithms=ONLY)
    scene.propose()
    scene.send(KexGroupRequest(1024, 1024, 1024))
    assert isinstance(scene.owner.lost, KeyExchangeFailed)
    assert scene.told.code == 3


def test_a_cisco_is_asked_for_no_more_than_it_can() -> None:
    for identification, largest in ((b"SSH-2.0-Cisco-1.25", 4096), (b"SSH-2.0-OpenSSH_9.2", 8192)):
        scene = Scene(core_is_client=True, algorithms=ONLY, identification=identification)
        scene.propose()
        request = messages.KexGroupRequest.decode(scene.raw.take(messages.KEX_GROUP_REQUEST))
        assert (request.minimum, request.preferred, request.maximum) == (2048, 3072, largest)


def test_r16_the_form_with_sha1_is_there_by_name_only() -> None:
    assert GroupExchangeSHA1 not in DEFAULT.key_exchanges
    assert GroupExchange in DEFAULT.key_exchanges
