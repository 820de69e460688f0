"""The installer puts everything where the unit looks for it, overwrites nothing of a person's, and says what is missing."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click import Group
from click.testing import CliRunner

from agent.cli import COMMANDS, tourlatch
from agent.config import load
from agent.errors import ConfigError

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "systemd" / "install.sh"
DOCUMENTS = [ROOT / "systemd" / "README.md", *(ROOT / "config" / name for name in ("README.md", "agent.toml", "desk.toml")), SCRIPT]


@pytest.fixture(scope="session", autouse=True)
def _apt_lgpio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A machine like a Pi's: where this Python has no wheel of lgpio, a stand-in for the package that apt would bring."""
    folder = tmp_path_factory.mktemp("apt")
    (folder / "lgpio.py").write_text("gpio_claim_output = None\n", "ascii")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("APT_LGPIO", str(folder) if sys.version_info >= (3, 13) else "")
        yield


def _install(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {"PATH": os.environ["PATH"], "PYTHON": sys.executable, "PYTHONPATH": os.environ["APT_LGPIO"]}
    return subprocess.run(
        ["sh", str(SCRIPT), *arguments], env={**kept, **environment}, capture_output=True, text=True, check=False, timeout=60
    )


def _tree(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    }


def test_ok__all_files_below_a_folder(tmp_path: Path) -> None:
    """With DESTDIR the files alone are put below it, under the names that systemd and udev look for, the keys' folder for root alone."""
    done = _install(DESTDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert set(_tree(tmp_path)) == {
        "etc/tourlatch/agent.toml",
        "usr/local/lib/modules-load.d/tourlatch.conf",
        "usr/local/lib/systemd/system/tourlatch.service",
        "usr/local/lib/systemd/system/tourlatch-desk.service",
        "usr/local/lib/sysusers.d/tourlatch.conf",
        "usr/local/lib/tmpfiles.d/tourlatch.conf",
        "usr/local/lib/udev/rules.d/70-tourlatch.rules",
        "usr/local/share/doc/tourlatch/README.md",
        "usr/local/share/doc/tourlatch/WIRING.md",
        "usr/local/share/doc/tourlatch/agent.toml",
        "usr/local/share/doc/tourlatch/desk.toml",
        "usr/local/share/doc/tourlatch/wiring-maglock.svg",
        "usr/local/share/doc/tourlatch/wiring-strike.svg",
    }
    assert (tmp_path / "usr/local/bin/tourlatch").readlink() == Path("/opt/tourlatch/venv/bin/tourlatch")
    for name in ("credentials", "doors", "desk", "desk/keys"):
        assert (tmp_path / "etc/tourlatch" / name).stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "etc/tourlatch/keys").is_dir()
    assert not (tmp_path / "opt").exists()


def test_ok__a_package_names_its_own_prefix(tmp_path: Path) -> None:
    """With PREFIX=/usr nothing goes below /usr/local, which is not a package's."""
    done = _install(DESTDIR=str(tmp_path), PREFIX="/usr")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "usr/lib/systemd/system/tourlatch.service").is_file()
    assert not (tmp_path / "usr/local").exists()


def test_ok__a_second_run_changes_nothing(tmp_path: Path) -> None:
    """An upgrade is the same command again, and leaves no files of its own work behind."""
    _install(DESTDIR=str(tmp_path))
    before = _tree(tmp_path)
    done = _install(DESTDIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert _tree(tmp_path) == before


def test_ok__a_configuration_that_is_there_is_kept(tmp_path: Path) -> None:
    """What a person wrote survives an upgrade byte for byte; the unit and the documents are renewed."""
    _install(DESTDIR=str(tmp_path))
    written, unit = tmp_path / "etc/tourlatch/agent.toml", tmp_path / "usr/local/lib/systemd/system/tourlatch.service"
    written.write_text("mine", "utf-8")
    unit.write_text("old", "utf-8")
    done = _install(DESTDIR=str(tmp_path))
    assert written.read_text("utf-8") == "mine"
    assert f"Kept {written} as it is" in done.stdout
    assert unit.read_bytes() == (ROOT / "systemd" / "tourlatch.service").read_bytes()


def test_fail__a_relay_that_nobody_measured(tmp_path: Path) -> None:
    """The installed configuration is whole but for the relay's level, so no agent starts on a guess."""
    _install(DESTDIR=str(tmp_path))
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "etc/tourlatch/agent.toml")
    assert str(caught.value).endswith("door.0.relay.active: must be given")
    assert "\n" not in str(caught.value)


def test_ok__a_dry_run_does_nothing_and_names_the_safeguards(tmp_path: Path) -> None:
    """Every command is told, hashes and wheels are demanded, and the new version proves itself before it is used."""
    done = _install("--dry-run", DESTDIR="", PREFIX=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.iterdir()) == []
    pips = [line for line in done.stdout.splitlines() if "-m pip" in line]
    assert len(pips) >= 2
    assert all("--no-deps" in line for line in pips)
    assert all("--require-hashes --only-binary=:all:" in line for line in pips if ".txt" in line)
    assert next(line for line in pips if ".txt" not in line).endswith(f"--no-deps --no-build-isolation {ROOT}")
    at = [
        done.stdout.index(words)
        for words in ("-m compileall", "bin/tourlatch --version", "would: sync", "/opt/tourlatch/.venv.new /opt/tourlatch/venv")
    ]
    assert at == sorted(at)


@pytest.mark.parametrize(
    ("name", "pinned"),
    [
        ("lgpio", r"lgpio==[\d.]+ ; python_full_version < '3\.13' \\$"),
        ("libosdp", r"libosdp==3\.[\d.]+ ; platform_machine == 'aarch64' or platform_machine == 'x86_64' \\$"),
    ],
)
def test_ok__a_package_is_taken_out_of_the_lock_with_its_hashes(name: str, pinned: str) -> None:
    """The installer finds the pinned lines of a package that only some machines need, all of them and no other package's."""
    recipe = re.search(r"^locked\(\) \{ .* \}$", SCRIPT.read_text("utf-8"), re.MULTILINE)
    assert recipe is not None
    done = subprocess.run(
        ["sh", "-c", f'SOURCE="{ROOT}"; {recipe[0]}\nlocked {name}'], capture_output=True, text=True, check=True, timeout=60
    )
    first, *hashes = done.stdout.splitlines()
    assert re.match(pinned, first)
    assert hashes
    assert all(re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}( \\)?", line) for line in hashes)
    assert not hashes[-1].endswith("\\")


def test_ok__osdp_is_installed_where_it_is_asked_for() -> None:
    """With --osdp its package comes by hash from the lock, and has to import; a desk alone has no readers."""
    asked, not_asked, desk = (_install("--dry-run", *words).stdout for words in (("--osdp",), (), ("--osdp", "--desk-only")))
    found = [line for line in asked.splitlines() if "osdp" in line]
    assert ["--require-hashes --only-binary=:all: --no-deps" in found[0], found[1].endswith("-I -c import osdp_sys"), len(found)] == [
        True,
        True,
        2,
    ]
    assert "osdp" not in not_asked + desk


def test_fail__an_old_python(tmp_path: Path) -> None:
    """A Python that is too old, or none, is a sentence before anything is touched."""
    done = _install("--dry-run", PYTHON="/bin/false", PREFIX=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr.startswith("install: Python 3.11 or later is needed")
    assert done.stdout == ""


def test_fail__a_missing_package_is_one_line_for_apt(tmp_path: Path) -> None:
    """Without venv the installer says what to type and does nothing."""
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\ncase "$*" in *ensurepip*) exit 1 ;; esac\nexit 0\n', "utf-8")
    python.chmod(0o755)
    done = _install("--dry-run", PYTHON=str(python))
    assert done.returncode == 1
    assert "something is missing: apt install python3-venv" in done.stderr
    assert done.stdout == ""


def test_fail__lgpio_from_apt_for_a_new_python(tmp_path: Path) -> None:
    """Python 3.13 has no wheel of lgpio, and an empty stand-in that imports does not count."""
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\ncase "$*" in *lgpio* | *"(3, 13)"*) exit 1 ;; esac\nexit 0\n', "utf-8")
    python.chmod(0o755)
    assert "apt install python3-lgpio" in _install("--dry-run", PYTHON=str(python)).stderr


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("--hepl",), 2, "there is no option --hepl"),
        (("--wheel",), 1, "--wheel needs a file"),
        (("--dry-run", "--wheel", "/nowhere.whl"), 1, "there is no wheel /nowhere.whl"),
        (("--dry-run", "--roll-back"), 1, "there is no version to go back to"),
    ],
)
def test_fail__wrong_usage(arguments: tuple[str, ...], status: int, words: str) -> None:
    """A slip in the options is a sentence, and nothing is done."""
    if "--roll-back" in arguments and Path("/opt/tourlatch/previous").exists():
        pytest.skip("this machine has a version to go back to")
    done = _install(*arguments)
    assert (done.returncode, done.stdout) == (status, "")
    assert words in done.stderr


def test_ok__help_tells_every_option() -> None:
    """The help is the head of the script, and names each option that there is."""
    done = _install("--help")
    options = set(re.findall(r"^ {4}(--[a-z-]+)\)", SCRIPT.read_text("utf-8"), re.MULTILINE))
    assert options == {"--camera", "--desk", "--desk-only", "--dry-run", "--kiosk", "--osdp", "--roll-back", "--wheel"}
    assert all(option in done.stdout for option in options)


@pytest.mark.skipif(shutil.which("shellcheck") is None, reason="there is no shellcheck on this machine")
def test_ok__shellcheck_finds_no_fault() -> None:
    """The script is plain POSIX shell without a known trap."""
    done = subprocess.run(["shellcheck", str(SCRIPT)], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout


def _words_after_tourlatch() -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for path in DOCUMENTS:
        # in backquotes, in a line of a code block, or in a list of steps: `tourlatch outbox list`, not "the tourlatch group"
        for words in re.findall(
            r"(?:`|^ {0,4}|sudo |then: |now |; )tourlatch ((?:[a-z]+)(?: [a-z]+(?:-[a-z]+)*)?)\b", path.read_text("utf-8"), re.MULTILINE
        ):
            command, _, rest = words.partition(" ")
            found.add((command, rest))
    return found


def test_ok__every_command_in_the_documents_exists() -> None:
    """What a reader is told to type is a command, and its second word one of its own where it has any."""
    words = _words_after_tourlatch()
    assert {"check", "lock", "unlock", "status", "events", "keys", "tokens", "staff"} <= {command for command, _ in words}
    for command, rest in words:
        assert command in COMMANDS, f"tourlatch {command}"
        if rest and command in ("keys", "outbox", "code", "staff", "tokens"):
            loaded = tourlatch.get_command(None, command)  # type: ignore[arg-type]  # our group needs no context
            assert isinstance(loaded, Group)
            assert rest in loaded.commands, f"tourlatch {command} {rest}"


@pytest.mark.parametrize("command", ["check", "lock", "unlock", "status", "events", "keys", "outbox", "visits", "code", "run"])
def test_ok__the_commands_of_the_documents_have_help(command: str) -> None:
    """Each of them explains itself."""
    result = CliRunner().invoke(tourlatch, [command, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage: ")
