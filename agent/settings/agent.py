"""The agent's settings: every key with its meaning, bounds and default."""

from __future__ import annotations

import pwd
from itertools import combinations
from pathlib import Path
from typing import Annotated, Literal

from agent.core.clock import ClockRules, Trust
from agent.core.decide import Rules, UncertainClock
from agent.core.lockout import LockoutRules
from agent.core.replay import InDoubt, RetryPolicy
from agent.core.tour import check_door, check_id
from agent.settings.knock import KnockSettings
from agent.settings.parts import (
    AbsolutePath,
    Field,
    Part,
    WebAddress,
    ZoneName,
    field_validator,
    model_validator,
    refuse_shared,
    refuse_twice,
)


class StoreSettings(Part):
    """The table `[store]`."""

    path: AbsolutePath = Path("/var/lib/tourlatch/journal.db")
    """The journal and outbox: one SQLite file, with its -wal and -shm beside it; one agent a folder."""


class ControlSettings(Part):
    """The table `[control]`."""

    socket: AbsolutePath = Path("/run/tourlatch/agent.sock")
    """The unix socket that `tourlatch status`, `events`, `unlock` and the others speak to."""
    users: tuple[str, ...] = ()
    """Users who may speak to it, besides root and the agent's own."""

    @field_validator("users")
    @classmethod
    def _known(cls, users: tuple[str, ...]) -> tuple[str, ...]:
        for user in users:
            try:
                pwd.getpwnam(user)
            except KeyError:
                raise ValueError(f"there is no user {user!r} on this machine") from None
        return users


class KeysSettings(Part):
    """The table `[keys]`."""

    folder: AbsolutePath = Path("/etc/tourlatch/keys")
    """The desk's public keys, `<id>.pub.toml` each. A code signed with any of them is genuine unless the file says retired."""


class ClockSettings(Part):
    """The table `[clock]`."""

    trust: Trust = Trust.NTP
    """`ntp`: the clock counts while the kernel calls it synchronised. `system`: without NTP, too (battery-backed clock)."""
    system_error_s: Annotated[int, Field(strict=True, ge=0, le=3600)] = 2
    """With `system`: how far the clock may be off, either way."""
    drift_ppm: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 200
    """How far the board's quartz may stray while not synchronised, in millionths."""
    tolerated_s: Annotated[int, Field(strict=True, ge=0, le=3600)] = 60
    """An uncertainty up to this width does not matter at the edges of a window."""
    when_uncertain: UncertainClock = UncertainClock.REFUSE
    """For a wider one: `refuse` or `admit` a code that may be in its window. What has ended for sure is never admitted."""

    def rules(self) -> ClockRules:
        """As the core takes it."""
        return ClockRules(self.trust, self.system_error_s * 1000, self.drift_ppm)


class RulesSettings(Part):
    """The table `[rules]`."""

    grace_before_min: Annotated[int, Field(strict=True, ge=0, le=720)] = 15
    """How long before the start of a tour its code opens the door."""
    grace_after_min: Annotated[int, Field(strict=True, ge=0, le=720)] = 30
    """How long after the end of a tour its code opens the door."""
    admissions_per_door: Annotated[int, Field(strict=True, ge=1, le=100)] = 5
    """How often one appointment may open one door."""


class LockoutSettings(Part):
    """The table `[lockout]`."""

    guesses: Annotated[int, Field(strict=True, ge=2, le=1000)] = 10
    """So many wrong codes at one reader..."""
    within_s: Annotated[int, Field(strict=True, ge=1, le=3600)] = 60
    """...within so long lock it out for wrong codes (a genuine one still works)..."""
    lock_s: Annotated[int, Field(strict=True, ge=1, le=3600)] = 30
    """...for so long, doubled each time in a row..."""
    max_lock_s: Annotated[int, Field(strict=True, ge=1, le=86_400)] = 900
    """...up to this."""

    def rules(self) -> LockoutRules:
        """As the core takes it."""
        return LockoutRules(self.guesses, self.within_s, self.lock_s, self.max_lock_s)


class OutboxSettings(Part):
    """The table `[outbox]`."""

    in_doubt: InDoubt = InDoubt.RETRY
    """When no answer came to a visit: `retry` it, or `hold` it for a person (`tourlatch outbox`)."""
    first_retry_s: Annotated[float, Field(strict=True, gt=0, le=3600)] = 5.0
    """The longest wait after the first failure; it doubles with each one..."""
    max_retry_s: Annotated[float, Field(strict=True, gt=0, le=86_400)] = 300.0
    """...up to this."""
    at_once: Annotated[int, Field(strict=True, ge=1, le=32)] = 4
    """How many visits of different prospects are sent at the same time."""

    def policy(self) -> RetryPolicy:
        """As the core takes it."""
        return RetryPolicy(self.first_retry_s, self.max_retry_s, in_doubt=self.in_doubt)


class DeskLinkSettings(Part):
    """The table `[desk]`; left out, the doors work on tour codes alone."""

    url: WebAddress
    """The desk's address. Plain http to this machine only."""
    ca_file: AbsolutePath | None = None
    """Certificates to trust instead of the system's, for a desk or proxy with its own authority."""
    wait_s: Annotated[int, Field(strict=True, ge=1, le=50)] = 25
    """How long the desk may hold an answer while there is no news."""
    connect_timeout_s: Annotated[float, Field(strict=True, gt=0, le=120)] = 10.0
    """For the connection, TLS included."""
    read_timeout_s: Annotated[float, Field(strict=True, gt=0, le=120)] = 20.0
    """For each piece of an answer, the first one after `wait_s`."""
    total_timeout_s: Annotated[float, Field(strict=True, gt=0, le=300)] = 45.0
    """For one request with its whole answer, besides `wait_s`."""


class GpioRelay(Part):
    """The table `[door.relay]` with the driver `gpio`."""

    driver: Literal["gpio"]
    """A relay board on a line of the Pi's header."""
    pin: Annotated[int, Field(strict=True, ge=0, le=53)]
    """The line's BCM number (GPIO17 is 17)."""
    active: Literal["high", "low"]
    """The level at which the relay releases the lock. There is no default: measure it."""
    chip: Annotated[int, Field(strict=True, ge=0, le=15)] | None = None
    """The number in /dev/gpiochip…; left out, the board's own."""


class PlayedRelay(Part):
    """The table `[door.relay]` with the driver `played`."""

    driver: Literal["played"]
    """No device: the level is kept in a file, for demos and training."""
    path: AbsolutePath
    """The file that holds the level, with a record of every change in <path>.log."""


class SerialReader(Part):
    """A table `[[door.reader]]` with the driver `serial`."""

    driver: Literal["serial"]
    """A scanner that sends lines over a serial port or USB-serial."""
    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]
    """What logs and the journal call it."""
    port: AbsolutePath
    """The device: best its stable name in /dev/serial/by-id."""
    baud: Annotated[int, Field(strict=True, ge=300, le=4_000_000)] = 9600
    """The scanner's speed; USB-serial scanners ignore it."""
    prefix: Annotated[str, Field(max_length=16, pattern=r"^[\x00-\xff]*$")] = ""
    """What the scanner puts before a code, if it is set to."""
    suffix: Annotated[str, Field(max_length=16, pattern=r"^[\x00-\xff]*$")] = ""
    """What it puts after a code; left out, any line end."""
    max_bytes: Annotated[int, Field(strict=True, ge=64, le=65_536)] = 1024
    """A longer line is thrown away whole."""
    gap_s: Annotated[float, Field(strict=True, gt=0, le=60)] = 2.0
    """A line whose end does not come for this long is thrown away."""


class DoorSettings(Part):
    """A table `[[door]]`."""

    name: str
    """The door's name in tour codes: lower-case letters, digits and hyphens."""
    pulse_s: Annotated[float, Field(strict=True, ge=0.1, le=60)] = 5.0
    """How long the lock is released for one admission."""
    max_pulse_s: Annotated[float, Field(strict=True, ge=0.1, le=120)] = 10.0
    """The hard maximum that no release exceeds."""
    relay: Annotated[GpioRelay | PlayedRelay, Field(discriminator="driver")]
    """The lock's relay."""
    reader: Annotated[tuple[SerialReader, ...], Field(min_length=1, max_length=8)]
    """The readers at this door."""
    desk_token_file: str | None = None
    """File of the token by which the desk knows this door; left out, it hears nothing from the desk."""
    pin_key_file: str | None = None
    """File of the door's key for PINs, 64 hexadecimal digits; left out, PINs open nothing here."""

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
        return self


class AgentSettings(Part):
    """The agent's whole file."""

    community_id: str
    """Knock's id of this property."""
    time_zone: ZoneName
    """The property's zone by its IANA name, such as America/Los_Angeles: for the times that people read."""
    help_phone: Annotated[str, Field(max_length=40, pattern=r"^[0-9+() .-]*$")] = ""
    """Whom a prospect calls from the door; it ends every refusal."""
    source_title: Annotated[str, Field(max_length=200)] = ""
    """The source title of visits whose booking named none; left out, such a visit is reported without one."""
    store: StoreSettings = StoreSettings()
    """Where the journal is."""
    control: ControlSettings = ControlSettings()
    """How staff and the other programs speak to the agent."""
    keys: KeysSettings = KeysSettings()
    """Which tour codes are genuine."""
    clock: ClockSettings = ClockSettings()
    """How sure the door must be of the time."""
    rules: RulesSettings = RulesSettings()
    """What a tour code allows."""
    lockout: LockoutSettings = LockoutSettings()
    """How guessing is slowed."""
    knock: KnockSettings = KnockSettings()
    """Where visits are reported."""
    outbox: OutboxSettings = OutboxSettings()
    """How the queue of visits is sent."""
    desk: DeskLinkSettings | None = None
    """Where the doors hear of appointments and PINs."""
    door: Annotated[tuple[DoorSettings, ...], Field(min_length=1, max_length=16)]
    """The doors of this board."""

    @field_validator("community_id")
    @classmethod
    def _community(cls, value: str) -> str:
        check_id("community", value)
        return value

    @model_validator(mode="after")
    def _distinct(self) -> AgentSettings:
        refuse_twice("the door name", [door.name for door in self.door])
        refuse_twice("the reader name", [reader.name for door in self.door for reader in door.reader])
        self._refuse_deskless()
        refuse_twice("the port", [str(reader.port) for door in self.door for reader in door.reader])
        gpio = [door.relay for door in self.door if isinstance(door.relay, GpioRelay)]
        for one, other in combinations(gpio, 2):
            if one.pin == other.pin and (one.chip == other.chip or None in (one.chip, other.chip)):
                raise ValueError(f"the pin {one.pin} is used twice")
        refuse_shared(self._written_paths())
        return self

    def _refuse_deskless(self) -> None:
        for door in self.door:
            for name in ("desk_token_file", "pin_key_file"):
                if self.desk is None and getattr(door, name) is not None:
                    raise ValueError(f"the door {door.name} has a {name}, but there is no table [desk]")
        names = [found for door in self.door for found in (door.desk_token_file, door.pin_key_file) if found is not None]
        refuse_twice("the secret file", names)

    def _written_paths(self) -> list[tuple[str, str]]:
        """Every file that the agent writes, with the key that names it or its neighbour."""
        store = str(self.store.path)
        found = [("store.path", store + suffix) for suffix in ("", "-wal", "-shm", "-journal", ".lock")]
        found.append(("control.socket", str(self.control.socket)))
        for index, door in enumerate(self.door):
            if isinstance(door.relay, PlayedRelay):
                found += [(f"door.{index}.relay.path", f"{door.relay.path}{suffix}") for suffix in ("", ".log")]
        return found

    def decision_rules(self) -> Rules:
        """As the core takes it."""
        rules, clock = self.rules, self.clock
        return Rules(
            community_id=self.community_id,
            grace_before_ms=rules.grace_before_min * 60_000,
            grace_after_ms=rules.grace_after_min * 60_000,
            admissions_per_door=rules.admissions_per_door,
            uncertain_clock=clock.when_uncertain,
            tolerated_ms=clock.tolerated_s * 1000,
        )
