"""The same promises of every reader that has a plug: a serial scanner, a module that is set up, a keyboard, Wiegand, and OSDP.

A reader joins with a rig: how to plug it in and out, how to have it scan, and how to make its reader.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

import pytest

from drivers.base import DeviceMissingError, DriverError, Frame, Reader, ReaderState
from drivers.reader_keyboard import KeyboardReader
from drivers.reader_osdp import OsdpReader
from drivers.reader_serial import SerialReader
from drivers.reader_wiegand import WiegandReader
from drivers.wiegand import GAP_NS
from tests.drivers.osdp_line import KEY, Line
from tests.drivers.osdp_line import Reader as Osdp
from tests.drivers.test_reader_keyboard import Scanner as Keyboard
from tests.drivers.test_reader_module import NEW, Module
from tests.drivers.test_reader_serial import Scanner as Serial
from tests.drivers.wires import D0, D1, PlayedEdges, card, edges, falls

WAIT_S = 10.0
READY, LOST = ReaderState.READY, ReaderState.LOST
FIRST_S, MAX_S = 0.01, 0.05
PULSE_EVERY_NS = 300_000


class Rig(Protocol):
    """One kind of reader and its device; all in the event loop's thread."""

    def plug(self) -> None:
        """Plug the device in, behind the same path as before."""
        ...

    def unplug(self) -> None:
        """Pull its cable; harmless when it is out."""
        ...

    def scan(self, text: str) -> None:
        """Scan these eight digits, and end them as the device does."""
        ...

    def reader(self) -> Reader:
        """A reader of this device, called `front`."""
        ...


class SerialRig:
    """A scanner that sends lines."""

    def __init__(self, path: Path) -> None:
        self._scanner = Serial(path)
        self.plug, self.unplug = self._scanner.plug, self._scanner.unplug

    def scan(self, text: str) -> None:
        """With a carriage return."""
        self._scanner.scan(text.encode() + b"\r")

    def reader(self) -> Reader:
        """Without a module."""
        return SerialReader("front", str(self._scanner.path), first_retry_s=FIRST_S, max_retry_s=MAX_S)


class ModuleRig:
    """A GM65 that is set up."""

    def __init__(self, path: Path) -> None:
        self._module = Module(path, NEW)
        self.plug, self.unplug = self._module.plug, self._module.unplug

    def scan(self, text: str) -> None:
        """With a carriage return."""
        self._module.send(text.encode() + b"\r")

    def reader(self) -> Reader:
        """Looking all the time."""
        return SerialReader("front", str(self._module.path), trigger="continuous", first_retry_s=FIRST_S, max_retry_s=MAX_S)


class KeyboardRig:
    """A scanner that types."""

    def __init__(self, path: Path) -> None:
        self._scanner = Keyboard(path)
        self.plug, self.unplug = self._scanner.plug, self._scanner.unplug

    def scan(self, text: str) -> None:
        """With Enter."""
        self._scanner.type(text + "\n")

    def reader(self) -> Reader:
        """In the American layout."""
        return KeyboardReader("front", str(self._scanner.path), ioctl=self._scanner.ioctl, first_retry_s=FIRST_S, max_retry_s=MAX_S)


class WiegandRig:
    """A reader that sends numbers over two pins, whose chip can be taken away."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._wires = PlayedEdges()
        self._is_in = True
        self._silent_ns = 0

    def plug(self) -> None:
        """The chip is there, and answers."""
        self._is_in, self._wires.levels = True, {D0: 1, D1: 1}

    def unplug(self) -> None:
        """It is not, and does not."""
        self._is_in, self._wires.levels = False, DriverError(f"{self._path} does not answer.")

    def scan(self, text: str) -> None:
        """A message of 34 bits that is over now, or with the silence between it and the one before as soon as it can be."""
        begin_ns = max(time.monotonic_ns() - 33 * PULSE_EVERY_NS, self._silent_ns)
        self._wires.play(falls(edges(card(int(text)), begin_ns, every_ns=PULSE_EVERY_NS)))
        if self._wires.is_claimed:
            self._silent_ns = begin_ns + 33 * PULSE_EVERY_NS + GAP_NS

    def reader(self) -> Reader:
        """With frequent looks at the lines."""
        return WiegandReader("front", D0, D1, self._claim, first_retry_s=FIRST_S, max_retry_s=MAX_S, look_s=0.02)

    def _claim(self) -> PlayedEdges:
        if not self._is_in:
            raise DeviceMissingError(f"{self._path} is not there. Plug it in, or correct `chip`.")
        return self._wires()


class OsdpRig:
    """A reader on an RS-485 line, whose adapter can be pulled out."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = Osdp(0, KEY)
        self._line: Line | None = None

    def plug(self) -> None:
        """The adapter, with the reader behind it."""
        self._line = Line(self._path, self._reader)

    def unplug(self) -> None:
        """The adapter."""
        line, self._line = self._line, None
        if line is not None:
            line.close()

    def scan(self, text: str) -> None:
        """A card of 34 bits."""
        self._reader.card(card(int(text)))

    def reader(self) -> Reader:
        """By its key."""
        return OsdpReader("front", str(self._path), key=KEY, first_retry_s=FIRST_S, max_retry_s=MAX_S)


class Desk:
    """A reader under way, and what it tells."""

    def __init__(self, reader: Reader) -> None:
        self._frames: asyncio.Queue[Frame] = asyncio.Queue()
        self._states: asyncio.Queue[tuple[ReaderState, str]] = asyncio.Queue()
        self._task = asyncio.create_task(reader.run(self._frames.put_nowait, lambda *state: self._states.put_nowait(state)))

    async def frame(self) -> Frame:
        """The next frame, waited for."""
        return await asyncio.wait_for(self._frames.get(), WAIT_S)

    async def state(self) -> tuple[ReaderState, str]:
        """The next state, waited for."""
        return await asyncio.wait_for(self._states.get(), WAIT_S)

    async def cancel(self) -> None:
        """End the reader."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        assert self._task.cancelled()


@pytest.fixture(params=[SerialRig, ModuleRig, KeyboardRig, WiegandRig, OsdpRig])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], Rig]:
    """Makes rigs of each kind in turn, unplugged, by the name of their path."""

    def made(name: str) -> Rig:
        rig: Rig = request.param(tmp_path / name)
        rig.unplug()
        return rig

    return made


def play(rigs: list[Rig], story: Callable[[], Awaitable[None]]) -> None:
    """Run the story, and unplug what it left plugged in."""

    async def played() -> None:
        try:
            await story()
        finally:
            for rig in rigs:
                rig.unplug()

    asyncio.run(played())


def test_fail__a_missing_device_is_named_with_its_reader(make: Callable[[str], Rig]) -> None:
    """An installer sees which reader of which path is meant, and closing what was never opened is harmless."""
    reader = make("missing").reader()
    with pytest.raises(DeviceMissingError, match=r"^Reader front: .*/missing is not there\. Plug .* in, or correct"):
        reader.open()
    reader.close()
    reader.close()


def test_ok__it_begins_lost_and_heals(make: Callable[[str], Rig]) -> None:
    """Without its device it says so first, tries on, and reads once it is plugged in, as often as it is pulled out."""
    rig = make("device")

    async def story() -> None:
        desk = Desk(rig.reader())
        state, sentence = await desk.state()
        assert (state, "tried again" in sentence) == (LOST, True)
        for number in range(3):
            rig.plug()
            assert (await desk.state())[0] is READY
            before_ns = time.monotonic_ns()
            rig.scan(f"4017023{number}")
            frame = await desk.frame()
            assert (frame.data, frame.overlong) == (f"4017023{number}".encode(), False)
            assert before_ns <= frame.at_ns <= time.monotonic_ns()
            rig.unplug()
            state, sentence = await desk.state()
            assert (state, "lost" in sentence, "tried again" in sentence) == (LOST, True, True)
        await desk.cancel()

    play([rig], story)


def test_fail__what_was_scanned_while_nobody_read_opens_nothing(make: Callable[[str], Rig]) -> None:
    """A code from before the reading is thrown away, whether the device was open or not."""
    rig = make("device")

    async def story() -> None:
        rig.plug()
        rig.scan("00000001")  # before it is opened
        reader = rig.reader()
        reader.open()
        rig.scan("00000002")  # before it is read
        desk = Desk(reader)
        assert (await desk.state())[0] is READY
        rig.scan("40170236")
        assert (await desk.frame()).data == b"40170236"
        await desk.cancel()

    play([rig], story)


def test_ok__a_cancelled_reader_leaves_its_device_to_the_next(make: Callable[[str], Rig]) -> None:
    """After a cancel another reader has the device; opening twice and closing twice are harmless."""
    rig = make("device")

    async def story() -> None:
        rig.plug()
        for number in range(2):
            reader = rig.reader()
            reader.open()
            reader.open()
            desk = Desk(reader)
            assert (await desk.state())[0] is READY
            rig.scan(f"4017023{number}")
            assert (await desk.frame()).data == f"4017023{number}".encode()
            await desk.cancel()
            reader.close()

    play([rig], story)


def test_ok__one_that_is_lost_does_not_hold_up_the_other(make: Callable[[str], Rig]) -> None:
    """With one scanner pulled out, the one beside it reads on."""
    left, right = make("left"), make("right")

    async def story() -> None:
        left.plug()
        right.plug()
        desks = [Desk(left.reader()), Desk(right.reader())]
        assert [(await desk.state())[0] for desk in desks] == [READY, READY]
        left.unplug()
        assert (await desks[0].state())[0] is LOST
        right.scan("40170236")
        assert (await desks[1].frame()).data == b"40170236"
        for desk in desks:
            await desk.cancel()

    play([left, right], story)
