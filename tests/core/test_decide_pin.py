"""PINs in the one decision: a PIN is decided as the code that it stands for, and during a lockout no PIN opens."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.core.clock import FAR_FUTURE_MS, Interval
from agent.core.codes import Unread
from agent.core.decide import Denied, Facts, Granted, Rules, UncertainClock, decide
from agent.core.reasons import EXPLANATIONS, Reason
from agent.core.tour import RosterEntry, Standing, TourCode

RULES = Rules("10012", 60_000, 60_000, admissions_per_door=2, uncertain_clock=UncertainClock.REFUSE, tolerated_ms=1000)


@pytest.fixture
def facts(code: TourCode) -> Facts:
    """A PIN in the middle of its tour, at its door, of a confirmed appointment."""
    middle_ms = (code.window.start_ms + code.window.end_ms) // 2
    entry = RosterEntry(code.appointment_id, Standing.CONFIRMED, code.code_id)
    return Facts("front", Interval(middle_ms, middle_ms), entry, is_by_pin=True)


def test_granted__a_pin_in_its_window(code: TourCode, facts: Facts) -> None:
    """What opens for the code opens for its PIN."""
    assert decide(code, facts, RULES) == Granted(code)


def test_denied__a_pin_is_refused_for_whatever_its_code_is(code: TourCode, facts: Facts) -> None:
    """Every refusal of a genuine code is the PIN's, too: place, life, uses and time."""
    entry = facts.entry
    assert entry is not None
    early, late = code.window.start_ms - 60_001, code.window.end_ms + 60_001
    changed = {
        Reason.WRONG_COMMUNITY: (replace(code, community_id="2"), facts),
        Reason.WRONG_DOOR: (code, replace(facts, door="gym")),
        Reason.CANCELLED: (code, replace(facts, entry=replace(entry, standing=Standing.CANCELLED))),
        Reason.SUPERSEDED: (code, replace(facts, entry=replace(entry, code_id="ffffffffffff"))),
        Reason.USED_UP: (code, replace(facts, admissions_here=2)),
        Reason.TOO_EARLY: (code, replace(facts, now=Interval(early, early))),
        Reason.TOO_LATE: (code, replace(facts, now=Interval(late, late))),
        Reason.CLOCK_UNCERTAIN: (code, replace(facts, now=Interval(early, FAR_FUTURE_MS))),
    }
    for reason, (presented, known) in changed.items():
        denied = decide(presented, known, RULES)
        assert isinstance(denied, Denied)
        assert (denied.reason, denied.code) == (reason, presented)
        assert denied == decide(presented, replace(known, is_by_pin=False), RULES), "a PIN and its code are refused alike"


def test_denied__a_pin_of_nobodys_is_a_guess(facts: Facts) -> None:
    """It is called wrong, and counts towards a lockout."""
    assert decide(Unread(Reason.WRONG_PIN), facts, RULES) == Denied(Reason.WRONG_PIN)
    assert EXPLANATIONS[Reason.WRONG_PIN].is_guess


def test_denied__during_a_lockout_a_right_pin_sounds_like_a_wrong_one(code: TourCode, facts: Facts) -> None:
    """Whoever guesses on during a lockout learns nothing: same reason, no appointment, whatever the PIN stands for."""
    locked = replace(facts, is_locked_out=True)
    right, wrong = decide(code, locked, RULES), decide(Unread(Reason.WRONG_PIN), locked, RULES)
    early = decide(code, replace(locked, now=Interval(0, 0)), RULES)
    assert right == wrong == early == Denied(Reason.LOCKED_OUT)


def test_granted__during_a_lockout_a_tour_code_still_opens(code: TourCode, facts: Facts) -> None:
    """Nobody guesses a signature: the next honest prospect is not shut out."""
    assert decide(code, replace(facts, is_locked_out=True, is_by_pin=False), RULES) == Granted(code)
