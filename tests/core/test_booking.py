"""What each of Knock's answers makes of a booking that was being asked for."""

from __future__ import annotations

import pytest

from agent.core.booking import LIVE, Booked, BookingOutcome, BookingState, Person, state_after
from agent.core.replay import Refused, TryAgain, Unknown


@pytest.mark.parametrize("status", ["CONFIRMED", "confirmed", "Confirmed"])
def test_ok__a_confirmed_appointment_of_a_known_prospect_is_confirmed(status: str) -> None:
    """Knock's word counts in whatever case it comes."""
    assert state_after(Booked("12", status, "5")) is BookingState.CONFIRMED


@pytest.mark.parametrize("status", ["PENDING", "", "CANCELLED", "REQUESTED", "CONFIRMED ", "UNCONFIRMED", "NOT CONFIRMED"])
def test_refused__no_other_word_confirms(status: str) -> None:
    """Whatever else Knock calls an appointment, it waits."""
    booked = Booked("12", status, "5")
    assert not booked.is_confirmed
    assert state_after(booked) is BookingState.PENDING


def test_refused__without_the_prospect_it_waits() -> None:
    """A confirmed appointment of nobody known has no code yet, since its visit could not be told to Knock."""
    assert state_after(Booked("12", "CONFIRMED")) is BookingState.PENDING


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (Refused("400: gone"), BookingState.REFUSED),
        (TryAgain("no connection"), BookingState.UNSENT),
        (Unknown("answer lost"), BookingState.UNKNOWN),
    ],
)
def test_ok__what_knock_did_not_book_is_told_from_what_it_may_have(outcome: BookingOutcome, state: BookingState) -> None:
    """Refused, surely not sent and unknown are three things."""
    assert state_after(outcome) is state


def test_ok__live_is_what_a_prospect_may_come_for() -> None:
    """What is refused, unsent, cancelled or superseded is over."""
    over = {BookingState.UNSENT, BookingState.REFUSED, BookingState.CANCELLED, BookingState.SUPERSEDED}
    assert set(BookingState) - LIVE == over


def test_ok__a_person_is_never_printed() -> None:
    """Neither name nor address nor phone is in the text that a debugger or a log would show."""
    printed = repr(Person("Ada", "Lovelace", "ada@example.com", "+15550100123"))
    assert not any(word in printed for word in ("Ada", "Lovelace", "ada@", "5550100"))
