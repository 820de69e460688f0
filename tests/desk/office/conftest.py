"""One office on a store and a sandbox of its own, and a maker of others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.desk.office.stage import Stage


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., Stage]]:
    """Make a stage with settings of one's own; it ends with the test."""
    with ExitStack() as stack:

        def one(**settings: Any) -> Stage:  # noqa: ANN401 - tables of the file
            made = Stage(tmp_path, **settings)
            stack.callback(made.close)
            return made

        yield one


@pytest.fixture
def stage(make: Callable[..., Stage]) -> Stage:
    """One stage as it comes."""
    return make()
