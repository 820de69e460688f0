"""One record is one line, and neither lines, events nor journal hold what is nobody's business."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from agent import protocol
from agent.core.clock import to_iso
from agent.demo.stage import TOUR_MINUTES, Stage
from agent.errors import AgentError
from agent.logs import _Lines
from agent.store import files

SPEAK = """
import logging, sys
from agent import logs
logs.set_up()
log = logging.getLogger("tourlatch")
log.debug("unheard")
log.info("admitted", extra={"facts": {"door": "front", "ms": 1.5, "nothing": None}})
log.warning("two\\nlines", extra={"facts": {"a": "b\\n<0>forged door=front", "c": "\\u2028\\x1b[2J", "e": "", "eq": "x=y"}})
log.error("link_down")
log.critical("cannot start", extra={"facts": {"because": 'it said "no"'}})
logging.getLogger("asyncio").info("chatter")
logging.getLogger("asyncio").warning("slow\\ntask")
try:
    raise ValueError("first\\nsecond")
except ValueError:
    log.exception("died")
"""
SPOKEN = [
    (6, "admitted door=front ms=1.5"),
    (4, r'"two\nlines" a="b\n<0>forged door=front" c="\u2028\u001b[2J" e="" eq="x=y"'),
    (3, "link_down"),
    (2, r'"cannot start" because="it said \"no\""'),
    (4, r'"slow\ntask" from=asyncio'),
]


def spoken(env: dict[str, str], stderr: Path | None = None) -> list[str]:
    """The lines that a program writes on stderr with these variables set; into a file if one is named."""
    everything = {**os.environ, **env}
    if stderr is None:
        done = subprocess.run([sys.executable, "-c", SPEAK], capture_output=True, text=True, check=True, env=everything)
        return done.stderr.split("\n")
    with stderr.open("w") as file:
        subprocess.run([sys.executable, "-c", SPEAK], stderr=file, check=True, env=everything)
    return stderr.read_text().split("\n")


def test_line__one_a_record_whatever_is_in_it(tmp_path: Path) -> None:
    """Line ends, quotes and control characters in a record are escaped, so nothing in it can pass for another line."""
    *lines, died, end = spoken({"JOURNAL_STREAM": ""}, tmp_path / "log")
    assert lines == [line for _, line in SPOKEN]
    assert died.startswith('died traceback="Traceback (most recent call last):\\n')
    assert died.endswith('ValueError: first\\nsecond"')
    assert end == ""


def test_priority__is_told_to_the_journal_alone(tmp_path: Path) -> None:
    """The priority stands before each line if stderr is the journal's own stream, and nowhere else, though the variable was inherited."""
    path = tmp_path / "log"
    path.touch()
    own = f"{path.stat().st_dev}:{path.stat().st_ino}"
    *lines, died, _ = spoken({"JOURNAL_STREAM": own}, path)
    assert lines == [f"<{priority}>{line}" for priority, line in SPOKEN]
    assert died.startswith("<3>died traceback=")
    for other in (f"{path.stat().st_dev}:{path.stat().st_ino + 1}", "", "8:1"):
        assert spoken({"JOURNAL_STREAM": other})[: len(SPOKEN)] == [line for _, line in SPOKEN]


@pytest.mark.parametrize("separator", ["\n", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029", "\x00"])
@pytest.mark.parametrize("where", ["message", "value", "logger", "traceback"])
def test_line__no_separator_gets_through_anywhere(separator: str, where: str) -> None:
    """No character that anything takes for a line's end stands in a line as it is, wherever it came in."""
    bad = f"a{separator}<0>b"
    error = ValueError(bad)
    record = logging.LogRecord(
        bad if where == "logger" else "tourlatch",
        logging.INFO,
        "path",
        1,
        bad if where == "message" else "word",
        None,
        (ValueError, error, None) if where == "traceback" else None,
    )
    record.facts = {"key": bad if where == "value" else "plain"}
    line = _Lines(with_priority=False).format(record)
    assert len(line.splitlines()) == 1
    assert separator not in line
    assert line.isascii()


GUEST = {"firstName": "Zebedee", "lastName": "Quixwell", "email": "zebedee@quixwell.example", "phoneNumber": "+15550199123"}


async def _book(stage: Stage, slot: int) -> dict[str, Any]:
    offered = await stage.knock("GET", "/community/1001/available-times?forSelfGuided=true")
    start = datetime.fromisoformat(offered["acceptableTimes"][slot])
    times = {"startTime": start.isoformat(), "endTime": (start + timedelta(minutes=TOUR_MINUTES)).isoformat()}
    body = {"communityId": "1001", "requestedTimes": [times], "tourType": "SELF_GUIDED", "profile": GUEST}
    booked = await stage.knock("POST", "/appointment/request", body)
    assert isinstance(booked, dict)
    return booked


async def _all_sorts(stage: Stage) -> list[str]:
    """Present codes of every sort, lock, try to unlock, and return what was scanned."""
    now_ms = int(time.time()) * 1000
    good = (to_iso(now_ms - 60_000), to_iso(now_ms + 600_000))
    booked = [await _book(stage, slot) for slot in range(2)]
    cancelled = stage.sign(booked[1], *good)
    entry = {"appointment_id": str(booked[1]["appointmentId"]), "standing": "cancelled"}
    await stage.ask({"do": "roster", "entries": [entry]})
    admitted = stage.sign(booked[0], *good)
    texts = [
        admitted,
        cancelled,
        stage.sign(booked[0], to_iso(now_ms - 90_000_000), to_iso(now_ms - 80_000_000)),
        stage.sign(booked[0], to_iso(now_ms + 80_000_000), to_iso(now_ms + 90_000_000)),
        stage.sign(booked[0], *good, doors=("back",)),
        stage.sign(booked[0], *good, community_id="1002"),
        admitted[:-3] + ("AA" if admitted[-3:-1] != "AA" else "BB") + ".",
        f"MAILTO:{GUEST['email']}",
        f"{GUEST['firstName']} {GUEST['lastName']} {GUEST['phoneNumber']}",
        "TL1:" + "Z" * 3000,
    ]
    for text in texts:
        stage.scan(text)
        await stage.event("admitted", "refused")
    await stage.ask({"do": "lock"})
    with contextlib.suppress(AgentError):
        await stage.ask({"do": "unlock", "door": "front", "reason": f"for {GUEST['email']}\n"})
    await stage.event("locked_by_staff")
    return texts


def _listen(stage: Stage, told: list[dict[str, Any]]) -> threading.Thread:
    """Keep every event that the agent tells until it stops."""

    def follow() -> None:
        with contextlib.suppress(AgentError):
            told.extend(protocol.stream(stage.folder / "agent.sock", {"do": "events"}))

    thread = threading.Thread(target=follow)
    thread.start()
    return thread


def test_secrets__no_code_no_key_and_no_person_is_in_log_journal_or_events(tmp_path: Path) -> None:
    """After scans of every sort, what was scanned, the keys, and a prospect's name, email and phone are in no line, event or entry."""
    events: list[dict[str, Any]] = []

    async def all_of_it() -> tuple[list[str], str]:
        stage = Stage(tmp_path, replace={"pulse_s = 0.5": "pulse_s = 0.1"})
        await stage.open()
        try:
            await stage.start_agent()
            listening = _listen(stage, events)
            texts = await _all_sorts(stage)
        finally:
            await stage.close()
        listening.join()
        return texts, stage.agent_log()

    texts, log = asyncio.run(all_of_it())
    reasons = {str(event["reason"]) for event in events if "reason" in event}
    expected = {"cancelled", "too_late", "too_early", "wrong_door", "wrong_community", "unreadable"}
    assert expected <= reasons
    assert reasons - expected <= {"bad_signature", "busy"}
    entries = files.rows(tmp_path / "journal.db", "SELECT * FROM journal")
    assert {"start", "admission", "refusal", "roster", "lock", "stop"} <= {entry["kind"] for entry in entries}
    secrets = [path.read_text().strip() for path in [*(tmp_path / "keys").glob("*.key"), *tmp_path.glob("*-key")]]
    assert len(secrets) == 3
    forbidden = [*texts, *(text[4:40] for text in texts), *(text[-40:-1] for text in texts), *secrets, *GUEST.values(), "QUIXWELL"]
    for told in (log, json.dumps(events), json.dumps(entries)):
        assert [word for word in forbidden if word.lower() in told.lower()] == []
    assert [line for line in log.splitlines() if not re.match(r'[\w"]', line)] == []
