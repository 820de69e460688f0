"""What may be asked on the control socket, one method a request.

Changes go through here while an agent runs, so that one process writes the store.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

from agent.core.pin import screen_reader
from agent.core.tour import RosterEntry, Standing
from agent.daemon.build import Parts
from agent.daemon.control import Handler
from agent.daemon.door import Door
from agent.daemon.doorman import Doorman, StaffUnlock
from agent.daemon.events import Events
from agent.daemon.feed import Feed
from agent.daemon.report import Reports, clock_facts
from agent.daemon.screen import MAX_REASON, Screen, is_reason
from agent.daemon.sender import Sender
from agent.daemon.ways import Hold
from agent.settings.agent import AgentSettings
from agent.store import feed, outbox
from agent.store.journal import Moment, Note
from drivers.base import DriverError

MAX_TEXT = 200
MAX_IDS = 10_000


class Requests:
    """The handlers, over the agent's parts."""

    def __init__(
        self,
        *,
        settings: AgentSettings,
        parts: Parts,
        doorman: Doorman,
        sender: Sender,
        events: Events,
        version: str,
        reader_states: dict[str, str],
        feeds: Mapping[str, Feed],
        reports: Mapping[str, Reports],
        screen: Screen,
    ) -> None:
        self._settings = settings
        self._parts = parts
        self._doorman = doorman
        self._sender = sender
        self._events = events
        self._version = version
        self._reader_states = reader_states
        self._feeds = feeds
        self._reports = reports
        self._screen = screen
        self._started_s = time.monotonic()

    def handlers(self) -> dict[str, Handler]:
        """By the name that stands in `do`."""
        return {
            "status": self._status,
            "unlock": self._unlock,
            "lock": self._lock,
            "roster": self._roster,
            "outbox_retry": self._outbox_retry,
            "outbox_drop": self._outbox_drop,
            **self._screen.handlers(),
        }

    async def _status(self, _request: dict[str, Any], _user: str) -> dict[str, Any]:
        # not by upkeep: it counts every row, and would hold the gate that a scan waits for
        counts = await asyncio.to_thread(outbox.counted, self._settings.store.path)
        now = self._parts.clock.now()
        return {
            "at_ms": now.guess_ms,
            "version": self._version,
            "up_s": round(time.monotonic() - self._started_s),
            "community_id": self._settings.community_id,
            "doors": {
                name: {
                    **self._door_facts(door),
                    "readers": {at.name: self._reader_states.get(at.name, "starting") for at in self._parts.readers if at.door == name},
                    "locked_out": self._doorman.lockouts(self._readers_of(name)),
                    "fault": self._doorman.faults.of(name),
                    "screen": self._screen.facts(name),
                    "feed": self._feeds[name].status if name in self._feeds else None,
                    "report": self._reports[name].status if name in self._reports else None,
                }
                for name, door in self._parts.doors.items()
            },
            "clock": clock_facts(now),
            "keys": {key.key_id: "retired" if key.is_retired else "active" for key in self._parts.keys.values()},
            "outbox": counts,
            "unwritten": self._parts.upkeep.lost_notes,
            "knock": self._sender.link,
        }

    def _readers_of(self, door: str) -> list[str]:
        return [*[at.name for at in self._parts.readers if at.door == door], screen_reader(door)]

    def _door_facts(self, door: Door) -> dict[str, Any]:
        leaf, hold, second = door.leaf, door.hold, door.second
        inputs = self._parts.watch.states(door.name)
        return {
            "state": door.state.value,
            "lock": door.state.value,
            "leaf": None if leaf is None else leaf.value,
            "fire": door.is_fire,
            "tamper": door.is_tampered,
            "hold_open_until_ms": None if hold is None else hold.until_ms,
            "second_relay": None if second is None else "failed" if second.has_failed else "ready",
            "inputs": inputs,
            "rex": door.reasons.exit_state if "rex" in inputs else None,
            "lamps": self._parts.signs[door.name].lamps(),
        }

    async def _unlock(self, request: dict[str, Any], user: str) -> dict[str, Any]:
        name, reason = request.get("door"), request.get("reason")
        if not isinstance(name, str) or name not in self._parts.doors:
            raise ValueError(f"there is no door {name!r}; there are: {', '.join(self._parts.doors)}")
        if not isinstance(reason, str) or not is_reason(reason):
            raise ValueError(f"an unlock needs a reason of 1 to {MAX_REASON} characters")
        hold = self._hold(name, request["until_ms"]) if request.get("until_ms") is not None else None
        # shielded: the doorman finishes what it began, though the one who asked is gone
        await asyncio.shield(asyncio.wrap_future(self._doorman.unlock(StaffUnlock(name, user, reason, hold))))
        if hold is None:
            self._events.publish("unlocked", door=name, user=user)
            return {"door": name, "state": self._parts.doors[name].state.value}
        self._events.publish("hold_open", door=name, user=user, until_ms=hold.until_ms)
        return {"door": name, "until_ms": hold.until_ms}

    def _hold(self, name: str, until_ms: object) -> Hold:
        """Until when a door is held unlocked, counted from now on by ticks: setting the clock neither ends nor lengthens it."""
        longest_min = self._settings.rules.hold_open_max_min
        if not isinstance(until_ms, int) or isinstance(until_ms, bool):
            raise ValueError("until_ms is an integer: milliseconds since 1970")  # noqa: TRY004 - what is said on the socket is wrong as a value
        if longest_min == 0:
            raise ValueError("no door may be held unlocked here: [rules] hold_open_max_min is 0")
        left_ms = until_ms - self._parts.clock.now().guess_ms
        if left_ms <= 0:
            raise ValueError("the time until which the door is to be held unlocked is over")
        if left_ms > longest_min * 60_000:
            raise ValueError(f"a door may be held unlocked for at most {longest_min} minutes: [rules] hold_open_max_min")
        if self._parts.doors[name].is_fire:
            raise ValueError(f"the door {name} is released by fire: hold it unlocked when that is over")
        return Hold(time.monotonic_ns() + left_ms * 1_000_000, until_ms)

    async def _lock(self, request: dict[str, Any], user: str) -> dict[str, Any]:
        """All doors; `reason` may say why. What did not lock is not told as locked."""
        reason = request.get("reason")
        if reason is not None and not is_reason(reason):
            raise ValueError(f"the reason of a lock has 1 to {MAX_REASON} characters")
        detail: dict[str, object] = {"user": user} | ({} if reason is None else {"reason": reason})
        faults: dict[str, str] = {}
        for name, door in self._parts.doors.items():
            try:
                door.lock()
            except DriverError as error:  # the other doors must be locked too
                faults[name] = str(error)
        names = [name for name in self._parts.doors if name not in faults]
        # of all doors at once, unless some are still unlocked
        for where in [{"door": name} for name in names] if faults else [{}]:
            self._events.publish("locked_by_staff", **where, user=user)
            self._parts.upkeep.note(Note(self._moment(), "lock", where.get("door"), detail=detail))
        for name, words in faults.items():
            self._parts.upkeep.note(Note(self._moment(), "relay_failed", name, detail={**detail, "words": words}))
        if faults:
            raise DriverError(" ".join(faults.values()))
        in_fire = [name for name, door in self._parts.doors.items() if door.is_fire]
        locked = [name for name in names if name not in in_fire]
        return {"doors": locked, "in_fire": in_fire} if in_fire else {"doors": locked}

    async def _roster(self, request: dict[str, Any], _user: str) -> dict[str, Any]:
        """News of appointments: `entries` of `{appointment_id, standing, code_id?, source_title?, revision?}`; on disk when answered.

        A scan waits for no more than `feed.BATCH` of them. When one batch fails those before it are heard; telling all again is right.
        """
        entries = [_entry(item) for item in _list(request, "entries")]
        moment = self._moment()

        count = 0
        for batch in (entries[at : at + feed.BATCH] for at in range(0, len(entries), feed.BATCH)):
            # one after the other: jobs that wait together become one transaction
            count += len(await asyncio.wrap_future(self._parts.upkeep.submit(partial(feed.hear, entries=batch, moment=moment))))
        self._events.publish("roster", changed=count)
        return {"changed": count}

    async def _outbox_retry(self, request: dict[str, Any], user: str) -> dict[str, Any]:
        visit_ids = None if request.get("visit_ids") is None else _texts(request, "visit_ids")
        moment = self._moment()
        again = await asyncio.wrap_future(self._parts.upkeep.submit(lambda conn: outbox.retry(conn, visit_ids, moment.at_ms)))
        self._events.publish("outbox_retry", count=again, user=user)
        self._sender.wake()
        return {"retried": again}

    async def _outbox_drop(self, request: dict[str, Any], user: str) -> dict[str, Any]:
        visit_ids = _texts(request, "visit_ids")
        moment = self._moment()
        dropped = await asyncio.wrap_future(self._parts.upkeep.submit(lambda conn: outbox.drop(conn, visit_ids, moment, user)))
        self._events.publish("outbox_drop", count=len(dropped), user=user)
        return {"dropped": dropped}

    def _moment(self) -> Moment:
        now = self._parts.clock.now()
        return Moment(now.guess_ms, now.interval)


def _list(request: dict[str, Any], name: str) -> list[Any]:
    value = request.get(name)
    if not isinstance(value, list) or len(value) > MAX_IDS:
        raise ValueError(f"{name} must be a list of at most {MAX_IDS}")
    return value


def _texts(request: dict[str, Any], name: str) -> list[str]:
    values = _list(request, name)
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name} must be a list of texts")
    return values


def _is_short_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT and value.isprintable()


def _entry(item: object) -> RosterEntry:
    fields = dict(item) if isinstance(item, dict) else {}
    revision = fields.pop("revision", 0)
    if not isinstance(revision, int) or isinstance(revision, bool):
        raise ValueError("a roster entry's revision is an integer")  # noqa: TRY004 - what is said on the socket is wrong as a value
    if not isinstance(item, dict) or not all(value is None or _is_short_text(value) for value in fields.values()):
        raise ValueError(f"a roster entry is an object of texts of at most {MAX_TEXT} visible characters")
    if item.get("appointment_id") is None:
        raise ValueError("a roster entry needs 'appointment_id'")
    try:
        return RosterEntry(item["appointment_id"], Standing(item["standing"]), item.get("code_id"), item.get("source_title"), revision)
    except KeyError as error:
        raise ValueError(f"a roster entry needs {error}") from error
