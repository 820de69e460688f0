"""`tourlatch doctor --wiring` on played lines and a real pty, as an installer has it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import tty
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import tourlatch


@pytest.fixture
def scanner() -> Iterator[tuple[int, str]]:
    """A pty: where to write, and the port's path."""
    master, port = os.openpty()
    tty.setraw(port)
    yield master, os.ttyname(port)
    os.close(master)
    os.close(port)


def _site(folder: Path, port: str) -> Path:
    path = folder / "agent.toml"
    path.write_text(f"""
community_id = "1"
time_zone = "UTC"
[store]
path = "{folder}/journal.db"
[control]
socket = "{folder}/agent.sock"
[[door]]
name = "front"
relay = {{ driver = "played", path = "{folder}/relay" }}
contact = {{ driver = "played", path = "{folder}/contact" }}
reader = [{{ driver = "serial", name = "scanner", port = "{port}" }}]
""")
    return path


def _walk(path: Path, answers: str, *options: str) -> Result:
    return CliRunner().invoke(tourlatch, ["doctor", "-c", str(path), "--wiring", *options], input=answers)


class Hands(threading.Thread):
    """Opens and shuts the door and shows a code, again and again, until it is told to stop."""

    def __init__(self, folder: Path, master: int) -> None:
        super().__init__(daemon=True)
        self._contact = folder / "contact"
        self._master = master
        self._stopped = threading.Event()

    def run(self) -> None:
        """Half a second open, half a second shut."""
        for turn in range(400):
            if self._stopped.wait(0.4):
                return
            if self._contact.exists():
                self._contact.write_bytes(b"1" if turn % 2 else b"0")
            os.write(self._master, b"12345678\r\n")

    def stop(self) -> None:
        """Enough."""
        self._stopped.set()
        self.join()


def test_ok__a_whole_door(tmp_path: Path, scanner: tuple[int, str]) -> None:
    """The relay moves and is asked about, the contact and the reader are seen; exit status 0, and the next walk has nothing to do."""
    master, port = scanner
    path = _site(tmp_path, port)
    hands = Hands(tmp_path, master)
    hands.start()
    try:
        done = _walk(path, "y\ny\n")
    finally:
        hands.stop()
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == "front is ready: all 3 were seen to move."
    levels = [line.split()[1] for line in (tmp_path / "relay.log").read_text().splitlines()]
    assert [level for level, before in zip(levels, ["", *levels], strict=False) if level != before] == ["locked", "released", "locked"]
    again = _walk(path, "", "--json")
    assert again.exit_code == 0
    assert json.loads(again.stdout) == [{"door": "front", "is_ready": True, "unseen": [], "count": 3}]


def test_fail__nobody_saw_the_relay(tmp_path: Path, scanner: tuple[int, str]) -> None:
    """A no to the relay: exit status 1, and the door is called not ready, by the relay's name."""
    master, port = scanner
    hands = Hands(tmp_path, master)
    path = _site(tmp_path, port)
    hands.start()
    try:
        done = _walk(path, "y\nn\nn\n")
    finally:
        hands.stop()
    assert done.exit_code == 1
    assert done.output.splitlines()[-1] == "front is NOT ready: not seen to move: relay."


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_fail__a_walk_that_is_ended_leaves_nothing_released(tmp_path: Path, scanner: tuple[int, str], number: signal.Signals) -> None:
    """A terminal that goes away in the middle of the pulse, or a stop: the lock is locked at once."""
    path = _site(tmp_path, scanner[1])
    command = [sys.executable, "-m", "agent.cli", "doctor", "-c", str(path), "--wiring"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    try:
        process.stdin.write(b"y\n")
        process.stdin.flush()
        relay = tmp_path / "relay"
        deadline_s = time.monotonic() + 20
        while not relay.exists() or relay.read_bytes() != b"1":
            assert time.monotonic() < deadline_s
            time.sleep(0.01)
        process.send_signal(number)
        assert process.wait(timeout=20) != 0
        assert relay.read_bytes() == b"0"
        released, locked = (int(line.split()[0]) for line in (tmp_path / "relay.log").read_text().splitlines()[1:3])
        assert locked > released
    finally:
        process.kill()
        process.communicate()
