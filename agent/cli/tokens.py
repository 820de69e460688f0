"""`tourlatch tokens`: what doors and vendors show to the desk. A token is told once, when it is made; only its hash is kept."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent import config, credentials
from agent.cli.book import chosen, community_option
from agent.cli.options import desk_config_option, json_option, print_json
from agent.core.clock import to_iso
from agent.errors import ConfigError
from agent.settings.desk import DeskSettings

if TYPE_CHECKING:
    from agent.desk.store import DeskStore

TOKEN_ID_BYTES = 6

out_option = click.option("--out", type=click.Path(path_type=Path), help="A new file for the token (mode 600); left out, it is printed.")


@click.group()
def tokens() -> None:
    """Tokens of doors and of vendors."""


@tokens.command("new-door")
@desk_config_option
@community_option
@click.option("--door", required=True, help="The door's name.")
@out_option
@click.option("--pin-key-out", type=click.Path(path_type=Path), help="A new file for the door's key of PINs; left out, it is printed.")
@json_option
def new_door(*, config_path: Path, named: str | None, door: str, out: Path | None, pin_key_out: Path | None, as_json: bool) -> None:
    """Make a token and a key of PINs for one door: the agent's `desk_token_file` and `pin_key_file`."""
    from agent.desk.records import DoorAccess
    from agent.desk.secrets import Secrets, new_token, token_hash

    settings = config.load_as(DeskSettings, config_path)
    community = chosen(settings, named)
    if door not in [place.name for place in community.door]:
        raise ConfigError(f"{community.slug} has no door {door}: it has {', '.join(place.name for place in community.door)}")
    try:
        key = Secrets(credentials.read_secret(settings.keys.desk_secret_file).encode("ascii")).door_key(community.id, door).hex()
    except ValueError as error:
        raise ConfigError(f"{settings.keys.desk_secret_file}: {error}") from None
    token, token_id = new_token(), secrets.token_hex(TOKEN_ID_BYTES)
    access = DoorAccess(token_id, community.id, door, _now_ms(), None, None, None, "")

    def keep(store: DeskStore) -> None:
        store.new_door(access, token_hash(token))

    _keep_and_write(settings, keep, [(out, token), (pin_key_out, key)])
    told = {"token_id": token_id, "community_id": community.id, "door": door}
    shown = ({} if out else {"token": token}) | ({} if pin_key_out else {"pin_key": key})
    _tell(told, shown, as_json=as_json)


@tokens.command("new-vendor")
@desk_config_option
@click.argument("name")
@click.option("--community", "named", multiple=True, required=True, help="A community's id or slug; may be repeated.")
@out_option
@json_option
def new_vendor(config_path: Path, name: str, named: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Make a token for the vendor NAME, who may tell the desk of appointments in these communities."""
    from agent.desk.secrets import new_token, token_hash

    if not (name.isascii() and name.isprintable() and name.strip() == name and 1 <= len(name) <= 60):  # noqa: PLR2004 - said in the sentence
        raise ConfigError("a vendor's name has 1 to 60 visible characters")
    settings = config.load_as(DeskSettings, config_path)
    community_ids = list(dict.fromkeys(chosen(settings, one).id for one in named))
    token = new_token()
    _keep_and_write(settings, lambda store: store.new_vendor(name, token_hash(token), community_ids), [(out, token)])
    _tell({"vendor": name, "community_ids": ", ".join(community_ids)}, {} if out else {"token": token}, as_json=as_json)


@tokens.command("list")
@desk_config_option
@json_option
def list_(config_path: Path, as_json: bool) -> None:
    """Every token by its id, never the token itself."""
    with _store(config.load_as(DeskSettings, config_path)) as store:
        doors, vendors = store.doors(), store.vendors()
    if as_json:
        print_json(
            {
                "doors": [
                    {name: getattr(door, name) for name in ("token_id", "community_id", "door", "created_ms", "revoked_ms", "seen_ms")}
                    for door in doors
                ],
                "vendors": [
                    {"token_id": one.token_id, "name": one.name, "community_ids": list(one.community_ids), "revoked_ms": one.revoked_ms}
                    for one in vendors
                ],
            }
        )
        return
    for door in doors:
        seen = "never seen" if door.seen_ms is None else f"seen {to_iso(door.seen_ms)}"
        click.echo(f"{door.token_id}  door {door.door} of {door.community_id}  {seen}{_revoked(door.revoked_ms)}")
    for one in vendors:
        click.echo(f"{one.token_id}  vendor {one.name} for {', '.join(one.community_ids)}{_revoked(one.revoked_ms)}")
    if not doors and not vendors:
        click.echo("None.")


@tokens.command()
@desk_config_option
@json_option
@click.argument("token_id")
def revoke(config_path: Path, token_id: str, as_json: bool) -> None:
    """End the token TOKEN_ID at once; a vendor's also by the vendor's name."""
    with _store(config.load_as(DeskSettings, config_path)) as store:
        now_ms = _now_ms()
        names = [one.name for one in store.vendors() if token_id in (one.token_id, one.name) and one.revoked_ms is None]
        is_done = store.revoke_door(token_id, now_ms) or (len(names) == 1 and store.revoke_vendor(names[0], now_ms))
    if not is_done:
        raise ConfigError("there is no such token in force: `tourlatch tokens list` shows them")
    if as_json:
        print_json({"revoked": token_id})
    else:
        click.echo(f"{token_id} revoked.")


def _revoked(revoked_ms: int | None) -> str:
    return "" if revoked_ms is None else f"  revoked {to_iso(revoked_ms)}"


def _tell(told: dict[str, str], shown: dict[str, str], *, as_json: bool) -> None:
    if as_json:
        print_json(told | shown)
        return
    for name, value in (told | shown).items():
        click.echo(f"{name:13}{value}")
    if shown:
        click.echo("This is told once: keep it in a file that only its program can read.", err=True)


@contextmanager
def _store(settings: DeskSettings) -> Iterator[DeskStore]:
    from agent.desk.store import DeskStore

    store = DeskStore.open(settings.store.path)
    try:
        yield store
    finally:
        store.close()


def _keep_and_write(settings: DeskSettings, keep: Callable[[DeskStore], None], files: list[tuple[Path | None, str]]) -> None:
    """The files first: a token that is in force and written nowhere would be of no use; and none is left that is not in force."""
    written: list[Path] = []
    try:
        for path, text in files:
            if path is not None:
                _write(path, text)
                written.append(path)
        with _store(settings) as store:
            keep(store)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def _write(path: Path, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise ConfigError(f"{path} is there already: name a new file, or move the old one away") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        credentials.give_to_owner(file.fileno(), path.parent)
        file.write(text + "\n")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
