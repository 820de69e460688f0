"""What a door tells of itself."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.desk.api.made import NOW_MS, Site, put

REPORT = "/api/v1/report"


def told(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any JSON
    """A report as the agent sends it."""
    return {
        "version": "0.1.0",
        "applied_cursor": None,
        "clock": {"state": "synced", "earliest_ms": NOW_MS - 5, "latest_ms": None},
        "outbox": {"due": 1, "sending": 0, "in_doubt": 0, "dead": 1},
        "dead_letters": [{"visit_id": "9c5b94b1-35ad-49bb-b118-8e8fc24abf80", "appointment_id": "a1", "words": "no such prospect"}],
        "admissions": [{"appointment_id": "a1", "at_ms": NOW_MS}, {"appointment_id": "a2", "at_ms": NOW_MS + 1}],
        "orders_done": [],
    } | changes


def test_ok__a_report_is_kept_for_staff(site: Site, door: httpx.Client) -> None:
    """The door's state as it said it, when, and how much of the roster it has."""
    put(site.store)
    assert door.post(REPORT, json=told(applied_cursor=f"{site.store.epoch}.1")).json() == {"ok": True}
    (access,) = site.store.doors()
    assert (access.seen_ms, access.applied_seq) == (NOW_MS, 1)
    expected = {name: told()[name] for name in ("version", "clock", "outbox", "dead_letters")}
    assert json.loads(access.report) == expected


def test_ok__a_report_sent_twice_is_written_once(site: Site, door: httpx.Client) -> None:
    """Its answer may be lost: the same admissions again are no new ones."""
    for _ in range(2):
        assert door.post(REPORT, json=told()).status_code == 200
    assert [(one.appointment_id, one.door) for one in site.store.admissions("1001", 0, NOW_MS * 2)] == [("a1", "front"), ("a2", "front")]


def test_refused__a_report_speaks_for_its_own_door_only(site: Site, door: httpx.Client) -> None:
    """Neither a door nor a community can be named; another door's order stays."""
    order = site.store.add_order("1002", "front", "outbox_retry", ["v"], NOW_MS)
    for stranger in ("door", "community_id", "token_id"):
        answer = door.post(REPORT, json=told(**{stranger: "1002"}))
        assert answer.status_code == 422
        assert set(answer.json()["fields"]) == {stranger}
    assert door.post(REPORT, json=told(orders_done=[order.order_id])).status_code == 200
    assert site.store.orders("1002", "front") == [order]
    assert site.store.admissions("1002", 0, NOW_MS * 2) == []


@pytest.mark.parametrize("cursor", ["garbage", "0123456789abcdef.1", "{epoch}.99", "☃", ""])
def test_ok__a_cursor_that_means_nothing_is_no_reason_to_lose_a_report(site: Site, door: httpx.Client, cursor: str) -> None:
    """The admissions count; how much the door has is not known."""
    answer = door.post(REPORT, json=told(applied_cursor=cursor.replace("{epoch}", site.store.epoch)))
    assert answer.status_code == 200
    assert site.store.doors()[0].applied_seq is None
    assert len(site.store.admissions("1001", 0, NOW_MS * 2)) == 2


@pytest.mark.parametrize(
    ("name", "most", "item"),
    [
        ("admissions", 200, {"appointment_id": "a1", "at_ms": 1}),
        ("dead_letters", 100, {"visit_id": "v", "appointment_id": "a1", "words": ""}),
        ("orders_done", 100, 5),
    ],
)
def test_refused__more_than_a_report_may_hold(site: Site, door: httpx.Client, name: str, most: int, item: object) -> None:
    """As many as are allowed are taken; one more, and nothing of it is written."""
    assert door.post(REPORT, json=told(admissions=[]) | {name: [item] * most}).status_code == 200
    before = site.store.admissions("1001", 0, NOW_MS * 2)
    answer = door.post(REPORT, json=told() | {name: [item] * (most + 1)})
    assert (answer.status_code, set(answer.json()["fields"])) == (422, {name})
    assert site.store.admissions("1001", 0, NOW_MS * 2) == before


def test_ok__a_whole_number_may_be_written_with_a_point(site: Site, door: httpx.Client) -> None:
    """JSON knows one kind of number, and some programs write 5.0 for 5."""
    assert door.post(REPORT, json=told(admissions=[{"appointment_id": "a1", "at_ms": 5.0}])).status_code == 200
    assert [one.at_ms for one in site.store.admissions("1001", 0, 10)] == [5]


@pytest.mark.parametrize("at_ms", [-1, 2**63, 2**53, 1.5, "1", True])
def test_refused__an_admission_outside_of_time(door: httpx.Client, at_ms: object) -> None:
    """Before 1970, behind the calendar, or no whole number."""
    answer = door.post(REPORT, json=told(admissions=[{"appointment_id": "a1", "at_ms": at_ms}]))
    assert (answer.status_code, set(answer.json()["fields"])) == (422, {"admissions.0.at_ms"})


def test_ok__long_words_of_knocks_are_cut(site: Site, door: httpx.Client) -> None:
    """They are no reason to refuse a door's report."""
    letter = {"visit_id": "v", "appointment_id": "a1", "words": "x" * 4000}
    assert door.post(REPORT, json=told(dead_letters=[letter])).status_code == 200
    assert len(json.loads(site.store.doors()[0].report)["dead_letters"][0]["words"]) == 300
