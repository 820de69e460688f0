"""Slows guessing at a reader without shutting out an honest prospect (promise P4).

Rule 1: being locked out only changes the answer to what is wrong anyway, and to PINs: `decide` lets a genuine code through a lockout.
Rule 2: seconds here are ticks of the monotonic clock: a jump of the wall clock neither starts nor ends a lockout.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LockoutRules:
    """`guesses` wrong ones within `within_s` seconds lock a reader out for `lock_s`, doubled each time in a row up to `max_lock_s`.

    A row ends with a genuine code, or when no lockout was on for `max_lock_s`.
    """

    guesses: int
    within_s: int
    lock_s: int
    max_lock_s: int


@dataclass(frozen=True, slots=True)
class Lockout:
    """A reader's record: ticks of its latest wrong guesses in seconds, until when it is locked out, and how often in a row it was."""

    guesses_s: tuple[float, ...] = ()
    until_s: float | None = None
    in_a_row: int = 0

    def is_on(self, tick_s: float) -> bool:
        """Whether the reader is locked out at this tick."""
        return self.until_s is not None and tick_s < self.until_s

    def after_guess(self, tick_s: float, rules: LockoutRules) -> Lockout:
        """The record after a wrong guess; guesses during a lockout neither count nor lengthen it."""
        if self.is_on(tick_s):
            return self
        in_a_row = 0 if self.until_s is not None and tick_s - self.until_s > rules.max_lock_s else self.in_a_row
        recent = (*[guess for guess in self.guesses_s if tick_s - guess <= rules.within_s], tick_s)
        if len(recent) < rules.guesses:
            return Lockout(recent, self.until_s, in_a_row)
        lock_s = min(rules.lock_s * 2 ** min(in_a_row, 30), rules.max_lock_s)
        return Lockout((), tick_s + lock_s, in_a_row + 1)

    def after_grant(self) -> Lockout:
        """The record after a genuine code: clean, except that a lockout under way goes on for whoever guesses next."""
        return Lockout((), self.until_s, 0)
