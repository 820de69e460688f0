"""What may go wrong on purpose, for which route, how often, and how likely. Pure: chance comes from a seed.

| kind | Knock's work is done | what the client sees |
|---|---|---|
| `refuse` | no | the connection drops without an answer; on `*`, nobody listens on the port |
| `slow` | yes, at once | the answer comes `seconds` later |
| `status` | no | the status `status`, with `Retry-After` when `retry_after_seconds` is given |
| `lost` | yes | the connection drops without an answer |
| `not-json` | no | 200 and a page in HTML, like a network that wants a log-in |
| `truncated` | yes | 200, a Content-Length, half of the body, and the connection drops |
| `gzip-bomb` | no | 200 and a small compressed body that grows to 256 MiB |
| `form` | yes | the answer without the fields in `left_out`; a booking has `booking_status` in the place of CONFIRMED |

Knock's record does not say in which form a booking is answered. `{"kind": "form", "left_out": ["prospectId", "appointment"]}` on
`request` is the seed's, `{"appointmentId": …}` alone; `["appointmentId", "prospectId"]` leaves `appointment` with `id` and `status`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from agent.errors import RefusedError
from agent.sandbox.fields import Fields, refuse
from agent.sandbox.state import ROUTES

EVERY_ROUTE = "*"
FAULT_ROUTES = (*ROUTES, EVERY_ROUTE)

_NOT_FOUND = 404
_LOWEST_STATUS, _HIGHEST_STATUS = 200, 599
_LONGEST_S = 3600
_HIGHEST_COUNT = 1_000_000_000


class Kind(StrEnum):
    """The kinds of faults, by the names that the admin API uses."""

    REFUSE = "refuse"
    SLOW = "slow"
    STATUS = "status"
    LOST = "lost"
    NOT_JSON = "not-json"
    TRUNCATED = "truncated"
    GZIP_BOMB = "gzip-bomb"
    FORM = "form"


_OWN_FIELDS = {Kind.SLOW: ("seconds",), Kind.STATUS: ("status", "retry_after_seconds"), Kind.FORM: ("left_out", "booking_status")}
_COMMON_FIELDS = ("kind", "count", "probability", "seed")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: for the next `count` requests it strikes (None: until it is cleared), each with `probability`."""

    kind: Kind
    seconds: float = 0.0
    status: int = 500
    retry_after_seconds: int | None = None
    left_out: tuple[str, ...] = ()
    booking_status: str | None = None
    count: int | None = None
    probability: float = 1.0
    seed: int = 0

    def to_json(self) -> dict[str, Any]:
        """As it stands in the admin API."""
        own = {name: getattr(self, name) for name in _OWN_FIELDS.get(self.kind, ())}
        own |= {"left_out": list(self.left_out)} if "left_out" in own else {}
        return {"kind": self.kind.value, **own, "count": self.count, "probability": self.probability, "seed": self.seed}

    @classmethod
    def from_json(cls, value: object) -> Fault:
        """Read it as the admin API takes it; raises `RefusedError` with what is wrong."""
        fields = Fields(value, "the fault")
        if (name := fields.text("kind")) not in list(Kind):
            refuse(f"kind must be one of {', '.join(Kind)}, not {name!r}")
        kind = Kind(name)
        fields.closed((*_COMMON_FIELDS, *_OWN_FIELDS.get(kind, ())))
        return cls(
            kind=kind,
            seconds=fields.number("seconds", 0, _LONGEST_S) if kind is Kind.SLOW else 0.0,
            status=fields.whole_number("status", _LOWEST_STATUS, _HIGHEST_STATUS) if kind is Kind.STATUS else 500,
            retry_after_seconds=fields.whole_number("retry_after_seconds", 0, _LONGEST_S) if fields.has("retry_after_seconds") else None,
            left_out=tuple(fields.optional_list("left_out", str, "texts")),
            booking_status=fields.text("booking_status") if fields.has("booking_status") else None,
            count=fields.whole_number("count", 1, _HIGHEST_COUNT) if fields.has("count") else None,
            probability=fields.number("probability", 0, 1) if fields.has("probability") else 1.0,
            seed=fields.whole_number("seed", 0, _HIGHEST_COUNT) if fields.has("seed") else 0,
        )


@dataclass(slots=True)
class _Standing:
    """A fault that is switched on: how many strikes are left, and its own chance."""

    fault: Fault
    left: int | None
    chance: random.Random

    def strikes(self) -> bool:
        if self.left == 0 or self.chance.random() >= self.fault.probability:
            return False
        if self.left is not None:
            self.left -= 1
        return True


class FaultBoard:
    """Which faults are switched on; a route's own fault goes before the one for every route."""

    def __init__(self) -> None:
        self._standing: dict[str, _Standing] = {}

    def switch_on(self, route: str, fault: Fault) -> None:
        """Put a fault in the place of the route's earlier one.

        Raises:
            RefusedError: when there is no such route, or the port is to refuse connections a number of times (nobody can count what
                never arrives).
        """
        _check(route)
        if route == EVERY_ROUTE and fault.kind is Kind.REFUSE and (fault.count is not None or fault.probability != 1):
            refuse("refuse on * closes the port until it is cleared; it takes no count and no probability")
        chance = random.Random(fault.seed)  # noqa: S311 - a test wants the same dice every time, not secrets
        self._standing[route] = _Standing(fault, fault.count, chance)

    def clear(self, route: str | None = None) -> None:
        """Switch off one route's fault, or all of them; raises `RefusedError` when there is no such route."""
        if route is None:
            self._standing.clear()
            return
        _check(route)
        self._standing.pop(route, None)

    def is_port_closed(self) -> bool:
        """Whether nobody may listen on the public port."""
        standing = self._standing.get(EVERY_ROUTE)
        return standing is not None and standing.fault.kind is Kind.REFUSE

    def strike(self, route: str) -> Fault | None:
        """The fault that befalls the next request of this route, if any; it counts as struck."""
        for name in (route, EVERY_ROUTE):
            standing = self._standing.get(name)
            if standing is not None and standing.strikes():
                return standing.fault
        return None

    def to_json(self) -> dict[str, Any]:
        """The faults that are on, by route, with how many strikes are left (null: no limit)."""
        return {route: {**standing.fault.to_json(), "left": standing.left} for route, standing in self._standing.items()}


def _check(route: str) -> None:
    if route not in FAULT_ROUTES:
        raise RefusedError(_NOT_FOUND, f"there is no route {route!r}; there are {', '.join(FAULT_ROUTES)}")
