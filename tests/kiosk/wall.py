"""A door with a screen: the real agent on played lines, with more of them than the demo has, and real kiosks beside it.

A kiosk runs as the user of the tests, whom the agent serves anyway; what a screen's own user may ask for is `tests/control`'s.
"""

from __future__ import annotations

import asyncio
import dataclasses
import http.client
import json
import os
import queue
import secrets
import socket
import subprocess
import sys
import time
import tty
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agent import credentials, protocol
from agent.core import codes, signature
from agent.core.tour import CODE_ID_BYTES, TourCode, Window
from agent.demo.stage import COMMUNITY, Stage
from agent.errors import AgentError

PATIENCE_S = 20.0
STAFF_PIN = "739164"
SCREEN_USER = "nobody"
"""Somebody must be named for the agent to serve screens at all."""
HOUR_MS = 3_600_000
RULES = """grace_before_min = 15
antipassback = "hard"
hold_open_max_min = 60
reentry_pause_s = {pause_s}
admissions_per_door = {admissions}

[lockout]
guesses = {guesses}
within_s = 3600
lock_s = 600
"""
LINES = """contact = {{ driver = "played", path = "{folder}/contact", held_warn_s = 1, held_alarm_s = 3600 }}
fire = {{ driver = "played", path = "{folder}/fire" }}
relay = {{ driver = "played", path = "{folder}/relay-front" }}"""
GYM = """[[door]]
name = "gym"
pulse_s = 0.1
relay = {{ driver = "played", path = "{folder}/relay-gym" }}
reader = [{{ driver = "serial", name = "gym-scanner", port = "{folder}/gym-scanner" }}]

"""


class Wall:
    """`open` it once, `close` it; `start` the agent as often as wanted, each time with other settings. `kiosk` makes a screen."""

    def __init__(self, folder: Path, *, has_desk: bool = True, days_ahead: int = 1) -> None:
        self.folder = folder
        self.zone = morning_zone()
        community = dataclasses.replace(COMMUNITY, days_ahead=days_ahead, time_zone=self.zone)
        zones = {f'time_zone = "{COMMUNITY.time_zone}"': f'time_zone = "{self.zone}"'}
        staff = folder / "staff-pin"
        control = f'kiosk_users = ["{SCREEN_USER}"]\nkiosk_doors = ["front"]\nstaff_pin_file = "{staff}"\n\n[keys]\n'
        lines = LINES.format(folder=folder)
        replace = {
            **zones,
            "\n[keys]\n": control,
            f'relay = {{ driver = "played", path = "{folder}/relay-front" }}': lines,
            '[[door]]\nname = "front"': GYM.format(folder=folder) + '[[door]]\nname = "front"',
        }
        self.stage = Stage(folder, community=community, replace=replace, has_desk=has_desk, replace_at_desk=zones)
        self._has_desk = has_desk
        self._written = ""
        self._gym = -1
        self._kiosks: list[Kiosk] = []
        credentials.write_staff_pin(staff, STAFF_PIN)

    async def open(self) -> None:
        """Knock's stand-in, the desk, keys and lines; no agent yet."""
        await self.stage.open()
        self._written = self.stage.config_path.read_text("utf-8")
        self.retired = credentials.new_key(self.folder / "keys").key.key_id
        self._retired_seed = bytes.fromhex((self.folder / "keys" / f"{self.retired}.key").read_text("ascii"))
        credentials.retire_key(self.folder / "keys", self.retired)
        (self.folder / "keys" / f"{self.retired}.key").unlink(missing_ok=True)
        self._gym, line = os.openpty()
        tty.setraw(line)
        (self.folder / "gym-scanner").symlink_to(os.ttyname(line))
        if self._has_desk:
            await self.stage.start_desk()

    async def close(self) -> None:
        """Stop everything."""
        await asyncio.to_thread(self.stop_kiosks)
        await self.stage.close()
        with suppress(OSError):
            os.close(self._gym)

    def stop_kiosks(self) -> None:
        """Stop those that run: an agent has places for a few."""
        for kiosk in self._kiosks:
            kiosk.stop()

    async def start(
        self,
        *,
        pause_s: int = 0,
        admissions: int = 100,
        guesses: int = 100,
        pulse_s: float = 0.1,
        clock_error_s: int = 2,
        door: str = "",
    ) -> None:
        """Start the agent, after a kill of the one before it; `door` is more for the table of the front door."""
        await self.stage.kill_agent()
        rules = RULES.format(pause_s=pause_s, admissions=admissions, guesses=guesses)
        begin, _, rest = self._written.partition("grace_before_min = 120")
        text = begin + rules + rest.partition("\n")[2]
        text = text.replace("pulse_s = 0.5", f"{door}\npulse_s = {pulse_s}".lstrip()).replace("max_pulse_s = 2.0", "max_pulse_s = 30.0")
        text = text.replace('trust = "system"', f'trust = "system"\nsystem_error_s = {clock_error_s}\ntolerated_s = 60 #')
        self.stage.config_path.write_text(text, "utf-8")
        await self.stage.start_agent()

    def kiosk(
        self, more: str = "", *, top: str = "", look: str = "welcome_s = 60\nrefused_s = 120", pad: str = "", book: str = ""
    ) -> Kiosk:
        """A kiosk, started: with PIN pad, help, staff and, if there is a desk, booking; `more` are tables of its file."""
        text = f'door = "front"\nagent_socket = "{self.folder}/agent.sock"\ntime_zone = "{self.zone}"\n'
        text += f'help_phone = "+1 555 0100"\n{top}\n[look]\nname = "Juniper Flats"\n{look}\n\n[pin_pad]\n{pad}\n\n[help]\n\n[staff]\n\n'
        if self._has_desk:
            text += f'[book]\nurl = "{self.stage.desk.url}"\ncommunity = "juniper-flats"\n{book}\n\n'
        kiosk = Kiosk(self.folder / f"kiosk-{len(self._kiosks)}", text + more)
        self._kiosks.append(kiosk)
        kiosk.start()
        return kiosk

    # --- what is shown to the scanners ---

    def code(self, appointment: int, *, is_genuine: bool = True, from_ms: int = -60_000, to_ms: int = 600_000, **other: Any) -> str:  # noqa: ANN401 - fields
        """A tour code whose window begins and ends so many milliseconds from now; by a key that no door has, if it is not genuine."""
        stage, now_ms = self.stage, time.time_ns() // 1_000_000_000 * 1000
        window = Window(now_ms + from_ms, now_ms + to_ms)
        if is_genuine:
            times = [time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at_ms // 1000)) for at_ms in (window.start_ms, window.end_ms)]
            return stage.sign({"appointmentId": appointment, "prospectId": 70_000 + appointment}, *times, **other)
        seed = secrets.token_bytes(32)
        return self._by(seed, appointment, window)

    def retired_code(self, appointment: int) -> str:
        """A tour code by the key that was retired."""
        now_ms = time.time_ns() // 1_000_000_000 * 1000
        return self._by(self._retired_seed, appointment, Window(now_ms - 60_000, now_ms + 600_000))

    def _by(self, seed: bytes, appointment: int, window: Window) -> str:
        key_id = signature.key_id(signature.public_key(seed)).hex()
        ids = (secrets.token_hex(CODE_ID_BYTES), str(appointment), str(70_000 + appointment))
        return codes.issue(TourCode(*ids, COMMUNITY.id, ("front",), ("101",), window, key_id), seed)

    def scan(self, text: str) -> None:
        """Write what the scanner would send; events from before are forgotten."""
        self.forget()
        self.stage.scan(text)

    def forget(self) -> list[dict[str, Any]]:
        """The agent's events that nobody has waited for so far; they are forgotten."""
        events = []
        with suppress(queue.Empty):
            while True:
                events.append(self.stage._events.get_nowait())
        return events

    def scan_at_gym(self, text: str) -> None:
        """Write what the other door's scanner would send."""
        self.forget()
        os.write(self._gym, text.encode("ascii") + b"\r\n")

    def unplug(self) -> None:
        """Take the front scanner away."""
        os.close(self.stage._scanner)
        (self.folder / "scanner").unlink()

    def plug(self) -> None:
        """Put it back, as another device, as a USB port would."""
        self.stage._scanner, line = os.openpty()
        tty.setraw(line)
        (self.folder / "scanner").symlink_to(os.ttyname(line))

    def put(self, line: str, *, is_active: bool) -> None:
        """Set a played input: `contact` or `fire`."""
        (self.folder / line).write_bytes(b"1" if is_active else b"0")


class Kiosk:
    """One process of `tourlatch kiosk`, in a folder of its own."""

    def __init__(self, folder: Path, text: str) -> None:
        folder.mkdir()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            self.port: int = taken.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._folder = folder
        self._config = folder / "kiosk.toml"
        head, _, rest = text.partition("\n[look]")
        self._config.write_text(f"{head}\n[listen]\nport = {self.port}\n\n[look]{rest}", "utf-8")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it answers."""
        began_s = time.monotonic()
        command = [sys.executable, "-I", "-X", "utf8", "-m", "agent.kiosk", str(self._config)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log, env={**os.environ, "RUNTIME_DIRECTORY": str(self._folder)})
        while True:
            with suppress(OSError, AgentError):
                self.state()
                return
            if self._process.poll() is not None or time.monotonic() - began_s > PATIENCE_S:
                raise AgentError(f"the kiosk did not start: {self.log()[-800:]}")
            time.sleep(0.02)

    def stop(self) -> int:
        """SIGTERM; returns the exit status."""
        if self._process is None:
            return 0
        self._process.terminate()
        try:
            return self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise
        finally:
            self._process = None

    def kill(self) -> None:
        """SIGKILL."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def log(self) -> str:
        """What it wrote on stderr so far."""
        return (self._folder / "log").read_text("utf-8", "replace")

    def state(self, query: str = "") -> dict[str, Any]:
        """What a page is told."""
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"{self.url}/screen/state{query}", timeout=30) as answer:
            found: dict[str, Any] = json.loads(answer.read())
        return found

    def until(self, is_so: Callable[[dict[str, Any]], object], query: str = "") -> dict[str, Any]:
        """The first state of which this is true."""
        began_s = time.monotonic()
        state = self.state(query)
        while not is_so(state):
            if time.monotonic() - began_s > PATIENCE_S:
                raise AgentError(f"the screen does not show it within {PATIENCE_S:.0f} s, but: {state}")
            # no long poll: what is waited for may be part of a state that is there already
            time.sleep(0.01)
            state = self.state(query)
        return state

    def post(self, path: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        """Ask as the page does; returns the status and the answer."""
        head = {"Content-Type": "application/json", "Origin": self.url, "Sec-Fetch-Site": "same-origin"}
        head |= {"X-Screen-Token": self.state()["token"]} if headers is None else headers
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            conn.request("POST", path, json.dumps(body), head)
            answer = conn.getresponse()
            return answer.status, json.loads(answer.read() or b"{}")
        finally:
            conn.close()


def morning_zone() -> str:
    """A zone where it is ten in the morning or a little later, so that "today" has free times and does not end meanwhile."""
    east_h = (10 - datetime.now(UTC).hour + 12) % 24 - 12
    return f"Etc/GMT{-east_h:+d}" if east_h else "Etc/UTC"


def rss_kib(pid: int) -> int:
    """Resident memory of a process, in KiB."""
    fields = Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) for line in fields if line.startswith("VmRSS:"))


def ask(wall: Wall, **request: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """Ask the agent as staff do."""
    return protocol.ask(wall.folder / "agent.sock", request)
