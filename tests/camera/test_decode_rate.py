"""Each kind of trouble is read up to an honest level, and whatever the level, no picture is read as anything but the code in it."""

from __future__ import annotations

import random
from typing import Any

import pytest
import zxingcpp
from PIL import Image, ImageOps

from agent.camera import decode
from agent.camera.capture import Picture
from agent.camera.decode import MAX_OTHERS, MAX_TOURS
from agent.core import codes
from agent.core.tour import TourCode
from tests.camera import scene

PICTURES = 3

READ = [
    (scene.small, 2.5),
    (scene.blurred, 0.4),
    (scene.smeared, 1.0),
    (scene.turned, 0.0),
    (scene.turned, 45.0),
    (scene.turned, 137.0),
    (scene.turned, 180.0),
    (scene.turned, 270.0),
    (scene.tilted, 50.0),
    (scene.dimmed, 30.0),
    (scene.grainy, 35.0),
    (scene.glared, 0.25),
    (scene.creased, 10.0),
    (scene.shaded, 0.2),
    (scene.inverted, 2.5),
]
"""All pictures of these are read."""

HARD = [
    (scene.small, 1.6),
    (scene.small, 1.2),
    (scene.blurred, 0.5),
    (scene.smeared, 1.6),
    (scene.tilted, 65.0),
    (scene.dimmed, 14.0),
    (scene.grainy, 65.0),
    (scene.glared, 0.6),
    (scene.creased, 30.0),
    (scene.shaded, 0.06),
    (scene.everyday, 1.8),
]
"""Some of these are read, and some are not."""


def _read(trouble: scene.Trouble, level: float, number: int) -> tuple[str, list[str]]:
    text = scene.tour_code(number)
    return text, decode.codes_in(scene.picture(trouble, text, level, number))


@pytest.mark.parametrize(("trouble", "level"), READ, ids=[f"{trouble.__name__} {level}" for trouble, level in READ])
def test_ok__read_up_to_here(trouble: scene.Trouble, level: float) -> None:
    """Every picture at this level gives its code, to the letter."""
    for number in range(PICTURES):
        text, found = _read(trouble, level, number)
        assert found == [text]


@pytest.mark.parametrize(("trouble", "level"), HARD, ids=[f"{trouble.__name__} {level}" for trouble, level in HARD])
def test_fail__beyond_that_it_is_the_code_or_nothing(trouble: scene.Trouble, level: float) -> None:
    """A picture that is too bad gives nothing, never another text."""
    for number in range(PICTURES):
        text, found = _read(trouble, level, number)
        assert found in ([], [text])


@pytest.mark.parametrize("number", range(4))
def test_ok__half_a_second_of_everyday_is_enough(number: int) -> None:
    """A little of every trouble at once, at 3 pixels a module: of four pictures in a row at least two are read, and no other text."""
    text = scene.tour_code(number)
    found = [decode.codes_in(scene.picture(scene.everyday, text, 3.0, 100 * number + turn)) for turn in range(4)]
    assert all(texts in ([], [text]) for texts in found)
    assert found.count([text]) >= 2


def test_ok__what_is_read_is_a_genuine_code() -> None:
    """The text that comes out of a picture is the one that the desk signed, and the door's own check says so."""
    _, (found,) = _read(scene.tilted, 30.0, 1)
    read = codes.read(found.encode("ascii"), codes.keyring([codes.PublicKey(scene.PUBLIC)]))
    assert isinstance(read, TourCode)
    assert read.appointment_id == "1000001"


def _drawn(kind: str, text: str) -> Image.Image:
    """A symbol of any kind with a wide margin."""
    symbol: Any = zxingcpp.write_barcode_to_image(zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.__members__[kind]), scale=4)
    height, width = memoryview(symbol).shape or (0, 0)
    return ImageOps.expand(Image.frombytes("L", (width, height), bytes(symbol)), 40, 255)


def _picture(image: Image.Image) -> Picture:
    return Picture(image.width, image.height, image.tobytes())


@pytest.mark.parametrize("kind", ["black", "white", "noise", "stripes", "chessboard"])
def test_fail__nothing_is_read_where_no_code_is(kind: str) -> None:
    """Darkness, light, noise and patterns are no codes."""
    chance = random.Random(kind)  # noqa: S311 - the same each time
    width, height = scene.SIZE
    pixels = {
        "black": bytes(width * height),
        "white": b"\xff" * (width * height),
        "noise": chance.randbytes(width * height),
        "stripes": b"\x00\x00\x00\xff\xff\xff\xff\x00" * (width * height // 8),
        "chessboard": b"".join(
            (b"\x00" * 8 + b"\xff" * 8 if row // 8 % 2 else b"\xff" * 8 + b"\x00" * 8) * (width // 16) for row in range(height)
        ),
    }[kind]
    assert decode.codes_in(Picture(width, height, pixels)) == []


def test_ok__two_codes_in_one_picture() -> None:
    """Two phones are two codes, and the same code twice is one."""
    sheets = [scene.printed(scene.tour_code(number)).resize((240, 240)) for number in (1, 2, 1)]
    wall = Image.new("L", (800, 300), 255)
    for place, sheet in enumerate(sheets):
        wall.paste(sheet, (10 + 260 * place, 30))
    assert sorted(decode.codes_in(_picture(wall))) == sorted([scene.tour_code(1), scene.tour_code(2)])


def test_ok__tour_codes_come_before_all_others() -> None:
    """However many codes hang above it, a tour code is among those that are read, and of both kinds there is an end."""
    wall = Image.new("L", (1280, 960), 255)
    adverts = [f"HTTPS://EX.COM/{number}" for number in range(5)]
    forged = [f"TL1:{number:02}" for number in range(MAX_TOURS + 1)]
    for place, text in enumerate([*adverts, *forged]):
        wall.paste(_drawn("QRCode", text).resize((140, 140)), (10 + 150 * (place % 8), 10 + 150 * (place // 8)))
    # before the forged ones that fill the last row, and below all of the adverts
    wall.paste(scene.printed(scene.tour_code(1)).resize((300, 300)), (900, 600))
    found = decode.codes_in(_picture(wall))
    tours = [text for text in found if text.startswith("TL1:")]
    assert (len(tours), found) == (MAX_TOURS, [*tours, *adverts[:MAX_OTHERS]])
    assert set(tours) <= {*forged, scene.tour_code(1)}
    wall.paste(255, (0, 150, 1280, 590))  # without most of the forged ones
    assert decode.codes_in(_picture(wall))[-5:] == [scene.tour_code(1), *adverts[:MAX_OTHERS]]


@pytest.mark.parametrize("kind", ["Aztec", "DataMatrix", "Code128", "PDF417"])
def test_fail__other_symbols_are_not_codes(kind: str) -> None:
    """Parcels and tickets carry symbols of other kinds, which the camera does not read, whatever they say."""
    image = _drawn(kind, scene.tour_code(1)[:60])
    every = zxingcpp.read_barcodes(image)
    assert [found.text for found in every] == [scene.tour_code(1)[:60]]
    assert decode.codes_in(_picture(image)) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("TL1:ABC", "TL1:ABC"),
        ("two\nlines\r\n", "two?lines??"),
        ("\x00\x1b[2J\x7f", "??[2J?"),
        ("Grüße 你好", "Gr??e ??"),
        ("\ud800", "?"),
    ],
)
def test_ok__a_code_is_one_printable_line(text: str, line: str) -> None:
    """Whatever a code holds, it is one line for the agent, and none that a tour code could be."""
    assert decode.line(text) == line


def test_ok__a_code_of_two_lines_comes_out_as_one() -> None:
    """A code made to smuggle a second line in is one line that no door takes."""
    sneaky = f"{scene.tour_code(1)}\n{scene.tour_code(2)}"
    image = _drawn("QRCode", sneaky)
    assert decode.codes_in(_picture(image)) == [sneaky.replace("\n", "?")]
