"""Refusals for programs: a sentence, and every wrong field by its name.

Rule 1: no answer repeats what was sent, for it may be somebody's name or a token; only the names of fields are said.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from agent.desk.office import NotDoneError
from agent.errors import RefusedError
from agent.web import Answer, Call, Handler, json_answer

BAD_REQUEST, UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT, UNSUPPORTED, WRONG_FIELDS, TOO_MANY = 400, 401, 403, 404, 409, 415, 422, 429


class ApiRefusedError(RefusedError):
    """A request is refused with wrong fields (what is the matter, by the field's name), or with headers of its own."""

    def __init__(
        self, status: int, words: str, *, fields: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(status, words)
        self.fields = fields or {}
        self.headers = headers or {}


def wrong_fields(fields: Mapping[str, str]) -> ApiRefusedError:
    """The refusal of an object with these mistakes."""
    count = len(fields)
    return ApiRefusedError(WRONG_FIELDS, "One field is wrong." if count == 1 else f"{count} fields are wrong.", fields=fields)


def answered(handler: Handler) -> Handler:
    """The handler with its refusals as JSON: `{"error": sentence, "fields": {...}}`."""

    async def handle(call: Call) -> Answer:
        try:
            return await handler(call)
        except ApiRefusedError as error:
            return replace(json_answer(_said(str(error), error.fields), error.status), headers=error.headers)
        except RefusedError as error:
            return json_answer(_said(str(error), {}), error.status)
        except NotDoneError as error:
            return json_answer(_said(str(error), {}), CONFLICT)

    return handle


def _said(words: str, fields: Mapping[str, str]) -> dict[str, object]:
    return {"error": words, "fields": dict(fields)} if fields else {"error": words}
