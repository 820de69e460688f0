"""The settings of scanners that contradict themselves."""

from __future__ import annotations

import pytest

from agent.settings.readers import KeyboardReader, SerialReader
from drivers import registry
from drivers.keyboard import LAYOUTS


def serial(**changes: object) -> SerialReader:
    """A serial scanner's table."""
    return SerialReader.model_validate({"driver": "serial", "name": "front", "port": "/dev/ttyACM0", **changes})


def test_ok__a_module_is_set_up_and_other_scanners_are_not() -> None:
    """Without a module there is nothing to send; with one, it looks all the time unless told otherwise."""
    assert (serial().module, serial(module="gm65").trigger, serial(module="gm65", trigger="motion").trigger) == (
        "none",
        "continuous",
        "motion",
    )


def test_fail__a_trigger_without_a_module_is_a_mistake() -> None:
    """A scanner that takes no commands would look on as before, and the setting would be a lie."""
    with pytest.raises(ValueError, match='trigger is for module = "gm65"'):
        serial(trigger="motion")


def test_fail__a_suffix_that_begins_like_a_reply_is_a_mistake() -> None:
    """A scan's last byte would be held back, to see whether it becomes a module's reply."""
    assert serial(suffix="\x02").suffix == "\x02"
    with pytest.raises(ValueError, match=r"suffix holds \\x02"):
        serial(module="gm65", suffix="\x03\x02")


@pytest.mark.parametrize("module", ["none", "gm65"])
@pytest.mark.parametrize("trigger", ["continuous", "motion"])
def test_ok__the_drivers_take_what_the_settings_allow(module: str, trigger: str) -> None:
    """Each layout and each trigger of the settings is one that the driver knows, by the same key."""
    registry.reader("serial", "front", {"port": "/dev/none", "module": module, "trigger": trigger})
    for layout in LAYOUTS:
        table = KeyboardReader.model_validate({"driver": "keyboard", "name": "front", "device": "/dev/input/x", "layout": layout})
        registry.reader("keyboard", table.name, table.model_dump(exclude={"driver", "name", "direction"}, mode="json"))
