"""A log that nobody reads costs lines and nothing else: the agent never waits for it."""

from __future__ import annotations

import asyncio
import fcntl
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from agent.core.clock import to_iso
from agent.demo.stage import Stage
from agent.logs import MAX_WAITING

PIPE_BYTES = 4096
COUNT = 3 * MAX_WAITING
FLOOD = f"""
import logging, sys
from agent import logs
logs.set_up()
log = logging.getLogger("tourlatch")
for number in range({COUNT}):
    log.info("noise", extra={{"facts": {{"number": number}}}})
print("said", flush=True)
sys.stdin.readline()
logs.flush(30)
log.info("after")
log.info("end")
logs.flush(30)
"""
UNWILLING = """
import logging, os
from agent import logs
os.set_blocking(2, False)
logs.set_up()
for number in range(500):
    logging.getLogger("tourlatch").info("noise", extra={"facts": {"number": number, "words": "x" * 200}})
logs.flush(30)
"""
UNTELLABLE = """
import logging
from agent import logs
class Bad:
    def __str__(self):
        raise RuntimeError
logs.set_up()
logging.getLogger("tourlatch").info("bad", extra={"facts": {"bad": Bad()}})
logging.getLogger("tourlatch").info("good")
"""


def fill(pipe: int) -> None:
    """Write into a pipe, whose other users wait, until nothing more fits."""
    with suppress(BlockingIOError):
        while True:
            os.write(pipe, b"x")


async def open_for_a_good_code(stage: Stage) -> None:
    """Present a good code and see the lock released."""
    now_ms = int(time.time()) * 1000
    code = stage.sign({"appointmentId": 1, "prospectId": 2}, to_iso(now_ms - 60_000), to_iso(now_ms + 600_000))
    await stage.relay_record("released", stage.scan(code))


def test_unread__the_agent_serves_and_stops_all_the_same(tmp_path: Path) -> None:
    """With stderr a full pipe that nobody reads, status answers, a good code opens, and SIGTERM ends the agent within two seconds."""
    os.mkfifo(tmp_path / "agent.log")
    pipe = os.open(tmp_path / "agent.log", os.O_RDWR | os.O_NONBLOCK)
    fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    async def play() -> float:
        stage = Stage(tmp_path, replace={"pulse_s = 0.5": "pulse_s = 0.1"})
        await stage.open()
        try:
            await stage.start_agent()
            fill(pipe)
            for number in range(50):
                stage.scan(f"junk {number}")
            for _ in range(50):
                await stage.ask({"do": "lock"})
            assert (await stage.ask({"do": "status"}))["ok"]
            await open_for_a_good_code(stage)
            fill(pipe)
            agent = stage._agent
            assert agent is not None
            began_s = time.monotonic()
            agent.send_signal(signal.SIGTERM)
            assert await asyncio.to_thread(agent.wait, 10) == 0
            return time.monotonic() - began_s
        finally:
            await stage.kill_agent()
            await stage.sandbox.stop()

    try:
        assert asyncio.run(play()) < 2
    finally:
        os.close(pipe)


def test_unread__what_is_dropped_is_counted() -> None:
    """What does not fit is dropped, and the next line that gets through is preceded by the number of those that did not."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", FLOOD], stdin=pipe, stdout=pipe, stderr=pipe, text=True, pipesize=PIPE_BYTES) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "said\n"
        _, told = program.communicate("go on\n", timeout=60)
    *lines, after, end = told.splitlines()
    numbers = [int(line.removeprefix("noise number=")) for line in lines if line.startswith("noise ")]
    dropped = [int(line.removeprefix("log_lines_dropped count=")) for line in lines if line.startswith("log_lines_dropped ")]
    assert len(numbers) + len(dropped) == len(lines)
    assert numbers == sorted(set(numbers))
    # the reader may come while the flood goes on, so there may be more than one gap; all of them together are what is missing
    assert dropped
    assert sum(dropped) == COUNT - len(numbers)
    assert MAX_WAITING <= len(numbers) < COUNT
    assert (after, end) == ("after", "end")


def test_slow__a_pipe_that_does_not_block_loses_nothing() -> None:
    """A pipe that another program made non-blocking is waited for by the writing thread, and every line comes whole."""
    with subprocess.Popen([sys.executable, "-c", UNWILLING], stderr=subprocess.PIPE, text=True, pipesize=PIPE_BYTES) as program:
        time.sleep(0.3)
        assert program.stderr is not None
        lines = program.stderr.read().splitlines()
    assert lines == [f"noise number={number} words={'x' * 200}" for number in range(500)]


def test_unread__what_cannot_be_formatted_is_counted_too() -> None:
    """A record that cannot be turned into a line stops nobody and is counted as dropped."""
    done = subprocess.run([sys.executable, "-c", UNTELLABLE], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines() == ["log_lines_dropped count=1", "good"]


@pytest.mark.parametrize("stderr", ["/dev/full", None], ids=["full disk", "closed pipe"])
def test_gone__a_stderr_that_takes_nothing_stops_nobody(stderr: str | None) -> None:
    """A full disk or a pipe whose reader left loses the lines, and the program goes on and ends."""
    if stderr is None:
        reading, writing = os.pipe()
        os.close(reading)
    else:
        writing = os.open(stderr, os.O_WRONLY)
    try:
        done = subprocess.run([sys.executable, "-c", FLOOD], stdout=subprocess.PIPE, stderr=writing, input=b"go on\n", check=False)
    finally:
        os.close(writing)
    assert (done.returncode, done.stdout) == (0, b"said\n")
