"""The way of a scan: read, decided, written, acted on; with a real store, a real relay policy and a recording line."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.core import codes, signature
from agent.core.clock import ClockRules, Reading, Trust
from agent.core.decide import Rules, UncertainClock
from agent.core.lockout import LockoutRules
from agent.core.reasons import Reason
from agent.core.tour import RosterEntry, Standing, TourCode, Window
from agent.daemon.door import Door
from agent.daemon.doorman import MAX_WAITING_PER_READER, REPEAT_S, Doorman, Outcome, Scan, StaffUnlock
from agent.store import files, upkeep
from agent.store.journal import Journal
from agent.timekeeping import DoorClock
from drivers.base import DriverError, Frame
from drivers.fake import PlayedLine
from drivers.relay import PulsedRelay

SEED = bytes(range(32))
PUBLIC = signature.public_key(SEED)
NOW_MS = 1_790_000_000_000
PULSE_S = 0.15
CODE = TourCode(
    code_id="0102030405aa",
    appointment_id="77",
    prospect_id="5",
    community_id="1001",
    doors=("front",),
    unit_names=("101",),
    window=Window(NOW_MS - 60_000, NOW_MS + 600_000),
    key_id=signature.key_id(PUBLIC).hex(),
)


class WatchedLine(PlayedLine):
    """A line that, when it is released, notes what another process would then find in the store, and can refuse."""

    def __init__(self, store: Path) -> None:
        super().__init__(None)
        self._store = store
        self.found: list[tuple[str, int]] = []
        self.is_broken = False

    def drive(self, *, released: bool) -> None:
        """Look into the store, then move."""
        if released and self.is_broken:
            raise DriverError("played relay: the board does not answer")
        if released:
            rows = files.rows(self._store, "SELECT (SELECT count(*) FROM outbox) AS queued, kind FROM journal ORDER BY seq DESC LIMIT 1")
            self.found.append((rows[0]["kind"], rows[0]["queued"]))
        super().drive(released=released)


class World:
    """A doorman with everything he needs; `outcomes` are what he told, in order."""

    def __init__(self, folder: Path) -> None:
        self.store = folder / "journal.db"
        files.bring_up_to_date(self.store)
        gate = threading.RLock()
        self.journal = Journal(self.store, gate)
        self.upkeep = upkeep.Upkeep(self.store, gate)
        self.line = WatchedLine(self.store)
        self.faults: list[Exception] = []
        self.relay = PulsedRelay(self.line, max_s=1.0, on_fault=self.faults.append)
        self.door = Door("front", self.relay, PULSE_S, lambda _name, _pulse: None)
        stopped = Door(
            "stopped", PulsedRelay(PlayedLine(None), max_s=1.0, on_fault=self.faults.append), PULSE_S, lambda _name, _pulse: None
        )
        stopped.stop()
        self.outcomes: list[Outcome] = []
        clock = DoorClock(lambda: Reading(NOW_MS, time.monotonic_ns(), is_synchronised=True, error_ms=50), ClockRules(Trust.NTP), 0)
        allowed = Rules("1001", 0, 0, admissions_per_door=2, uncertain_clock=UncertainClock.REFUSE, tolerated_ms=1000)
        self.doorman = Doorman(
            doors={"front": self.door, "stopped": stopped},
            readers=["scanner", "other"],
            keys=codes.keyring([codes.PublicKey(PUBLIC)]),
            rules=allowed,
            lockout_rules=LockoutRules(guesses=3, within_s=60, lock_s=30, max_lock_s=60),
            journal=self.journal,
            upkeep=self.upkeep,
            clock=clock,
            source_title="Website",
            tell=self.outcomes.append,
        )
        self.doorman.start()
        self._tick_ns = time.monotonic_ns()

    def scan(self, text: str, reader: str = "scanner", after_s: float = REPEAT_S + 1) -> Outcome | None:
        """Present a text, `after_s` after the one before on the frames' own clock; what was told of it, or None."""
        before = len(self.outcomes)
        self._tick_ns += round(after_s * 1e9)
        assert self.doorman.present(Scan("front", reader, Frame(text.encode(), self._tick_ns)))
        self.settle()
        return self.outcomes[-1] if len(self.outcomes) > before else None

    def settle(self) -> None:
        """Until the doorman has nothing to do."""
        with pytest.raises(RuntimeError):  # a stopped door refuses, after all that was presented before
            self.doorman.unlock(StaffUnlock("stopped", "", "")).result(5)

    def wait_locked(self) -> None:
        """Until the pulse has ended and the door knows."""
        for _ in range(500):
            if self.door.is_free:
                return
            time.sleep(0.01)
        raise AssertionError("the pulse did not end")

    def reasons(self) -> list[str]:
        """What was told: a reason, or granted."""
        return [outcome.denied.reason.value if outcome.denied else "granted" for outcome in self.outcomes]

    def journaled(self) -> list[tuple[str, str | None]]:
        """Kinds and reasons in the journal, once all that waits is written."""
        self.upkeep.submit(lambda _conn: None).result(5)
        return [(row["kind"], row["reason"]) for row in files.rows(self.store, "SELECT kind, reason FROM journal ORDER BY seq")]

    def close(self) -> None:
        """Stop everything."""
        self.doorman.close(5)
        self.door.stop()
        self.upkeep.close(5)
        self.journal.close()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A world with two admissions per door."""
    made = World(tmp_path)
    yield made
    made.close()


def issued(**other: Any) -> str:  # noqa: ANN401 - a code's fields
    """A code's text."""
    return codes.issue(replace(CODE, **other), SEED)


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


def test_an_overlong_frame_is_unreadable(world: World) -> None:
    """What a reader threw away as too long is refused, not forgotten."""
    assert world.doorman.present(Scan("front", "scanner", Frame(b"", time.monotonic_ns(), overlong=True)))
    world.settle()
    assert world.reasons() == ["unreadable"]


def test_a_flood_is_bounded(world: World) -> None:
    """A reader has at most a few scans waiting; more are not taken, and the doorman is well."""
    with world.journal.gate:
        assert world.doorman.present(Scan("front", "scanner", Frame(issued().encode(), 0)))
        time.sleep(0.1)  # the doorman waits for the gate with the first one
        taken = [world.doorman.present(Scan("front", "scanner", Frame(b"X%d" % n, 0))) for n in range(20)]
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
        world.doorman.present(Scan("front", "scanner", Frame(issued().encode(), 0)))
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
    world.doorman.present(Scan("front", "scanner", Frame(issued().encode(), 0)))
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
