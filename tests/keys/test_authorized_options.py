"""The options of authorized_keys: what may be written."""

import pytest
from sshkit_keys import KeyFileError
from sshkit_keys.authorized_keys import parse_options
from sshkit_keys.authorized_options import (
    OPTIONS,
    check_options,
    parse_environment,
    parse_list,
    parse_permit_listen,
    parse_permit_open,
    parse_tunnel,
)

#: Those of OpenSSH's auth-options.c: ten permissions either way, and the rest.
PERMISSIONS = {"agent-forwarding", "port-forwarding", "pty", "user-rc", "x11-forwarding"}
PROOFS = {"touch-required", "verify-required"}
OTHERS = {"restrict", "cert-authority"}
VALUED = {
    "command",
    "environment",
    "expiry-time",
    "from",
    "permitlisten",
    "permitopen",
    "principals",
    "tunnel",
}


def test_the_table_has_all_of_openssh() -> None:
    either_way = PERMISSIONS | PROOFS
    assert set(OPTIONS) == OTHERS | VALUED | either_way | {f"no-{name}" for name in either_way}
    assert len(OPTIONS) == 24
    assert {name for name, option in OPTIONS.items() if option.check is not None} == VALUED


@pytest.mark.parametrize(
    "text",
    [
        "restrict,pty,X11-forwarding,no-user-rc",
        'command="a",from="*.x,!y.x",principals="a, b",tunnel="0"',
        'environment="A=1",environment="B_2=x=y",expiry-time="20300101",expiry-time="20310101120000Z"',
        'permitopen="host:22",permitopen="[::1]:*",permitopen="*:80",permitlisten="8080",permitlisten="*:1"',
        'tunnel="any",cert-authority,touch-required,no-verify-required',
    ],
)
def test_what_sshd_takes_is_taken(text: str) -> None:
    options, _ = parse_options(f"{text} k", "ak:1")
    check_options(options, "ak:1")


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("no-such", "unknown option 'no-such'"),
        ("command", "the option command needs a value"),
        ('pty="yes"', "the option pty takes no value"),
        ('command="a",command="b"', "the option command stands more than once"),
        ('from="a",from="b"', "the option from stands more than once"),
        ('from=" , "', "an empty list of names"),
        ('principals=""', "an empty list of names"),
        ('permitopen="host"', "permitopen='host' is not host:port"),
        ('permitopen=":22"', "permitopen=':22' is not host:port"),
        ('permitopen="host:0"', "permitopen='host:0' has no port from 1 to 65535"),
        ('permitopen="host:65536"', "permitopen='host:65536' has no port from 1 to 65535"),
        ('permitopen="::1:22"', "permitopen='::1:22' has no port from 1 to 65535"),
        ('permitopen="h:\u0662"', "permitopen='h:\u0662' has no port from 1 to 65535"),
        ('permitlisten="host"', "permitlisten='host' has no port from 1 to 65535"),
        ('tunnel="-1"', "tunnel='-1' is neither a device number nor 'any'"),
        ('tunnel="2147483647"', "tunnel='2147483647' is neither a device number nor 'any'"),
        ('environment="A"', "environment='A' is not NAME=value"),
        ('environment="=x"', "environment='=x' is not NAME=value"),
        ('environment="A-B=x"', "environment='A-B=x' is not NAME=value"),
        ('expiry-time="soon"', "'soon' is no time"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(text: str, cause: str) -> None:
    options, _ = parse_options(f"{text} k", "ak:7")
    with pytest.raises(KeyFileError) as caught:
        check_options(options, "ak:7")
    assert str(caught.value).startswith(f"ak:7: {cause}")


def test_values_are_read() -> None:
    assert parse_permit_open("db.example:5432") == ("db.example", 5432)
    assert parse_permit_open("[2001:db8::1]:22") == ("2001:db8::1", 22)
    assert parse_permit_open("*:*") == ("*", None)
    assert parse_permit_listen("8080") == ("*", 8080)
    assert parse_permit_listen("localhost:*") == ("localhost", None)
    assert parse_permit_listen("[::1]:80") == ("::1", 80)
    assert parse_tunnel("any") is None
    assert parse_tunnel("2147483646") == 2147483646
    assert parse_environment("LANG=C=x") == ("LANG", "C=x")
    assert parse_list("a, b,,c") == ("a", "b", "c")
