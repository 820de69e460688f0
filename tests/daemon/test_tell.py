"""What happens is told to the journal, the lamps and the listeners, when it happened, and from the very start."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.core.clock import ClockState, Interval
from agent.daemon.happening import Happening
from agent.daemon.signs import Signs
from agent.daemon.tell import Teller
from agent.store import files
from agent.store.upkeep import Upkeep
from agent.timekeeping import Now
from drivers.base import Signal

NOW_MS = 1_790_000_000_000
SECOND = 1_000_000_000


class Told:
    """A teller with a real store."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "journal.db"
        files.bring_up_to_date(self.path)
        self.keeper = Upkeep(self.path, threading.RLock())
        self.published: list[Happening] = []
        self.signs = {"front": Signs([])}
        self.teller = Teller()

    def attach(self) -> None:
        """Begin."""
        now = Now(Interval(NOW_MS - 50, NOW_MS + 50), ClockState.SYNCHRONISED, NOW_MS)
        self.teller.attach(self.keeper, lambda: now, self.published.append, self.signs)

    def rows(self) -> list[tuple[str, int]]:
        """The journal: kinds, and how long ago in whole seconds."""
        self.keeper.submit(lambda _conn: None).result(10)
        rows = files.rows(self.path, "SELECT kind, at_ms, earliest_ms, latest_ms FROM journal ORDER BY seq")
        assert all(row["earliest_ms"] <= row["at_ms"] <= row["latest_ms"] for row in rows)
        return [(row["kind"], (NOW_MS - row["at_ms"]) // 1000) for row in rows]


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    """A teller that nobody listens to yet."""
    made = Told(tmp_path)
    yield made
    made.keeper.close(5)


def test_ok__what_happened_before_the_store_was_open_is_kept(told: Told) -> None:
    """In its order, and with the time at which it was."""
    now_ns = time.monotonic_ns()
    early = [Happening("fire", "front", now_ns - 30 * SECOND), Happening("fire_over", "front", now_ns - 20 * SECOND)]
    for happening in early:
        told.teller.tell(happening)
    assert told.published == []
    told.attach()
    late = Happening("tamper", "front", now_ns - 10 * SECOND)
    told.teller.tell(late)
    assert told.published == [*early, late]
    assert [kind for kind, _ in told.rows()] == ["fire", "fire_over", "tamper"]
    ago_s = [seconds for _, seconds in told.rows()]
    assert all(seconds >= least for seconds, least in zip(ago_s, (30, 20, 10), strict=True))
    assert ago_s == sorted(ago_s, reverse=True)


def test_ok__a_door_that_is_not_shown_anywhere_is_journaled(told: Told) -> None:
    """A happening of a door without lamps is told all the same."""
    told.attach()
    told.teller.tell(Happening("forced", "back", time.monotonic_ns()))
    assert [kind for kind, _ in told.rows()] == ["forced"]
    assert told.signs["front"].shown is Signal.READY


@pytest.mark.parametrize(
    ("kinds", "shown"),
    [
        (["forced"], Signal.FORCED),
        (["forced", "secured"], Signal.READY),
        (["held"], Signal.HELD),
        (["held", "held_alarm"], Signal.FORCED),
        (["held", "held_alarm", "secured"], Signal.READY),
        (["held", "shut"], Signal.READY),
        (["fire", "forced"], Signal.FIRE),
        (["fire", "forced", "fire_over"], Signal.FORCED),
        (["still_forced"], Signal.FORCED),
        (["still_forced", "secured"], Signal.READY),
        (["rex_stuck"], Signal.FAULT),
        (["rex_stuck", "rex_free"], Signal.READY),
        (["relay2_failed"], Signal.FAULT),
        (["relay2_failed", "relay2_back"], Signal.READY),
        (["opened", "rex", "not_opened", "tamper", "hold_open_over"], Signal.READY),
    ],
)
def test_ok__each_kind_is_shown_for_as_long_as_it_lasts(told: Told, kinds: list[str], shown: Signal) -> None:
    """Alarms stay until the door is shut, fire until it is over."""
    told.attach()
    for kind in kinds:
        told.teller.tell(Happening(kind, "front", time.monotonic_ns()))
    assert told.signs["front"].shown is shown


@pytest.mark.parametrize(("name", "shown"), [("contact", Signal.FAULT), ("rex", Signal.FORCED)])
def test_ok__a_lost_contact_is_a_fault_and_no_alarm(told: Told, name: str, shown: Signal) -> None:
    """A door whose contact is lost is not held any more; another input that is lost leaves the alarm standing."""
    told.attach()
    told.teller.tell(Happening("held_alarm", "front", time.monotonic_ns()))
    told.teller.tell(Happening("input_lost", "front", time.monotonic_ns(), detail={"input": name}))
    assert told.signs["front"].shown is shown


def test_denied__a_break_in_that_is_over_when_the_wire_is_cut(told: Told) -> None:
    """A forced door is shown until it is seen shut, whatever becomes of its contact."""
    told.attach()
    told.teller.tell(Happening("forced", "front", time.monotonic_ns()))
    for kind in ("input_lost", "input_back"):
        told.teller.tell(Happening(kind, "front", time.monotonic_ns(), detail={"input": "contact"}))
        assert told.signs["front"].shown is Signal.FORCED
    told.teller.tell(Happening("secured", "front", time.monotonic_ns()))
    assert told.signs["front"].shown is Signal.READY


def test_ok__each_lamp_that_fails_is_a_fault_of_its_own(told: Told) -> None:
    """Two fail and one works again: a fault still, until the other does, too."""
    told.attach()
    shown = []
    for kind, lamp in (("lamp_failed", "red"), ("lamp_failed", "green"), ("lamp_back", "red"), ("lamp_back", "green")):
        told.teller.tell(Happening(kind, "front", time.monotonic_ns(), detail={"lamp": lamp}))
        shown.append(told.signs["front"].shown)
    assert shown == [Signal.FAULT, Signal.FAULT, Signal.FAULT, Signal.READY]
    assert [kind for kind, _ in told.rows()] == ["lamp_failed", "lamp_failed", "lamp_back", "lamp_back"]
