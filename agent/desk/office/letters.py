"""What is mailed to a prospect: confirmed, moved, cancelled, or replaced by a newer booking.

Rule 1: a name is anybody's text: no header is made of it before line breaks and encoded words are out of it.
Rule 2: the language is the prospect's, out of the same catalogues as the pages, which are passed in (they live above the office).
Rule 3: a letter of a job has the same Message-ID each time, so that a repetition can be told from a second letter.
Rule 4: what is no longer true is not mailed: a letter that its booking has outlived is None.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Protocol
from urllib.parse import urlsplit

from agent import qr
from agent.core.booking import BookingState
from agent.desk import people
from agent.desk.office import calendar
from agent.desk.office.layout import Block, Fact, Heading, Link, Picture, Sentences, as_html, as_text
from agent.desk.office.values import Pass
from agent.desk.records import Booking, Job, JobKind
from agent.settings.desk import CommunitySettings, DeskSettings, MailSettings

_CODE_FILE = "tour-code.png"
_CALENDAR_FILE = "tour.ics"
_NAME_CHARACTERS = 64
_NO_SPECIALS = str.maketrans(dict.fromkeys('()<>[]:;@\\,"', " "))
"""What would need quotes in a name before an address: Python 3.11 loses the quotes of a long one, and then it is an address itself."""
_GONE = frozenset({BookingState.CANCELLED, BookingState.SUPERSEDED})


class Clockface(Protocol):
    """Dates and times for people, in a property's zone."""

    def day_with_year(self, instant_ms: int) -> str:
        """`Tuesday, March 31, 2026`."""
        ...

    def time(self, instant_ms: int) -> str:
        """`3:30 PM`."""
        ...

    def zone_name(self, instant_ms: int) -> str:
        """`Pacific Time`."""
        ...


@dataclass(frozen=True, slots=True)
class Tongue:
    """How a letter speaks: the language's code, its catalogue (English sentence in, its own out), and its dates."""

    code: str
    say: Callable[[str], str]
    dates: Clockface


Speak = Callable[[str, CommunitySettings], Tongue]
"""The tongue for a language's code and a property."""


@dataclass(frozen=True, slots=True)
class _Facts:
    """What a letter is written of."""

    kind: JobKind
    booking: Booking
    place: CommunitySettings
    held: Pass | None
    link: str
    tongue: Tongue

    @property
    def when(self) -> str:
        dates, window = self.tongue.dates, self.booking.window
        return f"{dates.day_with_year(window.start_ms)}, {dates.time(window.start_ms)}"

    @property
    def is_replaced(self) -> bool:
        """Whether somebody booked anew with the same email or phone."""
        return self.booking.state is BookingState.SUPERSEDED


class Letters:
    """Writes the letters of one desk; `speak` brings the catalogues. Made only when `[mail]` is there."""

    def __init__(self, settings: DeskSettings, mail: MailSettings, speak: Speak) -> None:
        self._settings = settings
        self._mail = mail
        self._speak = speak
        self._host = (urlsplit(settings.public_url).hostname or "localhost").encode("idna").decode("ascii")

    def write(self, job: Job, booking: Booking, held: Pass | None, link: str, now_ms: int) -> EmailMessage | None:
        """The letter of a mail job, or None when there is nothing (any more) to say or nobody to say it to.

        `held` is the booking's pass as it is now, `link` its manage link.
        """
        place = self._settings.by_id().get(booking.community_id)
        is_gone = booking.state in _GONE
        if place is None or not booking.person.email or is_gone != (job.kind is JobKind.MAIL_CANCELLED) or (held is None and not is_gone):
            return None
        facts = _Facts(job.kind, booking, place, held, link, self._speak(booking.language, place))
        message = EmailMessage(policy=SMTP)
        self._head(message, facts, job, now_ms)
        self._body(message, facts)
        message["Content-Language"] = facts.tongue.code  # after the body, which takes such headers for its own
        return message

    def _head(self, message: EmailMessage, facts: _Facts, job: Job, now_ms: int) -> None:
        booking = facts.booking
        message["From"] = _address(facts.place.name, self._mail.sender)
        message["To"] = _address(f"{booking.person.first_name} {booking.person.last_name}", booking.person.email)
        if self._mail.reply_to is not None:
            message["Reply-To"] = _address("", self._mail.reply_to)
        message["Subject"] = _plain(_subject(facts))
        message["Date"] = datetime.fromtimestamp(now_ms // 1000, UTC)
        message["Message-ID"] = f"<{job.kind}.{booking.booking_id}.{job.job_id}@{self._host}>"
        message["Auto-Submitted"] = "auto-generated"

    def _body(self, message: EmailMessage, facts: _Facts) -> None:
        booking = facts.booking
        cid = f"code.{booking.booking_id}@{self._host}"
        blocks = self._blocks(facts, cid)
        message.set_content(as_text(blocks), cte="quoted-printable")
        message.add_alternative(as_html(blocks, facts.tongue.code, _subject(facts)), subtype="html", cte="quoted-printable")
        if facts.held is not None:
            picture = qr.png(facts.held.code_text)
            page = message.get_payload()[1]  # type: ignore[index]
            page.add_related(picture, "image", "png", cid=f"<{cid}>", disposition="inline", filename=_CODE_FILE)  # type: ignore[union-attr]
            message.add_attachment(picture, "image", "png", filename=_CODE_FILE)
        entry = calendar.tour_ics(booking, facts.place, manage_url=facts.link, translate=facts.tongue.say, organizer=self._mail.sender)
        message.add_attachment(
            entry, "text", "calendar", filename=_CALENDAR_FILE, params={"method": calendar.method(booking), "charset": "utf-8"}
        )

    def _blocks(self, facts: _Facts, cid: str) -> list[Block]:
        say, booking = facts.tongue.say, facts.booking
        blocks: list[Block] = [
            Heading(_heading(facts), is_first=True),
            Sentences(say("Hello %(name)s,") % {"name": booking.person.first_name}),
        ]
        if facts.held is None:
            again = f"{self._settings.public_url}/{facts.place.slug}?lang={facts.tongue.code}"
            blocks += [
                *_when_and_where(facts),
                *_replaced(facts),
                Sentences(say("Its code and its PIN open no door any more. You need not do anything else.")),
                Link(say("Book another time"), again),
            ]
        else:
            blocks += [*_changed(facts), *_when_and_where(facts), *_at_the_door(facts, facts.held, cid)]
            blocks += [
                Link(say("See, move or cancel your tour"), facts.link),
                Sentences(say("This email lets its holder in: please do not pass it on."), is_soft=True),
            ]
        if facts.place.help_phone:
            blocks.append(Sentences(say("Questions? Call %(phone)s.") % {"phone": facts.place.help_phone}, is_soft=True))
        return blocks


def _subject(facts: _Facts) -> str:
    say = facts.tongue.say
    words = {
        JobKind.MAIL_MOVED: say("New time for your tour of %(community)s: %(when)s"),
        JobKind.MAIL_CANCELLED: say("Replaced: your tour of %(community)s, %(when)s")
        if facts.is_replaced
        else say("Cancelled: your tour of %(community)s, %(when)s"),
    }.get(facts.kind, say("Your tour of %(community)s: %(when)s"))
    return words % {"community": facts.place.name, "when": facts.when}


def _heading(facts: _Facts) -> str:
    say = facts.tongue.say
    return {
        JobKind.MAIL_MOVED: say("Your tour has a new time"),
        JobKind.MAIL_CANCELLED: say("A newer booking took the place of this tour") if facts.is_replaced else say("Your tour is cancelled"),
    }.get(facts.kind, say("Your tour is confirmed"))


def _changed(facts: _Facts) -> list[Block]:
    if facts.kind is not JobKind.MAIL_MOVED:
        return []
    return [Sentences(facts.tongue.say("The code and the PIN of the earlier time open no door any more. Use the new ones below."))]


def _replaced(facts: _Facts) -> list[Block]:
    """It may have been somebody else who typed the address or the number."""
    if not facts.is_replaced:
        return []
    say = facts.tongue.say
    return [
        Sentences(say("Another tour was booked with your email address or your phone number, and it is the one that counts now.")),
        Sentences(say("If it was not you who booked it, please call or book again.")),
    ]


def _when_and_where(facts: _Facts) -> list[Block]:
    say, dates, window = facts.tongue.say, facts.tongue.dates, facts.booking.window
    when = say("%(start)s to %(end)s (%(zone)s)") % {
        "start": facts.when,
        "end": dates.time(window.end_ms),
        "zone": dates.zone_name(window.start_ms),
    }
    units = [Fact(say("Units"), ", ".join(facts.booking.unit_names))] if facts.booking.unit_names else []
    return [Fact(say("When"), when), Fact(say("Where"), f"{facts.place.name}, {facts.place.address}"), *units]


def _at_the_door(facts: _Facts, held: Pass, cid: str) -> list[Block]:
    say, dates = facts.tongue.say, facts.tongue.dates
    half = len(held.pin) // 2
    between = {"from": dates.time(held.opens_ms), "to": dates.time(held.closes_ms)}
    return [
        Heading(say("At the door")),
        Sentences(say("Show this code to the reader, from your phone or on paper, or type the PIN on the keypad.")),
        Picture(cid, say("The code is in the attached picture tour-code.png; the PIN does the same.")),
        Fact("PIN", f"{held.pin[:half]} {held.pin[half:]}", is_large=True),
        Sentences(say("Both work from %(from)s to %(to)s.") % between),
        *(Fact(door.label or door.name, door.directions) for door in held.doors if door.directions),
    ]


def _address(name: str, address: str) -> Address:
    """An address for a header; its domain in ASCII, since mail servers know no other."""
    local, _, domain = people.mail_address(address).rpartition("@")
    return Address(" ".join(_plain(name).translate(_NO_SPECIALS).split())[:_NAME_CHARACTERS], local, domain)


def _plain(text: str) -> str:
    """Text for a header: on one line, and nothing in it that a mail program would decode to something else."""
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in text).split())
    return line.replace("=?", "= ?")
