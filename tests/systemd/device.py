"""A device that the installer is tried on, with stand-ins for Python and systemd."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
PYTHON = """#!/bin/sh
# Stands in for Python: makes environments that hold itself and a tourlatch that tells its version and makes a key.
for last; do :; done
case "$*" in
*"-m venv"*)
  mkdir -p "$last/bin" "$last/lib"
  cp "$0" "$last/bin/python"
  cat >"$last/bin/tourlatch" <<END
#!/bin/sh
if [ "\\$1 \\$2" = "keys new" ]; then
  echo 01234567
  umask 077
  echo secret >"\\$4/01234567.key"
  echo public >"\\$4/01234567.pub.toml"
fi
exit ${BROKEN:-0}
END
  chmod 755 "$last/bin/tourlatch"
  ;;
esac
echo "python $*" >>"$RECORD"
"""
UNITS = (
    "tourlatch.service",
    "tourlatch-desk*.service",
    "tourlatch-camera*.service",
    "tourlatch-kiosk*.service",
    "tourlatch-screen*.service",
)
RESTART = " ".join(("systemctl try-restart", *UNITS))


class Device:
    """A device below a folder, with the commands that the installer calls recorded."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "home"
        self.etc = folder / "etc/tourlatch"
        self._folder = folder
        self._record = folder / "record"
        self._count = 0
        commands = folder / "commands"
        checkout = folder / "checkout"
        for name in ("config", ".lock"):
            shutil.copytree(ROOT / name, checkout / name)
        shutil.copytree(ROOT / "systemd", checkout / "systemd")
        (checkout / "pyproject.toml").touch()
        self._script = checkout / "systemd" / "install.sh"
        # the system's own folders become this one's
        text = (
            self._script.read_text("utf-8").replace("HOME_DIR=/opt/tourlatch", f"HOME_DIR={self.home}").replace("/etc/", f"{folder}/etc/")
        )
        self._script.write_text(text, "utf-8")
        commands.mkdir()
        for name in ("systemctl", "systemd-sysusers", "systemd-tmpfiles", "modprobe", "udevadm", "sync"):
            self._command(name, f'echo "{name} $*" >>"$RECORD"; case "$*" in is-active*) exit 1 ;; esac')
        self._command("id", "echo 0")
        self._command("date", 'echo "$NOW"')
        (commands / "python3").write_text(PYTHON, "utf-8")
        (commands / "python3").chmod(0o755)

    def _command(self, name: str, script: str) -> None:
        path = self._folder / "commands" / name
        path.write_text(f"#!/bin/sh\n{script}\n", "utf-8")
        path.chmod(0o755)

    def install(self, *arguments: str, now: str = "", broken: int = 0) -> subprocess.CompletedProcess[str]:
        """Run the installer at another time than before."""
        self._count += 1
        self._record.write_text("", "utf-8")
        environment = {
            "PATH": f"{self._folder / 'commands'}:{os.environ['PATH']}",
            "PREFIX": str(self._folder / "usr/local"),
            "RECORD": str(self._record),
            "NOW": now or f"release-{self._count}",
            "BROKEN": str(broken),
        }
        command = ["sh", str(self._script), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)

    def did(self) -> list[str]:
        """The commands of the last run."""
        return self._record.read_text("utf-8").splitlines()

    def link(self, name: str) -> str | None:
        """The release that a link names."""
        path = self.home / name
        return path.readlink().name if path.is_symlink() else None

    def releases(self) -> set[str]:
        """The releases that are kept."""
        return {path.name for path in (self.home / "releases").iterdir()}
