"""Where a door reads on: at the oldest change that is whole, not before it."""

from __future__ import annotations

import pytest

from agent.desk.api.cursor import Extent

EXTENT = Extent("e", last_seq=9, oldest_seq=5)


@pytest.mark.parametrize("seq", [5, 6, 9])
def test_ok__a_cursor_behind_which_nothing_was_deleted(seq: int) -> None:
    """A door that has the deleted appointment's last change missed nothing, so it is not sent back to the start."""
    assert EXTENT.start(EXTENT.cursor(seq)) == seq


@pytest.mark.parametrize("seq", [0, 4, 10])
def test_refused__a_cursor_that_may_have_missed_something(seq: int) -> None:
    """Below the oldest, or ahead of the desk: from the start."""
    assert EXTENT.start(EXTENT.cursor(seq)) is None
