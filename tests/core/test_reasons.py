"""Promise P8: every refusal explains itself to the machine, the prospect and the operator."""

from __future__ import annotations

import string
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.reasons import EXPLANATIONS, Circumstance, Reason, for_operator, for_prospect
from agent.core.tour import LATEST_TOUR_MS

HALF_PAST_THREE_MS = 1_774_996_200_000
"""3:30 PM in Los Angeles on Tuesday, March 31, 2026."""
HOUR_MS = 3_600_000
ANGELES = ZoneInfo("America/Los_Angeles")
FULL = Circumstance(ANGELES, "(206) 555-0134", HALF_PAST_THREE_MS - HOUR_MS, HALF_PAST_THREE_MS, ("front", "gym"))
BARE = Circumstance(ANGELES, "", HALF_PAST_THREE_MS)


def placeholders(sentence: str) -> list[str]:
    """The names in braces."""
    return [name for _, name, _, _ in string.Formatter().parse(sentence) if name is not None]


def test_granted__every_reason_is_explained() -> None:
    """The table has every reason once, under a code for machines that is never renamed."""
    assert list(EXPLANATIONS) == list(Reason)
    assert [reason.value for reason in Reason] == [
        "unreadable", "unknown_key", "retired_key", "bad_signature", "wrong_pin", "wrong_community", "wrong_door", "too_early", "too_late",
        "cancelled", "superseded", "used_up", "out_of_hours", "closed_day", "reentry_pause", "passback", "clock_uncertain", "locked_out",
        "busy", "store_failed", "relay_failed",
    ]  # fmt: skip


@pytest.mark.parametrize("reason", Reason)
def test_granted__both_sentences_are_sentences(reason: Reason) -> None:
    """Each reason has a sentence for the prospect that ends in whom to call, and one for the operator that does not."""
    explanation = EXPLANATIONS[reason]
    assert placeholders(explanation.prospect)[-1] == "call"
    assert explanation.prospect.endswith((". {call}", ". {opening} {call}"))
    assert set(placeholders(explanation.prospect)) <= {"call", "time", "again", "opening", "doors"}
    assert set(placeholders(explanation.operator)) <= {"time", "again", "opening", "doors"}
    assert explanation.operator.endswith((".", ". {opening}"))
    assert explanation.operator[0].isupper()
    assert explanation.prospect[0].isupper()


@pytest.mark.parametrize("reason", Reason)
@pytest.mark.parametrize("circumstance", [FULL, BARE], ids=["full", "bare"])
def test_granted__every_placeholder_is_filled(reason: Reason, circumstance: Circumstance) -> None:
    """No brace is left, no blank doubled or trailing, and the number to call is there exactly if there is one."""
    prospect, operator = for_prospect(reason, circumstance), for_operator(reason, circumstance)
    for sentence in (prospect, operator):
        assert not set("{}") & set(sentence)
        assert sentence == " ".join(sentence.split())
        assert sentence.endswith(".")
    assert prospect.endswith("Help: (206) 555-0134.") == bool(circumstance.phone)
    assert ("Help" in prospect) == bool(circumstance.phone)
    assert "Help" not in operator


@pytest.mark.parametrize("form", ["prospect", "operator"])
def test_granted__no_two_reasons_sound_the_same(form: str) -> None:
    """An operator can tell every reason from every other; a prospect all but the two faults of the door."""
    sentences = [getattr(explanation, form) for explanation in EXPLANATIONS.values()]
    faults = 1 if form == "prospect" else 0
    assert len(set(sentences)) == len(Reason) - faults


def test_denied__what_counts_as_guessing() -> None:
    """Only what nobody holds by mistake counts towards a lockout: no genuine code does, however early, late or cancelled."""
    assert [reason for reason in Reason if EXPLANATIONS[reason].is_guess] == [
        Reason.UNREADABLE,
        Reason.UNKNOWN_KEY,
        Reason.BAD_SIGNATURE,
        Reason.WRONG_PIN,
        Reason.LOCKED_OUT,
    ]


@pytest.mark.parametrize(
    ("reason", "prospect", "operator"),
    [
        (
            Reason.TOO_EARLY,
            "You are early. This code opens the door from 3:30 PM. Help: (206) 555-0134.",
            "The code is used before its window and grace begin, at 3:30 PM.",
        ),
        (
            Reason.TOO_LATE,
            "This code stopped working at 3:30 PM. Book a new time on the website. Help: (206) 555-0134.",
            "The code is used after its window and grace ended, at 3:30 PM.",
        ),
        (
            Reason.WRONG_DOOR,
            "This code opens another door: front or gym. Help: (206) 555-0134.",
            "The code is genuine, but not for this door; it opens front or gym.",
        ),
        (
            Reason.OUT_OF_HOURS,
            "This door does not let tours in at this time of the day. The next tours are let in from 3:30 PM. Help: (206) 555-0134.",
            "The code is good, but the time is outside of this door's hours. The next tours are let in from 3:30 PM.",
        ),
        (
            Reason.CLOSED_DAY,
            "There are no tours at this door today. The next tours are let in from 3:30 PM. Help: (206) 555-0134.",
            "The code is good, but the day is one of those on which this door is closed. The next tours are let in from 3:30 PM.",
        ),
        (
            Reason.REENTRY_PAUSE,
            "This code opened this door a moment ago. It opens it again from 3:30 PM. Help: (206) 555-0134.",
            "The code was used at this door so shortly before that the rules ask for a pause, until 3:30 PM.",
        ),
    ],
)
def test_granted__a_sentence_with_its_facts(reason: Reason, prospect: str, operator: str) -> None:
    """The time that helps is told in the property's zone, and the doors by name."""
    assert (for_prospect(reason, FULL), for_operator(reason, FULL)) == (prospect, operator)


def test_granted__a_time_on_another_day_comes_with_its_day() -> None:
    """Whoever is a day early reads the day as well."""
    yesterday = Circumstance(ANGELES, "", HALF_PAST_THREE_MS - 24 * HOUR_MS, HALF_PAST_THREE_MS)
    assert for_prospect(Reason.TOO_EARLY, yesterday) == "You are early. This code opens the door from Tuesday, March 31 at 3:30 PM."


def test_granted__sentences_without_facts() -> None:
    """A time or door that is not known is paraphrased."""
    assert for_prospect(Reason.TOO_LATE, BARE) == "This code stopped working at its time. Book a new time on the website."
    assert for_prospect(Reason.WRONG_DOOR, BARE) == "This code opens another door: none here."


@pytest.mark.parametrize("reason", [Reason.OUT_OF_HOURS, Reason.CLOSED_DAY])
def test_granted__a_door_that_never_opens_says_so(reason: Reason) -> None:
    """Where no opening is known none is paraphrased, and nobody is sent home to wait for one."""
    assert for_prospect(reason, BARE) == EXPLANATIONS[reason].prospect.removesuffix("{opening} {call}") + "No other time is set."
    assert for_operator(reason, BARE).endswith(". No other time is set.")


@pytest.mark.parametrize(("late_ms", "said"), [(-60_000, "3:29 PM"), (-59_999, "3:30 PM"), (-1, "3:30 PM"), (0, "3:30 PM"), (1, "3:31 PM")])
def test_granted__a_pause_of_seconds_is_rounded_up(late_ms: int, said: str) -> None:
    """Whoever comes back in the minute that was named does not wait again."""
    circumstance = Circumstance(ANGELES, "", HALF_PAST_THREE_MS - HOUR_MS, HALF_PAST_THREE_MS + late_ms)
    assert for_prospect(Reason.REENTRY_PAUSE, circumstance).endswith(f" from {said}.")


def test_granted__a_phone_with_braces_is_only_text() -> None:
    """What the settings hold is shown as it stands and never looked into."""
    odd = Circumstance(UTC, "{time} {0} %s", 0, 0, ("{doors}",))
    assert for_prospect(Reason.WRONG_DOOR, odd) == "This code opens another door: {doors}. Help: {time} {0} %s."


@settings(deadline=None)
@given(
    reason=st.sampled_from(Reason),
    now_ms=st.integers(0, LATEST_TOUR_MS),
    time_ms=st.none() | st.integers(-12 * HOUR_MS, LATEST_TOUR_MS + 12 * HOUR_MS),
    zone=st.sampled_from(["UTC", "America/Los_Angeles", "Pacific/Kiritimati", "Pacific/Niue", "Australia/Lord_Howe", "Asia/Kathmandu"]),
)
def test_granted__every_time_that_a_tour_can_have_can_be_said(reason: Reason, now_ms: int, time_ms: int | None, zone: str) -> None:
    """No window with its grace, and no zone, is beyond words."""
    circumstance = Circumstance(ZoneInfo(zone), "", now_ms, time_ms)
    assert for_prospect(reason, circumstance)
    assert for_operator(reason, circumstance)
