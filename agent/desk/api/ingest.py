"""Appointments that a vendor's own website booked in Knock: told to the desk, answered with the code.

Rule 1: the office decides; here words become values and values words.
Rule 2: a vendor's token is good for its communities only; of others' appointments it is not told that they exist.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from agent import qr
from agent.core.tour import TourError, check_id
from agent.desk.api import bodies
from agent.desk.api.answers import NOT_FOUND, TOO_MANY, ApiRefusedError, wrong_fields
from agent.desk.api.auth import bearer_hash, unauthorized
from agent.desk.api.messages import IngestedBody
from agent.desk.office import Ingested, Office, Pass
from agent.desk.records import Appointment
from agent.web import Answer, Call, json_answer

if TYPE_CHECKING:
    from agent.desk.store import Vendor

MOST_A_MINUTE = 600
"""Appointments that one vendor may put in a minute."""

_MINUTE_S = 60
_CREATED = 201
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Ingest:
    """`/api/v1/appointments/{appointmentId}`: PUT, GET, and PUT on its cancel."""

    def __init__(self, office: Office, now_ms: Callable[[], int]) -> None:
        self._office = office
        self._store = office.store
        self._now_ms = now_ms
        self._zones = {community.id: ZoneInfo(community.time_zone) for community in office.settings.community}

    async def put(self, call: Call) -> Answer:
        """Take an appointment, answer with its code."""
        vendor = await self._vendor(call)
        await asyncio.to_thread(self._count, vendor)
        body = await bodies.read(IngestedBody, call)
        appointment_id = call.path["appointment_id"]
        try:
            check_id("appointment", appointment_id)
        except TourError as error:
            raise wrong_fields({"appointmentId": str(error)}) from error
        known = await asyncio.to_thread(self._store.appointment, appointment_id)
        ingested = Ingested(
            body.prospect_id, body.community_id, body.window(), body.unit_names, body.source_title, body.first_name, body.doors
        )
        found = await self._office.ingest(vendor.community_ids, appointment_id, ingested)
        return json_answer(self._told_pass(found), _CREATED if known is None else 200)

    async def cancel(self, call: Call) -> Answer:
        """End an appointment."""
        vendor = await self._vendor(call)
        await call.body()  # there is none in the documented request; one that comes is read and ignored
        ended = await self._office.ingest_cancel(vendor.community_ids, _found_id(call))
        return json_answer(self._told(ended))

    async def get(self, call: Call) -> Answer:
        """How an appointment stands, without its code."""
        vendor = await self._vendor(call)
        found = await asyncio.to_thread(self._store.appointment, _found_id(call))
        if found is None or found.community_id not in vendor.community_ids:
            raise _not_found()
        return json_answer(self._told(found))

    async def _vendor(self, call: Call) -> Vendor:
        vendor = await asyncio.to_thread(self._store.vendor_by_token, bearer_hash(call.headers))
        if vendor is None:
            raise unauthorized()
        return vendor

    def _count(self, vendor: Vendor) -> None:
        who = self._office.secrets.who("ingest", vendor.name)
        if self._store.hit("ingest", who, self._now_ms(), _MINUTE_S * 1000) > MOST_A_MINUTE:
            raise ApiRefusedError(
                TOO_MANY, f"More than {MOST_A_MINUTE} appointments in a minute: wait a minute.", headers={"Retry-After": str(_MINUTE_S)}
            )

    def _told(self, appointment: Appointment) -> dict[str, object]:
        zone = self._zones.get(appointment.community_id, UTC)
        return {
            "appointment_id": appointment.appointment_id,
            "standing": appointment.standing,
            "revision": appointment.revision,
            "community_id": appointment.community_id,
            "prospect_id": appointment.prospect_id,
            "unit_names": appointment.unit_names,
            "start": _iso(appointment.window.start_ms, zone),
            "end": _iso(appointment.window.end_ms, zone),
        }

    def _told_pass(self, found: Pass) -> dict[str, object]:
        zone = self._zones.get(found.appointment.community_id, UTC)
        picture = base64.b64encode(qr.png(found.code_text)).decode("ascii")
        return self._told(found.appointment) | {
            "opens": _iso(found.opens_ms, zone),
            "closes": _iso(found.closes_ms, zone),
            "doors": [{"name": door.name, "label": door.label or door.name, "directions": door.directions} for door in found.doors],
            "code": found.code_text,
            "qr_png": f"data:image/png;base64,{picture}",
            "pin": found.pin,
        }


def _found_id(call: Call) -> str:
    """The appointment's id in the path; one that cannot be is that of no appointment."""
    try:
        check_id("appointment", call.path["appointment_id"])
    except TourError:
        raise _not_found() from None
    return call.path["appointment_id"]


def _not_found() -> ApiRefusedError:
    return ApiRefusedError(NOT_FOUND, "There is no such appointment.")


def _iso(instant_ms: int, zone: tzinfo) -> str:
    """RFC 3339 with the property's offset."""
    moment = (_EPOCH + timedelta(milliseconds=instant_ms)).astimezone(zone)
    return moment.isoformat(timespec="milliseconds" if instant_ms % 1000 else "seconds")
