"""OSDP readers on a real pseudo-terminal, played by libosdp's own peripheral side: what they read, show, and keep to themselves."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import osdp_sys
import pytest

from drivers.base import ReaderState, Signal
from drivers.reader_osdp import card_text
from tests.drivers.osdp_desk import Desk, happens, reader_of, reading, seen, station_of
from tests.drivers.osdp_line import KEY, OTHER_KEY, Reader, line_of
from tests.drivers.wires import card

READY, LOST, TAMPERED = ReaderState.READY, ReaderState.LOST, ReaderState.TAMPERED


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
