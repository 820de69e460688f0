"""Promise P4 and P5 at the code: what we sign we read, and what we did not sign, or no longer stand by, we do not."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import cbor2
import pytest
import segno
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core import base45, codes, signature
from agent.core.codes import MAX_CHARACTERS, Keyring, PublicKey, Unread, issue, keyring, read
from agent.core.reasons import Reason
from agent.core.tour import TourCode, TourError, Window

SECOND_SEED = hashlib.sha256(b"the second key").digest()


def signed_by(code: TourCode, seed: bytes) -> TourCode:
    """The same code, under another key's name."""
    return replace(code, key_id=PublicKey(signature.public_key(seed)).key_id)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_granted__every_valid_code_comes_back(
    *,
    data: st.DataObject,
    valid_codes: st.SearchStrategy[TourCode],
    seed: bytes,
    keys: Keyring,
    forge: Callable[..., bytes],
    claims_of: Callable[[TourCode], dict[int, Any]],
) -> None:
    """Whatever can be a code is written as the format says and read as it was, or is too long and refused to the desk."""
    code = data.draw(valid_codes)
    by_the_book = forge(cbor2.dumps(claims_of(code)))
    if len(by_the_book) > MAX_CHARACTERS:
        with pytest.raises(TourError, match=rf"the code would have {len(by_the_book)} characters, more than 1024; name fewer"):
            issue(code, seed)
    else:
        text = issue(code, seed)
        assert text.encode() == by_the_book
        assert read(text.encode(), keys) == code


@pytest.mark.parametrize("doors", [("front",), ("front", "gym"), ("side", "pool")], ids=" ".join)
@pytest.mark.parametrize("digits", [5, 8])
def test_granted__a_typical_code_fits_a_small_qr(code: TourCode, seed: bytes, doors: tuple[str, ...], digits: int) -> None:
    """One or two short doors, two units and ids of up to 8 digits fit version 8 at level M, all in the alphanumeric mode."""
    ids = "98765432"[:digits]
    typical = replace(code, appointment_id=ids, prospect_id=ids, community_id=ids, doors=doors)
    text = issue(typical, seed)
    symbol = segno.make_qr(text, error="m", boost_error=False)
    assert (symbol.mode, symbol.error, int(symbol.version) <= 8) == ("alphanumeric", "M", True)
    assert re.fullmatch(r"TL1:[0-9A-Z $%*+\-./:]+\.", text)


def test_granted__a_code_at_the_length_cap(code: TourCode, seed: bytes, keys: Keyring) -> None:
    """A code of the greatest length there can be is read, and the next longer one is refused to the desk."""
    sizes = {}
    for length in range(1, 41):
        long = replace(code, doors=tuple(f"{index}".ljust(40, "x") for index in range(8)), unit_names=("u" * 40,) * 5 + ("u" * length,))
        try:
            text = issue(long, seed)
        except TourError:
            continue
        assert read(text.encode(), keys) == long
        sizes[length] = len(text)
    assert (len(sizes) < 40, max(sizes.values())) == (True, MAX_CHARACTERS)


@pytest.mark.parametrize("extra", [1, 2, 3, 10**6])
def test_denied__text_beyond_the_length_cap(keys: Keyring, extra: int) -> None:
    """Text longer than the cap is not looked at, whatever it is."""
    assert read(b"TL1:".ljust(MAX_CHARACTERS + extra - 1, b"0") + b".", keys) == Unread(Reason.UNREADABLE)


def test_denied__a_signed_code_beyond_the_length_cap(
    code: TourCode, keys: Keyring, forge: Callable[..., bytes], claims_of: Callable[[TourCode], dict[int, Any]]
) -> None:
    """The cap holds for codes that are genuine in everything else."""
    long = replace(code, unit_names=tuple("u" * 40 for _ in range(12)), doors=tuple(f"{index}".ljust(40, "x") for index in range(8)))
    assert read(forge(cbor2.dumps(claims_of(long))), keys) == Unread(Reason.UNREADABLE)


@settings(deadline=None)
@given(code_id=st.binary(min_size=6, max_size=6))
def test_denied__a_text_whose_spaces_were_touched(code_id: bytes, code: TourCode, seed: bytes, keys: Keyring) -> None:
    """The space is a letter: a text survives with all of its spaces, and is refused without one, or with one more at either end."""
    spaced = replace(code, code_id=code_id.hex())
    text = issue(spaced, seed).encode()
    assert read(text, keys) == spaced
    touched = [text.replace(b" ", b"", 1), text.replace(b" ", b""), text.replace(b" ", b"+"), text[:-1] + b" .", text + b" ", b" " + text]
    for changed in touched:
        assert changed == text or isinstance(read(changed, keys), Unread)


def test_denied__a_last_group_that_lost_its_space(code: TourCode, seed: bytes, keys: Keyring) -> None:
    """A text with a space next to its last letter is read, and refused when something on its way drops the space."""
    several = [replace(code, code_id=f"{number:012x}") for number in range(500)]
    texts = {issue(spaced, seed).encode(): spaced for spaced in several}
    spaced_texts = [text for text in texts if text[-3:-2] == b" "]
    assert spaced_texts
    for text in spaced_texts:
        assert read(text, keys) == texts[text]
        assert read(text[:-3] + text[-2:], keys) == Unread(Reason.UNREADABLE)


def test_denied__a_key_that_the_door_does_not_have(code: TourCode, seed: bytes) -> None:
    """A code of a key that is not in the ring is named so, and an empty ring opens nothing."""
    text = issue(code, seed).encode()
    assert read(text, keyring([PublicKey(signature.public_key(SECOND_SEED))])) == Unread(Reason.UNKNOWN_KEY)
    assert read(text, keyring([])) == Unread(Reason.UNKNOWN_KEY)


def test_denied__a_retired_key(code: TourCode, seed: bytes) -> None:
    """Codes of a retired key are named so and opened no more, and a forged one is a forgery first."""
    ring = keyring([PublicKey(signature.public_key(seed), is_retired=True)])
    text = issue(code, seed).encode()
    assert read(text, ring) == Unread(Reason.RETIRED_KEY)
    forged = base45.encode(base45.decode(text[4:-1])[:-1] + b"\x7f").encode()
    assert read(b"TL1:" + forged + b".", ring) == Unread(Reason.BAD_SIGNATURE)


def test_granted__two_keys_side_by_side(code: TourCode, seed: bytes) -> None:
    """While keys rotate, codes of the old and of the new key are read, and retiring one leaves the other."""
    old, new = PublicKey(signature.public_key(seed)), PublicKey(signature.public_key(SECOND_SEED))
    renewed = signed_by(code, SECOND_SEED)
    texts = [issue(code, seed).encode(), issue(renewed, SECOND_SEED).encode()]
    both = keyring([old, new])
    assert [read(text, both) for text in texts] == [code, renewed]
    after = keyring([replace(old, is_retired=True), new])
    assert [read(text, after) for text in texts] == [Unread(Reason.RETIRED_KEY), renewed]


def test_denied__a_code_under_the_other_keys_name(code: TourCode, seed: bytes, forge: Callable[..., bytes]) -> None:
    """A code that one key signed and that names another key of the ring is of neither."""
    ring = keyring([PublicKey(signature.public_key(seed)), PublicKey(signature.public_key(SECOND_SEED))])
    second_id = signature.key_id(signature.public_key(SECOND_SEED))
    assert read(forge(b"\xa0", kid=second_id), ring) == Unread(Reason.BAD_SIGNATURE)
    assert read(forge(b"\xa0", seed=SECOND_SEED, kid=bytes.fromhex(code.key_id)), ring) == Unread(Reason.BAD_SIGNATURE)


def test_denied__a_public_key_filed_under_another_id(code: TourCode, seed: bytes) -> None:
    """A ring that somebody built by hand with a key under a wrong id does not open for the key that it names."""
    ring = {bytes.fromhex(code.key_id): PublicKey(signature.public_key(SECOND_SEED))}
    assert read(issue(code, seed).encode(), ring) == Unread(Reason.BAD_SIGNATURE)


def test_granted__a_key_id_is_eight_digits(code: TourCode, seed: bytes, keys: Keyring) -> None:
    """A key's id is what the code names, and what the ring files it under."""
    key = PublicKey(signature.public_key(seed))
    assert key.key_id == code.key_id == hashlib.sha256(key.public).hexdigest()[:8]
    assert keys == {bytes.fromhex(code.key_id): key}


def test_denied__the_desk_signs_with_another_key(code: TourCode) -> None:
    """A code is signed only with the key that it names."""
    other = PublicKey(signature.public_key(SECOND_SEED)).key_id
    with pytest.raises(TourError, match=f"the code names the key {code.key_id}, but was to be signed with {other}"):
        issue(code, SECOND_SEED)


@pytest.mark.parametrize(("start_ms", "end_ms"), [(1, 60_000), (0, 60_001), (999, 59_999), (0, 500)])
def test_denied__the_desk_signs_no_milliseconds(code: TourCode, seed: bytes, start_ms: int, end_ms: int) -> None:
    """A window that a code cannot hold exactly is refused to the desk, never rounded."""
    with pytest.raises(TourError, match="a code's times are whole seconds"):
        issue(replace(code, window=Window(start_ms, end_ms)), seed)


def test_denied__a_byte_string_that_no_code_has_room_for() -> None:
    """The frame's writer knows lengths of up to 65,535 and says so beyond."""
    assert codes._byte_string(b"x" * 65_535)[:3] == b"\x59\xff\xff"
    with pytest.raises(TourError, match="too long"):
        codes._byte_string(b"x" * 65_536)


@pytest.mark.parametrize("size", [0, 1, 23, 24, 25, 255, 256, 257, 65_535])
def test_granted__heads_are_the_shortest(size: int) -> None:
    """A byte string has the head that `cbor2` gives it, at every step of its length."""
    assert codes._byte_string(b"y" * size) == cbor2.dumps(b"y" * size)
