"""What all settings are made of. The only importer of pydantic: the other files take its names from here.

Rule 1: closed and bounded: an unknown key is an error, every number has bounds, and its unit in its name.
Rule 2: no secret has a place in settings, only the names of files.
Rule 3: a default is safe. Where no default is safe (a relay's polarity), there is none.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from os.path import realpath
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

__all__ = [
    "AbsolutePath",
    "AfterValidator",
    "Field",
    "Mistakes",
    "Part",
    "ValidationInfo",
    "WebAddress",
    "ZoneName",
    "field_validator",
    "is_loopback",
    "json_schema",
    "known_keys",
    "model_validator",
    "refuse_shared",
    "refuse_twice",
    "validate",
]


class Part(BaseModel):
    """A table of a file, or an object of a request: frozen, and closed to keys that it does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


AnyPart = TypeVar("AnyPart", bound=Part)


def _absolute(path: Path) -> Path:
    if not path.is_absolute():
        raise ValueError("must be an absolute path, since systemd starts the program in /")
    return path


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f"{name!r} is no time zone; write one like America/Los_Angeles") from None
    return name


def _port(url: str) -> int | None:
    try:
        return urlsplit(url).port
    except ValueError:
        return 0


def _web_address(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise ValueError("must be a plain https address without query or user")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise ValueError("must be written as browsers send it: ASCII without blanks (other letters of a host as xn--...)")
    if _port(url) == 0:
        raise ValueError("must have a port from 1 to 65535, or none")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("must be https; plain http only to this machine (127.0.0.1, ::1 or localhost)")
    return url.rstrip("/")


AbsolutePath = Annotated[Path, AfterValidator(_absolute)]
ZoneName = Annotated[str, AfterValidator(_zone)]
WebAddress = Annotated[str, AfterValidator(_web_address)]


def is_loopback(host: str) -> bool:
    """Whether a host is this machine itself."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def refuse_twice(what: str, values: list[str]) -> None:
    """Raise `ValueError` for a value that stands there twice."""
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"{what} {value!r} is used twice")


def refuse_shared(written: list[tuple[str, str]]) -> None:
    """Two things in one file would destroy each other; links and dots are followed, since two spellings can be one file."""
    users: dict[str, str] = {}
    for key, path in written:
        other = users.setdefault(realpath(path), key)
        if other != key:
            raise ValueError(f"{other} and {key} would both write {path}")


@dataclass(frozen=True, slots=True)
class Mistakes:
    """Pydantic's account of every mistake in a table: `loc`, `type`, `msg`, `input` and `ctx` of each."""

    details: list[dict[str, Any]]


def validate(model: type[AnyPart], written: dict[str, Any]) -> AnyPart | Mistakes:
    """A table as `model`, or every mistake in it."""
    try:
        return model.model_validate(written)
    except ValidationError as error:
        return Mistakes([dict(detail) for detail in error.errors(include_url=False)])


def json_schema(model: type[Part]) -> dict[str, Any]:
    """The JSON Schema of a program's file, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **model.model_json_schema()}


def known_keys(model: type[Part]) -> dict[str, list[str]]:
    """Every key there is in `model`, and the tables that have it as TOML writes them: `[rules]`, `[[door]]`; empty for the top."""
    schema = model.model_json_schema()
    known: dict[str, list[str]] = {}

    def walk(table: dict[str, Any], place: str, brackets: str) -> None:
        for key, value in table.get("properties", {}).items():
            tables = known.setdefault(key, [])
            written = brackets.replace("*", place)
            tables += [written] if written not in tables else []
            for name in _referred(value):
                walk(schema["$defs"][name], f"{place}.{key}".lstrip("."), "[[*]]" if value.get("type") == "array" else "[*]")

    walk(schema, "", "")
    return known


def _referred(value: object) -> list[str]:
    """The names of the tables that a value may be."""
    if isinstance(value, dict):
        own = [str(value["$ref"]).rsplit("/", 1)[-1]] if "$ref" in value else []
        return own + [name for part in value.values() for name in _referred(part)]
    return [name for part in value for name in _referred(part)] if isinstance(value, list) else []
