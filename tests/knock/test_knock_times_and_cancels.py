"""Free times, cancels and prospects: what Knock is asked, and which of its answers are believed."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent.core.booking import Done, FreeTimes
from agent.core.clock import from_iso
from agent.core.replay import Refused, TryAgain, Unknown
from agent.knock.reading import MAX_STARTS, starts_of
from tests.knock.calls import CALLS, Told, answered
from tests.knock.peers import APPOINTMENT_KEY, Request, answer, ask, peer

PLAIN = "2026-03-31T15:30:00-07:00"
PLAIN_MS = from_iso(PLAIN)
UNREADABLE: list[Any] = [
    "2026-03-31T15:30:00",
    "2026-03-31",
    "15:30",
    "",
    "soon",
    "2026-02-30T15:30:00-07:00",
    "2026-03-31T15:30:00.500-07:00",
    "2026-03-31T15:30:00 America/Los_Angeles",
    "1969-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00",
    "x" * 10_000,
    1_774_996_200,
    1_774_996_200_000,
    1.5,
    True,
    None,
    [],
    [PLAIN],
    {},
    {"startTime": PLAIN},
    "\ud800",
]


def sent(call: str, **arguments: str) -> Request:
    """The request as it arrives."""

    async def play() -> Request:
        async with peer(answer(200, {})) as made:
            if call == "cancel":
                await ask(made.url, lambda knock: knock.cancel(arguments["appointment_id"]))
            else:
                await ask(made.url, lambda knock: knock.free_times(arguments["community_id"]))
            return made.requests[0]

    return asyncio.run(play())


@pytest.mark.parametrize(
    ("identifier", "segment"),
    [("1001", "1001"), ("a/b", "a%2Fb"), ("..", "%2E%2E"), ("?x=1#y", "%3Fx%3D1%23y"), ("é %", "%C3%A9%20%25"), ("1.5", "1%2E5")],
)
def test_ok__an_id_is_one_segment_of_the_path_and_nothing_else(identifier: str, segment: str) -> None:
    """No id leads to another route; the flag for self-guided tours is always there; both go with the appointment key and no body."""
    times, cancel = sent("free_times", community_id=identifier), sent("cancel", appointment_id=identifier)
    assert times.line == f"GET /community/{segment}/available-times?forSelfGuided=true HTTP/1.1"
    assert cancel.line == f"PUT /appointment/{segment}/cancel HTTP/1.1"
    for request in (times, cancel):
        assert (request.headers["x-api-key"], request.body) == (APPOINTMENT_KEY, b"")
        assert "content-type" not in request.headers


@pytest.mark.parametrize(
    ("entries", "starts"),
    [
        ([], ()),
        ([PLAIN], (PLAIN,)),
        (["2026-03-31T22:30:00Z"], (PLAIN,)),
        (["2026-03-31T22:30:00.000Z", "2026-04-01T04:15:00+05:45", "2026-03-31T15:30-0700"], (PLAIN,)),
        (["2026-11-01T01:30:00-08:00", "2026-11-01T01:30:00-07:00"], ("2026-11-01T08:30:00Z", "2026-11-01T09:30:00Z")),
        (["2026-04-02T10:00:00-07:00", PLAIN, PLAIN], (PLAIN, "2026-04-02T10:00:00-07:00")),
        ([*UNREADABLE, PLAIN, *UNREADABLE], (PLAIN,)),
    ],
)
def test_ok__starts_are_instants_in_order_each_once(entries: list[Any], starts: tuple[str, ...]) -> None:
    """Whatever offset they are written in; what cannot be read is passed over, and a time without an offset is never guessed."""
    assert answered("free_times", answer(200, {"acceptableTimes": entries})) == (FreeTimes(tuple(map(from_iso, starts))), 1)


@pytest.mark.parametrize("entry", UNREADABLE, ids=lambda entry: repr(entry)[:30])
def test_fail__when_no_start_can_be_read_it_is_said(entry: object) -> None:
    """A list in another form is not a full calendar."""
    words = "200, but none of the 2 acceptableTimes is a time with an offset from UTC"
    assert answered("free_times", answer(200, {"acceptableTimes": [entry, entry]})) == (TryAgain(words, is_link=False), 1)


@pytest.mark.parametrize(
    "body", [{}, {"acceptableTimes": None}, {"acceptableTimes": {}}, {"acceptableTimes": PLAIN}, {"times": [PLAIN]}, [PLAIN]]
)
def test_fail__an_answer_without_a_list_is_trouble(body: object) -> None:
    """No list is not the same as no free times."""
    words = "200, but without acceptableTimes: something else than Knock may have answered"
    assert answered("free_times", answer(200, body)) == (TryAgain(words), 1)


def test_ok__of_too_many_starts_the_earliest_are_kept() -> None:
    """What a page shows and a process holds is bounded."""
    hours = [
        f"{year}-{month:02d}-{day:02d}T{hour:02d}:00Z"
        for year in (2028, 2027)
        for month in range(1, 13)
        for day in range(1, 29)
        for hour in range(24)
    ]
    starts = starts_of(hours)
    assert len(hours) > len(starts) == MAX_STARTS
    assert starts == tuple(sorted(map(from_iso, hours))[:MAX_STARTS])


@pytest.mark.parametrize(
    "body",
    [
        {"appointment": {"id": "12", "status": "CANCELLED"}},
        {"appointment": {"id": 12, "status": "canceled"}},
        {"appointment": {"status": "CANCELLED"}},
        {"appointmentId": "12", "status": "CANCELLED"},
        {"id": 12},
        {"appointment": {"id": "12"}},
        {"appointmentId": "12"},
    ],
)
def test_ok__a_cancel_is_done_when_the_answer_is_about_it(body: object) -> None:
    """Its status says so, or the answer names the appointment and no other status."""
    assert answered("cancel", answer(200, body)) == (Done(), 1)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ok": True},
        {"appointment": {"id": "12", "status": "CONFIRMED"}},
        {"appointment": {"id": "12", "status": None}},
        {"appointment": {"id": "13", "status": "CANCELLED"}},
        {"appointmentId": "13"},
        {"appointment": "12"},
        {"appointment": {"id": True}},
        {"status": "ok"},
    ],
)
def test_fail__a_cancel_that_the_answer_does_not_confirm_is_unknown(body: object) -> None:
    """Another appointment, another status, or nothing of either: Knock may still expect the prospect."""
    assert answered("cancel", answer(200, body)) == (Unknown("200, but the answer does not say that the appointment is cancelled"), 1)


@pytest.mark.parametrize(
    ("words", "is_done"),
    [
        ("The appointment is already cancelled.", True),
        ("Appointment has Already Been Canceled", True),
        ("It already began and cannot be cancelled", False),
        ("cancelled appointments cannot be changed", False),
        ("There is no appointment '12'.", False),
    ],
)
def test_ok__a_second_cancel_is_done(words: str, is_done: bool) -> None:
    """What was asked for is so; any other refusal is for a person."""
    told: Told = Done() if is_done else Refused(f"400: {words}")
    assert answered("cancel", answer(400, {"errorMessage": words})) == (told, 1)


@pytest.mark.parametrize("body", [{"id": "5"}, {"id": 5}, {"prospectId": "5"}, {"prospect": {"id": 5}}, {"id": None, "prospectId": "5"}])
def test_ok__each_form_of_a_prospects_id_is_read(body: object) -> None:
    """As text or number, at the places where it may be."""
    assert answered("prospect", answer(200, body)) == (Done("5"), 1)


@pytest.mark.parametrize("value", [None, "", " ", True, 1.5, [], {}, ["5"], "\n", "1" * 101, "é"])
def test_fail__a_prospect_without_an_id_is_unknown(value: object) -> None:
    """Knock may have made somebody; who it is could not be read."""
    words = "200, but without the prospect's id: something else than Knock may have answered"
    assert answered("prospect", answer(200, {"id": value, "prospectId": value})) == (Unknown(words), 1)


def test_fail__an_agent_cannot_book() -> None:
    """Without an appointment key nothing of the desk's leaves the machine, and the prospect key does not stand in for it."""

    async def play(call: str) -> tuple[Told, int]:
        async with peer(answer(200, {})) as made:
            return await ask(made.url, CALLS[call], appointment_key=None), len(made.requests)

    for call in ("book", "cancel", "free_times"):
        assert asyncio.run(play(call)) == (TryAgain("the request could not be made (no key): check the key file and extra_headers"), 0)
