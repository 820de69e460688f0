"""What stands around every handler of the desk: whose address it is, which host was meant, the security headers, the last resort.

Rule 1: no input becomes a traceback for a client; what went wrong in us is logged without anything of the request but its method.
Rule 2: handlers see the address that limits are counted by, which may be another than the connection's (see `addresses`).
Rule 3: everything is private unless its handler says that it may be cached.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import urlsplit

from agent.desk.addresses import Addresses
from agent.errors import RefusedError, StoreError
from agent.settings.desk import DeskSettings
from agent.settings.parts import is_loopback
from agent.web import Answer, Call, ClientGone, Dialect, Handler, Refusal, in_json

API = "/api/"
HEALTH = "/healthz"
_CONTENT_SECURITY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; script-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CONTENT_SECURITY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_HSTS = "max-age=31536000"
_FAILED, _UNAVAILABLE, _MISDIRECTED = 500, 503, 421

_log = logging.getLogger("tourlatch")
_json = in_json(Dialect(refused="error", unrouted="error"))


class Guard:
    """`around` a handler; `refuse` makes the answer to what is refused: JSON under /api/, a page elsewhere."""

    def __init__(self, settings: DeskSettings, page: Refusal) -> None:
        self._page = page
        public = urlsplit(settings.public_url)
        self._host = _host(public.netloc)
        self._headers = dict(_HEADERS)
        if public.scheme == "https":
            self._headers["Strict-Transport-Security"] = _HSTS
        self._addresses = Addresses(settings.listen.trusted_proxies)

    def around(self, handler: Handler) -> Handler:
        """The handler as the world meets it."""

        async def guarded(call: Call) -> Answer:
            call = replace(call, client=self._addresses.client(call.client, call.headers.get("x-forwarded-for", "")))
            try:
                self._check_host(call)
                answer = await handler(call)
            except RefusedError as error:
                answer = self.refuse(call, error.status, str(error), is_unrouted=False)
            except StoreError as error:
                _log.error("store_failed", extra={"facts": {"error": str(error)}})
                answer = self.refuse(
                    call, _UNAVAILABLE, "This is out of order for a moment. Please try again in a minute.", is_unrouted=False
                )
            except ClientGone:
                raise
            except Exception as error:  # noqa: BLE001 - the last resort
                _log.error("request_failed", extra={"facts": {"method": call.method, **_place(error)}})
                answer = self.refuse(call, _FAILED, "Something went wrong here, and it was noted. Please try again.", is_unrouted=False)
            return replace(answer, headers={**self._headers, **answer.headers})

        return guarded

    def refuse(self, call: Call, status: int, words: str, is_unrouted: bool) -> Answer:
        """A refusal in the language of whoever asked: a program or a person. Never raises."""
        if call.target.startswith(API):
            return _json(call, status, words, is_unrouted)
        try:
            return self._page(call, status, words, is_unrouted)
        except Exception as error:  # noqa: BLE001 - the last resort of the last resort
            _log.error("page_failed", extra={"facts": {"status": status, **_place(error)}})
            return Answer(status, words.encode(), "text/plain; charset=utf-8")

    def _check_host(self, call: Call) -> None:
        """Links in pages and emails are made of the public address, so another host is a mistake or an attack (cache poisoning, rebinding).

        Doors and health checks may come over this machine's own address: they follow no links.
        """
        host = _host(call.headers.get("host", ""))
        is_inside = call.target.startswith((API, HEALTH)) and is_loopback(host.rsplit(":", 1)[0].strip("[]"))
        if host != self._host and not is_inside:
            raise RefusedError(_MISDIRECTED, "This address is not served here.")


def with_head(routes: Mapping[str, Mapping[str, Handler]]) -> dict[str, dict[str, Handler]]:
    """Every GET answers HEAD, too; the server leaves the body out."""
    return {path: {**handlers, **({"HEAD": handlers["GET"]} if "GET" in handlers else {})} for path, handlers in routes.items()}


def _place(error: BaseException) -> dict[str, str]:
    """Which error it was and where, without its words, which may hold what somebody typed."""
    frames = traceback.extract_tb(error.__traceback__)
    return {"error": type(error).__name__, "at": " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames[-4:]))}


def _host(netloc: str) -> str:
    """A Host header as it is compared: lower case, without the port that its scheme has anyway."""
    host = netloc.lower().rstrip(".")
    return host.removesuffix(":443").removesuffix(":80")
