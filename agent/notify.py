"""systemd's notification datagrams (sd_notify(3)), and its watchdog."""

from __future__ import annotations

import os
import socket


class Notifier:
    """Speaks to the socket that systemd named in the environment; without one it says nothing."""

    def __init__(self, address: str | None) -> None:
        self._address = None if address is None else ("\0" + address[1:] if address.startswith("@") else address)

    @classmethod
    def from_environment(cls) -> Notifier:
        """As systemd started us."""
        return cls(os.environ.get("NOTIFY_SOCKET"))

    def tell(self, *lines: str) -> None:
        """Send `READY=1`, `STATUS=…`, `WATCHDOG=1` or `STOPPING=1`; a deaf systemd is not our fault and stops nothing."""
        if self._address is None:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as datagram:
            try:
                datagram.sendto("\n".join(lines).encode(), self._address)
            except OSError:
                return


def watchdog_s() -> float | None:
    """Seconds after which systemd kills a silent agent, or None when it does not watch this process."""
    limit_us, pid = os.environ.get("WATCHDOG_USEC"), os.environ.get("WATCHDOG_PID")
    if limit_us is None or not limit_us.isdigit() or pid not in (None, str(os.getpid())):
        return None
    return int(limit_us) / 1_000_000
