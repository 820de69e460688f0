"""A tour as a calendar file (RFC 5545, RFC 5546). The only importer of icalendar.

Rule 1: one booking is one entry for life: its UID never changes and its SEQUENCE only grows, so that a move corrects the entry in the
        prospect's calendar and a cancel takes it out, whichever file arrives last.
Rule 2: times are in UTC, so no zone's rules have to travel along; the calendar shows them wherever its owner is.
Rule 3: neither the code nor the PIN is in it, since calendars are shared and synchronised; the link to them is.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import icalendar

from agent.core.booking import BookingState
from agent.desk.records import Booking
from agent.settings.desk import CommunitySettings

MEDIA_TYPE = "text/calendar"

Translate = Callable[[str], str]
"""A catalogue of the prospect's language: the English sentence in, the same in that language out, its `%(name)s` places kept."""

_ALARM = timedelta(hours=-1)
_CALLED_OFF = frozenset({BookingState.CANCELLED, BookingState.SUPERSEDED})


def tour_ics(
    booking: Booking, community: CommunitySettings, *, manage_url: str, translate: Translate, organizer: str | None = None
) -> bytes:
    """The booking's entry as it stands: to put in, to correct, or, when it is cancelled or superseded, to take out.

    `manage_url` is the prospect's own link, whose host ends the UID; `organizer` is the email address that the file comes from, which a
    calendar compares with when a later file corrects the entry.
    """
    is_off = booking.state in _CALLED_OFF
    file = icalendar.Calendar()
    file.add("prodid", "-//tourlatch//desk//EN")
    file.add("version", "2.0")
    file.add("calscale", "GREGORIAN")
    file.add("method", method(booking))
    event = icalendar.Event()
    event.add("uid", f"tour-{booking.booking_id}@{urlsplit(manage_url).hostname}")
    event.add("sequence", revision(booking))
    event.add("status", "CANCELLED" if is_off else "CONFIRMED")
    event.add("dtstamp", _moment(booking.changed_ms))
    event.add("dtstart", _moment(booking.window.start_ms))
    event.add("dtend", _moment(booking.window.end_ms))
    event.add("summary", translate("Self-guided tour of %(community)s") % {"community": _line(community.name)})
    event.add("location", f"{_line(community.name)}, {_line(community.address)}")
    event.add("description", _description(booking, community, manage_url, translate))
    event.add("url", manage_url)
    event.add("class", "PRIVATE")
    if organizer is not None:
        sender = icalendar.vCalAddress(f"mailto:{organizer}")
        sender.params["CN"] = _line(community.name).replace('"', "'")
        event.add("organizer", sender)
    if not is_off:
        event.add_component(_alarm(translate))
    file.add_component(event)
    return bytes(file.to_ical())


def revision(booking: Booking) -> int:
    """What SEQUENCE says: seconds from the making of the booking to its last change, which grow with every change."""
    return max(booking.changed_ms - booking.created_ms, 0) // 1000


def method(booking: Booking) -> str:
    """What the file asks of a calendar: `PUBLISH` an entry or `CANCEL` it."""
    return "CANCEL" if booking.state in _CALLED_OFF else "PUBLISH"


def _alarm(translate: Translate) -> icalendar.Alarm:
    alarm = icalendar.Alarm()
    alarm.add("action", "DISPLAY")
    alarm.add("trigger", _ALARM)
    alarm.add("description", translate("Your self-guided tour begins in an hour."))
    return alarm


def _description(booking: Booking, community: CommunitySettings, manage_url: str, translate: Translate) -> str:
    if booking.state in _CALLED_OFF:
        return translate("This tour is cancelled.")
    doors = [": ".join(filter(None, (door.label or door.name, door.directions))) for door in community.doors_for(booking.unit_names)]
    return "\n".join(
        [
            translate("Your tour code, your PIN, and how to move or cancel the tour: %(link)s") % {"link": manage_url},
            *([translate("Units: %(units)s") % {"units": ", ".join(booking.unit_names)}] if booking.unit_names else []),
            *(_line(door) for door in doors),
            *([translate("Questions? Call %(phone)s.") % {"phone": community.help_phone}] if community.help_phone else []),
        ]
    )


def _line(text: str) -> str:
    """Text of the configuration on one line, without what a calendar file cannot hold."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _moment(instant_ms: int) -> datetime:
    return datetime.fromtimestamp(instant_ms // 1000, UTC)
