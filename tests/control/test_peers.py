"""Who may speak on the control socket, how many, and how slowly: nobody holds anybody up."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agent import protocol
from agent.core.door import Lock
from agent.daemon import control
from agent.daemon.control import MAX_FOLLOWERS, MAX_PEERS, Control
from agent.daemon.events import MAX_BEHIND, Events
from agent.daemon.requests import Requests
from agent.errors import AgentAbsentError, AgentError, RequestRefusedError
from drivers.base import DriverError

Serving = Callable[..., AbstractAsyncContextManager[Events]]
NOT_ALLOWED = "this user may not speak to the agent: use sudo, or name the user in [control] users"
TOO_MANY = "too many connections: try again"


async def echo(request: dict[str, Any], user: str) -> dict[str, Any]:
    """What was asked, and by whom."""
    return {"asked": request, "user": user}


def open_files() -> int:
    """How many this process has."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


async def ask(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    """As a command would, beside the loop."""
    return await asyncio.to_thread(protocol.ask, path, request)


async def listener(path: Path) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A peer that was told that it listens."""
    reader, writer = await asyncio.open_unix_connection(str(path))
    writer.write(protocol.encode({"do": "events"}))
    assert json.loads(await reader.readline()) == {"ok": True, "event": "listening"}
    return reader, writer


def test_user__is_known_from_the_kernel(serving: Serving, tmp_path: Path) -> None:
    """A handler is told the name of the connected process's user, whatever the request says."""

    async def play() -> None:
        async with serving({"echo": echo}):
            name = (await ask(tmp_path / "s", {"do": "echo", "user": "mallory", "uid": 5}))["user"]
            assert name == pwd.getpwuid(os.getuid()).pw_name

    asyncio.run(play())


def test_user__that_is_not_allowed_gets_one_sentence_and_no_more(serving: Serving, tmp_path: Path) -> None:
    """A user who is not allowed is told so, whatever is sent, no handler runs, and the connection is closed."""
    asked: list[str] = []

    async def note(_request: dict[str, Any], user: str) -> dict[str, Any]:
        asked.append(user)
        return {}

    async def play() -> None:
        async with serving({"note": note}, {os.getuid() + 1}):
            for request in ({"do": "note"}, {"do": "events"}, {}):
                with pytest.raises(RequestRefusedError) as refused:
                    await ask(tmp_path / "s", request)
                assert str(refused.value) == NOT_ALLOWED
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
            assert await reader.read() == protocol.encode({"ok": False, "error": NOT_ALLOWED})
            writer.close()

    asyncio.run(play())
    assert asked == []


OTHER_USER = """
import os, socket, sys
peer = socket.socket(socket.AF_UNIX)
os.setgroups([]), os.setgid(65534), os.setuid(65534)
peer.settimeout(10), peer.connect(sys.argv[1])
try:
    peer.sendall(b'{"do":"echo"}\\n')
except BrokenPipeError:
    pass
sys.stdout.write(peer.makefile().readline())
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("users", [(), ("nobody",)], ids=["not named", "named"])
def test_user__another_one_for_real(users: tuple[str, ...]) -> None:
    """A process of another user may knock and is refused by the kernel's word, unless it is named in the configuration."""

    async def play(folder: Path) -> dict[str, Any]:
        served = Control(folder / "s", users, {"echo": echo}, Events(lambda: 0))
        running = asyncio.create_task(served.run())
        command = [sys.executable, "-I", "-c", OTHER_USER, str(folder / "s")]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
        running.cancel()
        await asyncio.wait([running])
        served.close()
        answer = json.loads(done.stdout)
        assert isinstance(answer, dict)
        return answer

    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        answer = asyncio.run(play(Path(folder)))
    allowed = {"ok": True, "asked": {"do": "echo"}, "user": "nobody"}
    assert answer == (allowed if users else {"ok": False, "error": NOT_ALLOWED})


def test_many__peers_above_the_limit_are_refused_until_one_leaves(serving: Serving, tmp_path: Path) -> None:
    """The peer above the limit is told so at once; when one has left, the next is served."""

    async def play() -> None:
        async with serving({"echo": echo}):
            peers = [await listener(tmp_path / "s") for _ in range(MAX_FOLLOWERS)]
            peers += [await asyncio.open_unix_connection(str(tmp_path / "s")) for _ in range(MAX_PEERS - MAX_FOLLOWERS)]
            with pytest.raises(RequestRefusedError, match=TOO_MANY):
                await ask(tmp_path / "s", {"do": "echo"})
            peers[0][1].close()
            await peers[0][1].wait_closed()
            await until_answered(tmp_path / "s")
            for _, writer in peers:
                writer.close()

    asyncio.run(play())


async def until_answered(path: Path) -> None:
    """Ask again until the agent has noticed that somebody left."""
    for _ in range(200):
        try:
            await ask(path, {"do": "echo"})
        except RequestRefusedError:
            await asyncio.sleep(0.01)
        else:
            return
    raise AssertionError("those who left are counted for ever")


def test_gone__listeners_make_room_though_nothing_happens(serving: Serving, tmp_path: Path) -> None:
    """Whoever followed events and left is forgotten at once, even when no event comes for hours."""

    async def play() -> None:
        async with serving({"echo": echo}) as events:
            for _ in range(3 * MAX_PEERS):
                _, writer = await listener(tmp_path / "s")
                writer.close()
                await writer.wait_closed()
                await until_answered(tmp_path / "s")
            assert len(events._listeners) <= 1

    asyncio.run(play())


def test_slow__half_a_line_holds_nobody_up_and_is_let_go(serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Peers that send half a line and wait are hung up on after a while, and others are answered meanwhile."""
    monkeypatch.setattr(control, "SLOW_PEER_S", 0.5)

    async def play() -> None:
        async with serving({"echo": echo}):
            halves = [await asyncio.open_unix_connection(str(tmp_path / "s")) for _ in range(MAX_PEERS - 1)]
            for _, writer in halves:
                writer.write(b'{"do":"ec')
            assert (await ask(tmp_path / "s", {"do": "echo"}))["asked"] == {"do": "echo"}
            assert [await asyncio.wait_for(reader.read(), 5) for reader, _ in halves] == [b""] * len(halves)
            for _, writer in halves:
                writer.close()

    asyncio.run(play())


def test_slow__a_handler_that_takes_long_holds_nobody_up(serving: Serving, tmp_path: Path) -> None:
    """While one peer waits for its answer, others are answered."""

    async def play() -> None:
        go_on = asyncio.Event()

        async def wait(_request: dict[str, Any], _user: str) -> dict[str, Any]:
            await go_on.wait()
            return {"waited": True}

        async with serving({"echo": echo, "wait": wait}):
            slow = asyncio.create_task(ask(tmp_path / "s", {"do": "wait"}))
            assert (await ask(tmp_path / "s", {"do": "echo"}))["ok"]
            assert not slow.done()
            go_on.set()
            assert await slow == {"ok": True, "waited": True}

    asyncio.run(play())


def test_refused__at_the_door_is_heard_by_who_is_slow_to_ask(serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who is turned away before the request was sent still gets the sentence, however late the request comes."""
    slow = protocol.encode

    def encode_late(message: dict[str, Any]) -> bytes:
        if threading.current_thread() is not threading.main_thread():
            time.sleep(0.1)
        return slow(message)

    async def play() -> None:
        async with serving({"echo": echo}, {os.getuid() + 1}):
            monkeypatch.setattr(protocol, "encode", encode_late)
            with pytest.raises(RequestRefusedError) as refused:
                await ask(tmp_path / "s", {"do": "echo"})
            assert str(refused.value) == NOT_ALLOWED

    asyncio.run(play())


@pytest.mark.parametrize("is_slow", [True, False], ids=["after a while", "far behind"])
def test_deaf__a_listener_that_never_reads_is_let_go(
    is_slow: bool, serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listener that does not read loses its connection and all that was kept for it; one that reads hears every event."""
    monkeypatch.setattr(control, "SLOW_PEER_S", 0.3)

    async def play() -> None:
        async with serving() as events:
            before = open_files()
            deaf = socket.socket(socket.AF_UNIX)
            deaf.connect(str(tmp_path / "s"))
            deaf.sendall(protocol.encode({"do": "events"}))
            reader, writer = await listener(tmp_path / "s")
            heard = 0
            for number in range(MAX_BEHIND * 8):
                events.publish("noise", number=number, words="x" * 1000)
                event = json.loads(await reader.readline())
                assert (event["number"], event["at_ms"]) == (number, 7)
                heard += 1
                if is_slow and number == MAX_BEHIND:
                    break
            await asyncio.sleep(0.8)
            assert heard == (MAX_BEHIND + 1 if is_slow else MAX_BEHIND * 8)
            assert len(events._listeners) == 1
            # the deaf peer's own end, and both ends of the one that reads
            assert open_files() - before == 3
            deaf.close()
            writer.close()

    asyncio.run(play())


def test_stop__ends_all_conversations_and_takes_the_socket_away(serving: Serving, tmp_path: Path) -> None:
    """When the agent stops, listeners and idle peers see the end, and the socket is gone."""

    async def play() -> None:
        async with serving():
            reader, writer = await listener(tmp_path / "s")
            idle, idle_writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
            await asyncio.sleep(0.05)
        assert (await reader.read(), await idle.read()) == (b"", b"")
        writer.close()
        idle_writer.close()

    asyncio.run(play())
    assert not (tmp_path / "s").exists()


def test_stop__an_unlock_under_way_does_not_harm_the_doorman() -> None:
    """Whoever asked for an unlock and is gone does not keep the doorman from saying that it is done."""
    done: Future[None] = Future()
    doorman: Any = SimpleNamespace(unlock=lambda _order: done)
    parts: Any = SimpleNamespace(doors={"front": None})
    nothing: Any = None
    shared: Any = {"reader_states": {}, "feeds": {}, "reports": {}, "screen": nothing}
    requests = Requests(settings=nothing, parts=parts, doorman=doorman, sender=nothing, events=Events(lambda: 0), version="0", **shared)

    async def play() -> None:
        asked = asyncio.create_task(requests._unlock({"door": "front", "reason": "why"}, "root"))
        await asyncio.sleep(0.01)
        asked.cancel()
        await asyncio.wait([asked])
        done.set_result(None)

    asyncio.run(play())
    assert done.result() is None


def test_lock__locks_every_door_though_one_relay_fails() -> None:
    """A relay that does not obey is told, and the doors after it are locked all the same."""
    locked: list[str] = []

    def broken() -> None:
        raise DriverError("GPIO17: the relay could not be driven locked.")

    doors = {"a": SimpleNamespace(lock=lambda: locked.append("a")), "b": SimpleNamespace(lock=broken)}
    doors["c"] = SimpleNamespace(lock=lambda: locked.append("c"), state=Lock.LOCKED)
    now = SimpleNamespace(guess_ms=0, interval=None)
    parts: Any = SimpleNamespace(doors=doors, clock=SimpleNamespace(now=lambda: now), upkeep=SimpleNamespace(note=lambda _note: None))
    nothing: Any = None
    shared: Any = {"reader_states": {}, "feeds": {}, "reports": {}, "screen": nothing}
    requests = Requests(settings=nothing, parts=parts, doorman=nothing, sender=nothing, events=Events(lambda: 0), version="0", **shared)
    with pytest.raises(DriverError, match=r"GPIO17: the relay could not be driven locked\."):
        asyncio.run(requests._lock({}, "root"))
    assert locked == ["a", "c"]


def test_socket__may_be_knocked_at_by_everybody_and_an_old_one_is_replaced(serving: Serving, tmp_path: Path) -> None:
    """The socket has mode 0666, since the kernel says who knocks; what a dead agent left behind is no obstacle."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "s"))

    async def play() -> None:
        async with serving({"echo": echo}):
            assert (tmp_path / "s").stat().st_mode & 0o777 == 0o666
            assert (await ask(tmp_path / "s", {"do": "echo"}))["ok"]

    asyncio.run(play())


def test_socket__that_cannot_be_made_is_told(tmp_path: Path) -> None:
    """A missing folder, and a path too long for a socket, are told with the path."""

    async def play(path: Path) -> None:
        Control(path, (), {}, Events(lambda: 0)).open()

    for path, why in ((tmp_path / "gone" / "s", "No such file or directory"), (tmp_path / ("x" * 108), "AF_UNIX path too long")):
        with pytest.raises(AgentError) as told:
            asyncio.run(play(path))
        assert str(told.value) == f"the control socket {path} cannot be made: {why}"


@pytest.mark.parametrize("answer", [b"", b'{"ok":tr', b"\xff\xfe\n", b"[]\n", b"5\n", b"[" * 100_000 + b"\n"], ids=["nothing", *"hblnd"])
def test_asking__what_does_not_answer_properly_is_no_agent(answer: bytes, tmp_path: Path) -> None:
    """A command that gets no answer, half of one, or none of ours ends with a sentence."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(tmp_path / "s"))
    server.listen()

    def serve() -> None:
        peer, _ = server.accept()
        peer.recv(1000)
        peer.sendall(answer)
        peer.close()

    thread = threading.Thread(target=serve)
    thread.start()
    with pytest.raises(AgentAbsentError, match=f"the agent at {tmp_path / 's'} (stopped answering|closed the connection)"):
        protocol.ask(tmp_path / "s", {"do": "status"})
    thread.join()
    server.close()
