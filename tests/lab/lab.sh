#!/bin/bash
# Two emulated boards, each built once into a cache (LAB_CACHE) of nothing but Debian's packages; root, on Debian. Both get this checkout and
# the locked wheels for their processor, and nothing else of the network.
#   board  Debian 12 under its own systemd, with a GPIO character device made by the kernel's gpio-sim: this folder's steps run in it
#   pi     a Raspberry Pi 3B: its steps run out here, for the pins are watched in the SoC's registers
# LAB=board or LAB=pi runs one of them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${LAB_CACHE:-/var/cache/tourlatch-lab}
which=${LAB:-board pi}
[ "$(id -u)" = 0 ] || { echo "make lab needs root: it builds Debian root images and installs qemu"; exit 1; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT

# need PROGRAM PACKAGE...
need() { local program=$1; shift; command -v "$program" >/dev/null || { apt-get update -q; apt-get install -y -q --no-install-recommends "$@"; } >/dev/null; }

# built SCRIPT FOLDER: builds what is not there, or was built by another version of the script.
built() {
  local stamp; stamp=$(sha256sum < "$here/$1")
  [ "$(cat "$2/built-by" 2>/dev/null)" = "$stamp" ] || { echo "building $2 by $1 ..."; bash "$here/$1" "$2"; printf '%s\n' "$stamp" > "$2/built-by"; }
}

# locked NAME: the locked lines of one package, which is in the lock of the tests only.
locked() { awk -v name="^$1==" '$0 ~ name { found = 1 } found { print; if (!/\\$/) exit }' "$root/.lock/dev.txt" | sed 's/ ; [^\\]*/ /'; }

# tree FOLDER MACHINE: this checkout, its wheel, and the locked wheels for that processor.
tree() {
  mkdir -p "$1/wheels" "$1/src"
  { locked lgpio; locked libosdp; } > "$1/more.txt"
  local platforms=() tag list
  for tag in 2014 _2_17 _2_28 _2_34; do platforms+=(--platform "manylinux${tag}_$2"); done
  for list in "$root/.lock/run.txt" "$1/more.txt"; do
    "$root/.venv/bin/python" -m pip download -q --disable-pip-version-check --only-binary=:all: --no-deps --require-hashes \
      --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none "${platforms[@]}" -r "$list" -d "$1/wheels" 2>/dev/null
  done
  git -C "$root" ls-files -z | tar -C "$root" --null -T - -cf - | tar -xf - -C "$1/src"
  cp "$here"/*.py "$1/src/tests/lab/"
  (cd "$1/src" && "$root/.venv/bin/python" -m hatchling build -t wheel -d "$1" >/dev/null 2>&1)
}

# make_card: the Pi's card with this checkout, made anew when anything that its installation reads has changed; its name goes to $work/card.
make_card() {
  local key image
  tree "$work/pi" aarch64
  key=$(cd "$work/pi" && { cat "$cache/pi/built-by"; find wheels ./*.whl src/systemd src/.lock src/config src/tests/lab/pi[.-]* -type f \
    | LC_ALL=C sort | xargs sha256sum; } | sha256sum | cut -c1-16)
  image=$cache/pi/card-$key.img
  [ -f "$image" ] || { rm -f "$cache"/pi/card-*.img; bash "$here/pi-card.sh" "$cache/pi" "$work/pi" "$image"; }
  echo "$image" > "$work/card"
}

for one in $which; do
  case $one in
    board) need qemu-system-x86_64 qemu-system-x86; built build.sh "$cache/board" ;;
    pi)
      need qemu-system-aarch64 qemu-system-arm
      need qemu-aarch64-static qemu-user-static binfmt-support
      mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
      update-binfmts --enable qemu-aarch64 2>/dev/null
      built pi-build.sh "$cache/pi"
      # before the first board and not beside it: a board that shares the processor stands still now and then, and so do its clocks
      make_card > "$work/card-log" 2>&1 &  # in the background only so that its first failure ends it
      wait $! || { cat "$work/card-log"; exit 1; }
      ;;
    *) echo "LAB is board, pi, or left out; not $one"; exit 2 ;;
  esac
done
for one in $which; do
  began=$SECONDS
  case $one in
    board)
      tree "$work/board" x86_64
      echo 'cd src && exec python3 -m tests.lab' > "$work/board/lab-command"
      echo "== the emulated board"
      bash "$here/boot.sh" "$cache/board" "$work/board" "${LAB_SECONDS:-1500}"
      ;;
    pi)
      echo "== the emulated Raspberry Pi"
      (cd "$root" && .venv/bin/python -m tests.lab.pi "$cache/pi" "$(cat "$work/card")")
      ;;
  esac
  echo "== $((SECONDS - began)) s"
done
