"""What befalls OSDP readers on a real pseudo-terminal: opened, silent, exchanged, forged, unplugged, and their neighbours on the bus."""

from __future__ import annotations

import asyncio
import os
import sys
import termios
import threading
import time
from collections.abc import Callable
from pathlib import Path

import osdp_sys
import pytest

from drivers.base import DeviceMissingError, ReaderState
from drivers.osdp_frames import POLL, RAW, command_of
from drivers.osdp_panel import Panel
from drivers.osdp_station import Station
from drivers.reader_osdp import DEFAULT_KEY, OsdpReader
from tests.drivers.osdp_desk import WAIT_S, Desk, happens, reader_of, reading, seen, station_of
from tests.drivers.osdp_line import KEY, OTHER_KEY, Reader, forged, line_of

READY, LOST, TAMPERED = ReaderState.READY, ReaderState.LOST, ReaderState.TAMPERED
INSTALL = osdp_sys.FLAG_INSTALL_MODE


# --- alarms ---


def test_fail__an_opened_reader_is_told_and_so_is_its_end(tmp_path: Path) -> None:
    """Tampering and failing power are alarms, as long as they last, whether they began before us or not; what is read counts."""
    there = Reader(0, KEY)

    async def story(desk: Desk) -> None:
        await desk.until(READY)
        told = []
        for tamper, power in ((True, False), (False, True), (False, False)):
            there.local(tamper=tamper, power=power)
            told.append(await desk.next_state())
        assert [(state, words.split(": ")[1]) for state, words in told] == [
            (TAMPERED, "says that it was opened or moved."),
            (TAMPERED, "says that its power fails."),
            (READY, "reading."),
        ]
        assert seen(there, osdp_sys.CMD_STATUS)[0]["type"] == osdp_sys.STATUS_REPORT_LOCAL

    with line_of(tmp_path / "bus", there) as line:
        reading(story, reader_of(line))


def test_fail__a_silent_reader_is_lost_and_comes_back(tmp_path: Path) -> None:
    """Without power it is told lost once, with a sentence; with power again it is read on, and half a PIN from before is forgotten."""
    there = Reader(0, KEY)

    async def story(desk: Desk) -> None:
        await desk.until(READY)
        there.keys(b"12")
        there.text(b"first")
        assert await desk.next_data() == b"first"
        there.is_dead = True
        assert await desk.until(LOST) == (
            f"Reader front at address 0 on {line.path}: has not answered for 2 s: check its power and its wires."
        )
        there.is_dead = False
        await desk.until(READY)
        there.keys(b"3456#")
        assert await desk.next_data() == b"3456"

    with line_of(tmp_path / "bus", there) as line:
        reading(story, reader_of(line, key_gap_s=60.0))


def test_ok__a_reader_that_was_exchanged_is_read_on(tmp_path: Path) -> None:
    """Another device with the same key, which knows nothing of the conversation, is called anew, without an alarm."""

    async def story(desk: Desk) -> None:
        await desk.until(READY)
        line.readers[0] = there = Reader(0, KEY)
        await happens(lambda: len(seen(there, osdp_sys.CMD_STATUS)) > 0 and station_of(desk).counts)
        there.text(b"again")
        assert await desk.next_data() == b"again"

    with line_of(tmp_path / "bus", Reader(0, KEY)) as line:
        reading(story, reader_of(line, silent_s=30.0))


@pytest.mark.parametrize(
    ("there", "words"),
    [
        (lambda: Reader(0, OTHER_KEY), "has another key than `key_file`: somebody exchanged it, or it was set up elsewhere."),
        (
            lambda: Reader(0, None, flags=INSTALL),
            "has another key than `key_file`: somebody exchanged it, or it was set up elsewhere.",
        ),
        (
            lambda: Reader(0, None, is_plain=True),
            "answers without a secure channel, and is not listened to: set its key up with `tourlatch keys osdp`.",
        ),
    ],
    ids=["another key", "the default key", "in the clear"],
)
def test_fail__a_reader_without_our_key_is_an_alarm(there: Callable[[], Reader], words: str, tmp_path: Path) -> None:
    """It is told as tampered with, nothing that it reads counts, and neither the clear nor the default key is tried."""
    device = there()
    device.text(b"let me in")

    async def story(desk: Desk) -> None:
        assert await desk.next_state() == (TAMPERED, f"Reader front at address 0 on {line.path}: {words}")
        device.text(b"let me in")
        polls = len(line.commands)
        await happens(lambda: len(line.commands) > polls + 4)
        assert (desk.frames.qsize(), POLL in {code for _, code in line.commands}) == (0, False)

    with line_of(tmp_path / "bus", device) as line:
        reading(story, reader_of(line, silent_s=1.0))


CARD_IN_THE_CLEAR = bytes([RAW, 0, 0, 64, 0]) + b"LET ME I"


@pytest.mark.parametrize("block", [b"", b"\x03\x12\x01", b"\x03\x14\x01", b"\x02\x15", b"\x02\x16"], ids=bytes.hex)
def test_fail__a_card_without_a_mac_is_an_alarm(block: bytes, tmp_path: Path) -> None:
    """Somebody with two wires and no key who answers in the reader's place opens nothing, whatever he calls his frame, and is told of."""
    there = Reader(0, KEY)
    told = 0

    def answer(command: bytes) -> bytes:
        nonlocal told
        if command_of(command)[1] != POLL or told:
            return b""
        told += 1
        return forged(command, CARD_IN_THE_CLEAR, block)

    async def story(desk: Desk) -> None:
        await desk.until(READY)
        line.answer = answer
        assert "somebody else answers in its place" in await desk.until(TAMPERED)
        there.text(b"genuine")
        assert await desk.next_data() == b"genuine"

    with line_of(tmp_path / "bus", there) as line:
        reading(story, reader_of(line, silent_s=30.0))


def test_ok__noise_is_read_over(tmp_path: Path) -> None:
    """Rubbish on the wires, between frames and before them, stops nothing for longer than a few tries."""
    there = Reader(0, KEY)

    async def story(desk: Desk) -> None:
        await desk.until(READY)
        for rubbish in (b"\x53\x80\xff\x00\x0f" * 50, bytes(range(256)) * 4, b"\xff\x53\x80\x08\x00\x04\x40", b"\x53" * 600):
            line.noise(rubbish)
            await asyncio.sleep(0.02)
            there.text(b"read")
            assert await desk.next_data() == b"read"

    with line_of(tmp_path / "bus", there) as line:
        reading(story, reader_of(line, silent_s=30.0))


def test_fail__somebody_who_forges_all_the_time_is_told_and_not_silence(tmp_path: Path) -> None:
    """When each of its replies is replaced the reader is not read; that is somebody on the wires, not a power failure."""

    async def story(desk: Desk) -> None:
        await desk.until(READY)
        line.answer = lambda command: forged(command, CARD_IN_THE_CLEAR)
        assert "somebody else answers in its place" in await desk.until(TAMPERED)
        await happens(lambda: not station_of(desk).is_secure)
        commands = len(line.commands)
        await happens(lambda: len(line.commands) > commands + 2 and time.monotonic_ns() - station_of(desk)._good_ns > 2e9)
        assert desk.states.empty()

    with line_of(tmp_path / "bus", Reader(0, KEY)) as line:
        reading(story, reader_of(line, silent_s=1.0))


def test_ok__an_injected_acknowledgement_takes_nothing_from_the_reader(tmp_path: Path) -> None:
    """Somebody who says `nothing happened` before the reader can is told of, and what the reader read arrives all the same."""
    there = Reader(0, KEY)
    polls = 0

    def before(command: bytes) -> bytes:
        nonlocal polls
        polls += command_of(command)[1] == POLL
        return forged(command, b"\x40") if command_of(command)[1] == POLL and polls % 3 == 0 else b""

    async def story(desk: Desk) -> None:
        await desk.until(READY)
        line.answer = before
        assert "somebody else answers in its place" in await desk.until(TAMPERED)
        for count in range(3):
            there.text(b"card %d" % count)
            assert await desk.next_data() == b"card %d" % count

    with line_of(tmp_path / "bus", there) as line:
        reading(story, reader_of(line, silent_s=30.0))


# --- the port and the bus ---


def test_fail__an_adapter_that_takes_no_more_is_lost_and_comes_back(tmp_path: Path) -> None:
    """Its readers are called lost, nothing hangs, not even the end; when it takes bytes again they are ready again."""
    there = Reader(0, KEY)

    async def story(desk: Desk) -> None:
        await desk.until(READY)
        terminal = os.open(line.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        try:
            termios.tcflow(terminal, termios.TCOOFF)
            assert "has not answered for 1 s" in await desk.until(LOST)
            termios.tcflow(terminal, termios.TCOON)
            await desk.until(READY)
            there.text(b"again")
            assert await desk.next_data() == b"again"
            termios.tcflow(terminal, termios.TCOOFF)
            await desk.until(LOST)
        finally:
            os.close(terminal)

    with line_of(tmp_path / "bus", there) as line:
        reading(story, reader_of(line, silent_s=1.0))
        assert f"osdp {line.path}" not in {thread.name for thread in threading.enumerate()}


def test_fail__a_bus_that_stands_still_makes_its_readers_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever holds its thread up, each reader says so; when it goes on they are ready again, without what was read meanwhile."""
    held, let_go = threading.Event(), threading.Event()
    step = Panel.step

    def standing(panel: Panel) -> None:
        if held.is_set():
            let_go.wait(WAIT_S)
        step(panel)

    monkeypatch.setattr(Panel, "step", standing)
    there = Reader(0, KEY)

    async def story(one: Desk, two: Desk) -> None:
        await one.until(READY)
        await two.until(READY)
        held.set()
        found = [await desk.next_state() for desk in (one, two)]
        ends = f"on {line.path}: its bus stands still since 2 s: pull the adapter out and plug it in again."
        assert [(state, words.endswith(ends)) for state, words in found] == [(LOST, True)] * 2
        there.text(b"meanwhile")
        held.clear()
        let_go.set()
        await one.until(READY)
        await two.until(READY)
        there.text(b"after")
        assert await one.next_data() == b"after"

    with line_of(tmp_path / "bus", there, Reader(1, KEY)) as line:
        reading(story, reader_of(line), reader_of(line, "two", address=1))


def test_ok__a_bus_that_stands_still_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its reader ends although its thread does not; whenever that goes on, it gives the port back, and not before."""
    held, let_go = threading.Event(), threading.Event()

    def standing(_panel: Panel) -> None:
        held.set()
        let_go.wait(WAIT_S)

    async def story(_desk: Desk) -> None:
        await happens(held.is_set)

    with line_of(tmp_path / "bus", Reader(0, KEY)) as line:
        reader = reader_of(line)
        with monkeypatch.context() as patched:
            patched.setattr(Panel, "step", standing)
            reading(story, reader)
        with pytest.raises(DeviceMissingError, match="is held by another program"):
            reader.open()
        let_go.set()
        for thread in threading.enumerate():
            if thread.name == f"osdp {line.path}":
                thread.join(WAIT_S)
        reader.open()
        reader.close()


def test_ok__seven_dead_readers_keep_nobody_from_the_bus(tmp_path: Path) -> None:
    """The eighth is read although none of the others ever answers: a silent reader is asked twice, then not for a while."""
    live = Reader(0, KEY)
    dead = [Reader(address, KEY) for address in range(1, 8)]
    for there in dead:
        there.is_dead = True

    async def story(desk: Desk, *_others: Desk) -> None:
        await desk.until(READY)
        await happens(lambda: all([address for address, _ in line.commands].count(there.address) >= 2 for there in dead))
        begun = len(line.commands)
        await happens(lambda: [address for address, _ in line.commands[begun:]].count(0) > 40)
        assert [[address for address, _ in line.commands].count(there.address) for there in dead] == [2] * 7
        live.text(b"read")
        assert await desk.next_data() == b"read"
        assert desk.states.empty()

    with line_of(tmp_path / "bus", live, *dead) as line:
        quiet = {"silent_s": 60.0, "first_retry_s": 60.0, "max_retry_s": 60.0}
        reading(story, *(reader_of(line, f"r{address}", address=address, **quiet) for address in range(8)))


def test_ok__two_readers_share_a_bus(tmp_path: Path) -> None:
    """Each is read by its own key at its own address; one that falls silent is told, and the other is read on."""
    first, second = Reader(1, KEY), Reader(2, OTHER_KEY)

    async def story(one: Desk, two: Desk) -> None:
        await one.until(READY)
        await two.until(READY)
        assert [await one.shown(first, b"one"), await two.shown(second, b"two")] == [b"one", b"two"]
        first.is_dead = True
        assert "address 1" in await one.until(LOST)
        assert await two.shown(second, b"still") == b"still"
        first.is_dead = False
        await one.until(READY)
        assert two.states.empty()

    with line_of(tmp_path / "bus", first, second) as line:
        reading(story, reader_of(line, "one", address=1), reader_of(line, "two", address=2, key=OTHER_KEY, silent_s=30.0))


def test_fail__a_place_on_a_bus_is_taken_once(tmp_path: Path) -> None:
    """Two readers at one address, and two speeds on one bus, are refused by name; a place that was given back is free."""
    with line_of(tmp_path / "bus") as line:
        first = reader_of(line)
        first.open()
        first.open()
        with pytest.raises(DeviceMissingError, match=r"Reader back: another reader on .* has the address 0"):
            reader_of(line, "back").open()
        with pytest.raises(DeviceMissingError, match=r"Reader back: all readers on .* must have the same baud, not 9600 and 38400"):
            reader_of(line, "back", address=1, baud=38400).open()
        first.close()
        first.close()
        again = reader_of(line, baud=38400)
        again.open()
        again.close()


def test_fail__a_missing_port_is_named(tmp_path: Path) -> None:
    """At start a port that is not there is an error with its name and what to do."""
    with pytest.raises(DeviceMissingError, match=f"Reader front: {tmp_path}/none is not there. Plug it in, or correct `port`"):
        OsdpReader("front", str(tmp_path / "none"), key=KEY).open()


def test_fail__without_the_library_it_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A board without libosdp is told which package is missing and how to get it; nothing stands in for it."""
    monkeypatch.setitem(sys.modules, "osdp_sys", None)
    with (
        line_of(tmp_path / "bus") as line,
        pytest.raises(DeviceMissingError, match=r"libosdp, which is not installed: .*install.sh --osdp"),
    ):
        reader_of(line).open()


@pytest.mark.parametrize("key", [DEFAULT_KEY, bytes(16), b"\xff" * 16, b"short", KEY + KEY], ids=bytes.hex)
def test_fail__a_key_that_is_none_is_refused(key: bytes) -> None:
    """The default key, one of a single byte and one of another length are no keys; the refusal does not say what it was."""
    with pytest.raises(ValueError, match="Reader front: its key must be 16 random bytes") as caught:
        OsdpReader("front", "/dev/null", key=key)
    assert key.hex() not in str(caught.value)


def test_fail__a_bus_that_dies_ends_its_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake of ours in the bus's thread is the reader's end, for its supervisor to start it anew; the port is free again."""

    def fail(_station: Station, _now_ns: int) -> None:
        raise RuntimeError("a mistake of ours")

    with line_of(tmp_path / "bus", Reader(0, KEY)) as line:
        reader = reader_of(line)
        monkeypatch.setattr(Station, "news", fail)
        with pytest.raises(RuntimeError, match="a mistake of ours"):
            asyncio.run(Desk(reader).run())
        monkeypatch.undo()

        async def story(desk: Desk) -> None:
            await desk.until(READY)

        reading(story, reader)
