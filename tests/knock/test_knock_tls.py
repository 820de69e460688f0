"""Certificates are always verified, against the system's or against those of `ca_file`."""

from __future__ import annotations

import asyncio
import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from agent.core.replay import Delivered, Outcome, TryAgain
from agent.knock import Knock
from tests.knock.peers import KEY, answer, peer, report, settings_for

NO_CONNECTION = TryAgain("no connection to Knock (ConnectError)")


def certificate(folder: Path, *, address: str = "127.0.0.1", days: int = 1, name: str = "cert") -> Path:
    """A self-signed certificate of this address, valid until so many days from now, with its key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=30))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    secret = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    return path


def outcome_with(served: Path, ca_file: Path | None) -> tuple[Outcome, int]:
    """What becomes of a visit at a peer with this certificate, and how many requests the peer saw."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(served)

    async def play() -> tuple[Outcome, int]:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, _context: None)  # a handshake that we broke off on purpose
        async with peer(answer(200, {"visitId": "12345"}), ssl=context) as made:
            return await report(made.url, ca_file=ca_file), len(made.requests)

    return asyncio.run(play())


def test_fail__a_self_signed_certificate_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    """Somebody in between gets neither the key nor the visit, and nothing is in doubt."""
    assert outcome_with(certificate(tmp_path), None) == (NO_CONNECTION, 0)


def test_ok__a_certificate_of_the_ca_file_is_accepted(tmp_path: Path) -> None:
    """A site whose proxy has an authority of its own names it in the settings."""
    served = certificate(tmp_path)
    assert outcome_with(served, served) == (Delivered("12345"), 1)


def test_fail__a_certificate_of_another_authority_is_refused(tmp_path: Path) -> None:
    """With `ca_file`, only what it holds is trusted."""
    assert outcome_with(certificate(tmp_path), certificate(tmp_path, name="other")) == (NO_CONNECTION, 0)


@pytest.mark.parametrize(("address", "days"), [("127.0.0.2", 1), ("127.0.0.1", -1)])
def test_fail__a_certificate_for_another_host_or_of_the_past_is_refused(tmp_path: Path, address: str, days: int) -> None:
    """The name and the time are checked as well as the authority."""
    served = certificate(tmp_path, address=address, days=days)
    assert outcome_with(served, served) == (NO_CONNECTION, 0)


def test_fail__a_ca_file_that_is_missing_stops_the_client(tmp_path: Path) -> None:
    """Without the authority that was asked for, nobody else is trusted in its place."""
    with pytest.raises(OSError, match="No such file"):
        Knock(
            settings_for("https://127.0.0.1:1", ca_file=tmp_path / "missing.pem"), prospect_key=KEY, appointment_key=None, version="1.2.3"
        )


def test_ok__nothing_switches_verification_off(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Not even the variables of the environment by which other programs are told whom to trust."""
    served = certificate(tmp_path)
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(served))
    assert outcome_with(served, None) == (NO_CONNECTION, 0)
