"""`tourlatch staff`: who may log in to the staff page, and staff's PIN for a door's screen."""

from __future__ import annotations

from pathlib import Path

import click

from agent import config, credentials
from agent.cli.options import desk_config_option, json_option, print_json
from agent.errors import ConfigError
from agent.settings.desk import DeskSettings


@click.group()
def staff() -> None:
    """Who may log in to the staff page; staff's PIN for a door's screen."""


@staff.command()
@desk_config_option
@click.argument("name")
@click.option("--password-file", type=click.Path(path_type=Path), help="A file of the password (mode 600); left out, it is asked.")
def add(config_path: Path, name: str, password_file: Path | None) -> None:
    """Add NAME, or give NAME another password of 12 characters or more, which ends their sessions."""
    from agent.desk import staff_accounts

    settings = config.load_as(DeskSettings, config_path)
    accounts = _accounts(settings)
    staff_accounts.check_name(name)
    password = _asked() if password_file is None else credentials.read_secret(str(password_file.absolute()))
    staff_accounts.add(accounts, name, password)
    _end_sessions(settings, name)
    click.echo(f"{name} may log in.")


@staff.command("list")
@desk_config_option
@json_option
def list_(config_path: Path, as_json: bool) -> None:
    """The names."""
    from agent.desk import staff_accounts

    names = [account.name for account in staff_accounts.read(_accounts(config.load_as(DeskSettings, config_path)))]
    if as_json:
        print_json(names)
        return
    for name in names:
        click.echo(name)
    if not names:
        click.echo("None.")


@staff.command()
@desk_config_option
@click.argument("name")
def remove(config_path: Path, name: str) -> None:
    """NAME may log in no more, and their sessions end at once."""
    from agent.desk import staff_accounts

    settings = config.load_as(DeskSettings, config_path)
    staff_accounts.remove(_accounts(settings), name)
    _end_sessions(settings, name)
    click.echo(f"{name} may log in no more.")


@staff.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--pin-file", type=click.Path(path_type=Path), help="A file of the PIN (mode 600); left out, it is asked.")
def pin(file: Path, pin_file: Path | None) -> None:
    """Keep the hash of staff's PIN for a door's screen in FILE, in the place of another's; 6 to 12 digits.

    Name FILE in [control] staff_pin_file of the agent's configuration and restart the agent.
    """
    typed = _asked("PIN", "--pin-file") if pin_file is None else credentials.read_secret(str(pin_file.absolute()))
    credentials.write_staff_pin(file, typed)
    click.echo(f"{file} holds the hash of staff's PIN: name it in [control] staff_pin_file and restart the agent.", err=True)


def _asked(what: str = "password", option: str = "--password-file") -> str:
    """The password or PIN, typed twice at a terminal; without one it would show, so it is not asked."""
    import warnings
    from getpass import GetPassWarning

    with warnings.catch_warnings():
        warnings.simplefilter("error", GetPassWarning)
        try:
            typed: str = click.prompt(what[:1].upper() + what[1:], hide_input=True, confirmation_prompt=True, err=True)
        except GetPassWarning:
            raise ConfigError(f"there is no terminal to ask for the {what}: give it in a file with {option}") from None
    return typed


def _accounts(settings: DeskSettings) -> Path:
    if settings.staff is None:
        raise ConfigError("the desk has no staff page: add the table [staff] to its configuration")
    return settings.staff.accounts_file


def _end_sessions(settings: DeskSettings, name: str) -> None:
    """Where a desk has run; a store that was never made has no sessions."""
    from agent.desk.store import DeskStore

    if not settings.store.path.exists():
        return
    store = DeskStore.open(settings.store.path)
    try:
        store.end_sessions_of(name)
    finally:
        store.close()
