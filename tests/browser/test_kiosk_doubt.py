"""The screen when somebody leaves early, answers late or not at all: what it says stays true. Beside a played agent."""

from __future__ import annotations

import os
import secrets
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser.eye import FAULTS, SETTLED, SIZES, TEXT_VMIN, TITLE_VMIN, TOUCH_PX
from tests.kiosk.played_agent import PlayedAgent
from tests.kiosk.wall import Kiosk

pytestmark = pytest.mark.timeout(300)
Play = Callable[..., Any]
PIN, STAFF = "40170236", "739164"
LATE_MS = 31_000
"""Longer than a page waits for a server that holds its answer back."""


class Site:
    """The played agent, and kiosks beside it."""

    def __init__(self, folder: Path, play: Play, context: BrowserContext) -> None:
        self.folder, self.play, self.context = folder, play, context
        self.agent = PlayedAgent(folder / "agent.sock")
        self.said: list[str] = []
        context.on("weberror", lambda error: self.said.append(str(error.error)))
        self._kiosks: list[Kiosk] = []

    def kiosk(self, more: str = "", *, top: str = "", look: str = "welcome_s = 60\nrefused_s = 120") -> Kiosk:
        """One, started and ready."""
        text = f'door = "front"\nagent_socket = "{self.agent.path}"\ntime_zone = "America/Los_Angeles"\n{top}\n[look]\n{look}\n'
        made = Kiosk(self.folder / f"kiosk-{len(self._kiosks)}", f"{text}[pin_pad]\n[staff]\n{more}")
        self._kiosks.append(made)
        made.start()
        made.until(lambda state: state["kind"] == "ready")
        return made

    def page(self, kiosk: Kiosk) -> Page:
        """A page that shows it, whose clock can be wound on."""
        page = self.context.new_page()
        page.clock.install()
        page.goto(kiosk.url)
        expect(page.locator("html")).to_have_attribute("data-kind", "ready")
        return page

    def tell(self, event: str, **facts: Any) -> None:  # noqa: ANN401 - an event's facts
        """Something happens at the door."""
        self.play(self.agent.tell(event, door="front", **facts))

    def close(self) -> None:
        """Stop everything."""
        for kiosk in self._kiosks:
            kiosk.stop()
        self.play(self.agent.stop())


@pytest.fixture
def site(play: Play, browser: Browser, tmp_path: Path) -> Iterator[Site]:
    """An agent that answers, and a touch screen."""
    context = browser.new_context(has_touch=True, viewport={"width": 800, "height": 480}, locale="en-US", reduced_motion="reduce")
    context.set_default_timeout(20_000)
    made = Site(tmp_path, play, context)
    play(made.agent.start())
    try:
        yield made
        assert made.said == []
    finally:
        context.close()
        made.close()


def typed(page: Page, digits: str) -> None:
    """Touch the keys."""
    for digit in digits:
        page.locator("#keys").get_by_role("button", name=digit, exact=True).tap()


@contextmanager
def hung(kiosk: Kiosk) -> Iterator[None]:
    """The kiosk's process stands still."""
    os.kill(kiosk.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(kiosk.pid, signal.SIGCONT)


@pytest.mark.parametrize("leaves", ["back", "fire", "back and again"])
def test_refused__an_answer_to_staff_who_left_opens_nothing(site: Site, leaves: str) -> None:
    """Whoever went back, or had to leave for fire, leaves no staff's panel to the next visitor; a pad opened anew is not told of it."""
    page = site.page(site.kiosk())
    held: list[Any] = []
    page.route("**/screen/staff", lambda route: held.append(route))  # noqa: PLW0108 - Playwright marks its handlers
    page.locator("#staff-open").tap()
    typed(page, STAFF)
    with page.expect_request("**/screen/staff"):
        page.locator("#keys").get_by_role("button", name="OK").tap()
    if leaves == "fire":
        site.agent.door["fire"] = True
        site.tell("fire")
        expect(page.locator("html")).to_have_attribute("data-kind", "fire")
    else:
        page.locator("#pad [data-close]").tap()
    expect(page.locator("#pad")).to_be_hidden()
    if leaves == "back and again":
        page.locator("#staff-open").tap()
    with page.expect_response("**/screen/staff"):
        held[0].continue_()
    page.evaluate("new Promise((done) => setTimeout(done))")
    expect(page.locator("#staff")).to_be_hidden()
    assert page.evaluate("document.querySelectorAll('dialog[open]').length") == (1 if leaves == "back and again" else 0)
    assert page.locator("#staff-events li").count() == 0


def test_ok__staff_who_wait_see_their_panel(site: Site) -> None:
    """The same answer, to somebody who is there."""
    page = site.page(site.kiosk())
    page.locator("#staff-open").tap()
    typed(page, STAFF)
    page.locator("#keys").get_by_role("button", name="OK").tap()
    expect(page.locator("#staff")).to_be_visible()


def test_ok__that_a_door_does_not_answer_is_said_of_the_pin_that_it_is_true_of(site: Site) -> None:
    """Of one that nothing came of; neither of the one that was answered nor of the next one, half typed."""
    site.agent.answers["screen_pin"] = {"ok": True, "taken": True}
    page = site.page(site.kiosk(look="welcome_s = 3\nrefused_s = 5"))
    page.locator("#pin-open").tap()
    with page.expect_response("**/screen/pin") as answered:
        typed(page, PIN)
    answered.value.finished()
    page.evaluate("new Promise((done) => setTimeout(done))")
    page.clock.run_for(5100)
    expect(page.locator("#pad-said")).to_have_text("The door does not answer just now. Please try again.")

    typed(page, PIN)
    expect(page.locator("#pad-said")).to_have_text("Your PIN is being checked.")
    site.tell("refused", reason="wrong_pin", reader="front-screen", doors=[], time_ms=None)
    expect(page.locator("#pad")).to_be_hidden()
    page.locator("#pin-open").tap()
    typed(page, PIN[:3])
    page.clock.run_for(5100)
    expect(page.locator("#dots .is-typed")).to_have_count(3)
    expect(page.locator("#pad-said")).to_have_text("")


def test_ok__an_answer_is_over_when_its_time_is_though_nobody_says_so(site: Site) -> None:
    """A kiosk that hangs does not leave "come in" on the wall, and does not bring it back."""
    kiosk = site.kiosk(look="welcome_s = 10")
    page = site.page(kiosk)
    site.tell("admitted", units=["101"], doors=[])
    expect(page.locator("html")).to_have_attribute("data-kind", "welcome")
    with hung(kiosk):
        page.clock.run_for(14_000)
        expect(page.locator("html")).to_have_attribute("data-kind", "starting")
    expect(page.locator("html")).not_to_have_attribute("data-kind", "starting")


def test_ok__a_server_that_hangs_is_seen_at_once(site: Site) -> None:
    """The first poll that is not answered in time is a failure, and not only the second."""
    kiosk = site.kiosk()
    page = site.page(kiosk)
    with hung(kiosk):
        page.clock.run_for(LATE_MS)
        expect(page.locator("html")).to_have_attribute("data-kind", "starting")
    page.clock.run_for(3000)
    expect(page.locator("html")).to_have_attribute("data-kind", "ready")


def test_ok__a_welcome_is_no_invitation_once_the_door_is_locked(site: Site) -> None:
    """The colour of "come in" and its sentence go with the release; where to go stays."""
    page = site.page(site.kiosk('[[way]]\nunit = "101"\nwords = "Straight on"\n'))
    site.agent.door["lock"] = "released"
    site.tell("admitted", units=["101"], doors=[])
    expect(page.locator("html")).to_have_attribute("data-tone", "good")
    expect(page.locator("#text")).to_have_text("The door is unlocked. Come in.")
    site.agent.door["lock"] = "locked"
    site.tell("locked")
    expect(page.locator("#title")).to_have_text("The door is locked again")
    expect(page.locator("#text")).to_have_text("Scan your code again if you are still outside.")
    expect(page.locator('.picture[data-picture="locked_again"]')).to_be_visible()
    expect(page.locator("#pin-open")).to_be_visible()
    expect(page.locator("html")).not_to_have_attribute("data-tone", "good")
    expect(page.locator("#unit-list li")).to_have_text("101Straight on")
    site.tell("locked_by_staff")
    expect(page.locator("html")).to_have_attribute("data-kind", "ready")


@pytest.mark.parametrize(
    ("more", "top", "button", "said"),
    [
        ("[help]\n", 'help_phone = "+1 555 0100"', "Leave a note", "It is noted, but nobody is told at once. Please call us."),
        ("[help]\n", "", "Leave a note", "It is noted, but nobody is told at once."),
        (
            '[help]\nwebhook_url_file = "{hook}"\n',
            'help_phone = "+1 555 0100"',
            "Tell our staff",
            "Our staff have not been reached yet. Please call us.",
        ),
    ],
    ids=["the journal alone", "without a number", "a webhook that is away"],
)
def test_ok__help_says_what_became_of_it(site: Site, more: str, top: str, button: str, said: str) -> None:
    """Nobody is told that staff know of it when they do not."""
    hook = site.folder / "hook"
    hook.touch(0o600)
    hook.write_text("http://127.0.0.1:1/\n", "ascii")
    page = site.page(site.kiosk(more.format(hook=hook), top=top))
    page.locator("#help-open").tap()
    expect(page.locator("#help-call")).to_contain_text(button)
    page.locator("#help-call").tap()
    expect(page.locator("#help-said")).to_have_text(said)


def test_fail__a_device_whose_token_is_another_one_by_now_says_so(site: Site) -> None:
    """It was in, and is not any more: nothing is left of the picture, and the page says how to come in. So does one with a broken token."""
    token = site.folder / "token"
    token.touch(0o600)
    token.write_text(secrets.token_hex(32), "ascii")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    kiosk = site.kiosk(f'[remote]\nport = {port}\ntoken_file = "{token}"\n')
    page = site.context.new_page()
    page.goto(f"http://127.0.0.1:{port}/#{token.read_text('ascii')}")
    expect(page.locator("html")).to_have_attribute("data-kind", "ready")
    token.write_text(secrets.token_hex(32), "ascii")
    kiosk.stop()
    kiosk.start()
    expect(page.locator("#title")).to_have_text("This screen is not open to this device")
    for broken in ("%zz", "%", "\u00e9%C3"):
        other = site.context.new_page()
        other.goto(f"http://127.0.0.1:{port}/#{broken}")
        expect(other.locator("#title")).to_have_text("This screen is not open to this device")


LONG = 'help_phone = "+1 (555) 010-0100 - 123456 (24)(1234567)"'
NAME = "The Residences at Juniper Flats and Meadowbrook Commons, a Community of Homes 55"
WAY = "Take the elevator on your right to floor 12, then walk left past the mailroom to the very end of the corridor, and knock"
UNITS = [f"Meadowbrook Commons Building 1, no. {number}" for number in range(1001, 1013)]
MANY, SMALLEST_PX, TINIEST_PX = 6, 14, 8
"""So many units are read from where one stands; a tour of more of them, each with a way, from close by."""


@pytest.mark.parametrize("width", [800, 480])
def test_ok__the_longest_that_settings_allow_fits(site: Site, width: int) -> None:
    """The longest number, name and ways, with six units of the longest names: nothing is cut off, nothing lies on anything."""
    ways = "".join(f'[[way]]\nunit = "{unit}"\nwords = "{WAY}"\n' for unit in UNITS)
    page = site.page(site.kiosk(f"[help]\n{ways}", top=LONG, look=f'name = "{NAME}"\nwelcome_s = 60\nrefused_s = 120'))
    page.set_viewport_size({"width": width, "height": 1280 - width})
    faults = []

    def looks(name: str) -> None:
        page.evaluate(SETTLED)
        name_cut = page.evaluate("(({scrollHeight: all, clientHeight: seen}) => all - seen)(document.querySelector('.name'))")
        faults.extend([f"{name}: the property's name is cut off"] * (name_cut > 1))
        if folder := os.environ.get("LOOKS"):
            page.screenshot(path=f"{folder}/{name}-{width}.png")
        faults.extend(
            f"{name}: {fault}" for fault in page.evaluate(FAULTS, [TOUCH_PX, 0.0 if name.startswith("welcome") else TITLE_VMIN, TEXT_VMIN])
        )

    looks("ready")
    page.locator("#help-open").tap()
    looks("help")
    page.locator("#help [data-close]").tap()
    site.tell("refused", reason="wrong_door", doors=["north-entrance-by-the-parking-garage", "south-entrance"], time_ms=None)
    expect(page.locator("html")).to_have_attribute("data-kind", "refused")
    looks("refused")
    sizes = "[...document.querySelectorAll('#unit-list span')].map((one) => parseFloat(getComputedStyle(one).fontSize))"
    for count in (1, 2, 3, 6, 12):
        site.agent.door["lock"] = "released"
        site.tell("admitted", units=UNITS[:count], doors=[])
        expect(page.locator("#unit-list li")).to_have_count(count)
        looks(f"welcome-{count}")
        smallest = min(page.evaluate(sizes))
        if smallest < (SMALLEST_PX if count <= MANY else TINIEST_PX):
            faults.append(f"with {count} units the way is {smallest} px high")
        site.agent.door["lock"] = "locked"
        site.tell("locked")
        expect(page.locator("#title")).to_have_text("The door is locked again")
        looks(f"welcome-locked-{count}")
    assert faults == [], "\n".join(faults)


@pytest.mark.parametrize("hook", [False, True], ids=["a note", "a webhook"])
def test_ok__the_call_for_help_fits_at_every_size(site: Site, hook: bool) -> None:
    """In Spanish, with the longest number and the longest answer: nothing lies on anything, and the way back is there."""
    file = site.folder / "hook"
    file.touch(0o600)
    file.write_text("http://127.0.0.1:1/\n", "ascii")
    page = site.page(site.kiosk(f'[help]\nwebhook_url_file = "{file}"\n' if hook else "[help]\n", top=LONG))
    page.locator('[data-language="es"]').tap()
    expect(page.locator("html")).to_have_attribute("lang", "es")
    faults = []
    for name, (width, height) in SIZES.items():
        page.set_viewport_size({"width": width, "height": height})
        page.locator("#help-open").tap()
        page.evaluate(SETTLED)
        faults += [f"{name}: {fault}" for fault in page.evaluate(FAULTS, [TOUCH_PX, TITLE_VMIN, TEXT_VMIN])]
        page.locator("#help-call").tap()
        expect(page.locator("#help-said")).to_contain_text("Llámenos")
        page.evaluate(SETTLED)
        if folder := os.environ.get("LOOKS"):
            page.screenshot(path=f"{folder}/help-{name}-{'hook' if hook else 'note'}.png")
        faults += [f"{name}, answered: {fault}" for fault in page.evaluate(FAULTS, [TOUCH_PX, TITLE_VMIN, TEXT_VMIN])]
        page.locator("#help [data-close]").tap()
    assert faults == [], "\n".join(faults)
