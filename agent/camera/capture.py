"""Where pictures come from: a camera of the board, or a folder of files. The only importer of picamera2 and of Pillow.

Rule 1: a picture is its brightness alone, in memory, until the next one: never stored, never logged.
Rule 2: what is missing is an error with its name; neither source stands in for the other.
Rule 3: what a source holds from before it was opened is passed over: nobody is before the camera with it now.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from agent.settings.readers import MAX_PIXELS
from drivers.base import DeviceMissingError, DriverError

if TYPE_CHECKING:
    from agent.settings.readers import CameraReader

MAX_FILE_PIXELS = 16_000_000
KINDS = (".png", ".jpg", ".jpeg")
WISHES = {"AfMode": 2, "AfRange": 2, "AeExposureMode": 1, "AeConstraintMode": 1}
"""libcamera's controls, where the camera has them: focus all the time and down to the shortest distance (a lens stands still otherwise),
short exposures (a phone is held by a hand), and bright parts not burnt out (it is a lamp in the dark)."""

_log = logging.getLogger("tourlatch")


@dataclass(frozen=True, slots=True)
class Picture:
    """`width` times `height` bytes, row by row from the top left, 0 black and 255 white."""

    width: int
    height: int
    luminance: bytes = field(repr=False)


class Source(Protocol):
    """Gives one picture after another."""

    @property
    def name(self) -> str:
        """What logs call it."""
        ...

    def open(self) -> None:
        """Claim it; raises `DeviceMissingError` with its name and what to do."""
        ...

    def next(self) -> Picture | None:
        """The next picture, waiting for it; None when there is nothing to see. Raises `DriverError` when the device fails."""
        ...

    def close(self) -> None:
        """Give it back; any number of times."""
        ...


class PiCamera:
    """A camera of a Raspberry Pi, by libcamera's Python layer, which comes with the system and never from PyPI."""

    def __init__(self, settings: CameraReader) -> None:
        self._settings = settings
        self._device: Any = None

    @property
    def name(self) -> str:
        """What `rpicam-hello` calls it."""
        return f"camera {self._settings.camera}"

    def open(self) -> None:
        """Claim the camera and start it."""
        try:
            from picamera2 import Picamera2
        except ImportError as error:
            raise DeviceMissingError(
                f"picamera2 is missing, which takes the pictures: apt install python3-picamera2, and a virtual environment made with "
                f"--system-site-packages, as systemd/install.sh --camera makes it ({error})."
            ) from error
        wanted = self._settings
        device = None
        try:
            device = Picamera2(wanted.camera)
            device.configure(
                device.create_video_configuration(
                    main={"size": (wanted.width, wanted.height), "format": "YUV420"},
                    controls={"FrameRate": float(wanted.frames_per_s)},
                    buffer_count=3,
                )
            )
            device.set_controls({name: value for name, value in WISHES.items() if name in device.camera_controls})
            device.start()
        except (IndexError, RuntimeError, OSError, ValueError) as error:
            if device is not None:
                device.close()
            raise DeviceMissingError(
                f"{self.name} cannot be had ({error}). See that `rpicam-hello --list-cameras` shows it, that no other program uses it, "
                f"and that this user is in the group video."
            ) from error
        self._device = device

    def next(self) -> Picture | None:
        """The next picture's brightness: of YUV420 the first rows, each cut to the picture's width (the buffer's rows may be longer)."""
        width, height = self._settings.width, self._settings.height
        try:
            rows = self._device.capture_array("main")[:height, :width]
        except (RuntimeError, OSError, TimeoutError) as error:
            raise DriverError(f"{self.name} stopped giving pictures ({error}). Check its cable.") from error
        if rows.shape != (height, width):
            raise DriverError(
                f"{self.name} gives pictures of {rows.shape[1]} x {rows.shape[0]}, not {width} x {height}: correct width or height."
            )
        return Picture(width, height, rows.tobytes())

    def close(self) -> None:
        """Stop it and give it back."""
        device, self._device = self._device, None
        if device is not None:
            device.stop()
            device.close()


class Folder:
    """Pictures that are put into a folder, for training and tests: each file that appears or changes is seen once, in order of names.

    A photo that is larger than a camera's picture may be is made smaller.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: dict[str, tuple[int, int, int]] = {}

    @property
    def name(self) -> str:
        """Its path."""
        return str(self._path)

    def open(self) -> None:
        """Pass over what is there."""
        try:
            import PIL.Image  # noqa: F401 - loaded here, so that the first picture need not wait for it
        except ImportError as error:
            raise DeviceMissingError(
                f"Pillow is missing, which opens files: install tourlatch with its extra [camera] ({error})."
            ) from error
        try:
            self._seen = self._files()
        except OSError as error:
            raise DeviceMissingError(f"The folder {self._path} cannot be read: {error.strerror}. Make it, or name another.") from error

    def next(self) -> Picture | None:
        """The first picture that is new."""
        try:
            files = self._files()
        except OSError as error:
            raise DriverError(f"The folder {self._path} cannot be read any more: {error.strerror}.") from error
        self._seen = {name: mark for name, mark in self._seen.items() if name in files}
        for name, mark in sorted(files.items()):
            if self._seen.get(name) != mark:
                self._seen[name] = mark
                return self._picture(name)
        return None

    def close(self) -> None:
        """Nothing is held."""

    def _files(self) -> dict[str, tuple[int, int, int]]:
        found = {}
        for path in self._path.iterdir():
            if path.suffix.lower() in KINDS and path.is_file():
                stat = path.stat()
                found[path.name] = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        return found

    def _picture(self, name: str) -> Picture | None:
        """None for a file that is no picture, or not yet a whole one: it is looked at again when it changes."""
        from PIL import Image

        try:
            with Image.open(self._path / name, formats=("PNG", "JPEG")) as image:
                if image.width * image.height > MAX_FILE_PIXELS:
                    raise ValueError(f"more than {MAX_FILE_PIXELS} pixels")  # noqa: TRY301 - the same for all that is wrong with a file
                grey = image.convert("L")
                if grey.width * grey.height > MAX_PIXELS:
                    grey = grey.reduce(math.ceil(math.sqrt(grey.width * grey.height / MAX_PIXELS)))
                return Picture(grey.width, grey.height, grey.tobytes())
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            _log.warning("picture_unreadable", extra={"facts": {"file": name, "error": type(error).__name__}})
            return None
