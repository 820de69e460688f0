"""The one current state: new work is saved first, takes effect then, and is answered last."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from agent.errors import RefusedError
from agent.sandbox.errors import SandboxError
from agent.sandbox.records import KnockState
from agent.sandbox.settings import SandboxSettings
from agent.sandbox.state import Moment, Rules, Work
from agent.sandbox.storage import StateFile

_UNAVAILABLE = 503


def system_now() -> datetime:
    """The device's clock."""
    return datetime.now(UTC)


def random_id() -> str:
    """Nine digits, so that a sandbox that forgot its state does not give the same ids again."""
    return str(100_000_000 + secrets.randbelow(900_000_000))


class Ledger:
    """Holds the state; all methods run in one thread and return without waiting, so each piece of work is whole.

    Raises:
        SandboxError: when the state file cannot be used.
    """

    def __init__(
        self,
        settings: SandboxSettings,
        *,
        clock: Callable[[], datetime] = system_now,
        new_id: Callable[[], str] = random_id,
    ) -> None:
        self._rules = Rules(
            settings.communities,
            is_idempotency_key_honoured=settings.is_idempotency_key_honoured,
            received_limit=settings.received_limit,
        )
        self._file = StateFile(settings.state_file)
        self._clock = clock
        self._new_id = new_id
        self.state: KnockState = self._file.load()
        self.offset = timedelta()

    def now(self) -> datetime:
        """The sandbox's time: the device's, moved by `offset`."""
        return self._clock() + self.offset

    def perform(self, work: Work) -> dict[str, Any]:
        """Do the work and return the answer.

        Raises:
            RefusedError: when the rules refuse it, or 503 when it could not be saved; then nothing has changed.
        """
        outcome = self._rules.perform(self.state, work, Moment(self.now(), self._new_id, work.booking_status))
        try:
            self._file.save(outcome.state)
        except SandboxError as error:
            raise RefusedError(_UNAVAILABLE, str(error)) from error
        self.state = outcome.state
        return outcome.result
