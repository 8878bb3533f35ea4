"""Each thing that can be wrong has its own error, which names what disagreed."""

import re
from typing import Any

import pytest
from cryptography import x509
from OpenSSL import SSL

from sshkit.deferred import CancelledError, Failure
from sshkit.reactor.errors import ReactorError
from sshkit.reactor.tls import (
    CertificateExpired,
    CertificateNotYetValid,
    CertificateRefused,
    CertificateSelfSigned,
    CertificateUnknownAuthority,
    CertificateWrongName,
    ClientCertificateMissing,
    ClientCertificateRefused,
    NoCommonCipher,
    NoCommonProtocol,
    NotTLS,
    PlainTextPipelined,
    TLSAlert,
    TLSBroken,
    TLSClientOptions,
    TLSConfigurationError,
    TLSError,
    TLSHandshakeCut,
    TLSHandshakeError,
    TLSHandshakeTimeout,
    TLSServerOptions,
    start_tls,
    wrap_client,
    wrap_server,
)
from sshkit.reactor.transports.tls import diagnose
from sshkit.testing import MemoryClock, connect_in_memory

from ..helpers import Recorder
from .authority import CLIENT_ONLY, Authority
from .joined import AUTHORITY, CERTIFICATE, CLIENT, KEY, SERVER, Joined, end_of

OTHER = Authority("Somebody Else")
INTERMEDIATE = Authority("Between", AUTHORITY)
TODAY = re.compile(r"valid from \d{4}-\d\d-\d\d \d\d:\d\d UTC to \d{4}")


def refused(pair: Any, **options: Any) -> tuple[CertificateRefused, BaseException]:
    """Return why a client refuses a server's certificate, and what the server hears of it."""
    client = TLSClientOptions("box.example", trust=[AUTHORITY.certificate])
    ends = Joined(client, TLSServerOptions(*pair, **options))
    assert isinstance(ends.client_error, CertificateRefused)
    assert ends.client.events == ends.server.events[1:2] == [] or ends.server.events in (["made", "lost"], [])
    assert TODAY.search(str(ends.client_error))
    assert "box.example at 192.0.2.2:22" in str(ends.client_error)
    assert isinstance(ends.client_error.certificate, x509.Certificate)
    return ends.client_error, ends.server_error


BAD_CERTIFICATES = {
    "expired": (CertificateExpired, AUTHORITY.issue("box.example", start=-9, end=-1), "it has expired"),
    "early": (CertificateNotYetValid, AUTHORITY.issue("box.example", start=1), "it is not valid yet"),
    "self": (CertificateSelfSigned, AUTHORITY.issue("box.example", self_signed=True), "self-signed"),
    "unknown": (CertificateUnknownAuthority, OTHER.issue("box.example"), "issuer is not known"),
    "gap": (CertificateUnknownAuthority, INTERMEDIATE.issue("box.example"), "issuer is not known"),
    "name": (CertificateWrongName, AUTHORITY.issue("a.example", "192.0.2.7"), "for a.example, 192.0.2.7"),
    "nameless": (CertificateWrongName, AUTHORITY.issue(), "for no name at all"),
    "purpose": (CertificateRefused, AUTHORITY.issue("box.example", purpose=CLIENT_ONLY), "this purpose"),
}


@pytest.mark.parametrize("fault", BAD_CERTIFICATES)
def test_each_fault_of_a_certificate_is_its_own_error(fault: str) -> None:
    kind, pair, text = BAD_CERTIFICATES[fault]
    error, server_error = refused(pair)
    assert type(error) is kind
    assert text in str(error)
    assert isinstance(server_error, TLSAlert)  # sent before we went
    if kind is not CertificateWrongName:  # OpenSSL has no alert for what it does not check itself
        assert "refuses our certificate" in str(server_error)


def test_a_chain_that_ends_in_an_unknown_self_signed_root_is_not_trusted() -> None:
    error, _ = refused(OTHER.issue("box.example"), chain=[OTHER.certificate])
    assert isinstance(error, CertificateSelfSigned)
    assert error.certificate == OTHER.certificate


def test_names_in_a_certificate_are_escaped_and_counted() -> None:
    names = [f"n{number}.example" for number in range(15)]
    error, _ = refused(AUTHORITY.issue(*names, subject="evil\x1b[2J\u202e"))
    assert "n9.example, and 5 more" in str(error)
    assert str(error).isprintable()


@pytest.mark.parametrize("name", ["box.example", "box.example.", "a.wild.example", "192.0.2.2"])
def test_a_certificate_holds_for_its_names_and_addresses(name: str) -> None:
    assert Joined(TLSClientOptions(name, trust=[AUTHORITY.certificate])).open


@pytest.mark.parametrize("name", ["b.a.wild.example", "wild.example", "192.0.2.3", "bücher.example"])
def test_a_certificate_does_not_hold_for_other_names(name: str) -> None:
    ends = Joined(TLSClientOptions(name, trust=[AUTHORITY.certificate]))
    assert isinstance(ends.client_error, CertificateWrongName)


def test_a_certificate_without_verification_may_be_anything() -> None:
    ends = Joined(TLSClientOptions(verify=False), TLSServerOptions(*OTHER.issue("x", end=-1, start=-3)))
    assert ends.open


def test_a_client_that_verifies_needs_a_name() -> None:
    ends = Joined(TLSClientOptions(trust=[AUTHORITY.certificate]))
    assert isinstance(ends.client_error, TLSConfigurationError)


def test_no_common_application_protocol_is_told_to_both() -> None:
    client = TLSClientOptions("box.example", trust=[AUTHORITY.certificate], alpn=("h2",))
    ends = Joined(client, TLSServerOptions(CERTIFICATE, KEY, alpn=("irc", "xmpp")))
    assert isinstance(ends.client_error, NoCommonProtocol)
    assert isinstance(ends.server_error, NoCommonProtocol)
    assert "the client has h2, we irc, xmpp" in str(ends.server_error)


def test_no_common_version_is_told_to_both() -> None:
    old = TLSClientOptions("box.example", trust=[AUTHORITY.certificate])
    old._context._used = False
    old._context.set_max_proto_version(SSL.TLS1_2_VERSION)
    ends = Joined(old, TLSServerOptions(CERTIFICATE, KEY, minimum="TLSv1.3"))
    assert isinstance(ends.client_error, NoCommonCipher)
    assert isinstance(ends.server_error, NoCommonCipher)


def test_no_common_cipher_is_told_to_both() -> None:
    odd = TLSClientOptions("box.example", trust=[AUTHORITY.certificate])
    odd._context._used = False
    odd._context.set_max_proto_version(SSL.TLS1_2_VERSION)
    odd._context.set_cipher_list(b"ECDHE-RSA-AES128-GCM-SHA256")  # the certificate is of another kind
    ends = Joined(odd)
    assert isinstance(ends.server_error, NoCommonCipher)
    assert isinstance(ends.client_error, TLSAlert)
    assert ends.client_error.name == "handshake failure"


GUARDED = TLSServerOptions(CERTIFICATE, KEY, client_trust=[AUTHORITY.certificate], require_client=True)


def test_a_missing_client_certificate_is_told_to_both() -> None:
    ends = Joined(server=GUARDED)
    assert isinstance(ends.server_error, ClientCertificateMissing)
    assert isinstance(end_of(ends.client), ClientCertificateMissing)  # TLS 1.3: after our handshake


def test_a_client_certificate_that_is_refused_is_told_to_both() -> None:
    client = TLSClientOptions("box.example", trust=[AUTHORITY.certificate], certificate=OTHER.issue("me"))
    ends = Joined(client, GUARDED)
    assert isinstance(ends.server_error, CertificateUnknownAuthority)
    assert isinstance(end_of(ends.client), ClientCertificateRefused)


def test_a_client_certificate_that_is_good_is_known_to_the_server() -> None:
    mine = AUTHORITY.issue("me")
    client = TLSClientOptions("box.example", trust=[AUTHORITY.certificate], certificate=mine)
    ends = Joined(client, GUARDED)
    assert ends.open
    assert ends.server.transport.get_extra_info("peercert") == mine[0]


OTHERS = {
    b"SSH-2.0-OpenSSH_9.2\r\n": "speaks SSH, not TLS",
    b"HTTP/1.1 400 Bad Request\r\n": "speaks plain HTTP, not TLS",
    b"GET / HTTP/1.1\r\n": "speaks plain HTTP, not TLS",
    b"220 mail.example ESMTP\r\n": "plain SMTP or FTP",
    b"\x00\x1b[2J": r"begins with '\\x00\\x1b[2J'",
}


@pytest.mark.parametrize("start", OTHERS)
@pytest.mark.parametrize("client", [True, False])
def test_plain_text_where_tls_should_be_is_named(start: bytes, client: bool) -> None:
    clock = MemoryClock()
    found: list[Any] = []
    layer: Any
    if client:
        layer = wrap_client(Recorder(), CLIENT, clock=clock)
        layer.handshake.add_errback(lambda failure: found.append(failure.exception))
    else:
        layer = wrap_server(Recorder(), SERVER, clock=clock, failed=found.append)
    plain = Recorder()
    pair = connect_in_memory(plain, layer, clock)
    pair.client.write(start)
    pair.settle()
    assert isinstance(found[0], NotTLS)
    assert OTHERS[start] in str(found[0])
    assert plain.lost.called


def test_a_handshake_that_is_cut_says_so() -> None:
    ends = Joined(settle=False)
    ends.pair.server.write_eof()
    ends.pair.server.finish()
    assert isinstance(ends.client_error, TLSHandshakeCut)
    ends = Joined(settle=False)
    ends.client_layer.connection_lost(None)
    assert isinstance(ends.client_error, TLSHandshakeCut)
    ends = Joined(settle=False)
    ends.pair.cut()
    assert isinstance(ends.client_error, ConnectionResetError)
    assert isinstance(ends.server_error, ConnectionResetError)
    assert ends.clock.next_due() is None


def test_a_handshake_that_takes_too_long_is_ended() -> None:
    ends = Joined(settle=False)
    ends.clock.advance(31)
    assert isinstance(ends.client_error, TLSHandshakeTimeout)
    assert isinstance(ends.server_error, TLSHandshakeTimeout)
    assert "within 30 seconds" in str(ends.client_error)
    ends.settle()
    assert ends.pair.client.lost


def test_a_handshake_may_be_cancelled() -> None:
    ends = Joined(settle=False)
    ends.client_layer.handshake.cancel()
    ends.client_layer.cancel()
    assert isinstance(ends.client_error, CancelledError)
    ends.settle()
    assert ends.client.events == []
    assert isinstance(ends.server_error, ConnectionError)
    unborn = wrap_client(Recorder(), CLIENT)
    unborn.handshake.add_errback(lambda failure: None)
    unborn.handshake.cancel()


@pytest.mark.parametrize("at", [0, 3, 10, 60])
@pytest.mark.parametrize("to_client", [True, False])
def test_a_hostile_peer_that_spoils_the_handshake_gets_an_error_and_nothing_else(
    at: int, to_client: bool
) -> None:
    ends = Joined(settle=False)
    if to_client:
        ends.pair.client.deliver()
    end = ends.pair.server if to_client else ends.pair.client
    end.outgoing[at + 5 if at else 5] ^= 0x55
    ends.settle()
    errors = [ends.outcome[0], ends.server_error]
    assert any(isinstance(getattr(error, "exception", error), TLSError) for error in errors)
    assert "made" not in ends.server.events
    assert ends.pair.client.lost
    assert ends.pair.server.lost


def test_a_forged_record_ends_the_connection_after_what_was_sound() -> None:
    ends = Joined()
    ends.client.transport.write(b"sound")
    ends.client.transport.write(b"forged")
    ends.pair.client.outgoing[-1] ^= 1
    ends.settle()
    assert ends.server.received == b"sound"
    assert isinstance(end_of(ends.server), TLSBroken)
    assert isinstance(end_of(ends.client), TLSAlert)
    assert "bad record mac" in str(end_of(ends.client))


def test_plain_bytes_after_the_handshake_end_the_connection() -> None:
    ends = Joined()
    ends.pair.client.write(b"GET / HTTP/1.1\r\n\r\n")
    ends.settle()
    assert isinstance(end_of(ends.server), TLSBroken)


def test_a_record_longer_than_may_be_is_refused_before_it_is_stored() -> None:
    ends = Joined()
    ends.pair.client.write(b"\x17\x03\x03\xff\xff" + bytes(100))
    ends.settle()
    assert isinstance(end_of(ends.server), TLSBroken)


def test_renegotiation_is_refused() -> None:
    old = TLSClientOptions("box.example", trust=[AUTHORITY.certificate], session=False)
    old._context._used = False
    old._context.set_max_proto_version(SSL.TLS1_2_VERSION)
    ends = Joined(old)
    connection: Any = ends.client_layer._connection
    assert ends.client.transport.get_extra_info("tls_version") == "TLSv1.2"
    with pytest.raises((SSL.Error, AssertionError)):
        connection.renegotiate()


@pytest.mark.parametrize("client", [True, False])
def test_a_program_may_not_start_tls_on_plain_bytes_that_came_before_it(client: bool) -> None:
    """What an attacker put behind STARTTLS would be taken for what came inside TLS."""
    clock = MemoryClock()
    one, other = Recorder(), Recorder()
    pair = connect_in_memory(one, other, clock)
    found: list[Any] = []
    new = Recorder()
    options: Any = CLIENT if client else SERVER
    start_tls(one.transport, new, options, leftover=b"EHLO evil\r\n", clock=clock).add_both(found.append)
    assert isinstance(found[0].exception, PlainTextPipelined)
    assert "11 plain bytes" in str(found[0].exception)
    pair.settle()
    assert isinstance(end_of(other), ConnectionResetError)
    assert new.events == []


def test_tls_starts_on_a_connection_that_spoke_plain_text() -> None:
    clock = MemoryClock()
    one, other = Recorder(), Recorder()
    pair = connect_in_memory(one, other, clock)
    one.transport.write(b"STARTTLS\r\n")
    pair.settle()
    outcome: list[Any] = []
    upper = Recorder()
    start_tls(other.transport, upper, SERVER, leftover=b"", clock=clock).add_both(outcome.append)
    start_tls(one.transport, Secure(one), CLIENT, leftover=b"", clock=clock).add_both(outcome.append)
    pair.settle()
    assert len(outcome) == 2
    one.transport.write(b"secret")
    pair.settle()
    assert upper.received == b"secret"


class Secure(Recorder):
    """Gives its transport to another protocol."""

    def __init__(self, owner: Recorder) -> None:
        super().__init__()
        self.owner = owner

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self.owner.transport = transport


def test_a_protocol_that_started_tls_hears_of_the_end_when_it_fails() -> None:
    clock = MemoryClock()
    one, other = Recorder(), Recorder()
    pair = connect_in_memory(one, other, clock)
    start_tls(one.transport, one, CLIENT, leftover=b"", clock=clock).add_errback(lambda failure: None)
    other.transport.write(b"502 no such command\r\n")
    pair.settle()
    assert isinstance(end_of(one), NotTLS)


def test_a_check_that_fails_itself_ends_the_handshake(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(certificate: Any, hostname: str) -> bool:
        raise RuntimeError("cannot check")

    monkeypatch.setattr(diagnose, "name_fits", broken)
    ends = Joined()
    assert type(ends.client_error) is TLSHandshakeError
    assert "cannot check" in str(ends.client_error)


def test_outside_a_reactor_a_layer_needs_a_clock() -> None:
    layer = wrap_client(Recorder(), CLIENT)
    with pytest.raises(ReactorError):
        connect_in_memory(layer, Recorder(), MemoryClock())


REASONS = {
    "certificate unknown": ClientCertificateRefused,
    "no application protocol": NoCommonProtocol,
    "protocol version": NoCommonCipher,
    "internal error": TLSAlert,
}


@pytest.mark.parametrize("alert", REASONS)
def test_an_alert_is_told_by_name(alert: str) -> None:
    error = diagnose.alert_error("here", alert, client=True)
    assert isinstance(error, REASONS[alert])


def test_openssls_reasons_are_kept() -> None:
    verdict = diagnose.Verdict(None)
    error = SSL.Error([("SSL routines", "", "some new reason"), ("", "", "")])
    assert "some new reason" in str(diagnose.handshake_error("here", error, verdict, client=True))
    assert "SSL.Error" in diagnose.reasons_of(SSL.Error()) or diagnose.reasons_of(SSL.Error()) == "Error"
    assert diagnose.reasons_of(ValueError("odd")) == "odd"
    assert Failure(error).exception is error
