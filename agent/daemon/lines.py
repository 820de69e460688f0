"""The doors' lines, and locking them with no agent running.

Rule: nothing heavy is imported here, since `tourlatch lock` runs from `ExecStopPost` while a lock may still be released.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agent.settings.agent import AgentSettings
from agent.settings.door import DoorSettings
from agent.settings.parts import Part
from drivers import registry
from drivers.base import DriverError, Input, Line

_NOT_THE_LINES = {"delay_s", "pulse_s"}
_NOT_THE_INPUTS = {"normally", "debounce_ms", "held_warn_s", "held_alarm_s", "suppress_s", "unlocks"}


def output_of(part: Part, work_dir: Path, *, released: bool = False) -> Line:
    """The line of a relay, a lamp or a buzzer, claimed at rest or released; raises `DriverError` naming what is missing."""
    driver, options = _options(part, _NOT_THE_LINES, work_dir)
    return registry.line(driver, options, released=released)


def input_of(part: Part, work_dir: Path) -> Input:
    """A watched line; raises `DriverError` naming what is missing."""
    driver, options = _options(part, _NOT_THE_INPUTS, work_dir)
    return registry.watched(driver, options)


def _options(part: Part, not_the_drivers: set[str], work_dir: Path) -> tuple[str, dict[str, Any]]:
    options = part.model_dump(exclude=not_the_drivers, mode="json")
    driver = str(options.pop("driver"))
    if driver == "gpio":
        options["work_dir"] = str(work_dir)
    return driver, options


@dataclass(frozen=True, slots=True)
class Left:
    """How the doors were left: which are locked, and which fire holds released."""

    locked: list[str] = field(default_factory=list)
    in_fire: list[str] = field(default_factory=list)


def lock_all(settings: AgentSettings) -> Left:
    """With no agent running, drive every relay locked, but where there is fire, every other line to rest, and give them back.

    Every door that can be locked is, whatever is wrong with another one. Raises `DriverError` with all that was wrong.
    """
    faults: list[str] = []
    left = Left()
    work_dir = settings.control.socket.parent
    for door in settings.door:
        is_fire = _is_fire(door, work_dir, faults)
        (left.in_fire if is_fire else left.locked).append(door.name)
        for name, part in door.outputs():
            _drive(part, work_dir, faults, released=is_fire and name == "relay")
    if faults:
        raise DriverError("\n".join(faults))
    return left


def _is_fire(door: DoorSettings, work_dir: Path, faults: list[str]) -> bool:
    """The level of the fire input, not debounced; one that cannot be read holds nothing released."""
    if door.fire is None:
        return False
    try:
        line = input_of(door.fire, work_dir)
        try:
            return line.read()
        finally:
            line.close()
    except DriverError as error:
        faults.append(str(error))
        return False


def _drive(part: Part, work_dir: Path, faults: list[str], *, released: bool) -> None:
    try:
        line = output_of(part, work_dir, released=released)
        try:
            line.drive(released=released)
        finally:
            line.close()
    except DriverError as error:
        faults.append(str(error))
