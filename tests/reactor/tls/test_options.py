"""What options mean: names and certificates, sessions, files that change; and what is refused at once."""

import logging
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from OpenSSL import SSL

from sshkit.reactor.tls import (
    ClientCertificateMissing,
    ReloadingCertificate,
    TLSClientOptions,
    TLSConfigurationError,
    TLSHandshakeError,
    TLSServerOptions,
)
from sshkit.reactor.transports.tls import options as options_module

from .authority import Authority, key_pem, pem, write_pair
from .joined import AUTHORITY, CERTIFICATE, CLIENT, KEY, SERVER, Joined, end_of

A, B, WILD = (AUTHORITY.issue(name) for name in ("a.example", "b.example", "*.c.example"))
TRUST = [AUTHORITY.certificate]


def shown_to(name: str, server: TLSServerOptions) -> Any:
    """Return the certificate that a client of that name is shown."""
    ends = Joined(TLSClientOptions(name, verify=False), server)
    assert ends.open
    return ends.client.transport.get_extra_info("peercert")


@pytest.mark.parametrize("by_function", [False, True])
def test_the_certificate_shown_is_that_of_the_name_asked_for(by_function: bool) -> None:
    table = {
        "a.example": TLSServerOptions(*A),
        "B.example": TLSServerOptions(*B),
        "*.c.example": TLSServerOptions(*WILD),
    }
    asked: list[str | None] = []

    def choose(name: str | None) -> TLSServerOptions | None:
        asked.append(name)
        return {"a.example": table["a.example"], "b.example": table["B.example"]}.get(name or "")

    server = TLSServerOptions(CERTIFICATE, KEY, sni=choose if by_function else table)
    assert shown_to("a.example", server) == A[0]
    assert shown_to("b.example", server) == B[0]
    assert shown_to("other.example", server) == CERTIFICATE
    assert shown_to("192.0.2.2", server) == CERTIFICATE
    if by_function:
        assert asked == ["a.example", "b.example", "other.example", None]
    else:
        assert shown_to("x.c.example", server) == WILD[0]
        assert shown_to("y.x.c.example", server) == CERTIFICATE


def test_a_name_may_ask_for_a_client_certificate_that_others_do_not() -> None:
    guarded = TLSServerOptions(*A, client_trust=TRUST, require_client=True, alpn=("irc",))
    server = TLSServerOptions(CERTIFICATE, KEY, sni={"a.example": guarded})
    assert Joined(CLIENT, server).open
    mine = AUTHORITY.issue("me")
    refused = Joined(TLSClientOptions("a.example", trust=TRUST), server)
    assert isinstance(refused.server_error, TLSHandshakeError)
    taken = Joined(TLSClientOptions("a.example", trust=TRUST, certificate=mine, alpn=("irc",)), server)
    assert taken.server.transport.get_extra_info("peercert") == mine[0]
    assert taken.client.transport.get_extra_info("alpn") == "irc"


@pytest.mark.parametrize("by_function", [False, True])
@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_session_of_one_name_opens_no_other_that_wants_a_certificate(
    by_function: bool, version: str
) -> None:
    """What a malicious client gets that resumes at the guarded name: a handshake in full."""
    table = {"a.example": TLSServerOptions(*A, client_trust=TRUST, require_client=True)}
    server = TLSServerOptions(
        CERTIFICATE, KEY, sni=(lambda name: table.get(name or "")) if by_function else table
    )
    client = TLSClientOptions(verify=False)
    if version == "TLSv1.2":
        client._context.set_max_proto_version(options_module._VERSIONS[version])
    object.__setattr__(client, "hostname", "box.example")
    ends = Joined(client, server)
    ends.server.transport.write(b"a ticket, if any")
    ends.settle()
    ends.client.transport.close()
    ends.settle()
    for session in tuple(client._sessions.values()):
        client._sessions["a.example"] = session
    object.__setattr__(client, "hostname", "a.example")
    again = Joined(client, server)
    assert isinstance(again.server_error, ClientCertificateMissing)
    assert again.server.events == []


def test_names_without_client_certificates_resume_their_sessions() -> None:
    client = TLSClientOptions("a.example", trust=TRUST)
    server = TLSServerOptions(CERTIFICATE, KEY, sni={"a.example": TLSServerOptions(*A)})
    for wanted in (False, True):
        ends = Joined(client, server)
        ends.server.transport.write(b"the tickets come along")
        ends.settle()
        assert ends.client.transport.get_extra_info("session_reused") is wanted
        ends.client.transport.close()
        ends.settle()


def test_a_chooser_that_fails_ends_the_handshake_and_shows_nothing() -> None:
    def choose(name: str | None) -> TLSServerOptions | None:
        raise LookupError("no such table")

    ends = Joined(CLIENT, TLSServerOptions(CERTIFICATE, KEY, sni=choose))
    assert "no such table" in str(ends.server_error)
    assert isinstance(ends.server_error.__cause__, LookupError)
    assert ends.pair.server.total == 0


def test_an_optional_client_certificate_may_be_missing() -> None:
    assert Joined(CLIENT, TLSServerOptions(CERTIFICATE, KEY, client_trust=TRUST)).open


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_a_session_is_resumed_once_and_for_its_host_only(version: str) -> None:
    client = TLSClientOptions("box.example", trust=TRUST)
    if version == "TLSv1.2":
        client._context.set_max_proto_version(options_module._VERSIONS[version])
    server = TLSServerOptions(CERTIFICATE, KEY)
    reused = []
    for _ in range(3):
        ends = Joined(client, server)
        ends.server.transport.write(b"the tickets come along")
        ends.settle()
        reused.append(ends.client.transport.get_extra_info("session_reused"))
        assert ends.client.transport.get_extra_info("tls_version") == version
        ends.client.transport.close()
        ends.settle()
        assert end_of(ends.client) is None
    assert reused == [False, True, True]
    assert list(client._sessions) == ["box.example"]


def test_a_resumed_session_is_checked_for_the_name_again() -> None:
    client = TLSClientOptions("box.example", trust=TRUST)
    ends = Joined(client)
    ends.server.transport.write(b"x")
    ends.settle()
    ends.client.transport.close()
    ends.settle()
    client._sessions["evil.example"] = client._sessions.pop("box.example")
    object.__setattr__(client, "hostname", "evil.example")
    again = Joined(client)
    assert "is not for evil.example" in str(again.client_error)


def test_sessions_of_few_hosts_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options_module, "SESSIONS_KEPT", 2)
    client = TLSClientOptions(verify=False)
    connection: Any = Joined(client).client_layer._connection
    for name in ("a", "b", "c"):
        client.keep_session(name, connection)
    assert list(client._sessions) == ["b", "c"]
    CLIENT.keep_session("a", connection)
    assert not CLIENT._sessions


def test_options_cannot_be_changed() -> None:
    for options in (CLIENT, SERVER):
        with pytest.raises(AttributeError, match="immutable"):
            options.alpn = ("x",)
        assert "alpn=()" in repr(options)


def test_files_bytes_and_objects_are_all_good(tmp_path: Path) -> None:
    between = Authority("Between", AUTHORITY)
    pair = between.issue("box.example")
    certificate, key = write_pair(tmp_path, "server", pair)
    (tmp_path / "root.pem").write_bytes(AUTHORITY.pem)
    (tmp_path / "between.pem").write_bytes(between.pem)
    chained = tmp_path / "chained.pem"
    chained.write_bytes(certificate.read_bytes() + between.pem)
    client = TLSClientOptions("box.example", trust=str(tmp_path / "root.pem"))
    for server in (
        TLSServerOptions(chained, key),
        TLSServerOptions(str(certificate), str(key), [tmp_path / "between.pem"]),
        TLSServerOptions(pem(pair[0]), key_pem(pair[1]), [between.pem]),
    ):
        assert Joined(client, server).open
    assert Joined(TLSClientOptions("box.example", trust=[between.pem]), TLSServerOptions(*pair)).open
    name = f"{AUTHORITY.certificate.subject.public_bytes().hex()}.0"
    assert name
    folder = tmp_path / "folder"
    folder.mkdir()
    assert not Joined(TLSClientOptions("box.example", trust=folder), TLSServerOptions(chained, key)).open


def test_the_systems_store_does_not_know_a_test_authority() -> None:
    assert not Joined(TLSClientOptions("box.example")).open


#: Keys in PKCS#8: one of Ed25519 that lacks a byte, and one of an algorithm that nobody knows.
SHORT_ED25519, ODD_KEY = (
    b"-----BEGIN PRIVATE KEY-----\n" + body + b"\n-----END PRIVATE KEY-----\n"
    for body in (
        b"MC0CAQAwBQYDK2VwBCEEHwAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        b"MAwCAQAwBAYCKgMEAXg=",
    )
)

BAD_OPTIONS: dict[str, tuple[Any, str]] = {
    "version": (lambda folder: TLSClientOptions(minimum="TLSv1"), "minimum must be one of TLSv1.2, TLSv1.3"),
    "alpn": (lambda folder: TLSClientOptions(alpn=("",)), "1 to 255 characters"),
    "alpn text": (lambda folder: TLSServerOptions(CERTIFICATE, KEY, alpn="h2"), "sequence of names"),
    "no trust": (lambda folder: TLSServerOptions(CERTIFICATE, KEY, require_client=True), "client_trust"),
    "missing": (lambda folder: TLSServerOptions(folder / "none.pem", KEY), "none.pem: No such file"),
    "other key": (lambda folder: TLSServerOptions(CERTIFICATE, A[1]), "does not belong to"),
    "no key": (lambda folder: TLSServerOptions(CERTIFICATE), "a private key is needed, not NoneType"),
    "not a key": (lambda folder: TLSServerOptions(CERTIFICATE, b"nonsense"), "no usable private key"),
    "damaged key": (
        lambda folder: TLSServerOptions(CERTIFICATE, SHORT_ED25519),
        "private key: it is damaged",
    ),
    "odd key": (lambda folder: TLSServerOptions(CERTIFICATE, ODD_KEY), "no usable private key: "),
    "not PEM": (lambda folder: TLSServerOptions(b"nonsense", KEY), "no certificate in PEM form"),
    "trust": (lambda folder: TLSClientOptions(trust=folder / "none"), "No such file"),
}


@pytest.mark.parametrize("fault", BAD_OPTIONS)
def test_options_that_cannot_work_are_refused_when_made(fault: str, tmp_path: Path) -> None:
    make, text = BAD_OPTIONS[fault]
    with pytest.raises(TLSConfigurationError, match=text):
        make(tmp_path)


def test_a_host_name_that_is_none_is_refused() -> None:
    ends = Joined(TLSClientOptions("ü" * 300, verify=False))
    assert isinstance(ends.client_error, TLSConfigurationError)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_renewed_certificate_is_shown_without_a_restart(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.WARNING)
    certificate, key = write_pair(tmp_path, "live", A)
    clock = Clock()
    reloading = ReloadingCertificate(certificate, key, now=clock)
    server = TLSServerOptions(reloading)
    old = server.context()
    assert shown_to("a.example", server) == A[0]
    write_pair(tmp_path, "live", B)
    looks: list[Any] = []
    real = os.stat

    def look(path: Any, **more: Any) -> Any:
        looks.append(path)
        return real(path, **more)

    monkeypatch.setattr(os, "stat", look)
    assert shown_to("a.example", server) == A[0]  # it looks once a second at most
    assert not [path for path in looks if "live" in str(path)]
    clock.now += 1
    assert shown_to("a.example", server) == B[0]
    assert server.context() is not old
    clock.now += 1
    shutil.copy(write_pair(tmp_path, "other", WILD)[1], key)  # the key is there first
    assert shown_to("a.example", server) == B[0]
    assert shown_to("a.example", server) == B[0]
    assert len(caplog.messages) == 1
    assert "live.key does not belong to" in caplog.messages[0]
    clock.now += 1
    key.unlink()
    assert shown_to("a.example", server) == B[0]
    clock.now += 1
    write_pair(tmp_path, "live", A)
    assert shown_to("a.example", server) == A[0]


def test_a_certificate_that_openssl_does_not_take_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Any, key: Any) -> None:
        raise TypeError("not this kind of key")

    monkeypatch.setattr(SSL.Context, "use_privatekey", refuse)
    with pytest.raises(TLSConfigurationError, match="not this kind of key"):
        TLSServerOptions(CERTIFICATE, KEY)
