"""PINs: one live code's at each door, taken and freed in the transaction that says why."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.core.tour import Standing
from agent.desk.store import PinTakenError
from agent.desk.store.roster import LONGEST_GRACE_MS
from agent.settings.desk import CommunitySettings
from tests.desk.store.made import T0_MS, appointment, everything, new_store, opened, pins, together, window

GRACE_MS = 30 * 60_000
TAKE = """
taken = []
for number in range(1, 31):
    try:
        store.put_appointment(appointment(100 * number + int(sys.argv[2])), pins(number), T0_MS)
        taken.append(number)
    except PinTakenError:
        pass
print(*taken)
"""


def test_refused__a_pin_of_another_live_code_of_the_door(tmp_path: Path) -> None:
    """At any of its doors; nothing is written. At another door, and in another community, it is another PIN."""
    path = new_store(tmp_path)
    with opened(path) as store:
        store.put_appointment(appointment(1), pins(1), T0_MS)
        before = everything(path)
        for doors in (("front",), ("gym",), ("pool", "gym")):
            with pytest.raises(PinTakenError, match="has the same PIN: take the next attempt"):
                store.put_appointment(appointment(2, doors=doors), pins(1, doors), T0_MS)
        assert everything(path) == before
        store.put_appointment(appointment(3, doors=("pool",)), pins(1, ("pool",)), T0_MS)
        store.put_appointment(appointment(4, community_id="2"), pins(1), T0_MS)


def test_ok__of_processes_that_take_one_pin_one_has_it(tmp_path: Path) -> None:
    """Each PIN is one code's, whoever was first, and the others have nothing written."""
    path = new_store(tmp_path)
    told = [list(map(int, line.split())) for line in together(TAKE, [(path, index) for index in range(3)])]
    assert sorted(number for taken in told for number in taken) == list(range(1, 31))
    tables = everything(path)
    assert (len(tables["appointment"]), len(tables["roster_door"]), len(tables["live_pin"])) == (30, 60, 60)


@pytest.mark.parametrize("standing", [Standing.CANCELLED, Standing.SUPERSEDED])
def test_ok__a_dead_codes_pin_is_free(tmp_path: Path, standing: Standing) -> None:
    """At once, for another code."""
    with opened(tmp_path / "desk.db") as store:
        store.put_appointment(appointment(1), pins(1), T0_MS)
        store.end_appointment("a1", standing, T0_MS)
        store.put_appointment(appointment(2), pins(1), T0_MS)
        assert [(one.appointment_id, pin) for one, pin in store.roster_page("1001", "gym", 0, 9)[0]] == [("a1", None), ("a2", "gym-1")]


def test_ok__a_put_as_cancelled_frees_the_pin_too(tmp_path: Path) -> None:
    """However an appointment dies, and whatever PIN comes with it."""
    with opened(tmp_path / "desk.db") as store:
        store.put_appointment(appointment(1), pins(1), T0_MS)
        store.put_appointment(appointment(1, standing=Standing.CANCELLED), pins(1), T0_MS)
        store.put_appointment(appointment(2), pins(1), T0_MS)


def test_ok__a_pin_is_kept_until_window_and_grace_are_over(tmp_path: Path) -> None:
    """To the last millisecond of the grace that was named; then it is another code's."""
    path = new_store(tmp_path)
    end_ms = window().end_ms + GRACE_MS
    with opened(path) as store:
        store.put_appointment(appointment(1), pins(1), T0_MS, pins_end_ms=end_ms)
        with pytest.raises(PinTakenError):
            store.put_appointment(appointment(2, window=window(5)), pins(1), end_ms)
        store.put_appointment(appointment(2, window=window(5)), pins(1), end_ms + 1)
        assert [pin for _, pin in store.roster_page("1001", "gym", 0, 9)[0]] == [None, "gym-1"]


def test_ok__without_a_named_end_the_longest_grace_counts(tmp_path: Path) -> None:
    """No setting gives a longer one, so no PIN is given twice while a door takes it."""
    longest = CommunitySettings.model_fields["grace_after_min"].metadata
    assert [limit.le * 60_000 for limit in longest if hasattr(limit, "le")] == [LONGEST_GRACE_MS]
    end_ms = window().end_ms + LONGEST_GRACE_MS
    with opened(tmp_path / "desk.db") as store:
        store.put_appointment(appointment(1), pins(1), T0_MS)
        with pytest.raises(PinTakenError):
            store.put_appointment(appointment(2, window=window(20)), pins(1), end_ms)
        store.put_appointment(appointment(2, window=window(20)), pins(1), end_ms + 1)


def test_ok__a_new_code_has_a_new_pin_and_its_old_one_is_free(tmp_path: Path) -> None:
    """Another attempt, another code, fewer doors: what it had and has no more is another's."""
    with opened(tmp_path / "desk.db") as store:
        store.put_appointment(appointment(1), pins(1), T0_MS)
        store.put_appointment(appointment(1, code_id="f" * 12, doors=("front",)), pins(7), T0_MS)
        assert [pin for _, pin in store.roster_page("1001", "front", 0, 9)[0]] == ["front-7"]
        assert [pin for _, pin in store.roster_page("1001", "gym", 0, 9)[0]] == [None]
        store.put_appointment(appointment(2), pins(1), T0_MS)
        store.put_appointment(appointment(3, doors=("gym",)), pins(7, ("gym",)), T0_MS)


def test_ok__without_word_of_pins_they_stay_while_the_code_does(tmp_path: Path) -> None:
    """Another title leaves the PIN; another code has none until it is given one."""
    with opened(tmp_path / "desk.db") as store:
        store.put_appointment(appointment(1), pins(1), T0_MS)
        store.put_appointment(appointment(1, source_title="Zillow"), None, T0_MS)
        assert [pin for _, pin in store.roster_page("1001", "front", 0, 9)[0]] == ["front-1"]
        store.put_appointment(appointment(1, source_title="Zillow", code_id="f" * 12), None, T0_MS)
        assert [pin for _, pin in store.roster_page("1001", "front", 0, 9)[0]] == [None]
