"""One component's death restarts that component; the door's own death takes the process down, locked."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
import tty
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agent import config, credentials
from agent.core import codes
from agent.core.tour import TourCode, Window
from agent.daemon.build import ReaderAt
from agent.daemon.run import Agent, RelayFaultError
from agent.settings.agent import AgentSettings
from agent.store import files
from drivers.base import DriverError, Signal


class FragileAgent(Agent):
    """An agent whose reader dies at its first run."""

    reads = 0

    async def _read(self, at: ReaderAt) -> None:
        self.reads += 1
        if self.reads == 1:
            raise OSError("the reader melted")
        await super()._read(at)


class Site:
    """Settings, a key and a scanner's line in a folder."""

    def __init__(self, folder: Path, *, has_desk: bool = False) -> None:
        self.folder = folder
        (folder / "token").touch(0o600)
        (folder / "token").write_text("played token\n", "ascii")
        desk = {"desk": {"url": "http://127.0.0.1:9"}} if has_desk else {}
        self.scanner, line = os.openpty()
        tty.setraw(line)
        key = folder / "key"
        key.touch(0o600)
        key.write_text("played key\n", "ascii")
        self._key = credentials.new_key(folder / "keys").key
        self.settings: AgentSettings = config.parse(
            {
                "community_id": "1001",
                "time_zone": "UTC",
                "store": {"path": str(folder / "journal.db")},
                "control": {"socket": str(folder / "agent.sock")},
                "keys": {"folder": str(folder / "keys")},
                "clock": {"trust": "system"},
                "knock": {"base_url": "http://127.0.0.1:9", "appointment_key_file": str(key)},
                **desk,
                "door": [
                    {
                        "name": "front",
                        **({"desk_token_file": str(folder / "token")} if has_desk else {}),
                        "pulse_s": 0.1,
                        "relay": {"driver": "played", "path": str(folder / "relay")},
                        "reader": [{"driver": "serial", "name": "scanner", "port": os.ttyname(line)}],
                    }
                ],
            },
            "test",
        )

    def journal(self, kind: str) -> list[dict[str, Any]]:
        """Its entries of a kind."""
        return files.rows(self.folder / "journal.db", "SELECT * FROM journal WHERE kind = :kind", {"kind": kind})

    def code(self) -> str:
        """A code that is good now."""
        now_ms = int(time.time()) * 1000
        window = Window(now_ms - 60_000, now_ms + 600_000)
        code = TourCode("0102030405aa", "1", "5", "1001", ("front",), ("101",), window, self._key.key_id)
        return codes.issue(code, credentials.signing_seed(self.folder / "keys"))

    def driven(self) -> list[str]:
        """What the relay's line was driven to, in order."""
        return [line.split()[1] for line in (self.folder / "relay.log").read_text("ascii").splitlines()]


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """A site with one door."""
    return Site(tmp_path)


async def until(holds: Callable[[], bool]) -> None:
    """Wait at most ten seconds for something to hold."""
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen within ten seconds")


def live(site: Site, kind: type[Agent], play: Callable[[Agent], Awaitable[None]]) -> None:
    """Run an agent, play with it, and stop it."""

    async def all_of_it() -> None:
        agent = kind(site.settings)
        running = asyncio.create_task(agent.run())
        try:
            await until(lambda: running.done() or hasattr(agent, "_control"))
            await until(lambda: bool(site.journal("clock")))
            await play(agent)
        finally:
            if not running.done():
                agent._begin_to_stop()
            await running

    asyncio.run(all_of_it())


def test_a_reader_that_dies_is_started_again_and_journaled(site: Site) -> None:
    """The reader's death is in the journal with its error, and its second life reads the next scan."""

    async def play(agent: Agent) -> None:
        await until(lambda: bool(site.journal("component_failed")))
        await until(lambda: isinstance(agent, FragileAgent) and agent.reads == 2)
        await until(lambda: agent._reader_states == {"scanner": "ready"})
        os.write(site.scanner, b"GARBAGE\r\n")
        await until(lambda: bool(site.journal("refusal")))

    live(site, FragileAgent, play)
    detail = site.journal("component_failed")[0]["detail"]
    assert '"component": "reader scanner"' in detail
    assert "OSError: the reader melted" in detail
    assert site.driven()[-1] == "locked"


@pytest.mark.parametrize("has_desk", [False, True])
def test_a_door_that_is_cut_off_shows_it(tmp_path: Path, has_desk: bool) -> None:
    """Well at first; once Knock does not answer for a visit, and no desk answers either, the door is shown offline, and still opens."""
    site = Site(tmp_path, has_desk=has_desk)
    shown: list[Signal | None] = []

    async def play(agent: Agent) -> None:
        signs = agent._parts.signs["front"]
        await until(lambda: agent._reader_states == {"scanner": "ready"})
        shown.append(signs.shown)
        while not site.journal("admission"):  # a loop that stood still for seconds takes no scan
            os.write(site.scanner, f"{site.code()}\r\n".encode())
            with contextlib.suppress(AssertionError):
                await until(lambda: bool(site.journal("admission")))
        await until(lambda: signs.shown is not Signal.READY)
        shown.append(signs.shown)

    live(site, Agent, play)
    assert shown == [Signal.READY, Signal.OFFLINE]
    assert "released" in site.driven()


def test_a_relay_that_cannot_lock_takes_the_process_down(site: Site) -> None:
    """The agent ends with the relay's fault, having tried to lock every door."""

    async def play(agent: Agent) -> None:
        agent._relay_fault(DriverError("played relay: stuck"))
        await asyncio.sleep(0.2)

    with pytest.raises(ExceptionGroup) as caught:
        live(site, Agent, play)
    assert caught.group_contains(RelayFaultError, match="stuck")
    assert site.driven()[-1] == "locked"


def test_the_doormans_death_takes_the_process_down(site: Site) -> None:
    """Whatever kills the doorman's thread ends the agent, locked."""

    async def play(agent: Agent) -> None:
        agent._doorman.death.set_exception(MemoryError("nobody thought of it"))
        await asyncio.sleep(0.2)

    with pytest.raises(ExceptionGroup) as caught:
        live(site, Agent, play)
    assert caught.group_contains(MemoryError)
    assert site.driven()[-1] == "locked"


def test_a_key_that_was_retired_stays_retired(site: Site) -> None:
    """A retired key is remembered by the store, though its file is put back as it was (promise P5)."""
    folder = site.folder / "keys"
    made = credentials.list_keys(folder)[0]
    before = next(folder.glob("*.pub.toml")).read_text("ascii")
    rings: list[codes.Keyring] = []

    async def look(agent: Agent) -> None:
        rings.append(agent._parts.keys)

    credentials.retire_key(folder, made.key.key_id)
    live(site, Agent, look)
    next(folder.glob("*.pub.toml")).write_text(before, "ascii")
    live(site, Agent, look)
    assert [[key.is_retired for key in ring.values()] for ring in rings] == [[True], [True]]
