"""The vocabulary checks itself: what cannot be a tour is refused where it is made, naming the field."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields, replace
from itertools import count
from typing import Any

import pytest

from agent.core.clock import FAR_FUTURE_MS
from agent.core.tour import LATEST_TOUR_MS, RosterEntry, Standing, TourCode, TourError, Visit, Window, check_door, check_id

DAY_MS = 86_400_000
IDS = ["appointment", "prospect", "community"]
PERSONAL = {"name", "first_name", "last_name", "email", "phone"}


@pytest.mark.parametrize(
    ("start_ms", "end_ms"), [(0, 1), (0, DAY_MS), (LATEST_TOUR_MS - DAY_MS, LATEST_TOUR_MS), (LATEST_TOUR_MS - 1, LATEST_TOUR_MS)]
)
def test_granted__a_window_at_its_bounds(start_ms: int, end_ms: int) -> None:
    """A window lasts from one millisecond to a day and lies between 1970 and the year 9999."""
    window = Window(start_ms, end_ms)
    assert (window.start_ms, window.end_ms) == (start_ms, end_ms)
    assert window.end_ms + DAY_MS < FAR_FUTURE_MS


@pytest.mark.parametrize(
    ("start_ms", "end_ms", "words"),
    [
        (0, 0, "a tour must end after it starts"),
        (5, 5, "a tour must end after it starts"),
        (6, 5, "a tour must end after it starts"),
        (-1, 5, "a tour must end after it starts"),
        (0, DAY_MS + 1, "a tour cannot last longer than 24 hours"),
        (0, LATEST_TOUR_MS, "a tour cannot last longer than 24 hours"),
        (LATEST_TOUR_MS - 1, LATEST_TOUR_MS + 1, "a tour must end before the year 9999"),
        (FAR_FUTURE_MS, FAR_FUTURE_MS + 1, "a tour must end before the year 9999"),
        (10**17, 10**17 + 1, "a tour must end before the year 9999"),
    ],
)
def test_denied__a_window_that_no_tour_has(start_ms: int, end_ms: int, words: str) -> None:
    """A window that is empty, swapped, before 1970, longer than a day or beyond the calendar is refused."""
    with pytest.raises(TourError, match=f"^{words}$"):
        Window(start_ms, end_ms)


@pytest.mark.parametrize("value", ["7", "48211973", "a", "!", "~", "a-b_c/d", "x" * 40, "007", "-1"])
def test_granted__an_id(code: TourCode, value: str) -> None:
    """An id is 1 to 40 visible ASCII characters and is kept as it came."""
    check_id("appointment", value)
    changed = replace(code, appointment_id=value, prospect_id=value, community_id=value)
    assert (changed.appointment_id, changed.prospect_id, changed.community_id) == (value, value, value)
    assert RosterEntry(value, Standing.CONFIRMED).appointment_id == value


@pytest.mark.parametrize("what", IDS)
@pytest.mark.parametrize("value", ["", " ", "a b", " a", "a ", "a\n", "\t", "\x00", "\x7f", "ü", "٣", "x" * 41, "\u202e7"], ids=count())
def test_denied__an_id_that_knock_cannot_have(code: TourCode, what: str, value: str) -> None:
    """An empty, long, blank, invisible or foreign id is refused by its name."""
    words = f"^the {what} id must have 1 to 40 visible ASCII characters$"
    changes: dict[str, Any] = {f"{what}_id": value}
    with pytest.raises(TourError, match=words):
        replace(code, **changes)
    with pytest.raises(TourError, match=words):
        check_id(what, value)


@pytest.mark.parametrize("value", ["", " ", "a b", "x" * 41, "ü"])
def test_denied__a_roster_entry_without_an_appointment(value: str) -> None:
    """An entry whose appointment can be none is refused."""
    with pytest.raises(TourError, match=r"^the appointment id must have"):
        RosterEntry(value, Standing.CANCELLED)


@pytest.mark.parametrize("name", ["front", "a", "0", "gate-2", "a-", "x" * 40])
def test_granted__a_door(code: TourCode, name: str) -> None:
    """A door's name is lower-case letters, digits and hyphens, at most 40."""
    check_door(name)
    assert replace(code, doors=(name,)).doors == (name,)


@pytest.mark.parametrize("name", ["", "-a", "Front", "a b", "a\n", "a_b", "tür", "x" * 41, "a/b", "..", "\x00", "٣"], ids=count())
def test_denied__a_door_that_cannot_be_configured(code: TourCode, name: str) -> None:
    """No other name is a door's, alone or among good ones."""
    words = "^a door's name must be lower-case letters, digits and hyphens, at most 40$"
    with pytest.raises(TourError, match=words):
        check_door(name)
    with pytest.raises(TourError, match=words):
        replace(code, doors=("front", name))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"code_id": ""}, "the code id must be 12 hexadecimal digits"),
        ({"code_id": "0123456789a"}, "the code id must be 12 hexadecimal digits"),
        ({"code_id": "0123456789abc"}, "the code id must be 12 hexadecimal digits"),
        ({"code_id": "0123456789AB"}, "the code id must be 12 hexadecimal digits"),
        ({"code_id": "0123456789ab\n"}, "the code id must be 12 hexadecimal digits"),
        ({"code_id": "0123456789ag"}, "the code id must be 12 hexadecimal digits"),
        ({"key_id": ""}, "the key id must be 8 hexadecimal digits"),
        ({"key_id": "0123456"}, "the key id must be 8 hexadecimal digits"),
        ({"key_id": "012345678"}, "the key id must be 8 hexadecimal digits"),
        ({"key_id": "0123456F"}, "the key id must be 8 hexadecimal digits"),
        ({"key_id": "01234567\n"}, "the key id must be 8 hexadecimal digits"),
        ({"doors": ()}, "a code opens 1 to 8 doors, not 0"),
        ({"doors": tuple("abcdefghi")}, "a code opens 1 to 8 doors, not 9"),
        ({"doors": ("front", "gym", "front")}, "a door is named twice"),
        ({"unit_names": ("u",) * 13}, "a code holds at most 12 units, not 13"),
        ({"unit_names": ("101", "")}, "a unit's name must have 1 to 40 printable characters"),
        ({"unit_names": ("x" * 41,)}, "a unit's name must have 1 to 40 printable characters"),
        ({"unit_names": ("1\n2",)}, "a unit's name must have 1 to 40 printable characters"),
        ({"unit_names": ("\x1b[2J",)}, "a unit's name must have 1 to 40 printable characters"),
        ({"unit_names": ("\u202e101",)}, "a unit's name must have 1 to 40 printable characters"),
        ({"unit_names": ("\ud800",)}, "a unit's name must have 1 to 40 printable characters"),
    ],
    ids=count(),
)
def test_denied__a_code_that_cannot_be(code: TourCode, changes: dict[str, Any], words: str) -> None:
    """Each field that is out of its bounds is refused in its own words."""
    with pytest.raises(TourError, match=f"^{words}$"):
        replace(code, **changes)


@pytest.mark.parametrize("units", [(), ("101",), ("x" * 40,), ("Ünit 7",), ("u",) * 12, (" ",)], ids=count())
def test_granted__units(code: TourCode, units: tuple[str, ...]) -> None:
    """A code names up to twelve units, in any script, the same one twice if Knock does."""
    assert replace(code, unit_names=units).unit_names == units


def test_granted__eight_doors(code: TourCode) -> None:
    """A code opens up to eight doors."""
    assert len(replace(code, doors=tuple("abcdefgh")).doors) == 8


def test_denied__a_change_of_a_value(code: TourCode) -> None:
    """Values do not change once they were checked."""
    window = Window(0, 1)
    with pytest.raises(FrozenInstanceError):
        window.end_ms = 5  # type: ignore[misc]
    with pytest.raises(FrozenInstanceError):
        code.doors = ("vault",)  # type: ignore[misc]


def test_denied__a_place_for_personal_data() -> None:
    """Neither a code nor an entry nor a visit has a field for a prospect's name, email or phone (promise P7)."""
    named = {field.name for kind in (TourCode, RosterEntry, Visit, Window) for field in fields(kind)}
    assert named & PERSONAL == set()
    assert named == {
        "code_id", "appointment_id", "prospect_id", "community_id", "doors", "unit_names", "window", "key_id",
        "standing", "source_title", "revision", "visit_id", "visit_ms", "start_ms", "end_ms",
    }  # fmt: skip


@pytest.mark.parametrize("code_id", ["", "0123456789AB", "0123456789a", "0123456789abc", "0123456789ag"])
def test_denied__a_roster_entry_with_no_codes_id(code_id: str) -> None:
    """What can be no code's id is not taken as the one that is alive: it would shut everybody out."""
    with pytest.raises(TourError, match="12 hexadecimal digits"):
        RosterEntry("77", Standing.CONFIRMED, code_id)


@pytest.mark.parametrize("revision", [-1, 2**53 + 1])
def test_denied__a_revision_out_of_bounds(revision: int) -> None:
    """A revision counts from nothing up to what every JSON reader can tell apart."""
    assert RosterEntry("77", Standing.CONFIRMED, revision=2**53).revision == 2**53
    with pytest.raises(TourError, match="a revision is a number from 0 to"):
        RosterEntry("77", Standing.CONFIRMED, revision=revision)
