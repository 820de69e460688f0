"""An OSDP reader's key comes from its file, and one that everybody knows is none."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.daemon.readers import reader_of
from agent.errors import ConfigError
from agent.settings.readers import OsdpReader

KEY = "60" * 15 + "61"


def part(tmp_path: Path, text: str, mode: int = 0o600) -> OsdpReader:
    """A reader whose key file holds this."""
    file = tmp_path / "reader.key"
    file.write_text(text, "ascii")
    file.chmod(mode)
    return OsdpReader(name="front", driver="osdp", port=Path("/dev/ttyUSB0"), key_file=str(file))


def test_ok__the_key_is_the_files(tmp_path: Path) -> None:
    """The driver gets the key itself, in capitals or not, and what it shows of itself is not the key."""
    for text in (KEY, KEY.upper() + "\n"):
        made = reader_of(part(tmp_path, text), tmp_path)
        assert (made._slot.key.hex(), KEY in repr(vars(made))) == (KEY, False)  # type: ignore[attr-defined]  # an OsdpReader's


@pytest.mark.parametrize(
    ("text", "mode", "words"),
    [
        ("303132333435363738393A3B3C3D3E3F", 0o600, "is one that everybody knows"),
        ("0" * 32, 0o600, "is one that everybody knows"),
        (KEY[:-1], 0o600, "must be 32 hexadecimal digits"),
        (KEY[:-1] + "x", 0o600, "must be 32 hexadecimal digits"),
        (KEY, 0o644, "can be read by others"),
    ],
    ids=["the default key", "zeros", "too short", "no digits", "open to others"],
)
def test_fail__a_key_that_is_none_stops_the_start(text: str, mode: int, words: str, tmp_path: Path) -> None:
    """It is named by its file, and the sentence does not hold it."""
    with pytest.raises(ConfigError, match=words) as caught:
        reader_of(part(tmp_path, text, mode), tmp_path)
    assert text not in str(caught.value)
