"""The agent's settings: every key with its meaning, bounds and default."""

from __future__ import annotations

import pwd
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from agent.core.clock import ClockRules, Trust
from agent.core.decide import AntiPassback, Rules, UncertainClock
from agent.core.lockout import LockoutRules
from agent.core.pin import screen_reader
from agent.core.replay import InDoubt, RetryPolicy
from agent.core.tour import check_id
from agent.settings.door import SHARED, DoorSettings, refuse_shared_lines
from agent.settings.knock import KnockSettings
from agent.settings.lines import PlayedInput, PlayedRelay
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
    kiosk_users: Annotated[tuple[str, ...], Field(max_length=16)] = ()
    """Users of a screen's page: they may ask for `status`, `events` and what a screen sends, and nothing else."""
    kiosk_doors: Annotated[tuple[str, ...], Field(max_length=16)] = ()
    """The doors that have a screen; left out, the only door of the board."""
    staff_pin_file: str | None = None
    """The hash of staff's PIN for a screen, by `tourlatch staff pin`; left out, a screen shows staff nothing and unlocks nothing."""

    @field_validator("users", "kiosk_users")
    @classmethod
    def _known(cls, users: tuple[str, ...]) -> tuple[str, ...]:
        for user in users:
            try:
                pwd.getpwnam(user)
            except KeyError:
                raise ValueError(f"there is no user {user!r} on this machine") from None
        return users

    @model_validator(mode="after")
    def _little(self) -> ControlSettings:
        for user in self.kiosk_users:
            if user in self.users or pwd.getpwnam(user).pw_uid == 0:
                raise ValueError(f"the user {user!r} may do everything: a screen's page needs a user of its own in kiosk_users")
        return self


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
    reentry_pause_s: Annotated[int, Field(strict=True, ge=0, le=86_400)] = 0
    """How long one appointment must wait before it opens the same door again."""
    antipassback: AntiPassback = AntiPassback.OFF
    """A code that is in already, by another door of this board: `off` lets it in, `soft` too but journals it, `hard` refuses it."""
    antipassback_min: Annotated[int, Field(strict=True, ge=1, le=1440)] = 120
    """After this long, or after a reader with direction `out`, it is not in any more."""
    hold_open_max_min: Annotated[int, Field(strict=True, ge=0, le=1440)] = 0
    """How long staff may hold a door unlocked (`tourlatch unlock --until`); 0: not at all."""


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


class AgentSettings(Part):
    """The agent's whole file."""

    community_id: str
    """Knock's id of this property."""
    time_zone: ZoneName
    """The property's zone by its IANA name, such as America/Los_Angeles: for the doors' hours and the times that people read."""
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
        self._refuse_deskless()
        refuse_shared_lines(self.door)
        refuse_shared(self._written_paths())
        self._refuse_screens()
        return self

    def screen_doors(self) -> tuple[str, ...]:
        """The doors that have a screen, in the file's order; none without a user of a screen's page."""
        if not self.control.kiosk_users:
            return ()
        return tuple(door.name for door in self.door if door.name in self.control.kiosk_doors or not self.control.kiosk_doors)

    def _refuse_screens(self) -> None:
        names = [door.name for door in self.door]
        for door in self.control.kiosk_doors:
            if door not in names:
                raise ValueError(f"control.kiosk_doors: there is no door {door!r}; there are: {', '.join(names)}")
        if self.control.kiosk_users and not self.control.kiosk_doors and len(names) > 1:
            raise ValueError(f"control.kiosk_doors: this board has several doors; name those that have a screen, of {', '.join(names)}")
        readers = [reader.name for door in self.door for reader in door.reader]
        refuse_twice("the reader name", [*readers, *[screen_reader(door) for door in self.screen_doors()]])

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
            for name, line in door.outputs():
                if isinstance(line, PlayedRelay):
                    found += [(f"door.{index}.{name}.path", f"{line.path}{suffix}") for suffix in ("", ".log")]
            for name, watched in door.inputs():
                if isinstance(watched, PlayedInput):
                    # one file may stand for a panel that several doors share
                    found.append((f"{name}.path" if name in SHARED else f"door.{index}.{name}.path", str(watched.path)))
            found += [(f"door.{index}.{reader.name}.socket", str(reader.socket)) for reader in door.reader if reader.driver == "camera"]
        return found

    def decision_rules(self) -> Rules:
        """As the core takes it."""
        rules, clock, zone = self.rules, self.clock, ZoneInfo(self.time_zone)
        opening = {door.name: door.opening(zone) for door in self.door}
        return Rules(
            community_id=self.community_id,
            grace_before_ms=rules.grace_before_min * 60_000,
            grace_after_ms=rules.grace_after_min * 60_000,
            admissions_per_door=rules.admissions_per_door,
            uncertain_clock=clock.when_uncertain,
            tolerated_ms=clock.tolerated_s * 1000,
            reentry_pause_ms=rules.reentry_pause_s * 1000,
            antipassback=rules.antipassback,
            antipassback_ms=rules.antipassback_min * 60_000,
            hours={door: hours for door, hours in opening.items() if hours is not None},
        )
