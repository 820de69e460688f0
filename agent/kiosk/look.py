"""The property's colour, made fit to be read: whatever is configured, what stands on it or is written in it has contrast enough.

Rule 1: the colour itself is kept where it is a surface; what stands on it is black or white, whichever can be told from it better.
Rule 2: where the colour is ink or an edge, it is taken towards black (on light paper) or white (on dark paper) until it can be read.

Luminance and contrast are those of WCAG 2.2 (relative luminance of sRGB, ratio 1 to 21).
"""

from __future__ import annotations

from dataclasses import dataclass

INK_CONTRAST = 7.0
"""Of writing on paper: level AAA."""
LIGHT_PAPER, DARK_PAPER = "#f6f4ef", "#12161a"
LIGHT_CARD, DARK_CARD = "#ffffff", "#1d242b"

_STEPS = 50
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)
_TINT = 0.12
_LINEAR_TO = 0.04045
"""Of sRGB: below it a part is in proportion to the light."""
Rgb = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Shades:
    """One colour on one paper: the surface and what stands on it, the same as ink, and a surface with a breath of it."""

    surface: str
    on_surface: str
    ink: str
    on_ink: str
    tint: str


def shades(colour: str, paper: str, card: str) -> Shades:
    """The shades of a colour (`#rrggbb`) on a paper and on the cards that lie there."""
    base, ground = _rgb(colour), _rgb(paper)
    end = _BLACK if _luminance(ground) > _luminance(_rgb("#767676")) else _WHITE
    tint = _mixed(_rgb(card), base, _TINT)
    grounds = (ground, _rgb(card), tint)
    ink = next(
        mixed
        for step in range(_STEPS + 1)
        if min(_ratio(mixed := _mixed(base, end, step / _STEPS), on) for on in grounds) >= INK_CONTRAST or step == _STEPS
    )
    return Shades(colour, _hex(_best_on(base)), _hex(ink), _hex(_best_on(ink)), _hex(tint))


def stylesheet(colour: str) -> str:
    """CSS with the shades of the colour, light and dark, as custom properties."""
    light = _properties(shades(colour, LIGHT_PAPER, LIGHT_CARD), LIGHT_PAPER, LIGHT_CARD)
    dark = _properties(shades(colour, DARK_PAPER, DARK_CARD), DARK_PAPER, DARK_CARD)
    return f":root {{ {light} }}\n:root[data-dark] {{ {dark} }}\n"


def contrast(one: str, other: str) -> float:
    """How well two colours can be told apart: 1 not at all, 21 black from white."""
    return _ratio(_rgb(one), _rgb(other))


def _properties(made: Shades, paper: str, card: str) -> str:
    return (
        f"--paper: {paper}; --card: {card}; --accent: {made.surface}; --on-accent: {made.on_surface}; "
        f"--accent-ink: {made.ink}; --on-accent-ink: {made.on_ink}; --tint: {made.tint};"
    )


def _best_on(ground: Rgb) -> Rgb:
    return max((_WHITE, _BLACK), key=lambda ink: _ratio(ink, ground))


def _ratio(one: Rgb, other: Rgb) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _luminance(colour: Rgb) -> float:
    red, green, blue = (_linear(part / 255) for part in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _linear(part: float) -> float:
    return part / 12.92 if part <= _LINEAR_TO else ((part + 0.055) / 1.055) ** 2.4


def _mixed(one: Rgb, other: Rgb, share: float) -> Rgb:
    """The first with that share of the second in it."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _rgb(colour: str) -> Rgb:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _hex(colour: Rgb) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
