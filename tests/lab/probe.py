"""Run inside the unit's sandbox: tries one thing after the other, and prints which of them it could do."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import socket
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

LIBC = ctypes.CDLL(None, use_errno=True)
DEVICES = ("/dev/gpiochip0", "/dev/vda", "/dev/mem", "/dev/kmsg", "/dev/uinput", "/dev/fuse", "/dev/console", "/dev/hidg0")
OWN = ("/var/lib/lab-probe", "/run/lab-probe", "/tmp")
OTHERS = (
    "/",
    "/etc",
    "/etc/tourlatch",
    "/usr",
    "/opt/tourlatch/venv/",
    "/var",
    "/var/lib",
    "/var/lib/tourlatch",
    "/run",
    "/home",
)
ROOTS = ("/root", "/dev")
FILES = ("/proc/cpuinfo", "/root/keys", "/home/lab/secret", "/etc/tourlatch/credentials/knock-appointment-key", "/dev/kmsg")
FAMILIES = {"unix": 1, "inet": 2, "inet6": 10, "netlink": 16, "packet": 17, "can": 29, "bluetooth": 31, "alg": 38, "vsock": 40}
KINDS = dict.fromkeys(("netlink", "packet", "can", "bluetooth"), socket.SOCK_RAW) | {"alg": socket.SOCK_SEQPACKET}
CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
PTRACE_ATTACH = 16
SYS_FINIT_MODULE = 313
ADDR_COMPAT = 0x0008


def done(result: int) -> None:
    """Raise for a call of the C library's that failed."""
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def device(path: str) -> None:
    """Open for reading and writing."""
    os.close(os.open(path, os.O_RDWR | os.O_NONBLOCK))


def write(folder: str) -> None:
    """Make a file and take it away."""
    path = Path(folder) / ".lab-probe"
    path.touch()
    path.unlink()


def read(path: str) -> None:
    """One byte of a file, or a folder's list."""
    if Path(path).is_dir():
        next(Path(path).iterdir(), None)
    else:
        with Path(path).open("rb", buffering=0) as file:
            file.read(1)


def credential(name: str) -> None:
    """What systemd hands over, as it was written."""
    if (Path(os.environ["CREDENTIALS_DIRECTORY"]) / name).read_text() != "lab\n":
        raise OSError("another text")


def set_user_id() -> None:
    """A file that gives its owner's rights to whoever runs it."""
    path = Path("/var/lib/lab-probe/.lab-probe")
    path.touch()
    try:
        path.chmod(0o4755)
    finally:
        path.unlink()


def another_user() -> None:
    """In a child: become another user."""
    child = os.fork()
    if not child:
        try:
            os.setuid(1)
        except OSError:
            os._exit(1)
        os._exit(0)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise OSError("refused")


def written_and_executed() -> None:
    """A page that is both."""
    mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()


def open_socket(name: str) -> None:
    """A socket of a family."""
    socket.socket(FAMILIES[name], KINDS.get(name, socket.SOCK_STREAM)).close()


def tried(what: Callable[[], object]) -> bool:
    """Whether it was done."""
    try:
        what()
    except (OSError, ValueError):
        return False
    return True


def main() -> int:
    """Every thing by its name; one JSON object."""
    found: dict[str, bool] = {}
    for path in DEVICES:
        found[f"device {path}"] = tried(partial(device, path))
    for folder in OWN + OTHERS + ROOTS:
        found[f"write {folder}"] = tried(partial(write, folder))
    for path in FILES:
        found[f"read {path}"] = tried(partial(read, path))
    for name in FAMILIES:
        found[f"socket {name}"] = tried(partial(open_socket, name))
    found["credential knock-appointment-key"] = tried(lambda: credential("knock-appointment-key"))
    for name, call in {
        "mount": lambda: done(LIBC.mount(b"none", b"/run/lab-probe", b"tmpfs", 0, None)),
        "new user namespace": lambda: done(LIBC.unshare(CLONE_NEWUSER)),
        "new network namespace": lambda: done(LIBC.unshare(CLONE_NEWNET)),
        "reboot": lambda: done(LIBC.reboot(0x89ABCDEF)),  # only lets Ctrl-Alt-Del do it, and asks for the same right
        "set the clock": lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()),
        "real-time scheduling": lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
        "load a module": lambda: done(LIBC.syscall(SYS_FINIT_MODULE, os.open("/etc/passwd", os.O_RDONLY), b"", 0)),
        "trace a process": lambda: done(LIBC.ptrace(PTRACE_ATTACH, os.getppid(), None, None)),
        "memory written and executed": written_and_executed,
        "set-user-id file": set_user_id,
        "another user": another_user,
        "32-bit personality": lambda: done(LIBC.personality(ADDR_COMPAT)),
        "see pid 1": lambda: Path("/proc/1/status").read_text(),
    }.items():
        found[name] = tried(call)
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
