"""A page of news: read whole, read without its wrong entries, or refused; never anything else, whatever the desk sends."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.news import MAX_ENTRIES, Order, Page, PageError, read_page
from agent.core.tour import RosterEntry, Standing, Window

CONFIRMED = {
    "appointment_id": "12",
    "standing": "confirmed",
    "revision": 3,
    "code_id": "aabbccddeeff",
    "key_id": "01234567",
    "prospect_id": "5",
    "community_id": "1001",
    "doors": ["front"],
    "unit_names": ["101"],
    "start_ms": 1_790_000_000_000,
    "end_ms": 1_790_000_900_000,
    "source_title": "Zumper",
    "pin_hash": "0123456789abcdef0123456789abcdef",
}
CANCELLED = {"appointment_id": "13", "standing": "cancelled", "revision": 2}
PAGE: dict[str, Any] = {
    "entries": [CONFIRMED, CANCELLED],
    "cursor": "epoch.7",
    "has_more": False,
    "is_resync": False,
    "orders": [{"order_id": 7, "do": "outbox_retry", "visit_ids": ["a1"]}],
}
MARK = "SECRET-4711"
"""Stands for what must not be repeated."""


def page(**changes: object) -> Page:
    """The page of the example with some of its fields changed."""
    return read_page({**copy.deepcopy(PAGE), **changes}, "1001")


def entry(**changes: object) -> Page:
    """A page of the example's confirmed entry with some of its fields changed."""
    return page(entries=[{**CONFIRMED, **changes}])


def test_ok__the_example_of_the_protocol() -> None:
    """A confirmed appointment brings its claims and PIN, a dead one its standing alone; the order is one to obey."""
    found = page()
    confirmed, cancelled = found.news
    assert confirmed.entry == RosterEntry("12", Standing.CONFIRMED, "aabbccddeeff", "Zumper", 3)
    assert confirmed.code is not None
    assert (confirmed.code.window, confirmed.code.doors) == (Window(1_790_000_000_000, 1_790_000_900_000), ("front",))
    assert confirmed.pin_hash == CONFIRMED["pin_hash"]
    assert (cancelled.entry, cancelled.code, cancelled.pin_hash) == (RosterEntry("13", Standing.CANCELLED, revision=2), None, None)
    assert (found.cursor, found.has_more, found.is_resync, found.skipped) == ("epoch.7", False, False, ())
    assert found.orders == (Order(7, "outbox_retry", ("a1",)),)


def test_ok__what_may_be_left_out() -> None:
    """A page without orders and resync, an entry without source, an unknown field: a newer desk is understood."""
    bare = read_page({"entries": [], "cursor": "e.0", "has_more": False, "weather": "fine"}, "1001")
    assert (bare.news, bare.orders, bare.is_resync) == ((), (), False)
    found = entry(source_title=None, pin_hash=None, colour="blue")
    assert (found.skipped, found.news[0].entry.source_title, found.news[0].pin_hash) == ((), None, None)


@pytest.mark.parametrize(
    "changes",
    [
        {"entries": None},
        {"entries": {}},
        {"entries": [CANCELLED] * (MAX_ENTRIES + 1)},
        {"orders": {}},
        {"orders": [{}] * 101},
        {"cursor": None},
        {"cursor": 7},
        {"cursor": ""},
        {"cursor": "x" * 201},
        {"cursor": "e.7\n"},
        {"has_more": None},
        {"has_more": 1},
        {"is_resync": "no"},
        {"has_more": True, "entries": []},
    ],
    ids=str,
)
def test_refused__no_page_at_all(changes: dict[str, object]) -> None:
    """Nothing of it is heard, not even what looks well."""
    with pytest.raises(PageError):
        page(**changes)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("appointment_id", 12),
        ("appointment_id", ""),
        ("appointment_id", f"{MARK} x"),
        ("standing", MARK),
        ("standing", None),
        ("revision", -1),
        ("revision", 2**53 + 1),
        ("revision", True),
        ("revision", 1.0),
        ("code_id", MARK),
        ("code_id", None),
        ("key_id", MARK),
        ("prospect_id", None),
        ("community_id", "1002"),
        ("community_id", None),
        ("doors", []),
        ("doors", "front"),
        ("doors", ["front", "front"]),
        ("doors", [MARK]),
        ("unit_names", ["\ud800"]),
        ("unit_names", [1]),
        ("start_ms", 1_790_000_000_001),
        ("end_ms", 1_790_000_000_000),
        ("end_ms", float("nan")),
        ("source_title", 5),
        ("source_title", "x" * 201),
        ("source_title", f"{MARK}\n"),
        ("pin_hash", MARK),
        ("pin_hash", "A" * 32),
        ("pin_hash", 5),
    ],
)
def test_refused__an_entry_that_is_wrong_is_skipped_alone(field: str, value: object) -> None:
    """It is named by its place and field, without what stood there; the entry after it is heard, and the cursor goes on."""
    found = page(entries=[{**CONFIRMED, field: value}, CANCELLED])
    assert [one.entry.appointment_id for one in found.news] == ["13"]
    (words,) = found.skipped
    assert words.startswith("entry 1: ")
    assert MARK not in words
    assert found.cursor == "epoch.7"


@pytest.mark.parametrize(
    "changes", [{"revision": "x"}, {"code_id": 5}, {"doors": 5}, {"start_ms": None}, {"pin_hash": 1}, {"revision": None}]
)
@pytest.mark.parametrize("standing", ["cancelled", "superseded"])
def test_ok__a_cancel_is_heard_whatever_else_is_wrong_in_it(standing: str, changes: dict[str, object]) -> None:
    """A code must not live on because something else in its cancel is wrong (P5)."""
    found = entry(standing=standing, **changes)
    assert [one.entry.standing for one in found.news] == [standing]


def test_refused__a_cancel_of_another_community() -> None:
    """Another property's news changes nothing here."""
    found = page(entries=[{**CANCELLED, "community_id": "1002"}, {**CANCELLED, "community_id": "1001"}])
    assert (len(found.news), len(found.skipped)) == (1, 1)


@pytest.mark.parametrize(
    "order",
    [
        7,
        {},
        {"order_id": "7", "do": "outbox_retry", "visit_ids": []},
        {"order_id": 7, "do": "", "visit_ids": []},
        {"order_id": 7, "do": "outbox_retry"},
        {"order_id": 7, "do": "outbox_retry", "visit_ids": [MARK + "\n"]},
        {"order_id": 7, "do": "outbox_retry", "visit_ids": ["v"] * 1001},
    ],
    ids=str,
)
def test_refused__an_order_that_is_wrong_is_skipped_alone(order: object) -> None:
    """The order after it and the news beside it are heard."""
    found = page(orders=[order, {"order_id": 8, "do": "dance"}])
    assert (found.orders, len(found.news)) == ((Order(8, "dance"),), 2)
    assert len(found.skipped) == 1
    assert MARK not in found.skipped[0]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
places = st.sampled_from([("page", name) for name in PAGE] + [("entry", name) for name in CONFIRMED])


@settings(deadline=None)
@given(places=st.lists(places, min_size=1, max_size=4), values=st.lists(json_values, min_size=4, max_size=4))
def test_refused__anything_anywhere_is_a_page_or_none(places: list[tuple[str, str]], values: list[Any]) -> None:
    """Whatever JSON stands wherever: it is read or refused, what is read is sound, and nothing else is raised."""
    content, one = copy.deepcopy(PAGE), dict(CONFIRMED)
    for (where, name), value in zip(places, values, strict=False):
        (content if where == "page" else one)[name] = value
    if isinstance(content["entries"], list):
        content["entries"] = [one, *content["entries"]]
    try:
        found = read_page(content, "1001")
    except PageError:
        return
    assert len(found.news) + len([words for words in found.skipped if words.startswith("entry")]) == len(content["entries"])
    for news in found.news:
        json.dumps(news.entry.source_title).encode("ascii")
        assert (news.code is None) == (news.entry.standing is not Standing.CONFIRMED)
        assert news.code is None or news.code.community_id == "1001"


def test_refused__a_hash_stands_in_no_repr() -> None:
    """What is printed by mistake holds no hash of a PIN."""
    assert str(CONFIRMED["pin_hash"]) not in repr(page())
