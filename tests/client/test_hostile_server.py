"""A server that asks for what it may not have, says nonsense, or lies (R1, R12, R27, R30, R36, R43)."""

import os
from collections.abc import Callable
from typing import Any

import pytest
from sshkit_keys.wire import boolean, string, uint32

import sshkit
from sshkit.client.connection import ClientConnection
from sshkit.client.credentials import FileCredentials
from sshkit.client.host_keys import HostKeyVerifier
from sshkit.ssh.messages import authentication, connection, transport
from sshkit.testing import MemoryClock, connect_in_memory
from tests.client.world import USER_KEY
from tests.ssh.raw_peer import HOST_KEY, RawPeer

BAD_TEXT = "no\x1b[31m entry\u202e\x00\r\n"
ESCAPED = "no\\x1b[31m entry\\u202e\\x00\\r\\n"


class Hostile:
    """A client of the library, and a raw server."""

    def __init__(self, **credentials: Any) -> None:
        self.clock = MemoryClock()
        self.raw = RawPeer(is_client=False)
        self.banners: list[str] = []
        credentials.setdefault("identities", [USER_KEY])
        self.client = ClientConnection(
            "host",
            "me",
            self.clock,
            random_bytes=os.urandom,
            verifier=HostKeyVerifier("host", 22, trusted=[HOST_KEY.public]),
            credentials=FileCredentials(**credentials, banner=self.banners.append),
        )
        self.pair = connect_in_memory(self.client.layer, self.raw, self.clock)
        self.pair.settle()

    def send(self, *payloads: Any) -> None:
        self.raw.send(*payloads)
        self.pair.settle()

    def handshake(self) -> None:
        """Come as far as the client's first request."""
        raw = self.raw
        raw.identify()
        self.pair.settle()
        raw.send(raw.proposal())
        raw.strict = True
        self.pair.settle()
        raw.take_proposal()
        raw.send(raw.serve_init())
        raw.new_keys()
        self.pair.settle()
        raw.take(transport.NEWKEYS)
        raw.take(transport.SERVICE_REQUEST)
        self.send(transport.ServiceAccept("ssh-userauth"))

    def let_in(self) -> "Hostile":
        """Let the client in, whatever it says."""
        self.handshake()
        self.send(authentication.UserauthSuccess())
        assert self.client.logged_in.called
        self.raw.received.clear()
        return self

    def opened(self, work: Callable[[ClientConnection], "sshkit.Deferred[Any]"]) -> "sshkit.Deferred[Any]":
        """Start something that opens a channel, and open it as channel 7."""
        outcome = work(self.client)
        self.pair.settle()
        number = connection.ChannelOpen.decode(self.raw.take(connection.CHANNEL_OPEN)).sender
        self.send(connection.ChannelOpenConfirmation(number, 7, 1 << 20, 1 << 15, b""))
        self.number = number
        return outcome

    def request(self, kind: str, body: bytes, want_reply: bool = False) -> None:
        self.send(connection.ChannelRequest(self.number, kind, want_reply, body))

    def end_channel(self) -> None:
        self.send(connection.ChannelEof(self.number), connection.ChannelClose(self.number))


@pytest.mark.parametrize(
    "kind",
    [
        "session",
        "x11",
        "auth-agent@openssh.com",
        "forwarded-tcpip",
        "forwarded-streamlocal@openssh.com",
        "direct-tcpip",
        "tun@openssh.com",
        "unknown",
    ],
)
def test_r27_a_channel_that_a_server_opens_is_refused(kind: str) -> None:
    hostile = Hostile().let_in()
    hostile.send(connection.ChannelOpen(kind, 3, 1 << 20, 1 << 15, string("127.0.0.1") + uint32(22) * 2))
    refusal = connection.ChannelOpenFailure.decode(hostile.raw.take(connection.CHANNEL_OPEN_FAILURE))
    assert (refusal.recipient, refusal.code) == (3, 1)
    assert not hostile.client._require().channels
    assert not hostile.client.is_closed


@pytest.mark.parametrize("kind", ["tcpip-forward", "cancel-tcpip-forward", "hostkeys-00@openssh.com", "x"])
def test_r27_a_global_request_of_a_server_is_refused(kind: str) -> None:
    hostile = Hostile().let_in()
    hostile.send(connection.GlobalRequest(kind, True, string("127.0.0.1") + uint32(2222)))
    hostile.send(connection.GlobalRequest(kind, False, b""))
    assert hostile.raw.numbers() == [connection.REQUEST_FAILURE]
    assert not hostile.client.is_closed


@pytest.mark.parametrize("kind", ["exec", "shell", "subsystem", "pty-req", "env", "x11-req", "window-change"])
@pytest.mark.parametrize("work", ["run", "start"])
def test_r27_what_a_server_wants_done_in_a_session_is_refused(kind: str, work: str) -> None:
    hostile = Hostile().let_in()
    outcome = hostile.opened(lambda client: getattr(client, work)("x"))
    hostile.raw.received.clear()
    hostile.request(kind, string("touch /tmp/x"), want_reply=True)
    hostile.request(kind, string("touch /tmp/x"))
    assert hostile.raw.numbers() == [connection.CHANNEL_FAILURE]
    assert not hostile.client.is_closed
    hostile.client.close()
    outcome.add_errback(lambda _: None)


@pytest.mark.parametrize("work", ["run", "start"])
def test_r30_a_malformed_status_ends_the_connection_and_is_no_status_0(work: str) -> None:
    for body in (b"", b"\0\0\0", b"\0\0\0\0\0"):
        hostile = Hostile().let_in()
        outcome = hostile.opened(lambda client: getattr(client, work)("x"))
        hostile.send(connection.ChannelSuccess(hostile.number))
        hostile.request("exit-status", body)
        assert hostile.client.is_closed
        assert isinstance(hostile.client.layer.lost, sshkit.RemoteProtocolError)
        waiting = outcome if work == "run" else outcome.result().wait()
        with pytest.raises(sshkit.RemoteProtocolError, match="a damaged message"):
            waiting.result()


@pytest.mark.parametrize("work", ["run", "start"])
def test_r30_a_channel_that_closes_before_the_answer_is_an_error(work: str) -> None:
    hostile = Hostile().let_in()
    outcome = hostile.opened(lambda client: getattr(client, work)("x"))
    hostile.end_channel()
    with pytest.raises(sshkit.ChannelClosed, match="closed before the request was answered") as closed:
        outcome.result()
    assert isinstance(closed.value, sshkit.ConnectionLost)
    assert not hostile.client.is_closed


def test_r30_the_first_status_of_a_process_counts() -> None:
    hostile = Hostile().let_in()
    process = hostile.opened(lambda client: client.start("x"))
    hostile.send(connection.ChannelSuccess(hostile.number))
    hostile.request("exit-status", uint32(7))
    hostile.request("exit-status", uint32(0))
    signal = string("KILL\x1b") + boolean(False) + string("by \x1b me") + string("")
    hostile.request("exit-signal", signal)
    hostile.request("exit-signal", string("TERM") + boolean(False) + string("") + string(""))
    hostile.request("other", b"", want_reply=True)
    hostile.end_channel()
    ended = process.result().wait().result()
    assert (ended.exit_status, ended.exit_signal, ended.exit_message) == (7, "KILL\\x1b", "by \\x1b me")


def test_r30_the_first_status_of_a_run_counts() -> None:
    hostile = Hostile().let_in()
    result = hostile.opened(lambda client: client.run("x", check=True))
    hostile.send(connection.ChannelSuccess(hostile.number))
    hostile.request("exit-status", uint32(7))
    hostile.request("exit-status", uint32(0))
    hostile.end_channel()
    with pytest.raises(sshkit.CommandFailed, match=r"^'x' ended with status 7$"):
        result.result()


def test_r30_output_without_a_status_is_no_success() -> None:
    hostile = Hostile().let_in()
    result = hostile.opened(lambda client: client.run("x"))
    hostile.send(connection.ChannelSuccess(hostile.number))
    hostile.send(connection.ChannelData(hostile.number, b"out"))
    hostile.end_channel()
    assert (result.result().stdout, result.result().exit_status) == (b"out", None)


def test_r36_the_text_of_a_disconnect_is_escaped() -> None:
    hostile = Hostile().let_in()
    outcome = hostile.opened(lambda client: client.run("x"))
    hostile.send(transport.Disconnect(2, BAD_TEXT.encode(), b""))
    with pytest.raises(sshkit.DisconnectedByPeer) as ended:
        outcome.result()
    assert str(ended.value) == f"the peer disconnected: {ESCAPED} (code 2)"
    assert (ended.value.code, ended.value.description) == (2, ESCAPED)


def test_r36_the_text_of_a_refused_channel_is_escaped() -> None:
    hostile = Hostile().let_in()
    outcome = hostile.client.run("x")
    hostile.pair.settle()
    number = connection.ChannelOpen.decode(hostile.raw.take(connection.CHANNEL_OPEN)).sender
    hostile.send(connection.ChannelOpenFailure(number, 99, BAD_TEXT.encode(), b""))
    with pytest.raises(sshkit.ChannelOpenFailed) as refused:
        outcome.result()
    assert str(refused.value) == f"channel refused: code 99: {ESCAPED}"


def test_r36_the_text_of_banners_and_methods_is_escaped() -> None:
    hostile = Hostile(identities=[])
    hostile.handshake()
    hostile.send(authentication.UserauthBanner(BAD_TEXT.encode(), b""))
    assert hostile.banners == [ESCAPED.replace("\\n", "\n").replace("\\r\n", "\n")]
    hostile.send(bytes((authentication.USERAUTH_FAILURE,)) + string(b"pass\x1bword") + boolean(False))
    with pytest.raises(sshkit.SSHKitError) as failed:
        hostile.client.logged_in.result()
    assert "\x1b" not in str(failed.value)


def test_r36_what_a_server_calls_itself_is_not_shown_raw() -> None:
    hostile = Hostile()
    hostile.raw.identify(b"HTTP/1.1 400 \x1b[31m\r\n" * 3)
    hostile.raw.identify(b"SSH-1.5-\x1b[31mold\r\n")
    hostile.pair.settle()
    with pytest.raises(sshkit.SSHKitError) as refused:
        hostile.client.logged_in.result()
    assert str(refused.value).isprintable()


def test_r12_no_password_is_sent_before_the_host_key_was_verified() -> None:
    hostile = Hostile(identities=[], password="secret")
    hostile.client.verifier.trusted = [USER_KEY.public]
    raw = hostile.raw
    raw.identify()
    hostile.pair.settle()
    raw.send(raw.proposal())
    hostile.pair.settle()
    raw.take_proposal()
    raw.send(raw.serve_init())
    hostile.pair.settle()
    with pytest.raises(sshkit.HostKeyChanged):
        hostile.client.logged_in.result()
    assert raw.numbers() == [transport.DISCONNECT]


@pytest.mark.parametrize("number", [2, 50, 51, 52, 60, 80, 90, 91, 94, 98, 99])
def test_r12_a_success_that_nobody_asked_for_ends_the_connection_without_a_password(number: int) -> None:
    """In the middle of the key exchange, before the host key is known."""
    hostile = Hostile(identities=[], password="secret")
    raw = hostile.raw
    raw.identify()
    hostile.pair.settle()
    raw.send(raw.proposal())
    raw.strict = True
    hostile.pair.settle()
    raw.send(bytes((number,)))
    hostile.pair.settle()
    with pytest.raises(sshkit.RemoteProtocolError):
        hostile.client.logged_in.result()
    assert b"secret" not in b"".join(raw.received)


def test_r43_nothing_secret_is_in_any_text_of_a_failed_login() -> None:
    hostile = Hostile(identities=[], password="s3cret", passphrase="op3nsesame")
    texts = [repr(hostile.client), repr(hostile.client.credentials), repr(hostile.client.layer)]
    hostile.handshake()
    hostile.send(authentication.UserauthFailure(("password",), False))
    hostile.send(authentication.UserauthFailure(("password",), False))
    with pytest.raises(sshkit.AuthenticationFailed) as failed:
        hostile.client.logged_in.result()
    error = failed.value
    texts += [str(error), repr(error), repr(error.trail), repr(hostile.client), repr(hostile.client.trail)]
    texts += [repr(hostile.client.credentials), repr(hostile.client.authentication)]
    for text in texts:
        assert "s3cret" not in text
        assert "op3nsesame" not in text


def test_a_client_that_is_not_logged_in_opens_nothing() -> None:
    hostile = Hostile()
    assert repr(hostile.client) == "<ClientConnection me@host logging in>"
    assert hostile.client.trail == ()
    for call in (
        lambda: hostile.client.run("x"),
        lambda: hostile.client.start("x"),
        lambda: hostile.client.negotiated,
        lambda: hostile.client.host_key,
    ):
        with pytest.raises(sshkit.LocalProtocolError):
            call()
    hostile.client.rekey()
    hostile.client.close()
    with pytest.raises(sshkit.ClosedByApplication, match="the connection was closed"):
        hostile.client.logged_in.result()
    assert repr(hostile.client) == "<ClientConnection me@host closed>"


def test_a_login_whose_connection_was_never_used_by_open_connection_is_cancelled_too() -> None:
    hostile = Hostile()
    hostile.client.logged_in.cancel()
    with pytest.raises(sshkit.CancelledError):
        hostile.client.logged_in.result()
    assert isinstance(hostile.client.layer.lost, sshkit.ClosedByApplication)


@pytest.mark.parametrize("peer", ["/run/socket", None])
def test_a_peer_without_an_address_is_judged_by_its_name_alone(peer: Any) -> None:
    hostile = Hostile()
    hostile.pair.client._info["peername"] = peer
    hostile.let_in()
    assert hostile.client.verifier.address is None


def test_an_address_that_was_set_is_not_replaced_by_the_peers() -> None:
    hostile = Hostile()
    hostile.client.verifier.address = "alias"
    hostile.let_in()
    assert (hostile.client.verifier.address, hostile.client.verifier.peer_address) == ("alias", "192.0.2.2")
