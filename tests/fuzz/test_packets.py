"""A core fed with anything, cut anyhow: it ends by an error of its own or goes on; nothing escapes."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sshkit_keys.errors import SSHKitError

from sshkit.ssh.messages import authentication, connection, transport
from sshkit.ssh.transport.identification import parse_identification
from sshkit.ssh.transport.negotiation import parse_proposal
from tests.ssh.harness import Recorder, Scene

BOTH_ROLES = pytest.mark.parametrize("core_is_client", [True, False], ids=["client", "server"])
FEW = settings(max_examples=60)
PAYLOAD = st.builds(lambda number, body: bytes((number,)) + body, st.integers(0, 255), st.binary(max_size=80))
NUMBERS = st.sampled_from([0, 1, 2, 7, 0x7FFFFFFF, 0xFFFFFFFF])
#: Messages that a core after its login takes seriously.
SENSIBLE = st.one_of(
    st.builds(connection.GlobalRequest, st.text(max_size=5), st.booleans(), st.binary(max_size=5)),
    st.builds(connection.ChannelOpen, st.just("session"), NUMBERS, NUMBERS, NUMBERS, st.binary(max_size=5)),
    st.builds(connection.ChannelData, NUMBERS, st.binary(max_size=20)),
    st.builds(connection.ChannelExtendedData, NUMBERS, NUMBERS, st.binary(max_size=20)),
    st.builds(connection.ChannelWindowAdjust, NUMBERS, NUMBERS),
    st.builds(connection.ChannelEof, NUMBERS),
    st.builds(connection.ChannelClose, NUMBERS),
    st.builds(connection.ChannelRequest, NUMBERS, st.text(max_size=5), st.booleans(), st.binary(max_size=5)),
    st.builds(connection.ChannelOpenConfirmation, NUMBERS, NUMBERS, NUMBERS, NUMBERS, st.just(b"")),
    st.builds(transport.Ignore, st.binary(max_size=5)),
).map(lambda message: message.encode())


def check(scene: Scene) -> None:
    """Whatever came: the core is alive, or ended once by an error of its own and said a short word."""
    lost = scene.owner.lost
    if lost is not None:
        assert isinstance(lost, SSHKitError), repr(lost)
        for payload in scene.raw.received:
            if payload[0] == transport.DISCONNECT:
                assert b"Traceback" not in payload
                assert len(payload) < 600


@BOTH_ROLES
@FEW
@given(data=st.binary(max_size=400), sizes=st.lists(st.integers(1, 50), min_size=1, max_size=8))
def test_anything_before_the_keys(core_is_client: bool, data: bytes, sizes: list[int]) -> None:
    for identified in (False, True):
        scene = Scene(core_is_client=core_is_client)
        if identified:
            scene.identify()
        position, turn = 0, 0
        while position < len(data):
            size = sizes[turn % len(sizes)]
            scene.raw.send_bytes(data[position : position + size])
            scene.settle()
            position, turn = position + size, turn + 1
        check(scene)


@BOTH_ROLES
@FEW
@given(payloads=st.lists(PAYLOAD, max_size=5))
def test_any_message_during_the_exchange(core_is_client: bool, payloads: list[bytes]) -> None:
    scene = Scene(core_is_client=core_is_client)
    scene.propose(())
    scene.send(*payloads)
    check(scene)
    assert scene.owner.ready == 0


@BOTH_ROLES
@FEW
@given(messages=st.lists(st.one_of(PAYLOAD, SENSIBLE, SENSIBLE), max_size=12))
def test_any_message_after_the_login(core_is_client: bool, messages: list[bytes]) -> None:
    scene = Scene(core_is_client=core_is_client)
    connected = scene.run()
    if core_is_client:
        connected.open_channel("session", b"", Recorder()).add_errback(lambda _: None)
    scene.send(*messages)
    check(scene)


@FEW
@given(
    messages=st.lists(st.one_of(PAYLOAD, SENSIBLE), min_size=1, max_size=8),
    sizes=st.lists(st.integers(1, 90), min_size=1, max_size=5),
)
def test_any_chopping_gives_what_the_whole_gives(messages: list[bytes], sizes: list[int]) -> None:
    def run(chop: Any) -> tuple[Any, ...]:
        scene = Scene(core_is_client=False)
        scene.run()
        scene.pair.chop = chop
        scene.send(*messages)
        protocols = [(bytes(p.data), bytes(p.errors), len(p.closed)) for p in scene.owner.protocols]
        error = scene.owner.lost
        return scene.owner.requests, protocols, str(error), [bytes(p) for p in scene.raw.received]

    turns = [0]

    def chop() -> int:
        turns[0] += 1
        return sizes[turns[0] % len(sizes)]

    assert run(chop) == run(None)


def error_of(function: Any, data: bytes) -> str:
    """Return the text of our own error, or nothing."""
    try:
        function(data)
    except SSHKitError as error:
        return str(error)
    return ""


@settings(max_examples=200)
@given(line=st.binary(max_size=300))
def test_any_identification(line: bytes) -> None:
    text = error_of(parse_identification, line)
    assert text == "" or text.isprintable()


@settings(max_examples=200)
@given(payload=st.binary(max_size=300))
def test_any_proposal(payload: bytes) -> None:
    text = error_of(parse_proposal, b"\x14" + payload)
    assert text == "" or text.isprintable()


@FEW
@given(
    requests=st.lists(
        st.builds(
            authentication.UserauthRequest,
            st.text(max_size=5),
            st.just("ssh-connection"),
            st.sampled_from(["none", "password", "publickey", "keyboard-interactive", "x"]),
            st.binary(max_size=30),
        ),
        max_size=6,
    )
)
def test_any_request_to_log_in(requests: list[authentication.UserauthRequest]) -> None:
    from sshkit.ssh.authentication.server import ServerAuthentication
    from tests.ssh.harness import Policy

    scene = Scene(core_is_client=False)
    policy = Policy()
    scene.owner.on_ready = lambda: ServerAuthentication(scene.layer, policy)
    scene.handshake()
    scene.send(transport.ServiceRequest("ssh-userauth"), *requests)
    check(scene)
    assert policy.grants == []
