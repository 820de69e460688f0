"""JSON in, a checked object out, or every mistake at once.

Rule 1: what two readers could read differently is refused: a name twice in an object, NaN, half of a surrogate pair.
Rule 2: 400 for what is no JSON object, 413 too long, 415 another type, 422 with the names of fields that are wrong.
"""

from __future__ import annotations

import difflib
import json
import math
from typing import Any, NoReturn

from agent.desk.api.answers import BAD_REQUEST, UNSUPPORTED, ApiRefusedError, wrong_fields
from agent.settings.parts import AnyPart, Mistakes, validate
from agent.web import Call

MOST_MISTAKES = 40
"""More are not told, so that an answer is never longer than a page."""

_SHOWN_CHARACTERS = 60
_SENTENCES = {
    "missing": "must be given",
    "string_type": "must be a text",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "too_long": "must have at most {max_length} items",
    "too_short": "must have at least {min_length} items",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_pattern_mismatch": "must look like {pattern}",
}


async def read(model: type[AnyPart], call: Call) -> AnyPart:
    """The body as `model`.

    Raises:
        RefusedError: 400, 413, 415 or 422.
    """
    if call.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise ApiRefusedError(UNSUPPORTED, "The body must be JSON, with the header Content-Type: application/json.")
    found = validate(model, parse_object(await call.body()))
    if isinstance(found, Mistakes):
        raise wrong_fields(_sentences(found, list(model.model_fields)))
    return found


def parse_object(content: bytes) -> dict[str, Any]:
    """The object of UTF-8 JSON; raises `ApiRefusedError` 400 for anything else."""
    try:
        value = json.loads(content.decode(), parse_constant=_no_number, parse_float=_finite, object_pairs_hook=_each_once)
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair has no UTF-8
    except _TwiceError as error:
        raise ApiRefusedError(BAD_REQUEST, "The body names a field twice.") from error
    except (ValueError, RecursionError) as error:
        raise ApiRefusedError(BAD_REQUEST, "The body is not valid JSON in UTF-8.") from error
    if not isinstance(value, dict):
        raise ApiRefusedError(BAD_REQUEST, "The body must be a JSON object.")
    return value


class _TwiceError(ValueError):
    """A name stands twice in an object."""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _TwiceError
    return found


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError("a number is too large")
    return int(number) if number.is_integer() else number  # to JSON, 1.0 is 1


def _sentences(mistakes: Mistakes, known: list[str]) -> dict[str, str]:
    """What is wrong, by the field's place (`doors.0`). A field is told once, and a list not beside its items."""
    found: dict[str, str] = {}
    for detail in mistakes.details[:MOST_MISTAKES]:
        place = ".".join(_shown(str(part)) for part in detail["loc"])
        found.setdefault(place or "body", _sentence(detail, known))
    return {place: words for place, words in found.items() if not any(other.startswith(f"{place}.") for other in found)}


def _sentence(detail: dict[str, Any], known: list[str]) -> str:
    if detail["type"] == "extra_forbidden":
        near = difflib.get_close_matches(_shown(str(detail["loc"][-1])), known, n=1)
        return "there is no such field" + (f"; did you mean {near[0]}?" if near else "")
    template = _SENTENCES.get(detail["type"])
    return template.format_map(detail.get("ctx", {})) if template else str(detail["msg"]).removeprefix("Value error, ")


def _shown(name: str) -> str:
    return name if len(name) <= _SHOWN_CHARACTERS else name[:_SHOWN_CHARACTERS] + "…"
