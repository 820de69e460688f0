"""The second relay: it follows each release after its delay, and never reaches the lock."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.daemon.second import SecondRelay
from drivers.base import DriverError, Signal
from drivers.fake import PlayedLine
from drivers.relay import PulsedRelay
from tests.daemon.board import Board, until

OpenBoard = Callable[..., Board]
SECOND = 1_000_000_000


def ticks(board: Board, line: str) -> list[tuple[str, int]]:
    """What a line was driven to, and when."""
    log = (board.folder / f"{line}.log").read_text("ascii").splitlines()
    return [(line.split()[1], int(line.split()[0])) for line in log]


def test_ok__it_follows_the_release_after_its_delay(board: OpenBoard) -> None:
    """Energised no sooner than its delay after the lock was released, for its own time, then at rest."""
    front = board(front={"second_relay": {"delay_s": 0.3, "pulse_s": 0.2}, "pulse_s": 0.5})
    front.admit()
    until(lambda: front.driven("front.second_relay") == ["locked", "released", "locked"])
    released_ns = dict(ticks(front, "front.relay"))["released"]
    (_, on_ns), (_, off_ns) = ticks(front, "front.second_relay")[1:]
    assert on_ns - released_ns >= 0.3 * SECOND
    assert off_ns - on_ns >= 0.2 * SECOND


@pytest.mark.parametrize("why", ["an order to lock", "a stop"])
def test_denied__following_what_is_over(board: OpenBoard, why: str) -> None:
    """A release that is ended by order, or by the agent's end, before the delay is over moves no door operator."""
    front = board(front={"second_relay": {"delay_s": 0.2}, "pulse_s": 1.0})
    door = front.parts.doors["front"]
    front.admit()
    if why == "a stop":
        door.stop()
    else:
        door.lock()
    assert door.due_ns() is None or door.second is None or door.second.due_ns is None
    door.tick(time.monotonic_ns() + 60 * SECOND)
    assert "released" not in front.driven("front.second_relay")


def test_denied__following_fire(board: OpenBoard) -> None:
    """In fire it is not begun: an operator that swings the door is none of the way out."""
    front = board(front={"fire": {"debounce_ms": 0}, "second_relay": {"delay_s": 0.0}})
    front.move("front.fire", 1)
    front.wait("fire")
    front.admit()
    front.parts.doors["front"].tick(time.monotonic_ns() + 60 * SECOND)
    assert front.driven("front.second_relay") == ["locked"]


def test_ok__its_failure_never_touches_the_lock(board: OpenBoard, tmp_path: Path) -> None:
    """It is told once, shown and journaled; admissions go on, and it is told when it works again."""
    front = board(front={"second_relay": {"delay_s": 0.0, "pulse_s": 0.1}})
    path = tmp_path / "front.second_relay"
    path.unlink()
    path.mkdir()  # a level cannot be written into a folder
    for _ in range(2):
        front.admit()
        front.wait_locked()
    failed = front.wait("relay2_failed")
    assert failed.detail is not None
    assert "its level cannot be written" in str(failed.detail["words"])
    assert front.shown() is Signal.FAULT
    path.rmdir()
    path.write_bytes(b"0")

    def works() -> bool:
        front.admit()
        front.wait_locked()
        return "relay2_back" in front.kinds()

    until(works)
    assert front.faults == []
    assert front.kinds() == ["relay2_failed", "relay2_back"]
    assert front.shown() is Signal.READY
    assert front.driven("front.relay").count("released") == len(front.outcomes)


def test_denied__an_agent_whose_second_relay_is_missing(tmp_path: Path) -> None:
    """The start ends with its name, after the locks were driven locked."""
    board = Board(tmp_path, front={"second_relay": {"path": str(tmp_path / "none" / "bell"), "delay_s": 0.1}})
    with pytest.raises(DriverError, match="none/bell cannot be had"):
        board.open()
    board.close()
    assert board.driven("front.relay") == ["locked", "locked"]


def test_ok__one_that_is_energised_still_is_left_alone() -> None:
    """A second admission during its time does not begin it anew, and is no failure."""
    line, news = PlayedLine(None), list[str | None]()
    second = SecondRelay(line, delay_s=0.0, pulse_s=30.0, on_news=news.append)
    for _ in range(2):
        second.follow(0)
        second.act(time.monotonic_ns())
    assert line.events == ["locked", "released"]
    second.stop()
    assert line.events == ["locked", "released", "locked", "closed"]
    assert news == []


def test_denied__a_push_that_is_due_after_an_order_to_lock() -> None:
    """An order that comes while it is being energised waits for that; one that came before it leaves nothing to be begun."""
    line, order = PlayedLine(None), threading.Event()
    second = SecondRelay(line, delay_s=0.0, pulse_s=30.0, on_news=lambda _words: None)
    is_released = type(second._relay).is_released

    class Slow(PulsedRelay):
        @property
        def is_released(self) -> bool:
            """Let the order come just before the line is moved."""
            cancelling.start()
            assert not order.wait(0.2), "the order was obeyed, and then it is energised all the same"
            return bool(is_released.fget(self))  # type: ignore[attr-defined]  # a property's getter

    def cancel() -> None:
        second.cancel()
        order.set()

    cancelling = threading.Thread(target=cancel)
    second._relay.__class__ = Slow
    second.follow(0)
    second.act(time.monotonic_ns())
    cancelling.join(20)
    assert line.events == ["locked", "released"]
    second._relay.__class__ = PulsedRelay
    second.stop()
    second.follow(0)
    assert second.due_ns is None
