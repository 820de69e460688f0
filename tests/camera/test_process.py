"""The whole way: a picture in the folder, the camera process, the agent's process, the played relay; and how either end dies."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from agent.camera.run import reader_of
from agent.config import parse
from agent.demo.stage import Stage, configuration
from agent.errors import ConfigError
from agent.settings.agent import AgentSettings
from tests.camera import scene
from tests.camera.conftest import ME, CameraProcess

LIMIT_S = 20.0
STOP_S = 2.0
FOREIGN = "HTTPS://EXAMPLE.COM/MENU"
SERIAL = "reader = [{ driver"


def lens(folder: Path, name: str = "lens") -> str:
    """A camera as a reader in the configuration."""
    return f'{{ driver = "camera", name = "{name}", socket = "{folder}/{name}.sock", user = "{ME}", frames_per_s = 20 }}'


def on_stage(folder: Path, play: Callable[[Stage], Awaitable[None]]) -> None:
    """Run a coroutine function with a running agent that has a camera and a scanner."""

    async def all_of_it() -> None:
        stage = Stage(folder, replace={SERIAL: f"reader = [{lens(folder)}, {{ driver"})
        await stage.open()
        try:
            await stage.start_agent()
            await play(stage)
        finally:
            await stage.close()

    asyncio.run(all_of_it())


def good_code(stage: Stage, number: int) -> str:
    """A code that is good now."""
    now = int(time.time())
    start, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + offset)) for offset in (-60, 600))
    return stage.sign({"appointmentId": 1000 + number, "prospectId": 5000 + number}, start, end)


async def said(camera: CameraProcess, words: str, after_chars: int = 0) -> None:
    """Wait for words in the camera process's log."""
    async with asyncio.timeout(LIMIT_S):
        while words not in camera.log()[after_chars:]:  # noqa: ASYNC110 - another process says it
            await asyncio.sleep(0.02)


async def start(stage: Stage, camera: CameraProcess) -> subprocess.Popen[bytes]:
    """Start the camera process and wait until the agent calls it ready."""
    log_chars = len(camera.log())
    process = camera.start(stage.config_path)
    await stage.event("reader_ready")
    await said(camera, "watching", log_chars)
    await said(camera, "agent_there", log_chars)
    return process


def test_ok__a_picture_of_a_booked_code_opens_the_door(tmp_path: Path, camera: CameraProcess) -> None:
    """A tilted, noisy picture of a genuine code moves the relay, once; a foreign code is refused; a picture leaves no trace in a log."""

    async def play(stage: Stage) -> None:
        await start(stage, camera)
        text = good_code(stage, 1)
        shown_ns = time.monotonic_ns()
        camera.show(scene.tilted(text, 30.0, random.Random(1)))  # noqa: S311 - the same each time
        admitted = await stage.event("admitted", "refused")
        assert (admitted["event"], admitted["reader"], admitted["appointment_id"]) == ("admitted", "lens", "1001")
        released_ns = await stage.relay_record("released", shown_ns)
        await stage.relay_record("locked", released_ns)
        camera.show(scene.placed(scene.printed(FOREIGN), 8))
        refused = await stage.event("admitted", "refused")
        assert (refused["event"], refused["reader"]) == ("refused", "lens")
        released = [line for line in stage.relay_log.read_text("ascii").splitlines() if line.endswith("released")]
        assert len(released) == 1
        assert text not in camera.log()
        assert FOREIGN not in camera.log()

    on_stage(tmp_path, play)


def test_ok__a_killed_camera_process_is_lost_and_harms_nobody(tmp_path: Path, camera: CameraProcess) -> None:
    """SIGKILL is told as a lost reader, the scanner beside it opens the door, and a new process heals it."""

    async def play(stage: Stage) -> None:
        process = await start(stage, camera)
        process.kill()
        process.wait()
        lost = await stage.event("reader_lost")
        assert lost["reader"] == "lens"
        shown_ns = stage.scan(good_code(stage, 2))
        await stage.relay_record("locked", await stage.relay_record("released", shown_ns))
        await start(stage, camera)
        camera.show(scene.placed(scene.printed(good_code(stage, 3)), 4))
        while (admitted := await stage.event("admitted"))["reader"] != "lens":
            pass
        assert admitted["appointment_id"] == "1003"

    on_stage(tmp_path, play)


def test_ok__a_restarted_agent_is_found_again_and_sigterm_ends_at_once(tmp_path: Path, camera: CameraProcess) -> None:
    """The camera process outlives the agent, comes back to the next one by itself, and leaves within two seconds when told to."""

    async def play(stage: Stage) -> None:
        process = await start(stage, camera)
        await stage.kill_agent()
        await said(camera, "agent_away")
        log_chars = len(camera.log())
        await stage.start_agent()
        status = await stage.ask({"do": "status"})
        async with asyncio.timeout(LIMIT_S):
            while "ready" not in str(status["doors"]["front"]["readers"]["lens"]):
                await asyncio.sleep(0.05)
                status = await stage.ask({"do": "status"})
        await said(camera, "agent_there", log_chars)
        camera.show(scene.placed(scene.printed(good_code(stage, 4)), 4))
        assert (await stage.event("admitted"))["reader"] == "lens"
        process.terminate()
        assert await asyncio.to_thread(process.wait, STOP_S + LIMIT_S) == 0

    on_stage(tmp_path, play)


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    """A configuration with a camera, and no agent."""
    path = tmp_path / "agent.toml"
    path.write_text(configuration().replace(SERIAL, f"reader = [{lens(tmp_path)}, {{ driver"), "utf-8")
    return path


@pytest.fixture
def notified(tmp_path: Path) -> Iterator[socket.socket]:
    """What systemd would hear."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(LIMIT_S)
        yield listener


def test_ok__systemd_is_told(tmp_path: Path, camera: CameraProcess, config_path: Path, notified: socket.socket) -> None:
    """Ready after the first picture though no agent runs, the watchdog fed from then on, and the end told."""
    process = camera.start(config_path, env={"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "300000"})
    heard = [notified.recv(1000).decode() for _ in range(4)]
    assert heard == [f"READY=1\nSTATUS=Watching {camera.pictures}", "WATCHDOG=1", "WATCHDOG=1", "WATCHDOG=1"]
    began_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(LIMIT_S) == 0
    assert time.monotonic() - began_s < LIMIT_S
    notified.settimeout(0)
    rest = []
    with suppress(BlockingIOError):
        while True:
            rest.append(notified.recv(1000).decode())
    assert rest[-1] == "STOPPING=1"


def test_fail__a_camera_that_goes_ends_the_process(
    tmp_path: Path, camera: CameraProcess, config_path: Path, notified: socket.socket
) -> None:
    """A source that fails is a sentence and exit status 1, for systemd to start anew; it feeds no watchdog any more."""
    process = camera.start(config_path, env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    assert notified.recv(1000).startswith(b"READY=1")
    camera.pictures.rmdir()
    assert process.wait(LIMIT_S) == 1
    assert "cannot be read any more" in camera.log()
    assert "Traceback" not in camera.log()


def test_fail__no_picamera2_stops_the_start(config_path: Path) -> None:
    """Without --pictures the camera itself is wanted: what is missing is named, and nothing stands in for it."""
    command = [sys.executable, "-m", "agent.cli", "camera", "-c", str(config_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, env=os.environ | {"PYTHONWARNINGS": ""})
    if "camera 0 cannot be had" in done.stderr:
        pytest.skip("this machine has picamera2, and no camera")
    assert done.returncode == 1
    assert "apt install python3-picamera2" in done.stderr
    assert "Traceback" not in done.stderr


def _settings(tmp_path: Path, *names: str) -> AgentSettings:
    reader = [
        {"driver": "camera", "name": name, "socket": str(tmp_path / name), "user": ME, "camera": index} for index, name in enumerate(names)
    ]
    return parse(
        {
            "community_id": "1001",
            "time_zone": "UTC",
            "door": [
                {
                    "name": "front",
                    "relay": {"driver": "played", "path": str(tmp_path / "relay")},
                    "reader": reader or [{"driver": "serial", "name": "scanner", "port": "/dev/null"}],
                }
            ],
        },
        "test",
    )


def test_ok__which_camera_is_meant(tmp_path: Path) -> None:
    """The only one needs no name; one of several does."""
    assert reader_of(_settings(tmp_path, "lens"), None).name == "lens"
    assert reader_of(_settings(tmp_path, "lens", "yard"), "yard").name == "yard"


@pytest.mark.parametrize(
    ("names", "name", "words"),
    [
        ((), None, 'no reader with driver = "camera"'),
        (("lens", "yard"), None, "several cameras, name one: lens, yard"),
        (("lens", "yard"), "attic", "no camera attic; there is: lens, yard"),
    ],
)
def test_fail__no_camera_of_that_name(tmp_path: Path, names: tuple[str, ...], name: str | None, words: str) -> None:
    """A slip is a sentence with the names that there are."""
    with pytest.raises(ConfigError, match=words):
        reader_of(_settings(tmp_path, *names), name)
