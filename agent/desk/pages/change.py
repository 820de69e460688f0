"""What a prospect does to a tour: move it, cancel it, say that they have left.

Rule 1: nothing changes by a GET, and every change is asked for with the form's own token.
Rule 2: whatever the office says no to, the page says why and the tour stands as it was.
"""

from __future__ import annotations

from collections.abc import Mapping

from agent.desk.office import NotDoneError, Problem, Trouble
from agent.desk.pages import wording
from agent.desk.pages.browse import by_day
from agent.desk.pages.frame import BAD_REQUEST, CONFLICT, FORBIDDEN, TOO_MANY, UNAVAILABLE, Frame
from agent.desk.pages.tour import Tour, tour_of
from agent.desk.pages.visitor import is_from_here, start_of
from agent.desk.pages.wording import N_
from agent.desk.secrets import new_token
from agent.errors import RefusedError
from agent.language import Dates
from agent.web import Answer, Call, Handler, see_other

_NO_TIME = N_("Please choose one of the times.")
_TOO_MANY = N_("There were too many bookings from your connection. Your tour stands as it was: please try again in an hour, or call.")


class ChangePages:
    """`/tour/{token}/move`, `/cancel` and `/left`."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> Mapping[str, Mapping[str, Handler]]:
        """Handlers by path and method."""
        return {
            "/tour/{token}/move": {"GET": self._show_move, "POST": self._move},
            "/tour/{token}/cancel": {"GET": self._show_cancel, "POST": self._cancel},
            "/tour/{token}/left": {"POST": self._left},
        }

    async def _show_move(self, call: Call) -> Answer:
        tour = await tour_of(self._frame, call)
        if isinstance(tour, Answer):
            return tour
        text = call.query.get("start", "")
        if not text:
            return await self._times(tour)
        start_ms = start_of(text)
        if start_ms is None or start_ms <= self._frame.now_ms():
            return await self._times(tour, _NO_TIME, BAD_REQUEST)
        return self._confirm(tour, start_ms, new_token())

    async def _move(self, call: Call) -> Answer:
        tour = await tour_of(self._frame, call)
        if isinstance(tour, Answer):
            return tour
        form = dict(await call.form())
        submission, start_ms = form.get("submission", ""), start_of(form.get("start", ""))
        self._check(call, form, _move_purpose(tour, submission))
        if start_ms is None:
            return await self._times(tour, _NO_TIME, BAD_REQUEST)
        try:
            await self._frame.office.move(tour.booking.booking_id, start_ms, submission, client=call.client)
        except NotDoneError as error:
            return await self._not_moved(tour, start_ms, submission, error.problem)
        return see_other(tour.visitor.link(tour.path))

    async def _not_moved(self, tour: Tour, start_ms: int, submission: str, problem: Problem) -> Answer:
        words = wording.not_done_words(problem)
        if problem is Problem.TOO_MANY:
            return self._confirm(tour, start_ms, submission, _TOO_MANY, TOO_MANY)
        if problem in {Problem.UNREACHED, Problem.BUSY}:
            return self._confirm(tour, start_ms, submission, words, UNAVAILABLE)
        if problem is Problem.SLOT_GONE:
            return await self._times(tour, words, CONFLICT)
        return self._not_done(tour, problem)

    async def _times(self, tour: Tour, trouble: str = "", status: int = 200) -> Answer:
        """The free times to move to; `trouble` is said above them, in English."""
        found = await self._frame.office.free_times(tour.community)
        is_unreached = isinstance(found, Trouble)
        starts = () if isinstance(found, Trouble) else found.starts_ms
        dates = Dates.of(tour.visitor.language, tour.community.time_zone, tour.community.country)
        visitor, path = tour.visitor, f"{tour.path}/move"
        return self._frame.page(
            "move.html",
            visitor,
            tour.community,
            status=UNAVAILABLE if is_unreached else status,
            self_path=path,
            trouble=visitor.language.say(trouble) if trouble else "",
            is_unreached=is_unreached,
            booking=tour.booking,
            tour_path=tour.path,
            days=by_day(starts, dates),
            now_ms=self._frame.now_ms(),
            target=lambda start: visitor.link(path, start=start),
        )

    def _confirm(self, tour: Tour, start_ms: int, submission: str, trouble: str = "", status: int = 200) -> Answer:
        return self._frame.page(
            "move_confirm.html",
            tour.visitor,
            tour.community,
            status=status,
            trouble=tour.visitor.language.say(trouble) if trouble else "",
            booking=tour.booking,
            tour_path=tour.path,
            start_ms=start_ms,
            submission=submission,
            guard=self._frame.office.secrets.form_token(_move_purpose(tour, submission)),
        )

    async def _show_cancel(self, call: Call) -> Answer:
        tour = await tour_of(self._frame, call)
        if isinstance(tour, Answer):
            return tour
        return self._frame.page(
            "cancel.html",
            tour.visitor,
            tour.community,
            self_path=f"{tour.path}/cancel",
            booking=tour.booking,
            tour_path=tour.path,
            guard=self._frame.office.secrets.form_token(f"cancel/{tour.booking.booking_id}"),
        )

    async def _cancel(self, call: Call) -> Answer:
        tour = await tour_of(self._frame, call)
        if isinstance(tour, Answer):
            return tour
        self._check(call, dict(await call.form()), f"cancel/{tour.booking.booking_id}")
        try:
            await self._frame.office.cancel(tour.booking.booking_id)
        except NotDoneError as error:
            return self._not_done(tour, error.problem)
        return see_other(tour.visitor.link(tour.path))

    async def _left(self, call: Call) -> Answer:
        tour = await tour_of(self._frame, call)
        if isinstance(tour, Answer):
            return tour
        self._check(call, dict(await call.form()), f"left/{tour.booking.booking_id}")
        try:
            await self._frame.office.leave(tour.booking.booking_id)
        except NotDoneError as error:
            return self._not_done(tour, error.problem)
        return see_other(tour.visitor.link(tour.path))

    def _check(self, call: Call, form: Mapping[str, str], purpose: str) -> None:
        is_ours = self._frame.office.secrets.is_form_token(form.get("guard", ""), purpose)
        if not is_ours or not is_from_here(call.headers, self._frame.settings.public_url):
            raise RefusedError(FORBIDDEN, "This form was not sent from here.")

    def _not_done(self, tour: Tour, problem: Problem) -> Answer:
        return self._frame.message(
            tour.visitor,
            tour.community,
            N_("Nothing was changed"),
            wording.not_done_words(problem),
            status=CONFLICT,
            link=(tour.path, N_("Back to your tour")),
        )


def _move_purpose(tour: Tour, submission: str) -> str:
    return f"move/{tour.booking.booking_id}/{submission}"
