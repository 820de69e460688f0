"""A whole website: the pages over a real office, store and listener, the sandbox as Knock, and a clock that only moves when it is told."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import httpx

from agent.assets import Assets
from agent.core import signature
from agent.core.booking import BookingState, Person
from agent.core.tour import Window
from agent.desk.guard import Guard, with_head
from agent.desk.office import Office
from agent.desk.pages import LOCALES, STATIC, TEMPLATES
from agent.desk.pages.routes import PublicPages
from agent.desk.records import Booking
from agent.desk.secrets import Secrets
from agent.desk.store import DeskStore
from agent.knock import Knock
from agent.language import Languages
from agent.listener import Listener
from agent.rendering import Renderer
from agent.sandbox.settings import Community, SandboxSettings
from agent.sandbox.threaded import ThreadedSandbox
from agent.settings.desk import DeskSettings
from agent.settings.parts import validate
from agent.web import build
from tests.desk.pages.page import Form, Page

NOON = datetime(2026, 6, 1, 19, 0, tzinfo=UTC)
"""Noon at Juniper Flats, a Monday."""
NOON_MS = round(NOON.timestamp() * 1000)
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
START = "2026-06-02T10:00:00-07:00"
"""A free time: Tuesday at ten."""
START_MS = round(datetime.fromisoformat(START).timestamp() * 1000)
HOST = "tours.example.com"
UNITS = ("101", "204 B", "305")
ADA = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com", "phone": "(310) 555-0100"}
SECRET = b"a secret of the desk, thirty-two characters and more"
LIMIT_S = 20

_SEED = bytes(range(32))
_RENDERER = Renderer(Languages.read(LOCALES), Assets(STATIC), TEMPLATES)


class Site:
    """A website that runs in a thread. `get` and `send` speak to it as a browser would; call `close` at the end."""

    def __init__(
        self,
        folder: Path,
        *,
        communities: tuple[dict[str, Any], ...] = ({},),
        knock: Mapping[str, Any] | None = None,
        **settings: Any,  # noqa: ANN401 - tables of the file
    ) -> None:
        self._stack = ExitStack()
        self.now_ms = NOON_MS
        known = tuple(
            Community(**{"id": str(1001 + number), "name": "x", "time_zone": "America/Los_Angeles", "units": UNITS} | dict(knock or {}))
            for number in range(len(communities))
        )
        self.sandbox = self._stack.enter_context(ThreadedSandbox(SandboxSettings(port=0, admin_port=0, communities=known), clock=self._now))
        tables = [_community(number) | changed for number, changed in enumerate(communities)]
        written = {"public_url": f"https://{HOST}", "knock": {"base_url": self.sandbox.url, "total_timeout_s": 3.0}, "community": tables}
        made = validate(DeskSettings, written | settings)
        assert isinstance(made, DeskSettings), made
        self.settings = made
        self.store = DeskStore.open(folder / "desk.db")
        self._stack.callback(self.store.close)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._stack.callback(self._end_loop)
        self.office, self.url = self.run(self._open())
        self.client = self._stack.enter_context(httpx.Client(base_url=self.url, headers={"Host": HOST}, trust_env=False, timeout=LIMIT_S))

    def run(self, work: Any) -> Any:  # noqa: ANN401 - any coroutine
        """Run it on the website's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(LIMIT_S)

    def close(self) -> None:
        """End all of it."""
        self._stack.close()

    def get(self, path: str, status: int = 200, **headers: str) -> Page:
        """A page that is answered with this status; `_` in a header's name stands for `-`."""
        return self._page(self.client.get(path, headers=_named(headers)), status)

    def send(self, form: Form, status: int | None = None, **headers: str) -> Page:
        """The page that a form leads to; one that redirects is followed, as a browser does."""
        answer = self.post(form, **headers)
        if answer.status_code == httpx.codes.SEE_OTHER:
            assert status is None
            return self.get(answer.headers["location"])
        return self._page(answer, 200 if status is None else status)

    def post(self, form: Form, **headers: str) -> httpx.Response:
        """The bare answer to a form."""
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.client.post(form.action, content=urlencode(form.fields), headers=kind | _named(headers))

    def form(self, start: str = START, query: str = "", **values: str) -> Form:
        """The registration form for a time, filled in."""
        page = self.get(f"/juniper-flats/register?{urlencode({'start': start})}{query}")
        return page.form("Book the tour" if page.language == "en" else "Reservar la visita").put(**ADA | values)

    def book(self, start: str = START, **values: str) -> str:
        """Book, and return the path of the tour's page."""
        answer = self.post(self.form(start, **values))
        assert answer.status_code == httpx.codes.SEE_OTHER, answer.text
        return urlsplit(answer.headers["location"]).path

    def booking(self, path: str) -> Booking:
        """The booking of a tour's page as the store has it."""
        found = self.store.booking(path.split("/")[2].split(".", maxsplit=1)[0])
        assert found is not None
        return found

    def put(self, state: BookingState, **changed: Any) -> str:  # noqa: ANN401 - fields of a booking
        """Write a booking straight into the store, and return the path of its page."""
        begun = Booking(
            booking_id=f"{len(changed):016x}",
            submission="put",
            community_id="1001",
            state=BookingState.ASKING,
            window=Window(START_MS, START_MS + 30 * MINUTE_MS),
            person=Person("Ada", "Lovelace", "ada@example.com", "+13105550100"),
            sms_consent=None,
            language="en",
            source_title="x",
            unit_names=(),
            created_ms=self.now_ms,
            changed_ms=self.now_ms,
        )
        self.store.begin(begun)
        if state is not BookingState.ASKING or changed:
            self.store.settle(
                begun.booking_id,
                expected=frozenset({BookingState.ASKING}),
                change=lambda booking: replace(booking, state=state, **changed),
                now_ms=self.now_ms,
            )
        return f"/tour/{self.office.secrets.manage_token(begun.booking_id)}"

    def fault(self, route: str, kind: str, **facts: Any) -> None:  # noqa: ANN401 - the fault's own
        """Something goes wrong at Knock until `mend`."""
        self._admin("PUT", f"/faults/{route}", {"kind": kind, **facts})

    def mend(self) -> None:
        """Nothing goes wrong any more."""
        self._admin("DELETE", "/faults")

    def received(self) -> list[dict[str, Any]]:
        """The bookings that Knock accepted."""
        found: list[dict[str, Any]] = self._admin("GET", "/received?route=request")
        return found

    def _page(self, answer: httpx.Response, status: int) -> Page:
        assert answer.status_code == status, f"{answer.status_code}: {answer.text[:2000]}"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        page = Page(answer.text)
        assert answer.headers["content-language"] == page.language
        return page

    def _now(self) -> datetime:
        return NOON + timedelta(milliseconds=self.now_ms - NOON_MS)

    def _admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        answer = httpx.request(method, self.sandbox.admin_url + path, json=body, trust_env=False, timeout=LIMIT_S)
        assert answer.is_success, answer.text
        return json.loads(answer.content)

    async def _open(self) -> tuple[Office, str]:
        key = "syndication-appointment-TEST-KEY"
        knock = Knock(self.settings.knock, prospect_key="syndication-prospect-TEST-KEY", appointment_key=key, version="0")
        key_id = signature.key_id(signature.public_key(_SEED)).hex()
        office = Office(self.settings, self.store, knock, Secrets(SECRET), _SEED, key_id, now_ms=self._clock())
        pages = PublicPages(self.settings, office, _RENDERER, now_ms=self._clock())
        guard = Guard(self.settings, pages.refuse)
        listener = Listener(build(with_head(pages.routes()), guard.refuse, guard.around), "127.0.0.1", 0)
        await listener.start()

        async def end() -> None:
            await listener.stop()
            await office.finish()
            await knock.close()

        self._stack.callback(lambda: self.run(end()))
        return office, f"http://127.0.0.1:{listener.address[1]}"

    def _clock(self) -> Callable[[], int]:
        return lambda: self.now_ms

    def _end_loop(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.run_until_complete(self._loop.shutdown_default_executor())
        self._loop.close()


def _named(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


def _community(number: int) -> dict[str, Any]:
    return {
        "id": str(1001 + number),
        "slug": "juniper-flats" if number == 0 else f"property-{number}",
        "name": "Juniper Flats" if number == 0 else f"Property {number}",
        "time_zone": "America/Los_Angeles",
        "address": "1420 Alder Street, Seattle, WA 98101",
        "help_phone": "(206) 555-0199",
        "units": list(UNITS),
        "door": [
            {"name": "front", "label": "Main entrance", "directions": "On Alder Street."},
            {"name": "annex", "label": "Annex", "units": ["305"]},
        ],
    }
