"""Moving, cancelling, leaving: what changes, and what must not."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from agent.core.booking import BookingState
from tests.desk.pages.page import Page
from tests.desk.pages.site import START_MS, Site

Make = Callable[..., Site]
LATER = "2026-06-02T12:00:00-07:00"


def test_ok__moved(site: Site) -> None:
    """A time is chosen, confirmed, and then the tour has a new code and a new PIN at the new time; the address stays."""
    path = site.book()
    before = site.run(site.office.pass_for(site.booking(path)))
    page = site.get(f"{path}/move")
    assert "Tuesday, June 2, 10:00 AM \u2013 10:30 AM" in page.main.text
    assert "All times are Pacific Time." in page.main.text
    wish = next(link for link in page.main.all("a") if link.attributes.get("aria-label") == "Tuesday, June 2, 12:00\u202fPM")
    page = site.get(wish.attributes["href"])
    assert page.heading == "Move your tour?"
    assert "Tuesday, June 2, 12:00 PM" in page.main.one("dl").text
    page = site.send(page.form("Move the tour"))
    assert page.heading == "Your tour is booked"
    assert page.main.one("p", class_="when").text == "Tuesday, June 2 12:00 PM \u2013 12:30 PM"
    after = site.run(site.office.pass_for(site.booking(path)))
    assert (before.code_text != after.code_text, before.pin != after.pin) == (True, True)


def test_ok__moved_twice_by_a_double_click(site: Site) -> None:
    """The same confirmation sent twice moves once."""
    path = site.book()
    form = site.get(f"{path}/move?start={LATER}").form("Move the tour")
    assert site.post(form).status_code == 303
    assert site.post(form).status_code == 303
    assert len(site.received()) == 2


def test_refused__the_new_time_is_gone(site: Site) -> None:
    """When the new time was taken meanwhile, the page says so and offers others; the tour stands."""
    path = site.book()
    form = site.get(f"{path}/move?start={LATER}").form("Move the tour")
    site.book(LATER, first_name="Ben", email="ben@example.com", phone="(310) 555-0101")
    page = site.send(form, 409)
    assert page.main.one("div", role="alert").text == "This time has just been taken. Please choose another."
    assert page.main.all("section")
    assert site.booking(path).window.start_ms == START_MS


def test_fail__knock_is_unreachable_at_a_move(site: Site) -> None:
    """Without Knock the page says so and is 503; the same form moves once Knock is back."""
    path = site.book()
    form = site.get(f"{path}/move?start={LATER}").form("Move the tour")
    site.fault("*", "refuse")
    page = site.send(form, 503)
    assert "cannot be reached" in page.main.one("div", role="alert").text
    again = page.form("Move the tour")
    assert again.value("submission") == form.value("submission")
    assert site.get(f"{path}/move", 503).links()["Keep it as it is"] == path
    assert site.get(path).heading == "Your tour is booked"
    site.mend()
    assert site.send(again).main.one("p", class_="when").text.endswith("12:00 PM \u2013 12:30 PM")


def test_refused__a_move_without_a_time(site: Site) -> None:
    """A wish that is no time shows the free times again, with a sentence."""
    path = site.book()
    for start in ("x", "2026-06-01T10:00:00-07:00", "9" * 300):
        page = site.get(f"{path}/move?start={start}", 400)
        assert page.main.one("div", role="alert").text == "Please choose one of the times."
    form = site.get(f"{path}/move?start={LATER}").form("Move the tour").put(start="x")
    assert site.send(form, 400).main.all("section")


@pytest.mark.parametrize("state", [BookingState.CANCELLED, BookingState.PENDING, BookingState.UNKNOWN])
def test_refused__a_move_of_what_is_not_confirmed(site: Site, state: BookingState) -> None:
    """What is not confirmed cannot be moved; the page says why and leads back."""
    path = site.put(state)
    page = site.send(site.get(f"{path}/move?start={LATER}").form("Move the tour"), 409)
    assert page.heading == "Nothing was changed"
    assert page.links()["Back to your tour"] == path
    assert not site.received()


def test_refused__a_move_of_a_tour_that_has_begun(site: Site) -> None:
    """A tour that has begun cannot be moved."""
    path = site.book()
    form = site.get(f"{path}/move?start={LATER}").form("Move the tour")
    site.now_ms = START_MS + 1
    page = site.send(form, 409)
    assert "has begun or is over" in page.main.text


def test_refused__too_many_moves_of_one_address(make: Make) -> None:
    """Moves count with bookings; above the limit the tour stands and the page says when to come back."""
    site = make(limits={"bookings": 1})
    path = site.book()
    answer = site.post(site.get(f"{path}/move?start={LATER}").form("Move the tour"))
    assert answer.status_code == 429
    assert "Your tour stands as it was" in Page(answer.text).main.one("div", role="alert").text
    assert site.booking(path).window.start_ms == START_MS


def test_ok__cancelled(site: Site) -> None:
    """A cancel is asked for once more and then done: no code, no PIN, no picture; the calendar file takes the entry out."""
    path = site.book()
    page = site.get(f"{path}/cancel")
    assert page.heading == "Cancel your tour?"
    assert page.links()["Keep the tour"] == path
    assert site.get(path).heading == "Your tour is booked"
    page = site.send(page.form("Cancel the tour"))
    assert page.heading == "Your tour is cancelled"
    assert not page.main.all("svg")
    assert site.client.get(f"{path}/code.png").status_code == 404
    assert "STATUS:CANCELLED" in site.client.get(f"{path}/tour.ics").text


def test_ok__cancelled_twice(site: Site) -> None:
    """A second cancel is the same."""
    path = site.book()
    form = site.get(f"{path}/cancel").form("Cancel the tour")
    assert site.send(form).heading == site.send(form).heading == "Your tour is cancelled"


def test_ok__unknown_can_be_given_up(site: Site) -> None:
    """What nobody knows can still be cancelled by the prospect."""
    site.fault("request", "lost")
    page = site.send(site.form())
    page = site.get(page.links()["I do not want the tour any more"])
    assert site.send(page.form("Cancel the tour")).heading == "Your tour is cancelled"


def test_refused__a_cancel_of_what_was_refused(site: Site) -> None:
    """What was never booked cannot be cancelled; the page says so."""
    path = site.put(BookingState.REFUSED)
    page = site.send(site.get(f"{path}/cancel").form("Cancel the tour"), 409)
    assert page.heading == "Nothing was changed"


@pytest.mark.parametrize("what", ["cancel", "left", "move"])
@pytest.mark.parametrize("how", ["missing", "forged", "of another form", "of another tour"])
def test_refused__a_change_that_this_page_never_asked_for(site: Site, what: str, how: str) -> None:
    """Without the form's own token nothing changes; a token of another form or tour is none."""
    path = site.book()
    other = site.book("2026-06-02T15:00:00-07:00", first_name="Ben", email="ben@example.com", phone="(310) 555-0101")
    cancel = site.get(f"{path}/cancel").form().value("guard")
    site.now_ms = START_MS - 1000
    left = site.get(path).form("I have left").value("guard")
    fields = {"start": LATER, "submission": "x"}
    if how == "forged":
        fields["guard"] = "A" * 22
    elif how == "of another form":
        fields["guard"] = left if what == "cancel" else cancel
    elif how == "of another tour":
        fields["guard"] = site.get(f"{other}/cancel").form().value("guard")
    answer = site.client.post(f"{path}/{what}", data=fields)
    assert answer.status_code == 403
    assert Page(answer.text).heading == "This was not sent from our page"
    booking = site.booking(path)
    assert (booking.state, booking.left_ms, booking.window.start_ms) == (BookingState.CONFIRMED, None, START_MS)


@pytest.mark.parametrize("what", ["cancel", "left"])
def test_refused__a_change_from_another_website(site: Site, what: str) -> None:
    """A change that the browser says to come from elsewhere is refused, whatever its token; a GET changes nothing."""
    path = site.book()
    site.now_ms = START_MS
    form = site.get(f"{path}/cancel").form() if what == "cancel" else site.get(path).form("I have left")
    assert site.post(form, Origin="https://evil.example.com").status_code == 403
    assert site.post(form, Sec_Fetch_Site="cross-site").status_code == 403
    site.client.get(f"{path}/{what}")
    booking = site.booking(path)
    assert (booking.state, booking.left_ms) == (BookingState.CONFIRMED, None)


def test_ok__links_of_the_tour_carry_the_language(site: Site) -> None:
    """The chosen language goes along to moving and back."""
    path = site.book()
    page = site.get(f"{path}?lang=es")
    page = site.get(page.links()["Cambiar a otra hora"])
    assert page.language == "es"
    assert page.links()["Dejarla como está"] == f"{path}?lang=es"
