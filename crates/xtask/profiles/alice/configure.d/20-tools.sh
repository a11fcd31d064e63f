#!/bin/sh
# The place for `dnf install`.
set -eu
root=${0%%/var/lib/clusterdrop/*} # empty on a node; in the demo, the folder that stands for the node's disk
mkdir -p "$root/opt/tools"
echo "the tools of a $2 node of $3 are installed"
