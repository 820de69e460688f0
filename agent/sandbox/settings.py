"""What a sandbox is told at its start: addresses, keys and communities. Plain frozen facts, checked when they are made."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import time
from ipaddress import ip_address
from pathlib import Path
from zoneinfo import ZoneInfo

from agent.sandbox.errors import SandboxError

MINUTES_A_DAY = 24 * 60

_OPENING = re.compile(r"(\d\d):(\d\d)-(\d\d):(\d\d)", re.ASCII)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HIGHEST_PORT = 65535
_MOST_DAYS = 366


@dataclass(frozen=True, slots=True)
class Community:
    """One property as Knock would know it.

    `opening` is `HH:MM-HH:MM` on the property's own clock, the same every day, up to `24:00`. A slot is offered when it lies in the
    opening hours and begins later than `notice_minutes` from now, for `days_ahead` days including today.
    `is_self_guided_beside_in_person` is the client's own preference that Knock applies to `forSelfGuided=true`: whether a
    self-guided tour may be booked at a time that an in-person tour has taken.

    Raises:
        SandboxError: when a value cannot be used; the text names it.
    """

    id: str
    name: str
    time_zone: str
    units: tuple[str, ...] = ()
    slot_minutes: int = 30
    opening: str = "09:00-18:00"
    notice_minutes: int = 0
    days_ahead: int = 14
    is_self_guided_beside_in_person: bool = True

    def __post_init__(self) -> None:
        if not self.id or "/" in self.id:
            raise SandboxError(f"a community's id must be a text without a slash, not {self.id!r}")
        opens, closes = self.opening_minutes()
        if opens >= closes or closes > MINUTES_A_DAY:
            raise SandboxError(f"community {self.id}: opening {self.opening!r} must close after it opens, by 24:00 at the latest")
        self._check_numbers()
        _ = self.zone()

    def zone(self) -> ZoneInfo:
        """The property's zone, by its IANA name."""
        try:
            return ZoneInfo(self.time_zone)
        except (KeyError, OSError, ValueError) as error:
            raise SandboxError(f"community {self.id}: this device knows no time zone {self.time_zone!r}") from error

    def opening_minutes(self) -> tuple[int, int]:
        """When it opens and closes, in minutes of the property's clock since midnight."""
        found = _OPENING.fullmatch(self.opening)
        if found is None:
            raise SandboxError(f"community {self.id}: opening must look like 09:00-18:00, not {self.opening!r}")
        opens_hour, opens_minute, closes_hour, closes_minute = map(int, found.groups())
        if max(opens_minute, closes_minute) > time.max.minute:
            raise SandboxError(f"community {self.id}: opening {self.opening!r} has a minute above 59")
        return opens_hour * 60 + opens_minute, closes_hour * 60 + closes_minute

    def _check_numbers(self) -> None:
        bounds = {
            "slot_minutes": (self.slot_minutes, 1, MINUTES_A_DAY),
            "notice_minutes": (self.notice_minutes, 0, MINUTES_A_DAY * _MOST_DAYS),
            "days_ahead": (self.days_ahead, 1, _MOST_DAYS),
        }
        for name, (value, least, most) in bounds.items():
            if not least <= value <= most:
                raise SandboxError(f"community {self.id}: {name} must be from {least} to {most}, not {value}")


JUNIPER_FLATS = Community(
    id="1001",
    name="Juniper Flats",
    time_zone="America/Los_Angeles",
    units=("101", "204 B", "305"),
)


@dataclass(frozen=True, slots=True)
class SandboxSettings:
    """How one sandbox runs.

    `port` 0 takes a free port. The admin API is on `admin_port` of the loopback address, whatever `host` is. `state_file` keeps the
    state over restarts; without it the state ends with the process. The keys are the test keys that Knock publishes.
    `is_idempotency_key_honoured`: Knock's public record does not say whether it is; off, a second post is simply a second visit, so
    that a double post is seen. `received_limit` is how many accepted requests are remembered, the oldest go first.

    Raises:
        SandboxError: when a value cannot be used; the text names it.
    """

    host: str = "127.0.0.1"
    port: int = 8790
    admin_port: int = 8791
    state_file: Path | None = None
    appointment_key: str = "syndication-appointment-TEST-KEY"
    prospect_key: str = "syndication-prospect-TEST-KEY"
    key_header: str = "x-api-key"
    communities: tuple[Community, ...] = (JUNIPER_FLATS,)
    is_idempotency_key_honoured: bool = False
    received_limit: int = 10_000

    def __post_init__(self) -> None:
        for name, port in (("port", self.port), ("admin_port", self.admin_port)):
            if not 0 <= port <= _HIGHEST_PORT:
                raise SandboxError(f"{name} must be from 0 to {_HIGHEST_PORT}, not {port}")
        if self.port == self.admin_port != 0:
            raise SandboxError(f"port and admin_port must differ, both are {self.port}")
        for name, key in (("appointment_key", self.appointment_key), ("prospect_key", self.prospect_key)):
            if not key or not key.isascii() or not key.isprintable():
                raise SandboxError(f"{name} must be printable ASCII, and not empty")
        if _HEADER_NAME.fullmatch(self.key_header) is None:
            raise SandboxError(f"key_header {self.key_header!r} is no name of a header")
        if len({community.id for community in self.communities}) != len(self.communities):
            raise SandboxError("two communities have the same id")
        if self.received_limit < 1:
            raise SandboxError(f"received_limit must be at least 1, not {self.received_limit}")

    def is_on_loopback(self) -> bool:
        """Whether only this device can reach the public port."""
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"
