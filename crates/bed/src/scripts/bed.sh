#!/bin/sh
# This is the bed's first process: it holds the bridge and, on a tmpfs, the disks of all nodes. $1 is the folder for them.
# It runs in namespaces of its own for network, mounts and processes, and ends when its standard input does; then the kernel ends
# every process of the bed, and network and disks go with the last one.
set -eu
# /proc is still the one outside, so that this is the id by which others find this process.
read -r pid _ </proc/self/stat
mount -t tmpfs -o mode=755 bed "$1"
mkdir "$1/shared"
ip link set lo up
# With an address of its own: else it takes the lowest one of its ports, and changes it with them under the nodes that know it.
ip link add bed address 02:00:0a:4d:00:01 type bridge
ip address add "$2" dev bed
ip link set bed up
echo "$pid"
exec >/dev/null 2>&1
cat
exit
