"""`tourlatch visits` and `tourlatch outbox`: what the store holds, and a person's hand on the queue."""

from __future__ import annotations

import json
import os
import pwd
import sqlite3
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from agent import config, protocol
from agent.cli.options import config_option, json_option, print_json
from agent.core.clock import Interval, for_people, in_zone, to_iso
from agent.errors import AgentAbsentError, StoreError
from agent.settings.agent import AgentSettings
from agent.store import files
from agent.store import outbox as queue
from agent.store.journal import Moment, connect, transaction

_COLUMNS = """v.visit_id, v.appointment_id, v.prospect_id, v.visit_ms, v.opened_ms, v.unit_names, v.source_title, v.knock_visit_id,
    v.delivered_ms, v.dropped_ms, (SELECT kind FROM journal j WHERE j.appointment_id = v.appointment_id AND kind = 'not_opened' LIMIT 1)
    AS not_opened, o.state, o.attempts, o.doubts, o.next_try_ms, o.words"""
_VISITS = f"SELECT {_COLUMNS} FROM visit v LEFT JOIN outbox o USING (visit_id) ORDER BY v.visit_ms DESC LIMIT :last"  # noqa: S608
_OUTBOX = f"SELECT {_COLUMNS} FROM outbox o JOIN visit v USING (visit_id) ORDER BY o.next_try_ms"  # noqa: S608 - a constant


@click.command()
@config_option
@json_option
@click.option("--last", type=click.IntRange(1, 1_000_000), default=50, show_default=True, help="How many.")
def visits(config_path: Path, as_json: bool, last: int) -> None:
    """The visits that this door recorded, the latest first, whether its door was really opened for it, and where each stands."""
    settings = config.load(config_path)
    _show(_read(settings, _VISITS, {"last": last}), settings, as_json=as_json, has_opened=True)


@click.group()
def outbox() -> None:
    """The visits that Knock does not have yet, dead letters among them."""


@outbox.command("list")
@config_option
@json_option
def list_(config_path: Path, as_json: bool) -> None:
    """Every visit that is still to be sent, held in doubt, or refused by Knock for good, with Knock's words."""
    settings = config.load(config_path)
    _show(_read(settings, _OUTBOX), settings, as_json=as_json)


@outbox.command()
@config_option
@json_option
@click.argument("visit_ids", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All dead letters and all that are held in doubt.")
def retry(config_path: Path, visit_ids: tuple[str, ...], everything: bool, as_json: bool) -> None:
    """Send the visits VISIT_IDS again, or with --all all that wait for a person."""
    if everything == bool(visit_ids):
        raise click.UsageError("name visits, or give --all")
    named = None if everything else list(visit_ids)
    settings = config.load(config_path)
    found = _change(
        settings, {"do": "outbox_retry", "visit_ids": named}, lambda conn, now: {"retried": queue.retry(conn, named, now.at_ms)}
    )
    if as_json:
        print_json({"retried": found["retried"]})
    else:
        click.echo(f"{found['retried']} to be sent again.")
    if named is not None and found["retried"] < len(named):
        click.echo("tourlatch: the others are not in the outbox, or are being sent just now", err=True)
        sys.exit(1)


@outbox.command()
@config_option
@json_option
@click.argument("visit_ids", nargs=-1, required=True)
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(config_path: Path, visit_ids: tuple[str, ...], yes: bool, as_json: bool) -> None:
    """Never send the visits VISIT_IDS. Knock will not hear of them; the journal keeps them, and who dropped them."""
    settings = config.load(config_path)
    if not yes:
        click.confirm(f"Drop {len(visit_ids)} visit(s) for good?", abort=True, err=True)
    named, user = list(visit_ids), _user()
    found = _change(settings, {"do": "outbox_drop", "visit_ids": named}, lambda conn, now: {"dropped": queue.drop(conn, named, now, user)})
    if as_json:
        print_json({"dropped": found["dropped"]})
    else:
        click.echo(f"{len(found['dropped'])} dropped.")
    if len(found["dropped"]) < len(set(named)):
        click.echo("tourlatch: the others are not in the outbox, or are being sent just now", err=True)
        sys.exit(1)


@outbox.command()
@config_option
@click.argument("file", type=click.File("w", encoding="utf-8"), default="-")
def export(config_path: Path, file: Any) -> None:  # noqa: ANN401 - click's text stream
    """Write the queue to FILE, one JSON object a line."""
    # in one piece: an empty queue must empty an older file, too
    lines = [json.dumps(row) + "\n" for row in _read(config.load(config_path), _OUTBOX)]
    file.write("".join(lines))


def _read(settings: AgentSettings, sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    rows = files.rows(settings.store.path, sql, parameters)
    for row in rows:
        row["unit_names"] = json.loads(row["unit_names"])
        row["visit_time"] = to_iso(row["visit_ms"])
        # without a contact nobody knows
        is_not_opened = row.pop("not_opened") is not None
        row["opened"] = True if row["opened_ms"] is not None else False if is_not_opened else None
    return rows


def _user() -> str:
    """Who asks, by the kernel's word and not the environment's."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _change(
    settings: AgentSettings, request: dict[str, Any], work: Callable[[sqlite3.Connection, Moment], dict[str, Any]]
) -> dict[str, Any]:
    """By the running agent; when none runs, in the store itself, held for as long as it takes."""
    try:
        return protocol.ask(settings.control.socket, request)
    except AgentAbsentError:
        path = settings.store.path
        if not path.exists():
            raise
        now_ms = time.time_ns() // 1_000_000
        with files.held(path):
            files.bring_up_to_date(path)
            conn = connect(path, synchronous="FULL")
            try:
                with transaction(conn):
                    return work(conn, Moment(now_ms, Interval(0, now_ms)))
            except sqlite3.Error as error:
                raise StoreError(f"the store {path} cannot be written: {error}") from error
            finally:
                conn.close()


def _show(rows: list[dict[str, Any]], settings: AgentSettings, *, as_json: bool, has_opened: bool = False) -> None:
    if as_json:
        print_json(rows)
        return
    zone = ZoneInfo(settings.time_zone)
    for row in rows:
        when, units = for_people(row["visit_ms"], zone), ", ".join(row["unit_names"]) or "no unit"
        visited = f"{when}  {_opened(row, zone)}" if has_opened else when
        click.echo(f"{row['visit_id']}  {visited}  appointment {row['appointment_id']}  {units}  {_standing(row)}")
    if not rows:
        click.echo("None.")


def _opened(row: dict[str, Any], zone: ZoneInfo) -> str:
    """Whether the door was really opened for the visit."""
    if row["opened_ms"] is not None:
        return f"opened {in_zone(row['opened_ms'], zone):%H:%M}"
    return "opened: unknown" if row["opened"] is None else "not opened"


def _standing(row: dict[str, Any]) -> str:
    if row["knock_visit_id"]:
        return f"delivered as {row['knock_visit_id']}"
    if row["dropped_ms"]:
        return "dropped"
    names = {"due": "to be sent", "sending": "being sent", "in_doubt": "in doubt, held", "dead": "dead letter"}
    tried = f" after {row['attempts']} attempts" if row["attempts"] else ""
    return f"{names[row['state']]}{tried}" + (f": {row['words']}" if row["words"] else "")
