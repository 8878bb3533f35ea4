"""The texts of endpoints: what each means, and what is said of those that mean nothing."""

from importlib.metadata import EntryPoint, EntryPoints
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from zope.interface.verify import verifyObject

from sshkit.interfaces.endpoint import IClientEndpoint, IServerEndpoint
from sshkit.reactor.endpoints import EndpointError, client_from_string, server_from_string
from sshkit.reactor.endpoints.arguments import Arguments
from sshkit.reactor.endpoints.table import CLIENT_KINDS, SERVER_KINDS


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tcp:example.org:80", "tcp:example.org:80"),
        ("tcp:[::1]:80", "tcp:[::1]:80"),
        (r"tcp:\:\:1:80", "tcp:[::1]:80"),
        ("tcp:h:80:local=[::1]:local_port=9:timeout=1.5", "tcp:h:80"),
        ("tls:[::1]:443:hostname=h:trust=/ca:alpn=h2,http/1.1:minimum=TLSv1.3", "tls:[::1]:443"),
        ("tls:h:443:certificate=/c:key=/k", "tls:h:443"),
        ("unix:/run/x\\=y\\:z", "unix:/run/x=y:z"),
        ("unix:@abstract", "unix:\\x00abstract"),
        (r"unix:/a\b\\c", r"unix:/a\b\c"),
        ("process:sh -c 'echo a:b=c'", "process:sh -c 'echo a:b=c'"),
        ("stdio:", "stdio:"),
        ("stdio", "stdio:"),
        ("fd:7", "fd:7"),
        ("socks5:p:1080:h:80:user=a:password=b", "h port 80 through tcp:p:1080"),
        ("ssh:joe@h:22:cat /etc/a:b", "ssh:joe@h:cat /etc/a:b"),
        ("ssh:h:config=yes:identity=/k:known_hosts=/n:jump=g:timeout=9:a=b", "ssh:h:a=b"),
        ("ssh:h:->[::1]:80", "ssh:h:->::1:80"),
    ],
)
def test_a_client_text_means_this_place(text: str, shown: str) -> None:
    endpoint = client_from_string(text)
    assert endpoint.shown == shown
    assert shown in repr(endpoint)
    assert verifyObject(IClientEndpoint, endpoint)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tcp:80", "tcp:80"),
        ("tcp:0:interface=[::1]:backlog=5:reuse_port=yes", "tcp:0:interface=[::1]"),
        ("tls:443:certificate=/c:client_trust=/ca:alpn=h2", "tls:443"),
        ("tls:443:certificate=/c:interface=::1".replace("::", r"\:\:"), "tls:443:interface=[::1]"),
        ("unix:/run/x:mode=600:backlog=3", "unix:/run/x"),
        ("stdio:", "stdio:"),
        ("fd:3", "fd:3"),
        ("haproxy:tcp:80", "haproxy:tcp:80"),
        ("haproxy:trusted=10.0.0.0/8:deadline=2:unix:/x", "haproxy:unix:/x"),
    ],
)
def test_a_server_text_means_this_place(text: str, shown: str) -> None:
    endpoint = server_from_string(text)
    assert endpoint.shown == shown
    assert verifyObject(IServerEndpoint, endpoint)


@pytest.mark.parametrize(
    ("text", "position", "words"),
    [
        ("", 0, "no kind"),
        (":80", 0, "no kind"),
        ("udp:h:80", 0, "no kind 'udp' of place to connect to; there are tcp:, tls:"),
        ("tcp", 3, "needs a host here"),
        ("tcp:", 4, "needs a host here"),
        ("tcp:h", 5, "needs a port here"),
        ("tcp:h:http", 6, "'http' is not a port between 0 and 65535"),
        ("tcp:h:65536", 6, "'65536' is not a port between 0 and 65535"),
        ("tcp:h:٣", 6, "is not a port"),
        ("tcp:h:-1", 6, "is not a port"),
        ("tcp:h:80:what", 9, "what is 'what'?"),
        ("tcp:h:80:timeot=3", 9, "has no argument 'timeot'"),
        ("tcp:h:80:timeout=soon", 9, "not seconds"),
        ("tcp:h:80:timeout=nan", 9, "not seconds"),
        ("tcp:h:80:timeout=1:timeout=2", 19, "timeout a second time"),
        ("tcp:h=x:80", 4, "needs a host here"),
        ("tcp:[::1:80", 4, "a '[' without its ']'"),
        ("tcp:[::1]x:80", 9, "a ':' must follow ']'"),
        ("tcp:h:80\\", 8, "nothing after the last backslash"),
        ("tcp:a\0b:80", 5, "a NUL"),
        ("tls:h:443:key=/k", 16, "a key without its certificate"),
        ("process:", 8, "needs a command here"),
        ("process:  ", 8, "needs a command here"),
        ("process:sh 'x", 8, "No closing quotation"),
        ("stdio:x:y", 8, "what is 'y'?"),
        ("fd:x", 3, "'x' is not a descriptor"),
        ("socks5:p:1080:h", 15, "needs a port here"),
        ("ssh:h", 5, "needs a command, or ->host:port here"),
        ("ssh:h:->80", 6, "needs ->host:port here"),
        ("ssh:h:->x:y", 10, "is not a port"),
        ("ssh:a b:ls", 4, "not a host name"),
        ("ssh:h:identity=/a:identity=/b:ls", 18, "identity a second time"),
    ],
)
def test_a_wrong_client_text_is_refused_with_the_place(text: str, position: int, words: str) -> None:
    with pytest.raises(EndpointError) as raised:
        client_from_string(text)
    assert words in str(raised.value)
    assert raised.value.position == position
    assert str(raised.value).isprintable()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tcp:80:reuse_port=perhaps", "neither yes nor no"),
        ("tcp:80:backlog=0", "backlog between 1 and"),
        ("unix:/x:mode=999", "is not mode between 0 and 777"),
        ("tls:443", "needs certificate=PATH"),
        ("haproxy:", "needs another endpoint here"),
        ("haproxy:ftp:x", "character 9: no kind 'ftp' of place to listen at"),
        ("haproxy:tcp:80:x=1", "tcp: has no argument 'x'"),
        ("haproxy:trusted=a:trusted=b:tcp:80", "trusted a second time"),
        ("process:cat", "no kind 'process' of place to listen at"),
        ("systemd:x", "systemd gave this process no sockets"),
    ],
)
def test_a_wrong_server_text_is_refused(text: str, words: str) -> None:
    with pytest.raises(EndpointError) as raised:
        server_from_string(text)
    assert words in str(raised.value)


def test_an_error_never_shows_the_password_of_the_text() -> None:
    with pytest.raises(EndpointError) as raised:
        client_from_string(r"socks5:p:1:h:80:user=a:password=se\:cret:x=1")
    assert "cret" not in str(raised.value)
    assert "password=***:x=1" in str(raised.value)


def test_a_text_of_great_length_is_refused_unread() -> None:
    with pytest.raises(EndpointError, match="an endpoint of 100000 characters"):
        client_from_string("tcp:" + "x" * 99996)


@given(st.text(max_size=40))
def test_any_host_reaches_the_endpoint_when_it_is_escaped(host: str) -> None:
    if not host or "\0" in host or host.startswith("["):
        return
    escaped = host.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")
    assert Arguments(f"tcp:{escaped}:80").take("a host") == host


@given(st.text(alphabet="tcp:h[]\\=180fdx", max_size=30))
def test_no_text_raises_anything_but_an_endpoint_error(text: str) -> None:
    for make in (client_from_string, server_from_string):
        position = 0
        try:
            make(text)
        except EndpointError as error:
            position = error.position
        assert 0 <= position <= len(text)


def test_another_package_adds_a_kind_by_an_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []

    def found(*, group: str, name: str) -> EntryPoints:
        seen.append((group, name))
        return EntryPoints([EntryPoint("serial", "sshkit.reactor.endpoints.tcp:client", group)])

    monkeypatch.setattr("importlib.metadata.entry_points", found)
    assert client_from_string("serial:h:1").shown == "tcp:h:1"
    assert seen == [("sshkit.endpoints", "serial")]


def test_every_kind_of_the_table_is_there() -> None:
    from importlib import import_module

    for home in (*CLIENT_KINDS.values(), *SERVER_KINDS.values()):
        module, _, name = home.partition(":")
        assert callable(getattr(import_module(module), name))
