"""What a kiosk's file may not say: each mistake with its place and a sentence."""

from __future__ import annotations

from typing import Any

import pytest

from agent import config
from agent.errors import ConfigError
from agent.settings.kiosk import KioskSettings

GOOD: dict[str, Any] = {"door": "front", "time_zone": "America/Los_Angeles"}
BOOK = {"url": "https://tours.example.com", "community": "juniper-flats"}
MAIL = {"smtp_host": "smtp.example.com", "sender": "tours@example.com"}


@pytest.mark.parametrize(
    ("changed", "place", "words"),
    [
        ({"door": "Front Door"}, "door", "a door's name must be lower-case letters, digits and hyphens"),
        ({"door": [{"name": "front"}]}, "door", "Input should be a valid string"),
        ({"time_zone": "Mars/Base"}, "time_zone", "'Mars/Base' is no time zone"),
        ({"agent_socket": "agent.sock"}, "agent_socket", "must be an absolute path"),
        ({"country": "us"}, "country", "must be a country's two capital letters"),
        ({"help_phone": "call me"}, "help_phone", "must be a phone number"),
        ({"languages": []}, "languages", "at least 1 item"),
        ({"languages": ["en", "en"]}, "the file", "the language 'en' is used twice"),
        ({"languages": ["fr"]}, "languages.0", "'fr' is unknown; known: 'en' or 'es'"),
        ({"listen": {"host": "0.0.0.0"}}, "listen.host", "for another device there is [remote]"),  # noqa: S104 - what must not be
        ({"listen": {"host": "door.example.com"}}, "listen.host", "must be this machine's own"),
        ({"listen": {"port": 65_536}}, "listen.port", "less than or equal to 65535"),
        ({"listen": {"port": "8770"}}, "listen.port", "valid integer"),
        ({"remote": {"certificate_file": "/a.pem"}}, "remote", "certificate_file and certificate_key_file belong together"),
        ({"remote": {"max_screens": 17}}, "remote.max_screens", "less than or equal to 16"),
        ({"remote": {"token": "abc"}}, "remote.token", "there is no such key; did you mean token_file?"),
        ({"remote": {"token_file": "a/b"}}, "remote.token_file", "must be a credential's name without /"),
        ({"look": {"colour": "blue"}}, "look.colour", 'must be a colour as six hexadecimal digits in lower case, like "#1f4e79"'),
        ({"look": {"colour": "#1F4E79"}}, "look.colour", "in lower case"),
        ({"look": {"colour": "#1f4e79; }"}}, "look.colour", "in lower case"),
        ({"look": {"name": "a\nb"}}, "look.name", "must be one line"),
        ({"look": {"logo": "/etc/logo.gif"}}, "look.logo", "must end in one of .jpg, .png, .svg, .webp"),
        ({"look": {"logo": "logo.svg"}}, "look.logo", "must be an absolute path"),
        ({"look": {"dark_from": "19:30"}}, "look", "dark_from and dark_to belong together"),
        ({"look": {"dim_to": "06:00"}}, "look", "dim_from and dim_to belong together"),
        ({"look": {"dark_from": "07:00", "dark_to": "07:00"}}, "look", "dark_from and dark_to are the same time"),
        ({"look": {"dark_from": "7pm", "dark_to": "07:00"}}, "look.dark_from", "this is no time of the day in whole minutes"),
        ({"look": {"dark_from": "19:30:05", "dark_to": "07:00"}}, "look.dark_from", "this is no time of the day in whole minutes"),
        ({"look": {"dark_from": 1930, "dark_to": "07:00"}}, "look.dark_from", "this is no time of the day in whole minutes"),
        ({"look": {"welcome_s": 2}}, "look.welcome_s", "greater than or equal to 3"),
        ({"look": {"refused_s": 121}}, "look.refused_s", "less than or equal to 120"),
        ({"pin_pad": {"clear_s": 4}}, "pin_pad.clear_s", "greater than or equal to 5"),
        ({"book": {"url": "https://tours.example.com"}}, "book.community", "must be given"),
        ({"book": {**BOOK, "url": "http://tours.example.com"}}, "book.url", "must be https"),
        ({"book": {**BOOK, "url": "https://tours.example.com?x=1"}}, "book.url", "without query or user"),
        ({"book": {**BOOK, "url": "https://tours.example.com/desk"}}, "book.url", "must have no path"),
        ({"book": {**BOOK, "reached_at": "http://127.0.0.1:8780/desk"}}, "book.reached_at", "must have no path"),
        ({"book": {**BOOK, "reached_at": "http://10.0.0.2:8780"}}, "book.reached_at", "must be https"),
        ({"book": {**BOOK, "community": "staff"}}, "book.community", "'staff' is a part of the address that no property has"),
        ({"book": {**BOOK, "community": "screen"}}, "book.community", "'screen' is a part of the address that no property has"),
        ({"book": {**BOOK, "community": "Juniper Flats"}}, "book.community", "lower-case letters, digits and hyphens"),
        ({"book": {**BOOK, "idle_s": 19}}, "book.idle_s", "greater than or equal to 20"),
        ({"help": {"mail_to": []}, "mail": MAIL}, "help.mail_to", "at least 1 item"),
        ({"help": {"mail_to": ["Leasing <leasing@example.com>"]}, "mail": MAIL}, "help.mail_to.0", "must be one bare address"),
        ({"help": {"mail_to": ["leasing@example.com"]}}, "the file", "help.mail_to needs the table [mail]"),
        ({"mail": MAIL}, "the file", "[mail] is there and help.mail_to is not"),
        ({"help": {}, "mail": MAIL}, "the file", "[mail] is there and help.mail_to is not"),
        ({"help": {"webhook_url": "https://x"}}, "help.webhook_url", "there is no such key; did you mean webhook_url_file?"),
        ({"staff": {"idle_s": 301}}, "staff.idle_s", "less than or equal to 300"),
        ({"way": [{"unit": "101"}]}, "way.0.words", "must be given"),
        ({"way": [{"unit": "101", "words": ""}]}, "way.0.words", "at least 1 character"),
        ({"way": [{"unit": "101", "words": "a"}, {"unit": "101", "words": "b"}]}, "the file", "the unit '101' is used twice"),
        ({"way": [{"unit": "101", "words": "a" * 121}]}, "way.0.words", "at most 120 characters"),
    ],
)
def test_table__each_mistake_has_its_place_and_its_sentence(changed: dict[str, Any], place: str, words: str) -> None:
    """One mistake, one line, with what to write instead."""
    with pytest.raises(ConfigError) as error:
        config.parse_as(KioskSettings, {**GOOD, **changed}, "kiosk.toml")
    (line,) = str(error.value).splitlines()
    assert line.startswith(f"kiosk.toml: {place}: ")
    assert words in line


def test_ok__the_way_to_a_unit_is_said_in_its_language() -> None:
    """Spanish where there is some, the other words where there is none, nothing for a unit that nobody wrote of."""
    way = [{"unit": "101", "words": "Straight on", "words_es": "Todo recto"}, {"unit": "204 B", "words": "Floor 2"}]
    found = config.parse_as(KioskSettings, {**GOOD, "way": way}, "kiosk.toml")
    said = [found.way_to(unit, language) for unit in ("101", "204 B", "305") for language in ("en", "es")]
    assert said == ["Straight on", "Todo recto", "Floor 2", "Floor 2", "", ""]
