"""CanonicalizeHostname: short names become whole ones, as the resolver and the rules have it."""

import socket
from typing import Any

import pytest

from sshkit.client import target as targets
from sshkit.client.canonical import canonical_name
from sshkit.config.client_options import ClientOptions, command_line
from sshkit.config.parser import ConfigError, Setting


def names(monkeypatch: pytest.MonkeyPatch, known: dict[str, str]) -> list[str]:
    """Let the resolver know these names, each with its canonical one; return what it is asked for."""
    asked: list[str] = []

    def getaddrinfo(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, known[host], ("192.0.2.1", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


def options(*domains: str, rules: tuple[tuple[str, str], ...] = (), **more: Any) -> ClientOptions:
    found = ClientOptions()
    found.canonical_domains = Setting(domains)
    found.canonicalize_permitted_cnames = Setting(rules)
    for name, value in more.items():
        setattr(found, name, Setting(value))
    return found


def test_the_first_domain_that_has_the_name_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = names(monkeypatch, {"box.b.example.": "box.b.example", "box.c.example.": "x"})
    assert canonical_name("box", options("a.example", "b.example", "c.example")) == "box.b.example"
    assert asked == ["box.a.example.", "box.a.example", "box.b.example."]


def test_a_name_in_the_file_of_hosts_is_found_without_a_dot_at_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    names(monkeypatch, {"box.b.example": ""})
    assert canonical_name("box", options("b.example")) == "box.b.example"


def test_a_name_with_a_dot_at_its_end_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, {"box.a.example.": ""})
    assert canonical_name("box.a.example.", options("b.example")) == "box.a.example"


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "fe80::1%eth0", "a.b.c.d"])
def test_addresses_and_names_with_many_dots_stay_and_nobody_is_asked(
    monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    asked = names(monkeypatch, {})
    assert canonical_name(host, options("a.example", canonicalize_max_dots=1)) is None
    assert asked == []


@pytest.mark.parametrize(
    ("alias", "found"),
    [
        ("www.b.example.", "www.b.example"),  # permitted
        ("WWW.B.example", "www.b.example"),
        ("www.evil.example", "box.a.example"),  # no rule permits it
        ("box.a.example", "box.a.example"),
    ],
)
def test_an_alias_is_followed_only_where_a_rule_permits_it(
    monkeypatch: pytest.MonkeyPatch, alias: str, found: str
) -> None:
    names(monkeypatch, {"box.a.example.": alias})
    rules = (("*.c.example", "*"), ("*.a.example", "*.b.example"))
    assert canonical_name("box", options("a.example", rules=rules)) == found


def test_a_name_that_is_nowhere_stays_or_ends_it_with_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, {})
    assert canonical_name("box", options("a.example")) is None
    with pytest.raises(ConfigError, match=r"'box' is in none of CanonicalDomains"):
        canonical_name("box", options("a.example", canonicalize_fallback_local=False))


def test_a_name_that_no_resolver_takes_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise UnicodeError("label too long")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    assert canonical_name("b" * 70, options("a.example")) is None


def test_a_target_is_loaded_with_its_canonical_name(monkeypatch: pytest.MonkeyPatch) -> None:
    names(monkeypatch, {"box.a.example.": "box.a.example"})
    lines = [command_line("CanonicalizeHostname", "yes"), command_line("CanonicalDomains", "a.example")]
    assert targets.load_target("me@box", lines, []).hostname == "box.a.example"
