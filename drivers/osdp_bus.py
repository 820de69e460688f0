"""The OSDP readers of one RS-485 bus: one port, one thread, one conversation after the other.

Rule 1: readers with the same `port` share a bus; their addresses differ, their speed does not.
Rule 2: a lost port is tried again for ever, and each reader is told lost; one silent reader does not stop the others.
Rule 3: only the bus's thread touches the port and libosdp. It turns `TURN_S` apart, whatever noise is on the line; its readers watch it,
        and one that stands still makes them lost.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from drivers.base import DeviceMissingError, DriverError, ReaderState
from drivers.osdp_frames import Reply
from drivers.osdp_panel import SECURE_TRIES, SILENT_TRIES, Event, Panel, Wire, library
from drivers.osdp_station import Card, Heard, Keys, Link, Station, Unreadable
from drivers.serial_port import PORT_ERRORS, SerialPort, open_port, words

TURN_S = 0.01
FAREWELL_NS = 200_000_000
"""Whoever leaves stays so long for its last commands."""
JOIN_S = 0.5
"""An event loop waits no longer for a bus to end. A thread that stands still gives its port back whenever it goes on."""

Told = Heard | Exception


class Member:
    """A reader's place on the bus: its station, whom to tell, and the commands that wait for it.

    `tell` is called from the bus's thread; an exception says that the bus is dead.
    """

    def __init__(self, name: str, station: Station, tell: Callable[[Told], None]) -> None:
        self.name = name
        self.station = station
        self.tell = tell
        self.commands: deque[Event] = deque()
        self.lasting: Sequence[Event] = ()
        self.left_ns: int | None = None
        self.again_ns: int | None = None
        self.is_hung_up = False
        self.has_channel = False

    def show(self, commands: Sequence[Event], *, lasts_s: float = 0.0) -> None:
        """Have the reader show something, by lamp and buzzer; any thread.

        What lasts is shown again whenever the reader comes back, and after what is over after `lasts_s` seconds: a reader gives its lamp
        back by itself, its buzzer not.
        """
        if not lasts_s:
            self.lasting = commands
        if self.station.is_secure:
            self.commands.extend(commands)
            self.again_ns = time.monotonic_ns() + round(lasts_s * 1e9) if lasts_s else None

    def show_again(self, now_ns: int) -> None:
        """Show what lasts, once what did not is over."""
        if self.again_ns is not None and now_ns >= self.again_ns:
            self.again_ns = None
            self.commands.extend(self.lasting)


class Bus:
    """One bus. Had by `claimed` only."""

    def __init__(self, port: str, baud: int, device: SerialPort, *, first_retry_s: float, max_retry_s: float) -> None:
        self.port, self.baud = port, baud
        self._sys = library()
        self._device: SerialPort | None = device
        self._first_retry_s, self._max_retry_s = first_retry_s, max_retry_s
        self._retry_s = first_retry_s
        self._retry_at_s = 0.0
        self._plugged_s = time.monotonic()
        self._gate = threading.Lock()
        self._members: list[Member] = []
        self._on_panel: list[Member] = []
        self._wire = Wire(self._admit, self._tries)
        self._panel: Panel | None = None
        self._asking: Member | None = None
        self._is_over = self._is_dead = False
        self._thread: threading.Thread | None = None
        self._turned_ns = time.monotonic_ns()

    # --- any thread ---

    def join(self, member: Member) -> None:
        """A reader begins to listen; the first one starts the thread. Raises `DriverError` on a bus that is dead."""
        with self._gate:
            if self._is_dead:
                raise DriverError(f"Reader {member.name}: the bus on {self.port} has ended. It is tried again.")
            self._members.append(member)
            if self._thread is None:
                self._turned_ns = time.monotonic_ns()
                self._thread = threading.Thread(target=self._run, name=f"osdp {self.port}", daemon=True)
                self._thread.start()

    def leave(self, member: Member) -> None:
        """A reader listens no more, and is told nothing from now on."""
        with self._gate:
            member.left_ns = time.monotonic_ns()
            member.tell = _ignore

    def stands_still(self, since_s: float) -> bool:
        """Whether the thread has not turned for so long."""
        return time.monotonic_ns() - self._turned_ns > since_s * 1e9

    def close(self) -> None:
        """End the thread and give the port back; a thread that does not end within `JOIN_S` gives it back itself."""
        self._is_over = True
        if self._thread is None:
            self._give_back()
        else:
            self._thread.join(JOIN_S)

    # --- the bus's thread ---

    def _run(self) -> None:
        try:
            self._wire.plug(self._device)
            while not self._is_over:
                now_ns = time.monotonic_ns()
                for member in self._on_panel:
                    member.station.turned(now_ns - self._turned_ns)
                self._turned_ns = now_ns
                self._turn(now_ns)
                time.sleep(TURN_S)
            end_ns = time.monotonic_ns() + FAREWELL_NS
            while self._wire.port is not None and self._wire.error is None and time.monotonic_ns() < end_ns:
                self._converse(time.monotonic_ns())
                time.sleep(TURN_S)
        except Exception as error:  # noqa: BLE001  told to each reader, whose task ends with it
            self._is_dead = True
            for member in self._members:
                member.tell(error)
        finally:
            if self._panel is not None:
                self._panel.close()
            self._panel = None
            self._give_back()

    def _give_back(self) -> None:
        device, self._device = self._device, None
        if device is None:
            return
        with suppress(*PORT_ERRORS):
            device.reset_output_buffer()  # the system would wait for an adapter to take it
        device.close()

    def _turn(self, now_ns: int) -> None:
        self._mind_the_members(now_ns)
        if self._wire.port is None and not self._is_plugged_in():
            return
        self._converse(now_ns)
        if self._wire.error is not None:
            self._unplug(self._wire.error, now_ns)
            return
        for member in self._on_panel:
            link = member.station.news(now_ns)
            if link is not None:
                member.tell(link)

    def _mind_the_members(self, now_ns: int) -> None:
        """Whenever somebody came or went, the others' conversations begin anew: libosdp learns of all its readers at once."""
        with self._gate:
            here = {member.station.slot.address for member in self._members if member.left_ns is None}
            staying = [
                member
                for member in self._members
                if member.left_ns is None or (now_ns - member.left_ns < FAREWELL_NS and member.station.slot.address not in here)
            ]
            if not here or staying == self._on_panel:
                return
            self._members, self._on_panel = staying, list(staying)
        for member in self._on_panel:
            member.station.unplugged()
            member.has_channel = member.is_hung_up = False
        if self._panel is not None:
            self._panel.close()
        self._panel = Panel(self._wire, [member.station.slot for member in self._on_panel], self._on_event)

    def _converse(self, now_ns: int) -> None:
        panel = self._panel
        if panel is None:
            return
        for place, member in enumerate(self._on_panel):
            self._drive(panel, place, member, now_ns)
        panel.step()

    def _drive(self, panel: Panel, place: int, member: Member, now_ns: int) -> None:
        """Call a reader again whose time has come, or hand a command over."""
        station = member.station
        member.show_again(now_ns)
        if member.is_hung_up:
            member.is_hung_up = not panel.call(place)
        elif station.retry_at_ns is not None and now_ns >= station.retry_at_ns:
            station.retry_at_ns = None
            member.is_hung_up = True
            panel.hang_up(place)
        elif station.is_secure and member.commands:
            command = member.commands[0]
            if not self._is_for(panel, place, member, command) or panel.submit(place, command):
                member.commands.popleft()

    def _is_for(self, panel: Panel, place: int, member: Member, command: Event) -> bool:
        needs = {self._sys.CMD_LED: self._sys.CAP_READER_LED_CONTROL, self._sys.CMD_BUZZER: self._sys.CAP_READER_AUDIBLE_OUTPUT}
        kind = command["command"]
        return kind not in member.station.refused and (kind not in needs or panel.can(place, needs[kind]))

    def _at(self, address: int) -> Member | None:
        return next((member for member in self._on_panel if member.station.slot.address == address), None)

    def _tries(self, address: int) -> int:
        member = self._at(address)
        return SECURE_TRIES if member is not None and member.station.is_secure else SILENT_TRIES

    def _admit(self, reply: Reply, asked: int) -> bool:
        member = self._at(reply.address)
        if member is None or not member.station.admit(reply, asked, time.monotonic_ns()):
            return False
        if member.station.is_unreadable(reply):
            member.tell(Unreadable())
        return True

    def _on_event(self, place: int, event: Event) -> None:
        member, sys, kind = self._on_panel[place], self._sys, event["event"]
        if kind == sys.EVENT_NOTIFICATION:
            self._on_notice(member, event)
        elif kind == sys.EVENT_STATUS and event["type"] == sys.STATUS_REPORT_LOCAL and member.station.is_secure:
            member.station.is_tampered, member.station.is_power_failing = (bool(flag) for flag in event["report"][:2])
        elif kind == sys.EVENT_CARDREAD and member.station.counts:
            member.tell(Card(event["length"], event["data"]))
        elif kind == sys.EVENT_KEYPRESS and member.station.counts:
            member.tell(Keys(event["data"]))

    def _on_notice(self, member: Member, event: Event) -> None:
        sys, now_ns, kind = self._sys, time.monotonic_ns(), event["type"]
        if kind == sys.EVENT_NOTIFICATION_SC_STATUS:
            # arg1: by the default key; it is never tried, and would not count.
            member.has_channel = bool(event["arg0"]) and not event["arg1"]
        elif kind == sys.EVENT_NOTIFICATION_COMMAND and not event["arg1"]:
            member.station.failed(event["arg0"])
        elif kind == sys.EVENT_NOTIFICATION_PD_STATUS and not event["arg0"]:
            member.commands.clear()
            if not member.is_hung_up:
                member.station.disconnected(now_ns)
        elif kind == sys.EVENT_NOTIFICATION_PD_STATUS and member.has_channel:
            member.station.connected(now_ns)
            member.commands.extend([{"command": sys.CMD_STATUS, "type": sys.STATUS_REPORT_LOCAL}, *member.lasting])

    # --- the port ---

    def _unplug(self, error: Exception, now_ns: int) -> None:
        self._give_back()
        self._wire.plug(None)
        # A port that opens and fails at once again does not start over with short pauses.
        if now_ns / 1e9 - self._plugged_s > self._max_retry_s:
            self._retry_s = self._first_retry_s
        self._retry_at_s = now_ns / 1e9 + self._retry_s * random.uniform(0.5, 1.0)  # noqa: S311  spread, not a secret
        for member in self._on_panel:
            member.station.unplugged()
            member.commands.clear()
            link = Link(ReaderState.LOST, f"lost its adapter ({words(error)}). Check the cable; it is tried again")
            news = member.station.told(link, now_ns)
            if news is not None:
                member.tell(news)

    def _is_plugged_in(self) -> bool:
        """Whether the port is back; tried with pauses that grow."""
        now_s = time.monotonic()
        if now_s < self._retry_at_s:
            return False
        self._retry_s = min(2 * self._retry_s, self._max_retry_s)
        self._retry_at_s = now_s + self._retry_s * random.uniform(0.5, 1.0)  # noqa: S311  spread, not a secret
        try:
            self._device = open_port("osdp", self.port, self.baud)
        except DeviceMissingError:
            return False
        self._wire.plug(self._device)
        now_ns = time.monotonic_ns()
        self._plugged_s = now_s
        for member in self._on_panel:
            # From where libosdp thinks it is, back to the beginning.
            member.station.back(now_ns)
        return True


_BUSES: dict[str, tuple[Bus, set[int]]] = {}
_GATE = threading.Lock()


def claimed(name: str, port: str, baud: int, address: int, **options: Any) -> Bus:  # noqa: ANN401  a bus's own
    """The bus behind `port`, for one reader more; `released` gives that reader's place back.

    Raises `DeviceMissingError` when the port cannot be had, or is a bus already on which there is no such place.
    """
    with _GATE:
        if port not in _BUSES:
            library()
            _BUSES[port] = (Bus(port, baud, open_port(name, port, baud), **options), set())
        bus, addresses = _BUSES[port]
        if bus.baud != baud:
            raise DeviceMissingError(f"Reader {name}: all readers on {port} must have the same baud, not {bus.baud} and {baud}.")
        if address in addresses:
            raise DeviceMissingError(f"Reader {name}: another reader on {port} has the address {address}. Give it one of its own.")
        addresses.add(address)
        return bus


def released(bus: Bus, address: int) -> None:
    """Give a reader's place back; with the last one goes the bus."""
    with _GATE:
        _, addresses = _BUSES[bus.port]
        addresses.discard(address)
        if addresses:
            return
        del _BUSES[bus.port]
        # Within the gate: whoever comes next opens the port anew.
        bus.close()


def _ignore(_told: Told) -> None:
    return
