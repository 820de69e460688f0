"""What a doorman looks at again, what he does not look at any more, and whom he leaves room for."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from agent.core import codes
from agent.core.tour import RosterEntry, Standing
from agent.daemon.doorman import MAX_WAITING_JUNK, STALE_S, Scan
from agent.store import upkeep
from agent.store.journal import Known
from drivers.base import Frame
from tests.daemon.world import NOW_MS, World, issued

SECOND = issued(appointment_id="78", code_id="0102030405bb")


def test_granted__a_code_held_up_through_a_busy_door(world: World) -> None:
    """Whoever keeps holding the code up after `busy` is let in once the door is free: the scanner's repeats are looked at again."""
    world.scan(issued())
    world.scan(SECOND)
    world.wait_locked()
    for _ in range(6):
        world.scan(SECOND, after_s=0.5)
    assert world.reasons() == ["granted", "busy", "granted"]


def test_denied__a_settled_refusal_is_told_once_however_long_the_code_is_held_up(world: World) -> None:
    """Repeats of a refusal that stands are one scan, for as long as they go on."""
    for _ in range(12):
        world.scan("GARBAGE", after_s=0.5)
    assert world.reasons() == ["unreadable"]


def test_denied__a_scan_that_waited_too_long(world: World) -> None:
    """A code that could not be looked at for ten seconds does not open: nobody may be there any more."""
    shown_ns = time.monotonic_ns() - round((STALE_S + 1) * 1e9)
    world.doorman.present(Scan("front", "scanner", Frame(issued().encode(), shown_ns)))
    world.settle()
    assert world.reasons() == ["busy"]
    assert world.line.events == ["locked"]


def test_granted__an_honest_code_in_a_flood_of_junk(world: World) -> None:
    """Junk may not take all the places in a reader's queue."""
    now_ns = time.monotonic_ns()
    with world.journal.gate:
        world.doorman.present(Scan("front", "scanner", Frame(SECOND.replace("7", "8").encode(), now_ns)))
        time.sleep(0.1)  # the doorman waits for the gate with this one
        taken = [world.doorman.present(Scan("front", "scanner", Frame(b"JUNK %d" % number, now_ns))) for number in range(20)]
        assert world.doorman.present(Scan("front", "scanner", Frame(issued().encode(), now_ns)))
    assert taken == [True] * MAX_WAITING_JUNK + [False] * (20 - MAX_WAITING_JUNK)
    world.settle()
    assert world.reasons()[-1] == "granted"


def test_granted__what_did_not_open_uses_nothing_up(world: World) -> None:
    """After three admissions that the relay did not act on, the prospect has both of the allowed ones left."""
    world.line.is_broken = True
    for _ in range(3):
        world.scan(issued())
        world.upkeep.submit(lambda _conn: None).result(5)
    world.line.is_broken = False
    for _ in range(3):
        world.scan(issued())
        world.wait_locked()
    assert world.reasons() == ["relay_failed"] * 3 + ["granted"] * 2 + ["used_up"]


def test_granted__a_genuine_code_ends_a_row_of_guesses(world: World) -> None:
    """Two guesses, a genuine code and two guesses more are no lockout, for three in a row are needed."""
    for text in ("GUESS 1", "GUESS 2", issued(), "GUESS 3", "GUESS 4"):
        world.scan(text)
    assert world.reasons() == ["unreadable", "unreadable", "granted", "unreadable", "unreadable"]


def test_a_cancel_is_heard_before_the_facts_or_after_the_admission(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the facts and the admission no news gets in: what was decided is what is written."""
    facts = world.journal.facts
    heard: list[bool] = []

    def slow_facts(appointment_id: str, door: str) -> Known:
        found = facts(appointment_id, door)
        news = world.upkeep.submit(lambda conn: upkeep.apply_roster(conn, [RosterEntry("77", Standing.CANCELLED)], NOW_MS))
        done = threading.Event()
        news.add_done_callback(lambda _news: done.set())
        heard.append(done.wait(0.3))
        return found

    monkeypatch.setattr(world.journal, "facts", slow_facts)
    world.scan(issued())
    monkeypatch.undo()
    world.wait_locked()
    world.scan(issued())
    assert heard == [False]
    assert world.reasons() == ["granted", "cancelled"]


def test_the_prefix_is_all_that_is_looked_at_before_the_queue(tmp_path: Path) -> None:
    """Whatever begins like a tour code is no junk, and is refused by the decision instead."""
    world = World(tmp_path)
    world.scan((codes.PREFIX + b"NOT A CODE").decode())
    assert world.reasons() == ["unreadable"]
    world.close()
