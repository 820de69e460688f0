"""The relays' lines, and locking them with no agent running.

Rule: nothing heavy is imported here, since `tourlatch lock` runs from `ExecStopPost` while a lock may still be released.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from agent.settings.agent import AgentSettings
from agent.settings.door import DoorSettings
from agent.settings.parts import Part
from drivers import registry
from drivers.base import DriverError, Input, Line


def line_of(door: DoorSettings, work_dir: Path) -> Line:
    """The line of a door's relay; raises `DriverError` naming what is missing."""
    options = door.relay.model_dump(exclude={"driver"}, mode="json")
    if door.relay.driver == "gpio":
        options["work_dir"] = str(work_dir)
    return registry.line(door.relay.driver, options)


def output_of(part: Part, work_dir: Path, *, released: bool = False) -> Line:
    """The line of a relay, a lamp or a buzzer, claimed at rest or released; raises `DriverError` naming what is missing."""
    driver, options = _driver_of(part, {"pin", "active", "chip", "path"}, work_dir)
    return registry.line(driver, options, released=released)


def input_of(part: Part, work_dir: Path) -> Input:
    """A watched line; raises `DriverError` naming what is missing."""
    driver, options = _driver_of(part, {"pin", "active", "pull", "chip", "path"}, work_dir)
    return registry.watched(driver, options)


def _driver_of(part: Part, keys: set[str], work_dir: Path) -> tuple[str, dict[str, Any]]:
    """A driver's name, and those settings of a line that are the driver's own."""
    options: dict[str, Any] = part.model_dump(include=keys, mode="json")
    driver = str(part.model_dump(include={"driver"})["driver"])
    if driver == "gpio":
        options["work_dir"] = str(work_dir)
    return driver, options


def lock_all(settings: AgentSettings) -> list[str]:
    """Drive every relay locked and give it back, with no agent running; returns the doors.

    Every door that can be locked is, whatever is wrong with another one. Raises `DriverError` with all that was wrong.
    """
    faults = []
    for door in settings.door:
        try:
            line = line_of(door, settings.control.socket.parent)
            try:
                line.drive(released=False)
            finally:
                line.close()
        except DriverError as error:
            faults.append(str(error))
    if faults:
        raise DriverError("\n".join(faults))
    return [door.name for door in settings.door]
