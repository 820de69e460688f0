"""`tourlatch staff`: names and hashes in a file of its own, and sessions that end with them."""

from __future__ import annotations

import json
import stat
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from agent.desk.staff_accounts import verify
from tests.cli.desk_site import DeskSite, desk_site

__all__ = ["desk_site"]

Call = Callable[..., tuple[int, str, str]]
PASSWORD = "correct horse battery"


def add(call: Call, site: DeskSite, name: str = "sam", password: str = PASSWORD) -> tuple[int, str, str]:
    """Add an account with a password out of a file."""
    return call("staff", "add", name, "-c", site.config, "--password-file", site.secret("password", password))


def test_add__makes_an_account_that_only_its_password_opens(call: Call, desk_site: DeskSite) -> None:
    """The file is closed to others and holds no password; the name and the password are both needed."""
    assert add(call, desk_site) == (0, "sam may log in.\n", "")
    accounts = desk_site.folder / "staff"
    assert stat.S_IMODE(accounts.stat().st_mode) == 0o600
    assert PASSWORD not in accounts.read_text()
    assert verify(accounts, "sam", PASSWORD)
    assert not any(
        verify(accounts, *pair) for pair in (("sam", PASSWORD + " "), ("sam", ""), ("kim", PASSWORD), ("", PASSWORD), ("sam\n", PASSWORD))
    )


def test_add__asks_twice_without_showing_it(call: Call, desk_site: DeskSite) -> None:
    """Typed at the prompt; nothing of it is on the screen."""
    status, out, err = call("staff", "add", "sam", "-c", desk_site.config, stdin=f"{PASSWORD}\n{PASSWORD}\n")
    assert (status, PASSWORD in out + err) == (0, False)
    assert verify(desk_site.folder / "staff", "sam", PASSWORD)


def test_add__without_a_terminal_says_what_to_do(program: Callable[..., subprocess.Popen[str]], desk_site: DeskSite) -> None:
    """In a script nothing is asked in the open; one sentence, and no account."""
    started = program("staff", "add", "sam", "-c", desk_site.config, stdin=subprocess.PIPE, start_new_session=True)
    out, err = started.communicate(f"{PASSWORD}\n{PASSWORD}\n", timeout=30)
    assert (started.returncode, out) == (1, "")
    assert err.splitlines()[-1].endswith("there is no terminal to ask for the password: give it in a file with --password-file")
    assert "Warning" not in err
    assert not (desk_site.folder / "staff").exists()


def test_add__again_is_another_password_and_ends_sessions(call: Call, desk_site: DeskSite) -> None:
    """Whoever knew the old one is out at once; other accounts and their sessions stay."""
    add(call, desk_site)
    add(call, desk_site, "kim")
    with closing(desk_site.store()) as store:
        for name in ("sam", "kim"):
            store.add_session(f"hash-of-{name}", name, 2**50)
        add(call, desk_site, "sam", "another password")
        assert (store.session("hash-of-sam", 0), store.session("hash-of-kim", 0)) == (None, "kim")
    accounts = desk_site.folder / "staff"
    assert not verify(accounts, "sam", PASSWORD)
    assert verify(accounts, "sam", "another password")
    assert json.loads(call("staff", "list", "-c", desk_site.config, "--json")[1]) == ["kim", "sam"]


@pytest.mark.parametrize(
    ("name", "password"), [("sam", "elevenchars"), ("Sam", PASSWORD), ("a:b", PASSWORD), ("x" * 41, PASSWORD), ("", PASSWORD)]
)
def test_add__refuses_a_poor_name_or_password(call: Call, desk_site: DeskSite, name: str, password: str) -> None:
    """A sentence that does not hold the password; no file is made."""
    status, out, err = add(call, desk_site, name, password)
    assert (status, out) == (1, "")
    assert password not in err
    assert not (desk_site.folder / "staff").exists()


def test_remove__ends_account_and_sessions(call: Call, desk_site: DeskSite) -> None:
    """The account is gone, its sessions with it; a second time there is none."""
    add(call, desk_site)
    with closing(desk_site.store()) as store:
        store.add_session("hash", "sam", 2**50)
        assert call("staff", "remove", "sam", "-c", desk_site.config) == (0, "sam may log in no more.\n", "")
        assert store.session("hash", 0) is None
    assert not verify(desk_site.folder / "staff", "sam", PASSWORD)
    assert call("staff", "list", "-c", desk_site.config) == (0, "None.\n", "")
    status, _, err = call("staff", "remove", "sam", "-c", desk_site.config)
    assert (status, "no account" in err) == (1, True)


def test_every_command_needs_a_staff_page(call: Call, desk_site: DeskSite) -> None:
    """Without the table `[staff]` it is said what to add."""
    text = desk_site.config.read_text().replace("[staff]\n", "").replace(f'accounts_file = "{desk_site.folder}/staff"\n', "")
    desk_site.config.write_text(text)
    for words in (("list",), ("add", "sam"), ("remove", "sam")):
        status, _, err = call("staff", *words, "-c", desk_site.config)
        assert (status, "[staff]" in err) == (1, True)


@pytest.mark.parametrize(
    "line",
    [
        "sam:scrypt:32768:8:1:00:00",
        "sam:plain:password",
        "sam:scrypt:32767:8:1:" + "0" * 32 + ":" + "0" * 64,
        "sam:scrypt:1:1:1:" + "0" * 32 + ":" + "0" * 64,
        "sam:scrypt:4194304:99:1:" + "0" * 32 + ":" + "0" * 64,
        "sam:scrypt:2:0:1:" + "0" * 32 + ":" + "0" * 64,
        "sam:scrypt:2:1:0:" + "0" * 32 + ":" + "0" * 64,
    ],
)
def test_list__a_line_that_is_no_account_is_named_by_its_number(call: Call, desk_site: DeskSite, line: str) -> None:
    """Damaged, weak beyond sense or too big for a server: the line is named, never quoted."""
    desk_site.secret("staff", "\n" + line)
    status, out, err = call("staff", "list", "-c", desk_site.config)
    assert (status, out) == (1, "")
    assert "line 2 of" in err
    assert "0000" not in err


def test_list__a_file_that_others_can_read_is_refused(call: Call, desk_site: DeskSite) -> None:
    """Hashes are guessed offline: the file is for its owner."""
    add(call, desk_site)
    Path(desk_site.folder / "staff").chmod(0o644)
    status, _, err = call("staff", "list", "-c", desk_site.config)
    assert (status, "chmod 600" in err) == (1, True)
