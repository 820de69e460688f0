"""The keyboard reader on a played device: a FIFO for its events, and the kernel's requests answered here."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import stat
import struct
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers import reader_keyboard, registry
from drivers.base import DeviceMissingError, Frame, ReaderState
from drivers.keyboard import EV_KEY, EV_SYN, KEY_ENTER, KEY_LEFTSHIFT, LAYOUTS, SYN_DROPPED
from drivers.reader_keyboard import EVENT, GET_HELD_KEYS, GET_ITS_KEYS, GET_LEDS, GET_NAME, GRAB, KeyboardReader

WAIT_S = 10.0
READY, LOST = ReaderState.READY, ReaderState.LOST
MAKER = "Honeywell Imaging 1470g"


def strokes(text: str) -> list[tuple[int, int]]:
    """The keys of a scanner set to the American layout: code and value."""
    keys: list[tuple[int, int]] = []
    for character in text:
        if character == "\n":
            keys += [(KEY_ENTER, 1), (KEY_ENTER, 0)]
            continue
        code, is_shifted = next(
            (code, character != key.plain)
            for code, key in LAYOUTS["us"].items()
            if character in key[:2] and code not in {55, 74, 78, 98, 117}
        )
        press = [(code, 1), (code, 0)]
        keys += [(KEY_LEFTSHIFT, 1), *press, (KEY_LEFTSHIFT, 0)] if is_shifted else press
    return keys


async def until(is_so: Callable[[], bool]) -> None:
    """Wait for it, within reason."""
    for _ in range(int(WAIT_S / 0.01)):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise TimeoutError


def descriptors() -> int:
    """How many files this process has open."""
    return len(list(Path("/proc/self/fd").iterdir()))


def event(kind: int, code: int, value: int) -> bytes:
    """One event as the kernel writes it."""
    return struct.pack("llHHi", 1, 2, kind, code, value)


class Scanner:
    """A scanner behind a path that stays the same: its events, and what the kernel answers about it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.end: int | None = None
        self.refuse_grab: int | None = None
        self.keys = {KEY_ENTER, *range(2, 54)}
        self.held: set[int] = set()
        self.leds: set[int] = set()
        self.asked: list[int] = []
        self.plug()

    def plug(self) -> None:
        """Plug it in: a new device behind the path."""
        os.mkfifo(self.path)
        self.end = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)

    def unplug(self) -> None:
        """Pull the cable."""
        self.path.unlink(missing_ok=True)
        end, self.end = self.end, None
        if end is not None:
            os.close(end)

    def send(self, data: bytes) -> None:
        """Put events into the queue."""
        assert self.end is not None
        assert os.write(self.end, data) == len(data)

    def type(self, text: str) -> None:
        """Type a text, each key with its report."""
        self.send(b"".join(event(EV_KEY, code, value) + event(EV_SYN, 0, 0) for code, value in strokes(text)))

    def ioctl(self, _descriptor: int, request: int, argument: int | bytearray) -> None:
        """Answer as the kernel does."""
        self.asked.append(request)
        if request == GRAB:
            assert argument == 1
            if self.refuse_grab:
                raise OSError(self.refuse_grab, os.strerror(self.refuse_grab))
            return
        assert isinstance(argument, bytearray)
        if request == GET_NAME:
            argument[: len(MAKER)] = MAKER.encode()
            return
        for number in {GET_ITS_KEYS: self.keys, GET_HELD_KEYS: self.held, GET_LEDS: self.leds}[request]:
            argument[number // 8] |= 1 << number % 8


class Desk:
    """One reader under way, and what it tells."""

    def __init__(self, reader: KeyboardReader) -> None:
        self.reader = reader
        self.frames: asyncio.Queue[Frame] = asyncio.Queue()
        self.states: asyncio.Queue[tuple[ReaderState, str]] = asyncio.Queue()

    async def next_data(self) -> bytes:
        """The next frame's data, waited for."""
        return (await asyncio.wait_for(self.frames.get(), WAIT_S)).data

    async def next_state(self) -> tuple[ReaderState, str]:
        """The next state, waited for."""
        return await asyncio.wait_for(self.states.get(), WAIT_S)


def reading(reader: KeyboardReader, story: Callable[[Desk], Awaitable[None]], first: ReaderState = READY) -> None:
    """Run the reader, and the story once the first state is told; then cancel the reader."""

    async def play() -> None:
        desk = Desk(reader)
        task = asyncio.create_task(reader.run(desk.frames.put_nowait, lambda *state: desk.states.put_nowait(state)))
        try:
            assert (await desk.next_state())[0] is first
            await story(desk)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    asyncio.run(play())


@pytest.fixture
def scanner(tmp_path: Path) -> Iterator[Scanner]:
    """A scanner that is plugged in."""
    scanner = Scanner(tmp_path / "usb-Honeywell-event-kbd")
    yield scanner
    scanner.unplug()


def reader_of(scanner: Scanner, **options: Any) -> KeyboardReader:  # noqa: ANN401  whatever the reader takes
    """A quick reader of this scanner."""
    options = {"first_retry_s": 0.01, "max_retry_s": 0.05, "ioctl": scanner.ioctl, **options}
    return KeyboardReader("front", str(scanner.path), **options)


def test_ok__scans_come_through(scanner: Scanner) -> None:
    """Each scan is one frame, with the spaces in it."""

    async def story(desk: Desk) -> None:
        scanner.type("TL1:6BF +8D .\nsecond\n")
        assert [await desk.next_data(), await desk.next_data()] == [b"TL1:6BF +8D .", b"second"]

    reading(reader_of(scanner), story)


def test_ok__the_state_names_the_device_as_its_maker_does(scanner: Scanner) -> None:
    """An installer sees which of the things on the desk is meant."""
    told: list[tuple[ReaderState, str]] = []

    async def story() -> None:
        task = asyncio.create_task(reader_of(scanner).run(print, lambda *state: told.append(state)))
        await until(lambda: bool(told))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(story())
    assert told == [(READY, f"Reader front: reading from {scanner.path} ({MAKER}).")]


def test_ok__a_long_code_takes_a_few_reads(scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> None:
    """All that is waiting is read at once: a code of 400 letters is some 1,600 events and no 1,600 system calls."""
    calls = 0
    read = os.read

    def counted(descriptor: int, size: int) -> bytes:
        nonlocal calls
        calls += size == EVENT.size * reader_keyboard.EVENTS_A_READ
        return read(descriptor, size)

    async def story(desk: Desk) -> None:
        monkeypatch.setattr(os, "read", counted)
        for _ in range(4):
            scanner.type("1" * 100)
        scanner.type("\n")
        assert await desk.next_data() == b"1" * 400

    reading(reader_of(scanner), story)
    assert 1 <= calls <= 30


def test_fail__it_is_never_read_ungrabbed(scanner: Scanner) -> None:
    """A grab that another program holds is an error that says who may, and nothing is left open."""
    scanner.refuse_grab = errno.EBUSY
    reader = reader_of(scanner)
    before = descriptors()
    with pytest.raises(DeviceMissingError) as caught:
        reader.open()
    assert str(caught.value) == (
        f"Reader front: {scanner.path} is grabbed by another program, and is not read beside one. Stop it: a second agent, a key "
        f"remapper such as keyd or input-remapper, or `evtest --grab` ({os.strerror(errno.EBUSY)})."
    )
    assert descriptors() == before


def test_fail__while_the_grab_is_refused_nothing_is_read_and_it_heals(scanner: Scanner) -> None:
    """Without its grab the reader is lost, whatever is typed; it tries on, and is ready once it has it."""
    scanner.refuse_grab = errno.EBUSY

    async def story(desk: Desk) -> None:
        scanner.type("12345678\n")
        await until(lambda: scanner.asked.count(GRAB) >= 3)
        assert desk.frames.empty()
        scanner.refuse_grab = None
        assert (await desk.next_state())[0] is READY
        scanner.type("87654321\n")
        assert await desk.next_data() == b"87654321"

    reading(reader_of(scanner), story, first=LOST)


def test_fail__what_was_typed_while_nobody_read_is_thrown_away(scanner: Scanner) -> None:
    """Between opening and reading a code is nobody's; the next one is read whole."""
    reader = reader_of(scanner)
    reader.open()
    scanner.type("before anybody read\n")

    async def story(desk: Desk) -> None:
        scanner.type("now\n")
        assert await desk.next_data() == b"now"

    reading(reader, story)


def test_fail__a_line_begun_while_nobody_read_is_not_half_read(scanner: Scanner) -> None:
    """Its rest is thrown away up to its end."""
    reader = reader_of(scanner)
    reader.open()
    scanner.type("1234")

    async def story(desk: Desk) -> None:
        scanner.type("5678\nnow\n")
        assert await desk.next_data() == b"now"

    reading(reader, story)


def test_fail__an_overflow_loses_the_line_and_keeps_step(scanner: Scanner) -> None:
    """After SYN_DROPPED the line is gone, and shift and caps lock are asked for: their changes may have been lost, too."""

    async def story(desk: Desk) -> None:
        scanner.type("lost")
        scanner.held, scanner.leds = {KEY_LEFTSHIFT}, {1}
        scanner.send(event(EV_KEY, KEY_LEFTSHIFT, 0) + event(EV_SYN, SYN_DROPPED, 0))
        await until(lambda: scanner.asked.count(GET_HELD_KEYS) == 2)
        scanner.type("rest\n")
        scanner.send(event(EV_KEY, KEY_LEFTSHIFT, 1))
        for code in (30, 2, KEY_ENTER):
            scanner.send(event(EV_KEY, code, 1) + event(EV_KEY, code, 0))
        assert await desk.next_data() == b"a!"

    reading(reader_of(scanner), story)


def test_ok__a_lost_scanner_is_told_and_comes_back(scanner: Scanner) -> None:
    """Pulled and plugged in again behind the same path, it is told lost and then ready, grabbed anew, as often as it happens."""

    async def story(desk: Desk) -> None:
        for count in range(3):
            scanner.type("half")
            scanner.unplug()
            state, sentence = await desk.next_state()
            assert state is LOST
            assert f"Reader front: lost {scanner.path}" in sentence
            assert desk.reader._device is None
            scanner.plug()
            assert (await desk.next_state())[0] is READY
            scanner.type(f"scan {count}\n")
            assert await desk.next_data() == f"scan {count}".encode()

    reading(reader_of(scanner), story)
    assert scanner.asked.count(GRAB) == 4


def test_fail__a_device_that_is_gone_leaves_the_loop(scanner: Scanner, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's ENODEV is told once, and the descriptor is closed: a dead device would be readable for ever."""
    calls = 0
    read = os.read

    def gone(descriptor: int, size: int) -> bytes:
        nonlocal calls
        if size != EVENT.size * reader_keyboard.EVENTS_A_READ:
            return read(descriptor, size)
        calls += 1
        raise OSError(errno.ENODEV, "gone")

    async def story(desk: Desk) -> None:
        monkeypatch.setattr(os, "read", gone)
        scanner.type("x")
        state, sentence = await desk.next_state()
        assert (state, os.strerror(errno.ENODEV) in sentence) == (LOST, True)
        assert desk.reader._device is None
        await asyncio.sleep(0.2)

    reading(reader_of(scanner, first_retry_s=60.0, max_retry_s=60.0), story)
    assert calls == 1


def test_fail__a_cut_event_is_no_event(scanner: Scanner) -> None:
    """Something else behind the path gives itself away by its size, and counts as lost."""

    async def story(desk: Desk) -> None:
        scanner.send(b"no event")
        assert [(await desk.next_state())[0], (await desk.next_state())[0]] == [LOST, READY]

    reading(reader_of(scanner), story)


def test_fail__a_missing_device_is_named(tmp_path: Path) -> None:
    """At start a device that is not there is an error with its name, the reason and what to do."""
    path = tmp_path / "kbd"
    with pytest.raises(DeviceMissingError) as caught:
        KeyboardReader("front", str(path)).open()
    assert str(caught.value) == (
        f"Reader front: {path} is not there. Plug the scanner in, or correct `device` ({os.strerror(errno.ENOENT)})."
    )


@pytest.mark.parametrize("make", [lambda path: path.touch(), os.mkfifo])
def test_fail__something_else_is_no_input_device(tmp_path: Path, make: Callable[[Path], object]) -> None:
    """The kernel itself says that a file or a FIFO is no input device; the sentence says where to look."""
    make(tmp_path / "kbd")
    with pytest.raises(DeviceMissingError, match=r"is no input device\. Take a name from /dev/input/by-id"):
        KeyboardReader("front", str(tmp_path / "kbd")).open()


def test_fail__a_mouse_is_no_keyboard(scanner: Scanner) -> None:
    """A device without digits or Enter is refused by its name, and is not grabbed."""
    for keys in ({0x110, 0x111}, {116}, {2, 3}, {KEY_ENTER}):
        scanner.keys = keys
        with pytest.raises(DeviceMissingError, match=rf"\({MAKER}\) is no keyboard, it lacks digits or Enter"):
            reader_of(scanner).open()
    assert GRAB not in scanner.asked


@pytest.mark.skipif(os.geteuid() == 0, reason="root may open anything")
def test_fail__a_device_without_permission_says_which_group(scanner: Scanner) -> None:
    """The commonest mistake on a new board is told with its remedy."""
    scanner.path.chmod(0)
    with pytest.raises(DeviceMissingError, match="by a udev rule"):
        reader_of(scanner).open()
    scanner.path.chmod(stat.S_IRUSR | stat.S_IWUSR)


def test_ok__cancelling_gives_the_device_back(scanner: Scanner) -> None:
    """After a cancel the grab is over with its descriptor, and nothing of it is left in the loop; closing again is harmless."""
    reader = reader_of(scanner)
    before = descriptors()

    async def story(_desk: Desk) -> None:
        await asyncio.sleep(0)

    reading(reader, story)
    reader.close()
    assert (reader._device, reader._loop, descriptors()) == (None, None, before)


def test_ok__two_scanners_are_told_apart_by_their_paths(tmp_path: Path) -> None:
    """Each reader reads its own device, in its own layout."""
    left, right = Scanner(tmp_path / "left-event-kbd"), Scanner(tmp_path / "right-event-kbd")

    async def story() -> None:
        desks = [Desk(reader_of(left)), Desk(reader_of(right, layout="de"))]
        tasks = [asyncio.create_task(desk.reader.run(desk.frames.put_nowait, lambda *_: None)) for desk in desks]
        await until(lambda: all(desk.reader._loop is not None for desk in desks))
        right.type("y/\n")
        left.type("y/\n")
        assert [await desk.next_data() for desk in desks] == [b"y/", b"z-"]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(story())
    left.unplug()
    right.unplug()


def test_ok__it_is_had_by_its_name() -> None:
    """The settings' keys are the driver's options."""
    reader = registry.reader("keyboard", "front", {"device": "/dev/input/by-id/x", "layout": "fr", "max_bytes": 64, "gap_s": 1.0})
    assert isinstance(reader, KeyboardReader)
    with pytest.raises(ValueError, match="dvorak"):
        registry.reader("keyboard", "front", {"device": "/dev/input/by-id/x", "layout": "dvorak"})
