"""The story: booked, opened, refused, offline, killed, replayed; told as it goes, and proved at its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agent import qr
from agent.demo.stage import PATIENCE_S, Stage
from agent.demo.visitor import Page, Visitor
from agent.errors import AgentError
from agent.store import files

Say = Callable[[str], None]
LINK = "/juniper-flats?utm_knock_source_title=Juniper%20Flats%20Website"
"""What the button on the property's website leads to, as Knock's Doorway makes it."""
SOURCE_TITLE = "Juniper Flats Website"
LATER = 40
"""The number of a free time that is hours away."""
_VISITS = "SELECT appointment_id, prospect_id, visit_ms, source_title, knock_visit_id FROM visit ORDER BY visit_ms"


@dataclass(frozen=True, slots=True)
class Tour:
    """A booked tour: who, the page that only they have, the code and the PIN on it."""

    who: str
    page: Page
    code: str
    pin: str


class Story:
    """Told on a stage, through `say`; what does not go as it must raises `AgentError`."""

    def __init__(self, stage: Stage, say: Say) -> None:
        self._stage = stage
        self._say = say
        self._visitor = Visitor()
        self._booked = 0

    async def tell(self) -> bool:
        """The whole of it; True when Knock has exactly the admitted tours."""
        said, stage = self._say, self._stage
        said("1. The booking site and the front door of Juniper Flats.")
        said(f"   the desk answers after {await stage.start_desk():.2f} s; its page is {stage.desk.url}{LINK}")
        said(f"   the agent is ready after {await stage.start_agent():.2f} s, the relay is {stage.relay_level()}")
        said("2. Ada follows the link on the property's website, chooses a time and registers. Knock (here: the sandbox) confirms.")
        ada = await self._book("Ada", 0)
        (request,) = await stage.admin("GET", "/received?route=request")
        times = request["body"]["requestedTimes"][0]
        said(f"   Knock was asked for {request['body']['tourType']}, {times['startTime']} to {times['endTime']}, from")
        said(f"   “{request['body']['sourceTitle']}”. Her page shows a PIN and this code, QR version {qr.version(ada.code)}:")
        said(qr.terminal(ada.code) + f"   {ada.code}")
        await self._settled()
        said("3. She holds her phone to the scanner.")
        await self._admit(ada)
        await stage.event("visit_delivered")
        said("   Knock has the visit. Later she comes in again, by PIN.")
        await self._admit(ada, ada.pin)
        await self._refusals(ada)
        await self._offline()
        return await self._compare()

    async def _book(self, who: str, number: int) -> Tour:
        """Seed steps 1 to 3, on the pages: the link, free times, the form, the confirmation with its code."""
        self._booked += 1
        landing = await self._visitor.get(self._stage.desk.url + LINK)
        offered = await self._visitor.get(landing.link("/times"))
        form = await self._visitor.get(offered.link("/register", number))
        page = await self._visitor.submit(
            form,
            first_name=who,
            last_name="Example",
            email=f"{who.lower()}@example.com",
            phone=f"(415) 555-26{self._booked:02d}",
            unit="204 B",
        )
        return await self._tour(who, page)

    async def _tour(self, who: str, page: Page) -> Tour:
        """What the confirmation gives."""
        code = (await self._visitor.bytes_of(page.link("/code.png").replace("code.png", "code.txt"))).decode("ascii")
        pins = [line.replace(" ", "") for line in page.text.splitlines() if line.replace(" ", "").isdigit()]
        if len(pins) != 1:
            raise AgentError(f"{who}'s page should show one PIN")
        return Tour(who, page, code, pins[0])

    async def _move(self, tour: Tour) -> Tour:
        """To the next free time, on the prospect's own page."""
        offered = await self._visitor.get(tour.page.link("/move"))
        confirm = await self._visitor.get(offered.link("start="))
        return await self._tour(tour.who, await self._visitor.submit(confirm))

    async def _cancel(self, tour: Tour) -> None:
        await self._visitor.submit(await self._visitor.get(tour.page.link("/cancel")))

    async def _admit(self, tour: Tour, shown: str | None = None) -> None:
        """Scan, and see the relay move both ways."""
        scanned_ns = self._stage.scan(shown or tour.code)
        released_ns = await self._stage.relay_record("released", scanned_ns)
        await self._stage.event("admitted")
        locked_ns = await self._stage.relay_record("locked", released_ns)
        self._say(
            f"   {tour.who} is admitted: relay on {(released_ns - scanned_ns) / 1e6:.1f} ms after the scan, "
            f"off after {(locked_ns - released_ns) / 1e6:.1f} ms"
        )

    async def _refusals(self, ada: Tour) -> None:
        said, stage = self._say, self._stage
        said("4. Codes that must not open.")
        eve, cal, mo = await self._book("Eve", LATER), await self._book("Cal", 0), await self._book("Mo", 0)
        moved = await self._move(mo)
        await self._cancel(cal)
        said(
            f"   Mo moves his tour and Cal cancels, each on the page of his own; the door hears of it within {await self._settled():.1f} s."
        )
        middle = len(ada.code) // 2
        other = "7" if ada.code[middle] != "7" else "8"
        tampered = ada.code[:middle] + other + ada.code[middle + 1 :]
        tries = (
            ("the cafe's QR code", "HTTPS://EXAMPLE.COM/MENU", {"unreadable"}),
            ("Eve's code, hours too early", eve.code, {"too_early"}),
            ("Ada's code, one character changed", tampered, {"bad_signature", "unreadable"}),
            ("Cal's code after he cancelled", cal.code, {"cancelled"}),
            ("Cal's PIN", cal.pin, {"wrong_pin"}),
            ("Mo's code from before he moved", mo.code, {"superseded"}),
        )
        for what, code, reasons in tries:
            stage.scan(code)
            event = await stage.event("refused", "admitted")
            if event["event"] != "refused" or event["reason"] not in reasons:
                raise AgentError(f"{what} should have been refused as {' or '.join(reasons)}, but: {event}")
            said(f"   {what}: {event['reason']}\n      “{event['prospect']}”")
        await self._admit(moved)

    async def _settled(self) -> float:
        """Wait until the door has heard all that the desk knows; returns the seconds that it took."""
        began_s = time.monotonic()
        newest = await asyncio.to_thread(self._stage.desk.newest_cursor)
        while time.monotonic() - began_s < PATIENCE_S:
            status = await self._stage.ask({"do": "status"})
            if status["doors"]["front"]["feed"]["cursor"] == newest:
                return time.monotonic() - began_s
            await asyncio.sleep(0.02)
        raise AgentError(f"the door did not hear of the desk's news within {PATIENCE_S:.0f} s")

    async def _offline(self) -> None:
        said, stage = self._say, self._stage
        ben, chloe = await self._book("Ben", 0), await self._book("Chloe", 0)
        await self._settled()
        said("5. The uplink is cut: no Knock, no desk. Ben and Chloe come all the same.")
        await stage.admin("PUT", "/faults/*", {"kind": "refuse"})
        await stage.desk.stop()
        await self._admit(ben)
        scanned_ns = stage.scan(chloe.code)
        await stage.relay_record("released", scanned_ns)
        await stage.kill_agent()
        said(f"   Chloe is admitted, and at once the agent is killed (SIGKILL): the played line stays {stage.relay_level()}, as on a Pi")
        took_s = await stage.start_agent()
        said(
            f"6. The agent starts again: the first thing it does is to lock. Ready after {took_s:.2f} s, the relay is {stage.relay_level()}"
        )
        if stage.relay_level() != "locked":
            raise AgentError("the relay is not locked after the restart")
        waiting = (await stage.ask({"do": "status"}))["outbox"]
        said(f"   in the outbox: {waiting['due'] + waiting['sending']} visits")
        said("7. The uplink returns.")
        await stage.desk.start()
        await stage.admin("DELETE", "/faults")
        outbox = waiting
        for _ in range(1000):
            outbox = (await stage.ask({"do": "status"}))["outbox"]
            if not any(outbox[state] for state in ("due", "sending", "in_doubt", "dead")):
                return
            await asyncio.sleep(0.01)  # ten seconds in all
        raise AgentError(f"the outbox is not empty after the uplink returned: {outbox}")

    async def _compare(self) -> bool:
        """What was admitted beside what Knock received; True when they are the same, each once."""
        self._say("8. Admitted here, and received by Knock:")
        admitted = files.rows(self._stage.folder / "journal.db", _VISITS)
        received: list[dict[str, Any]] = await self._stage.admin("GET", "/received?route=visit")
        posted = [str(one["body"]["appointmentId"]) for one in received]
        has_source = all(one["body"].get("sourceTitle") == SOURCE_TITLE for one in received)
        same = has_source and sorted(posted) == sorted(str(row["appointment_id"]) for row in admitted)
        self._say("   appointment   prospect   visit at Knock   posted  source")
        for row in admitted:
            times = posted.count(str(row["appointment_id"]))
            known = row["knock_visit_id"] or "none"
            self._say(f"   {row['appointment_id']:13} {row['prospect_id']:10} {known:16} {times}x      {row['source_title']}")
        for stray in set(posted) - {str(row["appointment_id"]) for row in admitted}:
            self._say(f"   {stray:13} never admitted here")
        self._say("   The same, each once." if same else "   They differ.")
        return same
