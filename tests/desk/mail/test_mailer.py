"""Every way a delivery can end is an outcome: taken, refused, later, or perhaps."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

import pytest

from agent.core.booking import Done
from agent.core.replay import Refused, TryAgain, Unknown
from agent.mail import AT_ONCE, Mailer, MailOutcome
from tests.desk.mail.servers import Inbox, answers, lines_of, mail_server, mail_settings, message, said, scripted, send

HELLO = b"220 mail.test ready\r\n"
YES = b"250 fine\r\n"
GO_ON = b"354 go on\r\n"


def at_a_real_server(inbox: Inbox, to: str = "ann@example.com", text: str = "Hello") -> MailOutcome:
    """What becomes of an email at aiosmtpd."""

    async def play() -> MailOutcome:
        async with mail_server(inbox):
            return await send(inbox.port, message(to, text))

    return asyncio.run(play())


def test_ok__a_real_server_takes_it_whole() -> None:
    """The server has the envelope and every line, also those that begin with a dot."""
    inbox = Inbox()
    assert at_a_real_server(inbox, text=".\r\n..two\r\nlast") == Done()
    (taken,) = inbox.taken
    assert (taken.mail_from, taken.rcpt_tos) == ("tours@example.com", ["ann@example.com"])
    lines = lines_of(taken)
    assert lines[lines.index(b"") + 1 :][:3] == [b".", b"..two", b"last"]
    assert b"Message-ID: <mail_confirmed.1@example.com>" in lines


def test_ok__an_address_with_letters_beyond_ascii_is_written_as_it_is() -> None:
    """A server that speaks SMTPUTF8 gets the mailbox's own name."""
    inbox = Inbox()

    async def play() -> MailOutcome:
        async with mail_server(inbox, enable_SMTPUTF8=True):
            return await send(inbox.port, message("añn@example.com"))

    assert asyncio.run(play()) == Done()
    assert inbox.taken[0].rcpt_tos == ["añn@example.com"]
    assert inbox.taken[0].smtp_utf8


def test_refused__such_an_address_at_a_server_without_smtputf8() -> None:
    """It never will be taken, and nothing is written that would reach somebody else."""
    inbox = Inbox()
    outcome = at_a_real_server(inbox, "añn@example.com")
    assert isinstance(outcome, Refused)
    assert not inbox.taken


@pytest.mark.parametrize("answer", ["550 5.1.1 <ADDRESS>: no such mailbox", "553 ADDRESS is nobody", "554 5.7.1 ADDRESS"])
def test_refused__an_address_for_good_without_naming_it(answer: str) -> None:
    """A dead letter says what to do, and does not repeat the address as the server did."""
    inbox = Inbox(rcpt=answer)
    outcome = at_a_real_server(inbox)
    assert isinstance(outcome, Refused)
    assert answer[:3] in outcome.words
    assert "ann" not in outcome.words
    assert "example.com" not in outcome.words
    assert not inbox.taken


@pytest.mark.parametrize(("answer", "is_link"), [("450 4.2.1 greylisted ADDRESS", False), ("421 4.7.0 too busy", True)])
def test_fail__an_address_now_is_tried_again(answer: str, is_link: bool) -> None:
    """A grey list concerns this email alone, a busy server all of them."""
    outcome = at_a_real_server(Inbox(rcpt=answer))
    assert isinstance(outcome, TryAgain)
    assert outcome.is_link is is_link
    assert "ann" not in outcome.words


@pytest.mark.parametrize(("answer", "kind"), [("554 5.6.0 spam", Refused), ("451 4.3.0 later", TryAgain)])
def test_fail__the_text_is_refused_or_put_off(answer: str, kind: type) -> None:
    """A clear answer after the text leaves nothing in doubt."""
    outcome = at_a_real_server(Inbox(data=answer))
    assert isinstance(outcome, kind)


EARLY = {
    "nothing": (b"",),
    "no service": (b"554 go away\r\n",),
    "half a greeting": (b"220 mail.te",),
    "half a hello": (HELLO, b"250-mail.test\r\n250-SIZE"),
    "sender refused": (HELLO, YES, b"550 5.1.0 sender\r\n"),
    "sender put off": (HELLO, YES, b"451 later\r\n"),
    "gone at the recipient": (HELLO, YES, YES),
    "no account": (HELLO, YES, YES, b"530 5.7.0 log in first\r\n"),
    "gone at the text": (HELLO, YES, YES, YES, b""),
    "no room": (HELLO, YES, YES, YES, b"421 4.3.0 no room\r\n"),
    "no answer at the text": (HELLO, YES, YES, YES, b"what?\r\n"),
    "another protocol": (b"HTTP/1.1 400 Bad Request\r\n\r\n",),
    "a line without end": (b"220 " + b"x" * 20_000 + b"\r\n",),
    "no ASCII": (HELLO, b"\xff\xfe\r\n"),
}


@pytest.mark.parametrize("trouble", EARLY)
def test_fail__before_the_text_everything_is_tried_again(trouble: str) -> None:
    """Until the text is sent nobody can have the email, so the next try is no repetition."""
    outcome = said(answers(*EARLY[trouble]))
    assert isinstance(outcome, TryAgain)
    assert outcome.is_link


@pytest.mark.parametrize("last", [b"", b"2", b"25", b"250-one\r\n", b"nonsense\r\n", b"\x00\r\n", b"354 more\r\n", b"99 luft\r\n"])
def test_fail__lost_after_the_text_is_unknown(last: bytes) -> None:
    """The server may have taken it; the email is sent again, and the words say so."""
    outcome = said(answers(HELLO, YES, YES, YES, GO_ON, last))
    assert isinstance(outcome, Unknown)
    assert "may have arrived" in outcome.words


@pytest.mark.parametrize(("step", "kind"), [(0, TryAgain), (2, TryAgain), (5, Unknown)])
def test_fail__a_server_that_hangs_is_given_up(step: int, kind: type) -> None:
    """Silence ends after `timeout_s`, with the outcome that the step has."""
    before = (HELLO, YES, YES, YES, GO_ON)[:step]

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for line in before:
            writer.write(line)
            await (reader.readuntil(b"\r\n.\r\n") if line is GO_ON else reader.readline())
        await reader.read()
        writer.close()

    assert isinstance(said(hang, timeout_s=0.3), kind)


async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A server whose greeting never ends."""
    while not writer.is_closing():
        writer.write(b"220-x\r\n")
        await asyncio.sleep(0.02)


def test_fail__a_server_that_drips_its_answer_is_given_up() -> None:
    """Each piece comes in time, but the whole has a limit, too."""
    assert isinstance(said(drip, timeout_s=0.1), TryAgain)


def test_fail__nobody_listens() -> None:
    """A server that is down is tried again, and it says that the connection is the trouble."""

    async def play() -> MailOutcome:
        async with scripted(answers(HELLO)) as port:
            pass
        return await send(port)

    outcome = asyncio.run(play())
    assert isinstance(outcome, TryAgain)
    assert "no connection" in outcome.words


def test_fail__a_cancelled_delivery_drops_its_connection() -> None:
    """A stop of the desk does not wait for a mail server that hangs."""

    async def play() -> None:
        is_gone = asyncio.Event()

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            is_gone.set()
            writer.close()

        async with scripted(hang) as port:
            task = asyncio.create_task(send(port, timeout_s=60.0))
            await asyncio.sleep(0.2)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(is_gone.wait(), 10)

    asyncio.run(play())


def test_fail__a_server_that_hangs_takes_no_thread_from_others() -> None:
    """Ten deliveries at a tarpit: a few are under way, the others wait, and the loop's only thread is free all the time."""

    async def play() -> None:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        connected = 0

        async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal connected
            connected += 1
            await reader.read()
            writer.close()

        async with scripted(hang) as port:
            mailer = Mailer(mail_settings(port, timeout_s=60.0))
            tasks = [asyncio.create_task(mailer.send(message())) for _ in range(10)]
            async with asyncio.timeout(10):
                while connected < AT_ONCE:  # noqa: ASYNC110 - the clearest here
                    await asyncio.sleep(0.01)
                assert await asyncio.to_thread(lambda: "free") == "free"
            await asyncio.sleep(0.2)
            assert connected == AT_ONCE
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(isinstance(one, asyncio.CancelledError) for one in ended)

    asyncio.run(play())


def test_fail__who_waits_too_long_for_others_is_tried_again() -> None:
    """More emails than places at a server that drips its answers: each one ends, in time, with an outcome."""

    async def play() -> list[MailOutcome]:
        async with scripted(drip) as port:
            mailer = Mailer(mail_settings(port, timeout_s=0.1))
            return await asyncio.gather(*(mailer.send(message()) for _ in range(5 * AT_ONCE)))

    outcomes = asyncio.run(play())
    assert all(isinstance(one, TryAgain) and one.is_link for one in outcomes)
    waited = [one for one in outcomes if isinstance(one, TryAgain) and "turn did not come" in one.words]
    assert 0 < len(waited) < len(outcomes)


def test_fail__a_message_without_a_recipient_is_a_mistake_of_ours() -> None:
    """It is never sent to nobody in silence."""
    made = message()
    del made["To"]
    with pytest.raises(ValueError, match="no address in To"):
        asyncio.run(send(1, made))
