"""What every page of the staff needs: who is at it, which property it is about, its frame, and what it says after an action.

Rule 1: without a session every page and every form leads to the log-in, and nothing is done.
Rule 2: whatever is refused is a page of the staff's own, with the way back.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from agent.desk.office import NotDoneError, Office
from agent.desk.pages import staff_words
from agent.desk.pages.staff_session import Member, Sessions
from agent.desk.pages.visitor import Visitor, visitor_of
from agent.errors import RefusedError
from agent.language import Dates
from agent.rendering import Renderer
from agent.settings.desk import CommunitySettings, DeskSettings
from agent.web import Answer, Call, Handler, see_other

START = "/staff"
LOGIN = "/staff/login"
SAID = "said"

_NOT_FOUND = 404
_log = logging.getLogger("tourlatch")


@dataclass(frozen=True, slots=True)
class Place:
    """One request of a member of staff about one property."""

    call: Call
    member: Member
    community: CommunitySettings

    @property
    def path(self) -> str:
        """Where the property's pages are."""
        return f"/staff/at/{self.community.slug}"

    @property
    def dates(self) -> Dates:
        """In the member's language and the property's zone."""
        return Dates.of(self.member.visitor.language, self.community.time_zone, self.community.country)

    def link(self, path: str = "", **query: str) -> str:
        """A path of the property's pages, with the language carried along."""
        return self.member.visitor.link(f"{self.path}{path}", **query)


@dataclass(frozen=True, slots=True)
class StaffFrame:
    """The parts that the staff's pages are made of."""

    settings: DeskSettings
    office: Office
    renderer: Renderer
    sessions: Sessions
    now_ms: Callable[[], int]

    def visitor(self, call: Call) -> Visitor:
        """The person at the page, before anybody knows who."""
        return visitor_of(call, self.renderer.languages)

    def for_member(self, handler: Callable[[Call, Member], Awaitable[Answer]]) -> Handler:
        """A handler behind the log-in."""

        async def handle(call: Call) -> Answer:
            visitor = self.visitor(call)
            member = await self.sessions.member(call, visitor)
            if member is None:
                return see_other(visitor.link(LOGIN))
            try:
                return await handler(call, member)
            except RefusedError as error:
                return self.refused(visitor, member, error.status)

        return handle

    def for_place(self, handler: Callable[[Place], Awaitable[Answer]]) -> Handler:
        """A handler behind the log-in, of the property that the path names."""

        async def handle(call: Call, member: Member) -> Answer:
            community = self.settings.by_slug().get(call.path["slug"])
            if community is None:
                raise RefusedError(_NOT_FOUND, "There is no such property.")
            return await handler(Place(call, member, community))

        return self.for_member(handle)

    async def form(self, call: Call, member: Member) -> dict[str, str]:
        """The fields of a form of this session; raises `RefusedError` for any other."""
        fields = dict(await call.form())
        self.sessions.check_form(call, member, fields.get("guard", ""))
        return fields

    async def do(self, place: Place, did: str, subject: str, work: Callable[[], Awaitable[str]], back: str) -> Answer:
        """Do something and lead to the page that says what came of it. `work` returns the code of what is said.

        `did` and `subject` (an id, nothing of a person) go to the log with the member's name.
        """
        try:
            code = await work()
        except NotDoneError as error:
            code = staff_words.code_of(error.problem)
        facts = {"who": place.member.name, "did": did, "subject": subject, "community": place.community.id, "came_of_it": code}
        _log.info("staff_action", extra={"facts": facts})
        return see_other(place.link(back, **{SAID: code}))

    def page(self, template: str, place: Place, *, status: int = 200, self_path: str = "", **values: object) -> Answer:
        """A page about a property; `self_path` is where it stands below the property's, for the same in another language."""
        told = staff_words.said(place.call.query.get(SAID, ""))
        say = place.member.visitor.language.say
        return self.bare(
            template,
            place.member.visitor,
            place.member,
            status=status,
            self_path=f"{place.path}{self_path}",
            place=place,
            community=place.community,
            dates=place.dates,
            now_ms=self.now_ms(),
            told=None if told is None else (say(told[0]), told[1]),
            **values,
        )

    def bare(
        self, template: str, visitor: Visitor, member: Member | None, *, status: int = 200, self_path: str = START, **values: object
    ) -> Answer:
        """A page about no property."""
        has_many = len(self.settings.community) > 1
        frame: dict[str, Any] = {"place": None, "community": None, "told": None, **values}
        return self.renderer.page(
            f"staff/{template}",
            visitor.language,
            status=status,
            visitor=visitor,
            member=member,
            self_path=self_path,
            words=staff_words,
            has_many=has_many,
            **frame,
        )

    def refused(self, visitor: Visitor, member: Member | None, status: int) -> Answer:
        """The page for a refused request."""
        title, sentence = staff_words.refusal(status)
        say = visitor.language.say
        return self.bare("message.html", visitor, member, status=status, title=say(title), sentence=say(sentence))
