"""What a door shows: of all that lasts the gravest, and the answer to each scan."""

from __future__ import annotations

import itertools

import pytest

from agent.daemon.signs import ORDER, Signs
from drivers.base import Signal


class Shown:
    """An indicator that remembers."""

    def __init__(self) -> None:
        self.signals: list[Signal] = []

    def show(self, signal: Signal) -> None:
        """One more."""
        self.signals.append(signal)


@pytest.mark.parametrize(("graver", "lesser"), list(itertools.combinations(ORDER, 2)))
def test_the_graver_of_two_is_shown(graver: Signal, lesser: Signal) -> None:
    """In whichever order they came up, and the lesser again when the graver is over."""
    for first, second in ((graver, lesser), (lesser, graver)):
        signs = Signs([])
        signs.set(first, "why", is_on=True)
        signs.set(second, "why", is_on=True)
        assert signs.shown is graver
        signs.set(graver, "why", is_on=False)
        assert signs.shown is lesser


def test_a_signal_lasts_as_long_as_any_of_its_reasons() -> None:
    """Two readers are lost and one comes back: it is still a fault; nothing is shown twice."""
    shown = Shown()
    signs = Signs([shown])
    for why, is_on in (("a", True), ("b", True), ("a", False), ("a", False), ("b", False)):
        signs.set(Signal.FAULT, why, is_on=is_on)
    assert shown.signals == [Signal.READY, Signal.FAULT, Signal.READY]


def test_an_answer_is_shown_at_every_indicator_and_not_after_the_end() -> None:
    """Granted and denied are shown once each, at the lamps and at a reader's own; a door whose agent leaves stays dark."""
    lamps, reader = Shown(), Shown()
    signs = Signs([lamps, reader])
    signs.answer(is_granted=True)
    signs.answer(is_granted=False)
    signs.set(Signal.DARK, "stop", is_on=True)
    signs.answer(is_granted=True)
    assert lamps.signals == reader.signals == [Signal.READY, Signal.GRANTED, Signal.DENIED, Signal.DARK]
