"""The kiosk's end of the agent's socket: what happens, as it happens, and what is asked.

Rule 1: an agent that is gone, hangs or turns this program away is tried again for ever; until then it counts as away.
Rule 2: events say what happens at once, a status every few seconds says how things are; a lost event heals by the next status.
Rule 3: nothing is asked twice: an answer that did not come is told as such, for whoever typed can type again.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from agent.core.replay import RetryPolicy, backoff_s
from agent.errors import AgentAbsentError, RequestRefusedError
from agent.kiosk.view import Event
from agent.protocol import MAX_LINE_BYTES, decode, encode

RETRY = RetryPolicy(first_s=0.25, max_s=5.0)
MIN_RETRY_S = 0.1
STATUS_EVERY_S = 2.0
STATUS_PAUSE_S = 0.3
"""Between two questions for the status, however much happens."""
STATUS_ANSWER_S = 3.0
"""With the time between two questions: an agent that hangs is seen to within so long."""
ANSWER_S = 5.0
STAFF_ANSWER_S = 20.0
"""For staff's PIN, whose hash is slow by intent."""

_log = logging.getLogger("tourlatch")


class Link:
    """`run` follows the agent at `path` and tells its events; `ask` asks it once. Both on one loop."""

    def __init__(
        self, path: Path, tell: Callable[[Event], None], *, retry: RetryPolicy = RETRY, status_every_s: float = STATUS_EVERY_S
    ) -> None:
        self._path = path
        self._tell = tell
        self._retry = retry
        self._status_every_s = status_every_s
        self._has_news = asyncio.Event()
        self._last_words = ""
        self._has_fault = False
        self._has_waived = False

    async def run(self) -> None:
        """Follow, and follow again, until cancelled."""
        failures = 0
        while True:
            try:
                words = await self._follow()
            finally:
                self._tell({"event": "agent_away"})
            # an agent that took us in starts the back-off anew
            failures = 1 if self._last_words == "" else failures + 1
            if words != self._last_words:
                _log.warning("agent_away", extra={"facts": {"because": words}})
                self._last_words = words
            await asyncio.sleep(max(MIN_RETRY_S, backoff_s(failures, self._retry, random.random())))  # noqa: S311 - jitter

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The agent's answer to one request; raises `AgentAbsentError`, and `RequestRefusedError` with its words."""
        try:
            async with asyncio.timeout(_patience_s(request)):
                reader, writer = await asyncio.open_unix_connection(self._path, limit=MAX_LINE_BYTES)
                try:
                    return await _answer(reader, writer, request)
                finally:
                    writer.transport.abort()
        except (OSError, ValueError, TimeoutError) as error:
            words = "it does not answer" if isinstance(error, TimeoutError) else getattr(error, "strerror", None) or str(error)
            raise AgentAbsentError(f"no agent at {self._path}: {words}") from error

    async def _follow(self) -> str:
        """Follow the events until they end; returns why."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._path, limit=MAX_LINE_BYTES)
        except OSError as error:
            return f"no agent at {self._path}: {error.strerror or error}"
        try:
            async with asyncio.timeout(ANSWER_S):
                await _answer(reader, writer, {"do": "events"})
            # only now: whatever happens from here on is heard, and how things were so far is asked for
            self._has_news.clear()
            await self._ask_status()
            _log.info("agent_there", extra={"facts": {"socket": str(self._path)}})
            self._last_words = ""
            return await self._until_either(reader)
        except TimeoutError:
            return "it does not answer"
        except RequestRefusedError as error:
            return f"it turns this program away: {error}"
        except AgentAbsentError as error:
            return str(error)
        except (OSError, ValueError) as error:
            return f"the connection broke: {error}"
        finally:
            writer.transport.abort()

    async def _until_either(self, reader: asyncio.StreamReader) -> str:
        """Hear events and ask for the status until one of them ends."""
        tasks = [asyncio.create_task(self._hear(reader)), asyncio.create_task(self._look())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            return next(iter(done)).result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _hear(self, reader: asyncio.StreamReader) -> str:
        while line := await reader.readline():
            self._tell(decode(line))
            self._has_news.set()
        return "it hung up"

    async def _look(self) -> str:
        """Ask for the status every few seconds, and soon after anything happened."""
        while True:
            await asyncio.sleep(STATUS_PAUSE_S)
            try:
                async with asyncio.timeout(self._status_every_s):
                    await self._has_news.wait()
            except TimeoutError:
                pass
            self._has_news.clear()
            await self._ask_status()

    async def _ask_status(self) -> None:
        """Ask how things are and tell it; an agent that cannot say so is there, but has a fault, such as a disk that is gone.

        What happens while it is asked may be later than the answer: then it is asked again soon, and not a second time in a row.
        """
        try:
            status = await self.ask({"do": "status"})
        except RequestRefusedError as error:
            if not self._has_fault:
                _log.warning("agent_has_fault", extra={"facts": {"because": str(error)}})
            self._has_fault = True
            self._tell({"event": "status_refused"})
            return
        self._has_fault = False
        self._has_waived = self._has_news.is_set() and not self._has_waived
        if self._has_waived:
            return
        self._tell({**status, "event": "status"})


def _patience_s(request: dict[str, Any]) -> float:
    """How long its answer is waited for."""
    return {"screen_staff": STAFF_ANSWER_S, "status": STATUS_ANSWER_S}.get(str(request.get("do")), ANSWER_S)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: dict[str, Any]) -> dict[str, Any]:
    writer.write(encode(request))
    line = await reader.readline()
    if not line:
        raise ConnectionError("it hung up without a word")
    answer = decode(line)
    if answer.get("ok") is not True:
        reason = answer.get("reason")
        raise RequestRefusedError(str(answer.get("error"))[:400], reason[:40] if isinstance(reason, str) else None)
    return answer
