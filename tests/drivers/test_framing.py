"""The framer: bytes in, scans out, whatever the chunks."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.base import Frame
from drivers.framing import LineFramer

S_NS = 1_000_000_000


def frames_of(framer: LineFramer, *chunks: bytes, at_ns: int = S_NS) -> list[Frame]:
    """The frames of the chunks, all read in one instant."""
    return [frame for chunk in chunks for frame in framer.feed(chunk, at_ns)]


def data_of(framer: LineFramer, *chunks: bytes) -> list[bytes]:
    """The same, their bytes only."""
    return [frame.data for frame in frames_of(framer, *chunks)]


@pytest.mark.parametrize("terminator", [b"\r", b"\n", b"\r\n"])
def test_ok__cr_lf_and_both_end_a_line(terminator: bytes) -> None:
    """A scanner as it leaves the factory works, whichever line end it sends."""
    assert data_of(LineFramer(), b"one" + terminator + b"two" + terminator) == [b"one", b"two"]


def test_ok__cr_and_lf_in_two_reads_make_one_line() -> None:
    """The LF of a CRLF that came in a read of its own is not a scan."""
    assert data_of(LineFramer(), b"one\r", b"\n", b"two\r\n") == [b"one", b"two"]


def test_ok__a_base45_text_that_ends_in_a_space_is_not_stripped() -> None:
    """The space is a base45 digit: cutting it off would refuse a genuine code."""
    assert data_of(LineFramer(prefix=b"]Q1"), b"]Q1 TL1:6BF \t \r\n") == [b" TL1:6BF \t "]


def test_ok__only_the_configured_suffix_ends_a_line() -> None:
    """With a suffix, CR and LF are data like any other, and an empty line is a frame."""
    assert data_of(LineFramer(suffix=b"\x03\r"), b"a\rb\nc\x03\r", b"\x03", b"\rd\x03\r") == [b"a\rb\nc", b"", b"d"]


def test_ok__the_prefix_is_cut_off_once() -> None:
    """What follows the prefix is the scan, even if it looks like the prefix again."""
    assert data_of(LineFramer(prefix=b"~"), b"~~x\r") == [b"~x"]


def test_ok__a_line_without_its_prefix_comes_through_unchanged() -> None:
    """A scan that the scanner did not mark is refused above; it does not vanish here."""
    assert data_of(LineFramer(prefix=b"QR:"), b"QRcode\r") == [b"QRcode"]


@pytest.mark.parametrize("suffix", [b"", b"!", b"\x03\r", b"end"])
@pytest.mark.parametrize("chunk_bytes", [1, 2, 3, 100])
def test_ok__a_line_of_exactly_the_limit_is_a_frame(suffix: bytes, chunk_bytes: int) -> None:
    """The limit itself is allowed, and one byte more is not, however they are read."""
    end = suffix or b"\n"
    for line, expected in [(b"12345678", Frame(b"12345678", S_NS)), (b"123456789", Frame(b"", S_NS, overlong=True))]:
        stream = line + end + b"next" + end
        chunks = [stream[start : start + chunk_bytes] for start in range(0, len(stream), chunk_bytes)]
        assert frames_of(LineFramer(suffix=suffix, max_bytes=8), *chunks) == [expected, Frame(b"next", S_NS)]


def test_fail__an_overlong_line_is_reported_once_and_discarded_to_its_end() -> None:
    """A stream of rubbish is one report and no memory, and the scan after it is read."""
    framer = LineFramer(max_bytes=8)
    frames = frames_of(framer, *[b"x" * 1000] * 50)
    assert frames == [Frame(b"", S_NS, overlong=True)]
    assert len(framer._pending) <= 8
    assert frames_of(framer, b"tail\rnext\r") == [Frame(b"next", S_NS)]


def test_fail__a_half_read_scan_does_not_spoil_the_next() -> None:
    """What came longer ago than the gap, without its end, is dropped when the next byte comes."""
    framer = LineFramer(gap_s=2.0)
    assert framer.feed(b"half a co", 10 * S_NS) == []
    assert framer.feed(b"whole\r", 13 * S_NS) == [Frame(b"whole", 13 * S_NS)]


def test_ok__a_slow_scan_within_the_gap_is_whole() -> None:
    """The gap is counted from the last byte, so that a slow line is not cut."""
    framer = LineFramer(gap_s=2.0)
    assert framer.feed(b"slow", 10 * S_NS) == []
    assert framer.feed(b"er", 12 * S_NS) == []
    assert framer.feed(b"\r", 14 * S_NS) == [Frame(b"slower", 14 * S_NS)]


def test_ok__an_overlong_line_is_forgotten_after_the_gap() -> None:
    """Rubbish whose end never came does not swallow the next scan."""
    framer = LineFramer(max_bytes=4, gap_s=2.0)
    assert [frame.overlong for frame in framer.feed(b"rubbish", S_NS)] == [True]
    assert framer.feed(b"scan\r", 4 * S_NS) == [Frame(b"scan", 4 * S_NS)]


@pytest.mark.parametrize(("max_bytes", "gap_s"), [(0, 1.0), (1, 0.0), (1, float("nan"))])
def test_fail__impossible_lengths_are_refused(max_bytes: int, gap_s: float) -> None:
    """A framer that could never deliver a frame is a mistake in the configuration."""
    with pytest.raises(ValueError, match="positive"):
        LineFramer(max_bytes=max_bytes, gap_s=gap_s)


few_letters = st.lists(st.sampled_from([b"a", b"b", b"!", b"!!", b"aab", b"\r", b"\n", b"\r\n"])).map(b"".join)


@given(
    stream=few_letters | st.binary(max_size=80),
    cuts=st.lists(st.integers(0, 80)),
    prefix=st.sampled_from([b"", b"a", b"ab"]),
    suffix=st.sampled_from([b"", b"!", b"!!", b"a!", b"aab", b"\r\n"]),
    max_bytes=st.integers(1, 8),
)
def test_ok__any_chunking_gives_the_same_frames(stream: bytes, cuts: list[int], prefix: bytes, suffix: bytes, max_bytes: int) -> None:
    """No bytes raise, and where the reads fall makes no difference: whole, in pieces, byte by byte."""
    edges = [0, *sorted(cut for cut in cuts if cut < len(stream)), len(stream)]
    pieces = [stream[start:end] for start, end in itertools.pairwise(edges)]
    whole = frames_of(LineFramer(prefix, suffix, max_bytes), stream)
    assert frames_of(LineFramer(prefix, suffix, max_bytes), *pieces) == whole
    assert frames_of(LineFramer(prefix, suffix, max_bytes), *[bytes([byte]) for byte in stream]) == whole
    assert all(len(frame.data) <= max_bytes for frame in whole)


@given(scans=st.lists(st.binary(min_size=1, max_size=20).filter(lambda scan: not set(scan) & {10, 13})))
def test_ok__what_is_sent_is_what_is_read(scans: list[bytes]) -> None:
    """Every byte of every scan arrives, in order."""
    assert data_of(LineFramer(), b"".join(scan + b"\r\n" for scan in scans)) == scans
