"""The documents say what is there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from agent.cli import COMMANDS
from agent.core.door import LEAF, LOCK, Effect, Event, Leaf, Lock

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text("utf-8")
ARCHITECTURE = (ROOT / "ARCHITECTURE.md").read_text("utf-8")


def _region(
    name: str, begins: str, table: Mapping[Lock, Mapping[Event, tuple[Lock, Effect]]] | Mapping[Leaf, Mapping[Event, tuple[Leaf, Effect]]]
) -> list[str]:
    """One table's arrows; what neither moves nor does anything is left out."""
    lines = [f"    state {name} {{", f"        [*] --> {begins}"]
    for state, row in table.items():
        for event, (after, effect) in row.items():
            if state is not after or effect is not Effect.NONE:
                lines.append(f"        {state} --> {after}: {event}" + ("" if effect is Effect.NONE else f" / {effect}"))
    return [*lines, "    }"]


def diagram() -> str:
    """The picture of both regions."""
    return "\n".join(["stateDiagram-v2", *_region("lock", Lock.LOCKED, LOCK), *_region("leaf", Leaf.UNKNOWN, LEAF)])


def test_the_doors_diagram_is_the_table() -> None:
    """The picture of the door's states is generated from the tables."""
    assert f"```mermaid\n{diagram()}\n```" in ARCHITECTURE


def test_every_command_is_in_the_readme() -> None:
    """Whoever reads the README finds each command."""
    table = [line for line in README.splitlines() if line.startswith("| `tourlatch ")]
    named = {word for line in table for quoted in re.findall(r"`([^`]*)`", line.split("|")[1]) for word in quoted.split()}
    assert set(COMMANDS) - named == set()


def test_every_promise_has_a_line() -> None:
    """P1 to P8 stand in the README."""
    assert re.findall(r"^\| (P\d) \|", README, re.MULTILINE) == [f"P{number}" for number in range(1, 9)]


def test_every_top_level_folder_is_in_the_map() -> None:
    """A stranger finds each folder of the package in ARCHITECTURE."""
    folders = [path.parent.relative_to(ROOT) for path in ROOT.glob("agent/*/__init__.py")]
    assert [str(folder) for folder in folders if f"{folder}/" not in ARCHITECTURE] == []
