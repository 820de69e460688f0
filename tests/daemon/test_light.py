"""Light: what the running agent has loaded, and what it weighs."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Callable

from agent.demo.stage import Stage

MAX_RESIDENT_MB = 45
SLOW = {"httpx", "httpcore", "anyio", "sqlite_utils", "click", "starlette", "uvicorn", "jinja2", "segno", "rich", "pygments", "pytest"}
Run = Callable[..., None]
GoodCode = Callable[..., str]


def unmeasured() -> dict[str, str]:
    """The environment without what makes a child process load the coverage tool."""
    return {name: value for name, value in os.environ.items() if not name.startswith("COV")}


def _resident_mb(stage: Stage) -> float:
    status = stage.agent_file("status").read_text("ascii")
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0]) / 1024


def test_at_ready_no_slow_module_is_loaded(run_on_stage: Run) -> None:
    """The running agent, asked for its imports by the interpreter's own trace, has loaded nothing heavy when it is ready."""

    async def play(stage: Stage) -> None:
        await stage.start_agent(interpreter_options=("-X", "importtime"), env=unmeasured())
        loaded = {
            line.rsplit("|", 1)[1].strip().split(".")[0] for line in stage.agent_log().splitlines() if line.startswith("import time:")
        }
        assert {"agent", "drivers", "pydantic", "nacl", "serial"} <= loaded, "the trace shows nothing, so this proved nothing"
        assert loaded & SLOW == set()

    run_on_stage(play)


def test_an_idle_agent_stays_under_45_mb(run_on_stage: Run) -> None:
    """Resident memory, once the agent is ready and has nothing to send."""

    async def play(stage: Stage) -> None:
        await stage.start_agent(env=unmeasured())
        await asyncio.sleep(0.5)
        assert _resident_mb(stage) < MAX_RESIDENT_MB

    run_on_stage(play)


def test_a_visit_loads_the_http_client_without_holding_up_the_next_scan(run_on_stage: Run, good_code: GoodCode) -> None:
    """The first visit's import of the client happens in a thread, while the door goes on answering."""

    async def play(stage: Stage) -> None:
        await stage.start_agent()
        first_ns = stage.scan(good_code(stage, 1))
        await stage.relay_record("released", first_ns)
        refused_ns = stage.scan("GARBAGE")
        refusal = await stage.event("refused")
        assert refusal["reason"] == "unreadable"
        assert await stage.relay_record("locked", refused_ns) > refused_ns
        assert (await stage.event("visit_refused", "visit_delivered"))["event"] == "visit_refused"

    run_on_stage(play)
