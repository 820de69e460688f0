"""The README's nginx in front of the desk: taken by nginx itself, patient with doors, and discreet."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from agent.settings.agent import DeskLinkSettings
from tests.systemd.units import FOLDER


@pytest.fixture(scope="module")
def example() -> str:
    """The block of the README."""
    found = re.search(r"^```\n(upstream desk \{\n.*?)^```$", (FOLDER / "README.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def _only(example: str, directive: str) -> str:
    (value,) = re.findall(rf"^ +{directive} (.*);$", example, re.MULTILINE)
    return str(value)


@pytest.mark.skipif(not shutil.which("nginx") or not shutil.which("openssl"), reason="there is no nginx or openssl on this machine")
def test_ok__nginx_takes_it(example: str, tmp_path: Path) -> None:
    """`nginx -t` finds no fault in the example, with a certificate of the test's own in place of the site's."""
    for name in ("fullchain.pem", "privkey.pem"):
        example = example.replace(f"/etc/letsencrypt/live/tours.example.com/{name}", str(tmp_path / name))
    example = example.replace("/var/log/nginx", str(tmp_path))
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=test"]
    files = ["-keyout", str(tmp_path / "privkey.pem"), "-out", str(tmp_path / "fullchain.pem")]
    subprocess.run([*command, *files], check=True, capture_output=True, timeout=60)
    # its ports are not taken by the check, but looked at: so none that need root
    example = re.sub(r"listen ((?:\[::\]:)?)(80|443)", r"listen \g<1>2\2", example)
    conf = tmp_path / "nginx.conf"
    conf.write_text(f"pid {tmp_path}/pid;\nerror_log {tmp_path}/errors;\nevents {{}}\nhttp {{\n{example}}}\n", "utf-8")
    done = subprocess.run(["nginx", "-t", "-c", str(conf)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    assert "[warn]" not in done.stderr


def test_ok__a_door_may_wait_for_its_news(example: str) -> None:
    """The proxy waits longer than a door may ask the desk to hold an answer, with room for the answer itself."""
    longest_s = max(part.le for part in DeskLinkSettings.model_fields["wait_s"].metadata if hasattr(part, "le"))
    assert int(_only(example, "proxy_read_timeout").removesuffix("s")) >= longest_s + 10


def test_ok__the_desk_hears_who_really_asks(example: str) -> None:
    """The address is the one that nginx saw, the Host the one that was asked for, and the README has the desk believe this nginx."""
    assert "proxy_set_header X-Forwarded-For $remote_addr;" in example
    assert "proxy_set_header Host $host;" in example
    assert 'trusted_proxies = ["127.0.0.1/32"]' in (FOLDER / "README.md").read_text("utf-8")


def test_fail__no_manage_link_in_a_log(example: str) -> None:
    """Paths hold secrets: there is no access log, and the error log, which quotes requests, tells disasters only."""
    assert _only(example, "access_log") == "off"
    assert _only(example, "error_log").endswith(" crit")
