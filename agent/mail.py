"""Emails to the mail server. The only importer of smtplib.

Rule 1: every way a delivery can end is one of four outcomes, so that emails wait, are given up and are counted like visits.
Rule 2: encryption that the settings ask for is never done without, and the server's certificate is always verified.
Rule 3: what the server says may quote the address, so of its words only the codes are kept.
Rule 4: deliveries have a few threads of their own, so that a mail server that hangs keeps nothing else waiting, nor the stop.
Rule 5: lost after the text was sent means that the email may have gone out: it is sent again, for a second email does no harm.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import smtplib
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8

from agent.core.booking import Done
from agent.core.replay import Refused, TryAgain, Unknown
from agent.settings.desk import MailSettings

MailOutcome = Done | Refused | TryAgain | Unknown
"""`Done`: the mail server took it. `Refused`: this address, or this email, never. `TryAgain`: surely not taken. `Unknown`: perhaps."""

AT_ONCE = 4
"""So many deliveries of one mailer are under way at once."""

_SYSTEM_CERTIFICATES = "/etc/ssl/certs"
_MOST_STEPS = 10
"""A delivery takes at most so many times `timeout_s`, however slowly the server drips its answers..."""
_LONGEST_S = 300.0
"""...and never longer than this, so that it ends well before the job's claim does."""
_PATIENCE_S = 120.0
"""So long a delivery waits at most for others to end."""

_GO_ON = 354
_TOO_BUSY = 421
_ACCOUNT = frozenset({530, 534, 535, 538})
"""Answers that mean the account or the way, not this email."""
_DETAIL = re.compile(rb"[245]\.\d{1,3}\.\d{1,3}\b")
_DOT = re.compile(rb"(?m)^\.")


@dataclass(frozen=True, slots=True)
class _Answer:
    """The server's code, and its enhanced code (RFC 3463) when it gave one."""

    code: int
    detail: str

    @classmethod
    def of(cls, code: int, words: bytes | str) -> _Answer:
        found = _DETAIL.match(words.encode("ascii", "replace") if isinstance(words, str) else words)
        return cls(code, f" {found.group().decode()}" if found else "")

    @property
    def is_yes(self) -> bool:
        return 200 <= self.code < 300  # noqa: PLR2004 - the classes of RFC 5321

    @property
    def is_never(self) -> bool:
        return 500 <= self.code < 600 and self.code not in _ACCOUNT  # noqa: PLR2004

    def __str__(self) -> str:
        return f"{self.code}{self.detail}"


class _NotDoneError(Exception):
    """The delivery ended before it was done."""

    def __init__(self, outcome: Refused | TryAgain | Unknown) -> None:
        super().__init__(outcome.words)
        self.outcome = outcome


class Mailer:
    """Sends one email a connection, each in a thread of its own. More than `AT_ONCE` wait for one another.

    Raises:
        OSError: when `ca_file` cannot be read.
    """

    def __init__(self, settings: MailSettings, password: str | None = None) -> None:
        self._settings = settings
        self._password = password
        self._tls = _tls(settings) if settings.security != "none" else None
        self._places = asyncio.Semaphore(AT_ONCE)

    async def send(self, message: EmailMessage) -> MailOutcome:
        """Hand `message` to the mail server; never raises for what the server or the network does.

        The envelope is made of the headers: one address in From, one or more in To. A second email of the same Message-ID is a repetition.

        Raises:
            ValueError: when the message has no such address, which is a mistake of ours.
        """
        delivery = _Delivery(self._settings, self._password, self._tls, message)
        limit_s = min(_MOST_STEPS * self._settings.timeout_s, _LONGEST_S)
        try:
            async with asyncio.timeout(min(limit_s, _PATIENCE_S)):
                await self._places.acquire()
        except TimeoutError:
            return TryAgain("the mail server takes so long over other emails that this one's turn did not come")
        try:
            ending = _begin(delivery.run)
            try:
                await asyncio.wait([ending], timeout=limit_s)
            finally:
                if not ending.done():
                    delivery.abort()
            return await ending
        finally:
            self._places.release()


class _Delivery:
    """One connection, in a thread of its own; `abort` ends it from another."""

    def __init__(self, settings: MailSettings, password: str | None, tls: ssl.SSLContext | None, message: EmailMessage) -> None:
        self._settings = settings
        self._password = password
        self._tls = tls
        self._message = message
        self._sender, self._recipients = _addresses(message, "From")[0], _addresses(message, "To")
        self._server: smtplib.SMTP | None = None
        self._is_text_sent = False

    def abort(self) -> None:
        """Drop the connection; the thread then ends with an outcome."""
        line = self._server.sock if self._server is not None else None
        if line is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(line, socket.SHUT_RDWR)  # that of TLS would first forget that it encrypts

    def run(self) -> MailOutcome:
        """The whole conversation."""
        try:
            self._open()
            self._secure()
            self._log_in()
            self._envelope()
            self._text()
        except _NotDoneError as error:
            return error.outcome
        except (OSError, UnicodeError) as error:  # smtplib's own are of the first
            return self._lost(_words(error))
        finally:
            self._close()
        return Done()

    def _lost(self, words: str) -> TryAgain | Unknown:
        if self._is_text_sent:
            return Unknown(f"{words}, after the email was sent: it may have arrived, and is sent once more")
        return TryAgain(words)

    def _open(self) -> None:
        settings = self._settings
        name = _domain(settings.sender)  # not this machine's own name, which is nobody's business
        if settings.security == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(local_hostname=name, timeout=settings.timeout_s, context=self._tls)
        else:
            server = smtplib.SMTP(local_hostname=name, timeout=settings.timeout_s)
        self._server = server
        server._host = settings.smtp_host  # type: ignore[attr-defined]  # noqa: SLF001 - the name that the certificate must have
        self._expect(server.connect(settings.smtp_host, settings.smtp_port), "the mail server turns everybody away")
        server.ehlo_or_helo_if_needed()

    def _secure(self) -> None:
        if self._settings.security != "starttls":
            return
        server = self._connected()
        if not server.has_extn("starttls"):
            raise _NotDoneError(
                TryAgain("the mail server offers no STARTTLS, and nothing is sent without: set security, or mend the server")
            )
        server.starttls(context=self._tls)
        if not isinstance(server.sock, ssl.SSLSocket):
            raise _NotDoneError(TryAgain("the connection to the mail server is not encrypted, and nothing is sent without"))
        server.ehlo_or_helo_if_needed()

    def _log_in(self) -> None:
        if self._settings.user is None or self._password is None:
            return
        try:
            self._connected().login(self._settings.user, self._password)
        except smtplib.SMTPAuthenticationError as error:
            answer = _Answer.of(error.smtp_code, error.smtp_error)
            raise _NotDoneError(TryAgain(f"the mail server refuses the account ({answer}): look at user and password_file")) from None
        except smtplib.SMTPNotSupportedError:
            raise _NotDoneError(TryAgain("the mail server takes no account: leave out user and password_file")) from None

    def _envelope(self) -> None:
        server = self._connected()
        options: list[str] = []
        if not all(address.isascii() for address in [self._sender, *self._recipients]):
            if not server.has_extn("smtputf8"):
                raise _NotDoneError(Refused("the address has letters beyond ASCII before its @, which the mail server cannot take"))
            server.command_encoding = "utf-8"
            options = ["SMTPUTF8", "BODY=8BITMIME"]
        self._expect(server.mail(self._sender, options), "the mail server refuses the sender")
        for recipient in self._recipients:
            answer = _Answer.of(*server.rcpt(recipient))
            if answer.is_never:
                raise _NotDoneError(Refused(f"the mail server refuses the address ({answer}): ask the prospect for another"))
            if not answer.is_yes:
                is_link = answer.code in {_TOO_BUSY, *_ACCOUNT}
                raise _NotDoneError(TryAgain(f"the mail server does not take the address now ({answer})", is_link=is_link))

    def _text(self) -> None:
        server = self._connected()
        answer = _Answer.of(*server.docmd("DATA"))
        if answer.code != _GO_ON:
            raise _NotDoneError(self._not_taken(answer))
        content = _DOT.sub(b"..", _bytes(self._message))
        self._is_text_sent = True
        server.send(content + (b"" if content.endswith(b"\r\n") else b"\r\n") + b".\r\n")
        answer = _Answer.of(*server.getreply())
        if not answer.is_yes:
            raise _NotDoneError(self._not_taken(answer))

    def _not_taken(self, answer: _Answer) -> Refused | TryAgain | Unknown:
        if answer.is_never:
            return Refused(f"the mail server refuses the email ({answer})")
        if 400 <= answer.code < 600:  # noqa: PLR2004
            return TryAgain(f"the mail server does not take the email now ({answer})", is_link=answer.code in {_TOO_BUSY, *_ACCOUNT})
        return self._lost("the mail server's answer is none")

    def _expect(self, said: tuple[int, bytes], words: str) -> None:
        answer = _Answer.of(*said)
        if not answer.is_yes:
            raise _NotDoneError(TryAgain(f"{words} ({answer})"))

    def _connected(self) -> smtplib.SMTP:
        assert self._server is not None  # noqa: S101 - `_open` came before
        return self._server

    def _close(self) -> None:
        server = self._server
        if server is None:
            return
        try:
            if server.sock is not None:
                server.sock.settimeout(min(self._settings.timeout_s, 2.0))  # a goodbye is not waited for
                server.quit()
        except (smtplib.SMTPException, OSError):
            pass
        finally:
            server.close()


def _begin(work: Callable[[], MailOutcome]) -> asyncio.Future[MailOutcome]:
    """Do it in a thread of its own, which ends with the program if not before: no stop waits for a server that hangs."""
    loop = asyncio.get_running_loop()
    ending: asyncio.Future[MailOutcome] = loop.create_future()

    def tell(outcome: MailOutcome | None, error: BaseException | None) -> None:
        if ending.done():  # cancelled
            return
        if outcome is not None:
            ending.set_result(outcome)
        else:
            ending.set_exception(error or RuntimeError("the delivery had no outcome"))

    def run() -> None:
        outcome, error = None, None
        try:
            outcome = work()
        except BaseException as raised:  # noqa: BLE001 - told to whoever waits
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop has ended, and nobody waits
            loop.call_soon_threadsafe(tell, outcome, error)

    threading.Thread(target=run, name="mail", daemon=True).start()
    return ending


def _words(error: OSError | UnicodeError) -> str:
    """What happened, for staff; never in the server's words."""
    what = type(error).__name__
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the mail server's certificate is not to be trusted ({error.verify_message}): look at smtp_host and ca_file"
    if isinstance(error, ssl.SSLError):
        return f"the encryption with the mail server failed ({error.reason or what})"
    if isinstance(error, smtplib.SMTPServerDisconnected):
        return "the mail server broke off or did not answer in time"
    if isinstance(error, smtplib.SMTPException):
        return f"the mail server's answer is none of SMTP, or not the one that was needed ({what})"
    if isinstance(error, UnicodeError):
        return "the account's name or the sender has letters that the mail server cannot take"
    return f"no connection to the mail server ({what})"


def _tls(settings: MailSettings) -> ssl.SSLContext:
    """Only the named authorities when some are named; never what the environment says."""
    if settings.ca_file is not None:
        return ssl.create_default_context(cafile=settings.ca_file)
    return ssl.create_default_context(capath=_SYSTEM_CERTIFICATES)


def _addresses(message: EmailMessage, header: str) -> list[str]:
    found = message[header]
    addresses: tuple[Address, ...] = found.addresses if found is not None else ()
    if not addresses:
        raise ValueError(f"the email has no address in {header}")
    return [address.addr_spec for address in addresses]


def _domain(address: str) -> str:
    return address.rpartition("@")[2].encode("idna").decode("ascii")


def _bytes(message: EmailMessage) -> bytes:
    is_wide = not all(address.isascii() for header in ("From", "To") for address in _addresses(message, header))
    return message.as_bytes(policy=SMTPUTF8 if is_wide else SMTP)
