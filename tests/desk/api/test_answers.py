"""What the office does not do is told to programs as a sentence, never as a fault of the desk."""

from __future__ import annotations

import asyncio
import json

from agent.desk.api.answers import answered
from agent.desk.office import NotDoneError, Problem
from agent.web import Answer, Call


def test_refused__what_the_office_does_not_do_is_a_conflict() -> None:
    """409 with the office's own sentence."""

    async def refuse(_call: Call) -> Answer:
        raise NotDoneError(Problem.OVER, "the tour is over")

    async def body() -> bytes:
        return b""

    async def ask() -> Answer:
        return await answered(refuse)(Call({}, {}, {}, body))

    answer = asyncio.run(ask())
    assert (answer.status, json.loads(answer.content)) == (409, {"error": "the tour is over"})
