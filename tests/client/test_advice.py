"""What doctor says of an error: the cause that its kind and its codes show, and what to change."""

import errno

import pytest
from sshkit_keys.errors import KeyFileError

from sshkit.client.advice import advise
from sshkit.client.host_keys import HostKeyChanged, HostKeyRevoked
from sshkit.client.proxy import ProxyFailed
from sshkit.client.target import Target, load_target
from sshkit.config.client_options import command_line
from sshkit.config.parser import ConfigError, Place
from sshkit.reactor.errors import ConnectError, ResolveError
from sshkit.ssh.authentication.verdicts import PARTIAL, SKIPPED, Attempt
from sshkit.ssh.errors import (
    AuthenticationFailed,
    ConnectionLost,
    DisconnectedByPeer,
    KeyExchangeFailed,
    MACMismatch,
    RemoteProtocolError,
)


def target(*lines: tuple[str, str]) -> Target:
    return load_target("me@host", [command_line(*line) for line in lines], [])


def connect_error(code: int) -> ConnectError:
    return ConnectError("no", [("192.0.2.1 port 22", OSError(code, "x"))])


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (connect_error(errno.ECONNREFUSED), "nothing listens at port 2222"),
        (connect_error(errno.ETIMEDOUT), "nobody answered at port 2222"),
        (connect_error(errno.EHOSTUNREACH), "no way to this address"),
        (connect_error(errno.ENETUNREACH), "no way to this address"),
        (connect_error(errno.EADDRNOTAVAIL), "does not have the address to connect from"),
        (connect_error(errno.EPERM), "no connection to port 2222 came about"),
        (ResolveError("no"), "the name has no address"),
        (ProxyFailed("no"), "the way to the host did not come about"),
        (ConfigError("no", Place("config", 3)), "cannot be obeyed at config:3: no"),
        (HostKeyRevoked("no"), "declared invalid"),
        (KeyExchangeFailed("a wrong signature"), "the server makes a mistake"),
        (KeyExchangeFailed("no common cipher"), "no algorithm in common"),
        (MACMismatch("no"), "packets arrived changed"),
        (DisconnectedByPeer(2, "no"), "the server ended the connection"),
        (ConnectionLost("the server left before it identified itself"), "closed it at once"),
        (ConnectionLost("reset"), "the connection broke"),
        (RemoteProtocolError("no"), "broke the protocol"),
        (KeyFileError("no"), "a file of keys or hosts cannot be used"),
        (ZeroDivisionError("no"), "nothing that is known here"),
    ],
)
def test_an_error_is_explained_by_its_cause(error: BaseException, why: str) -> None:
    found = advise(error, target(("Port", "2222")))
    assert why in found.why
    assert found.what
    assert advise(error).what  # also where nobody knows where one wanted to go


def test_the_place_of_the_setting_that_led_there_is_named() -> None:
    found = advise(ResolveError("no"), target(("Hostname", "nowhere")))
    assert found.what[0] == "the name comes from Hostname at command line"
    found = advise(connect_error(errno.ECONNREFUSED), target(("Port", "2222")))
    assert "port 2222 comes from: command line" in found.what[0]


@pytest.mark.parametrize(
    ("part", "keyword"),
    [("cipher", "Ciphers"), ("MAC", "MACs"), ("host key", "HostKeyAlgorithms"), ("none", "KexAlgorithms, ")],
)
def test_the_keyword_and_the_line_that_limits_a_list_are_named(part: str, keyword: str) -> None:
    found = advise(KeyExchangeFailed(f"no common {part}"), target(("Ciphers", "aes128-ctr")))
    assert any(f"-o {keyword}" in text for text in found.what)
    assert found.what[-1] == "Ciphers is limited at command line"


@pytest.mark.parametrize(("places", "name"), [((), ""), (("known_hosts:3",), "host")])
def test_a_changed_host_key_tells_where_the_old_one_is(places: tuple[str, ...], name: str) -> None:
    found = advise(HostKeyChanged("changed", name=name, places=places))
    assert ("known_hosts:3" in found.what[0]) == bool(places)
    assert ("-R 'host'" in found.what[-1]) == bool(name)


def test_a_login_that_was_half_right_says_what_is_missing() -> None:
    attempts = (
        Attempt("publickey", "", "its file cannot be read", SKIPPED),
        Attempt("password", "", "right", PARTIAL, next_methods=("keyboard-interactive",)),
    )
    found = advise(AuthenticationFailed("no", attempts), target())
    assert found.what[0] == "password was right; the server wants keyboard-interactive as well"
    assert any(text.startswith("not used: ") for text in found.what)
    assert not any("no password was tried" in text for text in found.what)
    assert advise(AuthenticationFailed("no")).what[-1] == "is the user the right user?"
