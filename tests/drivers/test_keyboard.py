"""What a keyboard types: each layout over the whole alphabet, and what must not become a line."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core.base45 import ALPHABET
from agent.core.codes import PREFIX
from drivers.base import Frame
from drivers.keyboard import (
    EV_KEY,
    EV_SYN,
    KEY_BACKSPACE,
    KEY_CAPSLOCK,
    KEY_ENTER,
    KEY_ESC,
    KEY_KPENTER,
    KEY_LEFTCTRL,
    KEY_LEFTSHIFT,
    KEY_NUMLOCK,
    KEY_RIGHTALT,
    KEY_RIGHTSHIFT,
    KEY_TAB,
    LAYOUTS,
    PAUSE_NS,
    SYN_DROPPED,
    TypedLines,
    is_half_a_line,
)

S_NS = 1_000_000_000
SPOILT = b"\x1a"
WHOLE_ALPHABET = (ALPHABET + PREFIX + b"0123456789#").decode("ascii")
Event = tuple[int, int, int]
SYN = (EV_SYN, 0, 0)
DROPPED = (EV_SYN, SYN_DROPPED, 0)


def tap(*codes: int) -> list[Event]:
    """Press the keys one after another, then let go of them the other way round, as a scanner does with shift and a letter."""
    down = [event for code in codes for event in ((EV_KEY, code, 1), SYN)]
    return down + [event for code in reversed(codes) for event in ((EV_KEY, code, 0), SYN)]


def strokes(layout: str, text: str, shift: int = KEY_LEFTSHIFT) -> list[Event]:
    """The events of a scanner set to this layout that types this text."""
    events: list[Event] = []
    for character in text:
        code, level = next(
            (code, level)
            for level in range(3)
            for code, key in LAYOUTS[layout].items()
            if key[level] == character and code not in {55, 98, 74, 78, 83}
        )
        events += tap(*((), (shift,), (KEY_RIGHTALT,))[level], code)
    return events


def typed(lines: TypedLines, *events: Iterable[Event], at_ns: int = S_NS) -> list[bytes]:
    """The lines of these events, all read in one instant, at once."""
    frames = lines.feed([event for some in events for event in some], at_ns)
    assert frames is not None
    return [frame.data for frame in frames]


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@pytest.mark.parametrize("shift", [KEY_LEFTSHIFT, KEY_RIGHTSHIFT])
def test_ok__every_character_of_a_code_and_a_pin_comes_through(layout: str, shift: int) -> None:
    """In each layout, all that a code or a PIN can hold is typed and read back, by either shift."""
    assert typed(TypedLines(layout), strokes(layout, WHOLE_ALPHABET, shift), tap(KEY_ENTER)) == [WHOLE_ALPHABET.encode("ascii")]


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
@given(text=st.text(st.sampled_from(WHOLE_ALPHABET), min_size=1, max_size=60), size=st.integers(1, 7))
def test_ok__any_text_in_any_pieces(layout: str, text: str, size: int) -> None:
    """Where the reads fall makes no difference, not even between a shift and its letter."""
    events = strokes(layout, text) + tap(KEY_ENTER)
    lines = TypedLines(layout)
    pieces = [events[start : start + size] for start in range(0, len(events), size)]
    assert [line for piece in pieces for line in typed(lines, piece)] == [text.encode("ascii")]


def test_fail__another_layout_reads_another_text() -> None:
    """A scanner that is set to be another keyboard gives a text that is no code; it is not guessed at."""
    assert typed(TypedLines("us"), strokes("de", "TL1:Z/"), tap(KEY_ENTER)) == [b"TL1>Y&"]


def test_fail__an_unknown_layout_is_refused() -> None:
    """A slip in the settings is answered with the layouts there are."""
    with pytest.raises(ValueError, match="us, de, fr, not 'dvorak'"):
        TypedLines("dvorak")


@pytest.mark.parametrize("layout", sorted(LAYOUTS))
def test_ok__a_numeric_keypad_types_digits_with_its_own_enter(layout: str) -> None:
    """The keypad's block is the same everywhere, whatever num lock is said to be."""
    digits = [82, 79, 80, 81, 75, 76, 77, 71, 72, 73]
    assert typed(TypedLines(layout), tap(KEY_NUMLOCK), *map(tap, digits), tap(KEY_NUMLOCK), tap(KEY_KPENTER)) == [b"0123456789"]


def test_ok__enter_and_tab_end_a_line_and_empty_lines_are_none() -> None:
    """A scanner set to end with CR, LF, both or a tab works as it is."""
    events = [*strokes("us", "A"), *tap(KEY_TAB), *strokes("us", "B"), *tap(KEY_ENTER), *tap(KEY_ENTER), *tap(KEY_TAB)]
    assert typed(TypedLines(), events) == [b"A", b"B"]


def test_ok__a_held_key_is_one_character() -> None:
    """Key repeat is ignored, for letters and for the end of a line."""
    repeat = [(EV_KEY, 2, 1), (EV_KEY, 2, 2), (EV_KEY, 2, 2), (EV_KEY, 2, 0), (EV_KEY, KEY_ENTER, 1), (EV_KEY, KEY_ENTER, 2)]
    assert typed(TypedLines(), repeat) == [b"1"]


def test_ok__caps_lock_turns_letters_round_and_nothing_else() -> None:
    """With caps lock on, shift makes small letters; digits and signs stay as they are. A second press turns it off."""
    lines = TypedLines("de")
    lines.start((), is_caps=True, skip_at_ns=None)
    assert typed(lines, strokes("de", "aB1:ß"), tap(KEY_CAPSLOCK), strokes("de", "aB"), tap(KEY_ENTER)) == ["Ab1:ßaB".encode()]


def test_ok__a_shift_that_was_held_at_the_start_counts() -> None:
    """Shift pressed before reading began belongs to the letters after it; a letter pressed before is not typed by its release."""
    lines = TypedLines()
    lines.start([KEY_LEFTSHIFT, 30], is_caps=False, skip_at_ns=None)
    assert typed(lines, [(EV_KEY, 30, 0)], tap(48), [(EV_KEY, KEY_LEFTSHIFT, 0)], tap(48), tap(KEY_ENTER)) == [b"Bb"]


def test_fail__a_key_without_a_character_spoils_the_line() -> None:
    """A function key, an accent that waits, an order with ctrl: the line is longer than the code, and so is refused above."""
    lines = TypedLines("de")
    for events in (tap(59), tap(13), tap(KEY_LEFTCTRL, 30), tap(KEY_RIGHTALT, 30)):
        assert typed(lines, strokes("de", "A"), events, strokes("de", "B"), tap(KEY_ENTER)) == [b"A" + SPOILT + b"B"]


def test_ok__backspace_and_escape_begin_the_line_anew() -> None:
    """Who mistypes a PIN clears it, and what was typed before is gone."""
    for cancel in (KEY_BACKSPACE, KEY_ESC):
        assert typed(TypedLines(), strokes("us", "1234"), tap(cancel), strokes("us", "87654321"), tap(KEY_ENTER)) == [b"87654321"]


def test_fail__an_overflow_loses_the_whole_line() -> None:
    """After SYN_DROPPED nothing of that read is used, nor what follows up to the line's end; the next line is whole."""
    lines = TypedLines()
    assert typed(lines, strokes("us", "first ha")) == []
    assert lines.feed([*strokes("us", "lf"), DROPPED, *strokes("us", "second"), *tap(KEY_ENTER)], S_NS) is None
    lines.start((), is_caps=False, skip_at_ns=S_NS)
    assert typed(lines, strokes("us", "tail"), tap(KEY_ENTER), strokes("us", "NEXT"), tap(KEY_ENTER)) == [b"NEXT"]


def test_fail__an_overflow_that_swallowed_the_end_does_not_swallow_the_next_scan() -> None:
    """When the lost line's Enter was lost, too, a pause ends the skipping."""
    lines = TypedLines()
    lines.start((), is_caps=False, skip_at_ns=S_NS)
    assert typed(lines, strokes("us", "tail"), at_ns=S_NS + PAUSE_NS) == []
    assert typed(lines, strokes("us", "more"), at_ns=S_NS + 2 * PAUSE_NS) == []
    assert typed(lines, strokes("us", "NEXT"), tap(KEY_ENTER), at_ns=S_NS + 3 * PAUSE_NS + 1) == [b"NEXT"]


def test_fail__a_line_that_rests_too_long_is_dropped() -> None:
    """What somebody began to type and left does not stand before the next visitor's PIN."""
    lines = TypedLines(gap_s=5.0)
    assert typed(lines, strokes("us", "123")) == []
    assert typed(lines, strokes("us", "87654321"), tap(KEY_ENTER), at_ns=7 * S_NS) == [b"87654321"]


def test_fail__an_overlong_line_is_one_report() -> None:
    """Somebody leaning on the keypad costs no memory and is told once."""
    lines = TypedLines(max_bytes=64)
    events = [*strokes("us", "9" * 3000), *tap(KEY_ENTER), *strokes("us", "1"), *tap(KEY_ENTER)]
    assert lines.feed(events, S_NS) == [Frame(b"", S_NS, overlong=True), Frame(b"1", S_NS)]


@pytest.mark.parametrize(
    ("events", "is_half"),
    [
        ([], False),
        ([SYN], False),
        ([*tap(30)], True),
        ([*tap(30), *tap(KEY_ENTER)], False),
        ([*tap(30), *tap(KEY_KPENTER), *tap(KEY_NUMLOCK), (EV_KEY, KEY_LEFTSHIFT, 1)], False),
        ([*tap(KEY_ENTER), *tap(30)], True),
        ([*tap(KEY_ENTER), DROPPED], True),
        ([(EV_KEY, 30, 0)], False),
    ],
)
def test_ok__whether_a_line_is_under_way(events: list[Event], is_half: bool) -> None:
    """What was typed while nobody read tells whether the keys to come are the rest of it."""
    assert is_half_a_line(events) is is_half
