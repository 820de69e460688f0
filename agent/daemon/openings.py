"""Why a leaf may be opened, and for whom: the reasons of an opening, and the admissions that wait for theirs."""

from __future__ import annotations

from dataclasses import dataclass, replace

from agent.core.door import LATE_NS, Span, is_expected
from agent.daemon.ways import Ways
from agent.store.upkeep import Passage

JUDGE_NS = 300_000_000
"""An opening that is being debounced, or told late by a busy board, still belongs to its admission."""
FREE_NS = 60_000_000_000
"""Who is let in by a door that is free anyway opens it within this time; what is opened later is somebody else's opening."""
STUCK_NS = 60_000_000_000
"""Nobody presses a button or leans on a bar for so long: a request-to-exit that is active for longer is stuck, or its wire is cut."""
MAX_WAITING = 16
"""So many admissions wait for their opening at a door that is held free for hours; of more the oldest is neither opened nor not opened."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An admission whose door has not been opened for it yet. `span` ends when the door is locked again.

    `is_shut` says that the leaf was shut at the release and was not opened by anybody since: only then can it be said that nobody came.
    """

    code_id: str
    appointment_id: str | None
    passage: Passage | None
    span: Span
    is_shut: bool


class Entries:
    """The admissions of a door that wait for their opening, the oldest first."""

    def __init__(self, ways: Ways) -> None:
        self._release_ns = round(ways.release_s * 1e9)
        self._wait_ns = LATE_NS + ways.debounce_ms * 1_000_000 + JUDGE_NS
        self._waiting: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """Somebody was let in just now."""
        self._waiting = [*self._waiting[-MAX_WAITING + 1 :], entry]

    def locked(self, at_ns: int) -> None:
        """The door is no longer free: who has not opened it by then and a little more did not."""
        self._waiting = [replace(entry, span=entry.span.ended(at_ns)) for entry in self._waiting]

    def forget(self) -> None:
        """Nobody knows whether the door is opened."""
        self._waiting = []

    def opened(self, at_ns: int, settled_ns: int) -> Entry | None:
        """The admission that an opening belongs to: one whose door is not locked again, the oldest of them, or else the last.

        Whoever else was let in may have come in with that one, so nobody says that they did not.
        """
        inside = [entry for entry in self._waiting if entry.span.holds(at_ns, LATE_NS, settled_ns)]
        theirs = [entry for entry in inside if at_ns <= entry.span.begins_ns + self._longest_ns(entry) + LATE_NS]
        taken = next((entry for entry in theirs if entry.span.holds(at_ns, 0, settled_ns)), theirs[-1] if theirs else None)
        self._waiting = [
            replace(entry, is_shut=False) if any(entry is one for one in inside) else entry for entry in self._waiting if entry is not taken
        ]
        return taken

    def due_ns(self) -> int | None:
        """When the next is to be judged; None while the door is free, or nobody waits."""
        ends = [entry.span.ends_ns + self._wait_ns for entry in self._waiting if entry.span.ends_ns is not None]
        return min(ends, default=None)

    def judge(self, now_ns: int) -> list[Entry]:
        """Those whose time is over and whose door stayed shut all the while."""
        due = [entry for entry in self._waiting if entry.span.ends_ns is not None and now_ns >= entry.span.ends_ns + self._wait_ns]
        self._waiting = [entry for entry in self._waiting if not any(entry is one for one in due)]
        not_opened = [entry for entry in due if entry.is_shut]
        for at, entry in enumerate(not_opened):
            not_opened[at + 1 :] = [_without(one, entry) for one in not_opened[at + 1 :]]
            self._waiting = [_without(one, entry) for one in self._waiting]
        return not_opened

    def _longest_ns(self, entry: Entry) -> int:
        return max(self._release_ns, FREE_NS) if entry.is_shut else self._release_ns


def _without(entry: Entry, undone: Entry) -> Entry:
    """The same, when an earlier one of the same appointment is undone: nothing is given back to that one's presence."""
    mine, other = entry.passage, undone.passage
    if mine is None or other is None or mine.appointment_id != other.appointment_id or mine.before != other.after:
        return entry
    return replace(entry, passage=replace(mine, before=other.before))


class Reasons:
    """Why the leaf may be opened: when the lock was last released, and when the exit was last asked for."""

    def __init__(self) -> None:
        self._released: Span | None = None
        self._exit: Span | None = None
        self.is_exit_stuck = False
        """Whether the request-to-exit is active for longer than anybody presses it: then it is no reason any more."""

    @property
    def exit_state(self) -> str:
        """The request-to-exit: `idle`, `active` or `stuck`."""
        is_active = self._exit is not None and self._exit.ends_ns is None
        return "stuck" if self.is_exit_stuck else "active" if is_active else "idle"

    def unlocked(self, at_ns: int) -> None:
        """Released at a tick; what begins where the last one has just ended goes on with it."""
        last = self._released
        begins_ns = last.begins_ns if last is not None and last.holds(at_ns, LATE_NS) else at_ns
        self._released = Span(begins_ns)

    def locked(self, at_ns: int) -> None:
        """Locked again."""
        self._released = self._released and self._released.ended(at_ns)

    def exit_asked(self, at_ns: int) -> None:
        """The request-to-exit became active."""
        self._exit = Span(at_ns)

    def exit_over(self, at_ns: int) -> bool:
        """It was let go; returns whether it was stuck."""
        self._exit = self._exit and self._exit.ended(at_ns)
        was_stuck, self.is_exit_stuck = self.is_exit_stuck, False
        return was_stuck

    def exit_due_ns(self) -> int | None:
        """When it is stuck if nobody lets it go."""
        return self._exit.begins_ns + STUCK_NS if self._exit is not None and self._exit.ends_ns is None else None

    def exit_stuck(self, now_ns: int) -> bool:
        """Whether that time has come just now."""
        due_ns = self.exit_due_ns()
        if due_ns is None or now_ns < due_ns:
            return False
        self._exit, self.is_exit_stuck = None, True
        return True

    def explain(self, at_ns: int, settled_ns: int, suppress_s: float) -> bool:
        """Whether an opening that began at a tick and counts from another on is no forced one."""
        return is_expected(at_ns, self._released, self._exit, round(suppress_s * 1e9), settled_ns)
