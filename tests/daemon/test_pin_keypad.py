"""A Wiegand keypad at the door: keys on two wires, through reader and doorman, to the relay and the journal."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from agent.daemon.doorman import REPEAT_S, Scan
from drivers.base import Frame, ReaderState
from drivers.reader_wiegand import WiegandReader
from drivers.wiegand import Edge
from tests.daemon.test_pin import KEY, PIN, WRONG, rows, tell
from tests.daemon.world import World, issued
from tests.drivers.wires import D0, D1, MS_NS, PlayedEdges, card, edges, falls, key

WAIT_S = 20.0
BETWEEN_KEYS_NS = 300 * MS_NS
BETWEEN_PINS_NS = round((REPEAT_S + 1) * 1e9)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """A door with a key for PINs, which has heard of one appointment; its reader `scanner` is the keypad, `other` a scanner for codes."""
    made = World(tmp_path, {"front": KEY})
    tell(made)
    yield made
    made.close()


class Keypad:
    """The keypad, and what comes of what is sent by it. Its clock runs on by seconds from message to message, without waiting."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.wires = PlayedEdges()
        self.reader = WiegandReader("scanner", D0, D1, self.wires)
        self._frames: asyncio.Queue[Frame] = asyncio.Queue()
        self._at_ns = time.monotonic_ns() + BETWEEN_PINS_NS

    async def type(self, keys: str, bits: int = 4) -> list[str]:
        """Press the keys as a person does, and tell what became of the entry."""
        played: list[Edge] = []
        for name in keys:
            played += falls(edges(key(name, bits), self._at_ns))
            self._at_ns += BETWEEN_KEYS_NS
        return await self._send(played)

    async def show(self, number: int) -> list[str]:
        """Hold up what the reader sends as a number."""
        return await self._send(falls(edges(card(number), self._at_ns)))

    def disturb(self, bits: str) -> None:
        """Something on the wires that is no message."""
        self.wires.play(falls(edges(bits, self._at_ns)))
        self._at_ns += BETWEEN_KEYS_NS

    async def _send(self, played: list[Edge]) -> list[str]:
        self._at_ns += BETWEEN_PINS_NS
        before = len(self._world.outcomes)
        self.wires.play(played)
        frame = await asyncio.wait_for(self._frames.get(), WAIT_S)
        # The door looks at the age of a frame and at the time between two; both are those of the keys.
        assert self._world.doorman.present(Scan("front", "scanner", Frame(frame.data, self._at_ns)))
        await asyncio.to_thread(self._world.settle)
        return self._world.reasons()[before:]

    async def run(self, story: Callable[[Keypad], Awaitable[None]]) -> None:
        """Read, and play the story."""
        ready = asyncio.Event()
        states: list[ReaderState] = []

        def on_state(state: ReaderState, _words: str) -> None:
            states.append(state)
            ready.set()

        task = asyncio.create_task(self.reader.run(self._frames.put_nowait, on_state))
        try:
            await asyncio.wait_for(ready.wait(), WAIT_S)
            await story(self)
            assert (states, self._frames.empty()) == ([ReaderState.READY], True)
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


def at_the_door(world: World, story: Callable[[Keypad], Awaitable[None]]) -> None:
    """Play a story at the keypad."""
    asyncio.run(Keypad(world).run(story))


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("typed", [PIN, f"{PIN}#", f"123*{PIN}"])
def test_granted__a_pin_on_the_keypad(world: World, typed: str, bits: int) -> None:
    """It opens, is written first, and says in the journal that it was a PIN."""

    async def story(keypad: Keypad) -> None:
        assert await keypad.type(typed, bits) == ["granted"]

    at_the_door(world, story)
    assert world.line.found == [("admission", 1)]
    assert rows(world, "SELECT kind, reader, detail FROM journal") == [
        {"kind": "admission", "reader": "scanner", "detail": '{"by": "pin"}'}
    ]


def test_granted__a_pin_sent_as_a_number(world: World) -> None:
    """A keypad that sends a whole number, or a reader that was set to send the PIN's."""

    async def story(keypad: Keypad) -> None:
        assert await keypad.show(int(PIN)) == ["granted"]

    at_the_door(world, story)
    assert world.line.found == [("admission", 1)]


def test_denied__a_keypad_is_locked_out_and_the_right_pin_with_it(world: World) -> None:
    """Three wrong PINs, then the right one typed, with its # and as a number: all refused alike. A tour code opens the while."""

    async def story(keypad: Keypad) -> None:
        for wrong in (WRONG, "00000002", "1234#"):
            await keypad.type(wrong)
        assert world.reasons() == ["wrong_pin", "wrong_pin", "unreadable"]
        for right in (PIN, f"{PIN}#"):
            assert await keypad.type(right) == ["locked_out"]
        assert await keypad.show(int(PIN)) == ["locked_out"]
        assert world.line.events == ["locked"]
        code = await asyncio.to_thread(world.scan, issued(), reader="other")
        assert code is not None
        assert code.denied is None

    at_the_door(world, story)
    world.wait_locked()
    assert world.line.events == ["locked", "released", "locked"]
    assert [row["kind"] for row in rows(world, "SELECT kind FROM journal")] == ["refusal", "refusal", "refusal", "lockout", "admission"]


def test_denied__a_tour_code_at_the_locked_out_reader_opens(world: World) -> None:
    """A combined reader scans codes, too: a lockout is for what can be guessed."""

    async def story(keypad: Keypad) -> None:
        for wrong in (WRONG, "00000002", "00000003"):
            await keypad.type(wrong)
        assert await keypad.type(PIN) == ["locked_out"]

    at_the_door(world, story)
    outcome = world.scan(issued(), after_s=600)
    assert outcome is not None
    assert outcome.denied is None


def test_granted__a_pin_after_noise_on_the_wires(world: World) -> None:
    """Damaged messages by the dozen are no guesses and lock nobody out."""

    async def story(keypad: Keypad) -> None:
        sent = card(int(PIN))
        for place in range(34):
            keypad.disturb(sent[:place] + str(1 - int(sent[place])) + sent[place + 1 :])
        assert await keypad.type(PIN) == ["granted"]

    at_the_door(world, story)
    assert [row["kind"] for row in rows(world, "SELECT kind FROM journal")] == ["admission"]


def test_denied__the_digits_are_nowhere(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Neither key by key nor as a number does a PIN reach the store or a log, not even when its message is damaged."""

    async def story(keypad: Keypad) -> None:
        keypad.disturb(card(int(PIN))[:-1])
        await keypad.type(WRONG)
        await keypad.show(int(PIN))

    at_the_door(world, story)
    world.wait_locked()
    world.journaled()
    written = b"".join(path.read_bytes() for path in world.store.parent.iterdir())
    for digits in (PIN, WRONG):
        assert digits.encode() not in written
        assert digits not in caplog.text
