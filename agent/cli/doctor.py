"""`tourlatch doctor`."""

from __future__ import annotations

import signal
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agent import config, protocol
from agent.cli.options import config_option, json_option, print_json
from agent.errors import AgentAbsentError, AgentError, ConfigError

if TYPE_CHECKING:
    from agent.doctor.walk import Verdict
    from agent.settings.agent import AgentSettings
    from agent.settings.door import DoorSettings


class _Terminal:
    """The installer at the terminal; with `--json` what is said goes to stderr."""

    def __init__(self, *, is_aside: bool) -> None:
        self._is_aside = is_aside

    def say(self, sentence: str) -> None:
        """Tell something."""
        click.echo(sentence, err=self._is_aside)

    def ask(self, question: str) -> bool:
        """Yes or no; only a y is a yes."""
        return click.confirm(question, default=False, err=self._is_aside)


@click.command()
@config_option
@json_option
@click.option("--wiring", is_flag=True, help="Walk through each wire of each door; the agent must be stopped.")
@click.option("--door", "door_name", help="With --wiring: this door alone.")
@click.option("--again", is_flag=True, help="With --wiring: also what was seen to move before.")
def doctor(config_path: Path, as_json: bool, wiring: bool, door_name: str | None, again: bool) -> None:
    """Look after this board: pins, readers, clock, disk, keys, and what the running agent says.

    With --wiring every relay, lamp, contact, button and reader of a door has to be seen to move before the door is called ready. What was
    seen is remembered until its wiring is changed. Exit status 1 when anything is at fault; with --wiring, when a door is not ready.
    """
    if (door_name or again) and not wiring:
        raise click.UsageError("--door and --again go with --wiring")
    settings = config.load(config_path)
    is_well = _walk(settings, door_name, again=again, as_json=as_json) if wiring else _examine(settings, as_json=as_json)
    if not is_well:
        click.get_current_context().exit(1)


def _examine(settings: AgentSettings, *, as_json: bool) -> bool:
    from agent.doctor.checks import Grade, examine
    from agent.doctor.devices import BoardDevices

    grades = set()
    found = []
    for finding in examine(settings, BoardDevices(settings)):
        grades.add(finding.grade)
        found.append(asdict(finding))
        if not as_json:
            click.echo(f"{finding.grade.value:4}  {finding.subject}: {finding.words}")
    if as_json:
        print_json(found)
    return Grade.FAIL not in grades


def _walk(settings: AgentSettings, door_name: str | None, *, again: bool, as_json: bool) -> bool:
    from agent.doctor.devices import BoardDevices
    from agent.doctor.record import Record
    from agent.doctor.walk import Walk
    from agent.store import files

    doors = _chosen(settings, door_name)
    _refuse_beside_an_agent(settings)
    # a line that was dropped or a service that stops ends the walk as Ctrl-C does: every lock locked, every line given back
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, _leave)
    with files.held(settings.store.path):
        walk = Walk(BoardDevices(settings), Record.of(settings), _Terminal(is_aside=as_json), now=_now)
        verdicts = [walk.door(door, again=again) for door in doors]
    _tell(verdicts, as_json=as_json)
    return all(verdict.is_ready for verdict in verdicts)


def _leave(number: int, _frame: object) -> None:
    sys.exit(128 + number)


def _chosen(settings: AgentSettings, name: str | None) -> list[DoorSettings]:
    found = [door for door in settings.door if name in (None, door.name)]
    if not found:
        raise ConfigError(f"there is no door {name!r}; there are: {', '.join(door.name for door in settings.door)}")
    return found


def _refuse_beside_an_agent(settings: AgentSettings) -> None:
    try:
        protocol.ask(settings.control.socket, {"do": "status"})
    except AgentAbsentError:
        return
    raise AgentError("the agent runs and holds the lines: stop it first (sudo systemctl stop tourlatch), the doors stay locked")


def _tell(verdicts: list[Verdict], *, as_json: bool) -> None:
    if as_json:
        print_json([{"door": found.door, "is_ready": found.is_ready, "unseen": found.unseen, "count": found.count} for found in verdicts])
        return
    for found in verdicts:
        click.echo(found.words)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
