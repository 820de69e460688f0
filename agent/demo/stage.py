"""The played world of the demo: Knock's stand-in, the agent as a process of its own, a scanner's line, a relay that records.

What is played is the outside only. The agent is the real one, started as systemd would start it, and killed as a power cut would.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import queue
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
import tty
import urllib.request
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent import credentials, protocol
from agent.core import codes
from agent.core.clock import from_iso
from agent.core.tour import CODE_ID_BYTES, TourCode, Window
from agent.demo.configurations import WRITTEN_DESK, WRITTEN_FOLDER, WRITTEN_KNOCK, written
from agent.demo.front_desk import FrontDesk
from agent.errors import AgentError
from agent.sandbox.server import Sandbox
from agent.sandbox.settings import Community, SandboxSettings

TOUR_MINUTES = 15
PATIENCE_S = 10.0

COMMUNITY = Community(
    id="1001",
    name="Juniper Flats",
    time_zone="America/Los_Angeles",
    units=("101", "204 B", "305"),
    slot_minutes=TOUR_MINUTES,
    opening="00:00-24:00",
)


DESK_LINES = re.compile(r"^(\[desk\]\n(url|#).*\n\n?|desk_token_file .*\n|pin_key_file .*\n)", re.MULTILINE)
"""What the agent's configuration says of the desk; a stage without one leaves it out."""


def configuration() -> str:
    """The text of demo.toml for a door without a desk."""
    return DESK_LINES.sub("", written("demo.toml"))


class Stage:
    """Everything that the story needs, in one folder; `open` and `close` it.

    `replace` changes the text of the agent's configuration, `replace_at_desk` of the desk's; without `has_desk` there is no desk.
    """

    def __init__(
        self,
        folder: Path,
        *,
        community: Community = COMMUNITY,
        replace: Mapping[str, str] | None = None,
        has_desk: bool = False,
        replace_at_desk: Mapping[str, str] | None = None,
    ) -> None:
        self._has_desk = has_desk
        self._replace_at_desk = replace_at_desk
        self._replace = replace or {}
        self.folder = folder
        self.config_path = folder / "agent.toml"
        self.relay_log = folder / "relay-front.log"
        settings = SandboxSettings(port=0, admin_port=0, communities=(community,))
        self.sandbox = Sandbox(settings)
        self._keys = {"appointment": settings.appointment_key, "prospect": settings.prospect_key}
        self._agent: subprocess.Popen[bytes] | None = None
        self._scanner = -1
        self._events: queue.Queue[dict[str, Any]] = queue.Queue()

    async def open(self) -> None:
        """Make keys, configuration and line, and start the stand-in for Knock."""
        await self.sandbox.start()
        self.desk = FrontDesk(self.folder, self.sandbox.url, replace=self._replace_at_desk)
        if self._has_desk:
            self.desk.open()
        text = written("demo.toml").replace(WRITTEN_DESK, self.desk.url) if self._has_desk else configuration()
        text = text.replace(WRITTEN_FOLDER, str(self.folder)).replace(WRITTEN_KNOCK, self.sandbox.url)
        for old, new in self._replace.items():
            text = text.replace(old, new)
        self.config_path.write_text(text, "utf-8")
        for name, key in self._keys.items():
            path = self.folder / f"{name}-key"
            path.touch(0o600)
            path.write_text(key + "\n", "ascii")
        self._key = credentials.new_key(self.folder / "keys")
        self._scanner, line = os.openpty()
        tty.setraw(line)
        (self.folder / "scanner").symlink_to(os.ttyname(line))

    async def close(self) -> None:
        """Stop what still runs."""
        if self._agent is not None:
            self._agent.terminate()
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(self._agent.wait, 5)
            await self.kill_agent()
        await self.desk.stop()
        await self.sandbox.stop()

    async def start_desk(self) -> float:
        """Start the desk and give the front door its token; returns the seconds that the start took."""
        took_s = await self.desk.start()
        await asyncio.to_thread(self.desk.new_door_token, "front")
        return took_s

    async def start_agent(
        self, *, prefix: Sequence[str] = (), env: Mapping[str, str] | None = None, interpreter_options: Sequence[str] = ()
    ) -> float:
        """Start the agent, behind a `prefix` such as strace, and wait until it answers; returns the seconds that took."""
        began_s = time.monotonic()
        log = (self.folder / "agent.log").open("ab")
        program = [sys.executable, "-m", "agent.cli", "run", "-c", str(self.config_path)]
        if interpreter_options:
            program = [sys.executable, "-I", *interpreter_options, "-m", "agent.daemon", str(self.config_path)]
        command = [*prefix, *program]
        self._agent = subprocess.Popen(command, stderr=log, env=env, start_new_session=True)  # noqa: ASYNC220, S603 - our own program, started once
        log.close()
        while True:
            try:
                await self.ask({"do": "status"})
                break
            except AgentError:
                if self._agent.poll() is not None or time.monotonic() - began_s > PATIENCE_S:
                    raise AgentError(f"the agent did not start: {self.agent_log()[-500:]}") from None
                await asyncio.sleep(0.02)
        threading.Thread(target=self._listen, daemon=True).start()
        await self.event("listening")
        return time.monotonic() - began_s

    def agent_file(self, name: str) -> Path:
        """A file of the agent's in /proc."""
        return Path(f"/proc/{self._agent.pid if self._agent else 0}/{name}")

    def agent_log(self) -> str:
        """What the agent wrote on stderr so far."""
        return (self.folder / "agent.log").read_text("utf-8", "replace")

    async def kill_agent(self) -> None:
        """SIGKILL: nothing of the agent's runs any more, as in a power cut."""
        if self._agent is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._agent.pid, signal.SIGKILL)
            await asyncio.to_thread(self._agent.wait)

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """Ask the running agent over its socket."""
        return await asyncio.to_thread(protocol.ask, self.folder / "agent.sock", request)

    def _listen(self) -> None:
        with suppress(AgentError):
            for event in protocol.stream(self.folder / "agent.sock", {"do": "events"}):
                self._events.put(event)

    async def event(self, *kinds: str) -> dict[str, Any]:
        """The next event of one of these kinds; others before it are passed over."""
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            try:
                event = self._events.get_nowait()
            except queue.Empty:
                await asyncio.sleep(0.005)
                continue
            if event["event"] in kinds:
                return event
        raise AgentError(f"no event of {', '.join(kinds)} came within {PATIENCE_S:.0f} s")

    def scan(self, text: str) -> int:
        """Write what a scanner would send; returns the tick in nanoseconds."""
        tick_ns = time.monotonic_ns()
        os.write(self._scanner, text.encode("ascii") + b"\r\n")
        return tick_ns

    async def relay_record(self, drive: str, after_ns: int) -> int:
        """The tick at which the played relay was driven `released` or `locked` after a tick."""
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s:
            lines = self.relay_log.read_text("ascii").splitlines() if self.relay_log.exists() else []
            for tick, driven in (line.split() for line in lines):
                if driven == drive and int(tick) >= after_ns:
                    return int(tick)
            await asyncio.sleep(0.002)
        raise AgentError(f"the relay was not {drive} within {PATIENCE_S:.0f} s")

    def relay_level(self) -> str:
        """`released` or `locked`, as the line is now, whoever set it."""
        return "released" if (self.folder / "relay-front").read_bytes() == b"1" else "locked"

    async def knock(self, method: str, path: str, body: dict[str, Any] | None = None, *, key: str = "appointment") -> Any:  # noqa: ANN401 - JSON
        """Ask Knock's stand-in, as the booking site would."""
        return await asyncio.to_thread(_http, method, self.sandbox.url + path, body, {"x-api-key": self._keys[key]})

    async def admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - JSON
        """Ask the stand-in's other side: faults, and what it received."""
        return await asyncio.to_thread(_http, method, self.sandbox.admin_url + path, body, {})

    def sign(self, booked: dict[str, Any], start: str, end: str, **other: Any) -> str:  # noqa: ANN401 - a code's fields
        """The tour code for a booked appointment, as the booking site would hand it out; `other` replaces fields of it."""
        tour = TourCode(
            code_id=secrets.token_hex(CODE_ID_BYTES),
            appointment_id=str(booked["appointmentId"]),
            prospect_id=str(booked["prospectId"]),
            community_id=COMMUNITY.id,
            doors=("front",),
            unit_names=("101", "204 B"),
            window=Window(from_iso(start), from_iso(end)),
            key_id=self._key.key.key_id,
        )
        return codes.issue(dataclasses.replace(tour, **other), credentials.signing_seed(self.folder / "keys"))


def _http(method: str, url: str, body: dict[str, Any] | None, headers: dict[str, str]) -> Any:  # noqa: ANN401 - JSON
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {**headers, "Content-Type": "application/json"}, method=method)  # noqa: S310 - loopback
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=PATIENCE_S) as response:
            return json.loads(response.read())
    except OSError as error:
        raise AgentError(f"the sandbox did not do {method} {url}: {error}") from error
