"""How much a camera reads: `make bench`, or `python -m tests.bench.camera`.

Real tour codes, drawn as a camera may see them, each kind of trouble at rising levels; the share that was read, and what a picture costs.
A share of one half is a code read within a few tenths of a second, for a camera takes eight pictures a second.
"""

from __future__ import annotations

import statistics
import sys
import time

from agent.camera import decode
from tests.camera import scene

PICTURES = 20
LEVELS: list[tuple[scene.Trouble, str, tuple[float, ...]]] = [
    (scene.small, "pixels a module", (4, 3, 2.5, 2.2, 2, 1.8, 1.6, 1.4)),
    (scene.blurred, "modules of blur", (0.2, 0.3, 0.4, 0.45, 0.5, 0.6)),
    (scene.smeared, "modules moved", (0.5, 1, 1.3, 1.6, 2)),
    (scene.turned, "degrees", (15, 45, 90, 137, 180)),
    (scene.tilted, "degrees away", (20, 40, 50, 55, 60, 65, 70)),
    (scene.dimmed, "white, of 255", (120, 60, 30, 20, 15, 10)),
    (scene.grainy, "noise, deviation", (10, 20, 30, 40, 50, 60, 80)),
    (scene.glared, "of the side across", (0.1, 0.2, 0.3, 0.4, 0.5)),
    (scene.creased, "degrees of fold", (5, 10, 15, 20, 30, 40)),
    (scene.shaded, "of the light left", (0.5, 0.3, 0.2, 0.1, 0.05)),
    (scene.inverted, "pixels a module", (4, 3, 2.5, 2.2, 2)),
    (scene.everyday, "pixels a module", (4, 3.5, 3, 2.5, 2.2, 2)),
]


def main() -> int:
    """Print one table; 1 if any picture was read as another text than its code."""
    out = sys.stdout.write
    wrong, costs_ms = 0, []
    text = scene.tour_code(0)
    out(f"{PICTURES} pictures each of codes of {scene.modules(text)} x {scene.modules(text)} modules; level and share that was read\n")
    for trouble, unit, levels in LEVELS:
        out(f"{trouble.__name__:9} {unit:19}")
        for level in levels:
            read = 0
            for number in range(PICTURES):
                text = scene.tour_code(number)
                picture = scene.picture(trouble, text, level, number)
                began_ns = time.monotonic_ns()
                found = decode.codes_in(picture)
                costs_ms.append((time.monotonic_ns() - began_ns) / 1e6)
                read += found == [text]
                wrong += found not in ([], [text])
            out(f" {level:5g} {read / PICTURES:4.0%}")
            sys.stdout.flush()
        out("\n")
    tenths = statistics.quantiles(costs_ms, n=10)
    out(f"{len(costs_ms)} pictures of {scene.SIZE[0]} x {scene.SIZE[1]}, read as another text: {wrong}; ")
    out(f"milliseconds a picture: p50 {statistics.median(costs_ms):.1f}, p90 {tenths[8]:.1f}\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
