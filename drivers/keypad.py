"""Keys in, entries out: what a keypad types becomes a PIN's digits, whichever wire the keys come by.

Rule 1: an entry ends with `#`, or by itself when it has as many digits as a PIN; `*` clears it, and so does a long pause.
Rule 2: of an entry that lost a key on the wire nothing is handed on: it would be a wrong PIN, and counted as a guess.
Rule 3: what is being typed is kept here only, and in no log.
"""

from __future__ import annotations

PIN_DIGITS = 8
MAX_KEYS = 16
DIGITS = frozenset("0123456789")
KEYS = DIGITS | {"*", "#"}


class Keypad:
    """One keypad's entry under way; pure, and told the time.

    `key_gap_s` is the longest pause between two keys of an entry. An entry is full at `digits` digits; with None only `#` ends it,
    and more than `MAX_KEYS` digits are thrown away whole.
    """

    def __init__(self, key_gap_s: float, *, digits: int | None = PIN_DIGITS) -> None:
        if key_gap_s <= 0:
            raise ValueError("key_gap_s must be above 0")
        if digits is not None and not 1 <= digits <= MAX_KEYS:
            raise ValueError(f"digits must be from 1 to {MAX_KEYS}")
        self._key_gap_ns = round(key_gap_s * 1e9)
        self._digits = digits
        self._typed = ""
        self._is_spoiled = False
        self._last_ns = 0

    def press(self, key: str, at_ns: int) -> str | None:
        """One key, pressed at a tick: the entry that it ends, or None.

        `#` with nothing before it ends nothing, so that a person may press it after a PIN that ended by itself.
        Raises `ValueError` for what is no key.
        """
        if key not in KEYS:
            raise ValueError("a key is one of 0 to 9, * and #")
        self._mind_the_pause(at_ns)
        if key in DIGITS:
            self._add(key)
            return self._end() if len(self._typed) == self._digits else None
        if key == "#":
            return self._end()
        self.clear()
        return None

    def spoil(self, at_ns: int) -> None:
        """A key came damaged: of the entry under way, or of one that it would have begun, nothing is handed on."""
        self._mind_the_pause(at_ns)
        self._is_spoiled = True
        self._add("?")
        if len(self._typed) == self._digits:
            self.clear()

    def clear(self) -> None:
        """Forget what was typed."""
        self._typed = ""
        self._is_spoiled = False

    def _mind_the_pause(self, at_ns: int) -> None:
        if at_ns - self._last_ns > self._key_gap_ns:
            self.clear()
        self._last_ns = at_ns

    def _add(self, key: str) -> None:
        # One more than an entry may have tells that it is too long; what follows is not kept.
        self._typed = (self._typed + key)[: MAX_KEYS + 1]

    def _end(self) -> str | None:
        typed, is_whole = self._typed, not self._is_spoiled and len(self._typed) <= MAX_KEYS
        self.clear()
        return typed if typed and is_whole else None
