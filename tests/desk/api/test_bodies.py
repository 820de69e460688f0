"""Hostile bodies: a clear refusal, nothing stored, and the next request is served."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.desk.api.made import Site, body

JSON = {"Content-Type": "application/json"}
PUT = ("PUT", "/api/v1/appointments/77")
REPORT = ("POST", "/api/v1/report")
RIGHT = {PUT: body(), REPORT: {"version": "1"}}
WRONG_KINDS: list[Any] = [None, True, 1, -1, 1.5, 10**400, "", "x", [], [[]], {}, {"a": 1}, [None], "\x00", "\N{SNOWMAN}" * 5000]


@pytest.fixture(params=[PUT, REPORT], ids=["put", "report"])
def route(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Each route that takes a body."""
    found: tuple[str, str] = request.param
    return found


@pytest.fixture
def client(site: Site, route: tuple[str, str]) -> httpx.Client:
    """A client with the right token."""
    return site.client(site.vendor() if route == PUT else site.door())


def refused(client: httpx.Client, route: tuple[str, str], content: bytes, status: int, **headers: str) -> dict[str, Any]:
    """The refusal of a body; afterwards nothing is stored, and a right one is taken."""
    with client:
        answer = client.request(*route, content=content, headers=JSON | {name.replace("_", "-"): value for name, value in headers.items()})
        assert answer.status_code == status, answer.text
        told: dict[str, Any] = answer.json()
        if route == PUT:
            assert client.get(PUT[1]).status_code == 404
        assert client.request(*route, json=RIGHT[route]).status_code in (200, 201)
    return told


NOT_JSON = [
    b"", b" ", b"not json", b"\xff\xfe", b"\xef\xbb\xbf{}", b"null", b"[]", b'"text"', b"1", b"true", b"{", b'{"a":}', b"{'a': 1}", b"{}{}",
    b"[" * 60_000, b'{"a":' * 10_000, b"[" * 30_000 + b"]" * 30_000, b"<xml/>",
    b'{"version": "1", "clock": {"a": NaN}}', b'{"version": "1", "clock": {"a": Infinity}}', b'{"version": "1", "clock": {"a": 1e999}}',
    b'{"version": "1", "outbox": {"a": ' + b"9" * 5000 + b"}}",
    b'{"version": "\\ud800"}', b'{"\\udfff": 1}', b'{"version": "\xed\xa0\x80"}',
    b'{"version": "1", "version": "2"}', b'{"clock": {"a": 1, "a": 1}}', b'{"community_id": "1001", "community_id": "1002"}',
]  # fmt: skip


def test_refused__an_object_nested_deeper_than_anybody_needs(client: httpx.Client, route: tuple[str, str]) -> None:
    """Python 3.13 reads what 3.11 calls too deep; either way it is refused with a sentence."""
    content = b'{"a":' * 5000 + b"1" + b"}" * 5000
    with client:
        answer = client.request(*route, content=content, headers=JSON)
    assert answer.status_code in (400, 422)
    assert "error" in answer.json()


@pytest.mark.parametrize("content", NOT_JSON, ids=range(len(NOT_JSON)))
def test_refused__what_is_no_json_object(client: httpx.Client, route: tuple[str, str], content: bytes) -> None:
    """Not JSON, no object, endless nesting, numbers that JSON has not, half a letter, a name twice: 400 and a sentence."""
    told = refused(client, route, content, 400)
    assert told["error"].endswith(".")


def test_refused__a_body_of_a_megabyte(client: httpx.Client, route: tuple[str, str]) -> None:
    """It is not kept in memory."""
    refused(client, route, json.dumps({"version": "x" * 1_000_000}).encode(), 413)


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", "", "application/jsonx", "multipart/form-data"]
)
def test_refused__another_content_type(client: httpx.Client, route: tuple[str, str], kind: str) -> None:
    """A browser's form can send no JSON without asking first."""
    refused(client, route, json.dumps(RIGHT[route]).encode(), 415, Content_Type=kind)


def test_ok__a_content_type_with_its_letters_named(client: httpx.Client, route: tuple[str, str]) -> None:
    """As many clients send it."""
    with client:
        headers = {"Content-Type": "Application/JSON; charset=utf-8"}
        assert client.request(*route, content=json.dumps(RIGHT[route]), headers=headers).status_code in (200, 201)


@pytest.mark.parametrize("name", [*body(), "doors"])
def test_refused__wrong_kinds_in_each_field_of_an_appointment(vendor: httpx.Client, name: str) -> None:
    """Each is refused by the field's name, or, where it is right for this field, taken; nothing between."""
    for wrong in WRONG_KINDS:
        answer = vendor.put(PUT[1], json=body(**{name: wrong}))
        assert answer.status_code in (200, 201, 403, 422), answer.text
        if answer.status_code == 422 and "fields" in answer.json():
            assert {place.split(".")[0] for place in answer.json()["fields"]} == {name}


@pytest.mark.parametrize("name", ["version", "applied_cursor", "clock", "outbox", "dead_letters", "admissions", "orders_done"])
def test_refused__wrong_kinds_in_each_field_of_a_report(door: httpx.Client, name: str) -> None:
    """The same for a door's report."""
    for wrong in WRONG_KINDS:
        answer = door.post(REPORT[1], json={"version": "1"} | {name: wrong})
        assert answer.status_code in (200, 422), answer.text
        if answer.status_code == 422:
            assert {place.split(".")[0] for place in answer.json()["fields"]} == {name}


def test_refused__every_mistake_is_told_at_once(vendor: httpx.Client) -> None:
    """By the field's name, each with what is expected, and none of them with what was sent."""
    sent = {
        "comunity_id": "1001",
        "prospect_id": "with a space",
        "start": "2027-01-15T10:00:00",
        "end": "2027-01-15",
        "unit_names": ["x" * 41, 7, "\x07"],
        "first_name": ["Secretname"],
        "doors": ["Front Door"],
    }
    told = vendor.put(PUT[1], json=sent).json()
    wrong = "comunity_id community_id prospect_id start end unit_names.0 unit_names.1 unit_names.2 first_name doors.0"
    assert set(told["fields"]) == set(wrong.split())
    assert told["fields"]["comunity_id"] == "there is no such field; did you mean community_id?"
    assert told["fields"]["community_id"] == "must be given"
    assert told["error"] == "10 fields are wrong."
    assert not any(word in json.dumps(told) for word in ("with a space", "Secretname", "Front Door"))


def test_refused__thousands_of_unknown_fields_make_a_short_answer(vendor: httpx.Client) -> None:
    """What is told is bounded."""
    answer = vendor.put(PUT[1], json=body(**{f"field{number}": 1 for number in range(3000)}))
    assert answer.status_code == 422
    assert len(answer.content) < 8000
