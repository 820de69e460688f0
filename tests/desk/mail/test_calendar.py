"""The calendar file: right over a change of clocks, corrected by a move, taken out by a cancel."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import icalendar
import pytest

from agent.core.booking import BookingState
from agent.core.tour import Window
from agent.desk.office.calendar import tour_ics
from agent.desk.records import Booking
from agent.settings.desk import CommunitySettings
from tests.desk.mail.made import LINK, SPANISH, WINDOW, booking, community

LA = ZoneInfo("America/Los_Angeles")


def same(text: str) -> str:
    """The catalogue of English."""
    return text


def event(
    made: Booking,
    place: CommunitySettings | None = None,
    **values: Any,  # noqa: ANN401 - an argument of tour_ics
) -> tuple[Any, Any]:
    """The file as a calendar reads it, and the one entry in it."""
    content = tour_ics(made, place or community(), manage_url=LINK, **{"translate": same, **values})
    file = icalendar.Calendar.from_ical(content)
    (entry,) = file.walk("VEVENT")
    return file, entry


@pytest.mark.parametrize(("month", "day", "offset_h"), [(10, 31, -7), (11, 1, -8), (3, 8, -7), (3, 7, -8)])
def test_ok__the_wall_clock_is_right_on_both_sides_of_a_change_of_clocks(month: int, day: int, offset_h: int) -> None:
    """A tour at 3 PM is at 3 PM in the property's zone, whether summer time rules or not."""
    start = datetime(2026, month, day, 15, tzinfo=LA)
    assert start.utcoffset() == timedelta(hours=offset_h)
    start_ms = int(start.timestamp() * 1000)
    _, entry = event(booking(window=Window(start_ms, start_ms + 1_800_000)))
    assert entry["DTSTART"].dt == start
    assert entry["DTEND"].dt == start + timedelta(minutes=30)
    assert entry["DTSTART"].to_ical().endswith(b"Z")


def test_ok__it_says_where_and_how_with_the_prospects_link() -> None:
    """The entry alone leads to the door, to the code and to a person."""
    _, entry = event(booking())
    assert entry["SUMMARY"] == "Self-guided tour of Juniper Flats"
    assert entry["LOCATION"] == "Juniper Flats, 12 Juniper Street, Springfield, CA 90000"
    assert entry["URL"] == LINK
    words = str(entry["DESCRIPTION"])
    for expected in (LINK, "Main entrance: Hold the code to the reader; left of the door.", "Units: 101", "+1 555 0100"):
        assert expected in words
    assert "annex" not in words


def test_ok__an_alarm_rings_an_hour_before() -> None:
    """The prospect is reminded in time to set out."""
    _, entry = event(booking())
    (alarm,) = entry.walk("VALARM")
    assert (alarm["ACTION"], alarm["TRIGGER"].dt) == ("DISPLAY", timedelta(hours=-1))


def test_ok__a_move_keeps_the_entry_and_counts_up() -> None:
    """A calendar replaces an entry by one of the same UID with a higher SEQUENCE."""
    before, after = booking(), booking(changed_ms=booking().changed_ms + 60_000, window=Window(WINDOW.start_ms + 1, WINDOW.end_ms + 1))
    (_, old), (_, new) = event(before), event(after)
    assert old["UID"] == new["UID"] == "tour-00112233445566aa@tours.example.com"
    assert new["SEQUENCE"] > old["SEQUENCE"] >= 0


def test_ok__another_booking_is_another_entry() -> None:
    """Two tours of the same prospect stand side by side."""
    assert event(booking())[1]["UID"] != event(booking(booking_id="ffffffffffffffff"))[1]["UID"]


@pytest.mark.parametrize("state", [BookingState.CANCELLED, BookingState.SUPERSEDED])
def test_ok__a_cancel_takes_the_entry_out(state: BookingState) -> None:
    """A dead tour leaves the calendar, and no alarm rings for it."""
    file, entry = event(booking(state=state, changed_ms=booking().changed_ms + 60_000), organizer="tours@example.com")
    assert (file["METHOD"], entry["STATUS"]) == ("CANCEL", "CANCELLED")
    assert entry["UID"] == event(booking())[1]["UID"]
    assert entry["SEQUENCE"] > event(booking())[1]["SEQUENCE"]
    assert not entry.walk("VALARM")
    assert str(entry["ORGANIZER"]) == "mailto:tours@example.com"


def test_ok__a_live_tour_is_published() -> None:
    """It is an entry to keep, and asks nobody for an answer."""
    file, entry = event(booking(), organizer="tours@example.com")
    assert (file["METHOD"], entry["STATUS"], file["VERSION"]) == ("PUBLISH", "CONFIRMED", "2.0")
    assert "ATTENDEE" not in entry
    assert entry["DTSTAMP"].dt.utcoffset() == timedelta(0)


def test_ok__it_speaks_the_prospects_language() -> None:
    """The sentences come from the catalogue that is passed in."""
    _, entry = event(booking(language="es"), translate=lambda text: SPANISH.get(text, text))
    assert entry["SUMMARY"] == "Visita autoguiada de Juniper Flats"
    assert entry.walk("VALARM")[0]["DESCRIPTION"] == "Su visita autoguiada comienza en una hora."


def test_refused__a_name_with_line_breaks_makes_no_line_of_its_own() -> None:
    """What stands in the configuration or in a unit's name cannot add a property to the file."""
    place = community().model_copy(update={"name": 'Flats\r\nATTENDEE:mailto:x@example.com";CN=x', "address": "1 Way\nX:1"})
    content = tour_ics(booking(unit_names=("1\r\nX-Y:1",)), place, manage_url=LINK, translate=same, organizer="tours@example.com")
    names = {line.split(b":")[0].split(b";")[0] for line in content.split(b"\r\n") if not line.startswith(b" ")}
    assert not names & {b"ATTENDEE", b"X", b"X-Y"}
    assert b"\n" not in content.replace(b"\r\n", b"")
    icalendar.Calendar.from_ical(content)


def test_ok__no_line_is_too_long_and_letters_survive() -> None:
    """Lines are folded at 75 octets (RFC 5545, 3.1), also in the midst of letters of several."""
    place = community(name="Añoranza " * 8, address="Größe 🏠 " * 20)
    content = tour_ics(booking(), place, manage_url=LINK, translate=same)
    assert all(len(line) <= 75 for line in content.split(b"\r\n"))
    assert event(booking(), place)[1]["LOCATION"] == f"{place.name}, {place.address}"


def test_refused__neither_name_nor_address_of_the_prospect_is_in_it() -> None:
    """Calendars are shared: what is in them is of the property, but for the link."""
    content = tour_ics(booking(), community(), manage_url=LINK, translate=same).decode()
    assert not [word for word in ("Ann", "Lee", "ann@", "555010012") if word in content.replace("\r\n ", "")]
