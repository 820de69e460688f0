"""Shapes of texts that several programs' settings have: names, addresses, phones, words for people."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Annotated

from agent.settings.parts import AfterValidator, Field

_ADDRESS = r"^[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$"
_COUNTRY = r"^[A-Z]{2}$"
_HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_PHONE = r"^[0-9+() .-]*$"
_SLUG = r"^[a-z0-9][a-z0-9-]{0,59}$"


def shaped(pattern: str, words: str) -> AfterValidator:
    """A text's shape, with a sentence where a pattern would be told."""

    def check(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(words)
        return text

    return AfterValidator(check)


def _host(text: str) -> str:
    try:
        ip_address(text)
    except ValueError:
        if _HOST.fullmatch(text) is None:
            raise ValueError("must be a host's name or address alone, without a port") from None
    return text


def _secret_file(name: str) -> str:
    if not name.startswith("/") and ("/" in name or name in ("", ".", "..")):
        raise ValueError("must be a credential's name without /, or an absolute path")
    return name


def _lines(text: str) -> str:
    if not text.replace("\n", "").replace("\u00a0", "").isprintable():
        raise ValueError("must not hold control characters")
    if text and not text.strip():
        raise ValueError("must not be blank")
    return text


def _line(text: str) -> str:
    if "\n" in text:
        raise ValueError("must be one line")
    return _lines(text)


Lines = AfterValidator(_lines)
Words = Annotated[str, Field(max_length=400), Lines]
"""A text for people, of one or several lines."""
Line = AfterValidator(_line)
"""What stands in a heading or in the head of an email: one line, so that nothing can be added to either."""
Host = AfterValidator(_host)
"""A host's name or address."""
Unit = Annotated[str, Field(min_length=1, max_length=40), Line]
SecretFile = Annotated[str, AfterValidator(_secret_file)]
MailAddress = Annotated[
    str,
    Field(max_length=255, json_schema_extra={"pattern": _ADDRESS}),
    shaped(_ADDRESS, "must be one bare address such as tours@example.com"),
]
Phone = Annotated[
    str,
    Field(max_length=40, json_schema_extra={"pattern": _PHONE}),
    shaped(_PHONE, "must be a phone number: digits, blanks and + ( ) . -"),
]
Country = Annotated[
    str, Field(json_schema_extra={"pattern": _COUNTRY}), shaped(_COUNTRY, "must be a country's two capital letters, such as US")
]
Slug = Annotated[
    str,
    Field(json_schema_extra={"pattern": _SLUG}),
    shaped(_SLUG, "must be 1 to 60 lower-case letters, digits and hyphens, such as juniper-flats"),
]
