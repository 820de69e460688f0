"""What Knock is asked: the JSON of each request.

Rule 1: what is not known is left out. A dummy email or phone would merge strangers into one prospect (T).
Rule 2: a booking's times carry the property's offset at that instant, as a number and never as Z (K); a visit's are in UTC with Z (K).
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from agent.core.booking import BookingRequest, Person, SmsConsent
from agent.core.clock import to_iso
from agent.core.tour import Visit

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def visit_body(visit: Visit) -> dict[str, Any]:
    """Of the Visit API (K); `visitTime` must be in the past, units that do not match are ignored by Knock."""
    body: dict[str, Any] = {
        "prospectId": visit.prospect_id,
        "visitTime": to_iso(visit.visit_ms),
        "appointmentId": visit.appointment_id,
        "isSelfGuided": True,
    }
    if visit.source_title:
        body["sourceTitle"] = visit.source_title
    if visit.unit_names:
        body["unitNames"] = list(visit.unit_names)
    return body


def booking_body(request: BookingRequest) -> dict[str, Any]:
    """Of `POST /appointment/request`: the fields (K), the person in `profile`, the consent's wording and page, and `message` (T).

    That a wish for units belongs into `message` is inferred (I): no field for units is known here. One time is asked for, so that Knock
    has no choice which.
    """
    window = request.window
    times = {"startTime": local_iso(window.start_ms, request.zone), "endTime": local_iso(window.end_ms, request.zone)}
    body: dict[str, Any] = {
        "communityId": request.community_id,
        "requestedTimes": [times],
        "tourType": "SELF_GUIDED",
        "profile": _person(request.person),
        **_consent(request.sms_consent),
    }
    if request.source_title:
        body["sourceTitle"] = request.source_title
    if request.unit_names:
        body["message"] = f"Units wished for: {', '.join(request.unit_names)}"
    return body


def prospect_body(request: BookingRequest) -> dict[str, Any]:
    """Of `POST /prospect` (K), asked for the id of somebody who has booked.

    Knock has then confirmed the tour by itself, so that no further answer by email is wanted (I: this is what `autorespond` means).
    """
    body: dict[str, Any] = {"communityId": request.community_id, **_person(request.person), "autorespond": False}
    if request.source_title:
        body["sourceTitle"] = request.source_title
    return body


def local_iso(instant_ms: int, zone: str) -> str:
    """The instant as a clock in the IANA zone shows it, with the offset at that instant: `2026-03-31T15:30:00-07:00` (RFC 3339)."""
    moment = (_EPOCH + timedelta(milliseconds=instant_ms)).astimezone(ZoneInfo(zone))
    return moment.isoformat(timespec="milliseconds" if instant_ms % 1000 else "seconds")


def _person(person: Person) -> dict[str, str]:
    told = {"firstName": person.first_name, "lastName": person.last_name, "email": person.email, "phone": person.phone}
    return {name: value for name, value in told.items() if value}


def _consent(consent: SmsConsent | None) -> dict[str, Any]:
    """A no is told like a yes, with what was asked and where; who was not asked has not answered."""
    if consent is None:
        return {}
    body: dict[str, Any] = {"smsConsent": consent.is_given}
    if consent.wording:
        body["smsConsentDisclaimer"] = consent.wording
    if consent.page_url:
        body["smsConsentUrl"] = consent.page_url
    return body
