"""The desk's settings: every key with its meaning, bounds and default."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from agent.core.replay import RetryPolicy
from agent.core.tour import check_door, check_id
from agent.settings.knock import KnockSettings
from agent.settings.parts import (
    AbsolutePath,
    Field,
    Part,
    WebAddress,
    ZoneName,
    field_validator,
    is_loopback,
    model_validator,
    refuse_shared,
    refuse_twice,
)
from agent.settings.texts import Country, Host, Line, Lines, MailAddress, Phone, SecretFile, Slug, Unit, Words, shaped

RESERVED_SLUGS = frozenset({"api", "healthz", "robots", "staff", "static", "tour"})
"""First parts of paths that are the desk's own."""
MAX_OPEN_MIN = 24 * 60
"""For so long a code may work, its graces included."""

_KEY_ID = r"^[0-9a-f]{8}$"


class DeskStoreSettings(Part):
    """The table `[store]`."""

    path: AbsolutePath = Path("/var/lib/tourlatch-desk/desk.db")
    """Bookings, roster, tokens and queues: one SQLite file, which several desk processes may share."""
    keep_days: Annotated[int, Field(strict=True, ge=1, le=3650)] = 90
    """How long after its end a tour is kept, then names, email, phone and the appointment are deleted."""


class ListenSettings(Part):
    """The table `[listen]`."""

    host: Annotated[str, Field(max_length=255), Host] = "127.0.0.1"
    """The address to listen on. Anything but this machine's own needs a certificate."""
    port: Annotated[int, Field(strict=True, ge=0, le=65_535)] = 8780
    """The port; 0 takes a free one."""
    certificate_file: AbsolutePath | None = None
    """The certificate with its chain, PEM; left out, a reverse proxy on this machine does HTTPS."""
    certificate_key_file: AbsolutePath | None = None
    """The certificate's key, PEM."""
    trusted_proxies: Annotated[tuple[str, ...], Field(max_length=50)] = ()
    """Networks of reverse proxies whose X-Forwarded-For is believed, such as 127.0.0.1/32; others' is ignored."""
    max_connections: Annotated[int, Field(strict=True, ge=10, le=20_000)] = 4000
    """So many connections at once; more are answered with 503."""
    max_connections_per_address: Annotated[int, Field(strict=True, ge=10, le=20_000)] = 256
    """So many from one address; more are dropped. Trusted proxies and this machine itself may have any number."""

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, networks: tuple[str, ...]) -> tuple[str, ...]:
        for network in networks:
            try:
                found = ip_network(network)
            except ValueError:
                raise ValueError(f"{network!r} is no network; write one like 127.0.0.1/32 or 10.0.0.0/8, with zeros behind its /") from None
            if found.prefixlen == 0:
                raise ValueError(f"{network!r} is everybody, who could then choose the address that limits count; name the proxies alone")
        return networks

    @model_validator(mode="after")
    def _safe(self) -> ListenSettings:
        if (self.certificate_file is None) != (self.certificate_key_file is None):
            raise ValueError("certificate_file and certificate_key_file belong together")
        if self.certificate_file is None and not is_loopback(self.host):
            raise ValueError("host must be this machine's own (127.0.0.1, ::1 or localhost) unless there is a certificate_file")
        return self


class DeskKeysSettings(Part):
    """The table `[keys]`."""

    folder: AbsolutePath = Path("/etc/tourlatch/desk/keys")
    """The signing keys (`tourlatch keys new -f`): a folder of the desk's own, which the agent on the same board cannot read."""
    key_id: (
        Annotated[
            str,
            Field(json_schema_extra={"pattern": _KEY_ID}),
            shaped(_KEY_ID, "must be a key's id, the 8 hexadecimal digits that `tourlatch keys list` shows"),
        ]
        | None
    ) = None
    """Which of them signs, if several can."""
    desk_secret_file: SecretFile = "desk-secret"  # noqa: S105 - the name of a file
    """File of the desk's own secret of 32 characters or more, which manage links and PINs are made of; a new one ends them all."""


class MailSettings(Part):
    """The table `[mail]`; left out, no email is sent."""

    smtp_host: Annotated[str, Field(max_length=255), Host]
    """The mail server."""
    smtp_port: Annotated[int, Field(strict=True, ge=1, le=65_535)] = 587
    """Its port."""
    security: Literal["starttls", "tls", "none"] = "starttls"
    """`none` only to this machine."""
    user: Annotated[str, Field(min_length=1, max_length=255), Line] | None = None
    """The account to log in with."""
    password_file: SecretFile | None = None
    """File of the account's password."""
    sender: MailAddress
    """The address that emails come from; the property's name is put before it."""
    reply_to: MailAddress | None = None
    """Where answers go."""
    timeout_s: Annotated[float, Field(strict=True, gt=0, le=300)] = 30.0
    """For each step of a delivery."""
    ca_file: AbsolutePath | None = None
    """Certificates to trust instead of the system's."""

    @model_validator(mode="after")
    def _safe(self) -> MailSettings:
        if (self.user is None) != (self.password_file is None):
            raise ValueError("user and password_file belong together")
        if self.security == "none" and not is_loopback(self.smtp_host):
            raise ValueError("security must be starttls or tls, unless smtp_host is this machine")
        return self


class StaffSettings(Part):
    """The table `[staff]`; left out, there is no staff page."""

    accounts_file: AbsolutePath = Path("/etc/tourlatch/desk/staff")
    """Names and password hashes, made by `tourlatch staff add`."""
    session_hours: Annotated[int, Field(strict=True, ge=1, le=720)] = 12
    """After so long a log-in ends."""


class LimitsSettings(Part):
    """The table `[limits]`: what one address may do in an hour; 0 switches a limit off."""

    bookings: Annotated[int, Field(strict=True, ge=0, le=10_000)] = 10
    """Bookings, moves included."""
    wrong_links: Annotated[int, Field(strict=True, ge=0, le=10_000)] = 20
    """Manage links that do not exist."""
    wrong_logins: Annotated[int, Field(strict=True, ge=0, le=10_000)] = 10
    """Wrong passwords from one address; for one name ten times as many, from anywhere."""


class DeskQueueSettings(Part):
    """The table `[queue]`: emails, cancels at Knock and what else is retried."""

    first_retry_s: Annotated[float, Field(strict=True, gt=0, le=3600)] = 5.0
    """The longest wait after the first failure; it doubles with each one..."""
    max_retry_s: Annotated[float, Field(strict=True, gt=0, le=86_400)] = 600.0
    """...up to this."""
    mail_tries: Annotated[int, Field(strict=True, ge=1, le=10_000)] = 200
    """After so many failures an email is a dead letter for staff."""

    @model_validator(mode="after")
    def _in_order(self) -> DeskQueueSettings:
        if self.first_retry_s > self.max_retry_s:
            raise ValueError(f"first_retry_s ({self.first_retry_s}) exceeds max_retry_s ({self.max_retry_s})")
        return self

    def policy(self) -> RetryPolicy:
        """As the core takes it."""
        return RetryPolicy(self.first_retry_s, self.max_retry_s)


class DoorPlace(Part):
    """A table `[[community.door]]`."""

    name: str
    """The door's name in tour codes and in the agent's configuration."""
    label: Annotated[str, Field(max_length=400), Line] = ""
    """What people call it, such as Main entrance; left out, its name."""
    directions: Words = ""
    """How to find it and what to do there."""
    units: tuple[Unit, ...] = ()
    """Only tours that show one of these units open it; left out, every tour does."""

    @field_validator("name")
    @classmethod
    def _named(cls, name: str) -> str:
        check_door(name)
        return name


class CommunitySettings(Part):
    """A table `[[community]]`: one property."""

    id: str
    """Knock's id of it."""
    slug: Slug
    """Its part of the page's address: https://…/juniper-flats."""
    name: Annotated[str, Field(min_length=1, max_length=80), Line]
    """As prospects know it."""
    time_zone: ZoneName
    """Its zone by the IANA name: the times on the pages are in it, and are said to be."""
    address: Annotated[str, Field(min_length=1, max_length=200), Lines]
    """Where it is, as written on an envelope."""
    country: Country = "US"
    """Whose phone numbers are written without a country code."""
    help_phone: Phone = ""
    """Whom a prospect calls."""
    source_title: Annotated[str, Field(min_length=1, max_length=200), Line] = "Property Website"
    """The source title of a booking whose link brought none (utm_knock_source_title)."""
    tour_min: Annotated[int, Field(strict=True, ge=5, le=720)] = 30
    """How long a tour lasts: Knock offers starts only."""
    grace_before_min: Annotated[int, Field(strict=True, ge=0, le=720)] = 15
    """As the agent's rules say: how long before the start the code works."""
    grace_after_min: Annotated[int, Field(strict=True, ge=0, le=720)] = 30
    """As the agent's rules say: how long after the end the code works."""
    units: tuple[Unit, ...] = ()
    """Units that a prospect may ask to see, at most 60; none: not asked."""
    sms_consent: Words = "I agree to receive text messages about my tour. Message and data rates may apply. Reply STOP to end."
    """The wording of the consent to texts; it goes to Knock with the answer. Empty: not asked."""
    sms_consent_es: Words = (
        "Acepto recibir mensajes de texto sobre mi visita. Pueden aplicarse tarifas de mensajes y datos. Responda STOP para terminar."
    )
    """The same in Spanish."""
    door: Annotated[tuple[DoorPlace, ...], Field(min_length=1, max_length=8)]
    """Its doors."""

    @field_validator("id")
    @classmethod
    def _id(cls, value: str) -> str:
        check_id("community", value)
        return value

    @model_validator(mode="after")
    def _sound(self) -> CommunitySettings:
        if self.slug in RESERVED_SLUGS:
            raise ValueError(f"the slug {self.slug!r} is the desk's own: choose another")
        if len(self.units) > 60:  # noqa: PLR2004 - said in the sentence
            raise ValueError("at most 60 units can be offered")
        open_min = self.tour_min + self.grace_before_min + self.grace_after_min
        if open_min > MAX_OPEN_MIN:
            raise ValueError(f"tour_min and both graces make {open_min} minutes: a code may work for a day ({MAX_OPEN_MIN}) at most")
        if bool(self.sms_consent) != bool(self.sms_consent_es):
            raise ValueError("sms_consent and sms_consent_es belong together: leave both empty, or neither")
        refuse_twice("the door name", [door.name for door in self.door])
        refuse_twice("the unit", list(self.units))
        unknown = [unit for door in self.door for unit in door.units if unit not in self.units]
        if unknown:
            raise ValueError(f"a door names the unit {unknown[0]!r}, which the community does not")
        if not any(not door.units for door in self.door):
            raise ValueError("at least one door must be open to every tour (leave its units out)")
        return self

    def doors_for(self, units: tuple[str, ...]) -> tuple[DoorPlace, ...]:
        """The doors that a tour of these units opens."""
        return tuple(door for door in self.door if not door.units or set(door.units) & set(units))


class DeskSettings(Part):
    """The desk's whole file."""

    public_url: WebAddress
    """The desk's address as prospects' browsers know it, without a path."""
    store: DeskStoreSettings = DeskStoreSettings()
    """Where bookings are."""
    listen: ListenSettings = ListenSettings()
    """Where the desk listens."""
    keys: DeskKeysSettings = DeskKeysSettings()
    """What codes, links and PINs are made with."""
    knock: KnockSettings = KnockSettings()
    """Where appointments are booked."""
    mail: MailSettings | None = None
    """How emails are sent."""
    staff: StaffSettings | None = None
    """The staff page."""
    limits: LimitsSettings = LimitsSettings()
    """What one address may do."""
    queue: DeskQueueSettings = DeskQueueSettings()
    """How often what failed is tried again."""
    community: Annotated[tuple[CommunitySettings, ...], Field(min_length=1, max_length=500)]
    """The properties."""

    @field_validator("public_url")
    @classmethod
    def _no_path(cls, url: str) -> str:
        if urlsplit(url).path:
            raise ValueError("must have no path: the desk is at the top of its address")
        return url

    @model_validator(mode="after")
    def _distinct(self) -> DeskSettings:
        refuse_twice("the community id", [community.id for community in self.community])
        refuse_twice("the slug", [community.slug for community in self.community])
        written = [("store.path", f"{self.store.path}{suffix}") for suffix in ("", "-wal", "-shm", "-journal")]
        if self.staff is not None:
            written.append(("staff.accounts_file", str(self.staff.accounts_file)))
        refuse_shared(written)
        return self

    def by_slug(self) -> dict[str, CommunitySettings]:
        """The communities by their part of the address."""
        return {community.slug: community for community in self.community}

    def by_id(self) -> dict[str, CommunitySettings]:
        """The communities by Knock's id."""
        return {community.id: community for community in self.community}
