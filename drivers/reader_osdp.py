"""A reader that speaks OSDP v2 over RS-485, under the secure channel and in no other way.

Rule 1: nothing that came without the secure channel, or by the default key, is a reading.
Rule 2: a reader that is silent, opened, in the clear, or has another key is told so, and healed by nothing but its own return.
Rule 3: what was typed or read while nobody listened is thrown away, and so is what was half typed when the channel fell.
Rule 4: no key, no PIN and no card is in a log, an error or a representation.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping

from drivers.base import DeviceMissingError, Frame, ReaderState, Signal
from drivers.keypad import Keypad
from drivers.osdp_bus import Bus, Member, Told, claimed, released
from drivers.osdp_panel import KEY_BYTES, Slot
from drivers.osdp_show import SHOWS, commands
from drivers.osdp_station import Card, Keys, Link, Station, Unreadable
from drivers.wiegand import CARD_BITS, Number, meaning

DEFAULT_KEY = bytes(range(0x30, 0x40))
"""SCBK-D, which every OSDP device knows."""

KEYS: Mapping[int, str] = {**{ord(digit): digit for digit in "0123456789*#"}, 0x7F: "*", 0x0D: "#"}
"""By the codes of `osdp_KEYPAD`: `*` is DEL and `#` is CR there; some readers send the characters themselves."""


class OsdpReader:
    """One reader on a bus; also an `Indicator`, by its own lamp and buzzer.

    `key` is the secure channel base key that was set up in it; raises `ValueError` for the default key and for one that is none.
    `port` and `baud` may be those of other readers, whose `address` differs. A PIN whose next key does not come for `key_gap_s`
    seconds is thrown away. A reader that does not answer for `silent_s` seconds is lost.
    """

    def __init__(
        self,
        name: str,
        port: str,
        *,
        key: bytes,
        baud: int = 9600,
        address: int = 0,
        key_gap_s: float = 5.0,
        silent_s: float = 8.0,
        first_retry_s: float = 0.5,
        max_retry_s: float = 10.0,
    ) -> None:
        if len(key) != KEY_BYTES or key == DEFAULT_KEY or len(set(key)) == 1:
            raise ValueError(f"Reader {name}: its key must be {KEY_BYTES} random bytes of its own")
        self._name = name
        self._port, self._baud = port, baud
        self._slot = Slot(address, key)
        self._silent_s = silent_s
        self._first_retry_s, self._max_retry_s = first_retry_s, max_retry_s
        self._keypad = Keypad(key_gap_s)
        self._bus: Bus | None = None
        self._member: Member | None = None
        self._lasting = Signal.DARK

    def open(self) -> None:
        """Claim the bus for this program alone; raises `DeviceMissingError` with the port's name. Once is enough.

        Whether the reader is there is known only after talking to it, which `run` does.
        """
        if self._bus is None:
            retry = {"first_retry_s": self._first_retry_s, "max_retry_s": self._max_retry_s}
            self._bus = claimed(self._name, self._port, self._baud, self._slot.address, **retry)

    async def run(self, on_frame: Callable[[Frame], None], on_state: Callable[[ReaderState, str], None]) -> None:
        """Read until cancelled; what befalls the reader is told with a sentence, and it is called again for ever.

        Both are called in the event loop's thread. READY comes first once the secure channel is up; else what is wrong, after `silent_s`.
        """
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[None] = loop.create_future()

        def hear(told: Told, at_ns: int) -> None:
            if isinstance(told, Exception):
                if not ended.done():
                    ended.set_exception(told)
            elif isinstance(told, Link):
                self._keypad.clear()
                on_state(told.state, f"Reader {self._name} at address {self._slot.address} on {self._port}: {told.words}.")
            else:
                for frame in self._frames(told, at_ns):
                    on_frame(frame)

        def tell(told: Told) -> None:
            # after its end there is no loop to tell
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(hear, told, time.monotonic_ns())

        try:
            bus = await self._claim(on_state)
            station = Station(
                self._slot,
                time.monotonic_ns(),
                silent_s=self._silent_s,
                first_retry_s=self._first_retry_s,
                max_retry_s=self._max_retry_s,
            )
            member = Member(self._name, station, tell)
            member.show(commands(self._lasting))
            bus.join(member)
            self._member = member
            await self._watch(bus, ended, on_state)
        finally:
            self.close()

    async def _watch(self, bus: Bus, ended: asyncio.Future[None], on_state: Callable[[ReaderState, str], None]) -> None:
        """Until the bus has ended, see that it turns: when it stands still nobody else says so. Its station tells how it goes on."""
        was_still = False
        while not (await asyncio.wait([ended], timeout=self._silent_s / 4))[0]:
            is_still = bus.stands_still(self._silent_s)
            if is_still and not was_still:
                self._keypad.clear()
                words = f"its bus stands still since {self._silent_s:g} s: pull the adapter out and plug it in again"
                on_state(ReaderState.LOST, f"Reader {self._name} at address {self._slot.address} on {self._port}: {words}.")
            was_still = is_still
        ended.result()

    def show(self, signal: Signal) -> None:
        """Show it by the reader's lamp and buzzer, if it has them; any thread, never raises."""
        lasts_s = SHOWS[signal].lasts_ds / 10
        if lasts_s and self._lasting is Signal.FIRE:
            return
        if not lasts_s:
            self._lasting = signal
        member = self._member
        if member is not None:
            member.show(commands(signal), lasts_s=lasts_s)

    def close(self) -> None:
        """Give the reader's place on the bus back; any number of times."""
        bus, self._bus = self._bus, None
        member, self._member = self._member, None
        self._keypad.clear()
        if bus is not None:
            if member is not None:
                bus.leave(member)
            released(bus, self._slot.address)

    async def _claim(self, on_state: Callable[[ReaderState, str], None]) -> Bus:
        """The bus, waited for if its port is not there."""
        is_told = False
        while self._bus is None:
            try:
                self.open()
            except DeviceMissingError as error:
                if not is_told:
                    on_state(ReaderState.LOST, f"{error} It is tried again.")
                is_told = True
                await asyncio.sleep(self._max_retry_s)
        return self._bus

    def _frames(self, told: Card | Keys | Unreadable, at_ns: int) -> list[Frame]:
        if isinstance(told, Unreadable):
            return [Frame(b"", at_ns, overlong=True)]
        if isinstance(told, Card):
            text = card_text(told.bits, told.data, at_ns)
            return [Frame(text, at_ns)] if text else []
        entries = [self._keypad.press(KEYS[key], at_ns) for key in told.keys if key in KEYS]
        return [Frame(entry.encode("ascii"), at_ns) for entry in entries if entry is not None]


def card_text(bits: int, data: bytes, at_ns: int) -> bytes | None:
    """What a card's bits stand for: the number of a 26- or 34-bit card, or the text that was in whole bytes; None for neither."""
    if bits in CARD_BITS:
        number = meaning([data[at // 8] >> (7 - at % 8) & 1 for at in range(bits)], at_ns)
        return number.digits.encode("ascii") if isinstance(number, Number) else None
    text = data.rstrip(b"\r\n\0")
    is_text = bits % 8 == 0 and text and all(0x20 <= byte < 0x7F for byte in text)  # noqa: PLR2004  printable ASCII
    return text if is_text else None
