"""Fire: the lock is released for as long as it lasts, whatever else is going on, and nothing locks against it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.daemon.doorman import Scan, StaffUnlock
from agent.daemon.lines import lock_all
from agent.daemon.ways import Hold
from drivers.base import DriverError, Frame, Signal
from tests.daemon.board import LIMIT_S, Board, until

OpenBoard = Callable[..., Board]
FIRE = {"fire": {"debounce_ms": 0}}


def burn(board: Board, door: str = "front") -> None:
    """Move the fire input, and wait for the relay's line."""
    board.move(f"{door}.fire", 1)
    until(lambda: board.is_released(door), "a release for fire")
    board.wait("fire", door)


def put_out(board: Board, door: str = "front") -> None:
    """The same back."""
    board.move(f"{door}.fire", 0)
    until(lambda: not board.is_released(door), "a lock after fire")
    board.wait("fire_over", door)


def test_ok__fire_releases_for_as_long_as_it_lasts(board: OpenBoard) -> None:
    """It outlasts the longest pulse, is shown, journaled from its beginning to its end, and then the door is locked."""
    front = board(front={**FIRE, "max_pulse_s": 0.2})
    burn(front)
    assert front.shown() is Signal.FIRE
    time.sleep(1.5)  # several times the longest pulse, and the second look at it
    assert front.is_released()
    put_out(front)
    assert front.faults == []
    assert front.driven() == ["locked", "released", "locked"]
    assert front.journaled() == ["fire", "fire_over"]


@pytest.mark.parametrize("order", ["lock", "a pulse that ends", "the end of an admission", "a stop"])
def test_denied__locking_against_fire(board: OpenBoard, order: str) -> None:
    """Neither staff, nor the end of a pulse, nor an admission, nor the agent's end drives the line locked."""
    front = board(front=FIRE)
    if order == "a pulse that ends":
        front.admit()
        burn(front)
        until(lambda: front.parts.doors["front"]._relay.renewed_ns is None)
    else:
        burn(front)
    count = len(front.driven())
    if order == "lock":
        front.parts.doors["front"].lock()
    elif order == "the end of an admission":
        assert front.admit().released_ns is not None
        front.wait("fire")
    elif order == "a stop":
        front.parts.doors["front"].stop()
    assert "locked" not in front.driven()[count:]
    assert front.is_released()


def test_ok__fire_after_the_stop_is_left_to_whoever_comes_next(board: OpenBoard) -> None:
    """The line is given back by then: nothing moves it, nothing fails, and what follows an agent reads the input first."""
    front = board(front=FIRE)
    door = front.parts.doors["front"]
    door.stop()
    front.move("front.fire", 1)
    until(lambda: front.parts.watch._by_door["front"]["fire"].is_active)
    front.parts.watch.close()
    assert door.state == "stopped"
    assert front.driven() == ["locked", "locked"]
    assert (front.kinds(), front.faults) == ([], [])
    assert lock_all(front.settings).in_fire == ["front"]
    assert front.is_released()


def test_ok__fire_while_denied_and_while_locked_out(board: OpenBoard) -> None:
    """Guessing locks a reader out, and no way out: fire releases during it."""
    front = board(front=FIRE)
    for number in range(12):
        front.scan(f"GUESS {number}")
    assert front.outcomes[-1].denied is not None
    assert front.outcomes[-1].denied.reason == "locked_out"
    burn(front)
    denied = front.scan("ANOTHER GUESS").denied
    assert denied is not None
    assert front.is_released()
    put_out(front)


def test_ok__fire_waits_for_no_admission_that_is_being_written(board: OpenBoard) -> None:
    """While the store holds the doorman up, fire releases; the admission then passes, and the end of the fire locks."""
    front = board(front=FIRE)
    front.admit()
    front.wait_locked()
    is_writing, may_write = threading.Event(), threading.Event()
    write = front.parts.journal.admit

    def slowly(*args: object) -> object:
        is_writing.set()
        assert may_write.wait(LIMIT_S)
        return write(*args)  # type: ignore[arg-type]  # as they came

    front.parts.journal.admit = slowly  # type: ignore[method-assign, assignment]  # a card that takes its time
    assert front.doorman.present(Scan("front", "front-scanner", Frame(front.code(99).encode(), time.monotonic_ns())))
    assert is_writing.wait(LIMIT_S)
    assert front.parts.doors["front"].state == "admitting"
    burn(front)
    assert front.parts.doors["front"].state == "fire_admitting"
    may_write.set()
    until(lambda: len(front.outcomes) == 2)
    assert front.outcomes[-1].denied is None
    assert front.outcomes[-1].released_ns is not None
    assert front.is_released()
    put_out(front)
    assert front.parts.doors["front"].state == "locked"


def test_ok__fire_that_is_over_before_an_admission_is_written_leaves_it_its_pulse(board: OpenBoard) -> None:
    """The door is locked when the fire is over, and released again for the admission, which is on disk by then."""
    front = board(front=FIRE)
    door = front.parts.doors["front"]
    assert door.grant()
    burn(front)
    put_out(front)
    assert door.state == "admitting"
    assert door.release(None) is not None
    front.wait_locked()
    assert front.driven() == ["locked", "released", "locked", "released", "locked"]


def test_ok__fire_ends_what_staff_held_open(board: OpenBoard) -> None:
    """After the fire the door is locked: whoever wants it held open says so again."""
    front = board(front=FIRE)
    door = front.parts.doors["front"]
    assert door.grant()
    assert door.hold_open(Hold(time.monotonic_ns() + 60_000_000_000, 0))
    burn(front)
    over = front.wait("hold_open_over")
    assert over.detail == {"by": "fire"}
    put_out(front)
    assert door.hold is None
    assert door.state == "locked"


def test_denied__holding_open_during_fire(board: OpenBoard) -> None:
    """It would be forgotten at its end: the order is refused in words, and journaled as it was given."""
    front = board(front=FIRE)
    burn(front)
    order = StaffUnlock("front", "ana", "party", Hold(time.monotonic_ns() + 60_000_000_000, 0))
    with pytest.raises(RuntimeError, match="the door front is not held unlocked: there is fire"):
        front.doorman.unlock(order).result(LIMIT_S)
    assert front.parts.doors["front"].hold is None


def test_ok__fire_at_the_start(board: OpenBoard, tmp_path: Path) -> None:
    """An agent that starts while there is fire never drives the line locked, journals the fire, and locks when it is over."""
    (tmp_path / "front.fire").write_bytes(b"1")
    front = board(front=FIRE)
    assert front.driven() == ["released"]
    front.wait("fire")
    assert front.parts.doors["front"].state == "fire"
    assert front.shown() is Signal.FIRE
    put_out(front)
    assert front.driven() == ["released", "locked"]
    assert front.journaled() == ["fire", "fire_over"]


def test_ok__one_panel_for_two_doors(board: OpenBoard, tmp_path: Path) -> None:
    """A line that two doors share is watched once and releases both; a third door without it stays locked."""
    shared = {"fire": {"debounce_ms": 0, "path": str(tmp_path / "panel")}}
    three = board(front=shared, back=shared, gym={})
    three.move("panel", 1)
    for door in ("front", "back"):
        until(lambda door=door: three.is_released(door))  # type: ignore[misc]  # a bound default
        three.wait("fire", door)
    assert not three.is_released("gym")
    three.move("panel", 0)
    for door in ("front", "back"):
        until(lambda door=door: not three.is_released(door))  # type: ignore[misc]  # a bound default
    assert three.kinds("gym") == []


def test_ok__a_panel_that_is_lost_leaves_fire_as_it_was(board: OpenBoard) -> None:
    """Fire stays fire until the input says that it is over; a door without fire stays locked."""
    front = board(front=FIRE)
    burn(front)
    (front.folder / "front.fire").unlink()
    front.wait("input_lost")
    assert front.is_released()
    front.move("front.fire", 0)
    front.wait("input_back")
    until(lambda: not front.is_released(), "the end of the fire")
    (front.folder / "front.fire").unlink()
    front.wait("input_lost", count=2)
    assert not front.is_released()


def test_denied__an_agent_whose_fire_input_is_missing(tmp_path: Path) -> None:
    """The start ends with its name, and every relay was driven locked before."""
    missing = {"fire": {"path": str(tmp_path / "none" / "fire")}}
    board = Board(tmp_path, front=missing, back={})
    with pytest.raises(DriverError, match="none/fire cannot be had"):
        board.open()
    board.close()
    assert [board.driven("front.relay"), board.driven("back.relay")] == [["locked", "locked"]] * 2


def test_ok__without_an_agent_a_door_in_fire_is_left_released(tmp_path: Path) -> None:
    """`tourlatch lock` reads the fire input first: that door is driven released, the others locked, and everything else to rest."""
    parts = {"fire": {}, "second_relay": {"delay_s": 0.1}, "feedback": {"buzzer": {"driver": "played", "path": str(tmp_path / "buzzer")}}}
    board = Board(tmp_path, front=parts, back={"fire": {}})
    (tmp_path / "front.fire").write_bytes(b"1")
    for line in ("front.relay", "back.relay", "front.second_relay", "buzzer"):
        (tmp_path / line).write_bytes(b"1")
    left = lock_all(board.settings)
    board.close()
    assert (left.locked, left.in_fire) == (["back"], ["front"])
    assert board.is_released("front")
    assert not board.is_released("back")
    assert [board.driven("front.relay"), board.driven("back.relay")] == [["released"], ["locked"]]
    assert [(tmp_path / line).read_bytes() for line in ("front.second_relay", "buzzer")] == [b"0", b"0"]


def test_denied__without_an_agent_a_fire_input_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """The doors are locked, the other one too, and the input is named."""
    board = Board(tmp_path, front={"fire": {}}, back={})
    (tmp_path / "front.fire").write_bytes(b"x")
    (tmp_path / "back.relay").write_bytes(b"1")
    with pytest.raises(DriverError, match=r"front\.fire holds neither 0 nor 1"):
        lock_all(board.settings)
    board.close()
    assert [board.is_released("front"), board.is_released("back")] == [False, False]
