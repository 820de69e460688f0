"""Where pictures come from: a folder's files seen once each, and a camera that is asked for the right things."""

from __future__ import annotations

import os
import struct
import sys
import types
import zlib
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from agent.camera.capture import Folder, PiCamera, Picture
from agent.settings.readers import CameraReader
from drivers.base import DeviceMissingError, DriverError

SETTINGS = CameraReader(
    driver="camera", name="lens", socket=Path("/run/tourlatch/lens.sock"), camera=1, width=320, height=240, frames_per_s=5
)


def _put(folder: Path, name: str, shade: int, size: tuple[int, int] = (4, 2)) -> None:
    """A file that appears whole, as a careful program puts it there."""
    Image.new("L", size, shade).save(folder / "new.part", format="PNG")
    (folder / "new.part").rename(folder / name)


def _all(folder: Folder) -> list[Picture]:
    """What is there to see now."""
    found = []
    for _ in range(20):
        picture = folder.next()
        found += [] if picture is None else [picture]
    return found


def test_ok__each_new_file_is_seen_once_in_order_of_names(tmp_path: Path) -> None:
    """What appears after the start is seen, each file once, and a file that changes once more."""
    folder = Folder(tmp_path)
    folder.open()
    assert folder.next() is None
    _put(tmp_path, "b.png", 20)
    _put(tmp_path, "a.PNG", 10)
    assert _all(folder) == [Picture(4, 2, b"\x0a" * 8), Picture(4, 2, b"\x14" * 8)]
    _put(tmp_path, "b.png", 30, (3, 3))
    assert _all(folder) == [Picture(3, 3, b"\x1e" * 9)]


def test_fail__what_lay_there_before_is_not_seen(tmp_path: Path) -> None:
    """A code of yesterday's training does not open today's door."""
    _put(tmp_path, "old.png", 20)
    folder = Folder(tmp_path)
    folder.open()
    assert _all(folder) == []


def test_ok__a_photo_that_is_too_large_is_made_smaller(tmp_path: Path) -> None:
    """A telephone's photo is as good as a camera's picture, and takes no longer to be looked through."""
    folder = Folder(tmp_path)
    folder.open()
    _put(tmp_path, "a.png", 20, (4000, 3000))
    _put(tmp_path, "b.png", 20, (1920, 1080))
    assert [(picture.width, picture.height) for picture in _all(folder)] == [(1334, 1000), (1920, 1080)]


def test_ok__colours_become_brightness(tmp_path: Path) -> None:
    """A coloured JPEG is as good as a grey PNG."""
    folder = Folder(tmp_path)
    folder.open()
    Image.new("RGB", (16, 8), (255, 255, 255)).save(tmp_path / "photo.jpg")
    (picture,) = _all(folder)
    assert (picture.width, picture.height, set(picture.luminance)) == (16, 8, {255})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no picture",
        b"\x89PNG\r\n\x1a\n" + b"\x00" * 50,
        b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
        b"\xff\xd8\xff\xe0" + b"\x00" * 100,
    ],
)
def test_fail__a_file_that_is_no_picture_stops_nothing(tmp_path: Path, content: bytes) -> None:
    """It is passed over, and the next one is seen."""
    folder = Folder(tmp_path)
    folder.open()
    (tmp_path / "a.png").write_bytes(content)
    _put(tmp_path, "b.png", 20)
    assert _all(folder) == [Picture(4, 2, b"\x14" * 8)]


def test_fail__a_picture_made_to_fill_the_memory(tmp_path: Path) -> None:
    """A small file that claims to be enormous is refused before it is unpacked."""
    for side in (5_000, 60_000):
        head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
        chunk = b"IHDR" + head
        png = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(head)) + chunk + struct.pack(">I", zlib.crc32(chunk))
        folder = Folder(tmp_path)
        folder.open()
        (tmp_path / f"{side}.png").write_bytes(png)
        assert _all(folder) == []


def test_ok__half_a_file_is_seen_when_it_is_whole(tmp_path: Path) -> None:
    """A program that writes slowly loses nothing: the file is looked at again when it has changed."""
    folder = Folder(tmp_path)
    folder.open()
    Image.effect_noise((40, 40), 50).save(tmp_path / "whole.part", format="PNG")
    whole = (tmp_path / "whole.part").read_bytes()
    (tmp_path / "slow.png").write_bytes(whole[: len(whole) // 2])
    assert _all(folder) == []
    with (tmp_path / "slow.png").open("ab") as file:
        file.write(whole[len(whole) // 2 :])
    assert [(picture.width, picture.height) for picture in _all(folder)] == [(40, 40)]


def test_fail__a_folder_that_is_not_there(tmp_path: Path) -> None:
    """It is named at the start, and when it goes away later."""
    with pytest.raises(DeviceMissingError, match="nowhere cannot be read: No such file or directory"):
        Folder(tmp_path / "nowhere").open()
    (tmp_path / "here").mkdir()
    folder = Folder(tmp_path / "here")
    folder.open()
    (tmp_path / "here").rmdir()
    with pytest.raises(DriverError, match="cannot be read any more"):
        folder.next()


class Rows:
    """As much of an array as is asked of a picture: rows of bytes that can be cut, with a shape."""

    def __init__(self, rows: list[bytes]) -> None:
        self._rows = rows
        self.shape = (len(rows), len(rows[0]))

    def __getitem__(self, cut: tuple[slice, slice]) -> Rows:
        return Rows([row[cut[1]] for row in self._rows[cut[0]]])

    def tobytes(self) -> bytes:
        """Row by row."""
        return b"".join(self._rows)


class PlayedPicamera2:
    """Records what it is asked; its buffer's rows are longer than the picture's, as an ISP's may be."""

    asked: list[Any]
    controls: dict[str, Any]
    error: Exception | None = None

    def __init__(self, number: int) -> None:
        if PlayedPicamera2.error is not None:
            raise PlayedPicamera2.error
        PlayedPicamera2.asked = [("open", number)]
        self.camera_controls = {"AfMode": (0, 2, 0), "AeExposureMode": (0, 3, 0)}

    def create_video_configuration(self, **wanted: Any) -> dict[str, Any]:  # noqa: ANN401 - as picamera2 takes it
        """What it was asked for."""
        return wanted

    def configure(self, wanted: dict[str, Any]) -> None:
        """Record it."""
        self.asked.append(("configure", wanted))

    def set_controls(self, controls: dict[str, int]) -> None:
        """Record them."""
        self.asked.append(("controls", controls))

    def start(self) -> None:
        """Record it."""
        self.asked.append("start")

    def capture_array(self, stream: str) -> Rows:
        """A row of brightness for each of the picture's, then what is left of YUV420."""
        assert stream == "main"
        return Rows([bytes([row % 251]) * 384 for row in range(360)])

    def stop(self) -> None:
        """Record it."""
        self.asked.append("stop")

    def close(self) -> None:
        """Record it."""
        self.asked.append("close")


@pytest.fixture
def picamera2(monkeypatch: pytest.MonkeyPatch) -> type[PlayedPicamera2]:
    """A machine with a camera."""
    module = types.ModuleType("picamera2")
    module.Picamera2 = PlayedPicamera2  # type: ignore[attr-defined]  # a played module
    monkeypatch.setitem(sys.modules, "picamera2", module)
    monkeypatch.setattr(PlayedPicamera2, "error", None)
    return PlayedPicamera2


def test_ok__a_camera_is_asked_for_what_the_settings_say(picamera2: type[PlayedPicamera2]) -> None:
    """Number, size and rate are the settings', only controls that the camera has are set, and it is given back."""
    camera = PiCamera(SETTINGS)
    camera.open()
    picture = camera.next()
    camera.close()
    camera.close()
    assert picamera2.asked == [
        ("open", 1),
        ("configure", {"main": {"size": (320, 240), "format": "YUV420"}, "controls": {"FrameRate": 5.0}, "buffer_count": 3}),
        ("controls", {"AfMode": 2, "AeExposureMode": 1}),
        "start",
        "stop",
        "close",
    ]
    assert picture == Picture(320, 240, b"".join(bytes([row]) * 320 for row in range(240)))


def test_fail__no_picamera2(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the system's package the sentence is what to type, and no folder stands in for the camera."""
    monkeypatch.setitem(sys.modules, "picamera2", None)
    with pytest.raises(DeviceMissingError, match="apt install python3-picamera2"):
        PiCamera(SETTINGS).open()


@pytest.mark.parametrize("error", [IndexError("list index out of range"), RuntimeError("Camera __init__ sequence did not complete.")])
def test_fail__a_camera_that_is_not_there_or_in_use(
    picamera2: type[PlayedPicamera2], error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever picamera2 raises becomes a sentence with the camera's number and what to look at."""
    monkeypatch.setattr(picamera2, "error", error)
    with pytest.raises(DeviceMissingError, match=r"camera 1 cannot be had .*rpicam-hello --list-cameras"):
        PiCamera(SETTINGS).open()


def test_fail__a_camera_that_fails_later(picamera2: type[PlayedPicamera2], monkeypatch: pytest.MonkeyPatch) -> None:
    """A cable that came loose is a sentence, not a traceback."""

    def broken(_self: object, _stream: str) -> Rows:
        raise RuntimeError("Camera frontend has timed out")

    camera = PiCamera(SETTINGS)
    camera.open()
    monkeypatch.setattr(picamera2, "capture_array", broken)
    with pytest.raises(DriverError, match=r"camera 1 stopped giving pictures .*frontend"):
        camera.next()


def test_fail__no_picture_in_what_is_printed() -> None:
    """A picture that reaches a log or a traceback shows its size alone."""
    assert repr(Picture(2, 1, os.urandom(2))) == "Picture(width=2, height=1)"
