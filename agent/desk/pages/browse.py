"""Before there is a booking: the list of properties, one property, its free times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

from agent.desk.office import Trouble
from agent.desk.pages.frame import UNAVAILABLE, Frame
from agent.errors import RefusedError
from agent.language import Dates
from agent.settings.desk import CommunitySettings
from agent.web import Answer, Call, Handler, see_other

FEW_TIMES = 6

_NOT_FOUND = 404


@dataclass(frozen=True, slots=True)
class Day:
    """The free times of one day in the property's zone; `key` is the day as `2026-03-31`."""

    key: str
    starts_ms: tuple[int, ...]


def by_day(starts_ms: Sequence[int], dates: Dates) -> list[Day]:
    """Free times in days."""
    return [Day(key, tuple(starts)) for key, starts in groupby(sorted(starts_ms), key=dates.day_key)]


class BrowsePages:
    """`/`, `/{slug}` and `/{slug}/times`."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def routes(self) -> Mapping[str, Mapping[str, Handler]]:
        """Handlers by path and method."""
        return {
            "/": {"GET": self._start},
            "/{slug}": {"GET": self._landing},
            "/{slug}/times": {"GET": self._times},
        }

    async def _start(self, call: Call) -> Answer:
        visitor = self._frame.visitor(call)
        communities = self._frame.settings.community
        if len(communities) == 1:
            return see_other(visitor.link(f"/{communities[0].slug}"))
        return self._frame.page("communities.html", visitor, None, self_path="/", communities=communities)

    async def _landing(self, call: Call) -> Answer:
        community = self._named(call)
        return self._frame.page("landing.html", self._frame.visitor(call), community, self_path=f"/{community.slug}")

    async def _times(self, call: Call) -> Answer:
        community, visitor = self._named(call), self._frame.visitor(call)
        found = await self._frame.office.free_times(community)
        dates = Dates.of(visitor.language, community.time_zone, community.country)
        starts = () if isinstance(found, Trouble) else found.starts_ms
        return self._frame.page(
            "times.html",
            visitor,
            community,
            status=UNAVAILABLE if isinstance(found, Trouble) else 200,
            self_path=f"/{community.slug}/times",
            is_unreached=isinstance(found, Trouble),
            days=by_day(starts, dates),
            is_few=0 < len(starts) <= FEW_TIMES,
            now_ms=self._frame.now_ms(),
            target=lambda start: visitor.link(f"/{community.slug}/register", start=start),
        )

    def _named(self, call: Call) -> CommunitySettings:
        community = self._frame.community(call)
        if community is None:
            raise RefusedError(_NOT_FOUND, "Not Found")
        return community
