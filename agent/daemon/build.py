"""Builds the agent from its settings, in the order that safety asks for.

Rule 1: the relays come first and are driven locked before anything else is tried (promise P1); whatever fails later, they are
        locked and given back.
Rule 2: what is missing stops the start with its name.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from agent.core import codes
from agent.core.pin import KEY_BYTES
from agent.credentials import list_keys, read_secret
from agent.daemon.door import Door
from agent.daemon.lines import line_of
from agent.daemon.readers import reader_of
from agent.errors import ConfigError
from agent.settings.agent import AgentSettings
from agent.settings.door import DoorSettings
from agent.settings.readers import ReaderPart
from agent.store import files, upkeep
from agent.store.journal import Journal
from agent.timekeeping import DoorClock, boot_number, kernel_reading
from drivers.base import Pulse, Reader
from drivers.relay import PulsedRelay

STORE_CLOSE_S = 0.7


@dataclass(frozen=True, slots=True)
class ReaderAt:
    """A reader, its name, and the door it belongs to."""

    name: str
    door: str
    reader: Reader


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything with a device or a file behind it; each is open."""

    doors: dict[str, Door]
    readers: list[ReaderAt]
    keys: codes.Keyring
    prospect_key: str = field(repr=False)
    journal: Journal
    upkeep: upkeep.Upkeep
    clock: DoorClock
    is_new_store: bool
    desk_tokens: dict[str, str] = field(repr=False)
    """By which the desk knows a door, by the doors' names."""
    pin_keys: dict[str, bytes] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Whom to tell, from threads: a pulse that ended, a relay that cannot be locked, an entry that could not be written."""

    on_locked: Callable[[str, Pulse], None]
    on_fault: Callable[[Exception], None]
    on_lost: Callable[[str], None]


def build(settings: AgentSettings, stack: ExitStack, callbacks: Callbacks) -> Parts:
    """Open everything; `stack` closes it."""
    doors = {door.name: _door(door, settings, stack, callbacks) for door in settings.door}
    stack.enter_context(files.held(settings.store.path))
    is_new_store = files.bring_up_to_date(settings.store.path)
    gate = threading.RLock()
    journal = Journal(settings.store.path, gate)
    keeper = upkeep.Upkeep(settings.store.path, gate, callbacks.on_lost)
    stack.callback(keeper.close, STORE_CLOSE_S)
    last_seen_ms = keeper.submit(upkeep.last_seen_ms).result()
    boot = boot_number()
    anchor = keeper.submit(lambda conn: upkeep.known_anchor(conn, boot)).result()
    clock = DoorClock(kernel_reading(), settings.clock.rules(), last_seen_ms, anchor)
    keys = _keyring(settings.keys.folder, keeper, clock.now().guess_ms)
    knock = settings.knock
    read_secret(knock.appointment_key_file)
    prospect_key = read_secret(knock.prospect_key_file or knock.appointment_key_file)
    tokens = {door.name: read_secret(door.desk_token_file) for door in settings.door if door.desk_token_file is not None}
    pin_keys = {door.name: _pin_key(door.pin_key_file) for door in settings.door if door.pin_key_file is not None}
    work_dir = settings.control.socket.parent
    readers = [_reader(door.name, reader, work_dir, stack) for door in settings.door for reader in door.reader]
    return Parts(doors, readers, keys, prospect_key, journal, keeper, clock, is_new_store, tokens, pin_keys)


def _door(door: DoorSettings, settings: AgentSettings, stack: ExitStack, callbacks: Callbacks) -> Door:
    line = line_of(door, settings.control.socket.parent)
    made = Door(door.name, PulsedRelay(line, max_s=door.max_pulse_s, on_fault=callbacks.on_fault), door.pulse_s, callbacks.on_locked)
    stack.callback(made.stop)
    return made


def _reader(door: str, reader: ReaderPart, work_dir: Path, stack: ExitStack) -> ReaderAt:
    made = reader_of(reader, work_dir)
    made.open()
    stack.callback(made.close)
    return ReaderAt(reader.name, door, made)


def _pin_key(name: str) -> bytes:
    text = read_secret(name)
    if not re.fullmatch(rf"[0-9a-f]{{{2 * KEY_BYTES}}}", text):
        raise ConfigError(f"the key for PINs in {name} must be {2 * KEY_BYTES} hexadecimal digits, as the desk made it for this door")
    return bytes.fromhex(text)


def _keyring(folder: Path, keeper: upkeep.Upkeep, now_ms: int) -> codes.Keyring:
    """The keys of the folder; one that was ever retired stays retired, whatever its file says now (promise P5)."""
    found = [file.key for file in list_keys(folder)]
    if not found:
        raise ConfigError(f"the folder {folder} holds no public key: copy the desk's *.pub.toml files there, or no code can be genuine")
    retired_now = [key.key_id for key in found if key.is_retired]
    retired = keeper.submit(lambda conn: upkeep.retire_keys(conn, retired_now, now_ms)).result()
    return codes.keyring([codes.PublicKey(key.public, is_retired=key.key_id in retired) for key in found])
