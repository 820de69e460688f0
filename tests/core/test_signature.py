"""Ed25519: the vectors of RFC 8032, and a signature that cannot be bent into another."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core import signature

# RFC 8032, section 7.1: tests 1, 2, 3 and SHA(abc), each as seed, public key, message, signature
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
]
ORDER = 2**252 + 27742317777372353535851937790883648493
SMALL_ORDER = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
]


@pytest.mark.parametrize("vector", RFC_8032)
def test_granted__a_vector_of_the_standard(vector: tuple[str, str, str, str]) -> None:
    """The vectors of RFC 8032 are signed and found genuine to the letter."""
    seed, public, message, signed = (bytes.fromhex(part) for part in vector)
    assert signature.public_key(seed) == public
    assert signature.sign(seed, message) == signed
    assert signature.is_genuine(public, message, signed) is True


@pytest.mark.parametrize("vector", RFC_8032)
def test_denied__a_vector_with_one_bit_flipped(vector: tuple[str, str, str, str]) -> None:
    """No bit of a signature, nor a message that is longer, survives a change."""
    _, public, message, signed = (bytes.fromhex(part) for part in vector)
    flipped = [(int.from_bytes(signed, "big") ^ 1 << bit).to_bytes(64, "big") for bit in range(512)]
    assert [bent for bent in flipped if signature.is_genuine(public, message, bent)] == []
    assert signature.is_genuine(public, message + b"\x00", signed) is False


@pytest.mark.parametrize("vector", RFC_8032)
def test_denied__a_scalar_that_is_not_reduced(vector: tuple[str, str, str, str]) -> None:
    """The group's order added to a signature's scalar makes no second signature of the same message."""
    _, public, message, signed = (bytes.fromhex(part) for part in vector)
    for times in (1, 2, 7):
        scalar = int.from_bytes(signed[32:], "little") + times * ORDER
        assert signature.is_genuine(public, message, signed[:32] + scalar.to_bytes(32, "little")) is False


@pytest.mark.parametrize("public", SMALL_ORDER)
def test_denied__a_key_of_small_order(public: str) -> None:
    """A key under which one signature fits many messages is not a key."""
    key = bytes.fromhex(public)
    for point in SMALL_ORDER:
        signed = bytes.fromhex(point) + bytes(32)
        assert [message for message in range(32) if signature.is_genuine(key, bytes((message,)), signed)] == []


@settings(deadline=None)
@given(public=st.binary(max_size=40), message=st.binary(max_size=40), signed=st.binary(max_size=70))
def test_denied__any_bytes(public: bytes, message: bytes, signed: bytes) -> None:
    """No key, message or signature of any length raises, and none that was not made is genuine."""
    assert signature.is_genuine(public, message, signed) is False
    assert signature.is_genuine(public.ljust(32, b"\x01")[:32], message, signed.ljust(64, b"\x00")[:64]) is False


@pytest.mark.parametrize("length", [0, 1, 31, 33, 63, 65, 96])
def test_denied__a_part_of_another_length(length: int) -> None:
    """A key or signature that was cut or lengthened is refused, not completed."""
    _, public, message, signed = (bytes.fromhex(part) for part in RFC_8032[1])
    assert signature.is_genuine(public, message, (signed * 2)[:length]) is False
    assert signature.is_genuine((public * 4)[:length], message, signed) is False


def test_granted__a_key_id_is_the_head_of_its_hash() -> None:
    """A key's id is computed from the key, so no other key can stand in its place."""
    public = bytes.fromhex(RFC_8032[0][1])
    assert signature.key_id(public) == hashlib.sha256(public).digest()[:4]
