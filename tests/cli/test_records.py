"""`tourlatch visits` and `outbox` beside a running agent: what waits is shown, and every change goes through the agent."""

from __future__ import annotations

import asyncio
import getpass
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.demo.stage import TOUR_MINUTES, Stage
from agent.errors import StoreBusyError
from agent.store import files

Call = Callable[..., tuple[int, str, str]]
Play = Callable[..., Any]
Visited = Callable[[int], list[str]]
KEYS = {
    *("visit_id", "appointment_id", "prospect_id", "visit_ms", "visit_time", "unit_names", "source_title", "knock_visit_id"),
    *("opened", "opened_ms", "delivered_ms", "dropped_ms", "state", "attempts", "doubts", "next_try_ms", "words"),
}
NOBODY = "0" * 32
OTHERS = "tourlatch: the others are not in the outbox, or are being sent just now\n"


def rows(call: Call, stage: Stage, *words: str) -> dict[str, dict[str, Any]]:
    """What `visits` or `outbox list` prints as one JSON list, by appointment."""
    status, out, err = call(*words, "--json", "-c", stage.config_path)
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert all(row.keys() == KEYS for row in found)
    return {row["appointment_id"]: row for row in found}


@pytest.fixture
def visited(stage: Stage, play: Play) -> Iterator[Visited]:
    """Have booked tours admitted, and their visits refused by Knock for good until the test ends; returns the appointments."""

    async def admit() -> str:
        offered = await stage.knock("GET", "/community/1001/available-times?forSelfGuided=true")
        start = datetime.fromisoformat(offered["acceptableTimes"][0])
        times = {"startTime": start.isoformat(), "endTime": (start + timedelta(minutes=TOUR_MINUTES)).isoformat()}
        profile = {"firstName": "A", "lastName": "B", "email": f"p{time.monotonic_ns()}@example.com"}
        body = {"communityId": "1001", "requestedTimes": [times], "tourType": "SELF_GUIDED", "profile": profile}
        booked = await stage.knock("POST", "/appointment/request", body)
        while (await stage.ask({"do": "status"}))["doors"]["front"]["state"] != "locked":  # noqa: ASYNC110 - asked over a socket
            await asyncio.sleep(0.01)
        now = datetime.now(UTC).replace(microsecond=0)
        stage.scan(stage.sign(booked, (now - timedelta(minutes=1)).isoformat(), (now + timedelta(minutes=9)).isoformat()))
        appointment = str(booked["appointmentId"])
        while (await stage.event("visit_refused"))["appointment_id"] != appointment:
            pass
        return appointment

    def several(count: int) -> list[str]:
        play(stage.admin("PUT", "/faults/visit", {"kind": "status", "status": 400}))
        return [play(admit()) for _ in range(count)]

    yield several
    play(stage.admin("DELETE", "/faults"))


@pytest.fixture
def gone(call: Call, stage: Stage) -> Callable[[str], dict[str, Any]]:
    """Wait until a visit has left the queue, and return its row."""

    def wait(appointment: str) -> dict[str, Any]:
        deadline_s = time.monotonic() + 10
        while (row := rows(call, stage, "visits")[appointment])["state"] is not None:
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        return row

    return wait


@pytest.fixture(autouse=True)
def untouched(stage: Stage) -> Iterator[None]:
    """After every test the agent still holds its store."""
    yield
    with pytest.raises(StoreBusyError), files.held(stage.folder / "journal.db"):
        pass


def test_queue__shows_a_dead_letter_with_knocks_words(visited: Visited, call: Call, stage: Stage) -> None:
    """A visit that Knock refused is in both lists, with its state and Knock's words, for programs and for people."""
    (one,) = visited(1)
    row = rows(call, stage, "outbox", "list")[one]
    told = {name: row[name] for name in ("appointment_id", "unit_names", "source_title", "state", "attempts", "doubts")}
    assert told == {
        "appointment_id": one,
        "unit_names": ["101", "204 B"],
        "source_title": "Property Website",
        "state": "dead",
        "attempts": 1,
        "doubts": 0,
    }
    assert row["words"].startswith("400: ")
    assert rows(call, stage, "visits")[one] == row
    for words in (("visits",), ("outbox", "list")):
        lines = call(*words, "-c", stage.config_path)[1].splitlines()
        (line,) = [line for line in lines if line.startswith(row["visit_id"])]
        assert line.endswith(f"  appointment {one}  101, 204 B  dead letter after 1 attempts: {row['words']}")


def test_export__writes_the_queue_a_line_a_visit(visited: Visited, call: Call, stage: Stage, tmp_path: Path) -> None:
    """`export` writes the same rows as `list`, one JSON object a line, to a file or to standard output."""
    visited(2)
    listed = list(rows(call, stage, "outbox", "list").values())
    status, out, err = call("outbox", "export", "-c", stage.config_path)
    assert (status, [json.loads(line) for line in out.splitlines()], err) == (0, listed, "")
    assert call("outbox", "export", "-c", stage.config_path, tmp_path / "queue.jsonl") == (0, "", "")
    assert (tmp_path / "queue.jsonl").read_text("utf-8") == out


def test_export__to_a_place_that_cannot_be_written(call: Call, stage: Stage, tmp_path: Path) -> None:
    """A file that cannot be written is a sentence, also when there is nothing to write."""
    status, out, err = call("outbox", "export", "-c", stage.config_path, tmp_path / "no" / "queue.jsonl")
    assert (status, out) == (1, "")
    assert err == f"Error: Could not open file '{tmp_path}/no/queue.jsonl': No such file or directory\n"


def test_export__of_an_empty_queue_empties_an_older_file(call: Call, site: Path) -> None:
    """A file of an earlier export does not stay as if it were the queue of today; one is not touched by a mistake."""
    file = site / "queue.jsonl"
    file.write_text('{"visit_id": "of yesterday"}\n')
    assert call("outbox", "export", "-c", site / "agent.toml", file)[0] == 1
    assert file.read_text() == '{"visit_id": "of yesterday"}\n'
    files.bring_up_to_date(site / "journal.db")
    assert call("outbox", "export", "-c", site / "agent.toml", file) == (0, "", "")
    assert file.read_text() == ""


def test_retry__sends_again_and_the_visit_keeps_knocks_id(
    visited: Visited, gone: Callable[[str], dict[str, Any]], call: Call, stage: Stage, play: Play
) -> None:
    """A dead letter that is retried is delivered once Knock takes it, exactly once."""
    (one,) = visited(1)
    visit_id = rows(call, stage, "outbox", "list")[one]["visit_id"]
    play(stage.admin("DELETE", "/faults"))
    assert call("outbox", "retry", visit_id, "-c", stage.config_path) == (0, "1 to be sent again.\n", "")
    row = gone(one)
    line = next(line for line in call("visits", "-c", stage.config_path)[1].splitlines() if line.startswith(visit_id))
    assert line.endswith(f"delivered as {row['knock_visit_id']}")
    received = play(stage.admin("GET", "/received?route=visit"))
    assert [str(sent["body"]["appointmentId"]) for sent in received].count(one) == 1
    assert call("outbox", "retry", visit_id, "--json", "-c", stage.config_path) == (1, '{"retried": 0}\n', OTHERS)


def test_retry__of_all_takes_every_dead_letter(
    visited: Visited, gone: Callable[[str], dict[str, Any]], call: Call, stage: Stage, play: Play
) -> None:
    """`--all` sends everything again that waits for a person, and says how much that was."""
    one, other = visited(2)
    dead = [row for row in rows(call, stage, "outbox", "list").values() if row["state"] == "dead"]
    play(stage.admin("DELETE", "/faults"))
    assert call("outbox", "retry", "--all", "--json", "-c", stage.config_path) == (0, json.dumps({"retried": len(dead)}) + "\n", "")
    assert gone(one)["knock_visit_id"] != gone(other)["knock_visit_id"]
    assert call("outbox", "retry", "--all", "-c", stage.config_path) == (0, "0 to be sent again.\n", "")


def test_drop__asks_first_and_a_no_drops_nothing(visited: Visited, call: Call, stage: Stage) -> None:
    """Without --yes it is asked; anything but a yes ends with 1 and leaves the visit where it is."""
    (one,) = visited(1)
    row = rows(call, stage, "outbox", "list")[one]
    for answer in ("n\n", "\n", ""):
        status, out, err = call("outbox", "drop", row["visit_id"], "-c", stage.config_path, stdin=answer)
        assert (status, out) == (1, "")
        assert err.startswith("Drop 1 visit(s) for good? [y/N]: ")
        assert err.endswith("Aborted!\n")
    assert rows(call, stage, "outbox", "list")[one] == row


def test_drop__with_a_yes_is_for_good_and_journaled(visited: Visited, call: Call, stage: Stage) -> None:
    """A dropped visit leaves the queue, stays among the visits, and the journal says who dropped it; JSON stays one value."""
    one, other = visited(2)
    queued = rows(call, stage, "outbox", "list")
    first, second = queued[one]["visit_id"], queued[other]["visit_id"]
    status, out, _ = call("outbox", "drop", first, "--json", "-c", stage.config_path, stdin="y\n")
    assert (status, json.loads(out)) == (0, {"dropped": [first]})
    assert call("outbox", "drop", first, second, NOBODY, "--yes", "-c", stage.config_path) == (1, "1 dropped.\n", OTHERS)
    assert not {one, other} & rows(call, stage, "outbox", "list").keys()
    row = rows(call, stage, "visits")[one]
    assert (row["state"], row["knock_visit_id"], row["dropped_ms"] is not None) == (None, None, True)
    assert f"{first}  " in call("visits", "-c", stage.config_path)[1]
    assert call("visits", "-c", stage.config_path)[1].count("  dropped\n") == 2
    found = files.rows(stage.folder / "journal.db", "SELECT detail FROM journal WHERE kind = 'drop' ORDER BY seq")
    told = [json.loads(note["detail"]) for note in found]
    assert told == [{"visit_id": visit_id, "user": getpass.getuser()} for visit_id in (first, second)]


def test_absent__visits_are_not_invented(call: Call, stage: Stage) -> None:
    """Ids that are in no outbox are refused with a sentence, and nothing is made of them."""
    before = rows(call, stage, "visits").keys()
    assert call("outbox", "retry", NOBODY, "-c", stage.config_path) == (1, "0 to be sent again.\n", OTHERS)
    assert call("outbox", "drop", "--yes", "x", "'; DROP TABLE visit; --", "-c", stage.config_path) == (1, "0 dropped.\n", OTHERS)
    assert rows(call, stage, "visits").keys() == before
    assert [row for row in rows(call, stage, "visits").values() if row["visit_id"] in (NOBODY, "x")] == []


def test_last__limits_the_visits_to_the_latest(visited: Visited, call: Call, stage: Stage) -> None:
    """`visits --last 1` prints the latest alone."""
    (one,) = visited(1)
    assert list(rows(call, stage, "visits", "--last", "1")) == [one]


def test_running__no_command_opens_the_store_for_writing(
    visited: Visited, call: Call, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While an agent runs, every change is made through it: the commands work with all ways of writing the store taken from them."""
    (one,) = visited(1)
    visit_id = rows(call, stage, "outbox", "list")[one]["visit_id"]
    for name in ("connect", "transaction", "files.held", "files.bring_up_to_date"):
        monkeypatch.delattr(f"agent.cli.records.{name}")
    changes = (("retry", "--all"), ("retry", visit_id), ("drop", "--yes", NOBODY))
    assert [call("outbox", *words, "-c", stage.config_path)[2] for words in changes] in (["", "", OTHERS], ["", OTHERS, OTHERS])
    monkeypatch.undo()
