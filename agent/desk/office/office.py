"""`Office`: the one door to every decision of the desk. Async; its store is asked in threads."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import TYPE_CHECKING

from agent.core.booking import FreeTimes
from agent.desk.office.values import BookingForm, Ingested, Pass, Trouble
from agent.desk.records import Appointment, Booking
from agent.desk.secrets import Secrets
from agent.settings.desk import CommunitySettings, DeskSettings

if TYPE_CHECKING:
    from agent.desk.store import DeskStore
    from agent.knock import Knock


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

    async def free_times(self, community: CommunitySettings) -> FreeTimes | Trouble:
        """The starts that Knock offers now, or why they cannot be had."""
        raise NotImplementedError

    async def book(self, community: CommunitySettings, form: BookingForm) -> Booking:
        """Book a tour once per submission; the booking's state says what became of it.

        CONFIRMED has a pass. PENDING and UNKNOWN wait. REFUSED: the time is gone, or Knock said no; a form that Knock itself refused
        needs a new submission. UNSENT: surely not booked, the same form may be sent again. A second call with a submission that is
        being asked for waits and returns what became of it, which may still be ASKING after the request's longest time.

        Raises:
            NotDoneError: UNREACHED, when Knock could not even be asked for its free times; nothing is written.
        """
        raise NotImplementedError

    async def move(self, booking_id: str, start_ms: int, submission: str) -> Booking:
        """Move a confirmed tour to another start; until Knock confirmed it, the old time and code stay.

        The returned booking has the new window (CONFIRMED), or a `move_state` (UNKNOWN, PENDING). The same window changes nothing.

        Raises:
            NotDoneError: SLOT_GONE, UNREACHED, NO_BOOKING, NOT_LIVE, OVER, NOT_CONFIRMED or MOVE_OPEN; the old tour stands.
        """
        raise NotImplementedError

    async def cancel(self, booking_id: str) -> Booking:
        """Cancel a tour: its code is dead at once, Knock is told by the queue. A second cancel is the same.

        Raises:
            NotDoneError: NO_BOOKING, or NOT_LIVE for one that is refused or superseded.
        """
        raise NotImplementedError

    async def leave(self, booking_id: str) -> Booking:
        """Write down that the prospect says that they have left (the first time counts). Raises `NotDoneError` NO_BOOKING, NOT_LIVE."""
        raise NotImplementedError

    async def settle_by_hand(self, booking_id: str, appointment_id: str | None, prospect_id: str | None, staff: str) -> Booking:
        """What staff read in Knock of a booking or move that is UNKNOWN or PENDING (or stuck in ASKING).

        With both ids it is confirmed and has a pass. With neither, it was not booked: the booking is REFUSED, or the move off.

        Raises:
            NotDoneError: NO_BOOKING, NOT_OPEN when nothing is unsettled, BAD_ID.
        """
        raise NotImplementedError

    async def resend(self, booking_id: str) -> bool:
        """Mail the confirmation again; False when no mail is configured or there is no address.

        Raises:
            NotDoneError: NO_BOOKING, or NOT_CONFIRMED when there is no pass.
        """
        raise NotImplementedError

    async def pass_for(self, booking: Booking) -> Pass | None:
        """The code, PIN and doors of a confirmed booking; None for any other."""
        raise NotImplementedError

    async def ingest(self, allowed: Collection[str], appointment_id: str, body: Ingested) -> Pass:
        """Take an appointment that a vendor booked in Knock; the same body again gives the same code.

        `allowed` are the vendor's communities.

        Raises:
            RefusedError: 403 for another's community, 409 for a cancelled or replaced appointment, 422 for what cannot be a tour.
        """
        raise NotImplementedError

    async def ingest_cancel(self, allowed: Collection[str], appointment_id: str) -> Appointment:
        """A vendor cancelled it in Knock: its code is dead. A second cancel is the same.

        Raises:
            RefusedError: 404 when there is none among the vendor's communities.
        """
        raise NotImplementedError

    async def booking(self, booking_id: str) -> Booking | None:
        """A booking by its id."""
        raise NotImplementedError

    async def booking_by_token(self, token: str) -> Booking | None:
        """The booking that a manage link is of; None for a forged link, or when it is deleted."""
        raise NotImplementedError

    def manage_token(self, booking: Booking) -> str:
        """The secret end of a booking's manage link."""
        return self.secrets.manage_token(booking.booking_id)

    def manage_link(self, booking: Booking) -> str:
        """The whole address that only the prospect has: to see, move or cancel. Never logged."""
        return f"{self.settings.public_url}/tour/{self.manage_token(booking)}"

    async def allow(self, kind: str, address: str) -> bool:
        """Whether `address` may do one more thing of this kind within the hour; it is counted.

        `kind` is a key of `[limits]`: bookings, wrong_links or wrong_logins.
        """
        raise NotImplementedError

    async def finish(self) -> None:
        """Wait for what is being asked of Knock on behalf of clients that are gone; call before the store is closed."""
        raise NotImplementedError
