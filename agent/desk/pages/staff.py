"""The staff's pages by their paths, the log-in, and what staff do.

Rule 1: nothing changes by a GET; every form carries its session's own mark, and leads on to a page that says what came of it.
Rule 2: every action goes to the log: who did what to which id, and nothing of a person.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping

from agent.desk.office import NotDoneError, Office, Problem
from agent.desk.pages import staff_words
from agent.desk.pages.staff_doors import RETRY, freshest
from agent.desk.pages.staff_doors import state as door_state
from agent.desk.pages.staff_frame import LOGIN, START, Place, StaffFrame
from agent.desk.pages.staff_session import Member, Sessions
from agent.desk.pages.staff_views import StaffViews
from agent.desk.pages.visitor import start_of
from agent.errors import ConfigError, RefusedError
from agent.rendering import Renderer
from agent.settings.desk import DeskSettings, StaffSettings
from agent.web import Answer, Call, Handler, Refusal, see_other

_FORBIDDEN, _UNAVAILABLE = 403, 503
_MOST_ID = 40
_log = logging.getLogger("tourlatch")


class StaffPages:
    """Everything under `/staff`."""

    def __init__(self, settings: DeskSettings, office: Office, renderer: Renderer, *, now_ms: Callable[[], int]) -> None:
        self._office = office
        self._frame = StaffFrame(settings, office, renderer, Sessions(office, settings.staff or StaffSettings()), now_ms)
        self._views = StaffViews(self._frame)

    def routes(self) -> Mapping[str, Mapping[str, Handler]]:
        """Handlers by path and method."""
        views = self._views.routes()
        tour = "/staff/at/{slug}/tour/{booking}"
        return {
            LOGIN: {"GET": self._show_login, "POST": self._log_in},
            "/staff/logout": {"POST": self._frame.for_member(self._log_out)},
            **views,
            f"{tour}/cancel": {"POST": self._frame.for_place(self._cancel)},
            f"{tour}/move": {**views[f"{tour}/move"], "POST": self._frame.for_place(self._move)},
            f"{tour}/resend": {"POST": self._frame.for_place(self._resend)},
            f"{tour}/settle": {"POST": self._frame.for_place(self._settle)},
            "/staff/at/{slug}/letters/retry": {"POST": self._frame.for_place(self._retry_job)},
            "/staff/at/{slug}/doors/{door}/retry": {"POST": self._frame.for_place(self._retry_visits)},
        }

    def refusal(self, public: Refusal) -> Refusal:
        """What makes the page for a refused request: the staff's own under their paths, `public` elsewhere."""

        def refuse(call: Call, status: int, words: str, is_unrouted: bool) -> Answer:
            path = call.target.partition("?")[0]
            if path == START or path.startswith(f"{START}/"):
                return self._frame.refused(self._frame.visitor(call), None, status)
            return public(call, status, words, is_unrouted)

        return refuse

    async def _show_login(self, call: Call) -> Answer:
        visitor = self._frame.visitor(call)
        if await self._frame.sessions.member(call, visitor) is not None:
            return see_other(visitor.link(START))
        return self._login_page(call)

    async def _log_in(self, call: Call) -> Answer:
        visitor = self._frame.visitor(call)
        try:
            form = dict(await call.form())
            cookie = await self._frame.sessions.log_in(call, form.get("name", ""), form.get("password", ""))
        except RefusedError as error:
            return self._frame.refused(visitor, None, error.status)
        except ConfigError as error:
            _log.error("staff_accounts_unusable", extra={"facts": {"error": str(error)}})
            return self._login_page(call, staff_words.ACCOUNTS_TROUBLE, _UNAVAILABLE)
        if cookie is None:
            return self._login_page(call, staff_words.WRONG_LOGIN, _FORBIDDEN)
        return see_other(visitor.link(START), [cookie])

    def _login_page(self, call: Call, trouble: str = "", status: int = 200) -> Answer:
        visitor = self._frame.visitor(call)
        said = visitor.language.say(trouble) if trouble else ""
        return self._frame.bare("login.html", visitor, None, status=status, self_path=LOGIN, trouble=said)

    async def _log_out(self, call: Call, member: Member) -> Answer:
        await self._frame.form(call, member)
        return see_other(member.visitor.link(LOGIN), [await self._frame.sessions.log_out(call, member)])

    async def _cancel(self, place: Place) -> Answer:
        async def work(_form: Mapping[str, str], booking_id: str) -> str:
            await self._office.cancel(booking_id)
            return "cancelled"

        return await self._of_tour(place, "cancel", work)

    async def _move(self, place: Place) -> Answer:
        async def work(form: Mapping[str, str], booking_id: str) -> str:
            start_ms = start_of(form.get("start", ""))
            if start_ms is None:
                raise NotDoneError(Problem.SLOT_GONE, "no time was chosen")
            moved = await self._office.move(booking_id, start_ms, form.get("submission", "")[:100])
            return "moved" if moved.move_state is None else "move-open"

        return await self._of_tour(place, "move", work)

    async def _resend(self, place: Place) -> Answer:
        async def work(_form: Mapping[str, str], booking_id: str) -> str:
            return "resent" if await self._office.resend(booking_id) else "not-unsent"

        return await self._of_tour(place, "resend", work)

    async def _settle(self, place: Place) -> Answer:
        async def work(form: Mapping[str, str], booking_id: str) -> str:
            if form.get("outcome") == "not_booked":
                await self._office.settle_by_hand(booking_id, None, None, place.member.name)
                return "not-booked"
            appointment_id, prospect_id = (form.get(name, "").strip()[: _MOST_ID + 1] for name in ("appointment_id", "prospect_id"))
            if form.get("outcome") != "booked" or not appointment_id:
                raise NotDoneError(Problem.BAD_ID, "the appointment's id is missing")
            await self._office.settle_by_hand(booking_id, appointment_id, prospect_id or None, place.member.name)
            return "settled"

        return await self._of_tour(place, "settle", work)

    async def _of_tour(self, place: Place, did: str, work: Callable[[Mapping[str, str], str], Awaitable[str]]) -> Answer:
        """Do something to the booking that the path names, and lead back to its page."""
        form = await self._frame.form(place.call, place.member)
        booking_id = (await self._views.booking(place)).booking_id
        return await self._frame.do(place, did, booking_id, lambda: work(form, booking_id), f"/tour/{booking_id}")

    async def _retry_job(self, place: Place) -> Answer:
        form = await self._frame.form(place.call, place.member)
        text = form.get("job_id", "")
        job_id = int(text) if text.isascii() and text.isdecimal() and len(text) < 16 else -1  # noqa: PLR2004 - SQLite's numbers

        async def work() -> str:
            is_again = await asyncio.to_thread(self._office.store.retry_job, job_id, self._frame.now_ms())
            self._office.parts.wake()
            return "retried" if is_again else "not-gone"

        return await self._frame.do(place, "retry_job", str(job_id), work, "/letters")

    async def _retry_visits(self, place: Place) -> Answer:
        form = await self._frame.form(place.call, place.member)
        door, wanted = place.call.path["door"], form.get("visit_id", "")

        async def work() -> str:
            dead = await asyncio.to_thread(self._dead_visits, place.community.id, door)
            visit_ids = [visit_id for visit_id in dead if wanted in ("", visit_id)]
            if not visit_ids:
                return "not-gone"
            await asyncio.to_thread(self._office.store.add_order, place.community.id, door, RETRY, visit_ids, self._frame.now_ms())
            self._office.parts.wake()
            return "asked"

        return await self._frame.do(place, "retry_visits", door[:_MOST_ID], work, "/letters")

    def _dead_visits(self, community_id: str, door: str) -> list[str]:
        """The dead visits that the door told of and that nobody has asked to try again."""
        accesses = [one for one in self._office.store.doors() if (one.community_id, one.door) == (community_id, door)]
        orders = self._office.store.orders(community_id, door)
        state = door_state(door, door, freshest(accesses), behind=0, orders=orders, now_ms=self._frame.now_ms())
        return [visit.visit_id for visit in state.dead if not visit.is_asked]
