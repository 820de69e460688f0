"""The doctor names each thing that is wrong with what to do, whatever else is wrong."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from agent import config, protocol
from agent.cli import tourlatch
from agent.doctor import checks
from agent.doctor.checks import Finding, Grade, examine
from agent.doctor.wires import Wire
from agent.errors import AgentAbsentError, RequestRefusedError
from agent.settings.agent import AgentSettings
from drivers.base import DeviceMissingError, Input, Line, Reader
from drivers.fake import PlayedLine, PlayedReader

WELL: dict[str, Any] = {
    "version": "0.1.0",
    "up_s": 5,
    "doors": {"front": {"readers": {"scanner": "ready"}, "inputs": {"contact": "ready"}, "feed": None, "report": None}},
    "clock": {"state": "synchronised"},
    "unwritten": 0,
    "knock": {"is_up": True, "failures": 0},
}


class Bench:
    """Devices that are there, but for those in `missing`; those in `active` are active."""

    def __init__(self, *missing: str, active: tuple[str, ...] = ()) -> None:
        self._missing = missing
        self._active = active
        self.claimed: list[tuple[str, bool]] = []

    def _look(self, wire: Wire) -> None:
        if wire.place in self._missing:
            raise DeviceMissingError(f"{wire.words} is not there.")

    def line(self, wire: Wire, *, released: bool = False) -> Line:
        """A played line."""
        self._look(wire)
        self.claimed.append((wire.place, released))
        return PlayedLine(None)

    def input(self, wire: Wire) -> Input:
        """An input at rest."""
        self._look(wire)
        return _Level(is_active=wire.place in self._active)

    def reader(self, wire: Wire) -> Reader:
        """A played reader."""
        self._look(wire)
        return PlayedReader()


class _Level:
    name = "GPIO22"

    def __init__(self, *, is_active: bool) -> None:
        self._is_active = is_active

    def read(self) -> bool:
        return self._is_active

    def watch(self, on_edge: Callable[[bool, int], None]) -> None:
        raise NotImplementedError

    def close(self) -> None:
        pass


@pytest.fixture
def settings(tmp_path: Path) -> AgentSettings:
    """A door with a contact, and its files in the test's folder."""
    (tmp_path / "keys").mkdir()
    secret = tmp_path / "key"
    secret.touch(0o600)
    secret.write_text("the-key\n")
    written = {
        "community_id": "1",
        "time_zone": "UTC",
        "store": {"path": str(tmp_path / "journal.db")},
        "control": {"socket": str(tmp_path / "agent.sock")},
        "keys": {"folder": str(tmp_path / "keys")},
        "knock": {"appointment_key_file": str(secret)},
        "door": [
            {
                "name": "front",
                "relay": {"driver": "gpio", "pin": 17, "active": "high"},
                "contact": {"driver": "gpio", "pin": 22, "active": "high", "normally": "closed"},
                "reader": [{"driver": "serial", "name": "scanner", "port": "/dev/ttyACM0"}],
            }
        ],
    }
    assert CliRunner().invoke(tourlatch, ["keys", "new", "-f", str(tmp_path / "keys")]).exit_code == 0
    return config.parse(written, "agent.toml")


@pytest.fixture
def answer(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, Any] | Exception], None]:
    """Have the agent's socket answer so."""

    def set_answer(found: dict[str, Any] | Exception) -> None:
        def ask(_path: Path, _request: dict[str, Any]) -> dict[str, Any]:
            if isinstance(found, Exception):
                raise found
            return found

        monkeypatch.setattr(protocol, "ask", ask)

    return set_answer


def _graded(found: list[Finding]) -> list[tuple[str, str]]:
    return [(finding.grade.value, finding.subject) for finding in found if not finding.subject.startswith(("clock", "disk", "board"))]


def test_ok__a_board_whose_agent_is_well(settings: AgentSettings, answer: Callable[..., None]) -> None:
    """The agent's word counts for its devices; a wiring that nobody walked is a warning."""
    answer(WELL)
    assert _graded(list(examine(settings, Bench()))) == [
        *(("ok", "agent"), ("ok", "front scanner"), ("ok", "front contact"), ("ok", "keys"), ("ok", "secrets"), ("warn", "front wiring")),
    ]


def test_fail__what_the_agent_has_lost(settings: AgentSettings, answer: Callable[..., None]) -> None:
    """A lost reader or input and a store that cannot be written are faults; a link that is down is none."""
    door = {"readers": {"scanner": "lost"}, "inputs": {"contact": "lost"}, "feed": {"trouble": "no answer"}, "report": None}
    answer(WELL | {"doors": {"front": door}, "unwritten": 2, "knock": {"is_up": False, "failures": 3}, "clock": {"state": "unknown"}})
    found = list(examine(settings, Bench()))
    assert _graded(found)[1:6] == [
        *(("fail", "front scanner"), ("fail", "front contact"), ("warn", "front desk"), ("warn", "Knock"), ("fail", "journal")),
    ]
    assert [finding.grade for finding in found if finding.subject == "clock"] == [Grade.WARN]


def test_fail__without_an_agent_each_device_is_looked_for(settings: AgentSettings, answer: Callable[..., None]) -> None:
    """Two that are missing are two lines with their names, and what is there is said, too."""
    answer(AgentAbsentError("no agent answers"))
    found = list(examine(settings, Bench("contact", "reader scanner")))
    assert _graded(found)[:4] == [("warn", "agent"), ("fail", "front contact"), ("ok", "front relay"), ("fail", "front reader scanner")]
    assert "GPIO22 is not there." in [finding.words for finding in found]


def test_fail__an_agent_that_does_not_talk_to_this_user(settings: AgentSettings, answer: Callable[..., None]) -> None:
    """Its refusal is told, nothing is opened behind its back, and what can be looked at without it is."""
    answer(RequestRefusedError("this user may not speak to the agent"))
    bench = Bench()
    found = list(examine(settings, bench))
    assert found[0] == Finding(Grade.FAIL, "agent", "this user may not speak to the agent")
    assert _graded(found)[1:] == [("ok", "keys"), ("ok", "secrets"), ("warn", "front wiring")]
    assert bench.claimed == []


def test_fail__in_fire_the_relay_is_let_be(settings: AgentSettings, answer: Callable[..., None]) -> None:
    """To look at a relay is to claim it locked: while the panel alarms it is not touched."""
    answer(AgentAbsentError("no agent answers"))
    written = settings.model_dump(mode="json")
    written["door"][0]["fire"] = {"driver": "gpio", "pin": 24, "active": "high", "normally": "closed"}
    with_fire = AgentSettings.model_validate(written)
    bench = Bench(active=("fire",))
    assert ("warn", "front relay") in _graded(list(examine(with_fire, bench)))
    assert bench.claimed == []
    quiet = Bench()
    assert ("ok", "front relay") in _graded(list(examine(with_fire, quiet)))
    assert quiet.claimed == [("relay", False)]


def test_fail__what_is_the_matter_at_the_door(settings: AgentSettings, answer: Callable[..., None]) -> None:
    """What failed or is stuck and an open housing are faults; fire and a door that stands open are told."""
    door = WELL["doors"]["front"] | {"second_relay": "failed", "tamper": True, "fire": True, "leaf": "alarm"}
    door |= {"rex": "stuck", "lamps": {"green": "ready", "red": "failed"}}
    answer(WELL | {"doors": {"front": door}})
    found = _graded(list(examine(settings, Bench())))
    assert found[3:9] == [
        ("fail", "front second_relay"),
        ("fail", "front feedback.red"),
        ("fail", "front rex"),
        ("fail", "front tamper"),
        ("warn", "front fire"),
        ("warn", "front contact"),
    ]


def test_fail__no_key_and_no_secret(settings: AgentSettings, answer: Callable[..., None]) -> None:
    """A folder without a public key, and a secret that others can read, are named."""
    answer(WELL)
    for path in settings.keys.folder.iterdir():
        path.unlink()
    Path(settings.knock.appointment_key_file).chmod(0o644)
    found = {finding.subject: finding for finding in examine(settings, Bench())}
    assert found["keys"].grade is Grade.FAIL
    assert "copy the desk's *.pub.toml there" in found["keys"].words
    assert found["secrets"].grade is Grade.FAIL
    assert "the-key" not in found["secrets"].words


def test_fail__a_full_disk(settings: AgentSettings, answer: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Too little room for the journal is a fault with its number."""
    answer(WELL)
    monkeypatch.setattr(checks, "LEAST_FREE_BYTES", 2**60)
    found = {finding.subject: finding for finding in examine(settings, Bench())}
    assert found["disk"].grade is Grade.FAIL
    assert found["disk"].words.startswith("only ")


@pytest.mark.parametrize(
    ("text", "grade"),
    [
        ("dtparam=strict_gpiod\n", Grade.OK),
        ("dtparam=i2c_arm=on\n  dtparam=spi=on,strict_gpiod # pins\n", Grade.OK),
        ("#dtparam=strict_gpiod\n", Grade.WARN),
        ("dtparam=strict_gpiod=off\n", Grade.WARN),
        ("", Grade.WARN),
    ],
)
def test_ok__a_dead_process_lets_its_line_go(settings: AgentSettings, tmp_path: Path, text: str, grade: Grade) -> None:
    """The board's own configuration is read for the parameter that lets a line go; a comment is none."""
    boot = tmp_path / "config.txt"
    boot.write_text(text)
    assert [finding.grade for finding in checks._board(settings, (str(tmp_path / "none"), str(boot)))] == [grade]


def test_ok__elsewhere_than_on_a_pi_the_board_is_not_judged(settings: AgentSettings, tmp_path: Path) -> None:
    """Where there is no such file there is nothing to say."""
    assert list(checks._board(settings, (str(tmp_path / "none"),))) == []


def test_fail__the_command_says_it_by_its_exit_status(
    settings: AgentSettings, answer: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`tourlatch doctor` ends with 1 at a fault and with 0 at warnings, in words and in JSON."""
    monkeypatch.setattr(config, "load", lambda _path: settings)
    answer(WELL)
    done = CliRunner().invoke(tourlatch, ["doctor", "--json"])
    assert (done.exit_code, {finding["subject"] for finding in json.loads(done.output)} >= {"agent", "keys", "front wiring"}) == (0, True)
    answer(WELL | {"unwritten": 1})
    done = CliRunner().invoke(tourlatch, ["doctor"])
    assert done.exit_code == 1
    assert "fail  journal: 1 entries could not be written" in done.output


def test_fail__no_walk_beside_a_running_agent(
    settings: AgentSettings, answer: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The agent holds the lines: the walk says how to stop it, and a door that is not there is named."""
    monkeypatch.setattr(config, "load", lambda _path: settings)
    answer(WELL)
    assert "stop it first" in str(CliRunner().invoke(tourlatch, ["doctor", "--wiring"]).exception)
    assert "there is no door 'side'" in str(CliRunner().invoke(tourlatch, ["doctor", "--wiring", "--door", "side"]).exception)
    assert CliRunner().invoke(tourlatch, ["doctor", "--again"]).exit_code == 2


@pytest.mark.parametrize(("pin", "active", "is_told"), [(4, "high", True), (4, "low", False), (17, "low", True), (17, "high", False)])
def test_fail__a_relay_that_the_chip_pulls_to_released(settings: AgentSettings, pin: int, active: str, is_told: bool) -> None:
    """Until the agent runs only the resistor would hold the lock: it is a warning with the pin."""
    written = settings.model_dump(mode="json")
    written["door"][0]["relay"] = {"driver": "gpio", "pin": pin, "active": active}
    found = list(checks._pulls(AgentSettings.model_validate(written)))
    assert [finding.subject for finding in found] == (["front relay"] if is_told else [])
    assert all(f"GPIO{pin} is pulled" in finding.words for finding in found)
