"""The walk calls a door ready when each of its wires was seen to move, and not before."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from agent import config
from agent.core.codes import PREFIX
from agent.doctor.record import NAME, Record
from agent.doctor.walk import Verdict, Walk, verdict
from agent.doctor.wires import Wire, every, how_to_feed
from agent.errors import AgentError, ConfigError
from agent.settings.door import DoorSettings, LockSettings
from drivers.base import DeviceMissingError, Input, Line, Reader
from drivers.fake import PlayedLine, PlayedReader

CODE = PREFIX + b"SECRETSECRET"
PLACES = ["relay", "second_relay", "feedback.green", "contact", "rex", "fire", "tamper", "reader scanner"]


def _door(**changes: object) -> DoorSettings:
    played = {"driver": "gpio", "active": "high", "normally": "closed"}
    door: dict[str, object] = {
        "name": "front",
        "relay": {"driver": "gpio", "pin": 17, "active": "high"},
        "second_relay": {"driver": "gpio", "pin": 27, "active": "low"},
        "feedback": {"green": {"driver": "gpio", "pin": 5, "active": "high"}},
        "contact": {**played, "pin": 22},
        "rex": {**played, "pin": 23},
        "fire": {**played, "pin": 24},
        "tamper": {**played, "pin": 25},
        "reader": [{"driver": "serial", "name": "scanner", "port": "/dev/ttyACM0"}],
        **changes,
    }
    written = {"community_id": "1", "time_zone": "UTC", "door": [door]}
    return config.parse(written, "agent.toml").door[0]


class Level:
    """An input whose level the installer sets."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_active = False
        self.closed = 0

    def read(self) -> bool:
        """The level."""
        return self.is_active

    def watch(self, on_edge: Callable[[bool, int], None]) -> None:
        """Not needed here."""
        raise NotImplementedError

    def close(self) -> None:
        """Count it."""
        self.closed += 1


class Site:
    """A board with its installer, who does what he is told, but for `refusals`: parts of sentences that he says no to or ignores."""

    def __init__(self, *refusals: str, frame: bytes | None = CODE) -> None:
        self.refusals = refusals
        self.frame = frame
        self.lines: dict[str, PlayedLine] = {}
        self.inputs: dict[str, Level] = {}
        self.claimed: list[tuple[str, bool]] = []
        self.missing: str | None = None
        self.said: list[str] = []
        self.asked: list[str] = []
        self.released_at_end: list[bool] = []

    def line(self, wire: Wire, *, released: bool = False) -> Line:
        """A played line."""
        if wire.place == self.missing:
            raise DeviceMissingError(f"{wire.words}: no such pin.")
        self.lines[wire.place] = line = PlayedLine(None, name=wire.place)
        self.claimed.append((wire.place, released))
        return line

    def input(self, wire: Wire) -> Input:
        """A level."""
        return self.inputs.setdefault(wire.place, Level(wire.place))

    def reader(self, wire: Wire) -> Reader:
        """A reader that reads one thing, or nothing."""
        if wire.place == self.missing:
            raise ConfigError("the secret file front-osdp.key cannot be read: No such file or directory")
        return PlayedReader([self.frame] if self.frame is not None else [], name=wire.place)

    def say(self, sentence: str) -> None:
        """Do what is said."""
        self.said.append(sentence)
        if any(refused in sentence for refused in self.refusals):
            return
        acts = {"open the door": ("contact", True), "shut the door again": ("contact", False), "press the": ("rex", True)}
        acts |= {"let go of it": ("rex", False), "raise the": ("fire", True), "end the alarm": ("fire", False)}
        acts |= {"open the housing": ("tamper", True), "close the housing again": ("tamper", False)}
        if "Now end the alarm" in sentence:
            self.released_at_end.append(self.lines["relay"].is_released)
        for words, (place, is_active) in acts.items():
            if f"Now {words}" in sentence:
                self.inputs[place].is_active = is_active

    def ask(self, question: str) -> bool:
        """Yes, unless it is refused; never try again."""
        self.asked.append(question)
        return "Try " not in question and not any(refused in question for refused in self.refusals)


def _walk(site: Site, folder: Path, door: DoorSettings, *, again: bool = False) -> Verdict:
    walk = Walk(site, Record(folder / NAME), site, now=lambda: "2027-01-01T00:00:00+00:00", act_s=0.5, pulse_s=0.05)
    return walk.door(door, again=again)


def _told(site: Site) -> list[str]:
    """What the second relay's line was told, in order."""
    return site.lines["second_relay"].events


def test_ok__a_door_whose_every_wire_moved(tmp_path: Path) -> None:
    """It is ready, each line was on once for its time and is off and given back, and the inputs are given back."""
    site = Site()
    found = _walk(site, tmp_path, _door())
    assert found == Verdict("front", (), len(PLACES))
    assert found.words == "front is ready: all 8 were seen to move."
    # by the guard at the end of its time, by the walk at its own end, or by both
    assert [event for event, before in zip(_told(site), ["", *_told(site)], strict=False) if event != before] == [
        *("locked", "released", "locked", "closed"),
    ]
    assert [line.is_released for line in site.lines.values()] == [False] * 3
    assert {place: level.closed for place, level in site.inputs.items()} == {"contact": 1, "rex": 1, "fire": 2, "tamper": 1}


@pytest.mark.parametrize(
    ("refused", "place"),
    [
        ("relay (GPIO17) is energised", "relay"),
        ("Was relay off", "relay"),
        ("Was second_relay off", "second_relay"),
        ("Was feedback.green off", "feedback.green"),
        ("Now open the door", "contact"),
        ("Now shut the door again", "contact"),
        ("Now press the", "rex"),
        ("Now let go of it", "rex"),
        ("Now raise the", "fire"),
        ("Now end the alarm", "fire"),
        ("Fire: was the lock released", "fire"),
        ("Now open the housing", "tamper"),
    ],
)
def test_fail__what_did_not_move(tmp_path: Path, refused: str, place: str) -> None:
    """One wire that nobody saw move, or that did not go back, leaves the door not ready, by its name, and hides no other."""
    found = _walk(Site(refused), tmp_path, _door())
    assert found == Verdict("front", (place,), len(PLACES))
    assert found.words == f"front is NOT ready: not seen to move: {place}."


def test_ok__the_relay_is_on_for_as_long_as_the_alarm(tmp_path: Path) -> None:
    """Claimed released while the panel alarms, released when the installer is told to end it, locked once it is over."""
    site = Site()
    assert _walk(site, tmp_path, _door()).is_ready
    assert ("relay", True) in site.claimed
    assert site.released_at_end == [True]
    assert not site.lines["relay"].is_released


def test_fail__an_alarm_that_nobody_ends_is_not_released_for_ever(tmp_path: Path) -> None:
    """The walk gives the line back and calls the wire not seen; nothing drove it locked in fire."""
    site = Site("Now end the alarm")
    assert _walk(site, tmp_path, _door()).unseen == ("fire",)
    assert site.lines["relay"].events == ["released", "released", "closed"]


def test_fail__in_fire_no_relay_is_touched(tmp_path: Path) -> None:
    """A panel that alarms at the beginning: the lock's relay is not even claimed, and its wire is not seen."""
    site = Site("Now raise the", "Now end the", "Now see that")
    site.inputs["fire"] = Level("GPIO24")
    site.inputs["fire"].is_active = True
    assert _walk(site, tmp_path, _door()).unseen == ("relay", "fire")
    assert "relay" not in [place for place, _ in site.claimed]
    assert any("There is fire at this door by GPIO24: its relay is not touched." in sentence for sentence in site.said)


@pytest.mark.parametrize("frame", [b"\xff\x80\x13~~\xfe", b"hello", b"tl1:ABC"])
def test_fail__a_reader_that_reads_nonsense(tmp_path: Path, frame: bytes) -> None:
    """What a wrong speed or layout makes of a code is not what the door understands."""
    site = Site(frame=frame)
    assert _walk(site, tmp_path, _door()).unseen == ("reader scanner",)
    assert (
        f"    It read {len(frame)} characters that are no tour code and no number: check its speed, prefix, suffix and layout." in site.said
    )


@pytest.mark.parametrize(
    ("changes", "unseen"),
    [
        ({"lock": {"kind": "maglock", "fails": "safe"}}, ("relay",)),
        ({"reader": [{"driver": "serial", "name": "scanner", "port": "/dev/ttyACM0", "baud": 115200}]}, ("reader scanner",)),
        ({"reader": [{"driver": "serial", "name": "scanner", "port": "/dev/ttyACM0", "suffix": "\t"}]}, ("reader scanner",)),
        ({"contact": {"driver": "gpio", "pin": 22, "active": "low", "normally": "open"}}, ("contact",)),
    ],
)
def test_fail__what_was_seen_is_void_when_its_wiring_changes(tmp_path: Path, changes: dict[str, object], unseen: tuple[str, ...]) -> None:
    """Another lock, level, speed or line end is another wiring."""
    _walk(Site(), tmp_path, _door())
    assert verdict(Record(tmp_path / NAME), _door(**changes)).unseen == unseen


def test_fail__a_look_that_failed_counts_at_once(tmp_path: Path) -> None:
    """Ctrl-C at the question after it brings the earlier word not back."""

    class Leaves(Site):
        def ask(self, question: str) -> bool:
            if "Try relay" in question:
                raise KeyboardInterrupt
            return super().ask(question)

    _walk(Site(), tmp_path, _door())
    with pytest.raises(KeyboardInterrupt):
        _walk(Leaves("Was relay off"), tmp_path, _door(), again=True)
    assert verdict(Record(tmp_path / NAME), _door()).unseen == ("relay",)


def test_fail__a_silent_reader(tmp_path: Path) -> None:
    """A reader that reads nothing was not seen."""
    site = Site(frame=None)
    assert _walk(site, tmp_path, _door()).unseen == ("reader scanner",)
    assert "    reader scanner read nothing within 0.5 s." in site.said


def test_fail__a_device_that_is_missing(tmp_path: Path) -> None:
    """It is told with its name, and the walk goes on."""
    site = Site()
    site.missing = "second_relay"
    assert _walk(site, tmp_path, _door()).unseen == ("second_relay",)
    assert "    GPIO27: no such pin." in site.said


def test_fail__a_reader_whose_key_is_missing(tmp_path: Path) -> None:
    """It is told with its file, and what comes after it is walked all the same."""
    site = Site()
    site.missing = "reader scanner"
    scanners = [{"driver": "serial", "name": name, "port": f"/dev/{name}"} for name in ("scanner", "other")]
    assert _walk(site, tmp_path, _door(reader=scanners)).unseen == ("reader scanner",)
    assert "    the secret file front-osdp.key cannot be read: No such file or directory" in site.said


def test_fail__what_a_reader_reads_is_never_shown(tmp_path: Path) -> None:
    """A code is described by its kind and length alone."""
    site = Site()
    _walk(site, tmp_path, _door())
    assert f"    It read a tour code of {len(CODE)} characters." in site.said
    assert not any("SECRET" in sentence for sentence in site.said + site.asked)
    assert "SECRET" not in (tmp_path / NAME).read_text("utf-8")


def test_ok__a_second_walk_looks_at_what_is_left(tmp_path: Path) -> None:
    """What was seen stays seen; a pin that changed is looked at again, and so is everything when asked."""
    _walk(Site("Now open the door"), tmp_path, _door())
    site = Site()
    assert _walk(site, tmp_path, _door()).is_ready
    assert (list(site.lines), list(site.inputs)) == ([], ["contact"])
    moved = _door(rex={"driver": "gpio", "pin": 6, "active": "high", "normally": "closed"})
    assert verdict(Record(tmp_path / NAME), moved).unseen == ("rex",)
    again = Site()
    assert _walk(again, tmp_path, _door(), again=True).is_ready
    assert list(again.lines) == ["relay", "second_relay", "feedback.green"]


def test_ok__a_time_that_changed_needs_no_walk(tmp_path: Path) -> None:
    """Only what says where and how a wire goes voids what was seen."""
    _walk(Site(), tmp_path, _door())
    contact = {"driver": "gpio", "pin": 22, "active": "high", "normally": "closed", "debounce_ms": 50, "held_warn_s": 5}
    assert verdict(Record(tmp_path / NAME), _door(contact=contact, pulse_s=3.0)).is_ready


def test_ok__an_interrupted_walk_keeps_what_was_seen(tmp_path: Path) -> None:
    """Ctrl-C in the middle: the lines are off, and the next walk goes on there."""

    class Leaves(Site):
        def ask(self, question: str) -> bool:
            if "Was second_relay" in question:
                raise KeyboardInterrupt
            return super().ask(question)

    site = Leaves()
    with pytest.raises(KeyboardInterrupt):
        _walk(site, tmp_path, _door())
    assert [line.is_released for line in site.lines.values()] == [False, False]
    assert verdict(Record(tmp_path / NAME), _door()).unseen == tuple(PLACES[1:])


def test_fail__a_wire_that_failed_later_is_not_ready_any_more(tmp_path: Path) -> None:
    """A later walk that does not see it takes the earlier word back."""
    _walk(Site(), tmp_path, _door())
    assert _walk(Site("Was relay off"), tmp_path, _door(), again=True).unseen == ("relay",)


@pytest.mark.parametrize("text", ["[" * 100_000, "", "[]", '{"front": 5}', "{"])
def test_fail__a_damaged_record(tmp_path: Path, text: str) -> None:
    """A record that is none is told, not taken for an empty one."""
    (tmp_path / NAME).write_text(text)
    with pytest.raises(AgentError, match="is damaged: remove it and walk again"):
        Record(tmp_path / NAME)


def test_fail__a_record_with_odd_entries_makes_nothing_ready(tmp_path: Path) -> None:
    """What the walk did not write counts for nothing."""
    (tmp_path / NAME).write_text(json.dumps({"front": {"relay": "yes", "contact": {"mark": 5}, "rex": None}}))
    assert verdict(Record(tmp_path / NAME), _door()).unseen == tuple(PLACES)


def test_ok__every_line_of_the_settings_is_a_wire() -> None:
    """Nothing that can be wired is left out of the walk."""
    assert [wire.place for wire in every(_door())] == PLACES


@pytest.mark.parametrize(
    ("lock", "contact"),
    [
        (LockSettings(), "(NO)"),
        (LockSettings(kind="strike", fails="safe"), "(NC)"),
        (LockSettings(kind="maglock", fails="safe"), "(NC)"),
    ],
)
def test_ok__the_lock_is_fed_so_that_energised_means_released(lock: LockSettings, contact: str) -> None:
    """A dead board leaves each kind locked from outside."""
    assert contact in how_to_feed(lock)
