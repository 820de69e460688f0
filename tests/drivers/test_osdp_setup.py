"""A reader in its set-up mode gets a key of its own; all others are left alone."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import osdp_sys
import pytest

from drivers.base import DriverError, Frame, ReaderState
from drivers.osdp_setup import set_key
from drivers.reader_osdp import OsdpReader
from tests.drivers.osdp_line import KEY, OTHER_KEY, Reader, line_of

WAIT_S = 40.0
INSTALL = osdp_sys.FLAG_INSTALL_MODE


def keys_set(reader: Reader) -> list[bytes]:
    """The keys that a reader was given."""
    return [found["data"] for found in reader.seen if found["command"] == osdp_sys.CMD_KEYSET]


def test_ok__a_reader_gets_its_key_and_is_read_by_it(tmp_path: Path) -> None:
    """The key goes to it once, a secure channel by it comes up, and the agent's reader reads with that key from then on."""
    there = Reader(7, None, flags=INSTALL)
    with line_of(tmp_path / "bus", there) as line:
        assert set_key(str(line.path), baud=9600, address=7, key=KEY)
        assert keys_set(there) == [KEY]

        async def read() -> Frame:
            frames: asyncio.Queue[Frame] = asyncio.Queue()
            states: asyncio.Queue[ReaderState] = asyncio.Queue()
            reader = OsdpReader("front", str(line.path), key=KEY, address=7)
            task = asyncio.create_task(reader.run(frames.put_nowait, lambda state, _words: states.put_nowait(state)))
            assert await asyncio.wait_for(states.get(), WAIT_S) is ReaderState.READY
            there.text(b"hello")
            frame = await asyncio.wait_for(frames.get(), WAIT_S)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return frame

        assert asyncio.run(read()).data == b"hello"


def test_fail__a_reader_with_a_key_is_left_alone(tmp_path: Path) -> None:
    """One that is not in its set-up mode is refused with a sentence, and gets no key; one in the clear neither."""
    for there in (Reader(0, OTHER_KEY, flags=osdp_sys.FLAG_ENFORCE_SECURE), Reader(0, OTHER_KEY), Reader(0, None, is_plain=True)):
        with line_of(tmp_path / "bus", there) as line, pytest.raises(DriverError, match=r"is not in its set-up mode.*No key was sent"):
            set_key(str(line.path), baud=9600, address=0, key=KEY)
        assert keys_set(there) == []


def test_fail__a_reader_that_does_not_take_it_is_left_in_doubt(tmp_path: Path) -> None:
    """The key was on its way, and the reader refused it: whether it has it is not claimed to be known."""
    there = Reader(0, None, flags=INSTALL)
    there.refuses.add(osdp_sys.CMD_KEYSET)
    with line_of(tmp_path / "bus", there) as line:
        assert not set_key(str(line.path), baud=9600, address=0, key=KEY)


def test_fail__nobody_is_there(tmp_path: Path) -> None:
    """A reader that does not answer, and a port that is not there, are named; nothing was sent."""
    with line_of(tmp_path / "bus") as line, pytest.raises(DriverError, match=r"at address 3 on .* does not answer: .*No key was sent"):
        set_key(str(line.path), baud=9600, address=3, key=KEY, timeout_s=0.5)
    with pytest.raises(DriverError, match="is not there"):
        set_key(str(tmp_path / "none"), baud=9600, address=0, key=KEY)


def test_fail__a_port_that_goes_is_named(tmp_path: Path) -> None:
    """An adapter that was pulled out before the key was sent."""
    with line_of(tmp_path / "bus") as line:
        threading.Timer(0.2, line.unplug).start()
        with pytest.raises(DriverError, match=r"lost .*No key was sent"):
            set_key(str(line.path), baud=9600, address=0, key=KEY)
