"""What the tests of the rules share: a code, and a desk of our own that signs anything at all.

The desk is written from RFC 9052, 8392 and 9285 with `cryptography` and `cbor2`, and uses nothing of `agent`, so that it can contradict it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import strategies as st

from agent.core.codes import Keyring, PublicKey, keyring
from agent.core.tour import LATEST_TOUR_MS, MAX_TOUR_MS, TourCode, Window

SEED = bytes(range(32))
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"


def public_half(seed: bytes) -> bytes:
    """The public key of a seed."""
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def key_id_of(seed: bytes) -> bytes:
    """The id of a seed's key: the first four bytes of the SHA-256 of its public half."""
    return hashlib.sha256(public_half(seed)).digest()[:4]


def spelled(data: bytes) -> bytes:
    """Base45 as RFC 9285, section 4 words it."""
    text = ""
    for index in range(0, len(data), 2):
        pair = data[index : index + 2]
        number = int.from_bytes(pair, "big")
        for _ in range(len(pair) + 1):
            text += LETTERS[number % 45]
            number //= 45
    return text.encode()


def sign_anything(
    payload: bytes,
    *,
    seed: bytes = SEED,
    kid: bytes | None = None,
    protected: bytes | None = None,
    unprotected: bytes = b"\xa0",
    aad: bytes = b"tourlatch/1",
    before: bytes = b"\x84",
    payload_item: bytes | None = None,
    after: bytes = b"",
) -> bytes:
    """The text of a COSE_Sign1 whose signature is right for what is in it, however odd that is."""
    if protected is None:
        protected = cbor2.dumps({1: -8, 4: key_id_of(seed) if kid is None else kid})
    to_sign = cbor2.dumps(["Signature1", protected, aad, payload])
    signed = Ed25519PrivateKey.from_private_bytes(seed).sign(to_sign)
    item = cbor2.dumps(payload) if payload_item is None else payload_item
    return b"TL1:" + spelled(before + cbor2.dumps(protected) + unprotected + item + cbor2.dumps(signed) + after) + b"."


def claims(code: TourCode) -> dict[int, Any]:
    """The claims of a code as the format's description has them."""
    ids = [
        int(text) if re.fullmatch("0|[1-9][0-9]*", text) and int(text) < 2**64 else text
        for text in (code.appointment_id, code.prospect_id, code.community_id)
    ]
    start, end = code.window.start_ms // 1000, code.window.end_ms // 1000
    return {4: end, 5: start, 7: bytes.fromhex(code.code_id), -65537: [*ids, list(code.doors), list(code.unit_names)]}


@pytest.fixture(scope="session")
def forge() -> Callable[..., bytes]:
    """The desk of our own: see `sign_anything`."""
    return sign_anything


@pytest.fixture(scope="session")
def claims_of() -> Callable[[TourCode], dict[int, Any]]:
    """The claims of a code, by the format's description: see `claims`."""
    return claims


@pytest.fixture(scope="session")
def spell() -> Callable[[bytes], bytes]:
    """Base45 of our own: see `spelled`."""
    return spelled


@pytest.fixture(scope="session")
def seed() -> bytes:
    """The secret key that the door trusts."""
    return SEED


@pytest.fixture(scope="session")
def keys() -> Keyring:
    """The door's keys: one."""
    return keyring([PublicKey(public_half(SEED))])


@pytest.fixture(scope="session")
def code() -> TourCode:
    """A code as most are: one door, two units, ids of digits; 3:30 PM to 4 PM on the last of March in Los Angeles."""
    return TourCode(
        code_id="0123456789ab",
        appointment_id="48211973",
        prospect_id="7730125",
        community_id="10012",
        doors=("front",),
        unit_names=("101", "B-204"),
        window=Window(1_775_000_000_000 - 3_800_000, 1_775_000_000_000 - 2_000_000),
        key_id=key_id_of(SEED).hex(),
    )


def _windows() -> st.SearchStrategy[Window]:
    def window(end_s: int, lasts_s: int) -> Window:
        return Window(max(end_s - lasts_s, 0) * 1000, end_s * 1000)

    return st.builds(window, st.integers(1, LATEST_TOUR_MS // 1000), st.integers(1, MAX_TOUR_MS // 1000))


@pytest.fixture(scope="session")
def valid_codes() -> st.SearchStrategy[TourCode]:
    """Every code that can be, with a key id of `seed`."""
    visible = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=40)
    ids = st.one_of(st.integers(0, 2**66).map(str), st.integers(2**64 - 2, 2**64 + 1).map(str), visible, st.just("007"), st.just("-5"))
    doors = st.lists(st.from_regex(r"[a-z0-9][a-z0-9-]{0,39}", fullmatch=True), min_size=1, max_size=8, unique=True)
    letters = st.characters(exclude_categories=["C", "Z"]) | st.just(" ")
    units = st.lists(st.text(letters, min_size=1, max_size=40).filter(str.isprintable), max_size=12)
    return st.builds(
        TourCode,
        code_id=st.binary(min_size=6, max_size=6).map(bytes.hex),
        appointment_id=ids,
        prospect_id=ids,
        community_id=ids,
        doors=doors.map(tuple),
        unit_names=units.map(tuple),
        window=_windows(),
        key_id=st.just(key_id_of(SEED).hex()),
    )
