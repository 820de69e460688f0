"""Builds the agent from its settings, in the order that safety asks for.

Rule 1: the relays come first and are driven locked before anything else is tried (promise P1); whatever fails later, they are
        locked and given back. Only the fire input is read before its door's relay is claimed: where there is fire, it begins released.
Rule 2: what is missing stops the start with its name.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from agent.core import codes
from agent.core.door import Leaf
from agent.core.pin import KEY_BYTES
from agent.core.staff_pin import StaffPin
from agent.credentials import list_keys, read_secret, read_staff_pin
from agent.daemon.door import Door
from agent.daemon.happening import Happening, Tell
from agent.daemon.lines import output_of
from agent.daemon.readers import reader_of
from agent.daemon.second import SecondRelay
from agent.daemon.signs import Signs
from agent.daemon.watch import Watch
from agent.daemon.ways import ways_of
from agent.errors import ConfigError
from agent.settings.agent import AgentSettings
from agent.settings.door import DoorSettings
from agent.store import files, upkeep
from agent.store.journal import Journal
from agent.timekeeping import DoorClock, boot_number, kernel_reading
from drivers.base import DeviceAbsentError, DeviceMissingError, DriverError, Indicator, Pulse, Reader
from drivers.indicator import Lamp, LampsAndBuzzer
from drivers.relay import PulsedRelay

STORE_CLOSE_S = 0.7
LAMPS: tuple[Lamp, ...] = ("green", "red", "buzzer")


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
    watch: Watch
    signs: dict[str, Signs]
    """What each door shows."""
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
    staff_pin: StaffPin | None = None
    """By which staff are known at a screen."""


@dataclass(frozen=True, slots=True)
class Callbacks:
    """Whom to tell, from threads: a pulse that ended, a relay that cannot be locked, an entry that could not be written, all the rest."""

    on_locked: Callable[[str, Pulse], None]
    on_fault: Callable[[Exception], None]
    on_lost: Callable[[str], None]
    tell: Tell


def build(settings: AgentSettings, stack: ExitStack, callbacks: Callbacks) -> Parts:
    """Open everything; `stack` closes it."""
    work_dir = settings.control.socket.parent
    watch = Watch(work_dir, tell=callbacks.tell, on_fault=callbacks.on_fault)
    stack.callback(watch.close)
    doors = _doors(settings, watch, stack, callbacks)
    watch.start()
    stack.enter_context(files.held(settings.store.path))
    is_new_store = files.bring_up_to_date(settings.store.path)
    gate = threading.RLock()
    journal = Journal(settings.store.path, gate)
    keeper = upkeep.Upkeep(settings.store.path, gate, callbacks.on_lost)
    stack.callback(keeper.close, STORE_CLOSE_S)
    for name, door in doors.items():
        if door.leaf is Leaf.OPEN and keeper.submit(lambda conn, name=name: upkeep.was_forced(conn, name)).result():  # type: ignore[misc]  # a bound default
            door.was_forced()
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
    known_staff = None if settings.control.staff_pin_file is None else read_staff_pin(settings.control.staff_pin_file)
    readers = _readers(settings, work_dir, stack)
    signs = {door.name: _signs(door, readers, work_dir, stack, callbacks.tell) for door in settings.door}
    return Parts(doors, watch, signs, readers, keys, prospect_key, journal, keeper, clock, is_new_store, tokens, pin_keys, known_staff)


def _doors(settings: AgentSettings, watch: Watch, stack: ExitStack, callbacks: Callbacks) -> dict[str, Door]:
    """All relays, then all that is watched and follows: an input or a second relay that is missing leaves no lock as it was."""
    faults: list[str] = []
    work_dir = settings.control.socket.parent
    relays = []
    for door in settings.door:
        relays.append(_relay(door, watch, work_dir, faults, callbacks))
        stack.callback(_give_back, relays[-1][0])
    if faults:
        raise DriverError("\n".join(faults))
    doors = {}
    for door, (relay, is_fire) in zip(settings.door, relays, strict=True):
        doors[door.name] = made = Door(
            door.name,
            relay,
            ways_of(door),
            callbacks.on_locked,
            tell=callbacks.tell,
            on_fault=callbacks.on_fault,
            on_due=watch.poke,
            second=_second(door, work_dir, callbacks.tell),
            is_fire=is_fire,
        )
        stack.callback(made.stop)
        watch.add(door, made)
    return doors


def _relay(door: DoorSettings, watch: Watch, work_dir: Path, faults: list[str], callbacks: Callbacks) -> tuple[PulsedRelay, bool]:
    """A door's relay, and whether there is fire. A fire input that is missing is a fault, once the relay is locked."""
    is_fire = False
    try:
        is_fire = watch.is_fire(door)
    except DriverError as error:
        faults.append(str(error))
    line = output_of(door.relay, work_dir, released=is_fire)
    return PulsedRelay(line, max_s=door.max_pulse_s, on_fault=callbacks.on_fault, is_fire=is_fire), is_fire


def _give_back(relay: PulsedRelay) -> None:
    with suppress(DriverError):  # it has told its fault, and the others must be locked, too
        relay.close()


def _second(door: DoorSettings, work_dir: Path, tell: Tell) -> SecondRelay | None:
    part = door.second_relay
    if part is None:
        return None

    def on_news(words: str | None) -> None:
        kind, detail = ("relay2_failed", {"words": words}) if words is not None else ("relay2_back", None)
        tell(Happening(kind, door.name, time.monotonic_ns(), detail=detail))

    return SecondRelay(output_of(part, work_dir), delay_s=part.delay_s, pulse_s=part.pulse_s, on_news=on_news)


def _signs(door: DoorSettings, readers: list[ReaderAt], work_dir: Path, stack: ExitStack, tell: Tell) -> Signs:
    """The lamps and the buzzer of a door, and those of its readers that have some."""
    indicators: list[Indicator] = [at.reader for at in readers if at.door == door.name and isinstance(at.reader, Indicator)]
    lines = {name: part for name in LAMPS if (part := getattr(door.feedback, name, None)) is not None}
    if lines:

        def on_news(lamp: str, words: str | None) -> None:
            kind, detail = ("lamp_back", {"lamp": lamp}) if words is None else ("lamp_failed", {"lamp": lamp, "words": words})
            tell(Happening(kind, door.name, time.monotonic_ns(), detail=detail))

        lamps = LampsAndBuzzer({name: output_of(part, work_dir) for name, part in lines.items()}, on_news=on_news)
        stack.callback(lamps.close)
        return Signs([*indicators, lamps], lambda: lamps.states)
    return Signs(indicators)


def _readers(settings: AgentSettings, work_dir: Path, stack: ExitStack) -> list[ReaderAt]:
    """All readers. One that is not plugged in keeps no other from working: it is told lost and tried again; but one has to be there."""
    made, absent = [], []
    for door in settings.door:
        for part in door.reader:
            reader = reader_of(part, work_dir)
            stack.callback(reader.close)
            try:
                reader.open()
            except DeviceAbsentError as error:
                absent.append(error)
            made.append(ReaderAt(part.name, door.name, reader))
    if len(absent) == len(made):
        raise DeviceMissingError("\n".join(map(str, absent)))
    return made


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
