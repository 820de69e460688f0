"""What happens to a scan, from the reader's bytes to the relay: one thread for all doors of the board.

Rule 1: the way is straight. A scan crosses from the loop to this thread once; here it is read, decided, written and acted on,
        and only then is anybody told. No import, no connection, no second commit on the way.
Rule 2: written before opened (promise P2): `Journal.admit` has returned before `Door.release` is called.
Rule 3: what is not waited for (refusals, news to listeners) goes to `upkeep` and to the loop. An admission that did not open the door
        is given back here: the next scan must find it so.
Rule 4: a PIN becomes a keyed hash here and goes no further: not into the journal, an event, a log or an error.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from agent.core import codes, pin
from agent.core.decide import Denied, Facts, Granted, Rules, decide
from agent.core.lockout import LockoutRules
from agent.core.reasons import EXPLANATIONS, Reason
from agent.core.tour import TourCode
from agent.daemon.door import Door
from agent.daemon.faults import Faults
from agent.daemon.guesses import Guesses
from agent.daemon.ways import Hold
from agent.errors import StoreError
from agent.store import upkeep
from agent.store.journal import Admitted, Journal, Known, Moment, Note
from agent.timekeeping import DoorClock, Now
from drivers.base import DriverError, Frame

MAX_WAITING_PER_READER = 4
MAX_WAITING_JUNK = 2
"""Of these, what does not even begin like a tour code, PINs among it: a flood of it leaves room for an honest prospect."""
REPEAT_S = 2.0
"""The same bytes from the same reader within this time of the last ones are one scan: scanners repeat while a code is held up."""
STALE_S = 10.0
"""A scan that could not be looked at for so long opens nothing any more: whoever showed the code may have left."""
STUCK_S = 60.0
"""A scan that takes longer than this hangs: a card's sync may take seconds, never a minute."""


@dataclass(frozen=True, slots=True)
class Scan:
    """A frame, and where it came from. It shows no frame: that may be a PIN's digits."""

    door: str
    reader: str
    frame: Frame = field(repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a scan. `released_ns` is the tick of the release; `admitted` is what was written for a grant.

    With `is_by_pin` a PIN was typed, and `code` is what it stands for. With `is_exit` somebody was let out, and `admitted` is the entry of
    that. `passback_from` is the door by which the code is in already, where the site lets that pass.
    """

    scan: Scan
    now: Now
    code: TourCode | None
    denied: Denied | None = None
    admitted: Admitted | None = None
    released_ns: int | None = None
    guesses_locked_s: float | None = None
    is_by_pin: bool = False
    is_exit: bool = False
    passback_from: str | None = None


@dataclass(frozen=True, slots=True)
class StaffUnlock:
    """An unlock by staff on the device: the door, who asked, and why; both go to the journal. With `hold` it is held unlocked."""

    door: str
    user: str
    reason: str
    hold: Hold | None = None


_UNREADABLE = codes.Unread(Reason.UNREADABLE)

RETRIABLE = frozenset({Reason.BUSY, Reason.STORE_FAILED, Reason.RELAY_FAILED})
"""Refusals that may be otherwise a moment later: the same code, held up all the while, is looked at again."""


class _ReaderRecord:
    """What the doorman remembers of a reader: its guesses, its last bytes, and how many scans wait."""

    def __init__(self) -> None:
        self.guesses = Guesses()
        self.waiting = threading.BoundedSemaphore(MAX_WAITING_PER_READER)
        self.waiting_junk = threading.BoundedSemaphore(MAX_WAITING_JUNK)
        self.is_settled = True
        """Whether the answer to the last bytes stands while they are repeated."""
        self._last = b""
        self._last_ns = 0

    def is_repeat(self, frame: Frame) -> bool:
        """Whether these bytes came just before, too: before the latest of them, or if that answer may change, before the first."""
        is_repeat = frame.data == self._last and frame.at_ns - self._last_ns < REPEAT_S * 1e9
        if self.is_settled or not is_repeat:
            self._last, self._last_ns = frame.data, frame.at_ns
        return is_repeat


class Doorman:
    """Decides and acts. `present` and `unlock` are called on the loop; `tell(outcome)` is called in this thread after each scan.

    A scan of which nothing is told, since its answer is there already, goes to `pass_over` instead, in this thread, too.

    `pin_keys` are the doors' keys for PINs by the doors' names; at a door without one a PIN is as unreadable as anything. `exits` are the
    readers that let people out.
    """

    def __init__(
        self,
        *,
        doors: dict[str, Door],
        readers: list[str],
        keys: codes.Keyring,
        rules: Rules,
        lockout_rules: LockoutRules,
        journal: Journal,
        keeper: upkeep.Upkeep,
        clock: DoorClock,
        source_title: str | None,
        tell: Callable[[Outcome], None],
        pin_keys: Mapping[str, bytes] = MappingProxyType({}),
        exits: Collection[str] = (),
        pass_over: Callable[[Scan], None] = lambda _scan: None,
    ) -> None:
        self._doors = doors
        self._records = {reader: _ReaderRecord() for reader in readers}
        self.faults = Faults()
        self._keys = keys
        self._rules = rules
        self._lockout_rules = lockout_rules
        self._journal = journal
        self._upkeep = keeper
        self._clock = clock
        self._source_title = source_title
        self._tell = tell
        self._pass_over = pass_over
        self._pin_keys = pin_keys
        self._exits = frozenset(exits)
        self._retired = frozenset(key.key_id for key in keys.values() if key.is_retired)
        self._jobs: queue.SimpleQueue[Scan | tuple[Door, StaffUnlock, Future[None]] | None] = queue.SimpleQueue()
        self._busy_since_s: float | None = None
        self._thread = threading.Thread(target=self._run, name="doorman", daemon=True)
        self.death: Future[None] = Future()
        """Ends with the exception that killed the thread, if any ever does."""

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def present(self, scan: Scan) -> bool:
        """Hand over a scan; False when too many of this reader wait already."""
        record = self._records[scan.reader]
        is_junk = not scan.frame.data.startswith(codes.PREFIX)
        if is_junk and not record.waiting_junk.acquire(blocking=False):
            return False
        if not record.waiting.acquire(blocking=False):
            if is_junk:
                record.waiting_junk.release()
            return False
        self._jobs.put(scan)
        return True

    def unlock(self, order: StaffUnlock) -> Future[None]:
        """Open a door by order of staff; the future raises `StoreError` or `DriverError`, or `RuntimeError` when it is in use.

        Raises `KeyError` for a door that is not here.
        """
        done: Future[None] = Future()
        self._jobs.put((self._doors[order.door], order, done))
        return done

    def lockouts(self, readers: Collection[str]) -> dict[str, float]:
        """Those of these readers that are locked out, and for how many seconds more. From any thread."""
        left_s = {reader: self._records[reader].guesses.left_s() for reader in readers if reader in self._records}
        return {reader: lock_s for reader, lock_s in left_s.items() if lock_s is not None}

    def is_well(self) -> bool:
        """Whether the thread lives and no job hangs."""
        since_s = self._busy_since_s
        return self._thread.is_alive() and (since_s is None or time.monotonic() - since_s < STUCK_S)

    def close(self, timeout_s: float) -> None:
        """Stop after the job under way, waiting for at most `timeout_s`."""
        self._jobs.put(None)
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while (job := self._jobs.get()) is not None:
                self._busy_since_s = time.monotonic()
                if isinstance(job, Scan):
                    record = self._records[job.reader]
                    record.waiting.release()
                    if not job.frame.data.startswith(codes.PREFIX):
                        record.waiting_junk.release()
                    self._meet(job, record)
                else:
                    self._obey(*job)
                self._busy_since_s = None
        except BaseException as error:  # noqa: BLE001 - the agent must hear of it, lock and die
            self.death.set_exception(error)

    def _meet(self, scan: Scan, record: _ReaderRecord) -> None:
        outcome = None if record.is_repeat(scan.frame) else self._outcome(scan)
        if outcome is None:
            self._pass_over(scan)
            return
        record.is_settled = outcome.denied is None or outcome.denied.reason not in RETRIABLE
        if outcome.denied is None:
            record.guesses.granted()
            self.faults.worked(scan.door)
        else:
            self.faults.failed(scan.door, outcome.denied.reason)
            if EXPLANATIONS[outcome.denied.reason].is_guess:
                outcome = self._count_guess(outcome, record)
        self._tell(outcome)

    def _outcome(self, scan: Scan) -> Outcome | None:
        """What becomes of a scan; None while the door is open for it already."""
        pin_hash = self._pin_hash(scan)
        presented = codes.read(scan.frame.data, self._keys) if pin_hash is None and not scan.frame.overlong else _UNREADABLE
        door = self._doors[scan.door]
        if isinstance(presented, TourCode) and door.opened_for == presented.code_id:
            return None
        return self._decide_and_act(scan, presented, pin_hash, self._clock.now())

    def _pin_hash(self, scan: Scan) -> str | None:
        """The door's keyed hash of the PIN that was typed, None for anything else."""
        key = self._pin_keys.get(scan.door)
        typed = None if key is None or scan.frame.overlong else pin.typed(scan.frame.data)
        return None if key is None or typed is None else pin.digest(key, typed)

    def _known_pin(self, door: str, pin_hash: str) -> TourCode | codes.Unread:
        """What a PIN stands for, as far as the roster knows."""
        code = self._journal.pin(door, pin_hash)
        if code is None:
            return codes.Unread(Reason.WRONG_PIN)
        return codes.Unread(Reason.RETIRED_KEY) if code.key_id in self._retired else code

    def _decide_and_act(self, scan: Scan, presented: TourCode | codes.Unread, pin_hash: str | None, now: Now) -> Outcome | None:
        """Facts, decision and admission under the store's gate: a cancel is heard before all of it or after all of it.

        None when the door is open for this PIN already.
        """
        door, is_by_pin = self._doors[scan.door], pin_hash is not None
        code = presented if isinstance(presented, TourCode) else None
        try:
            with self._journal.gate:
                if pin_hash is not None:
                    presented = self._known_pin(scan.door, pin_hash)
                    code = presented if isinstance(presented, TourCode) else None
                facts = self._facts(scan, code, now, is_by_pin=is_by_pin)
                decision = decide(presented, facts, self._rules)
                is_stale = time.monotonic_ns() - scan.frame.at_ns > STALE_S * 1e9
                if isinstance(decision, Granted):
                    if is_by_pin and door.opened_for == decision.code.code_id:
                        return None
                    if is_stale or not door.grant():
                        decision = Denied(Reason.BUSY, code)
                if isinstance(decision, Denied):
                    return self._refused(scan, now, decision, is_by_pin=is_by_pin)
                admitted = self._admit(scan, decision.code, facts, now)
        except StoreError:
            return self._refused(scan, now, Denied(Reason.STORE_FAILED, code), is_by_pin=is_by_pin)
        try:
            appointment_id = decision.code.appointment_id
            passage = upkeep.Passage(appointment_id, scan.door, _moment(now).at_ms, facts.presence, facts.is_exit)
            released_ns = door.release(decision.code.code_id, None if facts.is_exit else appointment_id, passage)
        except DriverError:
            self._give_back(decision.code, facts)
            return self._refused(scan, now, Denied(Reason.RELAY_FAILED, code), admitted, is_by_pin=is_by_pin)
        if released_ns is None:  # the agent stops
            self._give_back(decision.code, facts)
        passback_from = self._note_passback(scan, decision, facts, now)
        return Outcome(scan, now, decision.code, None, admitted, released_ns, None, is_by_pin, facts.is_exit, passback_from)

    def _give_back(self, code: TourCode, facts: Facts) -> None:
        """The door did not open: what was journaled stays, but uses nothing up. The visit stays, too: the prospect was here."""
        with suppress(StoreError):  # the use stays counted; a disk that fails is told by the next scan
            if facts.is_exit:
                self._journal.stay(code.appointment_id, facts.presence)
            else:
                self._journal.give_back(code.appointment_id, facts.door, facts.last_ms, facts.presence)

    def _facts(self, scan: Scan, code: TourCode | None, now: Now, *, is_by_pin: bool) -> Facts:
        known = self._journal.facts(code.appointment_id, scan.door) if code else Known()
        return Facts(
            door=scan.door,
            now=now.interval,
            entry=known.entry,
            admissions_here=known.admissions,
            is_locked_out=self._records[scan.reader].guesses.is_on(),
            is_by_pin=is_by_pin,
            last_ms=known.last_ms,
            presence=known.presence,
            is_exit=scan.reader in self._exits,
        )

    def _admit(self, scan: Scan, code: TourCode, facts: Facts, now: Now) -> Admitted:
        """Write the admission for a door that was taken, or that somebody goes out; if that fails the door is given back, shut."""
        detail = _by(is_by_pin=facts.is_by_pin)
        kind = "exit" if facts.is_exit else "admission"
        note = Note(_moment(now), kind, scan.door, scan.reader, None, code.appointment_id, code.code_id, detail)
        source_title = facts.entry.source_title if facts.entry and facts.entry.source_title else self._source_title
        try:
            return self._journal.leave(code.appointment_id, note) if facts.is_exit else self._journal.admit(code, note, source_title)
        except BaseException:
            self._doors[scan.door].write_failed()
            raise

    def _note_passback(self, scan: Scan, granted: Granted, facts: Facts, now: Now) -> str | None:
        """Journal a code that was let in although it is in already; returns by which door it is."""
        if not granted.is_passback or facts.presence is None:
            return None
        code = granted.code
        detail = {"in_by": facts.presence.door}
        self._upkeep.note(Note(_moment(now), "passback", scan.door, scan.reader, None, code.appointment_id, code.code_id, detail))
        return facts.presence.door

    def _refused(self, scan: Scan, now: Now, denied: Denied, admitted: Admitted | None = None, *, is_by_pin: bool) -> Outcome:
        """The refusal, journaled behind the scan's back; of a lockout only the beginning is journaled."""
        code = denied.code
        if denied.reason is not Reason.LOCKED_OUT:
            appointment_id, code_id = (code.appointment_id, code.code_id) if code else (None, None)
            note = Note(_moment(now), "refusal", scan.door, scan.reader, denied.reason, appointment_id, code_id, _by(is_by_pin=is_by_pin))
            self._upkeep.note(note)
        return Outcome(scan, now, code, denied, admitted, is_by_pin=is_by_pin)

    def _count_guess(self, outcome: Outcome, record: _ReaderRecord) -> Outcome:
        scan = outcome.scan
        locked_s = record.guesses.guessed(self._lockout_rules)
        if locked_s is None:
            return outcome
        note = Note(_moment(outcome.now), "lockout", scan.door, scan.reader, Reason.LOCKED_OUT, detail={"lock_s": locked_s})
        self._upkeep.note(note)
        return replace(outcome, guesses_locked_s=locked_s)

    def _obey(self, door: Door, order: StaffUnlock, done: Future[None]) -> None:
        if not door.grant():
            done.set_exception(RuntimeError(f"the door {door.name} is in use: try again in a few seconds"))
            return
        detail: dict[str, object] = {"user": order.user, "reason": order.reason}
        detail |= {"until_ms": order.hold.until_ms} if order.hold is not None else {}
        note = Note(_moment(self._clock.now()), "unlock" if order.hold is None else "hold_open", door.name, detail=detail)
        try:
            try:
                self._journal.write(note)
            except StoreError:
                door.write_failed()
                raise
            is_done = door.release(None) is not None if order.hold is None else door.hold_open(order.hold)
        except (StoreError, DriverError) as error:
            self.faults.failed(door.name, Reason.STORE_FAILED if isinstance(error, StoreError) else Reason.RELAY_FAILED)
            done.set_exception(error)
            return
        if is_done:
            self.faults.worked(door.name)
            done.set_result(None)
            return
        # what was written before it was done did not come about
        by, why = ("fire", "there is fire") if door.is_fire else ("stop", "the agent stops")
        over = "unlock_over" if order.hold is None else "hold_open_over"
        self._upkeep.note(Note(_moment(self._clock.now()), over, door.name, detail={"by": by}))
        held = "unlocked" if order.hold is None else "held unlocked"
        done.set_exception(RuntimeError(f"the door {door.name} is not {held}: {why}"))


def _by(*, is_by_pin: bool) -> dict[str, object] | None:
    """The journal's detail of what was presented; a tour code goes without saying."""
    return {"by": "pin"} if is_by_pin else None


def _moment(now: Now) -> Moment:
    return Moment(now.guess_ms, now.interval)
