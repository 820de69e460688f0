"""libosdp's control panel, held on a short lead: the only importer of `osdp_sys` (PyPI: libosdp, the extra `osdp`).

Rule 1: what it calls never raises: an exception would be left lying about in C, and come up somewhere else.
Rule 2: it says nothing. Its own log goes to the standard output, and is switched off but for what it calls an emergency.
Rule 3: its secure channel is only as good as its random numbers, and it takes them from C's `rand`, never seeded: after each start
        the same ones, so that a recorded conversation could be played to it again. `rand` is seeded here, before each handshake.
"""

from __future__ import annotations

import ctypes
import os
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from drivers.base import DeviceMissingError
from drivers.osdp_frames import Reply, Sieve, command_of
from drivers.serial_port import PORT_ERRORS, SerialPort

CHUNK_BYTES = 4096
KEY_BYTES = 16
SILENT_TRIES, SECURE_TRIES = 2, 4
"""So often a command is sent that is not answered, to a reader without a secure channel and to one with it. libosdp itself would send it
nine times, 200 ms each: of eight readers, seven without power would keep the eighth from the line."""
STEPS = 2
"""A command is prepared in one step and sent in the next."""

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Slot:
    """A reader on the bus: its address, and the base key of its secure channel."""

    address: int
    key: bytes = field(repr=False)


class Wire:
    """What libosdp reads and writes by: a port behind a sieve. `error` is why the port failed.

    `admit` judges each reply to the command asked last (its address and code) and says whether libosdp may see it. `tries` says how
    often the reader at an address is asked without an answer; then nothing is sent, and libosdp gives that conversation up.
    """

    id = 1

    def __init__(self, admit: Callable[[Reply, int], bool], tries: Callable[[int], int] | None = None) -> None:
        self.port: SerialPort | None = None
        self.error: Exception | None = None
        self._admit = admit
        self._tries = tries
        self._unanswered: dict[int, int] = {}
        self._unsent = b""
        self._sieve = Sieve()
        self._ready = bytearray()
        self._asked = (-1, -1)

    def plug(self, port: SerialPort | None) -> None:
        """Another port, or none for now."""
        self.port, self.error = port, None
        self._unanswered.clear()
        self._forget()

    def read(self, max_bytes: int) -> bytes:
        """Called by libosdp, for the answer to what it sent."""
        data = self._guarded(lambda port: port.read(CHUNK_BYTES), b"")
        for reply in self._sieve.feed(data):
            address, code = self._asked
            if reply.address == address and self._admit(reply, code):
                # Whoever answers first has answered: a second answer to one question is not looked at.
                self._asked = (-1, -1)
                self._unanswered.pop(address, None)
                self._ready += reply.data
        chunk = bytes(self._ready[:max_bytes])
        del self._ready[:max_bytes]
        return chunk

    def write(self, data: bytes) -> int:
        """Called by libosdp; says how much was sent: with less than all it comes again with the rest, with nothing it gives up.

        Never waits, as pyserial's own `write` would for an adapter that takes no more.
        """
        if data != self._unsent:
            address, code = command_of(data)
            self._asked = (address, code)
            sent_before = self._unanswered.pop(address, 0)
            if self._tries is not None and sent_before >= self._tries(address):
                return 0
            self._unanswered[address] = sent_before + 1
        sent = int(self._guarded(lambda port: _write_now(port, data), 0))
        self._unsent = bytes(data[sent:]) if sent else b""
        return sent

    def flush(self) -> None:
        """Called by libosdp before it sends: what came until now is nobody's answer."""
        self._guarded(lambda port: port.reset_input_buffer(), None)
        self._forget()

    def _forget(self) -> None:
        self._sieve.clear()
        self._ready.clear()
        self._asked = (-1, -1)
        self._unsent = b""

    def _guarded(self, call: Callable[[SerialPort], Any], otherwise: Any) -> Any:  # noqa: ANN401  whatever the call gives
        if self.port is None or self.error is not None:
            return otherwise
        try:
            return call(self.port)
        except PORT_ERRORS as error:
            self.error = error
            return otherwise


class Panel:
    """The readers of one bus, by their place in `slots`. For one thread.

    `on_event` is told what libosdp has to tell: the place and the event, which is emptied afterwards. With `sets_key` a reader in its
    set-up mode, and no other, is given its slot's key; otherwise that key is all that is ever tried.
    """

    def __init__(self, wire: Wire, slots: Sequence[Slot], on_event: Callable[[int, Event], None], *, sets_key: bool = False) -> None:
        self._sys = sys = library()
        self._on_event = on_event
        self.error: Exception | None = None
        flags = sys.FLAG_ENABLE_NOTIFICATION | sys.FLAG_IGN_UNSOLICITED | (0 if sets_key else sys.FLAG_ENFORCE_SECURE)
        sys.set_loglevel(sys.LOG_EMERG)
        _seed()
        self._panel = sys.ControlPanel(
            [{"name": "", "address": slot.address, "flags": flags, "scbk": slot.key, "channel": wire} for slot in slots]
        )
        self._panel.set_event_callback(self._on_libosdp)

    def step(self) -> None:
        """Let libosdp go on: it reads, writes and tells. Raises what `on_event` raised."""
        for _ in range(STEPS):
            self._panel.refresh()
        error, self.error = self.error, None
        if error is not None:
            raise error

    def hang_up(self, place: int) -> None:
        """Give the conversation with a reader up; `call` begins a new one, some steps later."""
        self._panel.disable_pd(place)

    def call(self, place: int) -> bool:
        """Begin anew with a reader that was hung up on; False while it is not yet."""
        if self._panel.is_pd_enabled(place):
            return False
        _seed()
        self._panel.enable_pd(place)
        return True

    def can(self, place: int, capability: int) -> bool:
        """Whether a reader said that it has something of this (of `library().CAP_…`)."""
        level, _count = self._panel.check_capability(place, capability)
        return bool(level)

    def submit(self, place: int, command: Event) -> bool:
        """Have a command sent; False when the reader is not there."""
        return bool(self._panel.submit_command(place, command))

    def close(self) -> None:
        """Nobody is told anything any more."""
        self._panel.set_event_callback(_ignore)

    def _on_libosdp(self, place: int, event: Event) -> int:
        try:
            self._on_event(place, event)
        except Exception as error:  # noqa: BLE001  it is raised again, outside of C
            self.error = error
        finally:
            # libosdp never gives it back; and what was typed must not stay in memory.
            event.clear()
        return 0


def library() -> Any:  # noqa: ANN401  it ships no types
    """The module `osdp_sys`; raises `DeviceMissingError` when it is not installed."""
    try:
        import osdp_sys
    except ImportError as error:
        raise DeviceMissingError(
            "OSDP readers need the package libosdp, which is not installed: sudo sh systemd/install.sh --osdp. "
            "There is none for 32-bit systems."
        ) from error
    return osdp_sys


def _write_now(port: SerialPort, data: bytes) -> int:
    try:
        return os.write(port.fileno(), data)  # pyserial opens it so that this does not wait
    except BlockingIOError:
        return 0


def _ignore(_place: int, event: Event) -> int:
    event.clear()
    return 0


def _seed() -> None:
    ctypes.CDLL(None).srand(secrets.randbits(32))
