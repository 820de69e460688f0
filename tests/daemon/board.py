"""A board with real doors: played lines and inputs, the real store, doorman and threads; a test moves the inputs and looks at the lines."""

from __future__ import annotations

import json
import os
import time
import tty
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from agent import config, credentials
from agent.core import codes
from agent.core.tour import TourCode, Window
from agent.daemon.build import Callbacks, Parts, build
from agent.daemon.doorman import Doorman, Outcome, Scan, StaffUnlock
from agent.daemon.happening import Happening
from agent.daemon.tell import Teller
from agent.settings.agent import AgentSettings
from agent.store import files
from drivers.base import Frame, Pulse, Signal

LIMIT_S = 20.0


def until(holds: Callable[[], bool], what: str = "it") -> None:
    """Wait for something to hold, within a limit that no noisy machine needs."""
    deadline_s = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < deadline_s, f"{what} did not happen within {LIMIT_S:.0f} s"
        time.sleep(0.005)


class Board:
    """Doors by their names with the parts of their settings; `open` it, and `close` it whatever happens.

    An input is `played`: its file is `<door>.<name>` in the folder, the relay's `<door>.relay`.
    """

    def __init__(self, folder: Path, *, rules: Mapping[str, object] | None = None, **doors: Mapping[str, Any]) -> None:
        self.folder = folder
        self.happened: list[Happening] = []
        self.pulses: list[tuple[str, Pulse]] = []
        self.faults: list[Exception] = []
        self.outcomes: list[Outcome] = []
        self._stack = ExitStack()
        self._lines = ExitStack()
        self._number = 0
        (folder / "key").touch(0o600)
        (folder / "key").write_text("played key\n", "ascii")
        made = credentials.new_key(folder / "keys")
        self._code = TourCode("0102030405aa", "1", "5", "1001", tuple(doors), ("101",), Window(0, 1), made.key.key_id)
        self.settings = self._parse(rules or {}, doors)

    def _parse(self, rules: Mapping[str, object], doors: Mapping[str, Mapping[str, Any]]) -> AgentSettings:
        return config.parse(
            {
                "community_id": "1001",
                "time_zone": "UTC",
                "store": {"path": str(self.folder / "journal.db")},
                "control": {"socket": str(self.folder / "agent.sock")},
                "keys": {"folder": str(self.folder / "keys")},
                "clock": {"trust": "system"},
                "rules": dict(rules),
                "knock": {"base_url": "http://127.0.0.1:9", "appointment_key_file": str(self.folder / "key")},
                "door": [self._door(name, parts) for name, parts in doors.items()],
            },
            "test",
        )

    def _door(self, name: str, parts: Mapping[str, Any]) -> dict[str, Any]:
        """A door's table: what is named is played."""
        scanner, line = os.openpty()
        tty.setraw(line)
        self._lines.callback(os.close, scanner)
        self._lines.callback(os.close, line)
        made: dict[str, Any] = {"pulse_s": 0.2, "max_pulse_s": 1.0, "name": name, "relay": self.played(f"{name}.relay")}
        made["reader"] = [{"driver": "serial", "name": f"{name}-scanner", "port": os.ttyname(line)}]
        for part, value in parts.items():
            is_line = part in ("contact", "rex", "fire", "tamper", "second_relay")
            made[part] = {**self.played(f"{name}.{part}"), **value} if is_line else value
        return made

    def played(self, name: str) -> dict[str, Any]:
        """A played line in this folder."""
        return {"driver": "played", "path": str(self.folder / name)}

    def open(self) -> Board:
        """Build everything, and start the doorman."""
        teller = Teller()
        callbacks = Callbacks(lambda door, pulse: self.pulses.append((door, pulse)), self.faults.append, lambda _error: None, teller.tell)
        self.parts: Parts = build(self.settings, self._stack, callbacks)
        self._stack.callback(self.parts.journal.close)
        teller.attach(self.parts.upkeep, self.parts.clock.now, self.happened.append, self.parts.signs)
        self.doorman = Doorman(
            doors=self.parts.doors,
            readers=[at.name for at in self.parts.readers],
            keys=self.parts.keys,
            rules=self.settings.decision_rules(),
            lockout_rules=self.settings.lockout.rules(),
            journal=self.parts.journal,
            keeper=self.parts.upkeep,
            clock=self.parts.clock,
            source_title=None,
            tell=self.outcomes.append,
        )
        self.doorman.start()
        self._stack.callback(self.doorman.close, 5)
        return self

    def close(self) -> None:
        """Stop everything."""
        self._stack.close()
        self._lines.close()

    def restart(self) -> None:
        """Stop, and start anew over the same files."""
        self._stack.close()
        self.happened.clear()
        self.open()

    def move(self, name: str, level: int) -> None:
        """Set a played input, as `front.contact`."""
        (self.folder / name).write_bytes(b"%d" % level)

    def code(self, appointment: int, **other: Any) -> str:  # noqa: ANN401 - a code's fields
        """A code that is good now at every door."""
        now_ms = int(time.time()) * 1000
        window = Window(now_ms - 60_000, now_ms + 600_000)
        code = replace(self._code, appointment_id=str(appointment), code_id=f"{appointment:012x}", window=window, **other)
        return codes.issue(code, credentials.signing_seed(self.folder / "keys"))

    def scan(self, text: str, door: str = "front") -> Outcome:
        """Present a code and return what became of it."""
        count = len(self.outcomes)
        assert self.doorman.present(Scan(door, f"{door}-scanner", Frame(text.encode(), time.monotonic_ns())))
        until(lambda: len(self.outcomes) > count, "an outcome")
        return self.outcomes[-1]

    def admit(self, door: str = "front") -> Outcome:
        """Let somebody in whose code was never seen before."""
        self._number += 1
        outcome = self.scan(self.code(self._number), door)
        assert outcome.denied is None, outcome.denied
        return outcome

    def unlock(self, door: str = "front") -> None:
        """Staff open a door once."""
        self.doorman.unlock(StaffUnlock(door, "ana", "plumber")).result(LIMIT_S)

    def is_released(self, door: str = "front") -> bool:
        """The relay's line, as it is now."""
        return (self.folder / f"{door}.relay").read_bytes() == b"1"

    def shown(self, door: str = "front") -> Signal | None:
        """The lasting signal at a door."""
        return self.parts.signs[door].shown

    def driven(self, line: str = "front.relay") -> list[str]:
        """What a line was driven to so far."""
        log = self.folder / f"{line}.log"
        return [line.split()[1] for line in log.read_text("ascii").splitlines()] if log.exists() else []

    def kinds(self, door: str = "front") -> list[str]:
        """What happened at a door so far."""
        return [happening.kind for happening in self.happened if happening.door == door]

    def wait(self, kind: str, door: str = "front", count: int = 1) -> Happening:
        """The `count`-th happening of a kind."""
        until(lambda: self.kinds(door).count(kind) >= count, f"{kind} at {door}")
        return [happening for happening in self.happened if (happening.door, happening.kind) == (door, kind)][count - 1]

    def wait_locked(self, door: str = "front") -> None:
        """Until the door is locked and free."""
        until(lambda: self.parts.doors[door].state.value == "locked", "locked")

    def journal(self) -> Iterator[dict[str, Any]]:
        """The journal so far, in its order, once all that waits is written."""
        self.parts.upkeep.submit(lambda _conn: None).result(LIMIT_S)
        for row in files.rows(self.folder / "journal.db", "SELECT * FROM journal ORDER BY seq"):
            yield {**row, "detail": json.loads(row["detail"])}

    def journaled(self, *kinds: str) -> list[str]:
        """The journal's kinds in their order, of those that are named, or all."""
        return [row["kind"] for row in self.journal() if not kinds or row["kind"] in kinds]
