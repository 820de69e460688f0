"""Doors: their tokens, what they tell, and what is asked of them; heard twice is heard once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from agent.desk.records import Admission, DoorAccess
from agent.errors import StoreError
from tests.desk.store.made import T0_MS, everything, new_store, opened, together

FRONT = DoorAccess("t1", "1001", "front", T0_MS, None, None, None, "{}")
TELL = """
told = [Admission("1001", "front", f"a{number}", T0_MS + number) for number in range(30)]
print(store.add_admissions(told), store.add_order("1001", "front", "outbox_retry", ["v2", "v1"], T0_MS).order_id)
"""


def test_ok__a_token_is_a_doors_until_it_is_revoked(tmp_path: Path) -> None:
    """By its hash alone; an unknown or revoked one is nobody's, and the others stay."""
    with opened(tmp_path / "desk.db") as store:
        store.new_door(FRONT, "hash-1")
        second = replace(FRONT, token_id="t2", created_ms=T0_MS + 1)
        store.new_door(second, "hash-2")
        assert (store.door_by_token("hash-1"), store.door_by_token("hash-2")) == (FRONT, second)
        assert store.door_by_token("t1") is store.door_by_token("") is None
        assert store.revoke_door("t1", T0_MS + 5) is True
        assert store.revoke_door("t1", T0_MS + 9) is store.revoke_door("t3", T0_MS + 9) is False
        assert store.door_by_token("hash-1") is None
        assert store.doors() == [replace(FRONT, revoked_ms=T0_MS + 5), second]


@pytest.mark.parametrize(("token_id", "token_hash"), [("t1", "hash-2"), ("t2", "hash-1")])
def test_refused__a_token_that_is_given_already(tmp_path: Path, token_id: str, token_hash: str) -> None:
    """No token can be taken over, not even a revoked one."""
    with opened(tmp_path / "desk.db") as store:
        store.new_door(FRONT, "hash-1")
        store.revoke_door("t1", T0_MS)
        with pytest.raises(StoreError, match=f"there is a door token {token_id} already: make another one"):
            store.new_door(replace(FRONT, token_id=token_id, door="gym"), token_hash)
        assert [door.door for door in store.doors()] == ["front"]


def test_ok__what_a_door_tells_of_itself_is_kept(tmp_path: Path) -> None:
    """The last word counts, and what it does not tell stays as it was."""
    with opened(tmp_path / "desk.db") as store:
        store.new_door(FRONT, "hash-1")
        store.door_seen("t1", T0_MS + 1, 7, '{"version": "1"}')
        store.door_seen("t1", T0_MS + 2)
        store.door_seen("unknown", T0_MS + 3, 9, "{}")
        assert store.doors() == [replace(FRONT, seen_ms=T0_MS + 2, applied_seq=7, report='{"version": "1"}')]
        store.door_seen("t1", T0_MS + 4, 0, "{}")
        assert store.door_by_token("hash-1") == replace(FRONT, seen_ms=T0_MS + 4, applied_seq=0)


def test_ok__admissions_are_heard_once(tmp_path: Path) -> None:
    """A report that is sent again adds nothing; another door, instant or appointment does."""
    one = Admission("1001", "front", "a1", T0_MS)
    others = [replace(one, door="gym"), replace(one, at_ms=T0_MS + 1), replace(one, appointment_id="a2"), replace(one, community_id="2")]
    with opened(tmp_path / "desk.db") as store:
        assert [store.add_admissions([one, one]), store.add_admissions([one, *others]), store.add_admissions([])] == [1, 4, 0]
        assert store.admissions("1001", T0_MS, T0_MS + 1) == [one, others[2], others[0]]
        assert store.admissions("1001", T0_MS + 1, T0_MS + 2) == [others[1]]
        assert store.admissions("2", 0, T0_MS) == []


def test_ok__processes_that_hear_the_same_report_write_it_once(tmp_path: Path) -> None:
    """Admissions and orders that two desks take at the same moment."""
    path = new_store(tmp_path)
    told = sorted(line.split() for line in together(TELL, [(path,)] * 3))
    assert told == [["0", "1"], ["0", "1"], ["30", "1"]]
    assert (len(everything(path)["admission"]), len(everything(path)["door_order"])) == (30, 1)


def test_ok__an_order_stays_until_its_door_has_done_it(tmp_path: Path) -> None:
    """The same one is not given twice while it is open; another door cannot end it; done, it can be given again."""
    with opened(tmp_path / "desk.db") as store:
        first = store.add_order("1001", "front", "outbox_retry", ["v2", "v1", "v2"], T0_MS)
        assert (first.door, first.do, first.visit_ids) == ("front", "outbox_retry", ("v1", "v2"))
        assert store.add_order("1001", "front", "outbox_retry", ["v1", "v2"], T0_MS + 1) == first
        second = store.add_order("1001", "front", "outbox_retry", ["v3"], T0_MS)
        other = store.add_order("1001", "gym", "outbox_retry", ["v1", "v2"], T0_MS)
        assert store.orders("1001", "front") == [first, second]
        assert store.orders("2", "front") == []
        assert store.orders_done([first.order_id], "1001", "gym") == store.orders_done([first.order_id], "2", "front") == 0
        assert store.orders_done([first.order_id, other.order_id, 999], "1001", "front") == 1
        assert store.orders_done([first.order_id], "1001", "front") == store.orders_done([], "1001", "front") == 0
        assert (store.orders("1001", "front"), store.orders("1001", "gym")) == ([second], [other])
        again = store.add_order("1001", "front", "outbox_retry", ["v1", "v2"], T0_MS)
        assert again.order_id > other.order_id, "an id that was done is never given again"
