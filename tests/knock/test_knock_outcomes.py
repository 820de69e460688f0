"""What an answer of Knock's means (P3): each status and each way in which an answer can fail to come, over real HTTP."""

from __future__ import annotations

import asyncio
import json
import socket
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from agent.core.clock import from_datetime
from agent.core.replay import Delivered, Outcome, Refused, TryAgain, Unknown
from agent.http import MAX_WORDS, Answer
from agent.knock.answers import visit_outcome
from agent.sandbox.faults import Fault, Kind
from tests.knock.peers import answer, client, peer, report, stand_in, visit

NO_ID = Unknown("200, but without a visitId: something else than Knock may have answered")
REDIRECTED = "redirected; check base_url, or the site's network asks for a log-in"
KEY_REFUSED = "(Knock or a gateway does not accept the key: check the key files and key_header)"
NOT_KNOCK = "(not in Knock's form: check base_url)"


def answered(raw: bytes) -> Outcome:
    """The outcome of a visit that a peer answers with these bytes."""

    async def play() -> Outcome:
        async with peer(raw) as made:
            return await report(made.url)

    return asyncio.run(play())


def under_fault(fault: Fault, *, route: str = "visit", **settings: Any) -> tuple[Outcome, int]:  # noqa: ANN401 - of Knock's
    """The outcome of a visit under a fault of the stand-in, and how many visits the stand-in has after it."""

    async def play() -> tuple[Outcome, int]:
        async with stand_in() as sandbox:
            if fault.kind is Kind.REFUSE and route == "*":
                sandbox.faults.switch_on(route, fault)
                await sandbox._apply_port()
            else:
                sandbox.faults.switch_on(route, fault)
            return await report(sandbox.url, **settings), len(sandbox.ledger.state.visits)

    return asyncio.run(play())


@pytest.mark.parametrize(
    ("status", "body", "outcome"),
    [
        (200, {"visitId": "12345"}, Delivered("12345")),
        (200, {"visitId": 12345, "more": None}, Delivered("12345")),
        (200, {"visitId": 0}, Delivered("0")),
        (200, {}, NO_ID),
        (200, None, NO_ID),
        (200, {"visitId": ""}, NO_ID),
        (200, {"visitId": None}, NO_ID),
        (200, {"visitId": True}, NO_ID),
        (200, {"visitId": ["12345"]}, NO_ID),
        (200, ["visitId"], NO_ID),
        (200, b"<html>Welcome", NO_ID),
        (200, b"\xff\xfe", NO_ID),
        (200, b"[" * 50_000, NO_ID),
        (201, {"visitId": "12345"}, Unknown("201: no explanation")),
        (204, None, Unknown("204: no explanation")),
        (301, None, TryAgain(f"301: {REDIRECTED}")),
        (302, None, TryAgain(f"302: {REDIRECTED}")),
        (307, {"errorMessage": "moved"}, TryAgain(f"307: {REDIRECTED}")),
        (400, {"errorMessage": "prospectId must be a text."}, Refused("400: prospectId must be a text.")),
        (400, None, TryAgain(f"400: no explanation {NOT_KNOCK}")),
        (404, {"message": "Not Found"}, TryAgain(f"404: Not Found {NOT_KNOCK}")),
        (404, b"<html>nginx", TryAgain(f"404: no explanation {NOT_KNOCK}")),
        (404, {"errorMessage": "no such prospect"}, Refused("404: no such prospect")),
        (200, {"visitId": "\ud800"}, NO_ID),
        (200, {"visitId": "1" * 101}, NO_ID),
        (422, {"errorMessage": {"unit": ["unknown"]}}, Refused('422: {"unit": ["unknown"]}')),
        (410, b"gone", TryAgain(f"410: no explanation {NOT_KNOCK}")),
        (401, {"message": "Unauthorized"}, TryAgain(f"401: Unauthorized {KEY_REFUSED}")),
        (403, {"message": "Forbidden"}, TryAgain(f"403: Forbidden {KEY_REFUSED}")),
        (407, None, TryAgain(f"407: no explanation {KEY_REFUSED}")),
        (408, None, TryAgain("408: no explanation")),
        (425, None, TryAgain("425: no explanation")),
        (429, {"message": "Too Many Requests"}, TryAgain("429: Too Many Requests")),
        (500, {"errorMessage": "Internal Server Error"}, TryAgain("500: Internal Server Error")),
        (503, b"upstream", TryAgain("503: no explanation")),
        (502, {"message": "Bad Gateway"}, Unknown("502: Bad Gateway")),
        (504, None, Unknown("504: no explanation")),
        (599, None, Unknown("599: no explanation")),
    ],
)
def test_ok__each_answer_has_one_outcome(status: int, body: object, outcome: Outcome) -> None:
    """Only a 200 with Knock's id delivers, only a clear no refuses for good, the rest is tried again or in doubt."""
    assert answered(answer(status, body)) == outcome


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
@pytest.mark.parametrize(
    ("value", "seconds"),
    [("0", 0.0), ("120", 120.0), ("99999999999", 99_999_999_999.0), ("-5", None), ("1.5", None), ("Wed, 21 Oct 2026 07:28:00 GMT", None)],
)
def test_ok__retry_after_comes_along(status: int, value: str, seconds: float | None) -> None:
    """Seconds of a Retry-After are handed on; a date or nonsense is left to our own schedule."""
    raw = answer(status, {"errorMessage": "later"}, Retry_After=value)
    assert visit_outcome(Answer(status, value, b'{"errorMessage": "later"}')) == TryAgain(f"{status}: later", seconds)
    if status == 429:
        assert answered(raw) == TryAgain("429: later", seconds)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_ok__a_redirect_is_not_followed(status: int) -> None:
    """A site's log-in page, or anybody in between, does not get to see a visit or the key."""

    async def play() -> tuple[Outcome, int, int]:
        async with peer(answer(200, {"visitId": "stolen"})) as thief, peer(answer(status, None, Location=f"{thief.url}/visit")) as made:
            return await report(made.url), len(made.requests), len(thief.requests)

    assert asyncio.run(play()) == (TryAgain(f"{status}: {REDIRECTED}"), 1, 0)


def test_ok__a_visit_time_that_is_future_for_knock_is_tried_again() -> None:
    """When Knock's clock is behind ours the visit waits; the way to Knock is open, so nobody else has to."""

    async def play() -> tuple[Outcome, Outcome]:
        async with stand_in() as sandbox:
            now_ms = from_datetime(datetime.now(UTC)) + 3_600_000
            early = await report(sandbox.url, visit(visit_ms=now_ms))
            sandbox.ledger.offset = timedelta(hours=2)
            return early, await report(sandbox.url, visit(visit_ms=now_ms))

    early, later = asyncio.run(play())
    assert isinstance(early, TryAgain)
    assert early == TryAgain(early.words, None, is_link=False)
    assert early.words.startswith("400: visitTime must be in the past, but ")
    assert isinstance(later, Delivered)


@pytest.mark.parametrize(
    ("words", "is_future"),
    [
        ("visitTime must be in the past", True),
        ("Visit Time cannot be a FUTURE date", True),
        ("visitTime is not a time", False),
        ("moveDate must be in the future", False),
    ],
)
def test_ok__only_words_about_a_future_visit_time_wait(words: str, is_future: bool) -> None:
    """Any other complaint about a visit is a refusal for a person to look at."""
    raw = json.dumps({"errorMessage": words}).encode()
    told = f"400: {words}"
    assert visit_outcome(Answer(400, None, raw)) == (TryAgain(told, is_link=False) if is_future else Refused(told))


def test_ok__knocks_words_are_kept_short_and_printable() -> None:
    """What Knock says ends up in a terminal and in the store: no control characters, no novel."""
    assert answered(answer(400, {"errorMessage": "a\x1b[31m\r\n" + "b" * 1000})) == Refused("400: a[31m" + "b" * (MAX_WORDS - 5))


def test_ok__the_stand_in_takes_a_visit() -> None:
    """Without any fault the visit is Knock's, under the id that Knock gave it."""

    async def play() -> tuple[Outcome, list[str]]:
        async with stand_in() as sandbox:
            return await report(sandbox.url), list(sandbox.ledger.state.visits)

    outcome, ids = asyncio.run(play())
    assert [outcome] == [Delivered(visit_id) for visit_id in ids]


@pytest.mark.parametrize(
    ("fault", "outcome", "visits"),
    [
        (Fault(Kind.REFUSE), Unknown("the answer was lost (RemoteProtocolError)"), 0),
        (Fault(Kind.LOST), Unknown("the answer was lost (RemoteProtocolError)"), 1),
        (Fault(Kind.TRUNCATED), Unknown("the answer was lost (RemoteProtocolError)"), 1),
        (Fault(Kind.NOT_JSON), NO_ID, 0),
        (Fault(Kind.GZIP_BOMB), NO_ID, 0),
        (Fault(Kind.FORM, left_out=("visitId",)), NO_ID, 1),
        (Fault(Kind.STATUS, status=429, retry_after_seconds=7), TryAgain("429: Too Many Requests", 7.0), 0),
        (Fault(Kind.STATUS, status=204), Unknown("204: no explanation"), 0),
        (Fault(Kind.STATUS, status=400), Refused("400: Bad Request"), 0),
    ],
    ids=lambda value: value.kind.value + str(value.status) if isinstance(value, Fault) else None,
)
def test_ok__each_fault_of_the_stand_in_has_its_outcome(fault: Fault, outcome: Outcome, visits: int) -> None:
    """Whether Knock did the work or not cannot be told from a dropped connection: it is in doubt, never delivered, never refused."""
    found, taken = under_fault(fault)
    if isinstance(found, Unknown) and found.words.startswith("the answer was lost"):
        found = Unknown("the answer was lost (RemoteProtocolError)")  # or ReadError, when the reset comes first
    assert (found, taken) == (outcome, visits)


@pytest.mark.parametrize("route", ["visit", "*"])
def test_ok__a_slow_answer_that_comes_in_time_delivers(route: str) -> None:
    """Slowness alone loses nothing."""
    found, taken = under_fault(Fault(Kind.SLOW, seconds=0.2), route=route)
    assert (type(found), taken) == (Delivered, 1)


def test_ok__a_slow_answer_that_comes_too_late_is_in_doubt() -> None:
    """Knock did the work and we do not know: the row must say so."""
    assert under_fault(Fault(Kind.SLOW, seconds=30), read_timeout_s=0.2) == (Unknown("the answer was lost (ReadTimeout)"), 1)


def test_ok__a_refused_connection_is_tried_again() -> None:
    """Nothing was sent, so nothing is in doubt."""
    assert under_fault(Fault(Kind.REFUSE), route="*") == (TryAgain("no connection to Knock (ConnectError)"), 0)


def test_ok__every_kind_of_fault_is_tried_here() -> None:
    """A kind that the stand-in learns later has to be met here as well."""
    assert set(Kind) == {Kind.REFUSE, Kind.LOST, Kind.TRUNCATED, Kind.NOT_JSON, Kind.GZIP_BOMB, Kind.STATUS, Kind.SLOW, Kind.FORM}


@pytest.mark.parametrize("unreachable", ["http://127.0.0.1:1", "https://tourlatch.invalid"])
def test_ok__nobody_there_is_tried_again(unreachable: str) -> None:
    """A closed port and a name that does not resolve are the way to Knock, not the visit."""
    assert asyncio.run(report(unreachable)) == TryAgain("no connection to Knock (ConnectError)")


def test_ok__a_connection_that_never_comes_about_is_tried_again() -> None:
    """When even the connect takes too long, nothing was sent."""
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        outcome = asyncio.run(report(f"http://127.0.0.1:{port}", connect_timeout_s=0.2))
        for filler in fillers:
            filler.close()
    assert outcome == TryAgain("no connection to Knock (ConnectTimeout)")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{}",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 200_000,
    ],
)
def test_ok__what_is_no_whole_answer_is_in_doubt(raw: bytes) -> None:
    """Cut off, contradicting itself, no HTTP at all: nobody knows whether Knock has the visit."""
    outcome = answered(raw)
    assert isinstance(outcome, Unknown)
    assert outcome.words.startswith("the answer was lost (")


def test_ok__a_reset_in_the_middle_of_an_answer_is_in_doubt() -> None:
    """A connection that is reset after a 200 has begun delivers nothing."""

    async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n{"visitId"')
        await writer.drain()
        writer.transport.abort()

    async def play() -> Outcome:
        async with peer(reset) as made:
            return await report(made.url)

    assert isinstance(asyncio.run(play()), Unknown)


def test_ok__several_visits_at_once_each_get_their_own_answer() -> None:
    """One client serves all prospects at the same time, and mixes nothing up."""

    async def play() -> dict[str, Outcome]:
        async with stand_in(12) as sandbox, client(sandbox.url) as knock:
            outcomes = await asyncio.gather(*(knock.report(visit(number)) for number in range(1, 13)))
            told = {taken.appointment_id: Delivered(taken.id) for taken in sandbox.ledger.state.visits.values()}
            assert told == {f"a{number}": outcome for number, outcome in enumerate(outcomes, 1)}
            return dict(told)

    assert len(asyncio.run(play())) == 12
