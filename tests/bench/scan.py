"""From the scanner's write to the relay: `make bench`.

Each scan is measured beside a floor in the same run, turn by turn, since machines are shared and noisy: one Ed25519 verification and one
append of as many bytes as the scan's commit writes, synced. The ratio says what everything else costs.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

from agent.core import signature
from agent.demo.stage import Stage

SCANS = 100
COMMIT_BYTES = 8 * (4096 + 24)
"""Pages that a first admission changes, with SQLite's frame heads."""


def floor_ns(log: int, public: bytes, message: bytes, signed: bytes) -> int:
    """One verification, one append, one sync."""
    began_ns = time.monotonic_ns()
    signature.is_genuine(public, message, signed)
    os.write(log, bytes(COMMIT_BYTES))
    os.fdatasync(log)
    return time.monotonic_ns() - began_ns


async def measure(folder: Path) -> tuple[list[int], list[int]]:
    """Ticks of the scans and of the floors, in nanoseconds."""
    stage = Stage(folder, replace={"pulse_s = 0.5": "pulse_s = 0.1"})
    await stage.open()
    seed = bytes(32)
    message = b"x" * 120
    signed = signature.sign(seed, message)
    log = os.open(folder / "floor", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    scans, floors = [], []
    try:
        await stage.start_agent()
        await stage.admin("PUT", "/faults/*", {"kind": "refuse"})
        for number in range(SCANS):
            now = int(time.time())
            start, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now + offset)) for offset in (-60, 600))
            code = stage.sign({"appointmentId": 1000 + number, "prospectId": 5000 + number}, start, end)
            scanned_ns = stage.scan(code)
            released_ns = await stage.relay_record("released", scanned_ns)
            await stage.relay_record("locked", released_ns)
            scans.append(released_ns - scanned_ns)
            floors.append(floor_ns(log, signature.public_key(seed), message, signed))
            await asyncio.sleep(0.02)
    finally:
        os.close(log)
        await stage.close()
    return scans, floors


def main() -> None:
    """Print one table."""
    with tempfile.TemporaryDirectory(prefix="tourlatch-bench-") as folder:
        scans, floors = asyncio.run(measure(Path(folder)))
    out = sys.stdout.write
    out(f"{SCANS} scans, milliseconds      p50      p90      max\n")
    for name, ticks in (("scan to relay", scans), ("floor", floors)):
        tenths = statistics.quantiles(ticks, n=10)
        out(f"{name:26} {statistics.median(ticks) / 1e6:8.3f} {tenths[8] / 1e6:8.3f} {max(ticks) / 1e6:8.3f}\n")
    out(f"p50 is {statistics.median(scans) / statistics.median(floors):.2f} times the floor (one signature check, one synced append)\n")


if __name__ == "__main__":
    main()
