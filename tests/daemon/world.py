"""A doorman with a real store, a real relay policy and a line that looks into the store when it moves."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agent.core import codes, signature
from agent.core.clock import ClockRules, Reading, Trust
from agent.core.decide import Rules, UncertainClock
from agent.core.lockout import LockoutRules
from agent.core.tour import TourCode, Window
from agent.daemon.door import Door
from agent.daemon.doorman import REPEAT_S, Doorman, Outcome, Scan, StaffUnlock
from agent.daemon.happening import Happening
from agent.daemon.ways import Ways
from agent.store import files, upkeep
from agent.store.journal import Journal
from agent.timekeeping import DoorClock
from drivers.base import DriverError, Frame
from drivers.fake import PlayedLine
from drivers.relay import PulsedRelay

SEED = bytes(range(32))
PUBLIC = signature.public_key(SEED)
NOW_MS = 1_790_000_000_000
PULSE_S = 0.4
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
    """A doorman with everything he needs; `outcomes` are what he told, in order, `passed_over` what he told nothing of."""

    def __init__(
        self,
        folder: Path,
        pin_keys: Mapping[str, bytes] | None = None,
        keys: codes.Keyring | None = None,
    ) -> None:
        self.store = folder / "journal.db"
        files.bring_up_to_date(self.store)
        gate = threading.RLock()
        self.journal = Journal(self.store, gate)
        self.upkeep = upkeep.Upkeep(self.store, gate)
        self.line = WatchedLine(self.store)
        self.faults: list[Exception] = []
        self.relay = PulsedRelay(self.line, max_s=1.0, on_fault=self.faults.append)
        self.happened: list[Happening] = []
        self.door = self._door("front", self.relay)
        stopped = self._door("stopped", PulsedRelay(PlayedLine(None), max_s=1.0, on_fault=self.faults.append))
        stopped.stop()
        self.outcomes: list[Outcome] = []
        self.passed_over: list[Scan] = []
        clock = DoorClock(lambda: Reading(NOW_MS, time.monotonic_ns(), is_synchronised=True, error_ms=50), ClockRules(Trust.NTP), 0)
        allowed = Rules("1001", 0, 0, admissions_per_door=2, uncertain_clock=UncertainClock.REFUSE, tolerated_ms=1000)
        self.doorman = Doorman(
            doors={"front": self.door, "stopped": stopped},
            readers=["scanner", "other", "front-screen"],
            keys=keys or codes.keyring([codes.PublicKey(PUBLIC)]),
            rules=allowed,
            lockout_rules=LockoutRules(guesses=3, within_s=60, lock_s=30, max_lock_s=60),
            journal=self.journal,
            keeper=self.upkeep,
            clock=clock,
            source_title="Website",
            tell=self.outcomes.append,
            pin_keys=pin_keys or {},
            pass_over=self.passed_over.append,
        )
        self.doorman.start()
        self._tick_ns = time.monotonic_ns()

    def _door(self, name: str, relay: PulsedRelay) -> Door:
        ways = Ways(PULSE_S, 1.0)
        return Door(name, relay, ways, lambda _name, _pulse: None, tell=self.happened.append, on_fault=self.faults.append)

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


def issued(**other: Any) -> str:  # noqa: ANN401 - a code's fields
    """A code's text."""
    return codes.issue(replace(CODE, **other), SEED)
