"""Who sends nothing keeps no place; who has asked is answered."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from agent.desk.addresses import Addresses
from agent.listener import Listener, Patience, Places
from agent.web import Answer, Call, Dialect, build, in_json
from tests.desk.mail.servers import certificate, settled
from tests.desk.test_run import ask, serving, settings

LIMIT_S = 20
SHORT = Patience(handshake_s=0.3, head_s=0.3, body_s=0.8, pause_s=0.3)
ANY = Places()
ASK = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
Line = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Site:
    """A listener with one handler, which answers with the body after `held_s` seconds."""

    def __init__(self, *, places: Places = ANY, patience: Patience = SHORT, held_s: float = 0.0) -> None:
        self.held_s = held_s
        self.asked = asyncio.Event()
        self._writers: list[asyncio.StreamWriter] = []
        app = build({"/": {"GET": self._echo, "POST": self._echo}}, in_json(Dialect("error", "error")))
        self.listener = Listener(app, "127.0.0.1", 0, places=places, patience=patience)

    async def _echo(self, call: Call) -> Answer:
        self.asked.set()
        body = await call.body()
        await asyncio.sleep(self.held_s)
        return Answer(content=body or b"fine", media_type="text/plain")

    async def connect(self) -> Line:
        """One more connection."""
        line = await asyncio.open_connection(*self.listener.address)
        self._writers.append(line[1])
        return line

    async def close(self) -> None:
        """End everything."""
        await self.listener.stop()
        for writer in self._writers:
            writer.transport.abort()
        await settled()


def on(make: Callable[[], Site], play: Callable[[Site], Awaitable[None]]) -> None:
    """Listen while `play` goes on."""

    async def run() -> None:
        site = make()
        await site.listener.start()
        try:
            async with asyncio.timeout(LIMIT_S):
                await play(site)
        finally:
            await site.close()

    asyncio.run(run())


async def answered(line: Line, content: bytes = ASK) -> bytes:
    """The status of the answer to one more request on a connection that stays."""
    reader, writer = line
    writer.write(content)
    head = await reader.readuntil(b"\r\n\r\n")
    await reader.readexactly(int(head.lower().split(b"content-length: ", 1)[1].split(b"\r\n", 1)[0]))
    return head.split()[1]


async def end_of(line: Line) -> bytes:
    """What still comes until the connection ends, however it does."""
    reader, writer = line
    found = bytearray()
    try:
        while piece := await reader.read(1000):
            found += piece
    except ConnectionError:
        pass
    writer.close()
    return bytes(found)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"G",
        ASK[:-2],
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n12345",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ],
)
def test_refused__a_request_that_does_not_come(sent: bytes) -> None:
    """Nothing at all, half a head, half a body: the connection is dropped, without an answer."""

    async def play(site: Site) -> None:
        line = await site.connect()
        line[1].write(sent)
        assert await end_of(line) == b""

    on(Site, play)


@pytest.mark.parametrize("sent", [b"GET / HTTP/1.1\r\nHost: x\r\nX: ", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 60000\r\n\r\n"])
def test_refused__a_request_that_comes_in_drops(sent: bytes) -> None:
    """A byte now and then does not keep the place: the head has a limit, and so has the whole body."""

    async def play(site: Site) -> None:
        reader, writer = line = await site.connect()
        writer.write(sent)
        ended = asyncio.create_task(end_of((reader, writer)))
        while not ended.done():
            line[1].write(b"a")
            await asyncio.sleep(0.05)
        assert await ended == b""

    on(Site, play)


def test_refused__half_a_second_request() -> None:
    """On a connection that was used before, too; and silence between two requests is nothing wrong."""

    async def play(site: Site) -> None:
        line = await site.connect()
        assert await answered(line) == b"200"
        await asyncio.sleep(3 * SHORT.head_s)
        assert await answered(line) == b"200"
        line[1].write(ASK[:-3])
        assert await end_of(line) == b""

    on(Site, play)


def test_ok__a_request_that_is_held_back_is_answered() -> None:
    """A door that waits for news has sent its whole request, and waits far longer than any limit; a slow body in time arrives, too."""

    async def play(site: Site) -> None:
        line = await site.connect()
        assert await answered(line) == b"200"
        line[1].write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n12")
        await asyncio.sleep(SHORT.pause_s / 2)
        assert await answered(line, b"34") == b"200"

    on(lambda: Site(held_s=4 * SHORT.head_s), play)


def test_refused__a_handshake_that_does_not_come(tmp_path: Path) -> None:
    """Over TLS a client that says nothing is dropped as well."""
    _, tls = certificate(tmp_path)

    async def play() -> None:
        listener = Listener(build({}, in_json(Dialect("error", "error"))), "127.0.0.1", 0, tls=tls, patience=SHORT)
        await listener.start()
        try:
            async with asyncio.timeout(LIMIT_S):
                assert await end_of(await asyncio.open_connection(*listener.address)) == b""
        finally:
            await listener.stop()
            await settled()

    asyncio.run(play())


def test_ok__the_silent_make_room() -> None:
    """All places are taken by connections that say nothing: whoever asks is served, and whoever is being answered stays."""

    async def play(site: Site) -> None:
        held = await site.connect()
        held[1].write(ASK)
        await site.asked.wait()
        site.held_s = 0.0
        silent = [await site.connect() for _ in range(30)]
        for _ in range(10):
            assert await answered(await site.connect()) == b"200"
        assert await answered(held, b"") == b"200"
        assert await end_of(silent[0]) == b""

    on(lambda: Site(places=Places(most=10), patience=Patience(), held_s=1.0), play)


def test_refused__more_than_one_address_may_have() -> None:
    """When none of them is silent, a further one is dropped; when one has ended there is room again."""

    async def play(site: Site) -> None:
        lines = [await site.connect() for _ in range(3)]
        for line in lines:
            line[1].write(ASK)
        await asyncio.sleep(0.2)
        assert await end_of(await site.connect()) == b""
        for line in lines:
            assert await answered(line, b"") == b"200"
        assert await answered(await site.connect()) == b"200", "one that is silent now makes room"
        lines[2][1].close()
        assert await answered(lines[1]) == b"200"

    on(lambda: Site(places=Places(each=3), patience=Patience(head_s=60.0), held_s=0.6), play)


def test_ok__who_is_not_counted_may_have_any_number() -> None:
    """A proxy's connections are many people's."""

    async def play(site: Site) -> None:
        lines = [await site.connect() for _ in range(8)]
        for line in lines:
            line[1].write(ASK)
        assert [await answered(line, b"") for line in lines] == [b"200"] * 8

    on(lambda: Site(places=Places(each=3, counted_as=Addresses(["127.0.0.1/32"]).of_connection), held_s=0.2), play)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("198.51.100.7", "198.51.100.7"),
        ("::ffff:198.51.100.7", "198.51.100.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("10.1.2.3", None),
        ("::ffff:10.1.2.3", None),
        ("127.0.0.1", None),
        ("::1", None),
        ("", None),
    ],
)
def test_ok__what_connections_are_counted_by(address: str, name: str | None) -> None:
    """A client, or a whole site of IPv6; never a trusted proxy, nor this machine, where a proxy is that nobody named."""
    assert Addresses(["10.0.0.0/8"]).of_connection(address) == name


def test_ok__a_desk_whose_places_are_taken_by_the_silent_answers(tmp_path: Path) -> None:
    """The whole desk with its settings: pages and health are there while forty connections say nothing."""

    async def play(port: int) -> None:
        lines = [await asyncio.open_connection("127.0.0.1", port) for _ in range(40)]
        for path in ("/healthz", "/juniper-flats"):
            assert (await ask(port, path))[0] != 503
        for _, writer in lines:
            writer.transport.abort()
        await settled()

    serving(settings(tmp_path, listen={"port": 0, "max_connections": 10}), play)
