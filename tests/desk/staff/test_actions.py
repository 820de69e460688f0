"""What staff do: each action is done once, leads on to a page that says what came of it, and is in the log without anybody's name."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest

from agent.core.booking import BookingState
from agent.core.tour import Standing
from agent.desk.pages import staff_words
from agent.desk.records import Booking, JobKind
from tests.desk.pages.page import Form, Page
from tests.desk.pages.site import HOUR_MS, MINUTE_MS, NOON_MS
from tests.desk.staff.office import FIRST_MS, NAME, PLACE, StaffSite


def told(page: Page) -> str:
    """What the page says of the action before it."""
    found = [card.text for card in page.main.all("div") if card.attributes.get("role") in {"status", "alert"}]
    return found[0] if found else ""


def kinds(site: StaffSite) -> list[JobKind]:
    """What the desk has to do."""
    return [job.kind for job in site.store.due_jobs(site.now_ms, 100)]


def settled(site: StaffSite, booking: Booking, appointment_id: str, prospect_id: str) -> Page:
    """Settle a booking by hand as booked."""
    form = site.tour(booking).form("It is booked: give out the code")
    return site.send(form.put(appointment_id=appointment_id, prospect_id=prospect_id))


def test_ok__the_booking_has_contact_and_facts_on_its_own_page(inside: StaffSite) -> None:
    """Here, and nowhere else, staff find whom to call."""
    booking = inside.booked()
    page = inside.tour(booking)
    assert page.links()["p0@example.com"] == "mailto:p0@example.com"
    assert page.links()["+13105550000"] == "tel:+13105550000"
    for word in ("Ada Lovelace", "confirmed", "A Website", booking.appointment_id or "?"):
        assert word in page.text


def test_ok__cancel(inside: StaffSite) -> None:
    """The code is dead at once, and Knock and the prospect are told by the queue."""
    booking = inside.booked()
    page = inside.send(inside.tour(booking).form("Yes, cancel it"))
    assert "cancelled" in told(page)
    assert inside.row(booking).state is BookingState.CANCELLED
    appointment = inside.store.appointment(booking.appointment_id or "")
    assert appointment is not None
    assert appointment.standing is Standing.CANCELLED
    assert {JobKind.CANCEL, JobKind.MAIL_CANCELLED} <= set(kinds(inside))
    assert not [form for form in page.main.all("form") if form.all("button")]


def test_ok__move_to_a_free_time(inside: StaffSite) -> None:
    """One of the free times that Knock offers; the old code dies."""
    booking = inside.booked()
    place = inside.tour(booking).links()["Move to another time"]
    form = inside.get(place).form("Move the tour")
    starts = {given.attributes["value"] for given in form.element.all("input", type="radio")}
    assert str(FIRST_MS + HOUR_MS) in starts
    assert str(booking.window.start_ms) not in starts
    page = inside.send(form.put(start=str(FIRST_MS + HOUR_MS)))
    assert told(page) == staff_words.said("moved")[0]  # type: ignore[index]
    moved = inside.row(booking)
    assert moved.window.start_ms == FIRST_MS + HOUR_MS
    assert moved.appointment_id != booking.appointment_id
    assert JobKind.MAIL_MOVED in kinds(inside)


def test_ok__a_form_that_is_sent_twice_moves_once(inside: StaffSite) -> None:
    """A reload asks Knock for nothing."""
    booking = inside.booked()
    form = inside.get(f"{PLACE}/tour/{booking.booking_id}/move").form("Move the tour").put(start=str(FIRST_MS + HOUR_MS))
    inside.send(form)
    inside.send(form)
    assert len(inside.received()) == 2


@pytest.mark.parametrize("start", ["", "soon", "0", "-1", str(FIRST_MS + 7 * MINUTE_MS), "9" * 15, "9" * 400])
def test_refused__a_move_to_no_free_time(inside: StaffSite, start: str) -> None:
    """The tour stands as it was, and the page says so."""
    booking = inside.booked()
    page = inside.send(inside.get(f"{PLACE}/tour/{booking.booking_id}/move").form("Move the tour").put(start=start))
    assert "Nothing was changed" in told(page)
    assert inside.row(booking) == booking


def test_fail__a_move_whose_answer_is_lost_is_said_to_be_open(inside: StaffSite) -> None:
    """Until somebody settles it, the old time and code stand."""
    booking = inside.booked()
    form = inside.get(f"{PLACE}/tour/{booking.booking_id}/move").form("Move the tour").put(start=str(FIRST_MS + HOUR_MS))
    inside.fault("request", "lost", count=1)
    page = inside.send(form)
    assert "has not confirmed it" in told(page)
    assert "What does Knock say?" in page.text
    assert inside.row(booking).window == booking.window


def test_fail__without_knock_there_are_no_free_times_and_the_page_says_so(inside: StaffSite) -> None:
    """Nothing is offered that is not known to be free."""
    booking = inside.booked()
    inside.fault("available-times", "status", status=503)
    page = inside.get(f"{PLACE}/tour/{booking.booking_id}/move", 503)
    assert "Knock cannot be reached" in page.text
    assert not page.main.all("input", type="radio")


def test_ok__resend(inside: StaffSite) -> None:
    """The email is due once more."""
    booking = inside.booked()
    assert kinds(inside).count(JobKind.MAIL_CONFIRMED) == 1
    page = inside.send(inside.tour(booking).form("Send the email again"))
    assert told(page) == "The email is on its way again."
    assert kinds(inside) == [JobKind.MAIL_CONFIRMED]


def test_refused__resend_without_a_mail_server_is_not_offered(make: Callable[..., StaffSite]) -> None:
    """And a form for it from elsewhere says that nothing was sent."""
    site = make(mail=None)
    site.login()
    booking = site.booked()
    page = site.tour(booking)
    assert "Send the email again" not in page.text
    form = page.form("Yes, cancel it")
    form.action = form.action.replace("cancel", "resend")
    assert told(site.send(form)).startswith("No email was sent")


def test_ok__settle_an_unknown_booking_as_booked(inside: StaffSite) -> None:
    """With both ids of Knock's it is confirmed and has a code; who settled it is written down."""
    booking = inside.unknown()
    page = settled(inside, booking, " 4711 ", "77")
    assert "confirmed" in told(page)
    row = inside.row(booking)
    assert (row.state, row.appointment_id, row.prospect_id) == (BookingState.CONFIRMED, "4711", "77")
    assert NAME in row.words
    assert inside.run(inside.office.pass_for(row)) is not None


def test_ok__settle_an_unknown_booking_as_not_booked(inside: StaffSite) -> None:
    """There is no code, and nothing is left to settle."""
    booking = inside.unknown()
    page = inside.send(inside.tour(booking).form("It is not booked in Knock"))
    assert inside.row(booking).state is BookingState.REFUSED
    assert "What does Knock say?" not in page.text
    assert "Needs a person" not in inside.get(PLACE).text


@pytest.mark.parametrize("word", ["It is booked: give out the code", "It is not booked in Knock"])
def test_ok__settle_a_move(inside: StaffSite, word: str) -> None:
    """Booked: the new window and another code. Not booked: the old tour stands."""
    booking = inside.booked()
    inside.fault("request", "lost", count=1)
    inside.run(inside.office.move(booking.booking_id, FIRST_MS + HOUR_MS, "move"))
    form = inside.tour(booking).form(word)
    is_booked = word.startswith("It is booked")
    inside.send(form.put(appointment_id="4711", prospect_id="77") if is_booked else form)
    row = inside.row(booking)
    assert row.state is BookingState.CONFIRMED
    assert row.move_state is None
    assert row.window.start_ms == (FIRST_MS + HOUR_MS if is_booked else booking.window.start_ms)


@pytest.mark.parametrize(
    ("appointment_id", "prospect_id"), [("", "77"), ("47 11", "77"), ("x" * 41, "77"), ("4711", "ü"), ("4711\x00", "77")]
)
def test_refused__settle_with_what_is_no_id(inside: StaffSite, appointment_id: str, prospect_id: str) -> None:
    """An empty field is never taken for "not booked"."""
    booking = inside.unknown()
    page = settled(inside, booking, appointment_id, prospect_id)
    assert told(page).startswith("Those ids cannot be used")
    assert inside.row(booking).state is BookingState.UNKNOWN


def test_refused__settle_with_another_tours_id(inside: StaffSite) -> None:
    """Two prospects cannot share one appointment."""
    other, booking = inside.booked(0, "Ada"), inside.unknown(4, "Ben")
    assert told(settled(inside, booking, other.appointment_id or "", "77")).startswith("Those ids cannot be used")
    assert inside.row(booking).state is BookingState.UNKNOWN


def test_refused__settle_what_is_settled_or_with_no_outcome(inside: StaffSite) -> None:
    """Two members at one booking: the second is told."""
    booking = inside.unknown()
    form = inside.tour(booking).form("It is not booked in Knock")
    assert told(inside.send(form.put(outcome="perhaps"))).startswith("Those ids")
    inside.send(form.put(outcome="not_booked"))
    assert told(inside.send(form)).startswith("There is nothing to settle")


def test_refused__nothing_is_offered_for_a_tour_that_is_over(inside: StaffSite) -> None:
    """And a form from before says that it is too late."""
    booking = inside.booked()
    form = inside.tour(booking).form("Yes, cancel it")
    inside.now_ms = booking.window.end_ms + 30 * MINUTE_MS - 1
    assert "Yes, cancel it" in inside.tour(booking).text
    inside.now_ms += 1
    page = inside.send(form)
    assert "is over" in told(page)
    assert inside.row(booking).state is BookingState.CONFIRMED
    assert "Move to another time" not in page.text
    assert "Yes, cancel it" not in page.text


def test_ok__a_dead_letter_of_the_desk_is_tried_again(inside: StaffSite) -> None:
    """It shows what it is, of whom and why, and is due after the press of a button."""
    booking = inside.booked()
    job_id = inside.dead_job(JobKind.MAIL_CONFIRMED, booking.booking_id)
    page = inside.get(f"{PLACE}/letters")
    assert "Email with the code the mail server refuses the address (550 5.1.1) 1 try · Ada, Mon, Jun 1, 12:30 PM" in page.text
    after = inside.send(page.form("Try again"))
    assert told(after) == "It is being tried again now."
    assert not after.main.all("form")
    assert [job.job_id for job in inside.store.due_jobs(inside.now_ms, 10)] == [job_id]


@pytest.mark.parametrize("job_id", ["", "-1", "x", "9" * 15, "9" * 300, "٣"])
def test_refused__a_letter_that_is_none(inside: StaffSite, job_id: str) -> None:
    """The page says that it is gone."""
    booking = inside.booked()
    inside.dead_job(JobKind.MAIL_CONFIRMED, booking.booking_id)
    page = inside.send(inside.get(f"{PLACE}/letters").form("Try again").put(job_id=job_id))
    assert told(page).startswith("It is not there any more")
    assert len(inside.store.dead_jobs("1001")) == 1


LETTERS = [{"visit_id": f"v{number}", "appointment_id": f"90{number}", "words": f"words <{number}>"} for number in range(3)]


def test_ok__a_dead_visit_of_a_door_is_an_order_to_the_door(inside: StaffSite) -> None:
    """It is shown as asked until the door says that it has done it."""
    inside.door({"dead_letters": LETTERS}, seen_ms=NOON_MS)
    page = inside.get(f"{PLACE}/letters")
    assert "Visit of appointment 901 words <1>" in page.text
    forms = [Form(form) for form in page.main.all("form") if form.all("input", value="v1")]
    after = inside.send(forms[0])
    assert told(after).startswith("The door was asked")
    assert after.text.count("asked, waiting for the door") == 1
    (order,) = inside.store.orders("1001", "front")
    assert (order.do, order.visit_ids) == ("outbox_retry", ("v1",))
    inside.send(after.form("Try all of them again"))
    assert [order.visit_ids for order in inside.store.orders("1001", "front")] == [("v1",), ("v0", "v2")]


@pytest.mark.parametrize("visit_id", ["v9", "x" * 300, "*"])
def test_refused__an_order_for_a_visit_that_no_door_told_of(inside: StaffSite, visit_id: str) -> None:
    """Doors are asked for nothing but what they offered."""
    inside.door({"dead_letters": LETTERS[:1]}, seen_ms=NOON_MS)
    page = inside.send(inside.get(f"{PLACE}/letters").form("Try again").put(visit_id=visit_id))
    assert told(page).startswith("It is not there any more")
    assert not inside.store.orders("1001", "front")


def test_ok__how_fresh_each_door_is(inside: StaffSite) -> None:
    """Last heard, changes that it lacks, its clock, its outbox and its version; a door that never was heard says so."""
    inside.booked(0, "Ada")
    has = inside.store.last_seq()
    inside.booked(1, "Ben")
    report = {"version": "1.2.3", "clock": {"state": "holding"}, "outbox": {"due": 2, "dead": 0}, "dead_letters": []}
    inside.door(report, seen_ms=NOON_MS - 12_000, applied=has)
    page = inside.get(f"{PLACE}/doors")
    front, annex = (section.text for section in page.main.all("section"))
    for words in ("12 s ago", "behind by 1 change", "not synchronised now, still good", "2 waiting", "1.2.3"):
        assert words in front
    assert "has no token" in annex
    inside.door(door="annex")
    assert "never been heard" in inside.get(f"{PLACE}/doors").main.all("section")[1].text


def test_refused__a_revoked_token_is_not_shown(inside: StaffSite) -> None:
    """What it told last is nobody's word any more."""
    inside.door({"version": "9.9.9", "dead_letters": LETTERS}, seen_ms=NOON_MS)
    inside.store.revoke_door("t0", NOON_MS)
    assert "9.9.9" not in inside.get(f"{PLACE}/doors").text
    assert "Visit of appointment" not in inside.get(f"{PLACE}/letters").text


@pytest.mark.parametrize(
    "report", ["", "[]", "{", '{"clock": 5, "outbox": [1], "version": {}, "dead_letters": {"a": 1}}', '{"dead_letters": [1, null, {}]}']
)
def test_ok__a_report_of_another_shape_breaks_no_page(inside: StaffSite, report: str) -> None:
    """A door of another version is shown with what can be read."""
    inside.door(seen_ms=NOON_MS)
    inside.store.door_seen("t0", NOON_MS, None, report)
    for page in ("", "/doors", "/letters"):
        inside.get(f"{PLACE}{page}")


def test_ok__an_unknown_code_in_the_address_says_nothing(inside: StaffSite) -> None:
    """Nobody can make a page of ours say something."""
    for code in ("<b>hello</b>", "not-hello", "hello", "not-"):
        page = inside.get(f"{PLACE}?said={code}")
        assert told(page) == ""
        assert "hello" not in page.main.text


def test_ok__every_action_is_in_the_log_without_a_person(inside: StaffSite, caplog: pytest.LogCaptureFixture) -> None:
    """Who did what to which booking, and what came of it; no name, address, phone, token or mark."""
    caplog.set_level(logging.INFO, "tourlatch")
    booking, open_one = inside.booked(0, "Adalbertine"), inside.unknown(4, "Benedetta")
    inside.send(inside.tour(booking).form("Send the email again"))
    inside.send(inside.tour(booking).form("Yes, cancel it"))
    inside.send(inside.tour(open_one).form("It is not booked in Knock"))
    facts: list[dict[str, Any]] = [record.facts for record in caplog.records if record.message == "staff_action"]  # type: ignore[attr-defined]
    assert [(one["who"], one["did"], one["subject"], one["came_of_it"]) for one in facts] == [
        (NAME, "resend", booking.booking_id, "resent"),
        (NAME, "cancel", booking.booking_id, "cancelled"),
        (NAME, "settle", open_one.booking_id, "not-booked"),
    ]
    written = json.dumps([[record.message, getattr(record, "facts", {})] for record in caplog.records])
    secrets = (
        "Adalbertine",
        "Benedetta",
        "Lovelace",
        "example.com",
        "1310555",
        inside.cookie,
        inside.office.secrets.manage_token(booking.booking_id),
    )
    assert not [word for word in secrets if word in written]
