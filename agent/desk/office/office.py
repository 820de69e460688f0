"""`Office`: the one door to every decision of the desk. Async; its store is asked in threads."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection, Coroutine
from typing import Any

from agent.core.booking import LIVE, BookingState, FreeTimes
from agent.core.tour import Standing
from agent.desk.office.asking import GIVE_UP_FACTOR, Asking
from agent.desk.office.ingest import Ingest
from agent.desk.office.parts import Jobs, Parts, in_thread
from agent.desk.office.passes import Passes
from agent.desk.office.settling import WAITING, Settling
from agent.desk.office.values import BookingForm, Ingested, NotDoneError, Pass, Problem, Trouble
from agent.desk.records import Appointment, Booking, JobKind
from agent.desk.secrets import Secrets
from agent.desk.store import DeskStore, StateError
from agent.knock import Knock
from agent.settings.desk import CommunitySettings, DeskSettings

_HOUR_MS = 3_600_000
_CHANGED_TRIES = 5


class Office:
    """Books, moves, cancels, ingests and settles. Any number of them may work on one store, in as many processes.

    `store` is there for reads that need no decision (the roster's pages, doors, sessions); ask it in a thread, it blocks.
    Every method raises `StoreError` when the store cannot be used.
    """

    def __init__(  # noqa: PLR0917 - its parts, in the order of the layers
        self,
        settings: DeskSettings,
        store: DeskStore,
        knock: Knock,
        secrets: Secrets,
        seed: bytes,
        key_id: str,
        *,
        now_ms: Callable[[], int],
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.secrets = secrets
        self.parts = Parts(settings, store, knock, secrets, Passes(settings, secrets, seed, key_id), now_ms, wake)
        self.settling = Settling(self.parts)
        self._asking = Asking(self.parts, self.settling)
        self._ingest = Ingest(self.parts, self.settling)
        self._under_way: set[asyncio.Task[Booking]] = set()

    async def free_times(self, community: CommunitySettings) -> FreeTimes | Trouble:
        """The starts that Knock offers, for a page to show: what it said within the last two seconds, or why they cannot be had."""
        return await self._asking.times.shown(community)

    async def book(self, community: CommunitySettings, form: BookingForm, *, client: str | None = None) -> Booking:
        """Book a tour once per submission; the booking's state says what became of it.

        CONFIRMED has a pass. PENDING and UNKNOWN wait. REFUSED: the time is gone, or Knock said no; a form that Knock itself refused
        needs a new submission. UNSENT: surely not booked, the same form may be sent again. A second call with a submission that is
        being asked for waits and returns what became of it, which may still be ASKING after some seconds.

        `client` is the address that is counted; None is not.

        Raises:
            NotDoneError: TOO_MANY from the address; UNREACHED, when Knock could not even be asked for its free times; BUSY, when it has
                been asked for another booking of the person for too long; FORM_USED, when the submission has booked something else;
                BAD_UNIT, BAD_TITLE. Nothing is written.
        """
        return await self._whatever_happens(self._asking.book(community, form, client))

    async def move(self, booking_id: str, start_ms: int, submission: str, *, client: str | None = None) -> Booking:
        """Move a confirmed tour to another start; until Knock confirmed it, the old time and code stay.

        `submission` is the form's own token, `client` the address that is counted, with bookings.
        The returned booking has the new window (CONFIRMED), or a `move_state` (UNKNOWN, PENDING). The same window changes nothing.

        Raises:
            NotDoneError: TOO_MANY, SLOT_GONE, UNREACHED, BUSY, NO_BOOKING, NOT_LIVE, OVER, NOT_CONFIRMED or MOVE_OPEN; the old tour stands.
        """
        booking = await self._there(booking_id)
        return await self._whatever_happens(self._asking.move(booking, start_ms, submission, client))

    async def cancel(self, booking_id: str) -> Booking:
        """Cancel a tour: its code is dead at once, Knock is told by the queue. A second cancel is the same.

        Raises:
            NotDoneError: NO_BOOKING, or NOT_LIVE for one that is refused or superseded.
        """
        for _ in range(_CHANGED_TRIES):
            booking = await self._there(booking_id)
            if booking.state is BookingState.CANCELLED:
                return booking
            if booking.state not in LIVE:
                raise NotDoneError(Problem.NOT_LIVE, f"the booking is {booking.state}")
            with contextlib.suppress(StateError):
                return await in_thread(self.settling.cancel, booking)
        raise NotDoneError(Problem.MOVE_OPEN, "the booking is being changed by others: try again")

    async def cancel_appointment(self, appointment_id: str) -> Appointment:
        """Cancel by Knock's id, a vendor's appointment too: its code is dead at once, Knock is told by the queue.

        Raises:
            NotDoneError: NO_BOOKING when the roster has no such appointment; OVER.
        """
        known = await in_thread(self.store.appointment, appointment_id)
        if known is None:
            raise NotDoneError(Problem.NO_BOOKING, "there is no such appointment in the roster")
        booking = None if known.booking_id is None else await self.booking(known.booking_id)
        if booking is not None and booking.appointment_id == appointment_id and booking.state in LIVE:
            await self.cancel(booking.booking_id)
        elif known.standing is Standing.CONFIRMED:
            told: Jobs = [(JobKind.CANCEL, appointment_id)]
            await in_thread(self.store.end_appointment, appointment_id, Standing.CANCELLED, self.parts.now_ms(), told)
            self.parts.wake()
        ended = await in_thread(self.store.appointment, appointment_id)
        return known if ended is None else ended

    async def leave(self, booking_id: str) -> Booking:
        """Write down that the prospect says that they have left; the last time counts.

        Raises:
            NotDoneError: NO_BOOKING, NOT_LIVE, or NOT_BEGUN before the code opens.
        """
        booking = await self._there(booking_id)
        try:
            return await in_thread(self.settling.leave, booking)
        except StateError:
            raise NotDoneError(Problem.NOT_LIVE, f"the booking is {booking.state}") from None

    async def settle_by_hand(self, booking_id: str, appointment_id: str | None, prospect_id: str | None, staff: str) -> Booking:
        """What staff read in Knock of a booking or move that is UNKNOWN or PENDING (or stuck in ASKING).

        With both ids it is confirmed and has a pass. With neither, it was not booked: the booking is REFUSED, or the move off.

        Raises:
            NotDoneError: NO_BOOKING, NOT_OPEN when nothing is unsettled, BAD_ID.
        """
        booking = await self._there(booking_id)
        prospect_id = prospect_id or booking.prospect_id
        if not self._is_unsettled(booking):
            raise NotDoneError(Problem.NOT_OPEN, "nothing is open here, or Knock is being asked just now")
        try:
            if appointment_id is None:
                return await in_thread(self.settling.not_booked, booking, staff)
            if prospect_id is None:
                raise NotDoneError(Problem.BAD_ID, "the prospect's id is needed, too: without it no visit can be told to Knock")
            words = f"Settled by {staff}: booked in Knock."
            return await in_thread(self.settling.booked_by_hand, booking, appointment_id, prospect_id, words)
        except StateError:
            raise NotDoneError(Problem.NOT_OPEN, "it was settled meanwhile") from None

    async def resend(self, booking_id: str) -> bool:
        """Mail the confirmation again; False when no mail is configured or there is no address.

        Raises:
            NotDoneError: NO_BOOKING, or NOT_CONFIRMED when there is no pass.
        """
        booking = await self._there(booking_id)
        if booking.state is not BookingState.CONFIRMED:
            raise NotDoneError(Problem.NOT_CONFIRMED, f"the booking is {booking.state}, so there is no pass to mail")
        jobs = self.parts.mail(JobKind.MAIL_CONFIRMED, booking)
        for kind, subject in jobs:
            await in_thread(self.store.add_job, kind, subject, self.parts.now_ms())
        self.parts.wake()
        return bool(jobs)

    async def pass_for(self, booking: Booking) -> Pass | None:
        """The code, PIN and doors of a confirmed booking; None for any other."""
        return await in_thread(self.parts.held, booking)

    async def ingest(self, allowed: Collection[str], appointment_id: str, body: Ingested) -> Pass:
        """Take an appointment that a vendor booked in Knock; the same body again gives the same code.

        `allowed` are the vendor's communities.

        Raises:
            RefusedError: 403 for another's community, 409 for a cancelled or replaced appointment, 422 for what cannot be a tour.
        """
        return await in_thread(self._ingest.put, allowed, appointment_id, body)

    async def ingest_cancel(self, allowed: Collection[str], appointment_id: str) -> Appointment:
        """A vendor cancelled it in Knock: its code is dead. A second cancel is the same.

        Raises:
            RefusedError: 404 when there is none among the vendor's communities.
        """
        return await in_thread(self._ingest.cancel, allowed, appointment_id)

    async def booking(self, booking_id: str) -> Booking | None:
        """A booking by its id."""
        return await in_thread(self.store.booking, booking_id)

    async def booking_by_token(self, token: str) -> Booking | None:
        """The booking that a manage link is of; None for a forged link, or when it is deleted."""
        booking_id = self.secrets.booking_of(token)
        return None if booking_id is None else await self.booking(booking_id)

    def manage_token(self, booking: Booking) -> str:
        """The secret end of a booking's manage link."""
        return self.secrets.manage_token(booking.booking_id)

    def manage_link(self, booking: Booking) -> str:
        """The whole address that only the prospect has: to see, move or cancel. Never logged."""
        return self.parts.manage_link(booking)

    async def allow(self, kind: str, address: str, *, times: int = 1) -> bool:
        """Whether `address` may do one more thing of this kind within the hour; it is counted.

        `kind` is a key of `[limits]`: wrong_links or wrong_logins; `times` so many as it says are allowed. Bookings are counted as they
        are made.
        """
        limits = self.settings.limits
        most = {"wrong_links": limits.wrong_links, "wrong_logins": limits.wrong_logins}[kind]
        if most == 0:
            return True
        return await in_thread(self.store.hit, kind, self.secrets.who(kind, address), self.parts.now_ms(), _HOUR_MS) <= most * times

    async def finish(self) -> None:
        """Wait for what is being asked of Knock on behalf of clients that are gone; call before the store is closed."""
        while self._under_way:
            await asyncio.wait(set(self._under_way))

    async def _whatever_happens(self, work: Coroutine[Any, Any, Booking]) -> Booking:
        """Work that is not given up when its caller is cancelled: a client that goes away must not leave Knock's answer unheard."""
        task = asyncio.create_task(work)
        self._under_way.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Booking]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # whoever waits has it, too; asked here, since nobody may be waiting any more

    async def _there(self, booking_id: str) -> Booking:
        booking = await self.booking(booking_id)
        if booking is None:
            raise NotDoneError(Problem.NO_BOOKING, "there is no such booking")
        return booking

    def _is_unsettled(self, booking: Booking) -> bool:
        """Whether staff may settle it: it waits or is unknown, or whoever asked has died."""
        states = {booking.state, booking.move_state}
        longest_ms = 1000 * GIVE_UP_FACTOR * self.settings.knock.total_timeout_s
        is_stuck = BookingState.ASKING in states and self.parts.now_ms() - booking.changed_ms > longest_ms
        return booking.state in LIVE and (is_stuck or bool(states & WAITING))
