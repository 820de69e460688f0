"""The admin API: what it shows, what it switches, and what it refuses."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

BAD_FAULTS: list[tuple[object, str]] = [
    ([], "JSON object"),
    ({}, "kind"),
    ({"kind": "boom"}, "kind"),
    ({"kind": 5}, "kind"),
    ({"kind": "slow"}, "seconds"),
    ({"kind": "slow", "seconds": -1}, "seconds"),
    ({"kind": "slow", "seconds": "2"}, "seconds"),
    ({"kind": "slow", "seconds": True}, "seconds"),
    ({"kind": "slow", "seconds": 2, "status": 500}, "status"),
    ({"kind": "status"}, "status"),
    ({"kind": "status", "status": 99}, "status"),
    ({"kind": "status", "status": 600}, "status"),
    ({"kind": "status", "status": 200.5}, "status"),
    ({"kind": "status", "status": 429, "retry_after_seconds": -1}, "retry_after_seconds"),
    ({"kind": "lost", "count": 0}, "count"),
    ({"kind": "lost", "count": None}, "count"),
    ({"kind": "lost", "probability": 1.5}, "probability"),
    ({"kind": "lost", "seed": "x"}, "seed"),
    ({"kind": "lost", "secnods": 1}, "secnods"),
]


def test_health__answers(admin: httpx.Client) -> None:
    """The health check says ok and what time the sandbox has."""
    assert admin.get("/healthz").json() == {"status": "ok", "now": "2026-06-01T19:00:00+00:00"}


def test_received__lists_what_was_accepted_in_order(knock: httpx.Client, admin: httpx.Client, booking: dict[str, Any]) -> None:
    """Accepted work is listed in order and by route; what was refused is not."""
    assert admin.get("/received").json() == []
    knock.get("/community/1001/available-times", params={"forSelfGuided": "true"}).raise_for_status()
    booked = knock.post("/appointment/request", json=booking).json()
    knock.post("/appointment/request", json={})
    knock.put(f"/appointment/{booked['appointmentId']}/cancel", content=b"anything").raise_for_status()
    received = admin.get("/received").json()
    assert [one["route"] for one in received] == ["available-times", "request", "cancel"]
    assert received[0]["body"] == {"communityId": "1001", "forSelfGuided": True}
    assert received[1] == {
        "route": "request",
        "at": "2026-06-01T19:00:00+00:00",
        "body": booking,
        "result": booked,
        "idempotency_key": None,
    }
    assert admin.get("/received", params={"route": "request"}).json() == received[1:2]


def test_state__shows_everything(knock: httpx.Client, admin: httpx.Client, visit: dict[str, Any]) -> None:
    """Communities, prospects, appointments, visits, faults and the clock are in one answer."""
    knock.post("/visit", json=visit).raise_for_status()
    admin.put("/faults/visit", json={"kind": "lost", "count": 3}).raise_for_status()
    state = admin.get("/state").json()
    assert state["communities"] == [
        {"id": "1001", "name": "Juniper Flats", "timeZone": "America/Los_Angeles", "units": ["101", "204 B", "305"]}
    ]
    assert [one["id"] for one in state["prospects"]] == [visit["prospectId"]]
    assert [one["id"] for one in state["appointments"]] == [visit["appointmentId"]]
    assert state["visits"][0]["visitTime"] == "2026-06-01T18:30:06.214000+00:00"
    assert state["faults"] == {"visit": {"kind": "lost", "count": 3, "probability": 1.0, "seed": 0, "left": 3}}
    assert (state["now"], state["offset_seconds"]) == ("2026-06-01T19:00:00+00:00", 0)


def test_clock__moves_from_the_device_s_time_not_from_its_last_place(admin: httpx.Client) -> None:
    """The offset is absolute: the same one twice is where it was."""
    for _ in range(2):
        answer = admin.post("/clock", json={"offset_seconds": -90.5}).json()
        assert answer == {"now": "2026-06-01T18:58:29.500000+00:00", "offset_seconds": -90.5}
    assert admin.post("/clock", json={"offset_seconds": 0}).json()["now"] == "2026-06-01T19:00:00+00:00"


def test_faults__are_shown_by_every_change(admin: httpx.Client) -> None:
    """Putting and deleting a fault answers what is on."""
    put = admin.put("/faults/visit", json={"kind": "status", "status": 429, "retry_after_seconds": 3})
    fault = {"kind": "status", "status": 429, "retry_after_seconds": 3, "count": None, "probability": 1.0, "seed": 0, "left": None}
    assert put.json() == {"faults": {"visit": fault}}
    assert set(admin.put("/faults/*", json={"kind": "lost"}).json()["faults"]) == {"visit", "*"}
    assert set(admin.delete("/faults/visit").json()["faults"]) == {"*"}
    assert admin.delete("/faults").json() == {"faults": {}}


@pytest.mark.parametrize(("fault", "words"), BAD_FAULTS)
def test_refused__faults(admin: httpx.Client, fault: object, words: str) -> None:
    """A fault that is not understood is a 400 that names what is wrong, and nothing is switched."""
    answer = admin.put("/faults/visit", json=fault)
    assert answer.status_code == 400
    assert words in answer.json()["error"]
    assert admin.get("/state").json()["faults"] == {}


@pytest.mark.parametrize(
    ("method", "path", "content", "status"),
    [
        ("PUT", "/faults/nowhere", b'{"kind": "lost"}', 404),
        ("DELETE", "/faults/nowhere", b"", 404),
        ("PUT", "/faults/*", b'{"kind": "refuse", "count": 1}', 400),
        ("PUT", "/faults/visit", b"{", 400),
        ("PUT", "/faults/visit", b"x" * 70_000, 413),
        ("POST", "/clock", b"", 400),
        ("POST", "/clock", b"{}", 400),
        ("POST", "/clock", b'{"offset_seconds": "60"}', 400),
        ("POST", "/clock", b'{"offset_seconds": 1e18}', 400),
        ("POST", "/clock", b'{"offset_seconds": NaN}', 400),
        ("POST", "/clock", b'{"offset_seconds": 1, "zone": "UTC"}', 400),
        ("GET", "/received?route=nowhere", b"", 400),
        ("GET", "/received?route=", b"", 400),
        ("GET", "/visit", b"", 404),
        ("POST", "/visit", b"", 404),
        ("GET", "/clock", b"", 405),
        ("POST", "/faults/visit", b"", 405),
        ("HEAD", "/state", b"", 405),
    ],
)
def test_refused__requests(admin: httpx.Client, method: str, path: str, content: bytes, status: int) -> None:
    """Wrong routes, methods and bodies are refused in JSON; Knock's routes are not on the admin port."""
    answer = admin.request(method, path, content=content)
    assert answer.status_code == status
    assert method == "HEAD" or isinstance(answer.json()["error"], str)
    assert admin.get("/state").json()["offset_seconds"] == 0
