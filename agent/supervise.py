"""Restarts a component that died, with back-off; the rest of the program never notices."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable

from agent.core.replay import RetryPolicy, backoff_s

RESTART = RetryPolicy(first_s=1.0, max_s=60.0)
_STEADY_S = 300.0

_log = logging.getLogger("tourlatch")


async def supervise(name: str, run: Callable[[], Awaitable[None]], on_death: Callable[[str, BaseException, float], None]) -> None:
    """Run a component for ever: whatever it raises, or if it just ends, `on_death(name, error, wait_s)` and start it again.

    Cancelling this task is the only way to end it. A component that ran for five minutes starts its back-off anew.
    """
    deaths = 0
    while True:
        started_s = time.monotonic()
        try:
            await run()
            error: BaseException = RuntimeError(f"{name} ended by itself")
        except asyncio.CancelledError as stray:
            if (this := asyncio.current_task()) is None or this.cancelling():
                raise
            error = stray
        except Exception as raised:  # noqa: BLE001 - whatever killed it, it is started again and the death is journaled
            error = raised
        deaths = 1 if time.monotonic() - started_s > _STEADY_S else deaths + 1
        wait_s = max(backoff_s(deaths, RESTART, random.random()), 0.2)  # noqa: S311 - jitter
        on_death(name, error, wait_s)
        await asyncio.sleep(wait_s)


def log_death(name: str, error: BaseException, wait_s: float) -> None:
    """An `on_death` for a program whose deaths are in its log alone: what an error says may be a visitor's, so it is not told."""
    facts = {"component": name, "error": type(error).__name__, "restart_s": round(wait_s, 1)}
    _log.error("component_failed", extra={"facts": facts})
