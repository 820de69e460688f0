"""Wiegand as it is on the wires, for tests: bits become edges with ticks, and a played source of edges takes the place of two pins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from drivers.base import DriverError
from drivers.wiegand import KEYS, Edge

US_NS, MS_NS = 1_000, 1_000_000
D0, D1 = 14, 15


def pulse(line: int, at_ns: int, width_ns: int = 50 * US_NS) -> list[Edge]:
    """One pulse: down, and up again."""
    return [Edge(line, 0, at_ns), Edge(line, 1, at_ns + width_ns)]


def edges(bits: str, at_ns: int, *, every_ns: int = 1 * MS_NS, width_ns: int = 50 * US_NS) -> list[Edge]:
    """The pulses of `0`s and `1`s, as a reader sends them."""
    return [edge for place, bit in enumerate(bits) for edge in pulse(int(bit), at_ns + place * every_ns, width_ns)]


def card(number: int, bits: int = 34) -> str:
    """A number with its two parity bits."""
    inner = f"{number:0{bits - 2}b}"
    first, last = inner[: bits // 2 - 1], inner[bits // 2 - 1 :]
    return f"{first.count('1') % 2}{inner}{1 - last.count('1') % 2}"


def key(name: str, bits: int = 4) -> str:
    """One key, in 4 bits or with its complement before it in 8."""
    value = KEYS.index(name)
    return f"{value:04b}" if bits == 4 else f"{value ^ 0xF:04b}{value:04b}"


def falls(played: Iterable[Edge]) -> list[Edge]:
    """The falls only."""
    return [edge for edge in played if edge.level == 0]


class PlayedEdges:
    """Two pins that a test moves, claimed by calling it.

    Edges that come before they are watched are kept, as a kernel does. `refusals` are raised by the next claims, in turn; `levels` are
    what the pins read, or what reading them raises. `events` holds `claimed`, `refused`, `watched` and `closed` in their order.
    """

    def __init__(self) -> None:
        self.refusals: list[DriverError] = []
        self.levels: dict[int, int] | DriverError = {D0: 1, D1: 1}
        self.events: list[str] = []
        self._kept: list[tuple[int, int, int]] | None = None
        self._on_edge: Callable[[int, int, int], None] | None = None
        self._on_lost: Callable[[int, int], None] | None = None

    def __call__(self) -> PlayedEdges:
        """Claim the pins."""
        if self.refusals:
            self.events.append("refused")
            raise self.refusals.pop(0)
        self.events.append("claimed")
        self._kept = []
        return self

    @property
    def is_claimed(self) -> bool:
        """Whether anybody would ever hear of an edge."""
        return self._on_edge is not None or self._kept is not None

    def read(self) -> dict[int, int]:
        """The levels now."""
        if isinstance(self.levels, DriverError):
            raise self.levels
        return dict(self.levels)

    def watch(self, on_edge: Callable[[int, int, int], None], on_lost: Callable[[int, int], None] | None = None) -> None:
        """Have edges told, and of lost ones how many."""
        self.events.append("watched")
        kept, self._kept = self._kept, None
        for edge in kept or ():
            on_edge(*edge)
        self._on_edge, self._on_lost = on_edge, on_lost

    def close(self) -> None:
        """Give the pins back."""
        self.events.append("closed")
        self._on_edge = self._kept = None

    def play(self, played: Iterable[Edge], pins: Sequence[int] = (D0, D1)) -> None:
        """Move the pins; from any thread."""
        for edge in played:
            if self._on_edge is not None:
                self._on_edge(pins[edge.line], edge.level, edge.at_ns)
            elif self._kept is not None:
                self._kept.append((pins[edge.line], edge.level, edge.at_ns))

    def lose(self, count: int) -> None:
        """Edges that came too fast for the kernel's queue."""
        if self._on_lost is not None:
            self._on_lost(D0, count)
