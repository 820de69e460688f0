"""What every room of the office works with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import ParamSpec, TypeVar

from agent.core.booking import BookingState
from agent.core.tour import TourError, check_id
from agent.desk.office.passes import Passes
from agent.desk.office.values import Pass
from agent.desk.records import Booking, JobKind
from agent.desk.secrets import Secrets
from agent.desk.store import DeskStore
from agent.knock import Knock
from agent.settings.desk import CommunitySettings, DeskSettings

P = ParamSpec("P")
T = TypeVar("T")
_MS_A_MINUTE = 60_000
Jobs = list[tuple[JobKind, str]]


@dataclass(frozen=True, slots=True)
class Parts:
    """Settings, store, Knock, and the clock in milliseconds UTC; `wake` tells the queue that there is work."""

    settings: DeskSettings
    store: DeskStore
    knock: Knock
    secrets: Secrets
    passes: Passes
    now_ms: Callable[[], int]
    wake: Callable[[], None]

    def community(self, community_id: str) -> CommunitySettings | None:
        """A community by Knock's id; None for one that the settings no longer name."""
        return self.settings.by_id().get(community_id)

    def opens_ms(self, booking: Booking) -> int:
        """From when on its code opens doors: the start with the community's grace."""
        community = self.community(booking.community_id)
        return booking.window.start_ms - (community.grace_before_min if community else 0) * _MS_A_MINUTE

    def closes_ms(self, booking: Booking) -> int:
        """Until when its code opens doors: the end with the community's grace."""
        community = self.community(booking.community_id)
        return booking.window.end_ms + (community.grace_after_min if community else 0) * _MS_A_MINUTE

    def held(self, booking: Booking) -> Pass | None:
        """The pass of a booking as it is now; None unless it is confirmed. Blocking."""
        if booking.state is not BookingState.CONFIRMED or booking.appointment_id is None:
            return None
        appointment = self.store.appointment(booking.appointment_id)
        return None if appointment is None else self.passes.of(appointment)

    def manage_link(self, booking: Booking) -> str:
        """The address that only the prospect has. Never logged."""
        return f"{self.settings.public_url}/tour/{self.secrets.manage_token(booking.booking_id)}"

    def mail(self, kind: JobKind, booking: Booking) -> Jobs:
        """The job of an email, if there is a mail server and an address."""
        return [(kind, booking.booking_id)] if self.settings.mail is not None and booking.person.email else []

    def superseded_job(self) -> JobKind | None:
        """What is to be done about a booking that another one takes the place of."""
        return None if self.settings.mail is None else JobKind.MAIL_CANCELLED


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """A call of the store, which blocks, in a thread."""
    return await asyncio.to_thread(work, *args, **kwargs)


def fits(what: str, value: str) -> bool:
    """Whether a value can be an id of Knock's."""
    try:
        check_id(what, value)
    except TourError:
        return False
    return True
