"""When a visit is tried again, and what an answer of Knock's does to its row (promise P3).

Rule 1: a row leaves the outbox only by a 200 or by a person's hand: no outcome here deletes anything but `Delivered`.
Rule 2: chance and time come in as arguments; the schedule is safe for any number of attempts.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

_MAX_DOUBLINGS = 40


class RowState(enum.StrEnum):
    """Where a visit stands on its way to Knock."""

    DUE = "due"
    SENDING = "sending"
    """Handed to the network; if the agent dies now, it is in doubt."""
    IN_DOUBT = "in_doubt"
    """Knock may have it or not, and the setting says to ask a person."""
    DEAD = "dead"
    """A dead letter: Knock refused it for good."""


class InDoubt(enum.StrEnum):
    """What happens to a visit whose answer never came."""

    RETRY = "retry"
    HOLD = "hold"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential from `first_s` to `max_s` with full jitter; Retry-After is obeyed up to `max_wait_s`."""

    first_s: float
    max_s: float
    max_wait_s: float = 86_400.0
    in_doubt: InDoubt = InDoubt.RETRY


@dataclass(frozen=True, slots=True)
class Delivered:
    """Knock has it, under this visit id."""

    knock_visit_id: str


@dataclass(frozen=True, slots=True)
class Refused:
    """Refused for good, with Knock's words."""

    words: str


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Not now. `is_link` says that the trouble is the way to Knock (or the key), not this visit, so that others wait too."""

    words: str
    retry_after_s: float | None = None
    is_link: bool = True


@dataclass(frozen=True, slots=True)
class Unknown:
    """The request went out and no answer can be trusted: Knock may have it."""

    words: str


Outcome = Delivered | Refused | TryAgain | Unknown


@dataclass(frozen=True, slots=True)
class Mark:
    """What to write on a row that was not delivered."""

    state: RowState
    attempts: int
    doubts: int
    next_try_ms: int
    words: str
    is_link: bool = False
    """It waits for the way to Knock, and is due at once when that is open again."""


def backoff_s(attempts: int, policy: RetryPolicy, chance: float, retry_after_s: float | None = None) -> float:
    """Seconds to wait after the `attempts`-th attempt; `chance` is uniform in [0, 1).

    Full jitter between nothing and the exponential ceiling, so that fifty doors do not come back in step; a Retry-After is a
    floor, and the jitter is added to it.
    """
    doublings = min(max(attempts - 1, 0), _MAX_DOUBLINGS)
    ceiling = min(policy.first_s * 2.0**doublings, policy.max_s)
    # in this order max() makes 0 of a Retry-After that is no number
    floor = 0.0 if retry_after_s is None else min(max(0.0, retry_after_s), policy.max_wait_s)
    return floor + ceiling * chance


def settle(outcome: Refused | TryAgain | Unknown, policy: RetryPolicy, *, attempts: int, doubts: int, now_ms: int, chance: float) -> Mark:
    """The mark for an outcome, `attempts` and `doubts` being the row's counts before it."""
    tried = attempts + 1
    if isinstance(outcome, Refused):
        return Mark(RowState.DEAD, tried, doubts, now_ms, outcome.words)
    if isinstance(outcome, Unknown):
        state = RowState.DUE if policy.in_doubt is InDoubt.RETRY else RowState.IN_DOUBT
        return Mark(state, tried, doubts + 1, now_ms + round(1000 * backoff_s(tried, policy, chance)), outcome.words, is_link=True)
    wait_s = backoff_s(tried, policy, chance, outcome.retry_after_s)
    return Mark(RowState.DUE, tried, doubts, now_ms + round(1000 * wait_s), outcome.words, is_link=outcome.is_link)
