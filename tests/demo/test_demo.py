"""The demo proves what it tells."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
from pathlib import Path

from agent.demo.stage import Stage
from agent.demo.story import Story


def test_the_demo_ends_well_and_leaves_nothing_behind(tmp_path: Path) -> None:
    """One command tells the whole story, exits 0, and removes its folder."""
    before = set(Path(tempfile.gettempdir()).glob("tourlatch-demo-*"))
    done = subprocess.run([sys.executable, "-m", "agent.cli", "demo"], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout.splitlines()
    assert [line[0] for line in told if line[1:3] == ". "] == list("12345678")
    assert "   The same, each once." in told
    assert list(tmp_path.iterdir()) == []
    assert set(Path(tempfile.gettempdir()).glob("tourlatch-demo-*")) <= before


def test_the_demo_that_stays_has_told_before_it_waits(tmp_path: Path) -> None:
    """How long the telling took is said at its end, not when somebody ends the waiting."""
    command = [sys.executable, "-u", "-m", "agent.cli", "demo", "--stay"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=tmp_path) as playing:
        assert playing.stdout is not None
        told = []
        for line in playing.stdout:
            told.append(line)
            if "Ctrl-C ends it" in line:
                playing.terminate()
    assert playing.returncode == 0, told
    assert [number for number, line in enumerate(told) if line.startswith("Told in ")] == [
        number - 1 for number, line in enumerate(told) if line.startswith("Still running.")
    ]


def test_the_demo_fails_when_knock_has_something_else(tmp_path: Path) -> None:
    """When an answer is lost and a visit arrives twice, the comparison says that they differ."""
    said: list[str] = []

    async def play() -> bool:
        stage = Stage(tmp_path, has_desk=True)
        await stage.open()
        try:
            await stage.admin("PUT", "/faults/visit", {"kind": "lost", "count": 1})
            return await Story(stage, said.append).tell()
        finally:
            await stage.close()

    assert asyncio.run(play()) is False
    assert said[-1] == "   They differ."
