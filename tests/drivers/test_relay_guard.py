"""The relay's clock, its threads, and what outlives its process."""

from __future__ import annotations

import math
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from drivers.base import Pulse
from drivers.fake import PlayedLine
from drivers.relay import PulsedRelay

MAX_S = 5.0
WAIT_S = 10.0


def test_ok__a_slow_line_does_not_shorten_its_pulse() -> None:
    """The pulse is counted from when the line has moved: the strike is energised for as long as asked."""

    class SlowLine(PlayedLine):
        def drive(self, *, released: bool) -> None:
            super().drive(released=released)
            time.sleep(0.1)

    pulses: queue.Queue[Pulse] = queue.Queue()
    relay = PulsedRelay(SlowLine(None), max_s=MAX_S, on_fault=print)
    relay.release(0.2, pulses.put)
    pulse = pulses.get(timeout=WAIT_S)
    relay.close()
    # the last tenth is the line's own, in locking
    assert (pulse.locked_ns - pulse.released_ns) / 1e9 >= 0.2 + 0.1


def test_ok__release_moves_the_line_in_the_calling_thread() -> None:
    """No hop between the commit and the door: the line moves in the thread that asked."""
    movers = []

    class WatchedLine(PlayedLine):
        def drive(self, *, released: bool) -> None:
            super().drive(released=released)
            movers.append((released, threading.current_thread()))

    locked = threading.Event()
    tellers = []
    relay = PulsedRelay(WatchedLine(None), max_s=MAX_S, on_fault=print)

    def tell(_pulse: Pulse) -> None:
        tellers.append(threading.current_thread())
        locked.set()

    relay.release(0.01, tell)
    assert locked.wait(WAIT_S)
    relay.close()
    here = threading.current_thread()
    assert movers == [(False, here), (True, here), (False, relay._guard), (False, here)]
    assert tellers == [relay._guard]


@pytest.mark.parametrize("max_s", [0.0, -1.0, math.inf, math.nan])
def test_fail__a_maximum_that_is_none_is_refused_locked(max_s: float) -> None:
    """A relay without a maximum is not made, and its line is locked all the same."""
    line = PlayedLine(None)
    with pytest.raises(ValueError, match="positive"):
        PulsedRelay(line, max_s=max_s, on_fault=print)
    assert line.events == ["locked"]


def test_ok__a_played_level_survives_sigkill_as_a_pin_does_and_the_next_start_locks(tmp_path: Path) -> None:
    """A killed process leaves the played level released, like a Pi's line; making a relay again locks it first thing."""
    level = tmp_path / "front-door"
    script = (
        "import sys, time; from drivers.fake import PlayedLine; from drivers.relay import PulsedRelay\n"
        "PulsedRelay(PlayedLine(sys.argv[1]), max_s=60, on_fault=print).release(60, print); print('released', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", script, level], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "released\n"
        os.kill(process.pid, signal.SIGKILL)
    assert level.read_bytes() == b"1"
    line = PlayedLine(str(level))
    assert line.is_released
    PulsedRelay(line, max_s=MAX_S, on_fault=print).close()
    assert level.read_bytes() == b"0"
    ticks, words = zip(*(entry.split() for entry in Path(f"{level}.log").read_text(encoding="ascii").splitlines()), strict=True)
    assert words == ("locked", "released", "locked", "locked")
    assert sorted(map(int, ticks)) == list(map(int, ticks))
