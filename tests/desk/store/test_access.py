"""Vendors, sessions and limits: what is not granted, or has ended, is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.desk.store import Vendor
from agent.errors import StoreError
from tests.desk.store.made import HOUR_MS, T0_MS, everything, new_store, opened, together

HIT = """
print(*(store.hit("bookings", "who", T0_MS, HOUR_MS) for _ in range(20)))
"""
FIRST, SECOND = "0123456789abcdef" * 4, "fedcba9876543210" * 4


def test_ok__a_vendors_token_is_good_for_its_communities_until_revoked(tmp_path: Path) -> None:
    """An unknown or revoked one is nobody's, and a revoked vendor may be given a new one."""
    with opened(tmp_path / "desk.db") as store:
        store.new_vendor("Acme", FIRST, ["1001", "2"])
        vendor = Vendor("0123456789ab", "Acme", ("1001", "2"))
        assert store.vendor_by_token(FIRST) == vendor
        assert store.vendor_by_token("Acme") is None
        with pytest.raises(StoreError, match="the vendor Acme has a token already: revoke it first"):
            store.new_vendor("Acme", SECOND, ["3"])
        with pytest.raises(StoreError, match="the vendor Other has a token already"):
            store.new_vendor("Other", FIRST, ["3"])
        assert store.revoke_vendor("Acme", T0_MS) is True
        assert store.revoke_vendor("Acme", T0_MS) is store.revoke_vendor("Other", T0_MS) is False
        assert store.vendor_by_token(FIRST) is None
        assert store.vendors() == [Vendor("0123456789ab", "Acme", ("1001", "2"), T0_MS)]
        store.new_vendor("Acme", SECOND, ["1001"])
        assert (store.vendor_by_token(FIRST), store.vendors()) == (None, [Vendor("fedcba987654", "Acme", ("1001",))])


def test_ok__a_session_is_good_until_it_expires_or_ends(tmp_path: Path) -> None:
    """To its last millisecond; one is ended alone, or all of a person's."""
    with opened(tmp_path / "desk.db") as store:
        for token, name in (("1", "ann"), ("2", "ann"), ("3", "bo")):
            store.add_session(token, name, T0_MS)
        assert [store.session(token, T0_MS - 1) for token in "1234"] == ["ann", "ann", "bo", None]
        assert store.session("1", T0_MS) is None
        assert (store.end_session("1"), store.end_session("1")) == (True, False)
        assert store.session("1", 0) is None
        assert store.end_sessions_of("ann") == 1
        assert [store.session(token, 0) for token in "123"] == [None, None, "bo"]


def test_ok__hits_are_counted_within_the_window(tmp_path: Path) -> None:
    """One kind and one address at a time; never forgotten before the window is over, and soon after."""
    path = new_store(tmp_path)
    with opened(path) as store:
        assert [store.hit("bookings", "a", T0_MS + index, HOUR_MS) for index in range(3)] == [1, 2, 3]
        assert (store.hit("bookings", "b", T0_MS, HOUR_MS), store.hit("wrong_links", "a", T0_MS, HOUR_MS)) == (1, 1)
        assert store.hit("bookings", "a", T0_MS + HOUR_MS, HOUR_MS) == 4
        assert store.hit("bookings", "a", T0_MS + HOUR_MS * 14 // 12, HOUR_MS) == 2
        store.hit("bookings", "a", T0_MS + 3 * HOUR_MS, HOUR_MS)
        assert sorted((kind, who) for kind, _, who, _ in everything(path)["hit"]) == [("bookings", "a"), ("wrong_links", "a")]


def test_ok__a_flood_of_hits_takes_no_room(tmp_path: Path) -> None:
    """Counting one address that never stops keeps a handful of rows."""
    path = new_store(tmp_path)
    with opened(path) as store:
        counts = [store.hit("wrong_links", "a", T0_MS + index * 20_000, HOUR_MS) for index in range(300)]
    assert 180 <= counts[-1] <= 195
    assert len(everything(path)["hit"]) <= 13


def test_ok__processes_count_together(tmp_path: Path) -> None:
    """A limit holds for all desks at once: no count is given twice."""
    told = together(HIT, [(new_store(tmp_path),)] * 3)
    assert sorted(int(count) for line in told for count in line.split()) == list(range(1, 61))
