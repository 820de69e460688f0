"""What stands around every handler of the screen's two listeners: which host was meant, the security headers, the last resort.

Rule 1: the local page answers this machine's own names only, so no page of the internet reaches it by a name of its own (rebinding).
Rule 2: what changes something is asked for by our own page alone: same origin, JSON, and with the token that only our page can read.
Rule 3: a form of the booking's comes from a frame whose origin is nobody's, as any page's of that kind; the desk's token in it decides.
Rule 4: nothing that is sent here becomes a traceback; what went wrong in us is logged with its place and without its words.
"""

from __future__ import annotations

import hmac
import json
import logging
import re
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from agent.errors import AgentAbsentError, RefusedError, RequestRefusedError
from agent.settings.parts import is_loopback
from agent.web import Answer, Call, ClientGone, Dialect, Handler, Refusal, in_json, json_answer

PAGE_SECURITY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; frame-src 'self'; media-src 'self'; "
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": PAGE_SECURITY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
TOKEN = "x-screen-token"  # noqa: S105 - a header's name
BAD_REQUEST, FORBIDDEN, CONFLICT, MISDIRECTED, FAILED, UNAVAILABLE = 400, 403, 409, 421, 500, 503

_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9.-]{1,253}))(?::[0-9]{1,5})?", re.ASCII)
"""A host and a port, and nothing else: nobody's name before an @, nothing that some other reader takes for another host."""

_log = logging.getLogger("tourlatch")
refuse_in_json: Refusal = in_json(Dialect(refused="error", unrouted="error"))


def around(handler: Handler, *, is_local: bool, refuse: Refusal = refuse_in_json) -> Handler:
    """The handler as a browser meets it; `is_local` is whether only this machine's own names are answered."""

    async def guarded(call: Call) -> Answer:
        try:
            if is_local:
                _check_host(call)
            answer = await handler(call)
        except RefusedError as error:
            answer = refuse(call, error.status, str(error), False)
        except RequestRefusedError as error:
            answer = json_answer({"error": str(error), "reason": error.reason}, CONFLICT)
        except AgentAbsentError:
            answer = refuse_in_json(call, UNAVAILABLE, "The door does not answer just now. Please try again.", False)
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - the last resort
            _log.error("request_failed", extra={"facts": {"method": call.method, **_place(error)}})
            answer = refuse_in_json(call, FAILED, "Something went wrong here, and it was noted. Please try again.", False)
        return replace(answer, headers={**HEADERS, **answer.headers})

    return guarded


def with_head(routes: Mapping[str, Mapping[str, Handler]]) -> dict[str, dict[str, Handler]]:
    """Every GET answers HEAD, too; the server leaves the body out."""
    return {path: {**handlers, **({"HEAD": handlers["GET"]} if "GET" in handlers else {})} for path, handlers in routes.items()}


def from_our_page(call: Call, *, scheme: str = "http") -> bool:
    """Whether a request came from a page of this very origin, as the browser says; `scheme` is how we are reached."""
    site = call.headers.get("sec-fetch-site")
    if site not in {None, "same-origin"}:
        return False
    origin = call.headers.get("origin", "null")
    if origin == "null":
        return site == "same-origin"
    return origin.lower() == f"{scheme}://{call.headers.get('host', '').lower()}"


def from_our_frame(call: Call) -> bool:
    """Whether a form may have come from the booking's frame: its origin is opaque, and to the browser every request from it is cross-site.

    Another opaque page says the same, so this keeps out other origins and no more: it is for what a token in the form protects.
    """
    site, origin = call.headers.get("sec-fetch-site"), call.headers.get("origin")
    if site is None:
        return origin in {None, "null"}
    return (site, origin) == ("cross-site", "null") and call.headers.get("sec-fetch-dest", "iframe") == "iframe"


async def asked(call: Call, is_token: Callable[[str], bool]) -> dict[str, Any]:
    """The JSON object in a request of our page; raises `RefusedError` for anybody else's, and for anything else."""
    if not from_our_page(call) or not is_token(call.headers.get(TOKEN, "")):
        raise RefusedError(FORBIDDEN, "This did not come from the screen's own page.")
    return await json_body(call)


async def json_body(call: Call) -> dict[str, Any]:
    """The JSON object in a body; raises `RefusedError`."""
    if call.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
        raise RefusedError(BAD_REQUEST, "The body is a JSON object, and its content-type says so.")
    try:
        body = json.loads(await call.body())
    except (ValueError, RecursionError) as error:
        raise RefusedError(BAD_REQUEST, "The body is no JSON.") from error
    if not isinstance(body, dict):
        raise RefusedError(BAD_REQUEST, "The body is a JSON object.")
    return body


def text_of(body: Mapping[str, Any], name: str, longest: int) -> str:
    """A text of a body, printable and not too long; raises `RefusedError`. Its content is never repeated."""
    value = body.get(name)
    if not isinstance(value, str) or len(value) > longest or not value.isprintable():
        raise RefusedError(BAD_REQUEST, f"{name} is a text of at most {longest} characters.")
    return value


def same(one: str, other: str) -> bool:
    """Whether two secrets are the same, in a time that tells nothing of them."""
    return hmac.compare_digest(one.encode("utf-8", "replace"), other.encode("utf-8", "replace"))


def _check_host(call: Call) -> None:
    found = _HOST.fullmatch(call.headers.get("host", ""))
    if found is None or not is_loopback((found["v6"] or found["name"]).lower()):
        raise RefusedError(MISDIRECTED, "This address is not served here.")


def _place(error: BaseException) -> dict[str, str]:
    frames = traceback.extract_tb(error.__traceback__)
    return {"error": type(error).__name__, "at": " < ".join(f"{frame.filename}:{frame.lineno}" for frame in reversed(frames[-4:]))}
