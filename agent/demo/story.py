"""The story: booked, opened, refused, offline, killed, replayed; told as it goes, and proved at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from agent import qr
from agent.demo.stage import TOUR_MINUTES, Stage
from agent.errors import AgentError
from agent.store import files

Say = Callable[[str], None]
SOURCE_TITLE = "Juniper Flats Website"
_VISITS = "SELECT appointment_id, prospect_id, visit_ms, knock_visit_id FROM visit ORDER BY visit_ms"


@dataclass(frozen=True, slots=True)
class Tour:
    """A booked tour: who, its ids as Knock gave them, its times and its code."""

    who: str
    appointment_id: str
    prospect_id: str
    start: str
    code: str


class Story:
    """Told on a stage, through `say`; what does not go as it must raises `AgentError`."""

    def __init__(self, stage: Stage, say: Say) -> None:
        self._stage = stage
        self._say = say

    async def tell(self) -> bool:
        """The whole of it; True when Knock has exactly the admitted tours."""
        said, stage = self._say, self._stage
        said("1. The agent starts at the front door of Juniper Flats.")
        said(f"   ready after {await stage.start_agent():.2f} s, the relay is {stage.relay_level()}")
        said("2. Ada books a self-guided tour; the booking goes to Knock (here: the sandbox) and she gets a tour code.")
        ada = await self._book("Ada", 0)
        said(f"   appointment {ada.appointment_id} at {ada.start}; {len(ada.code)} characters, QR version {qr.version(ada.code)}:")
        said(qr.terminal(ada.code) + f"   {ada.code}")
        said("3. She holds her phone to the scanner.")
        await self._admit(ada)
        await stage.event("visit_delivered")
        said("   Knock has the visit.")
        await self._refusals(ada)
        await self._offline()
        return await self._compare()

    async def _book(self, who: str, slot: int) -> Tour:
        """Seed steps 2 and 3: free times, then the appointment with start, end, tour type and source title."""
        offered = await self._stage.knock("GET", "/community/1001/available-times?forSelfGuided=true")
        start = offered["acceptableTimes"][slot]
        end = (datetime.fromisoformat(start) + timedelta(minutes=TOUR_MINUTES)).isoformat()
        body = {
            "communityId": "1001",
            "requestedTimes": [{"startTime": start, "endTime": end}],
            "tourType": "SELF_GUIDED",
            "sourceTitle": SOURCE_TITLE,
            "smsConsent": False,
            "profile": {"firstName": who, "lastName": "Example", "email": f"{who.lower()}@example.com"},
        }
        booked = await self._stage.knock("POST", "/appointment/request", body)
        entry = {"appointment_id": str(booked["appointmentId"]), "standing": "confirmed", "source_title": SOURCE_TITLE}
        await self._stage.ask({"do": "roster", "entries": [entry]})
        code = self._stage.sign(booked, start, end)
        return Tour(who, str(booked["appointmentId"]), str(booked["prospectId"]), start, code)

    async def _admit(self, tour: Tour) -> None:
        """Scan, and see the relay move both ways."""
        scanned_ns = self._stage.scan(tour.code)
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
        early = await self._book("Eve", 40)
        cancelled = await self._book("Cal", 0)
        await stage.knock("PUT", f"/appointment/{cancelled.appointment_id}/cancel")
        await stage.ask({"do": "roster", "entries": [{"appointment_id": cancelled.appointment_id, "standing": "cancelled"}]})
        middle = len(ada.code) // 2
        other = "7" if ada.code[middle] != "7" else "8"
        tampered = ada.code[:middle] + other + ada.code[middle + 1 :]
        tries = (
            ("the cafe's QR code", "HTTPS://EXAMPLE.COM/MENU", {"unreadable"}),
            ("Eve's code, hours too early", early.code, {"too_early"}),
            ("Ada's code, one character changed", tampered, {"bad_signature", "unreadable"}),
            ("Cal's code after he cancelled", cancelled.code, {"cancelled"}),
        )
        for what, code, reasons in tries:
            stage.scan(code)
            event = await stage.event("refused", "admitted")
            if event["event"] != "refused" or event["reason"] not in reasons:
                raise AgentError(f"{what} should have been refused as {' or '.join(reasons)}, but: {event}")
            said(f"   {what}: {event['reason']}\n      “{event['prospect']}”")

    async def _offline(self) -> None:
        said, stage = self._say, self._stage
        said("5. The uplink is cut. Ben and Chloe come all the same.")
        ben, chloe = await self._book("Ben", 0), await self._book("Chloe", 0)
        await stage.admin("PUT", "/faults/*", {"kind": "refuse"})
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
        same = sorted(posted) == sorted(str(row["appointment_id"]) for row in admitted)
        self._say("   appointment   prospect   visit at Knock   posted")
        for row in admitted:
            times = posted.count(str(row["appointment_id"]))
            self._say(f"   {row['appointment_id']:13} {row['prospect_id']:10} {row['knock_visit_id'] or 'none':16} {times}x")
        for stray in set(posted) - {str(row["appointment_id"]) for row in admitted}:
            self._say(f"   {stray:13} never admitted here")
        self._say("   The same, each once." if same else "   They differ.")
        return same
