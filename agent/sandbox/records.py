"""What the sandbox knows: prospects, appointments, visits, everything received, and the whole of it as one value.

Rule 1: nothing here is ever changed; a new state is made of an old one.
Rule 2: `to_json` and `from_json` are each other's inverse, and `from_json` believes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from agent.sandbox.fields import Fields
from agent.sandbox.slots import Span

CONFIRMED = "CONFIRMED"
CANCELLED = "CANCELLED"

_SHORTEST_PHONE = 7
_DIGITS_WITH_COUNTRY = 11


@dataclass(frozen=True, slots=True)
class Prospect:
    """A person who may rent; `profile` is what was told of them, newest value of each field."""

    id: str
    community_id: str
    profile: Mapping[str, Any]

    def to_json(self) -> dict[str, Any]:
        """As it stands in the state file and in the admin API."""
        return {"id": self.id, "communityId": self.community_id, "profile": dict(self.profile)}

    @classmethod
    def from_json(cls, value: object) -> Prospect:
        """The inverse; raises `RefusedError`."""
        fields = Fields(value, "a prospect")
        return cls(fields.text("id"), fields.text("communityId"), fields.object("profile").all())


@dataclass(frozen=True, slots=True)
class Appointment:
    """One booked tour; `status` is `CONFIRMED`, `CANCELLED` or a word that somebody who tests made Knock say."""

    id: str
    prospect_id: str
    community_id: str
    span: Span
    tour_type: str
    source_title: str | None
    status: str = CONFIRMED

    def to_json(self) -> dict[str, Any]:
        """As it stands in answers, in the state file and in the admin API; instants in UTC."""
        return {
            "id": self.id,
            "status": self.status,
            "prospectId": self.prospect_id,
            "communityId": self.community_id,
            "startTime": self.span.start.isoformat(),
            "endTime": self.span.end.isoformat(),
            "tourType": self.tour_type,
            "sourceTitle": self.source_title,
        }

    @classmethod
    def from_json(cls, value: object) -> Appointment:
        """The inverse; raises `RefusedError`."""
        fields = Fields(value, "an appointment")
        return cls(
            id=fields.text("id"),
            prospect_id=fields.text("prospectId"),
            community_id=fields.text("communityId"),
            span=Span(fields.instant("startTime", is_z_allowed=True), fields.instant("endTime", is_z_allowed=True)),
            tour_type=fields.text("tourType"),
            source_title=fields.nullable_text("sourceTitle"),
            status=fields.text("status"),
        )


@dataclass(frozen=True, slots=True)
class Visit:
    """One tour that took place; `units` are the community's own spellings of those that matched."""

    id: str
    prospect_id: str
    appointment_id: str
    visit_time: datetime
    is_self_guided: bool
    source_title: str | None
    units: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """As it stands in the state file and in the admin API."""
        return {
            "id": self.id,
            "prospectId": self.prospect_id,
            "appointmentId": self.appointment_id,
            "visitTime": self.visit_time.isoformat(),
            "isSelfGuided": self.is_self_guided,
            "sourceTitle": self.source_title,
            "units": list(self.units),
        }

    @classmethod
    def from_json(cls, value: object) -> Visit:
        """The inverse; raises `RefusedError`."""
        fields = Fields(value, "a visit")
        return cls(
            id=fields.text("id"),
            prospect_id=fields.text("prospectId"),
            appointment_id=fields.text("appointmentId"),
            visit_time=fields.instant("visitTime", is_z_allowed=True),
            is_self_guided=bool(fields.optional_boolean("isSelfGuided")),
            source_title=fields.nullable_text("sourceTitle"),
            units=tuple(fields.optional_list("units", str, "texts")),
        )


@dataclass(frozen=True, slots=True)
class Received:
    """One request that was accepted as work, and what it was answered."""

    route: str
    at: datetime
    body: Mapping[str, Any]
    result: Mapping[str, Any]
    idempotency_key: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As it stands in the state file and in the admin API."""
        return {
            "route": self.route,
            "at": self.at.isoformat(),
            "body": dict(self.body),
            "result": dict(self.result),
            "idempotency_key": self.idempotency_key,
        }

    @classmethod
    def from_json(cls, value: object) -> Received:
        """The inverse; raises `RefusedError`."""
        fields = Fields(value, "a received request")
        return cls(
            route=fields.text("route"),
            at=fields.instant("at", is_z_allowed=True),
            body=fields.object("body").all(),
            result=fields.object("result").all(),
            idempotency_key=fields.nullable_text("idempotency_key"),
        )


@dataclass(frozen=True, slots=True)
class KnockState:
    """All that the stand-in knows at one instant, by id, in the order of arrival."""

    prospects: Mapping[str, Prospect] = field(default_factory=dict)
    appointments: Mapping[str, Appointment] = field(default_factory=dict)
    visits: Mapping[str, Visit] = field(default_factory=dict)
    received: tuple[Received, ...] = ()

    def having(self, *news: Prospect | Appointment | Visit) -> KnockState:
        """This state with records added, or put in the place of those with the same id."""
        prospects, appointments, visits = dict(self.prospects), dict(self.appointments), dict(self.visits)
        for new in news:
            match new:
                case Prospect():
                    prospects[new.id] = new
                case Appointment():
                    appointments[new.id] = new
                case Visit():
                    visits[new.id] = new
        return replace(self, prospects=prospects, appointments=appointments, visits=visits)

    def to_json(self) -> dict[str, Any]:
        """As it stands in the state file."""
        return {
            "prospects": [prospect.to_json() for prospect in self.prospects.values()],
            "appointments": [appointment.to_json() for appointment in self.appointments.values()],
            "visits": [visit.to_json() for visit in self.visits.values()],
            "received": [received.to_json() for received in self.received],
        }

    @classmethod
    def from_json(cls, value: object) -> KnockState:
        """The inverse; raises `RefusedError`."""
        fields = Fields(value, "the state")
        prospects = map(Prospect.from_json, fields.list_of_objects("prospects"))
        appointments = map(Appointment.from_json, fields.list_of_objects("appointments"))
        visits = map(Visit.from_json, fields.list_of_objects("visits"))
        return cls(
            prospects={prospect.id: prospect for prospect in prospects},
            appointments={appointment.id: appointment for appointment in appointments},
            visits={visit.id: visit for visit in visits},
            received=tuple(map(Received.from_json, fields.list_of_objects("received"))),
        )


def plain_email(email: object) -> str | None:
    """An email address as it is compared: without case and outer space; None when it is none."""
    text = email.strip().casefold() if isinstance(email, str) else ""
    name, _, host = text.partition("@")
    return text if name and host and not any(letter.isspace() for letter in text) else None


def plain_phone(phone: object) -> str | None:
    """A phone number as it is compared: digits only, without the country code of North America; None when it is too short."""
    digits = "".join(letter for letter in phone if letter in "0123456789") if isinstance(phone, str) else ""
    if len(digits) == _DIGITS_WITH_COUNTRY and digits.startswith("1"):
        digits = digits[1:]
    return digits if len(digits) >= _SHORTEST_PHONE else None
