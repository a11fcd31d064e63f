#!/bin/sh
# Lets Alice log in, to the login node: her public key goes where sshd looks for it.
set -eu
root=${0%%/var/lib/clusterdrop/*} # empty on a node; in the demo, the folder that stands for the node's disk
[ "$2" = master ] || exit 0
echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGzav34rq35mysOegoVG8PKxMvsaD/+mZl4xLEfOTmUM alice@laptop' > "$root/home/alice/.ssh/authorized_keys"
echo "alice can log in to $3"
