"""Watched lines: what is asked of the kernel, and what becomes of its edges."""

from __future__ import annotations

import errno
import logging
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from drivers import chardev
from drivers.base import DeviceMissingError, DriverError
from drivers.chardev import Edge, Pull, WatchedLines
from drivers.gpio import GpioEdges, GpioInput
from tests.drivers.kernel import FALL, RISE, Chip

WAIT_S = 20.0
HEADER = Path("/usr/include/linux/gpio.h")


@pytest.fixture
def chip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Chip]:
    """A chip of which the kernel knows no more than the test says."""
    chip = Chip(tmp_path, monkeypatch)
    yield chip
    chip.close()


@pytest.mark.skipif(not HEADER.exists(), reason="no kernel headers here")
def test_ok__the_numbers_are_the_kernels_own(tmp_path: Path) -> None:
    """The sizes, requests and flags, against the C compiler's reading of linux/gpio.h."""
    source = tmp_path / "numbers.c"
    source.write_text(
        """#include <linux/gpio.h>
        #include <stdio.h>
        #define N(x) (unsigned long)(x)
        int main(void) { printf("%lu %lu %lu %lu %lu %lu %lu %lu %lu %lu %lu %lu %lu",
          N(sizeof(struct gpio_v2_line_request)), N(sizeof(struct gpio_v2_line_event)), N(sizeof(struct gpio_v2_line_values)),
          N(GPIO_V2_GET_LINE_IOCTL), N(GPIO_V2_LINE_GET_VALUES_IOCTL), N(GPIO_V2_LINE_FLAG_INPUT), N(GPIO_V2_LINE_FLAG_EDGE_RISING),
          N(GPIO_V2_LINE_FLAG_EDGE_FALLING), N(GPIO_V2_LINE_FLAG_BIAS_PULL_UP), N(GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN),
          N(GPIO_V2_LINE_FLAG_BIAS_DISABLED), N(GPIO_V2_LINE_EVENT_RISING_EDGE), N(GPIO_V2_LINES_MAX * 16)); return 0; }""",
        encoding="ascii",
    )
    try:
        subprocess.run(["gcc", "-o", tmp_path / "numbers", source], check=True, timeout=60)
    except FileNotFoundError:
        pytest.skip("no C compiler here")
    said = subprocess.run([tmp_path / "numbers"], capture_output=True, text=True, check=True, timeout=60).stdout
    sizes = [chardev.REQUEST.size, chardev.EVENT.size, chardev.VALUES.size]
    requests = [chardev.GET_LINE, chardev.GET_VALUES]
    flags = [chardev.INPUT, chardev.RISING, chardev.FALLING, *chardev.BIAS.values(), chardev.RISEN]
    assert [int(number) for number in said.split()] == [*sizes, *requests, *flags, chardev.KEPT_EDGES]


@pytest.mark.parametrize(("pull", "flag"), [("up", 0x100), ("down", 0x200), ("none", 0x400)])
def test_ok__the_pull_and_the_edges_are_asked_for(chip: Chip, pull: Pull, flag: int) -> None:
    """An input and its resistor are claimed in one request, with our name, so that `gpioinfo` tells who has the pin."""
    GpioInput(22, active_high=True, pull=pull, chip=0).close()
    GpioEdges([5, 6], chip=0, pull=pull).close()
    GpioEdges([5, 6], chip=0, pull=pull, edges="both").close()
    assert chip.requests == [
        ((22,), "tourlatch", 0x04 | 0x30 | flag, 1024),
        ((5, 6), "tourlatch", 0x04 | 0x20 | flag, 1024),
        ((5, 6), "tourlatch", 0x04 | 0x30 | flag, 1024),
    ]


@pytest.mark.parametrize(("active_high", "right"), [(True, [False, True]), (False, [True, False])])
def test_ok__an_input_is_active_at_its_level(chip: Chip, active_high: bool, right: list[bool]) -> None:
    """Read and told in either polarity, with the kernel's tick."""
    line = GpioInput(22, active_high=active_high, pull="up", chip=0)
    read = []
    for level in (0, 1):
        chip.levels[22] = level
        read.append(line.read())
    assert read == right
    told: queue.Queue[tuple[bool, int]] = queue.Queue()
    line.watch(lambda is_active, at_ns: told.put((is_active, at_ns)))
    chip.tell(22, chip.edge(22, FALL, 1_000), chip.edge(22, RISE, 2_000))
    assert [told.get(timeout=WAIT_S), told.get(timeout=WAIT_S)] == [(right[0], 1_000), (right[1], 2_000)]
    line.close()
    assert line.name == "GPIO22"


def test_ok__edges_of_several_pins_come_in_the_order_in_which_they_happened(chip: Chip) -> None:
    """The kernel tells of each line in its own thread, so one read may hold two lines the wrong way round."""
    edges = GpioEdges([5, 6], chip=0)
    told: queue.Queue[tuple[int, int, int]] = queue.Queue()
    first, second, third = chip.edge(5, FALL, 10), chip.edge(6, FALL, 20), chip.edge(5, FALL, 30)
    edges.watch(lambda *edge: told.put(edge))
    chip.tell(5, second, first, third)
    assert [told.get(timeout=WAIT_S) for _ in range(3)] == [(5, 0, 10), (6, 0, 20), (5, 0, 30)]
    assert edges.read() == {5: 0, 6: 0}
    chip.levels |= {5: 1, 6: 0}
    assert edges.read() == {5: 1, 6: 0}
    edges.close()


def test_fail__lost_edges_are_told_before_the_edge_after_them(chip: Chip) -> None:
    """A gap in one line's numbers is that line's; the other has lost nothing."""
    edges = GpioEdges([5, 6], chip=0)
    told: queue.Queue[tuple[int, ...]] = queue.Queue()
    edges.watch(lambda *edge: told.put(edge), lambda *lost: told.put(lost))
    chip.tell(5, chip.edge(5, FALL, 10), chip.edge(6, FALL, 20, lost=3), chip.edge(5, FALL, 30))
    assert [told.get(timeout=WAIT_S) for _ in range(4)] == [(5, 0, 10), (6, 3), (6, 0, 20), (5, 0, 30)]
    edges.close()


def test_fail__edges_that_an_input_lost_are_logged(chip: Chip, caplog: pytest.LogCaptureFixture) -> None:
    """The level is what counts, and that is told; that some went by is said."""
    line = GpioInput(22, active_high=True, pull="up", chip=0)
    told: queue.Queue[bool] = queue.Queue()
    line.watch(lambda is_active, _: told.put(is_active))
    chip.tell(22, chip.edge(22, RISE, 10, lost=7))
    assert told.get(timeout=WAIT_S)
    line.close()
    assert caplog.messages == ["GPIO22: 7 edges came too fast and were lost"]


def test_ok__the_kernels_numbers_wrap(chip: Chip, monkeypatch: pytest.MonkeyPatch) -> None:
    """After four thousand million edges nothing is lost that was not."""
    lines = WatchedLines(0, [22], pull="up")
    monkeypatch.setattr(lines, "_seen", {22: (1 << 32) - 1})
    told: queue.Queue[Edge] = queue.Queue()
    lines.watch(told.put)
    chip.tell(22, chardev.EVENT.pack(10, RISE, 22, 0, 0), chardev.EVENT.pack(20, FALL, 22, 1, 1))
    assert [told.get(timeout=WAIT_S), told.get(timeout=WAIT_S)] == [Edge(22, 1, 10), Edge(22, 0, 20)]
    lines.close()


def test_fail__a_callback_that_raises_does_not_end_the_telling(chip: Chip, caplog: pytest.LogCaptureFixture) -> None:
    """It is logged with the pin's name, and the next edge is told."""
    lines = WatchedLines(0, [22], pull="up")
    told: queue.Queue[Edge] = queue.Queue()

    def fail_once(edge: Edge) -> None:
        told.put(edge)
        if told.qsize() == 1:
            raise RuntimeError("a mistake above")

    lines.watch(fail_once)
    chip.tell(22, chip.edge(22, RISE, 10), chip.edge(22, FALL, 20))
    assert [told.get(timeout=WAIT_S), told.get(timeout=WAIT_S)] == [Edge(22, 1, 10), Edge(22, 0, 20)]
    lines.close()
    assert caplog.messages[0] == "GPIO22: an edge came, and the one who was to be told failed"


def test_fail__a_chip_that_goes_away_is_logged_once_and_asked_on(
    chip: Chip, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread lives on without spinning, and tells again when the chip answers."""

    class Pauses(threading.Event):
        taken: ClassVar[list[float | None]] = []

        def wait(self, timeout: float | None = None) -> bool:
            """Keep how long it would have been."""
            self.taken.append(timeout)
            return self.is_set()

    lines = WatchedLines(0, [22], pull="up")
    monkeypatch.setattr(lines, "_closed", Pauses())
    told: queue.Queue[Edge] = queue.Queue()
    failures = [OSError(errno.ENODEV, "No such device")] * 3
    read = os.read

    def fail_first(descriptor: int, count: int) -> bytes:
        if descriptor == lines._lines and failures:
            raise failures.pop()
        return read(descriptor, count)

    monkeypatch.setattr("drivers.chardev.os.read", fail_first)
    with caplog.at_level(logging.WARNING):
        lines.watch(told.put)
        chip.tell(22, chip.edge(22, RISE, 10))
        assert told.get(timeout=WAIT_S) == Edge(22, 1, 10)
    lines.close()
    assert Pauses.taken == [chardev.RETRY_S] * 3
    assert caplog.messages == ["GPIO22: edges cannot be read (No such device); they are asked for again every second"]


def test_ok__close_gives_the_pin_back(chip: Chip) -> None:
    """Watched or not, from any thread, any number of times; and what is closed says so."""
    unwatched, watched = WatchedLines(0, [22], pull="up"), WatchedLines(0, [23], pull="up")
    from_within = WatchedLines(0, [24], pull="up")
    watched.watch(print)
    from_within.watch(lambda _: from_within.close())
    assert [chip.is_claimed(pin) for pin in (22, 23, 24)] == [True, True, True]
    chip.tell(24, chip.edge(24, RISE, 10))
    for lines in (unwatched, watched):
        lines.close()
        lines.close()
    assert from_within._thread is not None
    from_within._thread.join(WAIT_S)
    assert [chip.is_claimed(pin) for pin in (22, 23, 24)] == [False, False, False]
    with pytest.raises(DriverError, match="GPIO22: the line was given back"):
        unwatched.read()
    with pytest.raises(DriverError, match="GPIO22: the line was given back"):
        unwatched.watch(print)


def test_fail__a_line_is_watched_once(chip: Chip) -> None:
    """Two who watch would each get half of the edges."""
    lines = WatchedLines(0, [22], pull="up")
    lines.watch(print)
    with pytest.raises(RuntimeError, match="GPIO22 is watched already"):
        lines.watch(print)
    lines.close()
    assert not chip.is_claimed(22)


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (errno.EBUSY, "GPIO5, GPIO6: the pin is busy"),
        (errno.EINVAL, "GPIO5, GPIO6: .*/gpiochip0 has no such pin"),
        (errno.ENXIO, "GPIO5, GPIO6: .*/gpiochip0 cannot tell edges on this pin"),
        (errno.ENOTTY, "GPIO5, GPIO6: .*/gpiochip0 is no GPIO chip, or the kernel is older than 5.10"),
        (errno.EIO, "GPIO5, GPIO6: the pin could not be claimed from .*/gpiochip0: Input/output error"),
    ],
)
def test_fail__a_pin_that_cannot_be_had_is_named_with_what_to_do(chip: Chip, number: int, said: str) -> None:
    """Each refusal of the kernel's is a sentence."""
    chip.errors[chardev.GET_LINE] = number
    with pytest.raises(DeviceMissingError, match=said):
        GpioEdges([5, 6], chip=0)


def test_fail__a_chip_that_is_not_there_is_named(chip: Chip, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that may not be opened."""
    with pytest.raises(DeviceMissingError, match=r"GPIO22: .*/gpiochip7 is not there"):
        GpioInput(22, active_high=True, pull="up", chip=7)

    def refuse(*_: object) -> int:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("drivers.chardev.os.open", refuse)
    with pytest.raises(DeviceMissingError, match=r"GPIO22: .*/gpiochip0 may not be opened by this user.*group gpio"):
        GpioInput(22, active_high=True, pull="up", chip=0)
    assert chip.requests == []


def test_fail__a_level_that_cannot_be_read_is_an_error(chip: Chip) -> None:
    """Nothing is taken for a level that is none."""
    line = GpioInput(22, active_high=True, pull="up", chip=0)
    chip.errors[chardev.GET_VALUES] = errno.ENODEV
    with pytest.raises(DriverError, match="GPIO22: the level cannot be read: No such device"):
        line.read()
    line.close()


def test_ok__no_library_is_loaded_for_a_line_whose_chip_is_given() -> None:
    """Watching needs neither gpiozero nor lgpio; without `chip` the header's own is asked of gpiozero."""
    script = (
        "import sys, drivers.gpio as gpio\n"
        "from drivers.base import DeviceMissingError\n"
        "try: gpio.GpioInput(22, active_high=True, pull='up', chip=250)\n"
        "except DeviceMissingError: print(sorted({'gpiozero', 'lgpio'} & set(sys.modules)))"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
