"""Staff hold a door unlocked until a time: counted by ticks, renewed, and over in every way that it can be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from agent.daemon.door import OVER_MAX_NS
from agent.daemon.doorman import StaffUnlock
from agent.daemon.events import Events
from agent.daemon.requests import Requests
from agent.daemon.ways import Hold
from drivers.base import DriverError, LockedBy
from tests.daemon.board import LIMIT_S, Board, until

OpenBoard = Callable[..., Board]
SECOND = 1_000_000_000
QUICK = {"debounce_ms": 0}


def hold(board: Board, for_s: float) -> Hold:
    """Staff's order, done."""
    held = Hold(time.monotonic_ns() + round(for_s * 1e9), time.time_ns() // 1_000_000 + round(for_s * 1000))
    board.doorman.unlock(StaffUnlock("front", "ana", "party", held)).result(LIMIT_S)
    return held


def ask(board: Board, **request: object) -> dict[str, Any]:
    """An unlock, as it comes over the socket."""
    nothing: Any = None
    shared: Any = {"reader_states": {}, "feeds": {}, "reports": {}, "screen": None}
    events = Events(lambda: 0)
    requests = Requests(
        settings=board.settings, parts=board.parts, doorman=board.doorman, sender=nothing, events=events, version="0", **shared
    )
    return asyncio.run(requests._unlock({"door": "front", "reason": "party", **request}, "ana"))


def in_ms(seconds: float) -> int:
    """The instant so long from now."""
    return time.time_ns() // 1_000_000 + round(seconds * 1000)


def test_ok__held_until_its_time(board: OpenBoard) -> None:
    """It is released far longer than a pulse, without a gap, and locked when its time has come; all of it is journaled."""
    front = board(front={"max_pulse_s": 0.5})
    hold(front, 2.0)
    over = front.wait("hold_open_over")
    front.wait_locked()
    assert over.detail == {"by": "time"}
    assert front.driven() == ["locked", "released", "locked"]
    until(lambda: bool(front.pulses))
    (pulse,) = [pulse for _, pulse in front.pulses]
    assert pulse.locked_ns - pulse.released_ns >= 1.9 * SECOND
    assert front.faults == []
    rows = [(row["kind"], row["detail"].get("user"), row["detail"].get("by")) for row in front.journal()]
    assert rows == [("hold_open", "ana", None), ("hold_open_over", None, "time")]


def test_ok__an_order_to_lock_ends_it(board: OpenBoard) -> None:
    """At once, and the door is free for the next."""
    front = board(front={})
    hold(front, 3600)
    front.parts.doors["front"].lock()
    assert front.driven() == ["locked", "released", "locked"]
    assert front.wait("hold_open_over").detail == {"by": "lock"}
    front.admit()
    assert front.is_released()


def test_ok__it_is_gone_after_a_restart(board: OpenBoard) -> None:
    """The stop locks and tells; the next agent begins locked and holds nothing."""
    front = board(front={})
    hold(front, 3600)
    front.parts.doors["front"].stop()
    assert not front.is_released()
    assert front.wait("hold_open_over").detail == {"by": "stop"}
    front.restart()
    assert front.parts.doors["front"].hold is None
    assert front.parts.doors["front"].state == "locked"
    assert not front.is_released()


def test_denied__a_clock_that_jumps_ends_or_lengthens_nothing(board: OpenBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is counted by ticks from the order on: setting the clock by a day, either way, changes nothing."""
    front = board(front={}, rules={"hold_open_max_min": 60})
    until_ms = in_ms(600)
    assert ask(front, until_ms=until_ms) == {"door": "front", "until_ms": until_ms}
    held = front.parts.doors["front"].hold
    assert held is not None
    left_s = (held.until_ns - time.monotonic_ns()) / 1e9
    assert 590 < left_s <= 601
    for day_s in (86_400, -86_400):
        real_ns = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda day_s=day_s, real_ns=real_ns: real_ns() + day_s * SECOND)
        front.parts.watch.poke()
        front.parts.doors["front"].tick(time.monotonic_ns())
        monkeypatch.undo()
    assert front.parts.doors["front"].hold == held
    assert front.is_released()


@pytest.mark.parametrize(
    ("longest_min", "until", "words"),
    [
        (0, 600.0, r"no door may be held unlocked here: \[rules\] hold_open_max_min is 0"),
        (10, 100_000.0, r"a door may be held unlocked for at most 10 minutes: \[rules\] hold_open_max_min"),
        (10, -5.0, "the time until which the door is to be held unlocked is over"),
        (10, True, "until_ms is an integer"),
        (10, "17:30", "until_ms is an integer"),
    ],
)
def test_denied__an_order_that_is_not_allowed(board: OpenBoard, longest_min: int, until: object, words: str) -> None:
    """Too long, over already, not allowed at all, or no time: a sentence, and the relay does not move."""
    front = board(front={}, rules={"hold_open_max_min": longest_min})
    with pytest.raises(ValueError, match=words):
        ask(front, until_ms=in_ms(until) if isinstance(until, float) else until)
    assert front.driven() == ["locked"]
    assert front.journaled() == []


def test_denied__an_order_during_fire_is_refused_before_anything_is_written(board: OpenBoard) -> None:
    """The sentence says that fire releases the door."""
    front = board(front={"fire": QUICK}, rules={"hold_open_max_min": 10})
    front.move("front.fire", 1)
    front.wait("fire")
    with pytest.raises(ValueError, match="the door front is released by fire"):
        ask(front, until_ms=in_ms(60))
    assert front.journaled() == ["fire"]


def test_ok__a_visitor_meanwhile_is_admitted_and_reported(board: OpenBoard) -> None:
    """The person came: decided, written, a visit made; the relay need not move, and its opening is that visit's."""
    front = board(front={"contact": QUICK, "pulse_s": 5.0, "max_pulse_s": 5.0})
    hold(front, 3600)
    outcome = front.admit()
    assert outcome.released_ns is not None
    assert front.parts.doors["front"].state == "office"
    assert front.parts.doors["front"].opened_for == "000000000001"
    front.move("front.contact", 1)
    assert front.wait("opened").code_id == "000000000001"
    front.move("front.contact", 0)
    front.wait("shut")
    front.move("front.contact", 1)
    assert front.wait("opened", count=2).code_id is None
    assert front.driven() == ["locked", "released"]


def test_ok__one_more_order_sets_the_time_anew(board: OpenBoard) -> None:
    """The door stays released all the while, and the last order counts."""
    front = board(front={})
    hold(front, 3600)
    last = hold(front, 7200)
    assert front.parts.doors["front"].hold == last
    hold(front, 0.5)
    assert front.wait("hold_open_over").detail == {"by": "time"}
    until(lambda: front.driven() == ["locked", "released", "locked"])
    assert front.kinds().count("hold_open_over") == 1


def test_ok__a_door_that_is_held_unlocked_may_stand_open(board: OpenBoard) -> None:
    """No warning while staff hold it; its time for that begins when they no longer do."""
    front = board(front={"contact": {"debounce_ms": 0, "held_warn_s": 1, "held_alarm_s": 60}})
    hold(front, 3600)
    front.move("front.contact", 1)
    front.wait("opened")
    time.sleep(1.5)  # longer than the time to warn
    assert front.kinds() == ["opened"]
    front.parts.doors["front"].lock()
    over = front.wait("hold_open_over")
    assert front.wait("held").at_ns - over.at_ns >= SECOND


def test_denied__a_hold_that_nobody_renews(board: OpenBoard) -> None:
    """When the thread that renews it hangs, the relay's guard locks after the longest pulse, and that is told."""
    front = board(front={"max_pulse_s": 0.5})
    front.parts.watch.close()
    hold(front, 3600)
    front.wait_locked()
    assert front.wait("hold_open_over").detail == {"by": "relay"}
    assert [pulse.locked_by for _, pulse in front.pulses] in ([], [LockedBy.TIME])
    assert not front.is_released()


def test_denied__a_hold_whose_relay_does_not_move(board: OpenBoard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked hears why, the door is locked and free, and the journal has both the order and its end."""
    front = board(front={})
    door = front.parts.doors["front"]

    def refuse(*_args: object) -> int:
        raise DriverError("played relay: the board does not answer")

    monkeypatch.setattr(door._relay, "release", refuse)
    with pytest.raises(DriverError, match="the board does not answer"):
        hold(front, 60)
    monkeypatch.undo()
    assert (door.state, door.hold, door.is_free) == ("locked", None, True)
    assert front.journaled() == ["hold_open", "hold_open_over"]
    front.admit()


def test_denied__a_relay_that_outlives_the_longest_pulse(board: OpenBoard) -> None:
    """The second guard looks at the relay itself: longer than the longest pulse and a second is a fault that ends the agent."""
    front = board(front={"max_pulse_s": 0.5})
    door = front.parts.doors["front"]
    renewed_ns = time.monotonic_ns()
    stuck: Any = SimpleNamespace(renewed_ns=renewed_ns)
    relay, door._relay = door._relay, stuck
    try:
        door.check_max(renewed_ns + SECOND // 2 + OVER_MAX_NS)
        assert front.faults == []
        door.check_max(renewed_ns + SECOND // 2 + OVER_MAX_NS + 1)
    finally:
        door._relay = relay
    assert [str(fault) for fault in front.faults] == ["The lock of the door front is released for longer than 0.5 s."]
