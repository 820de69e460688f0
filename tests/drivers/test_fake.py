"""The played devices: they tell what happened, and never pretend that it did not."""

from __future__ import annotations

import asyncio
import queue
import re
from pathlib import Path

import pytest

from drivers.base import DeviceMissingError, DriverError, Frame, ReaderState, Signal
from drivers.fake import ManualInput, PlayedInput, PlayedLine, PlayedReader, RecordedIndicator


def test_ok__a_new_line_is_locked_and_an_old_one_keeps_its_level(tmp_path: Path) -> None:
    """Making a line drives nothing: a level left released by a killed process is still there, and is seen."""
    level = tmp_path / "door"
    assert not PlayedLine(str(level)).is_released
    level.write_bytes(b"1")
    line = PlayedLine(str(level))
    assert line.is_released
    line.close()
    assert level.read_bytes() == b"1"
    assert line.events == ["closed"]


def test_ok__a_new_line_may_begin_released(tmp_path: Path) -> None:
    """A relay that is made in fire has a line that was never locked; an old file keeps its level here, too."""
    level = tmp_path / "door"
    assert PlayedLine(str(level), released=True).is_released
    assert PlayedLine(None, released=True).is_released
    level.write_bytes(b"0")
    assert not PlayedLine(str(level), released=True).is_released


def test_ok__every_drive_is_one_line_of_the_log(tmp_path: Path) -> None:
    """The log of two lines on one file, one after the other, is whole and in order."""
    level = tmp_path / "door"
    for _ in range(2):
        line = PlayedLine(str(level))
        line.drive(released=True)
        assert level.read_bytes() == b"1"
        line.drive(released=False)
        assert level.read_bytes() == b"0"
    assert re.fullmatch(r"(\d+ released\n\d+ locked\n){2}", Path(f"{level}.log").read_text(encoding="ascii"))


def test_ok__a_log_that_cannot_be_written_does_not_hinder_the_line(tmp_path: Path) -> None:
    """A full disk keeps nobody's relay from locking: the level goes on working without its record."""
    level = tmp_path / "door"
    Path(f"{level}.log").mkdir()
    line = PlayedLine(str(level))
    line.drive(released=True)
    line.drive(released=False)
    assert level.read_bytes() == b"0"
    assert line.events == ["released", "locked"]


def test_fail__a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    """A played line that cannot be had is refused like any other device."""
    with pytest.raises(DeviceMissingError, match=r"missing/door cannot be had: No such file"):
        PlayedLine(str(tmp_path / "missing" / "door"))


def test_fail__a_level_that_is_gone_is_an_error(tmp_path: Path) -> None:
    """A drive that moves nothing is not recorded as one that did."""
    level = tmp_path / "door"
    line = PlayedLine(str(level), name="side door")
    level.unlink()
    with pytest.raises(DriverError, match="side door"):
        line.drive(released=True)
    assert line.events == []


def test_ok__a_reader_plays_its_script_and_waits() -> None:
    """Scans, a pulled cable and its return come in order; a scan at a pulled cable is read by nobody."""
    script: list[bytes | ReaderState] = [b"one", ReaderState.LOST, b"unread", ReaderState.READY, b"two "]
    reader = PlayedReader(script, name="front")
    frames: list[Frame] = []
    states: list[tuple[ReaderState, str]] = []

    async def play() -> None:
        told: asyncio.Queue[Frame] = asyncio.Queue()
        reader.open()
        task = asyncio.create_task(reader.run(told.put_nowait, lambda *state: states.append(state)))
        frames.extend([await told.get(), await told.get()])
        reader.play(b"three")
        frames.append(await told.get())
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        reader.close()
        reader.close()

    asyncio.run(play())
    assert [frame.data for frame in frames] == [b"one", b"two ", b"three"]
    assert [state for state, _ in states] == [ReaderState.READY, ReaderState.LOST, ReaderState.READY]
    assert "front" in states[0][1]
    assert reader.events == ["open", "ready", "frame", "lost", "missed", "ready", "frame", "frame", "closed"]


def test_ok__a_played_input_makes_its_file_and_keeps_an_old_one(tmp_path: Path) -> None:
    """A new file is at rest; one that is there is not touched."""
    contact, fire = tmp_path / "contact", tmp_path / "fire"
    fire.write_text("1\n", encoding="ascii")
    assert not PlayedInput(str(contact)).read()
    assert contact.read_bytes() == b"0"
    assert PlayedInput(str(fire)).read()
    assert fire.read_text(encoding="ascii") == "1\n"


def test_fail__a_played_input_whose_folder_is_missing_is_refused(tmp_path: Path) -> None:
    """Like any other device that cannot be had."""
    with pytest.raises(DeviceMissingError, match=r"missing/contact cannot be had: No such file"):
        PlayedInput(str(tmp_path / "missing" / "contact"))


@pytest.mark.parametrize("content", ["", "2", "yes", "11"])
def test_fail__what_is_neither_0_nor_1_is_no_level(tmp_path: Path, content: str) -> None:
    """A slip of whoever plays is named, and never taken for a door that is shut."""
    contact = tmp_path / "contact"
    line = PlayedInput(str(contact), name="contact")
    contact.write_text(content, encoding="ascii")
    with pytest.raises(DriverError, match=r"contact: its file .* holds neither 0 nor 1"):
        line.read()
    contact.unlink()
    with pytest.raises(DriverError, match=r"contact: its file .* cannot be read: No such file"):
        line.read()


def test_ok__a_file_that_is_gone_for_a_while_is_watched_on(tmp_path: Path) -> None:
    """The one who plays may replace the file; what it then holds is told."""
    contact = tmp_path / "contact"
    line = PlayedInput(str(contact))
    told: queue.Queue[bool] = queue.Queue()
    line.watch(lambda is_active, _: told.put(is_active))
    assert not told.get(timeout=20)
    contact.unlink()
    contact.with_suffix(".new").write_text("1", encoding="ascii")
    contact.with_suffix(".new").rename(contact)
    assert told.get(timeout=20)
    with pytest.raises(RuntimeError, match="watched already"):
        line.watch(print)
    line.close()


def test_ok__an_input_moved_by_hand_fails_when_it_is_told_to() -> None:
    """Its fault is raised by each reading, and an edge may be lost."""
    line, told = ManualInput(), list[bool]()
    line.watch(lambda is_active, _: told.append(is_active))
    line.move(is_active=True, is_told=False)
    assert line.read()
    line.fault = DriverError("gone")
    with pytest.raises(DriverError, match="gone"):
        line.read()
    assert told == []


def test_ok__a_recorded_indicator_keeps_every_signal() -> None:
    """In their order, repeated ones, too."""
    indicator = RecordedIndicator()
    for signal in (Signal.READY, Signal.DENIED, Signal.DENIED):
        indicator.show(signal)
    assert indicator.signals == [Signal.READY, Signal.DENIED, Signal.DENIED]
