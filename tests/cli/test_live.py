"""`tourlatch status`, `events`, `unlock` and `lock`, asked of a running agent."""

from __future__ import annotations

import getpass
import json
import re
import signal
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from importlib import metadata
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agent import protocol
from agent.cli.live import _instant
from agent.demo.stage import Stage
from agent.store import files

Call = Callable[..., tuple[int, str, str]]
Play = Callable[..., Any]
Program = Callable[..., "subprocess.Popen[str]"]
GoodCode = Callable[..., str]
EVERY_NOTE = "SELECT seq, kind, door, detail FROM journal ORDER BY seq"


def released(stage: Stage) -> int:
    """How often the relay was released so far."""
    return stage.relay_log.read_text("ascii").count("released")


def notes(stage: Stage, kind: str) -> list[dict[str, Any]]:
    """The details of the journal's entries of a kind."""
    return [json.loads(row["detail"]) for row in files.rows(stage.folder / "journal.db", EVERY_NOTE) if row["kind"] == kind]


def until_locked(stage: Stage) -> None:
    """Wait for the end of a pulse."""
    deadline_s = time.monotonic() + 10
    while '"locked"' not in json.dumps(_status(stage)):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)


def _status(stage: Stage) -> Any:  # noqa: ANN401 - JSON
    return protocol.ask(stage.folder / "agent.sock", {"do": "status"})["doors"]["front"]["state"]


@pytest.fixture
def follower(program: Program, stage: Stage) -> subprocess.Popen[str]:
    """`events --follow` as a process that listens already."""
    process = program("events", "--follow", "-c", stage.config_path)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "listening"
    return process


def next_event(process: subprocess.Popen[str], kind: str) -> dict[str, Any]:
    """The next line that tells of an event of this kind."""
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        assert isinstance(event, dict)
        if event["event"] == kind:
            return event
    raise AssertionError(f"the agent told nothing of {kind}")


def test_status__is_one_json_value_with_every_part(stage: Stage, call: Call) -> None:
    """`status --json` is one object that tells of doors, readers, clock, keys, queue and link."""
    until_locked(stage)
    status, out, err = call("status", "-c", stage.config_path, "--json")
    found = json.loads(out)
    earliest, latest, up_s = found["clock"].pop("earliest_ms"), found["clock"].pop("latest_ms"), found.pop("up_s")
    assert earliest <= found.pop("at_ms") <= latest
    (key_id,) = found.pop("keys")
    assert (status, err) == (0, "")
    assert found.pop("outbox").keys() == {"due", "sending", "in_doubt", "dead", "doubts"}
    assert found.pop("knock").keys() == {"is_up", "failures", "sending"}
    # the machine that runs this may have NTP
    assert found.pop("clock")["state"] in ("trusted", "synchronised")
    assert found == {
        "ok": True,
        "version": metadata.version("tourlatch"),
        "community_id": "1001",
        "doors": {
            "front": {
                "state": "locked",
                "lock": "locked",
                "leaf": None,
                "fire": False,
                "tamper": False,
                "hold_open_until_ms": None,
                "second_relay": None,
                "inputs": {},
                "rex": None,
                "lamps": {},
                "readers": {"front-scanner": "ready"},
                "locked_out": {},
                "fault": None,
                "screen": None,
                "feed": None,
                "report": None,
            }
        },
        "unwritten": 0,
    }
    assert earliest < time.time() * 1000 < latest
    assert isinstance(up_s, int)
    assert re.fullmatch("[0-9a-f]{8}", key_id)


def test_status__for_people_tells_the_same(stage: Stage, call: Call) -> None:
    """Without --json there is a line for each part, times in the property's zone."""
    until_locked(stage)
    status, out, err = call("status", "-c", stage.config_path)
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert [line.partition(":")[0] for line in lines[1:]] == ["door front", "clock", "keys", "outbox"]
    assert re.fullmatch(rf"tourlatch {re.escape(metadata.version('tourlatch'))}, community 1001, up \d+ s", lines[0])
    assert lines[1] == "door front: locked; readers: front-scanner ready"
    assert re.fullmatch(
        r"clock: (trusted|synchronised), between \w+, \w+ \d+ at \d+:\d\d [AP]M and \w+, \w+ \d+ at \d+:\d\d [AP]M", lines[2]
    )


def test_unlock__is_journaled_with_who_and_why_before_the_relay_moves(stage: Stage, call: Call) -> None:
    """An unlock opens once, and its entry names the user and the reason and was written before the relay's release."""
    until_locked(stage)
    before, count = len(notes(stage, "unlock")), released(stage)
    status, out, err = call("unlock", "front", "--reason", "parcel für 204 B", "-c", stage.config_path)
    assert (status, out, err) == (0, "front is unlocked for 0.1 s.\n", "")
    assert notes(stage, "unlock")[before:] == [{"user": getpass.getuser(), "reason": "parcel für 204 B"}]
    assert released(stage) == count + 1
    until_locked(stage)
    assert stage.relay_level() == "locked"


def test_unlock__as_json_is_one_value(stage: Stage, call: Call) -> None:
    """`unlock --json` prints one object that names the door."""
    until_locked(stage)
    status, out, err = call("unlock", "front", "--reason", "drill", "--json", "-c", stage.config_path)
    assert (status, json.loads(out), err) == (0, {"unlocked": "front"}, "")


REASONS = ["", " ", "\t", "a\nb", "x" * 201, "\x1b[2J", "\u2028"]


@pytest.mark.parametrize("reason", REASONS, ids=[str(n) for n in range(len(REASONS))])
def test_unlock__without_a_reason_that_can_be_read_is_refused(reason: str, stage: Stage, call: Call) -> None:
    """An empty, blank, overlong or unprintable reason is refused, nothing is journaled and the relay does not move."""
    before, count = len(notes(stage, "unlock")), released(stage)
    sentence = "tourlatch: an unlock needs a reason of 1 to 200 characters\n"
    assert call("unlock", "front", "--reason", reason, "-c", stage.config_path) == (1, "", sentence)
    assert (len(notes(stage, "unlock")), released(stage)) == (before, count)


@pytest.mark.parametrize("door", ["back", "", "FRONT", "front ", "*", "front\n"])
def test_unlock__of_an_unknown_door_is_refused(door: str, stage: Stage, call: Call) -> None:
    """A door that the agent does not have is refused with the names of those that it has."""
    before, count = len(notes(stage, "unlock")), released(stage)
    sentence = f"tourlatch: there is no door {door!r}; there are: front\n"
    assert call("unlock", door, "--reason", "why", "-c", stage.config_path) == (1, "", sentence)
    assert (len(notes(stage, "unlock")), released(stage)) == (before, count)


def test_unlock__of_a_door_in_use_is_refused(stage: Stage, call: Call) -> None:
    """While the door is released a second unlock is refused with a sentence, and the pulse is not made longer."""
    until_locked(stage)
    count = released(stage)
    assert call("unlock", "front", "--reason", "one", "-c", stage.config_path)[0] == 0
    sentence = "tourlatch: the door front is in use: try again in a few seconds\n"
    assert call("unlock", "front", "--reason", "two", "-c", stage.config_path) == (1, "", sentence)
    assert released(stage) == count + 1


def test_unlock__through_a_configuration_that_has_moved_on(stage: Stage, call: Call) -> None:
    """A door that the running agent has and the file no longer has is opened, and told without a traceback."""
    until_locked(stage)
    moved = stage.folder / "moved.toml"
    moved.write_text(stage.config_path.read_text().replace('name = "front"', 'name = "lobby"'))
    status, out, err = call("unlock", "front", "--reason", "why", "-c", moved)
    assert (status, out, err) == (0, "front is unlocked.\n", "")


def test_lock__ends_a_pulse_at_once_and_is_journaled(stage: Stage, call: Call) -> None:
    """`lock` asks the running agent, which locks every door and writes down who asked."""
    until_locked(stage)
    before = len(notes(stage, "lock"))
    assert call("unlock", "front", "--reason", "drill", "-c", stage.config_path)[0] == 0
    assert call("lock", "-c", stage.config_path) == (0, "Locked: front.\n", "")
    assert stage.relay_level() == "locked"
    assert call("lock", "-c", stage.config_path, "--json") == (0, '{"locked": ["front"]}\n', "")
    deadline_s = time.monotonic() + 5
    while len(notes(stage, "lock")) < before + 2:
        assert time.monotonic() < deadline_s
    assert notes(stage, "lock")[before:] == [{"user": getpass.getuser()}] * 2


def test_events__recorded_are_one_json_value_a_line(stage: Stage, call: Call) -> None:
    """`events` prints the journal's last entries in their order, without what is empty, each a JSON object on its line."""
    until_locked(stage)
    call("unlock", "front", "--reason", "one", "-c", stage.config_path)
    until_locked(stage)
    status, out, err = call("events", "-c", stage.config_path, "--last", "100000")
    told = [json.loads(line) for line in out.splitlines()]
    assert (status, err) == (0, "")
    until = {"last": told[-1]["seq"]}  # the agent may have written more in the meantime
    rows = files.rows(stage.folder / "journal.db", "SELECT * FROM journal WHERE seq <= :last ORDER BY seq", until)
    stored = [{**row, "detail": json.loads(row["detail"])} for row in rows]
    assert told == [{name: value for name, value in row.items() if value is not None} for row in stored]
    status, out, err = call("events", "-c", stage.config_path, "--last", "1")
    assert (status, len(out.splitlines()), err) == (0, 1, "")


def test_events__followed_come_as_they_happen(stage: Stage, follower: subprocess.Popen[str], call: Call) -> None:
    """`events --follow` prints what happens at once, one JSON object a line."""
    until_locked(stage)
    call("unlock", "front", "--reason", "drill", "-c", stage.config_path)
    event = next_event(follower, "unlocked")
    assert event == {"event": "unlocked", "at_ms": event["at_ms"], "door": "front", "user": getpass.getuser()}
    ended = next_event(follower, "locked")
    assert ended == {"event": "locked", "at_ms": ended["at_ms"], "door": "front", "released_ms": ended["released_ms"], "by": "time"}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_events__followed_until_a_signal(number: signal.Signals, stage: Stage, follower: subprocess.Popen[str], call: Call) -> None:
    """Ctrl-C is how following ends: with 0, without a word, and the agent goes on; a SIGTERM ends it as it ends anything."""
    follower.send_signal(number)
    _, err = follower.communicate(timeout=10)
    assert (follower.returncode, err) == ((0, "") if number is signal.SIGINT else (-signal.SIGTERM, ""))
    assert call("status", "-c", stage.config_path)[0] == 0


def test_scan__is_told_to_who_follows_without_its_code(stage: Stage, follower: subprocess.Popen[str], good_code: GoodCode) -> None:
    """An admission is told with ids and numbers, and the code's text is nowhere in it."""
    until_locked(stage)
    code = good_code(31)
    stage.scan(code)
    event = next_event(follower, "admitted")
    told = {name: value for name, value in event.items() if name not in ("at_ms", "relay_ms")}
    where = {"door": "front", "reader": "front-scanner", "appointment_id": "31"}
    assert told == {"event": "admitted", **where, "units": ["101", "204 B"], "doors": ["front"], "first": True}
    assert code not in json.dumps(event)


@pytest.mark.parametrize(
    ("now", "until", "meant"),
    [
        ("2026-11-01T01:45:00-07:00", "01:30", "2026-11-01T01:30:00-08:00"),
        ("2026-11-01T01:15:00-07:00", "01:30", "2026-11-01T01:30:00-07:00"),
        ("2026-11-01T01:45:00-08:00", "01:30", "2026-11-02T01:30:00-08:00"),
        ("2026-06-01T17:29:00-07:00", "17:30", "2026-06-01T17:30:00-07:00"),
        ("2026-06-01T17:30:00-07:00", "17:30", "2026-06-02T17:30:00-07:00"),
    ],
)
def test_unlock__until_is_when_the_clocks_next_show_it(now: str, until: str, meant: str) -> None:
    """Also on the day on which they show it twice."""
    now_ms, meant_ms = (round(datetime.fromisoformat(text).timestamp() * 1000) for text in (now, meant))
    assert _instant(until, ZoneInfo("America/Los_Angeles"), now_ms) == meant_ms
