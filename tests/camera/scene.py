"""Pictures of real tour codes, as a camera at a door may see them: each kind of trouble at any level, the same each time.

A scene is 448 by 448 grey pixels. Lengths on the code are in modules, the code's squares, since that is what decides.
"""

from __future__ import annotations

import io
import math
import random
from collections.abc import Callable
from dataclasses import replace

from PIL import Image, ImageChops, ImageDraw, ImageFilter, ImageOps

from agent import qr
from agent.camera.capture import Picture
from agent.core import codes, signature
from agent.core.tour import TourCode, Window

SIZE = (448, 448)
WALL = 110
SEED = bytes(range(32))
PUBLIC = signature.public_key(SEED)
CODE = TourCode(
    code_id="0102030405aa",
    appointment_id="1234567",
    prospect_id="7654321",
    community_id="1001",
    doors=("front", "garage"),
    unit_names=("101", "204 B"),
    window=Window(1_790_000_000_000, 1_790_000_900_000),
    key_id=signature.key_id(PUBLIC).hex(),
)


def tour_code(number: int) -> str:
    """One of many codes, as the desk signs them."""
    return codes.issue(replace(CODE, code_id=f"{number:012x}", appointment_id=str(1_000_000 + number)), SEED)


def modules(text: str) -> int:
    """A side of the code without its quiet zone."""
    return 17 + 4 * qr.version(text)


def printed(text: str) -> Image.Image:
    """The code itself with its quiet zone, 8 pixels a module."""
    with Image.open(io.BytesIO(qr.png(text))) as image:
        return image.convert("L")


def placed(sheet: Image.Image, module_px: float, *, turn_deg: float = 0.0, tilt_deg: float = 0.0) -> Image.Image:
    """A printed sheet before the camera, `module_px` camera pixels a module, turned in its plane and tilted away about its upright axis."""
    scale = 2  # drawn twice as large, then averaged, as a sensor's pixels average
    width, height = SIZE[0] * scale, SIZE[1] * scale
    half = sheet.width / 2
    distance = 3.0 * sheet.width
    turn, tilt = math.radians(turn_deg), math.radians(tilt_deg)
    corners = []
    for x, y in ((-half, -half), (half, -half), (half, half), (-half, half)):
        across, down = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
        nearer = distance / (distance + across * math.sin(tilt)) * module_px * scale / 8
        corners.append((width / 2 + across * math.cos(tilt) * nearer, height / 2 + down * nearer))
    coefficients = _projection(corners, [(0.0, 0.0), (sheet.width, 0.0), (sheet.width, sheet.height), (0.0, sheet.height)])
    ground = Image.new("L", (width, height), WALL)
    # what lies beyond the sheet becomes wall, by a mask that is moved likewise
    moved = sheet.transform((width, height), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR)
    mask = Image.new("L", sheet.size, 255).transform((width, height), Image.Transform.PERSPECTIVE, coefficients, Image.Resampling.BILINEAR)
    ground.paste(moved, mask=mask)
    return ground.resize(SIZE, Image.Resampling.BOX)


def _projection(seen: list[tuple[float, float]], flat: list[tuple[float, float]]) -> list[float]:
    """The eight numbers by which Pillow finds the flat sheet's point for each seen point: four pairs make eight equations."""
    rows = []
    for (x, y), (u, v) in zip(seen, flat, strict=True):
        rows.append([x, y, 1.0, 0.0, 0.0, 0.0, -u * x, -u * y, u])
        rows.append([0.0, 0.0, 0.0, x, y, 1.0, -v * x, -v * y, v])
    for column in range(8):
        pivot = max(range(column, 8), key=lambda row: abs(rows[row][column]))
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for row in range(8):
            if row != column:
                factor = rows[row][column]
                rows[row] = [value - factor * other for value, other in zip(rows[row], rows[column], strict=True)]
    return [row[8] for row in rows]


def noisy(image: Image.Image, deviation: float, chance: random.Random) -> Image.Image:
    """With a sensor's noise: the sum of four even ones is near enough to a bell."""
    half = max(1, round(deviation * math.sqrt(3) / 2))  # of each one's width
    for _ in range(4):
        even = Image.frombytes("L", image.size, chance.randbytes(image.width * image.height))
        even = even.point([round(value * 2 * half / 255) for value in range(256)])
        image = ImageChops.add(image, even, 1.0, -half)
    return image


# --- kinds of trouble: each takes a code's text, a level and a source of chance ---


def small(text: str, module_px: float, chance: random.Random) -> Image.Image:
    """Far away: so many camera pixels a module."""
    return noisy(placed(printed(text), module_px, turn_deg=chance.uniform(-8, 8)), 3, chance)


def blurred(text: str, radius: float, chance: random.Random) -> Image.Image:
    """Out of focus by so many modules, at 4 pixels a module."""
    return noisy(placed(printed(text), 4).filter(ImageFilter.GaussianBlur(4 * radius)), 3, chance)


def smeared(text: str, length: float, chance: random.Random) -> Image.Image:
    """Moved by so many modules while the shutter was open, in any direction."""
    image, angle = placed(printed(text), 4), chance.uniform(0, 2 * math.pi)
    steps = max(2, round(4 * length * 2))
    total = image
    for step in range(1, steps + 1):
        across, down = (round(4 * length * step / steps * part) for part in (math.cos(angle), math.sin(angle)))
        total = Image.blend(total, ImageChops.offset(image, across, down), 1 / (step + 1))
    return noisy(total, 3, chance)


def turned(text: str, degrees: float, chance: random.Random) -> Image.Image:
    """Held at an angle, at 3 pixels a module."""
    return noisy(placed(printed(text), 3, turn_deg=degrees), 3, chance)


def tilted(text: str, degrees: float, chance: random.Random) -> Image.Image:
    """Not held square to the camera, at 4 pixels a module."""
    return noisy(placed(printed(text), 4, turn_deg=chance.uniform(-8, 8), tilt_deg=degrees), 3, chance)


def dimmed(text: str, white: float, chance: random.Random) -> Image.Image:
    """So dark that white is this of 255, with the noise that a sensor has in the dark, at 4 pixels a module."""
    image = placed(printed(text), 4).point([round(6 + value * white / 255) for value in range(256)])
    return noisy(image, 3, chance)


def grainy(text: str, deviation: float, chance: random.Random) -> Image.Image:
    """With noise of this standard deviation, at 4 pixels a module."""
    return noisy(placed(printed(text), 4), deviation, chance)


def glared(text: str, part: float, chance: random.Random) -> Image.Image:
    """A lamp's reflection burns out a round part of the code, that much of its side across, never on a corner mark's middle."""
    image = placed(printed(text), 4)
    side = 4 * modules(text)
    radius = part * side / 2
    angle, far = chance.uniform(0, 2 * math.pi), chance.uniform(0, 0.2) * side
    across, down = SIZE[0] / 2 + far * math.cos(angle), SIZE[1] / 2 + far * math.sin(angle)
    spot = Image.new("L", SIZE, 0)
    ImageDraw.Draw(spot).ellipse((across - radius, down - radius, across + radius, down + radius), fill=255)
    halo = spot.filter(ImageFilter.GaussianBlur(radius / 3 + 1))
    return noisy(ImageChops.add(ImageChops.lighter(image, spot), halo, 1.5), 3, chance)


def creased(text: str, degrees: float, chance: random.Random) -> Image.Image:
    """Printed, and folded upright: one part leans back by so many degrees and lies in shade, the fold is worn over one module."""
    sheet = printed(text)
    fold = round(sheet.width * chance.uniform(0.35, 0.65))
    left, right = sheet.crop((0, 0, fold, sheet.height)), sheet.crop((fold, 0, sheet.width, sheet.height))
    leaning = right.resize((max(1, round(right.width * math.cos(math.radians(degrees)))), right.height), Image.Resampling.BICUBIC)
    shade = 1 - 0.5 * math.sin(math.radians(degrees))
    folded = Image.new("L", sheet.size, WALL)
    folded.paste(left, (0, 0))
    folded.paste(leaning.point([round(value * shade) for value in range(256)]), (fold, 0))
    ImageDraw.Draw(folded).line((fold, 0, fold, sheet.height), fill=200, width=8)
    return noisy(placed(folded, 4, turn_deg=chance.uniform(-8, 8)), 3, chance)


def shaded(text: str, part: float, chance: random.Random) -> Image.Image:
    """A hard shadow lies over half of it and leaves this much of the light, at 4 pixels a module."""
    image = placed(printed(text), 4)
    edge = SIZE[0] // 2 + round(chance.uniform(-60, 60))
    shadow = image.crop((edge, 0, *SIZE)).point([round(value * part) for value in range(256)])
    image.paste(shadow, (edge, 0))
    return noisy(image, 3, chance)


def inverted(text: str, module_px: float, chance: random.Random) -> Image.Image:
    """Light on dark, as a phone shows pages at night."""
    return noisy(placed(ImageOps.invert(printed(text)), module_px), 3, chance)


def everyday(text: str, module_px: float, chance: random.Random) -> Image.Image:
    """A little of all: turned, tilted, out of focus, moved, dim, grainy."""
    sheet = printed(text).point([round(40 + value * 140 / 255) for value in range(256)])
    image = placed(sheet, module_px, turn_deg=chance.uniform(0, 360), tilt_deg=chance.uniform(-25, 25))
    return noisy(image.filter(ImageFilter.GaussianBlur(0.35 * module_px)), 8, chance)


Trouble = Callable[[str, float, random.Random], Image.Image]


def picture(trouble: Trouble, text: str, level: float, number: int) -> Picture:
    """One scene as the camera process has it; `number` seeds its chance."""
    chance = random.Random(f"{trouble.__name__} {float(level)} {number}")  # noqa: S311 - the same each time
    image = trouble(text, level, chance)
    return Picture(image.width, image.height, image.tobytes())
