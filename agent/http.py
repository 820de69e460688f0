"""Requests over HTTP to one peer: Knock, or the desk. The only importer of httpx.

Rule 1: an answer costs bounded memory: uncompressed only, at most so many bytes, no redirects, no cookies.
Rule 2: what did not give an answer is one of three things: surely not sent, could not be made, or lost. Only the first two may be
        repeated without a thought; nothing is ever repeated here.
Rule 3: secrets are in headers, and nowhere else: not in an error, a log or an address.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

MAX_WORDS = 200
_SYSTEM_CERTIFICATES = "/etc/ssl/certs"
_SENDING = "send_request_headers.started"
"""The end of httpcore's name for the moment after which the peer may have heard of a request."""


class NoConnectionError(Exception):
    """The request was surely not sent: nobody was reached in time. The words name the kind of failure only."""


class BadRequestError(Exception):
    """The request could not be made, so it was not sent: a header or an address that HTTP does not allow."""


class AnswerLostError(Exception):
    """The request may have arrived and no whole answer came back: nobody knows whether the peer did its work."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: status, the Retry-After header if any, the body, None when it was too long or compressed, and all headers.

    The headers' names are in lower case.
    """

    status: int
    retry_after: str | None
    body: bytes | None
    headers: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds for the connection with TLS, for each piece read, for each piece written, and for a request with its whole answer."""

    connect_s: float
    read_s: float
    write_s: float
    total_s: float


class HttpClient:
    """One client for one peer; `ask` may run several times at once. It keeps connections open for a few seconds between requests.

    `headers` go with every request. Certificates are always verified, against `ca_file` when there is one.

    Raises:
        OSError: when `ca_file` cannot be read.
    """

    def __init__(
        self, base_url: str, *, headers: Mapping[str, str], timeouts: Timeouts, ca_file: Path | None, max_answer_bytes: int
    ) -> None:
        self._timeouts = timeouts
        self._max_bytes = max_answer_bytes
        self._client = httpx.AsyncClient(
            base_url=base_url,
            headers={**headers, "Accept-Encoding": "identity", "Accept": "application/json"},
            verify=_tls(ca_file),
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            follow_redirects=False,
            trust_env=False,
        )

    async def ask(
        self,
        method: str,
        path: str,
        *,
        json: object = None,
        content: bytes | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        total_s: float | None = None,
        read_s: float | None = None,
    ) -> Answer:
        """Send one request once and read its whole answer, whatever its status.

        `path` is below the base address, ids in it made safe by `in_path`. The body is `json`, or `content` as it stands; None for none.
        `total_s` and `read_s` replace the client's own, for a peer that is asked to hold its answer back.

        Raises:
            NoConnectionError, BadRequestError, AnswerLostError: as they say; each with words for a person.
        """
        timeouts = self._timeouts
        read_s = timeouts.read_s if read_s is None else read_s
        total_s = timeouts.total_s if total_s is None else total_s
        progress = _Progress()
        try:
            request = self._client.build_request(
                method,
                path,
                json=json,
                content=content,
                params=query,
                headers=headers,
                timeout=httpx.Timeout(connect=timeouts.connect_s, read=read_s, write=timeouts.write_s, pool=total_s),
                extensions={"trace": progress.see},
            )
        except (httpx.InvalidURL, ValueError, TypeError) as error:
            raise BadRequestError(type(error).__name__) from None
        try:
            async with asyncio.timeout(total_s):
                return await self._send(request)
        except (httpx.LocalProtocolError, httpx.UnsupportedProtocol) as error:
            raise BadRequestError(type(error).__name__) from None
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:  # the address is one that the answer sends us to
            kind = AnswerLostError if progress.is_sent else NoConnectionError
            raise kind(type(error).__name__) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _send(self, request: httpx.Request) -> Answer:
        response = await self._client.send(request, stream=True)
        try:
            found = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status_code, found.get("retry-after"), await self._body(response), found)
        finally:
            await response.aclose()

    async def _body(self, response: httpx.Response) -> bytes | None:
        if response.headers.get("content-encoding", "identity").lower() != "identity":
            return None
        received = bytearray()
        async for piece in response.aiter_raw():
            received += piece
            if len(received) > self._max_bytes:
                return None
        return bytes(received)


class _Progress:
    """Whether anything of a request may have left this machine."""

    def __init__(self) -> None:
        self.is_sent = False

    async def see(self, name: str, _detail: object) -> None:
        self.is_sent = self.is_sent or name.endswith(_SENDING)


def in_path(identifier: str) -> str:
    """An id as one segment of a path: no slash, question mark or dots of it can lead elsewhere."""
    return quote(identifier, safe="").replace(".", "%2E")


def json_object(body: bytes | None) -> dict[str, Any]:
    """The JSON object in a body; an empty one when there is something else in it, or nothing."""
    try:
        content = json.loads(body or b"")
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def words_of(content: Mapping[str, Any], secret: str = "", hidden: Iterable[re.Pattern[str]] = ()) -> str:
    """What a refusal says, printable and short, from `errorMessage`, `message` or `error`; without `secret` and what is `hidden`."""
    found = content.get("errorMessage") or content.get("message") or content.get("error") or ""
    text = found if isinstance(found, str) else json.dumps(found, ensure_ascii=False)
    text = "".join(letter for letter in text if letter.isprintable())
    if secret:
        text = text.replace(secret, "(the key)")
    for pattern in hidden:
        text = pattern.sub("(hidden)", text)
    return text[:MAX_WORDS] or "no explanation"


def retry_after_s(value: str | None) -> float | None:
    """Seconds of a Retry-After; a date in its place is left to our own schedule."""
    return float(value) if value is not None and value.isascii() and value.isdigit() else None


def _tls(ca_file: Path | None) -> ssl.SSLContext:
    """The system's folder is read as needed, which is quicker than one large bundle."""
    if ca_file is not None:
        return ssl.create_default_context(cafile=ca_file)
    return ssl.create_default_context(capath=_SYSTEM_CERTIFICATES)
