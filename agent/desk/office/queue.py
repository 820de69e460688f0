"""What the desk does later, again and again until it succeeds: emails, cancels at Knock, missing prospects' ids.

Rule 1: a job is claimed on disk for a while before it is done; when its process dies, another one does it again.
Rule 2: each kind of job may be done twice without harm: a second email, a second cancel, a second question for the same prospect's id.
Rule 3: an email waits for a bounded number of tries, everything else for ever; what is refused for good is a dead letter for staff.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from email.message import EmailMessage
from typing import Protocol

from agent.core.booking import BookingRequest, BookingState, Done
from agent.core.replay import Mark, Refused, RowState, TryAgain, Unknown, settle
from agent.desk.office.asking import GIVE_UP_FACTOR
from agent.desk.office.office import Office
from agent.desk.office.parts import in_thread
from agent.desk.office.values import Pass
from agent.desk.records import Booking, Job, JobKind
from agent.errors import StoreError

AT_ONCE = 8
LOOK_S = 1.0
"""Another process may have queued something."""
HOUSEKEEPING_S = 60.0
STORE_AGAIN_S = 5.0
STOP_S = 10.0

_MS_A_DAY = 24 * 3600 * 1000
_MAILS = frozenset({JobKind.MAIL_CONFIRMED, JobKind.MAIL_MOVED, JobKind.MAIL_CANCELLED})

Outcome = Done | Refused | TryAgain | Unknown
_log = logging.getLogger("tourlatch")


class Post(Protocol):
    """Who hands an email to a mail server."""

    async def send(self, message: EmailMessage) -> Outcome:
        """What became of it; never raises for what server or network do."""
        ...


class Letters(Protocol):
    """Who writes emails."""

    def write(self, job: Job, booking: Booking, held: Pass | None, link: str, now_ms: int) -> EmailMessage | None:
        """The letter of a mail job; None when there is nothing (any more) to say or nobody to say it to."""
        ...


class Queue:
    """One task that runs beside the pages; several desk processes may each have one. `chance` is uniform in [0, 1)."""

    def __init__(self, office: Office, post: Post | None, letters: Letters | None, *, chance: Callable[[], float]) -> None:
        self._parts = office.parts
        self._settling = office.settling
        self._post = post
        self._letters = letters
        self._chance = chance
        self._wake = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._doing: set[asyncio.Task[None]] = set()

    def wake(self) -> None:
        """There is a new job: look at once. From any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the queue
                self._loop.call_soon_threadsafe(self._wake.set)

    async def run(self) -> None:
        """Work until cancelled; then what is being done may end, for a while, and the rest is left to the next start."""
        self._loop = loop = asyncio.get_running_loop()
        kept_house_s = loop.time() - HOUSEKEEPING_S
        try:
            while True:
                self._wake.clear()
                try:
                    if loop.time() - kept_house_s >= HOUSEKEEPING_S:
                        await self.keep_house()
                        kept_house_s = loop.time()
                    await self._start_jobs()
                except StoreError as error:
                    _log.error("store_failed", extra={"facts": {"error": str(error)}})
                    await asyncio.sleep(STORE_AGAIN_S)
                    continue
                await self._wait()
        finally:
            await self._let_end()

    async def keep_house(self) -> None:
        """What was asked too long ago is unknown; what ended too long ago is deleted."""
        parts, now_ms = self._parts, self._parts.now_ms()
        longest_ms = round(1000 * GIVE_UP_FACTOR * parts.settings.knock.total_timeout_s)
        for booking in await in_thread(parts.store.stale_asking, now_ms - longest_ms):
            given_up = await in_thread(self._settling.give_up_waiting, booking)
            if BookingState.UNKNOWN not in {given_up.state, given_up.move_state}:
                continue
            _log.warning("booking_unknown", extra={"facts": {"booking": booking.booking_id, "community": booking.community_id}})
        pruned = await in_thread(parts.store.prune, now_ms - parts.settings.store.keep_days * _MS_A_DAY)
        if pruned:
            _log.info("tours_deleted", extra={"facts": {"count": pruned}})

    async def do_due(self) -> int:
        """Do once what is due now, and wait until it is done; returns how many jobs. For tests, and for commands that end."""
        await self._start_jobs()
        doing = set(self._doing)
        if doing:
            await asyncio.wait(doing)
        return len(doing)

    async def _start_jobs(self) -> None:
        free = AT_ONCE - len(self._doing)
        if free <= 0:
            return
        for job in await in_thread(self._parts.store.due_jobs, self._parts.now_ms(), free):
            task = asyncio.create_task(self._do(job), name=f"job {job.job_id}")
            self._doing.add(task)
            task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._doing.discard(task)
        self._wake.set()

    async def _wait(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), LOOK_S)

    async def _let_end(self) -> None:
        doing = set(self._doing)
        if doing:
            _done, late = await asyncio.wait(doing, timeout=STOP_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _do(self, job: Job) -> None:
        """One job and its mark; a job whose mark cannot be written is done again when its claim runs out."""
        try:
            outcome = await self._outcome(job)
            mark = None if isinstance(outcome, Done) else self._mark(job, outcome)
            await in_thread(self._parts.store.finish_job, job.job_id, mark)
        except StoreError as error:
            _log.error("store_failed", extra={"facts": {"error": str(error)}})
            return
        if mark is not None:
            facts = {"job": job.job_id, "kind": job.kind.value, "attempts": mark.attempts, "words": mark.words}
            _log.log(logging.WARNING if mark.state is RowState.DEAD else logging.INFO, "job_failed", extra={"facts": facts})

    async def _outcome(self, job: Job) -> Outcome:
        try:
            if job.kind is JobKind.CANCEL:
                return await self._parts.knock.cancel(job.subject)
            booking = await in_thread(self._parts.store.booking, job.subject)
            if booking is None:
                return Done()
            return await (self._ask_prospect(booking) if job.kind is JobKind.PROSPECT else self._mail(job, booking))
        except (StoreError, asyncio.CancelledError):
            raise
        except Exception as error:  # noqa: BLE001 - one bad job must not stop the others
            return TryAgain(f"the desk itself failed at it ({type(error).__name__})", is_link=False)

    async def _mail(self, job: Job, booking: Booking) -> Outcome:
        if self._post is None or self._letters is None:
            return Refused("no mail server is configured any more")
        letter = await in_thread(self._letter, self._letters, job, booking)
        return Done() if letter is None else await self._post.send(letter)

    def _letter(self, letters: Letters, job: Job, booking: Booking) -> EmailMessage | None:
        return letters.write(job, booking, self._parts.held(booking), self._parts.manage_link(booking), self._parts.now_ms())

    async def _ask_prospect(self, booking: Booking) -> Outcome:
        """A known email or phone gives the known id, so asking twice makes nobody twice (assumption)."""
        community = self._parts.community(booking.community_id)
        if booking.state is not BookingState.PENDING or booking.appointment_id is None or community is None:
            return Done()
        request = BookingRequest(booking.community_id, booking.window, community.time_zone, booking.person, booking.source_title)
        outcome = await self._parts.knock.prospect(request)
        if not isinstance(outcome, Done):
            return outcome
        if outcome.prospect_id is None:
            return Refused("Knock did not say the prospect's id: look there, and settle the booking by hand")
        await in_thread(self._settling.has_prospect, booking, outcome.prospect_id)
        return outcome

    def _mark(self, job: Job, outcome: Refused | TryAgain | Unknown) -> Mark:
        queue = self._parts.settings.queue
        mark = settle(outcome, queue.policy(), attempts=job.attempts, doubts=job.doubts, now_ms=self._parts.now_ms(), chance=self._chance())
        is_given_up = job.kind in _MAILS and mark.attempts >= queue.mail_tries
        return replace(mark, state=RowState.DEAD) if is_given_up else mark
