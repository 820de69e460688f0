"""Sentences of the staff's pages for codes, in English and marked for the catalogues.

Rule 1: what a page says after an action is one of these, chosen by a code in its address; no text in an address is ever shown.
"""

from __future__ import annotations

from collections.abc import Callable

from agent.core.booking import BookingState
from agent.desk.office import Problem
from agent.desk.pages.staff_day import Seen
from agent.desk.pages.wording import N_, refusal_words
from agent.desk.records import JobKind

WRONG_LOGIN = N_("Name or password is wrong.")
ACCOUNTS_TROUBLE = N_("Nobody can log in now: the file of accounts cannot be used. The desk's log says why.")

_REFUSALS = {
    429: N_("There were too many wrong log-ins. Please wait an hour."),
    500: N_("Please try again. What went wrong stands in the desk's log."),
    503: N_("Nothing was changed. Please try again in a minute. The desk's log says why."),
}
"""Where a prospect would be told to call the office."""

_NOT = "not-"
_DONE = {
    "cancelled": N_("The tour is cancelled. Its code and PIN open no door any more, and Knock is being told."),
    "moved": N_("The tour was moved. The earlier code and PIN open no door any more."),
    "move-open": N_("Knock was asked for the new time and has not confirmed it. Until then the old time and code stand."),
    "resent": N_("The email is on its way again."),
    "settled": N_("The tour is confirmed, and its code and PIN are ready."),
    "not-booked": N_("Written down: Knock does not have it, so there is no code."),
    "retried": N_("It is being tried again now."),
    "asked": N_("The door was asked to try again. It does so as soon as it hears of it."),
}
_TROUBLE = {
    "unsent": N_("No email was sent: the desk has no mail server, or the booking no address."),
    "gone": N_("It is not there any more, or is being tried just now."),
    Problem.UNREACHED: N_("Knock cannot be reached now. Nothing was changed: please try again in a minute."),
    Problem.SLOT_GONE: N_("That time is not free any more. Nothing was changed: please choose another."),
    Problem.NO_BOOKING: N_("That booking is not here any more."),
    Problem.NOT_LIVE: N_("That tour is not booked any more, so nothing was changed."),
    Problem.OVER: N_("That tour has begun or is over, so nothing was changed."),
    Problem.NOT_CONFIRMED: N_("That tour is not confirmed, so nothing was changed."),
    Problem.MOVE_OPEN: N_("A change of that tour is under way. Please look again in a minute."),
    Problem.NOT_OPEN: N_("There is nothing to settle: it was settled meanwhile, or Knock is being asked just now."),
    Problem.BAD_ID: N_("Those ids cannot be used: both are needed, as Knock shows them, and of no other tour here."),
}

STATES = {
    BookingState.ASKING: N_("Knock is being asked"),
    BookingState.UNSENT: N_("not sent to Knock"),
    BookingState.UNKNOWN: N_("unknown whether Knock has it"),
    BookingState.PENDING: N_("waits for Knock"),
    BookingState.CONFIRMED: N_("confirmed"),
    BookingState.REFUSED: N_("refused"),
    BookingState.CANCELLED: N_("cancelled"),
    BookingState.SUPERSEDED: N_("replaced by a newer booking"),
}

SEEN = {
    Seen.EXPECTED: N_("expected"),
    Seen.INSIDE: N_("came"),
    Seen.OVERDUE: N_("still in past the end"),
    Seen.LEFT: N_("left"),
    Seen.NO_SHOW: N_("did not come"),
    Seen.CANCELLED: N_("cancelled"),
}

JOBS = {
    JobKind.MAIL_CONFIRMED: N_("Email with the code"),
    JobKind.MAIL_MOVED: N_("Email about the new time"),
    JobKind.MAIL_CANCELLED: N_("Email about the cancel"),
    JobKind.CANCEL: N_("Cancel in Knock"),
    JobKind.PROSPECT: N_("Ask Knock who the prospect is"),
}

CLOCKS = {
    "trusted": N_("trusted"),
    "synchronised": N_("synchronised"),
    "holding": N_("not synchronised now, still good"),
    "lost": N_("lost: this door cannot tell the time"),
}

OUTBOX = {
    "due": N_("waiting"),
    "sending": N_("being sent"),
    "in_doubt": N_("in doubt"),
    "dead": N_("refused for good"),
}

_AGO = (
    (86_400_000, N_("%(count)s d ago")),
    (3_600_000, N_("%(count)s h ago")),
    (60_000, N_("%(count)s min ago")),
    (1000, N_("%(count)s s ago")),
)


def refusal(status: int) -> tuple[str, str]:
    """Title and sentence of a refused request, in English."""
    title, sentence = refusal_words(status)
    return title, _REFUSALS.get(status, sentence)


def code_of(problem: Problem) -> str:
    """The code of an action that the office did not do."""
    return f"{_NOT}{problem}"


def said(code: str) -> tuple[str, bool] | None:
    """What a page says for the code in its address, and whether it is bad news; None for an unknown one."""
    if code in _DONE:
        return _DONE[code], False
    problem = code.removeprefix(_NOT)
    return (_TROUBLE[problem], True) if code.startswith(_NOT) and problem in _TROUBLE else None


def ago(passed_ms: int, say: Callable[[str], str]) -> str:
    """How long ago something was: `3 min ago`."""
    for unit_ms, words in _AGO:
        if passed_ms >= unit_ms:
            return say(words) % {"count": passed_ms // unit_ms}
    return say(N_("just now"))
