#!/bin/sh
# Installs or upgrades the agent on a device, and the desk, from a checkout. Run as root: sudo sh systemd/install.sh
#
#   --desk         set a desk up beside the door: its secret, a signing key and desk.toml, each only where there is none
#   --desk-only    the same on a server without a door: no agent.toml, and nothing that only pins and scanners need
#   --camera       with what a camera needs, and its unit; by itself once agent.toml names such a reader
#   --kiosk        with the page of a screen at the door, and the browser's unit; by itself once there is a kiosk.toml
#   --osdp         with the package that OSDP readers need; by itself once agent.toml names such a reader
#   --wheel FILE   install this wheel instead of building one from the checkout
#   --roll-back    go back to the version before the last upgrade
#   --dry-run      say what would be done, and do nothing
#
# Environment: PYTHON (python3), PREFIX (/usr/local), and DESTDIR: with it the files alone are put below that folder, as a package
# wants it; no virtual environment is made and the running system is not touched. Without a network: PIP_NO_INDEX=1 and
# PIP_FIND_LINKS=FOLDER, where FOLDER holds the wheels (`pip download` on a machine like this one).
#
# Rule 1: nothing that runs is changed before the new version has proved that it starts.
# Rule 2: what a person wrote is never overwritten: agent.toml, desk.toml, keys, secrets, drop-ins.
# Rule 3: a secret is made on the machine that uses it, never below DESTDIR.
set -eu
umask 022

PYTHON=${PYTHON:-python3}
PREFIX=${PREFIX:-/usr/local}
DESTDIR=${DESTDIR:-}
HOME_DIR=/opt/tourlatch
SOURCE=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
dry_run='' roll_back='' wheel='' desk='' desk_only='' osdp='' camera='' kiosk=''
SECRET=/etc/tourlatch/credentials/desk-secret
DESK_KEYS=/etc/tourlatch/desk/keys

say() { printf '%s\n' "$*"; }
die() { printf 'install: %s\n' "$*" >&2; exit 1; }
do_it() { if [ -n "$dry_run" ]; then say "would: $*"; else "$@"; fi; }

while [ $# -gt 0 ]; do
  case $1 in
    --desk) desk=1 ;;
    --desk-only) desk=1 desk_only=1 ;;
    --camera) camera=1 ;;
    --kiosk) kiosk=1 ;;
    --osdp) osdp=1 ;;
    --dry-run) dry_run=1 ;;
    --roll-back) roll_back=1 ;;
    --wheel) [ $# -gt 1 ] || die "--wheel needs a file"; wheel=$2; shift ;;
    -h | --help) sed -n '2,16s/^# \{0,1\}//p' "$0"; exit 0 ;;
    *) printf 'install: there is no option %s; try --help\n' "$1" >&2; exit 2 ;;
  esac
  shift
done

# Prints the one line that brings what is missing, if anything is.
check_machine() {
  "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    die "Python 3.11 or later is needed: Raspberry Pi OS 12 (bookworm) or later has it; name another with PYTHON=..."
  "$PYTHON" -c 'import struct, sys; sys.exit(struct.calcsize("P") < 8)' ||
    die "this Python is 32-bit, for which some locked packages have no wheels: use the 64-bit Raspberry Pi OS"
  missing=''
  "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"
  if [ -z "$desk_only" ] && ! has_lgpio_wheel && ! "$PYTHON" -c 'import lgpio; lgpio.gpio_claim_output' 2>/dev/null; then
    missing="$missing python3-lgpio"
  fi
  if [ -z "$desk_only" ] && wants_camera && ! "$PYTHON" -c 'import importlib.util as u, sys; sys.exit(u.find_spec("picamera2") is None)' 2>/dev/null; then
    missing="$missing python3-picamera2"
  fi
  [ -z "$missing" ] || die "something is missing: apt install$missing"
  [ -n "$wheel" ] || [ -f "$SOURCE/pyproject.toml" ] || die "$SOURCE is no checkout of tourlatch"
  [ -z "$wheel" ] || [ -f "$wheel" ] || die "there is no wheel $wheel"
}

# lgpio has wheels up to Python 3.12; later ones take Raspberry Pi OS's own package.
has_lgpio_wheel() { "$PYTHON" -c 'import sys; sys.exit(sys.version_info >= (3, 13))'; }

# names_reader DRIVER: whether the configuration has a reader of that driver, in whatever way TOML lets it be written.
names_reader() {
  grep -Evs '^[[:space:]]*#' "$DESTDIR/etc/tourlatch/agent.toml" | grep -Eq "driver[\"']?[[:space:]]*=[[:space:]]*[\"']$1[\"']"
}

# wants_osdp: whether it was asked for, or the configuration names an OSDP reader.
wants_osdp() { [ -n "$osdp" ] || names_reader osdp; }

# wants_camera: the same for a camera.
wants_camera() { [ -n "$camera" ] || names_reader camera; }

# wants_kiosk: whether it was asked for, or there is a screen already.
wants_kiosk() { [ -z "$desk_only" ] && { [ -n "$kiosk" ] || [ -e "$DESTDIR/etc/tourlatch/kiosk.toml" ]; }; }

# wants_system: whether the environment is to see the system's own packages, for what comes from apt alone.
wants_system() { [ -z "$desk_only" ] && { ! has_lgpio_wheel || wants_camera; }; }

# locked NAME: the locked lines of a package that is in the lock of the tests only, for not every machine needs it.
locked() { awk -v name="$1==" 'index($0, name) == 1 { found = 1 } found { print; if (!/\\$/) exit }' "$SOURCE/.lock/dev.txt"; }

# install_locked NAME: that package into the new release.
install_locked() {
  if [ -z "$dry_run" ]; then locked "$1" > "$release/$1.txt"; fi
  # shellcheck disable=SC2086 # a command and its options
  do_it $pip --require-hashes --only-binary=:all: --no-deps -r "$release/$1.txt"
}

install_files() {
  lib=$DESTDIR$PREFIX/lib
  put "$lib/systemd/system" tourlatch.service tourlatch.service
  put "$lib/systemd/system" tourlatch-desk.service tourlatch-desk.service
  put "$lib/sysusers.d" tourlatch.sysusers tourlatch.conf
  put "$lib/tmpfiles.d" tourlatch.tmpfiles tourlatch.conf
  if [ -z "$desk_only" ]; then
    put "$lib/modules-load.d" tourlatch.modules tourlatch.conf
    put "$lib/udev/rules.d" 70-tourlatch.rules 70-tourlatch.rules
  fi
  if [ -z "$desk_only" ] && wants_camera; then
    put "$lib/systemd/system" tourlatch-camera.service tourlatch-camera.service
    put "$lib/udev/rules.d" 71-tourlatch-camera.rules 71-tourlatch-camera.rules
  fi
  if wants_kiosk; then kiosk_files; fi
  for document in README.md WIRING.md wiring-strike.svg wiring-maglock.svg; do
    put "$DESTDIR$PREFIX/share/doc/tourlatch" "$document" "$document"
  done
  put "$DESTDIR$PREFIX/share/doc/tourlatch" ../config/agent.toml agent.toml
  put "$DESTDIR$PREFIX/share/doc/tourlatch" ../config/desk.toml desk.toml
  do_it mkdir -p "$DESTDIR$PREFIX/bin" "$DESTDIR/etc/tourlatch/keys"
  for folder in credentials doors desk desk/keys; do do_it mkdir -p -m 0700 "$DESTDIR/etc/tourlatch/$folder"; done
  do_it ln -sfn "$HOME_DIR/venv/bin/tourlatch" "$DESTDIR$PREFIX/bin/tourlatch"
  [ -n "$desk_only" ] || kept agent.toml || first_config
  [ -z "$desk" ] || kept desk.toml || put "$DESTDIR/etc/tourlatch" ../config/desk.toml desk.toml
}

# The page's unit, and all of the browser's: its launcher, what Chromium may do, and which devices it sees.
kiosk_files() {
  put "$lib/systemd/system" tourlatch-kiosk.service tourlatch-kiosk.service
  put "$lib/systemd/system" tourlatch-screen.service tourlatch-screen.service
  [ "$PREFIX" = /usr/local ] || do_it sed -i "s#/usr/local/lib/tourlatch#$PREFIX/lib/tourlatch#" "$lib/systemd/system/tourlatch-screen.service"
  put "$lib/tourlatch" screen.sh screen.sh
  put "$lib/tourlatch" tourlatch-chromium.json chromium.json
  put "$lib/udev/rules.d" 72-tourlatch-screen.rules 72-tourlatch-screen.rules
  put "$DESTDIR$PREFIX/share/doc/tourlatch" ../config/kiosk.toml kiosk.toml
  put "$DESTDIR$PREFIX/share/doc/tourlatch" screen.env screen.env
  do_it mkdir -p "$DESTDIR/etc/tourlatch"
  do_it mkdir -p -m 0700 "$DESTDIR/etc/tourlatch/kiosk"
  kept kiosk.toml || put "$DESTDIR/etc/tourlatch" ../config/kiosk.toml kiosk.toml
  kept screen.env || put "$DESTDIR/etc/tourlatch" screen.env screen.env
}

# kept FILE: whether a person's configuration is there, which stays as it is.
kept() {
  [ -e "$DESTDIR/etc/tourlatch/$1" ] || return 1
  say "Kept $DESTDIR/etc/tourlatch/$1 as it is; all keys are in $PREFIX/share/doc/tourlatch/$1."
}

# put FOLDER FILE NAME: systemd/FILE as FOLDER/NAME, whole or not at all.
put() {
  do_it mkdir -p "$1"
  do_it install -m 0644 "$SOURCE/systemd/$2" "$1/.$3.new"
  do_it mv -f "$1/.$3.new" "$1/$3"
}

# The example, without the relay's level: an agent whose relay nobody has measured does not start.
first_config() {
  put "$DESTDIR/etc/tourlatch" ../config/agent.toml agent.toml
  do_it sed -i 's/^active = /#&/' "$DESTDIR/etc/tourlatch/agent.toml"
}

# A virtual environment of its own for each version, since one cannot be moved: $HOME_DIR/releases/DATE, and a link to the one in use.
make_venv() {
  release=$HOME_DIR/releases/$(date -u +%Y%m%dT%H%M%SZ)
  say "Installing into $release ..."
  do_it mkdir -p "$HOME_DIR/releases"
  # Fails for a release that is there: it may be in use, and below a failure takes its folder away.
  do_it mkdir "$release"
  if [ -z "$dry_run" ]; then trap 'rm -rf "$release"' EXIT; fi
  if wants_system; then do_it "$PYTHON" -m venv --system-site-packages "$release"; else do_it "$PYTHON" -m venv "$release"; fi
  pip="$release/bin/python -I -m pip --disable-pip-version-check --no-input -q install"
  # shellcheck disable=SC2086 # a command and its options
  do_it $pip --require-hashes --only-binary=:all: --no-deps -r "$SOURCE/.lock/run.txt"
  if [ -z "$desk_only" ] && has_lgpio_wheel; then install_locked lgpio; fi
  if [ -z "$desk_only" ] && wants_osdp; then
    install_locked libosdp
    do_it "$release/bin/python" -I -c 'import osdp_sys'
  fi
  if [ -z "$desk_only" ] && wants_camera; then
    install_locked pillow
    install_locked zxing-cpp
  fi
  # shellcheck disable=SC2086
  do_it $pip --no-deps --no-build-isolation "${wheel:-$SOURCE}"
  # The agent's user cannot write these later, and without them every start takes three times as long.
  do_it "$release/bin/python" -I -m compileall -q "$release/lib"
  do_it "$release/bin/tourlatch" --version
  do_it "$release/bin/python" -I -c 'import agent.daemon.run, agent.desk.run, agent.knock, agent.store.files, drivers.gpio, drivers.reader_serial'
  if [ -z "$desk_only" ] && wants_camera; then do_it "$release/bin/python" -I -c 'import picamera2, PIL.Image, zxingcpp, agent.camera.run'; fi
  if wants_kiosk; then do_it "$release/bin/python" -I -c 'import agent.kiosk.run'; fi
  # Written before it is used: the links below must not point at what a power cut takes away.
  do_it sync
  if [ -z "$dry_run" ]; then trap - EXIT; fi
  if [ -L "$HOME_DIR/venv" ]; then point previous "$(readlink "$HOME_DIR/venv")"; fi
  point venv "$release"
  forget_old
}

# point NAME RELEASE: the link changes in one step, so there is no instant without one.
point() {
  do_it ln -sfn "$2" "$HOME_DIR/.$1.new"
  do_it mv -Tf "$HOME_DIR/.$1.new" "$HOME_DIR/$1"
}

forget_old() {
  for old in "$HOME_DIR"/releases/*; do
    if [ "$old" = "$(readlink "$HOME_DIR/venv")" ] || [ "$old" = "$(readlink "$HOME_DIR/previous")" ]; then continue; fi
    if [ -d "$old" ]; then do_it rm -rf "$old"; fi
  done
}

# The system learns of the files.
tell_system() {
  do_it systemd-sysusers "$PREFIX/lib/sysusers.d/tourlatch.conf"
  do_it systemd-tmpfiles --create "$PREFIX/lib/tmpfiles.d/tourlatch.conf"
  [ -n "$desk_only" ] || tell_devices
  do_it systemctl daemon-reload
}

tell_devices() {
  for module in cdc_acm usbserial; do do_it modprobe -q "$module" || say "The kernel has no module $module; scanners of that kind will not work."; done
  do_it udevadm control --reload
  do_it udevadm trigger --subsystem-match=gpio
  if wants_camera; then do_it udevadm trigger --subsystem-match=dma_heap; fi
  if wants_kiosk; then do_it udevadm trigger --subsystem-match=input; fi
}

# What runs is restarted, what was stopped stays stopped; each desk, camera and screen, if there are several. A browser keeps the page of
# the version before until it starts anew.
restart() {
  do_it systemctl try-restart tourlatch.service 'tourlatch-desk*.service' 'tourlatch-camera*.service' 'tourlatch-kiosk*.service' \
    'tourlatch-screen*.service'
}

# What a desk needs besides its configuration, each only if it is not there yet.
set_desk_up() {
  if [ -e "$SECRET" ]; then
    say "Kept $SECRET as it is."
  elif [ -n "$dry_run" ]; then
    say "would: make $SECRET"
  else
    (umask 077 && od -An -v -tx1 -N32 /dev/urandom | tr -d ' \n' > "$SECRET.new")
    [ "$(wc -c < "$SECRET.new")" = 64 ] || die "no secret could be read from /dev/urandom"
    mv -f "$SECRET.new" "$SECRET"
  fi
  if [ -n "$(find "$DESK_KEYS" -name '*.key' 2>/dev/null)" ]; then
    say "Kept the signing keys in $DESK_KEYS as they are."
  elif [ -n "$dry_run" ]; then
    say "would: make a signing key in $DESK_KEYS"
  else
    key=$("$HOME_DIR/venv/bin/tourlatch" keys new -f "$DESK_KEYS")
    # The door on this board learns it at once.
    [ -n "$desk_only" ] || install -m 0644 "$DESK_KEYS/$key.pub.toml" "/etc/tourlatch/keys/$key.pub.toml"
  fi
  do_it sync
}

next_steps() {
  [ -z "$desk" ] || desk_steps
  [ -z "$desk_only" ] || return 0
  if wants_camera && ! systemctl is-active -q tourlatch-camera.service; then
    say "The camera does not run yet: a reader with driver = \"camera\" in agent.toml, then sudo systemctl enable --now tourlatch-camera"
  fi
  if wants_kiosk; then kiosk_steps; fi
  if systemctl is-active -q tourlatch.service; then
    say "Done; the agent runs the new version. Back to the old one: sudo sh systemd/install.sh --roll-back"
    return
  fi
  say "Done. Nothing runs yet; with the lock's power off:"
  say "  1. sudoedit /etc/tourlatch/agent.toml; then: tourlatch check"
  say "  2. the desk's *.pub.toml into /etc/tourlatch/keys, Knock's key into /etc/tourlatch/credentials/knock-appointment-key"
  say "  3. the relay's polarity first, as the commissioning list in $PREFIX/share/doc/tourlatch/README.md says"
  say "  4. sudo systemctl enable --now tourlatch; tourlatch status; then a real code"
}

kiosk_steps() {
  if systemctl is-active -q tourlatch-kiosk.service; then return; fi
  say "The screen's page does not run yet:"
  say "  1. sudoedit /etc/tourlatch/kiosk.toml; then: tourlatch check -c /etc/tourlatch/kiosk.toml"
  say "  2. kiosk_users = [\"tourlatch-kiosk\"] under [control] in agent.toml, and a restart of the agent"
  say "  3. sudo systemctl enable --now tourlatch-kiosk"
  say "  4. for a screen on this board (from 1 GB on): apt install --no-install-recommends cage seatd xwayland cog; then"
  say "     sudo systemctl enable --now tourlatch-screen, as $PREFIX/share/doc/tourlatch/README.md says"
}

desk_steps() {
  if systemctl is-active -q tourlatch-desk.service; then
    say "The desk runs the new version."
    return
  fi
  say "The desk does not run yet:"
  say "  1. sudoedit /etc/tourlatch/desk.toml; then: tourlatch check -c /etc/tourlatch/desk.toml"
  say "  2. Knock's key into /etc/tourlatch/credentials/knock-appointment-key"
  say "  3. the *.pub.toml of $DESK_KEYS into /etc/tourlatch/keys of every door"
  say "  4. sudo systemctl enable --now tourlatch-desk; HTTPS before it and a token for each door, as $PREFIX/share/doc/tourlatch/README.md says"
}

if [ -n "$DESTDIR" ]; then
  [ -z "$roll_back" ] || die "--roll-back is for a running system, not for DESTDIR"
  install_files
  exit 0
fi
[ -n "$dry_run" ] || [ "$(id -u)" = 0 ] || die "run it as root: sudo sh systemd/install.sh"
if [ -n "$roll_back" ]; then
  [ -L "$HOME_DIR/previous" ] || die "there is no version to go back to"
  now=$(readlink "$HOME_DIR/venv") before=$(readlink "$HOME_DIR/previous")
  point venv "$before"
  point previous "$now"
  restart
  say "Back to $before."
  exit 0
fi
check_machine
make_venv
install_files
tell_system
[ -z "$desk" ] || set_desk_up
restart
[ -n "$dry_run" ] || next_steps
