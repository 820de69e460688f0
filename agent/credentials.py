"""Secrets and keys: files, never settings (promise P7).

Rule 1: a secret's file must be unreadable for group and others, or come from systemd (`$CREDENTIALS_DIRECTORY`).
Rule 2: an error names the file, never what is in it.
Rule 3: what root makes in another user's folder is that user's, so that `sudo tourlatch keys new` makes a key that the desk can read.
"""

from __future__ import annotations

import os
import secrets
import stat
import tomllib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agent.core import signature, staff_pin
from agent.core.codes import PublicKey
from agent.errors import ConfigError

MAX_SECRET_BYTES = 4096
READER_KEY_BYTES = 16
UNITS_FOLDER = Path("/etc/tourlatch/credentials")
"""Where the units take secrets from. Only root can look there, and so root's commands need no unit."""
DOORS_FOLDER = Path("/etc/tourlatch/doors")
"""Where the agent's unit takes the doors' secrets from; it hands over `front.token` there as `door_front.token`."""
DOORS_PREFIX = "door_"
PUBLIC_SUFFIX = ".pub.toml"
SECRET_SUFFIX = ".key"  # noqa: S105 - the name's end, not a secret


def read_secret(name: str) -> str:
    """The secret in a file, without the line's end.

    A relative name is looked up in `$CREDENTIALS_DIRECTORY`; by root in a shell, which has none, where the units take it from.
    Raises `ConfigError` for a file that is missing, empty, too long, not text, or readable for others.
    """
    path = Path(name) if Path(name).is_absolute() else _handed_over(name)
    try:
        data = _read_private(path)
        text = data.decode("ascii").rstrip("\r\n")
    except UnicodeDecodeError:
        # not `from` it: that error holds the secret
        raise ConfigError(f"the secret in {path} is not plain text") from None
    if not text or not text.isprintable() or text != text.strip():
        raise ConfigError(f"the secret in {path} must be one line of visible characters, without spaces around it")
    return text


def _handed_over(name: str) -> Path:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder:
        return Path(folder) / name
    if os.geteuid() == 0 and name.startswith(DOORS_PREFIX) and DOORS_FOLDER.is_dir():
        return DOORS_FOLDER / name.removeprefix(DOORS_PREFIX)
    if os.geteuid() == 0 and UNITS_FOLDER.is_dir():
        return UNITS_FOLDER / name
    raise ConfigError(
        f"the secret {name!r} is to come from systemd (LoadCredential=), but $CREDENTIALS_DIRECTORY is not set; in a shell, be root"
    )


def _read_private(path: Path) -> bytes:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb") as file:  # noqa: PTH123 - a pipe must not hold the start up
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_SECRET_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"the secret file {path} cannot be read: {error.strerror}") from error
    if not stat.S_ISREG(mode):
        raise ConfigError(f"the secret {path} is no regular file")
    if mode & (stat.S_IRWXG | stat.S_IRWXO) and not path.is_relative_to(os.environ.get("CREDENTIALS_DIRECTORY") or "/nowhere"):
        raise ConfigError(f"the secret file {path} can be read by others: chmod 600 {path}")
    if len(data) > MAX_SECRET_BYTES:
        raise ConfigError(f"the secret file {path} is longer than {MAX_SECRET_BYTES} bytes")
    return data


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A public key as it lies in a folder: the key, when it was made and retired (ISO 8601), and whether the secret half is there."""

    key: PublicKey
    created: str
    retired: str | None
    has_secret: bool


def list_keys(folder: Path) -> list[KeyFile]:
    """All public keys in `folder`, by id; raises `ConfigError` for a folder or file that cannot be used."""
    if not folder.is_dir():
        raise ConfigError(
            f"the folder of keys {folder} does not exist: make a key with `tourlatch keys new`, or copy the desk's public ones there"
        )
    try:
        found = sorted(path for path in folder.iterdir() if path.name.endswith(PUBLIC_SUFFIX))
    except OSError as error:
        raise ConfigError(f"the folder of keys {folder} cannot be read: {error.strerror}") from error
    return [_read_public(path) for path in found]


def _read_public(path: Path) -> KeyFile:
    try:
        content = tomllib.loads(path.read_text("ascii"))
        public = bytes.fromhex(content["public"])
        retired = content.get("retired")
        created = str(content.get("created", ""))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise ConfigError(f'the key file {path} cannot be used: it must hold public = "64 hexadecimal digits"') from error
    key = PublicKey(public, is_retired=retired is not None)
    if len(public) != signature.PUBLIC_BYTES or path.name != key.key_id + PUBLIC_SUFFIX:
        raise ConfigError(f"the key file {path} does not hold the key that its name says")
    return KeyFile(key, created, None if retired is None else str(retired), (path.parent / (key.key_id + SECRET_SUFFIX)).exists())


def new_key(folder: Path) -> KeyFile:
    """Make a signing key in `folder` (made if absent): `<id>.key` for the desk alone, `<id>.pub.toml` for every door."""
    seed = secrets.token_bytes(signature.SEED_BYTES)
    key = PublicKey(signature.public_key(seed))
    created = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write_new(folder / (key.key_id + SECRET_SUFFIX), seed.hex() + "\n", 0o600)
        _write_new(folder / (key.key_id + PUBLIC_SUFFIX), f'public = "{key.public.hex()}"\ncreated = "{created}"\n', 0o644)
    except OSError as error:
        raise ConfigError(f"the key cannot be written to {folder}: {error.strerror}") from error
    return KeyFile(key, created, None, has_secret=True)


def retire_key(folder: Path, key_id: str) -> KeyFile:
    """Mark a key as retired: no code that it signed opens a door that has this file. Raises `ConfigError` for an unknown id."""
    path = folder / (key_id + PUBLIC_SUFFIX)
    if not path.is_file():
        raise ConfigError(f"there is no key {key_id} in {folder}")
    found = _read_public(path)
    if found.retired is None:
        retired = datetime.now(UTC).isoformat(timespec="seconds")
        aside = path.with_suffix(".new")
        try:
            aside.write_text(path.read_text("ascii") + f'retired = "{retired}"\n', "ascii")
            aside.replace(path)
        except OSError as error:
            raise ConfigError(f"the key file {path} cannot be written: {error.strerror}") from error
    return _read_public(path)


def signing_seed(folder: Path, key_id: str | None = None) -> bytes:
    """The secret half of the one key in `folder` that can sign, or of the one named; raises `ConfigError` otherwise."""
    able = [found for found in list_keys(folder) if found.has_secret and found.retired is None and key_id in (None, found.key.key_id)]
    if len(able) != 1:
        what = f"{len(able)} keys in {folder} can sign" if key_id is None else f"the key {key_id} in {folder} cannot sign"
        raise ConfigError(f"{what}: make one with `tourlatch keys new`, or name one with --key")
    path = folder / (able[0].key.key_id + SECRET_SUFFIX)
    try:
        seed = bytes.fromhex(_read_private(path).decode("ascii").strip())
    except ValueError as error:
        raise ConfigError(f"the secret key {path} is damaged") from error
    if len(seed) != signature.SEED_BYTES or signature.public_key(seed) != able[0].key.public:
        raise ConfigError(f"the secret key {path} does not belong to its public half")
    return seed


def new_reader_key(path: Path) -> bytes:
    """Make an OSDP reader's key in a new file, for its owner alone; raises `ConfigError` for a file that is there, or cannot be."""
    key = secrets.token_bytes(READER_KEY_BYTES)
    try:
        _write_new(path, key.hex() + "\n", 0o600)
    except FileExistsError as error:
        raise ConfigError(f"{path} is there already: the reader whose key it is would be lost with it. Name another file") from error
    except OSError as error:
        raise ConfigError(f"the key cannot be written to {path}: {error.strerror}") from error
    return key


def read_staff_pin(name: str) -> staff_pin.StaffPin:
    """The hash of staff's PIN in a file or credential; raises `ConfigError`, which quotes nothing of it."""
    found = staff_pin.parse(read_secret(name))
    if found is None:
        raise ConfigError(f"the file of staff's PIN {name} holds none: make it anew with `tourlatch staff pin`")
    return found


def write_staff_pin(path: Path, pin: str) -> None:
    """Keep the hash of a PIN in a file for its owner alone; another PIN's takes its place at once.

    Raises `ConfigError`, which does not hold the PIN, for one that cannot be used, or a file that cannot be written.
    """
    try:
        made = staff_pin.make(pin, secrets.token_bytes(staff_pin.SALT_BYTES))
    except ValueError as error:
        raise ConfigError(str(error)) from None
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        _write_new(aside, made.to_line() + "\n", 0o600)
        aside.replace(path)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise ConfigError(f"the file of staff's PIN {path} cannot be written: {error.strerror}") from error


def _write_new(path: Path, text: str, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        give_to_owner(file.fileno(), path.parent)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def give_to_owner(descriptor: int, folder: Path) -> None:
    """Give a new file of root's to the user whose folder it is in."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.fchown(descriptor, owner.st_uid, owner.st_gid)
