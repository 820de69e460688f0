"""What a person typed about themselves."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.core.booking import Person
from agent.desk.people import FIELDS, Problem, Problems, person

ADA = {"first_name": "Ada", "last_name": "Lovelace", "email": "ada@example.com", "phone": "(310) 555-0100"}


@pytest.mark.parametrize(
    ("typed", "taken"),
    [
        ("(310) 555-0100", "+13105550100"),
        ("310.555.0100", "+13105550100"),
        (" +1 310 555 0100 ", "+13105550100"),
        ("1-310-555-0100", "+13105550100"),
        ("+44 20 7946 0958", "+442079460958"),
        ("+52 55 1234 5678", "+525512345678"),
        ("٣١٠٥٥٥٠١٠٠", "+13105550100"),
    ],
)
def test_ok__phones_in_the_many_ways_of_writing_them(typed: str, taken: str) -> None:
    """A phone number becomes E.164; without a country code it is one of the property's country."""
    found = person(ADA | {"phone": typed}, "US")
    assert isinstance(found, Person)
    assert found.phone == taken


def test_ok__a_country_s_own_numbers() -> None:
    """A number without a country code is taken as the property's country writes it."""
    found = person(ADA | {"phone": "020 7946 0958"}, "GB")
    assert isinstance(found, Person)
    assert found.phone == "+442079460958"
    assert person(ADA | {"phone": "020 7946 0958"}, "US") == Problems({"phone": Problem.NO_PHONE})


@pytest.mark.parametrize(
    "name",
    ["Ada", "José", "李", "O'Neil-Çelik", "Jean Luc", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "3rd", "x" * 60, "e\u0301" * 60],
)
def test_ok__names_of_the_world(name: str) -> None:
    """A name is whatever people are called, as they write it."""
    found = person(ADA | {"first_name": f" {name} "}, "US")
    assert isinstance(found, Person)
    assert found.first_name.startswith(name[0]) or "\u0301" in name


@pytest.mark.parametrize(
    ("field", "typed", "problem"),
    [
        ("first_name", "", Problem.MISSING),
        ("first_name", "\u2003", Problem.MISSING),
        ("first_name", "x" * 61, Problem.TOO_LONG),
        ("first_name", "a\nb", Problem.UNPRINTABLE),
        ("first_name", "a\u202eb", Problem.UNPRINTABLE),
        ("first_name", "\ud800", Problem.UNPRINTABLE),
        ("first_name", "...", Problem.UNPRINTABLE),
        ("last_name", "\u200d", Problem.UNPRINTABLE),
        ("email", "ada", Problem.NO_EMAIL),
        ("email", "ada@localhost", Problem.NO_EMAIL),
        ("email", "ada@example", Problem.NO_EMAIL),
        ("email", "a b@example.com", Problem.NO_EMAIL),
        ("email", "Ada <ada@example.com>", Problem.NO_EMAIL),
        ("email", "ada@example.com,ben@example.com", Problem.NO_EMAIL),
        ("email", "ada@exam\u200dple.com", Problem.NO_EMAIL),
        ("email", "ada@example.com\x00", Problem.UNPRINTABLE),
        ("email", "x" * 255, Problem.TOO_LONG),
        ("phone", "911", Problem.NO_PHONE),
        ("phone", "555-0100", Problem.NO_PHONE),
        ("phone", "310 555 0100 ext. 5", Problem.NO_PHONE),
        ("phone", "1-800-FLOWERS-NOW", Problem.NO_PHONE),
        ("phone", "+999 123 456 789", Problem.NO_PHONE),
        ("phone", "1" * 41, Problem.TOO_LONG),
    ],
)
def test_refused__each_by_its_code(field: str, typed: str, problem: Problem) -> None:
    """What cannot be used is named by its field and a code, and the other fields are not complained about."""
    assert person(ADA | {field: typed}, "US") == Problems({field: problem})


def test_refused__all_at_once() -> None:
    """Nothing typed is four problems, in the order of the fields."""
    found = person({}, "US")
    assert isinstance(found, Problems)
    assert tuple(found.by_field) == FIELDS
    assert set(found.by_field.values()) == {Problem.MISSING}


@settings(max_examples=150, deadline=None)
@given(
    typed=st.fixed_dictionaries({name: st.text(st.characters(), max_size=70) for name in FIELDS}),
    country=st.sampled_from(["US", "MX", "GB", "ZZ"]),
)
def test_ok__whatever_is_typed_is_answered(typed: dict[str, str], country: str) -> None:
    """Any text in any field is a person or problems, and never an error; a person fits its limits and has no control characters."""
    found = person(typed, country)
    if isinstance(found, Person):
        assert found.phone.startswith("+")
        assert "@" in found.email
        assert len(found.first_name) <= 60
        assert "\n" not in found.first_name + found.last_name + found.email
    else:
        assert found.by_field
