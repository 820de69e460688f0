"""The decision: promise P4 and P5 in every combination of facts. Its times have a file of their own."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.clock import Interval
from agent.core.codes import Unread
from agent.core.decide import AntiPassback, Denied, Facts, Granted, Presence, Rules, UncertainClock, decide
from agent.core.hours import DailyHours, Hours
from agent.core.reasons import Reason
from agent.core.tour import RosterEntry, Standing, TourCode

GRACE_MS = 60_000
HOUR_MS = 3_600_000
LIMIT = 2


def rules_for(code: TourCode, policy: UncertainClock = UncertainClock.REFUSE) -> Rules:
    """A minute of grace on both sides, two admissions a door, no uncertainty tolerated."""
    return Rules(code.community_id, GRACE_MS, GRACE_MS, LIMIT, policy, 0)


def at(code: TourCode, shift_ms: int = 0) -> Interval:
    """An instant that is so much after the tour's start."""
    return Interval(code.window.start_ms + shift_ms, code.window.start_ms + shift_ms)


def entry_of(code: TourCode, standing: Standing = Standing.CONFIRMED, code_id: str | None = None) -> RosterEntry:
    """What the roster says of the code's appointment."""
    return RosterEntry(code.appointment_id, standing, code_id)


def test_granted__a_code_that_nobody_told_the_door_of(code: TourCode) -> None:
    """A genuine code in its window opens without a roster, for the code alone says enough."""
    assert decide(code, Facts("front", at(code)), rules_for(code)) == Granted(code)


@pytest.mark.parametrize("door", ["front", "gym", "pool"])
def test_granted__each_door_that_the_code_names(code: TourCode, door: str) -> None:
    """A code opens each of its doors, the first and the last."""
    many = replace(code, doors=("front", "gym", "pool"))
    assert decide(many, Facts(door, at(many)), rules_for(many)) == Granted(many)


@pytest.mark.parametrize("door", ["", "fron", "front2", "Front", "gym"])
def test_denied__a_door_that_the_code_does_not_name(code: TourCode, door: str) -> None:
    """No other door opens, however alike its name."""
    assert decide(code, Facts(door, at(code)), rules_for(code)) == Denied(Reason.WRONG_DOOR, code)


@pytest.mark.parametrize("community", ["", "1001", "100120", "010012", " 10012", "10012 "])
def test_denied__another_community(code: TourCode, community: str) -> None:
    """A code of another community opens nothing here, however alike the ids."""
    assert decide(code, Facts("front", at(code)), replace(rules_for(code), community_id=community)) == Denied(Reason.WRONG_COMMUNITY, code)


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("is_locked_out", [False, True])
def test_denied__what_could_not_be_read(code: TourCode, reason: Reason, is_locked_out: bool) -> None:
    """What is no code of ours is refused with its own reason, or as locked out while the reader is, and names no code."""
    facts = Facts("front", at(code), entry_of(code), 0, is_locked_out)
    assert decide(Unread(reason), facts, rules_for(code)) == Denied(Reason.LOCKED_OUT if is_locked_out else reason, None, None)


@pytest.mark.parametrize(
    ("standing", "alive", "reason"),
    [
        (Standing.CONFIRMED, "ffffffffffff", Reason.SUPERSEDED),
        (Standing.SUPERSEDED, None, Reason.SUPERSEDED),
        (Standing.SUPERSEDED, "0123456789ab", Reason.SUPERSEDED),
        (Standing.SUPERSEDED, "ffffffffffff", Reason.SUPERSEDED),
        (Standing.CANCELLED, None, Reason.CANCELLED),
        (Standing.CANCELLED, "0123456789ab", Reason.CANCELLED),
        (Standing.CANCELLED, "ffffffffffff", Reason.CANCELLED),
    ],
)
def test_denied__a_dead_code(code: TourCode, standing: Standing, alive: str | None, reason: Reason) -> None:
    """What the roster calls cancelled, moved or replaced stays shut in the middle of its window, under any policy."""
    for policy in UncertainClock:
        facts = Facts("front", at(code), entry_of(code, standing, alive))
        assert decide(code, facts, rules_for(code, policy)) == Denied(reason, code)


@pytest.mark.parametrize("standing", Standing)
@pytest.mark.parametrize("other", ["4821197", "482119730", "048211973", "x"])
def test_granted__an_entry_of_another_appointment_is_ignored(code: TourCode, standing: Standing, other: str) -> None:
    """What the roster says of somebody else's tour changes nothing, however alike the ids."""
    facts = Facts("front", at(code), RosterEntry(other, standing, "ffffffffffff"))
    assert decide(code, facts, rules_for(code)) == Granted(code)


@pytest.mark.parametrize(
    ("admissions", "limit", "is_open"),
    [(0, 1, True), (1, 1, False), (2, 1, False), (4, 5, True), (5, 5, False), (6, 5, False), (0, 0, False), (10**9, 5, False)],
)
def test_denied__a_code_that_is_used_up(code: TourCode, admissions: int, limit: int, is_open: bool) -> None:
    """A code opens a door as often as the rules allow and not once more."""
    decision = decide(code, Facts("front", at(code), admissions_here=admissions), replace(rules_for(code), admissions_per_door=limit))
    assert decision == (Granted(code) if is_open else Denied(Reason.USED_UP, code))


def test_denied__every_combination_in_the_order_of_the_questions(code: TourCode) -> None:
    """Of all that is wrong with a code the first of these is said: community, door, cancelled, moved, used up, and last the time."""
    opens_ms, closes_ms = code.window.start_ms - GRACE_MS, code.window.end_ms + GRACE_MS
    times = {
        Interval(opens_ms, opens_ms): None,
        Interval(opens_ms, closes_ms): None,
        Interval(opens_ms - 9, opens_ms - 1): Denied(Reason.TOO_EARLY, code, opens_ms),
        Interval(closes_ms + 1, closes_ms + 9): Denied(Reason.TOO_LATE, code, closes_ms),
        Interval(opens_ms - 1, opens_ms): Denied(Reason.CLOCK_UNCERTAIN, code),
    }
    seen: dict[str, int] = {}
    for standing, alive, used, door, community, is_locked_out, now in itertools.product(
        [None, *Standing],
        [None, code.code_id, "ffffffffffff"],
        range(LIMIT + 2),
        ["front", "gym"],
        [code.community_id, "10013"],
        [False, True],
        times,
    ):
        entry = None if standing is None else entry_of(code, standing, alive)
        is_replaced = standing is Standing.SUPERSEDED or (standing is Standing.CONFIRMED and alive == "ffffffffffff")
        questions = [
            Denied(Reason.WRONG_COMMUNITY, code) if community == "10013" else None,
            Denied(Reason.WRONG_DOOR, code) if door == "gym" else None,
            Denied(Reason.CANCELLED, code) if standing is Standing.CANCELLED else None,
            Denied(Reason.SUPERSEDED, code) if is_replaced else None,
            Denied(Reason.USED_UP, code) if used >= LIMIT else None,
            times[now],
        ]
        expected = next((answer for answer in questions if answer is not None), Granted(code))
        facts = Facts(door, now, entry, used, is_locked_out)
        assert decide(code, facts, replace(rules_for(code), community_id=community)) == expected, facts
        name = expected.reason if isinstance(expected, Denied) else "granted"
        seen[name] = seen.get(name, 0) + 1
    assert set(seen) == {
        "granted", "wrong_community", "wrong_door", "cancelled", "superseded", "used_up", "too_early", "too_late", "clock_uncertain",
    }  # fmt: skip
    assert seen["granted"] == 2 * 2 * 2 * (3 + 2)
    assert sum(seen.values()) == 4 * 3 * 4 * 2 * 2 * 2 * 5


closed_days = st.frozensets(st.dates(date(1, 1, 1), date(9999, 12, 31)), max_size=3)
numbers = st.one_of(st.integers(-3, 3), st.integers(-(10**20), 10**20))


@settings(deadline=None)
@given(
    ends=st.tuples(numbers, numbers).map(sorted),
    entry=st.none()
    | st.builds(
        RosterEntry,
        st.sampled_from(["48211973", "x"]),
        st.sampled_from(Standing),
        st.none() | st.from_regex(r"[0-9a-f]{12}", fullmatch=True),
    ),
    admissions=numbers,
    rules=st.builds(
        Rules,
        st.sampled_from(["10012", ""]),
        numbers,
        numbers,
        numbers,
        st.sampled_from(UncertainClock),
        numbers,
        numbers,
        st.sampled_from(AntiPassback),
        numbers,
        st.just({}) | st.builds(lambda closed: {"front": Hours(UTC, (DailyHours(frozenset({3}), 60, 90),), closed)}, closed_days),
    ),
    lasts=st.tuples(st.none() | numbers, st.none() | st.builds(Presence, st.sampled_from(["front", "gym"]), numbers)),
    door=st.sampled_from(["front", ""]),
    unread=st.sampled_from(Reason),
    flags=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_denied__arbitrary_facts_raise_nothing(
    *,
    code: TourCode,
    ends: list[int],
    entry: RosterEntry | None,
    admissions: int,
    rules: Rules,
    door: str,
    unread: Reason,
    lasts: tuple[int | None, Presence | None],
    flags: tuple[bool, bool, bool],
) -> None:
    """The decision is total: any facts and rules, even senseless ones, are granted or denied for a reason."""
    is_locked_out, is_read, is_exit = flags
    now = Interval(ends[0], ends[1])
    facts = Facts(door, now, entry, admissions, is_locked_out, last_ms=lasts[0], presence=lasts[1], is_exit=is_exit)
    decision = decide(code if is_read else Unread(unread), facts, rules)
    if isinstance(decision, Granted):
        assert is_read
        assert decision.code == code
        assert (door, rules.community_id) == ("front", "10012")
        assert is_exit or admissions < rules.admissions_per_door
        assert not (is_exit and decision.is_passback)
        assert ends[0] <= code.window.end_ms + rules.grace_after_ms
        assert ends[1] >= code.window.start_ms - rules.grace_before_ms
    else:
        assert decision.reason in Reason
        assert decision.code == (code if is_read else None)
