"""The user of a screen's page: what it may ask for, how much of it, and that nobody else notices."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from agent import protocol
from agent.daemon import control
from agent.daemon.control import KIOSK_MAY, MAX_FOLLOWERS, MAX_KIOSK_FOLLOWERS, MAX_KIOSK_LINE_BYTES, MAX_KIOSK_PEERS, Control, _Pace
from agent.daemon.events import Events
from agent.errors import ConfigError, RequestRefusedError, ScreenRefusedError
from tests.control.test_peers import OTHER_USER, TOO_MANY, ask, echo, listener, until_answered

Serving = Callable[..., AbstractAsyncContextManager[Events]]
ME = os.getuid()
NOT_THIS = "a screen's page may only ask for status, events, screen_pin, screen_help, screen_staff"
AS_KIOSK: dict[str, Any] = {"allowed": set(), "kiosks": {ME}}
STAFFS = ("unlock", "lock", "roster", "outbox_retry", "outbox_drop")


@pytest.fixture(autouse=True)
def unhurried(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test but those of the pace waits for it."""
    if "pace" not in request.node.name:
        monkeypatch.setattr(control, "KIOSK_A_SECOND", 10_000.0)


def test_ok__what_a_page_needs_is_answered(serving: Serving, tmp_path: Path) -> None:
    """Status, a PIN, help and staff's reach their handlers; events are followed."""

    async def play() -> None:
        async with serving(dict.fromkeys(KIOSK_MAY, echo), **AS_KIOSK):
            for name in KIOSK_MAY:
                if name not in {"events", "status"}:  # of these it sees what test_glimpse says
                    assert (await ask(tmp_path / "s", {"do": name}))["asked"] == {"do": name}
            _, writer = await listener(tmp_path / "s")
            writer.close()

    asyncio.run(play())


@pytest.mark.parametrize("name", [*STAFFS, "handlers", "", "STATUS", "status ", None, 5, ["status"], {"status": 1}, True])
def test_fail__nothing_else_is_and_no_handler_runs(serving: Serving, tmp_path: Path, name: object) -> None:
    """What staff and the other programs may have done is refused by one sentence that lists nothing of theirs."""
    asked: list[object] = []

    async def note(request: dict[str, Any], _user: str) -> dict[str, Any]:
        asked.append(request)
        return {}

    async def play() -> None:
        async with serving(dict.fromkeys(STAFFS, note), **AS_KIOSK):
            with pytest.raises(RequestRefusedError) as refused:
                await ask(tmp_path / "s", {"do": name, "user": "root"})
            assert str(refused.value) == NOT_THIS

    asyncio.run(play())
    assert asked == []


def test_ok__staff_keep_everything(serving: Serving, tmp_path: Path) -> None:
    """A user who may do all may do what a screen does, too."""

    async def play() -> None:
        async with serving(dict.fromkeys(("unlock", "screen_pin"), echo)):
            for name in ("unlock", "screen_pin"):
                assert (await ask(tmp_path / "s", {"do": name}))["ok"]

    asyncio.run(play())


def test_ok__a_refusal_tells_the_page_which(serving: Serving, tmp_path: Path) -> None:
    """The sentence is for a log, the reason for the page's own words."""

    async def refuse(_request: dict[str, Any], _user: str) -> dict[str, Any]:
        raise ScreenRefusedError("wrong_pin", "this is not staff's PIN")

    async def play() -> None:
        async with serving({"screen_staff": refuse}, **AS_KIOSK):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
            writer.write(protocol.encode({"do": "screen_staff"}))
            assert json.loads(await reader.readline()) == {"ok": False, "error": "this is not staff's PIN", "reason": "wrong_pin"}
            writer.close()

    asyncio.run(play())


@pytest.mark.parametrize("who", [os.getuid(), 0], ids=["the agent's own", "root"])
def test_fail__a_page_that_would_have_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, who: int) -> None:
    """An agent whose page runs as its own user, or as root, does not start."""
    monkeypatch.setattr(control, "pwd", type("Users", (), {"getpwnam": lambda _name: type("User", (), {"pw_uid": who})}))
    with pytest.raises(ConfigError, match="may do everything: take another"):
        Control(tmp_path / "s", (), {}, Events(lambda: 0), ("kiosk",))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
@pytest.mark.parametrize("name", ["screen_help", "lock"])
def test_ok__another_user_for_real(name: str) -> None:
    """A process of the page's user is told apart by the kernel: it gets its answer, and not what is staff's."""

    async def play(folder: Path) -> Any:  # noqa: ANN401 - JSON
        served = Control(folder / "s", (), {"screen_help": echo, "lock": echo}, Events(lambda: 0), ("nobody",))
        running = asyncio.create_task(served.run())
        script = OTHER_USER.replace('"echo"', f'"{name}"')
        command = [sys.executable, "-I", "-c", script, str(folder / "s")]
        done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=True)
        running.cancel()
        await asyncio.wait([running])
        served.close()
        return json.loads(done.stdout)

    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        answer = asyncio.run(play(Path(folder)))
    right = {"ok": True, "asked": {"do": "screen_help"}, "user": "nobody"}
    assert answer == (right if name == "screen_help" else {"ok": False, "error": NOT_THIS})


def test_many__connections_of_pages_beyond_their_share_are_turned_away(serving: Serving, tmp_path: Path) -> None:
    """However many a page opens: nothing is kept for those."""

    async def play() -> None:
        async with serving({"lock": echo, "status": echo}, **AS_KIOSK):
            peers = [await asyncio.open_unix_connection(str(tmp_path / "s")) for _ in range(4 * MAX_KIOSK_PEERS)]
            ends = [asyncio.create_task(reader.readline()) for reader, _ in peers]
            await asyncio.wait(ends, timeout=0.2)
            turned_away = [end for end in ends if end.done()]
            assert len(turned_away) == 3 * MAX_KIOSK_PEERS
            assert {json.loads(end.result())["error"] for end in turned_away} == {TOO_MANY}
            assert len(control_tasks()) == MAX_KIOSK_PEERS
            for _, writer in peers:
                writer.close()
            await asyncio.wait(ends)

    asyncio.run(play())


def test_many__staff_find_a_place_beside_all_pages(serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With every place of the pages taken, staff ask, and follow events; one page that leaves makes room for the next."""
    uids = [ME]
    monkeypatch.setattr(control, "_peer_uid", lambda _writer: uids[0])

    async def play() -> None:
        async with serving({"echo": echo, "status": echo}, allowed={ME + 1}, kiosks={ME}):
            pages = [await listener(tmp_path / "s") for _ in range(MAX_KIOSK_FOLLOWERS)]
            with pytest.raises(RequestRefusedError, match=f"{MAX_KIOSK_FOLLOWERS} others follow the events already"):
                await ask(tmp_path / "s", {"do": "events"})
            others = [await asyncio.open_unix_connection(str(tmp_path / "s")) for _ in range(MAX_KIOSK_PEERS - MAX_KIOSK_FOLLOWERS)]
            with pytest.raises(RequestRefusedError, match=TOO_MANY):
                await ask(tmp_path / "s", {"do": "status"})
            uids[0] = ME + 1
            await until_answered(tmp_path / "s")
            followers = [await listener(tmp_path / "s") for _ in range(MAX_FOLLOWERS - MAX_KIOSK_FOLLOWERS)]
            for _, writer in [*pages, *others, *followers]:
                writer.close()
            uids[0] = ME
            await until_gone()
            _, writer = await listener(tmp_path / "s")
            writer.close()

    asyncio.run(play())


def control_tasks() -> list[asyncio.Task[Any]]:
    """The conversations under way."""
    return [task for task in asyncio.all_tasks() if "_serve" in str(task)]


@pytest.mark.parametrize("end", [b"\n", b""], ids=["a whole line", "no end"])
def test_long__lines_are_hung_up_on(serving: Serving, tmp_path: Path, end: bytes) -> None:
    """What a page has to say is short: longer is neither decoded nor kept."""
    padded = b'{"do":"status","pad":"' + b"x" * (MAX_KIOSK_LINE_BYTES if end else 3_000_000) + b'"}' + end

    async def play() -> None:
        async with serving({"status": echo}, **AS_KIOSK):
            reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
            writer.write(padded)
            told = {"ok": False, "error": f"a request has at most {MAX_KIOSK_LINE_BYTES} bytes"}
            assert json.loads(await asyncio.wait_for(reader.readline(), 10)) == told
            writer.close()
            await until_gone()

    asyncio.run(play())


async def until_gone() -> None:
    """No conversation is under way any more."""
    for _ in range(500):
        if not control_tasks():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the conversation goes on")


def test_follower__that_talks_is_hung_up_on(serving: Serving, tmp_path: Path) -> None:
    """A page that follows events has nothing to say: a flood of words is not read."""

    async def play() -> None:
        async with serving({}, **AS_KIOSK):
            reader, writer = await listener(tmp_path / "s")
            writer.write(b"x")
            assert await asyncio.wait_for(reader.read(), 10) == b""
            writer.close()

    asyncio.run(play())


def test_pace__a_seconds_worth_at_once_and_then_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty turns pass at once, the next waits its turn; after a quiet hour there are no more than twenty again."""
    now_s = 1000.0
    slept: list[float] = []

    async def sleep(for_s: float) -> None:
        if for_s > 1e-6:  # what the floats lose
            slept.append(round(for_s, 6))

    monkeypatch.setattr(control, "time", type("Clock", (), {"monotonic": staticmethod(lambda: now_s)}))
    monkeypatch.setattr("asyncio.sleep", sleep)

    async def play() -> None:
        nonlocal now_s
        pace = _Pace(20.0)
        for _ in range(23):
            await pace.turn()
        assert slept == [0.05, 0.1, 0.15]
        now_s += 3600
        for _ in range(21):
            await pace.turn()
        assert slept == [0.05, 0.1, 0.15, 0.05]

    asyncio.run(play())


def test_pace__is_of_all_pages_together_and_not_of_staff(serving: Serving, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood over all its connections, garbage among it, is looked at so often a second; staff are answered meanwhile."""
    monkeypatch.setattr(control, "KIOSK_A_SECOND", 20.0)
    uids, looked_at = [ME], 0

    async def count(_request: dict[str, Any], _user: str) -> dict[str, Any]:
        nonlocal looked_at
        looked_at += 1
        return {}

    monkeypatch.setattr(control, "_peer_uid", lambda _writer: uids[0])

    async def play() -> None:
        async with serving({"status": count, "echo": echo}, allowed={ME + 1}, kiosks={ME}):
            began_s = time.monotonic()
            peers = [await asyncio.open_unix_connection(str(tmp_path / "s")) for _ in range(MAX_KIOSK_PEERS)]
            for _, writer in peers:
                writer.write(b'{"do":"status"}\n{"do":"lock"}\nnonsense\n' * 2000)
            await asyncio.sleep(0.3)
            uids[0] = ME + 1
            for _ in range(20):
                assert (await ask(tmp_path / "s", {"do": "echo"}))["ok"]
            took_s = time.monotonic() - began_s
            # a second's worth at once, then so many a second; a third of them are asked for the status
            assert 0 < looked_at <= 20 * (1 + took_s)
            for _, writer in peers:
                writer.transport.abort()

    asyncio.run(play())


def test_many__who_asks_waits_for_a_place_among_those_who_knock(tmp_path: Path) -> None:
    """With more knocking than the kernel keeps, a command waits its turn instead of saying that no agent answers."""
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(str(tmp_path / "s"))
        door.listen(0)
        with socket.socket(socket.AF_UNIX) as other, ThreadPoolExecutor(1) as commands:
            other.connect(str(tmp_path / "s"))
            asked = commands.submit(protocol.ask, tmp_path / "s", {"do": "lock"})
            time.sleep(0.05)
            assert not asked.done()
            door.accept()[0].close()
            peer, _ = door.accept()
            with peer, peer.makefile("rb") as lines:
                assert json.loads(lines.readline()) == {"do": "lock"}
                peer.sendall(b'{"ok":true}\n')
            assert asked.result(10) == {"ok": True}
