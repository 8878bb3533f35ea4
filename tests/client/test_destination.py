"""Where to connect, and what can be no destination (R11, R39)."""

import pytest

import sshkit
from sshkit.client.destination import MAX_HOST, Destination, check_port, parse_destination


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("host", ("host", None, None)),
        ("host:2222", ("host", 2222, None)),
        ("joe@host", ("host", None, "joe")),
        ("joe@host:22", ("host", 22, "joe")),
        ("joe@realm@host", ("host", None, "joe@realm")),
        ("192.0.2.1:22", ("192.0.2.1", 22, None)),
        ("2001:db8::1", ("2001:db8::1", None, None)),
        ("[2001:db8::1]", ("2001:db8::1", None, None)),
        ("joe@[2001:db8::1]:2222", ("2001:db8::1", 2222, "joe")),
        ("fe80::1%eth0", ("fe80::1%eth0", None, None)),
        ("ssh://host", ("host", None, None)),
        ("ssh://joe@host:2222/", ("host", 2222, "joe")),
        ("ssh://joe%40realm@host", ("host", None, "joe@realm")),
        ("ssh://joe;fingerprint=x@host", ("host", None, "joe")),
        ("ssh://[::1]:22", ("::1", 22, None)),
        ("host:", ("host", None, None)),
    ],
)
def test_a_destination_has_the_parts_that_people_mean(text: str, parts: tuple[object, ...]) -> None:
    assert parse_destination(text) == Destination(*parts)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "joe@",
        "-oProxyCommand=touch",
        "joe@-host",
        "host;reboot",
        "$(reboot)",
        "`reboot`",
        "host name",
        "ho\nst",
        "ho\0st",
        "ho\x1b[2Jst",
        "ho\u202est",
        "host/path",
        "host|x",
        "x" * (MAX_HOST + 1),
        "[::1",
        "[::1]x",
        "host:0",
        "host:65536",
        "host:+22",
        "host:\uff12\uff12",
        "host:22x",
        "ssh://",
    ],
)
def test_r39_what_is_no_host_is_refused_before_it_is_used(text: str) -> None:
    with pytest.raises(sshkit.InvalidDestination) as refused:
        parse_destination(text)
    assert str(refused.value).isprintable()


@pytest.mark.parametrize(
    "user", ["-l", "a/b", "a\0b", "a\nb", "a;b", "a b", "$(x)", "x" * 256, "a'b", "\u202ex", ""]
)
def test_r11_what_is_no_user_name_is_refused_before_it_is_used(user: str) -> None:
    with pytest.raises(sshkit.InvalidDestination) as refused:
        parse_destination(f"{user}@host")
    assert str(refused.value).isprintable()


def test_r39_a_user_of_a_uri_is_checked_after_it_was_decoded() -> None:
    with pytest.raises(sshkit.InvalidDestination, match="user name: holds a character"):
        parse_destination("ssh://a%20b@host")
    with pytest.raises(sshkit.InvalidDestination, match="user name: starts with"):
        parse_destination("ssh://%2doption@host")


def test_a_port_may_be_a_number_or_text() -> None:
    assert check_port(1) == 1
    assert check_port("65535") == 65535
    for port in (0, -1, 65536, "x", ""):
        with pytest.raises(sshkit.InvalidDestination, match="is not from 1 to 65535"):
            check_port(port)


def test_the_error_says_what_is_wrong() -> None:
    for text, words in {
        "": "'': no host",
        "[::1": "[::1: a '[' without its ']'",
        "a b": "'a b': not a host name or address",
        "host:99999": "'host:99999': port 99999 is not from 1 to 65535",
        "-x@host": "'-x@host': user name: starts with '-'",
    }.items():
        with pytest.raises(sshkit.InvalidDestination) as refused:
            parse_destination(text)
        assert str(refused.value) == words
