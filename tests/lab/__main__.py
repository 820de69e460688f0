"""Every step on the emulated board, in order; 1 at the first that fails."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

from tests.lab.board import Lab, sh
from tests.lab.board_desk import DeskLab


def main() -> int:
    """The agent alone first, then with the desk beside it."""
    lab = Lab()
    desk = DeskLab(lab)
    agent_steps = (
        lab.install,
        lab.start,
        lab.grant,
        partial(lab.end_in_pulse, "KILL", 30),
        partial(lab.end_in_pulse, "STOP", 60),
        lab.stop,
        lab.count,
    )
    desk_steps = (desk.start, desk.join, desk.book, desk.open, desk.crash, desk.keep_apart, desk.heal, desk.cancel, desk.stop, desk.count)
    try:
        for step in agent_steps + desk_steps:
            step()
    except (RuntimeError, subprocess.TimeoutExpired) as error:
        print(f"FAILED: {error}")
        print(sh("journalctl -u tourlatch -u 'tourlatch-desk' --no-pager -o cat | tail -60", is_needed=False))
        return 1
    print(f"{len(lab.rows)} passed, 0 failed")
    return 0


if __name__ == "__main__":
    sys.exit(main())
