"""Promise P6 in the decision: for sure inside, for sure outside, and what lies between, against an oracle that counts instants."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from agent.core.clock import FAR_FUTURE_MS, Interval
from agent.core.decide import Denied, Facts, Granted, Rules, UncertainClock, decide
from agent.core.reasons import Reason
from agent.core.tour import TourCode, Window

REFUSE, ADMIT = UncertainClock.REFUSE, UncertainClock.ADMIT
windows = st.builds(lambda start, lasts: Window(start, start + lasts), st.integers(0, 60), st.integers(1, 40))
graces = st.integers(0, 20)
intervals = st.builds(lambda earliest, lasts: Interval(earliest, earliest + lasts), st.integers(-60, 160), st.integers(0, 90))
policies = st.sampled_from(UncertainClock)
tolerances = st.integers(0, 90)
SURE = {Reason.TOO_EARLY, Reason.TOO_LATE}


def rules_of(code: TourCode, before: int, after: int, policy: UncertainClock, tolerated: int = 0) -> Rules:
    """Rules that leave only the time in question."""
    return Rules(code.community_id, before, after, 1, policy, tolerated)


def told(decision: Granted | Denied) -> Reason | None:
    """The reason of a refusal, or None."""
    return decision.reason if isinstance(decision, Denied) else None


@settings(deadline=None, max_examples=500)
@given(window=windows, before=graces, after=graces, now=intervals, policy=policies, tolerated=tolerances)
def test_granted__as_the_counted_instants_say(
    *, code: TourCode, window: Window, before: int, after: int, now: Interval, policy: UncertainClock, tolerated: int
) -> None:
    """Inside for all instants opens, outside for all is early or late, and what lies between is up to tolerance and policy."""
    toured = replace(code, window=window)
    is_inside = []
    for instant in range(now.earliest_ms, now.latest_ms + 1):
        to_come, gone = window.start_ms - instant, instant - window.end_ms
        is_inside.append(to_come <= before and gone <= after)
    expected: Granted | Denied
    if all(is_inside):
        expected = Granted(toured)
    elif not any(is_inside):
        is_early = now.latest_ms < window.start_ms
        expected = (
            Denied(Reason.TOO_EARLY, toured, window.start_ms - before)
            if is_early
            else Denied(Reason.TOO_LATE, toured, window.end_ms + after)
        )
    elif len(is_inside) - 1 <= tolerated or policy is ADMIT:
        expected = Granted(toured)
    else:
        expected = Denied(Reason.CLOCK_UNCERTAIN, toured)
    assert decide(toured, Facts("front", now), rules_of(code, before, after, policy, tolerated)) == expected


@settings(deadline=None)
@given(
    after=graces,
    late=st.integers(1, 10**12),
    width=st.integers(0, FAR_FUTURE_MS),
    policy=policies,
    tolerated=st.integers(0, 10**15),
    before=graces,
)
def test_denied__expired_for_sure_under_any_policy(
    *, code: TourCode, after: int, late: int, width: int, policy: UncertainClock, tolerated: int, before: int
) -> None:
    """What has ended for sure is never let in, however much uncertainty a site tolerates, nor is what has not begun for sure."""
    rules = rules_of(code, before, after, policy, tolerated)
    closes_ms, opens_ms = code.window.end_ms + after, code.window.start_ms - before
    expired = Interval(closes_ms + late, closes_ms + late + width)
    assert decide(code, Facts("front", expired), rules) == Denied(Reason.TOO_LATE, code, closes_ms)
    to_come = Interval(opens_ms - late - width, opens_ms - late)
    assert decide(code, Facts("front", to_come), rules) == Denied(Reason.TOO_EARLY, code, opens_ms)


@pytest.mark.parametrize("policy", UncertainClock)
def test_denied__the_very_edges(code: TourCode, policy: UncertainClock) -> None:
    """Both edges of window and grace are inside, and one millisecond beyond either is not."""
    opens_ms, closes_ms = code.window.start_ms - 900_000, code.window.end_ms + 1_800_000
    rules = rules_of(code, 900_000, 1_800_000, policy, tolerated=60_000)
    expected = {
        opens_ms - 1: Denied(Reason.TOO_EARLY, code, opens_ms),
        opens_ms: Granted(code),
        code.window.start_ms: Granted(code),
        code.window.end_ms: Granted(code),
        closes_ms: Granted(code),
        closes_ms + 1: Denied(Reason.TOO_LATE, code, closes_ms),
    }
    assert {instant: decide(code, Facts("front", Interval(instant, instant)), rules) for instant in expected} == expected


def test_denied__the_edges_of_the_tolerance(code: TourCode) -> None:
    """An interval over an edge is good enough up to the tolerated width, and one millisecond wider goes by the policy."""
    opens_ms, closes_ms = code.window.start_ms, code.window.end_ms
    tolerated, wider = 1000, 1001
    for earliest_ms in (opens_ms - 1, closes_ms):
        for width, policy, expected in [
            (tolerated, REFUSE, Granted(code)),
            (wider, REFUSE, Denied(Reason.CLOCK_UNCERTAIN, code)),
            (tolerated, ADMIT, Granted(code)),
            (wider, ADMIT, Granted(code)),
        ]:
            now = Interval(earliest_ms, earliest_ms + width)
            assert decide(code, Facts("front", now), rules_of(code, 0, 0, policy, tolerated)) == expected


def test_denied__a_touch_of_the_edge_is_uncertain(code: TourCode) -> None:
    """An interval that touches the window by one instant is neither early nor late: the clock is uncertain."""
    for now in (Interval(0, code.window.start_ms), Interval(code.window.end_ms, FAR_FUTURE_MS), Interval(0, FAR_FUTURE_MS)):
        assert decide(code, Facts("front", now), rules_of(code, 0, 0, REFUSE)) == Denied(Reason.CLOCK_UNCERTAIN, code)
        assert decide(code, Facts("front", now), rules_of(code, 0, 0, ADMIT)) == Granted(code)


def test_denied__a_door_that_lost_its_clock(code: TourCode) -> None:
    """A door that knows only the earliest lets in by policy before the end, and after it never."""
    for policy, early in [(REFUSE, Denied(Reason.CLOCK_UNCERTAIN, code)), (ADMIT, Granted(code))]:
        rules = rules_of(code, 0, 0, policy, tolerated=3_600_000)
        assert decide(code, Facts("front", Interval(code.window.end_ms, FAR_FUTURE_MS)), rules) == early
        ended = decide(code, Facts("front", Interval(code.window.end_ms + 1, FAR_FUTURE_MS)), rules)
        assert ended == Denied(Reason.TOO_LATE, code, code.window.end_ms)


@settings(deadline=None)
@given(
    window=windows,
    before=graces,
    after=graces,
    narrow=intervals,
    more=st.tuples(st.integers(0, 60), st.integers(0, 60)),
    policy=policies,
    tolerated=tolerances,
)
def test_denied__knowing_less_of_the_time(
    *,
    code: TourCode,
    window: Window,
    before: int,
    after: int,
    narrow: Interval,
    more: tuple[int, int],
    policy: UncertainClock,
    tolerated: int,
) -> None:
    """Knowing less never makes early of late or late of early, nor a sure refusal of a grant; knowing more keeps whatever was sure."""
    toured = replace(code, window=window)
    wide = Interval(narrow.earliest_ms - more[0], narrow.latest_ms + more[1])
    rules = rules_of(code, before, after, policy, tolerated)
    by_narrow, by_wide = (told(decide(toured, Facts("front", now), rules)) for now in (narrow, wide))
    if by_narrow in SURE:
        assert by_wide not in SURE - {by_narrow}
    else:
        assert by_wide not in SURE
    if by_wide in SURE:
        assert by_narrow == by_wide
    strict = rules_of(code, before, after, REFUSE)
    if told(decide(toured, Facts("front", wide), strict)) is None:
        assert told(decide(toured, Facts("front", narrow), strict)) is None


@settings(deadline=None)
@given(window=windows, before=graces, after=graces, now=intervals, tolerated=tolerances, more=graces)
def test_denied__a_stricter_rule_opens_no_more(
    *, code: TourCode, window: Window, before: int, after: int, now: Interval, tolerated: int, more: int
) -> None:
    """Refusing instead of admitting, tolerating less and less grace never open what was shut."""
    toured = replace(code, window=window)
    loose = rules_of(code, before + more, after + more, ADMIT, tolerated + more)
    assume(told(decide(toured, Facts("front", now), loose)) is not None)
    for strict in (
        replace(loose, uncertain_clock=REFUSE),
        replace(loose, tolerated_ms=tolerated),
        replace(loose, grace_before_ms=before),
        replace(loose, grace_after_ms=after),
    ):
        assert told(decide(toured, Facts("front", now), strict)) is not None
