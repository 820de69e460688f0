"""Which of the codes before a camera are told to the agent, and how often: pure, no clock, no I/O.

A camera sees eight times a second what a scanner would send once, and it sees everything: the sticker on the wall behind, two phones.

Rule 1: one tour code at a time. It is told again each second while it is held up, so that a door that was busy looks again, and the
        agent passes over what it has decided.
Rule 2: each tour code has a turn of its own from when it appears: once the one before it is gone, or has had `LONG_S`; of several that
        wait the first to come. One that has had its turn keeps nobody waiting, however many of them hang on the wall.
Rule 3: anything else is told once for each time that it appears, so that a wrong code is refused, and a sticker is no news for ever; and
        no more than `OTHERS_PER_S`, tour codes first: the agent takes a process that sends much more for one that has gone mad.
Rule 4: what could not be handed over was not told. What is remembered is bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from agent.core import codes

S_NS = 1_000_000_000
AGAIN_S = 1.0
"""Below the agent's own time for repeats: what is held up stays one scan."""
GONE_S = 2.0
"""Not seen for this long, a tour code is gone: a hand that trembles does not make two of one."""
LONG_S = 10.0
"""A tour code's turn, while others wait: it may be printed on the wall."""
FORGET_S = 30.0
"""Not seen for this long, anything else is news again."""
OTHERS_PER_S = 3
"""Codes that are no tour codes, in any second. Of tour codes there are two at most: one whose turn was over, and the next one."""
MAX_REMEMBERED = 16
MAX_WAITING = 256

_TOUR = codes.PREFIX.decode("ascii")


@dataclass(slots=True)
class _Tour:
    """A tour code before the camera: when it came, when it was seen last, and when its turn began."""

    came_ns: int
    seen_ns: int
    turn_ns: int | None = None


class Attention:
    """`look` takes the codes of one picture after another and says which are to be told; `told` is called for each that was."""

    def __init__(self) -> None:
        self._tours: dict[str, _Tour] = {}
        self._held: str | None = None
        self._told_ns: int | None = None
        self._others: dict[str, int] = {}
        self._others_told_ns: deque[int] = deque(maxlen=OTHERS_PER_S)

    def look(self, texts: Sequence[str], at_ns: int) -> list[str]:
        """What is to be told, of the codes in a picture taken at tick `at_ns`."""
        self._see([text for text in texts if text.startswith(_TOUR)], at_ns)
        self._turn(at_ns)
        news = [text for text in texts if not text.startswith(_TOUR) and self._is_news(text, at_ns)]
        told = [] if self._held is None or self._held not in texts or not self._is_due(at_ns) else [self._held]
        return [*told, *news[: self._room(at_ns)]]

    def told(self, text: str, at_ns: int) -> None:
        """It was handed over."""
        if text.startswith(_TOUR):
            self._told_ns = at_ns
            return
        self._others_told_ns.append(at_ns)
        if len(self._others) >= MAX_REMEMBERED:
            del self._others[next(iter(self._others))]
        self._others[text] = at_ns

    def _see(self, tours: Sequence[str], at_ns: int) -> None:
        """Remember who is here, the last seen at the end, and forget who is gone."""
        for text in tours:
            tour = self._tours.pop(text, None)
            if tour is None or at_ns - tour.seen_ns > GONE_S * S_NS:
                tour = _Tour(at_ns, at_ns)
            tour.seen_ns = at_ns
            self._tours[text] = tour
        for text, tour in list(self._tours.items()):
            if at_ns - tour.seen_ns <= GONE_S * S_NS and len(self._tours) <= MAX_WAITING:
                break
            del self._tours[text]

    def _turn(self, at_ns: int) -> None:
        """Whose turn it is now: the held one's, or else the first's that waits, or else the one's whose turn is longest ago."""
        held = self._tours.get(self._held) if self._held is not None else None
        if held is not None and (held.turn_ns is None or at_ns - held.turn_ns <= LONG_S * S_NS):
            if held.turn_ns is not None:
                return
            held = None  # it was gone, and came again
        here = [
            (tour.turn_ns is not None, tour.turn_ns or tour.came_ns, text) for text, tour in self._tours.items() if tour.seen_ns == at_ns
        ]
        has_had, _, text = min(here, default=(True, 0, None))
        if held is not None and has_had:
            return
        self._held, self._told_ns = text, None
        if text is not None and not has_had:
            self._tours[text].turn_ns = at_ns

    def _is_due(self, at_ns: int) -> bool:
        return self._told_ns is None or at_ns - self._told_ns >= AGAIN_S * S_NS

    def _is_news(self, text: str, at_ns: int) -> bool:
        """Whether it was not told since it appeared; the last seen is remembered longest."""
        seen_ns = self._others.pop(text, None)
        if seen_ns is None or at_ns - seen_ns > FORGET_S * S_NS:
            return True
        self._others[text] = at_ns
        return False

    def _room(self, at_ns: int) -> int:
        return OTHERS_PER_S - sum(at_ns - told_ns < S_NS for told_ns in self._others_told_ns)
