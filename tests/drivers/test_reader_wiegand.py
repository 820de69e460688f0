"""The Wiegand reader: edges from a thread in, frames and states in the loop out."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections.abc import Awaitable, Callable

import pytest

from drivers.base import DeviceMissingError, DriverError, Frame, ReaderState
from drivers.reader_wiegand import MAX_EDGES_WAITING, WiegandReader, _Inbox
from drivers.wiegand import GAP_NS, Edge
from tests.drivers.wires import D0, D1, MS_NS, US_NS, PlayedEdges, card, edges, falls, key, pulse

WAIT_S = 20.0
READY, LOST = ReaderState.READY, ReaderState.LOST
PIN = "40170236"


class Wall:
    """One reader under way, the wires to it, and what it tells."""

    def __init__(self) -> None:
        self.wires = PlayedEdges()
        self.reader = WiegandReader("front", D0, D1, self.wires, first_retry_s=0.01, max_retry_s=0.02, look_s=0.02)
        self.frames: asyncio.Queue[Frame] = asyncio.Queue()
        self.states: asyncio.Queue[tuple[ReaderState, str]] = asyncio.Queue()
        self._at_ns = 0

    async def next_data(self) -> bytes:
        """The next frame's bytes, waited for."""
        return (await asyncio.wait_for(self.frames.get(), WAIT_S)).data

    async def next_state(self) -> tuple[ReaderState, str]:
        """The next state, waited for."""
        return await asyncio.wait_for(self.states.get(), WAIT_S)

    def send(self, *messages: str, pause_ms: int = 200) -> None:
        """Send messages of bits, one after the other on the edges' own clock."""
        for bits in messages:
            self._at_ns = max(self._at_ns + pause_ms * MS_NS, time.monotonic_ns())
            self.wires.play(falls(edges(bits, self._at_ns)))
            self._at_ns += len(bits) * MS_NS

    def type(self, keys: str, bits: int = 4, pause_ms: int = 200) -> None:
        """Press keys."""
        self.send(*(key(name, bits) for name in keys), pause_ms=pause_ms)


def reading(story: Callable[[Wall], Awaitable[None]]) -> Wall:
    """Run the reader, and the story once it is ready; then cancel the reader."""

    async def play() -> Wall:
        wall = Wall()
        wall.reader.open()
        task = asyncio.create_task(wall.reader.run(wall.frames.put_nowait, lambda *state: wall.states.put_nowait(state)))
        try:
            assert await wall.next_state() == (READY, "Reader front: reading on D0 (GPIO14) and D1 (GPIO15).")
            await story(wall)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        return wall

    return asyncio.run(play())


@pytest.mark.parametrize("bits", [4, 8])
def test_ok__a_pin_typed_key_by_key(bits: int) -> None:
    """Eight keys are a PIN, whichever way the keypad sends them, and # after it is nothing more."""

    async def story(wall: Wall) -> None:
        wall.type(PIN + "#" + PIN[::-1], bits)
        assert [await wall.next_data() for _ in range(2)] == [PIN.encode(), PIN[::-1].encode()]
        assert wall.frames.empty()

    assert reading(story).wires.events == ["claimed", "watched", "closed"]


def test_ok__a_number_is_a_frame_at_once() -> None:
    """A card, or a keypad that sends a whole number; what was typed before it is gone."""

    async def story(wall: Wall) -> None:
        wall.type("401")
        wall.send(card(int(PIN)), card(1, 26), "".join(key(digit) for digit in PIN))
        wall.type("70236#")
        assert [await wall.next_data() for _ in range(4)] == [PIN.encode(), b"00000001", PIN.encode(), b"70236"]

    reading(story)


def test_ok__a_frames_tick_is_its_last_edges() -> None:
    """By it the frame's age is told; a tick of the future is none."""

    async def story(wall: Wall) -> None:
        begin_ns = time.monotonic_ns()
        played = falls(edges(card(int(PIN)), begin_ns))
        while time.monotonic_ns() <= played[-1].at_ns:  # noqa: ASYNC110  it is time itself that is waited for
            await asyncio.sleep(0.01)
        wall.wires.play(played)
        assert (await asyncio.wait_for(wall.frames.get(), WAIT_S)).at_ns == played[-1].at_ns
        wall.wires.play(falls(edges(card(int(PIN)), time.monotonic_ns() + 3600 * 10**9)))
        assert (await asyncio.wait_for(wall.frames.get(), WAIT_S)).at_ns <= time.monotonic_ns()

    reading(story)


def test_ok__edges_come_from_another_thread() -> None:
    """As the kernel's do, one by one, while the loop does something else."""

    async def story(wall: Wall) -> None:
        begin_ns = time.monotonic_ns()

        def play() -> None:
            for edge in edges(card(int(PIN)), begin_ns):
                wall.wires.play([edge])

        thread = threading.Thread(target=play)
        thread.start()
        assert await wall.next_data() == PIN.encode()
        thread.join()

    reading(story)


def test_fail__what_came_before_it_was_ready_is_thrown_away() -> None:
    """The kernel keeps edges from the claim on: a PIN that was sent then must not open the door now."""

    async def story(wall: Wall) -> None:
        wall.wires.play(falls(edges(card(1), time.monotonic_ns() - 60 * 10**9)))
        wall.send(card(2))
        assert await wall.next_data() == b"00000002"

    reading(story)


def test_fail__a_pause_ends_what_was_typed() -> None:
    """Half a PIN that somebody left is not finished by the next person."""

    async def story(wall: Wall) -> None:
        wall.type("4017")
        wall.type("0", pause_ms=5100)
        wall.type("236#")
        assert await wall.next_data() == b"0236"

    reading(story)


def test_fail__an_entry_with_a_damaged_key_is_no_guess() -> None:
    """Nothing of it is handed on; a lone pulse or a damaged card beside it harms no entry."""

    async def story(wall: Wall) -> None:
        wall.type("401")
        wall.send("01110")
        wall.type("0236")
        wall.send("1")
        wall.type("4017")
        wall.send(card(5)[:-1])
        wall.type("0236")
        assert await wall.next_data() == PIN.encode()
        assert wall.frames.empty()

    reading(story)


def test_fail__a_number_that_is_damaged_is_no_frame() -> None:
    """Neither a wrong parity nor a wrong count reaches the door."""

    async def story(wall: Wall) -> None:
        sent = card(int(PIN))
        wall.send(sent[:-1], sent + "0", sent[:5] + str(1 - int(sent[5])) + sent[6:], card(7))
        assert await wall.next_data() == b"00000007"
        assert wall.frames.empty()

    reading(story)


def test_fail__damage_is_told_in_one_line_and_without_what_was_sent(caplog: pytest.LogCaptureFixture) -> None:
    """The first at once, what follows at most once a minute; the line says what to check, and no digit of a PIN."""
    caplog.set_level(logging.WARNING, logger="drivers.reader_wiegand")

    async def story(wall: Wall) -> None:
        sent = card(int(PIN))
        wall.send(*[sent[:-1]] * 50, card(7))
        await wall.next_data()
        (told,) = caplog.records
        assert told.message == (
            "Reader front: messages that could not be read: 1 x 33 bits. Check the ground, the shield and the length of its cable, that "
            "D0 and D1 are not swapped, and that it is set to 26 or 34 bits, its keys to 4 or 8."
        )
        wall.reader._told_s = asyncio.get_running_loop().time() - 61
        wall.send(sent.translate(str.maketrans("01", "10")), "10" * 3, card(8))
        await wall.next_data()
        assert "49 x 33 bits, 1 x parity." in caplog.records[1].message
        assert len(caplog.records) == 2

    reading(story)


def test_fail__edges_that_the_kernel_lost_spoil_both_messages_beside_them() -> None:
    """Four pulses left of a card's would be a key."""

    async def story(wall: Wall) -> None:
        begin_ns = time.monotonic_ns() + MS_NS
        wall.wires.play(falls(edges(key("5"), begin_ns)))
        wall.wires.lose(30)
        wall.wires.play(falls(edges(key("5"), begin_ns + 2 * GAP_NS)))
        wall.wires.play(falls(edges(key("5"), begin_ns + 10 * GAP_NS)))
        wall.wires.play(falls(edges(key("#"), begin_ns + 15 * GAP_NS)))
        wall.wires.play(falls(edges(card(7), begin_ns + 20 * GAP_NS)))
        assert await wall.next_data() == b"00000007"

    reading(story)


def test_fail__a_loss_that_is_told_before_the_next_edge_comes_spoils_it_all_the_same() -> None:
    """The word of the loss wakes the reader; the edges after it come a moment later."""

    async def story(wall: Wall) -> None:
        begin_ns = time.monotonic_ns() + MS_NS
        wall.wires.lose(30)
        await asyncio.sleep(0.02)
        wall.wires.play(falls(edges(key("5"), begin_ns)))
        wall.wires.play(falls(edges(key("#"), begin_ns + 5 * GAP_NS)))
        wall.wires.play(falls(edges(card(7), begin_ns + 10 * GAP_NS)))
        assert await wall.next_data() == b"00000007"

    reading(story)


def test_fail__a_line_that_stays_low_is_a_lost_reader() -> None:
    """It is named with what to check, nothing is read meanwhile, and it heals by itself."""

    async def story(wall: Wall) -> None:
        wall.wires.levels = {D0: 1, D1: 0}
        assert await wall.next_state() == (
            LOST,
            "Reader front: D1 (GPIO15) stays low. Check its power and its cable; it heals by itself.",
        )
        wall.send(card(1))
        wall.type("40")
        wall.wires.levels = {D0: 1, D1: 1}
        assert await wall.next_state() == (READY, "Reader front: both lines are up again.")
        wall.send(card(2))
        assert await wall.next_data() == b"00000002"

    reading(story)


def test_ok__a_pulse_that_is_seen_low_once_is_no_lost_reader() -> None:
    """A look may meet a pulse; the next one does not meet another on the same line."""
    wall = Wall()
    states: list[ReaderState] = []
    for levels in ({D0: 1, D1: 0}, {D0: 0, D1: 1}, {D0: 1, D1: 1}, {D0: 0, D1: 0}):
        wall.reader._look(levels, lambda state, _words: states.append(state))
    assert states == []
    wall.reader._look({D0: 0, D1: 1}, lambda state, _words: states.append(state))
    assert states == [LOST]


def test_fail__a_device_that_fails_is_claimed_again_for_ever() -> None:
    """The failure's words are told once, refusals meanwhile are not; what was half typed is gone."""

    async def story(wall: Wall) -> None:
        wall.type("401")
        wall.wires.refusals = [DeviceMissingError("GPIO14: not there.")] * 3
        wall.wires.levels = DriverError("GPIO14, GPIO15: the level cannot be read.")
        assert await wall.next_state() == (
            LOST,
            "Reader front is lost: GPIO14, GPIO15: the level cannot be read. It is tried again.",
        )
        wall.wires.levels = {D0: 1, D1: 1}
        assert (await wall.next_state())[0] is READY
        wall.type("70236#")
        assert await wall.next_data() == b"70236"

    assert reading(story).wires.events == ["claimed", "watched", "closed", "refused", "refused", "refused", "claimed", "watched", "closed"]


def test_fail__a_flood_is_not_listened_to() -> None:
    """Whoever holds the wires can send what he likes: the pins are given back for a while, and what waits is bounded."""

    async def story(wall: Wall) -> None:
        flood = [edge for place in range(MAX_EDGES_WAITING) for edge in pulse(place % 2, time.monotonic_ns() + place * 20 * US_NS)]
        wall.wires.play(flood)
        state, words = await wall.next_state()
        assert state is LOST
        assert words.startswith("Reader front is lost: more edges come than any reader sends. Check its cable")
        assert (await wall.next_state())[0] is READY
        wall.send(card(3))
        assert await wall.next_data() == b"00000003"

    reading(story)


def test_fail__what_waits_for_the_loop_is_bounded() -> None:
    """A loop that hangs finds at most so many edges, and knows that there were more."""

    async def play() -> None:
        inbox = _Inbox(asyncio.get_running_loop())
        for place in range(MAX_EDGES_WAITING):
            inbox.put(D0, 0, place)
        assert not inbox.is_full
        inbox.put(D0, 0, 0)
        inbox.lose(D0, 1)
        assert inbox.is_full
        assert inbox.take() == [(D0, 0, place) for place in range(MAX_EDGES_WAITING)]
        assert inbox.take() == []

    asyncio.run(play())


def test_fail__edges_after_the_loops_end_are_harmless() -> None:
    """The thread may still tell one while the process leaves."""

    async def play() -> _Inbox:
        return _Inbox(asyncio.get_running_loop())

    inbox = asyncio.run(play())
    inbox.put(D0, 0, 1)
    assert inbox.take() == [(D0, 0, 1)]


def test_fail__pins_that_cannot_be_had_stop_the_start() -> None:
    """With the reader's name before the pins' words; while running they are told as lost and tried again."""
    wall = Wall()
    wall.wires.refusals = [DeviceMissingError("GPIO14: another program holds it.")]
    with pytest.raises(DeviceMissingError, match="Reader front: GPIO14: another program holds it"):
        wall.reader.open()
    wall.reader.open()
    wall.reader.open()
    wall.reader.close()
    wall.reader.close()
    assert wall.wires.events == ["refused", "claimed", "closed"]


def test_fail__a_run_that_begins_without_pins_tells_why() -> None:
    """And goes on trying."""

    async def play() -> list[tuple[ReaderState, str]]:
        wall = Wall()
        wall.wires.refusals = [DeviceMissingError("GPIO14: another program holds it.")] * 2
        task = asyncio.create_task(wall.reader.run(wall.frames.put_nowait, lambda *state: wall.states.put_nowait(state)))
        states = [await wall.next_state() for _ in range(2)]
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return states

    assert asyncio.run(play()) == [
        (LOST, "Reader front: GPIO14: another program holds it. It is tried again."),
        (READY, "Reader front: reading on D0 (GPIO14) and D1 (GPIO15)."),
    ]


def test_fail__both_kinds_of_edges_are_understood_too() -> None:
    """A source that tells rises as well, some of them twice and some falls not at all."""

    async def story(wall: Wall) -> None:
        begin_ns = time.monotonic_ns() + MS_NS
        played = edges(card(int(PIN)), begin_ns)
        wall.wires.play([Edge(edge.line, 1, edge.at_ns) if place % 3 == 0 else edge for place, edge in enumerate(played)])
        assert await wall.next_data() == PIN.encode()

    reading(story)
