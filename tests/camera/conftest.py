"""A camera process beside the tests: started as its unit would, looking at a folder."""

from __future__ import annotations

import contextlib
import os
import pwd
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

ME = pwd.getpwuid(os.getuid()).pw_name


class CameraProcess:
    """`tourlatch camera` with a folder of pictures; `show` holds one up."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.pictures = folder / "pictures"
        self.pictures.mkdir()
        self._process: subprocess.Popen[bytes] | None = None
        self._shown = 0

    def start(self, config_path: Path, *, name: str = "lens", env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start it; it runs as soon as its log says `watching`."""
        command = [sys.executable, "-m", "agent.cli", "camera", "-c", str(config_path), name, "--pictures", str(self.pictures)]
        with (self._folder / "camera.log").open("ab") as log:
            self._process = subprocess.Popen(command, stderr=log, env={**os.environ, **(env or {})})
        return self._process

    def log(self) -> str:
        """What it wrote on stderr."""
        path = self._folder / "camera.log"
        return path.read_text("utf-8") if path.exists() else ""

    def show(self, image: Image.Image) -> None:
        """A new picture, whole from the first moment."""
        self._shown += 1
        part = self.pictures / "part"
        image.save(part, format="PNG")
        part.rename(self.pictures / f"{self._shown:04}.png")

    def close(self) -> None:
        """End what still runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[CameraProcess]:
    """A camera process that is ended whatever happens."""
    with contextlib.closing(CameraProcess(tmp_path)) as made:
        yield made
