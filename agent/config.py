"""Reads a program's one TOML file, and tells every mistake in it at once.

Rule 1: a mistake is told with its place in the file and what to write instead; an unknown key names the nearest known one.
Rule 2: a file is read once, at the start; nothing else in the project looks for settings anywhere.
"""

from __future__ import annotations

import difflib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from agent.errors import ConfigError
from agent.settings.agent import AgentSettings
from agent.settings.parts import Mistakes, Part, known_keys, validate

_DRIVERS = frozenset({"gpio", "played", "serial", "keyboard", "wiegand", "osdp", "camera"})
_TABLES_WITH_KINDS = frozenset({"relay", "second_relay", "contact", "rex", "fire", "tamper", "green", "red", "buzzer"})
MAX_PLACES = 3
"""So many tables that an unknown key may belong in are named."""
MAX_FILE_BYTES = 1_000_000
AnyPart = TypeVar("AnyPart", bound=Part)


@dataclass(frozen=True, slots=True)
class EffectiveValue:
    """One setting as the programs see it: its place (`door.0.pulse_s`), its value, and whether the file or the default gave it."""

    place: str
    value: object
    origin: Literal["file", "default"]


def load(path: Path) -> AgentSettings:
    """The agent's settings in a file; raises `ConfigError` with every mistake, one a line."""
    return load_as(AgentSettings, path)


def load_as(model: type[AnyPart], path: Path) -> AnyPart:
    """A program's settings in a file; raises `ConfigError` with every mistake, one a line."""
    return parse_as(model, read(path), str(path))


def effective(model: type[Part], path: Path) -> list[EffectiveValue]:
    """Every effective value of a file with its origin; raises `ConfigError` like `load`."""
    written = read(path)
    settings = parse_as(model, written, str(path))
    return _flatten(settings.model_dump(mode="json"), written, "")


def parse(written: dict[str, Any], name: str) -> AgentSettings:
    """The agent's settings in a table; `name` is what errors call it."""
    return parse_as(AgentSettings, written, name)


def parse_as(model: type[AnyPart], written: dict[str, Any], name: str) -> AnyPart:
    """A program's settings in a table; `name` is what errors call it."""
    found = validate(model, written)
    if not isinstance(found, Mistakes):
        return found
    details = found.details
    places = [tuple(detail["loc"]) for detail in details]
    # a table that is wrong inside also fails as a whole: only the innermost mistake helps
    innermost = [detail for detail, place in zip(details, places, strict=True) if not any(_is_inside(other, place) for other in places)]
    raise ConfigError("\n".join(f"{name}: {_sentence(detail, known_keys(model))}" for detail in innermost))


def _is_inside(other: tuple[object, ...], place: tuple[object, ...]) -> bool:
    return len(other) > len(place) and other[: len(place)] == place


def read(path: Path) -> dict[str, Any]:
    """The table in a file; raises `ConfigError` for one that cannot be read or is not TOML."""
    try:
        with path.open("rb") as file:  # not read_text: a device such as /dev/zero has no end
            content = file.read(MAX_FILE_BYTES + 1)
        if len(content) > MAX_FILE_BYTES:
            raise ConfigError(f"the configuration {path} is longer than {MAX_FILE_BYTES} bytes: is it the right file?")
        return tomllib.loads(content.decode("utf-8"))
    except OSError as error:
        raise ConfigError(f"the configuration {path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"the configuration {path} is not UTF-8 text") from error
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ConfigError(f"the configuration {path} is not TOML: {error}") from error


def _written(loc: tuple[str | int, ...]) -> list[str]:
    """A mistake's place as the file has it: without the driver's name, which pydantic puts after a table that has several kinds."""
    before: tuple[str | int | None, ...] = (None, *loc)
    return [str(part) for previous, part in zip(before, loc, strict=False) if not (part in _DRIVERS and _has_kinds(previous))]


def _has_kinds(table: str | int | None) -> bool:
    return isinstance(table, int) or table in _TABLES_WITH_KINDS


def _sentence(detail: dict[str, Any], keys: dict[str, list[str]]) -> str:
    place = ".".join(_written(detail["loc"]))
    if detail["type"] == "extra_forbidden":
        return f"{place}: there is no such key{_hint(str(detail['loc'][-1]), keys)}"
    if detail["type"] == "missing":
        return f"{place}: must be given"
    if detail["type"] in ("union_tag_invalid", "literal_error"):
        known = detail["ctx"].get("expected_tags") or detail["ctx"].get("expected")
        tag = detail["ctx"].get("tag", detail["input"])
        key = ".driver" if detail["type"] == "union_tag_invalid" else ""
        return f"{place}{key}: {tag!r} is unknown; known: {known}"
    if detail["type"] == "union_tag_not_found":
        return f"{place}.driver: must be given"
    message = str(detail["msg"]).removeprefix("Value error, ")
    shown = "" if isinstance(detail["input"], dict | list) else f" (it is {detail['input']!r})"
    return f"{place or 'the file'}: {message}{shown}"


def _hint(key: str, keys: dict[str, list[str]]) -> str:
    """Where an unknown key belongs, or which one it may have been."""
    if key in keys:
        places = [f"in {table}" if table else "at the top of the file" for table in keys[key]]
        places[MAX_PLACES:] = [f"in one of {len(places) - MAX_PLACES} other tables"] if len(places) > MAX_PLACES else []
        return " here; it belongs " + " or ".join(places)
    near = difflib.get_close_matches(key, keys, n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _flatten(value: object, written: object, place: str) -> list[EffectiveValue]:
    if isinstance(value, dict) and value:
        under = written if isinstance(written, dict) else {}
        return [found for key, item in value.items() for found in _flatten(item, under.get(key), f"{place}.{key}".lstrip("."))]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        given = written if isinstance(written, list) else []
        return [found for index, item in enumerate(value) for found in _flatten(item, given[index], f"{place}.{index}")]
    return [EffectiveValue(place, value, "default" if written is None else "file")]
