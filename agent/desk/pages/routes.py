"""All public pages by their paths, and what stands beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from agent.desk.office import Office
from agent.desk.pages.browse import BrowsePages
from agent.desk.pages.change import ChangePages
from agent.desk.pages.frame import Frame
from agent.desk.pages.register import RegisterPages
from agent.desk.pages.tour import TourPages
from agent.rendering import Renderer
from agent.settings.desk import DeskSettings
from agent.web import Answer, Call, Handler, json_answer

_ROBOTS = b"User-agent: *\nDisallow: /\n"


class PublicPages:
    """What prospects see. `refuse` makes the page for whatever is refused, on any path but the API's."""

    def __init__(self, settings: DeskSettings, office: Office, renderer: Renderer, *, now_ms: Callable[[], int]) -> None:
        self._office = office
        self._renderer = renderer
        self._frame = Frame(settings, office, renderer, now_ms)

    def routes(self) -> Mapping[str, Mapping[str, Handler]]:
        """Handlers by path and method; those with a fixed first part stand before a property's."""
        return {
            "/healthz": {"GET": self._health},
            "/robots.txt": {"GET": self._robots},
            "/static/{name}": {"GET": self._renderer.assets.serve},
            **TourPages(self._frame).routes(),
            **ChangePages(self._frame).routes(),
            **BrowsePages(self._frame).routes(),
            **RegisterPages(self._frame).routes(),
        }

    def refuse(self, call: Call, status: int, words: str, is_unrouted: bool) -> Answer:
        """The page for a refused request (`agent.web.Refusal`)."""
        return self._frame.refuse(call, status, words, is_unrouted)

    async def _health(self, call: Call) -> Answer:
        """Whether the desk answers and its store can be read."""
        del call
        await asyncio.to_thread(self._office.store.last_seq)
        return json_answer({"status": "ok"})

    async def _robots(self, call: Call) -> Answer:
        del call
        return Answer(200, _ROBOTS, "text/plain", {"Cache-Control": "public, max-age=86400"})
