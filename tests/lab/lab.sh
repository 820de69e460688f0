#!/bin/bash
# The emulated board: Debian 12 under its own systemd, with a GPIO character device made by the kernel's gpio-sim. Root, on Debian.
# Builds it once into a cache (LAB_CACHE), brings the locked wheels and this checkout along, boots, and runs this folder's steps there.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${LAB_CACHE:-/var/cache/tourlatch-lab}
[ "$(id -u)" = 0 ] || { echo "make lab needs root: it builds a Debian root image and installs qemu"; exit 1; }
[ -f "$cache/root.img" ] || bash "$here/build.sh" "$cache"
tree=$(mktemp -d); trap 'rm -rf "$tree"' EXIT
mkdir "$tree/wheels" "$tree/src"
awk '/^lgpio==/ { found = 1 } found { print; if (!/\\$/) exit }' "$root/.lock/dev.txt" | sed 's/ ; [^\\]*/ /' > "$tree/lgpio.txt"
platforms=(); for tag in 2014 _2_17 _2_28 _2_34; do platforms+=(--platform "manylinux${tag}_x86_64"); done
for list in "$root/.lock/run.txt" "$tree/lgpio.txt"; do
  "$root/.venv/bin/python" -m pip download -q --disable-pip-version-check --only-binary=:all: --no-deps --require-hashes \
    --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none "${platforms[@]}" -r "$list" -d "$tree/wheels" 2>/dev/null
done
git -C "$root" ls-files -z | tar -C "$root" --null -T - -cf - | tar -xf - -C "$tree/src"
cp "$here"/*.py "$tree/src/tests/lab/"
echo 'cd src && exec python3 -m tests.lab' > "$tree/lab-command"
bash "$here/boot.sh" "$cache" "$tree" "${LAB_SECONDS:-1500}"
