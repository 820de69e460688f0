"""What a browser is told: the page, its files, the screen's state as it changes, and what is asked for by touch.

Rule 1: a page asks for the state and is answered when it changes; it never asks in vain more often than every 25 seconds.
Rule 2: the agent is asked, never told: a PIN, a call and an order of staff are decided there.
Rule 3: another device (`[remote]`) gets the page and the state, and nothing that can be touched.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from agent.assets import Assets
from agent.core.pin import PIN_DIGITS
from agent.errors import ConfigError, RefusedError
from agent.kiosk import guard
from agent.kiosk.guard import FORBIDDEN, UNAVAILABLE, around, asked, json_body, same, text_of, with_head
from agent.kiosk.hub import Hub, Shown, tick
from agent.kiosk.labels import labels
from agent.kiosk.look import stylesheet
from agent.kiosk.view import Kind, Way
from agent.kiosk.words import PICTURES, words
from agent.language import Dates, Language, Languages
from agent.listener import ASGIApp
from agent.rendering import Renderer
from agent.settings.kiosk import KioskSettings
from agent.web import Answer, Call, Handler, build, json_answer

HOLD_S = 25.0
OUTCOME_S = 4.0
"""For so long a caller waits to hear that staff were told; then it is said that they are not yet."""
MAX_WAITING = 32
"""So many pages of this board may wait for a change at once; of other devices, `max_screens`."""
MAX_LOGO_BYTES = 512 * 1024
MAX_PIN, MAX_REASON = 64, 200
COOKIE = "screen"
FOLDER = Path(__file__).parent

_NOT_FOUND, _NO_CONTENT, _UNAUTHORIZED = 404, 204, 401
_YEAR_S = 31_536_000
_FOR_THE_FRAME = {"Cross-Origin-Resource-Policy": "cross-origin"}
"""Of stylesheets: the page that stands in the frame instead of the desk's has no origin, and would be refused them."""
_LOGO_TYPES = {".svg": "image/svg+xml", ".png": "image/png", ".webp": "image/webp", ".jpg": "image/jpeg"}
_SOUNDS = {Kind.WELCOME: "granted", Kind.REFUSED: "denied"}


class Agent(Protocol):
    """Who is asked."""

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The agent's answer; raises `AgentAbsentError` and `RequestRefusedError`."""
        ...


class Caller(Protocol):
    """Who tells staff of a call for help."""

    def call(self) -> None:
        """Somebody calls; the same call again within a while is none."""

    async def outcome(self, wait_s: float) -> str:
        """`told`, `trying` or `failed`, within so long."""
        ...


class Server:
    """The applications of the two listeners. `calls` tells staff of a call for help, `polled` is told of each answer to a local page."""

    def __init__(
        self,
        settings: KioskSettings,
        hub: Hub,
        agent: Agent,
        *,
        version: str,
        calls: Caller | None = None,
        polled: Callable[[], None] = lambda: None,
        remote_token: str | None = None,
    ) -> None:
        self._settings = settings
        self._hub = hub
        self._agent = agent
        self._calls = calls
        self._polled = polled
        self._token = secrets.token_urlsafe(24)
        self._remote_token = remote_token
        languages = _spoken(settings)
        self._languages = languages
        self._dates = {language.code: Dates.of(language, settings.time_zone, settings.country) for language in languages}
        assets = Assets(FOLDER / "static", "/screen/static")
        self._renderer = Renderer(languages, assets, FOLDER / "templates")
        self._logo = _logo(settings.look.logo)
        self._look_css = stylesheet(settings.look.colour).encode()
        first = next(iter(languages))
        drawn = self._page_of(first, is_remote=False, is_entered=True).content
        self._version = hashlib.sha256(version.encode() + drawn).hexdigest()[:12]
        self._asking = asyncio.Semaphore(2)
        self._noting: set[asyncio.Future[dict[str, Any]]] = set()
        """Calls for help on their way to the agent's journal."""
        self._held = {False: 0, True: 0}
        """So many pages wait for a change, here and on other devices."""
        self._most = {False: MAX_WAITING, True: settings.remote.max_screens if settings.remote else 0}

    def gone(self, call: Call, status: int) -> Answer:
        """The page in the frame for what cannot be shown: the desk is away, or nothing of that path is for this screen."""
        return self._renderer.page("gone.html", self._language(call), status=status, is_away=status >= guard.FAILED)

    def unknown(self, call: Call, status: int, form: str) -> Answer:
        """The page in the frame for a form of which nobody knows whether the desk took it: `register`, `move` or `cancel`."""
        phone = self._settings.help_phone
        return self._renderer.page("unknown.html", self._language(call), status=status, form=form, phone=phone)

    def local(self, more: Mapping[str, Mapping[str, Handler]]) -> ASGIApp:
        """For this board's own screen; `more` are the desk's pages."""
        routes: dict[str, Mapping[str, Handler]] = {
            "/": {"GET": self._page},
            "/screen/state": {"GET": self._state},
            "/screen/pin": {"POST": self._pin},
            "/screen/help": {"POST": self._help},
            "/screen/staff": {"POST": self._staff},
            **self._files(),
            **more,
        }
        return build(with_head(routes), guard.refuse_in_json, lambda handler: around(handler, is_local=True))

    def remote(self) -> ASGIApp:
        """For devices that bring the token."""
        routes: dict[str, Mapping[str, Handler]] = {
            "/": {"GET": self._remote_page},
            "/screen/enter": {"POST": self._enter},
            "/screen/state": {"GET": self._remote_state},
            **self._files(),
        }
        return build(with_head(routes), guard.refuse_in_json, lambda handler: around(handler, is_local=False))

    def _files(self) -> dict[str, Mapping[str, Handler]]:
        return {
            "/screen/static/{name}": {"GET": self._asset},
            "/screen/logo": {"GET": self._logo_file},
            "/screen/look.css": {"GET": self._look},
        }

    # --- the page ---

    async def _page(self, call: Call) -> Answer:
        return self._page_of(self._language(call), is_remote=False, is_entered=True)

    async def _remote_page(self, call: Call) -> Answer:
        return self._page_of(self._language(call), is_remote=True, is_entered=self._has_entered(call))

    def _page_of(self, language: Language, *, is_remote: bool, is_entered: bool) -> Answer:
        return self._renderer.page(
            "screen.html",
            language,
            settings=self._settings,
            is_remote=is_remote,
            is_entered=is_entered,
            has_logo=self._logo is not None,
            labels={one.code: labels(one) for one in self._languages},
            pictures=PICTURES,
        )

    async def _asset(self, call: Call) -> Answer:
        answer = await self._renderer.assets.serve(call)
        return replace(answer, headers={**answer.headers, **_FOR_THE_FRAME}) if answer.media_type.startswith("text/css") else answer

    async def _look(self, _call: Call) -> Answer:
        return Answer(200, self._look_css, "text/css; charset=utf-8", _FOR_THE_FRAME)

    async def _logo_file(self, _call: Call) -> Answer:
        if self._logo is None:
            raise RefusedError(_NOT_FOUND, "Not Found")
        content, media_type = self._logo
        return Answer(200, content, media_type, {"Cache-Control": "max-age=3600"})

    # --- the state ---

    async def _state(self, call: Call) -> Answer:
        answer = await self._when_changed(call, is_remote=False)
        self._polled()
        return answer

    async def _remote_state(self, call: Call) -> Answer:
        if not self._has_entered(call):
            raise RefusedError(_UNAUTHORIZED, "This device has not shown its token.")
        return await self._when_changed(call, is_remote=True)

    async def _when_changed(self, call: Call, *, is_remote: bool) -> Answer:
        """The state: at once when it is another one than the page has, else when it changes, or as it is after a while."""
        after = call.query.get("after", "")
        if after.isascii() and after.isdigit() and int(after[:20]) == self._hub.shown.number:
            if self._held[is_remote] >= self._most[is_remote]:
                raise RefusedError(UNAVAILABLE, "Too many pages follow this screen.")
            self._held[is_remote] += 1
            waits = [asyncio.ensure_future(self._hub.changed(self._hub.shown.number)), asyncio.ensure_future(call.gone())]
            try:
                await asyncio.wait(waits, timeout=HOLD_S, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._held[is_remote] -= 1
                for one in waits:
                    one.cancel()
                await asyncio.gather(*waits, return_exceptions=True)
        return json_answer(self._told(self._hub.shown, self._language(call), is_remote=is_remote))

    def _told(self, shown: Shown, language: Language, *, is_remote: bool) -> dict[str, Any]:
        settings, screen, now_ms, at = self._settings, shown.screen, self._hub.now_ms(), tick()
        dates = self._dates[language.code]
        book = None if is_remote else settings.book
        can_book = book is not None and shown.booking.is_reached
        said = words(screen, language, dates, now_ms, can_book=can_book)

        def instant(until: int | None) -> int | None:
            return None if until is None else now_ms + until - at

        counts_to_ms = instant(screen.counts_to)
        if screen.kind is Kind.REFUSED and screen.time_ms is not None and screen.time_ms > now_ms:
            counts_to_ms = screen.time_ms
        pad = settings.pin_pad if shown.takes_pins and not is_remote else None
        staff = settings.staff if shown.serves_staff and not is_remote else None
        return {
            "number": shown.number,
            "version": self._version,
            "token": None if is_remote else self._token,
            "is_remote": is_remote,
            "language": language.code,
            "kind": screen.kind.value,
            "reason": screen.reason,
            "title": said.title,
            "text": said.text,
            "picture": said.picture,
            "countdown_to_ms": counts_to_ms,
            "shown_until_ms": instant(screen.until),
            "now_ms": now_ms,
            "is_locked": screen.kind is Kind.WELCOME and screen.way is Way.LOCKED,
            "units": list(screen.units),
            "way": [{"unit": unit, "words": way} for unit in screen.units if (way := settings.way_to(unit, language.code))],
            "phone": settings.help_phone,
            "is_offline": shown.is_offline,
            "is_dark": shown.is_dark,
            "is_dim": shown.is_dim,
            "sound": _SOUNDS.get(screen.kind) if settings.look.sounds else None,
            "pin": pad and {"is_shuffled": pad.shuffled, "clear_s": pad.clear_s, "locked_to_ms": instant(shown.pin_locked_until)},
            "can_book": can_book,
            "book": book
            and {
                "path": f"/{book.community}/times?lang={language.code}",
                "idle_s": book.idle_s,
                "times": [
                    {
                        "start_ms": start_ms,
                        "text": dates.time(start_ms),
                        "path": f"/{book.community}/register?start={start_ms}&lang={language.code}",
                    }
                    for start_ms in shown.booking.starts_ms
                    if shown.booking.is_reached and start_ms > now_ms
                ],
            },
            "has_help": settings.help is not None and not is_remote,
            "has_staff": staff is not None,
            "staff_idle_s": staff and staff.idle_s,
        }

    # --- what is touched ---

    async def _pin(self, call: Call) -> Answer:
        body = await asked(call, self._is_token)
        if self._settings.pin_pad is None:
            raise RefusedError(_NOT_FOUND, "No PIN is taken here.")
        pin = text_of(body, "pin", MAX_PIN)
        if len(pin) != PIN_DIGITS or not pin.isascii() or not pin.isdigit():
            raise RefusedError(guard.BAD_REQUEST, f"A PIN has {PIN_DIGITS} digits.")
        answer = await self._ask({"do": "screen_pin", "door": self._settings.door, "pin": pin})
        return json_answer({"taken": answer.get("taken") is True})

    async def _help(self, call: Call) -> Answer:
        await asked(call, self._is_token)
        if self._settings.help is None:
            raise RefusedError(_NOT_FOUND, "Nobody is called from here.")
        request = {"do": "screen_help", "door": self._settings.door}
        if self._calls is None:
            answer = await self._ask(request)
            return json_answer({"called": answer.get("called") is not False, "staff": "nobody"})
        # both at once, whatever the agent says: it may be the very thing that help is needed with
        self._calls.call()
        journaled = asyncio.ensure_future(self._ask(request))
        self._noting.add(journaled)
        journaled.add_done_callback(self._noted)
        return json_answer({"called": True, "staff": await self._calls.outcome(OUTCOME_S)})

    def _noted(self, journaled: asyncio.Future[dict[str, Any]]) -> None:
        """The agent has journaled a call, or did not: staff are told without it."""
        self._noting.discard(journaled)
        if not journaled.cancelled():
            journaled.exception()

    async def _staff(self, call: Call) -> Answer:
        body = await asked(call, self._is_token)
        if self._settings.staff is None:
            raise RefusedError(_NOT_FOUND, "There is nothing for staff here.")
        request = {"do": "screen_staff", "door": self._settings.door, "pin": text_of(body, "pin", MAX_PIN)}
        request |= {"what": text_of(body, "what", MAX_PIN), "reason": text_of({"reason": "", **body}, "reason", MAX_REASON)}
        answer = await self._ask(request)
        return json_answer({name: value for name, value in answer.items() if name != "ok"})

    async def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        async with self._asking:
            return await self._agent.ask(request)

    def _is_token(self, given: str) -> bool:
        return same(given, self._token)

    # --- another device ---

    async def _enter(self, call: Call) -> Answer:
        remote = self._settings.remote
        is_secure = remote is not None and remote.certificate_file is not None
        if not guard.from_our_page(call, scheme="https" if is_secure else "http"):
            raise RefusedError(FORBIDDEN, "This did not come from the screen's own page.")
        given = text_of(await json_body(call), "token", 512)
        if self._remote_token is None or not same(given, self._remote_token):
            raise RefusedError(_UNAUTHORIZED, "This token is not that of this screen.")
        cookie = f"{COOKIE}={_mark(self._remote_token)}; Path=/; HttpOnly; SameSite=Strict; Max-Age={_YEAR_S}" + "; Secure" * is_secure
        return Answer(_NO_CONTENT, cookies=[cookie])

    def _has_entered(self, call: Call) -> bool:
        return self._remote_token is not None and same(call.cookies.get(COOKIE, ""), _mark(self._remote_token))

    def _language(self, call: Call) -> Language:
        asked_for = call.query.get("lang")
        return next((one for one in self._languages if one.code == asked_for), next(iter(self._languages)))


def _spoken(settings: KioskSettings) -> Languages:
    """The languages of the settings, in their order; raises `ConfigError` for one without a catalogue."""
    known = {language.code: language for language in Languages.read(FOLDER / "locales")}
    missing = [code for code in settings.languages if code not in known]
    if missing:
        raise ConfigError(f"the screen does not speak {missing[0]!r}; it speaks: {', '.join(known)}")
    return Languages({code: known[code] for code in settings.languages})


def _logo(path: Path | None) -> tuple[bytes, str] | None:
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            content = file.read(MAX_LOGO_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"the logo {path} cannot be read: {error.strerror}") from error
    if len(content) > MAX_LOGO_BYTES:
        raise ConfigError(f"the logo {path} is longer than {MAX_LOGO_BYTES // 1024} kilobytes")
    return content, _LOGO_TYPES[path.suffix]


def _mark(token: str) -> str:
    """What a device that has shown the token carries from then on: it outlives this program, and is not the token."""
    return hashlib.sha256(b"tourlatch screen\0" + token.encode()).hexdigest()
