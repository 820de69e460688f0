"""What the tests of the command line share: the command called in this process or as a process, and a running agent."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent import cli
from agent.demo.stage import Stage, configuration

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch) -> Call:
    """The console script, called here: `call("keys", "list")` returns exit status, stdout and stderr; what escapes it fails the test."""
    # click names itself after the package that runs as a program, which here is the test runner
    monkeypatch.setattr(sys.modules["__main__"], "__package__", "", raising=False)

    def run(*words: str | Path, stdin: str | bytes | None = None) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["tourlatch", *map(str, words)])
        with CliRunner().isolation(input=stdin) as (out, err, _both):
            try:
                cli.main()
            except SystemExit as ended:
                status = ended.code
            else:
                status = 0
            printed = out.getvalue().decode(), err.getvalue().decode()
        assert isinstance(status, int), status
        return status, *printed

    return run


@pytest.fixture
def program() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command as a process; what still runs at the end is killed."""
    started: list[subprocess.Popen[str]] = []

    def start(*words: str | Path, **options: Any) -> subprocess.Popen[str]:  # noqa: ANN401 - Popen's options
        command = [sys.executable, "-m", "agent.cli", *map(str, words)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


@pytest.fixture
def site(tmp_path: Path, call: Call) -> Path:
    """A folder as the demo has it, with a key and a configuration, where no agent ever ran."""
    (tmp_path / "agent.toml").write_text(configuration().replace("/tmp/tourlatch-demo", str(tmp_path)), "utf-8")
    for name in ("appointment-key", "prospect-key"):
        (tmp_path / name).touch(0o600)
        (tmp_path / name).write_text(f"the-{name}\n", "ascii")
    assert call("keys", "new", "-f", tmp_path / "keys")[0] == 0
    return tmp_path


@pytest.fixture
def good_code(stage: Stage) -> Callable[..., str]:
    """A code that is good now at the running agent's door; `good_code(17, doors=("back",))` replaces fields of it."""

    def make(number: int, **other: Any) -> str:  # noqa: ANN401 - a code's fields
        now = int(time.time())
        start, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + offset)) for offset in (-60, 600))
        return stage.sign({"appointmentId": number, "prospectId": 7_000_000 + number}, start, end, **other)

    return make
