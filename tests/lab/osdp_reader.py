"""An OSDP reader: libosdp's peripheral side behind a pseudo-terminal, told on standard input what befalls it.

usage: osdp_reader.py PATH KEY; then lines: `card BITS`, `keys KEYS`, `tamper 0|1`
"""

from __future__ import annotations

import os
import select
import shutil
import sys
import time
import tty
from pathlib import Path

import osdp_sys

STEP_S = 0.004
CODES = (osdp_sys.CAP_COMMUNICATION_SECURITY, osdp_sys.CAP_READER_LED_CONTROL, osdp_sys.CAP_READER_AUDIBLE_OUTPUT)


class Wire:
    """The line, as libosdp wants it."""

    id = 0

    def __init__(self, path: str) -> None:
        self._master, line = os.openpty()
        tty.setraw(line)
        os.set_blocking(self._master, False)
        shutil.chown(os.ttyname(line), group="dialout")
        Path(os.ttyname(line)).chmod(0o660)
        new = Path(f"{path}.new")
        new.unlink(missing_ok=True)
        new.symlink_to(os.ttyname(line))
        new.replace(path)

    def read(self, max_bytes: int) -> bytes:
        """What came."""
        try:
            return os.read(self._master, max_bytes)
        except OSError:
            return b""

    def write(self, data: bytes) -> int:
        """Answer."""
        return os.write(self._master, data)

    def flush(self) -> None:
        """Nothing is kept."""


def events(order: str) -> list[dict[str, object]]:
    """What an order makes happen."""
    what, value = order.split()
    if what == "card":
        data = int(value.ljust((len(value) + 7) // 8 * 8, "0"), 2).to_bytes((len(value) + 7) // 8, "big")
        read = {"event": osdp_sys.EVENT_CARDREAD, "reader_no": 0, "format": osdp_sys.CARD_FMT_RAW_WIEGAND, "direction": 0}
        return [read | {"length": len(value), "data": data}]
    if what == "tamper":
        report = bytes([int(value), 0])
        return [{"event": osdp_sys.EVENT_STATUS, "type": osdp_sys.STATUS_REPORT_LOCAL, "report": report}]
    codes = {"#": 0x0D, "*": 0x7F}
    return [{"event": osdp_sys.EVENT_KEYPRESS, "reader_no": 0, "data": bytes([codes.get(key, ord(key))])} for key in value]


def main() -> int:
    """Live until standard input ends."""
    osdp_sys.set_loglevel(osdp_sys.LOG_EMERG)
    info = {"name": "reader", "address": 0, "flags": 0, "channel": Wire(sys.argv[1]), "scbk": bytes.fromhex(sys.argv[2])}
    info |= {"version": 1, "model": 1, "vendor_code": 1, "serial_number": 1, "firmware_version": 1}
    has = [{"function_code": code, "compliance_level": 1, "num_items": 1} for code in CODES]
    device = osdp_sys.PeripheralDevice(info, capabilities=has)
    device.set_command_callback(lambda _command: (0, None))
    while True:
        if select.select([sys.stdin], [], [], 0)[0]:
            order = sys.stdin.readline()
            if not order:
                return 0
            for event in events(order):
                device.submit_event(event)
        device.refresh()
        time.sleep(STEP_S)


if __name__ == "__main__":
    sys.exit(main())
