"""The documents of the configuration hold every key of each program, with the bounds and defaults that the models have."""

from __future__ import annotations

import json
import re
import tomllib

import pytest
from click.testing import CliRunner

from agent import config
from agent.cli import tourlatch
from agent.errors import ConfigError
from agent.settings.agent import AgentSettings
from agent.settings.desk import DeskSettings
from agent.settings.kiosk import KioskSettings
from agent.settings.parts import json_schema
from tests.config.documents import FOLDER, Document, at

AGENT = Document("agent", AgentSettings, ("--schema",))
DESK = Document("desk", DeskSettings, ("--desk", "--schema"))
KIOSK = Document("kiosk", KioskSettings, ("--kiosk", "--schema"))
GIVEN = {
    "agent": {
        *("community_id", "time_zone", "door.name", "door.relay.driver", "door.relay.pin", "door.relay.active"),
        *("door.reader.driver", "door.reader.name", "door.reader.port"),
    },
    "desk": {
        *("public_url", "community.id", "community.slug", "community.name", "community.time_zone", "community.address"),
        "community.door.name",
    },
    "kiosk": {"door", "time_zone"},
}
"""What the examples give, and must."""


@pytest.fixture(params=[AGENT, DESK, KIOSK], ids=lambda document: document.name)
def document(request: pytest.FixtureRequest) -> Document:
    """Each program's file in turn."""
    found: Document = request.param
    return found


def test_ok__the_example_is_a_good_configuration(document: Document) -> None:
    """The file as it stands loads, and so it does with every key in it uncommented."""
    config.load_as(document.model, document.path)
    config.parse_as(document.model, document.with_all_keys, "all keys")


def test_ok__the_examples_say_what_they_seem_to() -> None:
    """The door of the one and the property of the other are there; what is left out is off; uncommented it is on."""
    assert config.load(AGENT.path).door[0].name == "front"
    assert len(config.parse(AGENT.with_all_keys, "all keys").door) == 2
    desk = config.load_as(DeskSettings, DESK.path)
    assert (desk.mail, desk.staff, [found.slug for found in desk.community]) == (None, None, ["juniper-flats"])
    whole = config.parse_as(DeskSettings, DESK.with_all_keys, "all keys")
    assert whole.mail is not None
    assert whole.staff is not None
    kiosk = config.load_as(KioskSettings, KIOSK.path)
    assert (kiosk.remote, kiosk.pin_pad, kiosk.book, kiosk.help, kiosk.mail, kiosk.staff, kiosk.way) == (*[None] * 6, ())
    screen = config.parse_as(KioskSettings, KIOSK.with_all_keys, "all keys")
    assert None not in (screen.remote, screen.pin_pad, screen.book, screen.help, screen.mail, screen.staff, *screen.way)


def test_ok__every_key_of_every_model_is_in_the_example(document: Document) -> None:
    """A key that a model gets is a key that the file shows."""
    written = document.with_all_keys
    assert [key.place for key in document.keys if not at(written, key.place)] == []


def test_ok__the_example_has_no_key_that_no_model_knows(document: Document) -> None:
    """What a model loses goes from the file, and a commented key stands in its own table."""
    known = {key.place for key in document.keys}
    assert [line.place for line in document.lines if line.place not in known] == []


def test_ok__commented_keys_show_the_real_defaults(document: Document) -> None:
    """A commented line is the default itself, unless there is none and its comment, or its table's, calls it an example."""
    written = document.with_all_keys
    required = {key.place for key in document.keys if key.is_required}
    for key in document.keys:
        if key.is_required:
            continue
        if key.default is None:
            assert any("(This is an example.)" in line.comment for line in document.lines if line.place == key.place), key.place
        else:
            assert key.default in at(written, key.place), key.place
    text = document.path.read_text("utf-8")
    for line in document.lines:
        if line.is_commented and line.place in required:
            table = line.place.rpartition(".")[0]
            is_example = re.search(rf"\(This table is an example\.\)\n#\[+{table}\]+$", text, re.MULTILINE)
            assert is_example or re.search(rf"^\[+{table}\]+$", text, re.MULTILINE), line.place


def test_ok__only_what_must_be_given_is_given(document: Document) -> None:
    """The file as it stands changes no default."""
    given = {re.sub(r"\.\d+", "", value.place) for value in config.effective(document.model, document.path) if value.origin == "file"}
    assert given == GIVEN[document.name]


def test_ok__the_comment_above_a_number_tells_its_bounds(document: Document) -> None:
    """Whoever edits the file sees how far he may go, in characters as well."""
    for key in document.keys:
        if " to " in key.bounds:
            comments = [" ".join(line.comment.replace("\n# ", " ").split()).lower() for line in document.lines if line.place == key.place]
            assert any(key.bounds in words for words in comments), (key.place, key.bounds, comments)


def test_ok__the_table_of_the_readme_has_every_key(document: Document) -> None:
    """Each key has one row with its default and bounds, followed by its meaning, and there are no others."""
    rows = document.rows
    missing = [key.row for key in document.keys if not any(row.startswith(key.row) and len(row) > len(key.row) + 10 for row in rows)]
    assert missing == [], "config/README.md needs these rows:\n" + "\n".join(missing)
    assert len(rows) == len(document.keys)


def test_ok__the_readme_dates_every_change() -> None:
    """The list of changes is dated, the latest first."""
    _, _, changes = (FOLDER / "README.md").read_text("utf-8").partition("## Changes")
    dates = re.findall(r"^- (\d{4}-\d{2}-\d{2}): .+", changes, re.MULTILINE)
    assert dates
    assert dates == sorted(dates, reverse=True)


def test_ok__the_schema_is_the_one_that_check_prints(document: Document) -> None:
    """The schema in the repository is the models' own: after a change, `tourlatch check --schema > config/agent.schema.json`."""
    result = CliRunner().invoke(tourlatch, ["check", *document.asks_schema])
    assert result.exit_code == 0
    assert document.schema == result.output
    assert json.loads(result.output) == json_schema(document.model)


def test_ok__editors_find_the_schema(document: Document) -> None:
    """The first line of the file names the schema that lies beside it."""
    assert document.path.read_text("utf-8").splitlines()[0] == f"#:schema ./{document.name}.schema.json"


def test_fail__no_file_here_holds_a_polarity_as_a_default() -> None:
    """A relay's polarity is measured: the models, and so the table, have no default for it."""
    polarity = next(key for key in AGENT.keys if key.place == "door.relay.active")
    assert polarity.is_required
    written = tomllib.loads(AGENT.path.read_text("utf-8"))
    del written["door"][0]["relay"]["active"]
    with pytest.raises(ConfigError, match=r"door\.0\.relay\.active: must be given"):
        config.parse(written, "agent.toml")


def test_fail__no_example_holds_a_secret(document: Document) -> None:
    """What is secret stands there as the name of a file: no other key has a name like one."""
    secret = re.compile(r"secret|password|token|pin_key|appointment_key|prospect_key")
    assert [key.place for key in document.keys if secret.search(key.place) and not key.place.endswith("_file")] == []
