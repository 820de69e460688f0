"""What is asked of Knock: free times, a booking, a move.

Rule 1: the intent is on disk before the request leaves; a request that may have arrived is never repeated by itself.
Rule 2: one submission is one request, in however many processes it is handled at once; what else it is sent with gets nothing of it.
Rule 3: a time that Knock no longer offers is not asked for.
Rule 4: an address is counted when Knock is really asked for a booking, once per submission; and all its tries, so that there is an end.
Rule 5: for one person Knock is asked one thing at a time; who waited for that looks at the free times anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import logging
import secrets as chance
from collections.abc import Awaitable, Callable
from dataclasses import replace

from agent.core.booking import BookingRequest, BookingState, FreeTimes
from agent.core.news import check_title
from agent.core.replay import Refused
from agent.core.tour import MAX_UNITS, TourError, Window
from agent.desk.office.parts import Parts, in_thread
from agent.desk.office.settling import NOT_FREE, OPEN_STATES, Settling
from agent.desk.office.times import ShownTimes
from agent.desk.office.values import BookingForm, NotDoneError, Problem, Trouble
from agent.desk.records import Booking
from agent.desk.store import BusyError, StateError, Turn
from agent.desk.store.turns import BOOKINGS, Limit, LimitError
from agent.errors import StoreError
from agent.settings.desk import CommunitySettings

BOOKING_ID_BYTES = 8
_MS_A_MINUTE = 60_000
_HOUR_MS = 3_600_000
FIRST_LOOK_S = 0.05
LONGEST_LOOK_S = 0.5
LONGEST_WAIT_S = 8.0
"""So long a form that is sent again is held for the first one's answer: nobody may be asking any more, and the tour's page looks again."""
WRITE_TRIES = 3
WRITE_AGAIN_S = 0.5
TRIES = 10
"""So many tries of one address go with each booking that it may make: enough for whoever presses on while Knock is away."""
GIVE_UP_FACTOR = 2
"""A request that was begun so many times its longest time ago has no asker any more."""

_log = logging.getLogger("tourlatch")


class Asking:
    """The office's words with Knock that a prospect waits for."""

    def __init__(self, parts: Parts, settling: Settling) -> None:
        self._parts = parts
        self._settling = settling
        self.times = ShownTimes(self._offered)

    async def _offered(self, community: CommunitySettings) -> FreeTimes | Trouble:
        """The starts that Knock offers now."""
        found = await self._parts.knock.free_times(community.id)
        if isinstance(found, FreeTimes):
            return found
        return Trouble(found.words, is_link=not isinstance(found, Refused) and found.is_link)

    async def book(self, community: CommunitySettings, form: BookingForm, client: str | None) -> Booking:
        """See `Office.book`."""
        _check_form(community, form)
        known = await self._known(form)
        if known is not None:
            return known
        await self._count_try(client)
        wished = self._wished(community, form)

        async def begin() -> tuple[Booking, bool]:
            if await self._is_free(community, wished.window):
                now_ms = self._parts.now_ms()
                made = replace(wished, created_ms=now_ms, changed_ms=now_ms)
                return await in_thread(self._parts.store.begin, made, self._turn(client, form.submission))
            # it may be this very form, sent twice, that took the time meanwhile
            known = await self._known(form)
            return known or replace(wished, state=BookingState.REFUSED, words=NOT_FREE), False

        begun, is_ours = await self._when_alone(wished, begin)
        _check_same(begun, form)
        if not is_ours:
            return await self._when_answered(begun)
        request = self._request(community, begun, begun.window)
        outcome = await self._parts.knock.book(request, _key(form.submission, begun.window))
        self.times.forget(community)
        return await self._write(begun, lambda: self._settling.booked(begun, outcome))

    async def move(self, booking: Booking, start_ms: int, submission: str, client: str | None) -> Booking:
        """See `Office.move`."""
        community = self._parts.community(booking.community_id)
        if community is None:
            raise NotDoneError(Problem.NOT_LIVE, "the settings no longer name the community")
        window = _window(community, start_ms)
        if booking.move_state is BookingState.ASKING and booking.moving_to == window:
            return await self._when_answered(booking)
        _check_move(booking, self._parts.now_ms())
        if booking.window.start_ms == start_ms:
            return booking
        await self._count_try(client)

        async def begin() -> tuple[Booking, bool]:
            is_free = await self._is_free(community, window)
            found = await in_thread(self._parts.store.booking, booking.booking_id)
            if found is not None and window in (found.window, found.moving_to):
                # it is this very move, sent twice, that was begun meanwhile
                return found, False
            if not is_free:
                raise NotDoneError(Problem.SLOT_GONE, "the time is no longer free")
            _check_move(found or booking, self._parts.now_ms())
            return await in_thread(self._settling.begin_move, booking, window, self._turn(client, submission))

        begun, is_ours = await self._when_alone(booking, begin)
        if not is_ours:
            return await self._when_answered(begun)
        outcome = await self._parts.knock.book(self._request(community, begun, window), _key(submission, window))
        self.times.forget(community)
        return await self._write(begun, lambda: self._settling.moved(begun, outcome))

    async def _when_alone(self, booking: Booking, begin: Callable[[], Awaitable[tuple[Booking, bool]]]) -> tuple[Booking, bool]:
        """What `begin` says once Knock is asked for nothing else of this person; a request's longest time is waited for that."""
        loop = asyncio.get_running_loop()
        ends_s = loop.time() + self._parts.settings.knock.total_timeout_s
        while True:
            try:
                with contextlib.suppress(BusyError):
                    return await begin()
            except LimitError:
                raise NotDoneError(Problem.TOO_MANY, "there were too many bookings from one address") from None
            pause_s, is_asked = FIRST_LOOK_S, True
            while is_asked:
                if loop.time() >= ends_s:
                    raise NotDoneError(Problem.BUSY, "Knock is being asked for another booking of the same person")
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, LONGEST_LOOK_S)
                is_asked = await in_thread(self._parts.store.is_asked_for_another, booking, self._turn().since_ms)

    def _turn(self, client: str | None = None, submission: str = "") -> Turn:
        """A turn to ask Knock, which only those stand before who may still be asking; counted for the client's address."""
        now_ms, secrets, most = self._parts.now_ms(), self._parts.secrets, self._parts.settings.limits.bookings
        since_ms = now_ms - round(1000 * GIVE_UP_FACTOR * self._parts.settings.knock.total_timeout_s)
        if client is None or most == 0:
            return Turn(since_ms)
        return Turn(since_ms, Limit(secrets.who(BOOKINGS, client), secrets.who("submission", submission), most, now_ms, _HOUR_MS))

    async def _count_try(self, client: str | None) -> None:
        """Count what makes the desk ask Knock for anything; raises `NotDoneError` TOO_MANY."""
        most = TRIES * self._parts.settings.limits.bookings
        if client is None or most == 0:
            return
        who = self._parts.secrets.who("tries", client)
        if await in_thread(self._parts.store.hit, "tries", who, self._parts.now_ms(), _HOUR_MS) > most:
            raise NotDoneError(Problem.TOO_MANY, "there were too many tries from one address")

    async def _known(self, form: BookingForm) -> Booking | None:
        """What became of this submission; None when it was never asked, or surely not booked."""
        known = await in_thread(self._parts.store.by_submission, form.submission)
        if known is None or known.state is BookingState.UNSENT:
            return None
        _check_same(known, form)
        return await self._when_answered(known)

    async def _when_answered(self, booking: Booking) -> Booking:
        """The booking once nobody asks Knock about it any more, or as it is after a while."""
        loop = asyncio.get_running_loop()
        longest_s = self._parts.settings.knock.total_timeout_s
        ends_s = loop.time() + min(longest_s, LONGEST_WAIT_S)
        pause_s = FIRST_LOOK_S
        while BookingState.ASKING in (booking.state, booking.move_state):
            if self._parts.now_ms() - booking.changed_ms > 1000 * GIVE_UP_FACTOR * longest_s:
                return await in_thread(self._settling.give_up_waiting, booking)
            if loop.time() >= ends_s:
                break
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_LOOK_S)
            found = await in_thread(self._parts.store.booking, booking.booking_id)
            booking = booking if found is None else found
        return booking

    async def _is_free(self, community: CommunitySettings, window: Window) -> bool:
        offered = await self.times.fresh(community)
        if isinstance(offered, Trouble):
            raise NotDoneError(Problem.UNREACHED, f"Knock cannot be asked: {offered.words}")
        return window.start_ms in offered.starts_ms

    async def _write(self, booking: Booking, write: Callable[[], Booking]) -> Booking:
        """Write Knock's answer, and try again when the store fails: the answer is nowhere else."""
        for tried in range(1, WRITE_TRIES + 1):
            try:
                return await in_thread(write)
            except StateError:
                raise
            except StoreError as error:
                facts = {"booking": booking.booking_id, "tried": tried, "error": str(error)}
                _log.error("booking_not_written", extra={"facts": facts})
                if tried == WRITE_TRIES:
                    raise
                await asyncio.sleep(WRITE_AGAIN_S)
        raise AssertionError

    def _wished(self, community: CommunitySettings, form: BookingForm) -> Booking:
        now_ms = self._parts.now_ms()
        return Booking(
            booking_id=chance.token_hex(BOOKING_ID_BYTES),
            submission=form.submission,
            community_id=community.id,
            state=BookingState.ASKING,
            window=_window(community, form.window.start_ms),
            person=form.person,
            sms_consent=form.sms_consent,
            language=form.language,
            source_title=form.source_title,
            unit_names=form.unit_names,
            created_ms=now_ms,
            changed_ms=now_ms,
        )

    def _request(self, community: CommunitySettings, booking: Booking, window: Window) -> BookingRequest:
        return BookingRequest(
            community_id=booking.community_id,
            window=window,
            zone=community.time_zone,
            person=booking.person,
            source_title=booking.source_title,
            sms_consent=booking.sms_consent,
            unit_names=booking.unit_names,
        )


def _window(community: CommunitySettings, start_ms: int) -> Window:
    """A tour from a start: Knock offers starts only, and how long a tour lasts is a setting."""
    try:
        return Window(start_ms, start_ms + community.tour_min * _MS_A_MINUTE)
    except TourError as error:
        raise NotDoneError(Problem.SLOT_GONE, f"no tour begins then: {error}") from None


def _check_form(community: CommunitySettings, form: BookingForm) -> None:
    unit_names = form.unit_names
    try:
        check_title(form.source_title)
    except TourError as error:
        raise NotDoneError(Problem.BAD_TITLE, str(error)) from None
    if len(unit_names) > MAX_UNITS or len(set(unit_names)) != len(unit_names) or not set(unit_names) <= set(community.units):
        raise NotDoneError(Problem.BAD_UNIT, f"at most {MAX_UNITS} units can be wished for, each once, among those that the community has")


def _check_same(known: Booking, form: BookingForm) -> None:
    """Refuse a form whose token booked for somebody or something else: a browser shows old pages again, to whoever comes next."""
    if (known.person, known.window.start_ms, known.unit_names) != (form.person, form.window.start_ms, form.unit_names):
        raise NotDoneError(Problem.FORM_USED, "this form has booked for another person, time or unit already")


def _check_move(booking: Booking, now_ms: int) -> None:
    """Refuse to move what cannot be moved."""
    if booking.state in OPEN_STATES:
        raise NotDoneError(Problem.NOT_CONFIRMED, "Knock has not confirmed the tour, so there is nothing to move")
    if booking.state is not BookingState.CONFIRMED:
        raise NotDoneError(Problem.NOT_LIVE, f"the tour is {booking.state}")
    if booking.move_state is not None:
        raise NotDoneError(Problem.MOVE_OPEN, "another move is under way, or its outcome is not known")
    if booking.window.start_ms <= now_ms:
        raise NotDoneError(Problem.OVER, "the tour has begun, or is over")


def _key(submission: str, window: Window) -> str:
    """One form's request for one time. Knock's record does not say whether an idempotency key is honoured."""
    return hashlib.sha256(f"{window.start_ms}/{submission}".encode("utf-8", "replace")).hexdigest()[:32]
