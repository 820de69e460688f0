"""Looks at a board as its agent would: each finding is ok, warn or fail, with what to do.

Rule 1: while an agent runs its word counts for what it holds; else each device is opened here and given back.
Rule 2: one thing that is wrong hides no other.
"""

from __future__ import annotations

import enum
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent import protocol
from agent.core.clock import ClockState
from agent.credentials import list_keys, read_secret
from agent.doctor.record import Record
from agent.doctor.walk import Devices, verdict
from agent.doctor.wires import Wire, driven, readers, watched
from agent.errors import AgentAbsentError, AgentError
from agent.settings.agent import AgentSettings
from agent.settings.lines import GpioRelay
from agent.settings.readers import OsdpReader
from agent.timekeeping import DoorClock, kernel_reading
from drivers.base import DriverError

LEAST_FREE_BYTES = 200 * 1024 * 1024
LAST_PULLED_UP = 8
"""After a reset GPIO 0 to 8 are pulled up and the others of the header down (BCM2835 data sheet)."""
_BOOT_CONFIGS = ("/boot/firmware/config.txt", "/boot/config.txt")
_STRICT = re.compile(r"^\s*dtparam\s*=\s*(?:[^#\n]*,)?strict_gpiod\b(?!=off)", re.MULTILINE)


class Grade(enum.StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    grade: Grade
    subject: str
    words: str


def examine(settings: AgentSettings, devices: Devices) -> Iterator[Finding]:
    """Everything that can be looked at here, one after the other."""
    try:
        status: dict[str, Any] | None = protocol.ask(settings.control.socket, {"do": "status"})
    except AgentAbsentError as error:
        status = None
        yield Finding(Grade.WARN, "agent", str(error))
    except AgentError as error:
        # it runs and holds the devices, but does not tell this user how they are
        yield Finding(Grade.FAIL, "agent", str(error))
        status = {}
    if status is None:
        yield from _devices(settings, devices)
        yield _clock(settings)
    elif status:
        yield Finding(Grade.OK, "agent", f"version {status['version']}, up {status['up_s']} s")
        yield from _told(status)
    yield from _keys(settings)
    yield from _secrets(settings)
    yield _disk(settings)
    yield from _board(settings)
    yield from _pulls(settings)
    yield from _wiring(settings)


def _attempt(subject: str, words: str, look: Callable[[], object]) -> Finding:
    try:
        look()
    except (AgentError, DriverError) as error:
        return Finding(Grade.FAIL, subject, str(error))
    return Finding(Grade.OK, subject, words)


def _devices(settings: AgentSettings, devices: Devices) -> Iterator[Finding]:
    """Inputs, readers and outputs of each door, opened and given back; outputs stay at rest, and in fire the lock's relay is let be."""
    for door in settings.door:
        is_fire = False
        for wire in watched(door):
            try:
                is_active = _level(devices, wire)
            except DriverError as error:
                yield Finding(Grade.FAIL, f"{door.name} {wire.place}", str(error))
                continue
            is_fire = is_fire or (wire.place == "fire" and is_active)
            yield Finding(Grade.OK, f"{door.name} {wire.place}", f"{wire.words} can be read, {'active' if is_active else 'at rest'}")
        for wire in driven(door):
            if is_fire and wire.place == "relay":
                yield Finding(Grade.WARN, f"{door.name} relay", f"there is fire, so {wire.words} is not touched")
                continue
            yield _attempt(f"{door.name} {wire.place}", f"{wire.words} is there", lambda wire=wire: devices.line(wire).close())  # type: ignore[misc]  # a bound default
        for wire in readers(door):
            yield _attempt(f"{door.name} {wire.place}", f"{wire.words} is there", lambda wire=wire: devices.reader(wire).close())  # type: ignore[misc]  # a bound default


def _level(devices: Devices, wire: Wire) -> bool:
    found = devices.input(wire)
    try:
        return found.read()
    finally:
        found.close()


def _told(status: dict[str, Any]) -> Iterator[Finding]:
    """What the running agent says of what it holds."""
    for name, door in status["doors"].items():
        for kind in ("readers", "inputs"):
            for place, state in door.get(kind, {}).items():
                is_well = state == "ready"
                words = state if is_well else f"{state}: check its cable and power; `tourlatch events` tells since when"
                yield Finding(Grade.OK if is_well else Grade.FAIL, f"{name} {place}", words)
        yield from _alarms(name, door)
        feed = door["feed"]
        if feed is not None and feed["trouble"]:
            yield Finding(Grade.WARN, f"{name} desk", feed["trouble"])
    knock = status["knock"]
    if knock["is_up"] is False:
        yield Finding(Grade.WARN, "Knock", f"not reached, {knock['failures']} failures: visits wait in the outbox")
    if status["unwritten"]:
        yield Finding(Grade.FAIL, "journal", f"{status['unwritten']} entries could not be written: check the disk's space and health")
    yield _clock_finding(status["clock"]["state"])


def _alarms(name: str, door: dict[str, Any]) -> Iterator[Finding]:
    """What is the matter at a door just now."""
    if door.get("second_relay") == "failed":
        yield Finding(Grade.FAIL, f"{name} second_relay", "it did not move: check its wiring and its pin")
    for lamp, state in door.get("lamps", {}).items():
        if state != "ready":
            yield Finding(Grade.FAIL, f"{name} feedback.{lamp}", "it does not take its level: check its wiring and its pin")
    if door.get("rex") == "stuck":
        words = "active for more than a minute: it no longer explains an opening. Check the button and its wire"
        yield Finding(Grade.FAIL, f"{name} rex", words)
    if door.get("tamper"):
        yield Finding(Grade.FAIL, f"{name} tamper", "a housing is open: close it, or find out who opened it")
    if door.get("fire"):
        yield Finding(Grade.WARN, f"{name} fire", "the panel alarms, and the lock is released for as long as it does")
    if door.get("leaf") in ("held", "alarm", "forced"):
        yield Finding(Grade.WARN, f"{name} contact", f"the door is {door['leaf']}: shut it, and see who opened it in `tourlatch events`")


def _clock(settings: AgentSettings) -> Finding:
    try:
        return _clock_finding(DoorClock(kernel_reading(), settings.clock.rules(), 0, None).now().state.value)
    except AgentError as error:
        return Finding(Grade.FAIL, "clock", str(error))


def _clock_finding(state: str) -> Finding:
    if state == ClockState.SYNCHRONISED:
        return Finding(Grade.OK, "clock", "synchronised")
    return Finding(
        Grade.WARN, "clock", f"{state}: `timedatectl` says why NTP does not hold it; codes are refused while it is too uncertain"
    )


def _keys(settings: AgentSettings) -> Iterator[Finding]:
    try:
        found = list_keys(settings.keys.folder)
    except AgentError as error:
        yield Finding(Grade.FAIL, "keys", str(error))
        return
    active = [key.key.key_id for key in found if not key.key.is_retired]
    if active:
        yield Finding(Grade.OK, "keys", f"active: {', '.join(active)}")
    else:
        yield Finding(Grade.FAIL, "keys", f"no active public key in {settings.keys.folder}: copy the desk's *.pub.toml there")


def _secrets(settings: AgentSettings) -> Iterator[Finding]:
    names = [settings.knock.appointment_key_file, settings.knock.prospect_key_file, settings.control.staff_pin_file]
    names += [name for door in settings.door for name in (door.desk_token_file, door.pin_key_file)]
    names += [reader.key_file for door in settings.door for reader in door.reader if isinstance(reader, OsdpReader)]
    for name in dict.fromkeys(name for name in names if name is not None):
        yield _attempt("secrets", f"{name} can be read", lambda name=name: read_secret(name))  # type: ignore[misc]  # a bound default


def _disk(settings: AgentSettings) -> Finding:
    folder = settings.store.path.parent
    if not folder.is_dir():
        return Finding(Grade.FAIL, "disk", f"the store's folder {folder} is not there: the unit makes it, or make it for the agent's user")
    free = shutil.disk_usage(folder).free
    words = f"{free // (1024 * 1024)} MB free in {folder}"
    return Finding(Grade.OK, "disk", words) if free >= LEAST_FREE_BYTES else Finding(Grade.FAIL, "disk", f"only {words}: make room")


def _board(settings: AgentSettings, candidates: tuple[str, ...] = _BOOT_CONFIGS) -> Iterator[Finding]:
    """On a Raspberry Pi with a relay on its header: a dead process's line must be let go."""
    found = next((Path(path) for path in candidates if Path(path).is_file()), None)
    if found is None or not any(door.relay.driver == "gpio" for door in settings.door):
        return
    if _STRICT.search(found.read_text("utf-8", "replace")):
        yield Finding(Grade.OK, "board", f"strict_gpiod is set in {found}")
    else:
        yield Finding(Grade.WARN, "board", f"add dtparam=strict_gpiod to {found}: without it a line stays driven after the agent died")


def _pulls(settings: AgentSettings) -> Iterator[Finding]:
    """A relay's pin that the chip pulls to the level that releases, until the agent runs: its resistor alone holds it then."""
    for door in settings.door:
        relay = door.relay
        if isinstance(relay, GpioRelay) and relay.chip in (None, 0) and (relay.pin <= LAST_PULLED_UP) == (relay.active == "high"):
            side = "up" if relay.active == "high" else "down"
            words = f"GPIO{relay.pin} is pulled {side} at boot, the level that releases: only its resistor holds it; better another pin"
            yield Finding(Grade.WARN, f"{door.name} relay", words)


def _wiring(settings: AgentSettings) -> Iterator[Finding]:
    try:
        record = Record.of(settings)
    except AgentError as error:
        yield Finding(Grade.FAIL, "wiring", str(error))
        return
    for door in settings.door:
        found = verdict(record, door)
        if found.is_ready:
            yield Finding(Grade.OK, f"{door.name} wiring", f"all {found.count} were seen to move")
        else:
            words = f"not seen to move, wired as now: {', '.join(found.unseen)}; `tourlatch doctor --wiring` walks through it"
            yield Finding(Grade.WARN, f"{door.name} wiring", words)
