"""One JSON object, read field by field; every refusal names the field and says what was expected."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from datetime import UTC, date, datetime
from typing import Any, NoReturn

from agent.errors import RefusedError

BAD_REQUEST = 400

_SHOWN_LETTERS = 60
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
_MISSING = object()


def refuse(words: str) -> NoReturn:
    """Raise the refusal of a request that is wrong in itself."""
    raise RefusedError(BAD_REQUEST, words)


def parse_json(content: bytes) -> Any:  # noqa: ANN401 - JSON is of any type until it is read
    """The value of UTF-8 JSON, without numbers that JSON does not have (`NaN`, `Infinity`, 1e999).

    Raises:
        RefusedError: 400 when it is not such JSON.
    """
    try:
        return json.loads(content.decode(), parse_constant=_no_number, parse_float=_finite)
    except (ValueError, RecursionError):
        refuse("The body is not valid JSON.")


def parse_instant(text: str, *, is_z_allowed: bool) -> datetime | None:
    """The instant of an ISO 8601 text with an offset from UTC, or None when it is none; without `is_z_allowed` a `Z` is none."""
    if _INSTANT.fullmatch(text) is None or (text.endswith("Z") and not is_z_allowed):
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _no_number(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise ValueError(f"{digits} is too large")
    return number


class Fields:
    """The fields of one object; `title` is how a refusal calls it."""

    def __init__(self, value: object, title: str = "the body") -> None:
        if not isinstance(value, Mapping):
            refuse(f"{title} must be a JSON object")
        self._fields: Mapping[str, Any] = value
        self._title = title

    def closed(self, known: Collection[str]) -> None:
        """Refuse every field that is not `known`."""
        unknown = sorted(set(self._fields) - set(known))
        if unknown:
            refuse(f"{_shown(unknown[0])} is not known in {self._title}; known are {', '.join(known)}")

    def has(self, name: str) -> bool:
        """Whether the field is there, be it null."""
        return name in self._fields

    def text(self, name: str) -> str:
        """A text that is not blank."""
        value = self._fields.get(name, _MISSING)
        if not isinstance(value, str):
            self._wrong(name, "a text")
        if not value.strip():
            refuse(f"{name} must not be blank")
        return value

    def optional_text(self, name: str) -> str | None:
        """Any text, or None when it is absent."""
        if name not in self._fields:
            return None
        value = self._fields[name]
        if not isinstance(value, str):
            self._wrong(name, "a text")
        return value

    def nullable_text(self, name: str) -> str | None:
        """Any text, or None when it is null or absent."""
        return None if self._fields.get(name) is None else self.optional_text(name)

    def identifier(self, name: str) -> str:
        """A text or a whole number, as text: the record does not say which of them an id of a community is."""
        value = self._fields.get(name, _MISSING)
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        return self.text(name)

    def optional_boolean(self, name: str) -> bool | None:
        """True, false, or None when it is absent."""
        if name not in self._fields:
            return None
        value = self._fields[name]
        if not isinstance(value, bool):
            self._wrong(name, "true or false")
        return value

    def number(self, name: str, least: float, most: float) -> float:
        """A number from `least` to `most`."""
        value = self._fields.get(name, _MISSING)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._wrong(name, "a number")
        if not least <= value <= most:
            refuse(f"{name} must be from {least} to {most}")
        return float(value)

    def whole_number(self, name: str, least: int, most: int) -> int:
        """A whole number from `least` to `most`."""
        if not isinstance(self._fields.get(name), int):
            self._wrong(name, "a whole number")
        return int(self.number(name, least, most))

    def optional_number(self, name: str) -> int | float | None:
        """A number that is not negative, or None when it is absent."""
        if name not in self._fields:
            return None
        value = self._fields[name]
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            self._wrong(name, "a number that is not negative")
        return value

    def optional_list(self, name: str, kinds: type | tuple[type, ...], described: str) -> list[Any]:
        """A list whose items are all of `kinds`, empty when it is absent; true and false are no numbers."""
        value = self._fields.get(name, [])
        if not isinstance(value, list) or not all(isinstance(item, kinds) and not isinstance(item, bool) for item in value):
            self._wrong(name, f"a list of {described}")
        return value

    def object(self, name: str) -> Fields:
        """An object inside this one."""
        return Fields(self._fields.get(name), name)

    def list_of_objects(self, name: str) -> list[Any]:
        """A list of objects, which must be there."""
        if name not in self._fields:
            self._wrong(name, "a list of objects")
        return self.optional_list(name, dict, "objects")

    def all(self) -> dict[str, Any]:
        """Every field, unread."""
        return dict(self._fields)

    def optional_date(self, name: str) -> str | None:
        """A date as text, with or without a time of day, or None when it is absent."""
        value = self.optional_text(name)
        if value is None:
            return None
        try:
            date.fromisoformat(value[:10])
        except ValueError:
            self._wrong(name, "a date like 2026-03-31")
        return value

    def instant(self, name: str, *, is_z_allowed: bool) -> datetime:
        """An instant with its offset from UTC."""
        text = self.text(name)
        moment = parse_instant(text, is_z_allowed=is_z_allowed)
        if moment is None:
            example = "2026-03-31T15:30:00-07:00"
            self._wrong(name, f"a time like {example}" + (" or with Z" if is_z_allowed else " (with a numeric offset, not Z)"))
        return moment

    def _wrong(self, name: str, expected: str) -> NoReturn:
        found = "it is missing" if name not in self._fields else f"not {_shown(self._fields[name])}"
        refuse(f"{name} in {self._title} must be {expected}, {found}")


def _shown(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= _SHOWN_LETTERS else text[:_SHOWN_LETTERS] + "…"
