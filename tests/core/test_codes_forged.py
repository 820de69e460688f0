"""Rule 2 and 3 of the codes: a payload that is signed with the right key, and is not to the letter what the desk writes, is unreadable."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import count
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.codes import Keyring, Unread, read
from agent.core.reasons import Reason
from agent.core.tour import TourCode

UNREADABLE = Unread(Reason.UNREADABLE)
END, START, CODE_ID, TOUR = 4, 5, 7, -65537
GOOD_END, GOOD_START = 1_774_998_000, 1_774_996_200
YEARS_3_000_000_S = 3_000_000 * 365 * 86_400
DEEP = 300


@pytest.fixture
def claims(code: TourCode, claims_of: Callable[[TourCode], dict[int, Any]]) -> dict[int, Any]:
    """The claims of a code that opens, to be bent."""
    return claims_of(code)


def nested(depth: int) -> list[Any]:
    """Lists in lists."""
    deep: list[Any] = []
    for _ in range(depth):
        deep = [deep]
    return deep


def test_granted__the_claims_that_the_others_are_bent_from(
    claims: dict[int, Any], code: TourCode, keys: Keyring, forge: Callable[..., bytes]
) -> None:
    """Left alone, the payload is read: the refusals below are for what was bent and for nothing else."""
    assert read(forge(cbor2.dumps(claims)), keys) == code


@pytest.mark.parametrize("label", [START, END])
@pytest.mark.parametrize(
    "value",
    [
        float(GOOD_START),
        float(GOOD_END),
        float("nan"),
        float("inf"),
        Decimal(GOOD_START),
        Decimal(GOOD_END),
        Decimal("1E+31"),
        Fraction(GOOD_END * 2 + 1, 2),
        True,
        False,
        None,
        cbor2.undefined,
        str(GOOD_END),
        b"1774998000",
        [GOOD_END],
        {0: GOOD_END},
        datetime.fromtimestamp(GOOD_END, UTC),
        cbor2.CBORTag(1, GOOD_END),
        cbor2.CBORTag(0, "2026-03-31T23:00:00Z"),
        cbor2.CBORTag(2, GOOD_END.to_bytes(4, "big")),
        cbor2.CBORTag(4444, GOOD_END),
        cbor2.CBORSimpleValue(99),
        -1,
        -(2**64),
        2**63,
        2**64 - 1,
        2**64,
        2**500,
        YEARS_3_000_000_S,
    ],
    ids=count(),
)
def test_denied__a_time_that_is_no_plausible_integer(
    claims: dict[int, Any], keys: Keyring, forge: Callable[..., bytes], label: int, value: object
) -> None:
    """A time is a plain integer of seconds within the calendar: floats, booleans, tags, texts and far numbers are unreadable."""
    assert read(forge(cbor2.dumps(claims | {label: value})), keys) == UNREADABLE


@pytest.mark.parametrize(
    ("start", "end"),
    [
        (float(GOOD_START), float(GOOD_END)),
        (Decimal(GOOD_START), Decimal(GOOD_END)),
        (Decimal(10**28), Decimal(10**28 + 10)),
        (Decimal("1E+31"), Decimal("1E+31") + Decimal("1E+4")),
        (YEARS_3_000_000_S, YEARS_3_000_000_S + 1800),
        (2**64, 2**64 + 1800),
        (253_402_300_799, 253_402_300_800),
        (GOOD_END, GOOD_START),
        (GOOD_START, GOOD_START),
        (GOOD_START, GOOD_START + 86_401),
        (-1800, 0),
        (False, True),
    ],
    ids=count(),
)
def test_denied__a_window_that_no_tour_has(
    claims: dict[int, Any], keys: Keyring, forge: Callable[..., bytes], start: object, end: object
) -> None:
    """Both times odd in the same way, swapped, equal, too far apart or millions of years off are unreadable."""
    assert read(forge(cbor2.dumps(claims | {START: start, END: end})), keys) == UNREADABLE


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize(
    "value",
    [
        "48211973",
        "0",
        7.0,
        True,
        None,
        b"7",
        [7],
        {},
        -1,
        2**64,
        cbor2.CBORTag(2, b"\x07"),
        "",
        " ",
        "a b",
        "ü",
        "x" * 41,
        "a\n",
        "\x7f",
        Decimal(7),
    ],
    ids=count(),
)
def test_denied__an_id_that_the_desk_would_not_write(
    claims: dict[int, Any], keys: Keyring, forge: Callable[..., bytes], place: int, value: object
) -> None:
    """An id of digits as text, a number that is no natural one, and what is no id at all are unreadable."""
    claims[TOUR][place] = value
    assert read(forge(cbor2.dumps(claims)), keys) == UNREADABLE


@pytest.mark.parametrize(
    "value",
    ["0123456789ab", b"", b"12345", b"1234567", 5, None, [1] * 6, 1.5, cbor2.CBORTag(37, b"123456"), True],
    ids=count(),
)
def test_denied__a_code_id_that_is_not_six_bytes(claims: dict[int, Any], keys: Keyring, forge: Callable[..., bytes], value: object) -> None:
    """A code's id is six bytes and nothing else."""
    assert read(forge(cbor2.dumps(claims | {CODE_ID: value})), keys) == UNREADABLE


@pytest.mark.parametrize(
    "doors",
    [
        [],
        "front",
        {"front": 0},
        {"front"},
        None,
        5,
        b"front",
        ["front", "front"],
        ["Front"],
        ["-front"],
        ["front "],
        ["front\n"],
        [""],
        ["x" * 41],
        [5],
        [None],
        [b"front"],
        [["front"]],
        [f"d{index}" for index in range(9)],
        nested(DEEP),
        cbor2.CBORTag(41, ["front"]),
        cbor2.CBORTag(258, ["front"]),
        # a whole address space, which a decoder of tags turns into a network of four billion hosts, or of 2 ** 128
        cbor2.CBORTag(52, [0, b""]),
        cbor2.CBORTag(54, [0, b""]),
        cbor2.CBORTag(261, {bytes(4): 0}),
    ],
    ids=count(),
)
def test_denied__doors_that_are_not_a_list_of_names(
    claims: dict[int, Any], keys: Keyring, forge: Callable[..., bytes], doors: object
) -> None:
    """Doors are a plain list of one to eight different names; what only counts up like one is unreadable, and at once."""
    claims[TOUR][3] = doors
    assert read(forge(cbor2.dumps(claims)), keys) == UNREADABLE


@pytest.mark.parametrize(
    "units",
    [
        "101",
        {"101": 0},
        None,
        0,
        [101],
        [None],
        [b"101"],
        [["101"]],
        [""],
        ["x" * 41],
        ["1\n2"],
        ["\x00"],
        ["\u202e101"],
        ["u"] * 13,
        nested(DEEP),
        cbor2.CBORTag(52, [0, b""]),
        cbor2.CBORTag(54, [0, b""]),
        cbor2.CBORTag(36, "101"),
    ],
    ids=count(),
)
def test_denied__units_that_are_not_a_list_of_names(
    claims: dict[int, Any], keys: Keyring, forge: Callable[..., bytes], units: object
) -> None:
    """Units are a plain list of up to twelve printable names; anything else is unreadable, and at once."""
    claims[TOUR][4] = units
    assert read(forge(cbor2.dumps(claims)), keys) == UNREADABLE


@pytest.mark.parametrize(
    "extra",
    [{1: "issuer"}, {2: "subject"}, {3: "audience"}, {6: 0}, {8: {}}, {-65538: 0}, {"name": "Ada"}, {-70000: None}],
    ids=count(),
)
def test_denied__a_claim_more(claims: dict[int, Any], keys: Keyring, forge: Callable[..., bytes], extra: dict[Any, Any]) -> None:
    """A claim beyond the four is unreadable, before them or after."""
    assert read(forge(cbor2.dumps(claims | extra)), keys) == UNREADABLE
    assert read(forge(cbor2.dumps(extra | claims)), keys) == UNREADABLE


@pytest.mark.parametrize("label", [END, START, CODE_ID, TOUR])
def test_denied__a_claim_missing_doubled_or_moved(claims: dict[int, Any], keys: Keyring, forge: Callable[..., bytes], label: int) -> None:
    """The four claims stand once each, in one order, under integers."""
    others = {key: value for key, value in claims.items() if key != label}
    pair = cbor2.dumps(label) + cbor2.dumps(claims[label])
    doubled = b"\xa5" + cbor2.dumps(claims)[1:] + pair
    floating = b"\xa4" + cbor2.dumps(others)[1:] + cbor2.dumps(float(label)) + pair[len(cbor2.dumps(label)) :]
    moved = {**others, label: claims[label]} if label != TOUR else {TOUR: claims[TOUR], **others}
    for payload in (cbor2.dumps(others), doubled, floating, cbor2.dumps(moved), cbor2.dumps(claims | {label: None})):
        assert read(forge(payload), keys) == UNREADABLE


@pytest.mark.parametrize("length", [0, 4, 6])
def test_denied__a_tour_of_another_length(claims: dict[int, Any], keys: Keyring, forge: Callable[..., bytes], length: int) -> None:
    """A tour is five things."""
    assert read(forge(cbor2.dumps(claims | {TOUR: (claims[TOUR] + [0])[:length]})), keys) == UNREADABLE


@pytest.mark.parametrize(
    "respell",
    [
        lambda good: b"\xb8\x04" + good[1:],
        lambda good: b"\xbf" + good[1:] + b"\xff",
        lambda good: good.replace(b"\x04\x1a", b"\x04\x1b\x00\x00\x00\x00", 1),
        lambda good: good.replace(b"\x07\x46", b"\x07\x58\x06", 1),
        lambda good: good.replace(b"\x07\x46\x01\x23\x45\x67\x89\xab", b"\x07\x5f\x43\x01\x23\x45\x43\x67\x89\xab\xff", 1),
        lambda good: good.replace(b"\x65front", b"\x78\x05front", 1),
        lambda good: good.replace(b"\x65front", b"\x7f\x63fro\x62nt\xff", 1),
        lambda good: good.replace(b"\x81\x65front", b"\x9f\x65front\xff", 1),
        lambda good: good.replace(b"\x81\x65front", b"\x98\x01\x65front", 1),
        lambda good: good.replace(b"\x65front", b"\xd8\x19\x00", 1),
        lambda good: good.replace(b"\x65front", b"\xd8\x1c\x65front", 1),
        lambda good: b"\xd8\x1c" + good,
        lambda good: b"\xd9\x01\x00" + good,
        lambda good: b"\xd9\xd9\xf7" + good,
        lambda good: b"\xd8\x3d" + good,
        lambda good: good + b"\x00",
        lambda good: good + good,
        lambda good: good[:-1],
        lambda good: good[1:],
        lambda good: b"\x81" + good,
        lambda good: b"\x58" + bytes((len(good),)) + good,
    ],
    ids=count(),
)
def test_denied__the_same_claims_in_other_words(
    claims: dict[int, Any], keys: Keyring, forge: Callable[..., bytes], respell: Callable[[bytes], bytes]
) -> None:
    """The right claims with longer heads, in pieces, shared, tagged, wrapped, cut or with a rest are unreadable."""
    good = cbor2.dumps(claims)
    bent = respell(good)
    assert bent != good
    assert read(forge(bent), keys) == UNREADABLE


ODD_PAYLOADS = """
f6 f7 00 a0 80 40 60 ff fc f818 1c f97e00 fb7ff0000000000000
5b7fffffffffffffff 9b7fffffffffffffff bbffffffffffffffff
d81c81d81d00 d81d05 c11b7fffffffffffffff c249ffffffffffffffffff c482003bffffffffffffffff c5821a000f424001
d81e820100 d8236128 d8246161 d834820040 d836820040
"""
DEEP_PAYLOADS = ["81" * 390 + "00", "81" * 500 + "00", "a1" * 390 + "00", "a181" + "81" * 350 + "0000", "d9010281" * 90 + "00"]


@pytest.mark.parametrize("payload", ["", *ODD_PAYLOADS.split(), *DEEP_PAYLOADS], ids=count())
def test_denied__a_signed_payload_that_is_something_else(keys: Keyring, forge: Callable[..., bytes], payload: str) -> None:
    """Signed bytes that are no map, no CBOR, bottomless, endless or full of tags are unreadable and raise nothing."""
    assert read(forge(bytes.fromhex(payload)), keys) == UNREADABLE


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(),
    st.text(max_size=8),
    st.binary(max_size=8),
    st.just(cbor2.undefined),
    st.decimals(allow_nan=False, allow_infinity=False, places=2),
    st.fractions(),
)
TAGS = st.sampled_from([0, 1, 2, 3, 4, 5, 24, 25, 28, 29, 30, 35, 36, 37, 41, 52, 54, 61, 100, 256, 258, 260, 261, 1004, 43000, 55799])


def _wrap(inner: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(
        st.lists(inner, max_size=5),
        st.dictionaries(st.integers(-9, 9) | st.text(max_size=3), inner, max_size=4),
        st.builds(cbor2.CBORTag, TAGS, inner),
    )


ANYTHING = st.recursive(LEAVES, _wrap, max_leaves=8)


@settings(deadline=None)
@given(
    value=ANYTHING,
    tour=st.lists(ANYTHING, min_size=5, max_size=5),
    label=st.sampled_from([END, START, CODE_ID, TOUR]),
    raw=st.binary(max_size=60),
)
def test_denied__any_signed_value_in_the_place_of_a_claim(
    *,
    value: object,
    tour: list[object],
    label: int,
    raw: bytes,
    code: TourCode,
    keys: Keyring,
    claims_of: Callable[[TourCode], dict[int, Any]],
    forge: Callable[..., bytes],
) -> None:
    """No signed value in any place raises or is read, but for one that the desk would have written the same."""
    good = claims_of(code)
    payloads = [raw, cbor2.dumps(value), cbor2.dumps(good | {label: value}), cbor2.dumps(good | {TOUR: tour})]
    for place in range(5):
        changed = list(good[TOUR])
        changed[place] = value
        payloads.append(cbor2.dumps(good | {TOUR: changed}))
    for payload in payloads:
        found = read(forge(payload), keys)
        assert found == UNREADABLE or (isinstance(found, TourCode) and cbor2.dumps(claims_of(found)) == payload)
