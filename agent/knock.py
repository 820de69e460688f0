"""The only speaker to Knock.

What Knock's public record says and what is assumed stands beside each rule below; every assumption is in this file.

Rule 1: an answer becomes one of four outcomes, once, here: delivered, refused for good, try again, unknown.
Rule 2: the key is in a header, and nowhere else: not in an error, a log or an address.
"""

from __future__ import annotations

from typing import Any

from agent.core.clock import to_iso
from agent.core.replay import Delivered, Outcome, Refused, TryAgain, Unknown
from agent.core.tour import Visit
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
from agent.settings.knock import KnockSettings

MAX_VISIT_ID = 100

_OK = 200
_KEY_REFUSED = frozenset({401, 403, 407})
"""The key or the gateway in front (assumption: 403 with `message` comes from a gateway); a person mends it, no visit is at fault."""
_LATER = frozenset({408, 425, 429, 500, 503})
_REDIRECTED = range(300, 400)
_REFUSED = range(400, 500)
"""The rest of these. What is left (another 2xx, 502, 504 and their like) says nothing sure: a gateway may have lost the answer."""


def visit_body(visit: Visit) -> dict[str, Any]:
    """The request of Knock's Visit API; `visitTime` must be in the past, units that do not match are ignored by Knock."""
    body: dict[str, Any] = {
        "prospectId": visit.prospect_id,
        "visitTime": to_iso(visit.visit_ms),
        "appointmentId": visit.appointment_id,
        "isSelfGuided": True,
    }
    if visit.source_title:
        body["sourceTitle"] = visit.source_title
    if visit.unit_names:
        body["unitNames"] = list(visit.unit_names)
    return body


def outcome_of(answer: Answer, key: str = "") -> Outcome:
    """What an answer to a visit means. Knock Visit API: 200 is success, anything else a failure with `errorMessage`.

    The key is taken out of words that repeat it.
    """
    status, content = answer.status, json_object(answer.body)
    words = f"{status}: {words_of(content, key)}"
    if status == _OK:
        return _delivered(content)
    if status in _LATER:
        return TryAgain(words, retry_after_s(answer.retry_after))
    if status in _KEY_REFUSED:
        return TryAgain(f"{words} (Knock or a gateway does not accept the key: check the key files and key_header)")
    if status in _REDIRECTED:
        return TryAgain(f"{status}: redirected; check base_url, or the site's network asks for a log-in")
    if status not in _REFUSED:
        return Unknown(words)
    return _refused(content, words)


def _refused(content: dict[str, Any], words: str) -> Outcome:
    """Knock refuses with an `errorMessage` (Knock Visit API). Without one somebody else has answered: a gateway, a wrong base_url."""
    if not content.get("errorMessage"):
        return TryAgain(f"{words} (not in Knock's form: check base_url)")
    return TryAgain(words, is_link=False) if _is_about_future(content) else Refused(words)


def _delivered(content: dict[str, Any]) -> Outcome:
    visit_id = content.get("visitId")
    text = str(visit_id) if isinstance(visit_id, str | int) and not isinstance(visit_id, bool) else ""
    if text.isascii() and text.isprintable() and 1 <= len(text) <= MAX_VISIT_ID:
        return Delivered(text)
    return Unknown("200, but without a visitId: something else than Knock may have answered")


def _is_about_future(content: dict[str, Any]) -> bool:
    """Whether Knock calls the visitTime future: then the clocks differ and it is in the past later. The wording is an assumption."""
    text = words_of(content).lower().replace(" ", "")
    return "visittime" in text and ("future" in text or "past" in text)


class Knock:
    """One client for the process; `report` may run several times at once."""

    def __init__(self, settings: KnockSettings, *, prospect_key: str, appointment_key: str | None, version: str) -> None:
        self._key = prospect_key
        self._appointment_key = appointment_key
        self._key_header = settings.key_header
        self._http = HttpClient(
            settings.base_url,
            headers={**settings.extra_headers, "User-Agent": f"tourlatch/{version}"},
            timeouts=Timeouts(
                connect_s=settings.connect_timeout_s,
                read_s=settings.read_timeout_s,
                write_s=settings.write_timeout_s,
                total_s=settings.total_timeout_s,
            ),
            ca_file=settings.ca_file,
            max_answer_bytes=settings.max_answer_kb * 1024,
        )

    async def report(self, visit: Visit) -> Outcome:
        """Tell Knock of a visit. The idempotency key does no harm where Knock does not honour it. Never raises for what the net does."""
        headers = {self._key_header: self._key, "Idempotency-Key": visit.visit_id}
        try:
            answer = await self._http.ask("POST", "/visit", json=visit_body(visit), headers=headers)
        except NoConnectionError as error:
            return TryAgain(f"no connection to Knock ({error})")
        except BadRequestError as error:
            return TryAgain(f"the request could not be made ({error}): check the key file and extra_headers")
        except AnswerLostError as error:
            return Unknown(f"the answer was lost ({error})")
        return outcome_of(answer, self._key)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()
