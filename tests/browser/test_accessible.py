"""Every page, in both languages, light and dark, on a phone and on a desktop: axe finds nothing, and nothing is wider than the screen.

With SCREENS=folder a screenshot of each is kept there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, Page

from agent.demo.front_desk import STAFF_NAME
from agent.demo.stage import Stage

pytestmark = pytest.mark.timeout(300)  # fifteen pages a look, each searched by axe
Play = Callable[..., Any]
LOOKS: dict[str, dict[str, Any]] = {
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "is_mobile": True, "has_touch": True, "locale": "en-US"},
    "desktop-dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark", "locale": "en-US"},
    "small-phone-es": {"viewport": {"width": 320, "height": 640}, "is_mobile": True, "has_touch": True, "locale": "es-US"},
    "desktop-es": {"viewport": {"width": 1280, "height": 800}, "locale": "es-MX"},
}
PHONES = iter(f"(415) 555-27{number:02d}" for number in range(100))


@pytest.fixture(params=LOOKS, scope="module")
def look(request: pytest.FixtureRequest, browser: Browser) -> Iterator[tuple[str, Page]]:
    """A page in one of the looks."""
    context = browser.new_context(**LOOKS[request.param])
    context.set_default_timeout(20_000)
    yield request.param, context.new_page()
    context.close()


class Camera:
    """Looks at a page as axe and as a person would, and remembers what is wrong with it."""

    def __init__(self, look: str, page: Page, album: Path | None) -> None:
        self._look = look
        self._page = page
        self._album = album
        self.names: list[str] = []
        self.faults: list[str] = []

    def take(self, name: str) -> None:
        """The page as it is now, under this name."""
        page = self._page
        self.names.append(name)
        for violation in Axe().run(page, options={}).response["violations"]:
            where = [node["target"] for node in violation["nodes"]]
            self.faults.append(f"{self._look} {name}: {violation['id']}: {violation['help']} at {where}")
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            self.faults.append(f"{self._look} {name}: wider than the screen")
        if self._album is not None:
            page.screenshot(path=self._album / f"{name}-{self._look}.png", full_page=True)


def _follow(place: Locator) -> None:
    """Click on it, and go on when the page that it leads to is there whole: axe cannot search half a page."""
    with place.page.expect_navigation(wait_until="load"):
        place.click()


def _register(page: Page, number: int, **other: str) -> None:
    """Fill the form for a free time and send it; fields by their names, since the language differs."""
    _follow(page.locator('a[href*="/times"]').first)
    _follow(page.locator('a[href*="/register"]').nth(number))
    phone = next(PHONES)
    typed = {"first_name": "Wilhelmina", "last_name": "Featherstonehaugh-Example", "email": f"w{phone[-2:]}@example.com", "phone": phone}
    for name, value in {**typed, **other}.items():
        page.locator(f'[name="{name}"]').fill(value)
    page.locator('[name="unit"]').first.check()


def _send(page: Page) -> None:
    _follow(page.locator("main form button").last)


def test_ok__every_page_of_a_prospect(site: Stage, play: Play, look: tuple[str, Page], album: Path | None) -> None:
    """From the landing page to the cancelled tour, and what goes wrong on the way."""
    name, page = look
    camera = Camera(name, page, album)
    home = f"{site.desk.url}/juniper-flats"
    page.goto(home)
    camera.take("landing")
    _follow(page.locator('a[href*="/times"]').first)
    camera.take("times")
    _follow(page.locator('a[href*="/register"]').first)
    camera.take("register")
    page.goto(home)
    _register(page, 3, email="nobody", phone="12")
    _send(page)
    camera.take("register-mistakes")
    page.goto(home)
    _register(page, 3)
    play(site.admin("PUT", "/faults/*", {"kind": "status", "status": 403}))
    _send(page)
    play(site.admin("DELETE", "/faults"))
    camera.take("register-unreached")
    _send(page)
    camera.take("confirmed")
    tour = page.url
    _follow(page.locator('a[href*="/print"]').first)
    camera.take("print")
    page.goto(tour)
    _follow(page.locator('a[href*="/move"]').first)
    camera.take("move")
    _follow(page.locator('a[href*="start="]').nth(4))
    camera.take("move-confirm")
    _send(page)
    _follow(page.locator('a[href*="/cancel"]').first)
    camera.take("cancel")
    _send(page)
    camera.take("cancelled")
    page.goto(home)
    _register(page, 5)
    play(site.admin("PUT", "/faults/request", {"kind": "lost", "count": 1}))
    _send(page)
    camera.take("unknown")
    page.goto(f"{site.desk.url}/tour/0123456789abcdef.{'A' * 22}")
    camera.take("wrong-link")
    page.goto(f"{site.desk.url}/nowhere/at/all")
    camera.take("not-found")
    page.goto(f"{site.desk.url}/api")
    camera.take("api")
    assert camera.faults == []


def test_ok__every_page_of_the_staff(site: Stage, look: tuple[str, Page], album: Path | None) -> None:
    """The log-in, the day, one tour, the times to move it to, doors and dead letters."""
    name, page = look
    camera = Camera(name, page, album)
    page.goto(f"{site.desk.url}/juniper-flats")
    _register(page, 0)
    _send(page)
    booking = page.url.rsplit("/tour/", 1)[1].split(".")[0]
    page.goto(f"{site.desk.url}/staff")
    if "/login" in page.url:
        camera.take("staff-login")
        page.locator('[name="name"]').fill(STAFF_NAME)
        page.locator('[name="password"]').fill(site.desk.staff_password)
        _send(page)
    day = page.url
    camera.take("staff-day")
    _follow(page.locator(f'a[href*="/tour/{booking}"]').first)
    camera.take("staff-tour")
    _follow(page.locator('a[href*="/move"]').first)
    camera.take("staff-move")
    for part in ("doors", "letters"):
        page.goto(f"{day.split('?')[0]}/{part}")
        camera.take(f"staff-{part}")
    assert camera.faults == []
