"""The real agent and a desk: cancels come to an idle door, PINs open, ten thousand entries do not hold up a scan."""

from __future__ import annotations

import asyncio
import json
import os
import re
import time
from collections.abc import Awaitable, Callable
from typing import Any

from agent.core.codes import read
from agent.core.tour import TourCode
from agent.demo.stage import Stage
from tests.daemon.played_desk import PIN_KEY, TOKEN, PlayedDesk, cancelled, confirmed

Run = Callable[..., None]
GoodCode = Callable[..., str]
MANY = 10_000
MAX_GROWTH_MB = 30
"""What the HTTP client weighs (about 15 MB), and a few pages; ten thousand entries at once would weigh as much again."""


def on_desk(run_on_stage: Run, play: Callable[[Stage, PlayedDesk], Awaitable[None]], *, wait_s: int = 50) -> None:
    """A stage whose agent's front door listens to a played desk."""

    async def with_desk(stage: Stage) -> None:
        desk = PlayedDesk()
        await desk.start()
        text = stage.config_path.read_text("utf-8")
        table = f'[desk]\nurl = "{desk.url}"\nwait_s = {wait_s}\n\n[[door]]\n'
        files = f'desk_token_file = "{stage.folder}/token"\npin_key_file = "{stage.folder}/pin-key"\n'
        stage.config_path.write_text(text.replace("[[door]]\n", table + files), "utf-8")
        for name, secret in (("token", TOKEN), ("pin-key", PIN_KEY.hex())):
            path = stage.folder / name
            path.touch(0o600)
            path.write_text(secret + "\n", "ascii")
        try:
            await play(stage, desk)
        finally:
            await stage.close()
            await desk.stop()

    run_on_stage(with_desk, replace={"pulse_s = 0.5": "pulse_s = 0.1"})


def entry_of(stage: Stage, text: str, *, typed: str) -> dict[str, Any]:
    """The roster's entry for a code's text, with a PIN."""
    from agent import credentials
    from agent.core import codes

    keys = codes.keyring([file.key for file in credentials.list_keys(stage.folder / "keys")])
    found = read(text.encode(), keys)
    assert isinstance(found, TourCode)
    claims = {"code_id": found.code_id, "key_id": found.key_id, "prospect_id": found.prospect_id}
    window = {"start_ms": found.window.start_ms, "end_ms": found.window.end_ms}
    return confirmed(int(found.appointment_id), typed=typed) | claims | window


async def status(stage: Stage) -> dict[str, Any]:
    """What the agent says of its door's feed."""
    found: dict[str, Any] = (await stage.ask({"do": "status"}))["doors"]["front"]["feed"]
    return found


async def heard(stage: Stage, applied: int) -> None:
    """Until the door has heard so much."""
    deadline_s = time.monotonic() + 60
    while (found := await status(stage))["applied"] < applied:
        assert time.monotonic() < deadline_s, found
        await asyncio.sleep(0.05)


async def came(desk: PlayedDesk, *appointment_ids: str) -> None:
    """Until the desk has heard that these came, and no others."""
    deadline_s = time.monotonic() + 30
    while {one["appointment_id"] for report in desk.reports for one in report["admissions"]} != set(appointment_ids):
        assert time.monotonic() < deadline_s, desk.reports
        await asyncio.sleep(0.05)


def test_ok__a_pin_opens_and_its_cancel_reaches_the_idle_door(run_on_stage: Run, good_code: GoodCode) -> None:
    """From the desk's word to the relay and back: the PIN opens, who came is reported, and a cancel ends a wait of fifty seconds."""

    async def play(stage: Stage, desk: PlayedDesk) -> None:
        code = good_code(stage, 1)
        desk.tell(entry_of(stage, code, typed="40170236"))
        await stage.start_agent()
        await heard(stage, 1)
        admitted_ns = stage.scan("40170236#")
        admitted = await stage.event("admitted", "refused")
        assert (admitted["event"], admitted["by"], admitted["appointment_id"]) == ("admitted", "pin", "1001")
        assert await stage.relay_record("released", admitted_ns) > admitted_ns
        assert (await stage.event("visit_refused", "visit_delivered"))["appointment_id"] == "1001"
        await stage.relay_record("locked", admitted_ns)
        await came(desk, "1001")
        await asyncio.sleep(0.5)  # the door is idle, and its next question is open
        desk.tell(cancelled(1001))
        assert (await stage.event("roster"))["changed"] == 1, "within the stage's patience, far less than the wait"
        stage.scan("40170236")
        assert (await stage.event("admitted", "refused"))["reason"] == "wrong_pin"
        stage.scan(code)
        assert (await stage.event("admitted", "refused"))["reason"] == "cancelled"
        found = await status(stage)
        assert (found["state"], found["cursor"], found["trouble"]) == ("fresh", "epoch.2", None)
        log = stage.agent_log()
        assert "40170236" not in log
        assert TOKEN not in log
        assert PIN_KEY.hex() not in log

    on_desk(run_on_stage, play)


def test_ok__without_its_desk_the_door_works_on(run_on_stage: Run, good_code: GoodCode) -> None:
    """Codes and the PINs that it knows open while the desk is gone, over a crash and a restart, and who came is told when it is back."""

    async def play(stage: Stage, desk: PlayedDesk) -> None:
        first, second = good_code(stage, 1), good_code(stage, 2)
        desk.tell(entry_of(stage, first, typed="40170236"))
        await stage.start_agent()
        await heard(stage, 1)
        await desk.vanish()
        await stage.event("feed_lost")
        await stage.kill_agent()
        await stage.start_agent()
        for presented, number in (("40170236", "1001"), (second, "1002")):
            since_ns = stage.scan(presented)
            admitted = await stage.event("admitted", "refused")
            assert (admitted["event"], admitted["appointment_id"]) == ("admitted", number)
            await stage.relay_record("locked", since_ns)
        assert (await status(stage))["state"] == "stale"
        await desk.come_back()
        await came(desk, "1001", "1002")
        assert (await status(stage))["state"] == "fresh"

    on_desk(run_on_stage, play)


def test_ok__ten_thousand_entries_come_while_the_door_is_used(run_on_stage: Run, good_code: GoodCode) -> None:
    """Each scan meanwhile is admitted, all entries arrive, and the agent's memory does not grow with them."""

    async def play(stage: Stage, desk: PlayedDesk) -> None:
        await stage.start_agent()
        await heard(stage, 0)
        before_mb = _peak_mb(stage)
        desk.tell(*(confirmed(number) for number in range(10_000, 10_000 + MANY)))
        scans = 0
        while (found := await status(stage))["applied"] < MANY:
            since_ns = stage.scan(good_code(stage, scans))
            assert (await stage.event("admitted", "refused"))["event"] == "admitted"
            await stage.relay_record("locked", since_ns)
            scans += 1
        assert scans > 2, "nobody came meanwhile, so this proved nothing"
        assert (found["applied"], found["skipped"], found["cursor"]) == (MANY, 0, f"epoch.{MANY}")
        assert _peak_mb(stage) - before_mb < MAX_GROWTH_MB

    on_desk(run_on_stage, play)


def _peak_mb(stage: Stage) -> float:
    found = re.findall(r"VmHWM:\s+(\d+) kB", stage.agent_file("status").read_text("ascii"))
    return int(found[0]) / 1024


def test_fail__a_key_for_pins_that_is_none_stops_the_start(run_on_stage: Run) -> None:
    """A damaged key is told with its file, and not what is in it: with it every PIN would be wrong."""

    async def play(stage: Stage, _desk: PlayedDesk) -> None:
        (stage.folder / "pin-key").write_text("c0ffee\n", "ascii")
        try:
            await stage.start_agent()
        except Exception as error:  # noqa: BLE001 - whatever it is, its words are looked at
            words = str(error)
        else:
            raise AssertionError("it started")
        assert "pin-key must be 64 hexadecimal digits" in words
        assert "c0ffee" not in words

    on_desk(run_on_stage, play)


def test_ok__a_stop_waits_for_no_thread(run_on_stage: Run) -> None:
    """While a thread hangs on the way to the desk (a name that nobody resolves, a file that nobody writes), the agent stops."""

    async def play(stage: Stage, _desk: PlayedDesk) -> None:
        os.mkfifo(stage.folder / "ca.pem")
        text = stage.config_path.read_text("utf-8")
        stage.config_path.write_text(text.replace("wait_s =", f'ca_file = "{stage.folder}/ca.pem"\nwait_s ='), "utf-8")
        await stage.start_agent()
        await asyncio.sleep(0.5)
        assert stage._agent is not None
        stage._agent.terminate()
        assert await asyncio.to_thread(stage._agent.wait, 5) == 0
        assert stage.relay_level() == "locked"

    on_desk(run_on_stage, play)


def test_ok__status_for_people_says_how_fresh_the_door_is(run_on_stage: Run) -> None:
    """The freshness is in `tourlatch status`, and the trouble when there is one."""

    async def play(stage: Stage, desk: PlayedDesk) -> None:
        desk.tell(confirmed(1))
        await stage.start_agent()
        await heard(stage, 1)
        assert re.search(r"^  desk: fresh, heard \d s ago; 1 entries of the roster$", await _words(stage), re.MULTILINE)
        desk.fault = lambda _: None
        await desk.vanish()
        await stage.event("feed_lost")
        assert re.search(
            r"^  desk: stale, heard \d s ago; 1 .*\n  desk: (no connection|the desk's answer was lost)", await _words(stage), re.MULTILINE
        )

    on_desk(run_on_stage, play)


async def _words(stage: Stage) -> str:
    from click.testing import CliRunner

    from agent.cli import tourlatch

    result = await asyncio.to_thread(CliRunner().invoke, tourlatch, ["status", "-c", str(stage.config_path)])
    assert result.exit_code == 0, json.dumps(result.output)
    return result.output
