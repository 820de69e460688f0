"""The Wiegand decoder: what is a message, and all that is none."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.wiegand import GAP_NS, KEYS, MAX_EDGES, Edge, Fault, Keys, Message, Number, Rejected, WiegandDecoder
from tests.drivers.wires import MS_NS, US_NS, card, edges, falls, key, pulse

T = 1_000_000_000_000


def decoded(played: list[Edge], decoder: WiegandDecoder | None = None) -> list[Message]:
    """The messages of edges with silence after them."""
    decoder = decoder or WiegandDecoder()
    return [message for edge in played for message in decoder.feed(edge)] + decoder.end()


def found(played: list[Edge]) -> list[str | Fault]:
    """The same, without ticks."""
    return [
        message.digits if isinstance(message, Number) else message.keys if isinstance(message, Keys) else message.fault
        for message in decoded(played)
    ]


@pytest.mark.parametrize(
    ("number", "bits", "expected"),
    [
        (0, 26, "00000000"),
        (1, 26, "00000001"),
        (4_017_023, 26, "04017023"),
        (2**24 - 1, 26, "16777215"),
        (40_170_236, 34, "40170236"),
        (99_999_999, 34, "99999999"),
        (2**32 - 1, 34, "4294967295"),
    ],
)
def test_ok__a_number_is_decimal_with_a_pins_digits(number: int, bits: int, expected: str) -> None:
    """Zeros before it stay, so that a reader set to a PIN's number presents the PIN; a longer number is not cut."""
    sent = card(number, bits)
    assert decoded(edges(sent, T)) == [Number(expected, bits, T + (bits - 1) * MS_NS + 50 * US_NS)]


def test_ok__a_card_as_printed_in_a_manual() -> None:
    """Site 1, card 1 by the 26-bit standard: even over the first 13 bits, odd over the last 13."""
    assert found(edges("1" + "00000001" + "0000000000000001" + "0", T)) == [f"{(1 << 16) + 1:08d}"]


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("name", KEYS)
def test_ok__each_key(name: str, bits: int) -> None:
    """As 4 bits, or as 8 of which the first four are the complement."""
    assert decoded(edges(key(name, bits), T)) == [Keys(name, T + (bits - 1) * MS_NS + 50 * US_NS)]


@pytest.mark.parametrize(("bits", "name"), [("10100101", "5"), ("01011010", "*"), ("01001011", "#"), ("11110000", "0"), ("1011", "#")])
def test_ok__keys_as_printed_in_manuals(bits: str, name: str) -> None:
    """HID's and Rosslare's tables for 8-bit and 4-bit keypads."""
    assert found(edges(bits, T)) == [name]


def test_ok__eight_keys_in_one_message() -> None:
    """A keypad that keeps eight keys and sends them without parity, as HID's with a length of eight."""
    played = edges("".join(key(digit) for digit in "40170236"), T)
    assert decoded(played) == [Keys("40170236", T + 31 * MS_NS + 50 * US_NS)]
    assert [message.is_entry for message in decoded(played) if isinstance(message, Keys)] == [True]


@pytest.mark.parametrize(
    ("width_us", "every_us"),
    [(20, 220), (20, 20_000), (40, 2_000), (50, 1_000), (100, 300), (100, 20_100), (100, 24_000), (5_000, 20_000)],
)
def test_ok__readers_of_every_speed(width_us: int, every_us: int) -> None:
    """From the standard's shortest pulses to its longest pauses; a converter that holds its pulses for long is understood, too."""
    played = edges(card(40_170_236), T, every_ns=every_us * US_NS, width_ns=width_us * US_NS)
    assert found(played) == ["40170236"]


def test_ok__silence_ends_a_message_without_being_told() -> None:
    """What comes after the gap is the next message, however late both are looked at."""
    decoder = WiegandDecoder()
    last = T + 3 * MS_NS + 50 * US_NS
    played = edges(key("1"), T) + edges(key("2"), last + GAP_NS) + edges(key("3"), last + 10 * GAP_NS)
    assert [message for edge in played for message in decoder.feed(edge)] == [
        Keys("1", last),
        Keys("2", last + GAP_NS + 3 * MS_NS + 50 * US_NS),
    ]
    assert decoder.end() == [Keys("3", last + 10 * GAP_NS + 3 * MS_NS + 50 * US_NS)]
    assert (decoder.is_idle, decoder.end()) == (True, [])


def test_fail__a_shorter_silence_does_not() -> None:
    """Two keys within one gap are eight bits, and no key of an eight-bit keypad."""
    assert found(edges(key("1"), T) + edges(key("2"), T + 3 * MS_NS + 50 * US_NS + GAP_NS - 1)) == [Fault.COMPLEMENT]


def test_ok__edges_of_the_two_lines_in_any_order() -> None:
    """The ticks tell the order, not the arrival."""
    played = edges(card(40_170_236), T)
    random.Random(1).shuffle(played)  # noqa: S311  a test's order
    assert found(played) == ["40170236"]
    assert found([edge for edge in played if edge.line] + [edge for edge in played if not edge.line]) == ["40170236"]


@pytest.mark.parametrize("told", [[(1, 0)], [(1, 0), (1, 45)], [(0, 0), (1, 3), (1, 45)], [(0, 0), (0, 45)], [(0, 0), (0, 3), (1, 45)]])
def test_ok__a_pulse_that_the_kernel_was_late_for_is_one_pulse(told: list[tuple[int, int]]) -> None:
    """A rise alone, or twice, or a fall twice: the level is read after the edge, and may have changed by then."""
    sent = card(40_170_236)
    assert found([Edge(int(bit), level, T + at * MS_NS + us * US_NS) for at, bit in enumerate(sent) for level, us in told]) == ["40170236"]


def test_ok__falls_alone_are_enough() -> None:
    """Where only falls are watched, each is a pulse."""
    assert found(falls(edges(card(40_170_236), T))) == ["40170236"]


@pytest.mark.parametrize("count", [*range(1, 4), *range(5, 8), *range(9, 26), *range(27, 32), 33, *range(35, 60)])
def test_fail__a_wrong_number_of_bits(count: int) -> None:
    """Whatever is not 4, 8, 26, 32 or 34 bits is nothing, a lone pulse at power-up among it."""
    assert decoded(edges("01" * (count // 2) + "0" * (count % 2), T)) == [Rejected(Fault.BITS, count, T + (count - 1) * MS_NS + 50 * US_NS)]


@pytest.mark.parametrize("bits", [26, 34])
def test_fail__each_single_bit_that_is_wrong(bits: int) -> None:
    """Parity catches one turned bit, whichever it is."""
    sent = card(40_170_236 % 2 ** (bits - 2), bits)
    turned = [sent[:place] + str(1 - int(sent[place])) + sent[place + 1 :] for place in range(bits)]
    assert [found(edges(one, T)) for one in turned] == [[Fault.PARITY]] * bits


@pytest.mark.parametrize("bits", [26, 34])
def test_fail__swapped_lines(bits: int) -> None:
    """A reader whose D0 and D1 are swapped sends the complement, which is never right."""
    sent = card(40_170_236 % 2 ** (bits - 2), bits)
    assert found(edges(sent.translate(str.maketrans("01", "10")), T)) == [Fault.PARITY]


def test_fail__eight_bits_that_are_no_key() -> None:
    """Of 256 messages of 8 bits twelve are keys, four have a right complement of no key, and the rest has a wrong one."""
    all_found = [found(edges(f"{value:08b}", T)) for value in range(256)]
    assert sorted(name for (name,) in all_found if not isinstance(name, Fault)) == sorted(KEYS)
    assert (all_found.count([Fault.KEY]), all_found.count([Fault.COMPLEMENT])) == (4, 240)


@pytest.mark.parametrize("bits", ["1100", "1101", "1110", "1111", "0100" * 7 + "1100"])
def test_fail__four_bits_that_are_no_key(bits: str) -> None:
    """There are twelve keys; one that is none spoils the entry it is in."""
    assert found(edges(bits, T)) == [Fault.KEY]


def test_fail__both_lines_low_at_once() -> None:
    """No reader does that: a cable that picks up noise does."""
    played = edges(key("1"), T) + pulse(0, T + 4 * MS_NS, 500 * US_NS) + pulse(1, T + 4 * MS_NS + 200 * US_NS)
    assert found(played) == [Fault.OVERLAP]


def test_fail__both_lines_at_the_same_time() -> None:
    """As when a reader gets its power: two pulses so close are no two bits."""
    assert found(pulse(0, T) + pulse(1, T)) == [Fault.OVERLAP]
    assert found(pulse(0, T, 20 * US_NS) + pulse(1, T + 60 * US_NS, 20 * US_NS)) == [Fault.OVERLAP]


def test_ok__spikes_between_the_pulses_are_passed_over() -> None:
    """Shorter than any pulse, or ringing after one: counted, and not in the number."""
    decoder = WiegandDecoder()
    played = edges(card(40_170_236), T) + pulse(1, T + 500 * US_NS, 4 * US_NS) + pulse(int(card(40_170_236)[2]), T + 2 * MS_NS + 60 * US_NS)
    assert [message.digits for message in decoded(played, decoder) if isinstance(message, Number)] == ["40170236"]
    assert decoder.spikes == 2


def test_ok__spikes_alone_are_nothing() -> None:
    """They are counted, and are no message that could be wrong."""
    decoder = WiegandDecoder()
    assert decoded(pulse(0, T, 1 * US_NS) + pulse(1, T + MS_NS, 4 * US_NS), decoder) == []
    assert decoder.spikes == 2


def test_fail__lines_that_get_their_power() -> None:
    """They rise without having fallen: one is a lone pulse, two are a clash, and none is part of what comes next."""
    assert found([Edge(0, 1, T), *edges(key("5"), T + 100 * MS_NS)]) == [Fault.BITS, "5"]
    assert found([Edge(0, 1, T), Edge(1, 1, T + 20 * US_NS), *edges(key("5"), T + 100 * MS_NS)]) == [Fault.OVERLAP, "5"]
    assert found([Edge(0, 1, T), Edge(1, 1, T + 3 * MS_NS), *edges(key("5"), T + 100 * MS_NS)]) == [Fault.BITS, "5"]


def test_fail__too_many_edges() -> None:
    """A line that rattles is one fault, however long it does; after a silence all is well."""
    decoder = WiegandDecoder()
    noise = edges("01" * MAX_EDGES, T)
    assert decoded(noise + edges(key("5"), T + 10_000 * MS_NS), decoder) == [
        Rejected(Fault.NOISE, MAX_EDGES // 2, noise[-1].at_ns),
        Keys("5", T + 10_003 * MS_NS + 50 * US_NS),
    ]


def test_fail__edges_that_were_lost_spoil_the_message() -> None:
    """What is left of a message could be one by chance; it is none, up to the next silence."""
    decoder = WiegandDecoder()
    assert [message for edge in edges(key("5"), T) for message in decoder.feed(edge)] == []
    decoder.spoil(T + 4 * MS_NS)
    assert not decoder.is_idle
    rest = edges("1010", T + 5 * MS_NS)
    assert decoded(rest, decoder) == [Rejected(Fault.NOISE, 8, rest[-1].at_ns)]
    decoder.spoil(T + 900 * MS_NS)
    assert decoded(edges(key("5"), T + 1000 * MS_NS), decoder) == [
        Rejected(Fault.NOISE, 0, T + 900 * MS_NS),
        Keys("5", T + 1003 * MS_NS + 50 * US_NS),
    ]


TICKS = st.one_of(st.integers(-(2**63), 2**64), st.integers(0, 200).map(lambda place: T + place * 20 * US_NS))
ANY_EDGE = st.builds(Edge, st.sampled_from([0, 1]), st.sampled_from([0, 1]), TICKS)


@given(st.lists(ANY_EDGE, max_size=400), st.randoms(use_true_random=False))
def test_fail__any_edges_at_all(played: list[Edge], chance: random.Random) -> None:
    """Whatever comes at whatever ticks, backwards and from nowhere: nothing raises, little is kept, and what comes out is well formed."""
    decoder = WiegandDecoder()
    messages: list[Message] = []
    for edge in played:
        messages += decoder.feed(edge)
        if chance.random() < 0.05:
            decoder.spoil(edge.at_ns)
        if chance.random() < 0.05:
            messages += decoder.end()
        assert len(decoder._edges) <= MAX_EDGES
    messages += decoder.end()
    assert decoder.is_idle
    assert len(messages) <= len(played) * 1.1 + 50
    for message in messages:
        if isinstance(message, Keys):
            assert set(message.keys) <= set(KEYS)
            assert len(message.keys) in {1, 8}
        if isinstance(message, Number):
            assert message.digits.isdecimal()
            assert 8 <= len(message.digits) <= 10


@given(
    number=st.integers(0, 2**32 - 1),
    gaps_us=st.lists(st.integers(220, 20_000), min_size=33, max_size=33),
    widths_us=st.lists(st.integers(20, 100), min_size=34, max_size=34),
)
def test_ok__any_number_at_any_legal_timing(number: int, gaps_us: list[int], widths_us: list[int]) -> None:
    """Within the standard's times every message is read."""
    at_ns, played = T, []
    for bit, gap_us, width_us in zip(card(number), [*gaps_us, 0], widths_us, strict=True):
        played += pulse(int(bit), at_ns, width_us * US_NS)
        at_ns += (width_us + gap_us) * US_NS
    assert found(played) == [f"{number:08d}"]


@given(number=st.integers(0, 2**32 - 1), lost=st.sets(st.integers(0, 33), min_size=1, max_size=25))
def test_fail__a_message_that_lost_pulses_is_never_another_number(number: int, lost: set[int]) -> None:
    """Fewer pulses are another count, which is rejected, but for counts that are messages, which are checked as such."""
    left = [bit for place, bit in enumerate(card(number)) if place not in lost]
    (result,) = found(edges("".join(left), T))
    assert isinstance(result, Fault) or len(left) in {8, 26, 32}
