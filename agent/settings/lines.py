"""The tables of a door's lines: what drives something (relays, lamps, a buzzer) and what is watched (contacts, buttons, panels)."""

from __future__ import annotations

from typing import Annotated, Literal

from agent.settings.parts import AbsolutePath, Field, Part, model_validator

Pin = Annotated[int, Field(strict=True, ge=0, le=53)]
Chip = Annotated[int, Field(strict=True, ge=0, le=15)] | None


class GpioRelay(Part):
    """The table `[door.relay]` with the driver `gpio`."""

    driver: Literal["gpio"]
    """A relay board on a line of the Pi's header."""
    pin: Pin
    """The line's BCM number (GPIO17 is 17)."""
    active: Literal["high", "low"]
    """The level at which the relay releases the lock. There is no default: measure it."""
    chip: Chip = None
    """The number in /dev/gpiochip…; left out, the board's own."""


class PlayedRelay(Part):
    """The table `[door.relay]` with the driver `played`."""

    driver: Literal["played"]
    """No device: the level is kept in a file, for demos and training."""
    path: AbsolutePath
    """The file that holds the level, with a record of every change in <path>.log."""


AnyRelay = Annotated[GpioRelay | PlayedRelay, Field(discriminator="driver")]
_Delay = Annotated[float, Field(strict=True, ge=0, le=60)]
_Pulse = Annotated[float, Field(strict=True, ge=0.1, le=60)]


class _Second(Part):
    delay_s: _Delay = 0.5
    """How long after the lock's release it begins."""
    pulse_s: _Pulse = 1.0
    """How long it is energised."""


class GpioSecondRelay(GpioRelay, _Second):
    """The table `[door.second_relay]` with the driver `gpio`: a door operator or a bell."""

    active: Literal["high", "low"]
    """The level at which the relay is energised. There is no default: measure it."""


class PlayedSecondRelay(PlayedRelay, _Second):
    """The table `[door.second_relay]` with the driver `played`."""


AnySecondRelay = Annotated[GpioSecondRelay | PlayedSecondRelay, Field(discriminator="driver")]


class GpioInput(Part):
    """A watched line with the driver `gpio`."""

    driver: Literal["gpio"]
    """A line of the Pi's header."""
    pin: Pin
    """The line's BCM number (GPIO22 is 22)."""
    active: Literal["high", "low"]
    """The level when the door is open, the button is pressed, there is fire, or somebody tampers. There is no default: measure it."""
    normally: Literal["open", "closed"]
    """Whether the circuit is open or closed while nothing is the matter: NO or NC, as its data sheet says."""
    pull: Literal["up", "down", "none"] = "up"
    """The chip's own pull resistor; `none` where the circuit has one."""
    chip: Chip = None
    """The number in /dev/gpiochip…; left out, the board's own."""
    debounce_ms: Annotated[int, Field(strict=True, ge=0, le=2000)] = 30
    """A level counts once it has stood for this long."""

    @model_validator(mode="after")
    def _consistent(self) -> GpioInput:
        """With a pull of the chip's own the switch goes to the other rail, so the level at rest is known: active must be the other one."""
        if self.pull != "none":
            is_high_at_rest = (self.pull == "up") == (self.normally == "open")
            if is_high_at_rest == (self.active == "high"):
                rest = "high" if is_high_at_rest else "low"
                raise ValueError(
                    f"contradicts itself: normally {self.normally} with the pull {self.pull} the line is {rest} at rest, "
                    f'so active = "{rest}" would be at rest, too. Correct active, normally or pull'
                )
        return self


class PlayedInput(Part):
    """A watched line with the driver `played`."""

    driver: Literal["played"]
    """No device: the file holds `1` while it is active, for demos and training."""
    path: AbsolutePath
    """The file; it is made with `0` when it is not there."""
    debounce_ms: Annotated[int, Field(strict=True, ge=0, le=2000)] = 30
    """A level counts once it has stood for this long."""


AnyInput = Annotated[GpioInput | PlayedInput, Field(discriminator="driver")]


class _Contact(Part):
    held_warn_s: Annotated[int, Field(strict=True, ge=1, le=3600)] = 30
    """A door that stands open for this long is held: feedback warns."""
    held_alarm_s: Annotated[int, Field(strict=True, ge=1, le=7200)] = 60
    """For this long: an alarm."""

    @model_validator(mode="after")
    def _ordered(self) -> _Contact:
        if self.held_alarm_s < self.held_warn_s:
            raise ValueError(f"held_alarm_s ({self.held_alarm_s}) comes before held_warn_s ({self.held_warn_s})")
        return self


class GpioContact(GpioInput, _Contact):
    """The table `[door.contact]` with the driver `gpio`."""


class PlayedContact(PlayedInput, _Contact):
    """The table `[door.contact]` with the driver `played`."""


AnyContact = Annotated[GpioContact | PlayedContact, Field(discriminator="driver")]


class _Rex(Part):
    suppress_s: Annotated[int, Field(strict=True, ge=1, le=60)] = 8
    """An opening within this long after the button is no forced one."""
    unlocks: bool = False
    """Whether the button also pulses the relay. Leaving must never need it: the button is wired to the lock."""


class GpioRex(GpioInput, _Rex):
    """The table `[door.rex]` with the driver `gpio`."""


class PlayedRex(PlayedInput, _Rex):
    """The table `[door.rex]` with the driver `played`."""


AnyRex = Annotated[GpioRex | PlayedRex, Field(discriminator="driver")]


class GpioLamp(GpioRelay):
    """A lamp or a buzzer with the driver `gpio`."""

    active: Literal["high", "low"]
    """The level at which it is lit, or sounds. There is no default."""


AnyLamp = Annotated[GpioLamp | PlayedRelay, Field(discriminator="driver")]


class FeedbackSettings(Part):
    """The table `[door.feedback]`: lamps and a buzzer, each a line like a relay's."""

    green: AnyLamp | None = None
    """Lit: come in."""
    red: AnyLamp | None = None
    """Lit: stay out."""
    buzzer: AnyLamp | None = None
    """Sounds."""
