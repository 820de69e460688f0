"""The command, as a process of its own: it says when it is ready, ends when told, and explains what it cannot do."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from agent.sandbox.command import sandbox

PROGRAM = [sys.executable, "-c", "from agent.sandbox.command import sandbox; sandbox()", "--port", "0", "--admin-port", "0"]


@contextlib.contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """The program, ready, and the line that it printed; killed if it still runs at the end."""
    process = subprocess.Popen([*PROGRAM, "--json", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield process, json.loads(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_runs__until_it_is_told_to_end(number: signal.Signals, tmp_path: Path) -> None:
    """Ready means that both ports answer; a signal ends it within two seconds, without a word, though a connection is open."""
    with running("--state", str(tmp_path / "state.json")) as (process, ready), httpx.Client(trust_env=False) as client:
        assert set(ready) == {"url", "admin_url"}
        assert client.get(ready["admin_url"] + "/healthz").json()["status"] == "ok"
        assert client.post(ready["url"] + "/visit").status_code == 403
        began = time.monotonic()
        process.send_signal(number)
        assert process.wait(timeout=10) == 0
        assert time.monotonic() - began < 2
        assert process.communicate() == ("", "")
    assert (tmp_path / "state.json").exists()


def test_runs__and_warns_when_others_can_reach_it() -> None:
    """An address that is not loopback is a warning, not a refusal."""
    with running("--host", "0.0.0.0") as (process, _):  # noqa: S104 - that is what is tested
        process.terminate()
        assert "not for the open network" in process.communicate(timeout=10)[1]


def test_runs__and_says_where_for_people() -> None:
    """Without --json both addresses are printed for a person."""
    process = subprocess.Popen(PROGRAM, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = [process.stdout.readline() for _ in range(3)]
    process.terminate()
    process.communicate(timeout=10)
    assert "http://127.0.0.1:" in lines[0]
    assert "Admin API: http://127.0.0.1:" in lines[1]


@pytest.mark.parametrize("option", ["--port", "--admin-port"])
def test_refused__a_busy_port(option: str) -> None:
    """A port in use is one sentence that names it, and exit 1."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(sandbox, ["--port", "0", "--admin-port", "0", option, str(port)])
    assert result.exit_code == 1
    assert result.output.count("\n") == 1
    assert f"Port {port} of 127.0.0.1 is in use" in result.output


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--port", "70000"], 2),
        (["--port", "8790", "--admin-port", "8790"], 1),
        (["--host", "not a host"], 1),
        (["--host", "192.0.2.1", "--port", "0", "--admin-port", "0"], 1),
        (["--state", "/proc/nowhere/state.json", "--port", "0", "--admin-port", "0"], 1),
        (["--unknown"], 2),
    ],
)
def test_refused__mistakes_without_a_traceback(options: list[str], code: int) -> None:
    """A user's mistake is a sentence; nothing is left listening."""
    result = CliRunner().invoke(sandbox, options)
    assert result.exit_code == code
    assert "Error: " in result.output
    assert "Traceback" not in result.output
