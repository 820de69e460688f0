"""`tourlatch keys new`, `list`, `retire`, and `osdp` for a reader's key."""

from __future__ import annotations

import signal
from pathlib import Path

import click

from agent import credentials
from agent.cli.options import DEFAULT_KEYS, json_option, print_json
from agent.errors import AgentError
from drivers.base import DriverError

folder_option = click.option(
    "-f",
    "--folder",
    type=click.Path(path_type=Path),
    default=DEFAULT_KEYS,
    show_default=True,
    help="The folder of key files.",
)


@click.group()
def keys() -> None:
    """Signing keys and their ids."""


@keys.command()
@folder_option
@json_option
def new(folder: Path, as_json: bool) -> None:
    """Make a signing key: ID.key stays with the desk, ID.pub.toml goes to every door."""
    made = credentials.new_key(folder)
    if as_json:
        print_json({"key_id": made.key.key_id, "public": made.key.public.hex(), "folder": str(folder)})
        return
    click.echo(f"{made.key.key_id}")
    click.echo(f"Keep {folder / made.key.key_id}.key secret; copy {folder / made.key.key_id}.pub.toml to every door.", err=True)


@keys.command("list")
@folder_option
@json_option
def list_(folder: Path, as_json: bool) -> None:
    """The keys in a folder, and which of them can sign."""
    found = credentials.list_keys(folder)
    if as_json:
        print_json([{"key_id": f.key.key_id, "created": f.created, "retired": f.retired, "can_sign": f.has_secret} for f in found])
        return
    for file in found:
        state = f"retired {file.retired}" if file.retired else "active"
        click.echo(f"{file.key.key_id}  {state:32}  made {file.created or 'unknown'}{'  can sign' if file.has_secret else ''}")


@keys.command()
@folder_option
@json_option
@click.argument("key_id")
def retire(folder: Path, key_id: str, as_json: bool) -> None:
    """Retire the key KEY_ID: copy its file to every door and restart the agent, and none of its codes opens any more, ever."""
    retired = credentials.retire_key(folder, key_id)
    if as_json:
        print_json({"key_id": key_id, "retired": retired.retired})
        return
    click.echo(f"{key_id} retired {retired.retired}")


@keys.command()
@click.option("--port", required=True, type=click.Path(path_type=Path), help="The RS-485 adapter, e.g. /dev/serial/by-id/...")
@click.option("--baud", type=click.IntRange(9600, 230400), default=9600, show_default=True, help="The reader's speed.")
@click.option("--address", type=click.IntRange(0, 126), default=0, show_default=True, help="The reader's address.")
@click.argument("file", type=click.Path(path_type=Path))
def osdp(port: Path, baud: int, address: int, file: Path) -> None:
    """Set a new key up in an OSDP reader, and keep it in FILE.

    The reader is in its set-up mode, alone on a short cable, and the agent is stopped: the key travels under a key that everybody knows.
    FILE must not be there yet. The key is never shown.
    """
    from drivers import registry

    broken_off = False

    def break_off(_number: int, _frame: object) -> None:
        nonlocal broken_off
        broken_off = True

    # an exception out of nowhere would not tell whether the reader has the key
    before = {number: signal.signal(number, break_off) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    key = credentials.new_reader_key(file)
    try:
        is_sure = registry.set_osdp_key(str(port), baud=baud, address=address, key=key, is_broken_off=lambda: broken_off)
    except DriverError:
        # No key was sent: this one belongs to nobody. On anything else the reader may have it.
        file.unlink()
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if not is_sure:
        raise AgentError(
            f"the key was sent, but the reader did not come back with it. Keep {file}, which may hold its key: try it as `key_file`, "
            "and if the agent says that the reader has another key, put the reader back into its set-up mode and begin anew"
        )
    click.echo(
        f"The reader at address {address} has the key in {file}. End its set-up mode, and name the file as its `key_file`.", err=True
    )
