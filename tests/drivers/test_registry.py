"""Drivers by name: lazily, closed, and with options that reach the device."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from drivers import registry
from drivers.base import DeviceMissingError, UnknownDriverError
from drivers.fake import PlayedInput, PlayedLine, PlayedReader
from drivers.framing import LineFramer
from drivers.reader_serial import SerialReader
from drivers.reader_wiegand import WiegandReader


def test_ok__nothing_is_loaded_before_it_is_asked_for() -> None:
    """A process that only looks a name up pays for no device's library."""
    script = "import sys, drivers.registry; print(sorted({'gpiozero', 'lgpio', 'serial', 'asyncio', 'drivers.fake'} & set(sys.modules)))"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.strip() == "[]"


def test_ok__the_names_are_public() -> None:
    """The settings' names can be compared with these."""
    assert sorted(registry.RELAYS) == ["gpio", "played"]
    assert sorted(registry.INPUTS) == ["gpio", "played"]
    assert sorted(registry.READERS) == ["camera", "keyboard", "osdp", "played", "serial", "wiegand"]


def test_ok__a_played_line_by_name(tmp_path: Path) -> None:
    """The options of the configuration reach the line."""
    line = registry.line("played", {"path": str(tmp_path / "door")})
    assert isinstance(line, PlayedLine)
    assert (tmp_path / "door").read_bytes() == b"0"
    assert isinstance(registry.line("played", {}), PlayedLine)
    registry.line("played", {"path": str(tmp_path / "in-fire")}, released=True)
    assert (tmp_path / "in-fire").read_bytes() == b"1"


def test_ok__a_played_input_by_name(tmp_path: Path) -> None:
    """The file of the configuration is the one that is read."""
    (tmp_path / "fire").write_bytes(b"1")
    line = registry.watched("played", {"path": str(tmp_path / "fire")})
    assert isinstance(line, PlayedInput)
    assert line.read()


def test_fail__a_gpio_input_says_which_level_and_which_pull() -> None:
    """A contact of unknown polarity tells nothing, and a pin that floats tells anything."""
    with pytest.raises(ValueError, match="high or low"):
        registry.watched("gpio", {"pin": 22, "active": "closed", "pull": "up", "chip": 0})
    with pytest.raises(ValueError, match="up, down or none"):
        registry.watched("gpio", {"pin": 22, "active": "low", "pull": "floating", "chip": 0})
    with pytest.raises(TypeError, match="pull"):
        registry.watched("gpio", {"pin": 22, "active": "low"})
    with pytest.raises(TypeError, match="normally"):
        registry.watched("gpio", {"pin": 22, "active": "low", "pull": "up", "normally": "open"})


def test_ok__readers_by_name(tmp_path: Path) -> None:
    """Prefix and suffix are characters in the configuration and bytes on the line; a serial reader is not open yet."""
    options = {"port": str(tmp_path / "none"), "baud": 115200, "prefix": "]Q1", "suffix": "\x03\xff", "max_bytes": 9, "gap_s": 0.5}
    reader = registry.reader("serial", "front", options)
    assert isinstance(reader, SerialReader)
    framer = reader._new_framer()
    assert isinstance(framer, LineFramer)
    assert [(frame.data, frame.overlong) for frame in framer.feed(b"]Q1x\x03\xff0123456789\x03\xff", 1)] == [(b"x", False), (b"", True)]
    with pytest.raises(DeviceMissingError, match="Reader front"):
        reader.open()
    assert isinstance(registry.reader("played", "front", {"frames": ["scan"]}), PlayedReader)


def test_fail__wiegand_on_a_chip_that_is_not_there(tmp_path: Path) -> None:
    """The settings' options reach the pins; the reader is named with both, and nothing stands in for them."""
    options = {"d0": 14, "d1": 15, "chip": 97, "pull": "none", "key_gap_s": 3.0, "work_dir": str(tmp_path)}
    reader = registry.reader("wiegand", "front", options)
    assert isinstance(reader, WiegandReader)
    with pytest.raises(DeviceMissingError, match=r"^Reader front: GPIO14, GPIO15: .*gpiochip97"):
        reader.open()


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        (lambda name: registry.line(name, {}), "gpio, played"),
        (lambda name: registry.watched(name, {}), "gpio, played"),
        (lambda name: registry.reader(name, "front", {}), "played, serial"),
    ],
    ids=["relay", "input", "reader"],
)
def test_fail__an_unknown_driver_is_named_with_the_known_ones(kind: object, known: str) -> None:
    """A slip in the configuration is answered with the names there are, and nothing stands in."""
    assert callable(kind)
    with pytest.raises(UnknownDriverError, match=f"gpoi.*{known}"):
        kind("gpoi")


def test_fail__an_option_that_the_driver_has_not_is_refused() -> None:
    """An option is never passed over."""
    with pytest.raises(TypeError, match="pinn"):
        registry.line("gpio", {"pinn": 17, "active": "high"})


def test_fail__the_polarity_is_one_of_two_words_and_has_no_default() -> None:
    """A relay of unknown polarity is not driven."""
    with pytest.raises(ValueError, match="high or low"):
        registry.line("gpio", {"pin": 17, "active": "hihg"})
    with pytest.raises(TypeError, match="active"):
        registry.line("gpio", {"pin": 17})


@pytest.mark.skipif(Path("/proc/device-tree/system/linux,revision").exists(), reason="this is a Raspberry Pi")
def test_fail__a_gpio_line_on_a_machine_without_gpio_is_refused(tmp_path: Path) -> None:
    """The gpio driver is never quietly a played one. In a process of its own, for lgpio stays loaded and keeps its files."""
    script = (
        "from drivers import registry; from drivers.base import DeviceMissingError\n"
        f"try: registry.line('gpio', {{'pin': 17, 'active': 'low', 'chip': None, 'work_dir': {str(tmp_path)!r}}})\n"
        "except DeviceMissingError as error: print('refused')"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    assert result.stdout == "refused\n"
