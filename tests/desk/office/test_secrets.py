"""Links, PINs, tokens and names of addresses: made of one secret, each of its own key, none to be forged."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.core import pin
from agent.desk.secrets import Secrets, new_token, token_hash

SECRET = b"a secret of thirty-two characters"
ids = st.from_regex(r"[0-9a-f]{16}", fullmatch=True)
ours, theirs = Secrets(SECRET), Secrets(SECRET + b"!")


@given(ids)
def test_ok__a_link_leads_to_its_booking(booking_id: str) -> None:
    """Made again it is the same, and it needs no quoting in a URL."""
    token = ours.manage_token(booking_id)
    assert ours.booking_of(token) == booking_id
    assert ours.manage_token(booking_id) == token
    assert re.fullmatch(r"[A-Za-z0-9._-]+", token)


@given(ids, st.data())
def test_refused__a_link_with_another_character(booking_id: str, data: st.DataObject) -> None:
    """Any one character changed, added or left out leads nowhere; so do another desk's links."""
    token = ours.manage_token(booking_id)
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="utf-8").filter(lambda letter: letter != token[at]))
    forged = [
        token[:at] + other + token[at + 1 :],
        token[:at] + token[at + 1 :],
        token[:at] + other + token[at:],
        theirs.manage_token(booking_id),
    ]
    assert [ours.booking_of(one) for one in forged] == [None] * 4


@given(st.text())
def test_refused__anything_else_is_no_link(text: str) -> None:
    """Whatever a stranger sends: no booking, and no error."""
    assert ours.booking_of(text) is None
    assert not ours.is_form_token(text, "login")


@pytest.mark.parametrize("token", ["", ".", "0" * 16, "0" * 16 + ".", "0" * 16 + "." + "A" * 22, "\ud800"])
def test_refused__an_id_alone_is_no_link(token: str) -> None:
    """Knowing a booking's id opens nothing."""
    assert ours.booking_of(token) is None


def test_ok__a_form_token_is_for_one_purpose() -> None:
    """Another purpose, another desk and a manage link's tag are refused."""
    token = ours.form_token("login")
    assert ours.is_form_token(token, "login")
    tag = ours.manage_token("0" * 16).partition(".")[2]
    wrong = [ours.form_token("logout"), theirs.form_token("login"), tag, token + " ", ""]
    assert [ours.is_form_token(one, "login") for one in wrong] == [False] * 5
    assert ours.form_token("0" * 16) != tag


def test_ok__each_door_knows_a_pin_by_its_own_hash() -> None:
    """The hash is that of the door's key, which the door has in a file."""
    made = ours.pin("aabbccddeeff", 0)
    hashes = ours.pin_hashes(made, "1001", ["front", "back"])
    assert hashes == {door: pin.digest(ours.door_key("1001", door), made) for door in ("front", "back")}
    assert len(set(hashes.values()) | set(ours.pin_hashes(made, "1002", ["front"]).values())) == 3
    assert theirs.pin("aabbccddeeff", 0) != made


def test_ok__a_name_of_an_address_does_not_tell_it() -> None:
    """The same every time, another for each kind and desk, and the address is not in it."""
    names = [ours.who("bookings", "203.0.113.7"), ours.who("links", "203.0.113.7"), ours.who("bookings", "203.0.113.8")]
    assert len({*names, theirs.who("bookings", "203.0.113.7")}) == 4
    assert ours.who("bookings", "203.0.113.7") == names[0]
    assert "203" not in re.sub(r"[0-9a-f]{32}", "", names[0])


def test_ok__a_random_token_has_256_bits() -> None:
    """No two are alike, and the hash is not the token."""
    made = {new_token() for _ in range(100)}
    assert len(made) == len({token_hash(token) for token in made}) == 100
    assert all(len(token) == 43 for token in made)


@pytest.mark.parametrize("secret", [b"", b"x" * 31])
def test_refused__a_short_secret(secret: bytes) -> None:
    """Fewer than 32 characters can be guessed."""
    with pytest.raises(ValueError, match="at least 32 characters"):
        Secrets(secret)


def test_ok__nothing_of_it_is_printed() -> None:
    """The object's text holds neither the secret nor a key."""
    assert "secret of" not in repr(ours)
    assert repr(ours).startswith("<")
