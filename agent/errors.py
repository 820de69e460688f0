"""What can go wrong for a person: one root, each leaf a sentence to act on, printed without a traceback."""

from __future__ import annotations


class AgentError(Exception):
    """The root of all that is told to a person; the text says what is wrong and what to do."""


class ConfigError(AgentError):
    """The configuration, or a file it names, cannot be used."""


class StoreError(AgentError):
    """The store cannot be opened, read or written."""


class StoreBusyError(StoreError):
    """Another process holds the store."""


class AgentAbsentError(AgentError):
    """No agent answers on the socket."""


class RequestRefusedError(AgentError):
    """The running agent would not do what was asked, in its own words; `reason` is for programs, where it gave one."""

    def __init__(self, words: str, reason: str | None = None) -> None:
        super().__init__(words)
        self.reason = reason


class ScreenRefusedError(AgentError):
    """A screen's request is refused; `reason` tells its page which of its own sentences to show."""

    def __init__(self, reason: str, words: str) -> None:
        super().__init__(words)
        self.reason = reason


class ListenError(AgentError):
    """A port cannot be had."""


class RefusedError(AgentError):
    """A request is refused; `status` is the HTTP status and the text what is told to the caller."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status
