"""The guesses at one reader, and for how long it is locked out by them."""

from __future__ import annotations

import time

from agent.core.lockout import Lockout, LockoutRules

NEARLY_OVER_S = 0.1


class Guesses:
    """Changed in the doorman's thread, read in any."""

    def __init__(self) -> None:
        self._lockout = Lockout()

    def is_on(self) -> bool:
        """Whether the reader is locked out."""
        return self._lockout.is_on(time.monotonic())

    def left_s(self) -> float | None:
        """For how many seconds more it is; None when it is not, or hardly any more."""
        until_s = self._lockout.until_s
        left_s = 0.0 if until_s is None else until_s - time.monotonic()
        return round(left_s, 1) if left_s > NEARLY_OVER_S else None

    def granted(self) -> None:
        """A genuine code was shown."""
        self._lockout = self._lockout.after_grant()

    def guessed(self, rules: LockoutRules) -> float | None:
        """A wrong one was; returns for how many seconds the reader is locked out, if that begins with it."""
        before, tick_s = self._lockout, time.monotonic()
        self._lockout = before.after_guess(tick_s, rules)
        if self._lockout.in_a_row == before.in_a_row or self._lockout.until_s is None:
            return None
        return self._lockout.until_s - tick_s
