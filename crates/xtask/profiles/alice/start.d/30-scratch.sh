#!/bin/sh
# Compute nodes have a scratch disk.
set -eu
root=${0%%/var/lib/clusterdrop/*} # empty on a node; in the demo, the folder that stands for the node's disk
[ "$2" = slave ] || exit 0
echo "looking for the scratch disk"
if [ ! -d "$root/scratch" ]; then
  echo "no disk at /scratch: this machine came without one" >&2
  exit 3
fi
echo "the scratch disk is there"
