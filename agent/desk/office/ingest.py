"""Appointments that a vendor booked in Knock on its own website. Blocking: each call is made in a thread.

Rule 1: the same body again changes nothing and gives the same code; another time, unit, door or prospect gives another code.
Rule 2: a dead appointment is not revived, whoever says so (promise P5).
Rule 3: an appointment that is put for the first time is the last that its prospect asked Knock for, and takes the place of the others.
Rule 4: a vendor sees and changes appointments of its own communities only.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import replace

from agent.core.booking import BookingState
from agent.core.news import check_title
from agent.core.tour import Standing, TourError
from agent.desk.office.parts import Parts
from agent.desk.office.passes import Tour
from agent.desk.office.settling import PIN_ATTEMPTS, WAITING, Settling
from agent.desk.office.values import Ingested, NotDoneError, Pass
from agent.desk.records import Appointment, Booking
from agent.desk.store import PinTakenError, StateError
from agent.errors import RefusedError, StoreError
from agent.settings.desk import CommunitySettings

_CHANGED_TRIES = 10
_FORBIDDEN, _NOT_FOUND, _CONFLICT, _UNPROCESSABLE = 403, 404, 409, 422


class Ingest:
    """The vendors' desk."""

    def __init__(self, parts: Parts, settling: Settling) -> None:
        self._parts = parts
        self._store = parts.store
        self._settling = settling

    def put(self, allowed: Collection[str], appointment_id: str, body: Ingested) -> Pass:
        """See `Office.ingest`."""
        if body.community_id not in allowed:
            raise RefusedError(_FORBIDDEN, "this token is not for that community")
        community = self._parts.community(body.community_id)
        if community is None:
            raise RefusedError(_UNPROCESSABLE, "this desk does not know that community")
        tour = _tour(community, appointment_id, body)
        for _ in range(_CHANGED_TRIES):
            with contextlib.suppress(StateError):
                return self._put(tour)
        raise StoreError(f"the appointment {appointment_id} is being changed by others all the time: try again")

    def cancel(self, allowed: Collection[str], appointment_id: str) -> Appointment:
        """See `Office.ingest_cancel`."""
        for _ in range(_CHANGED_TRIES):
            known = self._store.appointment(appointment_id)
            if known is None or known.community_id not in allowed:
                raise RefusedError(_NOT_FOUND, "there is no such appointment")
            with contextlib.suppress(StateError):
                return self._cancel(known)
        raise StoreError(f"the appointment {appointment_id} is being changed by others all the time: try again")

    def _cancel(self, known: Appointment) -> Appointment:
        booking = None if known.booking_id is None else self._store.booking(known.booking_id)
        if booking is not None and booking.appointment_id == known.appointment_id and booking.state is BookingState.CONFIRMED:
            try:
                self._settling.cancel(booking)
            except NotDoneError as error:
                raise RefusedError(_CONFLICT, str(error)) from None
        else:
            self._store.end_appointment(known.appointment_id, Standing.CANCELLED, self._parts.now_ms())
        return self._store.appointment(known.appointment_id) or known

    def _put(self, tour: Tour) -> Pass:
        """Decide by the row as it is now; raises `StateError` when it was changed before the decision was written."""
        known = self._store.appointment(tour.appointment_id)
        if known is not None:
            _check_known(known, tour)
            return self._held(known if _is_told(known, tour) else self._written(known, tour))
        waiting = self._waiting(tour)
        return self._held(self._written(None, tour)) if waiting is None else self._settle_waiting(waiting, tour)

    def _written(self, known: Appointment | None, tour: Tour) -> Appointment:
        """Write it, with the code it has if that still says the truth, else with a new one."""
        if known is not None and _is_same_code(known, tour):
            made = replace(known, source_title=tour.source_title, first_name=tour.first_name)
        else:
            try:
                made = self._parts.passes.new(tour)
            except TourError as error:
                raise RefusedError(_UNPROCESSABLE, str(error)) from None
        seen = known.revision if known is not None else 0
        for attempt in range(made.pin_attempt, made.pin_attempt + PIN_ATTEMPTS):
            one = replace(made, pin_attempt=attempt)
            with contextlib.suppress(PinTakenError):
                hashes, now_ms = self._parts.passes.pin_hashes(one), self._parts.now_ms()
                return self._store.put_told(one, hashes, now_ms, seen_revision=seen, superseded_job=self._parts.superseded_job())
        raise StoreError(f"no PIN is free at the doors of community {tour.community_id}: too many tours are live")

    def _waiting(self, tour: Tour) -> Booking | None:
        """A booking of this desk that this appointment answers: by its id, or as the move that the prospect asked for."""
        for booking in self._store.unsettled(tour.community_id):
            is_move = booking.prospect_id == tour.prospect_id and booking.move_state in WAITING and booking.moving_to == tour.window
            if is_move or (booking.state in WAITING and booking.appointment_id == tour.appointment_id):
                return booking
        return None

    def _settle_waiting(self, booking: Booking, tour: Tour) -> Pass:
        """Raises `RefusedError` for what no code can carry, so that the booking waits on; `StateError`."""
        try:
            settled = self._settling.booked_by_hand(booking, tour.appointment_id, tour.prospect_id, "", window=tour.window)
        except NotDoneError as error:
            raise RefusedError(_UNPROCESSABLE, str(error)) from None
        held = self._parts.held(settled)
        if held is None:
            raise RefusedError(_CONFLICT, "the appointment belongs to a booking of this desk that could not be confirmed: ask its staff")
        return held

    def _held(self, appointment: Appointment) -> Pass:
        held = self._parts.passes.of(appointment)
        if held is None:
            raise RefusedError(_CONFLICT, _DEAD)
        return held


_DEAD = "the appointment was cancelled or replaced, and its codes stay dead: book another one in Knock, and put that"


def _check_known(known: Appointment, tour: Tour) -> None:
    """Refuse to change what is dead, another community's, or this desk's own."""
    if known.community_id != tour.community_id:
        raise RefusedError(_CONFLICT, "the appointment was put for another community")
    if known.standing is not Standing.CONFIRMED:
        raise RefusedError(_CONFLICT, _DEAD)
    if known.booking_id is not None and not (known.prospect_id == tour.prospect_id and known.window == tour.window):
        raise RefusedError(_CONFLICT, "the appointment was booked on this desk's own page: move or cancel it there")


def _is_told(known: Appointment, tour: Tour) -> bool:
    """Whether there is nothing to write: it is as it was told, or it is this desk's own."""
    is_told = _is_same_code(known, tour) and (known.source_title, known.first_name) == (tour.source_title, tour.first_name)
    return known.booking_id is not None or is_told


def _is_same_code(known: Appointment, tour: Tour) -> bool:
    facts = (known.prospect_id, known.doors, known.unit_names, known.window)
    return facts == (tour.prospect_id, tour.doors, tour.unit_names, tour.window)


def _tour(community: CommunitySettings, appointment_id: str, body: Ingested) -> Tour:
    try:
        check_title(body.source_title or "")
    except TourError as error:
        raise RefusedError(_UNPROCESSABLE, str(error)) from None
    units = _units(community, body.unit_names)
    names = [door.name for door in community.door]
    if body.doors is not None and (not body.doors or not set(body.doors) <= set(names)):
        raise RefusedError(_UNPROCESSABLE, f"doors must be some of {', '.join(names)}")
    opened = [door.name for door in community.doors_for(units)] if body.doors is None else [name for name in names if name in body.doors]
    return Tour(
        appointment_id=appointment_id,
        prospect_id=body.prospect_id,
        community_id=community.id,
        doors=tuple(opened),
        unit_names=units,
        window=body.window,
        source_title=body.source_title,
        first_name=body.first_name,
        booking_id=None,
    )


def _units(community: CommunitySettings, told: tuple[str, ...]) -> tuple[str, ...]:
    """The units in the community's own spelling, each once; Knock matches them without regard to case and space (Knock Visit API)."""
    if not community.units:
        return tuple(dict.fromkeys(told))
    known = {_plain(unit): unit for unit in community.units}
    if any(_plain(unit) not in known for unit in told):
        raise RefusedError(_UNPROCESSABLE, "unit_names holds a unit that the community does not have")
    return tuple(dict.fromkeys(known[_plain(unit)] for unit in told))


def _plain(unit: str) -> str:
    return "".join(unit.split()).casefold()
