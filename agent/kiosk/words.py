"""The texts of each screen, in each language."""

from __future__ import annotations

from dataclasses import dataclass

from agent.core.reasons import Circumstance, Reason, for_prospect
from agent.kiosk.view import Kind, Screen
from agent.language import Dates, Language
from agent.settings.kiosk import KioskSettings


@dataclass(frozen=True, slots=True)
class Said:
    """What stands on the screen: a few words, one short sentence, and which picture."""

    title: str
    text: str
    picture: str


_TITLES = {
    Kind.STARTING: ("One moment", "The screen is starting."),
    Kind.READY: ("Scan your tour code", "Hold the code on your phone under the reader."),
    Kind.CHECKING: ("One moment", "Your code is being checked."),
    Kind.WELCOME: ("Welcome", "The door is open. Come in."),
    Kind.REFUSED: ("Not yet", ""),
    Kind.DOOR_OPEN: ("The door is open", "Come in."),
    Kind.PLEASE_CLOSE: ("Please close the door", "It is standing open."),
    Kind.LOCKED_OUT: ("Too many wrong codes", "A valid code still works."),
    Kind.OUT_OF_ORDER: ("Out of order", "Please call us."),
    Kind.FIRE: ("Fire alarm", "Leave the building. The door is unlocked."),
    Kind.HELD_UNLOCKED: ("The door is open", "Come in."),
}


def words(screen: Screen, language: Language, dates: Dates, settings: KioskSettings, now_ms: int) -> Said:
    """What a screen says at an instant of the agent's clock."""
    title, text = _TITLES[screen.kind]
    if screen.kind is Kind.REFUSED and screen.reason in set(Reason):
        circumstance = Circumstance(dates.zone, settings.help_phone, now_ms, screen.time_ms, screen.doors)
        text = for_prospect(Reason(screen.reason), circumstance)
    return Said(language.say(title), language.say(text), screen.kind.value)
