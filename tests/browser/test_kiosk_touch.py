"""What is touched on a door's screen: the PIN pad, the call for help, staff's part, the language; and that no touch leads out of it."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from agent.store import files
from tests.browser.eye import SIZES, Eye, Watch
from tests.browser.test_walk import book, heard, pin_on
from tests.kiosk.wall import STAFF_PIN, Kiosk, Wall

pytestmark = pytest.mark.timeout(300)
Play = Callable[..., Any]
PHONES = iter(f"(415) 555-26{number:02d}" for number in range(80, 100))


@pytest.fixture
def screen(wall: Wall, play: Play, context: BrowserContext) -> Callable[..., tuple[Kiosk, Page, Watch]]:
    """A page that shows a kiosk of its own, ready, beside an agent that was just started."""

    def show(*, guesses: int = 100, **options: str) -> tuple[Kiosk, Page, Watch]:
        play(wall.start(guesses=guesses))
        kiosk, watch = wall.kiosk(**options), Watch(context)
        kiosk.until(lambda state: state["kind"] == "ready" and state["can_book"])
        page = context.new_page()
        page.clock.install()
        page.goto(kiosk.url)
        expect(page.locator("html")).to_have_attribute("data-kind", "ready")
        return kiosk, page, watch

    return show


def a_pin(wall: Wall, play: Play, browser: Browser) -> str:
    """The PIN of a tour that was just booked at the desk, once the door knows it."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, locale="en-US")
    context.set_default_timeout(20_000)
    try:
        page = context.new_page()
        book(page, wall.stage, "Ada", next(PHONES))
        pin = pin_on(page)
    finally:
        context.close()
    heard(wall.stage, play)
    return pin


def typed(page: Page, digits: str) -> None:
    """Touch the keys, wherever they stand."""
    for digit in digits:
        page.locator("#keys").get_by_role("button", name=digit, exact=True).tap()


def test_ok__a_pin_opens_the_relay_and_is_seen_nowhere(wall: Wall, play: Play, browser: Browser, screen: Any, album: Path | None) -> None:  # noqa: ANN401 - a callable
    """Eight touches, and the door is open; the digits were in no element, address, request but the one, console, log or journal."""
    kiosk, page, watch = screen()
    pin = a_pin(wall, play, browser)
    page.locator("#pin-open").tap()
    eye = Eye({"en": page}, album, is_whole=album is not None)
    seen = []
    began_ns = time.monotonic_ns()
    for count, digit in enumerate(pin, 1):
        typed(page, digit)
        if count < len(pin):
            expect(page.locator("#dots .is-typed")).to_have_count(count)
            seen.append(
                page.evaluate("document.body.innerText + JSON.stringify([...document.querySelectorAll('input')].map((one) => one.value))")
            )
        if count == 3:  # a look at a pad half typed
            eye.take("pad")
    if page.locator("#pad").is_visible() and page.locator("#keys").get_by_role("button", name="OK").count():
        page.locator("#keys").get_by_role("button", name="OK").tap()
    expect(page.locator("html")).to_have_attribute("data-kind", "welcome")
    play(wall.stage.relay_record("released", began_ns))
    expect(page.locator("#pad")).to_be_hidden()
    everywhere = [
        page.content(),
        page.url,
        *watch.asked,
        *watch.said,
        *seen,
        kiosk.log(),
        wall.stage.agent_log(),
        *page.evaluate("Object.values(localStorage)"),
    ]
    everywhere.append(
        (wall.folder / "journal.db").read_bytes().decode("latin-1") + (wall.folder / "journal.db-wal").read_bytes().decode("latin-1")
    )
    assert [number for number, text in enumerate(everywhere) if pin in text or pin[:4] + " " + pin[4:] in text] == []
    assert eye.faults == [], "\n".join(eye.faults)
    assert (watch.outside(), watch.faults()) == ([], [])


def test_ok__the_pad_clears_itself(screen: Any) -> None:  # noqa: ANN401 - a callable
    """What was typed and left is gone after its time, and after a while the pad, too."""
    _, page, _ = screen(pad="clear_s = 5\nshuffled = true")
    orders = set()
    for _ in range(3):
        page.locator("#pin-open").tap()
        orders.add(page.locator("#keys").inner_text())
        page.locator("#pad [data-close]").tap()
    assert len(orders) > 1  # ten digits in one order three times: once in 10**13
    page.locator("#pin-open").tap()
    typed(page, "123")
    expect(page.locator("#dots .is-typed")).to_have_count(3)
    page.clock.run_for(5100)
    expect(page.locator("#dots .is-typed")).to_have_count(0)
    page.clock.run_for(5100)
    expect(page.locator("#pad")).to_be_hidden()


def test_refused__wrong_pins_lock_the_pad_and_nothing_else(wall: Wall, play: Play, screen: Any) -> None:  # noqa: ANN401 - a callable
    """After so many no PIN can be typed for a while, and the pad says until when; tour codes are asked for, and open."""
    kiosk, page, watch = screen(guesses=2, look="welcome_s = 3\nrefused_s = 5")
    for pin in ("13572468", "24681357"):
        page.locator("#pin-open").tap()
        typed(page, pin)
        ok = page.locator("#keys").get_by_role("button", name="OK")
        if page.locator("#pad").is_visible() and ok.count():
            ok.tap()
        expect(page.locator("html")).to_have_attribute("data-kind", "refused")
        expect(page.locator("#pad")).to_be_hidden()
        kiosk.until(lambda state: state["kind"] != "refused")
    kiosk.until(lambda state: state["kind"] == "ready" and state["pin"]["locked_to_ms"] is not None)
    assert kiosk.state()["pin"]["locked_to_ms"] > kiosk.state()["now_ms"]
    expect(page.locator("html")).to_have_attribute("data-kind", "ready")
    page.locator("#pin-open").tap()
    expect(page.locator("#pad-said")).to_have_text("No PIN is taken for a while. Show your tour code instead.")
    expect(page.locator("#pad-text")).to_have_text(re.compile(r"Again in \d+:\d\d"))
    expect(page.locator("#keys button:enabled")).to_have_count(0)
    wall.scan(wall.code(500))
    play(wall.stage.event("admitted"))
    expect(page.locator("html")).to_have_attribute("data-kind", "welcome")
    assert watch.faults() == []


def test_ok__a_call_for_help_is_journaled_once(wall: Wall, play: Play, screen: Any, album: Path | None) -> None:  # noqa: ANN401 - a callable
    """The number stands there, the agent hears of it, and a second call within the half minute is none."""
    _, page, watch = screen()
    eye = Eye({"en": page}, album, is_whole=album is not None)
    wall.forget()
    for _ in range(2):
        page.locator("#help-open").tap()
        expect(page.locator("#help")).to_contain_text("+1 555 0100")
        page.locator("#help-call").tap()
        expect(page.locator("#help-said")).not_to_be_empty()
        eye.take("help")
        page.locator("#help [data-close]").tap()
    assert play(wall.stage.event("help_called"))["door"] == "front"
    assert [event["event"] for event in wall.forget() if event["event"] == "help_called"] == []
    assert eye.faults == [], "\n".join(eye.faults)
    assert watch.faults() == []


def test_ok__staff_see_and_unlock_with_their_pin(wall: Wall, play: Play, screen: Any, album: Path | None) -> None:  # noqa: ANN401 - a callable
    """A wrong PIN shows nothing; the right one today's tours and events; an unlock has a reason and moves the relay."""
    _, page, watch = screen(look="welcome_s = 3\nrefused_s = 5")
    wall.scan(wall.code(600))
    play(wall.stage.event("admitted"))
    play(wall.stage.event("locked"))
    page.locator("#staff-open").tap()
    typed(page, "975318")
    page.locator("#keys").get_by_role("button", name="OK").tap()
    expect(page.locator("#pad-said")).to_have_text("This is not staff's PIN.")
    typed(page, STAFF_PIN)
    page.locator("#keys").get_by_role("button", name="OK").tap()
    expect(page.locator("#staff")).to_be_visible()
    expect(page.locator("#staff-events li").first).to_be_visible()
    expect(page.locator("#staff-events")).to_contain_text("Tour let in")
    for told in page.locator("#staff-events li").all_inner_texts():
        assert re.search(r"[AP]M\s*[A-Z]", told), f"a kind of the journal's without a name: {told}"
    eye = Eye({"en": page}, album, is_whole=album is not None)
    eye.take("staff")
    began_ns = time.monotonic_ns()
    page.locator("#staff-unlock").tap()
    eye.take("staff-reasons")
    page.locator("#staff-reasons [data-reason]").first.tap()
    play(wall.stage.relay_record("released", began_ns))
    expect(page.locator("#staff-said")).to_have_text("The door is unlocked for a moment.")
    page.locator("#staff-lock").tap()
    expect(page.locator("#staff-reasons-title")).to_have_text("Why is the door locked?")
    page.get_by_role("button", name="Somebody who should not be here").tap()
    expect(page.locator("#staff-said")).to_have_text("The door is locked.")
    locks = [json.loads(row["detail"]) for row in files.rows(wall.folder / "journal.db", "SELECT detail FROM journal WHERE kind = 'lock'")]
    assert locks == [{"user": "screen", "reason": "Somebody who should not be here"}]
    page.locator("#staff [data-close]").tap()
    expect(page.locator("#staff-events li")).to_have_count(0)
    assert STAFF_PIN not in page.content()
    assert eye.faults == [], "\n".join(eye.faults)
    assert (watch.outside(), watch.faults("status of 409")) == ([], [])


def test_ok__the_language_is_one_touch(screen: Any) -> None:  # noqa: ANN401 - a callable
    """Everything that can be read changes, and back; the page is marked for screen readers."""
    _, page, _ = screen()
    said = []
    for language in ("es", "en"):
        page.locator(f'[data-language="{language}"]').tap()
        expect(page.locator("html")).to_have_attribute("lang", language)
        expect(page.locator("#title")).to_have_text({"es": "Escanee su código de visita", "en": "Scan your tour code"}[language])
        said.append(page.locator("footer button").all_inner_texts())
    assert all(one != other for one, other in zip(*said, strict=True))


def test_refused__no_touch_leads_out_of_the_page(context: BrowserContext, screen: Any) -> None:  # noqa: ANN401 - a callable
    """No link, menu, drag, selection, zoom, window or download: after all of it the same page is there, and it alone."""
    _, page, watch = screen()
    place = page.url
    assert page.locator("a[href], form, [target], [download], [contenteditable]").count() == 0
    said = page.evaluate(
        """() => ["contextmenu", "dragstart", "selectstart", "gesturestart"].filter((name) => {
          const event = new Event(name, {bubbles: true, cancelable: true});
          document.querySelector("#title").dispatchEvent(event);
          return !event.defaultPrevented;
        })"""
    )
    assert said == []
    for width, height in list(SIZES.values())[:2]:
        page.set_viewport_size({"width": width, "height": height})
        long_press(page, width // 2, height // 2)
        swipe(page, (width // 2, height - 5), (width // 2, 5))
        swipe(page, (2, height // 2), (width - 5, height // 2))
        pinch(page, width // 2, height // 2)
    for key in ("F5", "F11", "Control+r", "Control+n", "Control+t", "Control+l", "Alt+ArrowLeft", "Control+p", "Control+j", "Control+u"):
        page.keyboard.press(key)
    page.mouse.click(400, 200, button="right")
    assert page.evaluate("[getSelection().toString(), visualViewport.scale, scrollX, scrollY, history.length > 2]") == ["", 1, 0, 0, False]
    expect(page.locator("html")).to_have_attribute("data-kind", "ready")
    assert ([one.url for one in context.pages], watch.outside(), watch.faults()) == ([place], [], [])
    assert page.evaluate("getComputedStyle(document.body).cursor") == "none"


def long_press(page: Page, x: int, y: int) -> None:
    """A finger that stays."""
    touch = page.context.new_cdp_session(page)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    page.wait_for_timeout(900)
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    touch.detach()


def swipe(page: Page, start: tuple[int, int], end: tuple[int, int]) -> None:
    """A finger over the glass."""
    touch = page.context.new_cdp_session(page)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": start[0], "y": start[1]}]})
    for step in range(1, 9):
        x, y = (one + (other - one) * step / 8 for one, other in zip(start, end, strict=True))
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x, "y": y}]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    touch.detach()


def pinch(page: Page, x: int, y: int) -> None:
    """Two fingers apart."""
    touch = page.context.new_cdp_session(page)
    for step in range(8):
        points = [{"x": x - 10 - step * 10, "y": y, "id": 0}, {"x": x + 10 + step * 10, "y": y, "id": 1}]
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove" if step else "touchStart", "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    touch.detach()
