"""A mistake in the configuration is told with its place and what to write instead, all of them at once, and nothing is guessed."""

from __future__ import annotations

import copy
import tomllib
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
from click.testing import CliRunner

from agent import config
from agent.cli import tourlatch
from agent.errors import AgentError, ConfigError
from agent.settings.door import DoorSettings
from agent.settings.lines import GpioRelay, PlayedRelay
from agent.settings.readers import AnyReader
from drivers import registry

READERS = get_args(get_args(AnyReader)[0])
GOOD = tomllib.loads("""
community_id = "4711"
time_zone = "America/Los_Angeles"
[[door]]
name = "front"
relay = { driver = "gpio", pin = 17, active = "low" }
reader = [{ driver = "serial", name = "front", port = "/dev/ttyACM0" }]
[[door]]
name = "side"
relay = { driver = "gpio", pin = 27, active = "high" }
reader = [{ driver = "serial", name = "side", port = "/dev/ttyACM1" }]
""")


def _changed(place: str, value: object) -> dict[str, Any]:
    """A good configuration with one value put at a place like `door.0.relay.pin`; None takes it away."""
    written: dict[str, Any] = copy.deepcopy(GOOD)
    *way, name = place.split(".")
    at: Any = written
    for step in way:
        at = at[int(step)] if step.isdigit() else at.setdefault(step, {})
    if value is None:
        del at[name]
    else:
        at[name] = value
    return written


def _mistakes(written: dict[str, Any]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.parse(written, "agent.toml")
    return str(caught.value).splitlines()


def test_ok__the_good_configuration_is_good() -> None:
    """What the other tests break is whole, so each failure below is the one it means."""
    assert [door.name for door in config.parse(GOOD, "agent.toml").door] == ["front", "side"]


@pytest.mark.parametrize(
    ("place", "value", "sentence"),
    [
        ("rules.grace_befor_min", 5, "agent.toml: rules.grace_befor_min: there is no such key; did you mean grace_before_min?"),
        ("door.0.relay.pinn", 5, "agent.toml: door.0.relay.pinn: there is no such key; did you mean pin?"),
        ("door.0.reader.0.bauds", 5, "agent.toml: door.0.reader.0.bauds: there is no such key; did you mean baud?"),
        ("xyzzy", 5, "agent.toml: xyzzy: there is no such key"),
        ("grace_after_min", 5, "agent.toml: grace_after_min: there is no such key here; it belongs in [rules]"),
        ("door.0.baud", 5, "agent.toml: door.0.baud: there is no such key here; it belongs in [[door.reader]]"),
        (
            "door.0.pin",
            5,
            (
                "agent.toml: door.0.pin: there is no such key here; it belongs in [door.relay] or in [door.second_relay] "
                "or in [door.contact] or in one of 6 other tables"
            ),
        ),
        ("community_id", None, "agent.toml: community_id: must be given"),
        ("time_zone", None, "agent.toml: time_zone: must be given"),
        ("door.1.relay.active", None, "agent.toml: door.1.relay.active: must be given"),
        ("door.1.relay.driver", None, "agent.toml: door.1.relay.driver: must be given"),
        ("door.1.relay.driver", "pigpio", "agent.toml: door.1.relay.driver: 'pigpio' is unknown; known: 'gpio', 'played'"),
        ("door.1.relay.active", "hi", "agent.toml: door.1.relay.active: 'hi' is unknown; known: 'high' or 'low'"),
    ],
)
def test_fail__a_key_that_is_wrong_or_missing(place: str, value: object, sentence: str) -> None:
    """An unknown key names the nearest known one, a missing one is called missing, an unknown choice names the choices."""
    assert _mistakes(_changed(place, value)) == [sentence]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("rules.grace_before_min", -1),
        ("rules.grace_after_min", 721),
        ("rules.admissions_per_door", 0),
        ("lockout.guesses", 1),
        ("clock.drift_ppm", 0),
        ("clock.tolerated_s", 3601),
        ("knock.total_timeout_s", 0.0),
        ("knock.total_timeout_s", float("nan")),
        ("knock.read_timeout_s", float("inf")),
        ("outbox.at_once", 33),
        ("door.0.pulse_s", 0.05),
        ("door.0.pulse_s", float("nan")),
        ("door.0.max_pulse_s", 121.0),
        ("door.0.relay.pin", 54),
        ("door.0.relay.chip", 16),
        ("door.0.reader.0.baud", 299),
        ("door.0.reader.0.gap_s", 0.0),
        ("door.0.reader.0.suffix", "x" * 17),
        ("door.0.reader.0.suffix", "\N{SNOWMAN}"),
        ("help_phone", "call me"),
    ],
)
def test_fail__out_of_bounds(place: str, value: object) -> None:
    """A value just outside its bounds, and a number that is none, is refused with its place and itself."""
    (mistake,) = _mistakes(_changed(place, value))
    assert mistake.startswith(f"agent.toml: {place}: ")
    assert repr(value) in mistake


@pytest.mark.parametrize("place", ["rules.grace_before_min", "door.0.relay.pin", "door.0.reader.0.baud", "door.0.pulse_s"])
@pytest.mark.parametrize("value", ["5", True])
def test_fail__no_number_is_guessed_from_another_kind(place: str, value: object) -> None:
    """Text is no number, and neither is yes or no."""
    (mistake,) = _mistakes(_changed(place, value))
    assert mistake.startswith(f"agent.toml: {place}: ")


def test_ok__a_whole_number_of_seconds_needs_no_point() -> None:
    """`pulse_s = 5` is as good as 5.0."""
    assert config.parse(_changed("door.0.pulse_s", 5), "agent.toml").door[0].pulse_s == 5


@pytest.mark.parametrize(
    ("place", "value", "words"),
    [
        ("door.1.relay.pin", 17, "the pin 17 is used twice: by front.relay and by side.relay"),
        ("door.1.name", "front", "the door name 'front' is used twice"),
        ("door.1.reader.0.name", "front", "the reader name 'front' is used twice"),
        ("door.1.reader.0.port", "/dev/ttyACM0", "the port '/dev/ttyACM0' is used twice"),
    ],
)
def test_fail__used_twice(place: str, value: object, words: str) -> None:
    """Two doors on one pin, one port or one name are a slip that would open the wrong door."""
    (mistake,) = _mistakes(_changed(place, value))
    assert mistake.removeprefix("agent.toml: the file: ") == words


PLAYED = {"driver": "played", "path": "/var/lib/tourlatch/relay"}


@pytest.mark.parametrize(
    ("place", "value", "keys"),
    [
        ("control.socket", "/var/lib/tourlatch/journal.db", "store.path and control.socket"),
        ("control.socket", "/var/lib/tourlatch/../tourlatch/journal.db-wal", "store.path and control.socket"),
        ("control.socket", "/var/lib/tourlatch/relay.log", "control.socket and door.0.relay.path"),
        ("store.path", "/var/lib/tourlatch/relay", "store.path and door.0.relay.path"),
        ("store.path", "/run/tourlatch/agent.sock", "store.path and control.socket"),
        ("door.1.relay.path", "/var/lib/tourlatch/journal.db.lock", "store.path and door.1.relay.path"),
        ("door.1.relay.path", "/var/lib/tourlatch/journal.db-shm", "store.path and door.1.relay.path"),
        ("door.1.relay.path", "/run/tourlatch/agent.sock", "control.socket and door.1.relay.path"),
        ("door.1.relay.path", "/var/lib/tourlatch/relay", "door.0.relay.path and door.1.relay.path"),
        ("door.1.relay.path", "/var/lib/tourlatch/relay.log", "door.0.relay.path and door.1.relay.path"),
    ],
)
def test_fail__two_things_in_one_file(place: str, value: str, keys: str) -> None:
    """Whatever the agent writes has a file of its own, however its path is spelled."""
    written = _changed("door.0.relay", PLAYED)
    written["door"][1]["relay"] = {**PLAYED, "path": "/var/lib/tourlatch/relay-side"}
    config.parse(written, "agent.toml")
    *way, name = place.split(".")
    at: Any = written
    for step in way:
        at = at[int(step)] if step.isdigit() else at.setdefault(step, {})
    at[name] = value
    (mistake,) = _mistakes(written)
    assert mistake.startswith(f"agent.toml: the file: {keys} would both write /")


@pytest.mark.parametrize(
    "name",
    ["Host", "content-length", "Transfer-Encoding", "CONNECTION", "Content-Type", "accept-encoding", "X-Api-Key", "x-other-key"],
)
def test_fail__an_extra_header_that_the_agent_sets_itself(name: str) -> None:
    """No extra header takes the place of one that the client sets, or of the key's, in whatever letters."""
    written = _changed("knock.extra_headers", {"company-id": "5", name: "x"})
    if name == "x-other-key":
        config.parse(written, "agent.toml")
        written["knock"]["key_header"] = "X-Other-Key"
    (mistake,) = _mistakes(written)
    assert mistake == f"agent.toml: knock: extra_headers must not name {name}, which the agent sets itself"


@pytest.mark.parametrize("zone", ["Nowhere/Nowhere", "", "+02:00", "UTC+2", "../../etc/passwd", "/etc/localtime"])
def test_fail__a_zone_that_is_none(zone: str) -> None:
    """An offset, a path or a made-up name is no time zone."""
    (mistake,) = _mistakes(_changed("time_zone", zone))
    assert "is no time zone; write one like America/Los_Angeles" in mistake


@pytest.mark.parametrize(
    "url",
    [
        "http://syndication.knockrentals.com",
        "http://10.0.0.1",
        "http://127.0.0.1.example.com",
        "http://localhost.example.com",
        "http://0.0.0.0",
        "ftp://syndication.knockrentals.com",
        "https://user:word@syndication.knockrentals.com",
        "https://syndication.knockrentals.com?x=1",
        "https://",
        "syndication.knockrentals.com",
    ],
)
def test_fail__an_address_that_is_not_safe(url: str) -> None:
    """The key never travels in the clear to another machine, and the address holds nothing but the address."""
    (mistake,) = _mistakes(_changed("knock.base_url", url))
    assert mistake.startswith("agent.toml: knock.base_url: must be ")


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8080", "http://[::1]:8080", "http://localhost:8080", "https://stage-syndication.knockrentals.com/"]
)
def test_ok__an_address_that_is_safe(url: str) -> None:
    """Https anywhere, http to this machine; a slash at the end makes no difference."""
    assert config.parse(_changed("knock.base_url", url), "agent.toml").knock.base_url == url.rstrip("/")


@pytest.mark.parametrize("place", ["store.path", "control.socket", "keys.folder", "door.0.reader.0.port", "knock.ca_file"])
def test_fail__a_relative_path(place: str) -> None:
    """The agent starts in a folder of systemd's, so a relative path would mean another file than the writer's."""
    (mistake,) = _mistakes(_changed(place, "here"))
    assert mistake == f"agent.toml: {place}: must be an absolute path, since systemd starts the program in / (it is 'here')"


def test_fail__a_pulse_beyond_its_maximum() -> None:
    """The maximum bounds the pulse in the file already, not only at the relay."""
    (mistake,) = _mistakes(_changed("door.0.pulse_s", 10.5))
    assert mistake.startswith("agent.toml: door.0: pulse_s (10.5) exceeds max_pulse_s (10.0)")


def test_fail__a_user_that_is_not_there() -> None:
    """A name that nobody has could later be somebody's."""
    (mistake,) = _mistakes(_changed("control.users", ["no-such-user"]))
    assert "there is no user 'no-such-user' on this machine" in mistake


def test_fail__every_mistake_at_once() -> None:
    """Three mistakes are three lines, each with its place, so the file is mended in one go."""
    written = _changed("rules.grace_befor_min", 5)
    written["time_zone"] = "Mars"
    del written["door"][1]["relay"]["active"]
    found = _mistakes(written)
    assert len(found) == 3
    assert [
        place
        for place in ("time_zone", "rules.grace_befor_min", "door.1.relay.active")
        if not any(f": {place}: " in line for line in found)
    ] == []


def test_fail__no_door_at_all() -> None:
    """An agent without a door, or a door without a reader, is a mistake rather than an idle program."""
    assert _mistakes(_changed("door", []))[0].startswith("agent.toml: door: ")
    assert _mistakes(_changed("door.0.reader", []))[0].startswith("agent.toml: door.0.reader: ")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"community_id =", "is not TOML"), (b"\xff\xfe", "is not UTF-8 text"), (None, "cannot be read: No such file or directory")],
)
def test_fail__a_file_that_is_none(tmp_path: Path, content: bytes | None, words: str) -> None:
    """A missing, damaged or foreign file is a sentence with its name."""
    path = tmp_path / "agent.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=words) as caught:
        config.load(path)
    assert str(path) in str(caught.value)


def test_fail__a_file_that_has_no_end(tmp_path: Path) -> None:
    """A file is read up to its bound and no further, so a device or a disk image is told and not swallowed."""
    path = tmp_path / "agent.toml"
    with path.open("wb") as image:
        image.truncate(config.MAX_FILE_BYTES + 1)
    with pytest.raises(ConfigError) as caught:
        config.load(path)
    assert str(caught.value) == f"the configuration {path} is longer than 1000000 bytes: is it the right file?"


def test_ok__a_file_as_long_as_may_be(tmp_path: Path) -> None:
    """A file of exactly the bound is read whole."""
    path = tmp_path / "agent.toml"
    text = "#" * 99 + "\n" + "x = 1"
    path.write_text(" " * (config.MAX_FILE_BYTES - len(text)) + text)
    with pytest.raises(ConfigError, match="x: there is no such key"):
        config.load(path)


def test_fail__check_tells_mistakes_without_a_traceback(tmp_path: Path) -> None:
    """`tourlatch check` ends with the sentences, which `main` prints with exit status 1."""
    path = tmp_path / "agent.toml"
    path.write_text("rulez = 1", "utf-8")
    result = CliRunner().invoke(tourlatch, ["check", "-c", str(path)])
    assert isinstance(result.exception, AgentError)
    assert "rulez: there is no such key; did you mean rules?" in str(result.exception)


def _drivers(*models: type) -> set[str]:
    return {get_args(get_type_hints(model)["driver"])[0] for model in models}


def test_ok__the_models_know_the_drivers_that_there_are() -> None:
    """Each driver in the registry can be written in the file and the other way round, but for the played reader of the tests."""
    assert _drivers(GpioRelay, PlayedRelay) == set(registry.RELAYS)
    assert _drivers(*READERS) == set(registry.READERS) - {"played"}
    union = get_args(DoorSettings.model_fields["relay"].annotation)
    assert set(union) == {GpioRelay, PlayedRelay}
