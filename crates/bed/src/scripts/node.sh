#!/bin/sh
# A node's first process: root, devices and name. Its arguments: the name, the base and the disk's folder, then pairs of
# a folder outside and where it is on the node.
# It ends when its standard input does; then the kernel ends every process of the node.
set -eu
# /proc is still the one outside, so that this is the id by which others find this process.
read -r pid _ </proc/self/stat
name=$1 base=$2 disk=$3
shift 3
hostname "$name"
ip link set lo up
mount -t overlay -o "lowerdir=$base,upperdir=$disk/upper,workdir=$disk/work" node "$disk/root"
cd "$disk/root"
mkdir -p .outside
pivot_root . .outside
cd /

# From here on every path is the node's own: a link that its root has made leads to nothing outside.
mount -t proc -o nosuid,nodev,noexec proc /proc
# Most of these settings are the whole kernel's; the host name and those of the network are the node's own.
mount --bind /proc/sys /proc/sys
mount --bind /proc/sys/net /proc/sys/net
mount --bind /proc/sys/kernel/hostname /proc/sys/kernel/hostname
mount -o remount,bind,ro /proc/sys
mount -t sysfs -o ro,nosuid,nodev,noexec sysfs /sys
mount -t tmpfs -o mode=755,nosuid,nodev tmpfs /run
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /tmp
mount -t tmpfs -o mode=755,nosuid tmpfs /dev
for device in null:1:3 zero:1:5 full:1:7 random:1:8 urandom:1:9 tty:5:0; do
    numbers=${device#*:}
    mknod -m 666 "/dev/${device%%:*}" c "${numbers%:*}" "${numbers#*:}"
done
mkdir /dev/pts /dev/shm
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts /dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm
ln -s pts/ptmx /dev/ptmx
ln -s /proc/self/fd /dev/fd
for number_name in 0:stdin 1:stdout 2:stderr; do
    ln -s "/proc/self/fd/${number_name%:*}" "/dev/${number_name#*:}"
done
# As systemd has it: the name that was written there last is the next boot's.
[ -e /etc/hostname ] || echo "$name" >/etc/hostname
hostname "$(cat /etc/hostname)"

# Each boot has its id, as on a machine; the kernel's own is of this machine's start.
cp /proc/sys/kernel/random/uuid /run/boot-id
mount --bind /run/boot-id /proc/sys/kernel/random/boot_id

while [ $# -gt 0 ]; do
    mkdir -p "/.outside$1" "$2"
    mount --bind "/.outside$1" "$2"
    shift 2
done
umount -l /.outside
rmdir /.outside
echo "$pid"
exec >/dev/null 2>&1
# dash takes in the orphans of the node while it waits for cat.
cat
exit
