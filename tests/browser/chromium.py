"""Debian's Chromium, driven by Playwright, that calls nobody."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, sync_playwright

CHROMIUM = shutil.which("chromium")
QUIET = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
]
"""No sandbox, since tests may run as root; the rest keeps Chromium from calling home, and lets a screen sound as its unit does."""


@contextmanager
def chromium(*more: str) -> Iterator[Browser]:
    """A browser for a while; without Chromium the test is skipped, and says so."""
    if CHROMIUM is None:
        pytest.skip("no Chromium here: apt install chromium")
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *more])
        yield started
        started.close()
