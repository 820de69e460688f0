"""The way of a scan: read, decided, written, acted on."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from agent.core import codes
from agent.core.reasons import Reason
from agent.core.tour import RosterEntry, Standing
from agent.daemon.doorman import MAX_WAITING_PER_READER, Scan, StaffUnlock
from agent.daemon.ways import Hold
from agent.store import files, upkeep
from agent.store.journal import Note
from drivers.base import Frame
from tests.daemon.world import NOW_MS, World, issued


def test_granted__the_admission_is_written_before_the_relay_moves(world: World) -> None:
    """At the instant of the release, another process finds the admission and the outbox row on disk (promise P2)."""
    outcome = world.scan(issued())
    assert outcome is not None
    assert outcome.denied is None
    assert world.line.found == [("admission", 1)]
    world.wait_locked()
    assert world.line.events == ["locked", "released", "locked"]


def test_denied__what_cannot_be_written_does_not_open(world: World) -> None:
    """With a full disk the door stays shut and says so, and opens again when there is room."""
    pages = world.journal._conn.execute("PRAGMA page_count").fetchone()[0]
    world.journal._conn.execute(f"PRAGMA max_page_count = {pages}")
    big = issued(unit_names=tuple("u" * 40 for _ in range(12)))
    outcomes = [world.scan(big)]
    while outcomes[-1] is not None and outcomes[-1].denied is None:
        world.wait_locked()
        number = str(len(outcomes) + 100)
        outcomes.append(world.scan(issued(appointment_id=number, unit_names=tuple("u" * 40 for _ in range(12)))))
    last = outcomes[-1]
    assert last is not None
    assert last.denied is not None
    assert last.denied.reason is Reason.STORE_FAILED
    assert world.line.events.count("released") == len(outcomes) - 1
    world.journal._conn.execute("PRAGMA max_page_count = 1000000")
    assert world.scan(issued(appointment_id="9999")) is not None
    assert world.reasons()[-1] == "granted"


def test_denied__a_relay_that_does_not_move_is_told_and_journaled(world: World) -> None:
    """The admission stands in the journal, and so does the fault; the door is free again."""
    world.line.is_broken = True
    world.scan(issued())
    world.line.is_broken = False
    assert world.reasons() == ["relay_failed"]
    assert world.journaled() == [("admission", None), ("refusal", "relay_failed")]
    world.scan(issued())
    assert world.reasons()[-1] == "granted"


def test_denied__a_code_that_was_cancelled_in_the_meantime(world: World) -> None:
    """After a cancel was heard, the code is dead at once and for good (promise P5)."""
    news = [RosterEntry("77", Standing.CANCELLED)]
    world.upkeep.submit(lambda conn: upkeep.apply_roster(conn, news, NOW_MS)).result(5)
    world.scan(issued())
    assert world.reasons() == ["cancelled"]
    assert world.line.events == ["locked"]


def test_denied__a_code_used_as_often_as_allowed(world: World) -> None:
    """Two admissions are allowed here; the third is refused, and there is one visit."""
    for _ in range(3):
        world.scan(issued())
        world.wait_locked()
    assert world.reasons() == ["granted", "granted", "used_up"]
    assert files.rows(world.store, "SELECT appointment_id, source_title FROM visit") == [
        {"appointment_id": "77", "source_title": "Website"}
    ]


def test_repeats_of_one_scan_count_once(world: World) -> None:
    """A scanner that sends the code again while it is held up admits once, and tells once."""
    world.scan(issued())
    assert [world.scan(issued(), after_s=0.3) for _ in range(5)] == [None] * 5
    assert world.reasons() == ["granted"]


def test_the_code_for_which_the_door_is_open_is_not_told_off(world: World) -> None:
    """While the lock is released for a code, the same code says nothing new, and uses nothing up."""
    world.scan(issued())
    assert world.scan(issued()) is None
    assert world.scan(issued(), reader="other") is None
    assert world.line.events.count("released") == 1


def test_denied__another_code_while_the_door_is_in_use(world: World) -> None:
    """A second prospect during a pulse is asked to wait, nothing is written for her, and then she is admitted."""
    second = issued(appointment_id="78", code_id="0102030405bb")
    world.scan(issued())
    world.scan(second)
    world.wait_locked()
    world.scan(second)
    assert world.reasons() == ["granted", "busy", "granted"]


def test_denied__guessing_is_locked_out_and_the_next_honest_prospect_is_not(world: World) -> None:
    """After three wrong ones the reader answers `locked_out`, journals that once, and still admits a genuine code."""
    for number in range(6):
        world.scan(f"GUESS {number}")
    world.scan(issued())
    assert world.reasons() == ["unreadable"] * 3 + ["locked_out"] * 3 + ["granted"]
    assert [kind for kind, _ in world.journaled()].count("lockout") == 1
    assert ("refusal", "locked_out") not in world.journaled()


def test_one_readers_lockout_is_not_anothers(world: World) -> None:
    """Guessing at one reader leaves the other one as it was."""
    for number in range(4):
        world.scan(f"GUESS {number}")
    world.scan("GUESS", reader="other")
    assert world.reasons()[-2:] == ["locked_out", "unreadable"]


def test_ok__lockouts_are_told_with_how_long_they_last(world: World) -> None:
    """Of the readers that are asked for, and of those only what goes on."""
    assert world.doorman.lockouts(["scanner", "other", "nobody"]) == {}
    for number in range(3):
        world.scan(f"GUESS {number}")
    assert list(world.doorman.lockouts(["scanner", "other", "nobody"])) == ["scanner"]
    assert 0 < world.doorman.lockouts(["scanner"])["scanner"] <= world.doorman._lockout_rules.lock_s
    assert world.doorman.lockouts(["other"]) == {}


def test_an_overlong_frame_is_unreadable(world: World) -> None:
    """What a reader threw away as too long is refused, not forgotten."""
    assert world.doorman.present(Scan("front", "scanner", Frame(b"", time.monotonic_ns(), overlong=True)))
    world.settle()
    assert world.reasons() == ["unreadable"]


def test_a_flood_is_bounded(world: World) -> None:
    """A reader has at most a few scans waiting; more are not taken, and the doorman is well."""
    with world.journal.gate:
        assert world.doorman.present(Scan("front", "scanner", Frame(issued().encode(), time.monotonic_ns())))
        time.sleep(0.1)  # the doorman waits for the gate with the first one
        taken = [world.doorman.present(Scan("front", "scanner", Frame(codes.PREFIX + b"%d" % n, 0))) for n in range(20)]
    assert taken == [True] * MAX_WAITING_PER_READER + [False] * (20 - MAX_WAITING_PER_READER)
    world.settle()
    assert world.doorman.is_well()


def test_staff_unlock_is_journaled_before_the_relay_moves(world: World) -> None:
    """Who and why are on disk first."""
    world.doorman.unlock(StaffUnlock("front", "ana", "plumber")).result(5)
    assert world.line.found == [("unlock", 0)]
    rows = files.rows(world.store, "SELECT detail FROM journal")
    assert rows == [{"detail": '{"user": "ana", "reason": "plumber"}'}]


def test_denied__staff_unlock_of_a_door_in_use(world: World) -> None:
    """Staff are asked to wait, too."""
    world.scan(issued())
    with pytest.raises(RuntimeError, match="in use"):
        world.doorman.unlock(StaffUnlock("front", "ana", "plumber")).result(5)


def test_denied__nothing_opens_after_the_stop(world: World) -> None:
    """A stopped door refuses a genuine code, and its line was driven locked before it was given back."""
    world.door.stop()
    world.scan(issued())
    assert world.reasons() == ["busy"]
    assert world.line.events == ["locked", "locked", "closed"]


def test_a_stop_during_the_commit_keeps_the_door_shut(world: World) -> None:
    """When the agent is told to stop while an admission is being written, the relay does not move any more."""
    with world.journal.gate:
        world.doorman.present(Scan("front", "scanner", Frame(issued().encode(), time.monotonic_ns())))
        time.sleep(0.1)
        world.door.stop()
    world.settle()
    assert "released" not in world.line.events


def test_an_order_to_lock_ends_a_pulse(world: World) -> None:
    """`lock` during a pulse locks now, and the door is free again."""
    world.scan(issued())
    world.door.lock()
    assert world.line.events[-1] == "locked"
    world.wait_locked()


def test_the_doormans_death_is_told(tmp_path: Path) -> None:
    """What kills the thread reaches the agent, which has to die with it."""
    world = World(tmp_path)
    world.journal.facts = None  # type: ignore[method-assign, assignment]  # whatever nobody thought of
    world.doorman.present(Scan("front", "scanner", Frame(issued().encode(), time.monotonic_ns())))
    with pytest.raises(TypeError):
        world.doorman.death.result(5)
    assert not world.doorman.is_well()
    world.close()


def test_no_word_of_sql_waits_longer_than_it_must(world: World) -> None:
    """A scan's path runs one transaction, and counts nothing."""
    said: list[str] = []
    world.journal._conn.set_trace_callback(said.append)
    world.scan(issued())
    world.journal._conn.set_trace_callback(None)
    assert said.count("COMMIT") == 1
    assert not [sql for sql in said if "count(" in sql.lower()]


@pytest.mark.parametrize(("event", "why"), [("fire", "there is fire"), ("stop", "the agent stops")])
def test_denied__an_order_to_hold_that_does_not_come_about_is_taken_back_in_the_journal(
    world: World, monkeypatch: pytest.MonkeyPatch, event: str, why: str
) -> None:
    """What is written before it is done, and then is not, has its end in the journal, and whoever asked hears why."""
    _while_written(world, monkeypatch, event)
    hold = Hold(time.monotonic_ns() + 60_000_000_000, NOW_MS + 60_000)
    with pytest.raises(RuntimeError, match=f"the door front is not held unlocked: {why}"):
        world.doorman.unlock(StaffUnlock("front", "ana", "party", hold)).result(5)
    assert [kind for kind, _ in world.journaled()] == ["hold_open", "hold_open_over"]
    (over,) = files.rows(world.store, "SELECT detail FROM journal WHERE kind = 'hold_open_over'")
    assert over["detail"] == json.dumps({"by": event})


def test_denied__an_unlock_during_the_stop_is_no_success(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay is gone by then: nothing moved, the journal says so, and so does the answer."""
    _while_written(world, monkeypatch, "stop")
    with pytest.raises(RuntimeError, match="the door front is not unlocked: the agent stops"):
        world.doorman.unlock(StaffUnlock("front", "ana", "plumber")).result(5)
    assert [kind for kind, _ in world.journaled()] == ["unlock", "unlock_over"]
    assert "released" not in world.line.events


def _while_written(world: World, monkeypatch: pytest.MonkeyPatch, event: str) -> None:
    """Have something happen between an order's entry and its deed."""
    write = world.journal.write

    def then(note: Note) -> int:
        seq = write(note)
        if event == "stop":
            world.door.stop()
        else:
            world.door.fire(is_on=True, at_ns=time.monotonic_ns())
        return seq

    monkeypatch.setattr(world.journal, "write", then)
