"""The running agent: named tasks in one group, and an orderly stop with the relays locked first.

Rule 1: SIGTERM and SIGINT lock every door before anything else is done, and the process is gone within two seconds.
Rule 2: a component that dies (outbox, a reader, the control socket) is restarted and journaled. The doorman's or a relay's
        death is the agent's: locked, and out with an error, so that systemd starts it anew.
Rule 3: the watchdog is fed from the loop, and only after a look at the doorman, upkeep and the inputs' thread: none of them can hang or
        die unseen.
"""

from __future__ import annotations

import asyncio
import gc
import random
import signal
import sys
import time
from contextlib import ExitStack
from importlib import metadata
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from agent import notify
from agent.core.clock import ClockState
from agent.core.pin import screen_reader
from agent.core.reasons import Reason
from agent.daemon.answer import Answers
from agent.daemon.build import Callbacks, Parts, ReaderAt, build
from agent.daemon.control import Control
from agent.daemon.doorman import Doorman, Outcome, Scan
from agent.daemon.events import Events
from agent.daemon.feed import DeskClient, DeskLink, Feed, FeedState
from agent.daemon.happening import Happening
from agent.daemon.report import Reports
from agent.daemon.requests import Requests
from agent.daemon.screen import Screen
from agent.daemon.sender import Sender
from agent.daemon.taken import Taken
from agent.daemon.tell import StoreHealth, Teller
from agent.settings.agent import AgentSettings
from agent.store import upkeep
from agent.store.journal import Moment, Note
from agent.supervise import supervise
from agent.timekeeping import Now, boot_number
from drivers.base import Frame, Pulse, ReaderState, Signal

if TYPE_CHECKING:
    from agent.daemon.sender import Reporter

DOORMAN_CLOSE_S = 0.7
LAST_SEEN_EVERY_S = 600.0
CLOCK_LOOK_EVERY_S = 30.0
BEAT_S = 1.0
FRESH_MARGIN_S = 10.0
STALLED_S = 5.0
_SWITCH_S = 0.001


class RelayFaultError(Exception):
    """A relay could not be locked, or its guard ended: the process has to go, so that systemd locks from outside."""


class Agent:
    """One agent; `run` is its life."""

    def __init__(self, settings: AgentSettings) -> None:
        self._settings = settings
        self._teller = Teller()
        self._store = StoreHealth()
        self._version = metadata.version("tourlatch")
        self._notifier = notify.Notifier.from_environment()
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._fatal: asyncio.Future[None] = self._loop.create_future()
        self._reader_states: dict[str, str] = {}
        self._dropped: dict[str, int] = {}
        self._alive_s = time.monotonic()
        self._stale_until_s = 0.0

    async def run(self) -> None:
        """Build, serve until a signal, lock. Raises what stopped the start, or what killed the door."""
        with ExitStack() as stack:
            # a busy thread may hold the interpreter for this long before the doorman gets it
            sys.setswitchinterval(_SWITCH_S)
            callbacks = Callbacks(self._pulse_ended, self._relay_fault, self._note_lost, self._teller.tell)
            self._parts = parts = build(self._settings, stack, callbacks)
            self._events = Events(lambda: parts.clock.now().guess_ms)
            zone = ZoneInfo(self._settings.time_zone)
            self._answers = Answers(self._events, parts.signs, self._store, zone, self._settings.help_phone)
            self._teller.attach(parts.upkeep, parts.clock.now, self._on_happening, parts.signs)
            self._taken = Taken(self._events)
            self._doorman = self._make_doorman(parts)
            stack.callback(self._doorman.close, DOORMAN_CLOSE_S)
            self._sender = self._make_sender(parts)
            self._link = self._make_link()
            self._feeds = self._make_feeds(parts)
            self._reports = {door: self._make_reports(parts, listener) for door, listener in self._feeds.items()}
            requests = Requests(
                settings=self._settings,
                parts=parts,
                doorman=self._doorman,
                sender=self._sender,
                events=self._events,
                version=self._version,
                reader_states=self._reader_states,
                feeds=self._feeds,
                reports=self._reports,
                screen=self._make_screen(parts),
            )
            control = self._settings.control
            users, doors = (control.users, control.kiosk_users), self._settings.screen_doors()
            self._control = Control(control.socket, users[0], requests.handlers(), self._events, users[1], kiosk_doors=doors)
            self._control.open()
            stack.callback(self._control.close)
            for number in (signal.SIGTERM, signal.SIGINT):
                self._loop.add_signal_handler(number, self._begin_to_stop)
            parts.journal.write(Note(self._moment(), "start", detail={"version": self._version, "is_new_store": parts.is_new_store}))
            if parts.is_new_store:
                self._events.publish("store_made", path=str(self._settings.store.path))
            self._doorman.start()
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = self._start_tasks(group)
                    self._ready()
                    await self._stop.wait()
                    for task in tasks:
                        task.cancel()
            finally:
                for door in parts.doors.values():
                    door.stop()
                await self._link.close()
            parts.upkeep.note(Note(self._moment(), "stop"))

    def _start_tasks(self, group: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        components = {"outbox": self._sender.run, "control": self._control.run}
        components |= {f"feed {door}": listener.run for door, listener in self._feeds.items()}
        components |= {f"report {door}": reports.run for door, reports in self._reports.items()}
        tasks = [group.create_task(supervise(name, run, self._component_died), name=name) for name, run in components.items()]
        for at in self._parts.readers:
            name = f"reader {at.name}"
            tasks.append(group.create_task(supervise(name, lambda at=at: self._read(at), self._component_died), name=name))  # type: ignore[misc]  # a bound default
        tasks.append(group.create_task(self._watch_door(), name="door"))
        tasks.append(group.create_task(self._feed_watchdog(), name="watchdog"))
        tasks.append(group.create_task(self._keep_time(), name="clock"))
        tasks.append(group.create_task(self._beat(), name="beat"))
        return tasks

    def _make_doorman(self, parts: Parts) -> Doorman:
        return Doorman(
            doors=parts.doors,
            readers=[*[at.name for at in parts.readers], *[screen_reader(door) for door in self._settings.screen_doors()]],
            keys=parts.keys,
            rules=self._settings.decision_rules(),
            lockout_rules=self._settings.lockout.rules(),
            journal=parts.journal,
            keeper=parts.upkeep,
            clock=parts.clock,
            source_title=self._settings.source_title or None,
            tell=lambda outcome: self._from_thread(self._on_outcome, outcome),
            pin_keys=parts.pin_keys,
            exits=[reader.name for door in self._settings.door for reader in door.reader if reader.direction == "out"],
            pass_over=lambda scan: self._from_thread(self._taken.pass_over, scan),
        )

    def _make_screen(self, parts: Parts) -> Screen:
        return Screen(
            settings=self._settings,
            parts=parts,
            doorman=self._doorman,
            events=self._events,
            present=self._present,
            knock=lambda: self._sender.link,
        )

    def _make_sender(self, parts: Parts) -> Sender:
        def load() -> Reporter:
            from agent.knock import Knock

            return Knock(self._settings.knock, prospect_key=parts.prospect_key, appointment_key=None, version=self._version)

        async def connect() -> Reporter:
            return await asyncio.to_thread(load)

        outbox = self._settings.outbox
        return Sender(
            parts.upkeep,
            connect,
            outbox.policy(),
            at_once=outbox.at_once,
            moment=self._moment,
            chance=random.random,
            events=self._events,
        )

    def _make_link(self) -> DeskLink:
        settings = self._settings.desk

        def load() -> DeskClient:
            from agent.roster import Desk

            if settings is None:  # no door has a token then, so nobody asks
                raise RuntimeError("there is no desk")
            return Desk(settings, self._version)

        return DeskLink(load)

    def _make_feeds(self, parts: Parts) -> dict[str, Feed]:
        settings = self._settings.desk
        if settings is None:
            return {}
        return {
            door: Feed(
                door,
                token=token,
                community_id=self._settings.community_id,
                link=self._link,
                upkeep=parts.upkeep,
                moment=self._moment,
                chance=random.random,
                events=self._events,
                on_order=lambda door=door: self._order_done(door),  # type: ignore[misc]  # a bound default
                fresh_s=settings.wait_s + settings.total_timeout_s + FRESH_MARGIN_S,
            )
            for door, token in parts.desk_tokens.items()
        }

    def _make_reports(self, parts: Parts, listener: Feed) -> Reports:
        return Reports(
            listener,
            token=parts.desk_tokens[listener.door],
            link=self._link,
            upkeep=parts.upkeep,
            store=self._settings.store.path,
            now=parts.clock.now,
            chance=random.random,
            version=self._version,
        )

    def _ready(self) -> None:
        gc.collect()
        gc.freeze()
        doors = ", ".join(self._parts.doors)
        self._notifier.tell("READY=1", f"STATUS=Watching {doors}")
        self._events.publish("started", version=self._version, doors=doors)

    def _begin_to_stop(self) -> None:
        for name, door in self._parts.doors.items():
            door.stop()
            self._parts.signs[name].set(Signal.DARK, "stop", is_on=True)
        self._notifier.tell("STOPPING=1")
        self._events.publish("stopping")
        self._stop.set()

    def _moment(self) -> Moment:
        now = self._parts.clock.now()
        return Moment(now.guess_ms, now.interval)

    def _from_thread(self, call: object, *args: object) -> None:
        """Have something done on the loop; after its end there is nobody left to tell."""
        try:
            self._loop.call_soon_threadsafe(call, *args)  # type: ignore[arg-type]  # a callable of any signature
        except RuntimeError:
            return

    # --- what happens ---

    def _present(self, scan: Scan) -> bool:
        """Hand a scan to the doorman; False for one from before a standstill, or when too many wait."""
        if self._was_stalled() or not self._doorman.present(scan):
            return False
        self._taken.took(scan)
        return True

    async def _read(self, at: ReaderAt) -> None:
        def on_frame(frame: Frame) -> None:
            if not self._present(Scan(at.door, at.name, frame)):
                self._dropped[at.name] = self._dropped.get(at.name, 0) + 1

        def on_state(state: ReaderState, sentence: str) -> None:
            is_news = self._reader_states.get(at.name) is not None or state is not ReaderState.READY
            self._reader_states[at.name] = state.value
            self._parts.signs[at.door].set(Signal.FAULT, f"reader {at.name}", is_on=state is not ReaderState.READY)
            if is_news:
                self._note(f"reader_{state.value}", door=at.door, reader=at.name, detail={"words": sentence})

        await at.reader.run(on_frame, on_state)

    def _on_outcome(self, outcome: Outcome) -> None:
        """Tell what became of a scan; for a new visit, wake the outbox."""
        self._taken.tell(outcome.scan)
        self._answers.publish(outcome)
        if outcome.admitted is not None and outcome.admitted.new_visit_id is not None:
            self._sender.wake()
        if outcome.admitted is not None and not outcome.is_exit and outcome.scan.door in self._reports:
            self._reports[outcome.scan.door].wake()

    def _on_happening(self, happening: Happening) -> None:
        """Something happened at a door; it is journaled already. From threads."""
        if happening.kind == Reason.RELAY_FAILED:
            self._doorman.faults.failed(happening.door, Reason.RELAY_FAILED)
        ids = {"appointment_id": happening.appointment_id, "code_id": happening.code_id}
        facts = {name: value for name, value in ids.items() if value is not None} | dict(happening.detail or {})
        self._from_thread(lambda: self._events.publish(happening.kind, door=happening.door, **facts))

    def _order_done(self, door: str) -> None:
        """Staff had visits tried again, from afar."""
        self._sender.wake()
        self._reports[door].wake()

    def _pulse_ended(self, door: str, pulse: Pulse) -> None:
        ms = round((pulse.locked_ns - pulse.released_ns) / 1e6, 3)
        self._from_thread(lambda: self._events.publish("locked", door=door, released_ms=ms, by=pulse.locked_by.value))

    def _relay_fault(self, error: Exception) -> None:
        def die() -> None:
            if not self._fatal.done():
                self._fatal.set_exception(RelayFaultError(str(error)))

        self._from_thread(die)

    def _note_lost(self, error: str) -> None:
        """A refusal or another entry could not be written: it is counted in `status`, and told here."""
        self._store.failed()
        self._from_thread(lambda: self._events.publish("store_failed", error=error))

    def _component_died(self, name: str, error: BaseException, wait_s: float) -> None:
        self._note(
            "component_failed", detail={"component": name, "error": f"{type(error).__name__}: {error}", "restart_s": round(wait_s, 1)}
        )

    def _note(self, kind: str, *, door: str | None = None, reader: str | None = None, detail: dict[str, object] | None = None) -> None:
        """Tell and journal."""
        self._events.publish(kind, door=door, reader=reader, **(detail or {}))
        self._parts.upkeep.note(Note(self._moment(), kind, door, reader, detail=detail))

    # --- tasks ---

    async def _watch_door(self) -> None:
        """Ends with an exception when the doorman's thread or a relay's guard has died."""
        await asyncio.wait({asyncio.wrap_future(self._doorman.death), self._fatal}, return_when=asyncio.FIRST_COMPLETED)
        if self._fatal.done():
            await self._fatal
        await asyncio.wrap_future(self._doorman.death)

    async def _feed_watchdog(self) -> None:
        limit_s = notify.watchdog_s()
        while limit_s is not None:
            if self._doorman.is_well() and self._parts.upkeep.is_alive() and self._parts.watch.is_well():
                self._notifier.tell("WATCHDOG=1")
            await asyncio.sleep(limit_s / 3)

    def _was_stalled(self) -> bool:
        """Whether this process stood still until just now: what readers hold from that time is not of now."""
        now_s = time.monotonic()
        return now_s < self._stale_until_s or now_s - self._alive_s > STALLED_S

    async def _beat(self) -> None:
        """Show that the loop is alive, and tell of scans that nobody looked at, once a second however many there were."""
        while True:
            now_s = time.monotonic()
            if now_s - self._alive_s > STALLED_S:
                # this timer may run before the readers' data is looked at
                self._stale_until_s = now_s + BEAT_S / 2
            self._alive_s = now_s
            dropped, self._dropped = self._dropped, {}
            for reader, count in dropped.items():
                self._events.publish("scan_dropped", reader=reader, count=count)
            self._show_health()
            await asyncio.sleep(BEAT_S)

    def _show_health(self) -> None:
        """At each door: whether the store fails, and whether neither Knock nor the desk can be reached."""
        is_cut_off = self._sender.link["is_up"] is False
        for name, signs in self._parts.signs.items():
            is_unheard = name not in self._feeds or self._feeds[name].state is not FeedState.FRESH
            signs.set(Signal.OFFLINE, "links", is_on=is_cut_off and is_unheard)
            signs.set(Signal.FAULT, "store", is_on=self._store.is_failing())
            signs.set(Signal.FAULT, "admission", is_on=self._doorman.faults.of(name) is not None)

    async def _keep_time(self) -> None:
        """Remember the time every ten minutes, and tell when the clock's state changes."""
        state, written_s = None, 0.0
        while True:
            now = self._parts.clock.now()
            if now.state is not state or time.monotonic() - written_s > LAST_SEEN_EVERY_S:
                if now.state is not state:
                    width_ms = None if now.interval.is_open_ended else now.interval.latest_ms - now.interval.earliest_ms
                    self._note("clock", detail={"state": now.state.value, "uncertain_ms": width_ms})
                state, written_s = now.state, time.monotonic()
                self._remember(now)
            await asyncio.sleep(CLOCK_LOOK_EVERY_S)

    def _remember(self, now: Now) -> None:
        is_certain = now.state is ClockState.SYNCHRONISED
        self._parts.upkeep.submit(lambda conn: upkeep.set_last_seen(conn, now.interval, is_certain=is_certain))
        if is_certain:
            anchor = self._parts.clock.anchor
            self._parts.upkeep.submit(lambda conn: upkeep.set_anchor(conn, boot_number(), anchor))
