"""`tourlatch check` on the kiosk's file: known by its keys, whatever else is wrong with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from agent.cli import tourlatch


def check(*arguments: object) -> tuple[int, str]:
    """The exit status and what was printed, or the error's sentence."""
    result = CliRunner().invoke(tourlatch, ["check", *map(str, arguments)])
    return result.exit_code, result.output or str(result.exception)


@pytest.mark.parametrize(
    "written",
    [
        'door = "front"\ntime_zone = "UTC"\n',
        'door = "front"\ntime_zone = "UTC"\n[listen]\nport = 1\n',
        'door = "front"\ntime_zone = "UTC"\n[pin_pad]\n[way]\n',
        'time_zone = "UTC"\n[look]\nname = "x"\n',
    ],
)
def test_ok__the_file_is_known_by_its_keys(tmp_path: Path, written: str) -> None:
    """A mistake is told as one of the kiosk's, without naming the program."""
    path = tmp_path / "some.toml"
    path.write_text(written, "utf-8")
    status, out = check("--json", "-c", path)
    if status == 0:
        values = {value["place"]: (value["value"], value["origin"]) for value in json.loads(out)}
        assert (values["door"], values["look.welcome_s"]) == (("front", "file"), (10, "default"))
    else:
        assert ": way: " in out or ": door: must be given" in out


def test_ok__the_schema_is_the_kiosks_when_it_is_asked_for() -> None:
    """Three programs, three schemas."""
    properties = [set(json.loads(check(*options, "--schema")[1])["properties"]) for options in ((), ("--desk",), ("--kiosk",))]
    assert ["agent_socket" in found for found in properties] == [False, False, True]
    assert ["public_url" in found for found in properties] == [False, True, False]


def test_ok__without_a_file_the_usual_one_is_read() -> None:
    """The help names all three."""
    help_text = check("--help")[1].replace("\n", "").replace(" ", "")
    assert all(f"/etc/tourlatch/{name}.toml" in help_text for name in ("agent", "desk", "kiosk"))


@pytest.mark.parametrize(
    ("more", "is_told"),
    [("", False), ("[help]\n", True), ('[help]\nwebhook_url_file = "hook"\n', False)],
    ids=["no help", "a table with nothing in it", "a webhook"],
)
def test_ok__help_that_tells_nobody_is_named(tmp_path: Path, more: str, is_told: bool) -> None:
    """It is no mistake, and may not be what was meant."""
    path = tmp_path / "some.toml"
    path.write_text('door = "front"\ntime_zone = "UTC"\n' + more, "utf-8")
    status, out = check("-c", path)
    assert (status, "nobody is told of a call" in out) == (0, is_told)
