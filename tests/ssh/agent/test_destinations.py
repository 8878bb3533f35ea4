"""A key that is limited to destinations works there and nowhere else."""

from collections.abc import Sequence

import pytest
from sshkit_keys import Certificate, PrivateKey, generate_private_key, sign_certificate
from sshkit_keys.errors import WireError
from sshkit_keys.wire import boolean, string

from sshkit.ssh.agent.bindings import MAX_BINDINGS
from sshkit.ssh.agent.client import AgentClient
from sshkit.ssh.agent.destinations import (
    MAX_CONSTRAINTS,
    MAX_HOST_KEYS,
    Binding,
    Destination,
    Hop,
    HostKey,
    decode,
    encode,
    permission,
)
from sshkit.ssh.agent.errors import AgentRefused, ConstraintError
from sshkit.ssh.agent.messages import EXTENSION, SESSION_BIND, SessionBind
from tests.ssh.agent.world import (
    AUTHORITY,
    ECDSA,
    ED25519,
    EXTENSION_FAILURE,
    FAILURE,
    HOST,
    OTHER_HOST,
    RSA,
    SUCCESS,
    World,
    bind,
    fixed_bytes,
    login,
    sshsig,
)

NOW = 1_000_000
HERE = Hop()


def hop(host: str, *keys: PrivateKey, user: str = "", is_authority: bool = False) -> Hop:
    return Hop(host, tuple(HostKey(key.public, is_authority) for key in keys), user)


ALPHA = hop("alpha", HOST)
BETA = hop("beta", OTHER_HOST)
TO_ALPHA = Destination(HERE, ALPHA)
FROM_ALPHA_TO_BETA = Destination(ALPHA, BETA)


def binding(key: PrivateKey, forwarding: bool = False, session_id: bytes = b"id") -> Binding:
    return Binding(key.public, session_id, forwarding)


def allowed(destinations: Sequence[Destination], bindings: Sequence[Binding], user: str | None) -> bool:
    return permission(destinations, bindings, False, user, NOW).allowed


def test_a_key_without_destinations_goes_everywhere() -> None:
    assert permission((), (), True, "ann", NOW).allowed
    assert allowed((), [binding(HOST, True), binding(OTHER_HOST)], "ann")


def test_a_connection_that_nobody_bound_is_local() -> None:
    assert allowed([TO_ALPHA], [], None)
    assert not permission([TO_ALPHA], [], True, None, NOW).allowed


def test_a_key_for_a_host_logs_in_there_and_not_elsewhere() -> None:
    assert allowed([TO_ALPHA], [binding(HOST)], "ann")
    assert not allowed([TO_ALPHA], [binding(OTHER_HOST)], "ann")
    assert not allowed([TO_ALPHA], [binding(HOST, True), binding(OTHER_HOST)], "ann")


def test_a_key_for_two_hops_needs_both() -> None:
    both = [TO_ALPHA, FROM_ALPHA_TO_BETA]
    way = [binding(HOST, True), binding(OTHER_HOST)]
    found = permission(both, way, False, "ann", NOW)
    assert (found.allowed, found.forwarded_by, found.host) == (True, "alpha", "beta")
    assert not allowed([FROM_ALPHA_TO_BETA], way, "ann")
    assert not allowed([FROM_ALPHA_TO_BETA], [binding(OTHER_HOST)], "ann")
    assert not allowed(both, [binding(HOST, True), binding(HOST)], "ann")


def test_a_signature_needs_a_last_hop_for_logging_in_and_the_others_for_forwarding() -> None:
    both = [TO_ALPHA, FROM_ALPHA_TO_BETA]
    assert not allowed([TO_ALPHA], [binding(HOST, True)], "ann")
    assert not allowed(both, [binding(HOST), binding(OTHER_HOST)], "ann")


def test_a_key_that_goes_to_a_host_and_not_beyond_is_not_seen_from_there() -> None:
    assert not allowed([TO_ALPHA], [binding(HOST, True)], None)
    assert allowed([TO_ALPHA, FROM_ALPHA_TO_BETA], [binding(HOST, True)], None)
    assert allowed([TO_ALPHA], [binding(HOST)], None)


def test_users_are_patterns_and_count_at_the_last_hop() -> None:
    to = Destination(HERE, hop("alpha", HOST, user="an*"))
    assert allowed([to], [binding(HOST)], "anna")
    assert not allowed([to], [binding(HOST)], "bob")
    assert allowed([to, FROM_ALPHA_TO_BETA], [binding(HOST, True), binding(OTHER_HOST)], "bob")
    assert str(to) == "an*@alpha"
    assert str(FROM_ALPHA_TO_BETA) == "alpha>beta"
    assert str(HERE) == "(here)"


def host_certificate(name: str = "alpha*", role: str = "host", valid_before: int = 2_000_000) -> Certificate:
    return sign_certificate(
        AUTHORITY,
        HOST.public,
        role=role,  # type: ignore[arg-type]
        key_id="host",
        principals=(name,),
        valid_before=valid_before,
        random_bytes=fixed_bytes,
    )


def test_r7_a_host_with_a_certificate_is_known_by_its_ca_and_only_under_its_name() -> None:
    to = [Destination(HERE, hop("alpha1", AUTHORITY, is_authority=True))]

    def by(certificate: Certificate) -> bool:
        return allowed(to, [Binding(certificate, b"id", False)], "ann")

    assert by(host_certificate())
    assert not by(host_certificate("beta"))
    assert not by(host_certificate(role="user"))
    assert not by(host_certificate(valid_before=NOW - 1))
    assert not allowed(to, [binding(AUTHORITY)], "ann")
    assert not allowed([TO_ALPHA], [Binding(host_certificate(), b"id", False)], "ann")
    other = [Destination(HERE, hop("alpha1", OTHER_HOST, is_authority=True))]
    assert not allowed(other, [Binding(host_certificate(), b"id", False)], "ann")


def test_constraints_travel_unchanged() -> None:
    two = Destination(hop("gate", HOST, OTHER_HOST), hop("beta", AUTHORITY, user="root", is_authority=True))
    assert decode(encode([TO_ALPHA, two])) == (TO_ALPHA, two)


def spec(origin: bytes, target: bytes, more: bytes = b"") -> bytes:
    return string(string(origin) + string(target) + string(more))


EMPTY = string("") * 3
TARGET = string("") + string("alpha") + string("") + string(HOST.public.blob) + boolean(False)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        spec(EMPTY, EMPTY),
        spec(EMPTY, string("") + string("alpha") + string("")),
        spec(EMPTY, TARGET, b"extension"),
        spec(string("") + string("alpha") + string(""), TARGET),
        spec(string("ann") * 2 + string("") + string(HOST.public.blob) + b"\0", TARGET),
        spec(string("") * 2 + string("") + string(HOST.public.blob) + b"\0", TARGET),
        spec(string("") * 2 + string("extension"), TARGET),
        spec(EMPTY, TARGET) * (MAX_CONSTRAINTS + 1),
        spec(EMPTY, TARGET + (string(HOST.public.blob) + b"\0") * MAX_HOST_KEYS),
    ],
    ids=range(10),
)
def test_r40_constraints_that_cannot_be_obeyed_whole_are_refused(data: bytes) -> None:
    with pytest.raises(ConstraintError):
        decode(data)


@pytest.mark.parametrize("cut", range(1, 200, 7))
def test_r40_a_constraint_cut_short_is_refused(cut: int) -> None:
    data = encode([TO_ALPHA])
    with pytest.raises((WireError, ConstraintError)):
        decode(data[: len(data) * cut // 200])


# Along a connection.


def limited(world: World, *destinations: Destination, key: PrivateKey = ED25519) -> AgentClient:
    """Return a client of an agent with a key that is limited."""
    client = world.connect()
    world.result(client.add(key, destinations=destinations))
    return client


def test_a_limited_key_signs_a_login_at_its_host() -> None:
    world = World()
    client = limited(world, TO_ALPHA)
    world.result(client.bind_session(*bind(HOST, b"session")))
    assert len(world.result(client.list_keys())) == 1
    world.result(client.sign(ED25519.public, login(ED25519, b"session")))
    world.result(client.sign(ED25519.public, login(ED25519, b"session", host=HOST)))
    assert world.events[-1].to_dict()["host"] == "alpha"
    assert world.events[-1].to_dict()["host_key"] == HOST.public.fingerprint()


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (login(ED25519, b"other session"), "not of the session"),
        (login(ED25519, b"session", host=OTHER_HOST), "at another host"),
        (login(ECDSA, b"session"), "no login"),
        (sshsig("file"), "no login"),
        (b"data", "no login"),
    ],
    ids=range(5),
)
def test_a_limited_key_signs_nothing_but_that_login(data: bytes, why: str) -> None:
    world = World()
    client = limited(world, TO_ALPHA)
    world.result(client.bind_session(*bind(HOST, b"session")))
    assert isinstance(world.error(client.sign(ED25519.public, data)), AgentRefused)
    assert why in world.outcomes[-1][2]


def test_a_limited_key_signs_nothing_over_an_unbound_connection() -> None:
    world = World()
    client = limited(world, TO_ALPHA)
    assert len(world.result(client.list_keys())) == 1
    assert isinstance(world.error(client.sign(ED25519.public, login(ED25519, b"session"))), AgentRefused)


def test_over_a_forwarded_agent_the_login_must_name_its_host() -> None:
    world = World()
    client = limited(world, TO_ALPHA, FROM_ALPHA_TO_BETA)
    world.result(client.bind_session(*bind(HOST, b"one", True)))
    world.result(client.bind_session(*bind(OTHER_HOST, b"two")))
    assert isinstance(world.error(client.sign(ED25519.public, login(ED25519, b"two"))), AgentRefused)
    assert "does not name" in world.outcomes[-1][2]
    world.result(client.sign(ED25519.public, login(ED25519, b"two", host=OTHER_HOST)))
    assert world.events[-1].request.forwarded


def test_a_limited_key_at_the_wrong_host_is_neither_seen_nor_used_nor_touched() -> None:
    world = World()
    client = limited(world, TO_ALPHA)
    stranger = world.connect()
    world.result(stranger.bind_session(*bind(OTHER_HOST, b"session")))
    assert world.result(stranger.list_keys()) == []
    for request in (
        stranger.sign(ED25519.public, login(ED25519, b"session")),
        stranger.remove(ED25519.public),
        stranger.add(ED25519),
    ):
        assert isinstance(world.error(request), AgentRefused)
    (held,) = world.keyring
    assert held.destinations == (TO_ALPHA,)
    world.result(client.remove(ED25519.public))


def test_a_failed_binding_hides_limited_keys() -> None:
    world = World()
    client = limited(world, TO_ALPHA)
    host, session_id, _, forwarding = bind(HOST, b"session")
    wrong = HOST.sign("ssh-ed25519", b"another")
    assert isinstance(world.error(client.bind_session(host, session_id, wrong, forwarding)), AgentRefused)
    assert world.result(client.list_keys()) == []
    assert world.events[-1].request.forwarded


def test_a_locked_agent_notes_that_somebody_tried_to_bind() -> None:
    world = World()
    client = limited(world, TO_ALPHA)
    world.result(client.lock(b"x"))
    assert isinstance(world.error(client.bind_session(*bind(HOST, b"session"))), AgentRefused)
    world.result(client.unlock(b"x"))
    assert world.result(client.list_keys()) == []


@pytest.mark.parametrize("key", [ED25519, ECDSA, RSA], ids=lambda key: key.comment)
def test_every_type_of_host_key_binds(key: PrivateKey) -> None:
    world = World()
    world.result(world.connect().bind_session(*bind(key, b"session")))


def test_a_host_certificate_binds() -> None:
    world = World()
    client = limited(world, Destination(HERE, hop("alpha", AUTHORITY, is_authority=True)))
    _, session_id, signature, _ = bind(HOST, b"session")
    world.result(client.bind_session(host_certificate().blob, session_id, signature, False))
    world.result(client.sign(ED25519.public, login(ED25519, b"session")))


def test_the_same_session_may_be_bound_again_and_by_no_other_key() -> None:
    world = World()
    client = world.connect()
    for _ in range(2):
        world.result(client.bind_session(*bind(HOST, b"one", True)))
    assert len(world.server.bindings.entries) == 1
    assert isinstance(world.error(client.bind_session(*bind(OTHER_HOST, b"one", True))), AgentRefused)
    world.result(client.bind_session(*bind(HOST, b"two")))
    assert isinstance(world.error(client.bind_session(*bind(HOST, b"three"))), AgentRefused)
    assert [reason for _, outcome, reason in world.outcomes if outcome == "refused"] == [
        "the session id was bound with another host key",
        "the connection is bound for a login already",
    ]


def test_r18_a_connection_is_bound_to_a_limited_number_of_sessions() -> None:
    world = World()
    client = world.connect()
    for number in range(MAX_BINDINGS):
        world.result(client.bind_session(*bind(HOST, b"%d" % number, True)))
    assert isinstance(world.error(client.bind_session(*bind(HOST, b"more", True))), AgentRefused)


@pytest.mark.parametrize("session_id", [b"", b"x" * 129])
def test_r18_a_session_id_has_a_sensible_size(session_id: bytes) -> None:
    world = World()
    assert isinstance(world.error(world.connect().bind_session(*bind(HOST, session_id))), AgentRefused)


def test_r6_a_binding_signed_with_an_algorithm_the_key_does_not_have_fails() -> None:
    world = World()
    raw = world.raw()
    signature = string("ssh-rsa") + string(b"x" * 256)
    body = SessionBind(RSA.public.blob, b"session", signature, False).encode()
    message = bytes((EXTENSION,)) + string(SESSION_BIND)
    assert raw.ask(message + body) == EXTENSION_FAILURE
    assert raw.ask(message + body[:-1]) == EXTENSION_FAILURE
    assert raw.ask(message) == EXTENSION_FAILURE
    assert raw.ask(bytes((EXTENSION,)) + string("unknown")) == FAILURE
    good = SessionBind(*bind(HOST, b"session")).encode()
    assert raw.ask(message + good) == SUCCESS


def test_r40_tokens_are_not_added_over_a_bound_connection() -> None:
    world = World(add_token=lambda provider, pin, limits: [generate_private_key("ed25519")])
    client = world.connect()
    world.result(client.bind_session(*bind(HOST, b"session", True)))
    assert isinstance(world.error(client.add_smartcard("/usr/lib/a.so")), AgentRefused)
    assert "elsewhere" in world.outcomes[-1][2]
    world.agent.restrictions = world.agent.restrictions._replace(remote_tokens=True)
    world.result(client.add_smartcard("/usr/lib/a.so"))
