"""A booking: what Knock is asked, and what its answer makes of the tour (only CONFIRMED gives a code)."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfoNotFoundError

import pytest

from agent.core.booking import Booked, BookingOutcome, BookingRequest, BookingState, Done, FreeTimes, Person, state_after
from agent.core.clock import from_iso
from agent.core.replay import Unknown
from agent.core.tour import Window
from agent.knock.reading import UNSTATED
from agent.sandbox.faults import Fault, Kind
from tests.knock.calls import Told, answered
from tests.knock.peers import APPOINTMENT_KEY, KEY, Request, answer, ask, client, consent, peer, stand_in, tour

NO_ID = Unknown("200, but without an appointmentId: something else than Knock may have answered")
NOBODY = Person("", "", "", "")


def sent(request: BookingRequest, call: str = "book", **settings: Any) -> Request:  # noqa: ANN401 - a key of the table [knock]
    """The request as it arrives."""

    async def play() -> Request:
        async with peer(answer(200, {"id": "12"})) as made, client(made.url, **settings) as knock:
            await (knock.book(request, "one-key") if call == "book" else knock.prospect(request))
            return made.requests[0]

    return asyncio.run(play())


def test_ok__the_whole_request_of_a_booking() -> None:
    """Exactly the fields on record: one time, self-guided, the person, the consent with its wording and page, the wishes in words."""
    request = sent(tour(from_iso("2026-03-31T15:30:00-07:00"), unit_names=("101", "204 B"), sms_consent=consent(is_given=True)))
    assert request.line == "POST /appointment/request HTTP/1.1"
    assert request.json == {
        "communityId": "1001",
        "requestedTimes": [{"startTime": "2026-03-31T15:30:00-07:00", "endTime": "2026-03-31T16:00:00-07:00"}],
        "tourType": "SELF_GUIDED",
        "sourceTitle": "Zumper: ads",
        "smsConsent": True,
        "smsConsentDisclaimer": "I agree to texts.",
        "smsConsentUrl": "https://tours.example.com/juniper-flats/register",
        "profile": {"firstName": "Ada", "lastName": "Moss", "email": "ada@example.com", "phone": "+12065550134"},
        "message": "Units wished for: 101, 204 B",
    }
    assert (request.headers["x-api-key"], request.headers["idempotency-key"]) == (APPOINTMENT_KEY, "one-key")
    assert KEY not in request.headers.values()


def test_ok__the_whole_request_for_a_prospect() -> None:
    """The person and where they came from, with the prospect key; Knock is not asked to answer them."""
    request = sent(tour(unit_names=("101",), sms_consent=consent(is_given=True)), "prospect")
    assert request.line == "POST /prospect HTTP/1.1"
    assert request.json == {
        "communityId": "1001",
        "sourceTitle": "Zumper: ads",
        "firstName": "Ada",
        "lastName": "Moss",
        "email": "ada@example.com",
        "phone": "+12065550134",
        "autorespond": False,
    }
    assert request.headers["x-api-key"] == KEY
    assert APPOINTMENT_KEY not in request.headers.values()


@pytest.mark.parametrize(
    ("person", "told"),
    [
        (Person("Ada", "", "ada@example.com", ""), {"firstName": "Ada", "email": "ada@example.com"}),
        (Person("", "Moss", "", "+12065550134"), {"lastName": "Moss", "phone": "+12065550134"}),
        (NOBODY, {}),
    ],
)
def test_ok__what_is_not_known_is_left_out(person: Person, told: dict[str, str]) -> None:
    """No dummy and no empty text: such would merge strangers into one prospect. Who was not asked about texts has not answered."""
    request = tour(0, person=person, source_title="", zone="UTC")
    times = {"startTime": "1970-01-01T00:00:00+00:00", "endTime": "1970-01-01T00:30:00+00:00"}
    assert sent(request).json == {"communityId": "1001", "requestedTimes": [times], "tourType": "SELF_GUIDED", "profile": told}
    assert sent(request, "prospect").json == {"communityId": "1001", "autorespond": False, **told}


def test_ok__a_no_to_texts_is_told_with_what_was_asked() -> None:
    """The answer no is an answer: with the wording and the page."""
    body = sent(tour(sms_consent=consent(is_given=False))).json
    assert isinstance(body, dict)
    assert {name: value for name, value in body.items() if name.startswith("sms")} == {
        "smsConsent": False,
        "smsConsentDisclaimer": "I agree to texts.",
        "smsConsentUrl": "https://tours.example.com/juniper-flats/register",
    }


@pytest.mark.parametrize("name", ['Zoë "Z" O\'Hara', "李", "<b>Bold</b>", "a\\u0000b", "line\u2028end", "\ud800"])
def test_ok__a_name_arrives_as_it_was_written(name: str) -> None:
    """Whatever people are called is data in JSON; half a letter that no text can hold stops the request before it is sent."""
    request = tour(person=Person(name, "Moss", "ada@example.com", ""))
    if name == "\ud800":
        told = asyncio.run(ask("http://127.0.0.1:1", lambda knock: knock.book(request, "k")))
        assert "could not be made" in told.words  # type: ignore[union-attr]
        return
    body = sent(request).json
    assert isinstance(body, dict)
    assert body["profile"]["firstName"] == name


@pytest.mark.parametrize(
    ("zone", "start", "end", "told_start", "told_end"),
    [
        ("America/Los_Angeles", "2026-03-08T09:30Z", "2026-03-08T10:00Z", "2026-03-08T01:30:00-08:00", "2026-03-08T03:00:00-07:00"),
        ("America/Los_Angeles", "2026-11-01T08:30Z", "2026-11-01T09:30Z", "2026-11-01T01:30:00-07:00", "2026-11-01T01:30:00-08:00"),
        ("America/Los_Angeles", "2026-11-01T09:30Z", "2026-11-01T10:00Z", "2026-11-01T01:30:00-08:00", "2026-11-01T02:00:00-08:00"),
        ("Australia/Lord_Howe", "2026-04-04T14:45Z", "2026-04-04T15:15Z", "2026-04-05T01:45:00+11:00", "2026-04-05T01:45:00+10:30"),
        ("Europe/London", "2026-01-15T12:00Z", "2026-01-15T12:30Z", "2026-01-15T12:00:00+00:00", "2026-01-15T12:30:00+00:00"),
        ("Asia/Kathmandu", "2026-06-01T18:20Z", "2026-06-01T18:50Z", "2026-06-02T00:05:00+05:45", "2026-06-02T00:35:00+05:45"),
        ("Etc/UTC", "2026-06-01T00:00Z", "2026-06-01T00:30Z", "2026-06-01T00:00:00+00:00", "2026-06-01T00:30:00+00:00"),
        ("Pacific/Apia", "2026-06-01T00:00Z", "2026-06-01T23:59:59Z", "2026-06-01T13:00:00+13:00", "2026-06-02T12:59:59+13:00"),
    ],
)
def test_ok__times_carry_the_propertys_offset_at_that_instant(zone: str, start: str, end: str, told_start: str, told_end: str) -> None:
    """In the hour that comes twice, and over the one that does not come at all, the offset says which instant is meant; never a Z."""
    body = sent(tour(zone=zone, window=Window(from_iso(start), from_iso(end)))).json
    assert isinstance(body, dict)
    (times,) = body["requestedTimes"]
    assert times == {"startTime": told_start, "endTime": told_end}
    assert [datetime.fromisoformat(text) for text in times.values()] == [datetime.fromisoformat(text) for text in (start, end)]


@pytest.mark.parametrize(
    ("body", "booked"),
    [
        ({"appointmentId": "12"}, Booked("12", "CONFIRMED")),
        ({"appointmentId": 12, "prospectId": 5}, Booked("12", "CONFIRMED", "5")),
        ({"appointmentId": "12", "status": "REQUESTED"}, Booked("12", "REQUESTED")),
        ({"appointmentId": "12", "status": None}, Booked("12", UNSTATED)),
        ({"appointmentId": "12", "status": 1}, Booked("12", UNSTATED)),
        ({"appointmentId": "12", "status": ["CONFIRMED"]}, Booked("12", UNSTATED)),
        ({"appointmentId": "12", "appointment": {"status": ""}}, Booked("12", UNSTATED)),
        ({"appointmentId": "12", "appointment": {"id": "12", "status": "CANCELLED"}, "status": "CONFIRMED"}, Booked("12", "CANCELLED")),
        ({"appointmentId": "12", "appointment": "CONFIRMED"}, Booked("12", "CONFIRMED")),
        ({"appointmentId": "12", "appointment": {"id": "99", "status": "confirmed"}}, Booked("12", "confirmed")),
        ({"appointment": {"id": "12", "status": "CONFIRMED", "prospectId": "5"}}, Booked("12", "CONFIRMED", "5")),
        ({"appointment": {"id": "12", "status": "CONFIRMED", "prospect": {"id": 5}}}, Booked("12", "CONFIRMED", "5")),
        ({"appointment": {"id": 12}, "prospectId": "5"}, Booked("12", UNSTATED, "5")),
        ({"appointment": {"appointmentId": "12"}}, Booked("12", UNSTATED)),
        ({"id": "12"}, Booked("12", UNSTATED)),
        ({"id": "12", "status": "CONFIRMED", "prospect": {"id": "5"}}, Booked("12", "CONFIRMED", "5")),
        ({"id": "77", "appointment": {"id": "12", "status": "PENDING"}}, Booked("12", "PENDING")),
        ({"appointmentId": None, "appointment": {"id": "12"}}, Booked("12", UNSTATED)),
        ({"appointmentId": "12", "prospectId": {"id": "5"}}, Booked("12", "CONFIRMED")),
        ({"appointmentId": "12", "prospectId": True, "appointment": {"prospectId": "5"}}, Booked("12", "CONFIRMED", "5")),
        ({"appointmentId": "12", "prospectId": "x\ny"}, Booked("12", "CONFIRMED")),
        ({"appointmentId": "12", "status": "CONF\x1b[31mIRMED" + "x" * 90}, Booked("12", ("CONF[31mIRMED" + "x" * 90)[:40])),
        ({"appointmentId": "1" * 100}, Booked("1" * 100, "CONFIRMED")),
    ],
)
def test_ok__each_form_of_an_appointment_is_read(body: object, booked: Booked) -> None:
    """Ids in three places, as text or number; a status that is absent or unreadable confirms nothing, but in the seed's own form."""
    assert answered("book", answer(200, body)) == (booked, 1)


@pytest.mark.parametrize("value", ["", " ", " 12", "1\n2", "é", "1" * 101, True, False, None, 1.5, [], ["12"], {}, {"id": "12"}, "\ud800"])
@pytest.mark.parametrize("name", ["appointmentId", "id", "appointment"])
def test_fail__an_id_that_is_none_leaves_the_booking_unknown(name: str, value: object) -> None:
    """Knock may have booked, under an id that could not be read: not confirmed, and not asked again."""
    body = {"status": "CONFIRMED", name: value if name != "appointment" else {"id": value, "status": "CONFIRMED"}}
    assert answered("book", answer(200, body)) == (NO_ID, 1)


@pytest.mark.parametrize(
    "status", ["REQUESTED", "PENDING", "CANCELLED", "DECLINED", "CONFIRMED_BY_PROSPECT", "UNCONFIRMED", "\uff23ONFIRMED", ""]
)
def test_refused__no_other_word_than_confirmed_gives_a_code(status: str) -> None:
    """A word that merely looks like it does not open a door."""
    told, _ = answered("book", answer(200, {"appointmentId": "12", "prospectId": "5", "status": status}))
    assert isinstance(told, Booked)
    assert state_after(told) is BookingState.PENDING


@pytest.mark.parametrize(
    ("fault", "state"),
    [
        (None, BookingState.CONFIRMED),
        (Fault(Kind.FORM, booking_status="REQUESTED"), BookingState.PENDING),
        (Fault(Kind.FORM, left_out=("prospectId",)), BookingState.PENDING),
        (Fault(Kind.FORM, left_out=("prospectId", "appointment")), BookingState.PENDING),
        (Fault(Kind.FORM, left_out=("appointmentId",)), BookingState.CONFIRMED),
        (Fault(Kind.FORM, left_out=("status",)), BookingState.CONFIRMED),
        (Fault(Kind.FORM, left_out=("status", "appointmentId")), BookingState.PENDING),
        (Fault(Kind.FORM, left_out=("appointmentId", "appointment")), BookingState.UNKNOWN),
    ],
)
def test_ok__from_the_free_times_to_the_cancel(fault: Fault | None, state: BookingState) -> None:
    """The stand-in takes every request as it is sent; whoever booked is known to it by the same id; a cancel frees the time."""

    async def play() -> tuple[BookingOutcome, Told, list[tuple[str, str]], bool]:
        async with stand_in() as sandbox, client(sandbox.url) as knock:
            if fault is not None:
                sandbox.faults.switch_on("request", fault)
            times = await knock.free_times("1001")
            assert isinstance(times, FreeTimes)
            request = tour(times.starts_ms[5], sms_consent=consent(is_given=True), unit_names=("101",))
            booked = await knock.book(request, "k")
            who = await knock.prospect(request)
            *_, made = sandbox.ledger.state.appointments.values()
            assert (who, made.span.start.timestamp() * 1000) == (Done(made.prospect_id), times.starts_ms[5])
            for _ in range(2):
                assert await knock.cancel(made.id) == Done()
            return booked, who, [(made.id, made.status)], times == await knock.free_times("1001")

    booked, who, ((made_id, status),), is_free = asyncio.run(play())
    assert state_after(booked) is state
    assert is_free
    if isinstance(booked, Booked):
        assert isinstance(who, Done)
        assert (booked.appointment_id, booked.prospect_id in {None, who.prospect_id}) == (made_id, True)
        assert booked.status in {status, UNSTATED}


def test_ok__a_taken_time_is_refused_in_knocks_words() -> None:
    """Somebody was quicker: Knock says so, and nothing changed."""

    async def play() -> tuple[Told, int]:
        async with stand_in() as sandbox, client(sandbox.url) as knock:
            times = await knock.free_times("1001")
            assert isinstance(times, FreeTimes)
            await knock.book(tour(times.starts_ms[0]), "k")
            other = tour(times.starts_ms[0], person=Person("Bo", "", "bo@example.com", ""))
            return await knock.book(other, "l"), len(sandbox.ledger.state.prospects)

    told, prospects = asyncio.run(play())
    assert (type(told).__name__, getattr(told, "words", "")) == ("Refused", "400: None of the requestedTimes is available.")
    assert prospects == 2


def test_fail__a_zone_that_is_none_is_a_mistake_of_the_caller() -> None:
    """Settings check zones; without one no time can be said, and none is guessed."""
    with pytest.raises(ZoneInfoNotFoundError, match="Nowhere"):
        asyncio.run(ask("http://127.0.0.1:1", lambda knock: knock.book(tour(zone="Nowhere/Land"), "k")))
