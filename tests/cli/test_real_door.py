"""A real door from outside: the agent as a process, its inputs moved, and what the command line and the events then say."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent.demo.stage import Stage
from agent.store import files

Call = Callable[..., tuple[int, str, str]]
Play = Callable[..., Any]
GoodCode = Callable[..., str]
LIMIT_S = 20
LINES = """
[door.contact]
driver = "played"
path = "{0}/contact"
[door.rex]
driver = "played"
path = "{0}/rex"
[door.fire]
driver = "played"
path = "{0}/fire"
[door.tamper]
driver = "played"
path = "{0}/tamper"
[door.second_relay]
driver = "played"
path = "{0}/bell"
delay_s = 0.1
[door.feedback]
red = {{ driver = "played", path = "{0}/red" }}
"""


def lines(folder: Path) -> dict[str, str]:
    """What to replace in the demo's configuration, so that its door has all of them."""
    last = f'port = "{folder}/scanner" }}]'
    return {last: last + LINES.format(folder)}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, play: Play) -> Iterator[Stage]:
    """A running agent whose door has every line, and may be held unlocked for an hour."""
    folder = tmp_path_factory.mktemp("real-door")
    changes = {"pulse_s = 0.5": "pulse_s = 1.0", "[rules]": "[rules]\nhold_open_max_min = 60", **lines(folder)}
    made = Stage(folder, replace=changes)
    play(made.open())
    try:
        play(made.start_agent())
        yield made
    finally:
        play(made.close())


@pytest.fixture(autouse=True)
def at_rest(stage: Stage, call: Call) -> None:
    """Every test begins with a door that is shut and locked, and no alarm."""
    for name in ("contact", "rex", "fire", "tamper"):
        (stage.folder / name).write_bytes(b"0")
    until(lambda: not facts(stage)["fire"] and facts(stage)["leaf"] == "shut" and not facts(stage)["tamper"])
    call("lock", "-c", stage.config_path)
    until(lambda: facts(stage)["lock"] == "locked")


def until(holds: Callable[[], bool]) -> None:
    """Wait for something to hold."""
    deadline_s = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


def facts(stage: Stage) -> dict[str, Any]:
    """What the agent says of the door."""
    from agent import protocol

    found: dict[str, Any] = protocol.ask(stage.folder / "agent.sock", {"do": "status"})["doors"]["front"]
    return found


def move(stage: Stage, name: str, level: int) -> None:
    """Set a played input."""
    (stage.folder / name).write_bytes(b"%d" % level)


def status(call: Call, stage: Stage) -> list[str]:
    """The lines of `tourlatch status` on the door."""
    code, out, err = call("status", "-c", stage.config_path)
    assert (code, err) == (0, "")
    return [line for line in out.splitlines() if line.startswith(("door", "  lines"))]


def kinds(stage: Stage) -> list[str]:
    """The journal's kinds so far."""
    return [row["kind"] for row in files.rows(stage.folder / "journal.db", "SELECT kind FROM journal ORDER BY seq")]


def test_status__tells_of_every_line(stage: Stage, call: Call) -> None:
    """The lock, the leaf, each input and the second relay, in words and as JSON."""
    assert status(call, stage) == [
        "door front: locked, shut; readers: front-scanner ready",
        "  lines: contact ready, rex ready, fire ready, tamper ready, second relay ready",
    ]
    found = json.loads(call("status", "--json", "-c", stage.config_path)[1])["doors"]["front"]
    told = {"lock": "locked", "leaf": "shut", "fire": False, "tamper": False, "hold_open_until_ms": None, "second_relay": "ready"}
    assert {name: found[name] for name in told} == told
    assert found["inputs"] == dict.fromkeys(("contact", "rex", "fire", "tamper"), "ready")


def test_visit__from_the_scan_to_the_opened_door(stage: Stage, call: Call, play: Play, good_code: GoodCode) -> None:
    """An admission, the bell, the opening, and `visits` says when; one whose door nobody opens says so."""
    stage.scan(good_code(501))
    play(stage.event("admitted"))
    move(stage, "contact", 1)
    opened = play(stage.event("opened"))
    assert (opened["door"], opened["appointment_id"]) == ("front", "501")
    move(stage, "contact", 0)
    play(stage.event("shut"))
    until(lambda: facts(stage)["lock"] == "locked")
    until(lambda: "released" in (stage.folder / "bell.log").read_text("ascii"))
    stage.scan(good_code(502))
    play(stage.event("not_opened"))
    found = {row["appointment_id"]: row for row in json.loads(call("visits", "--json", "-c", stage.config_path)[1])}
    assert [found["501"]["opened"], found["502"]["opened"]] == [True, False]
    assert found["502"]["opened_ms"] is None
    told = call("visits", "-c", stage.config_path)[1].splitlines()
    at = datetime.fromtimestamp(found["501"]["opened_ms"] / 1000, ZoneInfo("America/Los_Angeles"))
    assert [line for line in told if f"opened {at:%H:%M}" in line and "appointment 501" in line]
    assert [line for line in told if "not opened" in line and "appointment 502" in line]


def test_alarms__forced_and_tamper(stage: Stage, call: Call, play: Play) -> None:
    """A door that is forced, and a housing that is opened, are told, shown by `status` and journaled."""
    move(stage, "tamper", 1)
    play(stage.event("tamper"))
    move(stage, "contact", 1)
    while play(stage.event("forced", "opened"))["event"] == "opened":  # somebody may have been let in a moment ago
        move(stage, "contact", 0)
        play(stage.event("shut"))
        move(stage, "contact", 1)
    assert status(call, stage)[0] == "door front: locked, FORCED open, TAMPER; readers: front-scanner ready"
    move(stage, "contact", 0)
    play(stage.event("secured"))
    assert {"tamper", "forced", "secured"} <= set(kinds(stage))


def test_fire__releases_and_nothing_locks_against_it(stage: Stage, call: Call, play: Play) -> None:
    """`lock` says that it locked nothing; `status` says why; the end of the fire locks."""
    move(stage, "fire", 1)
    play(stage.event("fire"))
    assert stage.relay_level() == "released"
    said = "tourlatch: in fire, against which nothing locks: front\n"
    assert call("lock", "-c", stage.config_path) == (1, "", said)
    assert call("lock", "--json", "-c", stage.config_path) == (1, '{"locked": [], "in_fire": ["front"]}\n', said)
    assert stage.relay_level() == "released"
    assert status(call, stage)[0] == "door front: released by fire, shut; readers: front-scanner ready"
    code, _, err = call("unlock", "front", "--until", "+5m", "--reason", "party", "-c", stage.config_path)
    assert (code, "released by fire" in err) == (1, True)
    move(stage, "fire", 0)
    play(stage.event("fire_over"))
    assert stage.relay_level() == "locked"


@pytest.mark.parametrize("form", ["minutes", "clock"])
def test_unlock__until_a_time(stage: Stage, call: Call, play: Play, form: str) -> None:
    """`--until` takes minutes or a time of the day at the property; `status` says until when, and `lock` ends it."""
    meant = datetime.now(ZoneInfo("America/Los_Angeles")) + timedelta(minutes=30)
    until_text = "+30m" if form == "minutes" else f"{meant:%H:%M}"
    code, out, err = call("unlock", "front", "--until", until_text, "--reason", "open house", "-c", stage.config_path)
    assert (code, err) == (0, "")
    assert out.startswith("front is held unlocked until ")
    until_ms = play(stage.event("hold_open"))["until_ms"]
    assert abs(until_ms / 1000 - meant.timestamp()) <= 61
    assert facts(stage)["hold_open_until_ms"] == until_ms
    assert stage.relay_level() == "released"
    assert status(call, stage)[0].startswith("door front: held unlocked until ")
    assert call("lock", "-c", stage.config_path) == (0, "Locked: front.\n", "")
    assert play(stage.event("hold_open_over"))["by"] == "lock"
    assert stage.relay_level() == "locked"


@pytest.mark.parametrize(
    ("until_text", "exit_code", "words"),
    [
        ("tomorrow", 2, "'tomorrow' is neither a time like 17:30 nor a number of minutes like +30m"),
        ("25:00", 2, "neither a time"),
        ("+61m", 1, "at most 60 minutes"),
        ("+0m", 1, "is over"),
    ],
)
def test_unlock__until_what_may_not_be(stage: Stage, call: Call, until_text: str, exit_code: int, words: str) -> None:
    """A sentence, a status, and a relay that did not move."""
    count = stage.relay_log.read_text("ascii").count("released")
    code, out, err = call("unlock", "front", "--until", until_text, "--reason", "why", "-c", stage.config_path)
    assert (code, out) == (exit_code, "")
    assert words in err
    assert stage.relay_log.read_text("ascii").count("released") == count


def test_input__that_is_lost_and_comes_back(stage: Stage, call: Call, play: Play) -> None:
    """`status` names it; the door goes on, and it heals by itself."""
    contact: Path = stage.folder / "contact"
    contact.unlink()
    assert play(stage.event("input_lost"))["input"] == "contact"
    assert status(call, stage) == [
        "door front: locked, nobody knows whether it is shut; readers: front-scanner ready",
        "  lines: contact lost, rex ready, fire ready, tamper ready, second relay ready",
    ]
    contact.write_bytes(b"0")
    assert play(stage.event("input_back"))["input"] == "contact"
    until(lambda: facts(stage)["leaf"] == "shut")


def test_lamp__tells_a_refusal_apart_from_a_grant(stage: Stage, play: Play, good_code: GoodCode) -> None:
    """The red lamp flashes three times for a code that opens nothing, and not for one that does."""

    def flashes() -> int:
        return (stage.folder / "red.log").read_text("ascii").count("released")

    before = flashes()
    stage.scan(good_code(601))
    play(stage.event("admitted"))
    until(lambda: facts(stage)["lock"] == "locked")
    assert flashes() == before
    stage.scan("GARBAGE")
    play(stage.event("refused"))
    until(lambda: flashes() == before + 3)


def test_agent__that_dies_in_fire_comes_back_released(tmp_path: Path, call: Call) -> None:
    """Killed during fire and started again, the agent never drives the line locked; stopped in fire, it leaves it released.

    So does `tourlatch lock`, which systemd has run after it, and which says so but does not fail.
    """
    made = Stage(tmp_path, replace=lines(tmp_path))

    async def play_it() -> None:
        await made.open()
        try:
            await made.start_agent()
            (tmp_path / "fire").write_bytes(b"1")
            await made.event("fire")
            before = made.relay_log.read_text("ascii")
            await made.kill_agent()
            await made.start_agent()
            assert made.relay_level() == "released"
            told = await made.ask({"do": "status"})
            assert told["doors"]["front"]["lock"] == "fire"
        finally:
            await made.close()
        after = made.relay_log.read_text("ascii").removeprefix(before)
        assert "locked" not in after
        assert made.relay_level() == "released"

    asyncio.run(play_it())
    assert call("lock", "-c", made.config_path) == (0, "", "tourlatch: in fire, against which nothing locks: front\n")
    assert made.relay_level() == "released"
