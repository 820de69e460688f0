"""`tourlatch code issue` and `code show`: a code as text and as pictures, and what it says."""

from __future__ import annotations

import json
import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import segno

from agent import qr

Call = Callable[..., tuple[int, str, str]]
Tour = dict[str, tuple[str, ...]]

TOUR: Tour = {
    "--community": ("1001",),
    "--appointment": ("4711",),
    "--prospect": ("p-18",),
    "--door": ("front", "pool-2"),
    "--unit": ("204 B", "Größe"),
    "--start": ("2026-03-31T15:30:00-07:00",),
    "--end": ("2026-03-31T22:45:00Z",),
}
SAID = {
    "appointment_id": "4711",
    "prospect_id": "p-18",
    "community_id": "1001",
    "doors": ["front", "pool-2"],
    "unit_names": ["204 B", "Größe"],
    "start": "2026-03-31T22:30:00.000Z",
    "end": "2026-03-31T22:45:00.000Z",
}
QUIET, PIXELS = 4, 8


def words(**other: str | tuple[str, ...]) -> list[str]:
    """The options of the tour, with some replaced or left out."""
    changed = {f"--{name}": (value,) if isinstance(value, str) else value for name, value in other.items()}
    return [word for name, values in {**TOUR, **changed}.items() for value in values for word in (name, value)]


def matrix(text: str) -> list[list[bool]]:
    """The modules that the code must have, with its quiet zone, by a symbol made here."""
    symbol = segno.make_qr(text, error="m", mode="alphanumeric", boost_error=False)
    return [[bool(module) for module in row] for row in symbol.matrix_iter(border=QUIET)]


def pixels(data: bytes) -> list[list[bool]]:
    """The dark pixels of a PNG of one grey channel of one bit, read by the letter of its standard."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = {}, 8
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + size]
        assert struct.unpack_from(">I", data, at + 8 + size) == (zlib.crc32(kind + content),)
        chunks[kind] = content
        at += size + 12
    width, height, depth, colour, *rest = struct.unpack(">IIBBBBB", chunks[b"IHDR"])
    assert (depth, colour, rest) == (1, 0, [0, 0, 0])
    raw, stride = zlib.decompress(chunks[b"IDAT"]), 1 + (width + 7) // 8
    lines = [bytes(stride - 1)]
    for at in range(0, height * stride, stride):
        line = raw[at + 1 : at + stride]
        assert raw[at] in (0, 2), "a line as it is, or as the difference to the one above"
        lines.append(line if raw[at] == 0 else bytes((one + above) % 256 for one, above in zip(line, lines[-1], strict=True)))
    return [[not line[x // 8] >> (7 - x % 8) & 1 for x in range(width)] for line in lines[1:]]


def test_issue__prints_the_text_alone(call: Call, site: Path) -> None:
    """Without options the code's text is all that is printed: prefix, base45 and guard, a new one each time."""
    made = [call("code", "issue", "-f", site / "keys", *words()) for _ in range(2)]
    assert [(status, err) for status, _, err in made] == [(0, ""), (0, "")]
    assert all(re.fullmatch(r"TL1:[0-9A-Z $%*+\-./:]+\.\n", out) for _, out, _ in made)
    assert made[0] != made[1]


def test_issue__as_json_is_one_value_with_all_claims(call: Call, site: Path) -> None:
    """`--json` prints one object: the text, the size of its symbol, and every claim, and `show` reads the same claims."""
    status, out, err = call("code", "issue", "-f", site / "keys", "--json", *words())
    made = json.loads(out)
    key_id = json.loads(call("keys", "list", "-f", site / "keys", "--json")[1])[0]["key_id"]
    assert (status, err) == (0, "")
    assert re.fullmatch(r"[0-9a-f]{12}", made["code_id"])
    claims = {**SAID, "code_id": made["code_id"], "key_id": key_id}
    version = segno.make_qr(made["code"], error="m", mode="alphanumeric", boost_error=False).version
    assert made == {"code": made["code"], "qr_version": version, **claims}
    assert version in range(1, 10)
    status, out, err = call("code", "show", "-f", site / "keys", "--json", made["code"])
    assert (status, json.loads(out), err) == (0, claims, "")


def test_show__tells_people_the_same(call: Call, site: Path) -> None:
    """Without --json each claim is a line."""
    code = json.loads(call("code", "issue", "-f", site / "keys", "--json", *words())[1])
    status, out, err = call("code", "show", "-f", site / "keys", code["code"])
    told = dict(re.split(r" +", line, maxsplit=1) for line in out.splitlines())
    assert (status, err) == (0, "")
    lists = {"doors": "front, pool-2", "unit_names": "204 B, Größe"}
    assert told == {**SAID, **lists, "code_id": code["code_id"], "key_id": code["key_id"]}


def test_issue__the_pictures_hold_the_very_symbol(call: Call, site: Path) -> None:
    """PNG and SVG are written, and the PNG's pixels are the symbol of the printed text, module for module, with its quiet zone."""
    png, svg = site / "code.png", site / "code.svg"
    status, out, err = call("code", "issue", "-f", site / "keys", "--png", png, "--svg", svg, *words())
    modules = matrix(out.strip("\r\n"))
    assert (status, err) == (0, "")
    found = pixels(png.read_bytes())
    assert found == [[module for module in row for _ in range(PIXELS)] for row in modules for _ in range(PIXELS)]
    root = ET.fromstring(svg.read_text("utf-8"))  # noqa: S314 - our own file
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert (root.get("width"), root.get("height")) == (str(len(modules) * PIXELS),) * 2
    assert [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")] == ["Tour code"]
    assert out.strip("\r\n") not in svg.read_text("utf-8")


def test_issue__draws_the_symbol_in_the_terminal(call: Call, site: Path) -> None:
    """`--terminal` adds the symbol in half blocks, two rows of modules a line, whatever the terminal's colours are."""
    status, out, err = call("code", "issue", "-f", site / "keys", "--terminal", *words())
    text, _, drawing = out.partition("\n")
    assert (status, err) == (0, "")
    modules = matrix(text)
    assert drawing == re.sub(r"\x1b\[[0-9;]*m", "", qr.terminal(text)), "colours go to a terminal only"
    lines = drawing.splitlines()
    meant = {"█": (False, False), "▀": (False, True), "▄": (True, False), " ": (True, True)}
    rows = [[meant[letter][half] for letter in line] for line in lines for half in (0, 1)]
    assert rows[: len(modules)] == modules
    assert len(rows) - len(modules) in (0, 1)


REFUSED: list[tuple[dict[str, str | tuple[str, ...]], str]] = [
    ({"end": "2026-03-31T15:30:00-07:00"}, "a tour must end after it starts"),
    ({"end": "2026-03-31T15:00:00-07:00"}, "a tour must end after it starts"),
    ({"end": "2026-04-01T15:30:01-07:00"}, "a tour cannot last longer than 24 hours"),
    ({"start": "2026-03-31T15:30:00.500-07:00"}, "a code's times are whole seconds"),
    ({"appointment": ""}, "the appointment id must have 1 to 40 visible ASCII characters"),
    ({"appointment": "4711\n"}, "the appointment id must have 1 to 40 visible ASCII characters"),
    ({"prospect": "Ada Example"}, "the prospect id must have 1 to 40 visible ASCII characters"),
    ({"prospect": "é"}, "the prospect id must have 1 to 40 visible ASCII characters"),
    ({"community": "1" * 41}, "the community id must have 1 to 40 visible ASCII characters"),
    ({"door": "Front"}, "a door's name must be lower-case letters, digits and hyphens, at most 40"),
    ({"door": ("front", "front")}, "a door is named twice"),
    ({"door": tuple(f"door-{n}" for n in range(9))}, "a code opens 1 to 8 doors, not 9"),
    ({"unit": ""}, "a unit's name must have 1 to 40 printable characters"),
    ({"unit": "a\tb"}, "a unit's name must have 1 to 40 printable characters"),
    ({"unit": tuple(map(str, range(13)))}, "a code holds at most 12 units, not 13"),
]


@pytest.mark.parametrize(("other", "sentence"), REFUSED, ids=[str(n) for n in range(len(REFUSED))])
def test_refused__what_no_code_can_say(other: dict[str, Any], sentence: str, call: Call, site: Path) -> None:
    """A tour that contradicts itself or does not fit ends with 1 and its one sentence, and no picture is left behind."""
    status, out, err = call("code", "issue", "-f", site / "keys", "--png", site / "code.png", *words(**other))
    assert (status, out, err) == (1, "", f"tourlatch: {sentence}\n")
    assert not (site / "code.png").exists()


def test_refused__a_code_too_long_to_be_read(call: Call, site: Path) -> None:
    """More doors and units than a symbol can carry are refused with what to leave out."""
    many = {"door": tuple(f"{n}{'x' * 39}" for n in range(8)), "unit": tuple(f"{n:x}{'é' * 39}" for n in range(12))}
    status, out, err = call("code", "issue", "-f", site / "keys", *words(**many))
    assert (status, out) == (1, "")
    assert re.fullmatch(r"tourlatch: the code would have \d+ characters, more than 1024; name fewer doors or units\n", err)


NAIVE = [
    ("2026-03-31T15:30:00", "2026-03-31T15:30:00 has no offset from UTC; write it like 2026-03-31T15:30:00-07:00"),
    ("2026-03-31", "2026-03-31T00:00:00 has no offset from UTC; write it like 2026-03-31T15:30:00-07:00"),
    ("tomorrow", "'tomorrow' is no time; write it like 2026-03-31T15:30:00-07:00"),
    ("2026-02-30T10:00:00Z", "'2026-02-30T10:00:00Z' is no time; write it like 2026-03-31T15:30:00-07:00"),
    ("1774996200", "'1774996200' is no time; write it like 2026-03-31T15:30:00-07:00"),
    ("", "'' is no time; write it like 2026-03-31T15:30:00-07:00"),
    ("9999-12-31T23:59:59-07:00", "is too far from the present"),
    ("0001-01-01T00:00:00+00:00", "is too far from the present"),
    ("1969-12-31T23:59:59Z", "is too far from the present"),
]


@pytest.mark.parametrize(("time", "sentence"), NAIVE)
def test_refused__a_time_that_is_no_instant(time: str, sentence: str, call: Call, site: Path) -> None:
    """A time without an offset is wrong usage wherever one is asked for, and never guessed."""
    for command in (
        ("code", "issue", "-f", site / "keys", *words(start=time)),
        ("code", "issue", "-f", site / "keys", *words(end=time)),
        ("code", "check", "-c", site / "agent.toml", "--door", "front", "--at", time, "TL1:."),
    ):
        status, out, err = call(*command)
        assert (status, out) == (2, "")
        assert sentence in err
        assert "Traceback" not in err


@pytest.mark.parametrize("option", ["--png", "--svg"])
def test_refused__a_picture_that_cannot_be_written(option: str, call: Call, site: Path) -> None:
    """A picture's place that cannot be written is one sentence, and a folder in its place is wrong usage."""
    path = site / "no" / "code"
    sentence = f"tourlatch: {path} cannot be written: No such file or directory\n"
    assert call("code", "issue", "-f", site / "keys", option, path, *words()) == (1, "", sentence)
    assert call("code", "issue", "-f", site / "keys", option, site, *words())[0] == 2


def test_refused__a_key_that_is_not_there(call: Call, site: Path) -> None:
    """A key id that names no key ends with 1 and says which."""
    status, out, err = call("code", "issue", "-f", site / "keys", "--key", "0badc0de", *words())
    sentence = f"the key 0badc0de in {site / 'keys'} cannot sign: make one with `tourlatch keys new`, or name one with --key"
    assert (status, out, err) == (1, "", f"tourlatch: {sentence}\n")


def _unlike(letter: str) -> str:
    return "7" if letter != "7" else "8"


CHANGES: dict[str, tuple[Callable[[str], str], set[str]]] = {
    "one character": (lambda code: code[:60] + _unlike(code[60]) + code[61:], {"bad_signature", "unreadable"}),
    "the guard": (lambda code: code[:-1], {"unreadable"}),
    "the prefix": (lambda code: "TL2" + code[3:], {"unreadable"}),
    "lower case": (str.lower, {"unreadable"}),
    "a space before": (lambda code: " " + code, {"unreadable"}),
    "a space behind": (lambda code: code + " ", {"unreadable"}),
    "twice": (lambda code: code * 2, {"unreadable"}),
    "nothing": (lambda _: "", {"unreadable"}),
    "a menu": (lambda _: "HTTPS://EXAMPLE.COM/MENU", {"unreadable"}),
    "very long": (lambda code: code[:-1] + "0" * 2000 + ".", {"unreadable"}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_show__refuses_what_we_did_not_sign(change: str, call: Call, site: Path) -> None:
    """A code that was changed in any way is refused with its reason, and nothing that it claims is shown."""
    code = call("code", "issue", "-f", site / "keys", *words())[1].strip("\r\n")
    altered, reasons = CHANGES[change]
    status, out, err = call("code", "show", "-f", site / "keys", "--json", "--", altered(code))
    assert (status, out) == (1, "")
    found = re.fullmatch(r"tourlatch: (\w+): [A-Z][^\n]+\.\n", err)
    assert found is not None
    assert found[1] in reasons


def test_show__refuses_a_strangers_key(call: Call, site: Path, tmp_path: Path) -> None:
    """A code that another desk signed is refused as signed with an unknown key."""
    call("keys", "new", "-f", tmp_path / "theirs")
    code = call("code", "issue", "-f", tmp_path / "theirs", *words())[1].strip("\r\n")
    status, out, err = call("code", "show", "-f", site / "keys", code)
    assert (status, out) == (1, "")
    assert err.startswith("tourlatch: unknown_key: The code is signed with a key that this door does not have")


@pytest.mark.parametrize("end", ["", "\n", "\r\n", "\r"])
def test_show__takes_a_code_from_standard_input(end: str, call: Call, site: Path) -> None:
    """`-` reads the code from standard input as a scanner would send it, with any line's end or none."""
    code = call("code", "issue", "-f", site / "keys", *words())[1].strip("\r\n")
    status, out, err = call("code", "show", "-f", site / "keys", "-", stdin=code + end)
    assert (status, err) == (0, "")
    assert "4711" in out


@pytest.mark.parametrize("rubbish", [b"\xff\xfe\x00", b"", b"\n\n", b"\x00" * 5000])
def test_show__refuses_rubbish_on_standard_input(rubbish: bytes, call: Call, site: Path) -> None:
    """Bytes of any sort on standard input are an unreadable code, never a fault of ours."""
    sentence = "tourlatch: unreadable: Something was scanned that is no tour code.\n"
    assert call("code", "show", "-f", site / "keys", "-", stdin=rubbish) == (1, "", sentence)
