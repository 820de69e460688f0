"""The tables `[[door]]`: its lock, its lines, its hours and its readers, checked against one another."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, time, tzinfo
from itertools import combinations
from os.path import realpath
from typing import Annotated, Literal

from agent.core.hours import DailyHours, Hours
from agent.core.tour import check_door
from agent.settings.lines import (
    AnyContact,
    AnyInput,
    AnyRelay,
    AnyRex,
    AnySecondRelay,
    FeedbackSettings,
    GpioInput,
    GpioRelay,
    PlayedInput,
    PlayedRelay,
)
from agent.settings.parts import Field, Part, field_validator, model_validator, refuse_twice
from agent.settings.readers import AnyReader, CameraReader, OsdpReader, SerialReader

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class LockSettings(Part):
    """The table `[door.lock]`: what the relay holds."""

    kind: Literal["strike", "maglock"] = "strike"
    """An electric strike (or another lock with a latch), or a magnet."""
    fails: Literal["secure", "safe"] = "secure"
    """Without power it is locked (`secure`) or open (`safe`). A magnet is always `safe`."""
    mode: Literal["pulse", "hold"] = "pulse"
    """`pulse`: released for pulse_s. `hold`: until the door was opened, for at most max_pulse_s; that needs a contact."""
    relock: Literal["opened", "closed", "time"] = "time"
    """With `hold`, after the opening: at once, when the door is shut again, or pulse_s later."""

    @model_validator(mode="after")
    def _consistent(self) -> LockSettings:
        if self.kind == "maglock" and self.fails == "secure":
            raise ValueError('a maglock without power is open: it needs fails = "safe"')
        if self.mode == "pulse" and self.relock != "time":
            raise ValueError(f'relock = "{self.relock}" needs mode = "hold": a pulse ends by time')
        return self


class HoursSettings(Part):
    """A table `[[door.hours]]`: when tours are let in, in the property's zone."""

    days: Annotated[tuple[Day, ...], Field(min_length=1)] = DAYS
    """The days of the week."""
    opens: time
    """From this time of the day, written "09:00"."""
    closes: time
    """To this time of the same day; "00:00" is its end."""

    @field_validator("opens", "closes", mode="before")
    @classmethod
    def _written(cls, value: object) -> object:
        try:
            found = time.fromisoformat(value) if isinstance(value, str) else value
        except ValueError:
            found = None
        if not isinstance(found, time) or found.tzinfo is not None or (found.second, found.microsecond) != (0, 0):
            raise ValueError('this is no time of the day in whole minutes: write it like "09:00"')
        return found

    @model_validator(mode="after")
    def _ordered(self) -> HoursSettings:
        if self.closes != time() and self.closes <= self.opens:
            raise ValueError(f"closes ({self.closes:%H:%M}) is not after opens ({self.opens:%H:%M}); hours over midnight are two tables")
        refuse_twice("the day", list(self.days))
        return self

    def table(self) -> DailyHours:
        """As the core takes it."""
        opens_min, closes_min = (clock.hour * 60 + clock.minute for clock in (self.opens, self.closes))
        return DailyHours(frozenset(DAYS.index(day) for day in self.days), opens_min, closes_min or 24 * 60)


class DoorSettings(Part):
    """A table `[[door]]`."""

    name: str
    """The door's name in tour codes: lower-case letters, digits and hyphens."""
    pulse_s: Annotated[float, Field(strict=True, ge=0.1, le=60)] = 5.0
    """How long the lock is released for one admission."""
    max_pulse_s: Annotated[float, Field(strict=True, ge=0.1, le=120)] = 10.0
    """The hard maximum that no release exceeds."""
    closed_on: tuple[date, ...] = ()
    """Days on which no tour is let in, by their date in the property's zone."""
    lock: LockSettings = LockSettings()
    """What the relay holds."""
    relay: AnyRelay
    """The lock's relay."""
    second_relay: AnySecondRelay | None = None
    """A door operator or a bell that follows each release."""
    contact: AnyContact | None = None
    """Tells whether the door is open."""
    rex: AnyRex | None = None
    """The request-to-exit, which is wired to the lock and only watched here."""
    fire: AnyInput | None = None
    """The fire panel: while it is active the lock is released. Several doors may share its line."""
    tamper: AnyInput | None = None
    """The switch of a housing. Several doors may share its line."""
    feedback: FeedbackSettings | None = None
    """Lamps and a buzzer."""
    hours: tuple[HoursSettings, ...] = ()
    """When tours are let in; left out, always."""
    reader: Annotated[tuple[AnyReader, ...], Field(min_length=1, max_length=8)]
    """The readers at this door."""
    desk_token_file: str | None = None
    """File of the token by which the desk knows this door; left out, it hears nothing from the desk."""
    pin_key_file: str | None = None
    """File of the door's key for PINs, 64 hexadecimal digits; left out, PINs open nothing here."""

    @field_validator("closed_on", mode="before")
    @classmethod
    def _dated(cls, value: object) -> object:
        # a number would be taken for seconds since 1970, and a time would be cut off
        if isinstance(value, list | tuple) and not all(type(day) in (str, date) for day in value):
            raise ValueError('must be dates, written like "2026-12-25"')
        return value

    @field_validator("name")
    @classmethod
    def _named(cls, name: str) -> str:
        check_door(name)
        return name

    @model_validator(mode="after")
    def _bounded(self) -> DoorSettings:
        if self.pulse_s > self.max_pulse_s:
            raise ValueError(f"pulse_s ({self.pulse_s}) exceeds max_pulse_s ({self.max_pulse_s})")
        if self.pin_key_file is not None and self.desk_token_file is None:
            raise ValueError("pin_key_file needs desk_token_file: the door hears of PINs from the desk")
        if self.lock.mode == "hold" and self.contact is None:
            raise ValueError('mode = "hold" needs a [door.contact]: without one nobody knows that the door was opened')
        released_s = self.max_pulse_s if self.lock.mode == "hold" else self.pulse_s
        if self.second_relay is not None and self.second_relay.delay_s >= released_s:
            raise ValueError(
                f"second_relay.delay_s ({self.second_relay.delay_s}) lasts until the lock is locked again, {released_s} s later"
            )
        self._refuse_pins()
        return self

    def _refuse_pins(self) -> None:
        """A relay where the board itself drives the line while it boots would open the door at each power-on."""
        for name, line in self.outputs():
            if name not in ("relay", "second_relay") or not isinstance(line, GpioRelay) or line.chip not in (None, 0):
                continue
            if line.pin in _DRIVEN_AT_BOOT:
                raise ValueError(
                    f"{name}.pin: GPIO{line.pin} is driven by the board while it boots: take another, as systemd/WIRING.md says"
                )
            if line.pin in _HARD_PULLED_UP and line.active == "high":
                raise ValueError(
                    f"{name}.pin: GPIO{line.pin} is pulled up on the board by 1.8 kΩ, which is the level that releases: take another"
                )

    def opening(self, zone: tzinfo) -> Hours | None:
        """Hours and closed days as the core takes them; None for a door that has neither."""
        if not self.hours and not self.closed_on:
            return None
        return Hours(zone, tuple(table.table() for table in self.hours), frozenset(self.closed_on))

    def outputs(self) -> Iterator[tuple[str, GpioRelay | PlayedRelay]]:
        """Each driven line with the name of its table."""
        yield "relay", self.relay
        if self.second_relay is not None:
            yield "second_relay", self.second_relay
        for name in ("green", "red", "buzzer"):
            line = getattr(self.feedback, name, None)
            if line is not None:
                yield f"feedback.{name}", line

    def inputs(self) -> Iterator[tuple[str, GpioInput | PlayedInput]]:
        """Each watched line with the name of its table."""
        for name in ("contact", "rex", "fire", "tamper"):
            line = getattr(self, name)
            if line is not None:
                yield name, line


_DRIVEN_AT_BOOT = frozenset({0, 1, 14, 15})
"""Pins of the header: 0 and 1 while it looks for a HAT, 14 and 15 by the console."""
_HARD_PULLED_UP = frozenset({2, 3})
SHARED = ("fire", "tamper")
"""One panel or housing may serve several doors."""


def refuse_shared_lines(doors: tuple[DoorSettings, ...]) -> None:
    """Raise `ValueError` for a pin, a played input or a port that two things of the board use."""
    used = [pin for door in doors for pin in _pins(door)]
    for (one, chip, pin, line), (other, other_chip, other_pin, other_line) in combinations(used, 2):
        if pin != other_pin or not (chip == other_chip or None in (chip, other_chip)):
            continue
        kind, other_kind = one.rsplit(".", 1)[-1], other.rsplit(".", 1)[-1]
        if kind != other_kind or kind not in SHARED:
            raise ValueError(f"the pin {pin} is used twice: by {one} and by {other}")
        if line != other_line:
            raise ValueError(f"the pin {pin} is shared by {one} and {other}, so all their settings must be the same")
    _refuse_shared_files(doors)
    _refuse_shared_ports(doors)


def _refuse_shared_files(doors: tuple[DoorSettings, ...]) -> None:
    """A played panel or housing that several doors share is one line as well."""
    first: dict[tuple[str, str], tuple[str, PlayedInput]] = {}
    for door in doors:
        for name, line in door.inputs():
            if name in SHARED and isinstance(line, PlayedInput):
                other, known = first.setdefault((name, str(line.path)), (door.name, line))
                if known != line:
                    raise ValueError(
                        f"the file {line.path} is shared by {other}.{name} and {door.name}.{name}, so all their settings must be the same"
                    )


def _pins(door: DoorSettings) -> Iterator[tuple[str, int | None, int, object]]:
    for name, output in door.outputs():
        if isinstance(output, GpioRelay):
            yield f"{door.name}.{name}", output.chip, output.pin, output
    for name, watched in door.inputs():
        if isinstance(watched, GpioInput):
            yield f"{door.name}.{name}", watched.chip, watched.pin, watched
    for reader in door.reader:
        for name, chip, pin in reader.gpio_pins():
            yield f"{door.name}.{reader.name}.{name}", chip, pin, reader


def _refuse_shared_ports(doors: tuple[DoorSettings, ...]) -> None:
    readers = [reader for door in doors for reader in door.reader]
    refuse_twice("the reader name", [reader.name for reader in readers])
    # behind links: by-id and /dev/ttyACM0 may be one
    refuse_twice("the port", [realpath(reader.port) for reader in readers if isinstance(reader, SerialReader)])
    refuse_twice("the device", [realpath(reader.device) for reader in readers if reader.driver == "keyboard"])
    refuse_twice("the camera", [str(reader.camera) for reader in readers if isinstance(reader, CameraReader)])
    # each reader has a key of its own: who opens one must not have the others'
    refuse_twice("the OSDP key_file", [reader.key_file for reader in readers if isinstance(reader, OsdpReader)])
    buses: dict[str, OsdpReader] = {}
    for reader in readers:
        if not isinstance(reader, OsdpReader):
            continue
        if str(reader.port) in {str(other.port) for other in readers if isinstance(other, SerialReader)}:
            raise ValueError(f"the port {str(reader.port)!r} is used twice")
        first = buses.setdefault(str(reader.port), reader)
        if first.baud != reader.baud:
            raise ValueError(f"the readers {first.name} and {reader.name} share {reader.port}, so their baud must be the same")
    refuse_twice("the OSDP address", [f"{reader.port}, {reader.address}" for reader in readers if isinstance(reader, OsdpReader)])
