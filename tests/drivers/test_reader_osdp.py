"""OSDP readers on a real pseudo-terminal, played by libosdp's own peripheral side."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import osdp_sys
import pytest

from drivers.base import DeviceMissingError, Frame, ReaderState, Signal
from drivers.osdp_frames import POLL, RAW, command_of
from drivers.osdp_station import Station
from drivers.reader_osdp import DEFAULT_KEY, OsdpReader, card_text
from tests.drivers.osdp_line import KEY, OTHER_KEY, Line, Reader, forged, line_of
from tests.drivers.wires import card

WAIT_S = 40.0
READY, LOST, TAMPERED = ReaderState.READY, ReaderState.LOST, ReaderState.TAMPERED
INSTALL = osdp_sys.FLAG_INSTALL_MODE
SILENT_S = 2.0


class Desk:
    """One reader under way, and what it tells."""

    def __init__(self, reader: OsdpReader) -> None:
        self.reader = reader
        self.frames: asyncio.Queue[Frame] = asyncio.Queue()
        self.states: asyncio.Queue[tuple[ReaderState, str]] = asyncio.Queue()

    async def run(self) -> None:
        """Its life."""
        await self.reader.run(self.frames.put_nowait, lambda *state: self.states.put_nowait(state))

    async def next_data(self) -> bytes:
        """The next frame's data, waited for."""
        return (await asyncio.wait_for(self.frames.get(), WAIT_S)).data

    async def next_state(self) -> tuple[ReaderState, str]:
        """The next state, waited for."""
        return await asyncio.wait_for(self.states.get(), WAIT_S)

    async def until(self, state: ReaderState) -> str:
        """The sentence of that state, waited for; the machine may be slow, and others come before it."""
        while True:
            found, words = await self.next_state()
            if found is state:
                return words


def reading(story: Callable[..., Awaitable[None]], *readers: OsdpReader) -> None:
    """Run the readers, and the story beside them; then cancel them."""

    async def play() -> None:
        desks = [Desk(reader) for reader in readers]
        for desk in desks:
            desk.reader.open()
        tasks = [asyncio.create_task(desk.run()) for desk in desks]
        try:
            await story(*desks)
            assert not any(task.done() for task in tasks)
        finally:
            for task in tasks:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task

    asyncio.run(play())


def reader_of(line: Line, name: str = "front", **options: Any) -> OsdpReader:  # noqa: ANN401  whatever the reader takes
    """A quick reader of this line."""
    quick = {"key": KEY, "silent_s": SILENT_S, "first_retry_s": 0.05, "max_retry_s": 0.5}
    return OsdpReader(name, str(line.path), **{**quick, **options})


async def happens(what: Callable[[], bool]) -> None:
    """Wait until it is so."""
    end_s = time.monotonic() + WAIT_S
    while not what():
        assert time.monotonic() < end_s
        await asyncio.sleep(0.02)


def seen(reader: Reader, command: int) -> list[dict[str, Any]]:
    """What of one kind a reader was told to do."""
    return [found for found in reader.seen if found["command"] == command]


def station_of(desk: Desk) -> Station:
    """What the bus knows of the reader."""
    assert desk.reader._member is not None
    return desk.reader._member.station


# --- what it reads ---


def test_ok__cards_texts_and_pins_come_through(tmp_path: Path) -> None:
    """A card is its number, a text is itself, and keys are a PIN, whichever of the two codes the reader has for `*` and `#`."""
    there = Reader(0, KEY)

    async def story(desk: Desk) -> None:
        assert await desk.next_state() == (READY, f"Reader front at address 0 on {line.path}: reading.")
        for bits in (26, 34):
            there.card(card(1234567, bits))
        there.text(b"ABC 123\r\n")
        assert [await desk.next_data() for _ in range(3)] == [b"01234567", b"01234567", b"ABC 123"]
        there.keys(b"12345678" + b"99*4321#" + b"99\x7f55\r")
        assert [await desk.next_data() for _ in range(3)] == [b"12345678", b"4321", b"55"]

    with line_of(tmp_path / "bus", there) as line:
        reading(story, reader_of(line))


def test_fail__a_damaged_card_is_none() -> None:
    """A card whose parity is wrong, one of another length and a text that is none are not read."""
    whole = card(99, 26)
    wrong = ("1" if whole[0] == "0" else "0") + whole[1:]
    found = [card_text(26, int(bits.ljust(32, "0"), 2).to_bytes(4, "big"), 0) for bits in (whole, wrong)]
    assert found == [b"00000099", None]
    assert [card_text(37, bytes(5), 0), card_text(16, b"\x01\x02", 0), card_text(0, b"", 0), card_text(16, b"\r\n", 0)] == [None] * 4


def test_fail__what_was_read_while_nobody_listened_is_thrown_away(tmp_path: Path) -> None:
    """A card that the reader kept from before does not open the door now."""
    there = Reader(0, KEY)
    there.text(b"before")
    there.keys(b"1234")

    async def story(desk: Desk) -> None:
        await desk.until(READY)
        there.keys(b"5678#")
        there.text(b"now")
        assert [await desk.next_data() for _ in range(2)] == [b"5678", b"now"]

    with line_of(tmp_path / "bus", there) as line:
        reading(story, reader_of(line))


def test_fail__a_reading_that_is_too_long_is_told(tmp_path: Path) -> None:
    """A text of 64 bytes is all that libosdp takes."""
    there = Reader(0, KEY)

    async def story(desk: Desk) -> None:
        await desk.until(READY)
        there.text(b"x" * 64)
        assert await desk.next_data() == b"x" * 64

    with line_of(tmp_path / "bus", there) as line:
        reading(story, reader_of(line))


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


# --- the port and the bus ---


def test_ok__a_lost_adapter_is_told_and_comes_back(tmp_path: Path) -> None:
    """Pulled and plugged in again behind the same path, it is told lost once and then ready, and reads on."""
    there = Reader(0, KEY)

    async def story(desk: Desk) -> None:
        await desk.until(READY)
        for count in range(2):
            line.unplug()
            state, words = await desk.next_state()
            assert state is LOST
            assert str(line.path) in words
            line.plug()
            assert (await desk.next_state())[0] is READY
            there.text(b"after %d" % count)
            assert await desk.next_data() == b"after %d" % count

    with line_of(tmp_path / "bus", there) as line:
        reading(story, reader_of(line, silent_s=30.0))


def test_ok__two_readers_share_a_bus(tmp_path: Path) -> None:
    """Each is read by its own key at its own address; one that falls silent is told, and the other is read on."""
    first, second = Reader(1, KEY), Reader(2, OTHER_KEY)

    async def story(one: Desk, two: Desk) -> None:
        await one.until(READY)
        await two.until(READY)
        first.text(b"one")
        second.text(b"two")
        assert [await one.next_data(), await two.next_data()] == [b"one", b"two"]
        first.is_dead = True
        assert "address 1" in await one.until(LOST)
        second.text(b"still")
        assert await two.next_data() == b"still"
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


# --- what it shows ---


def test_ok__it_shows_signals_by_lamp_and_buzzer(tmp_path: Path) -> None:
    """Granted is green for three seconds and gives way by itself to what lasts; nothing is shown over fire; then it is dark."""
    there = Reader(0, KEY)

    def lamp() -> list[tuple[bool, int, int]]:
        return [(found["temporary"], found["on_color"], found.get("timer_count", 0)) for found in seen(there, osdp_sys.CMD_LED)]

    async def story(desk: Desk) -> None:
        desk.reader.show(Signal.FAULT)
        await desk.until(READY)
        await happens(lambda: lamp()[-1:] == [(False, osdp_sys.LED_COLOR_RED, 0)])
        desk.reader.show(Signal.GRANTED)
        await happens(lambda: lamp()[-1:] == [(True, osdp_sys.LED_COLOR_GREEN, 30)])
        await happens(lambda: seen(there, osdp_sys.CMD_BUZZER)[-1]["on_count"] == 6)
        # a buzzer does not come back to what lasts by itself
        await happens(lambda: lamp()[-1:] == [(False, osdp_sys.LED_COLOR_RED, 0)])
        desk.reader.show(Signal.FIRE)
        await happens(lambda: lamp()[-1:] == [(False, osdp_sys.LED_COLOR_GREEN, 0)])
        told = len(there.seen)
        desk.reader.show(Signal.DENIED)
        desk.reader.show(Signal.DARK)
        await happens(lambda: lamp()[-1:] == [(False, osdp_sys.LED_COLOR_NONE, 0)])
        assert [found["on_color"] for found in there.seen[told:] if found["command"] == osdp_sys.CMD_LED] == [osdp_sys.LED_COLOR_NONE]

    with line_of(tmp_path / "bus", there) as line:
        reading(story, reader_of(line, silent_s=30.0))


def test_ok__a_reader_without_lamp_and_status_is_read(tmp_path: Path) -> None:
    """What it has not is not asked for, and what it refuses is asked once: libosdp would begin anew each time."""
    there = Reader(0, KEY, caps=((osdp_sys.CAP_COMMUNICATION_SECURITY, 1, 1),))
    there.refuses.add(osdp_sys.CMD_STATUS)

    async def story(desk: Desk) -> None:
        await desk.until(READY)
        desk.reader.show(Signal.GRANTED)
        await happens(lambda: len(seen(there, osdp_sys.CMD_STATUS)) == 1)
        await happens(lambda: bool(station_of(desk).refused) and station_of(desk).counts)
        for count in range(3):
            there.text(b"scan %d" % count)
            assert await desk.next_data() == b"scan %d" % count
        assert [found["command"] for found in there.seen] == [osdp_sys.CMD_STATUS]

    with line_of(tmp_path / "bus", there) as line:
        reading(story, reader_of(line, silent_s=30.0))


# --- what it keeps to itself ---


def test_ok__libosdp_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    """Its log would go to our standard output; nothing comes, whatever goes wrong, and no key is in what can be printed."""
    device = Reader(0, OTHER_KEY)

    async def story(desk: Desk) -> None:
        await desk.until(TAMPERED)
        line.unplug()
        await desk.until(LOST)
        assert repr(station_of(desk).slot) == "Slot(address=0)"

    with line_of(tmp_path / "bus", device) as line:
        reading(story, reader_of(line, silent_s=1.0))
    assert (capfd.readouterr(), caplog.text) == (("", ""), "")


def test_ok__no_two_processes_challenge_alike() -> None:
    """The library takes its challenge from C's `rand`, which begins alike in each process unless it is seeded, as it is here."""
    code = (
        "import ctypes; from drivers.osdp_panel import Panel, Slot, Wire;"
        "Panel(Wire(lambda reply, asked: True), [Slot(0, bytes(range(16)))], print); print(ctypes.CDLL(None).rand())"
    )
    runs = {subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout for _ in range(3)}
    assert len(runs) == 3
