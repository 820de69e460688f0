"""A flood from the user of a screen's page: a scan and staff's orders do not wait for it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.core.clock import to_iso
from agent.demo.stage import Stage
from agent.store import files
from tests.control.screened import screened, start

Play = Callable[..., Any]

FLOOD = """
import os, socket, sys, threading, time
if len(sys.argv) > 2:
    os.setgroups([]), os.setgid(65534), os.setuid(65534)
lines = b''.join(b'{"do":"%s","door":"front","pin":"%08d","what":"show"}\\n' % (do, n) for n in range(40) for do in
                 (b"screen_help", b"screen_pin", b"screen_staff", b"status", b"events", b"lock"))
def flood():
    while True:
        peer = socket.socket(socket.AF_UNIX)
        try:
            peer.connect(sys.argv[1])
            peer.settimeout(5)
            while True:
                peer.sendall(lines)
        except OSError:
            pass
        peer.close()
for _ in range(20):
    threading.Thread(target=flood, daemon=True).start()
print("floods", flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
def test_fail__a_flood_of_a_page_delays_no_scan_and_no_order_of_staff(tmp_path: Path, play: Play) -> None:
    """While the page's user sends all it can over all connections it gets, scans are decided and staff's lock is done within seconds."""
    stage = screened(tmp_path)
    try:
        play(start(stage))
        _flood(stage, play)
    finally:
        play(stage.close())


def _flood(stage: Stage, play: Play) -> None:
    for path in (stage.folder, *stage.folder.parents[:3]):
        path.chmod(path.stat().st_mode | 0o011)
    now_ms = int(time.time()) * 1000
    command = [sys.executable, "-I", "-c", FLOOD, str(stage.folder / "agent.sock"), "nobody"]
    flooding = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert flooding.stdout is not None
        assert flooding.stdout.readline() == b"floods\n"

        async def story() -> None:
            await stage.event("help_called")
            for number in range(10):
                late = stage.sign({"appointmentId": number, "prospectId": 2}, to_iso(now_ms - 90_000_000), to_iso(now_ms - 80_000_000))
                began_s = time.monotonic()
                stage.scan(late)
                while (event := await stage.event("refused"))["reader"] != "front-scanner":
                    pass
                assert event["reason"] == "too_late"
                assert time.monotonic() - began_s < 3
            assert (await stage.ask({"do": "lock"}))["doors"] == ["front"]
            assert (await stage.ask({"do": "status"}))["ok"]

        play(story())
    finally:
        flooding.kill()
        flooding.communicate()
    counted = files.rows(
        stage.folder / "journal.db", "SELECT kind, count(*) AS entries FROM journal WHERE reader = 'front-screen' GROUP BY kind"
    )
    kinds = {row["kind"]: row["entries"] for row in counted}
    # the flood came through, and wrote what fingers could have written
    assert kinds["help_called"] == 1
    assert 0 < sum(kinds.values()) < 40, kinds
    assert stage.relay_level() == "locked"
