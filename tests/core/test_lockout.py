"""Promise P4: guessing is slowed, and the next honest prospect is not shut out."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.clock import Interval
from agent.core.codes import Unread
from agent.core.decide import Denied, Facts, Granted, Rules, UncertainClock, decide
from agent.core.lockout import Lockout, LockoutRules
from agent.core.reasons import Reason
from agent.core.tour import TourCode

RULES = LockoutRules(guesses=3, within_s=60, lock_s=30, max_lock_s=900)


def after(ticks_s: list[float], rules: LockoutRules = RULES, lockout: Lockout | None = None) -> Lockout:
    """The record after wrong guesses at these ticks."""
    lockout = lockout or Lockout()
    for tick_s in ticks_s:
        lockout = lockout.after_guess(tick_s, rules)
    return lockout


def test_denied__the_guess_that_is_one_too_many() -> None:
    """The third wrong guess within the time locks the reader out, from its own tick on, and not at the end any more."""
    assert after([10.0, 20.0]) == Lockout((10.0, 20.0), None, 0)
    locked = after([10.0, 20.0, 30.0])
    assert locked == Lockout((), 60.0, 1)
    assert [locked.is_on(tick_s) for tick_s in (30.0, 59.999, 60.0, 1e9)] == [True, True, False, False]


def test_granted__a_fresh_reader_is_not_locked_out() -> None:
    """A reader without a guess, or with too few, is not locked out at any tick."""
    assert [Lockout().is_on(tick_s) for tick_s in (-1.0, 0.0, 1e12)] == [False] * 3
    assert after([1.0, 2.0]).is_on(2.0) is False


def test_granted__guesses_that_are_far_apart() -> None:
    """A guess counts for exactly as long as the rules say: at 60 seconds still, beyond no more."""
    assert after([0.0, 30.0, 60.0]) == Lockout((), 90.0, 1)
    assert after([0.0, 30.0, 60.001]) == Lockout((30.0, 60.001), None, 0)
    assert after([float(tick) for tick in range(0, 100_000, 31)]) == Lockout((99_944.0, 99_975.0), None, 0)


def test_denied__guesses_during_a_lockout_do_not_lengthen_it() -> None:
    """Whoever goes on guessing changes nothing: the lockout ends when it was to end, and its guesses do not count after it."""
    locked = after([0.0, 0.0, 0.0])
    assert after([tick / 10 for tick in range(300)], lockout=locked) is locked
    assert after([30.0], lockout=locked) == Lockout((30.0,), 30.0, 1)


def test_denied__each_lockout_in_a_row_is_twice_as_long() -> None:
    """Lockouts double up to the cap and stay there."""
    lockout, tick_s, lengths = Lockout(), 0.0, []
    for _ in range(9):
        lockout = after([tick_s] * 3, lockout=lockout)
        assert lockout.until_s is not None
        lengths.append(lockout.until_s - tick_s)
        tick_s = lockout.until_s
    assert lengths == [30, 60, 120, 240, 480, 900, 900, 900, 900]
    assert lockout.in_a_row == 9


@pytest.mark.parametrize("exponent", [2, 6, 400])
def test_denied__any_number_of_lockouts_in_a_row(exponent: int) -> None:
    """However often a reader was locked out, the next lockout is the cap and no more."""
    lockout = Lockout(in_a_row=10**exponent)
    assert after([5.0] * 3, lockout=lockout) == Lockout((), 905.0, 10**exponent + 1)


def test_granted__the_doubling_has_room() -> None:
    """The thirtieth doubling is the last one, far beyond any cap that can be set."""
    rules = LockoutRules(1, 60, 1, 2**40)
    lengths = [after([0.0], rules, Lockout(in_a_row=count)).until_s for count in (0, 1, 29, 30, 31, 99)]
    assert lengths == [1, 2, 2**29, 2**30, 2**30, 2**30]


def test_denied__a_lockout_is_never_longer_than_the_cap() -> None:
    """A first lockout that is longer than the cap is cut to the cap, and with one guess allowed the first one locks."""
    assert after([1.0], LockoutRules(guesses=1, within_s=60, lock_s=600, max_lock_s=45)) == Lockout((), 46.0, 1)


def test_granted__a_genuine_code_clears_the_record() -> None:
    """After a genuine code guesses and doublings begin anew, but a lockout under way goes on for whoever guesses next."""
    assert after([1.0, 2.0]).after_grant() == Lockout()
    locked = after([0.0] * 3).after_grant()
    assert locked == Lockout((), 30.0, 0)
    assert locked.is_on(29.9)
    assert after([31.0] * 3, lockout=locked) == Lockout((), 61.0, 1)


def test_granted__a_genuine_code_passes_a_lockout(code: TourCode) -> None:
    """While a reader is locked out, a guess is told so and a genuine code opens as ever."""
    locked = after([0.0] * 3)
    rules = Rules(code.community_id, 0, 0, 1, UncertainClock.REFUSE, 0)
    now = Interval(code.window.start_ms, code.window.start_ms)
    facts = Facts("front", now, is_locked_out=locked.is_on(1.0))
    assert decide(Unread(Reason.BAD_SIGNATURE), facts, rules) == Denied(Reason.LOCKED_OUT)
    assert decide(code, facts, rules) == Granted(code)


@settings(deadline=None)
@given(
    gaps_s=st.lists(st.floats(0, 200), max_size=60),
    grants=st.sets(st.integers(0, 60), max_size=5),
    guesses=st.integers(1, 6),
    within_s=st.integers(1, 100),
    lock_s=st.integers(1, 100),
    max_lock_s=st.integers(1, 400),
)
def test_denied__more_guesses_than_the_rules_allow(
    *, gaps_s: list[float], grants: set[int], guesses: int, within_s: int, lock_s: int, max_lock_s: int
) -> None:
    """Whatever the rhythm, fewer guesses than allowed are remembered, a lockout only ever begins at a guess, and is capped."""
    rules = LockoutRules(guesses, within_s, lock_s, max_lock_s)
    lockout, tick_s = Lockout(), 0.0
    for index, gap_s in enumerate(gaps_s):
        tick_s += gap_s
        before = lockout
        lockout = lockout.after_grant() if index in grants else lockout.after_guess(tick_s, rules)
        assert len(lockout.guesses_s) < guesses
        if lockout.until_s != before.until_s:
            assert index not in grants
            assert not before.is_on(tick_s)
            assert lockout.until_s is not None
            assert min(lock_s, max_lock_s) <= lockout.until_s - tick_s + 1e-6
            assert lockout.until_s - tick_s <= max_lock_s + 1e-6


def test_granted__a_row_of_lockouts_ends_with_time() -> None:
    """After a quiet time as long as the longest lockout, the next one is short again; one second sooner it is doubled."""
    first = after([0.0, 1.0, 2.0])
    assert first == Lockout((), 32.0, 1)
    soon = 32.0 + RULES.max_lock_s
    assert after([soon - 2, soon - 1, soon], lockout=first) == Lockout((), soon + 60, 2)
    assert after([soon + 1, soon + 2, soon + 3], lockout=first) == Lockout((), soon + 33, 1)
