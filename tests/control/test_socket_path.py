"""What lies at the socket's path is taken away only when it is a dead agent's; and followers leave room for those who ask."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path
from typing import Any

import pytest

from agent import protocol
from agent.daemon import control
from agent.daemon.control import MAX_FOLLOWERS, MAX_PEERS, Control
from agent.daemon.events import Events
from agent.errors import AgentError

Serving = Callable[..., AbstractAsyncContextManager[Events]]


async def echo(request: dict[str, Any], user: str) -> dict[str, Any]:
    """What was asked, and by whom."""
    return {"asked": request, "user": user}


def open_files() -> int:
    """How many this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def refusal(path: Path) -> str:
    """Why the socket is not opened; what lies there is still the same afterwards."""
    before = path.lstat()
    with pytest.raises(AgentError) as told:
        Control(path, (), {}, Events(lambda: 0)).open()
    after = path.lstat()
    assert (after.st_ino, after.st_mode, after.st_mtime_ns) == (before.st_ino, before.st_mode, before.st_mtime_ns)
    return str(told.value)


def test_path__what_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    """A file, a folder, a pipe and a link are named and not touched."""
    (tmp_path / "file").write_text("precious")
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "folder", "pipe", "link"):
        words = refusal(tmp_path / name)
        assert words.startswith(f"the control socket {tmp_path / name} cannot be made: what lies there is no socket")
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("is_full", [False, True], ids=["idle", "overrun"])
def test_path__a_socket_that_answers_is_another_agents(is_full: bool, tmp_path: Path) -> None:
    """A socket that somebody serves is left to them, also when so many wait there that no more fit."""
    waiting = []
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(tmp_path / "s"))
        other.listen(0)
        with suppress(BlockingIOError):
            while is_full:
                waiting.append(socket.socket(socket.AF_UNIX))
                waiting[-1].setblocking(False)
                waiting[-1].connect(str(tmp_path / "s"))
        assert refusal(tmp_path / "s").startswith(f"another agent answers at {tmp_path / 's'}")
        for peer in waiting:
            peer.close()


def test_path__a_socket_of_another_kind_in_use_is_left_alone(tmp_path: Path) -> None:
    """A datagram socket that a program receives on is not taken from it."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(tmp_path / "s"))
        assert refusal(tmp_path / "s").startswith(f"the control socket {tmp_path / 's'} cannot be made: ")


def test_path__only_the_own_socket_is_taken_away(serving: Serving, tmp_path: Path) -> None:
    """When another program put its own socket in the place meanwhile, it is still there after the agent has left."""

    async def play() -> socket.socket:
        async with serving({"echo": echo}):
            (tmp_path / "s").unlink()
            other = socket.socket(socket.AF_UNIX)
            other.bind(str(tmp_path / "s"))
            return other

    with asyncio.run(play()):
        assert (tmp_path / "s").is_socket()


def test_path__one_that_never_opened_takes_nothing_away(tmp_path: Path) -> None:
    """Who was refused the place does not clear it on leaving."""
    (tmp_path / "s").write_text("precious")
    refused = Control(tmp_path / "s", (), {}, Events(lambda: 0))
    with pytest.raises(AgentError):
        refused.open()
    refused.close()
    assert (tmp_path / "s").read_text() == "precious"


def test_followers__leave_room_for_those_who_ask(serving: Serving, tmp_path: Path) -> None:
    """However many want to follow events, twelve do, the others are told so, and requests are answered; who leaves makes room."""

    async def follow() -> tuple[asyncio.StreamWriter, dict[str, Any]]:
        reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
        writer.write(protocol.encode({"do": "events"}))
        answer = json.loads(await reader.readline())
        assert isinstance(answer, dict)
        return writer, answer

    async def play() -> None:
        async with serving({"echo": echo}):
            followers = [await follow() for _ in range(2 * MAX_PEERS)]
            assert [answer["ok"] for _, answer in followers] == [True] * MAX_FOLLOWERS + [False] * (2 * MAX_PEERS - MAX_FOLLOWERS)
            assert followers[-1][1]["error"] == "12 others follow the events already: try again"
            assert (await asyncio.to_thread(protocol.ask, tmp_path / "s", {"do": "echo"}))["ok"]
            followers[0][0].close()
            for _ in range(200):
                writer, answer = await follow()
                followers.append((writer, answer))
                if answer["ok"]:
                    break
                await asyncio.sleep(0.01)
            assert followers[-1][1]["ok"]
            for writer, _ in followers:
                writer.close()

    asyncio.run(play())


def test_turned_away__nothing_is_kept_for_them(serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who may not speak costs no timer, no place and no open file, though they neither read nor hang up."""
    monkeypatch.setattr(control, "SLOW_PEER_S", 77.0)

    async def play() -> None:
        loop = asyncio.get_running_loop()
        timers: list[float] = []
        plain: Any = loop.call_later

        def call_later(delay_s: float, *rest: object) -> asyncio.TimerHandle:
            timers.append(delay_s)
            handle: asyncio.TimerHandle = plain(delay_s, *rest)
            return handle

        monkeypatch.setattr(loop, "call_later", call_later)
        async with serving({"echo": echo}, {os.getuid() + 1}):
            before = open_files()
            peers = [socket.socket(socket.AF_UNIX) for _ in range(3 * MAX_PEERS)]
            for peer in peers:
                peer.setblocking(False)
                peer.connect(str(tmp_path / "s"))
                peer.send(b'{"do":"echo"')  # before the loop gets to see the peer
                await asyncio.sleep(0.001)
            await asyncio.sleep(0.1)
            assert open_files() - before == len(peers)
            assert [peer.recv(1000).startswith(b'{"ok":false') for peer in peers] == [True] * len(peers)
            for peer in peers:
                peer.close()
        assert 77.0 not in timers

    asyncio.run(play())
