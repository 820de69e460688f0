"""Free times, prospects, appointments and cancels, as Knock's users meet them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from agent.sandbox.settings import Community
from agent.sandbox.threaded import ThreadedSandbox

TIMES = "/community/1001/available-times"
TEN = "2026-06-02T10:00:00-07:00"
BAD_TIMES = [
    ("2026-06-02T10:00:00Z", "2026-06-02T10:30:00Z", "numeric offset"),
    ("2026-06-02T10:00:00", "2026-06-02T10:30:00", "numeric offset"),
    ("2026-06-02 10:00", "2026-06-02 10:30", "numeric offset"),
    ("2026-13-02T10:00:00-07:00", "2026-13-02T10:30:00-07:00", "startTime"),
    ("0001-01-01T00:00:00+14:00", "2026-06-02T10:30:00-07:00", "startTime"),
    (TEN, TEN, "after startTime"),
    (TEN, "2026-06-02T09:00:00-07:00", "after startTime"),
    (TEN, "2026-06-04T10:00:00-07:00", "within a day"),
    (1780000000, 1780001800, "startTime"),
    ("2026-06-01T11:00:00-07:00", "2026-06-01T11:30:00-07:00", "available"),
    ("2026-06-02T03:00:00-07:00", "2026-06-02T03:30:00-07:00", "available"),
    ("2026-06-02T10:07:00-07:00", "2026-06-02T10:37:00-07:00", "available"),
]


def times(knock: httpx.Client, *, self_guided: str = "true", path: str = TIMES) -> list[str]:
    """What is offered now."""
    offered: list[str] = knock.get(path, params={"forSelfGuided": self_guided}).json()["acceptableTimes"]
    return offered


def test_times__are_future_open_and_carry_the_offset(knock: httpx.Client) -> None:
    """Every offered time is later than now, inside the opening hours, on the grid, and in the property's own offset."""
    offered = times(knock)
    assert offered[0] == "2026-06-01T12:30:00-07:00"
    assert offered[-1] == "2026-06-14T17:30:00-07:00"
    assert all(text.endswith("-07:00") for text in offered)
    assert {datetime.fromisoformat(text).hour for text in offered} == set(range(9, 18))


def test_times__shrink_as_time_passes(knock: httpx.Client, admin: httpx.Client) -> None:
    """A slot that has begun is no longer offered."""
    admin.post("/clock", json={"offset_seconds": 1800}).raise_for_status()
    assert times(knock)[0] == "2026-06-01T13:00:00-07:00"


def test_times__in_person_tours_leave_self_guided_ones_free(knock: httpx.Client, booking: dict[str, Any]) -> None:
    """The client's preference is applied to forSelfGuided=true only."""
    knock.post("/appointment/request", json=booking | {"tourType": "IN_PERSON"}).raise_for_status()
    assert TEN in times(knock)
    assert TEN not in times(knock, self_guided="false")
    assert TEN not in knock.get(TIMES).json()["acceptableTimes"]


def test_times__preference_against_tours_side_by_side(
    start: Callable[..., ThreadedSandbox], connect: Callable[[str], httpx.Client], booking: dict[str, Any]
) -> None:
    """A client that does not want them side by side has an in-person tour take the slot from both."""
    alone = Community("1001", "Juniper Flats", "America/Los_Angeles", is_self_guided_beside_in_person=False)
    knock = connect(start(communities=(alone,)).url)
    knock.post("/appointment/request", json=booking | {"tourType": "IN_PERSON"}).raise_for_status()
    assert TEN not in times(knock)


@pytest.mark.parametrize("path", ["/community/9/available-times", "/community/%2e%2e/available-times", "/community/%ff/available-times"])
def test_refused__times_of_an_unknown_community(knock: httpx.Client, path: str) -> None:
    """A community that is not known is a 404 with words."""
    answer = knock.get(path)
    assert (answer.status_code, "errorMessage" in answer.json()) == (404, True)


@pytest.mark.parametrize("flag", ["yes", "1", "", "tru"])
def test_refused__flag_that_is_neither_true_nor_false(knock: httpx.Client, flag: str) -> None:
    """A misspelt forSelfGuided is not silently false."""
    answer = knock.get(TIMES, params={"forSelfGuided": flag})
    assert answer.status_code == 400
    assert "forSelfGuided" in answer.json()["errorMessage"]


def test_booked__answer_carries_every_id(knock: httpx.Client, booking: dict[str, Any]) -> None:
    """The answer holds the appointment's id in both known places, its status, and the prospect's id, all ids as texts."""
    answer = knock.post("/appointment/request", json=booking)
    content = answer.json()
    assert answer.status_code == 200
    assert isinstance(content["appointmentId"], str)
    assert content["appointment"]["id"] == content["appointmentId"]
    assert content["appointment"]["status"] == "CONFIRMED"
    assert isinstance(content["prospectId"], str)
    assert TEN not in times(knock)


def test_booked__another_offset_names_the_same_instant(knock: httpx.Client, booking: dict[str, Any]) -> None:
    """A slot may be asked for in any numeric offset."""
    wish = {"startTime": "2026-06-02T17:00:00+00:00", "endTime": "2026-06-02T20:00:00+02:30"}
    assert knock.post("/appointment/request", json=booking | {"requestedTimes": [wish]}).status_code == 200
    assert TEN not in times(knock)


def test_booked__the_first_wish_that_is_free(knock: httpx.Client, booking: dict[str, Any]) -> None:
    """Of several requestedTimes the first free one is booked."""
    knock.post("/appointment/request", json=booking).raise_for_status()
    later = {"startTime": "2026-06-02T11:00:00-07:00", "endTime": "2026-06-02T11:30:00-07:00"}
    other = booking | {"requestedTimes": [*booking["requestedTimes"], later], "profile": {"email": "bo@example.com"}}
    booked = knock.post("/appointment/request", json=other).json()["appointment"]
    assert datetime.fromisoformat(booked["startTime"]) == datetime(2026, 6, 2, 18, 0, tzinfo=UTC)


def test_booked__a_long_tour_takes_every_slot_it_touches(knock: httpx.Client, booking: dict[str, Any]) -> None:
    """The length is the client's: what overlaps it is gone, what only touches it is not."""
    wish = {"startTime": TEN, "endTime": "2026-06-02T11:10:00-07:00"}
    knock.post("/appointment/request", json=booking | {"requestedTimes": [wish]}).raise_for_status()
    morning = [text[11:16] for text in times(knock) if text.startswith("2026-06-02T")][:4]
    assert morning == ["09:00", "09:30", "11:30", "12:00"]


@pytest.mark.parametrize(
    "profile",
    [
        {"email": " ADA@Example.COM "},
        {"phone": "+1 206.555.0134"},
        {"email": "other@example.com", "phone": "2065550134"},
    ],
)
def test_booked__a_known_person_is_reused_and_the_old_tour_dies(
    knock: httpx.Client, admin: httpx.Client, booking: dict[str, Any], profile: dict[str, str]
) -> None:
    """Email without case or phone by its digits finds the prospect, whose upcoming appointment is cancelled by the new one."""
    first = knock.post("/appointment/request", json=booking).json()
    second = knock.post("/appointment/request", json=booking | {"profile": profile}).json()
    assert second["prospectId"] == first["prospectId"]
    assert second["appointmentId"] != first["appointmentId"]
    status = {one["id"]: one["status"] for one in admin.get("/state").json()["appointments"]}
    assert status == {first["appointmentId"]: "CANCELLED", second["appointmentId"]: "CONFIRMED"}


def test_booked__a_tour_that_has_begun_is_not_cancelled(knock: httpx.Client, admin: httpx.Client, booking: dict[str, Any]) -> None:
    """Only what is upcoming dies by a new request."""
    first = knock.post("/appointment/request", json=booking).json()
    admin.post("/clock", json={"offset_seconds": timedelta(hours=22).total_seconds()}).raise_for_status()
    wish = {"startTime": "2026-06-03T10:00:00-07:00", "endTime": "2026-06-03T10:30:00-07:00"}
    knock.post("/appointment/request", json=booking | {"requestedTimes": [wish]}).raise_for_status()
    status = {one["id"]: one["status"] for one in admin.get("/state").json()["appointments"]}
    assert status[first["appointmentId"]] == "CONFIRMED"


def test_refused__a_taken_time_leaves_both_as_they_were(knock: httpx.Client, admin: httpx.Client, booking: dict[str, Any]) -> None:
    """A stranger cannot book a taken time, and a refusal cancels nothing and makes no prospect."""
    knock.post("/appointment/request", json=booking).raise_for_status()
    before = admin.get("/state").json()
    answer = knock.post("/appointment/request", json=booking | {"profile": {"email": "bo@example.com"}})
    assert answer.status_code == 400
    assert "available" in answer.json()["errorMessage"]
    assert admin.get("/state").json() == before


@pytest.mark.parametrize(("start_time", "end_time", "words"), BAD_TIMES)
def test_refused__requested_times(knock: httpx.Client, booking: dict[str, Any], start_time: object, end_time: object, words: str) -> None:
    """A time without a numeric offset, an end before its start, or a start that is not offered is refused with the reason."""
    answer = knock.post("/appointment/request", json=booking | {"requestedTimes": [{"startTime": start_time, "endTime": end_time}]})
    assert answer.status_code == 400
    assert words in answer.json()["errorMessage"]


@pytest.mark.parametrize(
    "change",
    [
        {"communityId": None},
        {"communityId": True},
        {"communityId": " "},
        {"requestedTimes": []},
        {"requestedTimes": {}},
        {"requestedTimes": ["2026-06-02T10:00:00-07:00"]},
        {"tourType": "SELFGUIDED"},
        {"tourType": 1},
        {"smsConsent": "true"},
        {"sourceTitle": ["Web"]},
        {"profile": None},
        {"profile": []},
        {"profile": {}},
        {"profile": {"firstName": "Ada"}},
        {"profile": {"email": "not an address"}},
        {"profile": {"phone": "555"}},
        {"profile": {"email": "ada@example.com", "bedrooms": "2"}},
        {"profile": {"email": "ada@example.com", "bedrooms": [True]}},
        {"profile": {"email": "ada@example.com", "moveDate": "soon"}},
    ],
)
def test_refused__bookings_with_a_wrong_field(
    knock: httpx.Client, admin: httpx.Client, booking: dict[str, Any], change: dict[str, Any]
) -> None:
    """A field that is missing or of a wrong type is a 400 with words, and nothing is booked."""
    answer = knock.post("/appointment/request", json=booking | change)
    assert (answer.status_code, "errorMessage" in answer.json()) == (400, True)
    assert admin.get("/state").json()["appointments"] == []


def test_prospect__gets_an_id_and_keeps_it(knock: httpx.Client) -> None:
    """A prospect is answered with an id as text, the same for the same person."""
    body = {"communityId": 1001, "firstName": "Ada", "phone": "206-555-0134", "bedrooms": ["1bd", 2], "occupants": 2, "autorespond": False}
    first = knock.post("/prospect", json=body)
    assert first.status_code == 200
    assert isinstance(first.json()["id"], str)
    assert knock.post("/prospect", json=body | {"email": "ada@example.com"}).json() == first.json()


def test_prospect__is_the_one_a_booking_finds(knock: httpx.Client, booking: dict[str, Any]) -> None:
    """A prospect made before is reused by the booking."""
    made = knock.post("/prospect", json={"communityId": "1001", "email": "ada@example.com"}).json()
    assert knock.post("/appointment/request", json=booking).json()["prospectId"] == made["id"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"communityId": "9"}, 404),
        ({"email": 5}, 400),
        ({"email": None}, 400),
        ({"occupants": -1}, 400),
        ({"occupants": True}, 400),
        ({"maxBudget": "2000"}, 400),
        ({"autorespond": 1}, 400),
    ],
)
def test_refused__prospects(knock: httpx.Client, change: dict[str, Any], status: int) -> None:
    """A prospect of nowhere or with a wrong field is refused with words."""
    answer = knock.post("/prospect", json={"communityId": "1001", "email": "ada@example.com"} | change)
    assert (answer.status_code, "errorMessage" in answer.json()) == (status, True)


def test_cancelled__the_slot_is_free_again(knock: httpx.Client, booking: dict[str, Any]) -> None:
    """A cancel answers CANCELLED, twice if asked twice, and gives the slot back."""
    booked = knock.post("/appointment/request", json=booking).json()["appointmentId"]
    for _ in range(2):
        answer = knock.put(f"/appointment/{booked}/cancel")
        assert (answer.status_code, answer.json()) == (200, {"appointment": {"id": booked, "status": "CANCELLED"}})
    assert TEN in times(knock)


@pytest.mark.parametrize("appointment", ["1", "%00", "null", "%F0%9F%98%80", "x" * 5000])
def test_refused__cancel_of_what_is_not_there(knock: httpx.Client, appointment: str) -> None:
    """An unknown appointment is a 404 with words."""
    answer = knock.put(f"/appointment/{appointment}/cancel")
    assert (answer.status_code, "errorMessage" in answer.json()) == (404, True)
