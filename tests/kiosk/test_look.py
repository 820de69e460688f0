"""Whatever colour a property has, what is written in it and on it can be read."""

from __future__ import annotations

import itertools
import re

import pytest

from agent.kiosk.look import DARK_CARD, DARK_PAPER, INK_CONTRAST, LIGHT_CARD, LIGHT_PAPER, contrast, shades, stylesheet

PARTS = ("00", "33", "66", "77", "99", "cc", "ff")
COLOURS = [f"#{red}{green}{blue}" for red, green, blue in itertools.product(PARTS, repeat=3)]
ENOUGH = 4.5


def test_ok__contrast_is_that_of_the_guideline() -> None:
    """Black on white is 21, a colour on itself 1, and the grey that is known to be just enough is."""
    assert round(contrast("#000000", "#ffffff"), 2) == 21
    assert contrast("#1f4e79", "#1f4e79") == 1
    assert round(contrast("#767676", "#ffffff"), 2) == 4.54
    assert contrast("#0a0a0a", "#ffffff") == contrast("#ffffff", "#0a0a0a")


@pytest.mark.parametrize(("paper", "card"), [(LIGHT_PAPER, LIGHT_CARD), (DARK_PAPER, DARK_CARD)], ids=["light", "dark"])
def test_ok__every_colour_can_be_read(paper: str, card: str) -> None:
    """As a surface with something on it, and as ink on paper, card and tint: for all of the cube's colours."""
    for colour in COLOURS:
        made = shades(colour, paper, card)
        assert made.surface == colour
        assert contrast(made.surface, made.on_surface) >= ENOUGH
        assert min(contrast(made.ink, ground) for ground in (paper, card, made.tint)) >= INK_CONTRAST
        assert contrast(made.ink, made.on_ink) >= ENOUGH


def test_ok__a_colour_that_can_be_read_stays_itself() -> None:
    """Only what could not be read is changed."""
    assert shades("#143a5e", LIGHT_PAPER, LIGHT_CARD).ink == "#143a5e"
    assert shades("#ffe94a", DARK_PAPER, DARK_CARD).ink == "#ffe94a"
    assert shades("#ffe94a", LIGHT_PAPER, LIGHT_CARD).ink != "#ffe94a"


def test_ok__the_sheet_has_both_papers_and_no_way_to_anything_else() -> None:
    """Custom properties alone, the same ones light and dark."""
    light, dark = re.findall(r"{(.*?)}", stylesheet("#1f4e79"))
    names = ["--paper", "--card", "--accent", "--on-accent", "--accent-ink", "--on-accent-ink", "--tint"]
    for sheet in (light, dark):
        assert [part.split(":")[0].strip() for part in sheet.strip().rstrip(";").split(";")] == names
        assert re.fullmatch(r"( --[a-z-]+: #[0-9a-f]{6};)+ ", sheet)
