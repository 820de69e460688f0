"""What a prospect is mailed: readable without pictures, in their language, with nothing that a name could smuggle in."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

import icalendar
import pytest
import zxingcpp
from PIL import Image

from agent.core.booking import BookingState, Done, Person
from agent.core.replay import RowState
from agent.core.tour import Standing
from agent.desk.office.letters import Letters, Tongue
from agent.desk.office.values import Pass
from agent.desk.pages import LOCALES
from agent.desk.records import Appointment, Booking, Job, JobKind
from agent.language import Dates, Languages
from agent.settings.desk import CommunitySettings, DeskSettings, DoorPlace
from agent.settings.parts import validate
from tests.desk.mail.made import ANN, LINK, WINDOW, booking, community
from tests.desk.mail.servers import Inbox, lines_of, mail_server, mail_settings, send

CODE = "TL1:ABC123$%*+-./:XYZ"
PIN = "12345678"
LANGUAGES = Languages.read(LOCALES)


def speak(code: str, place: CommunitySettings) -> Tongue:
    """As the desk is put together."""
    language = LANGUAGES.named(code)
    return Tongue(language.code, language.say, Dates.of(language, place.time_zone, place.country))


def settings(place: CommunitySettings) -> DeskSettings:
    """A desk of one property."""
    made = validate(DeskSettings, {"public_url": "https://tours.example.com", "community": [place]})
    assert isinstance(made, DeskSettings), made
    return made


def held(of: Booking) -> Pass:
    """The booking's pass."""
    appointment = Appointment(
        "900", of.booking_id, "1001", "77", Standing.CONFIRMED, "aabbccddeeff", "01234567", ("front",), ("101",), of.window, None, 0, 1
    )
    doors = (DoorPlace(name="front", label="Main entrance", directions="Left of the mailboxes."),)
    return Pass(appointment, CODE, PIN, doors, of.window.start_ms - 900_000, of.window.end_ms + 1_800_000)


def letter(
    kind: JobKind = JobKind.MAIL_CONFIRMED,
    of: Booking | None = None,
    place: CommunitySettings | None = None,
    *,
    job_id: int = 7,
    has_pass: bool | None = None,
    **mail: Any,  # noqa: ANN401 - a key of the table [mail]
) -> EmailMessage | None:
    """The letter of a job."""
    of = of or booking()
    place = place or community()
    is_held = of.state is BookingState.CONFIRMED if has_pass is None else has_pass
    writer = Letters(settings(place), mail_settings(587, **mail), speak)
    job = Job(job_id, kind, of.booking_id, RowState.SENDING, 0, 0, 0, "")
    return writer.write(job, of, held(of) if is_held else None, LINK, WINDOW.start_ms - 86_400_000)


def sent(kind: JobKind = JobKind.MAIL_CONFIRMED, of: Booking | None = None, **others: Any) -> Any:  # noqa: ANN401 - as the parser gives it
    """The letter as a mail program reads it, after it went over the wire as bytes."""
    made = letter(kind, of, **others)
    assert made is not None
    content = made.as_bytes()
    assert content.isascii()
    assert max(len(line) for line in content.split(b"\r\n")) <= 998
    return message_from_bytes(content, policy=policy.default)


def plain(message: Any) -> str:  # noqa: ANN401 - as the parser gives it
    """The plain text, in one line."""
    return " ".join(str(message.get_body(("plain",)).get_content()).split())


def page(message: Any) -> str:  # noqa: ANN401 - as the parser gives it
    """The HTML, in one line."""
    return " ".join(str(message.get_body(("html",)).get_content()).split())


def read_code(picture: bytes) -> str:
    """What a barcode reader sees in a PNG."""
    return str(zxingcpp.read_barcodes(Image.open(io.BytesIO(picture)))[0].text)


def test_ok__text_and_html_hold_all_that_is_needed() -> None:
    """Without a picture there are still the time in the property's zone, the place, the PIN, the doors and the link."""
    message = sent()
    html = page(message)
    for expected in (
        "Hello Ann,",
        "Sunday, November 1, 2026, 3:00 PM to 3:30 PM (Pacific Time)",
        "Juniper Flats, 12 Juniper Street, Springfield, CA 90000",
        "1234 5678",
        "Both work from 2:45 PM to 4:00 PM.",
        "Left of the mailboxes.",
        LINK,
        "+1 555 0100",
    ):
        assert expected in plain(message)
        assert expected in html
    assert "<table" not in html
    assert "http" not in html.replace(LINK, "")


def test_ok__the_code_is_inside_and_beside_it_for_print() -> None:
    """A real barcode reader gets the tour code from both pictures, and the page shows the one inside."""
    message = sent()
    (inline,) = [part for part in message.walk() if part.get_content_type() == "image/png" and part["Content-ID"]]
    (beside,) = [part for part in message.iter_attachments() if part.get_content_type() == "image/png"]
    assert read_code(inline.get_content()) == read_code(beside.get_content()) == CODE
    assert inline.get_content_disposition() == "inline"
    assert (beside.get_content_disposition(), beside.get_filename()) == ("attachment", "tour-code.png")
    assert f'src="cid:{inline["Content-ID"][1:-1]}"' in page(message)
    assert 'alt="' in page(message)


def test_ok__the_calendar_file_is_beside_it() -> None:
    """Mail programs are told what the file asks for."""
    message = sent()
    (part,) = [part for part in message.iter_attachments() if part.get_content_type() == "text/calendar"]
    assert part["Content-Type"].params["method"] == "PUBLISH"
    entry = icalendar.Calendar.from_ical(part.get_content()).walk("VEVENT")[0]
    assert str(entry["ORGANIZER"]) == "mailto:tours@example.com"


def test_ok__a_move_says_that_the_old_code_is_dead() -> None:
    """The new letter holds the new code, and tells of the old one."""
    message = sent(JobKind.MAIL_MOVED)
    assert "Your tour has a new time" in page(message)
    assert "The code and the PIN of the earlier time open no door any more." in plain(message)
    assert "1234 5678" in plain(message)


@pytest.mark.parametrize("state", [BookingState.CANCELLED, BookingState.SUPERSEDED])
def test_ok__a_cancel_has_no_code_and_takes_the_entry_out(state: BookingState) -> None:
    """There is nothing left to show at a door; another tour is one link away."""
    message = sent(JobKind.MAIL_CANCELLED, booking(state=state))
    assert [part.get_content_type() for part in message.iter_attachments()] == ["text/calendar"]
    (part,) = message.iter_attachments()
    assert part["Content-Type"].params["method"] == "CANCEL"
    assert "https://tours.example.com/juniper-flats?lang=en" in plain(message)
    word = "Replaced" if state is BookingState.SUPERSEDED else "Cancelled"
    assert message["Subject"].strip() == f"{word}: your tour of Juniper Flats, Sunday, November 1, 2026, 3:00 PM"
    told = plain(message)
    assert ("If it was not you who booked it, please call or book again." in told) == (state is BookingState.SUPERSEDED)
    assert ("Your tour is cancelled" in told) == (state is BookingState.CANCELLED)


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (JobKind.MAIL_CONFIRMED, BookingState.CONFIRMED),
        (JobKind.MAIL_MOVED, BookingState.CONFIRMED),
        (JobKind.MAIL_CANCELLED, BookingState.CANCELLED),
        (JobKind.MAIL_CANCELLED, BookingState.SUPERSEDED),
    ],
)
def test_ok__every_letter_is_whole_in_every_language(kind: JobKind, state: BookingState) -> None:
    """No sentence is left in English, and every place in it is filled."""
    english = {line for line in sent(kind, booking(state=state)).get_body(("plain",)).get_content().split("\n\n") if " " in line}
    for language in LANGUAGES:
        message = sent(kind, booking(state=state, language=language.code))
        text = message.get_body(("plain",)).get_content()
        assert "%(" not in text + page(message) + message["Subject"]
        assert f'<html lang="{language.code}">' in page(message)
        assert message["Content-Language"] == language.code
        if language.code != "en":
            assert english & set(text.split("\n\n")) <= {"Main entrance: Left of the mailboxes."}


def test_ok__it_says_that_no_person_wrote_it() -> None:
    """Mailboxes that answer by themselves do not answer this (RFC 3834)."""
    message = sent(reply_to="office@example.com")
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Reply-To"] == "office@example.com"
    assert str(message["From"]) == "Juniper Flats <tours@example.com>"
    assert str(message["To"]) == "Ann Lee <ann@example.com>"


def test_ok__a_repetition_has_the_same_id_and_another_letter_another() -> None:
    """Who gets one job's letter twice can tell."""
    ids = [sent(job_id=job_id)["Message-ID"] for job_id in (7, 7, 8)]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0].endswith("@tours.example.com>")


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        (JobKind.MAIL_CONFIRMED, BookingState.CANCELLED),
        (JobKind.MAIL_MOVED, BookingState.SUPERSEDED),
        (JobKind.MAIL_CONFIRMED, BookingState.UNKNOWN),
        (JobKind.MAIL_CANCELLED, BookingState.CONFIRMED),
    ],
)
def test_refused__a_letter_that_its_booking_has_outlived(kind: JobKind, state: BookingState) -> None:
    """A confirmation that waited through a cancel would bring a dead code; it is not written."""
    assert letter(kind, booking(state=state)) is None


def test_refused__without_an_address_or_a_property_there_is_no_letter() -> None:
    """Nobody to write to, or nothing to write of."""
    assert letter(of=booking(person=replace(ANN, email=""))) is None
    assert letter(of=booking(community_id="9")) is None


EVIL_NAMES = (
    "Ann\r\nBcc: everybody@example.com",
    "Ann\nSubject: free",
    'Ann" <x@example.com>, "',
    "=?utf-8?q?Ann=0D=0ABcc:_everybody@example.com?=",
    "=?utf-8?b?QW5uDQpCY2M6IGV2ZXJ5Ym9keUBleGFtcGxlLmNvbQ==?=",
    "Ann\u2028Bcc: everybody@example.com",
    "Ann\x00\x0b\x0cBcc: everybody@example.com",
    "x" * 70 + "\r\n" + "y" * 70,
    "a long name before <everybody@example.com>, anybody@example.com, and then some more of it " * 2,
)


@pytest.mark.parametrize("number", range(len(EVIL_NAMES)))
def test_refused__a_name_makes_no_header_and_no_recipient(number: int) -> None:
    """Whatever stands in the name, one recipient and the headers of ours are what a mail program reads."""
    name = EVIL_NAMES[number]
    message = sent(of=booking(person=Person(name, name, "ann@example.com", "")))
    assert [address.addr_spec for address in message["To"].addresses] == ["ann@example.com"]
    assert {key.lower() for key in message} == {
        "from", "to", "subject", "date", "message-id", "auto-submitted", "content-language", "mime-version", "content-type",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["=?utf-8?q?x=0D=0ABcc:_y@example.com?=", "Straße & Söhne", "花園"])
def test_refused__nor_does_a_propertys(name: str) -> None:
    """From and Subject are made of it."""
    message = sent(place=community(name=name))
    assert message["Bcc"] is None
    assert [address.addr_spec for address in message["From"].addresses] == ["tours@example.com"]
    assert "\n" not in str(message["Subject"])
    assert message["From"].addresses[0].display_name == name.replace("=?", "= ?").replace(":", " ").replace("@", " ")


def test_refused__markup_in_a_name_is_text() -> None:
    """Nothing of it is executed, and nothing of it is lost."""
    html = page(sent(of=booking(person=Person("<img src=x onerror=alert(1)>", "&amp;", "ann@example.com", ""))))
    assert "<img src=x" not in html
    assert "&lt;img src=x onerror=alert(1)&gt;" in html


def test_refused__an_address_with_a_line_break_is_never_written() -> None:
    """It cannot come from the form; if it comes from elsewhere, there is no letter at all."""
    with pytest.raises(ValueError, match="CR or LF"):
        letter(of=booking(person=Person("Ann", "Lee", "ann@example.com\r\nBcc: x@example.com", "")))


def test_ok__names_beyond_ascii_and_addresses_of_any_domain() -> None:
    """A name is encoded (RFC 2047), a domain is written in ASCII as IDNA 2008 has it."""
    message = sent(of=booking(person=Person("Zoë", "Łukasz 花", "zoe@faß.example", "")))
    (address,) = message["To"].addresses
    assert address.display_name == "Zoë Łukasz 花"
    assert address.addr_spec == "zoe@xn--fa-hia.example"
    assert "Hello Zoë," in plain(message)


def test_ok__a_real_server_takes_it_as_it_is() -> None:
    """Over the wire, the letter that arrives is the letter that was written."""
    inbox = Inbox()
    made = letter()
    assert made is not None

    async def play() -> None:
        async with mail_server(inbox):
            assert await send(inbox.port, made) == Done()

    asyncio.run(play())
    (taken,) = inbox.taken
    assert taken.rcpt_tos == ["ann@example.com"]
    arrived = message_from_bytes(b"\r\n".join(lines_of(taken)), policy=policy.default)
    assert plain(arrived) == plain(sent())
