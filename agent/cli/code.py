"""`tourlatch code issue`, `show`, `check`."""

from __future__ import annotations

import secrets
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from agent import credentials
from agent.cli.options import DEFAULT_KEYS, config_option, json_option, print_json
from agent.core import codes, signature
from agent.core.clock import FAR_FUTURE_MS, Interval, for_people, from_iso, to_iso
from agent.core.decide import Denied, Facts, Presence, decide
from agent.core.reasons import EXPLANATIONS, Circumstance, for_operator, for_prospect
from agent.core.tour import CODE_ID_BYTES, RosterEntry, Standing, TourCode, TourError, Window
from agent.errors import AgentError, ConfigError
from agent.settings.agent import AgentSettings

keys_option = click.option(
    "-f", "--keys", "folder", type=click.Path(path_type=Path), default=DEFAULT_KEYS, show_default=True, help="The folder of key files."
)


_LATEST_MS = FAR_FUTURE_MS - 366 * 86_400_000
"""A time before this has a date in every zone, and so has the end of any grace after it."""


class _Instant(click.ParamType[int]):
    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:  # noqa: ANN401 - click's signature
        """Milliseconds; a time without an offset is refused."""
        if isinstance(value, int):
            return value
        try:
            instant_ms = from_iso(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if not 0 <= instant_ms < _LATEST_MS:
            self.fail(f"{value!r} is too far from the present", param, ctx)
        return instant_ms


@click.group()
def code() -> None:
    """Make, read and try tour codes."""


@code.command()
@keys_option
@click.option("--key", "key_id", help="The id of the key to sign with, if several can.")
@click.option("--community", required=True, help="Knock's id of the property.")
@click.option("--appointment", required=True, help="Knock's appointmentId.")
@click.option("--prospect", required=True, help="Knock's prospectId.")
@click.option("--door", "doors", required=True, multiple=True, help="A door that it opens; several times for several.")
@click.option("--unit", "units", multiple=True, help="A unit of the tour; several times for several.")
@click.option("--start", type=_Instant(), required=True, help="The tour's start, with offset: 2026-03-31T15:30:00-07:00.")
@click.option("--end", type=_Instant(), required=True, help="The tour's end, with offset.")
@click.option("--png", type=click.Path(path_type=Path, dir_okay=False), help="Write a PNG there.")
@click.option("--svg", type=click.Path(path_type=Path, dir_okay=False), help="Write an SVG there.")
@click.option("--terminal", is_flag=True, help="Draw it here, too.")
@json_option
def issue(*, folder: Path, key_id: str | None, as_json: bool, png: Path | None, svg: Path | None, terminal: bool, **tour: Any) -> None:  # noqa: ANN401 - click's options
    """Make a signed tour code and print its text."""
    seed = credentials.signing_seed(folder, key_id)
    made = _made(seed, **tour)
    try:
        text = codes.issue(made, seed)
    except TourError as error:
        raise ConfigError(str(error)) from error
    from agent import qr

    for path, draw in ((png, qr.png), (svg, qr.svg)):
        if path is not None:
            _write(path, draw(text))
    if as_json:
        print_json({"code": text, "qr_version": qr.version(text), **_claims(made)})
        return
    click.echo(text)
    if terminal:
        click.echo(qr.terminal(text), nl=False)


@code.command()
@keys_option
@json_option
@click.argument("text")
def show(folder: Path, text: str, as_json: bool) -> None:
    """What the code TEXT says, if one of our keys signed it; TEXT may be - for standard input."""
    found = codes.read(_text(text), codes.keyring([file.key for file in credentials.list_keys(folder)]))
    if isinstance(found, codes.Unread):
        raise AgentError(f"{found.reason}: {EXPLANATIONS[found.reason].operator}")
    claims = _claims(found)
    if as_json:
        print_json(claims)
        return
    for name, value in claims.items():
        click.echo(f"{name:15} {', '.join(value) if isinstance(value, tuple) else value}")


@code.command()
@config_option
@json_option
@click.option("--door", required=True, help="The door to decide for.")
@click.option("--at", "at_ms", type=_Instant(), help="At this time instead of now, with offset.")
@click.argument("text")
def check(config_path: Path, as_json: bool, door: str, at_ms: int | None, text: str) -> None:
    """Decide the code TEXT (- for standard input) as DOOR would, without opening it. Exit 0: granted, 1: denied."""
    from agent import config

    settings = config.load(config_path)
    if door not in [known.name for known in settings.door]:
        raise ConfigError(f"there is no door {door!r}; there are: {', '.join(known.name for known in settings.door)}")
    presented, facts = _facts(settings, door, at_ms, _text(text))
    decision = decide(presented, facts, settings.decision_rules())
    zone = ZoneInfo(settings.time_zone)
    answer: dict[str, Any] = {"granted": not isinstance(decision, Denied)}
    if isinstance(decision, Denied):
        doors = decision.code.doors if decision.code else ()
        circumstance = Circumstance(zone, settings.help_phone, facts.now.earliest_ms, decision.time_ms, doors)
        answer["reason"] = decision.reason.value
        answer |= {"prospect": for_prospect(decision.reason, circumstance), "operator": for_operator(decision.reason, circumstance)}
    elif decision.is_passback and facts.presence is not None:
        answer["passback"] = facts.presence.door
    if as_json:
        print_json(answer)
    elif answer["granted"]:
        known = "" if "passback" not in answer else f" It is in already, by the door {answer['passback']}, which is journaled."
        click.echo(f"Granted at {for_people(facts.now.earliest_ms, zone)}.{known}")
    else:
        click.echo(f"Denied: {answer['reason']}\n  to the prospect: {answer['prospect']}\n  to the operator: {answer['operator']}")
    sys.exit(0 if answer["granted"] else 1)


def _made(seed: bytes, **tour: Any) -> TourCode:  # noqa: ANN401 - click's options
    try:
        return TourCode(
            code_id=secrets.token_hex(CODE_ID_BYTES),
            appointment_id=tour["appointment"],
            prospect_id=tour["prospect"],
            community_id=tour["community"],
            doors=tuple(tour["doors"]),
            unit_names=tuple(tour["units"]),
            window=Window(tour["start"], tour["end"]),
            key_id=signature.key_id(signature.public_key(seed)).hex(),
        )
    except TourError as error:
        raise ConfigError(str(error)) from error


def _facts(settings: AgentSettings, door: str, at_ms: int | None, text: bytes) -> tuple[TourCode | codes.Unread, Facts]:
    """What that door would know, from its key folder and its store; retired keys are remembered there."""
    from agent.store import files
    from agent.timekeeping import DoorClock, kernel_reading

    path = settings.store.path
    has_store = path.exists()
    retired = {row["key_id"] for row in files.rows(path, "SELECT key_id FROM retired_key")} if has_store else set()
    found = [file.key for file in credentials.list_keys(settings.keys.folder)]
    ring = codes.keyring([codes.PublicKey(key.public, is_retired=key.is_retired or key.key_id in retired) for key in found])
    presented = codes.read(text, ring)
    if at_ms is not None:
        now = Interval(at_ms, at_ms)
    else:
        seen = files.rows(path, "SELECT value FROM mark WHERE name = 'last_seen_ms'") if has_store else []
        now = DoorClock(kernel_reading(), settings.clock.rules(), seen[0]["value"] if seen else 0).now().interval
    if isinstance(presented, codes.Unread) or not has_store:
        return presented, Facts(door, now)
    where = {"appointment": presented.appointment_id, "door": door}
    heard = files.rows(path, "SELECT standing, code_id, source_title FROM roster WHERE appointment_id = :appointment", where)
    used = files.rows(path, "SELECT admissions, last_ms FROM used WHERE appointment_id = :appointment AND door = :door", where)
    came_in = files.rows(path, "SELECT door, since_ms FROM presence WHERE appointment_id = :appointment", where)
    return presented, Facts(
        door,
        now,
        RosterEntry(presented.appointment_id, Standing(heard[0]["standing"]), heard[0]["code_id"]) if heard else None,
        admissions_here=used[0]["admissions"] if used else 0,
        last_ms=used[0]["last_ms"] if used else None,
        presence=Presence(**came_in[0]) if came_in else None,
    )


def _claims(found: TourCode) -> dict[str, Any]:
    claims = asdict(found)
    del claims["window"]
    return {**claims, "start": to_iso(found.window.start_ms), "end": to_iso(found.window.end_ms)}


def _text(text: str) -> bytes:
    """The code as a reader would hand it over; only the line's end is taken off."""
    raw = sys.stdin.buffer.read() if text == "-" else text.encode("utf-8", "surrogateescape")
    return raw.rstrip(b"\r\n")


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise AgentError(f"{path} cannot be written: {error.strerror}") from error
