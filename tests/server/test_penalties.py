"""Penalties of sources that misbehaved (R42; PerSourcePenalties)."""

from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshkit.server.penalties import CAUSES, DENY_ALL, TOO_MANY, Penalties
from sshkit.testing import MemoryClock


class Times(NamedTuple):
    """sshd's defaults."""

    crash: float = 90
    authfail: float = 5
    noauth: float = 1
    grace_exceeded: float = 10
    refuse_connection: float = 10
    invalid_user: float = 5
    max: float = 600
    min: float = 15
    max_sources4: int = 65536
    max_sources6: int = 65536
    overflow4: str = "permissive"
    overflow6: str = "permissive"


class Site:
    """Penalties, their clock and their log."""

    def __init__(
        self, blocks: tuple[int, int] = (32, 128), exempt: tuple[str, ...] = (), **times: Any
    ) -> None:
        self.clock = MemoryClock()
        self.log: list[tuple[str, str]] = []
        self.penalties = Penalties(
            Times(**times), blocks, exempt, self.clock, lambda level, text: self.log.append((level, text))
        )
        self.add = self.penalties.add
        self.refusal = self.penalties.refusal


def test_r42_a_source_is_refused_until_its_penalty_is_over() -> None:
    site = Site()
    site.add("192.0.2.1", "crash")
    assert site.refusal("192.0.2.1") == "penalty: caused crash"
    assert site.refusal("192.0.2.2") is None
    site.clock.advance(90)
    assert site.refusal("192.0.2.1") is not None
    site.clock.advance(0.01)
    assert site.refusal("192.0.2.1") is None
    assert len(site.penalties) == 0


def test_r42_penalties_add_up_and_refuse_only_over_the_minimum() -> None:
    site = Site()
    for _ in range(3):
        assert site.refusal("192.0.2.1") is None
        site.add("192.0.2.1", "authfail")
    assert site.refusal("192.0.2.1") is None  # 15 seconds are not more than the minimum
    site.add("192.0.2.1", "noauth")
    assert site.refusal("192.0.2.1") == "penalty: connections without attempting authentication"
    site.clock.advance(16)
    assert site.refusal("192.0.2.1") is not None  # active until it is over, though little is left
    site.clock.advance(0.01)
    assert site.refusal("192.0.2.1") is None


def test_r42_penalties_that_are_far_between_never_refuse() -> None:
    site = Site()
    for _ in range(100):
        site.add("192.0.2.1", "authfail")
        site.clock.advance(6)
        assert site.refusal("192.0.2.1") is None


def test_r42_no_penalty_is_longer_than_the_maximum() -> None:
    site = Site(crash=400.0)
    for _ in range(10):
        site.add("192.0.2.1", "crash")
    site.clock.advance(600.01)
    assert site.refusal("192.0.2.1") is None
    long = Site(crash=1000.0)
    long.add("192.0.2.1", "crash")
    long.clock.advance(600.01)
    assert long.refusal("192.0.2.1") is None


@pytest.mark.parametrize("cause", CAUSES)
def test_r42_each_cause_has_a_time_and_words_of_its_own(cause: str) -> None:
    attribute, words = CAUSES[cause]
    times: dict[str, Any] = {name: 7.0 if name == attribute else 0.0 for name, _ in CAUSES.values()}
    site = Site(min=0, **times)
    for other in CAUSES:
        if other != cause:
            site.add("192.0.2.1", other)
    assert site.refusal("192.0.2.1") is None
    site.add("192.0.2.1", cause)
    assert site.refusal("192.0.2.1") == f"penalty: {words}"
    site.clock.advance(7.01)
    assert site.refusal("192.0.2.1") is None


def test_r42_a_network_is_penalised_as_a_whole_where_it_is_configured() -> None:
    site = Site(blocks=(24, 56))
    site.add("192.0.2.1", "crash")
    site.add("2001:db8::1", "crash")
    for address in ("192.0.2.200", "::ffff:192.0.2.9", "2001:db8:0:ff::2"):
        assert site.refusal(address) is not None
    for address in ("192.0.3.1", "2001:db8:0:100::1"):
        assert site.refusal(address) is None
    assert site.log[0][1].startswith("ipv4: new 192.0.2.0/24 active penalty of 90.000 seconds for")


def test_r42_an_address_has_one_account_however_it_is_written() -> None:
    site = Site()
    site.add("::ffff:192.0.2.1", "crash")
    assert site.refusal("192.0.2.1") is not None
    site.add("fe80::1%eth0", "crash")
    assert site.refusal("fe80::1%eth1") is not None


def test_who_is_exempt_is_never_penalised() -> None:
    site = Site(exempt=("192.0.2.0/24", "!192.0.2.13", "2001:db8::*"))
    for address in ("192.0.2.1", "2001:db8::7", "::ffff:192.0.2.1"):
        site.add(address, "crash")
        assert site.refusal(address) is None
    site.add("192.0.2.13", "crash")
    site.add("198.51.100.1", "crash")
    assert site.refusal("192.0.2.13") is not None
    assert site.refusal("198.51.100.1") is not None


def test_a_source_without_an_address_is_never_penalised() -> None:
    site = Site()
    site.add("local", "crash")
    assert site.refusal("local") is None
    assert len(site.penalties) == 0


def test_r42_permissive_overflow_forgets_who_is_over_soonest() -> None:
    site = Site(max_sources4=3)
    site.add("192.0.2.1", "grace_exceeded")
    site.add("192.0.2.1", "crash")  # the first to come is not the first to go
    site.add("192.0.2.2", "crash")
    site.clock.advance(1)
    site.add("192.0.2.3", "crash")
    site.add("192.0.2.4", "crash")
    refused = [site.refusal(f"192.0.2.{last}") is not None for last in (1, 2, 3, 4)]
    assert refused == [True, False, True, True]
    assert len(site.penalties) == 3


def test_r42_deny_all_overflow_refuses_everybody_who_is_not_exempt() -> None:
    site = Site(max_sources4=2, overflow4=DENY_ALL, exempt=("198.51.100.0/24",))
    for last in (1, 2, 3):
        site.add(f"192.0.2.{last}", "crash")
    assert site.refusal("203.0.113.1") == TOO_MANY
    assert site.refusal("198.51.100.1") is None
    assert site.refusal("2001:db8::1") is None  # the families do not share a table
    assert "ipv4 penalty table full, cannot penalise 192.0.2.3" in site.log[-1][1]
    site.clock.advance(91)
    assert site.refusal("203.0.113.1") is None


def test_r42_the_table_of_one_family_may_be_of_no_size() -> None:
    site = Site(max_sources6=0)
    site.add("2001:db8::1", "crash")
    assert site.refusal("2001:db8::1") is None
    assert len(site.penalties) == 0


def test_what_is_activated_is_told_and_what_is_deferred_is_told_to_the_verbose() -> None:
    site = Site()
    for _ in range(4):
        site.add("192.0.2.1", "authfail")
    failed = "for penalty: failed authentication"
    assert site.log == [
        ("verbose", f"ipv4: new 192.0.2.1 deferred penalty of 5.000 seconds {failed}"),
        ("info", f"192.0.2.1: activating ipv4 penalty of 20.000 seconds {failed}"),
    ]
    silent = Penalties(Times(), (32, 128), (), site.clock)
    silent.add("192.0.2.1", "crash")
    assert silent.refusal("192.0.2.1") is not None


@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.sampled_from(sorted(CAUSES)), st.floats(0, 40)),
        max_size=60,
    )
)
def test_r42_the_account_of_each_source_is_what_a_simple_count_says(
    events: list[tuple[int, str, float]],
) -> None:
    """The heap, with its entries put back late, agrees with a list that is searched."""
    site = Site(max_sources4=1000)
    simple: dict[str, tuple[float, bool]] = {}
    times = Times()
    for last, cause, pause in events:
        source = f"192.0.2.{last}"
        now = site.clock.seconds()
        expiry, active = simple.get(source, (now, False))
        if expiry < now:
            expiry, active = now, False
        expiry = min(expiry + getattr(times, CAUSES[cause][0]), now + times.max)
        simple[source] = (expiry, active or expiry - now > times.min)
        site.add(source, cause)
        site.clock.advance(pause)
        now = site.clock.seconds()
        for name, (until, is_active) in simple.items():
            assert (site.refusal(name) is not None) == (is_active and until >= now)
        assert len(site.penalties) == sum(until >= now for until, _ in simple.values())
        assert all(len(family.heap) == len(family.by_source) for family in site.penalties._families)


def test_r42_however_often_a_source_is_penalised_it_takes_one_place() -> None:
    site = Site()
    for _ in range(1000):
        site.add("192.0.2.1", "noauth")
        site.clock.advance(0.1)
    assert [len(family.heap) for family in site.penalties._families] == [1, 0]
