"""The HTTP client as the roster's client uses it: a peer that holds its answer back, a token in a header, cursors in a query."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agent.http import (
    MAX_WORDS,
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
from tests.knock.peers import Peer, answer, peer

QUICK = Timeouts(connect_s=1.0, read_s=0.2, write_s=1.0, total_s=0.3)


def client(url: str, **other: Any) -> HttpClient:  # noqa: ANN401 - an argument of the client
    """A client with a token, short time-outs and a bound of 100 bytes."""
    arguments: dict[str, Any] = {
        "headers": {"Authorization": "Bearer one-token"},
        "timeouts": QUICK,
        "ca_file": None,
        "max_answer_bytes": 100,
    }
    return HttpClient(url, **{**arguments, **other})


async def asked(made: Peer, method: str = "GET", path: str = "/x", **other: Any) -> Answer:  # noqa: ANN401 - an argument of `ask`
    """One answer of the peer, or an error."""
    http = client(made.url)
    try:
        return await http.ask(method, path, **other)
    finally:
        await http.close()


async def held(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """An answer after half a second."""
    await asyncio.sleep(0.5)
    writer.write(answer(200, {"entries": []}))


def test_ok__a_long_poll_waits_as_long_as_it_asks_for() -> None:
    """Longer time-outs for one request, which other requests of the same client do not get."""

    async def play() -> Answer:
        async with peer(held) as made:
            with pytest.raises(AnswerLostError, match=r"^ReadTimeout$"):
                await asked(made)
            with pytest.raises(AnswerLostError, match=r"^TimeoutError$"):
                await asked(made, read_s=5.0)
            return await asked(made, read_s=5.0, total_s=6.0)

    assert asyncio.run(play()) == Answer(200, None, b'{"entries": []}')


def test_ok__the_request_is_what_was_asked_for() -> None:
    """Query and headers of the call beside the client's own; a path of the peer's address is kept; a body only where there is one."""

    async def play() -> Peer:
        async with peer(answer(204)) as made:
            await asked(made, query={"cursor": "a b&c=d/é"}, headers={"X-One": "1"})
            await asked(made, "POST", "/y?z=1", json=[])
            return made

    first, second = asyncio.run(play()).requests
    assert first.line == "GET /x?cursor=a+b%26c%3Dd%2F%C3%A9 HTTP/1.1"
    assert [first.headers.get(name) for name in ("authorization", "x-one", "accept-encoding", "content-type")] == [
        "Bearer one-token",
        "1",
        "identity",
        None,
    ]
    assert (second.line, second.body, second.headers.get("x-one")) == ("POST /y?z=1 HTTP/1.1", b"[]", None)


def test_fail__a_cookie_is_neither_kept_nor_sent() -> None:
    """Whoever answers cannot plant anything in the next request."""

    async def play() -> Peer:
        async with peer(answer(200, {}, Set_Cookie="a=b; Path=/")) as made:
            http = client(made.url)
            await http.ask("GET", "/x")
            await http.ask("GET", "/x")
            await http.close()
            return made

    assert ["cookie" in request.headers for request in asyncio.run(play()).requests] == [False, False]


def test_ok__a_body_of_the_bound_is_read_and_one_byte_more_is_not() -> None:
    """The status counts either way."""

    async def play(body: bytes) -> Answer:
        async with peer(answer(409, body, Retry_After="3")) as made:
            return await asked(made)

    assert asyncio.run(play(b"x" * 100)) == Answer(409, "3", b"x" * 100)
    assert asyncio.run(play(b"x" * 101)) == Answer(409, "3", None)


@pytest.mark.parametrize(
    "wrong", [{"headers": {"X": "a\nb"}}, {"headers": {"X": "é"}}, {"json": {"a": {1}}}, {"json": float("nan")}, {"path": "//[::1"}]
)
def test_fail__what_cannot_be_a_request_is_not_sent(wrong: dict[str, Any]) -> None:
    """It is told apart from a way that is shut, and the words hold nothing of what was to be sent."""

    async def play() -> int:
        async with peer(answer(200)) as made:
            with pytest.raises(BadRequestError, match=r"^[A-Za-z]+$"):
                await asked(made, **wrong)
            return len(made.requests)

    assert asyncio.run(play()) == 0


def test_fail__nobody_there_is_surely_not_sent() -> None:
    """A closed port."""
    with pytest.raises(NoConnectionError, match=r"^ConnectError$"):
        asyncio.run(asked(Peer(b"", "http://127.0.0.1:1")))


@pytest.mark.parametrize("body", [None, b"", b"[]", b"12", b"nonsense", b"\xff", b"[" * 100_000, b"1" * 5000])
def test_ok__what_is_no_object_is_an_empty_one(body: bytes | None) -> None:
    """Readers of answers need no second way for what is not JSON."""
    assert json_object(body) == {}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({}, "no explanation"),
        ({"error": "this token is revoked"}, "this token is revoked"),
        ({"message": "b", "error": "c"}, "b"),
        ({"errorMessage": "a\x00\n\u202e", "message": "b"}, "a"),
        ({"errorMessage": ["é", 1]}, '["é", 1]'),
        ({"errorMessage": "x" * 300}, "x" * MAX_WORDS),
        ({"errorMessage": "\n"}, "no explanation"),
        ({"error": "the token one-token!"}, "the token (the key)!"),
    ],
)
def test_ok__words_of_a_refusal(content: dict[str, Any], words: str) -> None:
    """Printable, short, and without the secret."""
    assert words_of(content, "one-token") == words


@pytest.mark.parametrize(
    ("value", "seconds"), [(None, None), ("0", 0.0), ("12", 12.0), ("-1", None), ("1.5", None), ("soon", None), ("٣", None)]
)
def test_ok__retry_after_in_seconds(value: str | None, seconds: float | None) -> None:
    """Whole seconds, or our own schedule."""
    assert retry_after_s(value) == seconds


@pytest.mark.parametrize("location", ["mailto:nobody@example.com", "http://[", "x" * 60_000, "//", "http://x:99999/"])
def test_fail__an_answer_that_leads_to_no_address_is_an_answer_or_a_lost_one(location: str) -> None:
    """Whatever a redirect names, it ends as one of the ways in which a request can end."""

    async def play() -> int | None:
        async with peer(answer(303, None, Location=location)) as made:
            try:
                return (await asked(made, "POST")).status
            except AnswerLostError:
                return None

    assert asyncio.run(play()) in {303, None}
