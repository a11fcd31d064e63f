#!/bin/sh
# A node's first process: root, devices and name. Its arguments: the name, the base and the disk's folder, then pairs of
# a folder outside and where it is on the node.
# It ends when its standard input does; then the kernel ends every process of the node.
set -eu
# /proc is still the one outside, so that this is the id by which others find this process.
read -r pid _ </proc/self/stat
name=$1 base=$2 disk=$3
shift 3
root=$disk/root

mount -t overlay -o "lowerdir=$base,upperdir=$disk/upper,workdir=$disk/work" node "$root"
[ -e "$root/etc/hostname" ] || echo "$name" >"$root/etc/hostname"
mount -t proc -o nosuid,nodev,noexec proc "$root/proc"
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs "$root/sys"
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs "$root/run"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/tmp"

mount -t tmpfs -o mode=755,nosuid tmpfs "$root/dev"
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    numbers=${device#*:}
    mknod -m 666 "$root/dev/${device%%:*}" c "${numbers%:*}" "${numbers#*:}"
done
mkdir "$root/dev/pts" "$root/dev/shm"
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts "$root/dev/pts"
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs "$root/dev/shm"
ln -s pts/ptmx "$root/dev/ptmx"
ln -s /proc/self/fd "$root/dev/fd"
for number_name in 0:stdin 1:stdout 2:stderr; do
    ln -s "/proc/self/fd/${number_name%:*}" "$root/dev/${number_name#*:}"
done

# Each boot has its id, as on a machine; the kernel's own is of this machine's start.
cp /proc/sys/kernel/random/uuid "$disk/boot-id"
mount --bind "$disk/boot-id" "$root/proc/sys/kernel/random/boot_id"

while [ $# -gt 0 ]; do
    mkdir -p "$1" "$root/$2"
    mount --bind "$1" "$root/$2"
    shift 2
done

hostname "$name"
ip link set lo up
mkdir -p "$root/.outside"
cd "$root"
pivot_root . .outside
# dash takes in the orphans of the node while it waits for cat.
# shellcheck disable=SC2016 # the inner shell's own variable
exec chroot . /bin/sh -c 'umount -l /.outside && rmdir /.outside && echo "$0" && exec >/dev/null 2>&1; cat; exit' "$pid"
