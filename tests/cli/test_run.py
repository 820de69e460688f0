"""`tourlatch run`: what stops the start, how it ends, and that there is one agent a store; and the sandbox, which starts and ends."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import time
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from agent import protocol
from agent.core.clock import to_iso
from agent.demo.stage import Stage
from agent.store import files

Call = Callable[..., tuple[int, str, str]]
Program = Callable[..., "subprocess.Popen[str]"]
Drives = list[str]


def drives(folder: Path) -> Drives:
    """What the played relay was driven to, in its order."""
    log = folder / "relay-front.log"
    return [line.split()[1] for line in log.read_text("ascii").splitlines()] if log.exists() else []


def on_stage(folder: Path, play: Callable[[Stage], Awaitable[None]]) -> None:
    """Play with a running agent whose pulses are long."""

    async def all_of_it() -> None:
        stage = Stage(folder, replace={"pulse_s = 0.5": "pulse_s = 30.0", "max_pulse_s = 2.0": "max_pulse_s = 60.0"})
        await stage.open()
        try:
            await stage.start_agent()
            await play(stage)
        finally:
            await stage.close()

    asyncio.run(all_of_it())


def _no_device(site: Path) -> str:
    (site / "scanner").unlink()
    return str(site / "scanner")


def _unknown_driver(site: Path) -> str:
    text = (site / "agent.toml").read_text()
    (site / "agent.toml").write_text(text.replace('driver = "serial"', 'driver = "telepathy"'))
    return "telepathy"


def _no_secret(site: Path) -> str:
    (site / "prospect-key").unlink()
    return str(site / "prospect-key")


def _open_secret(site: Path) -> str:
    (site / "appointment-key").chmod(0o644)
    return str(site / "appointment-key")


def _no_public_key(site: Path) -> str:
    for path in (site / "keys").glob("*.pub.toml"):
        path.unlink()
    return str(site / "keys")


def _damaged_key(site: Path) -> str:
    (path,) = (site / "keys").glob("*.pub.toml")
    path.write_text("public = 5\n")
    return path.name


def _no_keys_folder(site: Path) -> str:
    shutil.rmtree(site / "keys")
    return str(site / "keys")


def _no_socket_folder(site: Path) -> str:
    text = (site / "agent.toml").read_text()
    (site / "agent.toml").write_text(text.replace("/agent.sock", "/gone/agent.sock"))
    return str(site / "gone")


def _no_store_folder(site: Path) -> str:
    text = (site / "agent.toml").read_text()
    (site / "agent.toml").write_text(text.replace("/journal.db", "/gone/journal.db"))
    return str(site / "gone")


def _no_store(site: Path) -> str:
    (site / "journal.db").write_bytes(b"no database " * 100)
    return str(site / "journal.db")


def _no_relay(site: Path) -> str:
    text = (site / "agent.toml").read_text()
    (site / "agent.toml").write_text(text.replace("/relay-front", "/gone/relay-front"))
    return str(site / "gone" / "relay-front")


def _no_config(site: Path) -> str:
    (site / "agent.toml").unlink()
    return str(site / "agent.toml")


KEPT_SHUT = [
    _no_device,
    _no_secret,
    _open_secret,
    _no_public_key,
    _damaged_key,
    _no_keys_folder,
    _no_socket_folder,
    _no_store_folder,
    _no_store,
]
UNTOUCHED = [_unknown_driver, _no_relay, _no_config]


@pytest.mark.parametrize("spoil", [*KEPT_SHUT, *UNTOUCHED], ids=lambda spoil: spoil.__name__.strip("_"))
def test_start__is_stopped_by_what_is_missing(spoil: Callable[[Path], str], site: Path, program: Program) -> None:
    """Whatever is missing stops the start with its name in one line and 1, the relay locked first where it can be, and never released."""
    master, line = os.openpty()
    (site / "scanner").symlink_to(os.ttyname(line))
    (site / "relay-front").write_bytes(b"1")
    name = spoil(site)
    before = {path: path.read_bytes() for path in site.rglob("*") if path.is_file() and path.name != "relay-front"}
    process = program("run", "-c", site / "agent.toml")
    out, err = process.communicate(timeout=20)
    os.close(master)
    os.close(line)
    assert (process.returncode, out) == (1, "")
    assert err.startswith('"cannot start" because=')
    assert name in err
    assert err.count("\n") == 1
    is_driven = spoil in KEPT_SHUT
    assert (site / "relay-front").read_bytes() == (b"0" if is_driven else b"1")
    assert set(drives(site)) == ({"locked"} if is_driven else set())
    assert {path: path.read_bytes() for path in before} == before
    assert not (site / "agent.sock").exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stop__mid_pulse_locks_and_is_gone_in_two_seconds(number: signal.Signals, tmp_path: Path) -> None:
    """A signal in the middle of a pulse, with a follower, a silent peer and one that does not read, ends with 0, locked, in 2 s."""

    async def play(stage: Stage) -> None:
        peers = [await asyncio.open_unix_connection(str(tmp_path / "agent.sock")) for _ in range(3)]
        for _, writer in peers[1:]:
            writer.write(protocol.encode({"do": "events"}))
        peers[2][0]._transport.pause_reading()  # type: ignore[attr-defined]  # a peer that does not read
        await stage.ask({"do": "unlock", "door": "front", "reason": "drill"})
        assert stage.relay_level() == "released"
        agent = stage._agent
        assert agent is not None
        began_s = time.monotonic()
        agent.send_signal(number)
        assert await asyncio.to_thread(agent.wait, 10) == 0
        assert time.monotonic() - began_s < 2
        assert stage.relay_level() == "locked"
        for _, writer in peers:
            writer.close()

    on_stage(tmp_path, play)
    assert not (tmp_path / "agent.sock").exists()
    kinds = [row["kind"] for row in files.rows(tmp_path / "journal.db", "SELECT kind FROM journal ORDER BY seq")]
    assert (kinds[0], kinds.count("unlock"), kinds[-1]) == ("start", 1, "stop")
    assert "raceback" not in (tmp_path / "agent.log").read_text()


def test_second__agent_on_a_store_refuses_and_does_not_disturb_the_first(tmp_path: Path, program: Program, call: Call) -> None:
    """A second agent on the same store ends with 1 and says why; the first one goes on answering and opening."""

    async def play(stage: Stage) -> None:
        second = program("run", "-c", stage.config_path)
        out, err = await asyncio.to_thread(second.communicate, timeout=20)
        because = json.dumps(f"another tourlatch process holds the store {tmp_path / 'journal.db'} (there is one agent per folder)")
        assert (second.returncode, out, err) == (1, "", f'"cannot start" because={because}\n')
        await stage.ask({"do": "unlock", "door": "front", "reason": "drill"})
        assert stage.relay_level() == "released"
        assert (await asyncio.to_thread(call, "status", "-c", stage.config_path))[0] == 0
        assert (await stage.ask({"do": "status"}))["doors"]["front"]["state"] == "released"

    on_stage(tmp_path, play)
    kinds = [row["kind"] for row in files.rows(tmp_path / "journal.db", "SELECT kind FROM journal ORDER BY seq")]
    assert kinds.count("start") == 1


def test_killed__mid_pulse_is_locked_by_the_command_and_by_the_next_start(tmp_path: Path, call: Call) -> None:
    """A line that SIGKILL left released is locked by `tourlatch lock`, as the service does, and a new agent begins locked."""

    async def play(stage: Stage) -> None:
        await stage.ask({"do": "unlock", "door": "front", "reason": "drill"})
        await stage.kill_agent()
        assert stage.relay_level() == "released"
        assert await asyncio.to_thread(call, "lock", "-c", stage.config_path) == (0, "Locked: front.\n", "")
        assert stage.relay_level() == "locked"
        await stage.start_agent()
        assert (await stage.ask({"do": "status"}))["doors"]["front"]["state"] == "locked"

    on_stage(tmp_path, play)


def test_after__a_stop_the_store_is_free_and_a_visit_is_still_there(tmp_path: Path, call: Call) -> None:
    """What was admitted while Knock was away is in the queue after the stop, for the commands that open the store themselves."""

    async def play(stage: Stage) -> None:
        await stage.admin("PUT", "/faults/*", {"kind": "refuse"})
        now_ms = int(time.time()) * 1000
        stage.scan(stage.sign({"appointmentId": 5, "prospectId": 6}, to_iso(now_ms - 60_000), to_iso(now_ms + 60_000)))
        await stage.event("admitted")

    on_stage(tmp_path, play)
    queue: list[dict[str, Any]] = json.loads(call("outbox", "list", "--json", "-c", tmp_path / "agent.toml")[1])
    assert [(row["appointment_id"], row["state"] in ("due", "sending")) for row in queue] == [("5", True)]
    with files.held(tmp_path / "journal.db"):
        pass


def test_sandbox__starts_answers_and_ends(program: Program) -> None:
    """`tourlatch sandbox --json` prints one JSON value with two addresses that answer, and ends with 0 at a signal."""
    process = program("sandbox", "--port", "0", "--admin-port", "0", "--json")
    assert process.stdout is not None
    ready = json.loads(process.stdout.readline())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(ready["admin_url"] + "/healthz", timeout=10) as answer:
        assert json.loads(answer.read())["status"] == "ok"
    process.send_signal(signal.SIGINT)
    assert process.communicate(timeout=10) == ("", "")
    assert process.returncode == 0
