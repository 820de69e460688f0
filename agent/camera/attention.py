"""Which of the codes before a camera are told to the agent, and how often: pure, no clock, no I/O.

A camera sees eight times a second what a scanner would send once, and it sees everything: the sticker on the wall behind, two phones.

Rule 1: one tour code at a time. It is told again each second while it is held up, so that a door that was busy looks again, and the
        agent passes over what it has decided. Another one has its turn when the first is gone, or has been before the camera for long.
Rule 2: anything else is told once for each time that it appears, so that a wrong code is refused, and a sticker is no news for ever.
Rule 3: what is remembered is bounded.
"""

from __future__ import annotations

from collections.abc import Sequence

from agent.core import codes

AGAIN_S = 1.0
"""Below the agent's own time for repeats: what is held up stays one scan."""
GONE_S = 2.0
"""Not seen for this long, a tour code is gone: a hand that trembles does not make two of one."""
LONG_S = 10.0
"""A tour code that has been here for this long does not keep others from theirs: it may be printed on the wall."""
FORGET_S = 30.0
"""Not seen for this long, anything else is news again."""
MAX_REMEMBERED = 16

_TOUR = codes.PREFIX.decode("ascii")


class Attention:
    """`look` takes the codes of one picture after another."""

    def __init__(self) -> None:
        self._held: str | None = None
        self._since_ns = 0
        self._seen_ns = 0
        self._told_ns: int | None = None
        self._others: dict[str, int] = {}

    def look(self, texts: Sequence[str], at_ns: int) -> list[str]:
        """What is to be told, of the codes in a picture taken at tick `at_ns`."""
        told = [text for text in texts if not text.startswith(_TOUR) and self._is_news(text, at_ns)]
        tour = self._attend([text for text in texts if text.startswith(_TOUR)], at_ns)
        return told if tour is None else [*told, tour]

    def _attend(self, tours: list[str], at_ns: int) -> str | None:
        is_gone = at_ns - self._seen_ns > GONE_S * 1e9
        others = [text for text in tours if text != self._held]
        if self._held is None or is_gone or (others and at_ns - self._since_ns > LONG_S * 1e9):
            self._held = next(iter(others or tours), None)
            self._since_ns, self._told_ns = at_ns, None
        if self._held not in tours:
            return None
        self._seen_ns = at_ns
        if self._told_ns is not None and at_ns - self._told_ns < AGAIN_S * 1e9:
            return None
        self._told_ns = at_ns
        return self._held

    def _is_news(self, text: str, at_ns: int) -> bool:
        seen_ns = self._others.pop(text, None)
        if seen_ns is None and len(self._others) >= MAX_REMEMBERED:
            del self._others[next(iter(self._others))]
        self._others[text] = at_ns
        return seen_ns is None or at_ns - seen_ns > FORGET_S * 1e9
