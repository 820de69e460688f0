"""From a keyboard's events to the lines it typed: pure, no I/O, no clock.

Rule 1: a key is a place on the board. What it types is told by the layout that the scanner is set to be, which no USB device reveals.
Rule 2: what was not read whole is no line: after an overflow of the kernel's queue, or when reading began in the middle, all is
        discarded up to the next end of a line, or up to a pause that no scanner makes.
Rule 3: a key without a character here leaves SUBSTITUTE in the line, so that no code is taken for whole that is not.

Key codes and the meaning of SYN_DROPPED: linux/input-event-codes.h and Documentation/input/event-codes.rst of the kernel.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from drivers.base import Frame
from drivers.framing import LineFramer

EV_SYN, EV_KEY = 0, 1
SYN_DROPPED = 3
RELEASED, PRESSED = 0, 1
"""The values of a key's event; a third is the repeat of a key that is held."""

KEY_ESC, KEY_1, KEY_BACKSPACE, KEY_TAB, KEY_ENTER, KEY_SPACE, KEY_CAPSLOCK = 1, 2, 14, 15, 28, 57, 58
KEY_NUMLOCK, KEY_SCROLLLOCK, KEY_KP1, KEY_KPENTER = 69, 70, 79, 96
KEY_LEFTCTRL, KEY_LEFTSHIFT, KEY_RIGHTSHIFT, KEY_LEFTALT, KEY_RIGHTCTRL, KEY_RIGHTALT = 29, 42, 54, 56, 97, 100
KEY_LEFTMETA, KEY_RIGHTMETA = 125, 126

SHIFTS = frozenset({KEY_LEFTSHIFT, KEY_RIGHTSHIFT})
ORDERS = frozenset({KEY_LEFTCTRL, KEY_RIGHTCTRL, KEY_LEFTALT, KEY_LEFTMETA, KEY_RIGHTMETA})
"""With one of these a key is an order to a computer, no character."""
MODIFIERS = SHIFTS | ORDERS | {KEY_RIGHTALT}
SILENT = frozenset({KEY_NUMLOCK, KEY_SCROLLLOCK})
"""Some scanners press these around a scan. The numeric keypad gives digits in any case: there is no cursor to move."""
WORDLESS = MODIFIERS | SILENT | {KEY_CAPSLOCK}
"""Pressing these types nothing."""
ENDS = frozenset({KEY_ENTER, KEY_KPENTER, KEY_TAB})
CANCELS = frozenset({KEY_BACKSPACE, KEY_ESC})
"""Who has mistyped a PIN begins anew."""

END = b"\n"
SUBSTITUTE = "\x1a"
PAUSE_NS = 1_000_000_000
"""No scanner rests this long in the middle of a code."""

# The places of the main block, row by row, as the rows of the layouts below: the digits' row, then the three rows of letters.
_PLACES = (41, *range(2, 14), *range(16, 28), *range(30, 41), 43, 86, *range(44, 54))
# The numeric keypad is the same in every layout.
_NUMERIC = dict(zip((71, 72, 73, 75, 76, 77, 79, 80, 81, 82, 83, 55, 98, 74, 78, 117), "7894561230.*/-+=", strict=True))

_NONE = "¤"
"""In the rows below: a place that types nothing by itself, such as an accent that waits for its letter."""

_LAYOUTS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...], Mapping[int, str]]] = {
    "us": (
        ("`1234567890-=", "qwertyuiop[]", "asdfghjkl;'\\", "<zxcvbnm,./"),
        ("~!@#$%^&*()_+", "QWERTYUIOP{}", 'ASDFGHJKL:"|', ">ZXCVBNM<>?"),
        {},
    ),
    "de": (
        ("¤1234567890ß¤", "qwertzuiopü+", "asdfghjklöä#", "<yxcvbnm,.-"),
        ('°!"§$%&/()=?¤', "QWERTZUIOPÜ*", "ASDFGHJKLÖÄ'", ">YXCVBNM;:_"),
        {3: "²", 4: "³", 8: "{", 9: "[", 10: "]", 11: "}", 12: "\\", 16: "@", 18: "€", 27: "~", 50: "µ", 86: "|"},
    ),
    "fr": (
        ("²&é\"'(-è_çà)=", "azertyuiop¤$", "qsdfghjklmù*", "<wxcvbn,;:!"),
        ("¤1234567890°+", "AZERTYUIOP¤£", "QSDFGHJKLM%µ", ">WXCVBN?./§"),
        {3: "~", 4: "#", 5: "{", 6: "[", 7: "|", 8: "`", 9: "\\", 10: "^", 11: "@", 12: "]", 13: "}", 18: "€"},
    ),
}


class Key(NamedTuple):
    """What one place types alone, with shift, and with AltGr."""

    plain: str
    shifted: str
    altgr: str

    @property
    def is_letter(self) -> bool:
        """Whether caps lock changes it."""
        return self.plain.isalpha() and self.plain.upper() == self.shifted


def _keys(layout: str) -> Mapping[int, Key]:
    plain, shifted, altgr = _LAYOUTS[layout]
    pairs = zip(_PLACES, "".join(plain), "".join(shifted), strict=True)
    keys = {place: Key(*(SUBSTITUTE if it == _NONE else it for it in (low, high, altgr.get(place, _NONE)))) for place, low, high in pairs}
    keys |= {place: Key(it, it, it) for place, it in _NUMERIC.items()}
    return {**keys, KEY_SPACE: Key(" ", " ", " ")}


LAYOUTS: Mapping[str, Mapping[int, Key]] = {name: _keys(name) for name in _LAYOUTS}
_UNKNOWN = Key(SUBSTITUTE, SUBSTITUTE, SUBSTITUTE)


def is_half_a_line(events: Iterable[tuple[int, int, int]]) -> bool:
    """Whether these events (type, code, value) leave a line unfinished, as far as they can tell."""
    is_half = False
    for kind, code, value in events:
        if (kind, code) == (EV_SYN, SYN_DROPPED):
            is_half = True
        elif kind == EV_KEY and value == PRESSED and code not in WORDLESS:
            is_half = code not in ENDS
    return is_half


class TypedLines:
    """Makes frames of a keyboard's events.

    Enter, the keypad's Enter and Tab end a line; backspace and escape throw away what was typed so far. Only pressing counts, neither
    release nor repeat. How long a line may be and how long it may rest is `LineFramer`'s.

    Raises `ValueError` for an unknown layout, or when `max_bytes` or `gap_s` is not positive.
    """

    def __init__(self, layout: str = "us", *, max_bytes: int = 1024, gap_s: float = 5.0) -> None:
        if layout not in LAYOUTS:
            raise ValueError(f"a keyboard's layout is one of {', '.join(LAYOUTS)}, not {layout!r}")
        self._keys = LAYOUTS[layout]
        self._max_bytes = max_bytes
        self._gap_s = gap_s
        self._framer = self._new_framer()
        self._held: set[int] = set()
        self._is_caps = False
        self._skipping_since_ns: int | None = None

    def start(self, held: Iterable[int], *, is_caps: bool, skip_at_ns: int | None) -> None:
        """Begin with the keys that are held now and the caps lock as it is.

        With `skip_at_ns`, a tick, something was missed up to then: the line under way is not ours.
        """
        self._framer = self._new_framer()
        self._held = set(held) & MODIFIERS
        self._is_caps = is_caps
        self._skipping_since_ns = skip_at_ns

    def feed(self, events: Iterable[tuple[int, int, int]], at_ns: int) -> list[Frame] | None:
        """The frames completed by these events (type, code, value), read at tick `at_ns`.

        None: the kernel's queue ran over, the events and the line are lost, and `start` must be called again.
        """
        typed = list(events)
        if (EV_SYN, SYN_DROPPED) in {(kind, code) for kind, code, _value in typed}:
            return None
        return [frame for kind, code, value in typed if kind == EV_KEY for frame in self._key(code, value, at_ns)]

    def _new_framer(self) -> LineFramer:
        return LineFramer(max_bytes=self._max_bytes, gap_s=self._gap_s)

    def _key(self, code: int, value: int, at_ns: int) -> list[Frame]:
        if code in MODIFIERS:
            (self._held.discard if value == RELEASED else self._held.add)(code)
            return []
        if value != PRESSED or code in SILENT:
            return []
        if code == KEY_CAPSLOCK:
            self._is_caps = not self._is_caps
            return []
        if self._is_skipped(code, at_ns):
            return []
        if code in CANCELS:
            self._framer = self._new_framer()
            return []
        return self._framer.feed(END if code in ENDS else self._character(code).encode(), at_ns)

    def _is_skipped(self, code: int, at_ns: int) -> bool:
        if self._skipping_since_ns is None:
            return False
        is_paused = at_ns - self._skipping_since_ns > PAUSE_NS
        self._skipping_since_ns = None if is_paused or code in ENDS else at_ns
        return not is_paused

    def _character(self, code: int) -> str:
        if self._held & ORDERS:
            return SUBSTITUTE
        key = self._keys.get(code, _UNKNOWN)
        if KEY_RIGHTALT in self._held:
            return key.altgr
        return key.shifted if bool(self._held & SHIFTS) != (self._is_caps and key.is_letter) else key.plain
