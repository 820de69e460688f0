"""The process as the system sees it: what it leaves readable, what it does after standing still, what it remembers."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from agent.core.clock import Anchor, ClockState, Interval, Reading, Trust
from agent.daemon import build, doorman, run, watch
from agent.daemon.doorman import Scan
from agent.daemon.run import Agent
from agent.demo.stage import Stage
from agent.store import upkeep
from agent.timekeeping import Now, boot_number
from drivers.base import Frame
from tests.daemon.test_components import Site, live, until

Run = Callable[..., None]
GoodCode = Callable[..., str]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with one door."""
    return Site(tmp_path)


def test_what_the_agent_writes_is_for_its_user_alone(run_on_stage: Run, tmp_path: Path) -> None:
    """Nobody else reads who visited: the store and its neighbours have no mode for group and others."""

    async def play(stage: Stage) -> None:
        await stage.start_agent()
        modes = {name: (tmp_path / name).stat().st_mode & 0o077 for name in ("journal.db", "journal.db-wal", "journal.db-shm")}
        assert set(modes.values()) == {0}

    run_on_stage(play)


def test_denied__a_code_shown_while_the_agent_stood_still(run_on_stage: Run, good_code: GoodCode) -> None:
    """After seconds in which the process was stopped, what lies in the scanner's line is thrown away: nobody may be there any more."""

    async def play(stage: Stage) -> None:
        await stage.start_agent()
        pid = int(stage.agent_file("stat").read_text("ascii").split()[0])
        os.kill(pid, signal.SIGSTOP)
        stage.scan(good_code(stage, 1))
        await asyncio.sleep(run.STALLED_S + 0.5)
        os.kill(pid, signal.SIGCONT)
        assert (await stage.event("scan_dropped", "admitted"))["event"] == "scan_dropped"
        await asyncio.sleep(run.BEAT_S)
        scanned_ns = stage.scan(good_code(stage, 2))
        assert await stage.relay_record("released", scanned_ns)
        released = [line for line in stage.relay_log.read_text("ascii").splitlines() if line.endswith("released")]
        assert len(released) == 1

    run_on_stage(play)


def _watchdog_at(path: Path, monkeypatch: pytest.MonkeyPatch) -> socket.socket:
    """Play systemd: the socket that an agent started from now on feeds."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(str(path))
    listener.setblocking(False)
    monkeypatch.setenv("NOTIFY_SOCKET", str(path))
    monkeypatch.setenv("WATCHDOG_USEC", "150000")
    return listener


def _fed(listener: socket.socket) -> int:
    """How many times the watchdog was fed since the last look."""
    count = 0
    while True:
        try:
            count += listener.recv(4096).count(b"WATCHDOG=1")
        except BlockingIOError:
            return count


def test_the_watchdog_is_not_fed_while_the_doorman_hangs(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A doorman who hangs in a job starves the watchdog, though the loop is well; when he goes on, it is fed again."""
    monkeypatch.setattr(doorman, "STUCK_S", 0.2)
    listener = _watchdog_at(tmp_path / "notify", monkeypatch)

    async def play(agent: Agent) -> None:
        await until(lambda: _fed(listener) > 0)
        with agent._parts.journal.gate:
            agent._doorman.present(Scan("front", "scanner", Frame(b"GARBAGE", time.monotonic_ns())))
            await asyncio.sleep(0.5)
            _fed(listener)
            await asyncio.sleep(0.4)
            assert _fed(listener) == 0
        await until(lambda: _fed(listener) > 0)

    live(site, Agent, play)
    listener.close()


def test_the_watchdog_is_not_fed_while_the_inputs_hang(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nobody would see fire while the thread that watches the inputs hangs: the watchdog starves until it goes on."""
    monkeypatch.setattr(watch, "ALIVE_S", 1.5)
    listener = _watchdog_at(tmp_path / "notify", monkeypatch)

    async def play(agent: Agent) -> None:
        await until(lambda: _fed(listener) > 0)
        with agent._parts.doors["front"]._lock:
            await until(lambda: not agent._parts.watch.is_well())
            await asyncio.sleep(0.2)
            _fed(listener)
            await asyncio.sleep(0.4)
            assert _fed(listener) == 0
        await until(lambda: _fed(listener) > 0)

    live(site, Agent, play)
    listener.close()


def test_the_order_to_stop_locks_before_anything_else(site: Site) -> None:
    """When the signal's handler returns, a door that was released is locked already."""

    async def play(agent: Agent) -> None:
        door = agent._parts.doors["front"]
        assert door.grant()
        door.release(None)
        assert site.driven()[-1] == "released"
        agent._begin_to_stop()
        assert site.driven()[-1] == "locked"

    live(site, Agent, play)


def _marks(site: Site) -> dict[str, int]:
    with sqlite3.connect(site.folder / "journal.db") as conn:
        found = dict(conn.execute("SELECT name, value FROM mark"))
    conn.close()
    return found


def test_what_was_seen_is_remembered_over_a_restart(site: Site) -> None:
    """A system clock that is behind the time which the store has seen is not believed after a restart (promise P6)."""
    states: list[ClockState] = []
    seen_ms: list[int] = []

    async def look(agent: Agent) -> None:
        now = agent._parts.clock.now()
        states.append(now.state)
        seen_ms.append(now.interval.earliest_ms)
        ahead = Interval(now.interval.earliest_ms + 86_400_000, now.interval.latest_ms + 86_400_000)
        agent._parts.upkeep.submit(lambda conn: upkeep.set_last_seen(conn, ahead, is_certain=False)).result(5)

    live(site, Agent, look)
    live(site, Agent, look)
    assert states[0] in (ClockState.TRUSTED, ClockState.SYNCHRONISED)
    if states[0] is ClockState.TRUSTED:
        assert states[1] is ClockState.LOST
        assert seen_ms[1] >= seen_ms[0] + 86_400_000


def test_a_certain_time_is_kept_for_the_rest_of_the_boot(site: Site) -> None:
    """What NTP said is in the store with this boot's number: a restart offline goes on from it, another boot does not."""
    anchors: list[Anchor | None] = []

    async def play(agent: Agent) -> None:
        parts = agent._parts
        now = parts.clock.now()
        agent._remember(Now(now.interval, ClockState.SYNCHRONISED, now.guess_ms))
        parts.upkeep.submit(lambda _conn: None).result(5)
        asked = [parts.upkeep.submit(partial(upkeep.known_anchor, boot=boot)) for boot in (boot_number(), 1)]
        anchors.extend([known.result(5) for known in asked])
        anchors.append(parts.clock.anchor)

    live(site, Agent, play)
    assert anchors == [anchors[2], None, anchors[2]]
    assert _marks(site)["anchor_boot"] == boot_number()


def test_a_restart_without_ntp_goes_on_from_what_was_certain(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Started again offline in the same boot, the door holds the time; in another boot it only knows that it is not earlier."""
    monkeypatch.setattr(build, "kernel_reading", lambda: unsynchronised)
    states: list[ClockState] = []

    async def learn(agent: Agent) -> None:
        now_ms = time.time_ns() // 1_000_000
        known = Anchor(Interval(now_ms - 50, now_ms + 50), unsynchronised().tick_ns)
        agent._parts.upkeep.submit(partial(upkeep.set_anchor, boot=boot_number(), anchor=known)).result(5)

    async def look(agent: Agent) -> None:
        states.append(agent._parts.clock.now().state)

    async def pass_to_another_boot(agent: Agent) -> None:
        await look(agent)
        agent._parts.upkeep.submit(partial(upkeep.set_anchor, boot=1, anchor=agent._parts.clock.anchor)).result(5)

    site.settings = site.settings.model_copy(update={"clock": site.settings.clock.model_copy(update={"trust": Trust.NTP})})
    for play in (learn, pass_to_another_boot, look):
        live(site, Agent, play)
    assert states == [ClockState.HOLDING, ClockState.LOST]


def unsynchronised() -> Reading:
    """The kernel's clocks on a board that NTP does not reach."""
    return Reading(time.time_ns() // 1_000_000, time.clock_gettime_ns(time.CLOCK_BOOTTIME), is_synchronised=False, error_ms=100)


def test_the_watchdog_is_not_fed_once_upkeep_has_died(site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the thread that writes refusals, marks and news, the agent is not well, though the door would still open."""
    listener = _watchdog_at(tmp_path / "notify", monkeypatch)

    async def play(agent: Agent) -> None:
        await until(lambda: _fed(listener) > 0)
        agent._parts.upkeep.close(5)
        _fed(listener)
        await asyncio.sleep(0.3)
        assert _fed(listener) == 0

    live(site, Agent, play)
    listener.close()
