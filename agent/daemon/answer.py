"""What became of a scan, told on the loop to whoever listens, and shown at the door."""

from __future__ import annotations

from collections.abc import Mapping
from zoneinfo import ZoneInfo

from agent.core.reasons import Circumstance, Reason, for_operator, for_prospect
from agent.daemon.doorman import Outcome
from agent.daemon.events import Events
from agent.daemon.signs import Signs
from agent.daemon.tell import StoreHealth


class Answers:
    """Tells outcomes."""

    def __init__(self, events: Events, signs: Mapping[str, Signs], store: StoreHealth, zone: ZoneInfo, help_phone: str) -> None:
        self._events = events
        self._signs = signs
        self._store = store
        self._zone = zone
        self._help_phone = help_phone

    def publish(self, outcome: Outcome) -> None:
        """Tell one."""
        scan, code, denied = outcome.scan, outcome.code, outcome.denied
        self._signs[scan.door].answer(is_granted=denied is None)
        where: dict[str, object] = {"door": scan.door, "reader": scan.reader, "appointment_id": code.appointment_id if code else None}
        if outcome.is_by_pin:
            where["by"] = "pin"
        if denied is None:
            self._granted(outcome, where)
        else:
            if denied.reason is Reason.STORE_FAILED:
                self._store.failed()
            now_ms = outcome.now.guess_ms
            doors = code.doors if code else ()
            circumstance = Circumstance(self._zone, self._help_phone, now_ms, denied.time_ms, doors)
            sentences = {"prospect": for_prospect(denied.reason, circumstance), "operator": for_operator(denied.reason, circumstance)}
            facts = {"reason": denied.reason.value, "time_ms": denied.time_ms, "doors": list(doors)}
            self._events.publish("refused", **where, **facts, **sentences)
        if outcome.guesses_locked_s is not None:
            self._events.publish("locked_out", door=scan.door, reader=scan.reader, lock_s=round(outcome.guesses_locked_s))

    def _granted(self, outcome: Outcome, where: dict[str, object]) -> None:
        ns = None if outcome.released_ns is None else outcome.released_ns - outcome.scan.frame.at_ns
        relay_ms = None if ns is None else round(ns / 1e6, 3)
        first = outcome.admitted is not None and outcome.admitted.new_visit_id is not None
        names = {"units": list(outcome.code.unit_names), "doors": list(outcome.code.doors)} if outcome.code else {}
        if outcome.is_exit:
            self._events.publish("exit", **where, **names, relay_ms=relay_ms)
        else:
            self._events.publish("admitted", **where, **names, first=first, relay_ms=relay_ms)
        if outcome.passback_from is not None:
            self._events.publish("passback", **where, in_by=outcome.passback_from)
