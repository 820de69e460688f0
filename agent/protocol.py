"""What is spoken on the agent's unix socket: one JSON object a line, both ways.

A request is `{"do": NAME, …}`; the answer is `{"ok": true, …}` or `{"ok": false, "error": SENTENCE}`. `events` answers with one
event a line until the caller leaves. Nothing that is sent here opens a door but `unlock`, by a user who is allowed to, and what a door's
screen hands over: `screen_pin`, decided as any reader's PIN is, and `screen_staff` with staff's own PIN.
"""

from __future__ import annotations

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from agent.errors import AgentAbsentError, RequestRefusedError

MAX_LINE_BYTES = 1_000_000
TIMEOUT_S = 15.0
_TIMEVAL = "ll" if socket.SO_SNDTIMEO < 64 else "qq"  # noqa: PLR2004 - the higher number is that of 64-bit times on a 32-bit board


def encode(message: dict[str, Any]) -> bytes:
    """One line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """The object in a line; raises `ValueError` for anything else."""
    try:
        message = json.loads(line)
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(message, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - a wrong line, whatever is in it
    return message


def ask(path: Path, request: dict[str, Any]) -> dict[str, Any]:
    """The running agent's answer; raises `AgentAbsentError` when none runs and `RequestRefusedError` with its words."""
    return next(stream(path, request, timeout_s=TIMEOUT_S))


def stream(path: Path, request: dict[str, Any], timeout_s: float | None = None) -> Iterator[dict[str, Any]]:
    """The running agent's answers, one a line, until it stops; raises like `ask`."""
    with _connected(path, timeout_s) as connection, connection.makefile("rb") as lines:
        try:
            with suppress(BrokenPipeError, ConnectionResetError):  # who is turned away is told so before anything is asked
                connection.sendall(encode(request))
            for line in lines:
                answer = decode(line)
                if answer.get("ok") is False:
                    raise RequestRefusedError(str(answer.get("error")))
                yield answer
        except (OSError, ValueError) as error:
            raise AgentAbsentError(f"the agent at {path} stopped answering: {error}") from error
    if timeout_s is not None:
        raise AgentAbsentError(f"the agent at {path} closed the connection without an answer: is this user allowed in [control] users?")


def _connected(path: Path, timeout_s: float | None) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    if timeout_s is not None:
        # not by `settimeout`: with that it fails at once when many knock, while the kernel lets those who wait in by their turn
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack(_TIMEVAL, int(timeout_s), 0))
    try:
        connection.connect(str(path))
        connection.settimeout(timeout_s)
    except OSError as error:
        connection.close()
        if isinstance(error, PermissionError):
            raise AgentAbsentError(f"the agent's socket {path} is closed to this user: use sudo") from error
        raise AgentAbsentError(f"no agent answers at {path}: systemctl status tourlatch") from error
    return connection
