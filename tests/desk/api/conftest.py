"""A desk's API, and more of them on the same store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.desk.api.made import Site


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Start a desk process; each stands on the same store. They end with the test."""
    with ExitStack() as stack:

        def one(**changes: Any) -> Site:  # noqa: ANN401 - as `Site` takes them
            site = Site(tmp_path, **changes)
            stack.callback(site.close)
            return site

        yield one


@pytest.fixture
def site(start: Callable[..., Site]) -> Site:
    """One desk process."""
    return start()


@pytest.fixture
def door(site: Site) -> Iterator[httpx.Client]:
    """A client with the front door's token."""
    with site.client(site.door()) as client:
        yield client


@pytest.fixture
def vendor(site: Site) -> Iterator[httpx.Client]:
    """A client with a vendor's token for community 1001."""
    with site.client(site.vendor()) as client:
        yield client
