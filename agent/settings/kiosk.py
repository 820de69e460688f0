"""The kiosk's settings: every key with its meaning, bounds and default."""

from __future__ import annotations

from datetime import time
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from agent.core.tour import check_door
from agent.settings.desk import RESERVED_SLUGS, MailSettings
from agent.settings.parts import (
    AbsolutePath,
    Field,
    Part,
    WebAddress,
    ZoneName,
    field_validator,
    is_loopback,
    model_validator,
    refuse_twice,
)
from agent.settings.texts import Country, Host, Line, MailAddress, Phone, SecretFile, Slug, Unit, shaped

_COLOUR = r"^#[0-9a-f]{6}$"
_PICTURES = frozenset({".svg", ".png", ".webp", ".jpg"})

LanguageCode = Literal["en", "es"]
Port = Annotated[int, Field(strict=True, ge=0, le=65_535)]


def _clock(value: object) -> object:
    try:
        found = time.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        found = None
    if not isinstance(found, time) or found.tzinfo is not None or (found.second, found.microsecond) != (0, 0):
        raise ValueError('this is no time of the day in whole minutes: write it like "19:30"')
    return found


class ScreenListenSettings(Part):
    """The table `[listen]`: the page for this board's own screen."""

    host: Annotated[str, Field(max_length=255), Host] = "127.0.0.1"
    """The address to listen on: this machine's own. Another device is shown the page by `[remote]` alone."""
    port: Port = 8770
    """The port; 0 takes a free one."""

    @field_validator("host")
    @classmethod
    def _own(cls, host: str) -> str:
        if not is_loopback(host):
            raise ValueError("must be this machine's own (127.0.0.1, ::1 or localhost); for another device there is [remote]")
        return host


class RemoteSettings(Part):
    """The table `[remote]`; left out, no other device is shown the page."""

    host: Annotated[str, Field(max_length=255), Host] = "127.0.0.1"
    """The address to listen on for devices of the site's network. Without a certificate it should be that of a network of their own."""
    port: Port = 8771
    """The port; 0 takes a free one."""
    token_file: SecretFile = "kiosk_token"  # noqa: S105 - the name of a file
    """File of the token of 32 characters or more that a device brings with it (`http://HOST:PORT/#TOKEN`)."""
    certificate_file: AbsolutePath | None = None
    """The certificate with its chain, PEM; left out, it is plain HTTP."""
    certificate_key_file: AbsolutePath | None = None
    """The certificate's key, PEM."""
    max_screens: Annotated[int, Field(strict=True, ge=1, le=16)] = 4
    """So many devices may follow at once."""

    @model_validator(mode="after")
    def _pair(self) -> RemoteSettings:
        if (self.certificate_file is None) != (self.certificate_key_file is None):
            raise ValueError("certificate_file and certificate_key_file belong together")
        return self


class LookSettings(Part):
    """The table `[look]`."""

    name: Annotated[str, Field(max_length=80), Line] = ""
    """The property's name, as the screen has it above."""
    colour: Annotated[
        str,
        Field(json_schema_extra={"pattern": _COLOUR}),
        shaped(_COLOUR, 'must be a colour as six hexadecimal digits in lower case, like "#1f4e79"'),
    ] = "#1f4e79"
    """The property's colour."""
    logo: AbsolutePath | None = None
    """A picture instead of the name: SVG, PNG, WebP or JPEG, read at the start."""
    dark_from: time | None = None
    """From this time of the day, written "19:30", the page is dark. Left out with dark_to: always light."""
    dark_to: time | None = None
    """Up to this time it is dark."""
    dim_from: time | None = None
    """From this time of the day the page is dimmed while nobody is there."""
    dim_to: time | None = None
    """Up to this time it is dimmed."""
    sounds: bool = True
    """A short tone when somebody is let in or turned away."""
    welcome_s: Annotated[int, Field(strict=True, ge=3, le=60)] = 10
    """How long a welcome is shown."""
    refused_s: Annotated[int, Field(strict=True, ge=5, le=120)] = 15
    """How long a refusal is shown."""

    _times = field_validator("dark_from", "dark_to", "dim_from", "dim_to", mode="before")(
        lambda value: None if value is None else _clock(value)
    )

    @field_validator("logo")
    @classmethod
    def _picture(cls, logo: Path | None) -> Path | None:
        if logo is not None and logo.suffix not in _PICTURES:
            raise ValueError(f"must end in one of {', '.join(sorted(_PICTURES))}")
        return logo

    @model_validator(mode="after")
    def _pairs(self) -> LookSettings:
        for name in ("dark", "dim"):
            begins, ends = getattr(self, f"{name}_from"), getattr(self, f"{name}_to")
            if (begins is None) != (ends is None):
                raise ValueError(f"{name}_from and {name}_to belong together")
            if begins is not None and begins == ends:
                raise ValueError(f"{name}_from and {name}_to are the same time")
        return self


class PinPadSettings(Part):
    """The table `[pin_pad]`; left out, no PIN can be typed on the screen."""

    shuffled: bool = False
    """The digits stand elsewhere each time, so that smudges tell nothing."""
    clear_s: Annotated[int, Field(strict=True, ge=5, le=120)] = 15
    """What was typed is gone after a pause of so long."""


class BookSettings(Part):
    """The table `[book]`; left out, nothing is booked on the screen."""

    url: WebAddress
    """The desk's public address, as its own `public_url`."""
    community: Slug
    """The property's part of that address (its `slug`)."""
    reached_at: WebAddress | None = None
    """Where the desk is reached if not at its public address: `http://127.0.0.1:8780` for one on this board."""
    ca_file: AbsolutePath | None = None
    """Certificates to trust instead of the system's."""
    idle_s: Annotated[int, Field(strict=True, ge=20, le=600)] = 90
    """After so long without a touch the screen goes back to the start, and the next visitor sees nothing of the last."""

    @field_validator("url", "reached_at")
    @classmethod
    def _no_path(cls, url: str | None) -> str | None:
        if url is not None and urlsplit(url).path:
            raise ValueError("must have no path: the desk is at the top of its address")
        return url

    @field_validator("community")
    @classmethod
    def _a_property(cls, slug: str) -> str:
        if slug in RESERVED_SLUGS | {"screen"}:
            raise ValueError(f"{slug!r} is a part of the address that no property has")
        return slug


class HelpSettings(Part):
    """The table `[help]`; left out, the screen shows help_phone and has no button to call staff."""

    webhook_url_file: SecretFile | None = None
    """File of an address that is told by POST (JSON) that somebody needs help; a file, since such an address is a secret as a rule."""
    mail_to: Annotated[tuple[MailAddress, ...], Field(min_length=1, max_length=5)] | None = None
    """Who is told by email; that needs `[mail]`."""


class StaffScreenSettings(Part):
    """The table `[staff]`; left out, staff find nothing on the screen. The agent needs its `control.staff_pin_file`."""

    idle_s: Annotated[int, Field(strict=True, ge=10, le=300)] = 60
    """After so long without a touch the staff's view is shut."""


class WaySettings(Part):
    """A table `[[way]]`: which way to go to a unit, for the welcome."""

    unit: Unit
    """The unit's name, as in tours."""
    words: Annotated[str, Field(min_length=1, max_length=120), Line]
    """How to get there from this door."""
    words_es: Annotated[str, Field(max_length=120), Line] = ""
    """The same in Spanish; empty: as above."""


class KioskSettings(Part):
    """The kiosk's whole file."""

    door: str
    """The door that the screen hangs at: its name in the agent's file."""
    agent_socket: AbsolutePath = Path("/run/tourlatch/agent.sock")
    """The agent's `control.socket`; its `control.kiosk_users` name this program's user."""
    time_zone: ZoneName
    """The property's zone by its IANA name, for the times on the screen."""
    country: Country = "US"
    """Whose way of writing times is used."""
    help_phone: Phone = ""
    """Whom a prospect calls."""
    languages: Annotated[tuple[LanguageCode, ...], Field(min_length=1, max_length=2)] = ("en", "es")
    """What the screen speaks; the first is shown until somebody chooses."""
    listen: ScreenListenSettings = ScreenListenSettings()
    """Where the page is served for this board's screen."""
    remote: RemoteSettings | None = None
    """Where another device is shown it, read-only."""
    look: LookSettings = LookSettings()
    """How the page looks and sounds."""
    pin_pad: PinPadSettings | None = None
    """Typing a PIN."""
    book: BookSettings | None = None
    """Booking a tour."""
    help: HelpSettings | None = None
    """Calling staff."""
    mail: MailSettings | None = None
    """How emails are sent."""
    staff: StaffScreenSettings | None = None
    """The staff's view."""
    way: Annotated[tuple[WaySettings, ...], Field(max_length=200)] = ()
    """Which way to go."""

    @field_validator("door")
    @classmethod
    def _named(cls, name: str) -> str:
        check_door(name)
        return name

    @model_validator(mode="after")
    def _consistent(self) -> KioskSettings:
        refuse_twice("the language", list(self.languages))
        refuse_twice("the unit", [way.unit for way in self.way])
        if self.help is not None and self.help.mail_to and self.mail is None:
            raise ValueError("help.mail_to needs the table [mail]: which server takes the emails?")
        if self.mail is not None and (self.help is None or not self.help.mail_to):
            raise ValueError("[mail] is there and help.mail_to is not: nobody would get an email")
        return self

    @property
    def tells_staff(self) -> bool:
        """Whether anybody is told of a call for help; without, it stands in the journal and nowhere else."""
        return self.help is not None and (self.help.webhook_url_file is not None or self.help.mail_to is not None)

    def way_to(self, unit: str, language: str) -> str:
        """Which way to go to a unit; empty when nothing is said of it."""
        found = next((way for way in self.way if way.unit == unit), None)
        return "" if found is None else (found.words_es if language == "es" and found.words_es else found.words)
