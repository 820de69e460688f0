"""The queue: emails, cancels and ids, again and again, by one process at a time, with a person's hand at the end."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from email.message import EmailMessage

import pytest

from agent.core.booking import BookingState, Done
from agent.core.replay import Refused, RowState, TryAgain, Unknown
from agent.desk.office import Pass
from agent.desk.office.queue import Outcome
from agent.desk.records import Booking, Job, JobKind
from tests.desk.office.stage import HOUR_MS, MAIL, NOON_MS, Stage, form

Make = Callable[..., Stage]
DAY_MS = 24 * HOUR_MS


class Letters:
    """Writes what it was given into an email's headers; `is_silent` has nothing to say."""

    def __init__(self, *, is_silent: bool = False) -> None:
        self.is_silent = is_silent

    def write(self, job: Job, booking: Booking, held: Pass | None, link: str, now_ms: int) -> EmailMessage | None:
        """A letter with its facts."""
        del now_ms
        message = EmailMessage()
        message["Subject"] = f"{job.kind} {booking.state} {'pass' if held else 'none'} {link}"
        return None if self.is_silent else message


class Post:
    """Answers as it is told, and keeps the letters."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)
        self.letters: list[EmailMessage] = []
        self.wait_s = 0.0

    async def send(self, message: EmailMessage) -> Outcome:
        """The next outcome, `Done` when none is left."""
        self.letters.append(message)
        await asyncio.sleep(self.wait_s)
        return self.outcomes.pop(0) if self.outcomes else Done()

    @property
    def subjects(self) -> list[str]:
        """The letters' kinds."""
        return [str(letter["Subject"]).split()[0] for letter in self.letters]


@pytest.fixture
def mailing(make: Make) -> Stage:
    """A desk with a mail server that gives an email up after three tries."""
    return make(mail=MAIL, queue={"mail_tries": 3})


def test_ok__a_confirmation_is_mailed_with_pass_and_link(mailing: Stage) -> None:
    """Once, with what the prospect needs; then the job is gone."""
    booking, post = mailing.book(), Post()
    queue = mailing.queue(post, Letters())
    assert mailing.run(queue.do_due()) == 1
    assert [str(letter["Subject"]) for letter in post.letters] == [
        f"mail_confirmed confirmed pass {mailing.office.manage_link(booking)}",
    ]
    assert mailing.run(queue.do_due()) == 0


@pytest.mark.parametrize("outcome", [TryAgain("busy"), Unknown("lost")])
def test_fail__an_email_that_did_not_leave_is_sent_again(mailing: Stage, outcome: Outcome) -> None:
    """Later, not at once, and until it is taken."""
    mailing.book()
    post = Post(outcome)
    queue = mailing.queue(post, Letters())
    assert [mailing.run(queue.do_due()) for _ in range(2)] == [1, 0]
    mailing.now_ms += HOUR_MS
    assert [mailing.run(queue.do_due()) for _ in range(2)] == [1, 0]
    assert len(post.letters) == 2


def test_fail__an_email_is_given_up_after_so_many_tries(mailing: Stage) -> None:
    """It is a dead letter with the last words, is not tried again by itself, and a person can have it tried."""
    booking = mailing.book()
    post = Post(*[TryAgain("busy")] * 3)
    queue = mailing.queue(post, Letters())
    for _ in range(5):
        mailing.run(queue.do_due())
        mailing.now_ms += HOUR_MS
    [(job, found)] = mailing.store.dead_jobs("1001")
    assert (job.state, job.attempts, job.words, found) == (RowState.DEAD, 3, "busy", booking)
    assert len(post.letters) == 3
    assert mailing.store.retry_job(job.job_id, mailing.now_ms)
    assert mailing.run(queue.do_due()) == 1
    assert mailing.store.dead_jobs() == []


def test_fail__an_address_that_does_not_exist_is_a_dead_letter_at_once(mailing: Stage) -> None:
    """Refused for good is not tried again."""
    mailing.book()
    post = Post(Refused("no such address"))
    queue = mailing.queue(post, Letters())
    mailing.run(queue.do_due())
    mailing.now_ms += DAY_MS
    mailing.run(queue.do_due())
    assert [job.words for job, _ in mailing.store.dead_jobs()] == ["no such address"]
    assert len(post.letters) == 1


def test_ok__a_letter_with_nothing_to_say_is_not_sent(mailing: Stage) -> None:
    """What its booking has outlived is done without an email."""
    mailing.book()
    post = Post()
    assert mailing.run(mailing.queue(post, Letters(is_silent=True)).do_due()) == 1
    assert post.letters == []
    assert mailing.store.due_jobs(NOON_MS + DAY_MS, 9) == []


def test_fail__a_mail_server_that_was_taken_away_leaves_dead_letters(mailing: Stage) -> None:
    """Emails that were queued before are not kept for ever and not lost: staff see them."""
    mailing.book()
    mailing.run(mailing.queue().do_due())
    assert [job.kind for job, _ in mailing.store.dead_jobs()] == [JobKind.MAIL_CONFIRMED]


def test_ok__a_job_of_a_deleted_booking_is_done(mailing: Stage) -> None:
    """Nobody is written to, and nothing is left."""
    mailing.store.add_job(JobKind.MAIL_CONFIRMED, "0" * 16, NOON_MS)
    mailing.store.add_job(JobKind.PROSPECT, "0" * 16, NOON_MS)
    post = Post()
    assert mailing.run(mailing.queue(post, Letters()).do_due()) == 2
    assert post.letters == []
    assert mailing.store.dead_jobs() == []


def test_fail__a_bug_in_one_job_stops_no_other(mailing: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """What the desk itself fails at is tried again, named by its kind, and the cancel beside it is done."""

    class Broken(Letters):
        def write(self, job: Job, booking: Booking, held: Pass | None, link: str, now_ms: int) -> EmailMessage | None:
            del job, held, link, now_ms
            raise KeyError(booking.person.email)

    booking = mailing.book()
    mailing.run(mailing.office.cancel(booking.booking_id))
    with caplog.at_level(logging.INFO):
        mailing.run(mailing.queue(Post(), Broken()).do_due())
    assert mailing.in_knock("CANCELLED") == {booking.appointment_id}
    told = "\n".join(str(record.__dict__) for record in caplog.records)
    assert "KeyError" in told
    assert booking.person.email not in told


@pytest.mark.parametrize(("kind", "facts"), [("lost", {}), ("status", {"status": 503}), ("status", {"status": 429}), ("not-json", {})])
def test_fail__the_prospects_id_is_asked_for_until_it_is_told(stage: Stage, kind: str, facts: dict[str, int]) -> None:
    """Whatever happens to the question, it is asked again, and then there is a code."""
    stage.fault("request", "form", left_out=["prospectId"], count=1)
    booking = stage.book()
    stage.fault("prospect", kind, **facts)
    queue = stage.queue()
    for _ in range(3):
        stage.run(queue.do_due())
        stage.now_ms += HOUR_MS // 8
    assert stage.row(booking).state is BookingState.PENDING
    stage.mend()
    stage.run(queue.do_due())
    assert stage.row(booking).state is BookingState.CONFIRMED
    assert len(stage.received()) == 1


def test_ok__the_prospects_id_is_not_asked_for_once_it_is_settled(stage: Stage) -> None:
    """Cancelled meanwhile: the question is dropped, and no code appears."""
    stage.fault("request", "form", left_out=["prospectId"], count=1)
    booking = stage.book()
    stage.run(stage.office.cancel(booking.booking_id))
    stage.run(stage.queue().do_due())
    assert stage.received("prospect") == []
    assert stage.live() == {}


def test_ok__several_queues_do_each_job_once(mailing: Stage) -> None:
    """Two processes at one store share the work."""
    for number in range(6):
        mailing.store.add_job(JobKind.CANCEL, f"no-{number}", NOON_MS)
    mailing.book()
    post = Post()
    queues = [mailing.queue(post, Letters()) for _ in range(3)]

    async def all_at_once() -> list[int]:
        return list(await asyncio.gather(*(queue.do_due() for queue in queues)))

    assert sum(mailing.run(all_at_once())) == 7
    assert post.subjects == ["mail_confirmed"]


def test_ok__it_runs_is_woken_and_stops_in_order(mailing: Stage) -> None:
    """A job that is queued while it sleeps is done at a wake; a stop lets what is being sent come to its end."""
    post = Post()
    post.wait_s = 0.2
    queue = mailing.queue(post, Letters())

    async def play() -> None:
        task = asyncio.create_task(queue.run())
        await asyncio.sleep(0.1)
        await mailing.office.book(mailing.community, form())
        queue.wake()
        while not post.letters:  # noqa: ASYNC110 - what it waits for is the queue's own pace
            await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    mailing.run(play())
    assert post.subjects == ["mail_confirmed"]
    assert mailing.store.due_jobs(NOON_MS + 10 * DAY_MS, 9) == []
    queue.wake()


def test_ok__it_outlives_a_store_that_fails(mailing: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """It says so, and waits for better times instead of ending."""
    mailing.store.close()
    queue = mailing.queue(Post(), Letters())

    async def play() -> None:
        task = asyncio.create_task(queue.run())
        await asyncio.sleep(0.2)
        assert not task.done()
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    with caplog.at_level(logging.ERROR):
        mailing.run(play())
    assert "store_failed" in caplog.text


def test_ok__housekeeping_deletes_what_is_over(stage: Stage) -> None:
    """So many days after its end a tour is gone, with its person; a day before it is there."""
    booking = stage.book()
    stage.now_ms = booking.window.end_ms + 90 * DAY_MS
    stage.run(stage.queue().keep_house())
    assert stage.row(booking) == booking
    stage.now_ms += 1
    stage.run(stage.queue().keep_house())
    assert stage.store.booking(booking.booking_id) is None
    assert stage.run(stage.office.booking_by_token(stage.secrets.manage_token(booking.booking_id))) is None


def test_ok__nothing_of_a_job_in_the_log_names_a_person(mailing: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """A failure is told by number and kind, without the person, the booking's link or the code."""
    booking = mailing.book()
    held = mailing.held(booking)
    with caplog.at_level(logging.DEBUG):
        mailing.run(mailing.queue(Post(TryAgain("busy")), Letters()).do_due())
    told = "\n".join(str(record.__dict__) for record in caplog.records)
    assert "mail_confirmed" in told
    secret = [*_words(booking), held.pin, held.code_text, mailing.secrets.manage_token(booking.booking_id)]
    assert not [word for word in secret if word in told]


def _words(booking: Booking) -> list[str]:
    person = replace(booking.person)
    return [person.first_name, person.last_name, person.email, person.phone]
