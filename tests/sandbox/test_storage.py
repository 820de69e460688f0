"""The state file: kept over restarts, whole at every instant, and never written over when it is not ours."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from agent.sandbox.errors import SandboxError
from agent.sandbox.records import KnockState
from agent.sandbox.settings import SandboxSettings
from agent.sandbox.storage import StateFile
from agent.sandbox.threaded import ThreadedSandbox


def kept(**changes: object) -> bytes:
    """A state file with another content."""
    state: dict[str, object] = {"prospects": [], "appointments": [], "visits": [], "received": []}
    return json.dumps({"format": "tourlatch sandbox 1", "state": state | changes}).encode()


BAD_FILES = [
    b"",
    b"{",
    b"[]",
    b"\xff\xfe\x00",
    b'{"format": "another", "state": {}}',
    b'{"format": "tourlatch sandbox 1"}',
    b'{"format": "tourlatch sandbox 1", "state": {}}',
    kept(prospects={}),
    kept(prospects=[{"id": 1, "communityId": "1001", "profile": {}}]),
    kept(prospects=["1"]),
    kept(appointments=[{"id": "1", "status": 5}]),
    kept(visits=[{"id": "1", "prospectId": "1", "appointmentId": "1", "visitTime": "today"}]),
    kept(received=[{"route": "visit", "at": "2026-06-01T10:00:00Z", "body": []}]),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the state is kept."""
    return tmp_path / "state.json"


def test_kept__over_a_restart(
    path: Path, start: Callable[..., ThreadedSandbox], connect: Callable[[str], httpx.Client], booking: dict[str, Any]
) -> None:
    """What was booked and received is there after a restart, and the visit to it is taken."""
    first = start(state_file=path)
    booked = connect(first.url).post("/appointment/request", json=booking).json()
    before = connect(first.admin_url).get("/received").json()
    first.stop()
    second = start(state_file=path)
    assert connect(second.admin_url).get("/received").json() == before
    body = {"prospectId": booked["prospectId"], "appointmentId": booked["appointmentId"], "visitTime": "2026-06-01T10:00:00Z"}
    assert connect(second.url).post("/visit", json=body | {"unitNames": ["101"]}).status_code == 200
    assert StateFile(path).load().to_json()["visits"][0]["units"] == ["101"]


def test_kept__nothing_but_the_file_is_left(path: Path) -> None:
    """Saving leaves no scraps beside the file, and a new file is there from the start."""
    StateFile(path).load()
    StateFile(path).save(KnockState())
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("content", BAD_FILES)
def test_refused__a_file_that_is_no_state(path: Path, content: bytes) -> None:
    """A bad file is a sentence with its name, and it is left as it was."""
    path.write_bytes(content)
    with pytest.raises(SandboxError, match=r"state\.json"), ThreadedSandbox(SandboxSettings(port=0, admin_port=0, state_file=path)):
        pass
    assert path.read_bytes() == content


def test_refused__a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """A folder that is not there, or a folder in the file's place, is found at the start."""
    for bad in (tmp_path / "missing" / "state.json", tmp_path):
        with pytest.raises(SandboxError, match="cannot be"):
            StateFile(bad).load()


def test_refused__work_that_cannot_be_kept(
    tmp_path: Path, start: Callable[..., ThreadedSandbox], connect: Callable[[str], httpx.Client], booking: dict[str, Any]
) -> None:
    """When the file cannot be written any more, the answer is a 503 with words and nothing has changed; later it goes on."""
    folder, away = tmp_path / "kept", tmp_path / "away"
    folder.mkdir()
    running = start(state_file=folder / "state.json")
    knock, admin = connect(running.url), connect(running.admin_url)
    folder.rename(away)
    answer = knock.post("/appointment/request", json=booking)
    assert answer.status_code == 503
    assert "cannot be written" in answer.json()["errorMessage"]
    assert admin.get("/state").json()["appointments"] == []
    away.rename(folder)
    assert knock.post("/appointment/request", json=booking).status_code == 200
    assert len(json.loads((folder / "state.json").read_bytes())["state"]["appointments"]) == 1


def test_received__the_oldest_go_first(start: Callable[..., ThreadedSandbox], connect: Callable[[str], httpx.Client]) -> None:
    """Only so many accepted requests are remembered."""
    running = start(received_limit=2)
    knock = connect(running.url)
    for name in ("a", "b", "c"):
        knock.post("/prospect", json={"communityId": "1001", "email": f"{name}@example.com"}).raise_for_status()
    received = connect(running.admin_url).get("/received").json()
    assert [one["body"]["email"] for one in received] == ["b@example.com", "c@example.com"]
