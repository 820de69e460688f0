"""`tourlatch tokens`: told once, kept as a hash, ended at once."""

from __future__ import annotations

import json
import stat
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from agent.core import pin
from agent.desk.secrets import Secrets, token_hash
from tests.cli.desk_site import SECOND, DeskSite, desk_site

__all__ = ["desk_site"]

Call = Callable[..., tuple[int, str, str]]


def mode(path: Path) -> int:
    """The permission bits of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def told(call: Call, *words: str | Path) -> Any:  # noqa: ANN401 - JSON
    """What a command prints with `--json`."""
    status, out, err = call(*words, "--json")
    assert (status, err) == (0, "")
    return json.loads(out)


def test_new_door__writes_two_files_for_the_agent(call: Call, desk_site: DeskSite) -> None:
    """Token and key of PINs are in files that only their owner can read, and not on the screen; the store has the hash alone."""
    token, key = desk_site.folder / "front-token", desk_site.folder / "front-pin-key"
    words = ("tokens", "new-door", "-c", desk_site.config, "--door", "front", "--out", token, "--pin-key-out", key)
    status, out, err = call(*words)
    assert (status, err) == (0, "")
    assert (mode(token), mode(key)) == (0o600, 0o600)
    assert token.read_text().strip() not in out
    assert key.read_text().strip() not in out
    secrets = Secrets(b"a-desk-secret-of-thirty-two-characters")
    assert bytes.fromhex(key.read_text()) == secrets.door_key("1001", "front")
    assert len(bytes.fromhex(key.read_text())) == pin.KEY_BYTES
    with closing(desk_site.store()) as store:
        found = store.door_by_token(token_hash(token.read_text().strip()))
    assert found is not None
    assert (found.community_id, found.door) == ("1001", "front")
    held = b"".join(path.read_bytes() for path in desk_site.folder.glob("desk.db*"))
    assert token.read_text().strip().encode() not in held
    assert key.read_text().strip().encode() not in held


def test_new_door__prints_what_goes_to_no_file_once(call: Call, desk_site: DeskSite) -> None:
    """Two tokens for one door may be in force while one replaces the other; the list tells neither."""
    first, second = (told(call, "tokens", "new-door", "-c", desk_site.config, "--door", "front") for _ in range(2))
    assert first["token"] != second["token"]
    assert first["pin_key"] == second["pin_key"]
    listed = call("tokens", "list", "-c", desk_site.config)[1]
    assert {line.split()[0] for line in listed.splitlines()} == {first["token_id"], second["token_id"]}
    assert first["token"] not in listed
    assert first["pin_key"] not in listed


@pytest.mark.parametrize("door", ["garage", "", "FRONT", "front\n"])
def test_new_door__refuses_a_door_that_is_none(call: Call, desk_site: DeskSite, door: str) -> None:
    """The doors that there are are named, and no token is made."""
    status, out, err = call("tokens", "new-door", "-c", desk_site.config, "--door", door)
    assert (status, out) == (1, "")
    assert "front, annex" in err
    assert told(call, "tokens", "list", "-c", desk_site.config) == {"doors": [], "vendors": []}


@pytest.mark.parametrize("there", ["token", "key"])
def test_new_door__leaves_a_file_that_is_there(call: Call, desk_site: DeskSite, there: str) -> None:
    """A file is never overwritten; then there is no token in force, and no half of the pair is left."""
    paths = {name: desk_site.folder / name for name in ("token", "key")}
    paths[there].write_text("of another door")
    words = ("--door", "front", "--out", paths["token"], "--pin-key-out", paths["key"])
    status, _, err = call("tokens", "new-door", "-c", desk_site.config, *words)
    assert status == 1
    assert "is there already" in err
    assert paths[there].read_text() == "of another door"
    assert sum(path.exists() for path in paths.values()) == 1
    assert told(call, "tokens", "list", "-c", desk_site.config)["doors"] == []


def test_new_vendor__is_for_its_communities(call: Call, desk_site: DeskSite) -> None:
    """Named by id or slug, each once; a second token for the name needs the first one's end."""
    desk_site.configure(after=SECOND)
    words = ("tokens", "new-vendor", "Acme Tours", "-c", desk_site.config)
    made = told(call, *words, "--community", "larch-court", "--community", "1001", "--community", "1002")
    with closing(desk_site.store()) as store:
        vendor = store.vendor_by_token(token_hash(made["token"]))
        assert vendor is not None
        assert (vendor.name, vendor.community_ids) == ("Acme Tours", ("1002", "1001"))
    status, _, err = call(*words, "--community", "1001")
    assert (status, "has a token already" in err) == (1, True)


@pytest.mark.parametrize("name", ["", " Acme", "Ac\nme", "x" * 61])
def test_new_vendor__refuses_what_is_no_name(call: Call, desk_site: DeskSite, name: str) -> None:
    """A name is one line of visible characters."""
    status, _, err = call("tokens", "new-vendor", "-c", desk_site.config, "--community", "1001", "--", name)
    assert (status, "60 visible characters" in err) == (1, True)


@pytest.mark.parametrize("by", ["token_id", "name"])
def test_revoke__ends_a_token_at_once(call: Call, desk_site: DeskSite, by: str) -> None:
    """A door's by its id, a vendor's by its id or name; a second time there is none in force."""
    door = told(call, "tokens", "new-door", "-c", desk_site.config, "--door", "front")
    vendor = told(call, "tokens", "new-vendor", "acme", "-c", desk_site.config, "--community", "1001")
    listed = told(call, "tokens", "list", "-c", desk_site.config)["vendors"][0]
    for named, gone in ((door["token_id"], "door_by_token"), (listed[by], "vendor_by_token")):
        assert call("tokens", "revoke", "-c", desk_site.config, named)[0] == 0
        with closing(desk_site.store()) as store:
            token = door["token"] if gone == "door_by_token" else vendor["token"]
            assert getattr(store, gone)(token_hash(token)) is None
        status, out, err = call("tokens", "revoke", "-c", desk_site.config, named)
        assert (status, out) == (1, "")
        assert "no such token in force" in err
    assert call("tokens", "list", "-c", desk_site.config)[1].count("revoked") == 2
