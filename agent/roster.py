"""The only speaker to the desk: asks for news of appointments, and reports how the door is.

Rule 1: whatever the net or the desk does becomes a page or a trouble, once, here; nothing is raised for it.
Rule 2: an answer costs bounded memory. It is read in a thread, since a page has hundreds of entries and a scan may come meanwhile.
Rule 3: the token is in a header, and nowhere else.
Rule 4: asking twice is right: the same cursor gives the same news or newer, and a report says how things are now.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from agent.core.news import Page, PageError, Trouble, read_page
from agent.http import (
    Answer,
    AnswerLostError,
    BadRequestError,
    HttpClient,
    NoConnectionError,
    Timeouts,
    json_object,
    retry_after_s,
    words_of,
)
from agent.settings.agent import DeskLinkSettings

MAX_ANSWER_BYTES = 512 * 1024
ROSTER = "/api/v1/roster"
REPORT = "/api/v1/report"

_OK = 200
_REFUSED = frozenset({401, 403})
_REDIRECTED = range(300, 400)
_NOT_FOUND = 404


class Desk:
    """One client for all doors of this board; each asks with its own token, and several ask at once.

    Raises:
        OSError: when `ca_file` cannot be read.
    """

    def __init__(self, settings: DeskLinkSettings, version: str) -> None:
        self._wait_s = settings.wait_s
        self._read_s = settings.read_timeout_s
        self._total_s = settings.total_timeout_s
        timeouts = Timeouts(settings.connect_timeout_s, settings.read_timeout_s, settings.read_timeout_s, settings.total_timeout_s)
        headers = {"User-Agent": f"tourlatch/{version}"}
        self._http = HttpClient(
            settings.url, headers=headers, timeouts=timeouts, ca_file=settings.ca_file, max_answer_bytes=MAX_ANSWER_BYTES
        )

    async def news(self, token: str, community_id: str, cursor: str | None, *, may_wait: bool) -> Page | Trouble:
        """What happened after `cursor`, or from the start without one.

        With `may_wait` the desk holds its answer back for up to the settings' `wait_s` while there is nothing new.
        """
        wait_s = self._wait_s if may_wait else 0
        query = {"wait_s": str(wait_s)} | ({} if cursor is None else {"cursor": cursor})
        answer = await self._ask("GET", ROSTER, token, query=query, longer_s=wait_s)
        if isinstance(answer, Trouble):
            return answer
        return await asyncio.to_thread(_page_of, answer, token, community_id)

    async def report(self, token: str, body: Mapping[str, object]) -> Trouble | None:
        """Tell the desk how the door is; None when the desk has it."""
        answer = await self._ask("POST", REPORT, token, body=body)
        if isinstance(answer, Trouble):
            return answer
        if answer.status != _OK:
            return _refusal(answer, token)
        return None if json_object(answer.body).get("ok") is True else Trouble("the desk did not confirm the report: check desk.url")

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.close()

    async def _ask(
        self,
        method: str,
        path: str,
        token: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Mapping[str, object] | None = None,
        longer_s: float = 0.0,
    ) -> Answer | Trouble:
        total_s, read_s = self._total_s + longer_s, self._read_s + longer_s
        headers = {"Authorization": f"Bearer {token}"}
        try:
            return await self._http.ask(method, path, json=body, query=query, headers=headers, total_s=total_s, read_s=read_s)
        except NoConnectionError as error:
            return Trouble(f"no connection to the desk ({error})")
        except BadRequestError as error:
            return Trouble(f"the request to the desk could not be made ({error}): check desk.url and the door's token file")
        except AnswerLostError as error:
            return Trouble(f"the desk's answer was lost ({error})")


def _page_of(answer: Answer, token: str, community_id: str) -> Page | Trouble:
    if answer.status != _OK:
        return _refusal(answer, token)
    if answer.body is None:
        return Trouble(f"the desk's answer is longer than {MAX_ANSWER_BYTES // 1024} KB or compressed: check desk.url")
    try:
        return read_page(json_object(answer.body), community_id)
    except PageError as error:
        return Trouble(f"the desk's answer is no page of its roster ({error}): check desk.url, and the versions of both")


def _refusal(answer: Answer, token: str) -> Trouble:
    status = answer.status
    if status in _REDIRECTED:
        return Trouble(f"{status}: redirected; check desk.url, or the site's network asks for a log-in")
    words = f"{status}: {words_of(json_object(answer.body), token)}"
    if status in _REFUSED:
        return Trouble(
            f"the desk does not accept the door's token ({words}): make a new one at the desk, put it into the door's desk_token_file and "
            "restart the agent",
            is_refused=True,
        )
    hint = " (check desk.url)" if status == _NOT_FOUND else ""
    return Trouble(f"the desk answered {words}{hint}", retry_after_s(answer.retry_after))
