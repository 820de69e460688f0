"""A desk's folder for the tests of its commands: configuration, keys and secrets, with the sandbox as Knock."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.desk.store import DeskStore
from agent.sandbox.settings import SandboxSettings
from agent.sandbox.threaded import ThreadedSandbox

Call = Callable[..., tuple[int, str, str]]
CONFIG = """
public_url = "https://tours.example.com"

[store]
path = "{folder}/desk.db"

[keys]
folder = "{folder}/keys"
desk_secret_file = "{folder}/desk-secret"

[knock]
base_url = "{url}"
appointment_key_file = "{folder}/appointment-key"
prospect_key_file = "{folder}/prospect-key"
total_timeout_s = 3.0

[staff]
accounts_file = "{folder}/staff"

[[community]]
id = "1001"
slug = "juniper-flats"
name = "Juniper Flats"
time_zone = "America/Los_Angeles"
address = "12 Juniper Street"
units = ["101", "305"]
{more}
[[community.door]]
name = "front"
label = "Main entrance"

[[community.door]]
name = "annex"
units = ["305"]
"""
SECOND = """
[[community]]
id = "1002"
slug = "larch-court"
name = "Larch Court"
time_zone = "America/New_York"
address = "3 Larch Court"

[[community.door]]
name = "gate"
"""


class DeskSite:
    """The folder; `config` is the desk's file, `sandbox` Knock."""

    def __init__(self, folder: Path, sandbox: ThreadedSandbox) -> None:
        self.folder = folder
        self.sandbox = sandbox
        self.config = folder / "desk.toml"
        self.configure()
        for name, text in (
            ("appointment-key", "syndication-appointment-TEST-KEY"),
            ("prospect-key", "syndication-prospect-TEST-KEY"),
            ("desk-secret", "a-desk-secret-of-thirty-two-characters"),
        ):
            self.secret(name, text)

    def configure(self, *, more: str = "", after: str = "") -> None:
        """Write the desk's file."""
        text = CONFIG.format(folder=self.folder, url=self.sandbox.url, more=more) + after
        self.config.write_text(text, "utf-8")

    def secret(self, name: str, text: str) -> Path:
        """A file that only its owner can read."""
        path = self.folder / name
        path.touch(0o600)
        path.write_text(text + "\n", "utf-8")
        return path

    def store(self) -> DeskStore:
        """The store, as a running desk beside the commands has it; to be closed."""
        return DeskStore.open(self.folder / "desk.db")


@pytest.fixture
def desk_site(tmp_path: Path, call: Call) -> Iterator[DeskSite]:
    """A desk's folder with a signing key, where no desk ever ran."""
    with ThreadedSandbox(SandboxSettings(port=0, admin_port=0)) as sandbox:
        assert call("keys", "new", "-f", tmp_path / "keys")[0] == 0
        yield DeskSite(tmp_path, sandbox)
