"""`tourlatch status`, `events`, `unlock`, `lock`: what speaks to the running agent."""

from __future__ import annotations

import json
import re
import time
from contextlib import suppress
from datetime import timedelta, tzinfo
from pathlib import Path
from typing import Any

import click

from agent import config, protocol
from agent.cli.options import config_option, json_option, print_json
from agent.core.clock import for_people, from_datetime, in_zone
from agent.errors import AgentAbsentError
from agent.settings.agent import AgentSettings
from agent.settings.door import DoorSettings

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

    zone = ZoneInfo(settings.time_zone)
    lines = [f"tourlatch {found['version']}, community {found['community_id']}, up {found['up_s']} s"]
    for name, door in found["doors"].items():
        readers = ", ".join(f"{reader} {state}" for reader, state in door["readers"].items())
        lines.append(f"door {name}: {_lock_words(door, zone)}; readers: {readers}")
        lines += _line_lines(door)
        lines += _feed_lines(door["feed"], door["report"])
    clock = found["clock"]
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


_LOCK_WORDS = {
    "office": "held unlocked",
    "office_admitting": "held unlocked",
    "fire": "released by fire",
    "fire_admitting": "released by fire",
}
_LEAF_WORDS = {
    "unknown": "nobody knows whether it is shut",
    "held": "held open",
    "alarm": "held open, ALARM",
    "forced": "FORCED open",
}


def _lock_words(door: dict[str, Any], zone: tzinfo) -> str:
    """The lock and the leaf: `locked, shut`."""
    until_ms = door["hold_open_until_ms"]
    words = [_LOCK_WORDS.get(door["lock"], door["lock"]) + (f" until {for_people(until_ms, zone)}" if until_ms is not None else "")]
    if door["leaf"] is not None:
        words.append(_LEAF_WORDS.get(door["leaf"], door["leaf"]))
    return ", ".join([*words, *(["TAMPER"] if door["tamper"] else [])])


def _line_lines(door: dict[str, Any]) -> list[str]:
    """The door's inputs, its second relay and what fails of its lamps; nothing for a door that has none."""
    inputs = [f"{name} {state}" for name, state in door["inputs"].items()]
    rex = {"active": ["request-to-exit active"], "stuck": ["request-to-exit STUCK"]}.get(door.get("rex", ""), [])
    lamps = [f"{name} {state}" for name, state in door.get("lamps", {}).items() if state != "ready"]
    second = [f"second relay {door['second_relay']}"] if door["second_relay"] is not None else []
    found = [*inputs, *rex, *second, *lamps]
    return [f"  lines: {', '.join(found)}"] if found else []


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
@click.option("--until", metavar="HH:MM|+MINm", help="Hold it unlocked until a time of the day at the property, or for so many minutes.")
def unlock(config_path: Path, door: str, reason: str, until: str | None, as_json: bool) -> None:
    """Open DOOR once, or with --until hold it unlocked, by order of staff; who and why go to the journal before the lock moves.

    A door that is held unlocked is locked by `tourlatch lock`, by the time, and whenever the agent stops.
    """
    from zoneinfo import ZoneInfo

    settings = config.load(config_path)
    zone = ZoneInfo(settings.time_zone)
    until_ms = None if until is None else _instant(until, zone, time.time_ns() // 1_000_000)
    request = {"do": "unlock", "door": door, "reason": reason} | ({} if until_ms is None else {"until_ms": until_ms})
    answer = protocol.ask(settings.control.socket, request)
    if as_json:
        print_json({"unlocked": door} | ({} if until_ms is None else {"until_ms": until_ms}))
        return
    if until_ms is not None:
        click.echo(f"{door} is held unlocked until {for_people(until_ms, zone)}.")
        return
    if answer.get("state") in ("fire", "office"):
        click.echo(f"{door} is unlocked already, {'by fire' if answer['state'] == 'fire' else 'by staff who hold it so'}; it is journaled.")
        return
    # the agent may have been started with another file than this one
    lasts = [f" for {_release_s(known)} s" for known in settings.door if known.name == door]
    click.echo(f"{door} is unlocked{''.join(lasts)}.")


def _release_s(door: DoorSettings) -> str:
    return f"at most {door.max_pulse_s}" if door.lock.mode == "hold" else f"{door.pulse_s}"


def _instant(until: str, zone: tzinfo, now_ms: int) -> int:
    """The instant that is meant: so many minutes from now, or when the clocks of the property next show that time."""
    if minutes := re.fullmatch(r"\+([0-9]{1,4})m", until):
        return now_ms + int(minutes[1]) * 60_000
    if not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", until):
        raise click.BadParameter(f"{until!r} is neither a time like 17:30 nor a number of minutes like +30m", param_hint="--until")
    now = in_zone(now_ms, zone)
    today = now.replace(hour=int(until[:2]), minute=int(until[3:]), second=0, microsecond=0)
    # where clocks are set back, a time comes twice in a day
    shown = [from_datetime((today + timedelta(days=days)).replace(fold=fold)) for days in (0, 1) for fold in (0, 1)]
    return min(instant for instant in shown if instant > now_ms)


@click.command()
@config_option
@json_option
def lock(config_path: Path, as_json: bool) -> None:
    """Lock every door now: by the running agent, or by driving the relays from here when none runs. Where there is fire, none is."""
    settings = config.load(config_path)
    try:
        answer = protocol.ask(settings.control.socket, {"do": "lock"})
        doors, in_fire, is_order = answer["doors"], answer.get("in_fire", []), True
    except AgentAbsentError:
        from agent.daemon.lines import lock_all

        left = lock_all(settings)
        # after a stop systemd asks for this: with every door in fire all is as it should be
        doors, in_fire, is_order = left.locked, left.in_fire, False
    if as_json:
        print_json({"locked": doors} | ({"in_fire": in_fire} if in_fire else {}))
    elif doors:
        click.echo(f"Locked: {', '.join(doors)}.")
    if in_fire:
        click.echo(f"tourlatch: in fire, against which nothing locks: {', '.join(in_fire)}", err=True)
    if is_order and not doors:
        click.get_current_context().exit(1)
