"""What the screen says: every screen and every refusal, in every language, with a picture that is there; and nothing is left unsaid."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from babel.messages.extract import extract
from babel.messages.pofile import read_po

from agent.core.clock import ClockState
from agent.core.reasons import EXPLANATIONS, Reason
from agent.core.tour import Standing
from agent.kiosk.labels import labels
from agent.kiosk.server import FOLDER
from agent.kiosk.view import CLOCK_LOST, PINS_WAIT, Kind, Screen, Way
from agent.kiosk.words import PICTURES, Said, words
from agent.language import Dates, Language, Languages
from agent.settings.kiosk import KioskSettings

LANGUAGES = Languages.read(FOLDER / "locales")
ENGLISH, SPANISH = LANGUAGES.named("en"), LANGUAGES.named("es")
SETTINGS = KioskSettings(door="front", time_zone="America/Los_Angeles", help_phone="+1 555 0100")
HOUR_MS = 3_600_000
NOON_MS = 1_780_340_400_000
"""June 1, 2026, 12:00 in Los Angeles."""
PLACE = re.compile(r"{\w+}")
LONGEST_TITLE, LONGEST_TEXT = 80, 170
"""What can be read at two metres in passing."""


def said(screen: Screen, language: Language = ENGLISH, *, can_book: bool = False) -> Said:
    """What a screen says at noon."""
    return words(screen, language, Dates.of(language, SETTINGS.time_zone, "US"), NOON_MS, can_book=can_book)


def refused(reason: Reason | str, language: Language = ENGLISH, *, time_ms: int | None = None, doors: tuple[str, ...] = ()) -> Said:
    """What a refusal says at noon."""
    return said(Screen(Kind.REFUSED, reason=str(reason), time_ms=time_ms, doors=doors), language)


def marked() -> set[str]:
    """Every sentence that the kiosk may say: those of its own files, and the refusals of the one table."""
    found = {explanation.prospect for explanation in EXPLANATIONS.values()}
    for path in sorted(FOLDER.rglob("*")):
        if path.suffix not in {".html", ".py"}:
            continue
        method = "jinja2.ext:babel_extract" if path.suffix == ".html" else "python"
        options = {"trimmed": "true"} if path.suffix == ".html" else {}
        for _, message, _, _ in extract(method, io.BytesIO(path.read_bytes()), keywords={"_": None, "N_": None}, options=options):
            assert isinstance(message, str)
            found.add(message)
    return found


@pytest.mark.parametrize("catalogue", sorted((FOLDER / "locales").glob("*.po")), ids=lambda path: path.stem)
def test_ok__every_sentence_is_in_every_catalogue(catalogue: Path) -> None:
    """Each sentence has a translation with the same places, and a catalogue holds nothing else."""
    with catalogue.open("rb") as file:
        known = {str(entry.id): str(entry.string) for entry in read_po(file, abort_invalid=True) if entry.id and not entry.fuzzy}
    assert set(known) == marked()
    assert {one: sorted(PLACE.findall(other)) for one, other in known.items()} == {one: sorted(PLACE.findall(one)) for one in known}


def test_ok__no_words_stand_outside_the_marks() -> None:
    """What is left of a template after taking all of Jinja away is markup."""
    for path in sorted((FOLDER / "templates").rglob("*.html")):
        source = re.sub(r"{#.*?#}|{%.*?%}|{{.*?}}", "", path.read_text("utf-8"), flags=re.DOTALL)
        left = re.findall(r"[A-Za-z]{2,}", re.sub(r"<[^>]*>", " ", source))
        assert not left, f"{path.name}: {left}"


def test_ok__every_picture_is_there_and_no_other() -> None:
    """A screen never names a picture that the page lacks."""
    assert {path.stem for path in (FOLDER / "templates" / "pictures").iterdir()} == set(PICTURES)


@pytest.mark.parametrize("language", list(LANGUAGES), ids=lambda language: language.code)
@pytest.mark.parametrize("screen", [Screen(kind) for kind in Kind] + [Screen(Kind.REFUSED, reason=reason) for reason in Reason], ids=str)
def test_ok__every_screen_says_something_short(screen: Screen, language: Language) -> None:
    """Each has a title, a picture, no place that was not filled, no number to call (the page has it in its own place), and few words."""
    for one in (screen, Screen(screen.kind, screen.reason, doors=("gym", "pool"), time_ms=NOON_MS + 30 * HOUR_MS)):
        found = said(one, language)
        assert found.title
        assert found.picture in PICTURES
        assert not re.search(r"[{}]|\.\.|0100", found.title + found.text)
        assert len(found.title) <= LONGEST_TITLE
        assert len(found.text) <= LONGEST_TEXT


def test_ok__a_refusal_is_said_in_the_words_of_the_one_table() -> None:
    """The first sentence is the title, the rest the text; times are the property's, with the day unless it is today."""
    assert refused(Reason.TOO_EARLY, time_ms=NOON_MS + HOUR_MS) == Said(
        "You are early", "This code opens the door from 1:00\u202fPM.", "clock"
    )
    assert refused(Reason.TOO_EARLY, SPANISH, time_ms=NOON_MS + HOUR_MS) == Said(
        "Llega temprano", "Este código abre la puerta desde: 1:00\u202fp.m.", "clock"
    )
    assert (
        refused(Reason.TOO_EARLY, time_ms=NOON_MS + 24 * HOUR_MS).text == "This code opens the door from Tuesday, June 2 at 12:00\u202fPM."
    )
    assert refused(Reason.TOO_LATE, SPANISH, time_ms=NOON_MS - HOUR_MS).title == "Este código dejó de funcionar: 11:00\u202fa.m."
    assert refused(Reason.REENTRY_PAUSE, time_ms=NOON_MS + 1).text == "It opens it again from 12:01\u202fPM."


@pytest.mark.parametrize("language", list(LANGUAGES), ids=lambda language: language.code)
def test_ok__a_welcome_says_that_the_door_is_unlocked_while_it_is(language: Language) -> None:
    """Three sentences; one that is locked again has another title and picture, too: nobody pulls at it, everybody reads what to do."""
    found = [said(Screen(Kind.WELCOME, way=way), language) for way in Way]
    assert [len({getattr(one, part) for one in found}) for part in ("text", "title", "picture")] == [len(Way), 2, 2]
    english = [
        Said("Welcome", "The door is unlocked. Come in.", "welcome"),
        Said("Welcome", "Come in, and close the door behind you.", "welcome"),
        Said("The door is locked again", "Scan your code again if you are still outside.", "locked_again"),
    ]
    assert language is not ENGLISH or found == english


def test_ok__a_lockout_says_that_pins_wait_only_where_they_do() -> None:
    """At a door without PINs, or whose pad is free, nobody is told of them."""
    pins = "A tour code still works when you show it. PINs have to wait."
    assert said(Screen(Kind.LOCKED_OUT, reason=PINS_WAIT)) == Said("Too many wrong codes", pins, "locked_out")
    assert said(Screen(Kind.LOCKED_OUT)).text == "A tour code still works when you show it."


@pytest.mark.parametrize("language", list(LANGUAGES), ids=lambda language: language.code)
@pytest.mark.parametrize("reason", Reason)
def test_ok__a_screen_that_can_book_never_sends_anybody_to_the_website(reason: Reason, language: Language) -> None:
    """Whom another tour would help chooses its time there and then; to everybody else it says what it always says."""
    screen = Screen(Kind.REFUSED, reason=str(reason), time_ms=NOON_MS - HOUR_MS)
    here, elsewhere = said(screen, language, can_book=True), said(screen, language)
    assert not re.search("website|sitio web", here.text)
    is_offered = reason in {Reason.TOO_LATE, Reason.CANCELLED, Reason.USED_UP}
    assert (here != elsewhere, bool(re.search(r"\b(here|aquí)\b", here.text))) == (is_offered, is_offered)
    assert (here.title, here.picture) == (elsewhere.title, elsewhere.picture)
    assert len(here.text) <= LONGEST_TEXT


def test_ok__a_door_without_the_time_says_why() -> None:
    """Out of order, and not for the visitor's code."""
    found = said(Screen(Kind.OUT_OF_ORDER, reason=CLOCK_LOST))
    assert found == Said("Out of order", "No code can be checked just now: this door does not know the time.", "out_of_order")


def test_ok__a_wrong_door_says_which_is_right() -> None:
    """One, or several, in the prospect's language."""
    assert refused(Reason.WRONG_DOOR, doors=("gym",)).title == "This code opens another door: gym"
    assert refused(Reason.WRONG_DOOR, doors=("gym", "pool", "roof")).title == "This code opens another door: gym or pool or roof"
    assert refused(Reason.WRONG_DOOR, SPANISH, doors=("gym", "pool")).title == "Este código abre otra puerta: gym o pool"
    assert refused(Reason.WRONG_DOOR).title == "This code opens another door: none here"


def test_ok__a_name_with_braces_is_only_a_name() -> None:
    """Names of doors are data: nothing in them is filled in or taken for the end of a sentence."""
    assert refused(Reason.WRONG_DOOR, doors=("{time} {0} Bldg. 7",)).title == "This code opens another door: {time} {0} Bldg. 7"


def test_fail__what_the_table_does_not_know() -> None:
    """An agent newer than the screen, and an instant beyond the calendar, are still answered with a sentence."""
    assert refused("not_yet_invented") == Said("This did not work", "Please try again in a moment.", "stop")
    assert said(Screen(Kind.REFUSED)).title == "This did not work"
    assert refused(Reason.TOO_EARLY, time_ms=10**17).text == "This code opens the door from its time."


def test_ok__the_page_asks_for_labels_that_are_there() -> None:
    """Every label that templates and scripts name is there in every language, and none is there that nobody names."""
    source = "".join(path.read_text("utf-8") for path in sorted(FOLDER.rglob("*")) if path.suffix in {".html", ".js"})
    named = set(re.findall(r"""data-(?:say|label)="(\w+)"|\bsay\.(\w+)|\bsay\("(\w+)\"""", source))
    known = labels(ENGLISH)
    assert {name for found in named for name in found if name} <= set(known)
    composed = ("event_", "why_", "clock_")
    assert {name for name in known if not re.search(rf"\b{name}\b", source) and not name.startswith(composed)} == {"no_token_text"}
    assert {f"why_{why}" for why in (*Reason, *Standing)} == {name for name in known if name.startswith("why_")}
    assert {f"clock_{state}" for state in ClockState} == {name for name in known if name.startswith("clock_")}
    assert set(labels(SPANISH)) == set(known)
