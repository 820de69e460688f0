"""A booking and a property for the tests of letters and calendar files."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from agent.core.booking import BookingState, Person
from agent.core.tour import Window
from agent.desk.records import Booking
from agent.settings.desk import CommunitySettings
from agent.settings.parts import validate

LINK = "https://tours.example.com/tour/abc123-_def"
ANN = Person("Ann", "Lee", "ann@example.com", "+15550100123")
WEEK_MS = 7 * 86_400_000
# 2026-11-01 is the day on which the clocks of Los Angeles go back: 3:00 PM there is UTC-8
WINDOW = Window(1_793_574_000_000, 1_793_575_800_000)

SPANISH = {
    "Self-guided tour of %(community)s": "Visita autoguiada de %(community)s",
    "Your self-guided tour begins in an hour.": "Su visita autoguiada comienza en una hora.",
    "This tour is cancelled.": "Esta visita está cancelada.",
}


def community(**values: Any) -> CommunitySettings:  # noqa: ANN401 - a key of the table [[community]]
    """Juniper Flats, with two doors."""
    made = validate(
        CommunitySettings,
        {
            "id": "1001",
            "slug": "juniper-flats",
            "name": "Juniper Flats",
            "time_zone": "America/Los_Angeles",
            "address": "12 Juniper Street, Springfield, CA 90000",
            "help_phone": "+1 555 0100",
            "units": ["101", "202"],
            "door": [
                {"name": "front", "label": "Main entrance", "directions": "Hold the code to the reader; left of the door."},
                {"name": "annex", "units": ["202"]},
            ],
            **values,
        },
    )
    assert isinstance(made, CommunitySettings)
    return made


def booking(**values: Any) -> Booking:  # noqa: ANN401 - any field
    """A confirmed booking of Ann's."""
    made = Booking(
        booking_id="00112233445566aa",
        submission="form",
        community_id="1001",
        state=BookingState.CONFIRMED,
        window=WINDOW,
        person=ANN,
        sms_consent=None,
        language="en",
        source_title="Property Website",
        unit_names=("101",),
        created_ms=WINDOW.start_ms - WEEK_MS,
        changed_ms=WINDOW.start_ms - WEEK_MS + 2_500,
        appointment_id="900",
        prospect_id="77",
    )
    return replace(made, **values)
