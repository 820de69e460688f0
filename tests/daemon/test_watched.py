"""What the board's inputs do to a door, edge by edge: lines that a test moves and breaks by hand, and the real thread that watches them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.daemon import openings, watch
from drivers.base import DriverError, Signal
from drivers.fake import ManualInput
from tests.daemon.board import Board, until

OpenBoard = Callable[..., Board]
MS = 1_000_000
QUICK = {"debounce_ms": 0}


class Breaking(ManualInput):
    """An input whose next readings fail or not, as it is told; after that they do not."""

    def __init__(self) -> None:
        super().__init__()
        self.failing: list[bool] = []

    def read(self) -> bool:
        """The level, or the fault whose turn it is."""
        if self.failing and self.failing.pop(0):
            raise DriverError("the wire is loose")
        return super().read()


Lines = dict[str, Breaking]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    """The inputs of the door `front` by their names, as they are asked for."""
    made: Lines = {}

    def of(part: Any, _work_dir: Path) -> Breaking:  # noqa: ANN401 - an input's settings
        return made.setdefault(Path(part.path).name.removeprefix("front."), Breaking())

    monkeypatch.setattr(watch, "input_of", of)
    return made


def leaf(board: Board) -> str | None:
    """Where the leaf is."""
    return board.parts.doors["front"].leaf


def test_denied__a_contact_that_comes_back_with_a_bounce(board: OpenBoard, lines: Lines) -> None:
    """Back at another level for less than the debounce time, the leaf is known once it has stood, and a forced opening is told."""
    front = board(front={"contact": {"debounce_ms": 500}})
    contact = lines["contact"]
    contact.fault = DriverError("the wire is cut")
    front.wait("input_lost")
    assert leaf(front) == "unknown"
    contact.is_active, contact.fault = True, None
    front.wait("input_back")
    contact.move(is_active=False)
    until(lambda: leaf(front) == "shut", "a leaf that is known")
    contact.move(is_active=True)
    front.wait("forced")
    assert front.kinds() == ["input_lost", "input_back", "forced"]


def test_denied__a_contact_that_fails_as_it_comes_back(board: OpenBoard, lines: Lines) -> None:
    """One reading fails, the next does not, the next does: in the end the leaf is known, however often it was lost."""
    front = board(front={"contact": QUICK})
    lines["contact"].failing = [True, False, True]
    front.wait("input_lost")
    until(lambda: not lines["contact"].failing and leaf(front) == "shut", "a leaf that is known")
    lines["contact"].move(is_active=True)
    front.wait("forced")


def test_denied__a_forced_door_is_forced_still_when_its_contact_is_back(board: OpenBoard, lines: Lines) -> None:
    """It is shown all the while, told once, and secured when it is seen shut."""
    front = board(front={"contact": QUICK})
    lines["contact"].move(is_active=True)
    front.wait("forced")
    lines["contact"].fault = DriverError("the wire is cut")
    front.wait("input_lost")
    assert (leaf(front), front.shown()) == ("forced", Signal.FORCED)
    lines["contact"].fault = None
    front.wait("input_back")
    assert (leaf(front), front.shown()) == ("forced", Signal.FORCED)
    lines["contact"].move(is_active=False)
    front.wait("secured")
    until(lambda: front.shown() is Signal.READY)
    assert front.kinds() == ["forced", "input_lost", "input_back", "secured"]


@pytest.mark.parametrize("was_forced", [True, False], ids=["forced", "opened"])
def test_denied__a_restart_that_forgets_a_break_in(board: OpenBoard, was_forced: bool) -> None:
    """A door that stands open at the start is forced still, if that is the last that the journal says of it, and no other is."""
    front = board(front={"contact": QUICK, "pulse_s": 1.0})
    if not was_forced:
        front.admit()
    front.move("front.contact", 1)
    front.wait("forced" if was_forced else "opened")
    list(front.journal())
    for _ in range(2):
        front.restart()
        assert leaf(front) == ("forced" if was_forced else "open")
        assert front.shown() is (Signal.FORCED if was_forced else Signal.READY)
        assert front.kinds() == (["still_forced"] if was_forced else [])
        list(front.journal())
    front.move("front.contact", 0)
    front.wait("secured" if was_forced else "shut")
    list(front.journal())
    front.restart()
    assert (leaf(front), front.kinds()) == ("shut", [])


def test_ok__a_bar_that_is_pushed_counts_before_it_is_debounced(board: OpenBoard, lines: Lines) -> None:
    """Whoever leaves opens the door at once: the request-to-exit explains it by its bare level."""
    front = board(front={"contact": QUICK, "rex": {"debounce_ms": 2000}})
    lines["rex"].is_active = True
    lines["contact"].move(is_active=True)
    front.wait("opened")
    assert "forced" not in front.kinds()


def test_ok__a_leaf_that_is_rattled_before_the_release(board: OpenBoard, lines: Lines) -> None:
    """Its first edge is a second older than the release, it stands open in it, and it locks at once as it is set to."""
    door = {"contact": {"debounce_ms": 300}, "lock": {"mode": "hold", "relock": "opened"}, "max_pulse_s": 20.0}
    front = board(front=door)
    before_ns = time.monotonic_ns()
    front.admit()
    lines["contact"].move(is_active=True, at_ns=before_ns)
    opened = front.wait("opened")
    assert (opened.at_ns, opened.code_id) == (before_ns, "000000000001")
    front.wait_locked()
    assert "forced" not in front.kinds()


def test_denied__a_request_to_exit_whose_wire_is_cut(board: OpenBoard, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """Active for longer than anybody presses it, it is a fault that is told and shown, and an opening is forced; let go, it is well."""
    monkeypatch.setattr(openings, "STUCK_NS", 300 * MS)
    front = board(front={"contact": QUICK, "rex": QUICK})
    lines["rex"].move(is_active=True)
    front.wait("rex_stuck")
    assert front.shown() is Signal.FAULT
    lines["contact"].move(is_active=True)
    front.wait("forced")
    lines["contact"].move(is_active=False)
    front.wait("secured")
    lines["rex"].move(is_active=False)
    front.wait("rex_free")
    until(lambda: front.shown() is Signal.READY)
    assert front.journaled() == ["rex", "rex_stuck", "forced", "secured", "rex_free"]


def test_ok__a_request_to_exit_that_is_pressed_at_the_start(board: OpenBoard, tmp_path: Path) -> None:
    """Whoever leaves while the agent is started anew is no burglar; what was pressed before it ran unlocks nothing by itself."""
    (tmp_path / "front.rex").write_bytes(b"1")
    front = board(front={"contact": QUICK, "rex": {"debounce_ms": 0, "unlocks": True, "suppress_s": 60}})
    front.move("front.rex", 0)
    until(lambda: front.parts.doors["front"].reasons.exit_state == "idle")
    front.move("front.contact", 1)
    front.wait("opened")
    assert front.kinds() == ["rex", "opened"]
    assert front.driven() == ["locked"]


def test_ok__a_lamp_that_fails_is_told_shown_and_journaled(board: OpenBoard, tmp_path: Path) -> None:
    """Once, and once when it works again; the door goes on all the while, and what is known of each lamp can be asked."""
    front = board(front={"feedback": {name: {"driver": "played", "path": str(tmp_path / name)} for name in ("green", "red")}})
    assert front.parts.signs["front"].lamps() == {"green": "ready", "red": "ready"}
    (tmp_path / "green").unlink()
    (tmp_path / "green").mkdir()  # a level cannot be written into a folder
    failed = front.wait("lamp_failed")
    assert failed.detail is not None
    assert failed.detail["lamp"] == "green"
    until(lambda: front.shown() is Signal.FAULT)
    assert front.parts.signs["front"].lamps() == {"green": "failed", "red": "ready"}
    front.admit()
    (tmp_path / "green").rmdir()
    (tmp_path / "green").write_bytes(b"0")
    front.wait("lamp_back")
    until(lambda: front.shown() is Signal.READY)
    assert front.journaled() == ["lamp_failed", "admission", "lamp_back"]
