"""The page of one tour, which only who has its link can see: where it stands, the pass, its picture, its calendar file, its print view.

Rule 1: the link is the key. A wrong one is a page that tells nothing, and is counted by address.
Rule 2: the page says what the booking's state says, and always a next step.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from agent import qr
from agent.core.booking import LIVE, BookingState
from agent.desk.office import Pass
from agent.desk.office.calendar import MEDIA_TYPE, tour_ics
from agent.desk.pages.frame import NOT_FOUND, TOO_MANY, Frame
from agent.desk.pages.visitor import Visitor
from agent.desk.pages.wording import N_
from agent.desk.records import Booking
from agent.errors import RefusedError
from agent.settings.desk import CommunitySettings
from agent.web import Answer, Call, Handler

POLL_S = 3
"""How often the page of a booking that is being asked for looks again."""

_IN_A_CALENDAR = frozenset({BookingState.CONFIRMED, BookingState.CANCELLED, BookingState.SUPERSEDED})
_WRONG_LINK = (
    N_("This link does not open a tour"),
    N_("Please use the link as it is in your confirmation. A tour is also removed from here some time after it has ended."),
)


@dataclass(frozen=True, slots=True)
class Tour:
    """A booking that is looked at by its link."""

    token: str
    booking: Booking
    community: CommunitySettings
    visitor: Visitor

    @property
    def path(self) -> str:
        """Where its page is."""
        return f"/tour/{self.token}"


async def tour_of(frame: Frame, call: Call) -> Tour | Answer:
    """The tour that a link is of, or the page that says that there is none."""
    token = call.path["token"]
    booking = await frame.office.booking_by_token(token)
    community = None if booking is None else frame.settings.by_id().get(booking.community_id)
    if booking is not None and community is not None:
        return Tour(token, booking, community, frame.visitor(call, booking.language))
    if not await frame.office.allow("wrong_links", call.client):
        raise RefusedError(TOO_MANY, "Too many wrong links.")
    title, words = _WRONG_LINK
    return frame.message(frame.visitor(call), None, title, words, status=NOT_FOUND, link=frame.home(None))


class TourPages:
    """`/tour/{token}` with `/print`, `/code.png`, `/code.txt` and `/tour.ics` below it."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> Mapping[str, Mapping[str, Handler]]:
        """Handlers by path and method."""
        return {
            "/tour/{token}": {"GET": self._show},
            "/tour/{token}/print": {"GET": self._print},
            "/tour/{token}/code.png": {"GET": self._picture},
            "/tour/{token}/code.txt": {"GET": self._text},
            "/tour/{token}/tour.ics": {"GET": self._calendar},
        }

    async def _show(self, call: Call) -> Answer:
        tour = await tour_of(self._frame, call)
        if isinstance(tour, Answer):
            return tour
        held = await self._frame.office.pass_for(tour.booking)
        return await self._page(tour, held, "tour.html")

    async def _print(self, call: Call) -> Answer:
        tour = await tour_of(self._frame, call)
        if isinstance(tour, Answer):
            return tour
        held = await self._frame.office.pass_for(tour.booking)
        return await self._page(tour, held, "tour.html" if held is None else "print.html")

    async def _page(self, tour: Tour, held: Pass | None, template: str) -> Answer:
        booking, now_ms = tour.booking, self._frame.now_ms()
        return self._frame.page(
            template,
            tour.visitor,
            tour.community,
            self_path=tour.path,
            booking=booking,
            state=_shown(booking, held, now_ms),
            moving=booking.move_state.value if booking.move_state else "",
            held=held,
            picture=await asyncio.to_thread(qr.svg_inline, held.code_text) if held else "",
            has_begun=booking.window.start_ms <= now_ms,
            is_near=held is not None and held.opens_ms <= now_ms,
            tour_path=tour.path,
            left_guard=self._frame.office.secrets.form_token(f"left/{booking.booking_id}"),
            poll_s=POLL_S,
        )

    async def _picture(self, call: Call) -> Answer:
        held = await self._held(call)
        if isinstance(held, Answer):
            return held
        return _file(await asyncio.to_thread(qr.png, held.code_text), "image/png", "tour-code.png")

    async def _text(self, call: Call) -> Answer:
        """What the picture holds, for a program that draws it itself."""
        held = await self._held(call)
        if isinstance(held, Answer):
            return held
        return _file(held.code_text.encode("ascii"), "text/plain; charset=us-ascii", "tour-code.txt")

    async def _held(self, call: Call) -> Pass | Answer:
        """The pass that a link is of, or the page that says that there is no such tour."""
        tour = await tour_of(self._frame, call)
        if isinstance(tour, Answer):
            return tour
        held = await self._frame.office.pass_for(tour.booking)
        if held is None:
            raise RefusedError(NOT_FOUND, "There is no code.")
        return held

    async def _calendar(self, call: Call) -> Answer:
        tour = await tour_of(self._frame, call)
        if isinstance(tour, Answer):
            return tour
        if tour.booking.state not in _IN_A_CALENDAR:
            raise RefusedError(NOT_FOUND, "There is no tour.")
        link = self._frame.office.manage_link(tour.booking)
        content = tour_ics(tour.booking, tour.community, manage_url=link, translate=tour.visitor.language.say)
        return _file(content, f"{MEDIA_TYPE}; charset=utf-8", "tour.ics")


def _shown(booking: Booking, held: Pass | None, now_ms: int) -> str:
    """Which of its faces the page has: the booking's state, but for a tour whose time has passed, or that has no code (yet)."""
    if booking.state is not BookingState.CONFIRMED:
        is_waiting = booking.state in LIVE and now_ms > booking.window.end_ms
        return "passed" if is_waiting else booking.state.value
    if held is None:
        return BookingState.PENDING.value
    return "over" if now_ms > held.closes_ms else booking.state.value


def _file(content: bytes, media_type: str, name: str) -> Answer:
    return Answer(200, content, media_type, {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"})
