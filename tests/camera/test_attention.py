"""What of the codes before a camera is told: a scan burst stays one scan, and what lies about is no news."""

from __future__ import annotations

import itertools

from agent.camera.attention import AGAIN_S, FORGET_S, GONE_S, LONG_S, MAX_REMEMBERED, Attention
from agent.daemon.doorman import REPEAT_S

A, B = "TL1:A", "TL1:B"
JUNK = "https://example.com/"
PICTURES_PER_S = 8


def _seen(*spans: tuple[float, list[str]]) -> list[tuple[float, str]]:
    """What is told, and when in seconds, of spans of so many seconds with these codes in every picture."""
    attention, told, picture = Attention(), [], 0
    for seconds, texts in spans:
        for _ in range(round(seconds * PICTURES_PER_S)):
            at_s = picture / PICTURES_PER_S
            told += [(at_s, text) for text in attention.look(texts, round(at_s * 1e9))]
            picture += 1
    return told


def test_ok__a_tour_code_is_told_at_once_and_again_while_it_is_held_up() -> None:
    """Once a second, so that the agent, for whom that is one scan, looks again if the door was busy."""
    assert _seen((3.2, [A])) == [(0.0, A), (1.0, A), (2.0, A), (3.0, A)]
    assert AGAIN_S < REPEAT_S


def test_ok__a_trembling_hand_makes_no_second_scan() -> None:
    """Pictures between in which it is not read change nothing."""
    told = _seen((0.5, [A]), (0.9, []), (0.5, [A]), (0.4, []), (0.5, [A]))
    assert [text for _, text in told] == [A, A, A]
    assert all(later - earlier >= AGAIN_S for (earlier, _), (later, _) in itertools.pairwise(told))


def test_ok__the_next_visitor_has_a_turn_when_the_first_is_gone() -> None:
    """A second phone beside the first is told after the first went away, and at once then."""
    told = _seen((1.0, [A]), (1.0, [A, B]), (GONE_S + 1.0, [B]))
    assert told == [(0.0, A), (1.0, A), (4.0, B)]


def test_fail__two_phones_side_by_side_are_not_two_scans_each_second() -> None:
    """While both are held up, one is told: in turns they would be new scans for the agent all the time."""
    assert {text for _, text in _seen((LONG_S - 1.0, [A, B]))} == {A}


def test_ok__an_old_code_on_the_wall_keeps_nobody_out() -> None:
    """A tour code that has been before the camera for long gives way to a new one at once."""
    told = _seen((LONG_S + 2.0, [A]), (1.0, [A, B]))
    assert told[-1] == (LONG_S + 2.0, B)


def test_ok__anything_else_is_told_once() -> None:
    """A wrong code is refused once, and a sticker in the picture is not refused all day."""
    assert _seen((20.0, [JUNK]), (FORGET_S - 1.0, []), (5.0, [JUNK])) == [(0.0, JUNK)]


def test_ok__anything_else_is_news_again_after_a_while() -> None:
    """Who comes back with it hears the refusal again."""
    told = _seen((1.0, [JUNK]), (FORGET_S + 1.0, []), (1.0, [JUNK]))
    assert told == [(0.0, JUNK), (FORGET_S + 2.0, JUNK)]


def test_ok__a_sticker_beside_it_takes_nothing_from_a_tour_code() -> None:
    """A tour code is told as ever while other codes are in the picture."""
    assert _seen((2.0, [JUNK]), (1.5, [JUNK, A])) == [(0.0, JUNK), (2.0, A), (3.0, A)]


def test_ok__the_same_code_again_later_is_a_scan_again() -> None:
    """Who leaves and comes back is told at once."""
    assert _seen((0.5, [A]), (GONE_S + 1.5, []), (0.5, [A])) == [(0.0, A), (GONE_S + 2.0, A)]


def test_fail__what_is_remembered_is_bounded() -> None:
    """However many different codes are shown, memory does not grow."""
    attention = Attention()
    for number in range(1000):
        attention.look([f"junk {number}", f"TL1:{number}"], number * 10**8)
    assert len(attention._others) == MAX_REMEMBERED
