"""What a door's screen may ask the agent to do: present a PIN, call for help, and serve staff who type a PIN of theirs.

Rule 1: whoever has the screen's process has no more than a person before the door with a keypad, who also sees what others type there:
        a PIN is a frame of a reader like any other, decided by the doorman and locked out like it, and no more come than fingers can
        type. Staff's PIN, once staff typed it there, is theirs, too: so it opens few times an hour.
Rule 2: a PIN, a prospect's or staff's, is in no error, event, log or journal: an error here never quotes what was sent.
Rule 3: staff's PIN has a lockout of its own for the whole board, so slow that its few digits last for years; while it is on, no PIN is
        looked at, and the doors' readers do not hear of it. One PIN is looked at at a time: a slow hash costs memory and time.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from agent.core import staff_pin
from agent.core.clock import from_datetime, in_zone
from agent.core.lockout import Lockout, LockoutRules
from agent.core.pin import PIN_DIGITS, screen_reader
from agent.core.reasons import Reason
from agent.core.staff_pin import StaffPin
from agent.daemon.build import Parts
from agent.daemon.control import Handler
from agent.daemon.doorman import Doorman, Scan, StaffUnlock
from agent.daemon.events import Events
from agent.daemon.report import clock_facts
from agent.errors import ScreenRefusedError
from agent.settings.agent import AgentSettings
from agent.store import today
from agent.store.journal import Moment, Note
from drivers.base import DriverError, Frame

PIN_EVERY_S = 1.0
"""Eight digits are not typed faster: what is did not come from a finger."""
HELP_EVERY_S = 30.0
STAFF_LOCKOUT = LockoutRules(guesses=5, within_s=3600, lock_s=300, max_lock_s=14_400)
"""At most about a hundred guesses a day, however they are timed: six digits last for years."""
STAFF_UNLOCKS = 10
STAFF_UNLOCKS_S = 3600.0
"""So many times in so long staff unlock a door at its screen."""
USER = "screen"
"""Who unlocks and locks, as the journal calls it."""
MAX_REASON = 200

_PIN = re.compile(rf"[0-9]{{{PIN_DIGITS}}}")
_WHAT = ("show", "unlock", "lock")


class Screen:
    """The handlers; `present` hands a scan to the doorman and says whether it was taken, `knock` tells how the link to Knock is."""

    def __init__(
        self,
        *,
        settings: AgentSettings,
        parts: Parts,
        doorman: Doorman,
        events: Events,
        present: Callable[[Scan], bool],
        knock: Callable[[], dict[str, Any]],
    ) -> None:
        self._doors = settings.screen_doors()
        self._store = settings.store.path
        self._zone = ZoneInfo(settings.time_zone)
        self._parts = parts
        self._doorman = doorman
        self._events = events
        self._present = present
        self._knock = knock
        self._pin_s: dict[str, float] = {}
        self._help_s: dict[str, float] = {}
        self._unlocks_s: dict[str, deque[float]] = {door: deque(maxlen=STAFF_UNLOCKS) for door in self._doors}
        self._staff = _Staff(parts.staff_pin)

    def handlers(self) -> dict[str, Handler]:
        """By the name that stands in `do`."""
        return {"screen_pin": self._pin, "screen_help": self._help, "screen_staff": self._serve_staff}

    def facts(self, door: str) -> dict[str, object] | None:
        """What a door's screen can do, as `status` tells it; None where there is no screen."""
        if door not in self._doors:
            return None
        return {"takes_pins": door in self._parts.pin_keys, "serves_staff": self._staff.has_pin}

    async def _pin(self, request: dict[str, Any], _user: str) -> dict[str, Any]:
        """Present a PIN; what becomes of it is told by the events, as of any reader's."""
        door, pin = self._door(request), request.get("pin")
        if not isinstance(pin, str) or not _PIN.fullmatch(pin):
            raise ScreenRefusedError("no_pin", f"a PIN has {PIN_DIGITS} digits")
        if door not in self._parts.pin_keys:
            raise ScreenRefusedError("no_pins_here", f"the door {door} takes no PINs: it has no pin_key_file")
        if not _is_due(self._pin_s, door, PIN_EVERY_S):
            return {"taken": False}
        return {"taken": self._present(Scan(door, screen_reader(door), Frame(pin.encode("ascii"), time.monotonic_ns())))}

    async def _help(self, request: dict[str, Any], _user: str) -> dict[str, Any]:
        """Somebody at the door calls for help: journaled and told."""
        door = self._door(request)
        if not _is_due(self._help_s, door, HELP_EVERY_S):
            return {"called": False}
        self._note("help_called", door)
        return {"called": True}

    async def _serve_staff(self, request: dict[str, Any], _user: str) -> dict[str, Any]:
        door, what = self._door(request), request.get("what")
        if what not in _WHAT:
            raise ScreenRefusedError("no_such_thing", f"what staff may do at a screen: {', '.join(_WHAT)}")
        reason = request.get("reason")
        if what == "unlock" and not is_reason(reason):
            raise ScreenRefusedError("no_reason", f"an unlock needs a reason of 1 to {MAX_REASON} characters")
        if what == "lock" and reason not in (None, "") and not is_reason(reason):
            raise ScreenRefusedError("no_reason", f"the reason of a lock has 1 to {MAX_REASON} characters")
        await self._check(door, request.get("pin"))
        if what == "show":
            return await self._show(door)
        return await self._unlock(door, str(reason)) if what == "unlock" else self._lock(door, str(reason or ""))

    def _door(self, request: dict[str, Any]) -> str:
        """The door, which has a screen; what was sent is not quoted."""
        door = request.get("door")
        if not isinstance(door, str) or door not in self._doors:
            there_are = f"there are: {', '.join(self._doors)}" if self._doors else "name its user in [control] kiosk_users"
            raise ScreenRefusedError("no_screen", f"there is no screen at such a door; {there_are}")
        return door

    # --- staff ---

    async def _check(self, door: str, pin: object) -> None:
        """Raise `ScreenRefusedError` unless this is staff's PIN. Wrong ones are journaled: the lockout keeps them few."""
        try:
            await self._staff.check(pin)
        except _WrongPinError as wrong:
            self._note("staff_refused", door, reason=Reason.WRONG_PIN)
            if wrong.locked_s is not None:
                self._note("staff_locked_out", door, reason=Reason.LOCKED_OUT, detail={"lock_s": round(wrong.locked_s)})
            raise ScreenRefusedError("wrong_pin", "this is not staff's PIN") from None

    async def _show(self, door: str) -> dict[str, Any]:
        now = self._parts.clock.now()
        midnight = in_zone(now.guess_ms, self._zone).replace(hour=0, minute=0, second=0, microsecond=0)
        # a day on by the wall's clock, whatever the clocks do that night
        start_ms, end_ms = from_datetime(midnight), from_datetime(midnight + timedelta(days=1))
        found = await asyncio.to_thread(today.of_door, self._store, door, start_ms, end_ms)
        return {**found, "clock": clock_facts(now), "knock": self._knock()}

    async def _unlock(self, door: str, reason: str) -> dict[str, Any]:
        self._count_unlock(door)
        # shielded: the doorman finishes what it began, though the one who asked is gone
        await asyncio.shield(asyncio.wrap_future(self._doorman.unlock(StaffUnlock(door, USER, reason))))
        self._events.publish("unlocked", door=door, user=USER)
        return {"door": door}

    def _count_unlock(self, door: str) -> None:
        """Raise `ScreenRefusedError` when there were too many: a PIN that the screen's program took holds no door open."""
        recent_s, now_s = self._unlocks_s[door], time.monotonic()
        if len(recent_s) == recent_s.maxlen and now_s - recent_s[0] < STAFF_UNLOCKS_S:
            self._note("staff_unlocks_over", door)
            most = f"staff unlock a door at its screen {STAFF_UNLOCKS} times an hour at most: use `tourlatch unlock`"
            raise ScreenRefusedError("too_many", most)
        recent_s.append(now_s)

    def _lock(self, name: str, reason: str) -> dict[str, Any]:
        """This door alone: who stands before it sees no other. What did not lock is not told as locked."""
        door, detail = self._parts.doors[name], {"user": USER} | ({"reason": reason} if reason else {})
        try:
            door.lock()
        except DriverError as error:
            self._parts.upkeep.note(Note(self._moment(), "relay_failed", name, detail={**detail, "words": str(error)}))
            raise
        self._events.publish("locked_by_staff", door=name, user=USER)
        self._parts.upkeep.note(Note(self._moment(), "lock", name, detail=detail))
        return {"door": name, "is_fire": door.is_fire}

    def _note(self, kind: str, door: str, *, reason: Reason | None = None, detail: dict[str, object] | None = None) -> None:
        """Tell and journal."""
        facts: dict[str, object] = {} if reason is None else {"reason": reason.value}
        self._events.publish(kind, door=door, reader=screen_reader(door), **facts, **(detail or {}))
        self._parts.upkeep.note(Note(self._moment(), kind, door, screen_reader(door), reason, detail=detail))

    def _moment(self) -> Moment:
        now = self._parts.clock.now()
        return Moment(now.guess_ms, now.interval)


class _WrongPinError(Exception):
    """A wrong PIN; `locked_s` is for how long no other is looked at now, if that begins with it."""

    def __init__(self, locked_s: float | None) -> None:
        super().__init__()
        self.locked_s = locked_s


class _Staff:
    """Looks at staff's PIN, one at a time, and counts the wrong ones. On the loop."""

    def __init__(self, known: StaffPin | None) -> None:
        self._known = known
        self._lockout = Lockout()
        self._is_looking = False

    @property
    def has_pin(self) -> bool:
        """Whether there is a PIN at all."""
        return self._known is not None

    async def check(self, pin: object) -> None:
        """Return if this is the PIN; raises `_WrongPinError`, or `ScreenRefusedError` when none is looked at."""
        if self._known is None:
            missing = "staff have no PIN here: make one with `tourlatch staff pin` and name its file in [control] staff_pin_file"
            raise ScreenRefusedError("no_staff_pin", missing)
        if not isinstance(pin, str) or not staff_pin.is_pin(pin):
            raise ScreenRefusedError("no_pin", f"staff's PIN has {staff_pin.MIN_DIGITS} to {staff_pin.MAX_DIGITS} digits")
        if self._lockout.is_on(time.monotonic()):
            raise ScreenRefusedError("locked_out", "too many wrong PINs of staff: no PIN is looked at for a while; use `tourlatch unlock`")
        if self._is_looking:
            raise ScreenRefusedError("busy", "another PIN of staff is being looked at: try again")
        self._is_looking = True
        try:
            is_right = await _in_thread(self._known, pin)
        finally:
            self._is_looking = False
        if is_right:
            self._lockout = self._lockout.after_grant()
            return
        tick_s, before = time.monotonic(), self._lockout
        self._lockout = before.after_guess(tick_s, STAFF_LOCKOUT)
        until_s = self._lockout.until_s
        raise _WrongPinError(None if until_s is None or self._lockout.in_a_row == before.in_a_row else until_s - tick_s)


async def _in_thread(known: StaffPin, pin: str) -> bool:
    """Slow. In a thread of its own that nobody waits for at the end: the agent leaves at once, whatever is typed."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[bool] = loop.create_future()

    def settle(*, is_right: bool | None) -> None:
        if answer.done():
            return
        if is_right is None:
            answer.set_exception(ScreenRefusedError("busy", "staff's PIN cannot be looked at: the board is short of memory"))
        else:
            answer.set_result(is_right)

    def look() -> None:
        is_right = None
        with suppress(MemoryError, ValueError):
            is_right = known.is_opened_by(pin)
        with suppress(RuntimeError):  # the agent is gone
            loop.call_soon_threadsafe(partial(settle, is_right=is_right))

    threading.Thread(target=look, name="staff pin", daemon=True).start()
    return await answer


def _is_due(last_s: dict[str, float], door: str, every_s: float) -> bool:
    """Whether that long has passed at a door; if so, it is counted from now on."""
    now_s = time.monotonic()
    if door in last_s and now_s - last_s[door] < every_s:
        return False
    last_s[door] = now_s
    return True


def is_reason(reason: object) -> bool:
    """Whether it says why staff unlock, in a line."""
    return isinstance(reason, str) and bool(reason.strip()) and len(reason) <= MAX_REASON and reason.isprintable()
