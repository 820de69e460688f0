"""Book now: the desk's own pages on the screen, touched and typed with the screen's own keys, to a code that opens the door."""

from __future__ import annotations

import io
import os
import re
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, expect

from tests.browser.eye import SETTLED, SIZES, Eye, Watch, axe
from tests.browser.test_walk import heard
from tests.kiosk.wall import Kiosk, Wall

pytestmark = pytest.mark.timeout(300)
Play = Callable[..., Any]
TYPED = {"first_name": "ada", "last_name": "lovelace", "email": "ada.l@example.com", "phone": "4155552690"}


@pytest.fixture(scope="module")
def wall(tmp_path_factory: pytest.TempPathFactory, play: Play, browser: Browser) -> Iterator[Wall]:  # noqa: ARG001 - no browser, no wall
    """Knock's stand-in, a desk and an agent."""
    made = Wall(tmp_path_factory.mktemp("wall"))
    play(made.open())
    try:
        play(made.start())
        yield made
    finally:
        play(made.close())


@pytest.fixture(autouse=True)
def _stopped(wall: Wall) -> Iterator[None]:
    yield
    wall.stop_kiosks()


def shown(kiosk: Kiosk, context: BrowserContext) -> Page:
    """A page that offers booking."""
    kiosk.until(lambda state: state["kind"] == "ready" and state["book"]["times"])
    page = context.new_page()
    page.clock.install()
    page.goto(kiosk.url)
    expect(page.locator("#book-open")).to_be_visible()
    return page


def keyed(page: Page, field: str, text: str) -> None:
    """Touch the field and then the screen's own keys."""
    box = framed(page).locator(f'[name="{field}"]')
    box.scroll_into_view_if_needed()
    box.tap()
    keyboard = page.locator("#keyboard")
    expect(keyboard).to_be_visible()
    for letter in text:
        key = keyboard.locator("button", has_text=re.compile(f"^{re.escape(letter)}$", re.IGNORECASE)).first
        if not key.is_visible():
            keyboard.locator("button", has_text=re.compile("^(ABC|123)$")).tap()
        key.tap()


def framed(page: Page) -> FrameLocator:
    """The desk's page, once it has said that it is there: a frame that is not seen is not touched."""
    expect(page.locator("#book iframe")).to_be_visible()
    return page.frame_locator("#book iframe")


def code_on(page: Page) -> str:
    """What a phone sees that photographs the screen."""
    for _ in range(20):  # a frame that was just scrolled is drawn a little later
        found = zxingcpp.read_barcodes(Image.open(io.BytesIO(page.screenshot())).convert("L"))
        if found:
            return str(found[0].text)
    return ""


def test_ok__from_a_touch_to_a_code_that_opens(wall: Wall, play: Play, context: BrowserContext, album: Path | None) -> None:
    """A free time, the desk's form, the screen's keys, the code photographed off the screen: the door opens for it, and nothing stays."""
    kiosk, watch = wall.kiosk(), Watch(context)
    page = shown(kiosk, context)
    eye = Eye({"en": page}, album, is_whole=album is not None)
    page.locator("#time-list button").first.tap()
    frame = framed(page)
    expect(frame.locator("form")).to_be_visible()
    eye.take("book-form")
    page.set_viewport_size({"width": 800, "height": 480})
    for field, text in TYPED.items():
        keyed(page, field, text)
        eye.faults += [f"{field}: {fault}" for fault in axe(page)]
    for field, text in TYPED.items():
        expect(frame.locator(f'[name="{field}"]')).to_have_value(re.compile(f"^{re.escape(text)}$", re.IGNORECASE))
    frame.locator('[name="unit"]').first.check()
    with page.expect_response(lambda answer: "/tour/" in answer.url and answer.request.resource_type == "document"):
        frame.locator("main form button").last.tap()
    expect(frame.locator("h1")).to_have_text("Your tour is booked")
    frame.locator(".qr").scroll_into_view_if_needed()
    eye.take("book-code")
    page.set_viewport_size({"width": 800, "height": 480})
    page.evaluate(SETTLED)
    frame.locator(".qr").scroll_into_view_if_needed()
    code = code_on(page)
    assert code.startswith("TL1:")
    heard(wall.stage, play)
    wall.scan(code)
    assert play(wall.stage.event("admitted", "refused"))["event"] == "admitted"
    page.locator("#book-back").tap()
    expect(page.locator("#book")).to_be_hidden()
    expect(page.locator("#book iframe")).to_have_count(0)
    assert "lovelace" not in page.content().lower()
    assert context.cookies() == []
    assert eye.faults == [], "\n".join(eye.faults)
    assert (watch.outside(), watch.faults()) == ([], [])


def test_ok__the_next_visitor_sees_nothing_of_the_last(wall: Wall, context: BrowserContext) -> None:
    """Left alone, the form asks whether somebody is there, and goes."""
    kiosk = wall.kiosk(book="idle_s = 20")
    page = shown(kiosk, context)
    page.locator("#book-open").tap()
    frame = framed(page)
    with page.expect_response(lambda answer: "/register" in answer.url):
        frame.locator('a[href*="/register"]').first.tap()
    keyed(page, "first_name", "eve")
    page.clock.run_for(12_000)
    expect(page.locator("#book-idle")).to_be_visible()
    for width, height in list(SIZES.values())[:2]:
        page.set_viewport_size({"width": width, "height": height})
        assert axe(page) == []
    page.locator("#book-stay").tap()
    expect(page.locator("#book-idle")).to_be_hidden()
    page.clock.run_for(21_000)
    expect(page.locator("#book")).to_be_hidden()
    page.locator("#book-open").tap()
    with page.expect_response(lambda answer: "/register" in answer.url):
        framed(page).locator('a[href*="/register"]').first.tap()
    expect(framed(page).locator('[name="first_name"]')).to_have_value("")


def test_refused__no_way_out_through_the_desks_pages(wall: Wall, context: BrowserContext) -> None:
    """Their links lead to pages of theirs on the screen and nowhere else; no window, print or download."""
    kiosk, watch = wall.kiosk(), Watch(context)
    page = shown(kiosk, context)
    downloads: list[str] = []
    page.on("download", lambda download: downloads.append(download.url))
    page.locator("#book-open").tap()
    expect(framed(page).locator('a[href*="/register"]').first).to_be_visible()
    inside = next(frame for frame in page.frames if frame != page.main_frame)
    inside.wait_for_load_state("load")
    outcome = inside.evaluate(
        """() => {
          const tried = {};
          tried.window = window.open("http://192.0.2.1/", "_blank") === null;
          try { window.top.location.href = "http://192.0.2.1/"; tried.top = false; } catch { tried.top = true; }
          const link = document.createElement("a");
          link.href = "http://192.0.2.1/"; link.target = "_blank"; link.textContent = "out";
          document.body.append(link); link.click();
          link.removeAttribute("target"); link.click();
          return tried;
        }"""
    )
    assert outcome == {"window": True, "top": True}
    for path in (
        "/staff",
        "/staff/login",
        "/api",
        "/healthz",
        "/other/times",
        "/tour/0123456789abcdef.x/print",
        "//192.0.2.1/",
        "/..//staff",
    ):
        status = inside.evaluate("(path) => fetch(path, {redirect: 'manual'}).then((a) => a.status, () => 0)", path)
        assert status in {0, 404}, path
    assert ([one.url for one in context.pages], downloads) == ([f"{kiosk.url}/"], [])
    assert watch.outside() == []


def test_ok__hidden_while_the_desk_does_not_answer(wall: Wall, play: Play, context: BrowserContext) -> None:
    """Without the desk nothing of booking is shown, and what is open says so; the screen itself is as ever."""
    kiosk = wall.kiosk()
    page = shown(kiosk, context)
    page.locator("#book-open").tap()
    expect(framed(page).locator('a[href*="/register"]').first).to_be_visible()
    play(wall.stage.desk.stop())
    try:
        with page.expect_response(lambda answer: "/register" in answer.url):
            framed(page).locator('a[href*="/register"]').first.tap()
        expect(framed(page).locator("h1")).to_have_text("The booking pages do not answer just now")
        assert axe(page) == []
        page.goto(wall.kiosk().url)
        expect(page.locator("html")).to_have_attribute("data-kind", "ready")
        expect(page.locator("#help-open")).to_be_visible()
        for name in ("#book-open", "#times"):
            expect(page.locator(name)).to_be_hidden()
    finally:
        play(wall.stage.desk.start())


def lost(page: Page, said: str, text: str) -> None:
    """The page's own words stand where the frame was: it is gone, and nothing of the browser's own is seen."""
    expect(page.locator("#book-lost")).to_be_visible()
    expect(page.locator("#book-lost-title")).to_have_text(said)
    expect(page.locator("#book-lost-text")).to_have_text(text)
    expect(page.locator("#book iframe")).to_have_count(0)
    for _ in range(100):  # the driver hears a little later that a frame is gone
        if len(page.frames) == 1:
            break
        page.evaluate("new Promise((done) => requestAnimationFrame(done))")
    assert [frame.url for frame in page.frames if frame.url != page.url] == []


AWAY = ("The booking pages do not answer just now", "Please try again in a minute, or book on your phone.")
UNKNOWN = ("We do not know whether this was done", "Look in your email before you try again.")


def test_ok__a_touch_while_the_kiosk_is_gone_is_answered_by_the_page(wall: Wall, context: BrowserContext, album: Path | None) -> None:
    """A time is touched, and nobody is there: the page says so in its own words; with the kiosk booking comes back, from the times on."""
    kiosk, watch = wall.kiosk(), Watch(context)
    page = shown(kiosk, context)
    eye = Eye({"en": page}, album, is_whole=album is not None)
    page.locator("#book-open").tap()
    expect(framed(page).locator('a[href*="/register"]').first).to_be_visible()
    kiosk.kill()
    framed(page).locator('a[href*="/register"]').first.tap()
    page.clock.run_for(5000)
    lost(page, *AWAY)
    eye.take("book-lost")
    page.locator("#book-again").tap()
    page.clock.run_for(5000)
    lost(page, *AWAY)
    kiosk.start()
    page.locator("#book-again").tap()
    expect(framed(page).locator('a[href*="/register"]').first).to_be_visible()
    expect(page.locator("#book-lost")).to_be_hidden()
    assert eye.faults == [], "\n".join(eye.faults)
    assert watch.outside() == []


def test_ok__a_page_that_nobody_touches_goes_with_the_kiosk(wall: Wall, context: BrowserContext) -> None:
    """A kiosk that is gone for a moment costs nobody what was typed; one that stays away takes the frame with it."""
    kiosk = wall.kiosk()
    page = shown(kiosk, context)
    page.locator("#time-list button").first.tap()
    keyed(page, "first_name", "eve")
    kiosk.kill()
    page.wait_for_function("() => Kiosk.state === null")
    page.clock.run_for(2000)
    expect(framed(page).locator('[name="first_name"]')).to_have_value("Eve")
    page.clock.run_for(4000)
    lost(page, *AWAY)
    page.locator("#book-back").tap()
    expect(page.locator("html")).to_have_attribute("data-kind", "starting")


def test_fail__a_form_that_is_on_its_way_when_the_kiosk_goes_may_have_been_done(wall: Wall, context: BrowserContext) -> None:
    """Nobody knows what became of it: that is said, and nothing is there that sends anything again."""
    kiosk = wall.kiosk()
    page = shown(kiosk, context)
    page.locator("#time-list button").first.tap()
    expect(framed(page).locator("main form button").last).to_be_visible()
    heard_words = page.evaluate_handle(
        "() => { const all = []; addEventListener('message', (event) => all.push(event.data)); return all; }"
    )
    os.kill(kiosk.pid, signal.SIGSTOP)
    framed(page).locator("main form button").last.tap()
    page.wait_for_function("(words) => words.includes('sent')", arg=heard_words)
    kiosk.kill()
    page.clock.run_for(5000)
    lost(page, *UNKNOWN)
    expect(page.locator("#book-again")).to_be_hidden()


def test_fail__a_page_that_does_not_say_that_it_is_ours_is_not_shown(wall: Wall, context: BrowserContext) -> None:
    """Whatever else the browser puts into the frame, the kiosk being there all the while."""
    page = shown(wall.kiosk(), context)
    page.route("**/juniper-flats/times**", lambda route: route.fulfill(body="<h1>not ours</h1>", content_type="text/html"))
    page.locator("#book-open").tap()
    expect(page.frame_locator("#book iframe").locator("h1")).to_have_count(1)
    expect(page.locator("#book iframe")).to_be_hidden()
    page.clock.run_for(5000)
    lost(page, *AWAY)


def test_ok__the_desks_pages_are_dark_by_night(wall: Wall, context: BrowserContext, album: Path | None) -> None:
    """As the screen around them is, with contrast enough; by day they are light, whatever the browser likes better."""
    night = wall.kiosk(look='dark_from = "00:01"\ndark_to = "00:00"')
    page = shown(night, context)
    eye = Eye({"en": page}, album, is_whole=album is not None)
    page.locator("#book-open").tap()
    expect(framed(page).locator("body")).to_have_css("background-color", "rgb(18, 23, 21)")
    eye.take("night-book-times", ("800x480", "480x800"))
    page.set_viewport_size({"width": 800, "height": 480})
    framed(page).locator('a[href*="/register"]').first.tap()
    expect(framed(page).locator("form")).to_be_visible()
    expect(framed(page).locator("body")).to_have_css("background-color", "rgb(18, 23, 21)")
    eye.take("night-book-form", ("800x480",))
    other = shown(wall.kiosk(), context)
    other.emulate_media(color_scheme="dark")
    other.locator("#book-open").tap()
    expect(framed(other).locator("body")).to_have_css("background-color", "rgb(245, 241, 232)")
    assert eye.faults == [], "\n".join(eye.faults)


def test_ok__whoever_comes_too_late_books_on_the_spot(wall: Wall, play: Play, context: BrowserContext) -> None:
    """The refusal offers the next free times, and one touch leads to its form; without the desk it names the website, and offers none."""
    kiosk = wall.kiosk()
    page = shown(kiosk, context)
    wall.scan(wall.code(801, from_ms=-9_000_000, to_ms=-7_200_000))
    expect(page.locator("html")).to_have_attribute("data-kind", "refused")
    expect(page.locator("#text")).to_have_text("Choose a new time here.")
    page.locator("#time-list button").first.tap()
    expect(framed(page).locator('[name="first_name"]')).to_be_visible()
    play(wall.stage.desk.stop())
    try:
        other = wall.kiosk()
        page.goto(other.url)
        expect(page.locator("html")).to_have_attribute("data-kind", "ready")
        wall.scan(wall.code(802, from_ms=-9_000_000, to_ms=-7_200_000))
        expect(page.locator("#text")).to_have_text("Book a new time on the website.")
        for name in ("#book-open", "#times"):
            expect(page.locator(name)).to_be_hidden()
    finally:
        play(wall.stage.desk.start())
