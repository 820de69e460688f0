"""`tourlatch sandbox`."""

from agent.sandbox.command import sandbox

__all__ = ["sandbox"]
