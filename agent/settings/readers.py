"""The tables `[[door.reader]]`: one model for each driver of a reader."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from agent.settings.lines import Chip, Pin
from agent.settings.parts import AbsolutePath, Field, Part, field_validator, model_validator

MAX_SOCKET_BYTES = 107
"""What the kernel takes as a socket's address (sun_path, with the zero at its end)."""
MAX_PIXELS = 2_100_000
"""A picture with a thousand false corner marks holds the search for codes up: 0.9 s at 1920 x 1080, 4.6 s at 2592 x 1944 (zxing-cpp 3.1 on
a PC; a small board takes several times as long), and after 10 s without a picture the camera is given up."""

ReaderName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$")]


class ReaderPart(Part):
    """What every reader has."""

    name: ReaderName
    """What logs and the journal call it."""
    direction: Literal["in", "out"] = "in"
    """`in`: on the outer side of the door. `out`: on the inner side; it lets somebody out and makes no visit."""

    def gpio_pins(self) -> Iterator[tuple[str, int | None, int]]:
        """Each pin of the header that the reader uses: the key's name, the chip and the pin."""
        yield from ()


class SerialReader(ReaderPart):
    """A table `[[door.reader]]` with the driver `serial`."""

    driver: Literal["serial"]
    """A scanner that sends lines over a serial port or USB-serial."""
    port: AbsolutePath
    """The device: best its stable name in /dev/serial/by-id."""
    baud: Annotated[int, Field(strict=True, ge=300, le=4_000_000)] = 9600
    """The scanner's speed; USB-serial scanners ignore it."""
    prefix: Annotated[str, Field(max_length=16, pattern=r"^[\x00-\xff]*$")] = ""
    """What the scanner puts before a code, if it is set to."""
    suffix: Annotated[str, Field(max_length=16, pattern=r"^[\x00-\xff]*$")] = ""
    """What it puts after a code; left out, any line end."""
    max_bytes: Annotated[int, Field(strict=True, ge=64, le=65_536)] = 1024
    """A longer line is thrown away whole."""
    gap_s: Annotated[float, Field(strict=True, gt=0, le=60)] = 2.0
    """A line whose end does not come for this long is thrown away."""
    module: Literal["none", "gm65"] = "none"
    """`gm65`: a scan module of the GM65 family, which is set up by commands at each start; `none`: a scanner that is set up by itself."""
    trigger: Literal["continuous", "motion"] = "continuous"
    """With `gm65`: it looks for codes all the time, or when something moves before it."""

    @model_validator(mode="after")
    def _fits_its_module(self) -> SerialReader:
        if self.module == "none" and self.trigger != "continuous":
            raise ValueError('trigger is for module = "gm65"; a scanner without commands is set up by the codes in its manual')
        if self.module == "gm65" and "\x02" in self.suffix:
            raise ValueError("suffix holds \\x02, with which the module's replies begin; take another")
        return self


class KeyboardReader(ReaderPart):
    """A table `[[door.reader]]` with the driver `keyboard`."""

    driver: Literal["keyboard"]
    """A USB scanner or keypad that types like a keyboard; it is grabbed, so that nothing reaches a console."""
    device: AbsolutePath
    """The device: best its stable name in /dev/input/by-id or /dev/input/by-path, which ends in -event-kbd."""
    layout: Literal["us", "de", "fr"] = "us"
    """The keyboard that the scanner is set to be."""
    max_bytes: Annotated[int, Field(strict=True, ge=64, le=65_536)] = 1024
    """A longer line is thrown away whole."""
    gap_s: Annotated[float, Field(strict=True, gt=0, le=60)] = 5.0
    """A line whose next key does not come for this long is thrown away."""


class WiegandReader(ReaderPart):
    """A table `[[door.reader]]` with the driver `wiegand`."""

    driver: Literal["wiegand"]
    """A reader or keypad with the two lines D0 and D1."""
    d0: Pin
    """The BCM number of the line D0 (often green)."""
    d1: Pin
    """The BCM number of the line D1 (often white)."""
    chip: Chip = None
    """The number in /dev/gpiochip…; left out, the board's own."""
    pull: Literal["up", "none"] = "up"
    """The chip's own pull-up on both lines, or `none` where the level shifter has one."""
    key_gap_s: Annotated[float, Field(strict=True, gt=0, le=60)] = 5.0
    """A PIN whose next key does not come for this long is thrown away."""

    def gpio_pins(self) -> Iterator[tuple[str, int | None, int]]:
        """Both lines."""
        yield "d0", self.chip, self.d0
        yield "d1", self.chip, self.d1

    @model_validator(mode="after")
    def _apart(self) -> WiegandReader:
        if self.d0 == self.d1:
            raise ValueError(f"d0 and d1 are both the pin {self.d0}")
        return self


class OsdpReader(ReaderPart):
    """A table `[[door.reader]]` with the driver `osdp`."""

    driver: Literal["osdp"]
    """A reader that speaks OSDP v2 over RS-485."""
    port: AbsolutePath
    """The RS-485 adapter: best its stable name in /dev/serial/by-id."""
    baud: Literal[9600, 19200, 38400, 57600, 115200, 230400] = 9600
    """The bus's speed."""
    address: Annotated[int, Field(strict=True, ge=0, le=126)] = 0
    """The reader's address on the bus."""
    key_file: str
    """File of the reader's secure channel base key, 32 hexadecimal digits; without a secure channel nothing is read."""
    key_gap_s: Annotated[float, Field(strict=True, gt=0, le=60)] = 5.0
    """A PIN whose next key does not come for this long is thrown away."""
    silent_s: Annotated[float, Field(strict=True, ge=1, le=60)] = 8.0
    """A reader that does not answer for this long is an alarm."""


class CameraReader(ReaderPart):
    """A table `[[door.reader]]` with the driver `camera`."""

    driver: Literal["camera"]
    """A camera, watched by a process of its own (`tourlatch camera`) that hands over what it reads."""
    socket: AbsolutePath
    """The unix socket that the agent makes for that process."""
    user: str = "tourlatch-camera"
    """The user that the process runs as; nobody else may hand over a code."""
    camera: Annotated[int, Field(strict=True, ge=0, le=7)] = 0
    """Which camera, as `rpicam-hello --list-cameras` counts them."""
    width: Annotated[int, Field(strict=True, ge=320, le=2592, multiple_of=2)] = 1280
    """The picture's width in pixels. A code needs some two and a half pixels for each of its squares."""
    height: Annotated[int, Field(strict=True, ge=240, le=1944, multiple_of=2)] = 960
    """The picture's height in pixels; width x height at most 2100000."""
    frames_per_s: Annotated[int, Field(strict=True, ge=1, le=30)] = 8
    """So many pictures a second at most are looked at."""

    @field_validator("socket")
    @classmethod
    def _fits_the_kernel(cls, path: Path) -> Path:
        if len(os.fsencode(path)) > MAX_SOCKET_BYTES:
            raise ValueError(f"a socket's path has at most {MAX_SOCKET_BYTES} bytes; this one has {len(os.fsencode(path))}")
        return path

    @field_validator("user")
    @classmethod
    def _is_somebody(cls, user: str) -> str:
        if not user.strip():
            raise ValueError("must be the user that the camera's process runs as, usually tourlatch-camera")
        return user

    @model_validator(mode="after")
    def _is_looked_through_in_time(self) -> CameraReader:
        if self.width * self.height > MAX_PIXELS:
            raise ValueError(
                f"{self.width} x {self.height} is more than {MAX_PIXELS} pixels, "
                "too many to be searched for codes in time: 1920 x 1080 are not"
            )
        return self


AnyReader = Annotated[
    SerialReader | KeyboardReader | WiegandReader | OsdpReader | CameraReader,
    Field(discriminator="driver"),
]
