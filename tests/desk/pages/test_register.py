"""The registration: what is booked, what is refused, and that nothing typed is lost."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import parse_qs, urlsplit

import pytest

from agent.core.booking import BookingState
from tests.desk.pages.page import Form, Page
from tests.desk.pages.site import ADA, HOST, START, Site

Make = Callable[..., Site]
MARKUP = "<b>\"Ada\"</b><script>alert('x')</script>"


def holds(page: Page, **typed: str) -> None:
    """Assert that the form in the page has these values."""
    form = page.form("Book the tour")
    for name, value in typed.items():
        assert form.value(name) == value


def test_ok__a_form_for_phones_and_screen_readers(site: Site) -> None:
    """Every field has a label, a purpose for autofill, a keyboard and a longest length; consent is not ticked for anybody."""
    page = site.get(f"/juniper-flats/register?start={START}")
    form = page.form("Book the tour").element
    wanted = {
        "first_name": ("given-name", "text"),
        "last_name": ("family-name", "text"),
        "email": ("email", "email"),
        "phone": ("tel", "tel"),
    }
    for name, (purpose, kind) in wanted.items():
        given = form.one("input", id=name)
        assert given.attributes["autocomplete"] == purpose
        assert given.attributes["type"] == kind
        assert "required" in given.attributes
        assert int(given.attributes["maxlength"]) >= 40
        assert form.one("label", for_=name).text
    consent = form.one("input", name="sms_consent")
    assert "checked" not in consent.attributes
    assert consent.parent is not None
    assert consent.parent.text == site.settings.community[0].sms_consent
    assert [box.attributes["value"] for box in form.all("input", name="unit")] == ["101", "204 B", "305"]
    assert "novalidate" in form.attributes


def test_ok__a_booking_reaches_knock_whole(site: Site) -> None:
    """What was typed, the consent with its wording and page, the wishes and the link's source title reach Knock; the browser is sent on."""
    form = (
        site.form(query="&utm_knock_source_title=Property%20Website%20%2B%20Ads", sms_consent="yes").add("unit", "101").add("unit", "305")
    )
    answer = site.post(form)
    assert answer.status_code == 303
    (booked,) = (received["body"] for received in site.received())
    assert booked["requestedTimes"] == [{"startTime": START, "endTime": "2026-06-02T10:30:00-07:00"}]
    assert booked["sourceTitle"] == "Property Website + Ads"
    assert booked["smsConsent"] is True
    assert booked["smsConsentDisclaimer"] == site.settings.community[0].sms_consent
    assert booked["smsConsentUrl"] == f"https://{HOST}/juniper-flats/register"
    assert booked["profile"] == {"firstName": "Ada", "lastName": "Lovelace", "email": "ada@example.com", "phone": "+13105550100"}
    page = site.get(answer.headers["location"])
    assert page.heading == "Your tour is booked"
    assert parse_qs(urlsplit(answer.headers["location"]).query) == {"utm_knock_source_title": ["Property Website + Ads"]}


@pytest.mark.parametrize(
    ("written", "title"),
    [
        ("Property%20Website", "Property Website"),
        ("Property+Website", "Property Website"),
        ("Caf%C3%A9%2520%26", "Café%20&"),
        ("a%0D%0AX-Evil%3A%201%00", "aX-Evil: 1"),
        ("%FF%FE", "\ufffd\ufffd"),
        ("x" * 300, "x" * 200),
        ("", "The Door Itself"),
        ("%0A%20", "The Door Itself"),
        (None, "The Door Itself"),
    ],
)
def test_ok__source_title_is_carried_from_the_first_link(make: Make, written: str | None, title: str) -> None:
    """The title of the first link goes along from page to page to Knock, decoded once; absent or empty, the configured one is told."""
    site = make(communities=({"source_title": "The Door Itself"},))
    page = site.get("/juniper-flats" + ("" if written is None else f"?utm_knock_source_title={written}"))
    page = site.get(page.links()["See free times"])
    page = site.get(page.main.all("section")[1].all("a")[2].attributes["href"])
    answer = site.post(page.form("Book the tour").put(**ADA))
    assert answer.status_code == 303
    assert [received["body"]["sourceTitle"] for received in site.received()] == [title]


def test_ok__no_consent_is_told_as_no(site: Site) -> None:
    """An empty box is a no, with the wording that was shown."""
    site.book()
    (booked,) = (received["body"] for received in site.received())
    assert booked["smsConsent"] is False


def test_ok__consent_that_is_not_asked_is_not_told(make: Make) -> None:
    """Without a wording nobody is asked, and Knock is told nothing of consent."""
    site = make(communities=({"sms_consent": "", "sms_consent_es": ""},))
    page = site.get(f"/juniper-flats/register?start={START}")
    assert not page.main.all("input", name="sms_consent")
    site.post(page.form("Book the tour").put(**ADA))
    (booked,) = (received["body"] for received in site.received())
    assert not {"smsConsentDisclaimer", "smsConsentUrl"} & set(booked)


@pytest.mark.parametrize(
    ("field", "typed", "words"),
    [
        ("first_name", "", "Enter your first name."),
        ("first_name", " \t ", "Enter your first name."),
        ("first_name", "x" * 61, "This is too long: at most 60 characters."),
        ("first_name", "A\x00da", "Write your name in letters."),
        ("last_name", "", "Enter your last name."),
        ("last_name", "--", "Write your name in letters."),
        ("last_name", "\u202eecalevoL", "Write your name in letters."),
        ("email", "", "Enter your email address."),
        ("email", "ada", "This is not an email address. It looks like name@example.com."),
        ("email", "ada@example.com\r\nBcc: all@example.com", "There are characters in it that do not belong into an email address."),
        ("email", f"{'a' * 250}@example.com", "This is too long: at most 254 characters."),
        ("phone", "", "Enter your phone number."),
        ("phone", "12", "This is not a phone number. Write it with the area code, and from another country with + and its code."),
        ("phone", "call me", "This is not a phone number. Write it with the area code, and from another country with + and its code."),
        ("phone", "3" * 41, "This is too long: at most 40 characters."),
    ],
)
def test_refused__a_wrong_field(site: Site, field: str, typed: str, words: str) -> None:
    """A wrong field has its sentence beside it and in a summary that leads to it; the rest is kept, and nobody is asked for a booking."""
    page = site.send(site.form(**{field: typed}), 400)
    assert page.error(field) == words
    summary = page.root.one(id="problems")
    assert "autofocus" in summary.attributes
    assert summary.attributes["tabindex"] == "-1"
    assert [link.attributes["href"] for link in summary.all("a")] == [f"#{field}"]
    assert summary.one("h2").text == "Please check one thing"
    assert page.title.startswith("Please check")
    holds(page, **{name: value for name, value in ADA.items() if name != field}, start=START)
    assert len([given for given in page.main.all("input") if "aria-invalid" in given.attributes]) == 1
    assert not site.received()


def test_refused__every_mistake_at_once(site: Site) -> None:
    """All mistakes are told in one go, and the boxes that were ticked stay ticked."""
    form = site.form(first_name="", last_name="", email="x", phone="y", sms_consent="yes").add("unit", "204 B")
    page = site.send(form, 400)
    assert page.root.one(id="problems").one("h2").text == "Please check 4 things"
    assert "checked" in page.main.one("input", name="sms_consent").attributes
    assert [box.attributes["value"] for box in page.main.all("input", name="unit") if "checked" in box.attributes] == ["204 B"]


def test_refused__a_unit_that_is_not_offered(site: Site) -> None:
    """A unit that the property does not have is no wish."""
    page = site.send(site.form().add("unit", "Penthouse"), 400)
    assert "Choose at most 12 of the homes listed here." in page.root.one(id="problems").text
    assert not site.received()


def test_refused__too_many_units(make: Make) -> None:
    """More wishes than a code can hold are refused with a sentence."""
    units = [f"unit {number}" for number in range(13)]
    site = make(communities=({"units": units, "door": [{"name": "front"}]},))
    form = site.form()
    for unit in units:
        form.add("unit", unit)
    page = site.send(form, 400)
    assert "Choose at most 12" in page.main.text
    assert not site.received()


def test_ok__corrected_it_is_booked(site: Site) -> None:
    """The form that came back with a mistake books once it is corrected."""
    page = site.send(site.form(email="ada@"), 400)
    page = site.send(page.form("Book the tour").put(email="ada@example.com"))
    assert page.heading == "Your tour is booked"
    assert len(site.received()) == 1


def test_ok__markup_in_a_name_is_text(site: Site) -> None:
    """Markup that was typed is shown as it was typed, in fields and everywhere else, and does nothing."""
    page = site.send(site.form(first_name=MARKUP, last_name=MARKUP, email="no"), 400)
    holds(page, first_name=MARKUP, last_name=MARKUP)
    assert len(page.root.all("script")) == 1
    page = site.send(page.form("Book the tour").put(email="ada@example.com"))
    assert page.heading == "Your tour is booked"
    assert len(page.root.all("script")) == 1


def test_ok__pressed_twice_it_books_once(site: Site) -> None:
    """A form that is sent twice leads to the same tour and books once."""
    form = site.form()
    first, second = site.post(form), site.post(form)
    assert first.status_code == second.status_code == 303
    assert first.headers["location"] == second.headers["location"]
    assert len(site.received()) == 1


@pytest.mark.parametrize(
    "typed",
    [
        {"first_name": "Di", "last_name": "Dunn", "email": "di@example.com", "phone": "(310) 555-0102"},
        {"start": "2026-06-02T15:00:00-07:00"},
    ],
)
def test_refused__a_page_shown_again_and_sent_with_something_else(site: Site, typed: dict[str, str]) -> None:
    """Somebody goes back to a form that has booked: the first tour is not told, and a form with what was typed comes back, which books."""
    form = site.form()
    location = site.post(form).headers["location"]
    page = site.send(form.put(**typed), 409)
    assert "This page was used for another booking already" in page.root.one(id="problems").text
    assert urlsplit(location).path not in page.root.one("body").text + "".join(page.links().values())
    again = page.form("Book the tour")
    assert again.value("submission") != form.value("submission")
    holds(page, **{"start": START} | ADA | typed)
    assert len(site.received()) == 1
    answer = site.post(again.put(start="2026-06-02T15:00:00-07:00"))
    assert answer.status_code == 303
    assert answer.headers["location"] != location
    assert len(site.received()) == 2


def test_ok__pressed_twice_at_once_it_books_once(site: Site) -> None:
    """The same while Knock takes its time: both presses come to the same tour."""
    site.fault("request", "slow", seconds=0.3)
    form = site.form()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: site.post(form), range(4)))
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == 1
    assert len(site.received()) == 1


def test_refused__the_time_is_gone(site: Site) -> None:
    """When the time was taken meanwhile, the page says so, keeps what was typed and offers others, which book."""
    other = site.form()
    site.book(first_name="Ben", email="ben@example.com", phone="(310) 555-0101")
    page = site.send(other, 409)
    assert "This time has just been taken." in page.root.one(id="problems").text
    holds(page, **ADA)
    offered = page.main.all("input", type="radio")
    assert [choice.attributes["value"] for choice in offered][:2] == ["2026-06-02T10:30:00-07:00", "2026-06-02T11:00:00-07:00"]
    assert not [choice for choice in offered if "checked" in choice.attributes]
    again = page.form("Book the tour")
    page = site.send(again, 409)
    assert "Please choose one of the times." in page.root.one(id="problems").text
    page = site.send(page.form("Book the tour").put(start="2026-06-02T10:30:00-07:00"))
    assert page.heading == "Your tour is booked"
    assert len(site.received()) == 2


def test_refused__no_other_time_is_left(make: Make) -> None:
    """When the last time was taken, the page says so and whom to call."""
    site = make(knock={"days_ahead": 1, "opening": "17:30-18:00"})
    form = site.form("2026-06-01T17:30:00-07:00")
    site.book("2026-06-01T17:30:00-07:00", first_name="Ben", email="ben@example.com", phone="(310) 555-0101")
    page = site.send(form, 409)
    assert "There are no other free times right now." in page.main.text
    assert page.links()["(206) 555-0199"]
    holds(page, **ADA)


def test_refused__knock_s_no(site: Site) -> None:
    """A request that Knock refuses for something else is not called taken; what was typed stays, and a new press asks anew."""
    form = site.form()
    site.fault("request", "status", status=400, count=1)
    page = site.send(form, 409)
    words = page.root.one(id="problems").text
    assert "could not accept this request" in words
    assert "taken" not in words
    holds(page, **ADA)
    assert page.form("Book the tour").value("submission") != form.value("submission")
    page = site.send(page.form("Book the tour").put(start=START))
    assert page.heading == "Your tour is booked"
    assert len(site.received()) == 1


def test_ok__change_keeps_what_was_typed(site: Site) -> None:
    """Another time is chosen in the form itself, so that nothing typed is lost; nothing is booked or complained about meanwhile."""
    page = site.send(site.form(first_name="").put(change="yes"))
    assert not page.root.all(id="problems")
    holds(page, last_name="Lovelace", email="ada@example.com")
    start = page.main.all("input", type="radio")[3].attributes["value"]
    page = site.send(page.form("Book the tour").put(first_name="Ada", start=start))
    assert page.heading == "Your tour is booked"
    assert site.received()[0]["body"]["requestedTimes"][0]["startTime"] == start


@pytest.mark.parametrize("fault", [("*", "refuse"), ("request", "refuse_before")])
def test_fail__knock_is_unreachable(site: Site, fault: tuple[str, str]) -> None:
    """Without Knock the page says so and is 503; the same form, filled and with the same token, books once when Knock is back."""
    form = site.form(sms_consent="yes").add("unit", "101")
    route, kind = fault
    if kind == "refuse":
        site.fault(route, kind)
    else:
        site.fault(route, "status", status=403)
    answer = site.post(form)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "30"
    page = Page(answer.text)
    assert "nothing was booked" in page.root.one(id="problems").text
    assert page.links()["(206) 555-0199"]
    again = page.form("Book the tour")
    assert again.value("submission") == form.value("submission")
    holds(page, **ADA, sms_consent="yes", unit="101", start=START)
    site.mend()
    first, second = site.post(again), site.post(again)
    assert first.status_code == second.status_code == 303
    assert first.headers["location"] == second.headers["location"]
    assert len(site.received()) == 1


def test_fail__an_answer_that_is_lost_is_not_asked_again(site: Site) -> None:
    """When Knock's answer is lost, the prospect comes to a page that says so, and pressing again sends nothing more to Knock."""
    form = site.form()
    site.fault("request", "lost")
    page = site.send(form)
    assert page.heading == "We could not tell whether it is booked"
    site.mend()
    page = site.send(form)
    assert page.heading == "We could not tell whether it is booked"
    assert len(site.received()) == 1


def test_refused__another_booking_of_the_person_is_being_made(site: Site) -> None:
    """While Knock is asked for another booking of the same person, the page says so and keeps what was typed; later the same form books."""
    other = site.put(BookingState.ASKING)
    form = site.form("2026-06-02T15:00:00-07:00")
    page = site.send(form, 503)
    assert "Another booking of yours is just being made." in page.root.one(id="problems").text
    assert page.form("Book the tour").value("submission") == form.value("submission")
    holds(page, **ADA)
    assert not site.received()
    site.run(site.office.cancel(site.booking(other).booking_id))
    assert site.send(page.form("Book the tour")).heading == "Your tour is booked"


def test_refused__too_many_bookings_of_one_address(make: Make) -> None:
    """Above the limit of an address the page is 429 with a sentence, keeps what was typed, and Knock hears nothing."""
    site = make(limits={"bookings": 2})
    for number in range(2):
        site.book(f"2026-06-02T1{number}:00:00-07:00", email=f"a{number}@example.com", phone=f"(310) 555-010{number}")
    answer = site.post(site.form("2026-06-02T15:00:00-07:00"))
    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "3900"
    page = Page(answer.text)
    assert "too many bookings from your connection" in page.root.one(id="problems").text
    holds(page, **ADA)
    assert len(site.received()) == 2
    site.now_ms += 3_901_000
    assert site.send(page.form("Book the tour")).heading == "Your tour is booked"


def test_ok__an_outage_of_knock_locks_nobody_out(make: Make) -> None:
    """Mistakes, and presses while Knock is away, are not counted: the same form books once it is back."""
    site = make(limits={"bookings": 1})
    form = site.form()
    for _ in range(3):
        site.send(site.form(email="ada@"), 400)
    site.fault("*", "refuse")
    for _ in range(3):
        site.send(form, 503)
    site.mend()
    assert site.send(form).heading == site.send(form).heading == "Your tour is booked"
    assert len(site.received()) == 1


def test_ok__a_page_may_stay_open_for_long(site: Site) -> None:
    """A form that was shown half a day ago books: nothing of it goes out of date but the time."""
    form = site.form()
    site.now_ms += 12 * 3_600_000
    assert site.send(form).heading == "Your tour is booked"


def forge(form: Form, how: str) -> Form:
    """A form as it was not made by the page."""
    if how == "no guard":
        form.fields = [(name, value) for name, value in form.fields if name != "guard"]
    elif how == "other guard":
        form.put(guard="A" * 22)
    elif how == "not ASCII":
        form.put(guard="ä" * 22)
    elif how == "own token":
        form.put(submission="of-my-own")
    else:
        form.fields = []
    return form


@pytest.mark.parametrize("how", ["no guard", "other guard", "not ASCII", "own token", "empty"])
def test_refused__a_form_that_this_page_never_made(site: Site, how: str) -> None:
    """A form without the page's own token books nothing; what was typed comes back in a good form, which books."""
    page = site.send(forge(site.form(), how), 403)
    assert "This form did not come as our page sends it, and nothing was booked." in page.root.one(id="problems").text
    assert not site.received()
    if how != "empty":
        holds(page, **ADA)
        assert site.send(page.form("Book the tour")).heading == "Your tour is booked"


@pytest.mark.parametrize("of", ["other property", "other website"])
def test_refused__a_token_of_another_place(make: Make, of: str) -> None:
    """A token that was made for another property is none here."""
    site = make(communities=({}, {}))
    form = site.form()
    if of == "other property":
        form.action = form.action.replace("juniper-flats", "property-1")
        page = site.send(form, 403)
        assert not site.received()
        holds(page, **ADA)
    else:
        page = site.send(form, 403, Origin="https://evil.example.com")
        assert page.heading == "This was not sent from our page"
        assert not site.received()


@pytest.mark.parametrize(
    ("headers", "is_taken"),
    [
        ({"Sec_Fetch_Site": "same-origin", "Origin": "null"}, True),
        ({"Origin": "null"}, True),
        ({"Origin": f"https://{HOST}"}, True),
        ({"Sec_Fetch_Site": "none"}, True),
        ({"Sec_Fetch_Site": "cross-site"}, False),
        ({"Sec_Fetch_Site": "same-site"}, False),
        ({"Origin": f"http://{HOST}"}, False),
    ],
)
def test_refused__from_another_website(site: Site, headers: dict[str, str], is_taken: bool) -> None:
    """Where the browser says that another website sent the form, it is refused whatever its token; our own are taken."""
    answer = site.post(site.form(), **headers)
    assert answer.status_code == (303 if is_taken else 403)
    assert len(site.received()) == is_taken


def test_refused__what_is_no_form(site: Site) -> None:
    """JSON, broken encodings, too many fields and huge bodies are refused with a page."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    path = "/juniper-flats/register"
    assert site.client.post(path, json={"a": 1}).status_code == 400
    assert site.client.post(path, content=b"first_name=%FF\xff", headers=kind).status_code == 400
    assert site.client.post(path, content="&".join(f"a{n}=1" for n in range(500)), headers=kind).status_code == 400
    huge = site.client.post(path, content="first_name=" + "x" * 100_000, headers=kind)
    assert huge.status_code == 413
    assert Page(huge.text).heading == "This is too much"
    assert not site.received()


def test_ok__nothing_personal_in_an_address(site: Site) -> None:
    """The address that a booking leads to holds nothing of what was typed, and no page links to such an address."""
    answer = site.post(site.form())
    location = answer.headers["location"]
    assert not [value for value in ("Ada", "Lovelace", "ada", "example", "310", "555") if value in location]
    assert site.booking(location.partition("?")[0]).state is BookingState.CONFIRMED
