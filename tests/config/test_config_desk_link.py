"""The agent's `[desk]`, and what a door needs of it: whole, or refused with a sentence."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest

from agent import config
from agent.errors import ConfigError

TEXT = """
community_id = "4711"
time_zone = "America/Los_Angeles"
[desk]
url = "https://tours.example.com/"
[[door]]
name = "front"
relay = { driver = "gpio", pin = 17, active = "low" }
reader = [{ driver = "serial", name = "front", port = "/dev/ttyACM0" }]
desk_token_file = "token"
pin_key_file = "pin-key"
"""


def _without(line: str) -> dict[str, Any]:
    lines = [written for written in TEXT.splitlines() if not written.startswith(line)]
    assert len(lines) < len(TEXT.splitlines())
    return tomllib.loads("\n".join(lines))


def _mistake(written: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        config.parse(written, "agent.toml")
    return str(caught.value)


def test_ok__a_door_with_token_and_pin_key() -> None:
    """A desk with an address is enough; the address is kept without its last slash."""
    settings = config.parse(tomllib.loads(TEXT), "agent.toml")
    assert settings.desk is not None
    assert (settings.desk.url, settings.desk.wait_s) == ("https://tours.example.com", 25)
    assert (settings.door[0].desk_token_file, settings.door[0].pin_key_file) == ("token", "pin-key")


def test_ok__a_door_may_hear_of_appointments_without_pins() -> None:
    """A door without a keypad has a token alone, and a desk may be named before any door has one."""
    assert config.parse(_without("pin_key"), "agent.toml").door[0].pin_key_file is None
    bare = _without("pin_key")
    del bare["door"][0]["desk_token_file"]
    assert config.parse(bare, "agent.toml").desk is not None


@pytest.mark.parametrize("name", ["desk_token_file", "pin_key_file"])
def test_fail__a_doors_secret_without_a_desk(name: str) -> None:
    """Nobody is to believe that a door hears of cancels when it asks nobody."""
    written = tomllib.loads(TEXT)
    del written["desk"]
    for other in {"desk_token_file", "pin_key_file"} - {name, "desk_token_file"}:
        del written["door"][0][other]
    assert "but there is no table [desk]" in _mistake(written)


def test_fail__a_pin_key_without_a_token() -> None:
    """A door that hears of no PIN would refuse every one."""
    assert "pin_key_file needs desk_token_file" in _mistake(_without("desk_token"))


def test_fail__one_file_for_two_secrets() -> None:
    """A token that serves as a key, or for two doors, is a slip of the pen."""
    written = tomllib.loads(TEXT)
    written["door"][0]["pin_key_file"] = "token"
    assert "the secret file 'token' is used twice" in _mistake(written)


@pytest.mark.parametrize(
    "url", ["http://tours.example.com", "ftp://tours.example.com", "https://user@tours.example.com", "tours.example.com"]
)
def test_fail__a_desk_that_is_not_reached_by_https(url: str) -> None:
    """A token never travels in the clear over a network."""
    written = tomllib.loads(TEXT)
    written["desk"]["url"] = url
    assert _mistake(written).startswith("agent.toml: desk.url: must be")


@pytest.mark.parametrize(("name", "value"), [("wait_s", 0), ("wait_s", 51), ("read_timeout_s", 0.0), ("total_timeout_s", 301.0)])
def test_fail__out_of_bounds(name: str, value: float) -> None:
    """Neither a desk that is asked without pause, nor one that is waited for without end."""
    written = tomllib.loads(TEXT)
    written["desk"][name] = value
    assert _mistake(written).startswith(f"agent.toml: desk.{name}: ")
