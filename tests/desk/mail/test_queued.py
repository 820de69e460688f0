"""The whole way of an email: booked, queued, written, handed to a real mail server; and what staff see when that fails."""

from __future__ import annotations

from collections.abc import Iterator
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

from agent.core.replay import RowState
from agent.desk.office.letters import Letters, Tongue
from agent.desk.pages import LOCALES
from agent.desk.records import JobKind
from agent.language import Dates, Languages
from agent.mail import Mailer
from agent.settings.desk import CommunitySettings
from tests.desk.mail.servers import Inbox, lines_of, mail_server, mail_settings
from tests.desk.mail.test_letters import plain, read_code
from tests.desk.office.stage import ADA, MAIL, Stage

LANGUAGES = Languages.read(LOCALES)


def speak(code: str, place: CommunitySettings) -> Tongue:
    """As the desk is put together."""
    language = LANGUAGES.named(code)
    return Tongue(language.code, language.say, Dates.of(language, place.time_zone, place.country))


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    """An office that mails."""
    made = Stage(tmp_path, mail=MAIL)
    yield made
    made.close()


def do_due(stage: Stage, inbox: Inbox) -> None:
    """What is due is done once, with a real mail server."""

    async def play() -> None:
        async with mail_server(inbox):
            mail = mail_settings(inbox.port)
            await stage.queue(Mailer(mail), Letters(stage.settings, mail, speak)).do_due()

    stage.run(play())


def arrived(inbox: Inbox, number: int = 0) -> Any:  # noqa: ANN401 - as the parser gives it
    """An email as the prospect's program reads it."""
    return message_from_bytes(b"\r\n".join(lines_of(inbox.taken[number])), policy=policy.default)


def test_ok__a_booking_is_mailed_with_the_code_that_opens(stage: Stage) -> None:
    """Picture, PIN and link are those of the pass, to the address of the form."""
    booking, inbox = stage.book(), Inbox()
    held = stage.held(booking)
    do_due(stage, inbox)
    message = arrived(inbox)
    assert inbox.taken[0].rcpt_tos == [ADA.email]
    (picture,) = [part for part in message.iter_attachments() if part.get_content_type() == "image/png"]
    assert read_code(picture.get_content()) == held.code_text
    assert f"{held.pin[:4]} {held.pin[4:]}" in plain(message)
    assert stage.office.manage_link(booking) in plain(message)


def test_ok__a_move_and_a_cancel_are_mailed(stage: Stage) -> None:
    """Each letter has the pass of its time, and the last one has none."""
    inbox, booking = Inbox(), stage.book()
    do_due(stage, inbox)
    stage.move(booking, 3)
    do_due(stage, inbox)
    stage.run(stage.office.cancel(booking.booking_id))
    do_due(stage, inbox)
    subjects = [str(arrived(inbox, number)["Subject"]).strip() for number in range(3)]
    assert [subject.split(" ")[0] for subject in subjects] == ["Your", "New", "Cancelled:"]
    assert not [part for part in arrived(inbox, 2).iter_attachments() if part.get_content_type() == "image/png"]


def test_ok__what_a_cancel_overtook_is_not_mailed(stage: Stage) -> None:
    """A confirmation that waited brings no dead code."""
    inbox, booking = Inbox(), stage.book()
    stage.run(stage.office.cancel(booking.booking_id))
    do_due(stage, inbox)
    assert [str(arrived(inbox, number)["Subject"]).split()[0] for number in range(len(inbox.taken))] == ["Cancelled:"]


def test_fail__a_refused_address_is_a_dead_letter_without_the_address(stage: Stage) -> None:
    """Staff see it with words, and nothing is sent again by itself."""
    booking = stage.book()
    do_due(stage, Inbox(rcpt="550 5.1.1 <ADDRESS> unknown"))
    ((job, of),) = stage.store.dead_jobs("1001")
    assert (job.kind, job.state) == (JobKind.MAIL_CONFIRMED, RowState.DEAD)
    assert of is not None
    assert of.booking_id == booking.booking_id
    assert "ask the prospect for another" in job.words
    assert ADA.email not in job.words
    assert not stage.store.due_jobs(stage.now_ms + 86_400_000, 10)


def test_fail__a_busy_server_gets_the_same_email_later(stage: Stage) -> None:
    """With the same Message-ID."""
    stage.book()
    inbox = Inbox(data="451 4.3.0 later")
    do_due(stage, inbox)
    assert not inbox.taken
    stage.now_ms += 60_000
    inbox.data = "250 taken"
    do_due(stage, inbox)
    assert len(inbox.taken) == 1
    assert not stage.store.due_jobs(stage.now_ms + 86_400_000, 10)
