"""Walks an installer through a door's wires: each one has to be seen to move before the door is called ready.

Rule 1: the walk holds the lines itself, so the agent must be stopped, and every lock stays locked but in its own two seconds. Fire is
        the exception, as ever: while its input is active no relay is driven locked, and its wire is looked at another time.
Rule 2: what a machine can see (inputs, readers) it sees itself; what only a person can see (a relay's click, a lamp) is asked.
Rule 3: no device stops the walk: what cannot be had is told, and is not seen.
Rule 4: what a reader reads is described and never shown: it may be a prospect's code.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from agent.core.codes import PREFIX
from agent.doctor.record import Record
from agent.doctor.wires import Wire, driven, every, how_to_feed, readers, watched
from agent.errors import AgentError
from agent.settings.door import DoorSettings
from drivers.base import DriverError, Frame, Input, Line, Reader, ReaderState
from drivers.relay import PulsedRelay

PULSE_S = 2.0
LOOK_S = 0.02
STEADY_S = 0.1
"""A level counts in the walk once it has stood for so long."""
SECONDS_TO_ACT = 120.0

_ACTS = {
    "contact": ("shut the door", "open the door", "shut the door again"),
    "rex": ("let go of the request-to-exit", "press the request-to-exit and hold it", "let go of it"),
    "fire": ("see that the fire panel is at rest", "raise the fire panel's alarm (its test key)", "end the alarm"),
    "tamper": ("close the housing", "open the housing", "close the housing again"),
}
"""What to do for each input: to bring it to rest, to make it active, to bring it back."""


class Talk(Protocol):
    """The installer."""

    def say(self, sentence: str) -> None:
        """Tell something."""
        ...

    def ask(self, question: str) -> bool:
        """Yes or no."""
        ...


class Devices(Protocol):
    """Opens what the settings name; each raises `DriverError` naming what is missing."""

    def line(self, wire: Wire, *, released: bool = False) -> Line:
        """A driven line, claimed at rest or released."""
        ...

    def input(self, wire: Wire) -> Input:
        """A watched line."""
        ...

    def reader(self, wire: Wire) -> Reader:
        """A reader, open."""
        ...


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the walk found of a door: the places that nobody has seen move, and how many there are."""

    door: str
    unseen: tuple[str, ...]
    count: int

    @property
    def is_ready(self) -> bool:
        """Whether each was seen."""
        return not self.unseen

    @property
    def words(self) -> str:
        """For people."""
        if self.is_ready:
            return f"{self.door} is ready: all {self.count} were seen to move."
        return f"{self.door} is NOT ready: not seen to move: {', '.join(self.unseen)}."


class Walk:
    """The walk of one board. `now` gives the moment for the record (ISO 8601); `act_s` is how long somebody has for each act."""

    def __init__(
        self,
        devices: Devices,
        record: Record,
        talk: Talk,
        *,
        now: Callable[[], str],
        act_s: float = SECONDS_TO_ACT,
        pulse_s: float = PULSE_S,
    ) -> None:
        self._devices = devices
        self._record = record
        self._talk = talk
        self._now = now
        self._act_s = act_s
        self._pulse_s = pulse_s

    def door(self, door: DoorSettings, *, again: bool = False) -> Verdict:
        """Walk one door: what was not seen yet, or everything `again`."""
        self._talk.say(f"Door {door.name}: {how_to_feed(door.lock)}")
        for wire in every(door):
            seen_at = self._record.seen_at(door.name, wire)
            if seen_at is not None and not again:
                self._talk.say(f"  {wire.place} ({wire.words}): seen {seen_at}")
        for look, wires in ((self._drive_of(door), driven(door)), (self._watch_of(door), watched(door)), (self._read, readers(door))):
            for wire in wires:
                if again or self._record.seen_at(door.name, wire) is None:
                    self._one(door, wire, look)
        return verdict(self._record, door)

    def _one(self, door: DoorSettings, wire: Wire, look: Callable[[Wire], bool]) -> None:
        is_seen, is_wanted = False, True
        while is_wanted and not is_seen:
            try:
                is_seen = look(wire)
            except (AgentError, DriverError) as error:
                self._talk.say(f"    {error}")
            # at once, for the next question may be answered by Ctrl-C
            self._record.note(door.name, wire, self._now(), is_seen=is_seen)
            self._talk.say(f"  {wire.place} ({wire.words}): {'seen to move' if is_seen else 'NOT seen to move'}")
            is_wanted = not is_seen and self._talk.ask(f"  Try {wire.place} again?")

    def _drive_of(self, door: DoorSettings) -> Callable[[Wire], bool]:
        panel = next((wire for wire in watched(door) if wire.place == "fire"), None)

        def drive(wire: Wire) -> bool:
            question = f"  {wire.place} ({wire.words}) is energised for {self._pulse_s:g} s. Is the lock's power off, and may it begin?"
            if not self._talk.ask(question):
                return False
            fire = self._devices.input(panel) if panel is not None and wire.place == "relay" else None
            try:
                self._pulse(wire, fire)
            finally:
                if fire is not None:
                    fire.close()
            return self._talk.ask(f"  Was {wire.place} off, then on for {self._pulse_s:g} s, then off again?")

        return drive

    def _pulse(self, wire: Wire, fire: Input | None) -> None:
        """One pulse; raises `DriverError` where the line does not move, or there is fire and it must not be locked."""
        if fire is not None and fire.read():
            raise DriverError(f"There is fire at this door by {fire.name}: its relay is not touched. Walk again when that is over.")
        faults: list[Exception] = []
        relay = PulsedRelay(self._devices.line(wire), max_s=self._pulse_s, on_fault=faults.append)
        try:
            relay.release(self._pulse_s, lambda _pulse: None)
            ends_s = time.monotonic() + self._pulse_s
            while time.monotonic() < ends_s:
                time.sleep(min(LOOK_S, self._pulse_s))
                if fire is not None:
                    relay.set_fire(is_on=fire.read())
        finally:
            relay.close()
        if faults:
            raise DriverError(str(faults[0]))

    def _watch_of(self, door: DoorSettings) -> Callable[[Wire], bool]:
        relay = driven(door)[0]

        def watch(wire: Wire) -> bool:
            rest, act, back = _ACTS[wire.place]
            watched = self._devices.input(wire)
            try:
                if not (self._until(watched, rest, is_active=False) and self._until(watched, act, is_active=True)):
                    return False
                if wire.place == "fire":
                    return self._is_released_by_fire(relay, watched, back)
                return self._until(watched, back, is_active=False)
            finally:
                watched.close()

        return watch

    def _is_released_by_fire(self, wire: Wire, fire: Input, back: str) -> bool:
        """During the alarm the lock's relay has to be on, as the agent would have it; it is for as long as the alarm, and no longer."""
        relay = PulsedRelay(self._devices.line(wire, released=True), max_s=self._pulse_s, on_fault=lambda _error: None, is_fire=True)
        try:
            self._talk.say("    The relay is on for as long as the alarm lasts: look at the lock.")
            if not self._until(fire, back, is_active=False):
                return False
            relay.set_fire(is_on=False)
        finally:
            relay.close()
        return self._talk.ask("  Fire: was the lock released by the alarm, and is it with this board unplugged (the panel's own contact)?")

    def _until(self, watched: Input, act: str, *, is_active: bool) -> bool:
        """Wait until the level has stood as it should."""
        self._talk.say(f"    Now {act}.")
        ends_s = time.monotonic() + self._act_s
        since_s: float | None = None
        while time.monotonic() < ends_s:
            now_s = time.monotonic()
            if watched.read() is not is_active:
                since_s = None
            elif since_s is None:
                since_s = now_s
            if since_s is not None and now_s - since_s >= STEADY_S:
                return True
            time.sleep(LOOK_S)
        self._talk.say(f"    {watched.name} did not move within {self._act_s:g} s.")
        return False

    def _read(self, wire: Wire) -> bool:
        reader = self._devices.reader(wire)
        try:
            self._talk.say(f"    Now show a tour code to {wire.place}, or eight digits, as a QR or by its keys.")
            frame = asyncio.run(self._first_frame(reader))
        finally:
            reader.close()
        self._talk.say(f"    {_described(frame)}" if frame else f"    {wire.place} read nothing within {self._act_s:g} s.")
        return frame is not None and _is_sense(frame)

    async def _first_frame(self, reader: Reader) -> Frame | None:
        first: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()

        def on_frame(frame: Frame) -> None:
            if not first.done():
                first.set_result(frame)

        def on_state(state: ReaderState, sentence: str) -> None:
            if state is not ReaderState.READY:
                self._talk.say(f"    {sentence}")

        reading = asyncio.create_task(reader.run(on_frame, on_state))
        try:
            with suppress(TimeoutError):
                return await asyncio.wait_for(first, self._act_s)
            return None
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


def verdict(record: Record, door: DoorSettings) -> Verdict:
    """What the record says of a door."""
    return Verdict(door.name, tuple(record.unseen(door)), len(every(door)))


def _is_sense(frame: Frame) -> bool:
    """Whether what was read is what a door understands; a wrong speed or layout makes it something else."""
    return not frame.overlong and (frame.data.startswith(PREFIX) or frame.data.isdigit())


def _described(frame: Frame) -> str:
    if frame.overlong:
        return "It read more than fits into a code: check its prefix, suffix and speed."
    if not _is_sense(frame):
        return f"It read {len(frame.data)} characters that are no tour code and no number: check its speed, prefix, suffix and layout."
    return f"It read {'a tour code' if frame.data.startswith(PREFIX) else 'a number'} of {len(frame.data)} characters."
