"""Promises P1 and P2 in the tables: nothing releases but what is written or must be, nothing locks against fire, and stopped is stopped."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.door import FIRE, LEAF, LOCK, LOCKS, RELEASES, DoorState, Effect, Event, ImpossibleStepError, Leaf, Lock, can, step

ADMITTING = {Lock.ADMITTING, Lock.OFFICE_ADMITTING, Lock.FIRE_ADMITTING}
LEAF_PAIRS = list(itertools.product(Leaf, Event))
LOCK_EXPECTED = """
locked           grant        -> admitting        write
locked           exit         -> released         release
locked           lock         -> locked           relock
locked           fire_on      -> fire             free
locked           stop         -> stopped          relock
admitting        written      -> released         release
admitting        office_on    -> office           hold
admitting        write_failed -> locked           report_fault
admitting        exit         -> admitting        none
admitting        lock         -> admitting        relock
admitting        fire_on      -> fire_admitting   free
admitting        stop         -> stopped          relock
released         pulse_ended  -> locked           none
released         relay_failed -> locked           report_fault
released         opened       -> released         follow_opened
released         shut         -> released         follow_shut
released         exit         -> released         none
released         lock         -> released         relock
released         fire_on      -> fire             free
released         stop         -> stopped          relock
office           grant        -> office_admitting write
office           office_off   -> locked           relock
office           pulse_ended  -> locked           none
office           relay_failed -> locked           report_fault
office           exit         -> office           none
office           lock         -> locked           relock
office           fire_on      -> fire             free
office           stop         -> stopped          relock
office_admitting written      -> office           pass
office_admitting office_on    -> office           hold
office_admitting write_failed -> office           report_fault
office_admitting office_off   -> admitting        relock
office_admitting pulse_ended  -> admitting        none
office_admitting exit         -> office_admitting none
office_admitting lock         -> admitting        relock
office_admitting fire_on      -> fire_admitting   free
office_admitting stop         -> stopped          relock
fire             grant        -> fire_admitting   write
fire             fire_off     -> locked           fire_relock
fire             exit         -> fire             none
fire             lock         -> fire             none
fire             stop         -> stopped          none
fire_admitting   written      -> fire             pass
fire_admitting   office_on    -> fire             none
fire_admitting   write_failed -> fire             report_fault
fire_admitting   fire_off     -> admitting        fire_relock
fire_admitting   exit         -> fire_admitting   none
fire_admitting   lock         -> fire_admitting   none
fire_admitting   stop         -> stopped          none
stopped          written      -> stopped          none
stopped          office_on    -> stopped          none
stopped          write_failed -> stopped          none
stopped          office_off   -> stopped          none
stopped          pulse_ended  -> stopped          none
stopped          relay_failed -> stopped          none
stopped          exit         -> stopped          none
stopped          lock         -> stopped          none
stopped          fire_on      -> stopped          none
stopped          fire_off     -> stopped          none
stopped          stop         -> stopped          none
"""
LEAF_EXPECTED = """
unknown opened       -> open    none
unknown forced       -> open    none
unknown shut         -> shut    none
unknown contact_lost -> unknown none
shut    opened       -> open    tell_opened
shut    forced       -> forced  tell_forced
shut    contact_lost -> unknown none
open    shut         -> shut    tell_shut
open    held_due     -> held    tell_held
open    was_forced   -> forced  tell_still_forced
open    contact_lost -> unknown none
held    shut         -> shut    tell_secured
held    alarm_due    -> alarm   tell_alarm
held    contact_lost -> unknown none
alarm   shut         -> shut    tell_secured
alarm   contact_lost -> unknown none
forced  shut         -> shut    tell_secured
forced  contact_lost -> forced  none
"""

events = st.lists(st.sampled_from(list(Event)), max_size=60)


def _rows(text: str) -> list[list[str]]:
    return [line.replace(" -> ", " ").split() for line in text.strip().splitlines()]


def _flat(table: dict[Lock, dict[Event, tuple[Lock, Effect]]] | dict[Leaf, dict[Event, tuple[Leaf, Effect]]]) -> list[list[str]]:
    return [[str(state), str(event), str(then), str(effect)] for state, row in table.items() for event, (then, effect) in row.items()]


def lived(told: list[Event]) -> list[tuple[DoorState, Event, DoorState, tuple[Effect, ...]]]:
    """A door's life: every step that it took of what it was told; what cannot happen is passed over."""
    state, steps = DoorState(), []
    for event in told:
        if can(state, event):
            then, effects = step(state, event)
            steps.append((state, event, then, effects))
            state = then
    return steps


def reached_from(state: Lock) -> set[Lock]:
    """Every state that a lock can ever come to."""
    reached, fresh = {state}, [state]
    while fresh:
        for following, _ in LOCK[fresh.pop()].values():
            if following not in reached:
                reached.add(following)
                fresh.append(following)
    return reached


def test_granted__the_locks_steps_are_those_of_the_table() -> None:
    """A lock does these sixty steps and no others."""
    assert _flat(LOCK) == _rows(LOCK_EXPECTED)


def test_granted__the_leafs_steps_are_those_of_the_table() -> None:
    """A leaf does these eighteen steps and no others."""
    assert _flat(LEAF) == _rows(LEAF_EXPECTED)


@pytest.mark.parametrize("lock", Lock)
def test_denied__what_stands_in_no_row(lock: Lock) -> None:
    """Each state meets an event as its regions' rows say, a region without the row stays, and without any row it raises in words."""
    for leaf, event in LEAF_PAIRS:
        state = DoorState(lock, leaf)
        if event not in LOCK[lock] and event not in LEAF[leaf]:
            assert not can(state, event)
            with pytest.raises(ImpossibleStepError, match=f"^a door that is {lock} and {leaf} cannot meet {event}$"):
                step(state, event)
            continue
        after_lock, at_lock = LOCK[lock].get(event, (lock, Effect.NONE))
        after_leaf, at_leaf = LEAF[leaf].get(event, (leaf, Effect.NONE))
        expected = [effect for effect in (at_lock, at_leaf) if effect is not Effect.NONE]
        assert step(state, event) == (DoorState(after_lock, after_leaf), tuple(expected))


def test_denied__a_release_that_was_not_written() -> None:
    """The relay is released by four steps only: an admission was written, staff's order was written, the exit was asked for, fire."""
    releasing = [(state, event) for state, row in LOCK.items() for event, (_, effect) in row.items() if effect in RELEASES]
    fire = [(state, Event.FIRE_ON) for state in Lock if state not in FIRE | {Lock.STOPPED}]
    written = [(Lock.ADMITTING, Event.WRITTEN), (Lock.ADMITTING, Event.OFFICE_ON), (Lock.OFFICE_ADMITTING, Event.OFFICE_ON)]
    assert sorted(releasing) == sorted([(Lock.LOCKED, Event.EXIT), *written, *fire])


def test_denied__an_admission_that_is_not_written() -> None:
    """A door comes to admit by a grant, and then the first thing is to write; a door that admits already takes no other grant."""
    grants = [(state, effect) for state, row in LOCK.items() for event, (_, effect) in row.items() if event is Event.GRANT]
    assert grants == [(Lock.LOCKED, Effect.WRITE), (Lock.OFFICE, Effect.WRITE), (Lock.FIRE, Effect.WRITE)]
    entering = {event for state, row in LOCK.items() for event, (then, _) in row.items() if state not in ADMITTING and then in ADMITTING}
    assert entering == {Event.GRANT}


def test_denied__a_release_after_the_stop() -> None:
    """From stopped no path leads out, and nothing is done any more."""
    assert reached_from(Lock.STOPPED) == {Lock.STOPPED}
    assert {effect for _, effect in LOCK[Lock.STOPPED].values()} == {Effect.NONE}


@pytest.mark.parametrize("state", Lock)
def test_granted__stop_and_lock_at_any_time(state: Lock) -> None:
    """Every state can be stopped and told to lock, and neither releases; both drive the relay off, unless there is fire or it is gone."""
    is_spared = state in FIRE | {Lock.STOPPED}
    assert LOCK[state][Event.STOP] == (Lock.STOPPED, Effect.NONE if is_spared else Effect.RELOCK)
    assert LOCK[state][Event.LOCK][1] == (Effect.NONE if is_spared else Effect.RELOCK)


@pytest.mark.parametrize("state", Lock)
def test_denied__an_outcome_that_is_late(state: Lock) -> None:
    """An outcome of what was under way is always understood by a stopped door, and opens nothing."""
    stopped, _ = step(DoorState(state), Event.STOP)
    for event in (Event.WRITTEN, Event.OFFICE_ON, Event.WRITE_FAILED, Event.PULSE_ENDED, Event.RELAY_FAILED, Event.FIRE_ON, Event.EXIT):
        assert step(stopped, event) == (stopped, ())


@pytest.mark.parametrize("state", sorted(ADMITTING))
def test_granted__what_was_begun_can_be_ended_whatever_happened_meanwhile(state: Lock) -> None:
    """An admission that is being written is still ended after fire, its end, the office's end, an order to lock, the exit and the stop."""
    outcomes = {Event.WRITTEN, Event.WRITE_FAILED, Event.OFFICE_ON}
    assert outcomes <= set(LOCK[state])
    assert all(outcomes <= set(LOCK[then]) for event, (then, _) in LOCK[state].items() if event not in outcomes)


def test_granted__every_state_can_come_about() -> None:
    """No state of a door that begins locked is unreachable, and every state has its row."""
    assert reached_from(Lock.LOCKED) == set(Lock) == set(LOCK)
    assert {then for row in LEAF.values() for then, _ in row.values()} == set(Leaf) == set(LEAF)


@given(events)
def test_denied__locking_against_fire(told: list[Event]) -> None:
    """Whatever a door is told: between fire and its end, or its own stop, no effect locks."""
    for before, event, then, effects in lived(told):
        if before.lock in FIRE and then.lock in FIRE:
            assert not LOCKS & set(effects)
        if before.lock in FIRE and then.lock not in FIRE:
            assert event in (Event.FIRE_OFF, Event.STOP)
            assert event is Event.FIRE_OFF or not LOCKS & set(effects)
        assert (before.lock not in FIRE and then.lock in FIRE) == (event is Event.FIRE_ON and then.lock is not Lock.STOPPED)


@given(events)
def test_denied__releasing_without_a_reason(told: list[Event]) -> None:
    """Whatever a door is told: each release is for a grant that was written since, for the exit, or for fire, and each grant opens once."""
    is_granted = False
    for _, event, _, effects in lived(told):
        is_granted |= event is Event.GRANT
        if RELEASES & set(effects):
            assert event in (Event.WRITTEN, Event.OFFICE_ON, Event.EXIT, Event.FIRE_ON)
            assert is_granted or event in (Event.EXIT, Event.FIRE_ON)
        is_granted &= event not in (Event.WRITTEN, Event.OFFICE_ON, Event.WRITE_FAILED)


@given(events)
def test_denied__anything_after_the_stop(told: list[Event]) -> None:
    """Whatever a door is told after the stop, it stays stopped and its relay is let alone."""
    steps = lived([*told, Event.STOP, *told])
    at = next(index for index, (_, event, _, _) in enumerate(steps) if event is Event.STOP)
    after = [(then.lock, [effect for effect in effects if not effect.startswith("tell_")]) for _, _, then, effects in steps[at + 1 :]]
    assert after == [(Lock.STOPPED, [])] * len(after)


@given(events)
def test_granted__every_alarm_ends_with_a_word(told: list[Event]) -> None:
    """A door that was held or forced is told secured when it is shut, and nothing else is."""
    for before, event, _, effects in lived(told):
        was_alarm = before.leaf in (Leaf.HELD, Leaf.ALARM, Leaf.FORCED)
        assert (Effect.TELL_SECURED in effects) == (was_alarm and event is Event.SHUT)


@given(events)
def test_denied__a_forced_door_that_is_forgotten(told: list[Event]) -> None:
    """Whatever a forced door is told, it stays forced until it is seen shut, also while its contact is lost."""
    for before, event, then, _ in lived(told):
        if before.leaf is Leaf.FORCED:
            assert then.leaf is (Leaf.SHUT if event is Event.SHUT else Leaf.FORCED)
