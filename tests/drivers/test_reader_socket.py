"""The camera's socket: who may hand over codes, what becomes of what is sent, and how a process that goes is told."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from drivers import registry
from drivers.base import DeviceMissingError, Frame, ReaderState
from drivers.reader_socket import FRAMES_PER_S, SocketReader

LIMIT_S = 20.0
ME = pwd.getpwuid(os.getuid()).pw_name
OTHER = 65534


class Held:
    """A running reader with everything that it told."""

    def __init__(self, path: Path, **options: float) -> None:
        self.path = path
        self.frames: list[bytes] = []
        self.states: list[ReaderState] = []
        self.words: list[str] = []
        self.told = asyncio.Event()
        self.writers: list[asyncio.StreamWriter] = []
        self.reader = SocketReader("camera", str(path), ME, first_retry_s=0.02, max_retry_s=0.05, **options)  # type: ignore[arg-type]
        self.reader.open()
        self.task = asyncio.get_running_loop().create_task(self.reader.run(self._on_frame, self._on_state))

    def _on_frame(self, frame: Frame) -> None:
        assert 0 <= time.monotonic_ns() - frame.at_ns < LIMIT_S * 1e9
        self.frames.append(b"overlong" if frame.overlong else frame.data)
        self.told.set()

    def _on_state(self, state: ReaderState, sentence: str) -> None:
        self.states.append(state)
        self.words.append(sentence)
        self.told.set()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait for something that is told."""
        async with asyncio.timeout(LIMIT_S):
            while not holds():
                self.told.clear()
                await self.told.wait()

    async def knock(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter, bytes]:
        """Connect, and hear the greeting."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        self.writers.append(writer)
        async with asyncio.timeout(LIMIT_S):
            return reader, writer, await reader.readline()

    async def enter(self) -> asyncio.StreamWriter:
        """Be taken in, however often that has to be tried."""
        async with asyncio.timeout(LIMIT_S):
            while True:
                _, writer, greeting = await self.knock()
                if greeting == b"ok\n":
                    return writer
                writer.close()


def play(tmp_path: Path, story: Callable[[Held], Awaitable[None]], **options: float) -> Held:
    """Run a story beside a reader, and end the reader."""

    async def all_of_it() -> Held:
        held = Held(tmp_path / "camera.sock", **options)
        try:
            await story(held)
        finally:
            held.task.cancel()
            await asyncio.gather(held.task, return_exceptions=True)
            for writer in held.writers:
                writer.transport.abort()
        return held

    return asyncio.run(all_of_it())


def test_ok__lines_are_frames(tmp_path: Path) -> None:
    """Each line is one frame, however it was cut on its way, and empty lines are signs of life alone."""

    async def story(held: Held) -> None:
        writer = await held.enter()
        for piece in (b"\n\nfir", b"st\nsecond\n\n", b"\n", b"third\n"):
            writer.write(piece)
            await writer.drain()
        await held.until(lambda: len(held.frames) == 3)

    held = play(tmp_path, story)
    assert held.frames == [b"first", b"second", b"third"]
    assert held.states == [ReaderState.LOST, ReaderState.READY]


def test_ok__a_process_that_goes_is_lost_and_the_next_one_is_ready(tmp_path: Path) -> None:
    """Each end is told with a sentence that names reader and socket, and who comes next is taken in without anybody's help."""

    async def story(held: Held) -> None:
        for turn in (1, 2, 3):
            writer = await held.enter()
            await held.until(lambda turn=turn: held.states.count(ReaderState.READY) == turn)  # type: ignore[misc]  # a bound default
            writer.close()
            await held.until(lambda turn=turn: held.states.count(ReaderState.LOST) == turn + 1)  # type: ignore[misc]  # a bound default

    held = play(tmp_path, story)
    assert held.states == [ReaderState.LOST, *[ReaderState.READY, ReaderState.LOST] * 3]
    assert all("Reader camera" in words and str(held.path) in words for words in held.words)


def test_ok__half_a_line_of_one_process_is_not_joined_to_the_next_ones(tmp_path: Path) -> None:
    """What a process left unfinished is gone with it."""

    async def story(held: Held) -> None:
        writer = await held.enter()
        writer.write(b"half of")
        await writer.drain()
        writer.close()
        await held.until(lambda: held.states[-1] is ReaderState.LOST and len(held.states) == 3)
        writer = await held.enter()
        writer.write(b"whole\n")
        await held.until(lambda: bool(held.frames))

    assert play(tmp_path, story).frames == [b"whole"]


def test_fail__a_process_that_falls_silent_is_lost(tmp_path: Path) -> None:
    """Connected is not alive: without a sign of life it is hung up on, and its own end hears of it."""

    async def story(held: Held) -> None:
        reader, _, greeting = await held.knock()
        assert greeting == b"ok\n"
        async with asyncio.timeout(LIMIT_S):
            assert await reader.read() == b""
        await held.until(lambda: len(held.states) == 3)

    held = play(tmp_path, story, silent_s=0.2)
    assert held.states == [ReaderState.LOST, ReaderState.READY, ReaderState.LOST]
    assert "no sign of life" in held.words[-1]


def test_ok__signs_of_life_keep_it_ready(tmp_path: Path) -> None:
    """A process that reads no code for long, and says that it lives, is not lost."""

    async def story(held: Held) -> None:
        writer = await held.enter()
        for _ in range(30):
            writer.write(b"\n")
            await asyncio.sleep(0.1)

    assert play(tmp_path, story, silent_s=2.0).states == [ReaderState.LOST, ReaderState.READY]


def test_fail__a_second_process_is_turned_away(tmp_path: Path) -> None:
    """One at a time: the second hears why, and the first is not disturbed."""

    async def story(held: Held) -> None:
        writer = await held.enter()
        reader, _, greeting = await held.knock()
        assert greeting.startswith(b"another camera process is here")
        assert await reader.read() == b""
        writer.write(b"still here\n")
        await held.until(lambda: bool(held.frames))

    held = play(tmp_path, story)
    assert (held.frames, held.states) == ([b"still here"], [ReaderState.LOST, ReaderState.READY])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be another user")
def test_denied__another_user(tmp_path: Path) -> None:
    """Whoever the kernel says is not the camera's user is told so, and nothing of what it sends is looked at."""
    knock = f"""
import os, socket, sys
os.setgid({OTHER}); os.setuid({OTHER})
with socket.socket(socket.AF_UNIX) as sock:
    sock.connect(sys.argv[1])
    try:
        sock.sendall(b"TL1:forged\\n")
    except OSError:
        pass
    print(sock.recv(1000).decode())
"""

    async def story(held: Held) -> None:
        for folder in [tmp_path, *tmp_path.parents]:
            if folder.stat().st_uid == os.getuid() and "pytest" in str(folder):
                folder.chmod(0o755)
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", knock, str(held.path), stdout=subprocess.PIPE)
        async with asyncio.timeout(LIMIT_S):
            said, _ = await process.communicate()
        assert said.decode().startswith("this user may not hand over codes")
        # and its place is free
        await held.enter()
        await held.until(lambda: held.states[-1] is ReaderState.READY)

    assert play(tmp_path, story).frames == []


def test_fail__a_flood_of_codes_is_hung_up_on(tmp_path: Path) -> None:
    """More codes in a second than a camera reads are not handed on, and the process that sends them is lost."""

    async def story(held: Held) -> None:
        writer = await held.enter()
        writer.write(b"".join(b"%d\n" % number for number in range(5000)))
        await held.until(lambda: held.states[-1] is ReaderState.LOST and len(held.states) == 3)

    held = play(tmp_path, story)
    assert held.frames == [b"%d" % number for number in range(FRAMES_PER_S)]
    assert "more than" in held.words[-1]


def test_fail__endless_lines_are_thrown_away(tmp_path: Path) -> None:
    """A line without an end is one overlong frame, and what comes after it is read as ever."""

    async def story(held: Held) -> None:
        writer = await held.enter()
        writer.write(b"x" * 20_000 + b"\nafterwards\n")
        await held.until(lambda: b"afterwards" in held.frames)

    assert play(tmp_path, story).frames == [b"overlong", b"afterwards"]


@pytest.mark.parametrize("rubbish", [bytes(range(256)), b"\xff\xfe\x00" * 100, b'{"do":"unlock","door":"front"}\n', b"\x1b[2J\x07\n"])
def test_fail__rubbish_is_a_frame_or_nothing(tmp_path: Path, rubbish: bytes) -> None:
    """Nothing that is sent is obeyed, answered, or harmful: it is cut at line ends and handed on as it is."""

    async def story(held: Held) -> None:
        reader, writer, _ = await held.knock()
        writer.write(b"\n" + rubbish + b"\nend\n")
        await held.until(lambda: b"end" in held.frames)
        writer.write_eof()
        async with asyncio.timeout(LIMIT_S):
            assert await reader.read() == b""

    held = play(tmp_path, story)
    assert held.frames == [*[line for line in rubbish.replace(b"\r", b"\n").split(b"\n") if line], b"end"]


def test_ok__the_socket_is_taken_away_and_made_again(tmp_path: Path) -> None:
    """A stop leaves no socket; the same reader opens again, as a component that died is started again."""
    path = tmp_path / "camera.sock"
    reader = SocketReader("camera", str(path), ME)
    for _ in range(2):
        reader.open()
        reader.open()
        assert path.is_socket()
        reader.close()
        reader.close()
        assert not path.exists()


def test_ok__the_socket_of_a_dead_agent_is_replaced(tmp_path: Path) -> None:
    """A power cut leaves the file behind: the next start takes it away."""
    path = tmp_path / "camera.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    reader = SocketReader("camera", str(path), ME)
    reader.open()
    assert path.is_socket()
    reader.close()


def test_fail__the_socket_of_a_living_agent_is_not_touched(tmp_path: Path) -> None:
    """Two agents never share a camera: the second one does not start."""
    path = tmp_path / "camera.sock"
    first = SocketReader("camera", str(path), ME)
    first.open()
    with pytest.raises(DeviceMissingError, match="another agent answers"):
        SocketReader("camera", str(path), ME).open()
    assert path.is_socket()
    first.close()


def test_fail__a_file_in_its_place_is_not_touched(tmp_path: Path) -> None:
    """What is no socket is somebody's: it stays, and the sentence names it."""
    path = tmp_path / "camera.sock"
    path.write_text("mine", "ascii")
    with pytest.raises(DeviceMissingError, match="is no socket"):
        SocketReader("camera", str(path), ME).open()
    assert path.read_text("ascii") == "mine"


def test_ok__a_socket_of_somebody_elses_is_not_taken_away(tmp_path: Path) -> None:
    """Closing takes away what this reader made, and not what lies there by now."""
    path = tmp_path / "camera.sock"
    reader = SocketReader("camera", str(path), ME)
    reader.open()
    path.rename(tmp_path / "moved")
    path.write_text("mine", "ascii")
    reader.close()
    assert path.read_text("ascii") == "mine"


@pytest.mark.parametrize(
    ("path", "user", "words"),
    [
        ("/nowhere/camera.sock", ME, r"/nowhere/camera\.sock cannot be made \(No such file or directory\)"),
        ("/tmp/" + "x" * 200, ME, "cannot be made"),
        ("/tmp/camera.sock", "nobody-of-this-name", "there is no user 'nobody-of-this-name'"),
    ],
)
def test_fail__what_cannot_be_had_stops_the_start(path: str, user: str, words: str) -> None:
    """A folder or a user that is not there is named, with what to do."""
    with pytest.raises(DeviceMissingError, match=words):
        SocketReader("camera", path, user).open()


def test_ok__it_is_had_by_name(tmp_path: Path) -> None:
    """The driver `camera` takes every key of its table; those for the process alone are not its own."""
    options = {"socket": str(tmp_path / "s"), "user": ME, "camera": 0, "width": 1280, "height": 960, "frames_per_s": 8}
    assert isinstance(registry.reader("camera", "front-camera", options), SocketReader)
