"""Mail servers on loopback: a real one (aiosmtpd), and one that answers by a script."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.policy import SMTP as MAIL
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.mail import Mailer, MailOutcome
from agent.settings.desk import MailSettings
from agent.settings.parts import validate

USER, PASSWORD = "desk", "correct horse battery"
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Inbox:
    """What a server took, and where it listens. `rcpt` and `data` are its answers, in SMTP."""

    rcpt: str = "250 2.1.5 fine"
    data: str = "250 2.0.0 taken"
    port: int = 0
    taken: list[Envelope] = field(default_factory=list)
    was_encrypted: list[bool] = field(default_factory=list)
    accounts: list[str] = field(default_factory=list)

    async def handle_RCPT(self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any) -> str:  # noqa: N802, ANN401 - aiosmtpd's
        """One recipient."""
        if self.rcpt.startswith("2"):
            envelope.rcpt_tos.append(address)
        return self.rcpt.replace("ADDRESS", address)

    async def handle_DATA(self, server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's
        """The text."""
        assert server.transport is not None
        self.was_encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        if self.data.startswith("2"):
            self.taken.append(envelope)
        return self.data

    def check(self, _server: SMTP, _session: Session, _envelope: Envelope, mechanism: str, auth: Any) -> AuthResult:  # noqa: ANN401 - aiosmtpd's
        """An account."""
        self.accounts.append(mechanism)
        is_right = isinstance(auth, LoginPassword) and (auth.login, auth.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=is_right, handled=False)


@asynccontextmanager
async def mail_server(inbox: Inbox, *, tls: ssl.SSLContext | None = None, is_starttls: bool = True, **options: Any) -> AsyncIterator[Inbox]:  # noqa: ANN401 - aiosmtpd's
    """A real server; `tls` for STARTTLS, or from the first byte on."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, _context: None)  # handshakes that are broken off on purpose
    starttls = tls if is_starttls else None

    lines: list[SMTP] = []

    def one() -> SMTP:
        lines.append(SMTP(inbox, hostname="mail.test", loop=loop, tls_context=starttls, authenticator=inbox.check, **options))
        return lines[-1]

    server = await loop.create_server(one, "127.0.0.1", 0, ssl=None if is_starttls else tls)
    inbox.port = server.sockets[0].getsockname()[1]
    try:
        yield inbox
    finally:
        server.close()
        for line in lines:
            if line.transport is not None:
                line.transport.close()
        await settled()


@asynccontextmanager
async def scripted(script: Script) -> AsyncIterator[int]:
    """A server that does what `script` says on each connection; yields its port."""
    writers: list[asyncio.StreamWriter] = []

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with contextlib.suppress(OSError, EOFError):  # the client went away, as it may
            await script(reader, writer)

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await settled()


async def settled() -> None:
    """Lets what was closed be gone."""
    for _ in range(10):
        await asyncio.sleep(0)


def answers(*lines: bytes) -> Script:
    """Each line is the answer to one more line of the client (the first is the greeting; the text counts as one), then it hangs up."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for line in lines:
            writer.write(line)
            await writer.drain()
            if line.startswith(b"354"):
                await reader.readuntil(b"\r\n.\r\n")
            elif line is not lines[-1]:
                await reader.readline()
        writer.close()

    return script


def mail_settings(port: int, **values: Any) -> MailSettings:  # noqa: ANN401 - a key of the table [mail]
    """The table `[mail]` for a server on this machine, without encryption unless told."""
    made = validate(
        MailSettings,
        {
            "smtp_host": "127.0.0.1",
            "smtp_port": port,
            "security": "none",
            "sender": "tours@example.com",
            "timeout_s": 5.0,
            **values,
        },
    )
    assert isinstance(made, MailSettings), made
    return made


def message(to: str = "ann@example.com", text: str = "Hello") -> EmailMessage:
    """A small email."""
    made = EmailMessage(policy=MAIL)
    made["From"], made["To"], made["Subject"] = "Tours <tours@example.com>", to, "Your tour"
    made["Message-ID"] = "<mail_confirmed.1@example.com>"
    made.set_content(text)
    return made


async def send(port: int, what: EmailMessage | None = None, password: str | None = None, **values: Any) -> MailOutcome:  # noqa: ANN401 - a key of the table [mail]
    """What becomes of an email at the server on this port."""
    return await Mailer(mail_settings(port, **values), password).send(what or message())


def said(script: Script, **values: Any) -> MailOutcome:  # noqa: ANN401 - a key of the table [mail]
    """What becomes of an email at a scripted server."""

    async def play() -> MailOutcome:
        async with scripted(script) as port:
            return await send(port, **values)

    return asyncio.run(play())


def certificate(folder: Path, *, address: str = "127.0.0.1", name: str = "cert") -> tuple[Path, ssl.SSLContext]:
    """A self-made certificate of this address (its file, without the key), and a server's TLS with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path, secret = folder / f"{name}.pem", folder / f"{name}.key"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path, secret)
    return path, context


def lines_of(envelope: Envelope) -> Sequence[bytes]:
    """The text that a server took, by lines."""
    content = envelope.content
    assert isinstance(content, bytes)
    return content.split(b"\r\n")
