"""A mistake in desk.toml is one sentence with its place, which says what to write instead; the good neighbour of each is taken."""

from __future__ import annotations

import copy
import tomllib
from typing import Any

import pytest

from agent import config
from agent.errors import ConfigError
from agent.settings.desk import RESERVED_SLUGS, DeskSettings

GOOD = tomllib.loads("""
public_url = "https://tours.example.com"
[mail]
smtp_host = "smtp.example.com"
sender = "tours@example.com"
[[community]]
id = "4711"
slug = "juniper-flats"
name = "Juniper Flats"
time_zone = "America/Los_Angeles"
address = "12 Juniper Street, Portland, OR 97201"
units = ["101", "204 B"]
door = [{ name = "front" }, { name = "side", units = ["204 B"] }]
[[community]]
id = "4712"
slug = "cedar-court"
name = "Cedar Court"
time_zone = "America/Chicago"
address = "5 Cedar Court, Austin, TX 78701"
door = [{ name = "front" }]
""")


def _changed(*changes: tuple[str, object]) -> dict[str, Any]:
    """A good configuration with values put at places like `community.0.slug`; None takes one away."""
    written: dict[str, Any] = copy.deepcopy(GOOD)
    for place, value in changes:
        *way, name = place.split(".")
        at: Any = written
        for step in way:
            at = at[int(step)] if step.isdigit() else at.setdefault(step, {})
        if value is None:
            del at[name]
        else:
            at[name] = value
    return written


def _mistakes(*changes: tuple[str, object]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.parse_as(DeskSettings, _changed(*changes), "desk.toml")
    return [line.removeprefix("desk.toml: ") for line in str(caught.value).splitlines()]


def _good(*changes: tuple[str, object]) -> DeskSettings:
    return config.parse_as(DeskSettings, _changed(*changes), "desk.toml")


def test_ok__the_good_configuration_is_good() -> None:
    """What the other tests break is whole, so each failure below is the one it means."""
    settings = _good()
    assert list(settings.by_slug()) == ["juniper-flats", "cedar-court"]
    assert [door.name for door in settings.by_id()["4711"].doors_for(("101",))] == ["front"]
    assert [door.name for door in settings.by_id()["4711"].doors_for(("204 B",))] == ["front", "side"]


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        ("community.0.slugg", "x", "community.0.slugg: there is no such key; did you mean slug?"),
        ("listen.trusted_proxy", [], "listen.trusted_proxy: there is no such key; did you mean trusted_proxies?"),
        ("time_zone", "Europe/Paris", "time_zone: there is no such key here; it belongs in [[community]]"),
        ("community.0.directions", "x", "community.0.directions: there is no such key here; it belongs in [[community.door]]"),
        ("mail.public_url", "x", "mail.public_url: there is no such key here; it belongs at the top of the file"),
        ("public_url", None, "public_url: must be given"),
        ("mail.sender", None, "mail.sender: must be given"),
        ("community.1.address", None, "community.1.address: must be given"),
        ("community.0.door.0.name", None, "community.0.door.0.name: must be given"),
        ("mail.security", "ssl", "mail.security: 'ssl' is unknown; known: 'starttls', 'tls' or 'none'"),
    ],
)
def test_fail__a_key_that_is_wrong_or_missing(place: str, value: object, sentence: str) -> None:
    """An unknown key names the nearest known one, a missing one is called missing, an unknown choice names the choices."""
    assert _mistakes((place, value)) == [sentence]


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        (
            "public_url",
            "http://tours.example.com",
            "public_url: must be https; plain http only to this machine (127.0.0.1, ::1 or localhost) (it is 'http://tours.example.com')",
        ),
        (
            "public_url",
            "https://example.com/tours",
            "public_url: must have no path: the desk is at the top of its address (it is 'https://example.com/tours')",
        ),
        (
            "public_url",
            "https://tours.example.com:99999",
            "public_url: must have a port from 1 to 65535, or none (it is 'https://tours.example.com:99999')",
        ),
        (
            "public_url",
            "https://häuser.example.com",
            (
                "public_url: must be written as browsers send it: ASCII without blanks (other letters of a host as xn--...)"
                " (it is 'https://häuser.example.com')"
            ),
        ),
        ("community.0.slug", "staff", "community.0: the slug 'staff' is the desk's own: choose another"),
        (
            "community.0.slug",
            "Juniper Flats",
            "community.0.slug: must be 1 to 60 lower-case letters, digits and hyphens, such as juniper-flats (it is 'Juniper Flats')",
        ),
        ("community.1.slug", "juniper-flats", "the file: the slug 'juniper-flats' is used twice"),
        ("community.1.id", "4711", "the file: the community id '4711' is used twice"),
        ("community.0.door.1.name", "front", "community.0: the door name 'front' is used twice"),
        ("community.0.units", ["101", "204 B", "101"], "community.0: the unit '101' is used twice"),
        ("community.0.door.1.units", ["999"], "community.0: a door names the unit '999', which the community does not"),
        (
            "community.0.door.0.units",
            ["101"],
            "community.0: at least one door must be open to every tour (leave its units out)",
        ),
        ("community.0.units", [str(number) for number in range(61)] + ["204 B"], "community.0: at most 60 units can be offered"),
        ("community.0.country", "USA", "community.0.country: must be a country's two capital letters, such as US (it is 'USA')"),
        (
            "community.0.help_phone",
            "call me",
            "community.0.help_phone: must be a phone number: digits, blanks and + ( ) . - (it is 'call me')",
        ),
        (
            "community.0.time_zone",
            "PST8",
            "community.0.time_zone: 'PST8' is no time zone; write one like America/Los_Angeles (it is 'PST8')",
        ),
        (
            "listen.host",
            "0.0.0.0",  # noqa: S104 - the mistake
            "listen: host must be this machine's own (127.0.0.1, ::1 or localhost) unless there is a certificate_file",
        ),
        ("listen.host", "127.0.0.1:80", "listen.host: must be a host's name or address alone, without a port (it is '127.0.0.1:80')"),
        ("listen.certificate_file", "/etc/tls.pem", "listen: certificate_file and certificate_key_file belong together"),
        ("listen.certificate_key_file", "/etc/tls.key", "listen: certificate_file and certificate_key_file belong together"),
        (
            "listen.trusted_proxies",
            ["127.0.0.1/32", "nginx"],
            "listen.trusted_proxies: 'nginx' is no network; write one like 127.0.0.1/32 or 10.0.0.0/8, with zeros behind its /",
        ),
        (
            "listen.trusted_proxies",
            ["10.0.0.5/8"],
            "listen.trusted_proxies: '10.0.0.5/8' is no network; write one like 127.0.0.1/32 or 10.0.0.0/8, with zeros behind its /",
        ),
        (
            "listen.trusted_proxies",
            ["::/0"],
            "listen.trusted_proxies: '::/0' is everybody, who could then choose the address that limits count; name the proxies alone",
        ),
        ("keys.key_id", "01", "keys.key_id: must be a key's id, the 8 hexadecimal digits that `tourlatch keys list` shows (it is '01')"),
        (
            "keys.folder",
            "keys",
            "keys.folder: must be an absolute path, since systemd starts the program in / (it is 'keys')",
        ),
        (
            "keys.desk_secret_file",
            "secrets/desk",
            "keys.desk_secret_file: must be a credential's name without /, or an absolute path (it is 'secrets/desk')",
        ),
        ("mail.security", "none", "mail: security must be starttls or tls, unless smtp_host is this machine"),
        ("mail.user", "tours", "mail: user and password_file belong together"),
        ("mail.password_file", "mail-password", "mail: user and password_file belong together"),
        (
            "mail.smtp_host",
            "smtp.example.com:587",
            "mail.smtp_host: must be a host's name or address alone, without a port (it is 'smtp.example.com:587')",
        ),
        ("queue.first_retry_s", 601.0, "queue: first_retry_s (601.0) exceeds max_retry_s (600.0)"),
    ],
)
def test_fail__what_a_desk_cannot_be(place: str, value: object, sentence: str) -> None:
    """One mistake is one sentence, with its place and what would be right."""
    assert _mistakes((place, value)) == [sentence]


@pytest.mark.parametrize("slug", sorted(RESERVED_SLUGS))
def test_fail__a_slug_that_is_a_page_of_the_desks(slug: str) -> None:
    """No property hides the staff page, the feed, or a prospect's tour."""
    assert _mistakes(("community.1.slug", slug)) == [f"community.1: the slug {slug!r} is the desk's own: choose another"]


@pytest.mark.parametrize("place", ["mail.sender", "mail.reply_to"])
@pytest.mark.parametrize(
    "value",
    [
        "tours@example.com\r\nBcc: all@example.com",
        "tours@example.com\n",
        "tours@example.com\0",
        "Tours <tours@example.com>",
        "tours@example.com, other@example.com",
        "tours@example.com;other@example.com",
        '"tours"@example.com',
        "tours(office)@example.com",
        "tours@@example.com",
        "tours@",
        "@example.com",
        "tours example.com",
        "",
    ],
)
def test_fail__an_address_that_is_more_than_one(place: str, value: str) -> None:
    """What stands in an email's head is one bare address: no line, name, list or comment can be smuggled in."""
    assert _mistakes((place, value)) == [f"{place}: must be one bare address such as tours@example.com (it is {value!r})"]


@pytest.mark.parametrize("place", ["community.0.name", "community.0.source_title", "community.0.door.0.label", "mail.user"])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("Juniper\r\nBcc: all@example.com", "must be one line"),
        ("Juniper\n", "must be one line"),
        ("Juniper\rFlats", "must not hold control characters"),
        ("Juniper\0", "must not hold control characters"),
        ("Juniper\u2028Flats", "must not hold control characters"),
        ("Juniper \u202eFlats", "must not hold control characters"),
        (" ", "must not be blank"),
    ],
)
def test_fail__a_name_that_is_more_than_a_line(place: str, value: str, words: str) -> None:
    """A property's name stands before the sender of its emails, and a source title goes to Knock: each is one visible line."""
    changes = [(place, value)] if place != "mail.user" else [(place, value), ("mail.password_file", "mail-password")]
    assert _mistakes(*changes) == [f"{place}: {words} (it is {value!r})"]


@pytest.mark.parametrize("place", ["community.0.address", "community.0.door.0.directions", "community.0.sms_consent"])
def test_ok__a_text_of_several_lines(place: str) -> None:
    """An address and directions may have lines, and any language's letters, but nothing that is not seen."""
    _good((place, "Juniper Straße 12\nPortland\u00a0OR ¡bienvenidos! 🗝"))
    assert _mistakes((place, "12\x1b[31m Juniper")) == [f"{place}: must not hold control characters (it is '12\\x1b[31m Juniper')"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("community.0.sms_consent", "x" * 401),
        ("community.0.sms_consent_es", "x" * 401),
        ("community.0.name", "x" * 81),
        ("community.0.name", ""),
        ("community.0.address", "x" * 201),
        ("community.0.source_title", ""),
        ("community.0.door.0.directions", "x" * 401),
        ("mail.sender", "x" * 250 + "@a.com"),
        ("mail.smtp_host", "x" * 256),
        ("community.0.tour_min", 4),
        ("community.0.tour_min", 721),
        ("community.0.grace_before_min", -1),
        ("community.0.grace_after_min", 721),
        ("store.keep_days", 0),
        ("listen.port", 65_536),
        ("listen.max_connections", 9),
        ("listen.max_connections_per_address", 9),
        ("limits.bookings", -1),
        ("queue.first_retry_s", 0.0),
        ("queue.max_retry_s", float("nan")),
        ("queue.mail_tries", 0),
        ("mail.smtp_port", 0),
        ("mail.timeout_s", float("inf")),
        ("staff.session_hours", 0),
    ],
)
def test_fail__out_of_bounds(place: str, value: object) -> None:
    """A value just outside its bounds, and a number that is none, is refused with its place and itself."""
    (mistake,) = _mistakes((place, value))
    assert mistake.startswith(f"{place}: ")
    assert repr(value) in mistake


@pytest.mark.parametrize("place", ["listen.port", "community.0.tour_min", "store.keep_days", "mail.timeout_s"])
@pytest.mark.parametrize("value", ["5", True])
def test_fail__no_number_is_guessed_from_another_kind(place: str, value: object) -> None:
    """Text is no number, and neither is yes or no."""
    (mistake,) = _mistakes((place, value))
    assert mistake.startswith(f"{place}: ")


def test_fail__a_code_that_would_work_for_days() -> None:
    """A tour with both graces lasts a day at most; exactly a day is taken."""
    day = [("community.0.tour_min", 480), ("community.0.grace_before_min", 480), ("community.0.grace_after_min", 480)]
    assert _good(*day).community[0].tour_min == 480
    assert _mistakes(*day, ("community.0.grace_after_min", 481)) == [
        "community.0: tour_min and both graces make 1441 minutes: a code may work for a day (1440) at most"
    ]


@pytest.mark.parametrize("empty", ["sms_consent", "sms_consent_es"])
def test_fail__a_consent_that_is_asked_in_one_language(empty: str) -> None:
    """Whoever is asked is asked in each language, or nobody is."""
    assert _mistakes((f"community.0.{empty}", "")) == [
        "community.0: sms_consent and sms_consent_es belong together: leave both empty, or neither"
    ]
    _good(("community.0.sms_consent", ""), ("community.0.sms_consent_es", ""))


def test_fail__no_property_or_no_door() -> None:
    """A desk without a property, or a property without a door, is a mistake rather than an empty page."""
    assert _mistakes(("community", []))[0].startswith("community: ")
    assert _mistakes(("community.0.door", []))[0].startswith("community.0.door: ")
    assert _mistakes(("community.0.door", [{"name": f"door-{number}"} for number in range(9)]))[0].startswith("community.0.door: ")


@pytest.mark.parametrize(
    ("place", "value"), [("community.0.id", "47 11"), ("community.0.id", ""), ("community.0.door.0.name", "Front Door")]
)
def test_fail__an_id_or_name_that_no_code_can_hold(place: str, value: str) -> None:
    """What cannot stand in a tour code is refused here already."""
    (mistake,) = _mistakes((place, value))
    assert mistake.startswith(f"{place}: ")
    assert "must" in mistake


def test_fail__accounts_in_the_stores_file() -> None:
    """Two things in one file would destroy each other, however the path is spelled."""
    path = "/var/lib/tourlatch-desk/../tourlatch-desk/desk.db-wal"
    assert _mistakes(("staff.accounts_file", path)) == [f"the file: store.path and staff.accounts_file would both write {path}"]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("public_url", "http://127.0.0.1:8780"),
        ("public_url", "https://tours.example.com/"),
        ("public_url", "https://xn--huser-gra.example.com:8443"),
        ("listen.host", "::1"),
        ("listen.trusted_proxies", ["127.0.0.1", "10.0.0.0/8", "2001:db8::/32"]),
        ("mail.sender", "no-reply+tours@mail.example.com"),
        ("mail.smtp_host", "10.0.0.25"),
        ("community.0.slug", "a"),
        ("community.0.name", "Cañón Apartments, Nord & Süd"),
        ("keys.desk_secret_file", "/etc/tourlatch/desk/secret"),
    ],
)
def test_ok__the_good_neighbours(place: str, value: object) -> None:
    """What is nearly like a mistake and is none is taken."""
    _good((place, value))


def test_ok__mail_in_the_clear_to_this_machine_alone() -> None:
    """A mail server on the same machine needs no TLS, and a desk with a certificate may listen on every address."""
    assert _good(("mail.security", "none"), ("mail.smtp_host", "localhost")).mail is not None
    tls = [("listen.certificate_file", "/etc/tls.pem"), ("listen.certificate_key_file", "/etc/tls.key")]
    assert _good(("listen.host", "0.0.0.0"), *tls).listen.host == "0.0.0.0"  # noqa: S104 - what the test is about


def test_fail__every_mistake_at_once() -> None:
    """Mistakes in several tables are as many lines, so the file is mended in one go."""
    found = _mistakes(
        ("public_url", "tours"), ("listen.hots", "x"), ("mail.sender", "x"), ("community.1.slug", "A"), ("community.0.door", [])
    )
    places = [line.partition(": ")[0] for line in found]
    assert sorted(places) == ["community.0.door", "community.1.slug", "listen.hots", "mail.sender", "public_url"]
