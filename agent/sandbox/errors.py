"""What can go wrong: for the person who starts the sandbox, and for the program that calls it."""

from __future__ import annotations

from agent.errors import AgentError


class SandboxError(AgentError):
    """The sandbox cannot start, or cannot keep its state."""
