"""What was seen to move at each door, kept beside the store, so that a walk can be gone on with and a changed pin voids it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.doctor.wires import Wire, every
from agent.errors import AgentError
from agent.settings.agent import AgentSettings
from agent.settings.door import DoorSettings

NAME = "wiring.json"


class Record:
    """The file; raises `AgentError` when it cannot be read or written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = _read(path)

    @classmethod
    def of(cls, settings: AgentSettings) -> Record:
        """The record of this configuration's board."""
        return cls(settings.store.path.parent / NAME)

    def seen_at(self, door: str, wire: Wire) -> str | None:
        """When it was seen to move, wired as it is now; None if it was not."""
        found = self._seen.get(door, {}).get(wire.place)
        return found["at"] if isinstance(found, dict) and found.get("mark") == wire.mark and isinstance(found.get("at"), str) else None

    def unseen(self, door: DoorSettings) -> list[str]:
        """The places of the door that nobody saw move since they were wired so; none: the door is ready."""
        return [wire.place for wire in every(door) if self.seen_at(door.name, wire) is None]

    def note(self, door: str, wire: Wire, at: str, *, is_seen: bool) -> None:
        """Remember on disk that it moved, or that it did not."""
        places = self._seen.setdefault(door, {})
        places.pop(wire.place, None)
        if is_seen:
            places[wire.place] = {"mark": wire.mark, "at": at}
        self._write()

    def _write(self) -> None:
        new = self.path.with_name(f"{NAME}.new")
        try:
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(self._seen, file, indent=1, sort_keys=True)
                file.flush()
                os.fsync(file.fileno())
            owner = self.path.parent.stat()
            with suppress(PermissionError):  # what root writes in the agent's folder is the agent's
                os.chown(new, owner.st_uid, owner.st_gid)
            new.replace(self.path)
        except OSError as error:
            raise AgentError(f"the record of the wiring, {self.path}, cannot be written: {error.strerror}") from error


def _read(path: Path) -> dict[str, dict[str, Any]]:
    try:
        found = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise AgentError(f"the record of the wiring, {path}, cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not all(isinstance(places, dict) for places in found.values()):
        raise AgentError(f"the record of the wiring, {path}, is damaged: remove it and walk again")
    return found
