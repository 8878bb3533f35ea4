"""EXT_INFO in both directions (RFC 8308), pings, and what peers are known to get wrong."""

import pytest
from sshkit_keys.wire import WireReader

from sshkit.deferred import Failure
from sshkit.ssh.algorithms import DEFAULT
from sshkit.ssh.errors import ClosedByApplication, LocalProtocolError, RemoteProtocolError
from sshkit.ssh.messages import authentication
from sshkit.ssh.messages import transport as messages
from sshkit.ssh.transport.layer import MAX_PINGS
from sshkit.ssh.transport.negotiation import EXT_INFO_CLIENT, EXT_INFO_SERVER, STRICT_SERVER
from sshkit.ssh.transport.quirks import QUIRKS, Quirk, quirks_of
from tests.ssh.harness import Duo, Policy, Scene

BOTH_ROLES = pytest.mark.parametrize("core_is_client", [True, False], ids=["client", "server"])


def extensions(payload: bytes) -> dict[str, str]:
    message = messages.ExtInfo.decode(payload)
    reader = WireReader(message.body)
    found = {reader.text("name"): reader.text("value") for _ in range(message.count)}
    reader.finish("EXT_INFO")
    return found


def ext_info(**named: str) -> messages.ExtInfo:
    from sshkit_keys.wire import string

    body = b"".join(string(name.replace("_", "-")) + string(value) for name, value in named.items())
    return messages.ExtInfo(len(named), body)


def test_a_client_tells_a_server_that_takes_it_and_no_other() -> None:
    scene = Scene(core_is_client=True)
    scene.handshake((STRICT_SERVER, EXT_INFO_SERVER))
    assert extensions(scene.raw.take(messages.EXT_INFO)) == {
        "ping@openssh.com": "0",
        "ext-info-in-auth@openssh.com": "0",
    }
    scene.rekey()
    assert messages.EXT_INFO not in scene.raw.numbers()
    scene = Scene(core_is_client=True)
    scene.handshake((STRICT_SERVER,))
    assert messages.EXT_INFO not in scene.raw.numbers()
    assert not scene.layer.takes_late_extensions


def test_a_server_tells_its_signatures_its_pings_and_what_its_owner_adds() -> None:
    scene = Scene(core_is_client=False)
    scene.layer.our_extensions = (("mine@example.org", "yes"),)
    scene.handshake((EXT_INFO_CLIENT,))
    told = extensions(scene.raw.take(messages.EXT_INFO))
    assert list(told) == ["server-sig-algs", "ping@openssh.com", "mine@example.org"]
    assert "cert" not in told["server-sig-algs"]
    assert "ssh-ed25519" in told["server-sig-algs"].split(",")


def test_both_sides_know_what_the_other_can() -> None:
    duo = Duo().login()
    assert duo.client.peer_extensions == ("ping@openssh.com",)
    assert duo.server.peer_extensions == ("ping@openssh.com", "ext-info-in-auth@openssh.com")
    assert duo.client.peer_signatures is not None
    assert duo.server.peer_signatures is None


def test_r18_extensions_that_mean_nothing_here_are_not_kept() -> None:
    scene = Scene(core_is_client=True)
    scene.handshake()
    scene.send(ext_info(**{"other@example.org": "x" * 10_000, "ping@openssh.com": "0"}))
    assert scene.layer.peer_extensions == ("ping@openssh.com",)
    assert scene.owner.lost is None


def test_a_server_sends_extensions_again_during_the_login_where_the_client_takes_them() -> None:
    policy = Policy()
    duo = Duo(policy=policy)

    def grant_later(user: str) -> None:
        duo.server.algorithms = DEFAULT.edited(user_keys="ssh-ed25519")
        duo.server.send_extensions()

    policy.answers["none"] = grant_later
    duo.settle()
    assert duo.client.peer_signatures == ("ssh-ed25519",)
    assert duo.client.lost is not None  # nobody was let in; the EXT_INFO was no fault
    assert "permission denied" in str(duo.client.lost)


def test_r3_during_the_login_extensions_come_once_and_then_before_success_only() -> None:
    from sshkit.ssh.authentication.client import ClientAuthentication
    from tests.ssh.harness import Credentials

    scene = Scene(core_is_client=True)
    scene.handshake((STRICT_SERVER, EXT_INFO_SERVER))
    login = ClientAuthentication(scene.layer, "user", Credentials())
    login.done.add_errback(lambda failure: None)
    login.start()
    scene.send(messages.ServiceAccept("ssh-userauth"), ext_info(server_sig_algs="ssh-ed25519"))
    assert scene.owner.lost is None
    scene.send(ext_info(server_sig_algs="rsa-sha2-512"))
    assert scene.layer.peer_signatures == ("rsa-sha2-512",)
    scene.send(authentication.UserauthFailure(("publickey",), False))
    assert "message 51 is not allowed between EXT_INFO and USERAUTH_SUCCESS" in str(scene.owner.lost)


def test_a_server_keeps_silent_to_a_client_that_does_not_take_late_extensions() -> None:
    scene = Scene(core_is_client=False)
    scene.handshake(())
    scene.layer.send_extensions()
    scene.settle()
    assert messages.EXT_INFO not in scene.raw.numbers()


def test_pings_are_answered_in_order_from_both_sides() -> None:
    duo = Duo().login()
    answers: list[bytes] = []
    for layer in (duo.client, duo.server):
        layer.ping(b"first").add_callback(answers.append)
        layer.ping().add_callback(answers.append)
        duo.settle()
    assert answers == [b"first", b""] * 2


def test_r26_an_answer_that_nobody_waits_for_is_dropped() -> None:
    scene = Scene(core_is_client=True)
    scene.run()
    scene.send(messages.Pong(b"chaff"))
    assert scene.owner.lost is None
    scene.send(messages.Ping(b"x" * 1000))
    assert messages.Pong.decode(scene.raw.take(messages.PONG)).data == b"x" * 1000


@BOTH_ROLES
@pytest.mark.parametrize("number", [messages.PING, messages.PONG])
def test_r2_a_ping_before_the_login_ends_the_connection(core_is_client: bool, number: int) -> None:
    scene = Scene(core_is_client=core_is_client)
    scene.handshake()
    scene.send(bytes((number,)) + bytes(4))
    assert isinstance(scene.owner.lost, RemoteProtocolError)


@BOTH_ROLES
def test_r18_a_damaged_ping_ends_the_connection(core_is_client: bool) -> None:
    scene = Scene(core_is_client=core_is_client)
    scene.run()
    scene.send(bytes((messages.PING,)) + b"\0\0\1\0short")
    assert isinstance(scene.owner.lost, RemoteProtocolError)


def test_pings_go_only_to_who_knows_them_and_are_bounded() -> None:
    scene = Scene(core_is_client=True)
    scene.handshake()
    with pytest.raises(LocalProtocolError, match="has not said"):
        scene.layer.ping()
    scene = Scene(core_is_client=True)
    scene.run()
    with pytest.raises(LocalProtocolError, match="has not said"):
        scene.layer.ping()
    scene.layer.peer_extensions = ("ping@openssh.com",)
    failures: list[BaseException] = []

    def note(failure: Failure) -> None:
        failures.append(failure.exception)

    for _ in range(MAX_PINGS):
        scene.layer.ping().add_errback(note)
    with pytest.raises(LocalProtocolError, match="wait for an answer"):
        scene.layer.ping()
    scene.layer.disconnect()
    assert len(failures) == MAX_PINGS
    scene.layer.ping().add_errback(note)
    assert isinstance(failures[-1], ClosedByApplication)


@pytest.mark.parametrize(
    ("identification", "quirks"),
    [
        (b"SSH-2.0-OpenSSH_7.4", Quirk.RSA_SHA2_UNLISTED | Quirk.NO_RSA_SHA2_CERTIFICATES),
        (b"SSH-2.0-OpenSSH_7.6p1 Ubuntu-4ubuntu0.7", Quirk.NO_RSA_SHA2_CERTIFICATES),
        (b"SSH-2.0-OpenSSH_7.9p1", Quirk.NONE),
        (b"SSH-2.0-OpenSSH_10.0p2 Debian-7", Quirk.NONE),
        (b"SSH-2.0-Cisco-1.25", Quirk.SMALL_GROUPS | Quirk.NO_HOST_KEYS_REQUEST),
        (b"SSH-1.99-Cisco-1.25", Quirk.SMALL_GROUPS | Quirk.NO_HOST_KEYS_REQUEST),
        (b"SSH-2.0-TTSSH/2.72 Win32", Quirk.NO_HOST_KEYS_REQUEST),
        (b"SSH-2.0-TTSSH/3.1 Win32", Quirk.NONE),
        (b"SSH-2.0-Twisted", Quirk.NO_DEBUG),
        (b"SSH-2.0-Twisted_24.3.0", Quirk.NONE),
        (b"SSH-2.0-dropbear_2022.83", Quirk.NONE),
        (b"", Quirk.NONE),
        (b"\xff" * 300, Quirk.NONE),
    ],
)
def test_a_peer_is_known_by_its_identification(identification: bytes, quirks: Quirk) -> None:
    assert quirks_of(identification) == quirks


def test_every_line_of_the_table_has_a_reason() -> None:
    for line in QUIRKS:
        assert len(line.reason) > 10
        assert line.patterns


def test_a_layer_knows_the_quirks_of_its_peer() -> None:
    scene = Scene(core_is_client=True, identification=b"SSH-2.0-Cisco-1.25")
    scene.identify()
    assert Quirk.SMALL_GROUPS in scene.layer.quirks
