"""`tourlatch availability`, `book` and `cancel`: the desk's work from a shell, beside a running desk on the same store.

Only a CONFIRMED booking is a success (exit 0); for any other the sentence on stderr says what to do.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import sys
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from zoneinfo import ZoneInfo

import click

from agent import config
from agent.cli.options import desk_config_option, json_option, print_json
from agent.core.booking import BookingState, FreeTimes, Person
from agent.core.clock import for_people, from_iso
from agent.core.news import check_title
from agent.core.tour import TourError, Window
from agent.errors import AgentError, ConfigError
from agent.settings.desk import CommunitySettings, DeskSettings

if TYPE_CHECKING:
    from agent.desk.office import Office, Pass
    from agent.desk.records import Booking

T = TypeVar("T")
_BOOKING_ID = re.compile(r"[0-9a-f]{16}")
_NOT_CONFIRMED = {
    BookingState.ASKING: "another process is asking Knock: look again later",
    BookingState.UNSENT: "it is not booked, since Knock did not take the request: try again",
    BookingState.UNKNOWN: "Knock may have booked it or not: look there, and settle it on the staff page; do not book again",
    BookingState.PENDING: "Knock has it, but there is no code yet",
    BookingState.REFUSED: "it is not booked",
}
_FIELDS = {"first_name": "first name", "last_name": "last name"}
_PROBLEMS = {
    "missing": "is missing",
    "too_long": "is too long",
    "unprintable": "has characters that nobody can read",
    "no_email": "is no email address",
    "no_phone": "is no phone number",
}

community_option = click.option("--community", "named", help="The community's id or slug; needed when there are several.")


@click.command()
@desk_config_option
@community_option
@json_option
def availability(config_path: Path, named: str | None, as_json: bool) -> None:
    """The times that Knock offers now for self-guided tours, on the property's clock."""
    settings = config.load_as(DeskSettings, config_path)
    community = chosen(settings, named)
    found = _at_the_office(settings, lambda office: office.free_times(community))
    if not isinstance(found, FreeTimes):
        raise AgentError(f"Knock's free times cannot be had: {found.words}")
    zone = ZoneInfo(community.time_zone)
    if as_json:
        times = [_local(start_ms, zone) for start_ms in found.starts_ms]
        print_json({"community_id": community.id, "time_zone": community.time_zone, "starts": times})
        return
    for start_ms in found.starts_ms:
        click.echo(f"{_local(start_ms, zone)}  {for_people(start_ms, zone)}")
    if not found.starts_ms:
        click.echo("None.")


@click.command()
@desk_config_option
@community_option
@click.option("--start", required=True, help="One of the times that `availability` lists: 2026-03-31T15:30:00-07:00.")
@click.option("--first-name", required=True, help="The prospect's first name.")
@click.option("--last-name", required=True, help="The prospect's last name.")
@click.option("--email", required=True, help="Where Knock and the desk write to.")
@click.option("--phone", required=True, help="With or without the country's code.")
@click.option("--unit", "units", multiple=True, help="A unit to show; may be repeated.")
@click.option("--source-title", help="Where the prospect came from; left out, the community's.")
@json_option
def book(
    *,
    config_path: Path,
    named: str | None,
    start: str,
    units: tuple[str, ...],
    source_title: str | None,
    as_json: bool,
    **typed: str,
) -> None:
    """Book a self-guided tour in Knock, and print the code, the PIN and the link that is the prospect's alone."""
    from agent.desk.office import BookingForm

    settings = config.load_as(DeskSettings, config_path)
    community = chosen(settings, named)
    window = _window(community, start)
    form = BookingForm(
        submission=secrets.token_urlsafe(16),
        window=window,
        person=_person(typed, community.country),
        sms_consent=None,
        language="en",
        source_title=_title(source_title) or community.source_title,
        unit_names=units,
    )

    async def work(office: Office) -> tuple[Booking, Pass | None, str | None]:
        booking = await office.book(community, form)
        is_kept = await office.booking(booking.booking_id) is not None
        return booking, await office.pass_for(booking), office.manage_link(booking) if is_kept else None

    booking, held, link = _at_the_office(settings, work)
    _show(booking, held, link, ZoneInfo(community.time_zone), as_json=as_json)


@click.command()
@desk_config_option
@json_option
@click.argument("tour", metavar="APPOINTMENT_OR_BOOKING")
def cancel(config_path: Path, tour: str, as_json: bool) -> None:
    """Cancel a tour by Knock's appointment id or the desk's booking id. Doors hear of it at once, Knock from the running desk."""
    settings = config.load_as(DeskSettings, config_path)

    async def work(office: Office) -> tuple[str | None, str]:
        booking = await office.booking(tour) if _BOOKING_ID.fullmatch(tour) else None
        if booking is None:
            return (await office.cancel_appointment(tour)).appointment_id, ""
        cancelled = await office.cancel(booking.booking_id)
        return cancelled.appointment_id, cancelled.words

    appointment_id, words = _at_the_office(settings, work)
    if as_json:
        print_json({"appointment_id": appointment_id, "state": "cancelled", "words": words})
        return
    click.echo(f"Cancelled. {words}".strip())


def chosen(settings: DeskSettings, named: str | None) -> CommunitySettings:
    """The community of an id or slug, or the only one; raises `ConfigError`."""
    found = [community for community in settings.community if named in (None, community.id, community.slug)]
    if len(found) != 1:
        names = ", ".join(community.slug for community in settings.community)
        raise ConfigError(f"name one community with --community: {names}")
    return found[0]


def _at_the_office(settings: DeskSettings, work: Callable[[Office], Awaitable[T]]) -> T:
    """Open the office, do one thing, and close it; an interruption waits for what Knock is being asked."""
    from agent.desk.build import build_office

    async def visit() -> T:
        with ExitStack() as stack:
            office = build_office(settings, stack, metadata.version("tourlatch"))
            try:
                return await work(office)
            finally:
                await office.finish()
                await office.parts.knock.close()

    return asyncio.run(visit())


def _window(community: CommunitySettings, start: str) -> Window:
    try:
        start_ms = from_iso(start)
        return Window(start_ms, start_ms + community.tour_min * 60_000)
    except (TourError, ValueError) as error:
        raise click.BadParameter(str(error), param_hint="'--start'") from None


def _title(typed: str | None) -> str:
    title = (typed or "").strip()
    try:
        check_title(title)
    except TourError as error:
        raise click.BadParameter(str(error), param_hint="'--source-title'") from None
    return title


def _person(typed: dict[str, str], country: str) -> Person:
    from agent.desk import people

    found = people.person(typed, country)
    if isinstance(found, people.Problems):
        told = [f"the {_FIELDS.get(name, name)} {_PROBLEMS[problem]}" for name, problem in found.by_field.items()]
        raise AgentError("\n".join(told))
    return found


def _show(booking: Booking, held: Pass | None, link: str | None, zone: ZoneInfo, *, as_json: bool) -> None:
    """What became of it; the code, PIN and link are printed because they were asked for.

    `link` is None when the booking is not kept, so that nothing is to be found under its id: then that is not told, either.
    """
    if as_json:
        print_json(_as_json(booking, held, link, zone))
    elif held is not None:
        click.echo(f"Appointment  {booking.appointment_id}")
        click.echo(f"When         {for_people(booking.window.start_ms, zone)}")
        click.echo(f"Doors        {', '.join(door.label or door.name for door in held.doors)}")
        click.echo(f"Code         {held.code_text}")
        click.echo(f"PIN          {held.pin}")
        click.echo(f"Manage link  {link}")
    if held is None:
        sentence = _NOT_CONFIRMED.get(booking.state, f"it is {booking.state}")
        found_by = "" if link is None else f" (booking {booking.booking_id})"
        click.echo(f"tourlatch: {sentence}. {booking.words}".rstrip() + found_by, err=True)
        sys.exit(1)


def _as_json(booking: Booking, held: Pass | None, link: str | None, zone: ZoneInfo) -> dict[str, Any]:
    return {
        "booking_id": None if link is None else booking.booking_id,
        "state": booking.state,
        "appointment_id": booking.appointment_id,
        "prospect_id": booking.prospect_id,
        "start": _local(booking.window.start_ms, zone),
        "end": _local(booking.window.end_ms, zone),
        "doors": [door.name for door in held.doors] if held else [],
        "code": held.code_text if held else None,
        "pin": held.pin if held else None,
        "manage_link": link,
        "words": booking.words,
    }


def _local(instant_ms: int, zone: ZoneInfo) -> str:
    return datetime.fromtimestamp(instant_ms / 1000, UTC).astimezone(zone).isoformat()
