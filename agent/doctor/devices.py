"""Opens a board's devices by their settings, as the agent does, for whoever looks at them while no agent runs."""

from __future__ import annotations

from agent.daemon.lines import input_of, output_of
from agent.daemon.readers import reader_of
from agent.doctor.wires import Wire
from agent.settings.agent import AgentSettings
from agent.settings.readers import ReaderPart
from drivers.base import Input, Line, Reader


class BoardDevices:
    """The devices of this configuration."""

    def __init__(self, settings: AgentSettings) -> None:
        self._work_dir = settings.control.socket.parent

    def line(self, wire: Wire, *, released: bool = False) -> Line:
        """A driven line, claimed at rest or released."""
        return output_of(wire.part, self._work_dir, released=released)

    def input(self, wire: Wire) -> Input:
        """A watched line."""
        return input_of(wire.part, self._work_dir)

    def reader(self, wire: Wire) -> Reader:
        """A reader, open."""
        if not isinstance(wire.part, ReaderPart):
            raise TypeError(f"{wire.place} is no reader")
        reader = reader_of(wire.part, self._work_dir)
        reader.open()
        return reader
