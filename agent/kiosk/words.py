"""What the screen says: a title and one short sentence for each kind of screen, and all that stands on the page beside them.

Rule 1: sentences stand here in English, marked by `N_`; catalogues (`locales`) have them in other languages.
Rule 2: a refusal is said in the words of the one table (`agent.core.reasons`): its first sentence is the title, the rest the text.
        Whom to call is left out of it: the screen has the number in its own place. Where the screen itself can book, it says that in
        the place of "on the website".
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.core.reasons import EXPLANATIONS, Reason
from agent.kiosk.view import CLOCK_LOST, PINS_WAIT, Kind, Screen, Way
from agent.language import Dates, Language

_MINUTE_MS = 60_000
_SENTENCE_END = re.compile(r"(?<=[.!?]) +")


def N_(sentence: str) -> str:  # noqa: N802 - gettext's own name for a sentence that is translated later
    """Mark a sentence for the catalogues."""
    return sentence


@dataclass(frozen=True, slots=True)
class Said:
    """What stands on the screen: a few words, one short sentence (may be empty), and which picture of `templates/pictures`."""

    title: str
    text: str
    picture: str


_KINDS: dict[Kind, tuple[str, str]] = {
    Kind.STARTING: (N_("One moment"), N_("This screen is starting.")),
    Kind.READY: (N_("Scan your tour code"), N_("Hold the code on your phone up to the reader.")),
    Kind.CHECKING: (N_("One moment"), N_("Your code is being checked.")),
    Kind.WELCOME: (N_("Welcome"), N_("The door is unlocked. Come in.")),
    Kind.DOOR_OPEN: (N_("The door is open"), N_("Come in, and close it behind you.")),
    Kind.PLEASE_CLOSE: (N_("Please close the door"), N_("It has been open for a while.")),
    Kind.LOCKED_OUT: (N_("Too many wrong codes"), N_("A tour code still works when you show it.")),
    Kind.OUT_OF_ORDER: (N_("Out of order"), N_("This door cannot be opened here just now.")),
    Kind.FIRE: (N_("Fire alarm"), N_("Leave the building. This door is unlocked.")),
    Kind.HELD_UNLOCKED: (N_("The door is open"), N_("Come in. No code is needed now.")),
}
_OPEN_STILL = N_("Come in, and close the door behind you.")
_LOCKED_AGAIN = (N_("The door is locked again"), N_("Scan your code again if you are still outside."), "locked_again")
"""What a welcome says once the release is over: nobody takes it for a door that can be opened."""
_PINS_WAIT = N_("A tour code still works when you show it. PINs have to wait.")
_NO_TIME = N_("No code can be checked just now: this door does not know the time.")
_REFUSED_ELSE = (N_("This did not work"), N_("Please try again in a moment."))

_TIME_UNKNOWN = N_("its time")
_NO_DOORS = N_("none here")
_NO_OPENING = N_("No other time is set.")
_OPENING = N_("The next tours are let in from {time}.")
_DAY_AND_TIME = N_("{day} at {time}")
_OR = N_("{one} or {other}")

_PICTURES = {
    Reason.UNREADABLE: "no-code",
    Reason.UNKNOWN_KEY: "no-code",
    Reason.RETIRED_KEY: "new-code",
    Reason.BAD_SIGNATURE: "no-code",
    Reason.WRONG_PIN: "no-pin",
    Reason.WRONG_COMMUNITY: "elsewhere",
    Reason.WRONG_DOOR: "other-door",
    Reason.TOO_EARLY: "clock",
    Reason.TOO_LATE: "no-date",
    Reason.CANCELLED: "no-date",
    Reason.SUPERSEDED: "new-code",
    Reason.USED_UP: "stop",
    Reason.OUT_OF_HOURS: "clock",
    Reason.CLOSED_DAY: "no-date",
    Reason.REENTRY_PAUSE: "clock",
    Reason.PASSBACK: "other-door",
    Reason.CLOCK_UNCERTAIN: "out_of_order",
    Reason.LOCKED_OUT: "locked_out",
    Reason.BUSY: "clock",
    Reason.STORE_FAILED: "out_of_order",
    Reason.RELAY_FAILED: "out_of_order",
}
_BOOK_HERE = {
    Reason.TOO_LATE: N_("This code stopped working at {time}. Choose a new time here."),
    Reason.CANCELLED: N_("This tour was cancelled. Choose a new time here."),
    Reason.USED_UP: N_("This code was used as often as it may be. Choose a time for another tour here."),
}
"""What helps whom another tour would help, where this screen can book one."""
PICTURES = tuple(sorted({*(kind.value for kind in _KINDS), *_PICTURES.values(), _LOCKED_AGAIN[2]}))
"""All that are in `templates/pictures`."""


def words(screen: Screen, language: Language, dates: Dates, now_ms: int, *, can_book: bool = False) -> Said:
    """What a screen says at an instant of the agent's clock; `can_book` is whether a tour can be booked on it just now."""
    if screen.kind is not Kind.REFUSED:
        title, text, picture = _lasting(screen)
        return Said(language.say(title), language.say(text), picture)
    try:
        reason = Reason(screen.reason or "")
    except ValueError:  # an agent newer than this screen
        title, text = _REFUSED_ELSE
        return Said(language.say(title), language.say(text), "stop")
    sentence = _BOOK_HERE.get(reason) if can_book else None
    title, text = _refusal(sentence or EXPLANATIONS[reason].prospect, screen, language, dates, now_ms)
    return Said(title, text, _PICTURES[reason])


def _lasting(screen: Screen) -> tuple[str, str, str]:
    """Title, text and picture of anything but a refusal."""
    title, text = _KINDS[screen.kind]
    if screen.kind is Kind.WELCOME:
        if screen.way is Way.LOCKED:
            return _LOCKED_AGAIN
        text = _OPEN_STILL if screen.way is Way.OPEN else text
    elif screen.reason == CLOCK_LOST:
        text = _NO_TIME
    elif screen.reason == PINS_WAIT:
        text = _PINS_WAIT
    return title, text, screen.kind.value


def _refusal(sentence: str, screen: Screen, language: Language, dates: Dates, now_ms: int) -> tuple[str, str]:
    """Title and text of a refusal's sentence."""
    say, time_ms = language.say, screen.time_ms
    time = say(_TIME_UNKNOWN) if time_ms is None else _when(time_ms, language, dates, now_ms)
    again = time if time_ms is None else _when(-(-time_ms // _MINUTE_MS) * _MINUTE_MS, language, dates, now_ms)
    opening = say(_NO_OPENING) if time_ms is None else say(_OPENING).format(time=time)
    doors = _any_of(screen.doors, language) or say(_NO_DOORS)
    title, *rest = _SENTENCE_END.split(say(sentence).replace("{call}", "").strip())
    values = {"time": time, "again": again, "opening": opening, "doors": doors}
    return title.rstrip(".").format(**values), _ended(" ".join(rest).format(**values))


def _ended(text: str) -> str:
    """With one full stop where a sentence ends in an abbreviation: `3:30 p.m.`."""
    return text.replace("..", ".")


def _when(instant_ms: int, language: Language, dates: Dates, now_ms: int) -> str:
    """The time of the day, with the day before it unless it is today."""
    try:
        time = dates.time(instant_ms)
        if dates.day_key(instant_ms) == dates.day_key(now_ms):
            return time
        return language.say(_DAY_AND_TIME).format(day=dates.day(instant_ms), time=time)
    except OverflowError:  # beyond the calendar: nothing that helps anybody
        return language.say(_TIME_UNKNOWN)


def _any_of(names: tuple[str, ...], language: Language) -> str:
    """`A or B or C`."""
    said = ""
    for name in names:
        said = language.say(_OR).format(one=said, other=name) if said else name
    return said
