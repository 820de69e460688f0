"""What the board watches, and the doors' timers: all of it in the one thread `inputs` of `drivers.inputs`.

Rule 1: fire goes from its input straight to the relays, past the doorman, the store and the loop.
Rule 2: an input that is lost is told, and leaves the door as it was: fire stays fire. Where the leaf is, nobody knows then, until the
        contact is back and its level has stood.
Rule 3: a line that several doors share is claimed once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from agent.daemon.door import Door
from agent.daemon.happening import Happening, Tell
from agent.daemon.lines import input_of
from agent.settings.door import DoorSettings
from agent.settings.lines import GpioInput, PlayedInput
from drivers.base import DriverError
from drivers.inputs import Inputs, WatchedInput

CHECK_EVERY_NS = 1_000_000_000
ALIVE_S = 10.0
NAMES = ("contact", "rex", "fire", "tamper")

log = logging.getLogger("tourlatch")

OnChange = Callable[[bool, int], None]


class _Shared:
    """One line, and the doors that want to hear of it."""

    def __init__(self) -> None:
        self.watched: WatchedInput | None = None
        self.on_change: list[OnChange] = []
        self.on_lost: list[Callable[[DriverError], None]] = []
        self.on_back: list[Callable[[], None]] = []

    def change(self, is_active: bool, at_ns: int) -> None:
        for tell in self.on_change:
            tell(is_active, at_ns)

    def lose(self, error: DriverError) -> None:
        for tell in self.on_lost:
            tell(error)

    def find(self) -> None:
        for tell in self.on_back:
            tell()


class Watch:
    """The board's inputs and timers. `on_fault` hears that nothing is watched any more: the agent has to die.

    Have the fire inputs first (`is_fire`), then `add` each door, then `start`.
    """

    def __init__(self, work_dir: Path, *, tell: Tell, on_fault: Callable[[Exception], None]) -> None:
        self._work_dir = work_dir
        self._tell = tell
        self._inputs = Inputs(on_end=on_fault, timer=self._tick)
        self._shared: dict[str, _Shared] = {}
        self._by_door: dict[str, dict[str, WatchedInput]] = {}
        self._doors: list[Door] = []
        self._unseen: set[str] = set()
        """Doors whose contact is back, and whose leaf is not known yet."""
        self._check_ns = 0
        self._alive_s = time.monotonic()

    def is_fire(self, door: DoorSettings) -> bool:
        """Whether there is fire at a door whose relay is not claimed yet; raises `DriverError` when the input cannot be had."""
        return door.fire is not None and self._line(door.name, "fire", door.fire).is_active

    def add(self, settings: DoorSettings, door: Door) -> None:
        """Watch a door from now on; raises `DriverError` when an input of it cannot be had."""
        self._doors.append(door)
        now_ns = time.monotonic_ns()
        for name, part in settings.inputs():
            watched = self._line(door.name, name, part)
            shared = self._shared[_key(part)]
            shared.on_change.append(self._on_change(door, name))
            shared.on_lost.append(partial(self._lost, door, name))
            shared.on_back.append(partial(self._back, door, name))
            if name == "contact":
                door.contact(is_open=watched.is_active, at_ns=now_ns)
            if name == "tamper" and watched.is_active:
                door.tamper(is_on=True, at_ns=now_ns)
            if name == "rex" and watched.is_active:
                door.exit(is_active=True, at_ns=now_ns, is_start=True)

    def start(self) -> None:
        """Begin."""
        self._inputs.start()

    def poke(self) -> None:
        """A door has something new to wait for; any thread."""
        self._inputs.poke()

    def close(self) -> None:
        """End, and give the inputs back."""
        self._inputs.close()

    def is_well(self) -> bool:
        """Whether the thread went round lately."""
        return time.monotonic() - self._alive_s < ALIVE_S

    def states(self, door: str) -> dict[str, str]:
        """Each input of a door: `ready` or `lost`."""
        watched = self._by_door.get(door, {})
        return {name: "lost" if watched[name].is_lost else "ready" for name in NAMES if name in watched}

    def _line(self, door: str, name: str, part: GpioInput | PlayedInput) -> WatchedInput:
        shared = self._shared.setdefault(_key(part), _Shared())
        if shared.watched is None:
            line = input_of(part, self._work_dir)
            try:
                shared.watched = self._inputs.add(
                    line, debounce_ms=part.debounce_ms, on_change=shared.change, on_fault=shared.lose, on_back=shared.find
                )
            except DriverError:
                line.close()
                raise
        self._by_door.setdefault(door, {})[name] = shared.watched
        return shared.watched

    def _on_change(self, door: Door, name: str) -> OnChange:
        def contact(is_active: bool, at_ns: int) -> None:
            settled_ns = self._by_door[door.name]["contact"].settled_ns
            is_exit_active = is_active and self._is_exit_active(door.name)
            door.contact(is_open=is_active, at_ns=at_ns, settled_ns=settled_ns, is_exit_active=is_exit_active)

        return {
            "contact": contact,
            "rex": lambda is_active, at_ns: door.exit(is_active=is_active, at_ns=at_ns),
            "fire": lambda is_active, at_ns: door.fire(is_on=is_active, at_ns=at_ns),
            "tamper": lambda is_active, at_ns: door.tamper(is_on=is_active, at_ns=at_ns),
        }[name]

    def _is_exit_active(self, door: str) -> bool:
        """By the bare level: whoever pushes the bar opens the door before the bar is debounced."""
        rex = self._by_door[door].get("rex")
        if rex is None:
            return False
        try:
            return rex.line.read()
        except DriverError:
            return rex.is_active

    def _lost(self, door: Door, name: str, error: DriverError) -> None:
        if name == "contact":
            door.contact_lost()
        self._tell(Happening("input_lost", door.name, time.monotonic_ns(), detail={"input": name, "words": str(error)}))

    def _back(self, door: Door, name: str) -> None:
        self._tell(Happening("input_back", door.name, time.monotonic_ns(), detail={"input": name}))
        if name == "contact":
            self._unseen.add(door.name)

    def _see(self, door: Door, now_ns: int) -> None:
        """Say where the leaf is, once a contact that is back has stood; a change that counts since then was told already."""
        contact = self._by_door[door.name]["contact"]
        if contact.is_quiet and not contact.is_lost:
            self._unseen.discard(door.name)
            door.contact(is_open=contact.is_active, at_ns=now_ns)

    def _tick(self, now_ns: int) -> int:
        """All that is due, at every door, whatever is wrong with another one."""
        self._alive_s = time.monotonic()
        is_check = now_ns >= self._check_ns
        if is_check:
            self._check_ns = now_ns + CHECK_EVERY_NS
        due = [self._check_ns]
        for door in self._doors:
            try:
                if door.name in self._unseen:
                    self._see(door, now_ns)
                door.tick(now_ns)
                if is_check:
                    door.check_max(now_ns)
                due_ns = door.due_ns()
                due += [] if due_ns is None else [due_ns]
            except Exception:
                log.exception("the timers of the door %s failed", door.name)
        return min(due)


def _key(part: GpioInput | PlayedInput) -> str:
    """The same for one line: its driver with its pin and chip, or its path."""
    return part.model_dump_json(include={"driver", "pin", "chip", "path"})
