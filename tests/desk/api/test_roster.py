"""The roster as a door follows it: complete, in order, resumable, and to nobody else."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from agent.core.tour import Standing, Window
from tests.desk.api.made import HOUR_MS, KEY, NOW_MS, Site, appointment, pins, put, put_many

ROSTER = "/api/v1/roster"


def ask(door: httpx.Client, cursor: str | None = None, **query: object) -> dict[str, Any]:
    """A page behind a cursor."""
    params = {**query} if cursor is None else {"cursor": cursor, **query}
    answer = door.get(ROSTER, params={name: str(value) for name, value in params.items()})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def follow(door: httpx.Client, cursor: str | None = None) -> tuple[list[dict[str, Any]], str, int]:
    """All pages behind a cursor: entries, the last cursor, how many pages."""
    entries: list[dict[str, Any]] = []
    count, has_more = 0, True
    while has_more:
        page = ask(door, cursor)
        entries += page["entries"]
        cursor, has_more, count = page["cursor"], page["has_more"], count + 1
    assert cursor is not None
    return entries, cursor, count


def test_ok__an_entry_says_all_that_a_door_needs_and_no_name(site: Site, door: httpx.Client) -> None:
    """Code, window, doors, units, source and the PIN's hash; who the prospect is stays at the desk."""
    put(site.store)
    page = ask(door)
    assert page == {
        "entries": [
            {
                "appointment_id": "a1",
                "standing": "confirmed",
                "revision": 1,
                "code_id": "000000000001",
                "key_id": KEY.key_id,
                "prospect_id": "p1",
                "community_id": "1001",
                "doors": ["front"],
                "unit_names": ["101"],
                "start_ms": NOW_MS + HOUR_MS,
                "end_ms": NOW_MS + 2 * HOUR_MS,
                "source_title": "Zumper",
                "pin_hash": f"{1:032x}",
            }
        ],
        "cursor": f"{site.store.epoch}.1",
        "has_more": False,
        "is_resync": False,
        "orders": [],
    }


def test_ok__of_a_dead_appointment_only_the_standing_is_told(site: Site, door: httpx.Client) -> None:
    """A cancel needs no more, and the code and PIN of the dead are nobody's business."""
    put(site.store)
    site.store.end_appointment("a1", Standing.CANCELLED, NOW_MS)
    assert ask(door)["entries"] == [{"appointment_id": "a1", "standing": "cancelled", "revision": 2}]


def test_ok__three_thousand_appointments_come_complete_and_each_once(site: Site, door: httpx.Client) -> None:
    """Pages of at most 200, one behind the other, in the order of the changes."""
    put_many(site.store, range(3000))
    entries, cursor, pages = follow(door)
    assert [entry["appointment_id"] for entry in entries] == [f"a{number}" for number in range(3000)]
    assert pages == 15
    assert follow(door, cursor) == ([], cursor, 1)


def test_ok__a_page_stays_small_when_its_entries_are_large(site: Site, door: httpx.Client) -> None:
    """The longest names there can be, in letters that JSON writes long, do not make a page longer than 256 KB."""
    long = {"unit_names": tuple("\N{GRINNING FACE}" * 39 + chr(97 + number) for number in range(12)), "source_title": "\N{SNOWMAN}" * 200}
    for number in range(200):
        site.store.put_appointment(appointment(number, **long), None, NOW_MS)
    page = door.get(ROSTER)
    assert len(page.content) < 256 * 1024
    assert page.json()["has_more"]
    entries, _, pages = follow(door)
    assert [entry["appointment_id"] for entry in entries] == [f"a{number}" for number in range(200)]
    assert pages > 2


def test_ok__the_same_cursor_gives_the_same_page(site: Site, door: httpx.Client) -> None:
    """A door that lost an answer asks again."""
    for number in range(250):
        put(site.store, number)
    first = ask(door)
    assert ask(door) == first
    second = ask(door, first["cursor"])
    assert ask(door, first["cursor"]) == second
    assert len(second["entries"]) == 50


def test_ok__an_idle_doors_cursor_moves_on_with_others_changes(site: Site, door: httpx.Client) -> None:
    """Else it would grow too old without anything having been missed."""
    put(site.store)
    cursor = ask(door)["cursor"]
    for number in range(5):
        put(site.store, 10 + number, doors=("gym",))
    page = ask(door, cursor)
    assert (page["entries"], page["cursor"]) == ([], f"{site.store.epoch}.6")


def test_refused__a_door_hears_nothing_of_other_doors_and_communities(site: Site, door: httpx.Client) -> None:
    """Its token is for one door of one community."""
    put(site.store, 1, doors=("gym",))
    put(site.store, 2, community_id="1002")
    assert ask(door)["entries"] == []
    with site.client(site.door("gym")) as gym:
        assert [entry["appointment_id"] for entry in ask(gym)["entries"]] == ["a1"]


def test_refused__a_door_that_is_no_longer_named_hears_of_the_code_that_killed_its_own(site: Site, door: httpx.Client) -> None:
    """The tour goes to another entrance: the old code must not open here (promise P5)."""
    put(site.store)
    cursor = ask(door)["cursor"]
    site.store.put_appointment(appointment(code_id="00000000000f", doors=("gym",)), pins(2, "gym"), NOW_MS)
    (heard,) = ask(door, cursor)["entries"]
    assert (heard["standing"], heard["code_id"], heard["doors"], heard["pin_hash"]) == ("confirmed", "00000000000f", ["gym"], None)
    assert heard["revision"] == 2


@pytest.mark.parametrize(
    "cursor",
    ["", "0", "-1", "{epoch}",
     "{epoch}.", "{epoch}.-1", "{epoch}.99", "{epoch}.1.1", "{epoch}.\u0661", "{epoch}.1e0", "{epoch}. 1", " {epoch}.1",
     "{epoch}." + "9" * 16, "{epoch}." + "9" * 5000, "0123456789abcdef.1", "☃.1", "\x00", "{epoch}.1\n", "' OR 1=1 --"],
)  # fmt: skip
def test_ok__what_is_no_cursor_of_this_desk_starts_from_nothing(site: Site, door: httpx.Client, cursor: str) -> None:
    """Another epoch, ahead of the desk, or garbage: everything again, and said so."""
    put(site.store)
    page = ask(door, cursor.replace("{epoch}", site.store.epoch), wait_s=50)
    assert page["is_resync"]
    assert [entry["appointment_id"] for entry in page["entries"]] == ["a1"]
    assert ask(door, page["cursor"])["is_resync"] is False


def test_ok__after_an_older_store_was_put_back_every_door_reads_from_the_start(site: Site, door: httpx.Client) -> None:
    """One door knows more than there is; another has not asked yet, and would take what comes next for what it knows."""
    put(site.store)
    put(site.store, 2, doors=("gym",))
    old_epoch = site.store.epoch
    with site.client(site.door("gym")) as gym:
        cursor = ask(gym)["cursor"]
        assert cursor == f"{old_epoch}.2"
        assert ask(door, f"{old_epoch}.7")["is_resync"] is True
        assert site.store.epoch != old_epoch
        page = ask(gym, cursor)
    assert (page["is_resync"], [entry["appointment_id"] for entry in page["entries"]]) == (True, ["a2"])
    settled = site.store.epoch
    assert ask(door, f"{old_epoch}.7")["is_resync"] is True
    assert site.store.epoch == settled


def test_ok__a_cursor_behind_which_something_was_deleted_starts_from_nothing(site: Site, door: httpx.Client) -> None:
    """And the fresh start comes to its end, although it began below what was deleted."""
    put_many(site.store, range(300))
    old = ask(door)["cursor"]
    put(site.store, 400, window=Window(NOW_MS - 2 * HOUR_MS, NOW_MS - HOUR_MS))
    put_many(site.store, range(300, 310))
    assert ask(door, old)["is_resync"] is False
    assert site.store.prune(NOW_MS) > 0
    page = ask(door, old)
    assert page["is_resync"]
    entries, cursor, pages = follow(door)
    assert {entry["appointment_id"] for entry in entries} == {f"a{number}" for number in range(310)}
    assert pages == 2
    assert follow(door, cursor) == ([], cursor, 1)


@pytest.mark.parametrize("wait", ["-1", "x", "1.5", "", "NaN", "1e3", "\u0663", "9999999", "+5"])
def test_refused__a_wait_that_is_no_number_of_seconds(door: httpx.Client, wait: str) -> None:
    """Said in a sentence."""
    answer = door.get(ROSTER, params={"wait_s": wait})
    assert answer.status_code == 400
    assert "wait_s" in answer.json()["error"]


def test_ok__orders_are_told_until_they_are_done(site: Site, door: httpx.Client) -> None:
    """With every page, also when there is no news; another door's are not this one's."""
    order = site.store.add_order("1001", "front", "outbox_retry", ["v1"], NOW_MS)
    site.store.add_order("1001", "gym", "outbox_retry", ["v2"], NOW_MS)
    told = [{"order_id": order.order_id, "do": "outbox_retry", "visit_ids": ["v1"]}]
    page = ask(door)
    assert page["orders"] == told
    assert ask(door, page["cursor"])["orders"] == told
    answer = door.post("/api/v1/report", json={"version": "1", "orders_done": [order.order_id, order.order_id + 1]})
    assert answer.json() == {"ok": True}
    assert ask(door, page["cursor"])["orders"] == []
    assert len(site.store.orders("1001", "gym")) == 1


def test_ok__who_asks_is_seen_with_what_it_has(site: Site, door: httpx.Client) -> None:
    """The cursor that a door asks behind is what it has on disk; it is written down soon, and at a stop at the latest."""
    put(site.store)
    cursor = ask(door)["cursor"]
    site.until(lambda: site.store.doors()[0].seen_ms == NOW_MS)
    assert site.store.doors()[0].applied_seq is None
    ask(door, cursor)
    site.api.close()
    site.until(lambda: site.store.doors()[0].applied_seq == 1)


def test_ok__the_cursor_is_opaque_text_that_fits_a_url(site: Site, door: httpx.Client) -> None:
    """No character in it needs care."""
    put(site.store)
    assert re.fullmatch(r"[A-Za-z0-9_.-]+", ask(door)["cursor"])


def test_refused__a_store_that_cannot_be_used_is_said_in_a_sentence(site: Site, door: httpx.Client) -> None:
    """503, which a door tries again; nothing of the store's own words."""
    site.store.close()
    answer = door.get(ROSTER, params={"wait_s": "50"})
    assert (answer.status_code, set(answer.json())) == (503, {"error"})
    assert "desk.db" not in answer.text
