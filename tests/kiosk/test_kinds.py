"""Staff at the screen read words, whatever is in the journal: there is a label for each kind of entry that the agent's code writes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from agent.daemon import happening
from agent.daemon.happening import TOLD
from agent.kiosk.labels import _EVENTS
from drivers.base import ReaderState

AGENT = Path(happening.__file__).parents[1]
WRITES = {"Note": 1, "Happening": 0, "_note": 0, "_tell": 0}
"""What makes an entry, and which of its arguments is the kind."""
PASSED_ON = {"daemon/door.py:_tell", "daemon/run.py:_note", "daemon/screen.py:_note", "daemon/tell.py:_tell"}
"""These write the kind that they are called with: their callers name it."""
NO_ENTRY = {"daemon/sender.py:_mark_and_claim", "daemon/doorman.py:_meet", "daemon/tell.py:tell", "daemon/tell.py:attach"}
"""These call a `_tell` that takes no kind."""
KINDS_BY_PART = {"TOLD[effect]": set(TOLD.values()), "f'reader_{state.value}'": {f"reader_{state}" for state in ReaderState}}


def texts(node: ast.expr) -> set[str]:
    """The texts that an expression may be."""
    if isinstance(node, ast.Constant):
        return {node.value} if isinstance(node.value, str) else set()
    if isinstance(node, ast.IfExp):
        return texts(node.body) | texts(node.orelse)
    return KINDS_BY_PART.get(ast.unparse(node), set())


def given(function: ast.AST, name: str) -> set[str]:
    """The texts that a name is given in a function, alone or as the first of several."""
    found: set[str] = set()
    for node in ast.walk(function):
        if not isinstance(node, ast.Assign):
            continue
        target, value = node.targets[0], node.value
        if isinstance(target, ast.Tuple) and ast.unparse(target.elts[0]) == name and isinstance(value, ast.IfExp):
            found |= {text for one in (value.body, value.orelse) if isinstance(one, ast.Tuple) for text in texts(one.elts[0])}
        elif ast.unparse(target) == name:
            found |= texts(value)
    return found


def written() -> Iterator[tuple[str, set[str]]]:
    """Each place in the agent that makes an entry, and the kinds that it may be."""
    for path in sorted((AGENT / part for part in ("daemon", "store")), key=str):
        for file in sorted(path.glob("*.py")):
            for function in ast.walk(ast.parse(file.read_text("utf-8"))):
                if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                    place = f"{file.relative_to(AGENT)}:{function.name}"
                    yield from ((place, kinds) for kinds in in_function(function) if place not in PASSED_ON)


def in_function(function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[set[str]]:
    """The kinds of each entry that is made in a function."""
    inner = [node for node in ast.walk(function) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node is not function]
    skipped = {id(node) for one in inner for node in ast.walk(one)}
    for node in ast.walk(function):
        if not isinstance(node, ast.Call) or id(node) in skipped:
            continue
        at = WRITES.get(node.func.attr if isinstance(node.func, ast.Attribute) else ast.unparse(node.func))
        if at is None or len(node.args) <= at or isinstance(node.args[at], ast.Call):
            continue
        kind = node.args[at]
        yield given(function, kind.id) if isinstance(kind, ast.Name) else texts(kind)


def test_ok__every_kind_of_entry_has_a_label_and_no_label_is_of_none() -> None:
    """A kind that is new needs a word for staff; one that is gone needs none."""
    places = list(written())
    # what stays unread by this test would go by unseen
    unread = sorted({place for place, kinds in places if not kinds and place not in NO_ENTRY})
    assert unread == []
    assert {kind for _, kinds in places for kind in kinds} == {name.removeprefix("event_") for name in _EVENTS}
