"""The state in one JSON file, replaced as a whole; a file that cannot be read is never written over."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from agent.errors import RefusedError
from agent.sandbox.errors import SandboxError
from agent.sandbox.fields import Fields, parse_json
from agent.sandbox.records import KnockState
from agent.web import to_json

_FORMAT = "tourlatch sandbox 1"


class StateFile:
    """Keeps the state at `path`; without a path it keeps nothing."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def load(self) -> KnockState:
        """The kept state, or a new one that is written at once, so that a place that cannot be written is found at the start.

        Raises:
            SandboxError: when the file is not a sandbox's state, or cannot be read or written.
        """
        if self._path is None:
            return KnockState()
        try:
            content = self._path.read_bytes()
        except FileNotFoundError:
            self.save(KnockState())
            return KnockState()
        except OSError as error:
            raise SandboxError(f"The state file {self._path} cannot be read: {error.strerror}.") from error
        try:
            fields = Fields(parse_json(content), "the file")
            if fields.text("format") != _FORMAT:
                raise SandboxError(f"The state file {self._path} is of another format; move it away or name another file.")
            return KnockState.from_json(fields.object("state").all())
        except RefusedError as error:
            raise SandboxError(
                f"The state file {self._path} is no state of a sandbox ({error}); move it away or name another file."
            ) from error

    def save(self, state: KnockState) -> None:
        """Replace the file: after a power cut it holds the old state or the new one.

        Raises:
            SandboxError: when it cannot be written; the old file is untouched.
        """
        if self._path is None:
            return
        try:
            _replace(self._path, to_json({"format": _FORMAT, "state": state.to_json()}) + b"\n")
        except OSError as error:
            raise SandboxError(f"The state file {self._path} cannot be written: {error.strerror}.") from error


def _replace(path: Path, content: bytes) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
