"""Calls for help, told to staff: by a webhook and by email, whichever the settings name.

Rule 1: who calls hears within a few seconds what is true by then; a call is tried again for ten minutes and then given up, with a line
        in the log.
Rule 2: the agent journals the call; here a few calls are kept, in memory only: a restart of this program forgets those that staff were
        not told of yet, and whoever called presses again.
Rule 3: what is told is which door, and when. The webhook's address is a secret: it is in no log.
"""

from __future__ import annotations

import asyncio
import enum
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import make_msgid
from urllib.parse import urlsplit

from agent import credentials
from agent.core.booking import Done
from agent.core.replay import Refused, RetryPolicy, backoff_s
from agent.errors import ConfigError
from agent.http import AnswerLostError, BadRequestError, HttpClient, NoConnectionError, Timeouts
from agent.mail import Mailer
from agent.settings.kiosk import KioskSettings
from agent.settings.parts import is_loopback

GIVE_UP_S = 600.0
MAX_WAITING = 8
RETRY = RetryPolicy(first_s=2.0, max_s=60.0)
PAUSE_S = 30.0
"""One call in so long is told; what is pressed again meanwhile is the same call."""
_TIMEOUTS = Timeouts(connect_s=10.0, read_s=10.0, write_s=10.0, total_s=20.0)
_MAX_ANSWER_BYTES = 64 * 1024
_OK = range(200, 300)

_log = logging.getLogger("tourlatch")
Way = Callable[[int, str], Awaitable[str]]
"""Tells of a call made at an instant, of an id; returns what is in the way, empty when it is done. Raises `_RefusedError`."""


class Staff(enum.StrEnum):
    """What became of a call so far."""

    TOLD = "told"
    """By one of the ways at least."""
    TRYING = "trying"
    FAILED = "failed"
    """Given up."""
    NOBODY = "nobody"
    """There is no way to tell: the call only stands in the journal."""


class _RefusedError(Exception):
    """Trying again would not help."""


@dataclass(slots=True)
class _Call:
    """One call: when it was made (an instant, and a tick in seconds), and what became of it."""

    at_ms: int
    began_s: float
    left: int
    """The ways that may still tell it."""
    call_id: str = field(default_factory=lambda: make_msgid(domain="tourlatch.invalid"))
    is_told: bool = False
    is_over: asyncio.Event = field(default_factory=asyncio.Event)
    """Told, or given up by every way."""


@dataclass(slots=True)
class _Line:
    """One way to tell, and the calls that wait for it: a way that fails holds up no other."""

    name: str
    way: Way
    waiting: deque[_Call] = field(default_factory=lambda: deque(maxlen=MAX_WAITING))
    has_call: asyncio.Event = field(default_factory=asyncio.Event)


class Calls:
    """`call` from the loop, and `outcome` of the last one; `run` tells staff, for ever. `now_ms` is the agent's clock, as known here."""

    def __init__(
        self,
        settings: KioskSettings,
        zone: Callable[[int], datetime],
        *,
        chance: Callable[[], float],
        now_ms: Callable[[], int],
    ) -> None:
        self._now_ms = now_ms
        self._settings = settings
        self._zone = zone
        self._chance = chance
        self._client: HttpClient | None = None
        self._path = "/"
        self._mailer: Mailer | None = None
        self._lines = [_Line(name, way) for name, way in self._made().items()]
        self._last: _Call | None = None

    def call(self) -> None:
        """Somebody needs help at the door."""
        now_s = time.monotonic()
        if not self._lines or (self._last is not None and now_s - self._last.began_s < PAUSE_S):
            return
        self._last = _Call(self._now_ms(), now_s, len(self._lines))
        for line in self._lines:
            line.waiting.append(self._last)
            line.has_call.set()

    async def outcome(self, wait_s: float) -> Staff:
        """What became of the last call; waits for it for at most so long."""
        last = self._last
        if last is None:
            return Staff.NOBODY
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await last.is_over.wait()
        if last.is_told:
            return Staff.TOLD
        return Staff.FAILED if last.is_over.is_set() else Staff.TRYING

    async def run(self) -> None:
        """Tell of each call by every way, at the same time."""
        async with asyncio.TaskGroup() as group:
            for line in self._lines:
                group.create_task(self._serve(line))

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    async def _serve(self, line: _Line) -> None:
        while True:
            while not line.waiting:
                line.has_call.clear()
                await line.has_call.wait()
            call = line.waiting.popleft()
            call.is_told |= await self._tell(line, call)
            call.left -= 1
            if call.is_told or call.left == 0:
                call.is_over.set()

    async def _tell(self, line: _Line, call: _Call) -> bool:
        """Whether it was told, in the end."""
        failures = 0
        while True:
            try:
                words = await line.way(call.at_ms, call.call_id)
            except _RefusedError as error:
                _log.error("help_call_not_told", extra={"facts": {"way": line.name, "because": str(error), "tries": failures + 1}})
                return False
            except Exception as error:  # noqa: BLE001 - whoever called hears that it failed, not that it is tried for ever
                # its words may hold the address: only the kind of error is told
                _log.error(
                    "help_call_not_told", extra={"facts": {"way": line.name, "because": type(error).__name__, "tries": failures + 1}}
                )
                return False
            if not words:
                _log.info("help_call_told", extra={"facts": {"way": line.name}})
                return True
            failures += 1
            wait_s = max(0.2, backoff_s(failures, RETRY, self._chance()))
            if time.monotonic() + wait_s - call.began_s > GIVE_UP_S:
                _log.error("help_call_not_told", extra={"facts": {"way": line.name, "because": words, "tries": failures}})
                return False
            _log.warning("help_call_delayed", extra={"facts": {"way": line.name, "because": words}})
            await asyncio.sleep(wait_s)

    def _made(self) -> dict[str, Way]:
        found, mail = self._settings.help, self._settings.mail
        ways: dict[str, Way] = {}
        if found is not None and found.webhook_url_file is not None:
            url = credentials.read_secret(found.webhook_url_file)
            peer, self._path = _hook(url, found.webhook_url_file)
            self._client = HttpClient(peer, headers={}, timeouts=_TIMEOUTS, ca_file=None, max_answer_bytes=_MAX_ANSWER_BYTES)
            ways["webhook"] = self._by_webhook
        if found is not None and found.mail_to and mail is not None:
            password = credentials.read_secret(mail.password_file) if mail.password_file else None
            try:
                self._mailer = Mailer(mail, password)
            except OSError as error:
                raise ConfigError(f"the file of certificates {mail.ca_file} cannot be read: {error.strerror or error}") from error
            ways["email"] = self._by_mail
        return ways

    async def _by_webhook(self, at_ms: int, call_id: str) -> str:
        if self._client is None:  # pragma: no cover - made together with this way
            return ""
        told = {"event": "help_called", "door": self._settings.door, "at_ms": at_ms, "id": call_id, "text": self._sentence(at_ms)}
        try:
            answer = await self._client.ask("POST", self._path, json=told)
        except (NoConnectionError, AnswerLostError, BadRequestError) as error:
            return f"the webhook cannot be reached: {error}"
        return "" if answer.status in _OK else f"the webhook answered {answer.status}"

    async def _by_mail(self, at_ms: int, call_id: str) -> str:
        settings, mail, mailer = self._settings, self._settings.mail, self._mailer
        if (
            settings.help is None or settings.help.mail_to is None or mail is None or mailer is None
        ):  # pragma: no cover - made together with this way
            return ""
        message = EmailMessage()
        message["From"] = mail.sender
        message["To"] = ", ".join(settings.help.mail_to)
        message["Subject"] = f"Help wanted at the door {settings.door}"
        message["Date"] = datetime.fromtimestamp(at_ms // 1000, UTC)
        message["Message-ID"] = call_id
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(self._sentence(at_ms) + "\n")
        outcome = await mailer.send(message)
        if isinstance(outcome, Refused):
            raise _RefusedError(outcome.words)
        return "" if isinstance(outcome, Done) else outcome.words

    def _sentence(self, at_ms: int) -> str:
        name = self._settings.look.name
        place = f"{name}, door {self._settings.door}" if name else f"the door {self._settings.door}"
        return f"Somebody asks for help at {place}: the call button was pressed at {self._zone(at_ms):%H:%M on %A}."


def _hook(url: str, name: str) -> tuple[str, str]:
    """The peer and the path of a webhook; raises `ConfigError`, which does not repeat the address."""
    try:
        parts = urlsplit(url)
        is_good = bool(parts.hostname) and parts.port != 0 and not parts.username
    except ValueError:
        raise ConfigError(f"what is in {name} is no address") from None
    if not is_good or not (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))):
        raise ConfigError(f"the address in {name} must be https, or http to this machine")
    return f"{parts.scheme}://{parts.netloc}", (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
