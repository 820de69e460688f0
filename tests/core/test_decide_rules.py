"""The site's own rules in the decision: a door's hours, the pause before coming in again, anti-passback, and the way out."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.clock import FAR_FUTURE_MS, Interval
from agent.core.codes import Unread
from agent.core.decide import AntiPassback, Denied, Facts, Granted, Presence, Rules, UncertainClock, decide
from agent.core.hours import DailyHours, Hours
from agent.core.reasons import Reason
from agent.core.tour import RosterEntry, Standing, TourCode

ANGELES = ZoneInfo("America/Los_Angeles")
MINUTE_MS, HOUR_MS, DAY_MS = 60_000, 3_600_000, 86_400_000
REFUSE, ADMIT = UncertainClock.REFUSE, UncertainClock.ADMIT
OFF, SOFT, HARD = AntiPassback
PAUSE_MS, MEMORY_MS = 30_000, 2 * HOUR_MS
EVERY_DAY = frozenset(range(7))
BEFORE_FOUR = Hours(ANGELES, (DailyHours(EVERY_DAY, 9 * 60, 15 * 60 + 45),))
"""Shuts at 3:45 PM, in the middle of the tour."""


@pytest.fixture
def rules(code: TourCode) -> Rules:
    """Two admissions, a second of uncertainty tolerated, and none of the site's own rules."""
    return Rules(code.community_id, 0, 0, 2, REFUSE, 1000)


def in_the(code: TourCode, after_ms: int = 10 * MINUTE_MS, wide_ms: int = 0, door: str = "front") -> Facts:
    """So much after the tour's start, up to so much later."""
    at_ms = code.window.start_ms + after_ms
    return Facts(door, Interval(at_ms, at_ms + wide_ms))


# --- hours ---


def test_granted__hours_are_the_doors_own(code: TourCode, rules: Rules) -> None:
    """Each door has its hours, and one without is open at any time."""
    many = replace(code, doors=("front", "gym", "pool"))
    kept = replace(rules, hours={"front": BEFORE_FOUR, "gym": Hours(ANGELES, (DailyHours(EVERY_DAY, 0, 60),))})
    said = {door: decide(many, in_the(many, door=door), kept) for door in many.doors}
    tomorrow_ms = many.window.start_ms + 8 * HOUR_MS + 30 * MINUTE_MS
    assert said == {"front": Granted(many), "gym": Denied(Reason.OUT_OF_HOURS, many, tomorrow_ms), "pool": Granted(many)}
    assert datetime.fromtimestamp(tomorrow_ms / 1000, ANGELES).isoformat() == "2026-04-01T00:00:00-07:00"


def closing_ms(code: TourCode) -> int:
    """3:45 PM on the day of the tour."""
    local = datetime.fromtimestamp(code.window.start_ms / 1000, ANGELES)
    return round(local.replace(hour=15, minute=45, second=0).timestamp() * 1000)


@pytest.mark.parametrize("policy", UncertainClock)
def test_denied__the_edges_of_the_hours(code: TourCode, rules: Rules, policy: UncertainClock) -> None:
    """The last millisecond is within, the closing time is not, and what is said then is when it opens next."""
    kept = replace(rules, hours={"front": BEFORE_FOUR}, uncertain_clock=policy)
    shuts_ms = closing_ms(code)
    said = [decide(code, Facts("front", Interval(at_ms, at_ms)), kept) for at_ms in (shuts_ms - 1, shuts_ms)]
    assert said == [Granted(code), Denied(Reason.OUT_OF_HOURS, code, shuts_ms - 6 * HOUR_MS - 45 * MINUTE_MS + DAY_MS)]


def test_denied__an_uncertain_clock_at_either_edge_of_the_hours(code: TourCode, rules: Rules) -> None:
    """Up to the tolerated width an interval over an edge lets in; a wider one goes by the policy; what is shut throughout never does."""
    early = replace(code, window=replace(code.window, start_ms=closing_ms(code) - 8 * HOUR_MS, end_ms=closing_ms(code) + 2 * HOUR_MS))
    shuts_ms, opens_ms = closing_ms(code), closing_ms(code) - 6 * HOUR_MS - 45 * MINUTE_MS
    for begins_ms, (width, policy, expected) in itertools.product(
        (opens_ms - 1, shuts_ms - 1),
        [
            (1000, REFUSE, Granted(early)),
            (1001, REFUSE, Denied(Reason.CLOCK_UNCERTAIN, early)),
            (1000, ADMIT, Granted(early)),
            (1001, ADMIT, Granted(early)),
        ],
    ):
        kept = replace(rules, hours={"front": BEFORE_FOUR}, uncertain_clock=policy)
        assert decide(early, Facts("front", Interval(begins_ms, begins_ms + width)), kept) == expected
    for policy in UncertainClock:
        kept = replace(rules, hours={"front": BEFORE_FOUR}, uncertain_clock=policy)
        shut = [Interval(opens_ms - 2000, opens_ms - 1), Interval(shuts_ms, shuts_ms + HOUR_MS)]
        said = [decide(early, Facts("front", now), kept) for now in shut]
        assert said == [Denied(Reason.OUT_OF_HOURS, early, opens_ms), Denied(Reason.OUT_OF_HOURS, early, opens_ms + DAY_MS)]


def test_denied__only_the_part_of_now_in_which_the_code_is_good_is_asked(code: TourCode, rules: Rules) -> None:
    """A door that lost its clock knows that a tour of the night is none within the hours of the day, and that one of the noon is."""
    kept = replace(rules, uncertain_clock=ADMIT, hours={"front": Hours(ANGELES, (DailyHours(EVERY_DAY, 15 * 60 + 50, 18 * 60),))})
    now = Interval(code.window.start_ms - 30 * DAY_MS, FAR_FUTURE_MS)
    assert decide(code, Facts("front", now), kept) == Granted(code)
    shut = replace(kept, hours={"front": Hours(ANGELES, (DailyHours(EVERY_DAY, 17 * 60, 18 * 60),))})
    opens_ms = closing_ms(code) + HOUR_MS + 15 * MINUTE_MS
    assert decide(code, Facts("front", now), shut) == Denied(Reason.OUT_OF_HOURS, code, opens_ms)


def test_denied__a_closed_day_is_told_from_a_late_hour(code: TourCode, rules: Rules) -> None:
    """On a closed day the day is the reason, whatever the hour; and a door that is never open names no time."""
    today = date(2026, 3, 31)
    opens_ms = closing_ms(code) - 6 * HOUR_MS - 45 * MINUTE_MS + DAY_MS
    for tables in (BEFORE_FOUR.tables, (DailyHours(EVERY_DAY, 9 * 60, 10 * 60),)):
        kept = replace(rules, hours={"front": Hours(ANGELES, tables, frozenset({today}))})
        assert decide(code, in_the(code), kept) == Denied(Reason.CLOSED_DAY, code, opens_ms)
    never = frozenset(date.fromordinal(today.toordinal() + days) for days in range(500))
    assert decide(code, in_the(code), replace(rules, hours={"front": Hours(ANGELES, (), never)})) == Denied(Reason.CLOSED_DAY, code, None)


# --- the pause ---


@pytest.mark.parametrize("policy", UncertainClock)
@pytest.mark.parametrize(
    ("passed_ms", "is_open"),
    [(0, False), (1, False), (PAUSE_MS - 1, False), (PAUSE_MS, True), (PAUSE_MS + 1, True), (DAY_MS, True), (-1, False), (-PAUSE_MS, True)],
)
def test_denied__coming_in_again_too_soon(code: TourCode, rules: Rules, passed_ms: int, is_open: bool, policy: UncertainClock) -> None:
    """Until the pause is over the same door stays shut; what a wrong clock wrote far ahead keeps nobody out."""
    facts = in_the(code)
    last_ms = facts.now.earliest_ms - passed_ms
    said = decide(code, replace(facts, last_ms=last_ms), replace(rules, reentry_pause_ms=PAUSE_MS, uncertain_clock=policy))
    assert said == (Granted(code) if is_open else Denied(Reason.REENTRY_PAUSE, code, last_ms + PAUSE_MS))


def test_denied__an_uncertain_clock_at_the_pauses_end(code: TourCode, rules: Rules) -> None:
    """Perhaps over: tolerated up to the width, then by the policy; surely not over, however wide."""
    kept = replace(rules, reentry_pause_ms=PAUSE_MS)
    for before_ms, wide_ms, policy, expected in [
        (1, 1000, REFUSE, Granted(code)),
        (1, 1001, REFUSE, Denied(Reason.CLOCK_UNCERTAIN, code)),
        (1, 1001, ADMIT, Granted(code)),
        (0, 1001, REFUSE, Granted(code)),
        (2000, 1999, ADMIT, Denied(Reason.REENTRY_PAUSE, code)),
    ]:
        facts = in_the(code, wide_ms=wide_ms)
        again_ms = facts.now.earliest_ms + before_ms
        if isinstance(expected, Denied) and expected.reason is Reason.REENTRY_PAUSE:
            expected = replace(expected, time_ms=again_ms)  # noqa: PLW2901 - now its time is known
        said = decide(code, replace(facts, last_ms=again_ms - PAUSE_MS), replace(kept, uncertain_clock=policy))
        assert said == expected, (before_ms, wide_ms, policy)


@pytest.mark.parametrize("last_ms", [None, 0])
def test_granted__without_a_last_time_or_a_pause(code: TourCode, rules: Rules, last_ms: int | None) -> None:
    """Who was never in waits for nothing, and without a pause nobody does, in the very same instant and with any clock."""
    assert decide(code, replace(in_the(code), last_ms=last_ms), replace(rules, reentry_pause_ms=PAUSE_MS)) == Granted(code)
    for wide_ms in (0, 5 * MINUTE_MS):
        facts = in_the(code, wide_ms=wide_ms)
        for last in (facts.now.earliest_ms, facts.now.latest_ms, facts.now.earliest_ms + wide_ms // 2):
            assert decide(code, replace(facts, last_ms=last), rules) == Granted(code)


# --- anti-passback ---


@pytest.mark.parametrize(
    ("mode", "by", "passed_ms", "said"),
    [
        (OFF, "gym", 0, "granted"),
        (SOFT, "gym", 0, "noted"),
        (SOFT, "gym", MEMORY_MS - 1, "noted"),
        (SOFT, "gym", MEMORY_MS, "granted"),
        (SOFT, "front", 0, "granted"),
        (HARD, "gym", 0, "refused"),
        (HARD, "gym", MEMORY_MS - 1, "refused"),
        (HARD, "gym", MEMORY_MS, "granted"),
        (HARD, "gym", -MEMORY_MS, "granted"),
        (HARD, "front", 0, "granted"),
        (HARD, None, 0, "granted"),
    ],
)
@pytest.mark.parametrize("policy", UncertainClock)
def test_denied__a_code_that_is_in_already(
    *, code: TourCode, rules: Rules, mode: AntiPassback, by: str | None, passed_ms: int, said: str, policy: UncertainClock
) -> None:
    """Off asks nothing, soft lets in and says so, hard refuses; by the same door it is no passback, and after its time it is forgotten."""
    facts = in_the(code)
    presence = None if by is None else Presence(by, facts.now.earliest_ms - passed_ms)
    kept = replace(rules, antipassback=mode, antipassback_ms=MEMORY_MS, uncertain_clock=policy)
    expected = {"granted": Granted(code), "noted": Granted(code, is_passback=True), "refused": Denied(Reason.PASSBACK, code)}
    assert decide(code, replace(facts, presence=presence), kept) == expected[said]


@pytest.mark.parametrize(
    ("mode", "wide_ms", "policy", "said"),
    [
        (SOFT, 5000, REFUSE, "noted"),
        (HARD, 1000, REFUSE, "noted"),
        (HARD, 1001, REFUSE, "uncertain"),
        (HARD, 1001, ADMIT, "noted"),
    ],
)
def test_denied__perhaps_forgotten(
    *, code: TourCode, rules: Rules, mode: AntiPassback, wide_ms: int, policy: UncertainClock, said: str
) -> None:
    """Where the clock cannot say whether it is forgotten the policy decides, and whoever is let in so is noted."""
    facts = in_the(code, wide_ms=wide_ms)
    presence = Presence("gym", facts.now.earliest_ms - MEMORY_MS + 1)
    kept = replace(rules, antipassback=mode, antipassback_ms=MEMORY_MS, uncertain_clock=policy)
    expected = {"noted": Granted(code, is_passback=True), "uncertain": Denied(Reason.CLOCK_UNCERTAIN, code)}
    assert decide(code, replace(facts, presence=presence), kept) == expected[said]


# --- the way out ---


def leaving(code: TourCode, **other: object) -> Facts:
    """At the reader on the inner side, with everything against coming in: used up, just now, by another door, out of hours."""
    facts = in_the(code)
    known = {"admissions_here": 99, "last_ms": facts.now.earliest_ms, "presence": Presence("gym", facts.now.earliest_ms)}
    return replace(facts, is_exit=True, **known | other)  # type: ignore[arg-type]  # names of facts


@pytest.fixture
def strict(rules: Rules) -> Rules:
    """Every rule of a site at once, none of which lets in now."""
    never = Hours(ANGELES, (DailyHours(EVERY_DAY, 0, 1),), frozenset({date(2026, 3, 31)}))
    return replace(rules, reentry_pause_ms=PAUSE_MS, antipassback=HARD, antipassback_ms=MEMORY_MS, hours={"front": never})


def test_granted__leaving_is_not_coming_in(code: TourCode, strict: Rules) -> None:
    """Uses, pause, anti-passback and hours keep nobody from going out."""
    assert decide(code, leaving(code), strict) == Granted(code)
    assert isinstance(decide(code, replace(leaving(code), is_exit=False), strict), Denied)


def test_denied__the_way_out_opens_for_no_other_code_than_the_way_in(code: TourCode, strict: Rules) -> None:
    """Forged, elsewhere, cancelled, replaced, early, late, or with a clock that cannot say: shut from within as from without."""
    opens_ms, closes_ms = code.window.start_ms, code.window.end_ms
    dead = RosterEntry(code.appointment_id, Standing.CANCELLED)
    cases: list[tuple[TourCode | Unread, Facts, Rules, Denied]] = [
        (Unread(Reason.BAD_SIGNATURE), leaving(code), strict, Denied(Reason.BAD_SIGNATURE)),
        (Unread(Reason.WRONG_PIN), leaving(code, is_locked_out=True), strict, Denied(Reason.LOCKED_OUT)),
        (code, leaving(code, is_locked_out=True, is_by_pin=True), strict, Denied(Reason.LOCKED_OUT)),
        (code, leaving(code), replace(strict, community_id="2"), Denied(Reason.WRONG_COMMUNITY, code)),
        (code, leaving(code, door="gym"), strict, Denied(Reason.WRONG_DOOR, code)),
        (code, leaving(code, entry=dead), strict, Denied(Reason.CANCELLED, code)),
        (code, leaving(code, entry=replace(dead, standing=Standing.SUPERSEDED)), strict, Denied(Reason.SUPERSEDED, code)),
        (code, leaving(code, now=Interval(0, opens_ms - 1)), strict, Denied(Reason.TOO_EARLY, code, opens_ms)),
        (code, leaving(code, now=Interval(closes_ms + 1, closes_ms + 1)), strict, Denied(Reason.TOO_LATE, code, closes_ms)),
        (code, leaving(code, now=Interval(closes_ms, FAR_FUTURE_MS)), strict, Denied(Reason.CLOCK_UNCERTAIN, code)),
    ]
    assert [decide(presented, facts, kept) for presented, facts, kept, _ in cases] == [expected for *_, expected in cases]


# --- all of them ---


def test_denied__in_the_order_of_the_questions(code: TourCode, rules: Rules) -> None:
    """Of all that keeps a code out the first is said: dead, used up, the window, the hours, the pause, and last being in already."""
    middle = in_the(code).now
    late = Interval(code.window.end_ms + 1, code.window.end_ms + 1)
    closed = Hours(ANGELES, (), frozenset({date(2026, 3, 31)}))
    opens_ms = closing_ms(code) + 8 * HOUR_MS + 15 * MINUTE_MS
    last_ms = middle.latest_ms - 1
    seen = set()
    for is_dead, uses, now, hours, is_paused, is_in in itertools.product(
        [False, True], [1, 2], [middle, late], [None, closed], [False, True], [False, True]
    ):
        facts = Facts(
            "front",
            now,
            RosterEntry(code.appointment_id, Standing.CANCELLED) if is_dead else None,
            uses,
            last_ms=last_ms if is_paused else None,
            presence=Presence("gym", last_ms) if is_in else None,
        )
        kept = replace(
            rules,
            hours={} if hours is None else {"front": hours},
            reentry_pause_ms=DAY_MS,
            antipassback=HARD,
            antipassback_ms=DAY_MS,
        )
        questions = [
            Denied(Reason.CANCELLED, code) if is_dead else None,
            Denied(Reason.USED_UP, code) if uses == 2 else None,
            Denied(Reason.TOO_LATE, code, code.window.end_ms) if now is late else None,
            Denied(Reason.CLOSED_DAY, code, opens_ms) if hours else None,
            Denied(Reason.REENTRY_PAUSE, code, last_ms + DAY_MS) if is_paused else None,
            Denied(Reason.PASSBACK, code) if is_in else None,
        ]
        expected = next((answer for answer in questions if answer is not None), Granted(code))
        assert decide(code, facts, kept) == expected, facts
        seen.add(expected.reason if isinstance(expected, Denied) else None)
    assert len(seen) == 7


marks = st.integers(-50, 50)


@settings(deadline=None, max_examples=400)
@given(
    begins=marks,
    wide=st.integers(0, 30),
    last=st.none() | marks,
    pause=st.integers(0, 40),
    since=st.none() | marks,
    memory=st.integers(1, 40),
    mode=st.sampled_from(AntiPassback),
    policy=st.sampled_from(UncertainClock),
    tolerated=st.integers(0, 30),
)
def test_granted__pause_and_anti_passback_as_the_counted_instants_say(
    *,
    code: TourCode,
    begins: int,
    wide: int,
    last: int | None,
    pause: int,
    since: int | None,
    memory: int,
    mode: AntiPassback,
    policy: UncertainClock,
    tolerated: int,
) -> None:
    """For each instant that now can be it is counted whether the pause is on and the memory fresh; all, none and some decide."""
    zero = code.window.start_ms + 10 * MINUTE_MS
    instants = range(begins, begins + wide + 1)
    may_guess = wide <= tolerated or policy is ADMIT

    def counted(mark: int | None, lasts: int) -> list[bool]:
        return [mark is not None and abs(instant - mark) < lasts for instant in instants]

    paused, fresh = counted(last, pause), counted(since, memory)
    expected: Granted | Denied = Granted(code)
    if all(paused):
        expected = Denied(Reason.REENTRY_PAUSE, code, zero + (last or 0) + pause)
    elif any(paused) and not may_guess:
        expected = Denied(Reason.CLOCK_UNCERTAIN, code)
    elif mode is SOFT and any(fresh):
        expected = Granted(code, is_passback=True)
    elif mode is HARD and all(fresh):
        expected = Denied(Reason.PASSBACK, code)
    elif mode is HARD and any(fresh):
        expected = Granted(code, is_passback=True) if may_guess else Denied(Reason.CLOCK_UNCERTAIN, code)
    facts = Facts(
        "front",
        Interval(zero + begins, zero + begins + wide),
        last_ms=None if last is None else zero + last,
        presence=None if since is None else Presence("gym", zero + since),
    )
    assert decide(code, facts, Rules(code.community_id, 0, 0, 1, policy, tolerated, pause, mode, memory)) == expected
