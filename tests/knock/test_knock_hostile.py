"""An answer costs bounded memory and bounded time, whoever answers."""

from __future__ import annotations

import asyncio
import gzip
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agent.core.replay import Delivered, Outcome, TryAgain, Unknown
from agent.sandbox.faults import Fault, Kind
from tests.knock.peers import Handler, Peer, answer, client, peer, report, stand_in, visit

NO_ID = Unknown("200, but without a visitId: something else than Knock may have answered")
PIECE = bytes(64 * 1024)

NOT_KNOCK = TryAgain("400: no explanation (not in Knock's form: check base_url)")


def stream(head: bytes, pieces: Callable[[], AsyncIterator[bytes]]) -> Handler:
    """A peer that sends a head and then pieces until they end or the client has enough."""

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        async for piece in pieces():
            writer.write(piece)
            await writer.drain()

    return serve


async def endless() -> AsyncIterator[bytes]:
    """Zeros without end, as fast as they are taken."""
    while True:
        yield PIECE


async def endless_chunks() -> AsyncIterator[bytes]:
    """The same, in chunks."""
    while True:
        yield b"10000\r\n" + PIECE + b"\r\n"


async def endless_headers() -> AsyncIterator[bytes]:
    """A head that never ends."""
    while True:
        yield b"X-More: " + b"y" * 1000 + b"\r\n"


def measured(serve: Handler | bytes, **settings: Any) -> tuple[Outcome, int, float]:  # noqa: ANN401 - a key of the table [knock]
    """The outcome, the most bytes that Python held at once, and how long it took."""

    async def play() -> tuple[Outcome, int, float]:
        async with peer(serve) as made, client(made.url, **settings) as knock:
            tracemalloc.start()
            began_s = time.monotonic()
            outcome = await knock.report(visit())
            took_s = time.monotonic() - began_s
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return outcome, peak, took_s

    return asyncio.run(play())


@pytest.mark.parametrize(
    ("head", "pieces", "outcome"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n", endless, NO_ID),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", endless, NO_ID),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", endless_chunks, NO_ID),
        (
            b"HTTP/1.1 400 No\r\nTransfer-Encoding: chunked\r\n\r\n",
            endless_chunks,
            NOT_KNOCK,
        ),
        (b"HTTP/1.1 503 No\r\nRetry-After: 9\r\n\r\n", endless, TryAgain("503: no explanation", 9.0)),
        (b"HTTP/1.1 200 OK\r\n", endless_headers, Unknown("the answer was lost (RemoteProtocolError)")),
    ],
)
def test_fail__an_endless_answer_costs_little(head: bytes, pieces: Callable[[], AsyncIterator[bytes]], outcome: Outcome) -> None:
    """What exceeds the bound is not read: a few hundred kilobytes, a moment, and the status still counts."""
    found, peak, took_s = measured(stream(head, pieces))
    assert found == outcome
    assert peak < 4_000_000
    assert took_s < 3


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "deflate", "br", "gzip, identity", "identity, gzip"])
def test_fail__a_compressed_answer_is_not_unpacked(encoding: str) -> None:
    """Nobody was asked for compression: a few kilobytes that would become twenty megabytes stay a few kilobytes."""
    bomb = gzip.compress(bytes(20_000_000), compresslevel=9)
    found, peak, _ = measured(answer(200, bomb, Content_Encoding=encoding))
    assert found == NO_ID
    assert peak < 4_000_000


def test_fail__an_answer_that_only_calls_itself_compressed_is_in_doubt() -> None:
    """Who answers against what was asked for is not believed, even if the body could be read."""
    assert measured(answer(200, {"visitId": "12345"}, Content_Encoding="gzip"))[0] == NO_ID
    assert measured(answer(200, {"visitId": "12345"}, Content_Encoding="Identity"))[0] == Delivered("12345")


def test_fail__the_stand_ins_bomb_is_harmless() -> None:
    """256 MiB in a small compressed body, from the stand-in itself."""

    async def play() -> tuple[Outcome, int]:
        async with stand_in() as sandbox, client(sandbox.url) as knock:
            sandbox.faults.switch_on("visit", Fault(Kind.GZIP_BOMB))
            await knock.report(visit())  # the stand-in makes its bomb once
            tracemalloc.start()
            outcome = await knock.report(visit())
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return outcome, peak

    outcome, peak = asyncio.run(play())
    assert outcome == NO_ID
    assert peak < 8_000_000


def test_ok__an_answer_of_exactly_the_bound_is_read_and_one_byte_more_is_not() -> None:
    """The bound is the one in the settings."""
    body = b'{"visitId": "1", "x": "' + b"y" * (1024 - 25) + b'"}'
    assert len(body) == 1024
    assert measured(answer(200, body), max_answer_kb=1)[0] == Delivered("1")
    assert measured(answer(200, body + b" "), max_answer_kb=1)[0] == NO_ID


def test_fail__a_slow_drip_ends_at_the_total_time() -> None:
    """Each byte comes in time for itself; the whole takes no longer than the total allows."""

    async def drip() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await asyncio.sleep(0.05)

    found, _, took_s = measured(stream(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n", drip), read_timeout_s=1.0, total_timeout_s=0.4)
    assert found == Unknown("the answer was lost (TimeoutError)")
    assert 0.4 <= took_s < 2


def test_fail__silence_ends_at_the_read_time() -> None:
    """A peer that takes the visit and says nothing leaves it in doubt after the read time-out."""

    async def silence() -> AsyncIterator[bytes]:
        yield b""
        await asyncio.sleep(1)

    found, _, took_s = measured(stream(b"", silence), read_timeout_s=0.2)
    assert found == Unknown("the answer was lost (ReadTimeout)")
    assert 0.2 <= took_s < 1


def test_ok__after_a_spoilt_answer_the_next_one_is_good() -> None:
    """A connection that was left in the middle of a body is not used again."""

    @asynccontextmanager
    async def moody() -> AsyncIterator[Peer]:
        bodies = iter([stream(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", endless), None])

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            spoil = next(bodies)
            if spoil is not None:
                await spoil(reader, writer)
            else:
                writer.write(answer(200, {"visitId": "12345"}))

        async with peer(serve) as made:
            yield made

    async def play() -> list[Outcome]:
        async with moody() as made, client(made.url) as knock:
            return [await knock.report(visit()) for _ in range(2)]

    assert asyncio.run(play()) == [NO_ID, Delivered("12345")]


def test_ok__cancelling_a_report_ends_it_at_once() -> None:
    """The stop of the agent does not wait for Knock."""

    async def play() -> float:
        async def never(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(1)

        async with peer(never) as made:
            task = asyncio.create_task(report(made.url))
            await made.is_asked.wait()
            began_s = time.monotonic()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            return time.monotonic() - began_s

    assert asyncio.run(play()) < 0.5
