"""Which openings are no forced ones."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.door import LATE_NS, Span, is_expected

SECOND = 1_000_000_000
SUPPRESS = 8 * SECOND
AT = 100 * SECOND


@pytest.mark.parametrize(
    ("released", "asked"),
    [
        (Span(AT), None),
        (Span(AT - SECOND), None),
        (Span(AT - SECOND, AT), None),
        (Span(AT - SECOND, AT - LATE_NS), None),
        (Span(AT - SECOND, AT + SECOND), None),
        (None, Span(AT)),
        (None, Span(AT - 60 * SECOND)),
        (None, Span(AT - SUPPRESS - SECOND, AT - SUPPRESS)),
        (Span(AT - 9 * SECOND, AT - 8 * SECOND), Span(AT - SECOND, AT)),
    ],
)
def test_granted__an_opening_with_a_reason(released: Span | None, asked: Span | None) -> None:
    """While it is released and half a second after, while the exit is asked for and so long after as is set: both ends belong to it."""
    assert is_expected(AT, released, asked, SUPPRESS)


@pytest.mark.parametrize(
    ("released", "asked"),
    [
        (None, None),
        (Span(AT + 1), None),
        (Span(AT - SECOND, AT - LATE_NS - 1), None),
        (None, Span(AT + 1)),
        (None, Span(AT - 20 * SECOND, AT - SUPPRESS - 1)),
        (Span(AT - 9 * SECOND, AT - 8 * SECOND), Span(AT - 20 * SECOND, AT - 9 * SECOND)),
        (Span(AT + 1), Span(AT + 1)),
    ],
)
def test_denied__an_opening_without_one(released: Span | None, asked: Span | None) -> None:
    """A nanosecond before or after it is forced: a release that comes after the opening excuses nothing."""
    assert not is_expected(AT, released, asked, SUPPRESS)


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_a_span_that_has_ended_stays_ended(begins: int, ends: int, later: int) -> None:
    """The first end counts."""
    span = Span(begins).ended(ends)
    assert span == Span(begins, ends) == span.ended(later)


@pytest.mark.parametrize(
    ("begins_ns", "ends_ns", "is_explained"),
    [(AT + 1, None, True), (AT + 300, None, True), (AT + 301, None, False), (AT + 100, AT + 200, True), (0, AT - LATE_NS - 1, False)],
)
def test_an_opening_that_settles_while_there_is_a_reason(begins_ns: int, ends_ns: int | None, is_explained: bool) -> None:
    """The reason may come between the contact's first edge and when it has stood; before and after that it is none."""
    reason = Span(begins_ns, ends_ns)
    assert is_expected(AT, reason, None, 0, AT + 300) is is_explained
    assert is_expected(AT, None, reason, LATE_NS, AT + 300) is is_explained
