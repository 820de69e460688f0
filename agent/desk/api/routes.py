"""The API put together: its routes, and the two tasks behind the roster."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from agent.desk.api import openapi, page
from agent.desk.api.answers import answered
from agent.desk.api.ingest import Ingest
from agent.desk.api.report import Report
from agent.desk.api.roster import Roster
from agent.desk.api.sightings import Sighting, Sightings
from agent.desk.api.watch import Watch
from agent.desk.office import Office
from agent.errors import StoreError
from agent.web import Answer, Call, Handler

MARK_S = 15.0

_log = logging.getLogger("tourlatch")


class Api:
    """What programs ask of the desk.

    `run` is to run as long as requests are taken. `look` is for whoever changes the roster in this process, from any thread: held
    requests of the doors concerned are answered at once instead of a quarter of a second later. `close` ends them all; call it before
    the listener's end.
    """

    def __init__(self, office: Office, *, now_ms: Callable[[], int]) -> None:
        self._store = office.store
        self._closing = asyncio.Event()
        self.watch = Watch(self._store.changed_doors, self._store.last_seq)
        self._sightings = Sightings(self._write, now_ms)
        self._roster = Roster(self._store, self.watch, self._sightings, now_ms)
        self._report = Report(self._store, self._sightings, now_ms)
        self._ingest = Ingest(office, now_ms)
        document = openapi.document(office.settings.public_url)
        self._document, self._page = openapi.as_answer(document), page.as_answer(document)

    def routes(self) -> Mapping[str, Mapping[str, Handler]]:
        """Handlers by path and method."""
        return {
            "/api": {"GET": self._show_page},
            page.STYLE_PATH: {"GET": self._show_style},
            "/api/openapi.json": {"GET": self._show_document},
            "/api/v1/roster": {"GET": answered(self._roster.handle)},
            "/api/v1/report": {"POST": answered(self._report.handle)},
            "/api/v1/appointments/{appointment_id}": {"PUT": answered(self._put), "GET": answered(self._ingest.get)},
            "/api/v1/appointments/{appointment_id}/cancel": {"PUT": answered(self._cancel)},
        }

    async def run(self) -> None:
        """Wake held requests and write down which doors asked; ends by being cancelled only."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.watch.run(), name="held requests")
            group.create_task(self._sightings.run(), name="door sightings")
            group.create_task(self._keep_mark(), name="mark")
        await asyncio.get_running_loop().create_future()

    async def _keep_mark(self) -> None:
        """Write down how far the store is, until `close`."""
        is_well = True
        while not self._closing.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(MARK_S):
                    await self._closing.wait()
            try:
                await asyncio.to_thread(self._store.keep_mark)
                is_well = True
            except StoreError as error:
                if is_well:
                    _log.error("store_failed", extra={"facts": {"error": str(error)}})
                is_well = False

    def look(self) -> None:
        """The roster was changed by this process."""
        self.watch.look()

    def close(self) -> None:
        """Answer every held request now, hold no more, and write down which doors asked."""
        self.watch.stop()
        self._sightings.stop()
        self._closing.set()

    async def _put(self, call: Call) -> Answer:
        answer = await self._ingest.put(call)
        self.look()
        return answer

    async def _cancel(self, call: Call) -> Answer:
        answer = await self._ingest.cancel(call)
        self.look()
        return answer

    def _write(self, sightings: Iterable[Sighting]) -> None:
        for one in sightings:
            self._store.door_seen(one.token_id, one.at_ms, one.applied_seq, None)

    async def _show_document(self, _call: Call) -> Answer:
        return self._document

    async def _show_page(self, _call: Call) -> Answer:
        return self._page

    async def _show_style(self, _call: Call) -> Answer:
        return page.style()
