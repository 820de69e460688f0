"""A reader that is not plugged in when the agent starts keeps no other from working, and is there once it is plugged in."""

from __future__ import annotations

import asyncio
import os
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent import protocol
from agent.demo.stage import Stage

Play = Callable[..., Any]
GoodCode = Callable[..., str]
READER = '{{ driver = "serial", name = "{name}", port = "{folder}/{name}" }}'


def _readers(folder: Path, *names: str) -> dict[str, str]:
    made = ", ".join(READER.format(name=name, folder=folder) for name in names)
    return {f'[{{ driver = "serial", name = "front-scanner", port = "{folder}/scanner" }}]': f"[{made}]"}


def test_ok__the_others_go_on(tmp_path: Path, play: Play, good_code: GoodCode) -> None:
    """The agent starts, tells the absent one by its name, opens for the other one, and reads the first once it is plugged in."""
    stage = Stage(tmp_path, replace=_readers(tmp_path, "scanner", "second"))
    master, line = os.openpty()
    tty.setraw(line)

    async def story() -> None:
        await stage.open()
        try:
            await stage.start_agent()
            status = await asyncio.to_thread(protocol.ask, tmp_path / "agent.sock", {"do": "status"})
            assert status["doors"]["front"]["readers"] == {"scanner": "ready", "second": "lost"}
            stage.scan(good_code(stage, 1))
            assert (await stage.event("admitted"))["reader"] == "scanner"
            (tmp_path / "second").symlink_to(os.ttyname(line))
            assert (await stage.event("reader_ready"))["reader"] == "second"
            os.write(master, b"no code at all\r\n")
            assert (await stage.event("refused"))["reader"] == "second"
        finally:
            await stage.close()

    play(story())
    os.close(master)
    os.close(line)


def test_fail__a_board_without_any_reader(tmp_path: Path, play: Play) -> None:
    """With none of them there, the start stops with all their names."""
    stage = Stage(tmp_path, replace=_readers(tmp_path, "first", "second"))

    async def story() -> None:
        await stage.open()
        try:
            with pytest.raises(Exception, match=r"first is not there.*\n?.*second is not there"):
                await stage.start_agent()
        finally:
            await stage.close()

    play(story())
