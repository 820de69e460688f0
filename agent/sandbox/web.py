"""Requests in, answers out, over ASGI. The only importer of Starlette.

Rule 1: a handler returns an `Answer` or raises `RefusedError`; what a client sends never becomes a 500.
Rule 2: a body is read up to its limit, and only when a handler asks for it.
Rule 3: an answer may end in a dropped connection; the connection's own `abort` is in the scope's state (see `listener`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from agent.sandbox.errors import RefusedError
from agent.sandbox.fields import to_json

MAX_BODY_BYTES = 64 * 1024
ABORT = "abort"
"""The key of the scope's state under which the listener puts a function that drops the connection."""

_TOO_LARGE = 413
_NOT_FOUND = 404
_NOT_ALLOWED = 405


@dataclass(frozen=True, slots=True)
class Call:
    """One request: the parts of its path by name, its query, its headers (any case), and its body when asked for."""

    path: Mapping[str, str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Callable[[], Awaitable[bytes]]


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out.

    Only `sent_bytes` of the content are sent when it is not None, and then the connection drops; nothing at all when `is_dropped`.
    """

    status: int = 200
    content: bytes = b""
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    sent_bytes: int | None = None
    is_dropped: bool = False


@dataclass(frozen=True, slots=True)
class Dialect:
    """Under which name a sentence stands in an answer: when a request is refused, and when its path or method is nobody's."""

    refused: str
    unrouted: str


Handler = Callable[[Call], Awaitable[Answer]]


def json_answer(value: object, status: int = 200) -> Answer:
    """An answer in JSON."""
    return Answer(status, to_json(value))


def build(routes: Mapping[str, Mapping[str, Handler]], dialect: Dialect) -> ASGIApp:
    """An application of handlers by path and method; `{name}` in a path takes one part of it."""
    app = Starlette(
        routes=[Route(path, _Endpoint(handlers, dialect)) for path, handlers in routes.items()],
        exception_handlers={HTTPException: _Unrouted(dialect)},
    )
    app.router.redirect_slashes = False  # Knock's paths are exact, and a redirect would hide a wrong one
    return app


class _Endpoint:
    """One path: finds the handler of the method, and turns refusals into answers."""

    def __init__(self, handlers: Mapping[str, Handler], dialect: Dialect) -> None:
        self._handlers = handlers
        self._dialect = dialect

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            answer = await self._answer(Request(scope, receive))
        except ClientDisconnect:
            return
        await _send(answer, scope, receive, send)

    async def _answer(self, request: Request) -> Answer:
        handler = self._handlers.get(request.method)
        if handler is None:
            content = to_json({self._dialect.unrouted: "Method Not Allowed"})
            return Answer(_NOT_ALLOWED, content, headers={"Allow": ", ".join(self._handlers)})

        async def body() -> bytes:
            return await _read(request)

        try:
            return await handler(Call(request.path_params, request.query_params, request.headers, body))
        except RefusedError as error:
            return json_answer({self._dialect.refused: str(error)}, error.status)


class _Unrouted:
    """What Starlette itself refuses: a path that is nobody's."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    async def __call__(self, request: Request, error: Exception) -> Response:
        del request
        status = error.status_code if isinstance(error, HTTPException) else _NOT_FOUND
        return Response(to_json({self._dialect.unrouted: "Not Found"}), status, media_type="application/json")


async def _read(request: Request) -> bytes:
    """The whole body; a longer one is refused without being kept."""
    content = bytearray()
    async for chunk in request.stream():
        content += chunk
        if len(content) > MAX_BODY_BYTES:
            raise RefusedError(_TOO_LARGE, f"The body is longer than {MAX_BODY_BYTES} bytes.")
    return bytes(content)


async def _send(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    response = Response(answer.content, answer.status, dict(answer.headers), answer.media_type)
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
