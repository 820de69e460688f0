"""The four calls of the desk, so that what holds for all of them is tried with each."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from agent.core.booking import Booked, Done, FreeTimes
from agent.core.replay import Refused, TryAgain, Unknown
from agent.knock import Knock
from tests.knock.peers import ask, peer, tour

Told = Booked | Done | FreeTimes | Refused | TryAgain | Unknown
Call = Callable[[Knock], Awaitable[Told]]


async def book(knock: Knock) -> Told:
    """A booking."""
    return await knock.book(tour(), "one-key")


async def cancel(knock: Knock) -> Told:
    """A cancel of appointment 12."""
    return await knock.cancel("12")


async def prospect(knock: Knock) -> Told:
    """The question who this is."""
    return await knock.prospect(tour())


async def free_times(knock: Knock) -> Told:
    """The free times of community 1001."""
    return await knock.free_times("1001")


CALLS: dict[str, Call] = {"book": book, "cancel": cancel, "prospect": prospect, "free_times": free_times}
GOOD: dict[str, tuple[object, Told]] = {
    "book": ({"appointmentId": "12", "prospectId": "5"}, Booked("12", "CONFIRMED", "5")),
    "cancel": ({"appointment": {"id": "12", "status": "CANCELLED"}}, Done()),
    "prospect": ({"id": "5"}, Done("5")),
    "free_times": ({"acceptableTimes": ["2026-03-31T15:30:00-07:00"]}, FreeTimes((1_774_996_200_000,))),
}
WRITES = ("book", "cancel", "prospect")
"""The calls after which something has changed in Knock."""


def answered(call: str, raw: bytes, **settings: Any) -> tuple[Told, int]:  # noqa: ANN401 - a key of the table [knock]
    """What a call comes back with when a peer answers with these bytes, and how many requests the peer has seen."""

    async def play() -> tuple[Told, int]:
        async with peer(raw) as made:
            return await ask(made.url, CALLS[call], **settings), len(made.requests)

    return asyncio.run(play())
