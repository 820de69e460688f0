"""What every public page needs: the parts it is made of, its frame, and a page that says one thing.

Rule 1: a refusal is a page in the person's language with a next step; what a client sent is never repeated in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from agent.desk.office import Office
from agent.desk.pages.visitor import Visitor, visitor_of
from agent.desk.pages.wording import refusal_words
from agent.language import Dates
from agent.rendering import NO_STORE, Renderer
from agent.settings.desk import CommunitySettings, DeskSettings
from agent.web import Answer, Call

NOT_FOUND, FORBIDDEN, CONFLICT, TOO_MANY, UNAVAILABLE, BAD_REQUEST = 404, 403, 409, 429, 503, 400
RETRY_AFTER = {UNAVAILABLE: "30", TOO_MANY: "3900"}


@dataclass(frozen=True, slots=True)
class Frame:
    """The parts that public pages are made of."""

    settings: DeskSettings
    office: Office
    renderer: Renderer
    now_ms: Callable[[], int]

    def visitor(self, call: Call, usual: str | None = None) -> Visitor:
        """The person at the page."""
        return visitor_of(call, self.renderer.languages, usual)

    def community(self, call: Call) -> CommunitySettings | None:
        """The property that the path names."""
        return self.settings.by_slug().get(call.path.get("slug", ""))

    def page(
        self,
        template: str,
        visitor: Visitor,
        community: CommunitySettings | None,
        *,
        status: int = 200,
        self_path: str = "",
        self_query: Mapping[str, str] | None = None,
        **values: object,
    ) -> Answer:
        """A page in its frame; `self_path` is where it stands, for the same page in another language (empty: not offered)."""
        if community is not None:
            values["dates"] = Dates.of(visitor.language, community.time_zone, community.country)
        answer = self.renderer.page(
            template,
            visitor.language,
            status=status,
            keep=NO_STORE,
            visitor=visitor,
            community=community,
            self_path=self_path,
            self_query=dict(self_query or {}),
            **values,
        )
        if status in RETRY_AFTER:
            return Answer(answer.status, answer.content, answer.media_type, {**answer.headers, "Retry-After": RETRY_AFTER[status]})
        return answer

    def message(
        self,
        visitor: Visitor,
        community: CommunitySettings | None,
        title: str,
        words: str,
        *,
        status: int,
        link: tuple[str, str] | None = None,
    ) -> Answer:
        """A page that says one thing; `link` is the next step, as its path and its words. Sentences come in English."""
        say = visitor.language.say
        step = None if link is None else (visitor.link(link[0]), say(link[1]))
        return self.page("message.html", visitor, community, status=status, title=say(title), words=say(words), step=step)

    def refuse(self, call: Call, status: int, words: str, is_unrouted: bool) -> Answer:
        """The page for what is refused before or instead of a handler."""
        del words, is_unrouted  # the status says it, in the person's language
        community = self.community(call) or self._community_in(call.target)
        title, sentence = refusal_words(status)
        return self.message(self.visitor(call), community, title, sentence, status=status, link=self.home(community))

    def home(self, community: CommunitySettings | None) -> tuple[str, str]:
        """The way back to the start."""
        return (f"/{community.slug}", "Back to the start") if community else ("/", "Back to the start")

    def _community_in(self, target: str) -> CommunitySettings | None:
        return self.settings.by_slug().get(target.partition("?")[0].split("/")[1] if target.startswith("/") else "")
