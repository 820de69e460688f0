"""A door's lines, hours and readers are checked against one another at the start: each contradiction is named with both its sides."""

from __future__ import annotations

import copy
from datetime import date, time
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from agent import config
from agent.errors import ConfigError
from agent.settings.agent import AgentSettings


def _line(pin: int, **more: object) -> dict[str, object]:
    return {"driver": "gpio", "pin": pin, "active": "high", **more}


def _camera(name: str, **more: object) -> dict[str, object]:
    return {"driver": "camera", "name": name, "socket": f"/run/tourlatch/{name}.sock", **more}


def _input(pin: int, **more: object) -> dict[str, object]:
    return _line(pin, normally="closed", **more)


GOOD: dict[str, Any] = {
    "community_id": "4711",
    "time_zone": "America/Los_Angeles",
    "door": [
        {
            "name": "front",
            "relay": _line(17),
            "second_relay": _line(27),
            "contact": _input(22),
            "rex": _input(23),
            "fire": _input(24),
            "tamper": _input(25),
            "feedback": {"green": _line(5), "red": _line(6), "buzzer": _line(13)},
            "reader": [
                {"driver": "serial", "name": "scanner", "port": "/dev/ttyACM0"},
                {"driver": "wiegand", "name": "keypad", "d0": 12, "d1": 16},
                {"driver": "osdp", "name": "osdp-0", "port": "/dev/ttyUSB0", "key_file": "door_front.osdp-key"},
            ],
        },
        {
            "name": "side",
            "relay": _line(4),
            "fire": _input(24),
            "tamper": _input(25),
            "reader": [
                {"driver": "osdp", "name": "osdp-1", "port": "/dev/ttyUSB0", "address": 1, "key_file": "door_side.osdp-key"},
                {"driver": "keyboard", "name": "wedge", "device": "/dev/input/by-id/usb-A-event-kbd"},
            ],
        },
    ],
}
PLACES = {
    "door.0.relay": 17,
    "door.0.second_relay": 27,
    "door.0.contact": 22,
    "door.0.rex": 23,
    "door.0.fire": 24,
    "door.0.tamper": 25,
    "door.0.feedback.green": 5,
    "door.0.feedback.red": 6,
    "door.0.feedback.buzzer": 13,
    "door.1.relay": 4,
}


def _parse(changes: dict[str, object]) -> AgentSettings:
    written = copy.deepcopy(GOOD)
    for place, value in changes.items():
        *way, name = place.split(".")
        at: Any = written
        for step in way:
            at = at[int(step)] if step.isdigit() else at.setdefault(step, {})
        if value is None:
            del at[name]
        else:
            at[int(name) if name.isdigit() else name] = value
    return config.parse(written, "agent.toml")


def _mistakes(changes: dict[str, object]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        _parse(changes)
    return [line.removeprefix("agent.toml: ") for line in str(caught.value).splitlines()]


def test_ok__what_the_others_break_is_whole() -> None:
    """Two doors with a shared panel and housing, two OSDP readers on a bus: nothing is the matter."""
    assert [door.name for door in _parse({}).door] == ["front", "side"]


@pytest.mark.parametrize("place", [place for place in PLACES if place != "door.1.relay"])
def test_fail__no_line_has_a_polarity_by_default(place: str) -> None:
    """What is not measured is not guessed: each driven and each watched line must say its level."""
    assert _mistakes({f"{place}.active": None}) == [f"{place}.active: must be given"]


@pytest.mark.parametrize("place", ["door.0.contact", "door.0.rex", "door.0.fire", "door.0.tamper"])
def test_fail__a_watched_line_says_how_it_is_at_rest(place: str) -> None:
    """Normally open or closed has no default either."""
    assert _mistakes({f"{place}.normally": None}) == [f"{place}.normally: must be given"]


@pytest.mark.parametrize(("normally", "pull", "active"), list(product(("open", "closed"), ("up", "down"), ("high", "low"))))
def test_ok__of_two_levels_one_contradicts_the_circuit(normally: str, pull: str, active: str) -> None:
    """With the chip's pull, the level at rest follows from NO or NC: a line that is active at rest is refused, the other level is good."""
    is_high_at_rest = {("open", "up"): True, ("closed", "up"): False, ("open", "down"): False, ("closed", "down"): True}[normally, pull]
    changes: dict[str, object] = {"door.0.contact": {"driver": "gpio", "pin": 22, "active": active, "normally": normally, "pull": pull}}
    if is_high_at_rest != (active == "high"):
        _parse(changes)
        return
    rest = "high" if is_high_at_rest else "low"
    (mistake,) = _mistakes(changes)
    assert mistake == (
        f"door.0.contact: contradicts itself: normally {normally} with the pull {pull} the line is {rest} at rest, "
        f'so active = "{rest}" would be at rest, too. Correct active, normally or pull'
    )


@pytest.mark.parametrize("active", ["high", "low"])
def test_ok__with_a_circuit_of_its_own_either_level_may_be(active: str) -> None:
    """An opto-coupler turns levels round: with `pull = "none"` the file cannot know."""
    _parse({"door.0.contact": _input(22, pull="none") | {"active": active}})


@pytest.mark.parametrize("one", list(PLACES))
@pytest.mark.parametrize("other", list(PLACES))
def test_fail__a_pin_used_twice(one: str, other: str) -> None:
    """Whatever two things are on one pin of the board, both are named."""
    if one == other:
        return
    (mistake,) = _mistakes({f"{one}.pin": PLACES[other]})
    assert mistake.startswith(f"the file: the pin {PLACES[other]} is ")
    names = {place: place.replace("door.0", "front").replace("door.1", "side") for place in (one, other)}
    shared = {"door.0.fire": "side.fire", "door.0.tamper": "side.tamper"}
    assert any(name in mistake or shared.get(place, name) in mistake for place, name in names.items())


@pytest.mark.parametrize(
    ("changes", "mistake"),
    [
        ({"door.0.reader.1.d0": 17}, "the file: the pin 17 is used twice: by front.relay and by front.keypad.d0"),
        ({"door.0.reader.1.d1": 22}, "the file: the pin 22 is used twice: by front.contact and by front.keypad.d1"),
        ({"door.0.reader.1.d1": 12}, "door.0.reader.1: d0 and d1 are both the pin 12"),
        ({"door.1.relay.pin": 17, "door.1.relay.chip": 0}, "the file: the pin 17 is used twice: by front.relay and by side.relay"),
        (
            {"door.1.fire.debounce_ms": 50},
            "the file: the pin 24 is shared by front.fire and side.fire, so all their settings must be the same",
        ),
        ({"door.1.fire.pin": 25, "door.1.tamper.pin": 26}, "the file: the pin 25 is used twice: by front.tamper and by side.fire"),
        ({"door.1.reader.0.address": 0}, "the file: the OSDP address '/dev/ttyUSB0, 0' is used twice"),
        (
            {"door.1.reader.0.baud": 19200},
            "the file: the readers osdp-0 and osdp-1 share /dev/ttyUSB0, so their baud must be the same",
        ),
        ({"door.0.reader.0.port": "/dev/ttyUSB0"}, "the file: the port '/dev/ttyUSB0' is used twice"),
        ({"door.0.reader.1": {"driver": "serial", "name": "b", "port": "/dev/ttyACM0"}}, "the file: the port '/dev/ttyACM0' is used twice"),
        (
            {"door.0.reader.1": {"driver": "keyboard", "name": "b", "device": "/dev/input/by-id/usb-A-event-kbd"}},
            "the file: the device '/dev/input/by-id/usb-A-event-kbd' is used twice",
        ),
        ({"door.1.reader.0.key_file": "door_front.osdp-key"}, "the file: the OSDP key_file 'door_front.osdp-key' is used twice"),
        ({"door.0.reader.1": _camera("one"), "door.1.reader.1": _camera("two")}, "the file: the camera '0' is used twice"),
        (
            {"door.0.reader.0": _camera("one"), "door.0.reader.1": _camera("two", camera=1, socket="/run/tourlatch/one.sock")},
            "the file: door.0.one.socket and door.0.two.socket would both write /run/tourlatch/one.sock",
        ),
        (
            {"door.0.reader.1": _camera("one", socket="/run/" + "é" * 52)},
            f"door.0.reader.1.socket: a socket's path has at most 107 bytes; this one has 109 (it is '/run/{'é' * 52}')",
        ),
        (
            {"door.0.reader.1": _camera("one", socket="/run/" + "x" * 103)},
            f"door.0.reader.1.socket: a socket's path has at most 107 bytes; this one has 108 (it is '/run/{'x' * 103}')",
        ),
        (
            {"door.0.reader.1": _camera("one", user=" ")},
            "door.0.reader.1.user: must be the user that the camera's process runs as, usually tourlatch-camera (it is ' ')",
        ),
        (
            {"door.0.reader.1": _camera("one", width=2592, height=1944)},
            "door.0.reader.1: 2592 x 1944 is more than 2100000 pixels, too many to be searched for codes in time: 1920 x 1080 are not",
        ),
        ({"door.1.reader.1.name": "scanner"}, "the file: the reader name 'scanner' is used twice"),
        ({"door.0.lock": {"kind": "maglock"}}, 'door.0.lock: a maglock without power is open: it needs fails = "safe"'),
        ({"door.0.lock": {"relock": "opened"}}, 'door.0.lock: relock = "opened" needs mode = "hold": a pulse ends by time'),
        (
            {"door.1.lock": {"mode": "hold"}},
            'door.1: mode = "hold" needs a [door.contact]: without one nobody knows that the door was opened',
        ),
        (
            {"door.0.relay.pin": 14},
            "door.0: relay.pin: GPIO14 is driven by the board while it boots: take another, as systemd/WIRING.md says",
        ),
        (
            {"door.0.second_relay.pin": 0},
            "door.0: second_relay.pin: GPIO0 is driven by the board while it boots: take another, as systemd/WIRING.md says",
        ),
        (
            {"door.1.relay.pin": 2},
            "door.1: relay.pin: GPIO2 is pulled up on the board by 1.8 kΩ, which is the level that releases: take another",
        ),
        (
            {"door.0.second_relay.delay_s": 5.0},
            "door.0: second_relay.delay_s (5.0) lasts until the lock is locked again, 5.0 s later",
        ),
        (
            {
                "door.0.fire": {"driver": "played", "path": "/run/panel"},
                "door.1.fire": {"driver": "played", "path": "/run/panel", "debounce_ms": 50},
            },
            "the file: the file /run/panel is shared by front.fire and side.fire, so all their settings must be the same",
        ),
        ({"door.0.contact.held_warn_s": 61}, "door.0.contact: held_alarm_s (60) comes before held_warn_s (61)"),
        ({"door.0.hours": [{"opens": "9 o'clock", "closes": "18:00"}]}, None),
        (
            {"door.0.hours": [{"opens": "18:00", "closes": "09:00"}]},
            "door.0.hours.0: closes (09:00) is not after opens (18:00); hours over midnight are two tables",
        ),
        ({"door.0.hours": [{"days": ["mon", "mon"], "opens": "09:00", "closes": "18:00"}]}, "door.0.hours.0: the day 'mon' is used twice"),
        ({"door.0.hours": [{"days": [], "opens": "09:00", "closes": "18:00"}]}, None),
        ({"door.0.closed_on": ["Christmas"]}, None),
    ],
)
def test_fail__what_contradicts_itself(changes: dict[str, object], mistake: str | None) -> None:
    """Two things of a door, or of the board, that cannot both be so are one sentence that names them."""
    (found,) = _mistakes(changes)
    assert mistake is None or found == mistake


def test_ok__a_pin_that_the_board_pulls_to_the_safe_side() -> None:
    """GPIO2 is high while the board boots: a relay that is energised by low is off then; an expander's pins are its own affair."""
    _parse({"door.1.relay": {"driver": "gpio", "pin": 2, "active": "low"}})
    _parse({"door.1.relay": _line(14, chip=2), "door.0.relay": _line(17, chip=0)})


def test_fail__two_names_of_one_device(tmp_path: Path) -> None:
    """A scanner by its stable name and by the kernel's is one scanner."""
    (tmp_path / "ttyACM0").touch()
    (tmp_path / "by-id").symlink_to(tmp_path / "ttyACM0")
    second = {"driver": "serial", "name": "b", "port": str(tmp_path / "by-id")}
    (mistake,) = _mistakes({"door.0.reader.0.port": str(tmp_path / "ttyACM0"), "door.0.reader.1": second})
    assert mistake == f"the file: the port '{tmp_path}/ttyACM0' is used twice"


def test_ok__cameras_of_their_own() -> None:
    """Two cameras with an index and a socket each, the longest path that a socket can have, and the largest picture."""
    longest = "/run/" + "x" * 102
    _parse(
        {
            "door.0.reader.1": _camera("one", socket=longest, width=1920, height=1080),
            "door.1.reader.1": _camera("two", camera=1),
        }
    )


def test_ok__a_pin_of_another_chip_is_another_pin() -> None:
    """An expander's line 17 is not the header's, once both say whose they are."""
    _parse({"door.1.relay": _line(17, chip=2), "door.0.relay": _line(17, chip=0)})


def test_ok__hours_and_days_as_people_write_them() -> None:
    """Times as text or as TOML's own, days off as TOML's dates or as text; midnight is the end of the day."""
    hours = [{"days": ["sat"], "opens": time(9), "closes": "00:00"}]
    door = _parse({"door.0.hours": hours, "door.0.closed_on": [date(2026, 12, 25), "2027-01-01"]}).door[0]
    assert [(found.opens, found.closes) for found in door.hours] == [(time(9), time(0))]
    assert door.closed_on == (date(2026, 12, 25), date(2027, 1, 1))
