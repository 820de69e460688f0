"""Promises P1 and P2 in the table: nothing releases but a written admission, and a stopped door stays stopped."""

from __future__ import annotations

import itertools

import pytest

from agent.core.door import TABLE, Effect, Event, ImpossibleStepError, State, can, step

PAIRS = list(itertools.product(State, Event))
EXPECTED = """
locked    grant        -> admitting write
locked    lock         -> locked    relock
locked    stop         -> stopped   relock
admitting written      -> released  release
admitting write_failed -> locked    report_fault
admitting lock         -> admitting relock
admitting stop         -> stopped   relock
released  pulse_ended  -> locked    none
released  relay_failed -> locked    report_fault
released  lock         -> released  relock
released  stop         -> stopped   relock
stopped   written      -> stopped   none
stopped   write_failed -> stopped   none
stopped   pulse_ended  -> stopped   none
stopped   relay_failed -> stopped   none
stopped   lock         -> stopped   relock
stopped   stop         -> stopped   relock
"""


def reached_from(state: State) -> set[State]:
    """Every state that a door can ever come to."""
    reached, fresh = {state}, [state]
    while fresh:
        for following, _ in TABLE[fresh.pop()].values():
            if following not in reached:
                reached.add(following)
                fresh.append(following)
    return reached


def effects_from(state: State) -> set[Effect]:
    """Every effect that can ever be asked for."""
    return {effect for reached in reached_from(state) for _, effect in TABLE[reached].values()}


def test_granted__the_steps_of_the_table() -> None:
    """A door does these seventeen steps and no others."""
    rows = [line.split() for line in EXPECTED.strip().splitlines()]
    expected = {(State(state), Event(event)): (State(then), Effect(effect)) for state, event, _, then, effect in rows}
    assert {pair: step(*pair) for pair in PAIRS if can(*pair)} == expected


@pytest.mark.parametrize(("state", "event"), PAIRS)
def test_denied__a_pair_outside_the_table(state: State, event: Event) -> None:
    """Each pair of state and event is either in the table, or raises in words and changes nothing."""
    before = {key: dict(row) for key, row in TABLE.items()}
    if can(state, event):
        assert step(state, event) == TABLE[state][event]
    else:
        with pytest.raises(ImpossibleStepError, match=f"^a door that is {state} cannot meet {event}$"):
            step(state, event)
    assert before == TABLE


def test_denied__a_release_that_was_not_written() -> None:
    """The relay is released by one step only: the admission was written."""
    releasing = [(state, event) for state, row in TABLE.items() for event, (_, effect) in row.items() if effect is Effect.RELEASE]
    entering = [(state, event) for state, row in TABLE.items() for event, (then, _) in row.items() if then is State.RELEASED is not state]
    assert releasing == entering == [(State.ADMITTING, Event.WRITTEN)]


def test_denied__an_admission_that_is_not_written() -> None:
    """A door comes to admit from locked only, by a grant, and then the first thing is to write."""
    entering = [
        (state, event, TABLE[state][event]) for state, event in PAIRS if can(state, event) and TABLE[state][event][0] is State.ADMITTING
    ]
    assert [row for row in entering if row[0] is not State.ADMITTING] == [(State.LOCKED, Event.GRANT, (State.ADMITTING, Effect.WRITE))]
    assert [state for state in State if can(state, Event.GRANT)] == [State.LOCKED]


def test_denied__a_release_after_the_stop() -> None:
    """From stopped no path leads out, and none releases or writes."""
    assert reached_from(State.STOPPED) == {State.STOPPED}
    assert effects_from(State.STOPPED) == {Effect.NONE, Effect.RELOCK}


@pytest.mark.parametrize("state", State)
def test_granted__stop_and_lock_at_any_time(state: State) -> None:
    """Every state can be stopped and locked at once, both drive the relay off, and neither leads to a release."""
    assert step(state, Event.STOP) == (State.STOPPED, Effect.RELOCK)
    assert step(state, Event.LOCK) == (state, Effect.RELOCK)
    assert State.STOPPED in reached_from(state)


@pytest.mark.parametrize("state", State)
def test_denied__an_outcome_that_is_late(state: State) -> None:
    """An outcome of what was under way is always understood by a stopped door, and opens nothing."""
    for event in (Event.WRITTEN, Event.WRITE_FAILED, Event.PULSE_ENDED, Event.RELAY_FAILED):
        assert step(step(state, Event.STOP)[0], event) == (State.STOPPED, Effect.NONE)


def test_granted__every_state_can_come_about() -> None:
    """No state of a door that begins locked is unreachable, and every state has its row."""
    assert reached_from(State.LOCKED) == set(State) == set(TABLE)
