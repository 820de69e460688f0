"""Booking on the screen: the desk's own pages, passed through to the page's frame, and whether the desk can be reached.

Rule 1: only the paths in `Book.routes` are passed, only GET and POST, and a POST only from the frame, as far as the browser says.
Rule 2: no cookie goes either way, and nothing that is passed is kept here.
Rule 3: a page that is passed may do nothing but be a page in our frame: no script of its own, no download, no window, no way to
        another site or to the page around it (`frame.py`). No script is passed either, for here it would have the kiosk's origin.
Rule 4: a form whose answer is lost is never sent again by us, nor called undone: the desk, and Knock behind it, may have done it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from agent.errors import ConfigError, RefusedError
from agent.http import Answer as Fetched
from agent.http import AnswerLostError, BadRequestError, HttpClient, NoConnectionError, Timeouts
from agent.kiosk.frame import Frame
from agent.kiosk.guard import FORBIDDEN, UNAVAILABLE, from_our_frame
from agent.kiosk.hub import Booking
from agent.kiosk.offer import starts_in
from agent.settings.kiosk import BookSettings
from agent.web import Answer, Call, Handler

PROBE_EVERY_S = 30.0
TIMES_EVERY_S = 300.0
"""Free times cost Knock a question, so they are asked for less often."""
MAX_TIMES = 6
SOON_MS = 26 * 3_600_000
"""Today ends within it, on the longest day of a year as well."""
MAX_ANSWER_BYTES = 1_000_000
AT_ONCE = 4
"""So many requests to the desk at once; more wait."""

_ASKED = ("accept-language", "content-type")
_GIVEN = ("content-language", "cache-control")
_PAGE = "text/html"
_TYPES = (_PAGE, "text/css", "image/")
_TIMEOUTS = Timeouts(connect_s=5.0, read_s=50.0, write_s=10.0, total_s=60.0)
"""A booking waits for Knock, which has 45 seconds."""
_PROBE_S = 5.0
_OK, _SEE_OTHERS, _BAD_GATEWAY, _GATEWAY_TIMEOUT, _NOT_FOUND = 200, frozenset({301, 302, 303, 307, 308}), 502, 504, 404
_NO_DESKS = frozenset({_BAD_GATEWAY, _GATEWAY_TIMEOUT})
"""The desk itself never answers so: whatever stands before it has lost the desk's answer."""

_PASSED = re.compile(r"(/(?!\.{1,2}(/|\?|$))[A-Za-z0-9._~=-]+)+(\?[!-~]*)?")
"""A path of plain segments, none of which leads elsewhere, and a query."""

_log = logging.getLogger("tourlatch")
Gone = Callable[[Call, int], Answer]
"""The page for what cannot be shown, of a status."""
Unknown = Callable[[Call, int, str], Answer]
"""The page for a form that may have been taken, of a status: `register`, `move` or `cancel`."""


class Book:
    """Passes pages on, and with `run` tells how it is with the desk."""

    def __init__(
        self,
        settings: BookSettings,
        tell: Callable[[Booking], None],
        gone: Gone,
        unknown: Unknown,
        *,
        now_ms: Callable[[], int],
        day_of: Callable[[int], object],
    ) -> None:
        self._settings = settings
        self._tell = tell
        self._page_of_gone = gone
        self._page_of_unknown = unknown
        self._now_ms = now_ms
        self._day_of = day_of
        self._public = urlsplit(settings.url)
        try:
            self._client = HttpClient(
                settings.reached_at or settings.url,
                headers={"Host": self._public.netloc},
                timeouts=_TIMEOUTS,
                ca_file=settings.ca_file,
                max_answer_bytes=MAX_ANSWER_BYTES,
            )
        except OSError as error:
            raise ConfigError(f"the file of certificates {settings.ca_file} cannot be read: {error.strerror or error}") from error
        self._frame = Frame()
        self._places = asyncio.Semaphore(AT_ONCE)
        self._was_reached: bool | None = None
        self._is_told_unreadable = False

    def routes(self) -> Mapping[str, Mapping[str, Handler]]:
        """The desk's paths that are passed; every other one below them is answered with the page for what cannot be shown."""
        slug = f"/{self._settings.community}"
        only_get: Mapping[str, Handler] = {"GET": self._pass}
        both: Mapping[str, Handler] = {"GET": self._pass, "POST": self._pass}
        return {
            slug: only_get,
            f"{slug}/times": only_get,
            f"{slug}/register": both,
            "/tour/{token}": only_get,
            "/tour/{token}/code.png": only_get,
            "/tour/{token}/move": both,
            "/tour/{token}/cancel": both,
            "/static/{name}": only_get,
            "/tour/{rest:path}": {"GET": self._refuse, "POST": self._refuse},
        }

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def run(self) -> None:
        """Look for ever whether the desk answers, and which times it offers today; while nobody looks, nothing is offered."""
        try:
            await self._watch()
        except Exception:
            self._tell(Booking())
            raise

    async def _watch(self) -> None:
        starts_ms: tuple[int, ...] = ()
        asked_s: float | None = None
        while True:
            is_reached = await self._is_reached()
            if not is_reached:
                starts_ms, asked_s = (), None
            elif asked_s is None or time.monotonic() - asked_s >= TIMES_EVERY_S:
                starts_ms, asked_s = await self._times(), time.monotonic()
            if is_reached is not self._was_reached:
                _log.log(
                    logging.INFO if is_reached else logging.WARNING,
                    "desk_reached" if is_reached else "desk_lost",
                    extra={"facts": {"url": self._settings.url}},
                )
                self._was_reached = is_reached
            self._tell(Booking(is_reached, starts_ms))
            await asyncio.sleep(PROBE_EVERY_S)

    async def _is_reached(self) -> bool:
        """Whether the desk's front page of this property is there: any other status is a desk that cannot book here."""
        try:
            found = await self._client.ask("GET", f"/{self._settings.community}", total_s=_PROBE_S)
        except (NoConnectionError, AnswerLostError, BadRequestError):
            return False
        return found.status == _OK

    async def _times(self) -> tuple[int, ...]:
        """The next free times of today, out of the links of the desk's page of times; empty when it has none or shows none."""
        try:
            found = await self._client.ask("GET", f"/{self._settings.community}/times", headers={"Accept": "text/html"})
        except (NoConnectionError, AnswerLostError, BadRequestError):
            return ()
        if found.status != _OK or found.body is None:
            return ()
        try:
            # off the loop: it is somebody else's page
            starts_ms = await asyncio.to_thread(starts_in, found.body, f"/{self._settings.community}/register")
        except Exception as error:  # noqa: BLE001 - whatever a page makes of us, it is a page without times
            if not self._is_told_unreadable:
                _log.warning("times_unreadable", extra={"facts": {"url": self._settings.url, "error": type(error).__name__}})
            self._is_told_unreadable = True
            return ()
        self._is_told_unreadable = False
        now_ms = self._now_ms()
        soon = [start_ms for start_ms in starts_ms if now_ms < start_ms < now_ms + SOON_MS]
        return tuple([start_ms for start_ms in soon if self._day_of(start_ms) == self._day_of(now_ms)][:MAX_TIMES])

    async def _refuse(self, call: Call) -> Answer:
        return self._gone(call, _NOT_FOUND)

    async def _pass(self, call: Call) -> Answer:
        """One page of the desk's."""
        if _PASSED.fullmatch(call.target) is None:
            return self._gone(call, _NOT_FOUND)
        headers = {name: value for name in _ASKED if (value := call.headers.get(name)) is not None}
        headers["Accept"] = "text/html,image/*,*/*;q=0.8"
        content = None
        if call.method == "POST":
            if not from_our_frame(call):
                raise RefusedError(FORBIDDEN, "This form was not sent from here.")
            # as from the desk's own page, for it comes from one
            headers["Sec-Fetch-Site"] = "same-origin"
            content = await call.body()
        method = "GET" if call.method == "HEAD" else call.method
        try:
            async with self._places:
                found = await self._client.ask(method, call.target, content=content, headers=headers)
        except NoConnectionError:
            return self._gone(call, UNAVAILABLE)
        except BadRequestError:
            return self._gone(call, _BAD_GATEWAY)
        except AnswerLostError:
            return self._lost(call, _GATEWAY_TIMEOUT)
        if call.method == "POST" and found.status in _NO_DESKS:
            return self._lost(call, found.status)
        return self._given(call, found)

    def _gone(self, call: Call, status: int) -> Answer:
        """What stands in the frame instead."""
        return self._framed(self._page_of_gone(call, status))

    def _lost(self, call: Call, status: int) -> Answer:
        """An answer that did not come, or that cannot be shown: of a form nobody knows what became, a page can be asked for again."""
        if call.method != "POST":
            return self._gone(call, _BAD_GATEWAY if status == _GATEWAY_TIMEOUT else status)
        form = urlsplit(call.target).path.rsplit("/", 1)[-1]
        return self._framed(self._page_of_unknown(call, status, form))

    def _framed(self, answer: Answer) -> Answer:
        return replace(answer, content=self._frame.page(answer.content), headers={**answer.headers, **self._headers()})

    def _headers(self) -> dict[str, str]:
        # to a page whose origin is nobody's every address is another origin, the one it came from as well
        return {"Content-Security-Policy": self._frame.security, "Cross-Origin-Resource-Policy": "cross-origin"}

    def _given(self, call: Call, found: Fetched) -> Answer:
        headers = {name: value for name in _GIVEN if (value := found.headers.get(name)) is not None} | self._headers()
        if found.status in _SEE_OTHERS:
            place = self._place(found.headers.get("location", ""))
            if place is None:
                return self._lost(call, _BAD_GATEWAY) if call.method == "POST" else self._gone(call, _NOT_FOUND)
            return Answer(found.status, media_type="text/plain", headers={**headers, "Location": place})
        media_type = found.headers.get("content-type", "")
        if found.body is None or not media_type.lower().startswith(_TYPES):
            return self._lost(call, _BAD_GATEWAY)
        content = self._frame.page(found.body) if media_type.lower().startswith(_PAGE) else found.body
        return Answer(found.status, content, media_type, headers)

    def _place(self, location: str) -> str | None:
        """Where the desk sends the browser, as a path of ours; None for any other site."""
        try:
            parts = urlsplit(location)
        except ValueError:
            return None
        if parts.netloc and (parts.scheme, parts.netloc) != (self._public.scheme, self._public.netloc):
            return None
        place = parts.path + (f"?{parts.query}" if parts.query else "")
        return place if _PASSED.fullmatch(place) else None
