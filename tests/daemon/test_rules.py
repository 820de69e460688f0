"""The site's own rules at a doorman with two doors, each with a reader on both sides: what is let in, journaled, forgotten, undone."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest

from agent.core import codes
from agent.core.clock import ClockRules, Reading, Trust
from agent.core.decide import AntiPassback, Denied, Rules, UncertainClock
from agent.core.hours import DailyHours, Hours
from agent.core.lockout import LockoutRules
from agent.core.reasons import Reason
from agent.daemon.doorman import REPEAT_S, Doorman, Outcome, Scan, StaffUnlock
from agent.store import files
from agent.timekeeping import DoorClock
from drivers.base import Frame
from drivers.relay import PulsedRelay
from tests.daemon.world import CODE, NOW_MS, PUBLIC, WatchedLine, World, issued

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
RULES = Rules("1001", 0, 0, admissions_per_door=9, uncertain_clock=UncertainClock.REFUSE, tolerated_ms=1000)
PASS = issued(doors=("front", "gym"))


class House:
    """The doors `front` and `gym`; it is `now_ms`. A reader is called by its door, with `-out` on the inner side."""

    def __init__(self, folder: Path, rules: Rules) -> None:
        self._world = World(folder)
        self.store = self._world.store
        self.journal = self._world.journal
        self.now_ms = NOW_MS
        self.lines = {"front": self._world.line, "gym": WatchedLine(self.store)}
        gym = PulsedRelay(self.lines["gym"], max_s=1.0, on_fault=self._world.faults.append)
        self._doors = {"front": self._world.door, "gym": self._world._door("gym", gym)}
        self._stopped = self._world._door("stopped", PulsedRelay(WatchedLine(self.store), max_s=1.0, on_fault=self._world.faults.append))
        self._stopped.stop()
        self.outcomes: list[Outcome] = []
        self._doorman = Doorman(
            doors={**self._doors, "stopped": self._stopped},
            readers=["front", "front-out", "gym", "gym-out"],
            keys=codes.keyring([codes.PublicKey(PUBLIC)]),
            rules=rules,
            lockout_rules=LockoutRules(guesses=3, within_s=60, lock_s=30, max_lock_s=60),
            journal=self.journal,
            keeper=self._world.upkeep,
            clock=DoorClock(lambda: Reading(self.now_ms, time.monotonic_ns(), is_synchronised=True, error_ms=50), ClockRules(Trust.NTP), 0),
            source_title=None,
            tell=self.outcomes.append,
            exits=["front-out", "gym-out"],
        )
        self._doorman.start()
        self._tick_ns = time.monotonic_ns()

    def scan(self, reader: str, text: str = PASS) -> str:
        """Show a code, long after the one before; a reason or `granted`, once the doors are locked again."""
        before = len(self.outcomes)
        self._tick_ns += round((REPEAT_S + 1) * 1e9)
        assert self._doorman.present(Scan(reader.removesuffix("-out"), reader, Frame(text.encode(), self._tick_ns)))
        with pytest.raises(RuntimeError):  # a stopped door refuses, after all that was presented before
            self._doorman.unlock(StaffUnlock("stopped", "", "")).result(10)
        assert len(self.outcomes) == before + 1
        for _ in range(1000):
            if all(door.is_free for door in self._doors.values()):
                break
            time.sleep(0.01)
        # a refusal is written behind the scan's back, perhaps after the next admission
        self._world.upkeep.submit(lambda _conn: None).result(10)
        denied = self.outcomes[-1].denied
        return "granted" if denied is None else denied.reason.value

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of a query, once all that waits is written."""
        self._world.upkeep.submit(lambda _conn: None).result(10)
        return [tuple(row.values()) for row in files.rows(self.store, sql)]

    def journaled(self) -> list[tuple[str, str | None, str | None]]:
        """Kind, reader and reason of each entry."""
        return self.rows("SELECT kind, reader, reason FROM journal ORDER BY seq")

    def close(self) -> None:
        """Stop everything."""
        self._doorman.close(5)
        self._doors["gym"].stop()
        self._world.close()


def with_rules(**other: Any) -> pytest.MarkDecorator:  # noqa: ANN401 - fields of rules
    """The house's rules, with some changed."""
    return pytest.mark.parametrize("rules", [replace(RULES, **other)])


HARD = {"antipassback": AntiPassback.HARD, "antipassback_ms": HOUR_MS}


@pytest.fixture
def house(tmp_path: Path, rules: Rules) -> Iterator[House]:
    """A house with the rules of `with_rules`."""
    made = House(tmp_path, rules)
    yield made
    made.close()


@with_rules(reentry_pause_ms=5 * MINUTE_MS)
def test_denied__the_pause_between_two_admissions(house: House) -> None:
    """It holds for the appointment at that door alone, ends when it is over, and the visit keeps the time of the first admission."""
    said = [house.scan("front"), house.scan("front"), house.scan("gym")]
    last = house.outcomes[1].denied
    house.now_ms += 5 * MINUTE_MS - 51
    said.append(house.scan("front"))
    house.now_ms += 101
    said.append(house.scan("front"))
    other = issued(appointment_id="78", code_id="0102030405bb")
    assert [*said, house.scan("front", other)] == ["granted", "reentry_pause", "granted", "reentry_pause", "granted", "granted"]
    assert last == Denied(Reason.REENTRY_PAUSE, replace(CODE, doors=("front", "gym")), NOW_MS + 5 * MINUTE_MS)
    assert house.rows("SELECT appointment_id, visit_ms FROM visit ORDER BY visit_ms") == [
        ("77", NOW_MS),
        ("78", NOW_MS + 5 * MINUTE_MS + 50),
    ]
    assert house.rows("SELECT admissions FROM used WHERE appointment_id = '77' ORDER BY door") == [(2,), (1,)]


@with_rules(**HARD)
def test_denied__in_by_one_door_is_not_let_in_by_another(house: House) -> None:
    """Until a reader on the way out has seen it, whichever door that is at; the door it came by lets it in again."""
    tour = ["front", "gym", "front", "gym", "gym-out", "gym", "front", "front-out", "front"]
    said = [house.scan(reader) for reader in tour]
    assert said == ["granted", "passback", "granted", "passback", "granted", "granted", "passback", "granted", "granted"]
    assert house.journaled() == [
        ("admission", "front", None), ("refusal", "gym", "passback"), ("admission", "front", None), ("refusal", "gym", "passback"),
        ("exit", "gym-out", None), ("admission", "gym", None), ("refusal", "front", "passback"),
        ("exit", "front-out", None), ("admission", "front", None),
    ]  # fmt: skip
    assert house.rows("SELECT door, since_ms FROM presence") == [("front", NOW_MS)]


@with_rules(**HARD)
def test_granted__presence_is_forgotten_after_its_time(house: House) -> None:
    """Whoever nobody saw leaving may come by another door when the time is over, and not before."""
    house.scan("front", PASS)
    long = issued(doors=("front", "gym"), code_id="0102030405aa", window=replace(CODE.window, end_ms=NOW_MS + 2 * HOUR_MS))
    house.now_ms += HOUR_MS - 51
    said = [house.scan("gym", long)]
    house.now_ms += 101
    assert [*said, house.scan("gym", long)] == ["passback", "granted"]


@with_rules(antipassback=AntiPassback.SOFT, antipassback_ms=HOUR_MS)
def test_granted__soft_anti_passback_lets_in_and_tells(house: House) -> None:
    """It is journaled with the door by which the code is in, beside the admission, and told; after that it is in by the second door."""
    assert [house.scan(reader) for reader in ("front", "gym", "gym", "front")] == ["granted"] * 4
    assert [outcome.passback_from for outcome in house.outcomes] == [None, "front", None, "gym"]
    assert house.rows("SELECT door, appointment_id, code_id, detail FROM journal WHERE kind = 'passback' ORDER BY seq") == [
        ("gym", "77", CODE.code_id, '{"in_by": "front"}'),
        ("front", "77", CODE.code_id, '{"in_by": "gym"}'),
    ]
    assert house.rows("SELECT count(*) FROM journal WHERE kind = 'admission'") == [(4,)]


@with_rules(antipassback_ms=HOUR_MS)
def test_granted__without_anti_passback_nothing_is_told(house: House) -> None:
    """Off is off."""
    assert [house.scan(reader) for reader in ("front", "gym", "front")] == ["granted"] * 3
    assert house.journaled() == [("admission", reader, None) for reader in ("front", "gym", "front")]


@with_rules(admissions_per_door=1, reentry_pause_ms=HOUR_MS, **HARD, hours={"front": Hours(UTC, (DailyHours(frozenset(range(7)), 0, 1),))})
def test_granted__going_out_makes_no_visit_and_uses_nothing_up(house: House) -> None:
    """Somebody is let out as often as they like, out of hours, too: on disk before the lock moves, and nothing of it is an admission."""
    assert [house.scan("front-out") for _ in range(3)] == ["granted"] * 3
    assert house.journaled() == [("exit", "front-out", None)] * 3
    assert house.lines["front"].found == [("exit", 0)] * 3
    for table in ("visit", "outbox", "used", "presence"):
        assert house.rows(f"SELECT * FROM {table}") == []  # noqa: S608 - a constant
    assert [(outcome.is_exit, outcome.passback_from, outcome.admitted is not None) for outcome in house.outcomes] == [
        (True, None, True)
    ] * 3
    assert [house.scan(reader) for reader in ("front", "gym", "gym", "gym-out")] == ["out_of_hours", "granted", "used_up", "granted"]


@with_rules()
@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("GARBAGE", "unreadable"),
        (issued(doors=("gym",)), "wrong_door"),
        (issued(window=replace(CODE.window, end_ms=NOW_MS - 1000)), "too_late"),
        (issued(window=replace(CODE.window, start_ms=NOW_MS + 1000)), "too_early"),
    ],
)
def test_denied__the_way_out_is_no_way_in_for_anything_else(house: House, text: str, reason: str) -> None:
    """What does not open from without does not open from within, and is journaled as a refusal at that reader."""
    assert house.scan("front-out", text) == reason
    assert house.journaled() == [("refusal", "front-out", reason)]
    assert house.lines["front"].events == ["locked"]


@with_rules(reentry_pause_ms=HOUR_MS, **HARD)
def test_granted__what_did_not_open_asks_for_no_pause_and_is_not_in(house: House) -> None:
    """After admissions that the relay did not act on, both doors let in at once: neither time nor presence was kept."""
    house.lines["front"].is_broken = True
    said = [house.scan("front"), house.scan("front")]
    assert house.rows("SELECT door, admissions, last_ms FROM used") == [("front", 0, None)]
    assert house.rows("SELECT * FROM presence") == []
    house.lines["front"].is_broken = False
    assert [*said, house.scan("gym")] == ["relay_failed", "relay_failed", "granted"]
    house.scan("gym-out")
    assert [house.scan("front"), house.scan("front")] == ["granted", "reentry_pause"]


@with_rules(**HARD)
def test_denied__who_was_not_let_out_is_still_in(house: House) -> None:
    """An exit that the relay did not act on is journaled and undone, and the other door still says that the code is in."""
    house.scan("front")
    house.lines["front"].is_broken = True
    assert [house.scan("front-out"), house.scan("gym")] == ["relay_failed", "passback"]
    assert house.rows("SELECT door, since_ms FROM presence") == [("front", NOW_MS)]
    assert [kind for kind, *_ in house.journaled()] == ["admission", "exit", "refusal", "refusal"]


@with_rules(**HARD)
def test_denied__an_exit_that_cannot_be_written_opens_nothing(house: House) -> None:
    """The lock stays where it is, nobody has left, and the door works on when the store does."""
    house.scan("front")
    moved = len(house.lines["front"].events)

    def deny(action: int, first: str | None, *_: object) -> int:
        return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_DELETE and first == "presence" else sqlite3.SQLITE_OK

    house.journal._conn.set_authorizer(deny)
    assert house.scan("front-out") == "store_failed"
    house.journal._conn.set_authorizer(None)
    assert len(house.lines["front"].events) == moved
    assert house.rows("SELECT door FROM presence") == [("front",)]
    assert house.scan("front-out") == "granted"
    assert house.rows("SELECT door FROM presence") == []
