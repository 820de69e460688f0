"""The page of one tour: each state with its next step, the pass, its files, and links that open nothing."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest
import zxingcpp
from PIL import Image

from agent.core.booking import BookingState
from agent.core.tour import Window
from tests.desk.pages.page import Page
from tests.desk.pages.site import HOST, HOUR_MS, MINUTE_MS, START_MS, Site

Make = Callable[..., Site]


def test_ok__the_pass(site: Site) -> None:
    """A confirmed tour shows all that is needed at the door: code, PIN, time with zone, when it opens, address, doors, units, phone."""
    form = site.form().add("unit", "305")
    page = site.send(form)
    ticket = page.main.one("article")
    assert ticket.one("p", class_="when").text == "Tuesday, June 2 10:00 AM \u2013 10:30 AM"
    assert "Pacific Time" in ticket.text
    assert "1420 Alder Street, Seattle, WA 98101" in ticket.text
    assert "Code and PIN open the door from 9:45 AM to 11:00 AM." in page.main.text
    assert "you may come 15 minutes early, and come in again until 30 minutes after the end" in page.main.text
    doors = page.main.one("ul", class_="doors").all("li")
    assert [door.text for door in doors] == ["Main entrance On Alder Street.", "Annex"]
    assert "305" in page.main.text
    assert page.links()["(206) 555-0199"] == "tel:2065550199"
    assert {"Save the code as an image", "Add to your calendar", "Print it", "Move to another time", "Cancel the tour"} <= set(page.links())


def test_ok__the_pin_is_read_digit_by_digit(site: Site) -> None:
    """The PIN stands in two groups for eyes, and as single digits for a screen reader, each hidden from the other."""
    path = site.book()
    held = site.run(site.office.pass_for(site.booking(path)))
    pin = site.get(path).main.one("p", class_="pin")
    seen, heard = pin.all("span")
    assert seen.text == f"{held.pin[:4]} {held.pin[4:]}"
    assert seen.attributes["aria-hidden"] == "true"
    assert heard.text == f"PIN: {' '.join(held.pin)}"


def test_ok__the_code_is_black_on_white(site: Site) -> None:
    """The square is an SVG in the page, black on white of its own, with a name; a reader reads the picture file as the code."""
    path = site.book()
    held = site.run(site.office.pass_for(site.booking(path)))
    square = site.get(path).main.one("div", role="img")
    assert square.attributes["aria-label"]
    ground, modules = square.one("svg").all("path")
    assert ground.attributes["fill"] == "#fff"
    assert modules.attributes["stroke"] == "#000"
    answer = site.client.get(f"{path}/code.png")
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-disposition"] == 'attachment; filename="tour-code.png"'
    (read,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(answer.content)))
    assert read.text == held.code_text


def test_ok__calendar_file(site: Site) -> None:
    """The calendar file is of this tour, in the page's language, and does not hold the code or the PIN."""
    path = site.book()
    held = site.run(site.office.pass_for(site.booking(path)))
    answer = site.client.get(f"{path}/tour.ics?lang=es")
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    text = answer.text.replace("\r\n ", "")
    assert "DTSTART:20260602T170000Z" in text
    assert "Visita por su cuenta a Juniper Flats" in text
    assert f"https://{HOST}{path}" in text
    assert held.pin not in text
    assert held.code_text not in text


def test_ok__print_view(site: Site) -> None:
    """The print view has all that is needed at the door; its button is hidden until there is script to press it."""
    path = site.book()
    page = site.get(f"{path}/print")
    held = site.run(site.office.pass_for(site.booking(path)))
    assert page.main.one("div", role="img").all("svg")
    assert f"{held.pin[:4]} {held.pin[4:]}" in page.main.text
    assert "On Alder Street." in page.main.text
    assert "hidden" in page.main.one("button").attributes
    assert page.links()["Back to your tour"] == path


def test_ok__without_grace_none_is_promised(make: Make) -> None:
    """Where the door knows no grace, the page promises none."""
    site = make(communities=({"grace_before_min": 0, "grace_after_min": 0},))
    page = site.get(site.book())
    assert "Code and PIN open the door from 10:00 AM to 10:30 AM." in page.main.text
    assert "early" not in page.main.text


def test_ok__a_pass_over_midnight_names_both_days(make: Make) -> None:
    """Where the code works on two days, both are named."""
    site = make(knock={"opening": "09:00-24:00"})
    page = site.get(site.book("2026-06-02T23:30:00-07:00"))
    assert "from Tuesday, June 2, 11:15 PM to Wednesday, June 3, 12:30 AM" in page.main.text


def test_ok__being_asked_for(site: Site) -> None:
    """While Knock is being asked the page says so and looks again by itself, with and without script."""
    page = site.get(site.put(BookingState.ASKING))
    assert page.heading == "One moment, please"
    (refresh,) = page.root.one("noscript").all("meta")
    assert refresh.attributes == {"http-equiv": "refresh", "content": "3"}
    assert page.main.all("div", data_look_again="3")


def test_ok__unknown(site: Site) -> None:
    """When it is not known whether it is booked, the page says what to do and whom to call, shows no code, and lets choose again."""
    site.fault("request", "lost")
    page = site.send(site.form())
    assert page.heading == "We could not tell whether it is booked"
    assert "Do not worry." in page.main.text
    assert page.links()["(206) 555-0199"] == "tel:2065550199"
    assert page.links()["Choose a time again"] == "/juniper-flats/times"
    assert not page.main.all("svg")
    assert not page.root.all("noscript")


def test_ok__pending(site: Site) -> None:
    """What the property has yet to confirm is said to be so, and has no code."""
    site.fault("request", "form", booking_status="PENDING")
    page = site.send(site.form())
    assert page.heading == "Waiting for the property"
    assert not page.main.all("svg")
    assert "I do not want the tour any more" in page.links()


@pytest.mark.parametrize(
    ("state", "heading", "step"),
    [
        (BookingState.UNSENT, "Nothing was booked", "Choose a new time"),
        (BookingState.REFUSED, "This tour was not booked", "Choose a new time"),
        (BookingState.CANCELLED, "Your tour is cancelled", "Choose a new time"),
        (BookingState.SUPERSEDED, "You have a newer booking", "Choose a new time"),
    ],
)
def test_ok__what_is_not_booked_has_a_next_step(site: Site, state: BookingState, heading: str, step: str) -> None:
    """A tour that is none any more has no code and no PIN, and a way on."""
    path = site.put(state)
    page = site.get(path)
    assert page.heading == heading
    assert page.links()[step] == "/juniper-flats/times"
    assert not page.main.all("svg")
    assert not page.main.all("p", class_="pin")
    assert site.client.get(f"{path}/code.png").status_code == 404


def test_ok__booked_again_the_earlier_is_superseded(site: Site) -> None:
    """The page of the earlier booking says that there is a newer one, and its code is gone."""
    earlier = site.book()
    later = site.book("2026-06-02T12:00:00-07:00")
    assert site.get(earlier).heading == "You have a newer booking"
    assert site.client.get(f"{earlier}/code.png").status_code == 404
    assert site.get(later).heading == "Your tour is booked"


def test_ok__moving(site: Site) -> None:
    """A move that is not settled is said above the pass, which stays; another move is not offered."""
    path = site.book()
    site.fault("request", "lost")
    page = site.get(f"{path}/move?start=2026-06-02T12:00:00-07:00")
    page = site.send(page.form("Move the tour"))
    assert page.heading == "Your tour is booked"
    assert "We could not tell whether your move was booked." in page.main.text
    assert "Tuesday, June 2, 12:00 PM" in page.main.text
    assert page.main.one("article").one("p", class_="when").text.startswith("Tuesday, June 2 10:00 AM")
    assert "Move to another time" not in page.links()


def test_ok__leaving(site: Site) -> None:
    """From the minute that the code works, the prospect can say that they have left; said, the page thanks and asks no more."""
    path = site.book()
    assert "I have left" not in site.get(path).main.text
    site.now_ms = START_MS + 10 * MINUTE_MS
    page = site.get(path)
    assert "Move to another time" not in page.links()
    page = site.send(page.form("I have left"))
    assert "we know that you have left" in page.main.text
    assert not page.main.all("form")
    assert site.booking(path).left_ms == site.now_ms


def test_ok__over(site: Site) -> None:
    """When the code opens nothing any more, the page says so and offers another tour; leaving can still be told."""
    path = site.book()
    site.now_ms = START_MS + 2 * HOUR_MS
    page = site.get(path)
    assert page.heading == "Your tour has ended"
    assert not page.main.all("svg")
    assert page.links()["Book another tour"] == "/juniper-flats/times"
    page = site.send(page.form("I have left"))
    assert "we know that you have left" in page.main.text


@pytest.mark.parametrize("state", [BookingState.ASKING, BookingState.UNKNOWN, BookingState.PENDING])
def test_ok__never_confirmed_and_passed(site: Site, state: BookingState) -> None:
    """What was still waiting when its time ended is not left waiting: the page says so, looks no more, and leads to free times."""
    path = site.put(state)
    site.now_ms = START_MS + HOUR_MS
    page = site.get(path)
    assert page.heading == "This time has passed"
    assert page.links()["Choose a new time"] == "/juniper-flats/times"
    assert not page.root.all("noscript")


def test_ok__the_language_of_the_booking_is_the_tour_s(site: Site) -> None:
    """The link from the confirmation opens in the language of the booking, in whatever browser; `?lang=` goes before it."""
    page = site.get("/juniper-flats/register?start=2026-06-02T10:00:00-07:00&lang=es")
    path = site.post(
        page.form("Reservar la visita").put(first_name="Ada", last_name="L", email="ada@example.com", phone="3105550100")
    ).headers["location"]
    assert site.get(path.partition("?")[0], Accept_Language="en").heading == "Su visita está reservada"
    assert site.get(path.partition("?")[0] + "?lang=en").heading == "Your tour is booked"


WRONG = [
    "x",
    "0" * 16,
    "0000000000000000.AAAAAAAAAAAAAAAAAAAAAA",
    "..%2f..",
    "%00",
    "é" * 100,
    "x" * 5000,
]


@pytest.mark.parametrize("token", WRONG)
@pytest.mark.parametrize("below", ["", "/print", "/code.png", "/tour.ics", "/move", "/cancel"])
def test_refused__a_wrong_link(site: Site, token: str, below: str) -> None:
    """A link that is none is a page, 404, that tells nothing but what to check."""
    answer = site.client.get(f"/tour/{token}{below}")
    assert answer.status_code == 404
    page = Page(answer.text)
    assert "Back to the start" in page.links()


def test_refused__a_forged_end(site: Site) -> None:
    """The id of a real booking with another end opens nothing, for reading or for changing."""
    path = site.book()
    forged = path[:-1] + ("A" if path[-1] != "A" else "B")
    assert site.get(forged, 404).heading == "This link does not open a tour"
    guard = site.get(f"{path}/cancel").form().value("guard")
    for below in ("cancel", "move", "left"):
        answer = site.client.post(f"{forged}/{below}", data={"guard": guard, "submission": "x"})
        assert answer.status_code == 404
    assert site.booking(path).state is BookingState.CONFIRMED


def test_refused__too_many_wrong_links(make: Make) -> None:
    """Above the limit of an address, wrong links are 429 with a sentence; a right one still opens."""
    site = make(limits={"wrong_links": 3})
    path = site.book()
    for _ in range(3):
        site.get("/tour/0000000000000000.AAAAAAAAAAAAAAAAAAAAAA", 404)
    assert site.get("/tour/0000000000000000.AAAAAAAAAAAAAAAAAAAAAA", 429).heading == "Too many tries"
    assert site.get(path).heading == "Your tour is booked"


def test_refused__a_property_that_is_gone(site: Site) -> None:
    """A booking of a property that the settings no longer name is not here any more."""
    path = site.put(BookingState.PENDING, community_id="gone")
    assert site.get(path, 404).heading == "This link does not open a tour"


def test_ok__no_person_on_the_pass(site: Site) -> None:
    """The page of the tour shows no name, email or phone of the prospect: a phone is passed around."""
    path = site.book()
    html = site.client.get(path).text
    assert not re.search(r"Lovelace|ada@|310.?555", html)


def test_ok__a_move_to_another_day_in_words(site: Site) -> None:
    """A window that was moved and is pending is named with its day."""
    moved = Window(START_MS + 24 * HOUR_MS, START_MS + 24 * HOUR_MS + 30 * MINUTE_MS)
    path = site.book()
    booking = site.booking(path)
    assert booking.window.start_ms != moved.start_ms
    site.fault("request", "form", booking_status="PENDING")
    page = site.send(site.get(f"{path}/move?start=2026-06-03T10:00:00-07:00").form("Move the tour"))
    assert "The property has yet to confirm your new time." in page.main.text
    assert "New time: Wednesday, June 3, 10:00 AM \u2013 10:30 AM" in page.main.text
