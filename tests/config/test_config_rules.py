"""Hours, closed days, pause and anti-passback: from the file to what the core takes, and every way to write them wrong."""

from __future__ import annotations

import tomllib
from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent import config
from agent.core.decide import AntiPassback, Rules, UncertainClock
from agent.core.hours import DailyHours, Hours
from agent.errors import ConfigError

WRITTEN = """
community_id = "4711"
time_zone = "America/Los_Angeles"
[rules]
grace_before_min = 5
grace_after_min = 10
admissions_per_door = 3
reentry_pause_s = 45
antipassback = "hard"
antipassback_min = 90
[clock]
tolerated_s = 7
when_uncertain = "admit"
[[door]]
name = "front"
closed_on = [2026-12-25, "2027-01-01"]
relay = { driver = "gpio", pin = 17, active = "low" }
reader = [{ driver = "serial", name = "front", port = "/dev/ttyACM0" }]
[[door.hours]]
days = ["mon", "fri"]
opens = "09:00"
closes = "12:30"
[[door.hours]]
opens = 14:00:00
closes = "00:00"
[[door]]
name = "side"
relay = { driver = "gpio", pin = 27, active = "high" }
reader = [{ driver = "serial", name = "side", port = "/dev/ttyACM1" }]
[[door]]
name = "gym"
closed_on = ["2026-12-25"]
relay = { driver = "gpio", pin = 22, active = "high" }
reader = [{ driver = "serial", name = "gym", port = "/dev/ttyACM3" }]
"""


def test_ok__the_core_takes_what_was_written() -> None:
    """Every number in the core's unit, hours by door, the end of the day as such, and a door without hours left out."""
    zone = ZoneInfo("America/Los_Angeles")
    tables = (DailyHours(frozenset({0, 4}), 540, 750), DailyHours(frozenset(range(7)), 840, 1440))
    settings = config.parse(tomllib.loads(WRITTEN), "agent.toml")
    assert settings.decision_rules() == Rules(
        community_id="4711",
        grace_before_ms=300_000,
        grace_after_ms=600_000,
        admissions_per_door=3,
        uncertain_clock=UncertainClock.ADMIT,
        tolerated_ms=7_000,
        reentry_pause_ms=45_000,
        antipassback=AntiPassback.HARD,
        antipassback_ms=5_400_000,
        hours={
            "front": Hours(zone, tables, frozenset({date(2026, 12, 25), date(2027, 1, 1)})),
            "gym": Hours(zone, (), frozenset({date(2026, 12, 25)})),
        },
    )


def test_ok__left_out_there_are_no_such_rules() -> None:
    """By default there is no pause, no anti-passback, and every door lets in at any time."""
    written = tomllib.loads(WRITTEN)
    del written["rules"]
    for door in written["door"]:
        door.pop("hours", None)
        door.pop("closed_on", None)
    rules = config.parse(written, "agent.toml").decision_rules()
    assert (rules.reentry_pause_ms, rules.antipassback, rules.hours) == (0, AntiPassback.OFF, {})


NO_TIME = 'this is no time of the day in whole minutes: write it like "09:00"'


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("hours.0.opens", "9 o'clock", NO_TIME),
        ("hours.0.opens", "24:00", NO_TIME),
        ("hours.0.opens", "09:00:30", NO_TIME),
        ("hours.0.closes", "12:00:00.5", NO_TIME),
        ("hours.0.opens", "09:00+01:00", NO_TIME),
        ("hours.0.opens", 540, NO_TIME),
        ("hours.0.opens", 9.5, NO_TIME),
        ("hours.0.opens", True, NO_TIME),
        ("hours.0.closes", "09:00", "closes (09:00) is not after opens (09:00)"),
        ("hours.0.closes", "02:00", "hours over midnight are two tables"),
        ("hours.0.days", [], "at least 1"),
        ("hours.0.days", ["mon", "mon"], "the day 'mon' is used twice"),
        ("hours.0.days", ["Mon"], "'mon'"),
        ("hours.0.from", "09:00", "there is no such key"),
        ("closed_on", ["2026-13-01"], "closed_on.0"),
        ("closed_on", ["Christmas"], "closed_on.0"),
        ("closed_on", [20261225], 'must be dates, written like "2026-12-25"'),
        ("closed_on", [1_800_000_000.0], 'must be dates, written like "2026-12-25"'),
    ],
)
def test_fail__a_mistake_is_told_with_its_place(place: str, value: object, told: str) -> None:
    """What is no time, no day or no date is never guessed at."""
    written = tomllib.loads(WRITTEN)
    *way, name = place.split(".")
    at: Any = written["door"][0]
    for step in way:
        at = at[int(step)] if step.isdigit() else at[step]
    at[name] = value
    with pytest.raises(ConfigError) as caught:
        config.parse(written, "agent.toml")
    (mistake,) = str(caught.value).splitlines()
    assert mistake.startswith("agent.toml: door.0.")
    assert told in mistake


@pytest.mark.parametrize(
    ("key", "value"),
    [("reentry_pause_s", -1), ("reentry_pause_s", 86_401), ("antipassback", "maybe"), ("antipassback_min", 0), ("antipassback_min", 1441)],
)
def test_fail__a_rule_out_of_bounds(key: str, value: object) -> None:
    """Each of the site's rules has bounds, and is named with its table."""
    written = tomllib.loads(WRITTEN)
    written["rules"][key] = value
    with pytest.raises(ConfigError, match=rf"agent\.toml: rules\.{key}: "):
        config.parse(written, "agent.toml")
