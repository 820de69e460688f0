"""What goes out: exactly the fields of the Visit API, the headers of the settings, and the key in its header only (P7)."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any

import pytest

from agent.core.replay import Delivered, Outcome, TryAgain
from agent.core.tour import Visit
from tests.knock.peers import KEY, Peer, Request, answer, client, peer, report, stand_in, visit

OK = answer(200, {"visitId": "12345"})


def sent(what: Visit | None = None, **settings: Any) -> Request:  # noqa: ANN401 - a key of the table [knock]
    """The request of one visit as it arrives."""

    async def play() -> Peer:
        async with peer(OK) as made:
            assert await report(made.url, what, **settings) == Delivered("12345")
            return made

    (request,) = asyncio.run(play()).requests
    return request


def test_ok__the_body_is_the_visit_and_nothing_else() -> None:
    """The fields are those of Knock's Visit API, ids as text, the time in UTC with milliseconds and Z."""
    request = sent(visit(7, unit_names=("204 B", "Dachgeschoß")))
    assert request.line == "POST /visit HTTP/1.1"
    assert request.json == {
        "prospectId": "p7",
        "visitTime": "2020-03-31T23:22:06.214Z",
        "appointmentId": "a7",
        "isSelfGuided": True,
        "sourceTitle": "Zumper: ads",
        "unitNames": ["204 B", "Dachgeschoß"],
    }


@pytest.mark.parametrize("source_title", [None, ""])
def test_ok__what_is_not_known_is_left_out(source_title: str | None) -> None:
    """No source title and no units: the fields are absent, not empty."""
    request = sent(visit(7, unit_names=(), source_title=source_title))
    assert request.json == {"prospectId": "p7", "visitTime": "2020-03-31T23:22:06.214Z", "appointmentId": "a7", "isSelfGuided": True}


@pytest.mark.parametrize(
    ("visit_ms", "text"),
    [(0, "1970-01-01T00:00:00.000Z"), (1_800_000_000_000, "2027-01-15T08:00:00.000Z"), (253_402_300_799_000, "9999-12-31T23:59:59.000Z")],
)
def test_ok__the_time_always_has_milliseconds_and_a_z(visit_ms: int, text: str) -> None:
    """From the first instant to the last that the door can name."""
    body = sent(visit(visit_ms=visit_ms)).json
    assert isinstance(body, dict)
    assert body["visitTime"] == text


def test_ok__the_headers_are_these() -> None:
    """The key under its name, nothing compressed wanted back, and our id of the visit as idempotency key."""
    request = sent(visit(7))
    host = request.headers.pop("host")
    assert host.startswith("127.0.0.1:")
    assert request.headers == {
        "accept": "application/json",
        "accept-encoding": "identity",
        "connection": "keep-alive",
        "content-length": str(len(request.body)),
        "content-type": "application/json",
        "idempotency-key": f"{7:032x}",
        "user-agent": "tourlatch/1.2.3",
        "x-api-key": KEY,
    }


def test_ok__key_header_and_extra_headers_come_from_the_settings() -> None:
    """A newer deployment of Knock's with other headers needs no new program."""
    headers = sent(key_header="ocp-key", extra_headers={"company-id": "77", "property-id": "1001"}).headers
    assert {name: headers.get(name) for name in ("ocp-key", "x-api-key", "company-id", "property-id")} == {
        "ocp-key": KEY,
        "x-api-key": None,
        "company-id": "77",
        "property-id": "1001",
    }


@pytest.mark.parametrize("name", ["X-Api-Key", "accept-encoding"])
def test_fail__an_extra_header_in_the_place_of_the_key_or_the_encoding(name: str) -> None:
    """A careless extra header costs neither the key nor the bound on memory: it is refused, whatever its case."""
    with pytest.raises(ValueError, match=f"must not name {name}"):
        sent(extra_headers={name: "other"})


def test_ok__a_path_in_the_base_url_is_kept() -> None:
    """A proxy that serves Knock under a path of its own is reached there."""

    async def play() -> str:
        async with peer(OK) as made:
            await report(f"{made.url}/knock/v1/")
            return made.requests[0].line

    assert asyncio.run(play()) == "POST /knock/v1/visit HTTP/1.1"


def test_ok__the_same_visit_has_the_same_idempotency_key_and_body_again() -> None:
    """Where Knock honours the key, a second try is no second visit."""

    async def play() -> tuple[list[Outcome], int, Peer]:
        async with peer(OK) as made, client(made.url) as knock:
            for _ in range(2):
                await knock.report(visit(7))
        async with stand_in(7, is_idempotency_key_honoured=True) as sandbox, client(sandbox.url) as knock:
            return [await knock.report(visit(7)) for _ in range(2)], len(sandbox.ledger.state.visits), made

    outcomes, taken, made = asyncio.run(play())
    assert (outcomes[0], taken) == (outcomes[1], 1)
    first, second = made.requests
    assert (first.headers["idempotency-key"], first.body) == (second.headers["idempotency-key"], second.body)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "all_proxy"])
def test_ok__proxies_of_the_environment_are_ignored(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where visits go is written in the configuration, and nowhere else."""
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert sent().line == "POST /visit HTTP/1.1"


@pytest.mark.parametrize("status", [200, 201, 302, 400, 403, 429, 500, 502])
def test_fail__a_key_that_the_answer_repeats_is_not_passed_on(status: int) -> None:
    """A gateway that names the key it was given puts it neither into the store nor into a terminal."""
    text = f"The key {KEY} is not allowed, {KEY}!"
    answers = [{"errorMessage": text}, {"message": text}, {"errorMessage": {"key": KEY}}, {"errorMessage": "x" * 190 + KEY}]

    async def play(body: object) -> Outcome:
        async with peer(answer(status, body)) as made:
            return await report(made.url)

    for body in answers:
        outcome = asyncio.run(play(body))
        assert not isinstance(outcome, Delivered)
        assert KEY[:10] not in outcome.words + repr(outcome) + json.dumps(dataclasses.asdict(outcome))


def test_fail__no_outcome_holds_the_key_when_the_way_fails() -> None:
    """A lost answer and a closed port are told without it, and so is the client itself."""

    async def play() -> tuple[list[Outcome], str]:
        async with peer(b"") as made:
            lost = await report(made.url)
        async with client("http://127.0.0.1:1") as knock:
            return [lost, await knock.report(visit())], repr(knock) + str(knock)

    outcomes, shown = asyncio.run(play())
    assert KEY not in repr(outcomes) + shown


def test_fail__the_wrong_key_waits_for_a_person_and_loses_nothing() -> None:
    """A key that Knock does not accept is no visit's fault: the visit is tried again, and the words say where to look."""

    async def play() -> tuple[Outcome, int]:
        async with stand_in() as sandbox:
            return await report(sandbox.url, key="wrong-key"), len(sandbox.ledger.state.visits)

    words = "403: Forbidden (Knock or a gateway does not accept the key: check the key files and key_header)"
    assert asyncio.run(play()) == (TryAgain(words), 0)
