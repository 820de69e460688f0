"""Sentences for codes: what is wrong with a field, why the office did not do it, what a status means.

Rule 1: each sentence says what to do. They stand here in English, marked by `N_`, and catalogues have them in other languages.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.desk import office, people
from agent.desk.people import LONGEST


def N_(sentence: str) -> str:  # noqa: N802 - gettext's own name for a sentence that is translated later
    """Mark a sentence for the catalogues."""
    return sentence


LABELS = {
    "first_name": N_("First name"),
    "last_name": N_("Last name"),
    "email": N_("Email"),
    "phone": N_("Mobile phone"),
    "unit": N_("Homes you would like to see"),
    "start": N_("Time"),
}

_MISSING = {
    "first_name": N_("Enter your first name."),
    "last_name": N_("Enter your last name."),
    "email": N_("Enter your email address."),
    "phone": N_("Enter your phone number."),
    "start": N_("Choose one of the times."),
}
_TOO_LONG = N_("This is too long: at most %(most)s characters.")
_UNPRINTABLE = {
    "email": N_("There are characters in it that do not belong into an email address."),
    "phone": N_("There are characters in it that do not belong into a phone number."),
}
_NO_NAME = N_("Write your name in letters.")
_NO_EMAIL = N_("This is not an email address. It looks like name@example.com.")
_NO_PHONE = N_("This is not a phone number. Write it with the area code, and from another country with + and its code.")
UNITS_WRONG = N_("Choose at most 12 of the homes listed here.")

NOT_DONE = {
    office.Problem.UNREACHED: N_("The booking system cannot be reached right now. Nothing was changed. Please try again in a minute."),
    office.Problem.SLOT_GONE: N_("This time has just been taken. Please choose another."),
    office.Problem.NO_BOOKING: N_("This tour is no longer here. You can book a new one."),
    office.Problem.NOT_LIVE: N_("This tour is not booked any more. You can book a new one."),
    office.Problem.OVER: N_("This tour has begun or is over, so it cannot be moved. You can book a new one."),
    office.Problem.NOT_CONFIRMED: N_(
        "The property has not confirmed this tour yet, so it cannot be moved. You can cancel it and book another."
    ),
    office.Problem.BUSY: N_("Another booking of yours is just being made. Please try again in a minute."),
    office.Problem.MOVE_OPEN: N_("This tour is being moved already. Please look again in a few minutes."),
}
_NOT_DONE_ELSE = N_("This could not be done. Please call the leasing office.")

_REFUSALS = {
    400: (N_("This cannot be read"), N_("Something in the address or in the form is not as our pages send it. Please start again.")),
    403: (N_("This was not sent from our page"), N_("Nothing was changed. Please open the page again and try once more.")),
    404: (N_("This page does not exist"), N_("The link may be incomplete. Please check it, or start again.")),
    405: (N_("This page cannot do that"), N_("Please start again.")),
    413: (N_("This is too much"), N_("The form is longer than our pages send it. Nothing was changed.")),
    421: (N_("This address is not served here"), N_("Please check the link that brought you here.")),
    429: (N_("Too many tries"), N_("There were too many tries from your connection. Please wait an hour, or call the leasing office.")),
    503: (N_("Out of order for a moment"), N_("Nothing was changed. Please try again in a minute, or call the leasing office.")),
}
_REFUSAL_ELSE = (N_("Something went wrong"), N_("It was noted, and we will look into it. Please try again, or call the leasing office."))


def field_words(name: str, problem: people.Problem) -> tuple[str, Mapping[str, object]]:
    """What to say beside a field, in English with the values for its places."""
    match problem:
        case people.Problem.MISSING:
            return _MISSING[name], {}
        case people.Problem.TOO_LONG:
            return _TOO_LONG, {"most": LONGEST[name]}
        case people.Problem.UNPRINTABLE:
            return _UNPRINTABLE.get(name, _NO_NAME), {}
        case people.Problem.NO_EMAIL:
            return _NO_EMAIL, {}
        case people.Problem.NO_PHONE:
            return _NO_PHONE, {}


def not_done_words(problem: office.Problem) -> str:
    """Why the office did not do it, in English."""
    return NOT_DONE.get(problem, _NOT_DONE_ELSE)


def refusal_words(status: int) -> tuple[str, str]:
    """Title and sentence of a refused request, in English."""
    return _REFUSALS.get(status, _REFUSAL_ELSE)
