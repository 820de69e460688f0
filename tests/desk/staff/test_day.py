"""The day's list: which tours there are by door, what became of each, and what waits for a person."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from zoneinfo import ZoneInfo

import pytest

from agent.core.tour import Window
from agent.desk.office import Ingested
from agent.desk.pages.staff_day import Span
from agent.desk.records import JobKind
from tests.desk.pages.site import HOUR_MS, MINUTE_MS, NOON_MS
from tests.desk.staff.office import FIRST_MS, PLACE, StaffSite, rows

LA = ZoneInfo("America/Los_Angeles")


def outcome(site: StaffSite, number: int = 0, row: int = 0) -> str:
    """What the day's list says of a tour at a door."""
    return rows(site.get(PLACE), number)[row][2]


def test_ok__a_day_by_door_in_the_propertys_zone(inside: StaffSite) -> None:
    """Each door lists the tours that it opens for, by time, with first name and units, and the zone is named."""
    inside.booked(1, "Ben", units=("305",))
    inside.booked(0, "Ada")
    page = inside.get(PLACE)
    assert [heading.text for heading in page.main.all("h2")] == ["Main entrance 2 tours", "Annex 1 tour"]
    assert rows(page) == [["12:30 PM \u2013 1:00 PM", "Ada 101", "expected"], ["1:00 PM \u2013 1:30 PM", "Ben 305", "expected"]]
    assert rows(page, 1) == [["1:00 PM \u2013 1:30 PM", "Ben 305", "expected"]]
    assert "All times are Pacific Time" in page.text


def test_refused__a_list_holds_no_contact_and_no_last_name(inside: StaffSite) -> None:
    """What is over the shoulder to be read is the first name; email and phone are on the booking's own page."""
    inside.booked()
    assert not [word for word in ("Lovelace", "p0@", "1310555", "310 555") if word in inside.get(PLACE).text]


def test_ok__what_became_of_a_tour_follows_what_the_doors_tell(inside: StaffSite) -> None:
    """Expected; came; still in past end and grace; left."""
    booking = inside.booked()
    assert outcome(inside) == "expected"
    inside.admit(booking, booking.window.start_ms + 2 * MINUTE_MS)
    inside.admit(booking, booking.window.start_ms + 9 * MINUTE_MS)
    inside.now_ms = booking.window.start_ms + 10 * MINUTE_MS
    assert outcome(inside) == "came came at 12:32 PM · Main entrance"
    inside.now_ms = booking.window.end_ms + 30 * MINUTE_MS
    assert outcome(inside).startswith("came ")
    inside.now_ms += MINUTE_MS
    assert outcome(inside).startswith("still in past the end ")
    inside.run(inside.office.leave(booking.booking_id))
    assert outcome(inside) == "left came at 12:32 PM · Main entrance left at 1:31 PM"


def test_ok__who_comes_back_has_not_left(inside: StaffSite) -> None:
    """Until they say so again: what counts is the last admission and the last word."""
    booking = inside.booked()
    for minutes, do in ((1, "come"), (5, "leave"), (9, "come")):
        inside.now_ms = booking.window.start_ms + minutes * MINUTE_MS
        if do == "come":
            inside.admit(booking, inside.now_ms)
        else:
            inside.run(inside.office.leave(booking.booking_id))
            assert outcome(inside).startswith("left ")
    assert outcome(inside) == "came came at 12:31 PM · Main entrance"
    inside.now_ms += MINUTE_MS
    inside.run(inside.office.leave(booking.booking_id))
    assert outcome(inside) == "left came at 12:31 PM · Main entrance left at 12:40 PM"


def test_ok__who_was_not_admitted_by_the_end_of_the_grace_did_not_come(inside: StaffSite) -> None:
    """Not a minute before."""
    booking = inside.booked()
    inside.now_ms = booking.window.end_ms + 30 * MINUTE_MS
    assert outcome(inside) == "expected"
    inside.now_ms += MINUTE_MS
    assert outcome(inside) == "did not come"


def test_ok__a_cancelled_tour_is_said_to_be_and_a_moved_one_is_where_it_is(inside: StaffSite) -> None:
    """Nobody waits at the old time."""
    cancelled, moved = inside.booked(0, "Ada"), inside.booked(1, "Ben")
    inside.run(inside.office.cancel(cancelled.booking_id))
    inside.run(inside.office.move(moved.booking_id, FIRST_MS + 3 * HOUR_MS, "move"))
    assert [row[:1] + row[2:] for row in rows(inside.get(PLACE))] == [
        ["12:30 PM \u2013 1:00 PM", "cancelled"],
        ["3:30 PM \u2013 4:00 PM", "expected"],
    ]


def test_ok__an_ingested_appointment_stands_there_too(inside: StaffSite) -> None:
    """A vendor's tours have no page of ours, but the list is whole."""
    body = Ingested("77", "1001", Window(FIRST_MS, FIRST_MS + 30 * MINUTE_MS), ("101",), None, "Vera")
    inside.run(inside.office.ingest(["1001"], "v-1", body))
    page = inside.get(PLACE)
    assert rows(page) == [["12:30 PM \u2013 1:00 PM", "Vera 101", "expected"]]
    assert "Vera" not in page.links()


@pytest.mark.parametrize(("asked", "heading"), [("2026-06-02", "Tuesday, June 2, 2026"), ("2026-05-31", "Sunday, May 31, 2026")])
def test_ok__another_day_is_chosen(inside: StaffSite, asked: str, heading: str) -> None:
    """Yesterday and tomorrow are as near as today."""
    inside.booked()
    page = inside.get(f"{PLACE}?day={asked}")
    assert page.heading == heading
    assert not page.main.all("table")
    assert "No tours on this day." in page.text


@pytest.mark.parametrize("asked", ["", "tomorrow", "2026-02-30", "0001-01-01", "9999-12-31", "20260602T00", "2026-06-01'--", "x" * 3000])
def test_refused__a_day_that_is_none_is_today(inside: StaffSite, asked: str) -> None:
    """A link that is damaged shows today."""
    assert inside.get(f"{PLACE}?day={asked}").heading == "Today Monday, June 1"


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 8), 23), (date(2026, 11, 1), 25), (date(2026, 6, 1), 24)])
def test_ok__a_day_ends_where_the_next_begins(day: date, hours: int) -> None:
    """Also when clocks are changed."""
    span = Span.of(day, LA)
    assert span.to_ms - span.from_ms == hours * HOUR_MS
    assert Span.today(LA, span.to_ms - 1) == span
    assert Span.today(LA, span.to_ms).from_ms == span.to_ms


def test_ok__markup_in_a_name_is_text(inside: StaffSite) -> None:
    """It is shown as it was typed, in the list and on the booking's page."""
    name = '<img src=x onerror="alert(1)">'
    booking = inside.booked(0, name)
    assert rows(inside.get(PLACE))[0][1] == f"{name} 101"
    assert inside.tour(booking).heading == f"{name} Lovelace"
    assert not inside.get(PLACE).root.all("img")


def test_ok__what_is_open_stands_above_all(inside: StaffSite) -> None:
    """Unknown bookings and moves, of whatever day, with the way to their page."""
    moved = inside.booked(0, "Ada")
    inside.fault("request", "lost", count=1)
    inside.run(inside.office.move(moved.booking_id, FIRST_MS + HOUR_MS, "move"))
    inside.mend()
    unknown = inside.unknown(4, "Ben")
    page = inside.get(f"{PLACE}?day=2026-06-05")
    assert rows(page) == [
        ["Mon, Jun 1, 12:30 PM", "Ada", "Move to Mon, Jun 1, 1:30 PM: unknown whether Knock has it"],
        ["Mon, Jun 1, 2:30 PM", "Ben", "unknown whether Knock has it"],
    ]
    assert page.links()["Ben"] == f"{PLACE}/tour/{unknown.booking_id}"


def test_ok__the_day_tells_of_dead_letters_and_silent_doors(inside: StaffSite) -> None:
    """Whoever looks at today sees that something else is wrong."""
    booking = inside.booked()
    inside.dead_job(JobKind.MAIL_CONFIRMED, booking.booking_id)
    inside.door({"dead_letters": [{"visit_id": "v", "appointment_id": "1", "words": "no"}]}, seen_ms=NOON_MS - HOUR_MS)
    words = set(inside.get(PLACE).links())
    assert {"2 dead letters wait for you.", "Main entrance was last heard 1 h ago.", "Annex has never been heard."} <= words


def test_ok__several_properties_are_chosen_from_and_kept_apart(make: Callable[..., StaffSite]) -> None:
    """A booking is on its own property's pages only."""
    site = make(communities=({}, {}))
    site.login()
    booking = site.booked()
    assert set(site.get("/staff").links().values()) == {PLACE, "/staff/at/property-1"}
    assert not site.get("/staff/at/property-1").main.all("table")
    site.get(f"/staff/at/property-1/tour/{booking.booking_id}", 404)
    site.tour(booking)


def test_ok__it_speaks_spanish(inside: StaffSite) -> None:
    """The language goes along in every link and form."""
    booking = inside.booked()
    page = inside.get(f"{PLACE}?lang=es")
    assert page.language == "es"
    assert rows(page)[0][2] == "esperada"
    own = [link for link in page.root.all("a") if "hreflang" not in link.attributes and link.attributes["href"].startswith("/")]
    assert own
    assert all("lang=es" in link.attributes["href"] for link in own)
    assert "Send the email again" in inside.tour(booking).text
    assert "Send the email again" not in inside.get(f"{PLACE}/tour/{booking.booking_id}?lang=es").text
