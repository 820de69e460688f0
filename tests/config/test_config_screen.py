"""`[control]` of a board with a screen: a user who may ask for little, the doors that have one, and staff's PIN."""

from __future__ import annotations

from typing import Any

import pytest

from agent import config
from agent.errors import ConfigError
from agent.settings.agent import AgentSettings


def door(name: str, reader: str = "") -> dict[str, Any]:
    """A played door with one reader."""
    found = {"driver": "serial", "name": reader or f"{name}-scanner", "port": f"/dev/{name}"}
    return {"name": name, "relay": {"driver": "played", "path": f"/tmp/relay-{name}"}, "reader": [found]}


def parsed(control: dict[str, Any], *doors: dict[str, Any]) -> AgentSettings:
    """A configuration with this table."""
    written = {"community_id": "4711", "time_zone": "America/Los_Angeles", "control": control, "door": list(doors) or [door("front")]}
    return config.parse(written, "agent.toml")


def mistake(control: dict[str, Any], *doors: dict[str, Any]) -> str:
    """What is wrong with one."""
    with pytest.raises(ConfigError) as caught:
        parsed(control, *doors)
    return str(caught.value)


def test_ok__without_a_screens_user_there_is_no_screen() -> None:
    """Nothing is on until it is asked for, whatever else is named."""
    assert parsed({}).screen_doors() == ()
    assert parsed({"kiosk_doors": ["front"]}).screen_doors() == ()
    assert parsed({}).control.staff_pin_file is None


def test_ok__the_only_door_has_the_screen() -> None:
    """On a board with one door there is nothing to name."""
    assert parsed({"kiosk_users": ["nobody"]}).screen_doors() == ("front",)


def test_ok__doors_that_have_a_screen_are_named() -> None:
    """In the order of the doors, whatever that of the list is."""
    doors = [door("front"), door("side"), door("gym")]
    assert parsed({"kiosk_users": ["nobody"], "kiosk_doors": ["gym", "front"]}, *doors).screen_doors() == ("front", "gym")


def test_fail__a_board_of_several_doors_without_a_word_which() -> None:
    """A page hangs at one door; it is not to open the others for want of a key."""
    told = mistake({"kiosk_users": ["nobody"]}, door("front"), door("side"))
    assert "control.kiosk_doors: this board has several doors; name those that have a screen, of front, side" in told


def test_fail__a_screen_at_a_door_that_is_not_there() -> None:
    """Named with those that are."""
    assert "control.kiosk_doors: there is no door 'back'; there are: front" in mistake({"kiosk_doors": ["back"]})


@pytest.mark.parametrize("control", [{"kiosk_users": ["root"]}, {"kiosk_users": ["nobody"], "users": ["nobody"]}])
def test_fail__a_screens_user_who_may_do_everything(control: dict[str, Any]) -> None:
    """Whoever has the page's process would have the board: root, or a user who is staff's, too, is refused."""
    assert "may do everything: a screen's page needs a user of its own" in mistake(control)


def test_fail__a_user_who_is_not_there() -> None:
    """As for the other users."""
    assert "there is no user 'no-such-user' on this machine" in mistake({"kiosk_users": ["no-such-user"]})


def test_fail__a_reader_with_the_name_of_the_screens() -> None:
    """Two readers of one name would share a lockout."""
    assert "the reader name 'front-screen' is used twice" in mistake({"kiosk_users": ["nobody"]}, door("front", "front-screen"))
    assert parsed({}, door("front", "front-screen")).screen_doors() == ()
