"""Knock's rules: a state and a request give a new state and an answer.

Rule 1: no I/O and no clock: `now` and new ids come in, a value goes out; a refusal changes nothing.
Rule 2: what Knock documents is marked with its source; everything else is an assumption and says so.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from agent.errors import RefusedError
from agent.sandbox.fields import Fields, refuse
from agent.sandbox.records import CANCELLED, CONFIRMED, Appointment, KnockState, Prospect, Received, Visit, plain_email, plain_phone
from agent.sandbox.settings import Community
from agent.sandbox.slots import Span, free_starts, in_zone

AVAILABLE_TIMES = "available-times"
PROSPECT = "prospect"
REQUEST = "request"
CANCEL = "cancel"
VISIT = "visit"
ROUTES = (AVAILABLE_TIMES, PROSPECT, REQUEST, CANCEL, VISIT)

SELF_GUIDED = "SELF_GUIDED"
TOUR_TYPES = (SELF_GUIDED, "IN_PERSON")
"""Knock documents the first; the second stands for all others (assumption)."""

LONGEST_TOUR = timedelta(days=1)
"""An assumption, against a slip in `endTime` that would take every slot."""

_NOT_FOUND = 404
_KEY_REUSED = 422


@dataclass(frozen=True, slots=True)
class Work:
    """One request, already known to be an object: the route's name and the fields; and the status that a booking is to get."""

    route: str
    body: Mapping[str, Any]
    idempotency_key: str | None = None
    booking_status: str = CONFIRMED


@dataclass(frozen=True, slots=True)
class Moment:
    """What comes from outside: the instant, a source of ids, and how a new appointment stands."""

    now: datetime
    new_id: Callable[[], str]
    booking_status: str = CONFIRMED


@dataclass(frozen=True, slots=True)
class Outcome:
    """The state after the work, and the answer."""

    state: KnockState
    result: dict[str, Any]


class Rules:
    """What Knock does with each request."""

    def __init__(self, communities: tuple[Community, ...], *, is_idempotency_key_honoured: bool, received_limit: int) -> None:
        self._communities = {community.id: community for community in communities}
        self._is_idempotency_key_honoured = is_idempotency_key_honoured
        self._received_limit = received_limit
        self._handlers: Mapping[str, Callable[[KnockState, Fields, Moment], Outcome]] = {
            AVAILABLE_TIMES: self._offer_times,
            PROSPECT: self._take_prospect,
            REQUEST: self._book,
            CANCEL: self._cancel,
            VISIT: self._take_visit,
        }

    def perform(self, state: KnockState, work: Work, moment: Moment) -> Outcome:
        """Do one piece of work.

        Raises:
            RefusedError: with the status and the words of the answer.
        """
        earlier = self._earlier(state, work)
        if earlier is not None:
            return Outcome(state, dict(earlier.result))
        outcome = self._handlers[work.route](state, Fields(work.body), moment)
        # a door asks for free times all day long: how many there were is worth keeping, not each of them
        kept = {"offered": len(outcome.result["acceptableTimes"])} if work.route == AVAILABLE_TIMES else outcome.result
        received = (*outcome.state.received, Received(work.route, moment.now, work.body, kept, work.idempotency_key))
        return Outcome(replace(outcome.state, received=received[-self._received_limit :]), outcome.result)

    def _earlier(self, state: KnockState, work: Work) -> Received | None:
        """The same work done before under the same idempotency key, if such keys are honoured (assumption: they may be)."""
        if not self._is_idempotency_key_honoured or work.idempotency_key is None:
            return None
        for received in state.received:
            if received.route == work.route and received.idempotency_key == work.idempotency_key:
                if received.body != work.body:
                    raise RefusedError(_KEY_REUSED, "This Idempotency-Key was used before, with another body.")
                return received
        return None

    def _offer_times(self, state: KnockState, fields: Fields, moment: Moment) -> Outcome:
        """Self-Guided Appointment API, step 2: the client's preference is applied to `forSelfGuided=true`."""
        community = self._community(fields.identifier("communityId"))
        is_self_guided = bool(fields.optional_boolean("forSelfGuided"))
        taken = _taken(state, community, is_self_guided=is_self_guided)
        starts = list(free_starts(community, taken, moment.now))
        return Outcome(state, {"acceptableTimes": in_zone(starts, community.zone())})

    def _take_prospect(self, state: KnockState, fields: Fields, moment: Moment) -> Outcome:
        """Knock Prospect API: 200 with the prospect's id. That a known email or phone gives the known id is an assumption."""
        community = self._community(fields.identifier("communityId"))
        fields.optional_text("sourceTitle")
        fields.optional_text("message")
        fields.optional_boolean("autorespond")
        prospect = _prospect(state, community, _profile(fields), moment)
        return Outcome(state.having(prospect), {"id": prospect.id})

    def _book(self, state: KnockState, fields: Fields, moment: Moment) -> Outcome:
        """Self-Guided Appointment API, step 3.

        The prospect is found by email or phone or made; a new request cancels what that prospect had coming (Knock Appointment
        Creation API). The first of `requestedTimes` that is offered is booked; assumptions: a time that is not offered is refused,
        what has begun is no longer "upcoming", and what is not confirmed takes its time and can be cancelled like what is.
        """
        community = self._community(fields.identifier("communityId"))
        tour_type = _tour_type(fields)
        source_title = fields.optional_text("sourceTitle")
        fields.optional_boolean("smsConsent")
        for name in ("smsConsentDisclaimer", "smsConsentUrl", "message"):
            fields.optional_text(name)
        wishes = _requested_spans(fields)
        prospect = _prospect(state, community, _profile(fields.object("profile")), moment)
        dying = [
            replace(appointment, status=CANCELLED)
            for appointment in state.appointments.values()
            if appointment.prospect_id == prospect.id and appointment.status != CANCELLED and appointment.span.start > moment.now
        ]
        freed = state.having(prospect, *dying)
        taken = _taken(freed, community, is_self_guided=tour_type == SELF_GUIDED)
        span = _first_free(wishes, set(free_starts(community, taken, moment.now)))
        new_id = _fresh_id(moment, freed.appointments)
        appointment = Appointment(new_id, prospect.id, community.id, span, tour_type, source_title, moment.booking_status)
        answer = {"appointmentId": new_id, "prospectId": prospect.id, "appointment": appointment.to_json()}
        return Outcome(freed.having(appointment), answer)

    def _cancel(self, state: KnockState, fields: Fields, moment: Moment) -> Outcome:
        """Self-Guided Appointment API, step 3. That a second cancel is a success too is an assumption."""
        del moment  # an appointment may be cancelled at any time (assumption)
        cancelled = replace(_appointment(state, fields.text("appointmentId")), status=CANCELLED)
        return Outcome(state.having(cancelled), {"appointment": {"id": cancelled.id, "status": cancelled.status}})

    def _take_visit(self, state: KnockState, fields: Fields, moment: Moment) -> Outcome:
        """Knock Visit API: the time must be in the past, units that do not match are ignored.

        Assumptions: who is unknown is refused; a visit to a cancelled appointment is taken, since the person was there.
        """
        prospect_id = fields.text("prospectId")
        visit_time = fields.instant("visitTime", is_z_allowed=True)
        appointment_id = fields.text("appointmentId")
        is_self_guided = bool(fields.optional_boolean("isSelfGuided"))
        source_title = fields.optional_text("sourceTitle")
        unit_names = fields.optional_list("unitNames", str, "texts")
        if visit_time > moment.now:
            refuse(f"visitTime must be in the past, but {visit_time.isoformat()} is in the future of {moment.now.isoformat()}.")
        if prospect_id not in state.prospects:
            raise RefusedError(_NOT_FOUND, f"There is no prospect {prospect_id!r}.")
        appointment = _appointment(state, appointment_id)
        if appointment.prospect_id != prospect_id:
            refuse(f"Appointment {appointment_id!r} is not of prospect {prospect_id!r}.")
        community = self._communities.get(appointment.community_id)
        units = match_units(unit_names, community.units if community else ())
        new_id = _fresh_id(moment, state.visits)
        visit = Visit(new_id, prospect_id, appointment_id, visit_time, is_self_guided, source_title, units)
        return Outcome(state.having(visit), {"visitId": new_id})

    def _community(self, community_id: str) -> Community:
        found = self._communities.get(community_id)
        if found is None:
            raise RefusedError(_NOT_FOUND, f"There is no community {community_id!r}.")
        return found


def match_units(names: list[str], units: tuple[str, ...]) -> tuple[str, ...]:
    """The community's units among `names`, each once, without regard to case and space (Knock Visit API); the rest is ignored."""
    known = {_plain_unit(unit): unit for unit in units}
    found = (known.get(_plain_unit(name)) for name in names)
    return tuple(dict.fromkeys(unit for unit in found if unit is not None))


def _plain_unit(name: str) -> str:
    return "".join(name.split()).casefold()


def _tour_type(fields: Fields) -> str:
    """Self-guided or in person; in person when it is not said (assumption)."""
    tour_type = fields.optional_text("tourType")
    if tour_type not in (None, *TOUR_TYPES):
        refuse(f"tourType must be one of {', '.join(TOUR_TYPES)}, not {tour_type!r}.")
    return tour_type or TOUR_TYPES[-1]


def _requested_spans(fields: Fields) -> list[Span]:
    """`requestedTimes`: RFC 3339 with a numeric offset (Self-Guided Appointment API, step 3)."""
    spans = []
    for wish in fields.optional_list("requestedTimes", dict, "objects"):
        wished = Fields(wish, "requestedTimes")
        start, end = wished.instant("startTime", is_z_allowed=False), wished.instant("endTime", is_z_allowed=False)
        if end <= start:
            refuse("endTime in requestedTimes must be after startTime.")
        if end - start > LONGEST_TOUR:
            refuse("endTime in requestedTimes must be within a day of startTime.")
        spans.append(Span(start, end))
    if not spans:
        refuse("requestedTimes must hold at least one startTime and endTime.")
    return spans


def _first_free(wishes: list[Span], starts: Container[datetime]) -> Span:
    free = [wish for wish in wishes if wish.start in starts]
    if not free:
        refuse("None of the requestedTimes is available.")
    return free[0]


def _profile(fields: Fields) -> dict[str, Any]:
    """What is told of a person. One of email and phone must be there, or nobody could be matched (assumption)."""
    told: dict[str, Any] = {name: fields.optional_text(name) for name in ("firstName", "lastName", "email", "phone")}
    told |= {name: fields.optional_number(name) for name in ("occupants", "leaseTermMonths", "minBudget", "maxBudget")}
    told |= {"moveDate": fields.optional_date("moveDate")}
    told |= {"bedrooms": fields.optional_list("bedrooms", (str, int, float), "texts or numbers") or None}
    if told["email"] is not None and plain_email(told["email"]) is None:
        refuse("email must be an address like somebody@example.com.")
    if told["phone"] is not None and plain_phone(told["phone"]) is None:
        refuse("phone must have at least seven digits.")
    if told["email"] is None and told["phone"] is None:
        refuse("email or phone must be given.")
    return {name: value for name, value in told.items() if value is not None}


def _prospect(state: KnockState, community: Community, profile: Mapping[str, Any], moment: Moment) -> Prospect:
    """The known person with this email, else with this phone, told anew; or a new one."""
    others = [prospect for prospect in state.prospects.values() if prospect.community_id == community.id]
    for name, plain in (("email", plain_email), ("phone", plain_phone)):
        wanted = plain(profile.get(name))
        for other in others:
            if wanted is not None and plain(other.profile.get(name)) == wanted:
                return replace(other, profile={**other.profile, **profile})
    return Prospect(_fresh_id(moment, state.prospects), community.id, profile)


def _appointment(state: KnockState, appointment_id: str) -> Appointment:
    found = state.appointments.get(appointment_id)
    if found is None:
        raise RefusedError(_NOT_FOUND, f"There is no appointment {appointment_id!r}.")
    return found


def _taken(state: KnockState, community: Community, *, is_self_guided: bool) -> list[Span]:
    """What is booked and stands in the way of one more tour of this kind."""
    is_beside_others = is_self_guided and community.is_self_guided_beside_in_person
    return [
        appointment.span
        for appointment in state.appointments.values()
        if appointment.community_id == community.id
        and appointment.status != CANCELLED
        and (appointment.tour_type == SELF_GUIDED or not is_beside_others)
    ]


def _fresh_id(moment: Moment, known: Container[str]) -> str:
    while (new_id := moment.new_id()) in known:
        pass
    return new_id
