"""The demo's configurations: from the package, or from the checkout that runs it."""

from __future__ import annotations

from pathlib import Path

from agent.errors import AgentError

WRITTEN_FOLDER = "/tmp/tourlatch-demo"  # noqa: S108 - the placeholder in the files
WRITTEN_KNOCK = "http://127.0.0.1:8790"
WRITTEN_DESK = "http://127.0.0.1:8780"


def written(name: str) -> str:
    """The text of a file of `config/`; raises `AgentError` when it is not there."""
    here = Path(__file__).parent
    for path in (here / name, here.parent.parent / "config" / name):
        if path.is_file():
            return path.read_text("utf-8")
    raise AgentError(f"{name} is missing from this installation: install tourlatch again")
