"""The same promises on every input: moved by hand, played in a file, on a chip of the kernel's, and on real pins.

Real pins: join two GPIOs by a jumper wire, name them by TOURLATCH_PIN_OUT and TOURLATCH_PIN_IN, and run `pytest -m hardware`.
"""

from __future__ import annotations

import os
import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from drivers import registry
from drivers.base import DriverError, Input
from drivers.fake import ManualInput, PlayedInput
from tests.drivers.kernel import FALL, RISE, Chip

WAIT_S = 20.0


@dataclass(frozen=True)
class Wired:
    """An input, and how the world beyond it moves it."""

    line: Input
    move: Callable[[bool], object]


def by_hand(_tmp_path: Path, _patch: pytest.MonkeyPatch) -> Iterator[Wired]:
    """One that a test moves."""
    line = ManualInput()
    yield Wired(line, lambda is_active: line.move(is_active=is_active))


def in_a_file(tmp_path: Path, _patch: pytest.MonkeyPatch) -> Iterator[Wired]:
    """One that is played, written as `echo` writes it."""
    path = tmp_path / "door"
    yield Wired(registry.watched("played", {"path": str(path)}), lambda is_active: path.write_text(f"{is_active:d}\n", encoding="ascii"))


def on_a_chip(*, active: str) -> Callable[[Path, pytest.MonkeyPatch], Iterator[Wired]]:
    """One on a chip that is asked by the kernel's own requests."""

    def wired(tmp_path: Path, patch: pytest.MonkeyPatch) -> Iterator[Wired]:
        chip = Chip(tmp_path, patch)
        is_high_at_rest = active == "low"
        chip.levels[22] = int(is_high_at_rest)
        options = {"pin": 22, "active": active, "pull": "none", "chip": 0, "work_dir": str(tmp_path)}

        def move(is_active: bool) -> None:
            chip.levels[22] = int(is_active != is_high_at_rest)
            chip.tell(22, chip.edge(22, RISE if chip.levels[22] else FALL, time.monotonic_ns()))

        yield Wired(registry.watched("gpio", options), move)
        chip.close()

    return wired


def on_a_real_pin(*, active: str) -> Callable[[Path, pytest.MonkeyPatch], Iterator[Wired]]:
    """A pin of this board, moved through a jumper wire by another."""

    def wired(tmp_path: Path, _patch: pytest.MonkeyPatch) -> Iterator[Wired]:
        if not {"TOURLATCH_PIN_OUT", "TOURLATCH_PIN_IN"} <= set(os.environ):
            pytest.skip("no jumper wire: TOURLATCH_PIN_OUT and TOURLATCH_PIN_IN are not set")
        out, back = int(os.environ["TOURLATCH_PIN_OUT"]), int(os.environ["TOURLATCH_PIN_IN"])
        wire = registry.line("gpio", {"pin": out, "active": active, "work_dir": str(tmp_path)})
        yield Wired(
            registry.watched("gpio", {"pin": back, "active": active, "pull": "none", "work_dir": str(tmp_path)}),
            lambda is_active: wire.drive(released=is_active),
        )
        wire.drive(released=False)
        wire.close()

    return wired


@pytest.fixture(
    params=[
        pytest.param(by_hand, id="by hand"),
        pytest.param(in_a_file, id="played in a file"),
        pytest.param(on_a_chip(active="high"), id="chip, active high"),
        pytest.param(on_a_chip(active="low"), id="chip, active low"),
        pytest.param(on_a_real_pin(active="high"), id="real pin, active high", marks=pytest.mark.hardware),
        pytest.param(on_a_real_pin(active="low"), id="real pin, active low", marks=pytest.mark.hardware),
    ]
)
def wired(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wired]:
    """Each input in turn, given back afterwards."""
    steps = request.param(tmp_path, monkeypatch)
    wired = next(steps)
    yield wired
    wired.line.close()
    next(steps, None)


def test_ok__it_is_read_as_it_stands(wired: Wired) -> None:
    """At once, and before anybody watches."""
    read = [wired.line.read()]
    for is_active in (True, True, False, True):
        wired.move(is_active)
        read.append(wired.line.read())
    assert read == [False, True, True, False, True]
    assert wired.line.name


def test_ok__each_change_is_told_with_a_tick_of_its_own_time(wired: Wired) -> None:
    """Whoever watches is told what it became, when it did, on the clock of every tick in the agent."""
    told: queue.Queue[tuple[bool, int]] = queue.Queue()
    wired.line.watch(lambda is_active, at_ns: told.put((is_active, at_ns)))
    for is_active in (True, False, True):
        before_ns = time.monotonic_ns()
        wired.move(is_active)
        # a played file tells its first level, too
        became, at_ns = told.get(timeout=WAIT_S)
        while became is not is_active:
            became, at_ns = told.get(timeout=WAIT_S)
        assert before_ns <= at_ns <= time.monotonic_ns()


def test_ok__it_may_be_closed_twice(wired: Wired) -> None:
    """And nothing is told afterwards."""
    told: queue.Queue[bool] = queue.Queue()
    wired.line.watch(lambda is_active, _: told.put(is_active))
    wired.line.close()
    wired.line.close()
    while not told.empty():
        told.get_nowait()
    if isinstance(wired.line, PlayedInput):
        wired.move(True)
        with pytest.raises(DriverError, match="given back"):
            wired.line.read()
    assert told.empty()
