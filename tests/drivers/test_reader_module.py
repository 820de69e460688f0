"""The serial reader with a GM65: a played module on a pseudo-terminal answers as the manual says, or as modules do on bad days."""

from __future__ import annotations

import asyncio
import contextlib
import os
import tty
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from drivers import gm65
from drivers.base import Frame, ReaderState
from drivers.reader_serial import FAILURES_UNTOLD, SerialReader

WAIT_S = 10.0
READY, LOST = ReaderState.READY, ReaderState.LOST
COMMAND_BYTES = 9
NEW = {0x0000: 0xD4, 0x0006: 0x32, 0x0013: 0x00}
SET_UP = {0x0000: 0xD6, 0x0006: 0x00, 0x0013: 0x9E}


class Module:
    """A module behind a path: its zones, its memory, and its manners."""

    def __init__(self, path: Path, zones: dict[int, int]) -> None:
        self.path = path
        self.zones = dict(zones)
        self.saved = dict(zones)
        self.commands: list[bytes] = []
        self.scan_at_command = b""
        self.noise = b""
        self.late_s = 0.0
        self.is_silent = False
        self.is_refusing = False
        self.ends: tuple[int, int] | None = None

    def plug(self) -> None:
        """Power it: it has what it saved. In the loop's thread."""
        self.ends = os.openpty()
        tty.setraw(self.ends[0])
        self.path.symlink_to(os.ttyname(self.ends[1]))
        self.zones = dict(self.saved)
        asyncio.get_running_loop().add_reader(self.ends[0], self._hear)

    def unplug(self) -> None:
        """Pull the cable."""
        self.path.unlink(missing_ok=True)
        ends, self.ends = self.ends, None
        if ends is not None:
            asyncio.get_running_loop().remove_reader(ends[0])
        for end in ends or ():
            os.close(end)

    def send(self, data: bytes) -> None:
        """Put bytes on the wire."""
        if self.ends is not None:
            assert os.write(self.ends[0], data) == len(data)

    def _hear(self) -> None:
        assert self.ends is not None
        heard = os.read(self.ends[0], 4096)
        assert len(heard) % COMMAND_BYTES == 0
        for start in range(0, len(heard), COMMAND_BYTES):
            self._obey(heard[start : start + COMMAND_BYTES])

    def _obey(self, command: bytes) -> None:
        self.commands.append(command)
        assert command[:2] == gm65.HEAD
        assert command[-2:] == gm65._crc(command[2:-2])
        kind, zone, value = command[2], int.from_bytes(command[4:6], "big"), command[6]
        self.send(self.scan_at_command)
        if self.is_silent:
            return
        if kind == gm65.WRITE and not self.is_refusing:
            self.zones[zone] = value
        if kind == gm65.SAVE:
            self.saved = dict(self.zones)
        body = bytes((0, self.is_refusing, 1, self.zones[zone] if kind == gm65.READ else 0))
        asyncio.get_running_loop().call_later(self.late_s, self.send, self.noise + b"\x02" + body + gm65._crc(body))


class Desk:
    """One reader under way, and what it tells."""

    def __init__(self) -> None:
        self.frames: asyncio.Queue[Frame] = asyncio.Queue()
        self.states: asyncio.Queue[tuple[ReaderState, str]] = asyncio.Queue()

    async def next_data(self) -> bytes:
        """The next frame's data, waited for."""
        return (await asyncio.wait_for(self.frames.get(), WAIT_S)).data

    async def next_state(self) -> tuple[ReaderState, str]:
        """The next state, waited for."""
        return await asyncio.wait_for(self.states.get(), WAIT_S)


def reading(module: Module, story: Callable[[Desk], Awaitable[None]], **options: Any) -> None:  # noqa: ANN401  the reader's options
    """Plug the module in, run its reader and the story; then cancel the reader."""

    async def play() -> None:
        module.plug()
        reader = SerialReader(
            "front", str(module.path), **{"trigger": "continuous", "first_retry_s": 0.01, "max_retry_s": 0.05, "answer_s": 5.0, **options}
        )
        desk = Desk()
        task = asyncio.create_task(reader.run(desk.frames.put_nowait, lambda *state: desk.states.put_nowait(state)))
        try:
            await story(desk)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            module.unplug()

    asyncio.run(play())


@pytest.fixture
def module(tmp_path: Path) -> Module:
    """A module as it leaves the factory, not yet plugged in."""
    return Module(tmp_path / "module", NEW)


def test_ok__a_module_is_set_up_and_then_ready(module: Module) -> None:
    """Ready is told once the module has, keeps and shows the settings, and then its scans come through."""

    async def story(desk: Desk) -> None:
        assert await desk.next_state() == (READY, f"Reader front: reading from {module.path}, the module is looking all the time.")
        assert (module.zones, module.saved) == (SET_UP, SET_UP)
        module.send(b"TL1:6BF +8D .\r")
        assert await desk.next_data() == b"TL1:6BF +8D ."

    reading(module, story)


def test_ok__motion_is_another_mode(module: Module) -> None:
    """With `motion` it looks when something moves before it."""

    async def story(desk: Desk) -> None:
        assert await desk.next_state() == (READY, f"Reader front: reading from {module.path}, the module is looking when something moves.")
        assert module.saved == {0x0000: 0xD7, 0x0006: 50, 0x0013: 0x9E}

    reading(module, story, trigger="motion")


def test_ok__it_is_looked_after_at_each_plugging_in(module: Module) -> None:
    """Pulled and put back it is asked anew, and not written to; another module in its place is set up."""

    async def story(desk: Desk) -> None:
        assert (await desk.next_state())[0] is READY
        for saved, kinds in ((SET_UP, {gm65.READ}), (NEW, {gm65.READ, gm65.WRITE, gm65.SAVE})):
            module.unplug()
            assert (await desk.next_state())[0] is LOST
            module.commands.clear()
            module.saved = dict(saved)
            module.plug()
            assert (await desk.next_state())[0] is READY
            assert {command[2] for command in module.commands} == kinds
            assert module.saved == SET_UP
            module.send(b"scan\r")
            assert await desk.next_data() == b"scan"

    reading(module, story)


def test_ok__scans_between_command_and_reply_are_not_lost(module: Module) -> None:
    """A visitor who comes in the middle of the set-up is let in by the first scan."""
    module.scan_at_command = b"scan\r"

    async def story(desk: Desk) -> None:
        assert (await desk.next_state())[0] is READY
        assert [await desk.next_data() for _ in module.commands] == [b"scan"] * len(module.commands)
        assert len(module.commands) == 10

    reading(module, story)


def test_ok__a_reply_in_the_middle_of_a_scan_leaves_it_whole(module: Module) -> None:
    """The two are told apart by head and CRC, not by who spoke first."""
    module.scan_at_command = b"sc"
    module.saved = dict(SET_UP)

    async def story(desk: Desk) -> None:
        assert (await desk.next_state())[0] is READY
        module.send(b"an\r")
        assert await desk.next_data() == b"scscscan"

    reading(module, story)


def test_fail__a_silent_module_is_told_once_and_read_all_the_same(module: Module) -> None:
    """The installer is told which wire is missing; a scan still comes through; and it heals without a restart."""
    module.is_silent = True

    async def story(desk: Desk) -> None:
        state, sentence = await desk.next_state()
        assert state is LOST
        assert sentence == (
            f"Reader front: the module on {module.path} answers no command. Wire the board's TX to the module's RX, set `baud` to the "
            'module\'s own, or `module = "none"` for another make. What it scans is read; it is asked again.'
        )
        assert len(module.commands) >= FAILURES_UNTOLD
        module.send(b"scan\r")
        assert await desk.next_data() == b"scan"
        asked = len(module.commands)
        while len(module.commands) < asked + 2 * FAILURES_UNTOLD:
            module.scan_at_command = b"asked\r"
            assert await desk.next_data() == b"asked"
        assert desk.states.empty()
        module.scan_at_command, module.is_silent = b"", False
        assert (await desk.next_state())[0] is READY
        assert module.saved == SET_UP

    reading(module, story, answer_s=0.1)


def test_ok__a_module_that_wakes_up_slowly_is_not_told_lost(module: Module) -> None:
    """One that gets its power together with the board misses the first commands, and nobody is called for that."""
    module.is_silent = True

    async def story(desk: Desk) -> None:
        module.scan_at_command = b"asked\r"
        assert await desk.next_data() == b"asked"
        module.is_silent = False
        assert (await desk.next_state())[0] is READY

    reading(module, story, answer_s=0.5)


def test_fail__a_refusing_module_is_told(module: Module) -> None:
    """One that answers and does not obey is no module of this family, and the sentence names the setting."""
    module.is_refusing = True

    async def story(desk: Desk) -> None:
        state, sentence = await desk.next_state()
        assert state is LOST
        assert sentence == (
            f"Reader front: the module on {module.path} refuses the setting 0x0000 (looking all the time). Take another module, or "
            '`module = "none"` and its manual\'s codes. What it scans is read; it is asked again.'
        )
        assert module.saved == NEW

    reading(module, story)


def test_fail__garbage_is_no_reply(module: Module) -> None:
    """Noise around the replies changes nothing; noise alone is silence, and reaches the reader's frames only as a scan would."""
    module.noise = b"\x02\x00\x00\x01\x00\x33\x32\x7e\xff"

    async def story(desk: Desk) -> None:
        assert (await desk.next_state())[0] is READY
        assert module.saved == SET_UP
        module.noise = b""
        module.send(b"\rscan\r")
        assert (await desk.next_data()).startswith(b"\x02\x00\x00\x01\x00\x33\x32")
        assert await desk.next_data() == b"scan"

    reading(module, story)


def test_fail__a_late_reply_is_nobodys(module: Module) -> None:
    """A reply after its time spoils neither the next command nor the next scan."""
    module.is_silent = True
    module.saved = dict(SET_UP)

    async def story(desk: Desk) -> None:
        module.scan_at_command = b"asked\r"
        for _ in range(FAILURES_UNTOLD + 1):
            assert await desk.next_data() == b"asked"
        module.scan_at_command = b""
        assert (await desk.next_state())[0] is LOST
        module.is_silent = False
        assert (await desk.next_state())[0] is READY
        module.send(bytes.fromhex("02 00 00 01 00 33 31") + b"scan\r")
        assert await desk.next_data() == b"scan"

    reading(module, story, answer_s=0.2)


def test_fail__a_module_that_always_answers_late_is_told(module: Module) -> None:
    """It is not taken for set up, whatever it answers to whom."""
    module.late_s = 0.3

    async def story(desk: Desk) -> None:
        state, sentence = await desk.next_state()
        assert (state, "answers no command" in sentence) == (LOST, True)

    reading(module, story, answer_s=0.02, first_retry_s=0.5, max_retry_s=0.5)


def test_ok__pulled_out_during_the_set_up_it_is_lost_and_comes_back(module: Module) -> None:
    """The set-up ends with its port, and begins anew with the next."""
    module.is_silent = True

    async def story(desk: Desk) -> None:
        module.scan_at_command = b"asked\r"
        assert await desk.next_data() == b"asked"
        module.unplug()
        state, sentence = await desk.next_state()
        assert (state, f"lost {module.path}" in sentence) == (LOST, True)
        module.scan_at_command, module.is_silent = b"", False
        module.plug()
        assert (await desk.next_state())[0] is READY

    reading(module, story)
