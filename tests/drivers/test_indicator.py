"""What a door shows: the table, what is shown when, and that all is off in the end."""

from __future__ import annotations

import itertools
import queue
from collections.abc import Iterator

import pytest

from drivers.base import DriverError, Signal
from drivers.fake import PlayedLine
from drivers.indicator import PATTERNS, Lamp, LampsAndBuzzer, Player

WAIT_S = 20.0
MS = 1_000_000
ONCE = [Signal.GRANTED, Signal.DENIED]
LASTING = [signal for signal in Signal if signal not in ONCE]
Shown = list[tuple[int, list[Lamp]]]


def played(player: Player, from_ms: int, until_ms: int) -> Shown:
    """What is on from this time until that, with the millisecond at which it changes; as by one who looks whenever it is due."""
    shown: Shown = [(from_ms, sorted(player.on))]
    while player.due_ns is not None and player.due_ns < until_ms * MS:
        due_ns = player.due_ns
        player.advance(due_ns)
        if sorted(player.on) != shown[-1][1]:
            shown.append((due_ns // MS, sorted(player.on)))
    return shown


def showing(signal: Signal) -> Player:
    """A player that shows a signal from 0 ms on."""
    player = Player()
    player.show(signal, 0)
    return player


def test_ok__every_signal_has_a_pattern() -> None:
    """None of them is forgotten; granted and denied are over by themselves, in between half a second and five, and no other is."""
    assert set(PATTERNS) == set(Signal)
    assert [signal for signal in Signal if not PATTERNS[signal].is_lasting] == ONCE
    for signal in ONCE:
        pattern = PATTERNS[signal]
        assert 500 <= pattern.repeats * sum(step.ms or 0 for step in pattern.steps) <= 5000
        assert all(step.ms for step in pattern.steps)


def test_ok__no_two_signals_look_the_same() -> None:
    """By eye, over three seconds; and those that somebody must hear differ by ear."""
    seen = {signal: played(showing(signal), 0, 3000) for signal in Signal}
    heard = {signal: [(at, "buzzer" in on) for at, on in shown] for signal, shown in seen.items()}
    for one, other in itertools.combinations(Signal, 2):
        assert seen[one] != seen[other], (one, other)
    loud = [signal for signal in Signal if any(is_heard for _, is_heard in heard[signal])]
    assert loud == [Signal.GRANTED, Signal.DENIED, Signal.HELD, Signal.FORCED, Signal.FIRE]
    for one, other in itertools.combinations(loud, 2):
        assert heard[one] != heard[other], (one, other)


def test_ok__only_a_way_in_is_green_and_only_a_way_out_is_both() -> None:
    """Denied, held, forced and fault never light green; granted never lights red."""
    lit = {signal: {lamp for _, on in played(showing(signal), 0, 5000) for lamp in on} for signal in Signal}
    assert [signal for signal in Signal if "green" in lit[signal]] == [Signal.READY, Signal.GRANTED, Signal.OFFLINE, Signal.FIRE]
    assert "red" not in lit[Signal.GRANTED]
    assert lit[Signal.DARK] == set()


@pytest.mark.parametrize("once", ONCE)
@pytest.mark.parametrize("lasting", LASTING)
def test_ok__granted_and_denied_fall_back(once: Signal, lasting: Signal) -> None:
    """After it, what lasts is shown again from its beginning; in fire nothing else is shown, and after dark a scan is still answered."""
    player = showing(lasting)
    player.show(once, 0)
    length_ms = PATTERNS[once].repeats * sum(step.ms or 0 for step in PATTERNS[once].steps)
    if lasting is Signal.FIRE:
        assert played(player, 0, 9000) == played(showing(Signal.FIRE), 0, 9000)
        return
    shown = played(player, 0, length_ms + 3000)
    after = [(at - length_ms, on) for at, on in shown if at >= length_ms]
    expected = played(showing(lasting), 0, 3000)
    # what is on already at that moment does not change then
    assert after in (expected, expected[1:])


@pytest.mark.parametrize("lasting", LASTING)
def test_ok__what_comes_meanwhile_waits_unless_it_is_urgent(lasting: Signal) -> None:
    """A scan's answer is shown to its end, but for a door forced, fire, and the agent's leaving."""
    player = showing(Signal.READY)
    player.show(Signal.GRANTED, 0)
    player.show(lasting, 100 * MS)
    shown = played(player, 100, 2900)
    if lasting in {Signal.FORCED, Signal.FIRE, Signal.DARK}:
        assert shown == [(at + 100, on) for at, on in played(showing(lasting), 0, 2800)]
    else:
        assert shown == [(100, ["buzzer", "green"]), (600, ["green"])]
        player.advance(3000 * MS)
        assert player.on == showing(lasting).on


def test_ok__a_second_scan_is_answered_at_once() -> None:
    """Denied after granted begins when it comes."""
    player = showing(Signal.READY)
    player.show(Signal.GRANTED, 0)
    player.show(Signal.DENIED, 100 * MS)
    assert played(player, 100, 1300) == [(at + 100, on) for at, on in played(showing(Signal.DENIED), 0, 1200)]


def test_ok__told_again_it_goes_on_undisturbed() -> None:
    """A caller who repeats the state each second does not break its rhythm."""
    player = showing(Signal.HELD)
    player.advance(400 * MS)
    player.show(Signal.HELD, 450 * MS)
    assert player.due_ns == 1000 * MS


def test_ok__one_who_comes_late_sees_what_is_on_then() -> None:
    """The rhythm is kept by the clock, not by who plays it."""
    late, punctual = showing(Signal.FORCED), showing(Signal.FORCED)
    late.advance(10_000 * MS)
    played(punctual, 0, 10_001)
    assert (late.on, late.due_ns) == (punctual.on, punctual.due_ns)


class ToldLine(PlayedLine):
    """A line that tells each level; while it is told to, it refuses."""

    def __init__(self, name: str, told: queue.Queue[tuple[str, bool]]) -> None:
        super().__init__(None, name=name)
        self.told = told
        self.is_refusing = False

    def drive(self, *, released: bool) -> None:
        """Move and tell, or refuse."""
        if self.is_refusing:
            raise DriverError(f"{self.name} does not move")
        super().drive(released=released)
        self.told.put((self.name, released))


class Bench:
    """Lamps and a buzzer, and the queue of what they do."""

    def __init__(self) -> None:
        self.told: queue.Queue[tuple[str, bool]] = queue.Queue()
        lamps: list[Lamp] = ["green", "red", "buzzer"]
        self.lines = {lamp: ToldLine(lamp, self.told) for lamp in lamps}
        self.news: queue.Queue[tuple[Lamp, str | None]] = queue.Queue()
        self.indicator = LampsAndBuzzer(self.lines, on_news=lambda lamp, words: self.news.put((lamp, words)))

    def wait_for(self, lamp: Lamp, *, is_on: bool) -> None:
        """Wait until a lamp does this; whatever else is done before is passed over."""
        while self.told.get(timeout=WAIT_S) != (lamp, is_on):
            pass

    def are_on(self) -> list[Lamp]:
        """What is on now."""
        return [lamp for lamp, line in self.lines.items() if line.is_released]


@pytest.fixture
def bench() -> Iterator[Bench]:
    """A bench that is closed afterwards."""
    bench = Bench()
    yield bench
    bench.indicator.close()


def test_ok__it_begins_dark(bench: Bench) -> None:
    """A lamp that an agent before left on is turned off first thing."""
    assert [line.events for line in bench.lines.values()] == [["locked"]] * 3


@pytest.mark.parametrize("signal", Signal)
def test_ok__close_turns_all_off(bench: Bench, signal: Signal) -> None:
    """Whatever was shown, all is off and given back; again is harmless, and so is showing something to nobody."""
    bench.indicator.show(signal)
    bench.indicator.close()
    assert bench.are_on() == []
    assert [line.events[-1] for line in bench.lines.values()] == ["closed"] * 3
    bench.indicator.close()
    bench.indicator.show(Signal.FIRE)
    assert bench.are_on() == []


def test_ok__it_plays_and_dark_turns_all_off(bench: Bench) -> None:
    """Fire goes by turns with an unbroken tone, until the agent leaves."""
    bench.indicator.show(Signal.FIRE)
    bench.wait_for("green", is_on=True)
    bench.wait_for("red", is_on=True)
    bench.wait_for("green", is_on=True)
    assert bench.lines["buzzer"].events == ["locked", "released"]
    bench.indicator.show(Signal.DARK)
    bench.wait_for("buzzer", is_on=False)
    assert bench.are_on() == []


def test_ok__lamps_that_are_not_there_are_not_missed() -> None:
    """A door with a red lamp alone shows what can be shown by it, and one with nothing shows nothing."""
    told: queue.Queue[tuple[str, bool]] = queue.Queue()
    red = ToldLine("red", told)
    one, none = LampsAndBuzzer({"red": red}), LampsAndBuzzer({})
    for indicator in (one, none):
        indicator.show(Signal.FAULT)
    assert [told.get(timeout=WAIT_S), told.get(timeout=WAIT_S)] == [("red", False), ("red", True)]
    one.close()
    none.close()
    assert red.events == ["locked", "released", "locked", "closed"]


def test_fail__a_lamp_that_fails_is_logged_once_and_the_others_go_on(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    """Nobody is kept from the door by a lamp, and nothing is raised; when it works again it is used again, and may fail anew."""
    bench.indicator.show(Signal.FIRE)
    for _ in range(2):
        bench.lines["green"].is_refusing = True
        for _ in range(2):
            bench.wait_for("red", is_on=True)
        bench.lines["green"].is_refusing = False
        bench.wait_for("green", is_on=True)
    bench.indicator.close()
    assert [message for message in caplog.messages if "green" in message] == ["green: the green does not take its level"] * 2
    assert bench.are_on() == []


def test_fail__a_lamp_that_did_not_go_out_is_turned_off_in_the_end(bench: Bench) -> None:
    """What refused to go out is tried again with the next change, though nothing new is wanted of it."""
    bench.indicator.show(Signal.FIRE)
    bench.wait_for("green", is_on=True)
    bench.lines["green"].is_refusing = True
    bench.indicator.show(Signal.FAULT)
    bench.wait_for("red", is_on=True)
    bench.lines["green"].is_refusing = False
    bench.indicator.close()
    assert bench.are_on() == []


def test_fail__a_lamp_that_fails_is_told_once_and_once_when_it_works_again(bench: Bench) -> None:
    """It is tried again every second, also while what is shown does not change, and `states` says which it is."""
    bench.indicator.show(Signal.FAULT)
    bench.wait_for("red", is_on=True)
    bench.lines["green"].is_refusing = True
    bench.indicator.show(Signal.FIRE)
    assert bench.news.get(timeout=WAIT_S) == ("green", "green does not move")
    assert bench.indicator.states == {"green": "failed", "red": "ready", "buzzer": "ready"}
    bench.wait_for("red", is_on=True)
    bench.indicator.show(Signal.FAULT)
    assert bench.news.empty()
    bench.lines["green"].is_refusing = False
    assert bench.news.get(timeout=WAIT_S) == ("green", None)
    assert set(bench.indicator.states.values()) == {"ready"}


def test_fail__whoever_hears_of_a_lamp_and_fails_ends_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """What the listener raises is logged, and the lamps go on; a lamp that is broken from the start is told, too."""

    def refuse(_lamp: Lamp, _words: str | None) -> None:
        raise RuntimeError("nobody listens")

    told: queue.Queue[tuple[str, bool]] = queue.Queue()
    lines: dict[Lamp, ToldLine] = {"green": ToldLine("green", told), "red": ToldLine("red", told)}
    lines["green"].is_refusing = True
    indicator = LampsAndBuzzer(lines, on_news=refuse)
    indicator.show(Signal.FAULT)
    while told.get(timeout=WAIT_S) != ("red", True):
        pass
    assert indicator.states["green"] == "failed"
    indicator.close()
    assert "the green failed or works again, and the one who was to be told failed" in caplog.messages
