#!/bin/bash
# Makes the card's image $3 for the emulated Pi: Debian from the cache $1, with the tree $2 installed by systemd/install.sh in the card's own
# root, as images for devices are made. Its programs run under qemu-user, which takes a third of the time that the emulated Pi itself needs.
# Configured as systemd/README.md says, with pi.toml, and enabled: the agent starts when the Pi has power.
# usage: pi-card.sh CACHE_DIR TREE IMAGE ; root
set -euo pipefail
if [ -z "${TOURLATCH_CARD:-}" ]; then
  # Processes and mounts of its own: the programs see that they are in a chroot, and nothing stays mounted
  TOURLATCH_CARD=$(mktemp -d); export TOURLATCH_CARD
  trap 'rm -rf --one-file-system "$TOURLATCH_CARD"' EXIT
  unshare --mount --pid --fork --kill-child bash "$0" "$@"
  exit
fi
cache=$1 tree=$2 image=$3
cd "$TOURLATCH_CARD"; mkdir root
tar -xpf "$cache/root.tar" -C root
mkdir root/lab; cp -a "$tree/src" "$tree/wheels" "$tree"/tourlatch-*.whl root/lab/
mount -t proc proc root/proc
inside() { chroot root env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"; }
inside PIP_NO_INDEX=1 PIP_FIND_LINKS=/lab/wheels sh -c 'sh /lab/src/systemd/install.sh --wheel /lab/tourlatch-*.whl'
install -m 644 "$tree/src/tests/lab/pi.toml" root/etc/tourlatch/agent.toml
inside tourlatch keys new -f /root/keys
install -m 644 root/root/keys/*.pub.toml root/etc/tourlatch/keys/
(umask 077; echo lab > root/etc/tourlatch/credentials/knock-appointment-key)
inside tourlatch check
inside systemctl enable tourlatch
# Emulation is some twenty times slower than a Pi, whose limits would be too narrow here
mkdir root/etc/systemd/system/tourlatch.service.d
printf '[Service]\nTimeoutStartSec=300\nTimeoutStopSec=120\nWatchdogSec=90\n' > root/etc/systemd/system/tourlatch.service.d/lab.conf
rm -f root/etc/systemd/system/{multi-user,timers}.target.wants/{e2scrub*,apt*,dpkg*,fstrim*} 2>/dev/null
umount root/proc
rm -rf root/lab/src root/lab/wheels
# The card's size is a power of two, as qemu wants it
mke2fs -q -d root -t ext4 -O ^has_journal card.img 2G
mv card.img "$image"
