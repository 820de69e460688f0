#!/bin/bash
# Builds an emulated Raspberry Pi 3B into the folder $1 (cacheable, 0.4 GB, about 4 min): kernel, device tree, initrd, and arm64 Debian as
# root.tar. Nothing of ours is in it.
# usage: pi-build.sh CACHE_DIR ; needs root and apt; Debian packages only
set -euo pipefail
out=$(mkdir -p "$1" && cd "$1" && pwd)
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
cd "$work"; mkdir -p lists/partial archives/partial
apt-get update -q >/dev/null
apt-get install -y -q --no-install-recommends arch-test mmdebstrap cpio kmod device-tree-compiler >/dev/null
arm=(-o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State::lists="$work/lists" -o Dir::Cache::archives="$work/archives"
     -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root)
apt-get "${arm[@]}" update -q >/dev/null
kernel=$(apt-cache "${arm[@]}" depends linux-image-arm64 | awk '/Depends: linux-image/{print $2; exit}'); version=${kernel#linux-image-}
apt-get "${arm[@]}" download -q "$kernel" busybox-static >/dev/null
dpkg-deb -x "$kernel"_*.deb kernel; dpkg-deb -x busybox-static_*.deb busybox
# What a real Pi's firmware does to the device tree: the board's revision, and with dtoverlay=disable-bt the header's UART is free
cp kernel/usr/lib/linux-image-*/broadcom/bcm2837-rpi-3-b.dtb pi.dtb
fdtput -p -t x pi.dtb /system linux,revision a22082
fdtput -r pi.dtb /soc/serial@7e201000/bluetooth
mmdebstrap --quiet --arch=arm64 --variant=minbase \
  --include=systemd,systemd-sysv,dbus,udev,python3,python3-venv,kmod,procps bookworm debian.tar
mkdir root && tar -xpf debian.tar -C root
# USB: the host controller, serial adapters and keyboards
for d in usb hid input phy net/phy; do
  [ -d "kernel/lib/modules/$version/kernel/drivers/$d" ] || continue
  mkdir -p "root/lib/modules/$version/kernel/drivers/$d"
  cp -a "kernel/lib/modules/$version/kernel/drivers/$d/." "root/lib/modules/$version/kernel/drivers/$d/"
done
cp kernel/lib/modules/"$version"/modules.{builtin,builtin.modinfo,order} "root/lib/modules/$version/"
depmod -b root "$version"
# A root shell without echo on the mini UART: what is typed there from outside is run, see pi.py
cat > root/usr/local/sbin/lab <<'S'
#!/bin/bash
stty -F /dev/ttyS1 -opost -echo -icrnl
exec </dev/ttyS1 >/dev/ttyS1 2>&1
cd /root
echo "LAB-READY"
while IFS= read -r line; do
  (eval "$line") </dev/null
  echo "LAB-EXIT $?"
done
S
chmod 755 root/usr/local/sbin/lab
printf '[Unit]\nAfter=multi-user.target\n[Service]\nEnvironment=HOME=/root\nExecStart=/usr/local/sbin/lab\n' > root/etc/systemd/system/lab.service
mkdir -p root/etc/systemd/system/graphical.target.wants
ln -s ../lab.service root/etc/systemd/system/graphical.target.wants/
ln -sf /lib/systemd/system/graphical.target root/etc/systemd/system/default.target
ln -sf /dev/null root/etc/systemd/system/serial-getty@ttyS1.service
rm -f root/etc/systemd/system/getty.target.wants/*
echo pi > root/etc/hostname
tar -cpf "$out/root.tar" -C root .
mkdir -p initrd/{bin,m,new,proc,sys,dev}; cp busybox/bin/busybox initrd/bin/
modules="bcm2835 sdhci sdhci-pltfm sdhci-iproc crc16 crc32c_generic libcrc32c mbcache jbd2 ext4"
for m in $modules; do cp "$(find "kernel/lib/modules/$version" -name "$m.ko" | head -1)" initrd/m/; done
cat > initrd/init <<S
#!/bin/busybox sh
b=/bin/busybox; \$b mount -t proc p /proc; \$b mount -t sysfs s /sys; \$b mount -t devtmpfs d /dev
for m in $modules; do \$b insmod /m/\$m.ko; done
i=0; while [ ! -b /dev/mmcblk0 ] && [ \$i -lt 100 ]; do \$b sleep 0.1; i=\$((i+1)); done
\$b mount -t ext4 /dev/mmcblk0 /new || \$b poweroff -f
exec \$b switch_root /new /sbin/init
S
chmod 755 initrd/init
(cd initrd && find . | cpio -o -H newc --quiet | gzip) > "$out/initrd.gz"
cp kernel/boot/vmlinuz-* "$out/vmlinuz"
mv pi.dtb "$out/"
echo "built $version in $out"
