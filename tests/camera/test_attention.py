"""What of the codes before a camera is told: a scan burst stays one scan, and what lies about is no news."""

from __future__ import annotations

import itertools

import pytest

from agent.camera.attention import (
    AGAIN_S,
    FORGET_S,
    GONE_S,
    LONG_S,
    MAX_REMEMBERED,
    MAX_WAITING,
    OTHERS_PER_S,
    S_NS,
    Attention,
)
from agent.daemon.doorman import REPEAT_S
from drivers import reader_socket

A, B, C = "TL1:A", "TL1:B", "TL1:C"
JUNK = "https://example.com/"
PICTURES_PER_S = 8


def _seen(*spans: tuple[float, list[str]]) -> list[tuple[float, str]]:
    """What is told, and when in seconds, of spans of so many seconds with these codes in every picture."""
    attention, told, picture = Attention(), [], 0
    for seconds, texts in spans:
        for _ in range(round(seconds * PICTURES_PER_S)):
            at_s = picture / PICTURES_PER_S
            for text in attention.look(texts, round(at_s * 1e9)):
                attention.told(text, round(at_s * 1e9))
                told.append((at_s, text))
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


@pytest.mark.parametrize("stickers", [2, 8])
def test_ok__however_many_old_codes_on_the_wall_keep_nobody_out(stickers: int) -> None:
    """Once each has had its turn, somebody who comes is told at once, and the next one, and the wall makes no new scans meanwhile."""
    wall = [f"TL1:WALL{number}" for number in range(stickers)]
    quiet_s = stickers * (LONG_S + 1)
    told = _seen((quiet_s, wall), (5.0, [*wall, A]), (GONE_S + 1.0, wall), (5.0, [B, *wall]))
    first = {text: next(at_s for at_s, found in told if found == text) for text in (A, B)}
    assert first == {A: quiet_s, B: quiet_s + 5.0 + GONE_S + 1.0}
    assert len({text for at_s, text in told if quiet_s - LONG_S < at_s < quiet_s}) == 1


def test_ok__who_came_first_has_the_next_turn() -> None:
    """Beside a code that is never taken away, each waits for those before it, and no longer."""
    told = _seen((1.0, [A]), (1.0, [A, B]), (3 * LONG_S, [A, C, B]))
    first = {text: next(at_s for at_s, found in told if found == text) for text in (A, B, C)}
    assert first == {A: 0.0, B: LONG_S + 1 / PICTURES_PER_S, C: 2 * (LONG_S + 1 / PICTURES_PER_S)}
    assert told[-1][1] == C


def test_ok__codes_without_end_keep_nobody_out() -> None:
    """Somebody whose phone plays a new code in each picture has a turn, and then so has who waits beside it."""
    attention, told = Attention(), []
    for picture in range(4 * PICTURES_PER_S):
        at_ns = picture * S_NS // PICTURES_PER_S
        for text in attention.look([f"TL1:{picture}", *([A] if picture else [])], at_ns):
            attention.told(text, at_ns)
            told.append(text)
    assert told == ["TL1:0", A, A]


def test_fail__no_more_is_told_in_a_second_than_the_agent_takes() -> None:
    """A phone that plays codes of all kinds does not have the camera taken for mad, and a tour code comes before the others."""
    attention, told_ns = Attention(), []
    for picture in range(60 * 30):
        at_ns = picture * S_NS // 30
        for text in attention.look([*(f"junk {picture}.{place}" for place in range(4)), f"TL1:{picture}", A], at_ns):
            attention.told(text, at_ns)
            told_ns.append(at_ns)
    busiest = max(sum(begin <= at_ns < begin + S_NS for at_ns in told_ns) for begin in told_ns)
    assert busiest <= OTHERS_PER_S + 2 <= reader_socket.FRAMES_PER_S / 4
    assert attention.look([JUNK, "TL1:LAST"], 100 * S_NS) == ["TL1:LAST", JUNK]


@pytest.mark.parametrize("text", [A, JUNK])
def test_fail__what_could_not_be_handed_over_is_told_while_it_is_held_up(text: str) -> None:
    """The agent was away: the code is offered with each picture until it was told, and then not at once again."""
    attention = Attention()
    assert [attention.look([text], picture * S_NS // PICTURES_PER_S) for picture in range(5)] == [[text]] * 5
    attention.told(text, S_NS)
    assert attention.look([text], S_NS + 1) == []


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
        for text in attention.look([f"junk {number}", *(f"TL1:{number}.{place}" for place in range(16))], number * 10**7):
            attention.told(text, number * 10**7)
    for number in range(100):
        attention.told(f"junk {number}", 10**11)
    assert (len(attention._others), len(attention._tours)) == (MAX_REMEMBERED, MAX_WAITING)
