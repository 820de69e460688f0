"""What a person typed about themselves, checked. The only importer of email-validator and of phonenumbers.

Rule 1: no network: whether a mailbox exists is found out by writing to it.
Rule 2: every problem at once, by field and as a code; the page makes sentences of them.
Rule 3: nothing is repaired by guessing: outer space goes, a phone becomes E.164, the rest stays as it was typed.
"""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass

import phonenumbers
from email_validator import EmailNotValidError, validate_email

from agent.core.booking import Person

MAX_NAME = 60
MAX_EMAIL = 254
MAX_PHONE = 40
FIELDS = ("first_name", "last_name", "email", "phone")
LONGEST = {"first_name": MAX_NAME, "last_name": MAX_NAME, "email": MAX_EMAIL, "phone": MAX_PHONE}

_JOINERS = "\u200c\u200d"
"""Zero-width joiners: invisible, but names in Persian and in Indian scripts are written with them."""


class Problem(enum.StrEnum):
    """What is wrong with a field."""

    MISSING = "missing"
    TOO_LONG = "too_long"
    UNPRINTABLE = "unprintable"
    """It holds control characters, or nothing that can be read."""
    NO_EMAIL = "no_email"
    NO_PHONE = "no_phone"


@dataclass(frozen=True, slots=True)
class Problems:
    """What is wrong, by field; never empty."""

    by_field: Mapping[str, Problem]


def person(typed: Mapping[str, str], country: str) -> Person | Problems:
    """A person out of the four `FIELDS`, or everything that is wrong with them.

    `country` is the property's: a phone number without a country code is taken as one of it.
    """
    values = {name: unicodedata.normalize("NFC", typed.get(name, "")).strip() for name in FIELDS}
    problems = {name: problem for name, value in values.items() if (problem := _shape(name, value)) is not None}
    email = phone = ""
    if "email" not in problems:
        email = _email(values["email"])
        if not email:
            problems["email"] = Problem.NO_EMAIL
    if "phone" not in problems:
        phone = _phone(values["phone"], country)
        if not phone:
            problems["phone"] = Problem.NO_PHONE
    if problems:
        return Problems({name: problems[name] for name in FIELDS if name in problems})
    return Person(values["first_name"], values["last_name"], email, phone)


def _shape(name: str, value: str) -> Problem | None:
    """What is wrong before anybody asks what it means."""
    if not value:
        return Problem.MISSING
    if len(value) > LONGEST[name]:
        return Problem.TOO_LONG
    if not all(letter.isprintable() or letter in _JOINERS for letter in value):
        return Problem.UNPRINTABLE
    if name.endswith("_name") and not any(letter.isalnum() for letter in value):
        return Problem.UNPRINTABLE
    return None


def _email(typed: str) -> str:
    """The address in its usual form, or nothing when it is none."""
    try:
        return validate_email(typed, check_deliverability=False).normalized
    except EmailNotValidError:
        return ""


def _phone(typed: str, country: str) -> str:
    """The number in E.164, or nothing when it is none."""
    try:
        number = phonenumbers.parse(typed, country)
    except phonenumbers.NumberParseException:
        return ""
    if number.extension or not phonenumbers.is_valid_number(number):
        return ""
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def mail_address(email: str) -> str:
    """An address as a mail server takes it: its domain in ASCII. One that is no address comes back as it is."""
    try:
        found = validate_email(email, check_deliverability=False, test_environment=True)
    except EmailNotValidError:
        return email
    return f"{found.local_part}@{found.ascii_domain}"
