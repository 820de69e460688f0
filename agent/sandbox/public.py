"""Knock's routes: which key opens which, how a body becomes work, and what a fault makes of the answer."""

from __future__ import annotations

import asyncio
import functools
import secrets
import struct
import zlib
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace
from http import HTTPStatus
from typing import Any

from agent.errors import RefusedError
from agent.sandbox.faults import Fault, FaultBoard, Kind
from agent.sandbox.fields import Fields, parse_json, refuse
from agent.sandbox.ledger import Ledger
from agent.sandbox.records import CONFIRMED
from agent.sandbox.settings import SandboxSettings
from agent.sandbox.state import AVAILABLE_TIMES, CANCEL, PROSPECT, REQUEST, VISIT, Work
from agent.web import Answer, Call, Dialect, Handler, json_answer, to_json

BOMB_BYTES = 256 * 1024 * 1024
"""What the body of a gzip bomb grows to: more than a door may ever hold, and small on the wire."""

_AFTER_WORK = frozenset({Kind.SLOW, Kind.LOST, Kind.TRUNCATED, Kind.FORM})
_FORBIDDEN = 403
_BODILESS = frozenset({204, 205, 304})
_GATEWAY = frozenset({403, 404, 405, 429})
"""Statuses that a gateway in front of Knock would answer, with `message` in the place of `errorMessage` (assumption)."""

_LOG_IN_PAGE = b"<!DOCTYPE html><html><head><title>Welcome</title></head><body>Please log in to this network.</body></html>"

Reader = Callable[[Call], Awaitable[Mapping[str, Any]]]
Pause = Callable[[float], Awaitable[None]]


DIALECT = Dialect(refused="errorMessage", unrouted="message")
"""Knock's own words are in `errorMessage` (Knock Visit API); `message` is of a gateway in front of it (assumption)."""


class Public:
    """The public API over one ledger; `pause` waits, and ends early when the sandbox stops."""

    def __init__(self, settings: SandboxSettings, ledger: Ledger, board: FaultBoard, pause: Pause) -> None:
        self._ledger = ledger
        self._board = board
        self._pause = pause
        self._key_header = settings.key_header
        # Knock publishes two test keys: one of the appointment API, one of the prospect and visit APIs
        self._keys = dict.fromkeys((AVAILABLE_TIMES, REQUEST, CANCEL), settings.appointment_key)
        self._keys |= dict.fromkeys((PROSPECT, VISIT), settings.prospect_key)

    def routes(self) -> Mapping[str, Mapping[str, Handler]]:
        """Handlers by path and method. Paths of free times and visits are known from their users only."""
        return {
            "/community/{community_id}/available-times": {"GET": self._handler(AVAILABLE_TIMES, _read_query)},
            "/prospect": {"POST": self._handler(PROSPECT, _read_body)},
            "/appointment/request": {"POST": self._handler(REQUEST, _read_body)},
            "/appointment/{appointment_id}/cancel": {"PUT": self._handler(CANCEL, _read_nothing)},
            "/visit": {"POST": self._handler(VISIT, _read_body)},
        }

    def _handler(self, route: str, read: Reader) -> Handler:
        async def handle(call: Call) -> Answer:
            fault = self._board.strike(route)
            work = functools.partial(self._work, route, call, read, fault)
            return await work() if fault is None else await self._spoilt(fault, work)

        return handle

    async def _work(self, route: str, call: Call, read: Reader, fault: Fault | None) -> Answer:
        """Knock as it should be; refusals are answers too, so that a fault can spoil them."""
        try:
            if not self._has_key(route, call):
                return json_answer({DIALECT.unrouted: "Forbidden"}, _FORBIDDEN)
            status = fault.booking_status if fault is not None else None
            work = Work(route, await read(call), call.headers.get("idempotency-key"), status or CONFIRMED)
            return json_answer(self._ledger.perform(work))
        except RefusedError as error:
            return json_answer({DIALECT.refused: str(error)}, error.status)

    def _has_key(self, route: str, call: Call) -> bool:
        given = call.headers.get(self._key_header, "").encode()
        return secrets.compare_digest(given, self._keys[route].encode())

    async def _spoilt(self, fault: Fault, work: Callable[[], Awaitable[Answer]]) -> Answer:
        """The answer under a fault: without any work for some kinds, with the work done first for the others."""
        if fault.kind not in _AFTER_WORK:
            return await _instead(fault)
        answer = await work()
        if fault.kind is Kind.SLOW:
            await self._pause(fault.seconds)
            return answer
        if fault.kind is Kind.LOST:
            return replace(answer, is_dropped=True)
        if fault.kind is Kind.FORM:
            return json_answer(_without(parse_json(answer.content), fault.left_out), answer.status)
        return replace(answer, sent_bytes=len(answer.content) // 2)


async def _instead(fault: Fault) -> Answer:
    if fault.kind is Kind.STATUS:
        return _status_answer(fault)
    if fault.kind is Kind.NOT_JSON:
        return Answer(content=_LOG_IN_PAGE, media_type="text/html")
    if fault.kind is Kind.GZIP_BOMB:
        return Answer(content=await asyncio.to_thread(_bomb), headers={"Content-Encoding": "gzip"})
    return Answer(is_dropped=True)


def _without(value: object, names: Collection[str]) -> object:
    """The value without the fields of these names, at any depth."""
    if isinstance(value, Mapping):
        return {name: _without(inner, names) for name, inner in value.items() if name not in names}
    return value


async def _read_query(call: Call) -> Mapping[str, Any]:
    flag = call.query.get("forSelfGuided", "false").lower()
    if flag not in {"true", "false"}:
        refuse(f"forSelfGuided must be true or false, not {flag!r}.")
    return {"communityId": call.path["community_id"], "forSelfGuided": flag == "true"}


async def _read_body(call: Call) -> Mapping[str, Any]:
    return Fields(parse_json(await call.body())).all()


async def _read_nothing(call: Call) -> Mapping[str, Any]:
    """A cancel has no body; one that comes is read, so that it ends, and ignored."""
    await call.body()
    return {"appointmentId": call.path["appointment_id"]}


def _status_answer(fault: Fault) -> Answer:
    headers = {} if fault.retry_after_seconds is None else {"Retry-After": str(fault.retry_after_seconds)}
    if fault.status in _BODILESS:
        return Answer(fault.status, headers=headers)
    known = {status.value: status.phrase for status in HTTPStatus}
    words = known.get(fault.status, f"Status {fault.status}")
    name = DIALECT.unrouted if fault.status in _GATEWAY else DIALECT.refused
    return Answer(fault.status, to_json({name: words}), headers=headers)


@functools.cache
def _bomb() -> bytes:
    """Zeros in the format of RFC 1952: one piece is compressed and repeated, so it costs the sandbox neither memory nor seconds."""
    piece, count = bytes(1024 * 1024), BOMB_BYTES // (1024 * 1024)
    compressor = zlib.compressobj(level=9, wbits=-zlib.MAX_WBITS)
    block = compressor.compress(piece) + compressor.flush(zlib.Z_FULL_FLUSH)
    checksum = functools.reduce(lambda so_far, _: zlib.crc32(piece, so_far), range(count), 0)
    header, last_block = b"\x1f\x8b\x08" + bytes(6) + b"\xff", b"\x03\x00"
    return header + block * count + last_block + struct.pack("<II", checksum, BOMB_BYTES)
