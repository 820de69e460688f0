"""Every command explains itself, and says so when it is used wrongly."""

from __future__ import annotations

import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

import click
import pytest

import agent.cli
from agent.cli import COMMANDS

Call = Callable[..., tuple[int, str, str]]
Path_ = tuple[str, ...]

SUBCOMMANDS = {
    "code": {"issue", "show", "check"},
    "keys": {"new", "list", "osdp", "retire"},
    "outbox": {"list", "retry", "drop", "export"},
    "staff": {"add", "list", "pin", "remove"},
    "tokens": {"list", "new-door", "new-vendor", "revoke"},
}
SCRIPT = Path(sys.executable).with_name("tourlatch")


def _loaded(name: str) -> click.Command:
    command = getattr(importlib.import_module(COMMANDS[name][0]), name)
    assert isinstance(command, click.Command)
    return command


PATHS: list[Path_] = [(name, *sub) for name in sorted(COMMANDS) for sub in [(), *((one,) for one in sorted(SUBCOMMANDS.get(name, ())))]]


WRONG = [
    ((), "Usage: tourlatch"),
    (("nonsense",), "No such command 'nonsense'"),
    (("--nonsense",), "No such option '--nonsense'"),
    (("keys",), "Usage: tourlatch keys"),
    (("keys", "nonsense"), "No such command 'nonsense'"),
    (("keys", "retire"), "Missing argument 'KEY_ID'"),
    (("keys", "new", "surplus"), "Got unexpected extra argument (surplus)"),
    (("code",), "Usage: tourlatch code"),
    (("code", "issue"), "Missing option '--community'"),
    (("code", "show"), "Missing argument 'TEXT'"),
    (("code", "check", "TL1:"), "Missing option '--door'"),
    (("code", "check", "--door", "front", "--at", "noon", "TL1:"), "'noon' is no time"),
    (("events", "--last", "0"), "0 is not in the range"),
    (("events", "--last", "many"), "'many' is not a valid integer"),
    (("visits", "--last", "1000001"), "1000001 is not in the range"),
    (("unlock",), "Missing argument 'DOOR'"),
    (("unlock", "front"), "Missing option '--reason'"),
    (("unlock", "front", "back", "--reason", "x"), "Got unexpected extra argument (back)"),
    (("lock", "front"), "Got unexpected extra argument (front)"),
    (("status", "-c"), "Option '-c' requires an argument"),
    (("outbox",), "Usage: tourlatch outbox"),
    (("outbox", "retry"), "name visits, or give --all"),
    (("outbox", "retry", "--all", "abc"), "name visits, or give --all"),
    (("outbox", "drop"), "Missing argument 'VISIT_IDS"),
    (("outbox", "drop", "--all"), "No such option '--all'"),
    (("sandbox", "--port", "65536"), "65536 is not in the range"),
    (("run", "surplus"), "Got unexpected extra argument (surplus)"),
    (("check", "surplus"), "Got unexpected extra argument (surplus)"),
    (("demo", "surplus"), "Got unexpected extra argument (surplus)"),
]


@pytest.mark.parametrize("path", PATHS, ids="-".join)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help__of_every_command_is_a_sentence(path: Path_, flag: str, call: Call) -> None:
    """Each command and subcommand prints its usage and at least one whole sentence, on stdout alone, and needs nothing for it."""
    status, out, err = call(*path, flag)
    assert (status, err) == (0, "")
    usage, _, rest = out.partition("\n\n")
    assert usage.startswith(f"Usage: tourlatch {' '.join(path)} ")
    described = rest.partition("\n\nOptions:")[0]
    assert re.match(r"  [A-Z][^.]*\.", described), described
    assert "-h, --help" in rest


@pytest.mark.parametrize("path", PATHS, ids="-".join)
def test_help__explains_every_option(path: Path_) -> None:
    """Every option of every command has a line of help."""
    command: click.Command = _loaded(path[0])
    for name in path[1:]:
        assert isinstance(command, click.Group)
        command = command.commands[name]
    silent = [option.name for option in command.params if isinstance(option, click.Option) and not option.help]
    assert silent == []


def test_help__of_the_whole_lists_each_command_with_its_line(call: Call) -> None:
    """The list in the help is the table, each line a sentence that is not cut off."""
    status, out, err = call("--help")
    listed = [line.split(maxsplit=1) for line in out.partition("Commands:\n")[2].splitlines()]
    assert (status, err) == (0, "")
    assert listed == [[name, COMMANDS[name][1]] for name in sorted(COMMANDS)]
    assert [line for _, line in COMMANDS.values() if not re.fullmatch(r"[A-Z][^.]+\.", line)] == []


def test_table__names_all_commands_that_exist_and_no_others() -> None:
    """The lazily loaded table has every command that a module of the command line defines, under its own name, and nothing else."""
    found: list[click.Command] = []
    for module in pkgutil.iter_modules(agent.cli.__path__):
        if module.name != "__main__":
            content = vars(importlib.import_module(f"agent.cli.{module.name}"))
            found += [command for command in content.values() if isinstance(command, click.Command)]
    subcommands = {id(sub) for group in found if isinstance(group, click.Group) for sub in group.commands.values()}
    top = {command.name for command in found if id(command) not in subcommands}
    assert top == set(COMMANDS)
    assert {name: _loaded(name).name for name in COMMANDS} == {name: name for name in COMMANDS}
    groups = {name: set(group.commands) for name in COMMANDS if isinstance(group := _loaded(name), click.Group)}
    assert groups == SUBCOMMANDS


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_table__says_what_the_command_itself_says(name: str) -> None:
    """A command's line in the table uses the words of its own help."""

    def words(text: str) -> set[str]:
        return set(re.findall(r"[a-z]{4,}", text.lower()))

    own = _loaded(name).help
    assert own is not None
    line = words(COMMANDS[name][1])
    assert len(line & words(own)) * 2 >= len(line), (line, own)


@pytest.mark.parametrize(("words", "said"), WRONG, ids=lambda value: "-".join(value) or "nothing" if isinstance(value, tuple) else "")
def test_usage__wrong_words_end_with_2(words: Path_, said: str, call: Call) -> None:
    """Wrong usage ends with 2, tells what is wrong on stderr, and prints nothing on stdout."""
    status, out, err = call(*words)
    assert (status, out) == (2, "")
    assert said in err
    assert err.startswith(("Usage: tourlatch", "Error: "))


@pytest.mark.parametrize(("words", "status"), [(("--version",), 0), (("keys", "list", "-f", "/nowhere"), 1), (("status", "--x"), 2)])
def test_both_doors_in__are_the_same_command(words: Path_, status: int) -> None:
    """The console script `tourlatch` and `python -m agent.cli` print the same and end the same."""
    ways = [[str(SCRIPT)], [sys.executable, "-m", "agent.cli"]]
    done = [subprocess.run([*way, *words], capture_output=True, text=True, check=False) for way in ways]
    script, module = [(one.returncode, one.stdout, one.stderr.replace("python -m agent.cli", "tourlatch")) for one in done]
    assert script == module
    assert script[0] == status
    assert "Traceback" not in script[2]


def test_version__is_the_packages_alone(call: Call) -> None:
    """`--version` prints the version of the installed package and nothing else."""
    assert call("--version") == (0, metadata.version("tourlatch") + "\n", "")


def test_start__loads_no_command_for_the_list_of_commands() -> None:
    """The list of commands loads none of their modules, for a Pi is slow."""
    look = "import sys; from click.testing import CliRunner; from agent.cli import tourlatch; CliRunner().invoke(tourlatch, ['--help']);"
    look += "print(sorted(name for name in sys.modules if name.startswith('agent.cli.') or name in ('pydantic', 'segno', 'httpx')))"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
