"""A real browser in front of a real desk: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from agent.demo.stage import COMMUNITY, Stage
from tests.browser.chromium import chromium
from tests.kiosk.wall import Wall

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 800}
Play = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for a module; without Chromium these tests are skipped, and say so."""
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, play: Play, browser: Browser) -> Iterator[Stage]:  # noqa: ARG001 - no browser, no site
    """Knock's stand-in, a desk and an agent at the front door that hears of the desk's changes."""
    # two days of free times: axe looks at each of them
    community = dataclasses.replace(COMMUNITY, days_ahead=2)
    made = Stage(tmp_path_factory.mktemp("site"), community=community, replace={"pulse_s = 0.5": "pulse_s = 0.1"}, has_desk=True)
    play(made.open())
    try:
        play(made.start_desk())
        play(made.start_agent())
        yield made
    finally:
        play(made.close())


@pytest.fixture
def phone(browser: Browser) -> Iterator[Page]:
    """A page on a phone, in English, that may run no script."""
    yield from _page(
        browser, viewport=PHONE, device_scale_factor=2, is_mobile=True, has_touch=True, locale="en-US", java_script_enabled=False
    )


@pytest.fixture
def scripted(browser: Browser) -> Iterator[Page]:
    """A page on a phone that runs scripts, as axe needs it."""
    yield from _page(browser, viewport=PHONE, device_scale_factor=2, is_mobile=True, has_touch=True, locale="en-US")


@pytest.fixture(scope="module")
def wall(tmp_path_factory: pytest.TempPathFactory, play: Play, browser: Browser) -> Iterator[Wall]:  # noqa: ARG001 - no browser, no wall
    """Knock's stand-in and a desk; no agent yet."""
    made = Wall(tmp_path_factory.mktemp("wall"))
    play(made.open())
    try:
        yield made
    finally:
        play(made.close())


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A touch screen of the smallest size."""
    made = browser.new_context(has_touch=True, viewport={"width": 800, "height": 480}, locale="en-US", reduced_motion="reduce")
    made.set_default_timeout(20_000)
    yield made
    made.close()


@pytest.fixture(scope="session")
def album() -> Path | None:
    """Where screenshots are kept: the folder that SCREENS names, if it does."""
    named = os.environ.get("SCREENS")
    if not named:
        return None
    folder = Path(named)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _page(browser: Browser, **options: Any) -> Iterator[Page]:  # noqa: ANN401 - Playwright's options
    context: BrowserContext = browser.new_context(timezone_id="America/New_York", **options)
    context.set_default_timeout(20_000)
    page = context.new_page()
    yield page
    context.close()
