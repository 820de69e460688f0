"""Codes and PINs of confirmed tours: made anew whenever they are shown, never stored.

Rule 1: a code is signed with the desk's present key, whichever signed it first: its id decides at the door, and its text can be made
        as long as the desk has a key.
Rule 2: what Knock says may not fit a code (an id with a space, a time with milliseconds): that is a `TourError`, never a half code.
"""

from __future__ import annotations

import secrets as chance
from dataclasses import dataclass

from agent.core import codes
from agent.core.news import check_title
from agent.core.tour import CODE_ID_BYTES, RosterEntry, Standing, TourCode, Window
from agent.desk.office.values import Pass
from agent.desk.records import Appointment
from agent.desk.secrets import Secrets
from agent.settings.desk import CommunitySettings, DeskSettings, DoorPlace

_MS_A_MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class Tour:
    """The facts of a confirmed tour that a code and the roster are made of."""

    appointment_id: str
    prospect_id: str
    community_id: str
    doors: tuple[str, ...]
    unit_names: tuple[str, ...]
    window: Window
    source_title: str | None
    first_name: str
    booking_id: str | None


class Passes:
    """Makes appointments with fresh codes, and passes of them; `seed` is the signing key's, `key_id` its id."""

    def __init__(self, settings: DeskSettings, secrets: Secrets, seed: bytes, key_id: str) -> None:
        self._communities = settings.by_id()
        self._secrets = secrets
        self._seed = seed
        self._key_id = key_id

    def new(self, tour: Tour) -> Appointment:
        """The appointment with a code that never was; raises `TourError` for facts that do not fit a code, or that no door takes."""
        check_title(tour.source_title or "")
        made = Appointment(
            appointment_id=tour.appointment_id,
            booking_id=tour.booking_id,
            community_id=tour.community_id,
            prospect_id=tour.prospect_id,
            standing=Standing.CONFIRMED,
            code_id=chance.token_hex(CODE_ID_BYTES),
            key_id=self._key_id,
            doors=tour.doors,
            unit_names=tour.unit_names,
            window=tour.window,
            source_title=tour.source_title,
            pin_attempt=0,
            revision=0,
            first_name=tour.first_name,
        )
        # both are made here once, so that nothing is stored of which no code could be shown
        self._text(made)
        RosterEntry(made.appointment_id, made.standing, made.code_id, made.source_title, made.revision)
        return made

    def pin_hashes(self, appointment: Appointment) -> dict[str, str]:
        """What the doors know this appointment's PIN by, at its `pin_attempt`."""
        pin = self._secrets.pin(appointment.code_id, appointment.pin_attempt)
        return self._secrets.pin_hashes(pin, appointment.community_id, appointment.doors)

    def of(self, appointment: Appointment) -> Pass | None:
        """The pass of an appointment; None unless it is confirmed."""
        if appointment.standing is not Standing.CONFIRMED:
            return None
        community = self._communities.get(appointment.community_id)
        before, after = (community.grace_before_min, community.grace_after_min) if community else (0, 0)
        return Pass(
            appointment=appointment,
            code_text=self._text(appointment),
            pin=self._secrets.pin(appointment.code_id, appointment.pin_attempt),
            doors=tuple(_place(community, name) for name in appointment.doors),
            opens_ms=appointment.window.start_ms - before * _MS_A_MINUTE,
            closes_ms=appointment.window.end_ms + after * _MS_A_MINUTE,
        )

    def _text(self, appointment: Appointment) -> str:
        code = TourCode(
            code_id=appointment.code_id,
            appointment_id=appointment.appointment_id,
            prospect_id=appointment.prospect_id,
            community_id=appointment.community_id,
            doors=appointment.doors,
            unit_names=appointment.unit_names,
            window=appointment.window,
            key_id=self._key_id,
        )
        return codes.issue(code, self._seed)


def _place(community: CommunitySettings | None, name: str) -> DoorPlace:
    """A door as the settings describe it; one that they no longer name goes by its name."""
    found = [door for door in community.door if door.name == name] if community else []
    return found[0] if found else DoorPlace(name=name)
