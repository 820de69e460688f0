"""The API described: an OpenAPI 3.1 document, for programs and for `page`.

Rule 1: requests are described by the models that read them; answers are written out here, closed, and tested against the real ones.
"""

from __future__ import annotations

from typing import Any

from agent.core.tour import MAX_DOORS, MAX_UNITS, Standing
from agent.desk.api.ingest import MOST_A_MINUTE
from agent.desk.api.messages import IngestedBody, ReportBody
from agent.desk.api.roster import MOST_ENTRIES, MOST_WAIT_S
from agent.settings.parts import Part
from agent.web import Answer, json_answer

VERSION = "1.0.0"
"""Of the API: the first number changes when a program that follows the document would break."""

_REFUSALS = {
    400: "The request cannot be read: not JSON, a field named twice, or a parameter that is no number.",
    401: "No token, or one that is unknown or was revoked.",
    403: "The property is not one of the vendor's.",
    404: "There is no such appointment among the vendor's properties.",
    409: "The appointment was cancelled or replaced, belongs to another, or its tour is over: its code stays dead.",
    413: "The body is longer than 64 KB.",
    415: "The body is not application/json.",
    422: "Fields are wrong; `fields` names each.",
    429: f"More than {MOST_A_MINUTE} appointments in a minute.",
    503: "The desk's store cannot be used for a moment: try again.",
}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "RFC 6750."}},
    429: {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}},
}
_TEXT: dict[str, Any] = {"type": "string"}
_INSTANT: dict[str, Any] = {"type": "integer", "minimum": 0, "description": "Milliseconds since 1970 UTC."}
_TIME: dict[str, Any] = {"type": "string", "format": "date-time", "description": "RFC 3339, in the property's zone."}
_ID: dict[str, Any] = {"type": "string", "minLength": 1, "maxLength": 40}


def document(public_url: str) -> dict[str, Any]:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tourlatch desk",
            "version": VERSION,
            "description": (
                "For a vendor whose own website books self-guided tours in Knock: tell the desk of an appointment, get its code and PIN. "
                "And the feed that doors follow.\n\n"
                "Every request carries a bearer token, which the site's operator makes with the desk's command line. "
                "A vendor's token is good for appointments, a door's for the roster and its report; neither serves for the other."
            ),
        },
        "servers": [{"url": public_url}],
        "tags": [
            {"name": "appointments", "description": "For vendors."},
            {"name": "doors", "description": "For the program at the door."},
        ],
        "paths": {
            "/api/v1/appointments/{appointmentId}": {"parameters": [_appointment_id()], "put": _put(), "get": _get()},
            "/api/v1/appointments/{appointmentId}/cancel": {"parameters": [_appointment_id()], "put": _cancel()},
            "/api/v1/roster": {"get": _roster()},
            "/api/v1/report": {"post": _report()},
        },
        "components": {
            "securitySchemes": {
                "vendor": {"type": "http", "scheme": "bearer", "description": "A vendor's token."},
                "door": {"type": "http", "scheme": "bearer", "description": "A door's token."},
            },
            "schemas": _schemas(),
        },
    }


def as_answer(described: dict[str, Any]) -> Answer:
    """The document as it is served."""
    return json_answer(described)


def _appointment_id() -> dict[str, Any]:
    return {
        "name": "appointmentId",
        "in": "path",
        "required": True,
        "description": "Knock's id of the appointment.",
        "schema": {**_ID, "pattern": "^[0-9A-Za-z_.~-]+$", "examples": ["48210377"]},
    }


def _put() -> dict[str, Any]:
    return {
        "operationId": "putAppointment",
        "tags": ["appointments"],
        "summary": "Tell the desk of an appointment, or of its new time",
        "description": (
            "Idempotent: the same body again gives the same code. Another time, other doors or units give a new code, and the old one is "
            "dead at every door that has heard of it. Send only appointments that Knock calls CONFIRMED, and of one prospect in the order "
            "in which Knock confirmed them: a new request of a prospect ends the earlier upcoming one in Knock, so the first PUT of an "
            "appointment kills the codes of the prospect's other upcoming tours in that community."
        ),
        "security": [{"vendor": []}],
        "requestBody": _body("IngestedBody"),
        "responses": {
            "200": _ok("Known before: its code as it is now.", "Pass"),
            "201": _ok("New: its code.", "Pass"),
            **_refusals(400, 401, 403, 409, 413, 415, 422, 429, 503),
        },
    }


def _get() -> dict[str, Any]:
    return {
        "operationId": "getAppointment",
        "tags": ["appointments"],
        "summary": "How an appointment stands",
        "description": "Without its code, which only the PUT answers.",
        "security": [{"vendor": []}],
        "responses": {"200": _ok("As it stands.", "Appointment"), **_refusals(401, 404, 503)},
    }


def _cancel() -> dict[str, Any]:
    return {
        "operationId": "cancelAppointment",
        "tags": ["appointments"],
        "summary": "Tell the desk that an appointment was cancelled in Knock",
        "description": "Its code is dead for good: doors that are online hear of it within two seconds. Idempotent. Knock is not told.",
        "security": [{"vendor": []}],
        "responses": {"200": _ok("As it stands now.", "Appointment"), **_refusals(401, 404, 409, 413, 503)},
    }


def _roster() -> dict[str, Any]:
    return {
        "operationId": "getRoster",
        "tags": ["doors"],
        "summary": "Changes of a door's appointments behind a cursor",
        "description": (
            f"At most {MOST_ENTRIES} entries. While `has_more` is true, ask again at once with the new cursor. With nothing new the answer "
            "is held back up to `wait_s`; a change of this door's appointments ends the wait. The same cursor again gives the same or "
            "newer news. When `is_resync` is true, the cursor was too old or not this desk's, and the roster starts again from nothing: "
            "what is not named up to the first page without `has_more` is no longer there."
        ),
        "security": [{"door": []}],
        "parameters": [
            {
                "name": "cursor",
                "in": "query",
                "description": "From the last page that was applied; left out by a door that has nothing.",
                "schema": {"type": "string", "maxLength": 200},
            },
            {
                "name": "wait_s",
                "in": "query",
                "description": f"How long the answer may be held back, in seconds; more than {MOST_WAIT_S} is {MOST_WAIT_S}.",
                "schema": {"type": "integer", "minimum": 0, "maximum": MOST_WAIT_S, "default": 0},
            },
        ],
        "responses": {"200": _ok("A page.", "RosterPage"), **_refusals(400, 401, 503)},
    }


def _report() -> dict[str, Any]:
    return {
        "operationId": "postReport",
        "tags": ["doors"],
        "summary": "What a door tells of itself",
        "description": "Idempotent. It is about the token's own door, whatever stands in it.",
        "security": [{"door": []}],
        "requestBody": _body("ReportBody"),
        "responses": {"200": _ok("Taken.", "Taken"), **_refusals(400, 401, 413, 415, 422, 503)},
    }


def _body(name: str) -> dict[str, Any]:
    return {"required": True, "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}


def _ok(words: str, name: str) -> dict[str, Any]:
    return {"description": words, "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}}


def _refusals(*statuses: int) -> dict[str, Any]:
    return {
        str(status): {**_ok(_REFUSALS[status], "Refusal"), **({"headers": _HEADERS[status]} if status in _HEADERS else {})}
        for status in statuses
    }


def _schemas() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for model in (IngestedBody, ReportBody):
        found |= _model_schemas(model)
    appointment = _appointment_fields()
    return found | {
        "Refusal": {
            "type": "object",
            "properties": {
                "error": {**_TEXT, "description": "A sentence for a person."},
                "fields": {"type": "object", "additionalProperties": _TEXT, "description": "What is wrong, by the field's name."},
            },
            "required": ["error"],
            "additionalProperties": False,
        },
        "Taken": _closed({"ok": {"const": True}}),
        "Appointment": _closed(appointment),
        "Pass": _closed(appointment | _pass_fields()),
        "Entry": {"oneOf": [_closed(_live_entry_fields()), _closed(_dead_entry_fields())]},
        "Order": _closed(
            {
                "order_id": {"type": "integer", "minimum": 0},
                "do": _TEXT,
                "visit_ids": {"type": "array", "items": _TEXT},
            }
        ),
        "RosterPage": _closed(
            {
                "entries": {"type": "array", "maxItems": MOST_ENTRIES, "items": {"$ref": "#/components/schemas/Entry"}},
                "cursor": {**_TEXT, "description": "For the next request; what stands in it is the desk's business."},
                "has_more": {"type": "boolean"},
                "is_resync": {"type": "boolean"},
                "orders": {
                    "type": "array",
                    "items": {"$ref": "#/components/schemas/Order"},
                    "description": "What staff ask of the door; told again until a report says that they are done.",
                },
            }
        ),
    }


def _model_schemas(model: type[Part]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    inner = schema.pop("$defs", {})
    return {model.__name__: schema, **inner}


def _closed(properties: dict[str, Any]) -> dict[str, Any]:
    """An object with all of these and nothing else."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _appointment_fields() -> dict[str, Any]:
    return {
        "appointment_id": _ID,
        "standing": {"enum": [str(standing) for standing in Standing], "description": "Only a confirmed one opens a door."},
        "revision": {"type": "integer", "minimum": 0, "description": "Counts its changes."},
        "community_id": _ID,
        "prospect_id": _ID,
        "unit_names": {"type": "array", "maxItems": MAX_UNITS, "items": _TEXT},
        "start": _TIME,
        "end": _TIME,
    }


def _pass_fields() -> dict[str, Any]:
    door = _closed({"name": _TEXT, "label": _TEXT, "directions": _TEXT})
    return {
        "opens": {**_TIME, "description": "When the code begins to work: the start less the grace before it."},
        "closes": {**_TIME, "description": "When it stops: the end and the grace after it."},
        "doors": {"type": "array", "minItems": 1, "maxItems": MAX_DOORS, "items": door},
        "code": {**_TEXT, "description": "The tour code: the text of the QR, in its alphanumeric mode."},
        "qr_png": {**_TEXT, "description": "The QR as a picture: a data URI of a PNG."},
        "pin": {**_TEXT, "pattern": "^[0-9]{8}$", "description": "For a keypad."},
    }


def _live_entry_fields() -> dict[str, Any]:
    texts = {"type": "array", "items": _TEXT}
    return {
        "appointment_id": _ID,
        "standing": {"const": str(Standing.CONFIRMED)},
        "revision": {"type": "integer", "minimum": 0},
        "code_id": {**_TEXT, "pattern": "^[0-9a-f]{12}$"},
        "key_id": {**_TEXT, "pattern": "^[0-9a-f]{8}$"},
        "prospect_id": _ID,
        "community_id": _ID,
        "doors": {**texts, "maxItems": MAX_DOORS},
        "unit_names": {**texts, "maxItems": MAX_UNITS},
        "start_ms": _INSTANT,
        "end_ms": _INSTANT,
        "source_title": {"type": ["string", "null"]},
        "pin_hash": {"type": ["string", "null"], "pattern": "^[0-9a-f]{32}$", "description": "Keyed with the door's own key."},
    }


def _dead_entry_fields() -> dict[str, Any]:
    dead = [str(standing) for standing in Standing if standing is not Standing.CONFIRMED]
    return {"appointment_id": _ID, "standing": {"enum": dead}, "revision": {"type": "integer", "minimum": 0}}
