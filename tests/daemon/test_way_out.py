"""The running agent with a reader on the inner side: what the file says of it reaches the doorman, and what it does is told."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta

from agent.core.hours import SEARCH_DAYS
from agent.demo.stage import Stage
from agent.store import files

Run = Callable[..., None]
GoodCode = Callable[..., str]

INNER = {'driver = "serial", name': 'driver = "serial", direction = "out", name'}


def test_granted__a_reader_on_the_inner_side_lets_out(run_on_stage: Run, good_code: GoodCode) -> None:
    """It releases the lock, is told and journaled as an exit, and no visit comes of it."""

    async def play(stage: Stage) -> None:
        await stage.start_agent()
        scanned_ns = stage.scan(good_code(stage, 1))
        told = await stage.event("exit", "admitted", "refused")
        await stage.relay_record("released", scanned_ns)
        assert {name: told[name] for name in ("event", "door", "reader", "appointment_id")} == {
            "event": "exit",
            "door": "front",
            "reader": "front-scanner",
            "appointment_id": "1001",
        }
        found = files.rows(stage.folder / "journal.db", "SELECT kind, reader FROM journal WHERE appointment_id IS NOT NULL")
        assert [tuple(row.values()) for row in found] == [("exit", "front-scanner")]
        assert files.rows(stage.folder / "journal.db", "SELECT * FROM visit") == []

    run_on_stage(play, replace=INNER)


def test_denied__the_closed_days_of_the_file_are_the_doors(run_on_stage: Run, good_code: GoodCode) -> None:
    """A good code is refused at a door whose every day is closed, and both sentences say that no other time is set."""

    async def play(stage: Stage) -> None:
        await stage.start_agent()
        stage.scan(good_code(stage, 1))
        told = await stage.event("exit", "admitted", "refused")
        assert (told["event"], told["reason"]) == ("refused", "closed_day")
        for form in ("prospect", "operator"):
            assert "No other time is set." in told[form]

    days = ", ".join(f'"{day}"' for day in _days())
    run_on_stage(play, replace={"[[door]]\n": f"[[door]]\nclosed_on = [{days}]\n"})


def _days() -> list[str]:
    """More days around now than anybody looks ahead."""
    today = date.today()  # noqa: DTZ011 - a day more or less does not matter
    return [str(today + timedelta(days)) for days in range(-2, SEARCH_DAYS + 3)]
