"""Tells what happens at the doors: to the journal, to the lamps, and on the loop to whoever listens.

Rule 1: a happening is told from the thread in which it happened; nothing here waits.
Rule 2: what happens before the store is open, such as fire at the start, is kept until it is.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.core.clock import Interval
from agent.daemon.happening import Happening
from agent.daemon.signs import Signs
from agent.store import upkeep
from agent.store.journal import Moment, Note
from agent.timekeeping import Now
from drivers.base import Signal

STORE_FAILING_S = 60.0
"""For so long after a write that failed the store counts as failing."""

_LASTING = {
    "fire": [(Signal.FIRE, "fire", True)],
    "fire_over": [(Signal.FIRE, "fire", False)],
    "forced": [(Signal.FORCED, "forced", True)],
    "still_forced": [(Signal.FORCED, "forced", True)],
    "held": [(Signal.HELD, "held", True)],
    # whoever passes it over while it warns hears the same as of a forced door
    "held_alarm": [(Signal.FORCED, "held", True)],
    "relay2_failed": [(Signal.FAULT, "relay2", True)],
    "relay2_back": [(Signal.FAULT, "relay2", False)],
    "rex_stuck": [(Signal.FAULT, "rex", True)],
    "rex_free": [(Signal.FAULT, "rex", False)],
}
_NOT_HELD = [(Signal.FORCED, "held", False), (Signal.HELD, "held", False)]
_CALM = [(Signal.FORCED, "forced", False), *_NOT_HELD]
_LASTING |= {"shut": _CALM, "secured": _CALM}


@dataclass(frozen=True, slots=True)
class _Ears:
    """Whom to tell, once there is anybody."""

    keeper: upkeep.Upkeep
    now: Callable[[], Now]
    publish: Callable[[Happening], None]
    signs: Mapping[str, Signs]


class Teller:
    """Hears of happenings in any thread, and tells them from `attach` on."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ears: _Ears | None = None
        self._early: list[Happening] = []

    def attach(
        self, keeper: upkeep.Upkeep, now: Callable[[], Now], publish: Callable[[Happening], None], signs: Mapping[str, Signs]
    ) -> None:
        """The store is open and the loop runs: tell what happened so far, and from now on at once."""
        ears = _Ears(keeper, now, publish, signs)
        with self._lock:
            for happening in self._early:
                _tell(ears, happening)
            self._early.clear()
            self._ears = ears

    def tell(self, happening: Happening) -> None:
        """It happened."""
        ears = self._ears
        if ears is None:
            with self._lock:
                if self._ears is None:
                    self._early.append(happening)
                    return
                ears = self._ears
        _tell(ears, happening)


def _tell(ears: _Ears, happening: Happening) -> None:
    signs = ears.signs.get(happening.door)
    if signs is not None:
        for signal, why, is_on in _signals(happening):
            signs.set(signal, why, is_on=is_on)
    note = Note(
        _moment(ears.now(), happening.at_ns),
        happening.kind,
        happening.door,
        appointment_id=happening.appointment_id,
        code_id=happening.code_id,
        detail=happening.detail,
    )
    if happening.kind == "opened":
        ears.keeper.note_opened(note)
    elif happening.kind == "not_opened":
        ears.keeper.note_not_opened(note, happening.passage)
    else:
        ears.keeper.note(note)
    ears.publish(happening)


def _signals(happening: Happening) -> list[tuple[Signal, str, bool]]:
    kind, detail = happening.kind, happening.detail or {}
    if kind in ("lamp_failed", "lamp_back"):
        return [(Signal.FAULT, f"lamp {detail.get('lamp')}", kind == "lamp_failed")]
    if kind not in ("input_lost", "input_back"):
        return _LASTING.get(kind, [])
    name = str(detail.get("input"))
    # where the leaf is, nobody knows then; a door that was forced stays so until it is seen shut
    is_contact_lost = kind == "input_lost" and name == "contact"
    return [(Signal.FAULT, f"input {name}", kind == "input_lost"), *(_NOT_HELD if is_contact_lost else [])]


def _moment(now: Now, at_ns: int) -> Moment:
    """The moment of a tick that is just over."""
    ago_ms = max(0, (time.monotonic_ns() - at_ns) // 1_000_000)
    latest_ms = now.interval.latest_ms
    earlier = Interval(max(0, now.interval.earliest_ms - ago_ms), latest_ms)
    return Moment(now.guess_ms - ago_ms, earlier)


class StoreHealth:
    """Whether the store fails: a write failed lately."""

    def __init__(self) -> None:
        self._failed_s: float | None = None

    def failed(self) -> None:
        """A write failed just now."""
        self._failed_s = time.monotonic()

    def is_failing(self) -> bool:
        """Whether that is not long ago."""
        return self._failed_s is not None and time.monotonic() - self._failed_s < STORE_FAILING_S
