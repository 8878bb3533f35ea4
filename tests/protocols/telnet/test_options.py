"""The Q method: no two sides negotiate for ever."""

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sshkit.protocols.telnet.options import NEXT, Input, State


def test_the_table_knows_every_pair() -> None:
    assert set(NEXT) == {(state, event) for state in State for event in Input}


@pytest.mark.parametrize("state", State)
def test_what_the_peer_answers_is_answered_only_where_it_changes_something(state: State) -> None:
    for event in (Input.WELCOME, Input.REFUSED):
        step = NEXT[state, event]
        if step.say is not None:
            assert step.state is not state


@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.integers(0, 3)), max_size=30), st.booleans())
def test_two_sides_agree_in_the_end(asks: list[tuple[bool, bool, int]], welcome: bool) -> None:
    # The side that may have the option on, and the side that may ask it to.
    states = [State.NO, State.NO]
    sent: list[deque[bool]] = [deque(), deque()]

    def happen(side: int, event: Input) -> None:
        step = NEXT[states[side], event]
        states[side] = step.state
        if step.say is not None:
            sent[1 - side].append(step.say)

    def deliver(side: int) -> None:
        if sent[side]:
            positive = sent[side].popleft()
            happen(side, (Input.WELCOME if welcome else Input.UNWELCOME) if positive else Input.REFUSED)

    for side, on, deliveries in asks:
        happen(side, Input.ASK if on else Input.ASK_NOT)
        for turn in range(deliveries):
            deliver(turn % 2)
    rounds = 0
    while any(sent):
        deliver(0)
        deliver(1)
        rounds += 1
        assert rounds < 100
    assert states[0] is states[1]
    assert states[0] in (State.NO, State.YES)
