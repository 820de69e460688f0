"""The only speaker to Knock, and the only importer of httpx.

What Knock's public record says and what is assumed stands beside each rule below; every assumption is in this file.

Rule 1: an answer becomes one of four outcomes, once, here: delivered, refused for good, try again, unknown.
Rule 2: an answer costs bounded memory: uncompressed only, at most so many bytes, no redirects.
Rule 3: the key is in a header, and nowhere else: not in an error, a log or an address.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import dataclass
from typing import Any

import httpx

from agent.core.clock import to_iso
from agent.core.replay import Delivered, Outcome, Refused, TryAgain, Unknown
from agent.core.tour import Visit
from agent.settings.knock import KnockSettings

MAX_WORDS = 200
MAX_VISIT_ID = 100
_SYSTEM_CERTIFICATES = "/etc/ssl/certs"

_OK = 200
_KEY_REFUSED = frozenset({401, 403, 407})
"""The key or the gateway in front (assumption: 403 with `message` comes from a gateway); a person mends it, no visit is at fault."""
_LATER = frozenset({408, 425, 429, 500, 503})
_REDIRECTED = range(300, 400)
_REFUSED = range(400, 500)
"""The rest of these. What is left (another 2xx, 502, 504 and their like) says nothing sure: a gateway may have lost the answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, the Retry-After header if any, and the body, None when it was too long or compressed."""

    status: int
    retry_after: str | None
    body: bytes | None


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
    status, content = answer.status, _json_object(answer.body)
    words = f"{status}: {_words(content, key)}"
    if status == _OK:
        return _delivered(content)
    if status in _LATER:
        return TryAgain(words, _retry_after_s(answer.retry_after))
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
    text = _words(content).lower().replace(" ", "")
    return "visittime" in text and ("future" in text or "past" in text)


def _json_object(body: bytes | None) -> dict[str, Any]:
    try:
        content = json.loads(body or b"")
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _words(content: dict[str, Any], key: str = "") -> str:
    found = content.get("errorMessage") or content.get("message") or ""
    text = found if isinstance(found, str) else json.dumps(found)
    printable = "".join(letter for letter in text if letter.isprintable())
    return (printable.replace(key, "(the key)") if key else printable)[:MAX_WORDS] or "no explanation"


def _retry_after_s(value: str | None) -> float | None:
    """Seconds; a date in its place is left to our own schedule."""
    return float(value) if value is not None and value.isascii() and value.isdigit() else None


class Knock:
    """One client for the process; `report` may run several times at once."""

    def __init__(self, settings: KnockSettings, prospect_key: str, version: str) -> None:
        self._key = prospect_key
        self._total_s = settings.total_timeout_s
        self._max_bytes = settings.max_answer_kb * 1024
        headers = {**settings.extra_headers, settings.key_header: prospect_key}
        headers |= {"Accept-Encoding": "identity", "Accept": "application/json", "User-Agent": f"tourlatch/{version}"}
        self._client = httpx.AsyncClient(
            base_url=settings.base_url,
            headers=headers,
            verify=_tls(settings),
            follow_redirects=False,
            trust_env=False,
            timeout=httpx.Timeout(
                connect=settings.connect_timeout_s,
                read=settings.read_timeout_s,
                write=settings.write_timeout_s,
                pool=settings.total_timeout_s,
            ),
        )

    async def report(self, visit: Visit) -> Outcome:
        """Tell Knock of a visit. The idempotency key does no harm where Knock does not honour it. Never raises for what the net does."""
        try:
            async with asyncio.timeout(self._total_s):
                answer = await self._post("/visit", visit_body(visit), visit.visit_id)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return TryAgain(f"no connection to Knock ({type(error).__name__})")
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol) as error:
            return TryAgain(f"the request could not be made ({type(error).__name__}): check the key file and extra_headers")
        except (httpx.HTTPError, TimeoutError) as error:
            return Unknown(f"the answer was lost ({type(error).__name__})")
        return outcome_of(answer, self._key)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _post(self, path: str, body: dict[str, Any], idempotency_key: str) -> Answer:
        async with self._client.stream("POST", path, json=body, headers={"Idempotency-Key": idempotency_key}) as response:
            retry_after = response.headers.get("retry-after")
            if response.headers.get("content-encoding", "identity").lower() != "identity":
                return Answer(response.status_code, retry_after, None)
            received = bytearray()
            async for piece in response.aiter_raw():
                received += piece
                if len(received) > self._max_bytes:
                    return Answer(response.status_code, retry_after, None)
            return Answer(response.status_code, retry_after, bytes(received))


def _tls(settings: KnockSettings) -> ssl.SSLContext:
    """Certificates are always verified. The system's folder is read as needed, which is quicker than one large bundle."""
    if settings.ca_file is not None:
        return ssl.create_default_context(cafile=settings.ca_file)
    return ssl.create_default_context(capath=_SYSTEM_CERTIFICATES)
