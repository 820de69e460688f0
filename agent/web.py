"""Requests in, answers out, over ASGI. The only importer of Starlette.

Rule 1: a handler returns an `Answer` or raises `RefusedError`; what a client sends never becomes a 500.
Rule 2: a body is read up to its limit, and only when a handler asks for it.
Rule 3: an answer may end in a dropped connection; the connection's own `abort` is in the scope's state (see `listener`).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.errors import RefusedError

MAX_BODY_BYTES = 64 * 1024
MAX_FIELDS = 200
ABORT = "abort"
"""The key of the scope's state under which the listener puts a function that drops the connection."""

_BAD_REQUEST = 400
_TOO_LARGE = 413
_NOT_FOUND = 404
_NOT_ALLOWED = 405
_SEE_OTHER = 303


async def _never() -> None:
    await asyncio.get_running_loop().create_future()


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the parts of its path by name, its query, its headers (any case), and its body when asked for.

    A header that stands in several lines is one, with commas between.
    `method` and `target` are as the client wrote them, `client` is the address of the connection's other end (empty when unknown).
    A name that stands in the query several times has its last value. `gone` returns when the client has gone away, for an answer that
    is held back; the body cannot be read after it.
    """

    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Callable[[], Awaitable[bytes]]
    method: str = "GET"
    target: str = "/"
    client: str = ""
    cookies: Mapping[str, str] = field(default_factory=dict)
    gone: Callable[[], Awaitable[None]] = _never

    async def form(self) -> list[tuple[str, str]]:
        """The fields of an HTML form (`application/x-www-form-urlencoded`), in their order; raises `RefusedError`."""
        if self.headers.get("content-type", "").split(";")[0].strip().lower() != "application/x-www-form-urlencoded":
            raise RefusedError(_BAD_REQUEST, "This is not a form as the page sends it.")
        try:
            return parse_qsl((await self.body()).decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS)
        except ValueError as error:
            raise RefusedError(_BAD_REQUEST, "The form cannot be read.") from error


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out.

    Only `sent_bytes` of the content are sent when it is not None, and then the connection drops; nothing at all when `is_dropped`.
    `cookies` are whole Set-Cookie values.
    """

    status: int = 200
    content: bytes = b""
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    sent_bytes: int | None = None
    is_dropped: bool = False
    cookies: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Dialect:
    """Under which name a sentence stands in an answer: when a request is refused, and when its path or method is nobody's."""

    refused: str
    unrouted: str


ClientGone = ClientDisconnect
"""Raised by `Call.body` when the client went away; there is nobody left to answer."""
Handler = Callable[[Call], Awaitable[Answer]]
Refusal = Callable[[Call, int, str, bool], Answer]
"""Makes the answer to a refused request, of its status and sentence; the last is whether its path or method is nobody's."""


def to_json(value: object) -> bytes:
    """JSON in pure ASCII: half a surrogate pair in a name is valid JSON, but has no UTF-8."""
    return json.dumps(value, allow_nan=False).encode("ascii")


def json_answer(value: object, status: int = 200) -> Answer:
    """An answer in JSON."""
    return Answer(status, to_json(value))


def see_other(place: str, cookies: Sequence[str] = ()) -> Answer:
    """Sends the browser on with a GET; `place` is a path of ours."""
    return Answer(_SEE_OTHER, media_type="text/plain", headers={"Location": place}, cookies=cookies)


def in_json(dialect: Dialect) -> Refusal:
    """Refusals as JSON objects."""

    def refuse(_call: Call, status: int, words: str, is_unrouted: bool) -> Answer:
        return json_answer({dialect.unrouted if is_unrouted else dialect.refused: words}, status)

    return refuse


def build(
    routes: Mapping[str, Mapping[str, Handler]], refusal: Refusal, wrap: Callable[[Handler], Handler] = lambda handler: handler
) -> ASGIApp:
    """An application of handlers by path and method; `{name}` in a path takes one part of it, `{name:path}` the rest.

    `wrap` is put around every handler, and around what answers a path or a method that is nobody's.
    """

    async def nobody(_call: Call) -> Answer:
        return refusal(_call, _NOT_FOUND, "Not Found", True)

    def endpoint(handlers: Mapping[str, Handler]) -> _Endpoint:
        async def not_allowed(call: Call) -> Answer:
            refused = refusal(call, _NOT_ALLOWED, "Method Not Allowed", True)
            return replace(refused, headers={**refused.headers, "Allow": ", ".join(handlers)})

        return _Endpoint({method: wrap(handler) for method, handler in handlers.items()}, wrap(not_allowed), refusal)

    app = Starlette(
        routes=[Route(path, endpoint(handlers)) for path, handlers in routes.items()],
        exception_handlers={HTTPException: _Unrouted(wrap(nobody))},
    )
    app.router.redirect_slashes = False  # paths are exact, and a redirect would hide a wrong one
    return app


def _call(request: Request) -> Call:
    async def body() -> bytes:
        return await _read(request)

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    client = request.client.host if request.client else ""
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    headers = Headers({name: ", ".join(request.headers.getlist(name)) for name in request.headers})
    return Call(request.path_params, request.query_params, headers, body, request.method, target, client, request.cookies, gone)


class _Endpoint:
    """One path: finds the handler of the method, and turns refusals into answers."""

    def __init__(self, handlers: Mapping[str, Handler], not_allowed: Handler, refusal: Refusal) -> None:
        self._handlers = handlers
        self._not_allowed = not_allowed
        self._refusal = refusal

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(_call(Request(scope, receive)))
        except ClientGone:
            return
        await _send(answer, scope, receive, send)

    async def _answer(self, call: Call) -> Answer:
        try:
            return await self._handlers.get(call.method, self._not_allowed)(call)
        except RefusedError as error:
            return self._refusal(call, error.status, str(error), False)


class _Unrouted:
    """What Starlette itself refuses: a path that is nobody's."""

    def __init__(self, nobody: Handler) -> None:
        self._nobody = nobody

    async def __call__(self, request: Request, error: Exception) -> Response:
        del error
        return _response(await self._nobody(_call(request)))


async def _read(request: Request) -> bytes:
    """The whole body; a longer one is refused without being kept."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise RefusedError(_TOO_LARGE, f"The body is longer than {MAX_BODY_BYTES} bytes.")
    return bytes(content)


def _response(answer: Answer) -> Response:
    response = Response(answer.content, answer.status, dict(answer.headers), answer.media_type)
    for cookie in answer.cookies:
        response.headers.append("Set-Cookie", cookie)
    return response


async def _send(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    response = _response(answer)
    if answer.is_dropped:
        await _drop(scope, receive)
    elif answer.sent_bytes is not None:
        await send({"type": "http.response.start", "status": answer.status, "headers": response.raw_headers})
        await send({"type": "http.response.body", "body": answer.content[: answer.sent_bytes], "more_body": True})
        await _drop(scope, receive)
    else:
        await response(scope, receive, send)


async def _drop(scope: Scope, receive: Receive) -> None:
    """Abort the connection, and wait until the server knows, for it calls an answer that never came a mistake of ours."""
    scope["state"][ABORT]()
    while (await receive())["type"] != "http.disconnect":
        pass
