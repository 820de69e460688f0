"""A kiosk beside a played agent, each on the loop's thread, so that a test asks like a browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent import config
from agent.kiosk.run import Kiosk
from agent.settings.kiosk import KioskSettings
from tests.kiosk.browser import Browser
from tests.kiosk.played_agent import PlayedAgent

ALL: dict[str, Any] = {
    "door": "front",
    "time_zone": "America/Los_Angeles",
    "help_phone": "+1 555 0100",
    "listen": {"port": 0},
    "look": {"name": "Juniper Flats"},
    "pin_pad": {"shuffled": True},
    "help": {},
    "staff": {},
    "way": [{"unit": "204 B", "words": "Floor 2, left", "words_es": "Piso 2, a la izquierda"}, {"unit": "101", "words": "Straight on"}],
}


def settings(path: Path, **changed: Any) -> KioskSettings:  # noqa: ANN401 - tables of the file
    """Settings with everything on that needs nobody else; a table that is None is left out."""
    written = {"agent_socket": str(path), **ALL, **changed}
    return config.parse_as(KioskSettings, {key: value for key, value in written.items() if value is not None}, "kiosk.toml")


@pytest.fixture(name="socket_path")
def _socket_path(tmp_path: Path) -> Path:
    return tmp_path / "agent.sock"


@pytest.fixture
def agent(play: Callable[..., Any], socket_path: Path) -> Iterator[PlayedAgent]:
    """A played agent that answers."""
    made = PlayedAgent(socket_path)
    play(made.start())
    yield made
    play(made.stop())


@pytest.fixture
def start(play: Callable[..., Any], socket_path: Path) -> Iterator[Callable[..., Kiosk]]:
    """Start a kiosk with some of its settings changed; all are stopped in the end."""
    running: list[Kiosk] = []

    async def opened(**changed: Any) -> Kiosk:  # noqa: ANN401 - tables of the file
        return await Kiosk(settings(socket_path, **changed)).__aenter__()

    def begin(**changed: Any) -> Kiosk:  # noqa: ANN401 - tables of the file
        running.append(play(opened(**changed)))
        return running[-1]

    yield begin
    for kiosk in running:
        play(kiosk.__aexit__())


@pytest.fixture
def browser(agent: PlayedAgent, start: Callable[..., Kiosk]) -> Browser:
    """A browser at a kiosk that is ready."""
    del agent
    found = Browser(start().address)
    found.until("ready")
    return found
