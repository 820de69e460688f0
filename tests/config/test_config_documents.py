"""The documents of the configuration hold every key, with the bounds and defaults that the models have."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent import config
from agent.cli import tourlatch
from agent.errors import ConfigError
from agent.settings.agent import AgentSettings
from agent.settings.parts import json_schema

FOLDER = Path(__file__).parents[2] / "config"
EXAMPLE = FOLDER / "agent.toml"
SHOWN = re.compile(r"^#(?=\S)(?!:)", re.MULTILINE)
"""The # of a line that is a key and no prose."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key: its place in the file (`door.relay.pin`), its model, what may be written there, and what counts if nothing is."""

    place: str
    model: str
    is_required: bool
    default: object
    bounds: str

    @property
    def name(self) -> str:
        """The key itself."""
        return self.place.rpartition(".")[2]

    @property
    def default_words(self) -> str:
        """The default as a table shows it."""
        if self.is_required:
            return "must be given"
        return "none" if self.default is None else f"`{json.dumps(self.default)}`"

    @property
    def row(self) -> str:
        """How the key's row in the table begins."""
        return f"| `{self.place}` | {self.default_words} | {self.bounds} |"


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


def _walk(model: dict[str, Any], name: str, place: str, definitions: dict[str, Any]) -> list[Key]:
    found = []
    for key, schema in model["properties"].items():
        at = f"{place}.{key}".lstrip(".")
        inner = [schema, schema.get("items", {}), *schema.get("oneOf", []), *schema.get("anyOf", [])]
        names = [part["$ref"].rpartition("/")[2] for part in inner if "$ref" in part]
        tables = [table for table in names if "properties" in definitions[table]]
        for table in tables:
            found += _walk(definitions[table], table, at, definitions)
        if not tables:
            found.append(Key(at, name, key in model.get("required", []), schema.get("default"), _bounds(schema, definitions)))
    return found


@pytest.fixture(scope="session")
def keys() -> list[Key]:
    """Every key of every model, in the models' order."""
    schema = AgentSettings.model_json_schema()
    return _walk(schema, "AgentSettings", "", schema["$defs"])


def _with_all_keys() -> str:
    return SHOWN.sub("", EXAMPLE.read_text("utf-8"))


def _at(written: Any, place: str) -> list[Any]:  # noqa: ANN401 - whatever TOML holds
    """The values that stand at a place of the file, one for each of a list's tables."""
    found = [written]
    for name in place.split("."):
        inner = [value[name] for value in found if name in value]
        found = [
            item for value in inner for item in (value if isinstance(value, list) and value and isinstance(value[0], dict) else [value])
        ]
    return found


def test_ok__the_example_is_a_good_configuration() -> None:
    """The file as it stands loads, and so it does with every key in it uncommented."""
    assert config.load(EXAMPLE).door[0].name == "front"
    assert len(config.parse(tomllib.loads(_with_all_keys()), "all keys").door) == 2


def test_ok__every_key_of_every_model_is_in_the_example(keys: list[Key]) -> None:
    """A key that a model gets is a key that the file shows."""
    written = tomllib.loads(_with_all_keys())
    assert [key.place for key in keys if not _at(written, key.place)] == []


def test_ok__the_example_has_no_key_that_no_model_knows(keys: list[Key]) -> None:
    """What a model loses goes from the file."""
    known = {part for key in keys for part in key.place.split(".")}
    assert [name for name in re.findall(r"^#?(\w+) = ", EXAMPLE.read_text("utf-8"), re.MULTILINE) if name not in known] == []


def test_ok__commented_keys_show_the_real_defaults(keys: list[Key]) -> None:
    """A commented line is the default itself, unless there is none and its comment calls it an example."""
    text = EXAMPLE.read_text("utf-8")
    written = tomllib.loads(_with_all_keys())
    for key in keys:
        if key.is_required:
            continue
        if key.default is None:
            assert re.search(rf"This is an example\.\)\n#{key.name} = ", text), key.place
        else:
            assert _at(written, key.place)[0] == key.default, key.place


def test_ok__only_what_must_be_given_is_given() -> None:
    """The file as it stands changes no default."""
    given = {re.sub(r"\.\d+", "", value.place) for value in config.effective(AgentSettings, EXAMPLE) if value.origin == "file"}
    assert given == {
        *("community_id", "time_zone", "door.name", "door.relay.driver", "door.relay.pin", "door.relay.active"),
        *("door.reader.driver", "door.reader.name", "door.reader.port"),
    }


def test_ok__the_comment_above_a_number_tells_its_bounds(keys: list[Key]) -> None:
    """Whoever edits the file sees how far he may go."""
    text = EXAMPLE.read_text("utf-8")
    for key in keys:
        if " to " not in key.bounds:
            continue
        blocks: list[str] = re.findall(rf"((?:^# .*\n)+)(?:^#?){key.name} = ", text, re.MULTILINE)
        assert any(key.bounds in block for block in blocks), (key.place, key.bounds, blocks)


def test_ok__the_table_of_the_readme_has_every_key(keys: list[Key]) -> None:
    """Each key has one row with its default and bounds, followed by its meaning, and there are no others."""
    rows = [line for line in (FOLDER / "README.md").read_text("utf-8").splitlines() if line.startswith("| `")]
    missing = [key.row for key in keys if not any(row.startswith(key.row) and len(row) > len(key.row) + 10 for row in rows)]
    assert missing == [], "config/README.md needs these rows:\n" + "\n".join(missing)
    assert len(rows) == len(keys)


def test_ok__the_readme_dates_every_change() -> None:
    """The list of changes is dated, the latest first."""
    _, _, changes = (FOLDER / "README.md").read_text("utf-8").partition("## Changes")
    dates = re.findall(r"^- (\d{4}-\d{2}-\d{2}): .+", changes, re.MULTILINE)
    assert dates
    assert dates == sorted(dates, reverse=True)


def test_ok__the_schema_is_the_one_that_check_prints() -> None:
    """The schema in the repository is the models' own: after a change, `tourlatch check --schema > config/agent.schema.json`."""
    result = CliRunner().invoke(tourlatch, ["check", "--schema"])
    assert result.exit_code == 0
    assert (FOLDER / "agent.schema.json").read_text("utf-8") == result.output
    assert json.loads(result.output) == json_schema(AgentSettings)


def test_fail__no_file_here_holds_a_polarity_as_a_default(keys: list[Key]) -> None:
    """A relay's polarity is measured: the models, and so the table, have no default for it."""
    polarity = next(key for key in keys if key.place == "door.relay.active")
    assert polarity.is_required
    written = tomllib.loads(EXAMPLE.read_text("utf-8"))
    del written["door"][0]["relay"]["active"]
    with pytest.raises(ConfigError, match=r"door\.0\.relay\.active: must be given"):
        config.parse(written, "agent.toml")
