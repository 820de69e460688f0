"""One door: its state, its relays and what it waits for, used from several threads.

The tables in `agent.core.door` say what may happen; this holds the state and does the effects, all under one lock.

Rule 1: fire and the agent's end reach the relay before they wait for any lock of ours.
Rule 2: the lock is held for moments: never while something is written, asked, or waited for.
Rule 3: who is told (`tell`, `on_locked`) returns at once and asks nothing of the door.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial

from agent.core import door as table
from agent.core.door import FIRE, OFFICE, UNLOCKED, DoorState, Effect, Event, Leaf, Lock, Span
from agent.daemon.happening import TOLD, Happening, Tell
from agent.daemon.openings import Entries, Entry, Reasons
from agent.daemon.second import SecondRelay
from agent.daemon.ways import Hold, Ways
from agent.store.upkeep import Passage
from drivers.base import DriverError, LockedBy, Pulse, Relay

OVER_MAX_NS = 1_000_000_000
NEAR_NS = 100_000_000


class Door:
    """A named door. `on_locked(name, pulse)` is called after every pulse that ends in a locked door, from the relay's thread.

    With `is_fire` there is fire as the agent starts. `on_fault` hears of a relay that is released for longer than it may be; `on_due`
    that `due_ns` has changed.
    """

    def __init__(
        self,
        name: str,
        relay: Relay,
        ways: Ways,
        on_locked: Callable[[str, Pulse], None],
        *,
        tell: Tell,
        on_fault: Callable[[Exception], None],
        on_due: Callable[[], None] = lambda: None,
        second: SecondRelay | None = None,
        is_fire: bool = False,
    ) -> None:
        self.name = name
        self._relay = relay
        self._ways = ways
        self._on_locked = on_locked
        self._tell_all = tell
        self._on_fault = on_fault
        self._on_due = on_due
        self.second = second
        """What follows the lock's release."""
        self._lock = threading.RLock()
        self._state = DoorState(Lock.FIRE if is_fire else Lock.LOCKED)
        now_ns = time.monotonic_ns()
        self.reasons = Reasons()
        """Why the leaf may be opened."""
        self._pulse_number = 0
        self._opened_for: str | None = None
        self._passing_until_ns = 0
        self._has_opened = False
        self._entries = Entries(ways)
        self._hold: Hold | None = None
        self._renew_ns = 0
        self._open_ns = 0
        self._is_secured_owed = False
        self.is_tampered = False
        """Whether the tamper input is active."""
        if is_fire:
            self.reasons.unlocked(now_ns)
            self._tell("fire", now_ns)

    # --- how it is ---

    @property
    def state(self) -> Lock:
        """Where the lock is."""
        return self._state.lock

    @property
    def leaf(self) -> Leaf | None:
        """Where the leaf is; None for a door without a contact."""
        return self._state.leaf if self._ways.has_contact else None

    @property
    def hold(self) -> Hold | None:
        """For how long staff hold it unlocked."""
        return self._hold

    @property
    def is_fire(self) -> bool:
        """Whether fire holds it released."""
        return self._state.lock in FIRE

    @property
    def is_free(self) -> bool:
        """Whether a grant can be acted on now."""
        return table.can(self._state, Event.GRANT)

    @property
    def opened_for(self) -> str | None:
        """The id of the code for which the lock is released just now."""
        is_passing = self._state.lock in FIRE | OFFICE and time.monotonic_ns() < self._passing_until_ns
        return self._opened_for if is_passing or self._state.lock is Lock.RELEASED else None

    # --- the doorman's ---

    def grant(self) -> bool:
        """Take the door for an admission or an order; False when it is in use or stopped."""
        with self._lock:
            if not self.is_free:
                return False
            self._step(Event.GRANT)
            return True

    def write_failed(self) -> None:
        """The admission could not be written: the door stays as it was."""
        with self._lock:
            self._step(Event.WRITE_FAILED)

    def release(self, code_id: str | None, appointment_id: str | None = None, passage: Passage | None = None) -> int | None:
        """The admission is on disk: release the lock and return the tick, or None when the agent is stopping.

        A door that is released already, by staff or by fire, stays so. `appointment_id` is that of the visit which the opening belongs
        to, `passage` what was written of it. Raises `DriverError` when the relay does not do it; the door is then locked.
        """
        with self._lock:
            effects = self._step(Event.WRITTEN)
            if Effect.RELEASE in effects:
                released_ns = self._pulse(code_id)
            elif Effect.PASS in effects:
                released_ns = time.monotonic_ns()
            else:
                return None
            self._follow(released_ns)
            if code_id is not None:
                self._opened_for, self._passing_until_ns = code_id, released_ns + round(self._ways.release_s * 1e9)
                self._entries.add(Entry(code_id, appointment_id, passage, Span(released_ns), self._state.leaf is Leaf.SHUT))
        self._on_due()
        return released_ns

    def hold_open(self, hold: Hold) -> bool:
        """Staff's order is on disk: hold the door unlocked until its time; False when there is fire, or the agent is stopping.

        Raises `DriverError` when the relay does not do it; the door is then locked.
        """
        with self._lock:
            was_held = self._state.lock is Lock.OFFICE_ADMITTING
            if Effect.HOLD not in self._step(Event.OFFICE_ON):
                return False
            self._hold = hold
            if was_held:
                self._renew(hold, time.monotonic_ns())
            else:
                self._renew_ns = self._pulse(None, self._ways.renewal_s(hold, time.monotonic_ns())) + self._ways.renew_every_ns
        self._on_due()
        return True

    def lock(self) -> None:
        """Lock now, by order of staff; in fire nothing is locked. Raises `DriverError` when the relay does not lock."""
        with self._lock:
            self._cancel_second()
            if Effect.RELOCK in self._step(Event.LOCK, over="lock"):
                self._relay.lock()

    def stop(self) -> None:
        """Lock for good, but in fire, and give the relay back. The relay goes first: it needs no lock of ours to be locked."""
        with suppress(DriverError):  # the relay has told its fault already, and the other doors must be locked too
            self._relay.close()
        if self.second is not None:
            self.second.stop()
        with self._lock:
            self._step(Event.STOP, over="stop")

    # --- the inputs' ---

    def fire(self, *, is_on: bool, at_ns: int) -> None:
        """The fire input changed. What it releases waits for nobody."""
        if is_on:
            self._relay.set_fire(is_on=True)
        with self._lock:
            event = Event.FIRE_ON if is_on else Event.FIRE_OFF
            if event not in table.LOCK[self._state.lock]:
                return
            if self._state.lock is not Lock.STOPPED:
                self._tell("fire" if is_on else "fire_over", at_ns)
            # its end locks now, however long that was debounced
            effects = self._step(event, at_ns if is_on else None, over="fire")
            if Effect.FREE in effects:
                self._cancel_second()
                self._pulse_number += 1
                if self._relay.renewed_ns is not None:
                    with suppress(DriverError):  # the relay has told it
                        self._relay.lock()  # in fire that ends a pulse, and locks nothing
            if Effect.FIRE_RELOCK in effects:
                self._relay.set_fire(is_on=False)

    def exit(self, *, is_active: bool, at_ns: int, is_start: bool = False) -> None:
        """The request-to-exit was pressed, or let go; one that is pressed as the agent starts unlocks nothing, and is a reason to open."""
        with self._lock:
            if not is_active:
                if self.reasons.exit_over(at_ns):
                    self._tell("rex_free", at_ns)
                return
            self.reasons.exit_asked(at_ns)
            self._tell("rex", at_ns)
            if self._ways.exit_unlocks and not is_start and Effect.RELEASE in self._step(Event.EXIT):
                try:
                    self._follow(self._pulse(None))
                except DriverError as error:
                    self._tell("relay_failed", at_ns, words=str(error))

    def was_forced(self) -> None:
        """The agent before saw it being forced, and nobody saw it shut since: while it stands open it is forced still."""
        with self._lock:
            if table.can(self._state, Event.WAS_FORCED):
                self._step_leaf(Event.WAS_FORCED, time.monotonic_ns())

    def contact(self, *, is_open: bool, at_ns: int, settled_ns: int | None = None, is_exit_active: bool = False) -> None:
        """The leaf was opened or shut, by its first edge at `at_ns`, and counts from `settled_ns` on.

        `is_exit_active`: the request-to-exit is active by its bare level, though not told yet.
        """
        settled_ns = at_ns if settled_ns is None else settled_ns
        with self._lock:
            event = Event.SHUT
            if is_open:
                is_leaving = is_exit_active and not self.reasons.is_exit_stuck
                is_explained = is_leaving or self.reasons.explain(at_ns, settled_ns, self._ways.suppress_s)
                event = Event.OPENED if is_explained else Event.FORCED
                self._is_secured_owed = False
            if event not in table.LEAF[self._state.leaf]:
                return
            self._open_ns = at_ns
            for effect in self._step(event, at_ns):
                if effect in (Effect.FOLLOW_OPENED, Effect.FOLLOW_SHUT):
                    self._follow_leaf(is_open=is_open)
                elif effect is Effect.TELL_OPENED:
                    self._tell("opened", at_ns, self._entries.opened(at_ns, settled_ns))
                elif effect is Effect.TELL_SECURED:
                    self._tell_secured(at_ns)
                else:
                    self._tell(TOLD[effect], at_ns)

    def contact_lost(self) -> None:
        """Nobody knows where the leaf is: neither whether it was opened."""
        with self._lock:
            self._entries.forget()
            self._is_secured_owed = False
            self._step(Event.CONTACT_LOST)

    def tamper(self, *, is_on: bool, at_ns: int) -> None:
        """The tamper input changed."""
        self.is_tampered = is_on
        self._tell("tamper" if is_on else "tamper_over", at_ns)

    # --- the timers' ---

    def due_ns(self) -> int | None:
        """The tick at which `tick` has something to do."""
        with self._lock:
            due = [self.second.due_ns if self.second is not None else None, self._leaf_due_ns()]
            due += [self._entries.due_ns(), self.reasons.exit_due_ns()]
            if self._hold is not None:
                due.append(min(self._renew_ns, self._hold.until_ns))
        return min((at_ns for at_ns in due if at_ns is not None), default=None)

    def tick(self, now_ns: int) -> None:
        """Do what is due."""
        if self.second is not None:
            self.second.act(now_ns)
        with self._lock:
            if self._hold is not None:
                self._tick_hold(self._hold, now_ns)
            for entry in self._entries.judge(now_ns):
                self._tell("not_opened", entry.span.ends_ns or now_ns, entry)
            if self.reasons.exit_stuck(now_ns):
                self._tell("rex_stuck", now_ns)
            if (due_ns := self._leaf_due_ns()) is not None and now_ns >= due_ns:
                self._step_leaf(Event.HELD_DUE if self._state.leaf is Leaf.OPEN else Event.ALARM_DUE, now_ns)

    def check_max(self, now_ns: int) -> None:
        """The second guard of the longest pulse: tell a relay that is released for longer than it may be."""
        if (renewed_ns := self._relay.renewed_ns) is not None and now_ns - renewed_ns > self._ways.max_pulse_s * 1e9 + OVER_MAX_NS:
            self._on_fault(DriverError(f"The lock of the door {self.name} is released for longer than {self._ways.max_pulse_s} s."))

    # --- within ---

    def _step(self, event: Event, at_ns: int | None = None, over: str = "") -> tuple[Effect, ...]:
        """Take a step, and what follows from it for the times that are kept; `over` says by what a hold would end."""
        at_ns = time.monotonic_ns() if at_ns is None else at_ns
        before = self._state.lock
        self._state, effects = table.step(self._state, event)
        now = self._state.lock
        if now in UNLOCKED and before not in UNLOCKED:
            self.reasons.unlocked(at_ns)
        if before in UNLOCKED and now not in UNLOCKED:
            self.reasons.locked(at_ns)
            self._entries.locked(at_ns)
        if now is Lock.STOPPED:
            self._entries.forget()
        if before in OFFICE and now not in OFFICE:
            self._hold = None
            self._pulse_number += 1
            self._tell("hold_open_over", at_ns, by=over)
        if before in FIRE | OFFICE and now not in FIRE | OFFICE:
            self._open_ns = max(self._open_ns, at_ns)
        if now in (Lock.LOCKED, Lock.ADMITTING) and self._is_secured_owed:
            self._tell_secured(at_ns)
        return effects

    def _step_leaf(self, event: Event, at_ns: int) -> None:
        for effect in self._step(event, at_ns):
            self._tell(TOLD[effect], at_ns)

    def _pulse(self, code_id: str | None, pulse_s: float | None = None) -> int:
        """Release; the state has it already."""
        self._pulse_number += 1
        self._opened_for = code_id
        # where the lock waits for the door to be shut, one that stands open has been opened
        self._has_opened = self._ways.relock == "closed" and self._state.leaf not in (Leaf.UNKNOWN, Leaf.SHUT)
        try:
            return self._relay.release(pulse_s or self._ways.release_s, partial(self._pulse_ended, self._pulse_number))
        except DriverError:
            self._step(Event.RELAY_FAILED, over="relay")
            raise

    def _pulse_ended(self, number: int, pulse: Pulse) -> None:
        with self._lock:
            is_ours = number == self._pulse_number
            if is_ours and Event.PULSE_ENDED in table.LOCK[self._state.lock]:
                is_early = self._hold is not None and pulse.locked_ns < self._hold.until_ns - NEAR_NS
                over = "stop" if pulse.locked_by is LockedBy.CLOSE else "relay" if is_early else "time"
                self._step(Event.PULSE_ENDED, pulse.locked_ns, over=over)
            is_locked = self._state.lock not in FIRE
        if is_locked:
            self._on_locked(self.name, pulse)

    def _follow(self, released_ns: int) -> None:
        if self.second is not None and self._state.lock not in FIRE:
            self.second.follow(released_ns)

    def _cancel_second(self) -> None:
        if self.second is not None:
            self.second.cancel()

    def _follow_leaf(self, *, is_open: bool) -> None:
        """A lock that waits for the opening has it, once for each release."""
        if not self._ways.is_hold:
            return
        is_first, self._has_opened = is_open and not self._has_opened, self._has_opened or is_open
        with suppress(DriverError):  # the relay has told it
            if is_first and self._ways.relock == "opened":
                self._relay.lock(LockedBy.OPENED)
            elif is_first and self._ways.relock == "time":
                self._relay.shorten(self._ways.pulse_s)
            elif not is_open and self._has_opened and self._ways.relock == "closed":
                self._relay.lock(LockedBy.SHUT)

    def _tick_hold(self, hold: Hold, now_ns: int) -> None:
        if now_ns >= hold.until_ns:
            if Effect.RELOCK in self._step(Event.OFFICE_OFF, now_ns, over="time"):
                with suppress(DriverError):  # the relay has told it
                    self._relay.lock()
        elif now_ns >= self._renew_ns:
            self._renew(hold, now_ns)

    def _renew(self, hold: Hold, now_ns: int) -> None:
        self._relay.extend(self._ways.renewal_s(hold, now_ns))
        self._renew_ns = now_ns + self._ways.renew_every_ns

    def _leaf_due_ns(self) -> int | None:
        """When a door that stands open is held; as long as staff or fire hold it unlocked it may stand open."""
        if self._state.lock in FIRE | OFFICE | {Lock.STOPPED}:
            return None
        after_s = {Leaf.OPEN: self._ways.held_warn_s, Leaf.HELD: self._ways.held_alarm_s}.get(self._state.leaf)
        return None if after_s is None else self._open_ns + round(after_s * 1e9)

    def _tell_secured(self, at_ns: int) -> None:
        """Shut after an alarm; a door that is not locked yet is told shut first, and secured once it is."""
        is_unlocked = self._state.lock in UNLOCKED
        self._is_secured_owed = is_unlocked
        self._tell("shut" if is_unlocked else "secured", at_ns)

    def _tell(self, kind: str, at_ns: int, entry: Entry | None = None, **detail: object) -> None:
        """Tell it of an admission, or of nobody's."""
        told = Happening(kind, self.name, at_ns, detail=detail or None)
        if entry is not None:
            told = replace(told, appointment_id=entry.appointment_id, code_id=entry.code_id, passage=entry.passage)
        self._tell_all(told)
