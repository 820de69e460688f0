"""The command `tourlatch`: one thin file per group of commands, each loaded only when it is asked for.

Rule 1: no decision is made here; a command asks the agent, the store or the core, and prints.
Rule 2: exit 0 when done, 1 when refused or failed with a sentence on stderr, 2 for wrong usage. No traceback for a user's mistake.
"""

from __future__ import annotations

import importlib
import sys
from importlib import metadata

import click

from agent.errors import AgentError
from drivers.base import DriverError

COMMANDS = {
    "availability": ("agent.cli.book", "The times that Knock offers now."),
    "book": ("agent.cli.book", "Book a tour, with its code and PIN."),
    "camera": ("agent.cli.camera", "Watch a camera for QR codes, as a reader of the agent."),
    "cancel": ("agent.cli.book", "Cancel a tour: its code is dead at once."),
    "check": ("agent.cli.check", "Read a configuration as the programs would."),
    "code": ("agent.cli.code", "Make, read and try tour codes."),
    "desk": ("agent.cli.desk", "Run the booking site, the roster feed and the staff page."),
    "demo": ("agent.cli.demo", "Tell the whole story on a played scanner and a played board."),
    "doctor": ("agent.cli.doctor", "Look after this board; walk through its wiring."),
    "events": ("agent.cli.live", "What happened, or what happens."),
    "keys": ("agent.cli.keys", "Signing keys and their ids."),
    "kiosk": ("agent.cli.kiosk", "Serve the page of the screen at a door."),
    "lock": ("agent.cli.live", "Lock every door now."),
    "outbox": ("agent.cli.records", "The visits that Knock does not have yet."),
    "run": ("agent.cli.run", "Run the agent at the door."),
    "sandbox": ("agent.cli.sandbox", "Run a stand-in for Knock."),
    "staff": ("agent.cli.staff", "Who may log in to the staff page; staff's PIN for a screen."),
    "status": ("agent.cli.live", "The live state of each door."),
    "tokens": ("agent.cli.tokens", "Tokens of doors and of vendors."),
    "unlock": ("agent.cli.live", "Open a door by order of staff."),
    "visits": ("agent.cli.records", "The visits that this door recorded."),
}
"""Each command's module and its line in the help."""


class _Lazy(click.Group):
    """A group that knows its commands' names and help without loading them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """All names, sorted."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Load one command."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[cmd_name][0]), cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's signature
        """The list in the help, without loading any."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, COMMANDS[name][1]) for name in sorted(COMMANDS)])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(metadata.version("tourlatch"), message="%(version)s")
def tourlatch() -> None:
    """Opens a door for a booked self-guided tour, and reports the visit to Knock."""


def main() -> None:
    """The console script: run a command, and turn what a person can mend into a sentence and exit status 1."""
    try:
        tourlatch()
    except (AgentError, DriverError) as error:
        for sentence in str(error).splitlines():
            click.echo(f"tourlatch: {sentence}", err=True)
        sys.exit(1)
    except OSError as error:
        # a folder that is closed to this user, a name that no file can have
        place = "" if error.filename is None else f"{error.filename}: "
        click.echo(f"tourlatch: {place}{error.strerror or error}", err=True)
        sys.exit(1)
