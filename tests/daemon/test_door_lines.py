"""A real door by its lines: each transition by moving the played inputs, told, journaled and remembered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from agent.core.reasons import Reason
from agent.store import files
from drivers.base import LockedBy, Signal
from tests.daemon.board import Board, until

OpenBoard = Callable[..., Board]
QUICK = {"debounce_ms": 0}
HOLD_S = 8.0


def visits(board: Board) -> list[tuple[str, bool]]:
    """Each visit's appointment, and whether its door was opened."""
    list(board.journal())
    rows = files.rows(board.folder / "journal.db", "SELECT appointment_id, opened_ms FROM visit ORDER BY visit_ms")
    return [(row["appointment_id"], row["opened_ms"] is not None) for row in rows]


def test_ok__a_visit_whose_door_was_opened_remembers_it(board: OpenBoard) -> None:
    """The opening belongs to the admission before it, and the visit keeps when that first was."""
    front = board(front={"contact": QUICK, "pulse_s": 1.0})
    front.admit()
    front.move("front.contact", 1)
    opened = front.wait("opened")
    front.move("front.contact", 0)
    front.wait("shut")
    assert (opened.appointment_id, opened.code_id) == ("1", "000000000001")
    assert front.journaled("admission", "opened", "shut", "not_opened") == ["admission", "opened", "shut"]
    assert visits(front) == [("1", True)]


def test_ok__the_visit_keeps_its_first_opening(board: OpenBoard) -> None:
    """Coming again opens the door again, and the visit's time of opening stays."""
    front = board(front={"contact": QUICK, "pulse_s": 1.0}, rules={"admissions_per_door": 2})
    seen = []
    for count in (1, 2):
        front.scan(front.code(7))
        front.move("front.contact", 1)
        front.wait("opened", count=count)
        front.move("front.contact", 0)
        front.wait("shut", count=count)
        front.wait_locked()
        list(front.journal())
        seen += files.rows(front.folder / "journal.db", "SELECT opened_ms FROM visit")
        front.scan(f"GARBAGE {count}")  # the same code again would be the same scan
    assert seen[0] == seen[1]
    assert seen[0]["opened_ms"] is not None


def test_ok__an_admission_whose_door_never_opened_says_so(board: OpenBoard) -> None:
    """After the release and a little more the journal has it, with the admission's ids, and the visit stays without an opening."""
    front = board(front={"contact": QUICK})
    front.admit()
    told = front.wait("not_opened")
    assert (told.appointment_id, told.code_id) == ("1", "000000000001")
    assert visits(front) == [("1", False)]
    assert front.journaled("admission", "opened", "not_opened") == ["admission", "not_opened"]


@pytest.mark.parametrize("contact", [None, QUICK], ids=["no contact", "stands open"])
def test_ok__nobody_says_what_nobody_saw(board: OpenBoard, contact: dict[str, int] | None) -> None:
    """Without a contact, or while the door stands open anyway, an admission is neither opened nor not opened."""
    front = board(front={"pulse_s": 1.0, **({} if contact is None else {"contact": contact})})
    if contact is not None:
        front.unlock()
        front.move("front.contact", 1)
        front.wait("opened")
        front.wait_locked()
    front.admit()
    front.wait_locked()
    until(lambda: front.parts.doors["front"]._entries._waiting == [], "the judgement")
    assert [happening.kind for happening in front.happened if happening.code_id is not None] == []


def test_granted__who_did_not_open_the_first_door_is_let_in_by_the_second(board: OpenBoard) -> None:
    """With hard anti-passback an admission whose door was never opened is no presence, and one whose door was opened stays one."""
    doors = {name: {"contact": QUICK, "pulse_s": 1.0} for name in ("front", "back")}
    both = board(**doors, rules={"antipassback": "hard"})
    text = both.code(7)
    assert both.scan(text, "front").denied is None
    both.wait("not_opened")
    assert both.scan(text, "back").denied is None
    both.move("back.contact", 1)
    both.wait("opened", "back")
    both.move("back.contact", 0)
    both.wait("shut", "back")
    both.scan("GARBAGE", "front")  # the same code again would be the same scan
    outcome = both.scan(text, "front")
    assert outcome.denied is not None
    assert outcome.denied.reason is Reason.PASSBACK


def test_denied__who_is_in_and_comes_again_without_opening_is_in_still(board: OpenBoard) -> None:
    """The second admission's door stayed shut, so the first one's presence counts, and the code is not let in by another door."""
    doors = {name: {"contact": QUICK, "pulse_s": 1.0} for name in ("front", "back")}
    both = board(**doors, rules={"antipassback": "hard", "admissions_per_door": 2})
    text = both.code(7)
    assert both.scan(text).denied is None
    both.move("front.contact", 1)
    both.wait("opened")
    both.move("front.contact", 0)
    both.wait("shut")
    both.wait_locked()
    both.scan("GARBAGE")  # the same code again would be the same scan
    assert both.scan(text).denied is None
    both.wait("not_opened")
    outcome = both.scan(text, "back")
    assert outcome.denied is not None
    assert outcome.denied.reason is Reason.PASSBACK


def test_denied__an_opening_without_release_or_exit_is_forced(board: OpenBoard) -> None:
    """It is told, shown and journaled at once, and secured once it is shut."""
    front = board(front={"contact": QUICK})
    front.move("front.contact", 1)
    front.wait("forced")
    assert front.shown() is Signal.FORCED
    assert front.parts.doors["front"].leaf == "forced"
    front.move("front.contact", 0)
    front.wait("secured")
    until(lambda: front.shown() is Signal.READY)
    assert front.journaled() == ["forced", "secured"]


def test_ok__the_exit_excuses_an_opening_and_moves_no_relay(board: OpenBoard) -> None:
    """Whoever leaves by the button is no burglar; the button is only watched, so the relay stays as it was."""
    front = board(front={"contact": QUICK, "rex": {"debounce_ms": 0, "suppress_s": 60}})
    front.move("front.rex", 1)
    front.wait("rex")
    front.move("front.rex", 0)
    front.move("front.contact", 1)
    front.wait("opened")
    assert front.kinds() == ["rex", "opened"]
    assert front.driven() == ["locked"]


def test_ok__an_exit_that_may_unlock_pulses_the_relay(board: OpenBoard) -> None:
    """Configured so, the button releases for one pulse, and the opening is nobody's admission."""
    front = board(front={"contact": QUICK, "rex": {"debounce_ms": 0, "unlocks": True}, "pulse_s": 1.0})
    front.move("front.rex", 1)
    until(lambda: front.driven().count("released") == 1, "a release")
    front.move("front.contact", 1)
    opened = front.wait("opened")
    front.wait_locked()
    assert opened.code_id is None
    assert front.driven() == ["locked", "released", "locked"]


def test_ok__held_warns_then_alarms_then_is_secured(board: OpenBoard) -> None:
    """A door that stands open warns, alarms, and is secured when it is shut; each is journaled, and shown while it lasts."""
    front = board(front={"contact": {"debounce_ms": 0, "held_warn_s": 1, "held_alarm_s": 2}, "pulse_s": 1.0})
    front.admit()
    front.move("front.contact", 1)
    held = front.wait("held")
    assert front.shown() is Signal.HELD
    alarm = front.wait("held_alarm")
    assert front.shown() is Signal.FORCED
    front.move("front.contact", 0)
    front.wait("secured")
    opened = front.wait("opened")
    assert front.journaled("opened", "held", "held_alarm", "secured", "shut") == ["opened", "held", "held_alarm", "secured"]
    assert held.at_ns - opened.at_ns >= 1e9
    assert alarm.at_ns - opened.at_ns >= 2e9


def test_ok__a_held_door_that_is_shut_while_released_is_secured_when_it_locks(board: OpenBoard) -> None:
    """Shut is told at once; secured is told when it is locked, too."""
    front = board(front={"contact": {"debounce_ms": 0, "held_warn_s": 1, "held_alarm_s": 60}, "pulse_s": 3.0, "max_pulse_s": 3.0})
    front.admit()
    front.move("front.contact", 1)
    front.wait("held")
    front.move("front.contact", 0)
    front.wait("secured")
    assert front.kinds() == ["opened", "held", "shut", "secured"]
    assert not front.is_released()


@pytest.mark.parametrize(("relock", "by"), [("opened", LockedBy.OPENED), ("closed", LockedBy.SHUT), ("time", LockedBy.TIME)])
def test_ok__a_lock_that_waits_for_the_opening(board: OpenBoard, relock: str, by: LockedBy) -> None:
    """It stays released until the door was opened, then locks at once, when it is shut, or so much later as a pulse lasts."""
    door = {"contact": QUICK, "lock": {"mode": "hold", "relock": relock}, "pulse_s": 0.2, "max_pulse_s": HOLD_S}
    front = board(front=door)
    front.admit()
    front.move("front.contact", 1)
    front.wait("opened")
    if relock == "closed":
        assert front.is_released()
        front.move("front.contact", 0)
    front.wait_locked()
    until(lambda: bool(front.pulses))
    (pulse,) = [pulse for _, pulse in front.pulses]
    assert pulse.locked_by is by
    assert pulse.locked_ns - pulse.released_ns < HOLD_S * 1e9
    assert not front.is_released()


@pytest.mark.parametrize("relock", ["opened", "closed", "time"])
def test_denied__a_lock_that_waits_for_ever(board: OpenBoard, relock: str) -> None:
    """A door that nobody opens is locked after the longest pulse, and says that it was not opened."""
    front = board(front={"contact": QUICK, "lock": {"mode": "hold", "relock": relock}, "max_pulse_s": 0.5})
    front.admit()
    front.wait_locked()
    front.wait("not_opened")
    assert [pulse.locked_by for _, pulse in front.pulses] == [LockedBy.TIME]


def test_denied__a_door_that_is_held_open_holds_no_lock(board: OpenBoard) -> None:
    """With a relock on closing, a door that stays open is locked after the longest pulse all the same."""
    front = board(front={"contact": QUICK, "lock": {"mode": "hold", "relock": "closed"}, "max_pulse_s": 2.0})
    front.admit()
    front.move("front.contact", 1)
    front.wait("opened")
    front.wait_locked()
    until(lambda: bool(front.pulses))
    assert [pulse.locked_by for _, pulse in front.pulses] == [LockedBy.TIME]
    assert front.parts.doors["front"].leaf == "open"


def test_ok__tampering_is_told_shown_and_journaled(board: OpenBoard) -> None:
    """It begins and ends with a word, and status knows of it; the lock is as it was."""
    front = board(front={"tamper": QUICK})
    front.move("front.tamper", 1)
    front.wait("tamper")
    assert front.parts.doors["front"].is_tampered
    front.move("front.tamper", 0)
    front.wait("tamper_over")
    assert front.journaled() == ["tamper", "tamper_over"]
    assert front.driven() == ["locked"]


def test_ok__a_lost_input_is_told_once_and_again_when_it_is_back(board: OpenBoard) -> None:
    """While it is lost nobody knows where the leaf is, and what it did meanwhile is no forced opening; the door goes on."""
    front = board(front={"contact": QUICK})
    assert front.parts.doors["front"].leaf == "shut"
    path = front.folder / "front.contact"
    path.unlink()
    lost = front.wait("input_lost")
    assert front.parts.watch.states("front") == {"contact": "lost"}
    assert front.shown() is Signal.FAULT
    assert front.parts.doors["front"].leaf == "unknown"
    assert lost.detail is not None
    assert lost.detail["input"] == "contact"
    front.admit()
    front.wait_locked()
    front.move("front.contact", 1)
    front.wait("input_back")
    until(lambda: front.parts.doors["front"].leaf == "open")
    assert front.parts.watch.states("front") == {"contact": "ready"}
    until(lambda: front.shown() is Signal.READY)
    assert front.journaled() == ["input_lost", "admission", "input_back"]


def test_ok__two_doors_are_told_apart(board: OpenBoard) -> None:
    """What happens at one door is nothing at the other."""
    both = board(front={"contact": QUICK}, back={"contact": QUICK})
    both.move("back.contact", 1)
    both.wait("forced", "back")
    assert both.kinds("front") == []
    both.admit("front")
    assert both.parts.doors["back"].state == "locked"
    assert not both.is_released("back")


def test_ok__a_door_that_stands_open_at_the_start_is_no_burglary(board: OpenBoard, tmp_path: Path) -> None:
    """Nobody saw it being opened: it is neither forced nor opened, but held after its time."""
    (tmp_path / "front.contact").write_bytes(b"1")
    front = board(front={"contact": {"debounce_ms": 0, "held_warn_s": 1, "held_alarm_s": 60}})
    front.wait("held")
    assert front.kinds() == ["held"]
