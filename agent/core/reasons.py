"""Every refusal, explained three ways in ONE table (promise P8).

Rule 1: a reason has a code for machines (the enum's value, never renamed), a sentence for the prospect that says what to do,
        and a sentence for the operator that says what happened.
Rule 2: a sentence holds no personal data and nothing that helps to forge a code.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import tzinfo

from agent.core.clock import for_people

_MINUTE_MS = 60_000


class Reason(enum.StrEnum):
    """Why a door stays shut."""

    UNREADABLE = "unreadable"
    UNKNOWN_KEY = "unknown_key"
    RETIRED_KEY = "retired_key"
    BAD_SIGNATURE = "bad_signature"
    WRONG_PIN = "wrong_pin"
    WRONG_COMMUNITY = "wrong_community"
    WRONG_DOOR = "wrong_door"
    TOO_EARLY = "too_early"
    TOO_LATE = "too_late"
    CANCELLED = "cancelled"
    SUPERSEDED = "superseded"
    USED_UP = "used_up"
    OUT_OF_HOURS = "out_of_hours"
    CLOSED_DAY = "closed_day"
    REENTRY_PAUSE = "reentry_pause"
    PASSBACK = "passback"
    CLOCK_UNCERTAIN = "clock_uncertain"
    LOCKED_OUT = "locked_out"
    BUSY = "busy"
    STORE_FAILED = "store_failed"
    RELAY_FAILED = "relay_failed"


@dataclass(frozen=True, slots=True)
class Explanation:
    """The two sentences of a reason, and whether it counts as guessing.

    `{time}` is the instant that helps (when to come back), `{again}` the same with the minute rounded up, for waits of seconds, `{opening}`
    the same as a sentence, which says so if there is none; `{doors}` are the doors that the code does open, `{call}` says whom to call.
    """

    prospect: str
    operator: str
    is_guess: bool = False


EXPLANATIONS: dict[Reason, Explanation] = {
    Reason.UNREADABLE: Explanation(
        "This is not a tour code. Show the code from your confirmation, with the screen bright and flat. {call}",
        "Something was scanned that is no tour code.",
        is_guess=True,
    ),
    Reason.UNKNOWN_KEY: Explanation(
        "This code was not made for this property. Open the latest confirmation that you got from us. {call}",
        "The code is signed with a key that this door does not have: copy the desk's public key here, or it is a forgery.",
        is_guess=True,
    ),
    Reason.RETIRED_KEY: Explanation(
        "This code is out of date. Open the latest confirmation that you got from us. {call}",
        "The code is signed with a key that was retired: send the prospect a new code.",
    ),
    Reason.BAD_SIGNATURE: Explanation(
        "This code is damaged. Open the confirmation itself and show its code, not a copy of it. {call}",
        "The code names a key of ours, but its signature is wrong: it was altered or forged.",
        is_guess=True,
    ),
    Reason.WRONG_PIN: Explanation(
        "This PIN does not open this door. Look for the PIN in your latest confirmation and type it again. {call}",
        "A PIN was typed that no confirmed appointment of this door has: mistyped, cancelled, moved, or guessed.",
        is_guess=True,
    ),
    Reason.WRONG_COMMUNITY: Explanation(
        "This code is for another property. Check the address in your confirmation. {call}",
        "The code is genuine, but for another community.",
    ),
    Reason.WRONG_DOOR: Explanation(
        "This code opens another door: {doors}. {call}",
        "The code is genuine, but not for this door; it opens {doors}.",
    ),
    Reason.TOO_EARLY: Explanation(
        "You are early. This code opens the door from {time}. {call}",
        "The code is used before its window and grace begin, at {time}.",
    ),
    Reason.TOO_LATE: Explanation(
        "This code stopped working at {time}. Book a new time on the website. {call}",
        "The code is used after its window and grace ended, at {time}.",
    ),
    Reason.CANCELLED: Explanation(
        "This tour was cancelled. Book a new time on the website. {call}",
        "The appointment was cancelled.",
    ),
    Reason.SUPERSEDED: Explanation(
        "Your tour was moved and you have a newer code. Open the latest confirmation. {call}",
        "The appointment was moved, or its code made anew; this is the old code.",
    ),
    Reason.USED_UP: Explanation(
        "This code was used as often as it may be. {call}",
        "The code was used at this door as often as the rules allow.",
    ),
    Reason.OUT_OF_HOURS: Explanation(
        "This door does not let tours in at this time of the day. {opening} {call}",
        "The code is good, but the time is outside of this door's hours. {opening}",
    ),
    Reason.CLOSED_DAY: Explanation(
        "There are no tours at this door today. {opening} {call}",
        "The code is good, but the day is one of those on which this door is closed. {opening}",
    ),
    Reason.REENTRY_PAUSE: Explanation(
        "This code opened this door a moment ago. It opens it again from {again}. {call}",
        "The code was used at this door so shortly before that the rules ask for a pause, until {again}.",
    ),
    Reason.PASSBACK: Explanation(
        "This code has let somebody in by another door. Use that door again. {call}",
        "The code came in by another door and was not seen leaving: anti-passback refuses it until then, or until its time is over.",
    ),
    Reason.CLOCK_UNCERTAIN: Explanation(
        "The door cannot tell the time just now, so it cannot check your code. {call}",
        "The door's clock is too uncertain to say whether the code is in its window: bring the network back or fit a battery-backed clock.",
    ),
    Reason.LOCKED_OUT: Explanation(
        "Too many wrong codes. A valid code from your confirmation still works when you show it; a PIN does not for a while. {call}",
        "After too many wrong codes in a row, wrong codes and all PINs are not looked at for a while; valid tour codes are.",
        is_guess=True,
    ),
    Reason.BUSY: Explanation(
        "One moment: the door is in use. Show your code again in a few seconds. {call}",
        "A code came while the door was released or another one was being decided.",
    ),
    Reason.STORE_FAILED: Explanation(
        "The door has a fault and stays shut. {call}",
        "The admission could not be written to disk, so the door stayed shut: check the disk's space and health.",
    ),
    Reason.RELAY_FAILED: Explanation(
        "The door has a fault and stays shut. {call}",
        "The admission was written, but the relay did not answer: check the board and its wiring.",
    ),
}


@dataclass(frozen=True, slots=True)
class Circumstance:
    """What a sentence needs to know: the property's zone, whom to call, and the time and doors that the denial names."""

    zone: tzinfo
    phone: str
    now_ms: int
    time_ms: int | None = None
    doors: tuple[str, ...] = ()


def for_prospect(reason: Reason, circumstance: Circumstance) -> str:
    """What the person at the door reads."""
    return _fill(EXPLANATIONS[reason].prospect, circumstance)


def for_operator(reason: Reason, circumstance: Circumstance) -> str:
    """What the person on call reads."""
    return _fill(EXPLANATIONS[reason].operator, circumstance)


def _fill(sentence: str, circumstance: Circumstance) -> str:
    time_ms, zone, now_ms = circumstance.time_ms, circumstance.zone, circumstance.now_ms
    time = "its time" if time_ms is None else for_people(time_ms, zone, near_ms=now_ms)
    again = time if time_ms is None else for_people(-(-time_ms // _MINUTE_MS) * _MINUTE_MS, zone, near_ms=now_ms)
    doors = " or ".join(circumstance.doors) or "none here"
    opening = "No other time is set." if time_ms is None else f"The next tours are let in from {time}."
    call = f"Help: {circumstance.phone}." if circumstance.phone else ""
    return sentence.format(time=time, again=again, opening=opening, doors=doors, call=call).rstrip()
