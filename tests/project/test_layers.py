"""Each third-party library is imported in exactly one file, and the import contracts hold."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOMES = {
    "PIL": {"agent/camera/capture.py"},
    "babel": {"agent/language.py"},
    "cbor2": {"agent/core/codes.py"},
    "email_validator": {"agent/desk/people.py"},
    "gpiozero": {"drivers/gpio.py"},
    "httpx": {"agent/http.py"},
    "icalendar": {"agent/desk/office/calendar.py"},
    "jinja2": {"agent/rendering.py"},
    "lgpio": {"drivers/gpio.py"},
    "nacl": {"agent/core/signature.py"},
    "osdp_sys": {"drivers/osdp_panel.py"},
    "picamera2": {"agent/camera/capture.py"},
    "phonenumbers": {"agent/desk/people.py"},
    "pydantic": {"agent/settings/parts.py"},
    "segno": {"agent/qr.py"},
    "serial": {"drivers/serial_port.py"},
    "sqlite_utils": {"agent/sqlite.py"},
    "starlette": {"agent/web.py"},
    "uvicorn": {"agent/listener.py"},
    "zxingcpp": {"agent/camera/decode.py"},
}
OURS = {"agent", "drivers"}


def _imports() -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for path in [*ROOT.glob("agent/**/*.py"), *ROOT.glob("drivers/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            for name in names:
                found[name.split(".")[0]].add(str(path.relative_to(ROOT)))
    return {name: files for name, files in found.items() if name not in OURS | sys.stdlib_module_names}


def test_each_library_has_one_home() -> None:
    """A library that has to be replaced is replaced in one file; click is the command line's own, in `agent/cli` and one command."""
    found = _imports()
    click_files = found.pop("click")
    assert found == HOMES
    assert all(name.startswith("agent/cli/") or name == "agent/sandbox/command.py" for name in click_files)


def test_the_contracts_hold() -> None:
    """The layers, the drivers' ignorance of the agent and the purity of the core are checked by import-linter."""
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
