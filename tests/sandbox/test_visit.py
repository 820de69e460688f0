"""Knock's Visit API: what is taken, what is ignored, what is refused, and that a double post is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.sandbox.state import match_units
from agent.sandbox.threaded import ThreadedSandbox

UNITS = ("101", "204 B", "305")
SPACES = st.text(alphabet=" \t\u00a0\u2003", max_size=3)


def test_taken__as_the_public_example(knock: httpx.Client, admin: httpx.Client, visit: dict[str, Any]) -> None:
    """The published example is answered with a visit id as text, and is seen in the received list word by word."""
    answer = knock.post("/visit", json=visit)
    assert answer.status_code == 200
    assert isinstance(answer.json()["visitId"], str)
    (received,) = admin.get("/received", params={"route": "visit"}).json()
    assert received["body"] == visit
    assert received["result"] == answer.json()
    assert received["at"] == "2026-06-01T19:00:00+00:00"


def test_taken__without_the_optional_fields(knock: httpx.Client, visit: dict[str, Any]) -> None:
    """Only prospect, time and appointment are needed."""
    for name in ("isSelfGuided", "sourceTitle", "unitNames"):
        del visit[name]
    assert knock.post("/visit", json=visit).status_code == 200


def test_taken__units_that_match_are_kept_the_rest_is_ignored(knock: httpx.Client, admin: httpx.Client, visit: dict[str, Any]) -> None:
    """Units match without case and space, each once; an unknown unit is no error."""
    visit["unitNames"] = ["204b", " 204 B", "nowhere", "", "1 0 1"]
    assert knock.post("/visit", json=visit).status_code == 200
    assert admin.get("/state").json()["visits"][0]["units"] == ["204 B", "101"]


def test_taken__twice_is_two_visits(knock: httpx.Client, admin: httpx.Client, visit: dict[str, Any]) -> None:
    """By default a double post is seen, even under one idempotency key."""
    answers = [knock.post("/visit", json=visit, headers={"Idempotency-Key": "a"}).json()["visitId"] for _ in range(2)]
    assert len(set(answers)) == 2
    assert [one["idempotency_key"] for one in admin.get("/received", params={"route": "visit"}).json()] == ["a", "a"]


def test_taken__after_a_cancel(knock: httpx.Client, visit: dict[str, Any]) -> None:
    """Who was there was there, although the appointment was cancelled meanwhile."""
    knock.put(f"/appointment/{visit['appointmentId']}/cancel").raise_for_status()
    assert knock.post("/visit", json=visit).status_code == 200


def test_idempotency__a_setting_makes_the_second_post_an_echo(
    start: Callable[..., ThreadedSandbox], connect: Callable[[str], httpx.Client], booking: dict[str, Any]
) -> None:
    """When keys are honoured, the same post is answered the same and done once; another body under that key is refused."""
    running = start(is_idempotency_key_honoured=True)
    knock, admin = connect(running.url), connect(running.admin_url)
    booked = knock.post("/appointment/request", json=booking).json()
    body = {"prospectId": booked["prospectId"], "appointmentId": booked["appointmentId"], "visitTime": "2026-06-01T18:00:00Z"}
    key = {"Idempotency-Key": "one"}
    first, second = (knock.post("/visit", json=body, headers=key) for _ in range(2))
    assert first.json() == second.json()
    assert len(admin.get("/state").json()["visits"]) == 1
    assert knock.post("/visit", json=body | {"unitNames": ["101"]}, headers=key).status_code == 422
    assert knock.post("/visit", json=body).json() != first.json()


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"visitTime": "2026-06-01T19:00:00.001Z"}, 400, "in the past"),
        ({"visitTime": "9999-12-31T23:59:59-23:59"}, 400, "visitTime"),
        ({"visitTime": "2026-06-01T18:00:00"}, 400, "visitTime"),
        ({"visitTime": "yesterday"}, 400, "visitTime"),
        ({"visitTime": 1780340000}, 400, "visitTime"),
        ({"visitTime": None}, 400, "visitTime"),
        ({"prospectId": "1"}, 404, "prospect"),
        ({"prospectId": 1}, 400, "prospectId"),
        ({"prospectId": ""}, 400, "prospectId"),
        ({"appointmentId": "2"}, 404, "appointment"),
        ({"appointmentId": 2}, 400, "appointmentId"),
        ({"isSelfGuided": "true"}, 400, "isSelfGuided"),
        ({"isSelfGuided": None}, 400, "isSelfGuided"),
        ({"sourceTitle": 7}, 400, "sourceTitle"),
        ({"unitNames": "101"}, 400, "unitNames"),
        ({"unitNames": [101]}, 400, "unitNames"),
        ({"unitNames": [None]}, 400, "unitNames"),
    ],
)
def test_refused__visits(  # noqa: PLR0917 - the fixtures and one row of the table
    knock: httpx.Client, admin: httpx.Client, visit: dict[str, Any], change: dict[str, Any], status: int, words: str
) -> None:
    """A visit in the future, of strangers or with a wrong field is refused, says why, and is not in the received list."""
    answer = knock.post("/visit", json=visit | change)
    assert answer.status_code == status
    assert words in answer.json()["errorMessage"]
    assert admin.get("/received", params={"route": "visit"}).json() == []


@pytest.mark.parametrize("name", ["prospectId", "visitTime", "appointmentId"])
def test_refused__visits_without_a_needed_field(knock: httpx.Client, visit: dict[str, Any], name: str) -> None:
    """A missing field is named."""
    del visit[name]
    answer = knock.post("/visit", json=visit)
    assert answer.status_code == 400
    assert f"{name} in the body must be" in answer.json()["errorMessage"]
    assert "missing" in answer.json()["errorMessage"]


def test_refused__another_person_s_appointment(knock: httpx.Client, visit: dict[str, Any]) -> None:
    """The appointment must be of the prospect."""
    other = knock.post("/prospect", json={"communityId": "1001", "email": "bo@example.com"}).json()["id"]
    answer = knock.post("/visit", json=visit | {"prospectId": other})
    assert answer.status_code == 400
    assert "is not of prospect" in answer.json()["errorMessage"]


def test_taken__when_the_future_has_come(knock: httpx.Client, admin: httpx.Client, visit: dict[str, Any]) -> None:
    """A visit that was refused as future is taken as soon as its time has passed."""
    visit["visitTime"] = "2026-06-01T19:05:00Z"
    assert knock.post("/visit", json=visit).status_code == 400
    admin.post("/clock", json={"offset_seconds": 300}).raise_for_status()
    assert knock.post("/visit", json=visit).status_code == 200


@given(unit=st.sampled_from(UNITS), spaces=st.lists(SPACES, min_size=6, max_size=6), is_upper=st.booleans())
def test_units__match_however_they_are_spaced_and_cased(unit: str, spaces: list[str], is_upper: bool) -> None:
    """Spaces anywhere and any case do not matter."""
    spelt = "".join(space + letter for space, letter in zip(spaces, unit.ljust(6), strict=True))
    assert match_units([spelt.upper() if is_upper else spelt.lower()], UNITS) == (unit,)


@given(names=st.lists(st.text()))
def test_units__whatever_is_sent_only_known_ones_come_out(names: list[str]) -> None:
    """No list of names is an error, and only the community's units come out, each once."""
    found = match_units(names, UNITS)
    assert set(found) <= set(UNITS)
    assert len(found) == len(set(found))
