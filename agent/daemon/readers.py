"""A door's readers by their settings."""

from __future__ import annotations

import re
from pathlib import Path

from agent.credentials import read_secret
from agent.errors import ConfigError
from agent.settings.readers import OsdpReader, ReaderPart, WiegandReader
from drivers import registry
from drivers.base import Reader

_OURS = {"name", "driver", "direction", "key_file"}
"""Settings of a reader that its driver does not take as they are."""
_OSDP_KEY = re.compile(r"[0-9a-fA-F]{32}")
_OSDP_DEFAULT_KEY = bytes(range(0x30, 0x40))


def reader_of(part: ReaderPart, work_dir: Path) -> Reader:
    """The reader, not yet open; raises `ConfigError` for a key file that cannot be used, `DriverError` for a driver that is missing."""
    options = part.model_dump(exclude=_OURS, mode="json")
    if isinstance(part, WiegandReader):
        options["work_dir"] = str(work_dir)
    if isinstance(part, OsdpReader):
        options["key"] = _osdp_key(part.key_file)
    driver = str(part.model_dump(include={"driver"})["driver"])
    return registry.reader(driver, part.name, options)


def _osdp_key(name: str) -> bytes:
    text = read_secret(name)
    if not _OSDP_KEY.fullmatch(text):
        raise ConfigError(f"the reader's key in {name} must be 32 hexadecimal digits, as `tourlatch keys osdp` made it")
    key = bytes.fromhex(text)
    if key == _OSDP_DEFAULT_KEY or len(set(key)) == 1:
        raise ConfigError(f"the reader's key in {name} is one that everybody knows: make one with `tourlatch keys osdp`")
    return key
