"""A card may take two seconds for a sync: nothing but the scan's own commit waits for it."""

from __future__ import annotations

import asyncio
import itertools
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.demo.stage import Stage

STALL_S = 2.0
SLACK_S = 0.9
"""For a busy machine and for strace between the agent and the kernel; well below a second stall."""

strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed: it plays the slow card")
Run = Callable[..., None]
GoodCode = Callable[..., str]


def _stalled_command() -> list[str]:
    inject = f"inject=fsync,fdatasync:delay_enter={int(STALL_S * 1e6)}"
    return ["strace", "-f", "-qq", "-o", "/dev/null", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-e", inject]


@strace
def test_a_pulse_is_not_lengthened_by_stalled_syncs(run_on_stage: Run, good_code: GoodCode) -> None:
    """While every sync takes two seconds, pulses last what was asked, and each scan waits for its own commit only."""

    async def play(stage: Stage) -> None:
        await stage.start_agent()  # makes the store at full speed
        await stage.kill_agent()
        await stage.start_agent(prefix=_stalled_command())
        waits_s, pulses_s = [], []
        for number in range(2):
            # refusals and the outbox's marks keep the other writer in a stalled sync all the while
            stage.scan(f"GARBAGE {number}")
            await asyncio.sleep(0.3)
            scanned_ns = stage.scan(good_code(stage, number))
            released_ns = await stage.relay_record("released", scanned_ns)
            locked_ns = await stage.relay_record("locked", released_ns)
            waits_s.append((released_ns - scanned_ns) / 1e9)
            pulses_s.append((locked_ns - released_ns) / 1e9)
        assert all(0.45 < pulse_s < 0.5 + SLACK_S for pulse_s in pulses_s), pulses_s
        assert all(wait_s < STALL_S + SLACK_S for wait_s in waits_s), waits_s
        assert all(wait_s >= STALL_S for wait_s in waits_s), "the syncs were not stalled, so this proved nothing"

    run_on_stage(play)


@strace
def test_a_scan_during_a_replay_on_a_stalled_disk_waits_for_its_own_commit_only(run_on_stage: Run, good_code: GoodCode) -> None:
    """With a queue being replayed and every sync taking two seconds, a scan is answered after one of them."""

    async def play(stage: Stage) -> None:
        await stage.admin("PUT", "/faults/*", {"kind": "refuse"})
        await stage.start_agent()
        for number in range(3):
            scanned_ns = stage.scan(good_code(stage, number))
            await stage.relay_record("locked", await stage.relay_record("released", scanned_ns))
            await asyncio.sleep(0.05)
        await stage.kill_agent()
        await stage.admin("DELETE", "/faults")
        await stage.start_agent(prefix=_stalled_command())
        await asyncio.sleep(1.0)
        scanned_ns = stage.scan(good_code(stage, 3))
        wait_s = (await stage.relay_record("released", scanned_ns) - scanned_ns) / 1e9
        assert STALL_S <= wait_s < STALL_S + SLACK_S
        left = (await stage.ask({"do": "status"}))["outbox"]
        assert left["due"] + left["sending"], "the replay had ended before the scan, so this proved nothing"

    run_on_stage(play)


@strace
def test_the_watchdog_is_fed_while_the_disk_stalls(run_on_stage: Run, good_code: GoodCode, tmp_path: Path) -> None:
    """A stalled sync neither stops the watchdog's datagrams nor the answers on the socket."""
    address = str(tmp_path / "notify")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    listener.bind(address)
    listener.setblocking(False)

    async def play(stage: Stage) -> None:
        await stage.start_agent()
        await stage.kill_agent()
        env = {**os.environ, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1500000"}
        await stage.start_agent(prefix=_stalled_command(), env=env)
        stage.scan(good_code(stage, 1))
        fed_s: list[float] = []
        began_s = time.monotonic()
        while time.monotonic() - began_s < STALL_S + 1:
            try:
                if b"WATCHDOG=1" in listener.recv(4096):
                    fed_s.append(time.monotonic())
            except BlockingIOError:
                await asyncio.sleep(0.01)
        gaps_s = [later - earlier for earlier, later in itertools.pairwise(fed_s)]
        assert len(fed_s) >= 3
        assert max(gaps_s) < 1.5, gaps_s

    run_on_stage(play)
    listener.close()


def test_strace_is_where_ci_says_it_is() -> None:
    """Where CI runs, the slow card is played: these tests are not skipped there."""
    if os.environ.get("CI") == "true":
        done = subprocess.run(["strace", "-V"], capture_output=True, check=False)
        assert done.returncode == 0, sys.platform
