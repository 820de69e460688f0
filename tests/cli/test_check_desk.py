"""`tourlatch check` on the desk's file: known by its keys, every value with its origin, or every mistake at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

Call = Callable[..., tuple[int, str, str]]
EXAMPLE = Path(__file__).parents[2] / "config" / "desk.toml"
OPTIONAL = """
[mail]
smtp_host = "smtp.example.com"
sender = "tours@example.com"
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The example as it stands, where a test may change it."""
    path = tmp_path / "any.toml"
    path.write_text(EXAMPLE.read_text("utf-8"), "utf-8")
    return path


def test_json__is_one_list_of_values_with_their_origin(call: Call, written: Path) -> None:
    """A desk's file needs no option to be known; tables that are left out are one null, those that are given have every value."""
    status, out, err = call("check", "--json", "-c", written)
    values = {value["place"]: (value["value"], value["origin"]) for value in json.loads(out)}
    assert (status, err) == (0, "")
    assert values["public_url"] == ("https://tours.example.com", "file")
    assert values["community.0.door.0.name"] == ("front", "file")
    assert values["community.0.tour_min"] == (30, "default")
    assert values["mail"] == (None, "default")
    written.write_text(written.read_text("utf-8") + OPTIONAL, "utf-8")
    values = {value["place"]: (value["value"], value["origin"]) for value in json.loads(call("check", "--json", "-c", written)[1])}
    assert values["mail.smtp_host"] == ("smtp.example.com", "file")
    assert values["mail.smtp_port"] == (587, "default")


def test_table__has_the_same_places_and_nothing_is_touched(call: Call, written: Path) -> None:
    """The table shows each value once, says on stderr that the file is good, and makes no store or folder."""
    places = [value["place"] for value in json.loads(call("check", "--json", "-c", written)[1])]
    status, out, err = call("check", "-c", written)
    assert (status, err) == (0, f"{written} is good.\n")
    assert [line.split()[0] for line in out.splitlines()] == places
    assert [line.split()[-1] for line in out.splitlines() if line.startswith("listen.port ")] == ["default"]
    assert list(written.parent.iterdir()) == [written]


def test_values__are_text_that_a_terminal_can_show(call: Call, written: Path) -> None:
    """Letters of any language are shown as they are, on one line a value."""
    text = written.read_text("utf-8").replace('"Juniper Flats"', '"Cañón Flats"').replace("12 Juniper Street, Portland", "12 Calle\\nCañón")
    written.write_text(text, "utf-8")
    _, out, _ = call("check", "-c", written)
    assert '"Cañón Flats"' in out
    assert '"12 Calle\\nCañón, OR 97201"' in out


def test_mistakes__are_all_told_and_nothing_is_printed(call: Call, written: Path) -> None:
    """Each mistake is a sentence on stderr with its place; stdout stays empty, in JSON, too."""
    text = written.read_text("utf-8")
    for right, wrong in {
        "https://tours.example.com": "http://tours.example.com",
        'slug = "juniper-flats"': 'slug = "api"',
        "#trusted_proxies = []": 'trusted_proxies = ["nginx"]',
        "#keep_days = 90": "keep_day = 90",
    }.items():
        assert right in text
        text = text.replace(f"\n{right}" if right.startswith("#") else right, f"\n{wrong}" if right.startswith("#") else wrong)
    written.write_text(text, "utf-8")
    for options in ((), ("--json",)):
        status, out, err = call("check", *options, "-c", written)
        assert (status, out) == (1, "")
        assert sorted(line.removeprefix(f"tourlatch: {written}: ").partition(": ")[0] for line in err.splitlines()) == [
            "community.0",
            "listen.trusted_proxies",
            "public_url",
            "store.keep_day",
        ]


@pytest.mark.parametrize("own", ['public_url = "https://tours.example.com"\n', "[listen]\nport = 8780\n"])
def test_mistakes__of_a_desk_without_a_property_are_the_desks(call: Call, tmp_path: Path, own: str) -> None:
    """A half-written desk's file is not taken for the agent's."""
    path = tmp_path / "any.toml"
    path.write_text(own, "utf-8")
    status, out, err = call("check", "-c", path)
    assert (status, out) == (1, "")
    assert f"tourlatch: {path}: community: must be given\n" in err
    assert "door" not in err


def test_desk__reads_the_desks_own_file_unless_another_is_named(call: Call, tmp_path: Path) -> None:
    """`--desk` means /etc/tourlatch/desk.toml, and reads any file as the desk's: an agent's is full of unknown keys."""
    path = tmp_path / "any.toml"
    path.write_text('community_id = "4711"\n', "utf-8")
    status, out, err = call("check", "--desk", "-c", path)
    assert (status, out) == (1, "")
    assert f"tourlatch: {path}: community_id: there is no such key" in err
    assert "/etc/tourlatch/desk.toml" in call("check", "--help")[1].replace("\n", "")


def test_schema__of_the_desk_needs_no_file(call: Call) -> None:
    """`--desk --schema` prints one JSON value, another than the agent's."""
    status, out, err = call("check", "--desk", "--schema", "-c", "/nowhere")
    assert (status, err) == (0, "")
    assert "public_url" in json.loads(out)["properties"]
    assert "public_url" not in json.loads(call("check", "--schema")[1])["properties"]
