"""Gives an OSDP reader in its set-up mode a key of its own.

The key travels under the default key, which everybody knows: whoever listens on the wires then has it. A short cable on a table.

Rule 1: only a reader that accepts the default key gets one, and never in the clear.
Rule 2: it has the key only when a secure channel by that key has come up.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from drivers.base import DriverError
from drivers.osdp_panel import Event, Panel, Slot, Wire, library
from drivers.serial_port import open_port, words

STEP_S = 0.01


class _Talk:
    """What the reader has answered so far."""

    def __init__(self) -> None:
        self._sys = library()
        self.is_key_sent = False
        self.has_answered = False
        self.has_channel = False
        self.is_online: bool | None = None

    def on_event(self, _place: int, event: Event) -> None:
        """What libosdp tells."""
        sys = self._sys
        if event["event"] != sys.EVENT_NOTIFICATION:
            return
        if event["type"] == sys.EVENT_NOTIFICATION_SC_STATUS:
            is_up, is_by_default_key = bool(event["arg0"]), bool(event["arg1"])
            self.has_channel = is_up and not is_by_default_key
            # libosdp sends the key as soon as the channel by the default key is up.
            self.is_key_sent = self.is_key_sent or (is_up and is_by_default_key)
        elif event["type"] == sys.EVENT_NOTIFICATION_PD_STATUS:
            self.is_online = bool(event["arg0"])


def set_key(
    port: str, *, baud: int, address: int, key: bytes, timeout_s: float = 20.0, is_broken_off: Callable[[], bool] = lambda: False
) -> bool:
    """Set the secure channel base key of the reader at `address`; `is_broken_off` says that somebody does not want to wait any more.

    True: the reader has answered by that key. False: the key was sent, and whether the reader has taken it is not known.
    Raises `DriverError` when no key was sent: the reader does not answer, or is not in its set-up mode, or it was broken off before;
    `DeviceMissingError` for the port.
    """
    name = f"at address {address}"
    talk = _Talk()

    def admit(reply: object, _asked: int) -> bool:
        talk.has_answered = True
        return bool(getattr(reply, "is_fit", False))

    device = open_port(name, port, baud)
    wire = Wire(admit)
    wire.plug(device)
    panel = Panel(wire, [Slot(address, key)], talk.on_event, sets_key=True)
    end_s = time.monotonic() + timeout_s
    try:
        while talk.is_online is None and wire.error is None and time.monotonic() < end_s and not is_broken_off():
            panel.step()
            time.sleep(STEP_S)
    finally:
        panel.close()
        device.close()
    if talk.is_online and talk.has_channel and talk.is_key_sent:
        return True
    if talk.is_key_sent:
        return False
    if wire.error is not None:
        raise DriverError(f"Reader {name}: lost {port} ({words(wire.error)}). No key was sent.")
    if is_broken_off():
        raise DriverError("Broken off. No key was sent.")
    if not talk.has_answered:
        raise DriverError(f"Reader {name} on {port} does not answer: check its power, A and B, its address and its speed. No key was sent.")
    raise DriverError(f"Reader {name} on {port} is not in its set-up mode: it does not take the default key. No key was sent.")
