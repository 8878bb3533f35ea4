"""Options of authorized_keys: obeyed whole, or the line is refused."""

import os
import re
import time

import pytest
from sshkit_keys import generate_private_key, parse_authorized_keys
from sshkit_keys.authorized_options import OPTIONS

from sshkit.server.certificate_logins import together
from sshkit.server.key_limits import ENFORCED, KeyLimits, LineRefused, address_matches, limits_of

KEY = generate_private_key("ed25519", comment="test").public.to_line()


def limits(options: str, source: str = "192.0.2.7") -> KeyLimits:
    text = f"{options} {KEY}" if options else KEY
    found = parse_authorized_keys(text.encode(), "/home/u/.ssh/authorized_keys")
    if not found.entries:  # a line that nobody could mean is no entry at all
        raise LineRefused(found.warnings[0])
    return limits_of(found.entries[0], source)


def refusal(options: str, source: str = "192.0.2.7") -> str:
    with pytest.raises(LineRefused) as caught:
        limits(options, source)
    text = str(caught.value)
    assert text.startswith("/home/u/.ssh/authorized_keys:1: ")
    return text.split(": ", 1)[1]


def test_a_line_without_options_limits_nothing() -> None:
    assert limits("") == KeyLimits("/home/u/.ssh/authorized_keys:1")


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_r04_a_line_with_an_option_that_is_not_obeyed_is_refused(name: str) -> None:
    """The table of all options: each is obeyed, or keeps its key out."""
    values = {
        "command": "true",
        "environment": "A=1",
        "expiry-time": "20991231",
        "from": "192.0.2.7",
        "permitlisten": "8080",
        "permitopen": "db:5432",
        "principals": "a,b",
        "tunnel": "1",
    }
    option = f'{name}="{values[name]}"' if name in values else name
    if name in ("cert-authority", "principals"):  # obeyed for certificates: test_certificate_logins
        assert "cert-authority" in refusal(option) or "certificates" in refusal(option)
    elif name in ENFORCED:
        assert limits(option).place
    else:
        assert "is not obeyed here" in refusal(option)
        assert name in refusal(f"no-pty,{option}")


@pytest.mark.parametrize("option", ["no-such", 'no-such="1"', "permitopen", 'verify-required="1"'])
def test_a_line_with_an_option_that_cannot_be_meant_lets_nobody_in(option: str) -> None:
    assert "option" in refusal(option)


def test_a_command_is_the_only_one() -> None:
    found = limits('command="echo \\"hi\\" $SSH_ORIGINAL_COMMAND"')
    assert found.command == 'echo "hi" $SSH_ORIGINAL_COMMAND'
    assert found.permit_terminal


def test_restrict_forbids_everything_and_single_things_can_be_allowed_again() -> None:
    everything = limits("restrict")
    assert everything[2:6] == (False, False, False, False)
    assert limits("restrict,pty").permit_terminal
    assert not limits("restrict,pty").permit_port_forwarding
    assert limits("restrict,port-forwarding,user-rc").permit_port_forwarding
    assert limits("restrict,agent-forwarding").permit_agent_forwarding
    assert limits("restrict,x11-forwarding").permit_x11_forwarding


def test_r28_permitopen_and_permitlisten_are_lists_that_hold_together() -> None:
    made = limits('permitopen="db:5432",permitopen="[::1]:*",permitlisten="8080",permitlisten="localhost:*"')
    assert made.permit_open == ((("db", 5432), ("::1", None)),)
    assert made.permit_listen == ((("*", 8080), ("localhost", None)),)
    assert made.permit_port_forwarding
    assert not limits('restrict,permitopen="db:5432"').permit_port_forwarding
    assert together(made, made).permit_open == made.permit_open * 2
    assert together(made, limits("")).permit_listen == made.permit_listen


def test_r29_variables_are_kept_once_each_and_only_with_names_that_can_be() -> None:
    made = limits('environment="A=1",environment="B_2=x=y",environment="A=2"')
    assert made.environment == (("A", "1"), ("B_2", "x=y"))
    assert limits("").environment == ()
    for text in ("A", "=1", "A B=1", "A-B=1", "Ä=1"):
        assert "is not NAME=value" in refusal(f'environment="{text}"')
    assert together(limits(""), made).environment == made.environment
    assert together(limits('environment="C=3"'), made).environment == (("C", "3"),)


def test_r06_a_touch_is_required_unless_the_line_waives_it_and_the_configuration_lets_it() -> None:
    plain, waived = limits(""), limits("no-touch-required")
    strict = plain.demanding(frozenset(("verify-required",)))
    assert (plain.touch_required, plain.verify_required) == (True, False)
    assert (waived.touch_required, waived.verify_required) == (False, False)
    assert (strict.touch_required, strict.verify_required) == (True, True)
    assert limits("no-touch-required,touch-required").touch_required
    assert waived.demanding(frozenset()) == waived
    assert waived.demanding(frozenset(("touch-required",))).touch_required
    both = waived.demanding(frozenset(("verify-required",)))
    assert (both.touch_required, both.verify_required) == (False, True)
    assert together(waived, plain).touch_required
    assert together(strict, waived).verify_required


def test_r28_a_tunnel_is_that_of_the_line() -> None:
    assert limits('tunnel="7"').tunnel == 7
    assert limits('tunnel="any"').tunnel is None
    assert together(limits(""), limits('tunnel="7"')).tunnel == 7
    assert together(limits('tunnel="6"'), limits('tunnel="7"')).tunnel == 6


def test_restrict_forbids_the_users_rc_as_well() -> None:
    assert limits("").permit_user_rc
    assert not limits("no-user-rc").permit_user_rc
    assert not limits("restrict").permit_user_rc
    assert limits("restrict,user-rc").permit_user_rc


def test_a_refusal_counts_wherever_it_stands() -> None:
    assert not limits("no-pty").permit_terminal
    assert not limits("no-pty,pty").permit_terminal
    assert not limits("no-port-forwarding,no-agent-forwarding,no-X11-forwarding").permit_agent_forwarding


@pytest.mark.parametrize(
    "options",
    ['command="a",command="b"', "command", "from", 'from="a",from="b"', "expiry-time", 'no-pty="yes"'],
)
def test_an_option_with_a_value_too_many_or_too_few_is_refused(options: str) -> None:
    assert re.search("needs a value|takes no value|more than once", refusal(options))


@pytest.mark.parametrize(
    "patterns", ["192.0.2.7", "192.0.2.*", "192.0.2.0/24", "10.0.0.0/8, 192.0.2.?", "*,!192.0.2.8"]
)
def test_from_lets_the_listed_addresses_in(patterns: str) -> None:
    assert limits(f'from="{patterns}"').permit_terminal


@pytest.mark.parametrize("patterns", ["192.0.2.8", "10.0.0.0/8", "example.org", "!192.0.2.7", "/24"])
def test_from_keeps_other_addresses_out(patterns: str) -> None:
    assert "from=" in refusal(f'from="{patterns}"')


def test_from_excludes_before_it_includes() -> None:
    assert "excludes 192.0.2.7" in refusal('from="*,!192.0.2.0/28"')


def test_an_exception_for_a_name_refuses_the_line_since_names_are_not_looked_up() -> None:
    assert "not looked up" in refusal('from="*,!host.example"')
    assert limits('from="*,!2001:db8::*"').permit_terminal


def test_addresses_match_networks_of_their_family_only() -> None:
    assert address_matches("2001:db8::1", "2001:db8::/32")
    assert address_matches("fe80::1%eth0", "fe80::/10")
    assert not address_matches("192.0.2.1", "2001:db8::/32")
    assert not address_matches("local", "192.0.2.0/24")
    assert not address_matches("192.0.2.1", "192.0.2.0/99")


def test_a_key_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Etc/GMT-2")
    time.tzset()
    try:
        now = 1_800_000_000  # 2027-01-15 08:00:00 UTC, 10:00:00 there
        monkeypatch.setattr(time, "time", lambda: now)
        for text in ("20270116", "202701151001", "20270115100001", "20270115080001Z"):
            assert limits(f'expiry-time="{text}"').permit_terminal
        for text in ("20270115", "202701151000", "20270115095959", "20270115080000Z", "20270115075900z"):
            assert f"expired at {text}" in refusal(f'expiry-time="{text}"')
        assert "expired at 20270115" in refusal('expiry-time="20270116",expiry-time="20270115"')
    finally:
        monkeypatch.undo()
        os.environ.pop("TZ", None)
        time.tzset()


@pytest.mark.parametrize("text", ["tomorrow", "2027", "20271341", "2027011", "20270101250000", "99999999Z"])
def test_a_time_that_is_none_refuses_the_line(text: str) -> None:
    assert "is no time" in refusal(f'expiry-time="{text}"')
