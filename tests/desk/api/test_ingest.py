"""Appointments that a vendor booked: a code for each, a new one for each change, none for the dead."""

from __future__ import annotations

import base64
import io
import json
from typing import Any

import httpx
import pytest
import zxingcpp
from PIL import Image

from agent.core import codes
from agent.core.tour import TourCode, Window
from agent.desk.api.ingest import MOST_A_MINUTE
from tests.desk.api.made import KEY, NOW_MS, Site, appointment, body, put

PATH = "/api/v1/appointments/48210377"
START_MS = 1_800_036_000_000


def taken(vendor: httpx.Client, status: int = 200, path: str = PATH, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """The answer to an appointment that is put."""
    answer = vendor.put(path, json=body(**changes))
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


def test_ok__a_new_appointment_is_answered_with_its_code(site: Site, vendor: httpx.Client) -> None:
    """The code says what was sent, the picture says the code, the times are in the property's zone with the grace around them."""
    told = taken(vendor, 201)
    read = codes.read(told["code"].encode(), codes.keyring([KEY]))
    assert isinstance(read, TourCode), read
    assert (read.appointment_id, read.prospect_id, read.doors, read.unit_names) == ("48210377", "5550001", ("front",), ("101",))
    assert read.window == Window(START_MS, START_MS + 1_800_000)
    picture = base64.b64decode(told["qr_png"].removeprefix("data:image/png;base64,"), validate=True)
    seen = zxingcpp.read_barcode(Image.open(io.BytesIO(picture)))
    assert seen is not None
    assert seen.text == told["code"]
    assert (told["start"], told["end"]) == ("2027-01-15T10:00:00-08:00", "2027-01-15T10:30:00-08:00")
    assert (told["opens"], told["closes"]) == ("2027-01-15T09:45:00-08:00", "2027-01-15T11:00:00-08:00")
    assert told["doors"] == [{"name": "front", "label": "Main entrance", "directions": ""}]
    assert (told["standing"], told["revision"], len(told["pin"])) == ("confirmed", 1, 8)
    entries, _, _ = site.store.roster_page("1001", "front", 0, 10)
    assert [(entry.code_id, pin) for entry, pin in entries] == [
        (read.code_id, site.office.secrets.pin_hashes(told["pin"], "1001", ["front"])["front"])
    ]


def test_ok__the_same_again_gives_the_same_code(vendor: httpx.Client) -> None:
    """A vendor whose answer was lost sends it again."""
    first = taken(vendor, 201)
    assert taken(vendor) == first


def test_ok__the_instant_counts_and_not_how_it_is_written(vendor: httpx.Client) -> None:
    """Z, another offset, small letters."""
    first = taken(vendor, 201)
    assert taken(vendor, start="2027-01-15T18:00:00Z", end="2027-01-15t19:30:00+01:00") == first


def test_ok__another_time_gives_another_code(site: Site, vendor: httpx.Client) -> None:
    """And the old one is dead at the door."""
    first = taken(vendor, 201)
    moved = taken(vendor, start="2027-01-15T11:00:00-08:00", end="2027-01-15T11:30:00-08:00")
    assert moved["code"] != first["code"]
    assert moved["revision"] == 2
    entries, _, _ = site.store.roster_page("1001", "front", 0, 10)
    read = codes.read(moved["code"].encode(), codes.keyring([KEY]))
    assert isinstance(read, TourCode)
    assert [entry.code_id for entry, _ in entries] == [read.code_id]


@pytest.mark.parametrize(
    ("changes", "doors"),
    [
        ({"unit_names": ["305"]}, ["front", "gym"]),
        ({"unit_names": []}, ["front"]),
        ({"doors": ["gym"]}, ["gym"]),
        ({"doors": None}, ["front"]),
    ],
)
def test_ok__doors_are_named_or_follow_from_the_units(vendor: httpx.Client, changes: dict[str, Any], doors: list[str]) -> None:
    """As the property's settings have it."""
    assert [door["name"] for door in taken(vendor, 201, **changes)["doors"]] == doors


def test_ok__a_cancel_kills_the_code_for_good(site: Site, vendor: httpx.Client) -> None:
    """A second cancel is the same; putting it once more does not revive it (promise P5)."""
    taken(vendor, 201)
    cancelled = vendor.put(f"{PATH}/cancel")
    assert (cancelled.status_code, cancelled.json()["standing"]) == (200, "cancelled")
    assert "code" not in cancelled.json()
    assert vendor.put(f"{PATH}/cancel").json() == cancelled.json()
    for again in (body(), body(start="2027-01-16T10:00:00-08:00", end="2027-01-16T10:30:00-08:00")):
        answer = vendor.put(PATH, json=again)
        assert (answer.status_code, set(answer.json())) == (409, {"error"})
    entries, _, _ = site.store.roster_page("1001", "front", 0, 10)
    assert [(entry.standing.value, pin) for entry, pin in entries] == [("cancelled", None)]


def test_ok__how_it_stands_is_told_without_its_code(vendor: httpx.Client) -> None:
    """Whoever reads along later gets no way in."""
    told = taken(vendor, 201)
    found = vendor.get(PATH).json()
    assert found == {name: told[name] for name in found}
    assert not {"code", "pin", "qr_png"} & set(found)
    assert "Ada" not in json.dumps(found)


def test_refused__another_vendors_community(site: Site, vendor: httpx.Client) -> None:
    """403 for naming it; of its appointments not even that they exist."""
    put(site.store, 9, community_id="1002")
    assert vendor.put(PATH, json=body(community_id="1002")).status_code == 403
    assert vendor.put(PATH, json=body(community_id="9999")).status_code == 403
    assert vendor.get("/api/v1/appointments/a9").json() == vendor.get("/api/v1/appointments/a8").json()
    assert [vendor.put(f"/api/v1/appointments/a{number}/cancel").status_code for number in (8, 9)] == [404, 404]
    assert vendor.put("/api/v1/appointments/a9", json=body()).status_code == 409
    known = site.store.appointment("a9")
    assert known is not None
    assert known.standing.value == "confirmed"


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"end": "2027-01-15T10:00:00-08:00"}, "end"),
        ({"end": "2027-01-15T09:59:59-08:00"}, "end"),
        ({"end": "2027-01-16T10:00:01-08:00"}, "end"),
        ({"start": "2027-01-15T10:00:00"}, "start"),
        ({"start": "2027-02-30T10:00:00Z"}, "start"),
        ({"start": "2027-01-15T10:00:60Z"}, "start"),
        ({"start": "2027-01-15 10:00:00Z"}, "start"),
        ({"start": "٢٠٢٧-01-15T10:00:00Z"}, "start"),
        ({"start": "1800036000000"}, "start"),
        ({"start": "9999-12-31T23:59:59Z", "end": "9999-12-31T23:59:59-08:00"}, "end"),
        ({"start": "0000-01-15T10:00:00Z"}, "start"),
        ({"start": "0001-01-01T00:00:00+14:00"}, "end"),
        ({"start": "2027-01-15T10:00:00+25:00"}, "start"),
        ({"prospect_id": "a b"}, "prospect_id"),
        ({"prospect_id": "é"}, "prospect_id"),
        ({"prospect_id": "1" * 41}, "prospect_id"),
        ({"unit_names": ["101"] * 13}, "unit_names"),
        ({"unit_names": ["\x1b[31m"]}, "unit_names.0"),
        ({"source_title": "line\nbreak"}, "source_title"),
        ({"first_name": "\u202eAda"}, "first_name"),
        ({"doors": []}, "doors"),
        ({"doors": ["front", "front"]}, "doors"),
        ({"doors": ["../front"]}, "doors.0"),
        ({"standing": "confirmed"}, "standing"),
    ],
)
def test_refused__a_field_that_cannot_be(site: Site, vendor: httpx.Client, changes: dict[str, Any], name: str) -> None:
    """By its name, with what is expected; nothing is stored."""
    answer = vendor.put(PATH, json=body(**changes))
    assert (answer.status_code, list(answer.json()["fields"])) == (422, [name]), answer.text
    assert site.store.appointment("48210377") is None


@pytest.mark.parametrize("changes", [{"unit_names": ["999"]}, {"doors": ["cellar"]}, {"start": "2027-01-15T10:00:00.5-08:00"}])
def test_refused__what_the_property_does_not_have(site: Site, vendor: httpx.Client, changes: dict[str, Any]) -> None:
    """A unit or door of no property of this name, a time that fits no code."""
    answer = vendor.put(PATH, json=body(**changes))
    assert answer.status_code == 422, answer.text
    assert site.store.appointment("48210377") is None


@pytest.mark.parametrize(
    "path", ["%20", "%C3%A9", "a%20b", "x" * 41, "%00", "%F0%9F%98%80", "%FF", "%0A", "a%0Ab", "{appointment_id}" + "x" * 30]
)
def test_refused__an_id_that_is_none(vendor: httpx.Client, path: str) -> None:
    """Said by its name when it is put; of none that can be there is one to find."""
    url = f"/api/v1/appointments/{path}"
    answer = vendor.put(url, json=body())
    assert (answer.status_code, list(answer.json()["fields"])) == (422, ["appointmentId"])
    assert [vendor.get(url).status_code, vendor.put(f"{url}/cancel").status_code] == [404, 404]


@pytest.mark.parametrize("path", ["", "a/b", "a%2Fb", "a/cancel/x", "..", "%2e%2e%2freport"])
def test_refused__an_address_that_is_nobodys(vendor: httpx.Client, path: str) -> None:
    """404 or 405, in JSON."""
    answer = vendor.put(f"/api/v1/appointments/{path}", json=body())
    assert answer.status_code in (404, 405)
    assert "error" in answer.json()


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("DELETE", PATH, "PUT, GET, HEAD"),
        ("POST", f"{PATH}/cancel", "PUT"),
        ("PATCH", "/api/v1/roster", "GET, HEAD"),
        ("PUT", "/api/v1/report", "POST"),
    ],
)
def test_refused__another_method(vendor: httpx.Client, method: str, path: str, allowed: str) -> None:
    """With those that there are."""
    answer = vendor.request(method, path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allowed)


def test_refused__more_in_a_minute_than_a_website_books(site: Site) -> None:
    """A leaked token cannot fill the store; another vendor, and every cancel, is served all the same."""
    for _ in range(MOST_A_MINUTE - 3):
        site.store.hit("ingest", site.office.secrets.who("ingest", "A Website"), NOW_MS, 60_000)
    with site.client(site.vendor()) as busy, site.client(site.vendor(name="Another")) as other:
        statuses = [busy.put(f"/api/v1/appointments/{number}", json=body()).status_code for number in range(5)]
        assert statuses == [201, 201, 201, 429, 429]
        assert int(busy.put(PATH, json=body()).headers["Retry-After"]) > 0
        assert busy.put("/api/v1/appointments/1/cancel").status_code == 200
        assert other.put(PATH, json=body()).status_code == 201


def test_ok__an_appointment_of_the_desks_own_is_not_changed(site: Site, vendor: httpx.Client) -> None:
    """What was booked on the desk's page is moved there: a vendor that names it with another time is refused."""
    put(site.store, 5, booking_id="00000000000000aa", prospect_id="5550001")
    answer = vendor.put("/api/v1/appointments/a5", json=body())
    assert answer.status_code == 409
    known = site.store.appointment("a5")
    assert known is not None
    assert known.window == appointment().window
