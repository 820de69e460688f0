"""A reader or keypad with the two wires of Wiegand, on GPIO pins.

Rule 1: edges cross from their thread to the loop in batches, by their ticks; a message is judged in the loop, once there is silence.
Rule 2: the wires hang outside the door, and whoever cuts the reader off holds them. More edges than any reader sends are not listened
        to, and what waits is bounded: then the message is spoiled, never shortened.
Rule 3: Wiegand has no sign of life. What can be seen is seen: a line that stays low has no power, is cut or is shorted.
Rule 4: what was typed or shown before the reader was read is thrown away, and so is what was typed before a card is shown.
Rule 5: damaged messages are counted, and told in one line a minute at most; what was typed is in no log.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn, Protocol, TypeAlias

from drivers.backoff import Backoff, use_for_ever
from drivers.base import DeviceMissingError, DriverError, Frame, ReaderState
from drivers.keypad import Keypad
from drivers.wiegand import Edge, Fault, Keys, Message, Number, Rejected, WiegandDecoder

SETTLE_S = 0.05
"""So long after the latest edge's arrival a message is over: the gap, and as much again for a thread that is late."""
LOOK_S = 1.0
"""How often the lines' levels are looked at. A line that is low twice running stays low."""
MAX_EDGES_WAITING = 4096
MAX_EDGES_A_LOOK = 5000
"""The fastest legal messages one after the other have 1100 pulses a second, two edges each."""
TELL_EVERY_S = 60.0
DAMAGED_KEY_BITS = range(3, 10)
"""A key has 4 or 8 bits; one more or less is a damaged one, anything else is noise or a card."""

_Told: TypeAlias = tuple[int, int, int] | None
"""An edge by pin, level and tick; None where edges were lost."""

log = logging.getLogger(__name__)


class EdgeSource(Protocol):
    """Two claimed pins and their edges, as `drivers.gpio.GpioEdges` has them."""

    def read(self) -> Mapping[int, int]:
        """The level of each pin now; raises `DriverError` when the device does not answer."""
        ...

    def watch(self, on_edge: Callable[[int, int, int], None], on_lost: Callable[[int, int], None]) -> None:
        """Have every edge told by pin, level and tick, and of lost edges the pin and how many, from a thread; once."""
        ...

    def close(self) -> None:
        """Give the pins back; any number of times."""
        ...


class WiegandReader:
    """A reader on the pins `d0` and `d1`, which `claim` claims; raising `DeviceMissingError` when they cannot be had.

    `key_gap_s` is the longest pause between two keys of a PIN. A lost device is tried again after about `first_retry_s` seconds, then
    more rarely, up to every `max_retry_s`.
    """

    def __init__(
        self,
        name: str,
        d0: int,
        d1: int,
        claim: Callable[[], EdgeSource],
        *,
        key_gap_s: float = 5.0,
        first_retry_s: float = 0.5,
        max_retry_s: float = 30.0,
        look_s: float = LOOK_S,
    ) -> None:
        self._name = name
        self._lines = {d0: 0, d1: 1}
        self._words = {d0: f"D0 (GPIO{d0})", d1: f"D1 (GPIO{d1})"}
        self._claim = claim
        self._keypad = Keypad(key_gap_s)
        self._backoff = Backoff(first_retry_s, max_retry_s)
        self._look_s = look_s
        self._source: EdgeSource | None = None
        self._low: frozenset[int] = frozenset()
        self._is_low = False
        self._is_lossy = False
        self._damaged: Counter[str] = Counter()
        self._told_s: float | None = None

    def open(self) -> None:
        """Claim the pins; raises `DeviceMissingError` naming them, with the reason. Once is enough."""
        if self._source is not None:
            return
        try:
            self._source = self._claim()
        except DriverError as error:
            raise DeviceMissingError(f"Reader {self._name}: {error}") from error

    async def run(self, on_frame: Callable[[Frame], None], on_state: Callable[[ReaderState, str], None]) -> None:
        """Read until cancelled; a lost device is reported with a sentence, then reopened for ever.

        Both are called in the event loop's thread. The first state is reported at the start.
        """
        await use_for_ever(self.open, lambda: self._use(on_frame, on_state), self.close, on_state, self._backoff)

    async def _use(self, on_frame: Callable[[Frame], None], on_state: Callable[[ReaderState, str], None]) -> str:
        if self._source is None:
            raise DeviceMissingError(f"Reader {self._name}: its pins were given back.")
        try:
            await self._listen(self._source, on_frame, on_state)
        except DriverError as error:
            self.close()
            return f"Reader {self._name} is lost: {error} It is tried again."

    def close(self) -> None:
        """Give the pins back; any number of times."""
        source, self._source = self._source, None
        self._keypad.clear()
        if source is not None:
            source.close()

    async def _listen(
        self, source: EdgeSource, on_frame: Callable[[Frame], None], on_state: Callable[[ReaderState, str], None]
    ) -> NoReturn:
        """Hear messages until the device fails, which raises `DriverError`."""
        loop = asyncio.get_running_loop()
        decoder, inbox, since_ns = WiegandDecoder(), _Inbox(loop), time.monotonic_ns()
        self._low, self._is_low, self._is_lossy = frozenset(), False, False
        source.watch(inbox.put, inbox.lose)
        on_state(ReaderState.READY, f"Reader {self._name}: reading on {' and '.join(self._words.values())}.")
        look_s = arrived_s = loop.time()
        count = 0
        while True:
            pause_s = look_s - loop.time()
            await inbox.wait(pause_s if decoder.is_idle else min(pause_s, SETTLE_S))
            waiting = inbox.take()
            messages = self._fed(decoder, waiting)
            if waiting:
                arrived_s = loop.time()
            elif loop.time() - arrived_s >= SETTLE_S:
                messages += decoder.end()
            for message in messages:
                if message.at_ns >= since_ns:
                    self._hear(message, on_frame)
            count += len(waiting)
            if count > MAX_EDGES_A_LOOK or inbox.is_full:
                raise DriverError("more edges come than any reader sends. Check its cable, and that nobody has the wires in hand.")
            if loop.time() >= look_s:
                look_s, count = loop.time() + self._look_s, 0
                self._look(source.read(), on_state)
                self._tell_damaged(loop.time())

    def _fed(self, decoder: WiegandDecoder, waiting: Sequence[_Told]) -> list[Message]:
        """The messages that are over by what was told."""
        messages: list[Message] = []
        for told in waiting:
            if told is None:
                self._is_lossy = True
                continue
            pin, level, at_ns = told
            if self._is_lossy:
                # At the tick of the edge after the lost ones, which may come in a later batch than the word of the loss: neither the
                # message before nor the one begun is whole for certain.
                decoder.spoil(at_ns)
                self._is_lossy = False
            messages += decoder.feed(Edge(self._lines[pin], level, at_ns))
        return messages

    def _hear(self, message: Message, on_frame: Callable[[Frame], None]) -> None:
        if isinstance(message, Rejected):
            self._damaged[f"{message.bits} bits" if message.fault is Fault.BITS else message.fault.value] += 1
            self._tell_damaged(asyncio.get_running_loop().time())
            if message.bits in DAMAGED_KEY_BITS:
                self._keypad.spoil(message.at_ns)
        elif self._is_low:
            self._keypad.clear()
        elif isinstance(message, Number):
            self._keypad.clear()
            on_frame(_frame(message.digits, message.at_ns))
        else:
            self._press(message, on_frame)

    def _press(self, message: Keys, on_frame: Callable[[Frame], None]) -> None:
        if message.is_entry:
            self._keypad.clear()
        for key in message.keys:
            entry = self._keypad.press(key, message.at_ns)
            if entry is not None:
                on_frame(_frame(entry, message.at_ns))

    def _look(self, levels: Mapping[int, int], on_state: Callable[[ReaderState, str], None]) -> None:
        """Tell when a line stays low, and when none does any more."""
        now_low = frozenset(pin for pin, level in levels.items() if not level)
        stays_low, self._low = now_low & self._low, now_low
        if stays_low and not self._is_low:
            self._is_low = True
            self._keypad.clear()
            words = " and ".join(self._words[pin] for pin in sorted(stays_low))
            on_state(ReaderState.LOST, f"Reader {self._name}: {words} stays low. Check its power and its cable; it heals by itself.")
        elif self._is_low and not now_low:
            self._is_low = False
            on_state(ReaderState.READY, f"Reader {self._name}: both lines are up again.")

    def _tell_damaged(self, now_s: float) -> None:
        """Log what could not be read: the first at once, the rest once a minute."""
        if not self._damaged or (self._told_s is not None and now_s - self._told_s < TELL_EVERY_S):
            return
        words = ", ".join(f"{count} x {what}" for what, count in self._damaged.most_common(5))
        log.warning(
            "Reader %s: messages that could not be read: %s. Check the ground, the shield and the length of its cable, that D0 and D1 "
            "are not swapped, and that it is set to 26 or 34 bits, its keys to 4 or 8.",
            self._name,
            words,
        )
        self._damaged.clear()
        self._told_s = now_s


class _Inbox:
    """What is told, on its way from a thread of the driver's to the loop: much with one wake-up, and no more than fits."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._lock = threading.Lock()
        self._waiting: list[_Told] = []
        self._event = asyncio.Event()
        self.is_full = False
        """Whether it ever was."""

    def put(self, pin: int, level: int, at_ns: int) -> None:
        """Take an edge; the driver's thread."""
        self._put((pin, level, at_ns))

    def lose(self, _pin: int, _count: int) -> None:
        """Take that edges were lost before the next; the driver's thread."""
        self._put(None)

    async def wait(self, timeout_s: float) -> None:
        """Until something comes, `timeout_s` at most; the loop."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(timeout_s, 0)):
                await self._event.wait()

    def take(self) -> list[_Told]:
        """All that came; the loop."""
        self._event.clear()
        with self._lock:
            waiting, self._waiting = self._waiting, []
        return waiting

    def _put(self, told: _Told) -> None:
        with self._lock:
            is_first = not self._waiting
            self.is_full = self.is_full or len(self._waiting) >= MAX_EDGES_WAITING
            if not self.is_full:
                self._waiting.append(told)
        if is_first:
            # After the loop's end there is nobody left to tell.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._event.set)


def _frame(text: str, at_ns: int) -> Frame:
    # A tick is never of the future: what is judged by its age must not stay young.
    return Frame(text.encode("ascii"), min(at_ns, time.monotonic_ns()))
