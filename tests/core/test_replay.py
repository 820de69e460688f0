"""Promise P3 in the schedule: no visit is dropped, and the waits are bounded whatever comes back."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.replay import Delivered, InDoubt, Mark, Outcome, Refused, RetryPolicy, RowState, TryAgain, Unknown, backoff_s, settle

POLICY = RetryPolicy(first_s=5.0, max_s=300.0)
HOLD = replace(POLICY, in_doubt=InDoubt.HOLD)
NOW_MS = 1_775_000_000_000
MOST = 1 - 2**-53
"""The greatest chance there is."""

chances = st.floats(0, 1, exclude_max=True)
policies = st.builds(
    RetryPolicy,
    first_s=st.floats(0, 1e300, exclude_min=True),
    max_s=st.floats(0, 86_400, exclude_min=True),
    max_wait_s=st.floats(0, 1e6),
    in_doubt=st.sampled_from(InDoubt),
)
attempt_counts = st.one_of(st.integers(-5, 60), st.integers(0, 10**6), st.integers(0, 10**400))
retry_afters = st.none() | st.floats()
outcomes = st.one_of(
    st.builds(Refused, st.text(max_size=9)),
    st.builds(TryAgain, st.text(max_size=9), retry_afters, st.booleans()),
    st.builds(Unknown, st.text(max_size=9)),
)


@pytest.mark.parametrize(
    ("attempts", "ceiling_s"),
    [
        (-1, 5),
        (0, 5),
        (1, 5),
        (2, 10),
        (3, 20),
        (4, 40),
        (5, 80),
        (6, 160),
        (7, 300),
        (8, 300),
        (41, 300),
        (42, 300),
        (10**6, 300),
        (10**9, 300),
    ],
)
def test_granted__the_ceiling_doubles_up_to_the_cap(attempts: int, ceiling_s: float) -> None:
    """The wait is drawn evenly from nothing to a ceiling that doubles with each attempt until the cap."""
    waits = [backoff_s(attempts, POLICY, chance) for chance in (0.0, 0.25, 0.5, MOST)]
    assert waits == [0.0, ceiling_s * 0.25, ceiling_s * 0.5, ceiling_s * MOST]


def test_granted__ten_to_the_four_hundredth_attempt() -> None:
    """No number of attempts overflows."""
    assert backoff_s(10**400, POLICY, 0.5) == 150.0
    assert backoff_s(10**400, replace(POLICY, first_s=1e300), MOST, 1e308) == 86_400.0 + 300.0 * MOST


def test_granted__the_doubling_has_room() -> None:
    """A cap that is far away is reached by doubling, and forty doublings are the last."""
    far = RetryPolicy(first_s=1.0, max_s=1e30)
    assert [backoff_s(attempts, far, 0.5) for attempts in (1, 40, 41, 42, 99)] == [0.5, 2.0**38, 2.0**39, 2.0**39, 2.0**39]


@pytest.mark.parametrize(
    ("retry_after_s", "floor_s"),
    [
        (None, 0.0),
        (0.0, 0.0),
        (-1.0, 0.0),
        (-math.inf, 0.0),
        (7.5, 7.5),
        (86_400.0, 86_400.0),
        (86_400.5, 86_400.0),
        (math.inf, 86_400.0),
        (math.nan, 0.0),
    ],
)
def test_granted__retry_after_is_a_floor(retry_after_s: float | None, floor_s: float) -> None:
    """A Retry-After is obeyed up to its own cap with the jitter on top; a senseless one counts as none."""
    assert [backoff_s(2, POLICY, chance, retry_after_s) for chance in (0.0, 0.5)] == [floor_s, floor_s + 5.0]


@settings(deadline=None)
@given(attempts=attempt_counts, policy=policies, chance=chances, retry_after_s=retry_afters)
def test_denied__a_wait_out_of_bounds(attempts: int, policy: RetryPolicy, chance: float, retry_after_s: float | None) -> None:
    """A wait is a number, never negative, never longer than both caps together, and never shorter than a Retry-After within its cap."""
    wait_s = backoff_s(attempts, policy, chance, retry_after_s)
    assert math.isfinite(wait_s)
    assert 0 <= wait_s <= policy.max_s + policy.max_wait_s
    if retry_after_s is None:
        assert wait_s <= policy.max_s
    elif retry_after_s >= 0:
        assert wait_s >= min(retry_after_s, policy.max_wait_s)


@settings(deadline=None)
@given(attempts=st.integers(0, 10**6), policy=policies, chance=chances)
def test_granted__later_attempts_wait_no_shorter(attempts: int, policy: RetryPolicy, chance: float) -> None:
    """By the same chance a later attempt never waits shorter than an earlier one."""
    assert backoff_s(attempts, policy, chance) <= backoff_s(attempts + 1, policy, chance)


@pytest.mark.parametrize(
    ("outcome", "policy", "mark"),
    [
        (Refused("no such prospect"), POLICY, Mark(RowState.DEAD, 3, 1, NOW_MS, "no such prospect", is_link=False)),
        (Refused("no such prospect"), HOLD, Mark(RowState.DEAD, 3, 1, NOW_MS, "no such prospect", is_link=False)),
        (Unknown("timed out"), POLICY, Mark(RowState.DUE, 3, 2, NOW_MS + 10_000, "timed out", is_link=True)),
        (Unknown("timed out"), HOLD, Mark(RowState.IN_DOUBT, 3, 2, NOW_MS + 10_000, "timed out", is_link=True)),
        (TryAgain("busy"), POLICY, Mark(RowState.DUE, 3, 1, NOW_MS + 10_000, "busy", is_link=True)),
        (TryAgain("busy", 60.0), HOLD, Mark(RowState.DUE, 3, 1, NOW_MS + 70_000, "busy", is_link=True)),
        (TryAgain("odd", is_link=False), POLICY, Mark(RowState.DUE, 3, 1, NOW_MS + 10_000, "odd", is_link=False)),
        (TryAgain("odd", math.nan, is_link=False), HOLD, Mark(RowState.DUE, 3, 1, NOW_MS + 10_000, "odd", is_link=False)),
    ],
    ids=range(8),
)
def test_granted__each_outcome_has_its_mark(outcome: Refused | TryAgain | Unknown, policy: RetryPolicy, mark: Mark) -> None:
    """A refusal is a dead letter, no answer is counted as a doubt and retried or held, and trouble is tried again."""
    assert settle(outcome, policy, attempts=2, doubts=1, now_ms=NOW_MS, chance=0.5) == mark


@settings(deadline=None)
@given(
    outcome=outcomes, policy=policies, attempts=attempt_counts, doubts=st.integers(0, 10**9), now_ms=st.integers(0, 2**53), chance=chances
)
def test_denied__a_row_that_vanishes(
    *, outcome: Refused | TryAgain | Unknown, policy: RetryPolicy, attempts: int, doubts: int, now_ms: int, chance: float
) -> None:
    """No outcome but a delivery takes a row out of the outbox: each leaves it due, in doubt or dead, counted, with the words."""
    mark = settle(outcome, policy, attempts=attempts, doubts=doubts, now_ms=now_ms, chance=chance)
    allowed = {Refused: {RowState.DEAD}, TryAgain: {RowState.DUE}, Unknown: {RowState.DUE, RowState.IN_DOUBT}}
    assert mark.state in allowed[type(outcome)]
    assert (mark.state is RowState.IN_DOUBT) == (isinstance(outcome, Unknown) and policy.in_doubt is InDoubt.HOLD)
    assert (mark.attempts, mark.doubts - doubts, mark.words) == (attempts + 1, isinstance(outcome, Unknown), outcome.words)
    assert now_ms <= mark.next_try_ms <= now_ms + 1000 * (policy.max_s + policy.max_wait_s) + 1


def test_denied__a_delivery_needs_no_mark() -> None:
    """A delivered visit has no state in the outbox: of four outcomes three have a mark."""
    assert set(get_args(Outcome)) == {Delivered, Refused, TryAgain, Unknown}
    assert {state.value for state in RowState} == {"due", "sending", "in_doubt", "dead"}
