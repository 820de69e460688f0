"""The staff's pages that only show: properties, a day, a tour, the free times to move to, doors, dead letters."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date, timedelta

from agent.core.booking import LIVE, BookingState
from agent.desk.office import Trouble
from agent.desk.pages import staff_doors
from agent.desk.pages.browse import by_day
from agent.desk.pages.staff_day import DoorList, Span, lists
from agent.desk.pages.staff_doors import DoorState
from agent.desk.pages.staff_frame import Place, StaffFrame
from agent.desk.pages.staff_session import Member
from agent.desk.records import Booking, DoorAccess
from agent.desk.secrets import new_token
from agent.errors import RefusedError
from agent.settings.desk import CommunitySettings
from agent.web import Answer, Call, Handler, see_other

OPEN = frozenset({BookingState.UNKNOWN, BookingState.PENDING})
"""What staff settle by hand."""

_MS_A_DAY = 86_400_000
_MOST_TOURS = 5000
_NOT_FOUND, _UNAVAILABLE = 404, 503


class StaffViews:
    """Everything under `/staff` that is asked for with GET, but the log-in."""

    def __init__(self, frame: StaffFrame) -> None:
        self._frame = frame
        self._store = frame.office.store

    def routes(self) -> Mapping[str, Mapping[str, Handler]]:
        """Handlers by path and method."""
        return {
            "/staff": {"GET": self._frame.for_member(self._start)},
            "/staff/at/{slug}": {"GET": self._frame.for_place(self._day)},
            "/staff/at/{slug}/doors": {"GET": self._frame.for_place(self._doors)},
            "/staff/at/{slug}/letters": {"GET": self._frame.for_place(self._letters)},
            "/staff/at/{slug}/tour/{booking}": {"GET": self._frame.for_place(self._tour)},
            "/staff/at/{slug}/tour/{booking}/move": {"GET": self._frame.for_place(self._times)},
        }

    async def _start(self, _call: Call, member: Member) -> Answer:
        communities = self._frame.settings.community
        if len(communities) == 1:
            return see_other(member.visitor.link(f"/staff/at/{communities[0].slug}"))
        return self._frame.bare("properties.html", member.visitor, member, communities=communities)

    async def _day(self, place: Place) -> Answer:
        now_ms = self._frame.now_ms()
        zone = place.dates.zone
        span, today = Span.asked(place.call.query.get("day", ""), zone, now_ms), Span.today(zone, now_ms)
        doors, unsettled, states, dead = await asyncio.to_thread(self._read_day, place.community, span, now_ms)
        return self._frame.page(
            "day.html",
            place,
            span=span,
            is_today=span.day == today.day,
            before=_day_key(span.day, -1),
            after=_day_key(span.day, 1),
            doors=doors,
            unsettled=unsettled,
            quiet=[state for state in states if state.is_silent or state.seen_ms is None],
            dead=dead + sum(len(state.dead) for state in states),
        )

    def _read_day(
        self, community: CommunitySettings, span: Span, now_ms: int
    ) -> tuple[list[DoorList], list[Booking], list[DoorState], int]:
        store = self._store
        appointments = store.appointments(community.id, span.from_ms, span.to_ms)
        bookings = store.bookings(community.id, start_from_ms=span.from_ms, start_to_ms=span.to_ms, limit=_MOST_TOURS)
        admissions = store.admissions(community.id, span.from_ms - _MS_A_DAY, span.to_ms + _MS_A_DAY)
        by_id = {booking.booking_id: booking for booking in bookings}
        tours = lists(community, appointments, by_id, admissions, now_ms)
        return tours, store.unsettled(community.id), self._door_states(community, now_ms), len(store.dead_jobs(community.id))

    async def _tour(self, place: Place) -> Answer:
        booking = await self.booking(place)
        now_ms = self._frame.now_ms()
        is_confirmed = booking.state is BookingState.CONFIRMED
        came = await asyncio.to_thread(self._came, booking)
        return self._frame.page(
            "tour.html",
            place,
            self_path=f"/tour/{booking.booking_id}",
            booking=booking,
            came=came,
            doors={door.name: door.label or door.name for door in place.community.door},
            can_settle=bool(OPEN & {booking.state, booking.move_state}) and booking.state in LIVE,
            can_cancel=booking.state in LIVE and not (is_confirmed and self._frame.office.parts.closes_ms(booking) <= now_ms),
            can_move=is_confirmed and booking.move_state is None and booking.window.start_ms > now_ms,
            can_resend=is_confirmed and self._frame.settings.mail is not None and bool(booking.person.email),
        )

    def _came(self, booking: Booking) -> list[tuple[str, int]]:
        """Doors and instants of the tour's admissions."""
        from_ms, to_ms = booking.window.start_ms - _MS_A_DAY, booking.window.end_ms + _MS_A_DAY
        admissions = self._store.admissions(booking.community_id, from_ms, to_ms)
        return [(one.door, one.at_ms) for one in admissions if one.appointment_id == booking.appointment_id]

    async def _times(self, place: Place) -> Answer:
        booking = await self.booking(place)
        found = await self._frame.office.free_times(place.community)
        starts = () if isinstance(found, Trouble) else found.starts_ms
        return self._frame.page(
            "move.html",
            place,
            status=_UNAVAILABLE if isinstance(found, Trouble) else 200,
            self_path=f"/tour/{booking.booking_id}/move",
            booking=booking,
            is_unreached=isinstance(found, Trouble),
            days=by_day([start for start in starts if start != booking.window.start_ms], place.dates),
            submission=new_token(),
        )

    async def _doors(self, place: Place) -> Answer:
        states = await asyncio.to_thread(self._door_states, place.community, self._frame.now_ms())
        return self._frame.page("doors.html", place, self_path="/doors", doors=states, most_behind=staff_doors.MOST_BEHIND)

    def _door_states(self, community: CommunitySettings, now_ms: int) -> list[DoorState]:
        accesses = [access for access in self._store.doors() if access.community_id == community.id]
        names = [door.name for door in community.door]
        labels = {door.name: door.label or door.name for door in community.door}
        gone = sorted({access.door for access in accesses if access.revoked_ms is None} - set(names))
        return [self._door_state(community.id, name, labels.get(name, name), accesses, now_ms) for name in [*names, *gone]]

    def _door_state(self, community_id: str, name: str, label: str, accesses: list[DoorAccess], now_ms: int) -> DoorState:
        access = staff_doors.freshest([one for one in accesses if one.door == name])
        behind = 0
        if access is not None:
            missed, _, _ = self._store.roster_page(community_id, name, access.applied_seq or 0, staff_doors.MOST_BEHIND)
            behind = len(missed)
        orders = self._store.orders(community_id, name)
        return staff_doors.state(name, label, access, behind=behind, orders=orders, now_ms=now_ms)

    async def _letters(self, place: Place) -> Answer:
        states = await asyncio.to_thread(self._door_states, place.community, self._frame.now_ms())
        # with one property there is nowhere else for a letter that names none
        which = place.community.id if len(self._frame.settings.community) > 1 else None
        jobs = await asyncio.to_thread(self._store.dead_jobs, which)
        return self._frame.page("letters.html", place, self_path="/letters", jobs=jobs, doors=[state for state in states if state.dead])

    async def booking(self, place: Place) -> Booking:
        """The booking that the path names; raises `RefusedError` for none, or another property's."""
        found = await self._frame.office.booking(place.call.path["booking"])
        if found is None or found.community_id != place.community.id:
            raise RefusedError(_NOT_FOUND, "There is no such booking.")
        return found


def _day_key(day: date, days: int) -> str:
    return (day + timedelta(days=days)).isoformat()
