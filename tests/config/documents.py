"""A program's example file as its tests read it: every key of its model, and every line of the file that shows one."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from agent.settings.parts import Part

FOLDER = Path(__file__).parents[2] / "config"
SHOWN = re.compile(r"^#(?=\S)(?!:)", re.MULTILINE)
"""The # of a line that is a key and no prose."""
_LINE = re.compile(r"(#?)(?:\[+(?P<table>[\w.]+)\]+|(?P<key>\w+) = .*)")


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its place in the file (`door.relay.pin`), what may be written there, and what counts if nothing is."""

    place: str
    is_required: bool
    default: object
    bounds: str

    @property
    def default_words(self) -> str:
        """The default as a table shows it."""
        if self.is_required:
            return "must be given"
        return "none" if self.default is None else f"`{json.dumps(self.default, ensure_ascii=False)}`"

    @property
    def row(self) -> str:
        """How the key's row in the table begins."""
        return f"| `{self.place}` | {self.default_words} | {self.bounds} |"


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file that shows a key: whether it is commented out, and the prose above it."""

    place: str
    is_commented: bool
    comment: str


@dataclass(frozen=True)
class Document:
    """A program's example file in `config/`, its model, and what asks `tourlatch check` for its schema."""

    name: str
    model: type[Part]
    asks_schema: tuple[str, ...]

    @property
    def path(self) -> Path:
        """The file."""
        return FOLDER / f"{self.name}.toml"

    @property
    def schema(self) -> str:
        """The schema beside the file."""
        return (FOLDER / f"{self.name}.schema.json").read_text("utf-8")

    @cached_property
    def keys(self) -> list[Key]:
        """Every key of every table, in the model's order; what several drivers have alike is one key."""
        schema = self.model.model_json_schema()
        return list({key.row: key for key in _walk(schema, "", schema["$defs"])}.values())

    @cached_property
    def lines(self) -> list[Line]:
        """Every line that shows a key, in the file's order."""
        found, table, comment = [], "", ""
        for text in self.path.read_text("utf-8").splitlines():
            shown = _LINE.fullmatch(text)
            if shown is None:
                comment = comment + text + "\n" if text.startswith("# ") else ""
            elif shown["table"]:
                table, comment = shown["table"] + ".", ""
            else:
                found.append(Line(table + shown["key"], bool(shown[1]), comment))
                comment = ""
        return found

    @property
    def with_all_keys(self) -> dict[str, Any]:
        """The file with every key in it uncommented."""
        return tomllib.loads(SHOWN.sub("", self.path.read_text("utf-8")))

    @property
    def rows(self) -> list[str]:
        """The rows of the file's table in the README."""
        text = (FOLDER / "README.md").read_text("utf-8").partition(f"## Every key of {self.name}.toml\n")[2].partition("\n## ")[0]
        return [line for line in text.splitlines() if line.startswith("| `")]


def at(written: Any, place: str) -> list[Any]:  # noqa: ANN401 - whatever TOML holds
    """The values that stand at a place of a file, one for each of a list's tables."""
    found = [written]
    for name in place.split("."):
        inner = [value[name] for value in found if name in value]
        found = [
            item for value in inner for item in (value if isinstance(value, list) and value and isinstance(value[0], dict) else [value])
        ]
    return found


def _bounds(schema: dict[str, Any], definitions: dict[str, Any]) -> str:
    for alternative in schema.get("anyOf", []):
        schema = {**schema, **alternative} if alternative.get("type") != "null" else schema
    if "$ref" in schema:
        schema = {**schema, **definitions[schema["$ref"].rpartition("/")[2]]}
    if "const" in schema or "enum" in schema:
        return " or ".join(f"`{json.dumps(choice)}`" for choice in schema.get("enum", [schema.get("const")]))
    if "maximum" in schema:
        low = schema["minimum"] if "minimum" in schema else f"above {schema['exclusiveMinimum']}"
        return f"{low} to {schema['maximum']}"
    if "maxLength" in schema:
        return f"up to {schema['maxLength']} characters"
    return ""


def _walk(model: dict[str, Any], place: str, definitions: dict[str, Any]) -> list[Key]:
    found = []
    for key, schema in model["properties"].items():
        here = f"{place}.{key}".lstrip(".")
        items = schema.get("items", {})
        inner = [schema, items, *schema.get("oneOf", []), *schema.get("anyOf", []), *items.get("oneOf", [])]
        inner += [part for alternative in schema.get("anyOf", []) for part in alternative.get("oneOf", [])]
        names = [part["$ref"].rpartition("/")[2] for part in inner if "$ref" in part]
        tables = [table for table in names if "properties" in definitions[table]]
        for table in tables:
            found += _walk(definitions[table], here, definitions)
        if not tables:
            found.append(Key(here, key in model.get("required", []), schema.get("default"), _bounds(schema, definitions)))
    return found
