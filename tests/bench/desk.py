"""One desk process under load: `make bench`.

Landing pages a second, beside a floor in the same run, turn by turn: a bare Starlette application on Uvicorn that says hello. Then idle
doors that wait for news, while tours are cancelled one after the other: by a request to this desk, and by another process on its store,
which the desk has to notice. Then both at once: pages as fast as they come, waiting doors, and cancels. The load comes from processes of
its own. Exit 1 when one desk does not hold what it promises, all of it at the same time.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from agent import credentials
from agent.core.tour import Standing, Window
from agent.demo.front_desk import FrontDesk
from agent.desk.records import Appointment, DoorAccess
from agent.desk.secrets import new_token, token_hash
from agent.desk.store import DeskStore
from agent.sandbox.settings import SandboxSettings
from agent.sandbox.threaded import ThreadedSandbox

DOORS = int(os.environ.get("DOORS", "1000"))
CANCELS = 20
"""Of each kind, at rest and under load."""
CONNECTIONS = 8
ROUNDS = 3
ROUND_S = 3.0
QUIET_S = 10.0
PATIENCE_S = 60.0
PAGES_A_SECOND = 200
"""One process promises so many landing pages a second..."""
WAITING_DOORS = 1000
"""...beside so many doors that wait..."""
HEARD_S = 2.0
"""...each of which has heard of a cancel after so long."""
FILES = 8192
PAGE = "/juniper-flats"
HOST = "127.0.0.1"

Times = list[float]


def main() -> None:
    """Print two tables, or play one of the parts that need a process of their own."""
    part, *arguments = sys.argv[1:] or ["bench"]
    if part == "floor":
        floor(int(arguments[0]))
    elif part == "load":
        asyncio.run(load(int(arguments[0]), arguments[1], float(arguments[2])))
    elif part == "doors":
        asyncio.run(doors(int(arguments[0]), sys.stdin.read().split()))
    elif part == "canceller":
        canceller(Path(arguments[0]))
    else:
        sys.exit(0 if bench() else 1)


def bench() -> bool:
    """All of it in one temporary folder; whether the desk holds what it promises."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, most), most))
    with tempfile.TemporaryDirectory(prefix="tourlatch-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        credentials.new_key(folder / "keys")
        settings = SandboxSettings(port=0, admin_port=0)
        for kind, key in (("appointment", settings.appointment_key), ("prospect", settings.prospect_key)):
            (folder / f"{kind}-key").touch(0o600)
            (folder / f"{kind}-key").write_text(key + "\n", "ascii")
        sandbox = stack.enter_context(ThreadedSandbox(settings))
        desk = FrontDesk(folder, sandbox.url)
        desk.open()
        asyncio.run(desk.start())
        stack.callback(lambda: asyncio.run(desk.stop()))
        port, process = int(desk.url.rsplit(":", 1)[1]), desk_pid(desk)
        pages(port, stack)
        return idle_doors(folder / "desk" / "desk.db", port, process, stack)


def desk_pid(desk: FrontDesk) -> int:
    """The process of the desk."""
    assert desk._process is not None
    return desk._process.pid


# landing pages


def pages(port: int, stack: ExitStack) -> None:
    """Landing pages and the floor, turn by turn."""
    floor_port = free_port()
    stack.enter_context(playing("floor", floor_port))
    wait_for(floor_port)
    desks, floors = [], []
    loaded(port, PAGE, 1.0)  # warm
    for _ in range(ROUNDS):
        desks.append(loaded(port, PAGE, ROUND_S))
        floors.append(loaded(floor_port, "/", ROUND_S))
    rates = {"landing page": desks, "floor": floors}
    write(f"{CONNECTIONS} connections, {ROUNDS} times {ROUND_S:.0f} s       requests/s   median ms   max ms")
    for name, rounds in rates.items():
        ticks = [tick for one in rounds for tick in one["ticks_ms"]]
        rate = statistics.median(one["count"] / one["seconds"] for one in rounds)
        write(f"{name:34} {rate:10.0f} {statistics.median(ticks):11.2f} {max(ticks):8.1f}")
    of_desk, of_floor = (statistics.median(one["count"] / one["seconds"] for one in rounds) for rounds in rates.values())
    write(f"a landing page costs {of_floor / of_desk:.1f} times the floor")


def loaded(port: int, path: str, seconds: float) -> dict[str, Any]:
    """What the load of a process of its own measured."""
    command = [sys.executable, __file__, "load", str(port), path, str(seconds)]
    found: dict[str, Any] = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
    return found


async def load(port: int, path: str, seconds: float) -> None:
    """Ask on several connections, each as soon as it was answered; print counts and ticks."""
    ticks: Times = []
    ends_s = time.monotonic() + seconds

    async def one() -> None:
        reader, writer = await asyncio.open_connection(HOST, port)
        request = f"GET {path} HTTP/1.1\r\nHost: {HOST}:{port}\r\n\r\n".encode()
        while time.monotonic() < ends_s:
            began_s = time.monotonic()
            writer.write(request)
            status, _ = await answer(reader)
            assert status == b"200", status
            ticks.append((time.monotonic() - began_s) * 1000)
        writer.close()

    began_s = time.monotonic()
    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    write(json.dumps({"count": len(ticks), "seconds": time.monotonic() - began_s, "ticks_ms": ticks}))


async def answer(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """The status and the body of one answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    return head.split(b" ", 2)[1], await reader.readexactly(length)


def floor(port: int) -> None:
    """The least that a page can cost on this server."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse
    from starlette.routing import Route

    async def hello(_request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    app = Starlette(routes=[Route("/", hello)])
    uvicorn.run(app, host=HOST, port=port, http="h11", log_level="critical", access_log=False)


# idle doors


def idle_doors(path: Path, port: int, process: int, stack: ExitStack) -> bool:
    """Doors that wait, what they cost, and how soon each hears of its cancel, at rest and under load."""
    empty_mb = rss_mb(process)
    tokens = prepare(path)
    vendor = new_token()
    store = DeskStore.open(path)
    store.new_vendor("bench", token_hash(vendor), ["1001"])
    store.close()
    waiting = Waiting(port, tokens, stack)
    waiting.settle()
    held_mb, idle_percent = rss_mb(process), busy_percent(process, QUIET_S)
    with playing("canceller", path, is_told=True) as other:

        def heard(first: int) -> tuple[Times, Times]:
            return (
                [waiting.heard_after(n, lambda n=n: cancel(port, vendor, n)) for n in range(first, first + CANCELS)],
                [waiting.heard_after(n, lambda n=n: tell(other, n)) for n in range(first + CANCELS, first + 2 * CANCELS)],
            )

        by_request, by_other = heard(0)
        with under_load(port) as rates:
            loaded_by_request, loaded_by_other = heard(2 * CANCELS)
    write("")
    write(f"{DOORS} waiting doors, {CANCELS} cancels each       median ms   max ms")
    for name, ticks in (("cancel on this desk to the door", by_request), ("cancel by another process", by_other)):
        write(f"{name:38} {statistics.median(ticks):11.1f} {max(ticks):8.1f}")
    for name, ticks in (("the first, while pages are asked for", loaded_by_request), ("the second, the same", loaded_by_other)):
        write(f"{name:38} {statistics.median(ticks):11.1f} {max(ticks):8.1f}")
    write(f"the desk's memory: {empty_mb:.0f} MB before, {held_mb:.0f} MB with them; waiting takes {idle_percent:.1f} % of one core")
    return holds(min(rates), max(loaded_by_request + loaded_by_other) / 1000)


@contextlib.contextmanager
def under_load(port: int) -> Iterator[list[float]]:
    """Landing pages without a pause until the block ends; the pages a second of each round that passed meanwhile."""
    rates: list[float] = []
    is_over = threading.Event()

    def ask() -> None:
        while not (is_over.is_set() and rates):
            found = loaded(port, PAGE, ROUND_S)
            rates.append(found["count"] / found["seconds"])

    asking = threading.Thread(target=ask)
    asking.start()
    time.sleep(1.0)  # the load's process has started
    try:
        yield rates
    finally:
        is_over.set()
        asking.join()


def holds(pages_a_second: float, heard_s: float) -> bool:
    """Say whether the slowest round of pages and the slowest cancel, both at the same time beside the doors, are what was promised."""
    is_held = pages_a_second >= PAGES_A_SECOND and heard_s <= HEARD_S and DOORS >= WAITING_DOORS
    write("")
    write(f"at once: {pages_a_second:.0f} pages a second, {DOORS} waiting doors, the slowest cancel after {heard_s:.2f} s")
    promise = f"{PAGES_A_SECOND} pages a second and {WAITING_DOORS} waiting doors while cancels arrive within {HEARD_S:.0f} s"
    write(f"one desk process {'holds' if is_held else 'does not hold'} {promise}")
    return is_held


class Waiting:
    """A process that plays the doors; it prints a line for each answer."""

    def __init__(self, port: int, tokens: list[str], stack: ExitStack) -> None:
        self._doors = stack.enter_context(playing("doors", port, is_told=True))
        assert self._doors.stdin is not None
        self._doors.stdin.write("\n".join(tokens).encode())
        self._doors.stdin.close()
        self._heard: dict[int, float] = {}
        self._is_settled = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def settle(self) -> None:
        """Wait until every door waits."""
        assert self._is_settled.wait(PATIENCE_S), "the doors never came to rest"
        time.sleep(1.0)

    def heard_after(self, number: int, do: Any) -> float:  # noqa: ANN401 - any call
        """Milliseconds from the end of `do` until the door has its answer."""
        do()
        done_s = time.monotonic()
        while number not in self._heard:
            assert time.monotonic() - done_s < PATIENCE_S, "the door never heard of it"
            time.sleep(0.0005)
        return max((self._heard[number] - done_s) * 1000, 0.0)

    def _listen(self) -> None:
        assert self._doors.stdout is not None
        for line in self._doors.stdout:
            if line.startswith(b"settled"):
                self._is_settled.set()
            else:
                number, at_s = line.split()
                self._heard[int(number)] = float(at_s)


async def doors(port: int, tokens: list[str]) -> None:
    """Follow the roster for ever, as so many doors; say when all wait, and when one has news."""
    settled = 0

    async def one(number: int, token: str) -> None:
        nonlocal settled
        reader, writer = await asyncio.open_connection(HOST, port)
        query, is_first = "wait_s=50", True
        while True:
            head = f"GET /api/v1/roster?{query} HTTP/1.1\r\nHost: {HOST}:{port}\r\nAuthorization: Bearer {token}\r\n\r\n"
            writer.write(head.encode())
            status, body = await answer(reader)
            at_s = time.monotonic()
            assert status == b"200", (status, body)
            page = json.loads(body)
            if is_first:
                settled += 1
            elif page["entries"]:
                write(f"{number} {at_s}")
            if settled == len(tokens):
                settled = -1
                write("settled")
            query, is_first = f"wait_s=50&cursor={page['cursor']}", False

    await asyncio.gather(*(one(number, token) for number, token in enumerate(tokens)))


def prepare(path: Path) -> list[str]:
    """A token for each door, and a tour at each of those that will hear of a cancel."""
    store = DeskStore.open(path)
    tokens = [new_token() for _ in range(DOORS)]
    now_ms = time.time_ns() // 1_000_000
    for number, token in enumerate(tokens):
        store.new_door(DoorAccess(f"t{number}", "1001", f"d{number}", now_ms, None, None, None, ""), token_hash(token))
    for number in range(min(4 * CANCELS, DOORS)):
        tour = Appointment(
            appointment_id=f"a{number}",
            booking_id=None,
            community_id="1001",
            prospect_id=f"p{number}",
            standing=Standing.CONFIRMED,
            code_id=secrets.token_hex(6),
            key_id="01234567",
            doors=(f"d{number}",),
            unit_names=(),
            window=Window(now_ms + 3_600_000, now_ms + 5_400_000),
            source_title=None,
            pin_attempt=0,
            revision=0,
        )
        store.put_appointment(tour, None, now_ms)
    store.close()
    return tokens


def cancel(port: int, vendor: str, number: int) -> None:
    """A vendor cancels on this desk."""
    headers = {"Authorization": f"Bearer {vendor}"}
    url = f"http://{HOST}:{port}/api/v1/appointments/a{number}/cancel"
    request = urllib.request.Request(url, headers=headers, method="PUT")
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as done:  # noqa: S310 - loopback
        assert done.status == 200


def canceller(path: Path) -> None:
    """Another process on the same store: cancels what it is told, one a line, and says so."""
    store = DeskStore.open(path)
    for line in sys.stdin:
        store.end_appointment(f"a{int(line)}", Standing.CANCELLED, time.time_ns() // 1_000_000)
        write("done")


def tell(other: subprocess.Popen[bytes], number: int) -> None:
    """The other process cancels."""
    time.sleep(secrets.randbelow(250) / 1000)  # else each would come at the same point of the watch's round
    assert other.stdin is not None
    assert other.stdout is not None
    other.stdin.write(b"%d\n" % number)
    other.stdin.flush()
    assert other.stdout.readline() == b"done\n"


# processes


@contextlib.contextmanager
def playing(part: str, *arguments: object, is_told: bool = False) -> Iterator[subprocess.Popen[bytes]]:
    """This program in another part, until the block ends."""
    pipe = subprocess.PIPE if is_told else None
    with subprocess.Popen([sys.executable, __file__, part, *map(str, arguments)], stdin=pipe, stdout=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


def free_port() -> int:
    """A port that nobody has."""
    with socket.socket() as taken:
        taken.bind((HOST, 0))
        return int(taken.getsockname()[1])


def wait_for(port: int) -> None:
    """Until somebody listens."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port)):
            return
        time.sleep(0.05)
    raise TimeoutError(f"nobody listens on {port}")


def rss_mb(process: int) -> float:
    """The memory of a process that is in RAM."""
    status = Path(f"/proc/{process}/status").read_text("ascii")
    return int(status.split("VmRSS:", 1)[1].split()[0]) / 1024


def busy_percent(process: int, seconds: float) -> float:
    """How much of one core a process takes."""

    def ticks() -> int:
        return sum(map(int, Path(f"/proc/{process}/stat").read_text("ascii").rsplit(") ", 1)[1].split()[11:13]))

    before = ticks()
    time.sleep(seconds)
    return (ticks() - before) / os.sysconf("SC_CLK_TCK") / seconds * 100


def write(line: str) -> None:
    """One line on standard output, at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
