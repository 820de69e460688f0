"""The serial reader on real pseudo-terminals: unplugging one is closing its master."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.base import DeviceMissingError, Frame, ReaderState
from drivers.reader_serial import SerialReader
from drivers.serial_port import reason

WAIT_S = 10.0
READY, LOST = ReaderState.READY, ReaderState.LOST


class Scanner:
    """A scanner behind a path that stays the same, as udev gives one, whatever terminal is behind it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.ends: tuple[int, int] | None = None
        self.plug()

    def plug(self) -> None:
        """Plug it in, which gives a new terminal."""
        self.ends = os.openpty()
        self.path.symlink_to(os.ttyname(self.ends[1]))

    def unplug(self) -> None:
        """Pull the cable; the path goes first, for the terminal's number may be another test's as soon as it is free."""
        self.path.unlink(missing_ok=True)
        ends, self.ends = self.ends, None
        for end in ends or ():
            os.close(end)

    def scan(self, data: bytes) -> None:
        """Send bytes."""
        assert self.ends is not None
        assert os.write(self.ends[0], data) == len(data)


class Desk:
    """One reader under way, and what it tells."""

    def __init__(self, reader: SerialReader) -> None:
        self.reader = reader
        self.frames: asyncio.Queue[Frame] = asyncio.Queue()
        self.states: asyncio.Queue[tuple[ReaderState, str]] = asyncio.Queue()

    async def next_frame(self) -> Frame:
        """The next frame, waited for."""
        return await asyncio.wait_for(self.frames.get(), WAIT_S)

    async def next_state(self) -> tuple[ReaderState, str]:
        """The next state, waited for."""
        return await asyncio.wait_for(self.states.get(), WAIT_S)


def reading(reader: SerialReader, story: Callable[[Desk], Awaitable[None]]) -> None:
    """Run the reader, and the story once it is ready; then cancel the reader."""

    async def play() -> None:
        desk = Desk(reader)
        task = asyncio.create_task(reader.run(desk.frames.put_nowait, lambda *state: desk.states.put_nowait(state)))
        try:
            assert (await desk.next_state())[0] is READY
            await story(desk)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    asyncio.run(play())


@pytest.fixture
def scanner(tmp_path: Path) -> Iterator[Scanner]:
    """A scanner that is plugged in."""
    scanner = Scanner(tmp_path / "scanner")
    yield scanner
    scanner.unplug()


def reader_of(scanner: Scanner, **options: Any) -> SerialReader:  # noqa: ANN401  whatever the reader takes
    """A quick reader of this scanner."""
    return SerialReader("front", str(scanner.path), **{"first_retry_s": 0.01, "max_retry_s": 0.05, **options})


def test_ok__scans_come_through_with_their_ticks(scanner: Scanner) -> None:
    """Each scan is one frame with the moment of its last byte; a base45 text keeps its last space."""

    async def story(desk: Desk) -> None:
        before_ns = time.monotonic_ns()
        scanner.scan(b"]Q1TL1:6BF +8D \r\n]Q1second\r\n")
        first, second = await desk.next_frame(), await desk.next_frame()
        assert (first.data, second.data) == (b"TL1:6BF +8D ", b"second")
        assert before_ns <= first.at_ns <= time.monotonic_ns()

    reading(reader_of(scanner, prefix=b"]Q1"), story)


def test_ok__bytes_go_through_as_they_are(scanner: Scanner) -> None:
    """The terminal neither echoes nor rewrites anything: every byte but the terminator arrives."""
    every_byte = bytes(byte for byte in range(256) if byte not in {10, 13})

    async def story(desk: Desk) -> None:
        scanner.scan(every_byte + b"\n")
        assert (await desk.next_frame()).data == every_byte

    reading(reader_of(scanner), story)


def test_ok__what_is_waiting_is_read_at_once(scanner: Scanner) -> None:
    """A burst of a hundred scans takes a few reads, not one a byte."""
    calls = 0

    async def story(desk: Desk) -> None:
        nonlocal calls
        assert desk.reader._device is not None
        read = desk.reader._device.read

        def counted(size: int) -> bytes:
            nonlocal calls
            calls += 1
            return bytes(read(size))

        desk.reader._device.read = counted
        scanner.scan(b"".join(b"scan number %02d\r\n" % number for number in range(100)))
        assert [(await desk.next_frame()).data for _ in range(100)] == [b"scan number %02d" % number for number in range(100)]

    reading(reader_of(scanner), story)
    assert 1 <= calls <= 50


def test_fail__what_was_scanned_while_nobody_read_is_thrown_away(scanner: Scanner) -> None:
    """A code scanned while the agent was down, or not yet reading, does not open the door later."""
    reader = reader_of(scanner)
    scanner.scan(b"before the port was open\r")
    time.sleep(0.05)
    reader.open()
    scanner.scan(b"before anybody read\r")
    time.sleep(0.05)

    async def story(desk: Desk) -> None:
        scanner.scan(b"now\r")
        assert (await desk.next_frame()).data == b"now"

    reading(reader, story)


def test_fail__a_half_read_scan_does_not_spoil_the_next(scanner: Scanner) -> None:
    """What has waited longer than the gap for its end is dropped when the next byte comes."""

    async def story(desk: Desk) -> None:
        scanner.scan(b"half a sc")
        await asyncio.sleep(0.3)
        scanner.scan(b"whole\r")
        assert (await desk.next_frame()).data == b"whole"

    reading(reader_of(scanner, gap_s=0.1), story)


def test_fail__an_overlong_line_is_one_report(scanner: Scanner) -> None:
    """Rubbish without an end is told once, and the scan after it is read."""

    async def story(desk: Desk) -> None:
        scanner.scan(b"x" * 3000 + b"\rscan\r")
        first, second = await desk.next_frame(), await desk.next_frame()
        assert (first.data, first.overlong) == (b"", True)
        assert (second.data, second.overlong) == (b"scan", False)

    reading(reader_of(scanner, max_bytes=64), story)


def test_ok__a_lost_scanner_is_told_and_comes_back(scanner: Scanner) -> None:
    """Pulled and plugged in again behind the same path, it is told lost once and then ready, and reads on, as often as it happens."""

    async def story(desk: Desk) -> None:
        for count in range(3):
            scanner.scan(b"half")
            await asyncio.sleep(0.05)
            scanner.unplug()
            state, sentence = await desk.next_state()
            assert state is LOST
            assert "front" in sentence
            assert str(scanner.path) in sentence
            await asyncio.sleep(0.1)
            scanner.plug()
            assert (await desk.next_state())[0] is READY
            scanner.scan(b"scan %d\r" % count)
            assert (await desk.next_frame()).data == b"scan %d" % count

    reading(reader_of(scanner), story)


def test_fail__a_dead_port_leaves_the_loop(scanner: Scanner) -> None:
    """After the cable was pulled the callback has run once or twice, and the processor rests."""
    calls = 0

    async def story(desk: Desk) -> None:
        nonlocal calls
        assert desk.reader._device is not None
        read = desk.reader._device.read

        def counted(size: int) -> bytes:
            nonlocal calls
            calls += 1
            return bytes(read(size))

        desk.reader._device.read = counted
        scanner.unplug()
        assert (await desk.next_state())[0] is LOST
        begin_s = time.process_time()
        await asyncio.sleep(0.5)
        assert time.process_time() - begin_s < 0.2

    reading(reader_of(scanner, first_retry_s=0.05, max_retry_s=0.1), story)
    assert 1 <= calls <= 2


def test_ok__a_callback_that_stays_would_spin(scanner: Scanner) -> None:
    """Why the port must leave the loop: a reader callback that does not remove itself is called without end after the unplugging."""
    calls = 0

    async def stay() -> None:
        nonlocal calls
        port = os.open(scanner.path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)

        def callback() -> None:
            nonlocal calls
            calls += 1

        asyncio.get_running_loop().add_reader(port, callback)
        scanner.unplug()
        await asyncio.sleep(0.2)
        asyncio.get_running_loop().remove_reader(port)
        os.close(port)

    asyncio.run(stay())
    assert calls > 200


def test_fail__a_port_that_is_readable_but_empty_is_lost(scanner: Scanner) -> None:
    """A driver that says readable and gives nothing would spin just as well: it counts as lost, and is opened anew."""

    async def story(desk: Desk) -> None:
        assert desk.reader._device is not None
        desk.reader._device.read = lambda _size: b""
        scanner.scan(b"x")
        assert [(await desk.next_state())[0], (await desk.next_state())[0]] == [LOST, READY]
        scanner.scan(b"scan\r")
        assert (await desk.next_frame()).data == b"scan"

    reading(reader_of(scanner), story)


def pauses_of(reader: SerialReader, monkeypatch: pytest.MonkeyPatch, count: int, on_ready: Callable[[], None]) -> list[float]:
    """The first pauses the reader would make between its tries, which take no time here."""
    pauses: list[float] = []
    real = asyncio.sleep

    async def sleep(delay_s: float) -> None:
        pauses.append(delay_s)
        if len(pauses) == count:
            raise asyncio.CancelledError
        await real(0)

    monkeypatch.setattr("drivers.reader_serial.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        asyncio.run(reader.run(print, lambda state, _sentence: on_ready() if state is READY else None))
    return pauses


def test_ok__the_pauses_double_up_to_the_longest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scanner that stays away is tried at half a second, then at half the pace each time, with jitter, but at least every 30 s."""
    reader = SerialReader("front", str(tmp_path / "missing"), first_retry_s=0.5, max_retry_s=30.0)
    pauses = pauses_of(reader, monkeypatch, 12, lambda: None)
    for pause_s, full_s in zip(pauses, [0.5, 1, 2, 4, 8, 16, *[30] * 6], strict=True):
        assert full_s / 2 <= pause_s <= full_s


def test_fail__a_port_that_fails_as_soon_as_it_opens_is_not_hammered(scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses grow on over losses that follow one another, or a loose plug would fill the log."""

    def shake() -> None:
        scanner.unplug()
        scanner.plug()

    pauses = pauses_of(reader_of(scanner, first_retry_s=1.0, max_retry_s=30.0), monkeypatch, 4, shake)
    for pause_s, full_s in zip(pauses, [1, 2, 4, 8], strict=True):
        assert full_s / 2 <= pause_s <= full_s


def test_fail__a_missing_port_is_named(tmp_path: Path) -> None:
    """At start a port that is not there is an error with its name, the system's reason and what to do."""
    port = tmp_path / "scanner"
    with pytest.raises(DeviceMissingError) as caught:
        SerialReader("front", str(port)).open()
    assert str(caught.value) == (f"Reader front: {port} is not there. Plug it in, or correct `port` ({os.strerror(errno.ENOENT)}).")


def test_fail__a_port_in_use_is_refused(scanner: Scanner) -> None:
    """Two programs on one port would each get half of every scan."""
    first = reader_of(scanner)
    first.open()
    with pytest.raises(DeviceMissingError, match="held by another program"):
        reader_of(scanner).open()
    first.close()
    first.close()
    second = reader_of(scanner)
    second.open()
    second.open()
    second.close()


def test_fail__a_file_is_no_port(tmp_path: Path) -> None:
    """A path to something else is refused with a sentence."""
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(DeviceMissingError, match="Check that it is a serial port"):
        SerialReader("front", str(file)).open()


def test_fail__a_port_without_permission_says_which_group() -> None:
    """The commonest mistake on a new board is told with its remedy."""
    assert "dialout (Permission denied)" in reason(PermissionError(errno.EACCES, "denied"))


def test_ok__run_begins_lost_when_the_scanner_is_not_there_yet(scanner: Scanner) -> None:
    """A door with a second reader starts without the first, says so, and reads once it is plugged in."""
    scanner.unplug()

    async def story() -> None:
        desk = Desk(reader_of(scanner))
        task = asyncio.create_task(desk.reader.run(desk.frames.put_nowait, lambda *state: desk.states.put_nowait(state)))
        state, sentence = await desk.next_state()
        assert state is LOST
        assert "is not there" in sentence
        scanner.plug()
        assert (await desk.next_state())[0] is READY
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())


def test_ok__cancelling_gives_the_port_back(scanner: Scanner) -> None:
    """After a cancel the port is free for the next program, and nothing of it is left in the loop."""
    ports = []

    async def story(desk: Desk) -> None:
        ports.append(desk.reader._device)
        await asyncio.sleep(0)

    reader = reader_of(scanner)
    reading(reader, story)
    assert (reader._device, reader._loop) == (None, None)
    assert [port is not None and port.is_open for port in ports] == [False]
    other = reader_of(scanner)
    other.open()
    other.close()


def test_ok__closing_while_it_runs_leaves_the_loop_too(scanner: Scanner) -> None:
    """A close in the wrong order does not leave a closed descriptor in the loop; nothing more is read."""

    async def story(desk: Desk) -> None:
        desk.reader.close()
        scanner.scan(b"unread\r")
        await asyncio.sleep(0.05)
        assert desk.frames.empty()

    reading(reader_of(scanner), story)
