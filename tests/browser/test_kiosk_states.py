"""Every state of a door's screen, reached by really doing it, at each size and in both languages: seen by a browser, axe and a ruler.

With SCREENS=folder a screenshot of each look is kept there, and axe looks at every size.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from agent import credentials
from agent.core import codes
from agent.core.reasons import Reason
from tests.browser.eye import SIZES, Eye, Watch
from tests.kiosk.wall import Kiosk, Wall, ask

pytestmark = pytest.mark.timeout(600)  # with SCREENS axe looks several hundred times
Play = Callable[..., Any]
LANGUAGES = {"en": "English", "es": "Español"}
TRIES = 5
UNSCRIPTED = "Failed to load resource"
"""What Chromium itself says of a server that is not there."""


class Show:
    """A wall, one kiosk before it, and a page in each language that stays open all the while."""

    def __init__(self, wall: Wall, kiosk: Kiosk, context: BrowserContext, play: Play, album: Path | None) -> None:
        self.wall, self.kiosk, self.play = wall, kiosk, play
        self.watch = Watch(context)
        self.pages: dict[str, Page] = {}
        for language in LANGUAGES:
            page = context.new_page()
            page.goto(kiosk.url)
            if language != "en":
                page.locator(f'[data-language="{language}"]').tap()
            self.pages[language] = page
        self.eye = Eye(self.pages, album, is_whole=album is not None)

    def sees(self, name: str, is_so: Callable[[dict[str, Any]], object], *, sizes: tuple[str, ...] = tuple(SIZES)) -> dict[str, Any]:
        """Wait until the screen shows it, in the words of each language, and take a look."""
        self.kiosk.until(is_so)
        titles = []
        for language, page in self.pages.items():
            if language != "en":  # nobody touches it for so long that it would go back to the usual language
                page.evaluate("document.dispatchEvent(new Event('pointerdown'))")
            state = self._agreed(page, language, is_so)
            titles.append(state["title"])
        assert len(set(titles)) == len(LANGUAGES), f"{name} is not translated: {titles}"
        self.eye.take(name, sizes, shared=4 if name.startswith("refused") else 2)
        return self.kiosk.state()

    def _agreed(self, page: Page, language: str, is_so: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """What server and page both say; what is told may change while it is compared."""
        for tried in range(TRIES):
            state = self.kiosk.until(is_so, f"?lang={language}")
            try:
                expect(page.locator("html")).to_have_attribute("data-kind", state["kind"], timeout=2000)
                expect(page.locator("#title")).to_have_text(state["title"], timeout=2000)
                expect(page.locator("#text")).to_have_text(state["text"], timeout=2000)
                expect(page.locator(".picture:not([hidden])")).to_have_attribute("data-picture", state["picture"], timeout=2000)
            except AssertionError:
                if tried == TRIES - 1:
                    raise
            else:
                return state
        raise AssertionError("unreachable")

    def scans(self, text: str) -> None:
        """Write what the scanner sends."""
        self.wall.scan(text)

    def unblemished(self) -> None:
        """Nothing was wrong with what was seen, said and asked."""
        assert self.eye.faults == [], "\n".join(self.eye.faults)
        assert (self.watch.outside(), self.watch.faults(UNSCRIPTED)) == ([], [])


def kind(wanted: str) -> Callable[[dict[str, Any]], bool]:
    """States of this kind."""
    return lambda state: state["kind"] == wanted


def because(reason: Reason) -> Callable[[dict[str, Any]], bool]:
    """Refusals for this reason."""
    return lambda state: (state["kind"], state["reason"]) == ("refused", reason.value)


def test_ok__what_lasts(wall: Wall, play: Play, context: BrowserContext, album: Path | None) -> None:
    """Starting, ready, open, please close, held, fire, locked out, offline, out of order; each is over when its cause is, by itself."""
    play(wall.stage.kill_agent())
    show = Show(wall, wall.kiosk(look="welcome_s = 3\nrefused_s = 5"), context, play, album)
    show.sees("starting", kind("starting"))
    play(wall.start(guesses=3, pulse_s=20))
    show.sees("ready", lambda state: state["kind"] == "ready" and state["book"]["times"])

    ask(wall, do="unlock", door="front", reason="delivery")
    show.sees("door_open", kind("door_open"))
    wall.put("contact", is_active=True)
    show.sees("please_close", kind("please_close"))
    wall.put("contact", is_active=False)
    ask(wall, do="lock")
    show.kiosk.until(kind("ready"))
    ask(wall, do="unlock", door="front", reason="open house", until_ms=time.time_ns() // 1_000_000 + 600_000)
    show.sees("held_unlocked", kind("held_unlocked"))
    ask(wall, do="lock")
    show.kiosk.until(kind("ready"))
    wall.put("fire", is_active=True)
    show.sees("fire", kind("fire"))
    wall.put("fire", is_active=False)
    show.kiosk.until(kind("ready"))

    for number in range(3):
        show.scans(f"HTTPS://EXAMPLE.COM/{number}")
        play(wall.stage.event("refused"))
    state = show.sees("locked_out", kind("locked_out"))
    assert state["countdown_to_ms"] > state["now_ms"]
    play(wall.stage.kill_agent())
    show.sees("starting-again", kind("starting"))
    play(wall.start())
    show.kiosk.until(kind("ready"))

    with aside(wall.folder / "relay-front"):
        show.scans(wall.code(901))
        show.sees("starting-without-relay", kind("starting"))
    play(wall.start())
    show.kiosk.until(kind("ready"))
    wall.unplug()
    show.sees("out_of_order", kind("out_of_order"))
    wall.plug()
    show.kiosk.until(kind("ready"))

    play(wall.stage.desk.stop())
    play(wall.stage.admin("PUT", "/faults/*", {"kind": "refuse"}))
    show.scans(wall.code(900))
    show.sees("offline", lambda state: state["kind"] == "ready" and state["is_offline"])
    for page in show.pages.values():
        expect(page.locator("#offline")).to_be_visible()
    play(wall.stage.admin("DELETE", "/faults"))
    play(wall.stage.desk.start())
    show.kiosk.until(lambda state: not state["is_offline"])
    for page in show.pages.values():
        expect(page.locator("#offline")).to_be_hidden()
    show.unblemished()


def test_ok__checking_and_welcome(wall: Wall, play: Play, context: BrowserContext, album: Path | None) -> None:
    """While the disk takes its time the screen says that it is being looked at; then who is let in reads where to go."""
    play(wall.start(pulse_s=20))
    ways = '[[way]]\nunit = "204 B"\nwords = "Second floor, left"\nwords_es = "Segundo piso, a la izquierda"\n'
    show = Show(wall, wall.kiosk(ways), context, play, album)
    show.kiosk.until(kind("ready"))
    with closing(sqlite3.connect(wall.folder / "journal.db", timeout=10, isolation_level=None)) as disk:
        for number, size in enumerate(SIZES):
            disk.execute("BEGIN IMMEDIATE")
            show.scans(wall.code(100 + number))
            show.sees("checking", kind("checking"), sizes=(size,))
            disk.execute("ROLLBACK")
            show.kiosk.until(kind("welcome"))
            ask(wall, do="lock")
    show.scans(wall.code(110))
    for language, way in (("en", "Second floor, left"), ("es", "Segundo piso, a la izquierda")):
        expect(show.pages[language].locator("#unit-list li")).to_have_text(["101", f"204 B{way}"])
    show.sees("welcome", kind("welcome"))
    ask(wall, do="lock")
    many = tuple(f"Building {letter} {number}" for letter in "AB" for number in range(101, 104))
    show.scans(wall.code(120, unit_names=many))
    show.sees("welcome-many", lambda state: state["units"] == list(many))
    show.unblemished()


def test_refused__for_each_reason_there_is(wall: Wall, play: Play, context: BrowserContext, album: Path | None) -> None:
    """Each has a picture, a sentence and, where it helps, the time: none is left out.

    But for a relay that fails: that of a played board cannot be locked then either, and the agent gives the door to its unit.
    """
    play(wall.start(pause_s=3600, guesses=6, pulse_s=0.5))
    show = Show(wall, wall.kiosk(), context, play, album)
    show.kiosk.until(lambda state: state["kind"] == "ready" and state["book"]["times"])
    seen: list[Reason] = []

    def refused(reason: Reason, text: str) -> dict[str, Any]:
        show.scans(text)
        seen.append(reason)
        return show.sees(f"refused-{reason.value}", because(reason))

    def admitted(text: str) -> None:
        show.scans(text)
        show.play(wall.stage.event("admitted"))
        show.play(wall.stage.event("locked"))

    show.kiosk.until(kind("ready"))
    refused(Reason.UNREADABLE, "HTTPS://EXAMPLE.COM/MENU")
    refused(Reason.UNKNOWN_KEY, wall.code(201, is_genuine=False))
    refused(Reason.BAD_SIGNATURE, altered(wall, wall.code(202)))
    refused(Reason.WRONG_PIN, "13572468")
    refused(Reason.RETIRED_KEY, wall.retired_code(203))
    refused(Reason.WRONG_COMMUNITY, wall.code(204, community_id="9999"))
    state = refused(Reason.WRONG_DOOR, wall.code(205, doors=("gym", "pool")))
    assert "gym or pool" in state["title"] + state["text"]
    state = refused(Reason.TOO_EARLY, wall.code(206, from_ms=7_200_000, to_ms=9_000_000))
    assert state["countdown_to_ms"] - state["now_ms"] > 6_000_000
    expect(show.pages["en"].locator("#countdown-time")).to_have_text("1 h 44 min")
    refused(Reason.TOO_LATE, wall.code(207, from_ms=-9_000_000, to_ms=-7_200_000))
    for language, text in (("en", "Choose a new time here."), ("es", "Elija otra hora aquí.")):
        expect(show.pages[language].locator("#text")).to_have_text(text)
        expect(show.pages[language].locator("#book-open")).to_be_visible()
        expect(show.pages[language].locator("#time-list button").first).to_be_visible()
    standings = [{"appointment_id": "208", "standing": "cancelled"}, {"appointment_id": "209", "standing": "superseded"}]
    ask(wall, do="roster", entries=standings)
    refused(Reason.CANCELLED, wall.code(208))
    refused(Reason.SUPERSEDED, wall.code(209))
    admitted(wall.code(210))
    refused(Reason.REENTRY_PAUSE, wall.code(210))
    wall.scan_at_gym(wall.code(211, doors=("front", "gym")))
    play(wall.stage.event("admitted"))
    refused(Reason.PASSBACK, wall.code(211, doors=("front", "gym")))
    with aside(wall.folder / "journal.db"):
        refused(Reason.STORE_FAILED, wall.code(212))
    for number in range(7):
        show.scans(f"JUNK {number}")
        play(wall.stage.event("refused"))
    refused(Reason.LOCKED_OUT, "JUNK AGAIN")

    _by_other_rules(show, refused)
    assert sorted(seen) == sorted(set(Reason) - {Reason.RELAY_FAILED})
    show.unblemished()


def _by_other_rules(show: Show, refused: Callable[[Reason, str], dict[str, Any]]) -> None:
    """What other settings of the agent refuse."""
    wall, play = show.wall, show.play
    play(wall.start(pulse_s=10, admissions=1))
    show.kiosk.until(kind("ready"))
    refused(Reason.USED_UP, wall.code(210))
    show.scans(wall.code(213))
    show.kiosk.until(kind("welcome"))
    show.scans(wall.code(214))
    assert play(wall.stage.event("refused"))["reason"] == Reason.BUSY
    assert show.kiosk.until(lambda state: state["kind"] != "checking")["kind"] == "welcome"
    ask(wall, do="lock")
    show.kiosk.until(kind("ready"))
    ask(wall, do="unlock", door="front", reason="delivery")
    show.kiosk.until(kind("door_open"))
    refused(Reason.BUSY, wall.code(218))
    ask(wall, do="lock")

    today = datetime.now(ZoneInfo(wall.zone)).date()
    play(wall.start(door=f'closed_on = ["{today}"]'))
    show.kiosk.until(kind("ready"))
    refused(Reason.CLOSED_DAY, wall.code(215))
    play(wall.start(clock_error_s=3600, door='hours = [{ opens = "18:00", closes = "19:00" }]'))
    show.kiosk.until(kind("ready"))
    refused(Reason.CLOCK_UNCERTAIN, wall.code(216))
    refused(Reason.OUT_OF_HOURS, wall.code(217, from_ms=-18_000_000, to_ms=18_000_000))


def test_ok__by_night(wall: Wall, play: Play, context: BrowserContext, album: Path | None) -> None:
    """Dark by the clock, and dimmed while nobody is there: a scan or a touch wakes it."""
    play(wall.start())
    times = 'dark_from = "00:01"\ndark_to = "00:00"\ndim_from = "00:01"\ndim_to = "00:00"'
    show = Show(wall, wall.kiosk(look=f"{times}\nwelcome_s = 3\nrefused_s = 60"), context, play, album)
    show.kiosk.until(kind("ready"))
    page = show.pages["en"]
    expect(page.locator("html")).to_have_attribute("data-dark", "")
    expect(page.locator("html")).to_have_attribute("data-dim", "")
    show.sees("night-ready", kind("ready"))
    page.touchscreen.tap(20, 200)
    expect(page.locator("html")).not_to_have_attribute("data-dim", "")
    show.scans(wall.code(301, from_ms=7_200_000, to_ms=9_000_000))
    show.sees("night-refused", kind("refused"))
    expect(show.pages["es"].locator("html")).not_to_have_attribute("data-dim", "")
    show.unblemished()


class aside:  # noqa: N801 - reads like a function
    """A file that is away for a while, the same one afterwards."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        self._path.rename(self._path.with_suffix(".aside"))

    def __exit__(self, *_: object) -> None:
        self._path.with_suffix(".aside").rename(self._path)


def altered(wall: Wall, text: str) -> str:
    """A code with one character changed, so that its signature is wrong and all else reads well."""
    known = codes.keyring([found.key for found in credentials.list_keys(wall.folder / "keys")])
    for at in range(len(text) - 2, 0, -1):
        for letter in "ABCDEF":
            changed = text[:at] + letter + text[at + 1 :]
            read = codes.read(changed.encode("ascii"), known)
            if isinstance(read, codes.Unread) and read.reason is Reason.BAD_SIGNATURE:
                return changed
    raise AssertionError("no change of a character makes the signature wrong")
