"""Encryption that was asked for is never done without, certificates are verified, and a password travels encrypted only."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest

from agent.core.booking import Done
from agent.core.replay import TryAgain
from agent.mail import Mailer, MailOutcome
from tests.desk.mail.servers import PASSWORD, USER, Inbox, answers, certificate, mail_server, mail_settings, said, send

ACCOUNT: dict[str, Any] = {"user": USER, "password_file": "smtp-password"}


def delivered(
    inbox: Inbox,
    tls: ssl.SSLContext | None,
    **values: Any,  # noqa: ANN401 - a key of the table [mail], or one of the two below
) -> MailOutcome:
    """What becomes of an email at a server with this TLS; `password` for an account, `is_starttls` False for TLS from the first byte on."""
    is_starttls, password = values.pop("is_starttls", True), values.pop("password", None)

    async def play() -> MailOutcome:
        async with mail_server(inbox, tls=tls, is_starttls=is_starttls, auth_required=password is not None and tls is not None):
            return await send(inbox.port, password=password, **values)

    return asyncio.run(play())


def test_ok__starttls_with_the_named_authority_and_an_account(tmp_path: Path) -> None:
    """The usual way: encrypted before the account is named."""
    path, tls = certificate(tmp_path)
    inbox = Inbox()
    assert delivered(inbox, tls, security="starttls", ca_file=path, password=PASSWORD, **ACCOUNT) == Done()
    assert inbox.was_encrypted == [True]
    assert inbox.accounts


def test_ok__tls_from_the_first_byte_on(tmp_path: Path) -> None:
    """Port 465 is the same without STARTTLS."""
    path, tls = certificate(tmp_path)
    inbox = Inbox()
    assert delivered(inbox, tls, is_starttls=False, security="tls", ca_file=path) == Done()
    assert inbox.was_encrypted == [True]


def test_fail__a_server_without_starttls_gets_nothing() -> None:
    """Who strips STARTTLS out of the conversation gets neither the email nor the password."""
    inbox = Inbox()
    outcome = delivered(inbox, None, security="starttls", password=PASSWORD, **ACCOUNT)
    assert isinstance(outcome, TryAgain)
    assert "STARTTLS" in outcome.words
    assert (inbox.taken, inbox.accounts) == ([], [])


@pytest.mark.parametrize("refusal", [b"454 4.7.0 not now\r\n", b"501 no\r\n", b"250 whatever\r\n", b""])
def test_fail__starttls_that_is_offered_and_then_refused_is_never_done_without(refusal: bytes) -> None:
    """The conversation ends there."""
    outcome = said(answers(b"220 x\r\n", b"250-x\r\n250 STARTTLS\r\n", refusal, b"250 x\r\n", b"250 x\r\n"), security="starttls")
    assert isinstance(outcome, TryAgain)
    assert outcome.is_link


def test_fail__what_is_no_tls_after_starttls_is_a_failure() -> None:
    """A plain answer in the place of the handshake is not read as SMTP."""
    outcome = said(answers(b"220 x\r\n", b"250-x\r\n250 STARTTLS\r\n", b"220 go\r\n250 x\r\n250 x\r\n"), security="starttls")
    assert isinstance(outcome, TryAgain)


@pytest.mark.parametrize("security", ["starttls", "tls"])
@pytest.mark.parametrize("fault", ["system", "other", "host"])
def test_fail__a_certificate_that_is_not_to_be_trusted(tmp_path: Path, security: str, fault: str) -> None:
    """Self-made and not named, of another authority, or of another host: staff are told where to look, nothing is sent."""
    path, tls = certificate(tmp_path, address="127.0.0.2" if fault == "host" else "127.0.0.1")
    other, _ = certificate(tmp_path, name="other")
    trusted = {"system": None, "other": other, "host": path}[fault]
    inbox = Inbox()
    values = {} if trusted is None else {"ca_file": trusted}
    outcome = delivered(inbox, tls, is_starttls=security == "starttls", security=security, password=PASSWORD, **ACCOUNT, **values)
    assert isinstance(outcome, TryAgain)
    assert "certificate" in outcome.words
    assert (inbox.taken, inbox.accounts) == ([], [])


def test_fail__a_wrong_password_is_tried_again_with_words_for_staff(tmp_path: Path) -> None:
    """It is no email's fault, so no email is given up; the password is not in the words."""
    path, tls = certificate(tmp_path)
    inbox = Inbox()
    outcome = delivered(inbox, tls, security="starttls", ca_file=path, password="not the one", **ACCOUNT)
    assert isinstance(outcome, TryAgain)
    assert outcome.is_link
    assert "password_file" in outcome.words
    assert "not the one" not in outcome.words
    assert not inbox.taken


def test_fail__a_server_that_takes_no_account(tmp_path: Path) -> None:
    """Staff are told which lines to leave out."""
    del tmp_path
    outcome = said(answers(b"220 x\r\n", b"250 x\r\n", b"250 x\r\n"), password=PASSWORD, **ACCOUNT)
    assert isinstance(outcome, TryAgain)
    assert "takes no account" in outcome.words


def test_fail__a_ca_file_that_is_missing_stops_the_mailer(tmp_path: Path) -> None:
    """Without the authority that was asked for, nobody else is trusted in its place."""
    with pytest.raises(OSError, match="No such file"):
        Mailer(mail_settings(25, security="tls", ca_file=tmp_path / "missing.pem"))


def test_refused__no_encryption_to_another_machine() -> None:
    """`none` is for this machine only."""
    with pytest.raises(AssertionError):
        mail_settings(25, smtp_host="mail.example.com")
