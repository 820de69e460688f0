"""A website of its own for each test, and a maker of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.desk.pages.site import Site


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Make a website with settings of one's own; it ends with the test."""
    with ExitStack() as stack:

        def one(**settings: Any) -> Site:  # noqa: ANN401 - tables of the file
            made = Site(tmp_path, **settings)
            stack.callback(made.close)
            return made

        yield one


@pytest.fixture
def site(make: Callable[..., Site]) -> Site:
    """One website as it comes."""
    return make()
