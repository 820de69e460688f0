"""A website with its staff's pages for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.desk.staff.office import StaffSite


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., StaffSite]]:
    """Make a website with settings of one's own; it ends with the test."""
    with ExitStack() as stack:

        def one(**settings: Any) -> StaffSite:  # noqa: ANN401 - tables of the file
            made = StaffSite(tmp_path, **settings)
            stack.callback(made.close)
            return made

        yield one


@pytest.fixture
def site(make: Callable[..., StaffSite]) -> StaffSite:
    """One website as it comes, nobody logged in."""
    return make()


@pytest.fixture
def inside(site: StaffSite) -> StaffSite:
    """One website with Marta logged in."""
    site.login()
    assert site.cookie
    return site
