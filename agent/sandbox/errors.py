"""What can go wrong: for the person who starts the sandbox, and for the program that calls it."""

from __future__ import annotations

from agent.errors import AgentError


class SandboxError(AgentError):
    """The sandbox cannot start, or cannot keep its state."""


class RefusedError(AgentError):
    """A request is refused; `status` is the HTTP status and the text what is told to the caller."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
