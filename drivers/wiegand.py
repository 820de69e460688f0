"""Wiegand, decoded: edges on two lines in, keys and numbers out; pure, and told the time by the edges' own ticks.

A pulse down on D0 is a 0, one on D1 a 1. By the SIA's 26-bit standard a pulse lasts 20 to 100 us, with 200 us to 20 ms between two;
readers sold today send 40 to 100 us pulses every 1 or 2 ms. Nothing marks the end of a message but silence.

Rule 1: a message is judged when it is over: all its edges, sorted by their ticks. The two lines' edges need not arrive in order.
Rule 2: one edge makes a pulse, two make a better one. Where both kinds of edges are watched, a kernel that is late to look at the level
        tells a short pulse as a rise without a fall, or as two; each such is one pulse, as is a fall where falls alone are watched.
Rule 3: what is not exactly a message is none: it is rejected with its fault, and never raises.
Rule 4: no more than `MAX_EDGES` edges are kept, whatever a broken cable does.
"""

from __future__ import annotations

import enum
import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass

US_NS = 1_000
MS_NS = 1_000_000

GAP_NS = 25 * MS_NS
"""Silence that ends a message: more than the 20 ms that may lie between two of its pulses."""
MIN_PULSE_NS = 5 * US_NS
"""A shorter one is a spike: a quarter of the shortest pulse, since ticks are late by some microseconds."""
MIN_APART_NS = 120 * US_NS
"""Two pulses begin at least this far apart: more than the longest pulse, less than the shortest way from one to the next."""
MAX_EDGES = 256
"""The longest message has 34 pulses, 68 edges."""

CARD_BITS = frozenset({26, 34})
KEY_BITS = 4
CHECKED_KEY_BITS = 8
KEYS_BITS = 32
KEYS = "0123456789*#"
"""By their values. Keypads of HID, Roger, EverFocus, Keyking and Rosslare's 4- and 8-bit options agree on * = 10 and # = 11."""
NUMBER_DIGITS = 8
"""A number's text has at least as many digits as a PIN, for a PIN may begin with zeros."""


class Fault(enum.StrEnum):
    """Why a message is none, in the words of a log."""

    BITS = "wrong number of bits"
    PARITY = "parity"
    COMPLEMENT = "complement of a key"
    KEY = "no such key"
    OVERLAP = "both lines at once"
    NOISE = "too many edges"


@dataclass(frozen=True, slots=True)
class Keys:
    """What a keypad sent: one key, or all of an entry. `at_ns` is the tick of the last edge."""

    keys: str
    at_ns: int

    @property
    def is_entry(self) -> bool:
        """Whether the keypad kept the keys and sent them together."""
        return len(self.keys) > 1


@dataclass(frozen=True, slots=True)
class Number:
    """A card's number, or whatever was sent like one, in decimal digits."""

    digits: str
    bits: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """Something on the lines that was no message; `bits` is how many pulses were counted in it."""

    fault: Fault
    bits: int
    at_ns: int


Message = Keys | Number | Rejected


@dataclass(frozen=True, slots=True)
class Edge:
    """An edge of line 0 or 1 (D0, D1), to level 0 or 1, at a tick."""

    line: int
    level: int
    at_ns: int


@dataclass(frozen=True, slots=True)
class _Pulse:
    line: int
    begin_ns: int
    end_ns: int


class WiegandDecoder:
    """Edges in, messages out. `spikes` counts pulses that were passed over: too short, or too close to one before them to be another."""

    def __init__(self) -> None:
        self._edges: list[Edge] = []
        self._latest_ns = 0
        self._is_spoiled = False
        self.spikes = 0

    @property
    def is_idle(self) -> bool:
        """Whether no message is under way."""
        return not self._edges and not self._is_spoiled

    def feed(self, edge: Edge) -> list[Message]:
        """Take an edge; what is over by its tick comes back."""
        over = [] if self.is_idle or edge.at_ns - self._latest_ns < GAP_NS else self.end()
        self._latest_ns = edge.at_ns if self.is_idle else max(self._latest_ns, edge.at_ns)
        if len(self._edges) < MAX_EDGES:
            self._edges.append(edge)
        else:
            self._is_spoiled = True
        return over

    def spoil(self, at_ns: int) -> None:
        """Edges were lost: what is under way is no message, up to the next silence."""
        self._latest_ns = at_ns if self.is_idle else max(self._latest_ns, at_ns)
        self._is_spoiled = True

    def end(self) -> list[Message]:
        """There is silence: judge what came before it."""
        edges, is_spoiled = sorted(self._edges, key=lambda edge: edge.at_ns), self._is_spoiled
        self._edges, self._is_spoiled = [], False
        if is_spoiled:
            return [Rejected(Fault.NOISE, len(self._pulses(edges)), self._latest_ns)]
        return [message for burst in _bursts(edges) if (message := self._judge(burst)) is not None]

    def _judge(self, burst: Sequence[Edge]) -> Message | None:
        """What the edges are; None for spikes alone."""
        pulses, at_ns = self._pulses(burst), burst[-1].at_ns
        if not pulses:
            return None
        for former, latter in itertools.pairwise(pulses):
            if latter.begin_ns < former.end_ns or latter.begin_ns - former.begin_ns < MIN_APART_NS:
                return Rejected(Fault.OVERLAP, len(pulses), at_ns)
        return meaning([pulse.line for pulse in pulses], at_ns)

    def _pulses(self, burst: Sequence[Edge]) -> list[_Pulse]:
        """Both lines' pulses by their begin; spikes are counted."""
        found = []
        for line in (0, 1):
            pulses = _pairs([edge for edge in burst if edge.line == line])
            kept = _without_spikes(pulses)
            self.spikes += len(pulses) - len(kept)
            found += kept
        return sorted(found, key=lambda pulse: pulse.begin_ns)


def _bursts(edges: Sequence[Edge]) -> list[list[Edge]]:
    """The edges, cut where there is silence; edges that came in any order may hide one."""
    bursts: list[list[Edge]] = []
    for edge in edges:
        if not bursts or edge.at_ns - bursts[-1][-1].at_ns >= GAP_NS:
            bursts.append([])
        bursts[-1].append(edge)
    return bursts


def _pairs(edges: Sequence[Edge]) -> list[_Pulse]:
    """One line's falls with their rises; one without the other is a pulse, too."""
    pulses = []
    fell_ns: int | None = None
    for edge in edges:
        if edge.level == 0 and fell_ns is not None:
            pulses.append(_Pulse(edge.line, fell_ns, fell_ns))
        if edge.level == 0:
            fell_ns = edge.at_ns
        else:
            pulses.append(_Pulse(edge.line, edge.at_ns if fell_ns is None else fell_ns, edge.at_ns))
            fell_ns = None
    if fell_ns is not None:
        pulses.append(_Pulse(edges[-1].line, fell_ns, fell_ns))
    return pulses


def _without_spikes(pulses: Sequence[_Pulse]) -> list[_Pulse]:
    """One line's pulses that are long enough, and far enough from the one before: a rise may be told twice, and an edge may ring."""
    kept: list[_Pulse] = []
    for pulse in pulses:
        is_short = 0 < pulse.end_ns - pulse.begin_ns < MIN_PULSE_NS
        if not is_short and not (kept and pulse.begin_ns - kept[-1].begin_ns < MIN_APART_NS):
            kept.append(pulse)
    return kept


def meaning(bits: Sequence[int], at_ns: int) -> Message:
    """What so many bits stand for; parity and complement are checked where there are any."""
    count = len(bits)
    value = _value(bits)
    if count in CARD_BITS:
        half = count // 2
        # The first half is made even by the first bit, the second half odd by the last.
        is_right = sum(bits[:half]) % 2 == 0 and sum(bits[half:]) % 2 == 1
        return Number(f"{_value(bits[1:-1]):0{NUMBER_DIGITS}d}", count, at_ns) if is_right else Rejected(Fault.PARITY, count, at_ns)
    if count == CHECKED_KEY_BITS:
        return _keys([value & 0xF], count, at_ns) if value >> 4 == ~value & 0xF else Rejected(Fault.COMPLEMENT, count, at_ns)
    if count == KEY_BITS:
        return _keys([value], count, at_ns)
    if count == KEYS_BITS:
        return _keys([value >> shift & 0xF for shift in range(KEYS_BITS - 4, -1, -4)], count, at_ns)
    return Rejected(Fault.BITS, count, at_ns)


def _keys(values: Sequence[int], count: int, at_ns: int) -> Message:
    if max(values) >= len(KEYS):
        return Rejected(Fault.KEY, count, at_ns)
    return Keys("".join(KEYS[value] for value in values), at_ns)


def _value(bits: Sequence[int]) -> int:
    """The bits as a number, the first of them worth the most."""
    return functools.reduce(lambda value, bit: value << 1 | bit, bits, 0)
