"""The desk of the demo: the real program, as a process of its own, in the demo's folder."""

from __future__ import annotations

import asyncio
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from agent.demo.configurations import WRITTEN_DESK, WRITTEN_FOLDER, WRITTEN_KNOCK, written
from agent.demo.visitor import Visitor
from agent.errors import AgentError

STAFF_NAME = "demo"
PATIENCE_S = 20.0


class FrontDesk:
    """`open` it once, `start` and `stop` it as often as the story wants; `replace` changes the configuration's text."""

    def __init__(self, folder: Path, knock_url: str, *, replace: Mapping[str, str] | None = None) -> None:
        self._folder = folder
        self._knock_url = knock_url
        self._replace = replace or {}
        self._process: subprocess.Popen[bytes] | None = None
        self.config_path = folder / "desk.toml"
        self.url = ""
        self.staff_password = secrets.token_urlsafe(12)

    def open(self) -> None:
        """Write the configuration, the secret and the staff's account, on a port that is free now."""
        from agent.desk import staff_accounts

        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            port = taken.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        text = written("demo-desk.toml").replace(WRITTEN_FOLDER, str(self._folder)).replace(WRITTEN_KNOCK, self._knock_url)
        text = text.replace(WRITTEN_DESK, self.url).replace("port = 8780", f"port = {port}")
        for old, new in self._replace.items():
            text = text.replace(old, new)
        self.config_path.write_text(text, "utf-8")
        (self._folder / "desk").mkdir(mode=0o700)
        secret = self._folder / "desk-secret"
        secret.touch(0o600)
        secret.write_text(secrets.token_urlsafe(32) + "\n", "ascii")
        staff_accounts.add(self._folder / "staff", STAFF_NAME, self.staff_password)

    async def start(self) -> float:
        """Start it, and wait until it answers; returns the seconds that took."""
        began_s = time.monotonic()
        command = [sys.executable, "-I", "-X", "utf8", "-m", "agent.desk", str(self.config_path)]
        with (self._folder / "desk.log").open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log)  # noqa: ASYNC220, S603 - our own program, started once
        visitor = Visitor()
        while True:
            with suppress(AgentError):
                if (await visitor.get(f"{self.url}/healthz")).status == 200:  # noqa: PLR2004 - fine
                    return time.monotonic() - began_s
            if self._process.poll() is not None or time.monotonic() - began_s > PATIENCE_S:
                raise AgentError(f"the desk did not start: {self.log()[-500:]}")
            await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Stop it as systemd would."""
        if self._process is not None:
            self._process.terminate()
            try:
                await asyncio.to_thread(self._process.wait, 10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                await asyncio.to_thread(self._process.wait)
            self._process = None

    def new_door_token(self, door: str) -> None:
        """Give a door its token and PIN key, in files of the demo's folder, as whoever installs it would."""
        command = [sys.executable, "-m", "agent.cli", "tokens", "new-door", "-c", str(self.config_path), "--door", door]
        command += ["--out", str(self._folder / f"{door}-token"), "--pin-key-out", str(self._folder / f"{door}-pin-key")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own program
        if done.returncode:
            raise AgentError(f"the door got no token: {done.stderr.strip()}")

    def newest_cursor(self) -> str:
        """Where a door stands that has heard everything so far."""
        from agent.desk.store import DeskStore

        store = DeskStore.open(self._folder / "desk" / "desk.db")
        try:
            return f"{store.epoch}.{store.last_seq()}"
        finally:
            store.close()

    def log(self) -> str:
        """What the desk wrote on stderr so far."""
        path = self._folder / "desk.log"
        return path.read_text("utf-8", "replace") if path.exists() else ""
