"""The guesses at a door, counted together: who is locked out at one of its readers is no freer at the next.

Rule: the readers that let people in share one record, the screen's pad among them, so that a door has one budget of guesses. Those that
let people out have each their own: nobody is kept inside by what is typed outside.
"""

from __future__ import annotations

import time

from agent.core.lockout import Lockout, LockoutRules
from agent.settings.agent import AgentSettings, screen_reader

NEARLY_OVER_S = 0.1


class Guesses:
    """One record, of the readers that share it. Changed in the doorman's thread, read in any."""

    def __init__(self) -> None:
        self._lockout = Lockout()
        self._locked_by: str | None = None

    def is_on(self) -> bool:
        """Whether its readers are locked out."""
        return self._lockout.is_on(time.monotonic())

    def left_s(self) -> float | None:
        """For how many seconds more they are; None when they are not, or hardly any more."""
        until_s = self._lockout.until_s
        left_s = 0.0 if until_s is None else until_s - time.monotonic()
        return round(left_s, 1) if left_s > NEARLY_OVER_S else None

    def left_of_s(self, reader: str) -> float | None:
        """The same, if it was this reader at which the lockout began."""
        return self.left_s() if reader == self._locked_by else None

    def granted(self) -> None:
        """A genuine code was shown."""
        self._lockout = self._lockout.after_grant()

    def guessed(self, reader: str, rules: LockoutRules) -> float | None:
        """A wrong one was; returns for how many seconds its readers are locked out, if that begins with it."""
        before, tick_s = self._lockout, time.monotonic()
        self._lockout = before.after_guess(tick_s, rules)
        if self._lockout.in_a_row == before.in_a_row or self._lockout.until_s is None:
            return None
        self._locked_by = reader
        return self._lockout.until_s - tick_s


def shared(settings: AgentSettings) -> dict[str, str]:
    """The readers whose guesses count together, each with the name of its door."""
    found = {reader.name: door.name for door in settings.door for reader in door.reader if reader.direction == "in"}
    return found | {screen_reader(door): door for door in settings.screen_doors()}
