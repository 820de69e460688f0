"""The container is what it says: a CWT in a COSE_Sign1, readable and writable without a line of ours. And nothing beside it is let in."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from typing import Any

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent.core import signature
from agent.core.codes import MAX_CHARACTERS, Keyring, Unread, issue, read
from agent.core.reasons import Reason
from agent.core.tour import TourCode

UNREADABLE = Unread(Reason.UNREADABLE)
LETTERS = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"


def unspelled(text: bytes) -> bytes:
    """The bytes of a base45 text, by RFC 9285, section 4."""
    data = b""
    for index in range(0, len(text), 3):
        group = text[index : index + 3]
        number = sum(LETTERS.index(letter) * 45**place for place, letter in enumerate(group))
        data += number.to_bytes(len(group) - 1, "big")
    return data


def verified_claims(text: str, public: bytes) -> dict[int, Any]:
    """The claims of a code by RFC 9052, section 4.4 and RFC 8392; raises for a wrong signature."""
    protected, unprotected, payload, signed = cbor2.loads(unspelled(text.removeprefix("TL1:").removesuffix(".").encode()))
    assert cbor2.loads(protected) == {1: -8, 4: hashlib.sha256(public).digest()[:4]}
    assert unprotected == {}
    Ed25519PublicKey.from_public_bytes(public).verify(signed, cbor2.dumps(["Signature1", protected, b"tourlatch/1", payload]))
    claims: dict[int, Any] = cbor2.loads(payload)
    return claims


def test_granted__another_verifier_reads_a_code_of_ours(code: TourCode, seed: bytes) -> None:
    """A verifier written from the standards finds our signature right and every claim in its place."""
    assert verified_claims(issue(code, seed), signature.public_key(seed)) == {
        4: 1_774_998_000,
        5: 1_774_996_200,
        7: bytes.fromhex("0123456789ab"),
        -65537: [48211973, 7730125, 10012, ["front"], ["101", "B-204"]],
    }


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_granted__a_code_of_another_signer_is_read(
    data: st.DataObject,
    valid_codes: st.SearchStrategy[TourCode],
    keys: Keyring,
    forge: Callable[..., bytes],
    claims_of: Callable[[TourCode], dict[int, Any]],
) -> None:
    """What a signer written from the standards makes is read as it was meant, unless it is too long."""
    code = data.draw(valid_codes)
    text = forge(cbor2.dumps(claims_of(code)))
    assert read(text, keys) == (code if len(text) <= MAX_CHARACTERS else UNREADABLE)


@pytest.mark.parametrize(
    ("given_id", "travels_as"),
    [
        ("0", 0),
        ("7", 7),
        ("007", "007"),
        ("00", "00"),
        ("-1", "-1"),
        ("+1", "+1"),
        ("1_0", "1_0"),
        ("18446744073709551615", 18446744073709551615),
        ("18446744073709551616", "18446744073709551616"),
        ("9" * 40, "9" * 40),
        ("a1b2", "a1b2"),
        ("0x10", "0x10"),
    ],
)
def test_granted__an_id_travels_short_and_loses_nothing(
    code: TourCode, seed: bytes, keys: Keyring, given_id: str, travels_as: int | str
) -> None:
    """An id of digits travels as an integer exactly when it comes back the same."""
    changed = replace(code, appointment_id=given_id, prospect_id=given_id, community_id=given_id)
    text = issue(changed, seed)
    assert verified_claims(text, signature.public_key(seed))[-65537][:3] == [travels_as] * 3
    assert read(text.encode(), keys) == changed


@pytest.fixture
def payload(code: TourCode, claims_of: Callable[[TourCode], dict[int, Any]]) -> bytes:
    """A payload that opens."""
    return cbor2.dumps(claims_of(code))


@pytest.mark.parametrize(
    "protected",
    [
        lambda kid: {1: -7, 4: kid},
        lambda kid: {1: -19, 4: kid},
        lambda kid: {1: -36, 4: kid},
        lambda kid: {1: 5, 4: kid},
        lambda kid: {1: 0, 4: kid},
        lambda kid: {1: "EdDSA", 4: kid},
        lambda kid: {1: None, 4: kid},
        lambda kid: {4: kid, 1: -8},
        lambda kid: {4: kid},
        lambda _: {1: -8},
        lambda _: {},
        lambda kid: {1: -8, 4: kid.hex()},
        lambda kid: {1: -8, 4: kid + b"\x00"},
        lambda kid: {1: -8, 4: kid[:3]},
        lambda kid: {1: -8, 4: kid, 3: 61},
        lambda kid: {1: -8, 2: [4], 4: kid},
        lambda kid: {1: -8, 4: kid, -65537: 0},
    ],
    ids=count(),
)
def test_denied__another_protected_header(
    payload: bytes, code: TourCode, keys: Keyring, forge: Callable[..., bytes], protected: Callable[[bytes], dict[int, Any]]
) -> None:
    """Another algorithm, none, another order, an odd key id or one parameter more is unreadable, rightly signed as it is."""
    header = cbor2.dumps(protected(bytes.fromhex(code.key_id)))
    assert read(forge(payload, protected=header), keys) == UNREADABLE


@pytest.mark.parametrize(
    "head", [b"\xa2\x01\x27\x04\x58\x04", b"\xb8\x02\x01\x27\x04\x44", b"\xa2\x01\x38\x07\x04\x44", b"\xbf\x01\x27\x04\x44"]
)
def test_denied__a_protected_header_in_other_words(
    payload: bytes, code: TourCode, keys: Keyring, forge: Callable[..., bytes], head: bytes
) -> None:
    """The same header, spelled with longer heads, is unreadable."""
    assert read(forge(payload, protected=head + bytes.fromhex(code.key_id)), keys) == UNREADABLE


@pytest.mark.parametrize("unprotected", [b"\xa1\x01\x27", b"\xa1\x04\x44abcd", b"\xb8\x00", b"\xbf\xff", b"\x80", b"\xf6", b"\x40", b""])
def test_denied__an_unprotected_header(payload: bytes, keys: Keyring, forge: Callable[..., bytes], unprotected: bytes) -> None:
    """What no signature covers has no place in a code: only the empty map is read."""
    assert read(forge(payload, unprotected=unprotected), keys) == UNREADABLE


@pytest.mark.parametrize(
    "before", [b"\xd2\x84", b"\xd8\x3d\xd2\x84", b"\xd8\x3d\x84", b"\xd9\xd9\xf7\x84", b"\x98\x04", b"\x9f", b"\x85", b"\x83", b""]
)
def test_denied__a_tagged_frame_or_another_array(payload: bytes, keys: Keyring, forge: Callable[..., bytes], before: bytes) -> None:
    """A tag in front, or an array of another length or spelling, is unreadable."""
    assert read(forge(payload, before=before), keys) == UNREADABLE


@pytest.mark.parametrize(
    "item",
    [
        lambda payload: b"\x59\x00" + bytes((len(payload),)) + payload,
        lambda payload: b"\x5a\x00\x00\x00" + bytes((len(payload),)) + payload,
        lambda payload: b"\x5f\x58" + bytes((len(payload),)) + payload + b"\xff",
        lambda payload: b"\x78" + bytes((len(payload),)) + payload,
        lambda payload: b"\xd8\x18\x58" + bytes((len(payload),)) + payload,
        lambda payload: payload,
        lambda _: b"\xf6",
        lambda _: b"",
    ],
    ids=count(),
)
def test_denied__a_payload_in_another_wrapping(
    payload: bytes, keys: Keyring, forge: Callable[..., bytes], item: Callable[[bytes], bytes]
) -> None:
    """A payload with a longer head, in pieces, as text, tagged, bare, detached or absent is unreadable."""
    assert read(forge(payload, payload_item=item(payload)), keys) == UNREADABLE


def test_denied__a_payload_of_no_bytes(keys: Keyring, forge: Callable[..., bytes]) -> None:
    """A signed nothing is unreadable, and so are the shortest payloads there are."""
    assert [read(forge(bytes(length)), keys) for length in range(40)] == [UNREADABLE] * 40


@pytest.mark.parametrize("aad", [b"", b"tourlatch/2", b"tourlatch/1\x00", b"Tourlatch/1", b"tourlatch"])
def test_denied__a_signature_for_another_purpose(payload: bytes, keys: Keyring, forge: Callable[..., bytes], aad: bytes) -> None:
    """What the same key signs for anything else is no code: the purpose is under the signature."""
    assert read(forge(payload, aad=aad), keys) == Unread(Reason.BAD_SIGNATURE)


def test_granted__the_frame_that_the_others_are_bent_from(
    payload: bytes, code: TourCode, keys: Keyring, forge: Callable[..., bytes]
) -> None:
    """The same signer, left alone, makes a code that is read: the refusals here are for what was bent and for nothing else."""
    assert read(forge(payload), keys) == code
