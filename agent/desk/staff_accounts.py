"""Staff's names and password hashes: one file, one account a line.

    name:scrypt:n:r:p:salt:hash          (salt and hash in hexadecimal)

Rule 1: only the hash is kept; its parameters stand in the line, so that they can grow.
Rule 2: an unknown name costs as much time as a known one, and the answer does not say which of the two was wrong.
Rule 3: the file is written whole, beside the old one, and takes its place at once.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from agent.credentials import give_to_owner
from agent.errors import ConfigError

MIN_PASSWORD = 12
MAX_PASSWORD = 1000
MAX_FILE_BYTES = 1_000_000
N, R, P = 2**15, 8, 1
"""scrypt's cost: 32 MiB and about a tenth of a second on a small server."""

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
_LINE = re.compile(r"([a-z0-9][a-z0-9._-]{0,39}):scrypt:([0-9]{1,7}):([0-9]{1,2}):([0-9]{1,2}):([0-9a-f]{32}):([0-9a-f]{64})")
_MOST_MEMORY = 256 * 1024 * 1024
_SALT_BYTES = 16
_HASH_BYTES = 32


@dataclass(frozen=True, slots=True)
class Account:
    """One member of staff: a name, scrypt's parameters, salt and hash."""

    name: str
    n: int
    r: int
    p: int
    salt: bytes = field(repr=False)
    digest: bytes = field(repr=False)

    def is_opened_by(self, password: str) -> bool:
        """Whether this is the password; compared in constant time."""
        return hmac.compare_digest(_scrypt(password, self.salt, self.n, self.r, self.p), self.digest)

    def to_line(self) -> str:
        """As it stands in the file."""
        return f"{self.name}:scrypt:{self.n}:{self.r}:{self.p}:{self.salt.hex()}:{self.digest.hex()}"


_NOBODY = Account("nobody", N, R, P, bytes(_SALT_BYTES), bytes(_HASH_BYTES))


def verify(accounts_file: Path, name: str, password: str) -> bool:
    """Whether the account is there and the password is its own. Slow on purpose: call it in a thread.

    Raises:
        ConfigError: when the file cannot be used.
    """
    accounts = {account.name: account for account in read(accounts_file)}
    if len(password) > MAX_PASSWORD:
        password = ""
    found = accounts.get(name, _NOBODY)
    return found.is_opened_by(password) and found is not _NOBODY


def read(accounts_file: Path) -> list[Account]:
    """All accounts, in the file's order; no file, no accounts.

    Raises:
        ConfigError: when the file cannot be read, is readable for others, or holds a line that is no account (never quoted).
    """
    try:
        with accounts_file.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"the file of staff accounts {accounts_file} cannot be read: {error.strerror}") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ConfigError(f"the file of staff accounts {accounts_file} can be read by others: chmod 600 {accounts_file}")
    if len(data) > MAX_FILE_BYTES:
        raise ConfigError(f"the file of staff accounts {accounts_file} is longer than {MAX_FILE_BYTES} bytes")
    lines = data.decode("utf-8", "replace").splitlines()
    return [_account(line, number, accounts_file) for number, line in enumerate(lines, 1) if line.strip()]


def add(accounts_file: Path, name: str, password: str) -> None:
    """Add an account, or give the one of this name another password.

    Raises:
        ConfigError: for a name or password that cannot be used, or a file that cannot be read or written.
    """
    check_name(name)
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise ConfigError(f"a password has {MIN_PASSWORD} to {MAX_PASSWORD} characters")
    salt = secrets.token_bytes(_SALT_BYTES)
    account = Account(name, N, R, P, salt, _scrypt(password, salt, N, R, P))
    _write(accounts_file, [*(other for other in read(accounts_file) if other.name != name), account])


def check_name(name: str) -> None:
    """Raise `ConfigError` unless `name` can be an account's."""
    if not _NAME.fullmatch(name):
        raise ConfigError("a name is of lower-case letters, digits, dots, hyphens and underscores, at most 40")


def remove(accounts_file: Path, name: str) -> None:
    """Remove an account; its sessions are ended by whoever has the store. Raises `ConfigError` when there is none."""
    accounts = read(accounts_file)
    kept = [account for account in accounts if account.name != name]
    if len(kept) == len(accounts):
        raise ConfigError(f"there is no account of this name in {accounts_file}")
    _write(accounts_file, kept)


def _account(line: str, number: int, accounts_file: Path) -> Account:
    found = _LINE.fullmatch(line.strip())
    sizes = [int(found.group(at)) for at in (2, 3, 4)] if found else [0, 0, 0]
    n, r, p = sizes
    # what scrypt takes: n a power of two, and memory that a server has
    if found is None or n & (n - 1) or n * r <= 1 or r < 1 or p < 1 or 128 * n * r > _MOST_MEMORY // 2:
        raise ConfigError(f"line {number} of {accounts_file} is no account: make it anew with `tourlatch staff add`")
    return Account(found.group(1), n, r, p, bytes.fromhex(found.group(5)), bytes.fromhex(found.group(6)))


def _write(accounts_file: Path, accounts: list[Account]) -> None:
    aside = accounts_file.with_name(f".{accounts_file.name}.{secrets.token_hex(4)}")
    text = "".join(account.to_line() + "\n" for account in accounts)
    try:
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "w", encoding="ascii") as file:
            give_to_owner(file.fileno(), accounts_file.parent)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(accounts_file)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise ConfigError(f"the file of staff accounts {accounts_file} cannot be written: {error.strerror}") from error


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    data = password.encode("utf-8", "surrogatepass")
    return hashlib.scrypt(data, salt=salt, n=n, r=r, p=p, maxmem=_MOST_MEMORY, dklen=_HASH_BYTES)
