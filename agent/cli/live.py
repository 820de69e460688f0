"""`tourlatch status`, `events`, `unlock`, `lock`: what speaks to the running agent."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from agent import config, protocol
from agent.cli.options import config_option, json_option, print_json
from agent.core.clock import for_people
from agent.errors import AgentAbsentError
from agent.settings.agent import AgentSettings

_RECORDED = "SELECT * FROM (SELECT * FROM journal ORDER BY seq DESC LIMIT :last) ORDER BY seq"


@click.command()
@config_option
@json_option
def status(config_path: Path, as_json: bool) -> None:
    """The live state of each door, its readers, the clock and the queue."""
    settings = config.load(config_path)
    found = protocol.ask(settings.control.socket, {"do": "status"})
    if as_json:
        print_json(found)
        return
    for line in _status_lines(found, settings):
        click.echo(line)


def _status_lines(found: dict[str, Any], settings: AgentSettings) -> list[str]:
    from zoneinfo import ZoneInfo

    lines = [f"tourlatch {found['version']}, community {found['community_id']}, up {found['up_s']} s"]
    for name, door in found["doors"].items():
        readers = ", ".join(f"{reader} {state}" for reader, state in door["readers"].items())
        lines.append(f"door {name}: {door['state']}; readers: {readers}")
        lines += _feed_lines(door["feed"], door["report"])
    clock = found["clock"]
    zone = ZoneInfo(settings.time_zone)
    earliest, latest = clock["earliest_ms"], clock["latest_ms"]
    until = "unknown" if latest is None else for_people(latest, zone)
    lines.append(f"clock: {clock['state']}, between {for_people(earliest, zone)} and {until}")
    lines.append("keys: " + ", ".join(f"{key} {state}" for key, state in found["keys"].items()))
    box = found["outbox"]
    waiting = box["due"] + box["sending"]
    knock = found["knock"]
    links = {None: "not asked yet", True: "reached", False: f"not reached ({knock['failures']} failures)"}
    link = links[knock["is_up"]]
    dead, doubt = box["dead"], box["in_doubt"]
    lines.append(f"outbox: {waiting} to send, {doubt} held in doubt, {dead} dead letters, {box['doubts']} answers lost; Knock {link}")
    if found["unwritten"]:
        lines.append(f"journal: {found['unwritten']} entries could not be written since the start: check the disk's space and health")
    return lines


def _feed_lines(feed: dict[str, Any] | None, report: dict[str, Any] | None) -> list[str]:
    """How well a door is informed; nothing for one that asks no desk."""
    if feed is None or report is None:
        return []
    heard = "never heard" if feed["heard_s"] is None else f"heard {feed['heard_s']} s ago"
    skipped = f", {feed['skipped']} not understood" if feed["skipped"] else ""
    lines = [f"  desk: {feed['state']}, {heard}; {feed['applied']} entries of the roster{skipped}"]
    lines += [f"  desk: {feed['trouble']}"] if feed["trouble"] else []
    # while nothing is heard nothing is reported, either, and one trouble is enough
    return lines + ([f"  desk: the report was not taken: {report['trouble']}"] if report["trouble"] and not feed["trouble"] else [])


@click.command()
@config_option
@click.option("--follow", is_flag=True, help="Each event as it happens, until the agent stops.")
@click.option("--last", type=click.IntRange(1, 100_000), default=20, show_default=True, help="How many recorded ones.")
def events(config_path: Path, follow: bool, last: int) -> None:
    """One JSON object a line: the journal's last entries, or with --follow what happens from now on."""
    settings = config.load(config_path)
    if not follow:
        from agent.store import files

        for row in files.rows(settings.store.path, _RECORDED, {"last": last}):
            row["detail"] = json.loads(row["detail"])
            print_json({name: value for name, value in row.items() if value is not None})
        return
    with suppress(KeyboardInterrupt):  # Ctrl-C is how following ends
        for event in protocol.stream(settings.control.socket, {"do": "events"}):
            event.pop("ok", None)
            print_json(event)


@click.command()
@config_option
@json_option
@click.argument("door")
@click.option("--reason", required=True, help="Why, for the journal.")
def unlock(config_path: Path, door: str, reason: str, as_json: bool) -> None:
    """Open DOOR once, by order of staff; who and why go to the journal before the lock moves."""
    settings = config.load(config_path)
    protocol.ask(settings.control.socket, {"do": "unlock", "door": door, "reason": reason})
    if as_json:
        print_json({"unlocked": door})
        return
    # the agent may have been started with another file than this one
    lasts = [f" for {known.pulse_s} s" for known in settings.door if known.name == door]
    click.echo(f"{door} is unlocked{''.join(lasts)}.")


@click.command()
@config_option
@json_option
def lock(config_path: Path, as_json: bool) -> None:
    """Lock every door now: by the running agent, or by driving the relays from here when none runs."""
    settings = config.load(config_path)
    try:
        doors = protocol.ask(settings.control.socket, {"do": "lock"})["doors"]
    except AgentAbsentError:
        from agent.daemon.lines import lock_all

        doors = lock_all(settings)
    if as_json:
        print_json({"locked": doors})
        return
    click.echo(f"Locked: {', '.join(doors)}.")
