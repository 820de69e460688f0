"""The GPIO line: polarity, the right factory or none, and what lgpio does behind one's back.

lgpio itself cannot be had without a board. Where its behaviour matters a stand-in takes its place in a process of its own, under
gpiozero's real lgpio factory; where the real lgpio is installed, what it does at import is shown with it.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from gpiozero.pins.mock import MockFactory

from drivers.base import DeviceMissingError, DriverError
from drivers.gpio import GpioLine

STAND_IN = """
SET_PULL_NONE = SET_PULL_UP = SET_PULL_DOWN = BOTH_EDGES = RISING_EDGE = FALLING_EDGE = 1
error = type("error", (Exception,), {})
calls = []
modes = {}

def gpiochip_open(chip):
    calls.append(f"open {chip}")
    return 1

def gpio_claim_input(handle, pin, flags=0):
    calls.append(f"in {pin}")
    modes[pin] = 0

def gpio_claim_output(handle, pin, level=0, flags=0):
    calls.append(f"out {pin}={level}")
    modes[pin] = 2

def gpio_get_mode(handle, pin):
    return modes[pin]

def gpio_write(handle, pin, level):
    calls.append(f"write {pin}={int(level)}")
"""

# The stand-in's board is a Pi 3B; there is no way but this to tell gpiozero so.
PREAMBLE = """
import lgpio, warnings
from drivers.base import DeviceMissingError
from drivers.gpio import GpioLine
def on_a_pi():
    from gpiozero.pins.lgpio import LGPIOFactory
    LGPIOFactory._get_revision = lambda self: 0xA02082
def refusal(*args, **options):
    try:
        GpioLine(*args, **options)
    except DeviceMissingError as error:
        return str(error)
    return "no error"
"""


def python(script: str, *, lgpio: str | None, tmp_path: Path) -> str:
    """What `script` prints, in a process of its own, with `lgpio` as the source of the module of that name."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path / "stand-in"), str(Path(__file__).parents[2])])}
    environment.pop("LG_WD", None)
    environment.pop("GPIOZERO_PIN_FACTORY", None)
    working = tmp_path / "working"
    working.mkdir(exist_ok=True)
    if lgpio is not None:
        (tmp_path / "stand-in").mkdir(exist_ok=True)
        (tmp_path / "stand-in" / "lgpio.py").write_text(lgpio, encoding="ascii")
        script = PREAMBLE + script
    result = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=working, capture_output=True, text=True, timeout=60, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize(("active_high", "levels"), [(True, [0, 1, 0]), (False, [0, 1, 0, 1])])
def test_ok__active_is_released_in_either_polarity(active_high: bool, levels: list[int]) -> None:
    """An active-low relay is locked by a high level and released by a low one; the other the other way round."""
    factory = MockFactory()
    pin = factory.pin(17)
    line = GpioLine(17, active_high=active_high, factory=factory)
    line.drive(released=True)
    line.drive(released=False)
    # the mock pin of either begins low, as an input; the active-low line is high as soon as it is made
    assert [state.state for state in pin.states] == levels
    assert line.name == "GPIO17"


@pytest.mark.parametrize(("active_high", "levels"), [(True, [0, 1, 0]), (False, [0, 1])])
def test_ok__a_line_may_be_claimed_released(active_high: bool, levels: list[int]) -> None:
    """In fire a line comes up released, and was not locked before; the mock pin keeps only what changed."""
    factory = MockFactory()
    pin = factory.pin(17)
    line = GpioLine(17, active_high=active_high, released=True, factory=factory)
    line.drive(released=False)
    assert [state.state for state in pin.states] == levels


def test_fail__polarity_has_no_default() -> None:
    """Nobody can forget to say which level energises the relay."""
    with pytest.raises(TypeError, match="active_high"):
        GpioLine(17)  # type: ignore[call-arg]  # which is the point


def test_fail__a_pin_that_is_in_use_is_refused_by_name() -> None:
    """Two relays on one pin are a mistake in the configuration, and the sentence says so."""
    factory = MockFactory()
    first = GpioLine(17, active_high=True, factory=factory)
    with pytest.raises(DeviceMissingError, match="GPIO17: two devices"):
        GpioLine(17, active_high=True, factory=factory)
    first.close()
    GpioLine(17, active_high=True, factory=factory).close()


def test_fail__a_pin_that_the_board_has_not_is_refused_by_name() -> None:
    """A wrong number is named rather than left to a traceback."""
    with pytest.raises(DeviceMissingError, match="GPIO99: this board has no such pin"):
        GpioLine(99, active_high=True, factory=MockFactory())


def test_fail__a_pin_that_was_taken_away_refuses_by_name() -> None:
    """A pin that has become an input no longer takes a level: the relay hears of it."""
    factory = MockFactory()
    line = GpioLine(17, active_high=True, factory=factory)
    factory.pin(17).function = "input"
    with pytest.raises(DriverError, match="GPIO17: the pin does not take its level"):
        line.drive(released=True)


@pytest.mark.skipif(Path("/dev/gpiochip7").exists(), reason="this machine has a /dev/gpiochip7")
@pytest.mark.skipif(importlib.util.find_spec("lgpio") is None, reason="lgpio is not installed: no wheel for this Python")
def test_fail__a_missing_chip_is_named(tmp_path: Path) -> None:
    """With the real lgpio: a chip that is not there is an error that names it, never another factory."""
    script = (
        "import warnings; warnings.simplefilter('error')\n"
        "from drivers.base import DeviceMissingError; from drivers.gpio import GpioLine\n"
        f"try: GpioLine(17, active_high=True, chip=7, work_dir={str(tmp_path)!r})\n"
        "except DeviceMissingError as error: print(error)"
    )
    assert "/dev/gpiochip7 is not there" in python(script, lgpio=None, tmp_path=tmp_path)


def test_fail__gpiozero_left_to_itself_falls_back_and_we_do_not(tmp_path: Path) -> None:
    """With an lgpio that fails, gpiozero's own choice only warns and walks on to other factories; ours raises and names the chip."""
    broken = STAND_IN.replace('calls.append(f"open {chip}")', 'raise error("can not open gpiochip")')
    script = """
on_a_pi()
import gpiozero
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    try:
        gpiozero.Device._default_pin_factory()
    except gpiozero.BadPinFactory:
        pass
print([str(warning.message).split(":")[0] for warning in caught if warning.category is gpiozero.PinFactoryFallback][:2])
warnings.simplefilter("error")
print(refusal(17, active_high=True, chip=0))
"""
    fallen, refused = python(script, lgpio=broken, tmp_path=tmp_path).splitlines()
    assert fallen == "['Falling back from lgpio', 'Falling back from rpigpio']"
    assert "/dev/gpiochip0" in refused


def test_fail__the_environment_does_not_choose_the_factory(tmp_path: Path) -> None:
    """A GPIOZERO_PIN_FACTORY=mock left over from a test does not make a door that only pretends."""
    script = "import os; os.environ['GPIOZERO_PIN_FACTORY'] = 'mock'; on_a_pi(); line = GpioLine(17, active_high=True); print(lgpio.calls)"
    assert python(script, lgpio=STAND_IN, tmp_path=tmp_path).strip() == "['open 0', 'in 17', 'out 17=0']"


@pytest.mark.parametrize("stub", ["", "raise ImportError('no lgpio here')"])
def test_fail__an_empty_or_missing_lgpio_says_what_to_install(tmp_path: Path, stub: str) -> None:
    """The empty package 0.0.0.2 that pip takes where there is no wheel, or none at all, is told with its remedy."""
    script = PREAMBLE.replace("import lgpio, warnings", "") + "print(refusal(17, active_high=True))"
    (tmp_path / "stand-in").mkdir()
    (tmp_path / "stand-in" / "lgpio.py").write_text(stub, encoding="ascii")
    said = python(script, lgpio=None, tmp_path=tmp_path)
    assert "apt install python3-lgpio" in said
    assert "--system-site-packages" in said


def test_fail__elsewhere_than_on_a_pi_says_so(tmp_path: Path) -> None:
    """On a laptop the driver gpio refuses, and names the driver that works there."""
    script = "print(refusal(17, active_high=True, chip=0))"
    if Path("/proc/device-tree/system/linux,revision").exists():
        pytest.skip("this is a Raspberry Pi")
    assert "this is no Raspberry Pi" in python(script, lgpio=STAND_IN, tmp_path=tmp_path)


def test_ok__an_active_low_relay_does_not_click_at_start(tmp_path: Path) -> None:
    """Plain gpiozero claims the output low and raises it after, which releases an active-low relay; ours is claimed high."""
    script = """
on_a_pi()
from gpiozero import DigitalOutputDevice
from gpiozero.pins.lgpio import LGPIOFactory
plain = DigitalOutputDevice(4, active_high=False, pin_factory=LGPIOFactory(chip=0))
print([call for call in lgpio.calls if " 4" in call])
line = GpioLine(17, active_high=False, chip=0)
line.drive(released=True)
line.drive(released=False)
line.close()
print([call for call in lgpio.calls if " 17" in call])
"""
    plain, ours = python(script, lgpio=STAND_IN, tmp_path=tmp_path).splitlines()
    assert plain == "['in 4', 'out 4=0', 'write 4=1']"
    assert ours == "['in 17', 'out 17=1', 'write 17=0', 'write 17=1', 'in 17']"


def test_ok__a_line_that_is_released_stays_so_when_it_is_given_back(tmp_path: Path) -> None:
    """Plain gpiozero makes an input of a pin that is closed or forgotten, which would lock in fire; ours is left, and can be had again."""
    script = """
on_a_pi()
import atexit
atexit.register(lambda: print([call for call in lgpio.calls if " 17" in call]))
line = GpioLine(17, active_high=False, released=True, chip=0)
line.close()
line.close()
again = GpioLine(17, active_high=False, released=True, chip=0)
again.close()
del line, again
last = GpioLine(17, active_high=False, chip=0)
last.drive(released=True)
"""
    said = python(script, lgpio=STAND_IN, tmp_path=tmp_path).strip()
    assert said == "['in 17', 'out 17=0', 'write 17=0', 'write 17=1', 'write 17=0']"


def test_ok__the_configured_word_is_the_level_that_releases(tmp_path: Path) -> None:
    """`active = "low"` comes up high, `active = "high"` comes up low: both locked; claimed released, the other way round."""
    script = """
on_a_pi()
from drivers import registry
low = registry.line("gpio", {"pin": 17, "active": "low"})
high = registry.line("gpio", {"pin": 27, "active": "high", "chip": None})
fire = registry.line("gpio", {"pin": 22, "active": "high", "chip": None}, released=True)
print([call for call in lgpio.calls if "out" in call])
"""
    assert python(script, lgpio=STAND_IN, tmp_path=tmp_path).strip() == "['out 17=1', 'out 27=0', 'out 22=1']"


def test_ok__closing_one_door_leaves_the_other_alone(tmp_path: Path) -> None:
    """The factories of gpiozero share one table of pins, and closing one lets all of them go; closing a line does not."""
    script = """
on_a_pi()
front, side = (GpioLine(pin, active_high=True, chip=0) for pin in (17, 27))
side.drive(released=True)
front.close()
side.drive(released=False)
again = GpioLine(17, active_high=True, chip=0)
again.drive(released=False)
print([call for call in lgpio.calls if "27" in call], lgpio.calls.count("open 0"))
"""
    said = python(script, lgpio=STAND_IN, tmp_path=tmp_path).strip()
    assert said == "['in 27', 'out 27=0', 'write 27=1', 'write 27=0'] 1"


def test_fail__a_busy_pin_is_named(tmp_path: Path) -> None:
    """A pin that another program holds is told with the tool that says which."""
    busy = STAND_IN.replace('calls.append(f"in {pin}")', 'raise error("GPIO busy")')
    said = python("on_a_pi(); print(refusal(17, active_high=True, chip=0))", lgpio=busy, tmp_path=tmp_path)
    assert said.startswith("GPIO17: the pin could not be claimed (GPIO busy)")
    assert "gpioinfo" in said


def test_fail__a_work_dir_that_is_none_is_named(tmp_path: Path) -> None:
    """A directory that lgpio could not write into is refused before lgpio fails in its own words."""
    missing = tmp_path / "missing"
    with pytest.raises(DeviceMissingError, match=str(missing)):
        GpioLine(17, active_high=True, work_dir=str(missing))


@pytest.mark.skipif(importlib.util.find_spec("lgpio") is None, reason="lgpio is not installed: no wheel for this Python")
def test_ok__lgpio_writes_where_it_is_told_and_the_process_stays_where_it_was(tmp_path: Path) -> None:
    """Left alone lgpio makes a FIFO in the working directory; told LG_WD it moves the whole process there. Ours does neither."""
    elsewhere = tmp_path / "lgpio-files"
    elsewhere.mkdir()
    ours = f"import os; from drivers.gpio import _load_lgpio; _load_lgpio({str(elsewhere)!r}); print(os.getcwd())"
    assert python(ours, lgpio=None, tmp_path=tmp_path).strip() == str(tmp_path / "working")
    assert list((tmp_path / "working").iterdir()) == []
    assert [file.name for file in elsewhere.iterdir()] == [".lgd-nfy0"]
    python("import lgpio", lgpio=None, tmp_path=tmp_path)
    assert [file.name for file in (tmp_path / "working").iterdir()] == [".lgd-nfy0"]
    moved = f"import os; os.environ['LG_WD'] = {str(elsewhere)!r}; import lgpio; print(os.getcwd())"
    assert python(moved, lgpio=None, tmp_path=tmp_path).strip() == str(elsewhere)
