"""`tourlatch keys`: made once, named after what they are, and retired for ever."""

from __future__ import annotations

import hashlib
import json
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.core import signature

Call = Callable[..., tuple[int, str, str]]
WHEN = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00"
TOUR = ("--community", "1001", "--appointment", "17", "--prospect", "18", "--door", "front")
TIMES = ("--start", "2026-03-31T15:30:00-07:00", "--end", "2026-03-31T16:00:00-07:00")


def mode(path: Path) -> int:
    """The permission bits of a file or folder."""
    return stat.S_IMODE(path.stat().st_mode)


def listed(call: Call, folder: Path) -> list[dict[str, Any]]:
    """What `keys list --json` prints, which is one JSON value."""
    status, out, err = call("keys", "list", "-f", folder, "--json")
    assert (status, err) == (0, "")
    found = json.loads(out)
    assert isinstance(found, list)
    return found


def new(call: Call, folder: Path) -> str:
    """Make a key and return its id."""
    status, out, _ = call("keys", "new", "-f", folder, "--json")
    assert status == 0
    return str(json.loads(out)["key_id"])


def test_new__makes_a_secret_for_its_owner_and_a_public_half_for_every_door(call: Call, tmp_path: Path) -> None:
    """A new folder is closed to others, the secret half has mode 0600, the public one can be read, and there is nothing else."""
    folder = tmp_path / "not" / "yet" / "there"
    status, out, err = call("keys", "new", "-f", folder)
    key_id = out.strip()
    assert (status, out) == (0, key_id + "\n")
    assert err == f"Keep {folder}/{key_id}.key secret; copy {folder}/{key_id}.pub.toml to every door.\n"
    assert {path.name: mode(path) for path in folder.iterdir()} == {f"{key_id}.key": 0o600, f"{key_id}.pub.toml": 0o644}
    assert mode(folder) == 0o700
    assert re.fullmatch(rf'public = "[0-9a-f]{{64}}"\ncreated = "{WHEN}"\n', (folder / f"{key_id}.pub.toml").read_text())


def test_new__names_a_key_after_its_content(call: Call, tmp_path: Path) -> None:
    """The id is the head of the SHA-256 of the public half, and the secret half belongs to it."""
    status, out, err = call("keys", "new", "-f", tmp_path, "--json")
    made = json.loads(out)
    public = bytes.fromhex(made["public"])
    assert (status, err) == (0, "")
    assert made == {"key_id": hashlib.sha256(public).hexdigest()[:8], "public": public.hex(), "folder": str(tmp_path)}
    seed = bytes.fromhex((tmp_path / f"{made['key_id']}.key").read_text().strip())
    assert signature.public_key(seed) == public


def test_new__never_prints_the_secret(call: Call, tmp_path: Path) -> None:
    """No output of any command on keys holds the secret half."""
    key_id = new(call, tmp_path)
    secret = (tmp_path / f"{key_id}.key").read_text().strip()
    printed = [call("keys", *words, "-f", tmp_path) for words in (("list",), ("list", "--json"), ("retire", key_id), ("list",))]
    assert [status for status, _, _ in printed] == [0, 0, 0, 0]
    assert secret not in repr(printed)


def test_new__leaves_the_keys_that_are_there(call: Call, tmp_path: Path) -> None:
    """A second key stands beside the first, whose files stay as they are."""
    first = new(call, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    second = new(call, tmp_path)
    assert first != second
    assert {path: path.read_bytes() for path in before} == before
    assert [key["key_id"] for key in listed(call, tmp_path)] == sorted([first, second])


def test_list__tells_what_can_sign_and_what_is_retired(call: Call, tmp_path: Path) -> None:
    """Each key is told with its age, its retirement and whether its secret half is there."""
    ours, theirs, old = (new(call, tmp_path) for _ in range(3))
    (tmp_path / f"{theirs}.key").unlink()
    call("keys", "retire", "-f", tmp_path, old)
    found = {key.pop("key_id"): key for key in listed(call, tmp_path)}
    made, retired = {key: one["created"] for key, one in found.items()}, found[old]["retired"]
    assert found == {
        ours: {"created": made[ours], "retired": None, "can_sign": True},
        theirs: {"created": made[theirs], "retired": None, "can_sign": False},
        old: {"created": made[old], "retired": retired, "can_sign": True},
    }
    assert all(re.fullmatch(WHEN, when) for when in [*made.values(), retired])
    lines = sorted(re.sub(r" {2,}", "  ", line) for line in call("keys", "list", "-f", tmp_path)[1].splitlines())
    told = [f"{ours}  active  made {made[ours]}  can sign", f"{theirs}  active  made {made[theirs]}"]
    assert lines == sorted([*told, f"{old}  retired {retired}  made {made[old]}  can sign"])


def test_list__of_an_empty_folder_is_empty(call: Call, tmp_path: Path) -> None:
    """A folder without keys is a list without entries, not a failure."""
    assert call("keys", "list", "-f", tmp_path) == (0, "", "")
    assert call("keys", "list", "-f", tmp_path, "--json") == (0, "[]\n", "")


def test_retire__is_permanent_and_changes_nothing_the_second_time(call: Call, tmp_path: Path) -> None:
    """Retiring a key again says the same time as the first and leaves the file as it is."""
    key_id = new(call, tmp_path)
    path = tmp_path / f"{key_id}.pub.toml"
    before = path.read_text()
    first = call("keys", "retire", "-f", tmp_path, key_id)
    after = path.read_text()
    retired = listed(call, tmp_path)[0]["retired"]
    assert first == (0, f"{key_id} retired {retired}\n", "")
    assert after == f'{before}retired = "{retired}"\n'
    assert call("keys", "retire", "-f", tmp_path, key_id) == first
    assert call("keys", "retire", "-f", tmp_path, key_id, "--json") == (0, json.dumps({"key_id": key_id, "retired": retired}) + "\n", "")
    assert path.read_text() == after
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [f"{key_id}.key", f"{key_id}.pub.toml"]


def test_retired__its_codes_are_refused_and_it_signs_no_more(call: Call, tmp_path: Path) -> None:
    """A code that was good is refused once its key is retired, for good, and no new one is signed with it."""
    key_id = new(call, tmp_path)
    code = call("code", "issue", "-f", tmp_path, *TOUR, *TIMES)[1].strip()
    assert call("code", "show", "-f", tmp_path, code)[0] == 0
    call("keys", "retire", "-f", tmp_path, key_id)
    sentence = "tourlatch: retired_key: The code is signed with a key that was retired: send the prospect a new code.\n"
    assert call("code", "show", "-f", tmp_path, code) == (1, "", sentence)
    cannot = f"tourlatch: 0 keys in {tmp_path} can sign: make one with `tourlatch keys new`, or name one with --key\n"
    assert call("code", "issue", "-f", tmp_path, *TOUR, *TIMES) == (1, "", cannot)
    named = f"tourlatch: the key {key_id} in {tmp_path} cannot sign: make one with `tourlatch keys new`, or name one with --key\n"
    assert call("code", "issue", "-f", tmp_path, "--key", key_id, *TOUR, *TIMES) == (1, "", named)


def test_rotation__a_new_key_signs_while_old_codes_still_read(call: Call, tmp_path: Path) -> None:
    """With two keys in force the one to sign with must be named, and codes of both are read."""
    keys = [new(call, tmp_path), new(call, tmp_path)]
    several = f"tourlatch: 2 keys in {tmp_path} can sign: make one with `tourlatch keys new`, or name one with --key\n"
    assert call("code", "issue", "-f", tmp_path, *TOUR, *TIMES) == (1, "", several)
    for key_id in keys:
        code = call("code", "issue", "-f", tmp_path, "--key", key_id, *TOUR, *TIMES)[1].strip()
        assert json.loads(call("code", "show", "-f", tmp_path, "--json", code)[1])["key_id"] == key_id


def _damage(folder: Path, key_id: str, how: str) -> str:
    public, secret = folder / f"{key_id}.pub.toml", folder / f"{key_id}.key"
    must_hold = f'the key file {public} cannot be used: it must hold public = "64 hexadecimal digits"'
    does_not = f"the key file {public} does not hold the key that its name says"
    text = public.read_text()
    digits = text.split('"')[1]
    damaged = {
        "empty": ("", must_hold),
        "no TOML": (text[:20], must_hold),
        "a number": ("public = 5\n", must_hold),
        "a list": ("public = ['a']\n", must_hold),
        "no digits": (f'public = "{"g" * 64}"\n', must_hold),
        "half a digit": (f'public = "{digits[:-1]}"\n', must_hold),
        "too short": (f'public = "{digits[:-2]}"\n', does_not),
        "another key": (f'public = "{digits[::-1]}"\n', does_not),
        "no ASCII": (text + 'note = "é"\n', must_hold),
    }
    if how in damaged:
        public.write_text(damaged[how][0], "utf-8")
        return damaged[how][1]
    open_for_others = {"read by the group": 0o640, "written by others": 0o602}
    if how in open_for_others:
        secret.chmod(open_for_others[how])
        return f"the secret file {secret} can be read by others: chmod 600 {secret}"
    wrong = {
        "secret damaged": ("g" * 64, f"the secret key {secret} is damaged"),
        "secret cut off": (secret.read_text()[:60], f"the secret key {secret} does not belong to its public half"),
        "secret of another": ("11" * 32, f"the secret key {secret} does not belong to its public half"),
        "secret too long": ("1" * 5000, f"the secret file {secret} is longer than 4096 bytes"),
    }
    secret.write_text(wrong[how][0])
    return wrong[how][1]


PUBLIC = ("empty", "no TOML", "a number", "a list", "no digits", "half a digit", "too short", "another key", "no ASCII")
SECRET = ("read by the group", "written by others", "secret damaged", "secret cut off", "secret of another", "secret too long")


@pytest.mark.parametrize("how", [*PUBLIC, *SECRET])
def test_damaged__a_key_file_stops_what_needs_it_with_its_name(how: str, call: Call, tmp_path: Path) -> None:
    """A damaged key file ends with 1 and one sentence that names the file, and shows nothing of what is in it."""
    key_id = new(call, tmp_path)
    sentence = _damage(tmp_path, key_id, how)
    told = (1, "", f"tourlatch: {sentence}\n")
    assert call("code", "issue", "-f", tmp_path, *TOUR, *TIMES) == told
    if how in PUBLIC:
        assert call("keys", "list", "-f", tmp_path) == told
        assert call("keys", "retire", "-f", tmp_path, key_id) == told
        assert call("code", "show", "-f", tmp_path, "TL1:.") == told


def test_missing__a_folder_or_key_is_told_by_its_name(call: Call, tmp_path: Path) -> None:
    """A folder that is not there, and an id that is not in it, are one sentence each."""
    gone = tmp_path / "gone"
    hint = "make a key with `tourlatch keys new`, or copy the desk's public ones there"
    assert call("keys", "list", "-f", gone) == (1, "", f"tourlatch: the folder of keys {gone} does not exist: {hint}\n")
    for key_id in ("0badc0de", "", "../x", "*"):
        assert call("keys", "retire", "-f", tmp_path, key_id) == (1, "", f"tourlatch: there is no key {key_id} in {tmp_path}\n")


def test_unwritable__a_place_that_cannot_hold_keys_is_told(call: Call, tmp_path: Path) -> None:
    """A folder that is a file, or lies in one, is one sentence, and the file stays as it is."""
    (tmp_path / "file").write_text("mine")
    for folder, why in ((tmp_path / "file", "File exists"), (tmp_path / "file" / "keys", "Not a directory")):
        assert call("keys", "new", "-f", folder) == (1, "", f"tourlatch: the key cannot be written to {folder}: {why}\n")
    assert (tmp_path / "file").read_text() == "mine"


def test_absurd__an_id_longer_than_a_name_can_be_is_a_sentence(call: Call, tmp_path: Path) -> None:
    """An id that no file can have is refused with a sentence, too."""
    status, out, err = call("keys", "retire", "-f", tmp_path, "a" * 300)
    assert (status, out) == (1, "")
    assert re.fullmatch(r"tourlatch: [^\n]+\n", err)
