"""The sender with the real client against Knock's stand-in over HTTP, with everything that can go wrong on the way (P3)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from agent.core.replay import InDoubt, RetryPolicy
from agent.sandbox.faults import Fault, Kind
from agent.sandbox.server import Sandbox
from tests.knock.peers import client, know, stand_in
from tests.sender.stage import Stage, now_ms, staged

LOSING = (
    Fault(Kind.LOST, probability=0.4),
    Fault(Kind.TRUNCATED, probability=0.4),
    Fault(Kind.SLOW, seconds=30, count=3),
)
"""Knock did the work, and we cannot know."""
HARMLESS = (
    Fault(Kind.REFUSE, probability=0.4),
    Fault(Kind.NOT_JSON, probability=0.4),
    Fault(Kind.GZIP_BOMB, count=2),
    Fault(Kind.STATUS, status=500, probability=0.4),
    Fault(Kind.STATUS, status=403, probability=0.4),
    Fault(Kind.STATUS, status=502, probability=0.4),
    Fault(Kind.STATUS, status=429, retry_after_seconds=0, probability=0.4),
    Fault(Kind.SLOW, seconds=0.05, probability=0.4),
)
"""Knock did nothing, or we heard of it."""


SOON = RetryPolicy(0.02, 0.1)


def name_of(fault: Fault) -> str:
    """A test's name for a fault."""
    detail = fault.status if fault.kind is Kind.STATUS else fault.seconds if fault.kind is Kind.SLOW else ""
    return f"{fault.kind.value}{detail}"


@asynccontextmanager
async def connected(folder: Path, *, policy: RetryPolicy = SOON, **settings: Any) -> AsyncIterator[tuple[Stage, Sandbox]]:  # noqa: ANN401 - the sandbox's
    """A sender with a real client of a stand-in that knows forty appointments of twenty prospects."""
    async with stand_in(0, **settings) as sandbox, client(sandbox.url, read_timeout_s=0.3) as knock:
        know(sandbox, range(40), prospects=20)
        async with staged(folder, knock, policy=policy) as stage:
            yield stage, sandbox


def taken(sandbox: Sandbox) -> Counter[str]:
    """How many visits the stand-in has of each appointment."""
    return Counter(visit.appointment_id for visit in sandbox.ledger.state.visits.values())


@pytest.mark.parametrize("fault", [*LOSING, *HARMLESS], ids=name_of)
def test_ok__every_visit_arrives_in_spite_of(fault: Fault, tmp_path: Path) -> None:
    """Whatever befalls requests and answers, each visit is Knock's in the end; twice only when an answer was lost, never invented."""

    async def play() -> None:
        async with connected(tmp_path) as (stage, sandbox):
            sandbox.faults.switch_on("visit", fault)
            stage.queue(*range(40), prospects=20)
            stage.start()
            await asyncio.sleep(0.3)
            sandbox.faults.clear()
            await stage.until_empty()
            assert set(taken(sandbox)) == {f"a{number}" for number in range(40)}
            assert len(stage.delivered()) == 40
            if fault in HARMLESS:
                assert set(taken(sandbox).values()) == {1}

    asyncio.run(play())


def test_ok__where_the_idempotency_key_is_honoured_nothing_comes_twice(tmp_path: Path) -> None:
    """A second try after a lost answer is the same visit to Knock, and both sides know it by the same id."""

    async def play() -> None:
        async with connected(tmp_path, is_idempotency_key_honoured=True) as (stage, sandbox):
            sandbox.faults.switch_on("visit", Fault(Kind.LOST, count=10))
            stage.queue(*range(40), prospects=20)
            stage.start()
            await stage.until_empty()
            assert {visit.appointment_id: visit.id for visit in sandbox.ledger.state.visits.values()} == stage.delivered()
            assert len(sandbox.ledger.state.visits) == 40

    asyncio.run(play())


def test_ok__held_doubts_are_never_sent_twice(tmp_path: Path) -> None:
    """With `hold`, a lost answer costs no second visit: what is in doubt waits for a person, the rest arrives once."""

    async def play() -> None:
        hold = RetryPolicy(0.02, 0.1, in_doubt=InDoubt.HOLD)
        async with connected(tmp_path, policy=hold) as (stage, sandbox):
            sandbox.faults.switch_on("visit", Fault(Kind.LOST, count=5))
            stage.queue(*range(40), prospects=20)
            stage.start()
            await stage.until(lambda: set(stage.states().values()) == {"in_doubt"} and len(stage.delivered()) == 35)
            assert taken(sandbox) == {f"a{number}": 1 for number in range(40)}
            assert len(stage.rows()) == 5

    asyncio.run(play())


def test_ok__a_day_offline_ends_with_everything_delivered(tmp_path: Path) -> None:
    """While nobody listens every visit waits without a doubt; when somebody does, all arrive, each once."""

    async def play() -> None:
        async with connected(tmp_path) as (stage, sandbox):
            sandbox.faults.switch_on("*", Fault(Kind.REFUSE))
            await sandbox._apply_port()
            stage.queue(*range(40), prospects=20)
            stage.start()
            await asyncio.sleep(0.3)
            assert {row[2] for row in stage.rows().values()} == {0}
            assert len(stage.rows()) == 40
            sandbox.faults.clear()
            await sandbox._apply_port()
            await stage.until_empty()
            assert taken(sandbox) == {f"a{number}": 1 for number in range(40)}

    asyncio.run(play())


def test_ok__knocks_clock_may_be_behind(tmp_path: Path) -> None:
    """A visit that is in the future for Knock arrives when it is not, with the time that it took place."""

    async def play() -> None:
        async with connected(tmp_path) as (stage, sandbox):
            sandbox.ledger.offset = timedelta(hours=-1)
            visit_ms = now_ms()
            stage.queue(1, at_ms=visit_ms)
            stage.start()
            await stage.until(lambda: stage.rows()["a1"][1] >= 2)
            sandbox.ledger.offset = timedelta()
            await stage.until_empty()
            (visit,) = sandbox.ledger.state.visits.values()
            assert (visit.appointment_id, round(visit.visit_time.timestamp() * 1000)) == ("a1", visit_ms)

    asyncio.run(play())


def test_ok__what_knock_does_not_know_is_a_dead_letter_in_its_words(tmp_path: Path) -> None:
    """The person who looks at it reads what Knock said."""

    async def play() -> None:
        async with connected(tmp_path) as (stage, sandbox):
            stage.queue(1, 777, prospects=20)
            stage.start()
            await stage.until(lambda: list(stage.states().values()) == ["dead"])
            assert {name: row[5] for name, row in stage.rows().items()} == {"a777": "404: There is no appointment 'a777'."}
            assert taken(sandbox) == {"a1": 1}

    asyncio.run(play())
